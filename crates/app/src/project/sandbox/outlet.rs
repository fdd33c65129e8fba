//! A release that leaves as an interface: its frozen rows become a table of the project, which the platform publishes under an interface
//! for the project's application alone.
//!
//! The table is in no catalogue. The gate ([`crate::sharing`]) asks [`released`] what may be called by its name; the answer is an agreement
//! like any other, made anew whenever something changed: it ends with the sandbox's term or with the first agreement the rows were made
//! by, and it is there only while all of these stand as they were when the release was asked for. So a closed sandbox, a revoked grant, a
//! breach or a stop refuses the next call. Every answer bears a watermark of its own.

use std::sync::Arc;

use chrono::DateTime;
use guard::hash::sm3_hex;
use model::audit::AuditEvent;
use model::batch::{Batch, Column, TextColumn};
use model::code::{DataType, OpenType, ShareType};
use model::entry::Entry;
use model::item::Item;
use model::op::stamp;
use model::project::result::Made;
use model::request::{Period, Request, RequestState, RequestWay};
use model::sandbox::outcome;
use model::sandbox::release::{
    ColumnPart, OutTable, Outlet, ReleaseState, ReleaseWay, SandboxRelease,
};
use model::{Actor, Code, Error, Op, Result};
use policy::Action;
use serde::Serialize;
use store::sandbox::Kept;

use super::land::{self, NewTable};
use super::release::{gone, own_release, table_of};
use super::{in_term, working};
use crate::project::room::{application, granted_or_stopped};
use crate::project::{Held, load, made};
use crate::{App, audit, interface, sharing};

/// Prefix of the names of tables that are served; no member's result bears it.
pub(super) const RELEASED: &str = "r_";

/// Letters of the code that callers name the interface by.
const CODE: usize = 16;

/// What a release is to become, before anybody looks at it.
pub(super) fn planned(app: &App, held: &Held, mark: &str, made: Made) -> Outlet {
    let name = format!("{RELEASED}{mark}");
    Outlet {
        table: held.project.table(&name),
        name,
        interface: String::new(),
        calls_per_day: app.rules.sandbox.release.calls,
        made,
    }
}

/// A release that is served under a name, with its outlet and its project.
async fn known(app: &App, code: &str) -> Result<Option<(SandboxRelease, Outlet, Held)>> {
    // What is in the catalogue is never named so: other calls cost nothing here.
    if !code.starts_with('_') {
        return Ok(None);
    }
    let Some(release) = app.store.sandbox_release_by_outlet(code).await? else { return Ok(None) };
    let Some(held) = load(app, &release.project).await? else { return Ok(None) };
    let outlet = release.outlet.clone();
    Ok(outlet.map(|outlet| (release, outlet, held)))
}

/// The served table of a release, as the gate and its description know it: what was released is offered to whom it was released to.
async fn table(app: &App, outlet: &Outlet, held: &Held) -> Result<Option<Entry>> {
    let results = app.store.project_results(&held.project.id).await?;
    let found = results.into_iter().find(|r| r.name == outlet.name);
    Ok(found.map(|result| {
        let mut table = result.table;
        table.rows = i64::try_from(result.rows).unwrap_or(i64::MAX);
        table.draft.share_type = ShareType::Restricted;
        for item in &mut table.draft.items {
            item.share_type = ShareType::Restricted;
        }
        table
    }))
}

/// What the calling application may call by this name, and by what: nothing where it is not the application of the sandbox.
pub(crate) async fn released(app: &App, op: &Op, code: &str) -> Result<Option<(Entry, Request)>> {
    let Actor::Application { id, .. } = &op.actor else { return Ok(None) };
    let found = known(app, code).await?.filter(|(.., held)| held.project.application == *id);
    let Some((release, outlet, held)) = found else { return Ok(None) };
    let Some(entry) = table(app, &outlet, &held).await? else { return Ok(None) };
    if release.state != ReleaseState::Served {
        return Err(over());
    }
    let until = standing(app, op, &held, &outlet.made).await?;
    let request = agreement(&held, &release, &outlet, &entry, until);
    Ok(Some((entry, request)))
}

/// The same for whoever wants to read its description while it is served: the application, and members of the sandbox.
pub(crate) async fn described(app: &App, op: &Op, code: &str) -> Result<Option<Entry>> {
    let found = known(app, code).await?.filter(|(r, ..)| r.state == ReleaseState::Served);
    let Some((_, outlet, held)) = found else { return Ok(None) };
    let own =
        matches!(op.actor, Actor::Application { .. }) && op.actor.id() == held.project.application;
    match own || held.may(app, op, Action::ProjectRead) {
        true => table(app, &outlet, &held).await,
        false => Ok(None),
    }
}

/// The release behind an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Id of the sandbox.
    pub project: String,
    /// Id of the release.
    pub release: String,
}

