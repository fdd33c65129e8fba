//! Made-up tickets, comments and showcases for the pages of the public's voice.

use app::voice::{
    CommentSeen, DeskCount, DeskTicket, Opened, Opinion, ShowcaseSeen, StepSeen, TicketSeen,
};
use minijinja::{Value, context};
use model::voice::comment::Comment;
use model::voice::showcase::{Link, LinkState, Showcase, ShowcaseKind, ShowcaseState};
use model::voice::ticket::{Deed, Side, Ticket, TicketEvent, TicketKind, TicketState};

use super::AT;
use crate::view::value;

const TEXT: &str = "停车场 <b>\n<script>alert(1)</script>";

fn ticket(full: bool) -> Ticket {
    Ticket {
        id: "t1".into(),
        number: "JC-20261126-000012".into(),
        kind: if full { TicketKind::Request } else { TicketKind::Rights },
        state: if full { TicketState::Received } else { TicketState::Closed },
        entry: "e1".into(),
        entry_code: if full { "parking".into() } else { String::new() },
        item: if full { "spaces".into() } else { String::new() },
        row: if full { "停车场 <b>".into() } else { String::new() },
        org: "o1".into(),
        region: "330000".into(),
        title: "停车场 <b>".into(),
        text: TEXT.into(),
        public: full,
        shown: full,
        withheld: String::new(),
        writer: "u1".into(),
        due: "2026-11-30".parse().unwrap_or_default(),
        created_at: AT.into(),
        updated_at: AT.into(),
        answered_at: AT.into(),
        days: if full { 3 } else { -1 },
        reply: if full { TEXT.into() } else { String::new() },
        public_reply: if full { TEXT.into() } else { String::new() },
        score: if full { 4 } else { 0 },
        satisfied: full.then_some(true),
        opinion: TEXT.into(),
        reopened: false,
        edit: 3,
        supports: 2,
    }
}

fn seen(full: bool) -> TicketSeen {
    let t = ticket(full);
    TicketSeen {
        number: t.number,
        kind: t.kind,
        state: t.state,
        org: t.org,
        title: t.title,
        text: t.text,
        item: t.item,
        row: t.row,
        public: t.public,
        shown: t.shown,
        supports: t.supports,
        created_at: t.created_at,
        answered_at: t.answered_at,
        due: if full { "2026-11-20".into() } else { String::new() },
        overdue: full,
        days: t.days,
        public_reply: t.public_reply,
        score: t.score,
        satisfied: t.satisfied,
    }
}

fn opened(full: bool) -> Opened {
    let step =
        |deed, side| StepSeen { at: AT.into(), deed, side, org: "o1".into(), text: TEXT.into() };
    Opened {
        ticket: seen(full),
        steps: vec![step(Deed::File, Side::Writer), step(Deed::HandOver, Side::Desk)],
        dataset: full.then(|| ("parking".into(), "停车场 <b>".into(), String::new())),
        own: full,
        deeds: if full {
            vec![Deed::Evaluate, Deed::Supplement, Deed::Reopen, Deed::Withdraw]
        } else {
            Vec::new()
        },
        edit: 3,
        reply: if full { TEXT.into() } else { String::new() },
        may_support: full,
        supported: !full,
        desk: full.then(|| "t1".into()),
    }
}

fn comment(id: &str, hidden: bool) -> CommentSeen {
    CommentSeen {
        id: id.into(),
        name: "张**".into(),
        official: !hidden,
        at: AT.into(),
        text: if hidden { String::new() } else { TEXT.into() },
        hidden,
        own: false,
        replies: Vec::new(),
    }
}

fn showcase(full: bool) -> Showcase {
    let link = |state| Link {
        url: "https://example.cn/?a=1&b=2".into(),
        state,
        looked_at: if full { AT.into() } else { String::new() },
        failures: 0,
    };
    Showcase {
        id: "s1".into(),
        kind: ShowcaseKind::App,
        state: if full { ShowcaseState::Public } else { ShowcaseState::Waiting },
        title: "停车场 <b>".into(),
        text: TEXT.into(),
        author: "停车场 <b>".into(),
        links: vec![link(LinkState::Fine), link(LinkState::Dead)],
        entries: vec![("e1".into(), "parking".into())],
        writer: "u1".into(),
        created_at: AT.into(),
        decided_at: AT.into(),
        decided_by: "li".into(),
        reason: if full { TEXT.into() } else { String::new() },
        edit: 1,
    }
}

/// What the data-set page shows of it.
pub(super) fn of_dataset(full: bool) -> Value {
    let first = CommentSeen {
        replies: vec![comment("c2", false), comment("c3", true)],
        ..comment("c1", false)
    };
    let opinion = Opinion {
        mean: if full { "4.5".into() } else { String::new() },
        count: if full { 2 } else { 0 },
        mine: full.then_some(4),
        comments: if full { vec![first, comment("c4", true)] } else { Vec::new() },
        next: None,
        may_moderate: full,
    };
    context! {
        opinion => value(&opinion), showcases => if full { vec![value(showcase(true))] } else { vec![] },
        next => full.then_some("?comments=1#comments"), longest => 500, done => full.then_some("rated"),
    }
}

