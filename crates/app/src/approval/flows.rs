//! Flows: the shipped rule files and those the authority published; which is in force; checking, simulating and
//! publishing.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use model::flow::{By, Facts, Flow, Phase, Walked};
use model::{Error, FieldError, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::approval::FlowVersion;

use super::Places;
use crate::{App, audit};

/// The shipped flow files.
const SHIPPED: [&str; 8] = [
    include_str!("../../rules/flows/share_1.toml"),
    include_str!("../../rules/flows/asset_1.toml"),
    include_str!("../../rules/flows/demand_1.toml"),
    include_str!("../../rules/flows/objection_1.toml"),
    include_str!("../../rules/flows/dispute_1.toml"),
    include_str!("../../rules/flows/quota_1.toml"),
    include_str!("../../rules/flows/export_1.toml"),
    include_str!("../../rules/flows/export_2.toml"),
];

/// Longest flow file, bytes.
const LONGEST: usize = 200_000;

/// Texts that were read before: the same text is the same flow.
static READ: LazyLock<moka::sync::Cache<String, Arc<Flow>>> =
    LazyLock::new(|| moka::sync::Cache::new(256));

/// A version of a flow in the list.
#[derive(Clone, Debug, Serialize)]
pub struct FlowSeen {
    pub flow: Arc<Flow>,
    /// Followed by approvals that begin today.
    pub in_force: bool,
    /// Who published it; empty for a shipped file that nothing has followed yet.
    pub published_by: String,
    pub published_at: String,
    pub body: String,
}

/// A walk through a flow.
#[derive(Clone, Debug, Serialize)]
pub struct Simulated {
    pub stops: Vec<Walked>,
    pub phase: Phase,
}

/// Reads and checks a flow file. The error names line and key, or every step at fault.
pub fn check_text(text: &str) -> Result<Arc<Flow>> {
    if let Some(known) = READ.get(text) {
        return Ok(known);
    }
    if text.len() > LONGEST {
        return Err(Error::invalid(
            format!("流程文件超过 {LONGEST} 字节"),
            format!("the flow file is longer than {LONGEST} bytes"),
        ));
    }
    let flow: Flow = toml::from_str(text).map_err(|e| {
        Error::invalid(format!("流程文件有误：{e}"), format!("the flow file is wrong: {e}"))
    })?;
    let faults = flow.check();
    if !faults.is_empty() {
        return Err(unfit(&flow, faults));
    }
    let flow = Arc::new(flow);
    READ.insert(text.to_owned(), Arc::clone(&flow));
    Ok(flow)
}

fn unfit(flow: &Flow, faults: Vec<FieldError>) -> Error {
    Error::new(
        model::Code::RuleBroken,
        format!("流程 `{}` 有 {} 处不合规则，请逐项修改", flow.id, faults.len()),
        format!("the flow `{}` has {} faults, mend each", flow.id, faults.len()),
    )
    .with_fields(faults)
}

/// The version of a flow that an approval follows.
pub async fn flow_of(app: &App, id: &str, version: u32) -> Result<Arc<Flow>> {
    match app.store.flow_version(id, version).await? {
        Some(kept) => check_text(&kept.body),
        None => Err(Error::internal(format!("flow `{id}` v{version} was never kept"))),
    }
}

/// Every version, kept or shipped, and which are in force today.
pub async fn flows(app: &App, op: &Op) -> Result<Vec<FlowSeen>> {
    let mut all = Vec::new();
    for kept in app.store.flow_versions().await? {
        all.push(FlowSeen {
            flow: check_text(&kept.body)?,
            in_force: false,
            published_by: kept.published_by,
            published_at: kept.published_at,
            body: kept.body,
        });
    }
    for text in SHIPPED {
        let flow = check_text(text)?;
        if all.iter().any(|f| f.flow.id == flow.id && f.flow.version == flow.version) {
            continue;
        }
        all.push(FlowSeen {
            flow,
            in_force: false,
            published_by: String::new(),
            published_at: String::new(),
            body: text.to_owned(),
        });
    }
    all.sort_by(|a, b| (&a.flow.id, a.flow.version).cmp(&(&b.flow.id, b.flow.version)));
    let ids: BTreeSet<String> = all.iter().map(|f| f.flow.id.clone()).collect();
    for id in ids {
        let newest = all
            .iter_mut()
            .filter(|f| f.flow.id == id && f.flow.effective <= op.today())
            .max_by_key(|f| (f.flow.effective, f.flow.version));
        if let Some(newest) = newest {
            newest.in_force = true;
        }
    }
    Ok(all)
}

/// The version in force today, with its text.
pub(super) async fn in_force(app: &App, op: &Op, id: &str) -> Result<FlowSeen> {
    flows(app, op).await?.into_iter().find(|f| f.in_force && f.flow.id == id).ok_or_else(|| {
        Error::new(
            model::Code::RuleBroken,
            format!("今天没有生效的流程 `{id}`"),
            format!("no version of the flow `{id}` is in force today"),
        )
    })
}

/// Publishes a version; what runs already keeps its own.
pub async fn publish(app: &App, op: &Op, text: &str) -> Result<Arc<Flow>> {
    let permit =
        audit::permit(app, op, Action::FlowPublish, &Target::plain("Flow", "flows")).await?;
    let flow = check_text(text)?;
    let others = flows(app, op).await?;
    let newer = others.iter().filter(|f| f.flow.id == flow.id && f.body != text);
    if let Some(newest) = newer.max_by_key(|f| f.flow.version)
        && newest.flow.version >= flow.version
    {
        let next = newest.flow.version + 1;
        return Err(Error::invalid(
            format!("流程 `{}` 已有第 {} 版，新版本号应为 {next}", flow.id, newest.flow.version),
            format!(
                "the flow `{}` has a version {} already: the new one must be {next}",
                flow.id, newest.flow.version
            ),
        )
        .field("version", "请提高版本号", "raise the version"));
    }
    let mut known = vec!["owner", "applicant", "authority", "superior"];
    if flow.id == "export" {
        // Its other providers: a seat for each of them.
        known.push("others");
    }
    if let Some(place) = flow.places().into_iter().find(|p| !known.contains(p)) {
        return Err(Error::invalid(
            format!("席位的单位 `{place}` 未知，可用：{}", known.join("、")),
            format!("the place `{place}` of a seat is unknown; known are {}", known.join(", ")),
        ));
    }
    app.store.flow_keep(&permit, &version(op, &flow, text)).await?;
    let id = format!("{} v{}", flow.id, flow.version);
    audit::record(app, audit::event(op, "flow.publish", &id)).await?;
    Ok(flow)
}

pub(super) fn version(op: &Op, flow: &Flow, text: &str) -> FlowVersion {
    FlowVersion {
        flow: flow.id.clone(),
        version: flow.version,
        effective: flow.effective.to_string(),
        published_at: op.stamp(),
        published_by: op.actor.name().to_owned(),
        body: text.to_owned(),
    }
}

/// Walks through a flow text without keeping anything: what would happen to an application with these facts between
/// these organisations, filed today.
pub fn simulate(
    app: &App,
    op: &Op,
    text: &str,
    facts: Facts,
    places: Places,
    refuse: &BTreeSet<String>,
) -> Result<Simulated> {
    if op.actor.roles().is_empty() {
        return Err(Error::of(model::Code::SignInRequired));
    }
    let flow = check_text(text)?;
    let at = op.stamp();
    let by = By {
        id: op.actor.id(),
        name: op.actor.name(),
        in_place_of: None,
        at: &at,
        today: op.today(),
        calendar: &app.calendar,
    };
    let mut all: Places = flow.places().into_iter().map(|p| (p.to_owned(), p.to_owned())).collect();
    all.extend(places);
    let (stops, phase) = model::flow::simulate(&flow, &by, facts, all, refuse)?;
    Ok(Simulated { stops, phase })
}
