//! A demo as crowded as a real province: thousands of applications with grants of their own, and of interfaces. For measuring what
//! a crowd costs; every step goes through the rooms.

use std::path::Path;

use app::interface::{self, Move};
use app::{App, dispatch};
use model::account::ApplicationNew;
use model::code::{OpenType, ShareType};
use model::dispatch::{Holder, HolderKind, Resource};
use model::entry::{Entry, EntryFilter};
use model::interface::InterfaceState;
use model::request::{Period, RequestNew, RequestState};
use model::{Code, Error, Result};
use serde::{Deserialize, Serialize};

use crate::command::{err, steps};
use crate::demo::orgs::reviewer_of;
use crate::seed::{op_of, write_private};

/// Applications (应用) and interfaces (接口) that share data in the province.
const APPLICATIONS: usize = 2000;
const INTERFACES: usize = 3912;
/// What every application is granted, and every tenth interface looks up by its key.
const ENTRY: &str = "fr_jbxx";
const KEY: &str = "tyshxydm";
const ITEMS: [&str; 5] = [KEY, "qymc", "fddbr", "djzt", "clrq"];
const CALLS_PER_DAY: u64 = 100_000_000_000;

/// The crowd, as the file of its credentials names it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) apps: Vec<Caller>,
    /// Codes of the interfaces that look up [`ENTRY`] by the parameter `uscc`.
    pub(crate) lookups: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Caller {
    pub(crate) key: String,
    pub(crate) secret: String,
}

/// Makes the crowd, once per folder; `keep` is the file of its credentials.
pub(crate) async fn crowd(app: &App, keep: &Path) -> Result<()> {
    if keep.exists() {
        return Ok(());
    }
    err("正在生成众多应用与接口… making a crowd of applications and interfaces …");
    roomy(app).await?;
    let mut crowd = Crowd::default();
    let bar = steps(u64::try_from(APPLICATIONS + INTERFACES).unwrap_or(0));
    for n in 0..APPLICATIONS {
        crowd.apps.push(one_application(app, n).await?);
        bar.inc(1);
    }
    let entries = live(app).await?;
    for n in 0..INTERFACES {
        if let Some(code) = one_interface(app, n, &entries).await? {
            crowd.lookups.push(code);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let text = serde_json::to_vec(&crowd).map_err(|e| Error::internal("JSON").caused_by(e))?;
    write_private(keep, &text)
}

/// Quotas above the crowd's applications that a measurement does not use up; they are held all the same.
async fn roomy(app: &App) -> Result<()> {
    let (authority, owner) = (op_of(app, "authority").await?, op_of(app, "consumer").await?);
    let holders =
        [(HolderKind::Region, owner.actor.region()), (HolderKind::Org, owner.actor.org())];
    for (kind, holder) in holders {
        let holder = Holder::new(kind, holder.unwrap_or_default());
        let (calls, why) = (Some(CALLS_PER_DAY), "众多应用同时调用");
        dispatch::set(app, &authority, Resource::Calls, &holder, calls, why).await?;
    }
    Ok(())
}

/// An application of the service team, granted [`ENTRY`].
async fn one_application(app: &App, n: usize) -> Result<Caller> {
    let owner = op_of(app, "consumer").await?;
    let new = ApplicationNew {
        name: format!("众多应用 {n:04}"),
        description: "合成数据 synthetic".into(),
        org: owner.actor.org().unwrap_or_default().to_owned(),
    };
    let made = app::account::register_application(app, &owner, new).await?;
    let new = RequestNew {
        entry: ENTRY.into(),
        application: made.application.id.clone(),
        items: ITEMS.map(str::to_owned).to_vec(),
        scene: "众多应用同时调用".into(),
        legal_basis: "演示".into(),
        period: Period::Days { days: 180 },
        calls_per_day: CALLS_PER_DAY,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let mut request = app::sharing::apply(app, &owner, new).await?;
    if request.state == RequestState::ProviderAuditing {
        let reviewer = op_of(app, reviewer_of(&request.provider)).await?;
        request = app::sharing::review(app, &reviewer, &request.id, true, "同意").await?;
    }
    if request.state == RequestState::AuthorityAuditing {
        let authority = op_of(app, "authority").await?;
        request = app::sharing::review(app, &authority, &request.id, true, "同意").await?;
    }
    if request.state == RequestState::Approved {
        return Ok(Caller { key: made.application.key, secret: made.secret });
    }
    Err(Error::new(
        Code::WrongState,
        format!("演示申请停在 {}", request.state.as_str()),
        format!("an application of the demo stopped at {}", request.state.as_str()),
    ))
}

/// The live entries that have something to list, with just the items an interface may answer.
async fn live(app: &App) -> Result<Vec<Entry>> {
    let op = op_of(app, "authority").await?;
    let filter = EntryFilter { limit: 1000, ..EntryFilter::default() };
    let mut found = app::catalogue::list(app, &op, &filter).await?.items;
    for entry in &mut found {
        entry
            .draft
            .items
            .retain(|i| i.share_type != ShareType::None || i.open_type != OpenType::None);
    }
    found.retain(|e| e.live() && !e.draft.items.is_empty());
    Ok(found)
}

/// A published interface: every tenth a look-up by key (its code is answered), the others lists over all entries in turn.
async fn one_interface(app: &App, n: usize, entries: &[Entry]) -> Result<Option<String>> {
    let authority = op_of(app, "authority").await?;
    let lookup = n.is_multiple_of(10);
    let text = match entries.get(n % entries.len().max(1)) {
        Some(entry) if !lookup => {
            let items = entry.draft.items.iter().take(3);
            let returns: String =
                items.map(|i| format!("[[return]]\nitem = \"{}\"\n", i.identifier)).collect();
            format!(
                "title = \"众多接口 {n:04}\"\nkind = \"list\"\nentry = \"{}\"\n{returns}",
                entry.draft.code
            )
        }
        _ => format!(
            "title = \"众多接口 {n:04}\"\nkind = \"query\"\nentry = \"{ENTRY}\"\n\
             [[param]]\nname = \"uscc\"\nitem = \"{KEY}\"\nrequired = true\n{}",
            ITEMS.map(|i| format!("[[return]]\nitem = \"{i}\"\n")).concat()
        ),
    };
    let made = interface::create(app, &authority, &text).await?;
    for to in [InterfaceState::Test, InterfaceState::Published] {
        let to = Move { to, share: 100, until: String::new() };
        interface::step(app, &authority, &made.id, &to).await?;
    }
    Ok(lookup.then_some(made.code))
}
