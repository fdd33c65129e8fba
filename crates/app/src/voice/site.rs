//! Tickets as everybody reads them: without their writer, without what is not public, and none that is not shown.

use model::region;
use model::voice::ticket::{Deed, Side, Ticket, TicketKind, TicketState};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::voice::TicketFilter;

use super::writer;
use crate::{App, Page, audit, opening};

/// Which tickets a visitor looks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct SiteFilter<'a> {
    pub kind: Option<TicketKind>,
    pub state: Option<TicketState>,
    pub org: Option<&'a str>,
    /// Only those of organisations of this region or below it.
    pub region: Option<&'a str>,
    /// Part of a title or number.
    pub text: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: u32,
}

/// A ticket as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct TicketSeen {
    pub number: String,
    pub kind: TicketKind,
    pub state: TicketState,
    pub org: String,
    pub title: String,
    pub text: String,
    pub item: String,
    pub row: String,
    pub public: bool,
    pub shown: bool,
    pub supports: u64,
    pub created_at: String,
    pub answered_at: String,
    /// Day by which the desk answers; empty when it has.
    pub due: String,
    pub overdue: bool,
    /// Working days to the first answer; -1: not answered.
    pub days: i64,
    pub public_reply: String,
    pub score: u8,
    pub satisfied: Option<bool>,
}

/// A step of the time line as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct StepSeen {
    pub at: String,
    pub deed: Deed,
    pub side: Side,
    /// Desk it was done at, or, of a handing over, where it went.
    pub org: String,
    pub text: String,
}

/// A ticket opened on the site.
#[derive(Clone, Debug, Serialize)]
pub struct Opened {
    pub ticket: TicketSeen,
    pub steps: Vec<StepSeen>,
    /// Code and titles of the data set, while it is open.
    pub dataset: Option<(String, String, String)>,
    /// The reader wrote it: then what may be done, and the answer that is theirs alone.
    pub own: bool,
    pub deeds: Vec<Deed>,
    pub edit: u64,
    pub reply: String,
    pub may_support: bool,
    pub supported: bool,
    /// Its id in the console, for whoever handles it.
    pub desk: Option<String>,
}

/// Tickets of all kinds together; private ones are counted, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VoiceFigures {
    pub tickets: u64,
    pub answered: u64,
    /// Median of the working days to the first answer; `None`: nothing was answered.
    pub median_days: Option<i64>,
    /// Per kind: all and answered.
    pub kinds: Vec<(TicketKind, u64, u64)>,
}

fn seen(op: &Op, ticket: Ticket) -> TicketSeen {
    TicketSeen {
        due: if ticket.waits() { ticket.due.to_string() } else { String::new() },
        overdue: ticket.overdue(op.today()),
        number: ticket.number,
        kind: ticket.kind,
        state: ticket.state,
        org: ticket.org,
        title: ticket.title,
        text: ticket.text,
        item: ticket.item,
        row: ticket.row,
        public: ticket.public,
        shown: ticket.shown,
        supports: ticket.supports,
        created_at: ticket.created_at,
        answered_at: ticket.answered_at,
        days: ticket.days,
        public_reply: ticket.public_reply,
        score: ticket.score,
        satisfied: ticket.satisfied,
    }
}

/// A page of the tickets that stand on the site, newest first. *constant page*.
pub async fn list(app: &App, op: &Op, filter: &SiteFilter<'_>) -> Result<Page<TicketSeen>> {
    let limit = if filter.limit == 0 { 20 } else { filter.limit.min(100) };
    let filter = TicketFilter {
        shown: true,
        kind: filter.kind,
        state: filter.state,
        org: filter.org,
        below: filter.region.map(region::prefix_of).transpose()?,
        text: filter.text,
        before: filter.before,
        limit: limit + 1,
        ..TicketFilter::default()
    };
    let page = Page::cut(app.store.ticket_list(&filter).await?, limit, |t| t.id.clone());
    let items = page.items.into_iter().map(|t| seen(op, t)).collect();
    Ok(Page { items, next: page.next })
}