/// What the workbench says of a desk.
pub(super) fn at_desk(full: bool) -> Value {
    let count = DeskCount { waiting: 3, overdue: u64::from(full) };
    context! { speaks => full, reviews => full, tickets => value(count) }
}

/// What a page of the public's voice shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    let orgs = || vec![context! { id => "o1" }];
    Some(match template {
        "site/dataset.html" => context! { voice => of_dataset(full) },
        "account/me.html" => context! {
            real_name => if full { "verified" } else { "unverified" }, holds_tokens => full,
            tickets => list(value(seen(full))), tickets_next => full.then_some("t0"),
            showcases => list(value(showcase(full))),
        },
        "site/interact.html" => {
            let figures = app::voice::VoiceFigures {
                tickets: 12,
                answered: 3,
                median_days: full.then_some(2),
                kinds: vec![(TicketKind::Fault, 12, 3)],
            };
            context! {
                rows => list(value(seen(full))), figures => value(&figures), orgs => orgs(),
                kind => (), state => full.then_some("received"), org => (), q => full.then_some("停车"), first => full,
            }
        }
        "site/interact_new.html" => {
            let form = model::voice::ticket::TicketNew {
                kind: full.then_some(TicketKind::Fault),
                title: "停车场 <b>".into(),
                text: TEXT.into(),
                ..Default::default()
            };
            let dataset = app::opening::Dataset {
                entry: super::entry(),
                org_name: "某局".into(),
                org_name_en: String::new(),
                region_name: "杭州市".into(),
                region_name_en: "Hangzhou".into(),
                free: true,
                geometry: None,
            };
            context! {
                form => value(&form), dataset => value(full.then_some(dataset)), orgs => orgs(),
                days => vec![context! { kind => "error", days => 5 }],
                longest => context! { title => 80, text => 2000, contact => 100 },
            }
        }
        "site/ticket.html" => {
            let view = opened(full);
            context! {
                view => value(&view), ticket => value(&view.ticket), steps => value(&view.steps), longest => 2000,
            }
        }
        "site/showcase.html" | "console/showcases.html" => context! {
            rows => list(value(showcase(full))), first => full, state => if full { "all" } else { "waiting" },
        },
        "site/showcase_new.html" => context! {
            form => context! { title => "停车场 <b>", kind => "app", author => "某公司", text => TEXT },
            links => "https://example.cn/", codes => "parking", most_links => 5, most_entries => 20,
            longest => context! { title => 80, text => 2000, author => 100 },
        },
        "site/showcase_item.html" => {
            let view = ShowcaseSeen {
                showcase: showcase(full),
                datasets: if full {
                    vec![("parking".into(), "停车场 <b>".into(), String::new())]
                } else {
                    Vec::new()
                },
                own: full,
                may_review: full,
            };
            context! { view => value(&view), showcase => value(&view.showcase) }
        }
        "console/tickets.html" => {
            let row = context! { ticket => value(ticket(full)), supports => 2, overdue => full, waits => full };
            context! {
                rows => list(row), view => if full { "waiting" } else { "all" }, oversees => full,
                count => value(DeskCount { waiting: 3, overdue: u64::from(full) }), kind => (), state => (), q => (),
            }
        }
        "console/ticket.html" => {
            let event = TicketEvent {
                seq: 1,
                at: AT.into(),
                deed: Deed::Answer,
                side: if full { Side::Desk } else { Side::Writer },
                actor: "u".into(),
                actor_name: "停车场 <b>".into(),
                org: "o1".into(),
                text: TEXT.into(),
                to_writer: true,
                to_all: false,
            };
            let view = DeskTicket {
                ticket: ticket(full),
                events: vec![event],
                deeds: Vec::new(),
                overdue: full,
                has_contact: !full,
            };
            context! {
                view => value(&view), ticket => value(&view.ticket), events => value(&view.events),
                deeds => if full { vec!["accept", "return"] } else { vec![] }, answers => full, hands_over => full,
                publishes => full, withholds => full, may_be_shown => full, supports => 2, orgs => orgs(),
                contact => full.then_some("0571 <b>"), longest => 2000,
            }
        }
        "console/comments.html" => {
            let said = |hidden: &str| Comment {
                id: "c1".into(),
                entry: "e1".into(),
                entry_code: "parking".into(),
                org: "o1".into(),
                region: "330000".into(),
                parent: String::new(),
                writer: "u1".into(),
                name: "张**".into(),
                official: false,
                at: AT.into(),
                text: TEXT.into(),
                hidden: hidden.into(),
                hidden_by: String::new(),
                reports: 1,
            };
            let row = |hidden: &str| context! { comment => value(said(hidden)), reports => 1, reasons => vec!["停车场 <b>"] };
            context! { reported => full, rows => if full { vec![row(""), row("停车场 <b>")] } else { vec![] } }
        }
        _ => return None,
    })
}
