//! Dispatch in the demo: quotas on three floors, and cloud machines of which one lies idle since weeks, so that the pages of
//! dispatch and control have something to show. Every step goes through the rooms, by the person who may do it.

use std::collections::BTreeMap;

use app::App;
use app::{dispatch, ledger};
use chrono::{Days, TimeDelta};
use model::asset::{AssetDraft, AssetFilter, Ledger};
use model::dispatch::{Holder, HolderKind, Resource};
use model::{Op, Result};

use crate::seed::op_of;

/// Days before today on which the demo's machines were entered.
const ENTERED: i64 = 45;

/// Sets the quotas and enters the machines, once.
pub(crate) async fn dispatch(app: &App, application: &str) -> Result<()> {
    let consumer = op_of(app, "consumer").await?;
    let Some(org) = consumer.actor.org().map(str::to_owned) else { return Ok(()) };
    let filter = AssetFilter {
        ledger: Some(Ledger::Cloud),
        org: Some(org.clone()),
        limit: 1,
        ..AssetFilter::default()
    };
    if !ledger::list(app, &consumer, &filter).await?.items.is_empty() {
        return Ok(());
    }
    let authority = op_of(app, "authority").await?;
    for (resource, kind, holder, amount) in [
        (Resource::Calls, HolderKind::Region, "330000", 2_000_000),
        (Resource::Calls, HolderKind::Org, org.as_str(), 200_000),
        (Resource::Calls, HolderKind::Application, application, 50_000),
        (Resource::Storage, HolderKind::Org, org.as_str(), 1000),
        (Resource::Compute, HolderKind::Org, org.as_str(), 600),
    ] {
        let holder = Holder::new(kind, holder);
        dispatch::set(app, &authority, resource, &holder, Some(amount), "年度核定").await?;
    }
    let before = Op { at: consumer.at - TimeDelta::days(ENTERED), ..consumer };
    for (n, (name, utilisation)) in
        [("办件库主机", "64"), ("测试环境主机", "2"), ("活动专题主机", "5")].into_iter().enumerate()
    {
        let made = ledger::create(app, &before, machine(&before, &org, n, name, utilisation), true);
        ledger::step(app, &before, &made.await?.id, "running", "开通").await?;
    }
    Ok(())
}

fn machine(op: &Op, org: &str, n: usize, name: &str, utilisation: &str) -> AssetDraft {
    let expiry = (op.today() + Days::new(365)).to_string();
    let fields: BTreeMap<String, String> = [
        ("kind", "云服务器"),
        ("zone", "政务外网区"),
        ("vcpu", "8"),
        ("memory_gb", "32"),
        ("disk_gb", "300"),
        ("utilisation", utilisation),
        ("expiry", expiry.as_str()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    AssetDraft {
        ledger: Ledger::Cloud,
        code: format!("DEMO-ECS-{}", n + 1),
        name: name.into(),
        org: org.into(),
        region: "330000".into(),
        owner: "王用".into(),
        description: "演示".into(),
        fields,
    }
}
