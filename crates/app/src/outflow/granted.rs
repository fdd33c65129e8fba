//! The grant of a flow: which rows of an entry, how masked, for which receiver. Kept while the ledger stays as it is. Deliveries
//! (`crate::delivery`) go by grants of the same kind.

use std::sync::Arc;

use chrono::NaiveDate;
use guard::hash::sha256_hex;
use guard::mask::output_type;
use model::audit::AuditEvent;
use model::code::DataType;
use model::entry::Entry;
use model::org::OrgKind;
use model::outflow::Outflow;
use model::request::{Request, RequestState};
use model::value::{Row, Value};
use model::{Actor, Code, Error, Op, Result};
use policy::port::{OutletColumn, ROW_ID};
use policy::{BatchAsk, FlowAsk, Grant};

use crate::sharing::bounds::{self, Bound};
use crate::{App, audit, sharing};

/// A grant with all that delivering by it needs.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) entry: Entry,
    pub(crate) grant: Grant,
    /// The application that receives.
    pub(crate) actor: Actor,
    pub(crate) masks: String,
    /// Tells grants apart by what they release.
    pub(crate) shape: String,
    /// Columns as they go out.
    pub(crate) columns: Vec<OutletColumn>,
    /// The row's own name goes out, because the key does not go out plainly.
    pub(crate) named: bool,
    /// What bounds the application at the entry; nothing where nothing is set.
    pub(crate) bound: Option<Arc<Bound>>,
    made: Made,
}

/// What must stay for a grant to hold without being asked for again.
type Made = (u64, u64, NaiveDate);

fn moment(app: &App, op: &Op) -> Made {
    (app.shares.epoch(), app.policy.version(), op.today())
}

/// What is wanted of an agreement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// What concerns the receiver's region, as it changes.
    Flow { items: &'a [String] },
    /// What was agreed for batch use, of an area within it.
    Batch { items: &'a [String], area: &'a str },
}

/// An agreement: what was approved for an application and an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreement<'a> {
    pub(crate) application: &'a str,
    pub(crate) entry: &'a str,
    pub(crate) request: &'a str,
}

/// The grant of an outflow, `kept` being the last one.
pub(super) async fn of(app: &App, outflow: &Outflow, kept: Option<Granted>) -> Result<Granted> {
    let agreement = Agreement {
        application: &outflow.application,
        entry: &outflow.entry,
        request: &outflow.request,
    };
    by_agreement(app, agreement, Wanted::Flow { items: &outflow.items }, kept).await
}

/// The grant by an agreement as it stands now, `kept` being the last one.
pub(crate) async fn by_agreement(
    app: &App,
    agreement: Agreement<'_>,
    wanted: Wanted<'_>,
    kept: Option<Granted>,
) -> Result<Granted> {
    let op = Op::system(app.now());
    app.shares.look(app, &op).await?;
    app.halts.look(app).await?;
    if let Some(kept) = kept
        && kept.made == moment(app, &op)
    {
        kept.grant.check_time(op.at)?;
        return Ok(kept);
    }
    let made = moment(app, &op);
    let gone = || Error::of(Code::GrantExpired);
    // An agreement that was renewed goes on: the gate takes the newest, too.
    let (application, approved) = (agreement.application, [RequestState::Approved]);
    let request = match app.store.request_newest(application, agreement.entry, &approved).await? {
        Some(renewed) => renewed,
        None => app.store.request_get(agreement.request).await?.ok_or_else(gone)?,
    };
    let entry = app.store.entry_get(agreement.entry).await?.ok_or_else(gone)?;
    for_request(app, &entry, &request, wanted, made).await
}

/// The grant by an application, before anything goes by it.
pub(crate) async fn by_request(
    app: &App,
    request: &Request,
    wanted: Wanted<'_>,
) -> Result<Granted> {
    let made = moment(app, &Op::system(app.now()));
    let gone = || Error::of(Code::GrantExpired);
    let entry = app.store.entry_get(&request.entry).await?.ok_or_else(gone)?;
    let granted = for_request(app, &entry, request, wanted, made).await?;
    granted.in_bulk()?;
    Ok(granted)
}