/// How many tickets there are, and how fast they are answered.
pub async fn figures(app: &App, _op: &Op) -> Result<VoiceFigures> {
    let mut counts = app.store.ticket_figures().await?;
    counts.sort_by_key(|c| c.days);
    let mut figures = VoiceFigures::default();
    for kind in TicketKind::ALL {
        let of = || counts.iter().filter(|c| c.kind == *kind);
        let all: u64 = of().map(|c| c.count).sum();
        let answered: u64 = of().filter(|c| c.days >= 0).map(|c| c.count).sum();
        figures.tickets += all;
        figures.answered += answered;
        figures.kinds.push((*kind, all, answered));
    }
    let middle = figures.answered.div_ceil(2);
    let mut so_far = 0;
    figures.median_days = counts.iter().filter(|c| c.days >= 0).find_map(|c| {
        so_far += c.count;
        (so_far >= middle).then_some(c.days)
    });
    Ok(figures)
}

/// The caller's tickets, newest first. *constant page*.
pub async fn mine(
    app: &App,
    op: &Op,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<TicketSeen>> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let limit = if limit == 0 { 20 } else { limit.min(100) };
    let filter = TicketFilter {
        writer: Some(op.actor.id()),
        before,
        limit: limit + 1,
        ..TicketFilter::default()
    };
    let page = Page::cut(app.store.ticket_list(&filter).await?, limit, |t| t.id.clone());
    let items = page.items.into_iter().map(|t| seen(op, t)).collect();
    Ok(Page { items, next: page.next })
}

/// One ticket with its time line: one's own, or one that stands on the site. Others are not found.
pub async fn open(app: &App, op: &Op, number: &str) -> Result<Opened> {
    let ticket = by_number(app, number).await?;
    let own = op.actor.id() == ticket.writer && matches!(op.actor, Actor::User { .. });
    if !ticket.shown && !own {
        return Err(missing(number));
    }
    let events = app.store.ticket_events(&ticket.id).await?;
    let steps = events
        .into_iter()
        .map(|e| StepSeen {
            at: e.at,
            deed: e.deed,
            side: e.side,
            org: e.org,
            text: if e.to_all || (own && e.to_writer) { e.text } else { String::new() },
        })
        .collect();
    let dataset = match ticket.entry_code.as_str() {
        "" => None,
        // What is not open any more is not named.
        code => match opening::dataset(app, op, code).await {
            Ok(d) => Some((d.entry.draft.code, d.entry.draft.title, d.entry.draft.title_en)),
            Err(e) if e.code() == Code::NotFound => None,
            Err(e) => return Err(e),
        },
    };
    let signed_in = matches!(op.actor, Actor::User { .. });
    let supported = signed_in && app.store.ticket_supported(&ticket.id, op.actor.id()).await?;
    let target = Target::ticket(&ticket);
    let at_desk = !own && app.may(op, Action::TicketRead, &target);
    Ok(Opened {
        steps,
        dataset,
        own,
        deeds: if own { ticket.deeds(Side::Writer) } else { Vec::new() },
        edit: ticket.edit,
        reply: if own { ticket.reply.clone() } else { String::new() },
        may_support: ticket.may_be_supported() && !own && !supported,
        supported,
        desk: at_desk.then(|| ticket.id.clone()),
        ticket: seen(op, ticket),
    })
}

/// A signed-in account says that it wants what a public data request asks for, once. Answers how many do.
pub async fn support(app: &App, op: &Op, number: &str) -> Result<u64> {
    let ticket = by_number(app, number).await?;
    let own = op.actor.id() == ticket.writer;
    if !ticket.shown && !own {
        return Err(missing(number));
    }
    let permit = writer(app, op, "Ticket", &ticket.number).await?;
    if own || !ticket.may_be_supported() {
        return Err(Error::new(
            Code::WrongState,
            "只能支持他人公开的、尚未办结的数据需求",
            "only public data requests of others that are not closed can be supported",
        ));
    }
    if !app.store.ticket_support(&permit, &ticket.id, op.actor.id(), &op.stamp()).await? {
        return Ok(ticket.supports);
    }
    audit::record(app, audit::event(op, "ticket.support", &ticket.number)).await?;
    Ok(ticket.supports + 1)
}

async fn by_number(app: &App, number: &str) -> Result<Ticket> {
    let found = app.store.ticket_get(number).await?;
    found.filter(|t| t.number == number).ok_or_else(|| missing(number))
}

pub(super) fn missing(name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    Error::not_found("诉求", "ticket", &shown)
}