/// From which release of which sandbox what is called by this name comes, for members of the sandbox.
pub(crate) async fn origin(app: &App, op: &Op, code: &str) -> Result<Option<Origin>> {
    let found = known(app, code).await?;
    let found = found.filter(|(.., held)| held.may(app, op, Action::ProjectRead));
    Ok(found.map(|(release, ..)| Origin { project: release.project, release: release.id }))
}

fn over() -> Error {
    Error::new(
        Code::GrantExpired,
        "数据沙箱已关闭或期限已满，该接口不再提供",
        "the sandbox is closed or its term is over: the interface answers no more",
    )
}

/// Until when rows of such an origin are served to the application, which is `own`'s actor; fails where they are not.
async fn standing(app: &App, own: &Op, held: &Held, made: &Made) -> Result<String> {
    if held.project.closed_at.is_some() || in_term(held, own).is_err() {
        return Err(over());
    }
    let (now, stopped) = granted_or_stopped(app, held, own).await?;
    made::going(&made.sources, &stopped)?;
    made::stands(&made.sources, &now)?;
    let date = held.project.sandbox.as_ref().map(|t| t.until.clone()).unwrap_or_default();
    let term = sharing::end_of(own, &Period::Until { date })?;
    let behind = now.iter().filter(|t| made.sources.iter().any(|s| s.code == t.grant.code()));
    let ends = behind.filter_map(|t| t.grant.expires_at()).map(stamp).chain(term);
    ends.min().ok_or_else(|| Error::internal("a sandbox without a term"))
}

/// What the gate makes a grant from.
fn agreement(
    held: &Held,
    release: &SandboxRelease,
    outlet: &Outlet,
    entry: &Entry,
    until: String,
) -> Request {
    let project = &held.project;
    Request {
        id: release.id.clone(),
        entry: entry.id.clone(),
        entry_code: entry.draft.code.clone(),
        entry_title: entry.draft.title.clone(),
        provider: project.org.clone(),
        application: project.application.clone(),
        application_name: project.application_name.clone(),
        org: project.org.clone(),
        way: RequestWay::Share,
        region: entry.draft.region.clone(),
        items: entry.draft.items.iter().map(|i| i.identifier.clone()).collect(),
        scene: release.reason.clone(),
        legal_basis: format!("数据沙箱发布 {}", release.id),
        period: Period::Long,
        calls_per_day: outlet.calls_per_day,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
        state: RequestState::Approved,
        due: None,
        expires_at: Some(until),
        applicant: release.applicant.clone(),
        created_at: release.created_at.clone(),
        updated_at: release.taken_at.clone().unwrap_or_else(|| release.created_at.clone()),
    }
}

/// Publishes what was allowed: asked anew by who applied, where it could not be done when the last seat agreed.
pub async fn publish(app: &Arc<App>, op: &Op, id: &str, release: &str) -> Result<SandboxRelease> {
    working(app, op, id).await?;
    own_release(app, op, id, release).await?;
    open(app, op, release).await
}

/// Makes the table and its interface of a release that every seat has agreed to. Done twice, nothing changes.
pub(super) async fn open(app: &Arc<App>, op: &Op, release: &str) -> Result<SandboxRelease> {
    let found = app.store.sandbox_release_get(release).await?;
    let Kept { body: found, edit } =
        found.ok_or_else(|| Error::not_found("发布申请", "release", release))?;
    let in_time = found.until.as_ref().is_some_and(|until| op.today().to_string() <= *until);
    let agreed = outcome(&found.reviews) == Some(true) && found.way == ReleaseWay::Interface;
    let Some(mut outlet) = found.outlet.clone().filter(|_| agreed && in_time) else {
        return Err(gone());
    };
    if found.state != ReleaseState::Allowed {
        return Err(gone());
    }
    let held = load(app, &found.project).await?.ok_or_else(gone)?;
    let own = application(app, &held, &op.source).await?;
    standing(app, &own, &held, &outlet.made).await?;
    let (rows, digest) = table_of(app, release).await?;
    if digest != found.digest {
        return Err(Error::internal(format!("the rows of release `{release}` have changed")));
    }
    let (items, batch) = typed(&rows);
    let title: String =
        format!("{} {}", held.project.name, found.result).chars().take(90).collect();
    let new = NewTable {
        name: &outlet.name,
        title: &title,
        items,
        made: outlet.made.clone(),
        hidden: true,
    };
    land::land(app, &held, new, land::once(batch)).await?;
    let entry = table(app, &outlet, &held).await?;
    let entry = entry.ok_or_else(|| Error::internal("the table of a release"))?;
    // The same release has the same code, so that a second try finds what the first one made.
    outlet.interface = sm3_hex(release.as_bytes()).chars().take(CODE).collect();
    let groups = found.columns.iter().filter(|c| c.part == ColumnPart::Group);
    let groups: Vec<&str> = groups.map(|c| c.name.as_str()).collect();
    interface::publish(app, op, &entry, &outlet.interface, &groups).await?;
    let scope = format!(
        "sandbox {} {} interface {} for {}",
        found.project, found.digest, outlet.interface, held.project.application
    );
    let served = SandboxRelease {
        state: ReleaseState::Served,
        taken_at: Some(stamp(app.now())),
        outlet: Some(outlet),
        ..found
    };
    let (_, permit) = app.platform(op)?;
    app.store.sandbox_release_update(&permit, &served, edit).await?;
    app.shares.forget();
    let event = AuditEvent {
        rows: served.rows,
        purpose: served.reason.clone(),
        columns: served.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(","),
        scope,
        ..audit::event(op, "sandbox.release.publish", release)
    };
    audit::record(app, event).await?;
    Ok(served)
}