async fn for_request(
    app: &App,
    entry: &Entry,
    request: &Request,
    wanted: Wanted<'_>,
    made: Made,
) -> Result<Granted> {
    if request.state != RequestState::Approved {
        return Err(Error::of(match request.state {
            RequestState::Expired | RequestState::Revoked => Code::GrantExpired,
            _ => Code::NoGrant,
        }));
    }
    crate::restricted::clean_use(app, &Op::system(app.now()), request).await?;
    let stopped = || {
        Error::new(
            Code::NoGrant,
            "接收数据的应用已停用或不存在",
            "the application that receives is stopped or gone",
        )
    };
    let application = app.store.application_get(&request.application).await?;
    let application = application.filter(|a| a.active).ok_or_else(stopped)?;
    let org = app.store.org_get(&application.org).await?.ok_or_else(stopped)?;
    let actor = Actor::Application {
        id: application.id,
        key: application.key,
        name: application.name,
        org: org.id,
        public_body: org.kind != OrgKind::Enterprise,
    };
    let grant = match wanted {
        Wanted::Flow { items } => {
            let ask = FlowAsk { entry, request, region: &org.region, items };
            app.policy.grant_flow(&app.op(actor.clone(), "outflow"), &ask)?
        }
        Wanted::Batch { items, area } => {
            let ask = BatchAsk { entry, request, area, items };
            app.policy.grant_batch(&app.op(actor.clone(), "delivery"), &ask)?
        }
    };
    let bound = bounds::of(app, actor.id(), &request.id, entry).await?;
    Granted::of(entry.clone(), grant, actor, bound, made)
}

impl Granted {
    pub(crate) fn of(
        entry: Entry,
        grant: Grant,
        actor: Actor,
        bound: Option<Bound>,
        made: Made,
    ) -> Result<Self> {
        if grant.key().is_empty() {
            return Err(Error::new(
                Code::RuleBroken,
                format!("目录《{}》没有主键数据项，无法按变化投送", entry.draft.title),
                format!("the entry `{}` has no key, so that changes cannot be told", grant.code()),
            ));
        }
        let plain = |name: &String| grant.column(name).is_some_and(|c| c.mask.is_none());
        let named = !grant.key().iter().all(plain);
        let own = named.then(|| OutletColumn {
            name: ROW_ID.to_owned(),
            title: "行标识".to_owned(),
            data_type: DataType::Text,
            scale: 0,
            key: true,
        });
        let columns = own.into_iter().chain(grant.columns().iter().map(|c| OutletColumn {
            name: c.identifier.clone(),
            title: c.name_cn.clone(),
            data_type: c.mask.as_ref().map_or(c.data_type, |m| output_type(m, c.data_type)),
            scale: c.scale,
            key: !named && grant.key().contains(&c.identifier),
        }));
        Ok(Self {
            columns: columns.collect(),
            masks: grant.masks_text(),
            shape: sha256_hex(grant.shape().as_bytes()).chars().take(24).collect(),
            entry,
            grant,
            actor,
            named,
            bound: bound.map(Arc::new),
            made,
        })
    }

    /// Fails where the entry is asked for one subject at a time: its rows do not leave by these ways.
    pub(crate) fn in_bulk(&self) -> Result<()> {
        self.bound.as_ref().map_or(Ok(()), |bound| bound.in_bulk())
    }

    /// Fails when what goes on may not: by its hours, by the address that `op` is from, or in bulk.
    pub(crate) fn within(&self, op: &Op) -> Result<()> {
        let Some(bound) = &self.bound else { return Ok(()) };
        bound.in_bulk()?;
        bound.within(op)
    }

    /// A row of the lake's changes as it goes out.
    pub(crate) fn row(&self, mut row: Row) -> Row {
        if !self.named && !row.is_empty() {
            row.remove(0);
        }
        row
    }

    /// The audit record of changes that leave, made before they do.
    pub(crate) fn event(&self, op: &Op, flow: &str, scope: &str, rows: &[Row]) -> AuditEvent {
        let columns: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        AuditEvent {
            columns: columns.join(","),
            level: self.grant.grade().as_str().to_owned(),
            scope: format!("{flow} {scope}"),
            rows: rows.len() as u64,
            bytes: bytes(rows),
            purpose: sharing::purpose(op, &self.grant),
            request: self.grant.request().unwrap_or_default().to_owned(),
            masks: self.masks.clone(),
            ..audit::event(op, self.grant.action().as_str(), self.grant.code())
        }
    }
}

/// About how many bytes rows carry.
pub(crate) fn bytes(rows: &[Row]) -> u64 {
    let of = |value: &Value| match value {
        Value::Null | Value::Boolean(_) => 1,
        Value::Text(text) => text.len() as u64,
        Value::Integer(_) | Value::Float(_) | Value::Decimal(_) => 8,
        Value::Date(_) => 10,
        Value::DateTime(_) => 19,
    };
    rows.iter().flatten().map(of).sum()
}
