//! 互动交流: public tickets with figures, the form to write one, and one ticket's time line. Reading needs no account; writing does.

use std::sync::Arc;

use app::voice::{self, SiteFilter, TicketOrder};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::org::OrgKind;
use model::voice::ticket::{Deed, TicketKind, TicketNew, TicketState};
use model::{Code, Error, Kind, Result};

use crate::console::{done, next_link};
use crate::form::Posted;
use crate::site::city::kept;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Tickets of one page.
const PAGE: u32 = 20;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/interact", get(list))
        .route("/interact/new", get(blank).post(file))
        .route("/interact/{number}", get(show))
        .route("/interact/{number}/moves", post(moves))
        .route("/interact/{number}/support", post(support))
}

/// Who signed in with a one-time password changes it before anything else; whoever is not signed in is told so by the room.
pub(super) fn may_write(visit: &Visit) -> Result<()> {
    if visit.session.as_ref().is_some_and(|s| s.must_change) {
        return Err(Error::new(
            Code::Denied,
            "您使用的是一次性密码，请先在“我的账号”修改密码",
            "you signed in with a one-time password: change it on the page of your account first",
        ));
    }
    Ok(())
}

/// A word of a code list that a visitor chose; one that is not there is none.
pub(crate) fn word<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
    said: Option<&str>,
) -> Option<T> {
    let said = said?;
    all.iter().copied().find(|v| name(*v) == said)
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let filter = SiteFilter {
        kind: word(TicketKind::ALL, TicketKind::as_str, visit.q("kind")),
        state: word(TicketState::ALL, TicketState::as_str, visit.q("state")),
        org: visit.q("org"),
        region: visit.q("region"),
        text: visit.q("q"),
        before: visit.q("before"),
        limit: PAGE,
    };
    let page = voice::list(app, op, &filter).await?;
    let figures = voice::figures(app, op).await?;
    let context = context! {
        rows => value(&page.items), figures => value(&figures), orgs => public_bodies(&door).await,
        kind => filter.kind.map(TicketKind::as_str), state => filter.state.map(TicketState::as_str),
        org => filter.org, q => filter.text,
        first => filter.before.is_some(), next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "site/interact.html", context).await
}

/// Organisations that a ticket may go to.
pub(crate) async fn public_bodies(door: &Door) -> minijinja::Value {
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    value(names.orgs.iter().filter(|o| o.kind != OrgKind::Enterprise).collect::<Vec<_>>())
}

async fn blank(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let said = |name: &str| visit.q(name).unwrap_or_default().to_owned();
    let new = TicketNew {
        kind: word(TicketKind::ALL, TicketKind::as_str, visit.q("kind")),
        entry: said("code"),
        item: said("item"),
        row: said("row"),
        org: said("org"),
        title: said("title"),
        text: said("text"),
        contact: String::new(),
        public: true,
    };
    form(&door, &visit, &new, None).await
}

/// The form, with what was typed and what is wrong with it.
async fn form(door: &Door, visit: &Visit, new: &TicketNew, wrong: Option<&Error>) -> Answer {
    let dataset = match new.entry.as_str() {
        "" => None,
        code => Some(app::opening::dataset(&door.app, &visit.op, code).await?),
    };
    let rules = &door.app.rules.voice;
    let days: Vec<_> = TicketKind::ALL
        .iter()
        .map(|k| context! { kind => k.as_str(), days => rules.days.of(*k) })
        .collect();
    let context = context! {
        form => value(new), dataset => value(&dataset), orgs => public_bodies(door).await, days,
        longest => context! { title => rules.longest.title, text => rules.longest.text, contact => rules.longest.contact },
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "site/interact_new.html", context, wrong).await
}

async fn file(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    may_write(&visit)?;
    let said = |name: &str| posted.get(name).to_owned();
    let new = TicketNew {
        kind: word(TicketKind::ALL, TicketKind::as_str, Some(posted.get("kind"))),
        entry: said("code"),
        item: said("item"),
        row: said("row"),
        org: said("org"),
        title: said("title"),
        text: said("text"),
        contact: said("contact"),
        public: posted.ticked("public"),
    };
    match voice::file(&door.app, &visit.op, new.clone()).await {
        Ok(ticket) => done(&at(&door, &visit, &ticket.number), "filed"),
        Err(error) if error.kind() == Kind::Invalid => {
            form(&door, &visit, &new, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The address of a ticket.
fn at(door: &Door, visit: &Visit, number: &str) -> String {
    kept(door, visit, &format!("/interact/{number}"))
}

async fn show(State(door): State<Arc<Door>>, Path(number): Path<String>, visit: Visit) -> Answer {
    opened(&door, &visit, &number, None).await
}

async fn opened(door: &Door, visit: &Visit, number: &str, wrong: Option<&Error>) -> Answer {
    let opened = voice::open(&door.app, &visit.op, number).await?;
    let context = context! {
        view => value(&opened), ticket => value(&opened.ticket), steps => value(&opened.steps),
        longest => door.app.rules.voice.longest.text, done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "site/ticket.html", context, wrong).await
}

/// What a form orders to be done to a ticket.
pub(crate) fn order(posted: &Posted) -> Result<TicketOrder> {
    let said = posted.get("do");
    let deed = word(Deed::ALL, Deed::as_str, Some(said)).ok_or_else(|| {
        let shown: String = said.chars().take(40).collect();
        Error::invalid(format!("没有操作 `{shown}`"), format!("there is no action `{shown}`"))
    })?;
    Ok(TicketOrder {
        seen: match posted.get("seen") {
            "" => None,
            _ => Some(posted.number("seen")?),
        },
        public_text: posted.get("public_text").to_owned(),
        org: posted.get("org").to_owned(),
        score: match posted.get("score") {
            "" => 0,
            _ => posted.number("score")?,
        },
        satisfied: posted.get("satisfied") == "yes",
        ..TicketOrder::new(deed, posted.get("text"))
    })
}

async fn moves(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let order = order(&posted)?;
    let word = order.deed.as_str();
    match voice::act(&door.app, &visit.op, &number, order).await {
        Ok(_) => done(&at(&door, &visit, &number), word),
        Err(error) if error.kind() == Kind::Invalid => {
            opened(&door, &visit, &number, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn support(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    may_write(&visit)?;
    voice::support(&door.app, &visit.op, &number).await?;
    done(&at(&door, &visit, &number), "supported")
}