/// The frozen rows as a batch: whole numbers of what counts or is measured as numbers, everything else as it is written.
fn typed(table: &OutTable) -> (Vec<Item>, Batch) {
    let mut items = Vec::with_capacity(table.columns.len());
    let mut columns = Vec::with_capacity(table.columns.len());
    for (at, column) in table.columns.iter().enumerate() {
        let cells: Vec<&str> = table
            .rows
            .iter()
            .map(|row| row.get(at).map(String::as_str).unwrap_or_default())
            .collect();
        let numbers = (column.part != ColumnPart::Group).then(|| whole(&cells)).flatten();
        let (data_type, values) = match numbers {
            Some(numbers) => (DataType::Integer, Column::Integer(numbers)),
            None => {
                let mut texts = TextColumn::with_capacity(cells.len());
                cells.iter().for_each(|cell| texts.push((!cell.is_empty()).then_some(*cell)));
                (DataType::Text, Column::Text(texts))
            }
        };
        let mut item = Item::new(&column.name, &column.name, data_type);
        item.grade = column.grade;
        item.share_type = ShareType::None;
        item.open_type = OpenType::None;
        items.push(item);
        columns.push(values);
    }
    let records = (1..=table.rows.len() as u64).collect();
    (items, Batch { columns, records, operations: Vec::new() })
}

/// All cells as whole numbers, if they are written as such.
fn whole(cells: &[&str]) -> Option<Vec<Option<i64>>> {
    let number = |cell: &&str| match *cell {
        "" => Some(None),
        text => text.parse::<i64>().ok().filter(|n| n.to_string() == text).map(Some),
    };
    cells.iter().map(number).collect()
}

/// Ends what a sandbox serves: it was closed, or its term is over. Answers how many interfaces it ended.
pub(super) async fn end(app: &App, op: &Op, project: &str) -> Result<u64> {
    let (system, permit) = app.platform(op)?;
    let mut done = 0;
    for Kept { body: release, edit } in app.store.sandbox_releases_served(project).await? {
        let ended = SandboxRelease { state: ReleaseState::Ended, ..release };
        match app.store.sandbox_release_update(&permit, &ended, edit).await {
            Err(e) if e.code() == Code::Stale => continue,
            written => written?,
        }
        let mut event = audit::event(&system, "sandbox.release.end", &ended.id);
        event.scope = format!("sandbox {project}");
        audit::record(app, event).await?;
        done += 1;
    }
    if done > 0 {
        app.shares.forget();
    }
    Ok(done)
}

/// The first instant at which something that a sandbox includes is not granted any more; nothing where all is for long.
pub(super) fn first_end(now: &[policy::port::SqlTable]) -> Option<DateTime<chrono::Utc>> {
    now.iter().filter_map(|t| t.grant.expires_at()).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::code::Grade;
    use model::sandbox::release::OutColumn;

    #[test]
    fn numbers_are_numbers_where_all_of_them_are() {
        let column = |name: &str, part| OutColumn { name: name.into(), part, grade: Grade::L2 };
        let table = OutTable {
            columns: vec![
                column("code", ColumnPart::Group),
                column("n", ColumnPart::Count),
                column("hidden", ColumnPart::Count),
                column("share", ColumnPart::Measure),
            ],
            rows: vec![
                ["330106", "12", "*", "0.5"].map(str::to_owned).to_vec(),
                ["330110", "", "7", "1"].map(str::to_owned).to_vec(),
            ],
        };
        let (items, batch) = typed(&table);
        let types: Vec<DataType> = items.iter().map(|i| i.data_type).collect();
        use DataType::{Integer, Text};
        assert_eq!(types, [Text, Integer, Text, Text], "a code of a region is no number");
        assert!(items.iter().all(|i| i.grade == Grade::L2 && i.share_type == ShareType::None));
        assert_eq!(batch.columns.get(1), Some(&Column::Integer(vec![Some(12), None])));
        assert_eq!(land::texts(&batch), table.rows);
        assert_eq!(whole(&["1", "01"]), None);
    }
}
