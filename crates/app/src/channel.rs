//! The map of channels (通道一张图): source → channel → entry, for every way in and for the way back, with what each says of
//! itself and whether the entry is as fresh as was declared.

use std::collections::HashMap;

use chrono::NaiveDate;
use model::channel::{Channel, ChannelKind, Compared, Health};
use model::entry::Entry;
use model::exchange::ExchangeWish;
use model::outflow::OutflowState;
use model::pipeline::{PipelineWish, TurnState};
use model::rail::{RailState, TableState};
use model::report::PlanState;
use model::{Actor, Error, Op, Result};
use policy::{Action, Target};

use crate::dispatch::fresh_until;
use crate::{App, Page, audit, reconcile};

/// Channels of the caller's organisation; all of them for who watches the whole platform. In the order of the kinds, each
/// by its age.
pub async fn list(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<Channel>> {
    let org = scope(app, op).await?;
    let limit = usize::try_from(if limit == 0 { 50 } else { limit.min(200) }).unwrap_or(50);
    let (first, mut at) = place(after)?;
    let mut entries = Entries { app, op, known: HashMap::new() };
    let mut items: Vec<Channel> = Vec::new();
    for kind in ChannelKind::ALL.iter().skip(first) {
        let mut from = at.take();
        loop {
            let room = u32::try_from(limit - items.len()).unwrap_or(1).max(1);
            let some = of_kind(&mut entries, *kind, org.as_deref(), from.as_deref(), room).await?;
            items.extend(some.items);
            match some.next {
                Some(next) if items.len() >= limit => {
                    return Ok(Page { items, next: Some(format!("{kind}:{next}")) });
                }
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    Ok(Page { items, next: None })
}

/// Whose channels the caller may see; `None`: everybody's.
async fn scope(app: &App, op: &Op) -> Result<Option<String>> {
    if app.may(op, Action::ControlRead, &Target::plain("System", "channels")) {
        return Ok(None);
    }
    own(app, op, "channels").await
}

/// The organisation whose channels of a kind the caller keeps; `None` for the platform itself, which keeps all.
pub(crate) async fn own(app: &App, op: &Op, kind: &str) -> Result<Option<String>> {
    let org = match &op.actor {
        Actor::System => None,
        actor => Some(actor.org().unwrap_or_default().to_owned()),
    };
    let target = Target::of_org("Entry", kind, org.as_deref().unwrap_or_default());
    audit::permit(app, op, Action::DataCollect, &target).await?;
    Ok(org)
}

/// Where a page goes on: the kind and the last one of it.
fn place(after: Option<&str>) -> Result<(usize, Option<String>)> {
    let Some(after) = after else { return Ok((0, None)) };
    let found = after.split_once(':').and_then(|(kind, id)| {
        let at = ChannelKind::ALL.iter().position(|k| k.as_str() == kind)?;
        Some((at, Some(id.to_owned())))
    });
    found.ok_or_else(|| {
        Error::invalid("翻页位置无效，请从第一页重新打开", "no such page: open the list anew")
    })
}

/// Entries of a page, each looked up once.
struct Entries<'a> {
    app: &'a App,
    op: &'a Op,
    known: HashMap<String, Option<Entry>>,
}

impl Entries<'_> {
    async fn of(&mut self, id: &str) -> Result<Option<Entry>> {
        if let Some(known) = self.known.get(id) {
            return Ok(known.clone());
        }
        let entry = self.app.store.entry_get(id).await?;
        self.known.insert(id.to_owned(), entry.clone());
        Ok(entry)
    }

    /// A channel with what its entry says.
    async fn channel(&mut self, kind: ChannelKind, id: &str, entry: &str) -> Result<Channel> {
        let entry = self.of(entry).await?;
        let due: Option<NaiveDate> = match &entry {
            Some(entry) if entry.live() => fresh_until(self.app, self.op, entry)?,
            _ => None,
        };
        let text =
            |pick: fn(&Entry) -> &String| entry.as_ref().map(pick).cloned().unwrap_or_default();
        Ok(Channel {
            kind,
            id: id.to_owned(),
            org: String::new(),
            name: String::new(),
            place: String::new(),
            table: String::new(),
            entry: text(|e| &e.id),
            entry_code: text(|e| &e.draft.code),
            entry_title: text(|e| &e.draft.title),
            health: Health::Good,
            state_zh: String::new(),
            state_en: String::new(),
            lag_ms: None,
            rate: None,
            rows: None,
            quarantined: 0,
            last_at: entry.as_ref().and_then(|e| e.data_at.clone()),
            zh: String::new(),
            en: String::new(),
            cycle: entry
                .as_ref()
                .map(|e| e.draft.update_cycle.as_str().to_owned())
                .unwrap_or_default(),
            overdue: due.is_some_and(|due| due < self.op.today()),
            fresh_until: due.map(|due| due.to_string()),
            compared: self.compared(kind, id, entry.as_ref()).await?,
        })
    }

    /// The last comparison of a channel's source with its entry. Reporting is compared as a whole, whatever the plan.
    async fn compared(
        &self,
        kind: ChannelKind,
        id: &str,
        entry: Option<&Entry>,
    ) -> Result<Option<Compared>> {
        let Some(entry) = entry else { return Ok(None) };
        let feed = match kind {
            ChannelKind::Outflow => return Ok(None),
            ChannelKind::Report => &entry.id,
            _ => id,
        };
        let last = reconcile::last_of(self.app, &entry.id, feed).await?;
        Ok(last.map(|run| Compared {
            differences: run.differences(),
            id: run.id,
            at: run.started_at,
            state: run.state,
        }))
    }
}

async fn of_kind(
    entries: &mut Entries<'_>,
    kind: ChannelKind,
    org: Option<&str>,
    after: Option<&str>,
    room: u32,
) -> Result<Page<Channel>> {
    match kind {
        ChannelKind::Rail => rails(entries, org, after, room).await,
        ChannelKind::Pipeline => pipelines(entries, org, after, room).await,
        ChannelKind::Exchange => exchanges(entries, org, after, room).await,
        ChannelKind::Report => reports(entries, org, after, room).await,
        ChannelKind::Outflow => outflows(entries, org, after, room).await,
    }
}

async fn rails(
    entries: &mut Entries<'_>,
    org: Option<&str>,
    after: Option<&str>,
    room: u32,
) -> Result<Page<Channel>> {
    let app = entries.app;
    let found = app.store.rail_list(org, after, room + 1).await?;
    let Page { items: found, next } = Page::cut(found, room, |r| r.rail.id.clone());
    let mut items = Vec::new();
    for record in found {
        let (rail, figures) = (record.rail, record.figures);
        for kept in app.store.rail_tables(&rail.id).await? {
            let blank = entries.channel(ChannelKind::Rail, &rail.id, &kept.table.entry).await?;
            let table = kept.figures;
            items.push(Channel {
                org: rail.org.clone(),
                name: rail.name.clone(),
                place: rail.place.clone(),
                table: kept.table.place.clone(),
                health: match figures.state {
                    RailState::Streaming if table.state == TableState::Streaming => Health::Good,
                    RailState::New | RailState::Snapshot | RailState::Streaming => Health::Busy,
                    RailState::Waiting => Health::Waiting,
                    RailState::Paused => Health::Paused,
                    RailState::Held | RailState::Stopped | RailState::Refused => Health::Bad,
                },
                state_zh: figures.state.zh().to_owned(),
                state_en: figures.state.en().to_owned(),
                lag_ms: table.committed_at.as_ref().map(|_| table.lag_ms),
                rate: Some(figures.rate),
                rows: Some(table.landed),
                quarantined: table.quarantined,
                last_at: table.landed_at.clone().or(blank.last_at.clone()),
                zh: figures.zh.clone(),
                en: figures.en.clone(),
                ..blank
            });
        }
    }
    Ok(Page { items, next })
}

async fn pipelines(
    entries: &mut Entries<'_>,
    org: Option<&str>,
    after: Option<&str>,
    room: u32,
) -> Result<Page<Channel>> {
    let app = entries.app;
    let found = app.store.pipeline_list(org, after, room + 1).await?;
    let Page { items: found, next } = Page::cut(found, room, |p| p.id.clone());
    let mut items = Vec::new();
    for pipeline in found {
        let blank = entries.channel(ChannelKind::Pipeline, &pipeline.id, &pipeline.entry).await?;
        let last = app.store.turn_newest(&pipeline.id, "", "9").await?;
        let state = last.as_ref().map(|turn| turn.state);
        let failed = last.as_ref().filter(|turn| !turn.state.good());
        items.push(Channel {
            org: pipeline.org,
            name: if pipeline.title.is_empty() { pipeline.name } else { pipeline.title },
            place: pipeline.place,
            health: match (pipeline.wish, state) {
                (PipelineWish::Pause, _) => Health::Paused,
                (_, Some(TurnState::Failed | TurnState::Cancelled)) => Health::Bad,
                (_, Some(TurnState::Retrying)) => Health::Waiting,
                (_, Some(TurnState::Waiting | TurnState::Running)) => Health::Busy,
                (_, Some(TurnState::Succeeded | TurnState::Empty) | None) => Health::Good,
            },
            state_zh: state.map_or("尚未运行", TurnState::zh).to_owned(),
            state_en: state.map_or("Not run yet", TurnState::en).to_owned(),
            rows: last.as_ref().map(|turn| turn.figures.landed),
            quarantined: last.as_ref().map_or(0, |turn| turn.figures.quarantined),
            zh: failed.map(|turn| turn.zh.clone()).unwrap_or_default(),
            en: failed.map(|turn| turn.en.clone()).unwrap_or_default(),
            ..blank
        });
    }
    Ok(Page { items, next })
}

async fn exchanges(
    entries: &mut Entries<'_>,
    org: Option<&str>,
    after: Option<&str>,
    room: u32,
) -> Result<Page<Channel>> {
    let app = entries.app;
    let found = app.store.exchange_list(org, after, room + 1).await?;
    let Page { items: found, next } = Page::cut(found, room, |r| r.exchange.id.clone());
    let mut items = Vec::new();
    for record in found {
        let (exchange, figures) = (record.exchange, record.figures);
        let blank = entries.channel(ChannelKind::Exchange, &exchange.id, &exchange.entry).await?;
        let (under_way, waiting) = app.store.exchange_counts(&exchange.id).await?;
        items.push(Channel {
            org: exchange.org,
            name: format!("{}（{}）", exchange.name, exchange.peer),
            place: exchange.place,
            health: match exchange.wish {
                ExchangeWish::Pause => Health::Paused,
                ExchangeWish::Run if waiting > 0 => Health::Bad,
                ExchangeWish::Run if !figures.zh.is_empty() => Health::Waiting,
                ExchangeWish::Run if under_way > 0 => Health::Busy,
                ExchangeWish::Run => Health::Good,
            },
            state_zh: exchange.way.zh().to_owned(),
            state_en: exchange.way.en().to_owned(),
            rows: Some(figures.rows),
            last_at: figures.looked_at.clone().or(blank.last_at.clone()),
            zh: figures.zh,
            en: figures.en,
            ..blank
        });
    }
    Ok(Page { items, next })
}

async fn reports(
    entries: &mut Entries<'_>,
    org: Option<&str>,
    after: Option<&str>,
    room: u32,
) -> Result<Page<Channel>> {
    let app = entries.app;
    let found = app.store.report_plan_list(org, after, room + 1).await?;
    let Page { items: found, next } = Page::cut(found, room, |p| p.id.clone());
    let mut items = Vec::new();
    for plan in found {
        let form = app.store.report_form_get(&plan.form).await?;
        let entry = form.map(|f| f.draft.entry).unwrap_or_default();
        let blank = entries.channel(ChannelKind::Report, &plan.id, &entry).await?;
        items.push(Channel {
            org: plan.org,
            name: plan.title,
            health: if plan.state == PlanState::Stopped { Health::Paused } else { Health::Good },
            state_zh: plan.state.zh().to_owned(),
            state_en: plan.state.en().to_owned(),
            ..blank
        });
    }
    Ok(Page { items, next })
}

async fn outflows(
    entries: &mut Entries<'_>,
    org: Option<&str>,
    after: Option<&str>,
    room: u32,
) -> Result<Page<Channel>> {
    let app = entries.app;
    let found = app.store.outflow_list(org, after, room + 1).await?;
    let Page { items: found, next } = Page::cut(found, room, |r| r.outflow.id.clone());
    let mut items = Vec::new();
    for record in found {
        let (outflow, figures) = (record.outflow, record.figures);
        let blank = entries.channel(ChannelKind::Outflow, &outflow.id, &outflow.entry).await?;
        items.push(Channel {
            org: outflow.org,
            name: outflow.org_name,
            place: outflow.place,
            table: outflow.table,
            health: match figures.state {
                OutflowState::Level => Health::Good,
                OutflowState::New | OutflowState::Snapshot | OutflowState::Delivering => {
                    Health::Busy
                }
                OutflowState::Waiting => Health::Waiting,
                OutflowState::Paused => Health::Paused,
                OutflowState::Ended | OutflowState::Refused => Health::Bad,
            },
            state_zh: figures.state.zh().to_owned(),
            state_en: figures.state.en().to_owned(),
            lag_ms: Some(figures.lag_seconds.saturating_mul(1000)),
            rows: Some(figures.upserts + figures.deletes),
            last_at: figures.delivered_at.clone(),
            zh: figures.zh,
            en: figures.en,
            ..blank
        });
    }
    Ok(Page { items, next })
}

/// Keeps the figures of every channel for the metrics page, as the platform; answers how many there are.
pub async fn measure(app: &App, op: &Op) -> Result<u64> {
    let (mut after, mut count) = (None::<String>, 0);
    loop {
        let page = list(app, op, after.as_deref(), 200).await?;
        for channel in &page.items {
            gauge(channel);
            count += 1;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(count),
        }
    }
}

fn gauge(channel: &Channel) {
    let labels = [
        ("kind", channel.kind.as_str().to_owned()),
        ("channel", channel.id.clone()),
        ("table", channel.table.clone()),
        ("entry", channel.entry_code.clone()),
    ];
    let set = |name: &'static str, value: Option<f64>| {
        if let Some(value) = value {
            metrics::gauge!(name, &labels).set(value);
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "figures for a chart")]
    let number = |n: u64| n as f64;
    set("qt_channel_lag_seconds", channel.lag_ms.map(|ms| number(ms) / 1000.0));
    set("qt_channel_rows_per_second", channel.rate);
    set("qt_channel_rows", channel.rows.map(number));
    set("qt_channel_quarantined_rows", Some(number(channel.quarantined)));
    set(
        "qt_channel_up",
        Some(f64::from(u8::from(matches!(channel.health, Health::Good | Health::Busy)))),
    );
    set("qt_channel_differences", channel.compared.as_ref().map(|c| number(c.differences)));
    set("qt_channel_overdue", Some(f64::from(u8::from(channel.overdue))));
}
