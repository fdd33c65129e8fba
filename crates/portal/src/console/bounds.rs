//! Bounds of calling of an application, a share application or a resource; emergency stops with their two buttons.

use std::sync::Arc;

use app::halt::{self, HaltAsk};
use app::sharing;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::bounds::{Bounds, BoundsKind, RateBound, SubjectBound, Window};
use model::halt::HaltKind;
use model::{Error, Kind, Result};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::label::choices;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/bounds/{kind}/{id}", get(show).post(set))
        .route("/console/halts", get(halts).post(begin))
        .route("/console/halts/{id}/lift", post(lift))
}

fn kind_of(text: &str) -> Result<BoundsKind> {
    let found = BoundsKind::ALL.iter().copied().find(|k| k.as_str() == text);
    found.ok_or_else(|| {
        Error::not_found("约束", "bounds", &text.chars().take(80).collect::<String>())
    })
}

async fn show(
    State(door): State<Arc<Door>>,
    Path((kind, id)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    page(&door, &visit, kind_of(&kind)?, &id, None).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    kind: BoundsKind,
    id: &str,
    wrong: Option<(&Error, &Posted)>,
) -> Answer {
    let view = sharing::bounds(&door.app, &visit.op, kind, id).await?;
    let posted = |name: &str| wrong.map(|(_, p)| p.get(name).to_owned());
    let lines = |all: Vec<String>| all.join("\n");
    let set = &view.bounds;
    let text = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    let form = context! {
        concurrency => posted("concurrency").unwrap_or_else(|| text(set.concurrency)),
        addresses => posted("addresses").unwrap_or_else(|| lines(set.addresses.clone())),
        windows => posted("windows")
            .unwrap_or_else(|| lines(set.windows.iter().map(ToString::to_string).collect())),
        rate => posted("rate").unwrap_or_else(|| text(set.rate.map(|r| r.per_second))),
        burst => posted("burst").unwrap_or_else(|| text(set.rate.and_then(|r| r.burst))),
        subject_item => posted("subject_item")
            .unwrap_or_else(|| set.subject.as_ref().map(|s| s.item.clone()).unwrap_or_default()),
        subject_per_day => posted("subject_per_day")
            .unwrap_or_else(|| text(set.subject.as_ref().map(|s| s.per_day))),
        authorised => posted("authorised")
            .unwrap_or_else(|| set.authorised.clone().unwrap_or_default()),
        purpose => wrong.map_or(set.purpose, |(_, p)| p.ticked("purpose")),
    };
    let items: Vec<Value> =
        view.items.iter().map(|(item, title)| context! { value => item, name => title }).collect();
    let here = format!("/console/bounds/{kind}/{}", encode(id));
    let context = context! {
        b => value(&view), form, items, here, done => visit.q("done"),
        halt => view.halt.as_ref().map(value), halt_kind => kind.as_str(),
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en())),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
    };
    door.page_with(visit, "console/bounds.html", context, wrong.map(|(error, _)| error)).await
}

async fn set(
    State(door): State<Arc<Door>>,
    Path((kind, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let kind = kind_of(&kind)?;
    let kept = match read(&posted) {
        Ok(bounds) => sharing::set_bounds(&door.app, &visit.op, kind, &id, bounds).await,
        Err(e) => Err(e),
    };
    match kept {
        Ok(()) => done(&format!("/console/bounds/{kind}/{}", encode(&id)), "saved"),
        Err(e) if e.kind() == Kind::Invalid => {
            page(&door, &visit, kind, &id, Some((&e, &posted))).await
        }
        Err(e) => Err(e.into()),
    }
}

/// What was typed; nothing typed sets nothing.
fn read(posted: &Posted) -> Result<Bounds> {
    let number = |name: &str| match posted.get(name) {
        "" => Ok(None),
        _ => posted.number::<u32>(name).map(Some),
    };
    let lines = |name: &str| {
        let all = posted.get(name).lines().map(|l| l.trim().to_owned());
        all.filter(|l| !l.is_empty()).collect::<Vec<_>>()
    };
    let windows = lines("windows").into_iter().map(|l| {
        Window::parse(&l).ok_or_else(|| {
            Error::invalid(
                format!("时段 `{l}` 应如 1-5 08:30-17:30（1 为周一）"),
                format!("`{l}` is no window: write it as 1-5 08:30-17:30 (1 is Monday)"),
            )
            .field(
                "windows",
                "每行一个，如 1-5 08:30-17:30",
                "one a line, as 1-5 08:30-17:30",
            )
        })
    });
    let subject = match (posted.get("subject_item"), number("subject_per_day")?) {
        ("", None) => None,
        (item, Some(per_day)) if !item.is_empty() => {
            Some(SubjectBound { item: item.to_owned(), per_day })
        }
        _ => {
            return Err(Error::invalid(
                "主体限次须同时选定数据项并填写每日次数",
                "a limit by subject needs both the item and how often a day",
            )
            .field("subject_per_day", "与数据项一并填写", "together with the item"));
        }
    };
    let rate = match (number("rate")?, number("burst")?) {
        (None, None) => None,
        (Some(per_second), burst) => Some(RateBound { per_second, burst }),
        (None, Some(_)) => {
            return Err(Error::invalid(
                "突发次数须与每秒次数一并设定",
                "a burst is set together with calls a second",
            )
            .field("burst", "与每秒次数一并填写", "together with calls a second"));
        }
    };
    Ok(Bounds {
        rate,
        concurrency: number("concurrency")?,
        addresses: lines("addresses"),
        windows: windows.collect::<Result<_>>()?,
        subject,
        authorised: Some(posted.get("authorised").to_owned()).filter(|item| !item.is_empty()),
        purpose: posted.ticked("purpose"),
    })
}

async fn halts(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    list(&door, &visit, None).await
}

async fn list(door: &Door, visit: &Visit, wrong: Option<(&Error, &Posted)>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let (now, page) = halt::list(app, op, visit.q("after"), PAGE).await?;
    let kinds: Vec<Value> = choices("halt_kind", visit.lang)
        .into_iter()
        .map(|(word, name)| context! { value => word, name => name })
        .collect();
    let given = |name: &str| match wrong {
        Some((_, posted)) => Some(posted.get(name).to_owned()),
        None => visit.q(name).map(str::to_owned),
    };
    let context = context! {
        now => value(&now), past => value(page.items), kinds, done => visit.q("done"),
        may_halt => halt::may_halt(app, op, HaltKind::Application),
        kind => given("kind"), name => given("name"), reason => given("reason"),
        next => next_link(visit, "after", page.next.as_deref()),
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en())),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
    };
    door.page_with(visit, "console/halts.html", context, wrong.map(|(error, _)| error)).await
}

async fn begin(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let kind = HaltKind::parse(posted.get("kind"))
        .ok_or_else(|| Error::invalid("请选择停用对象", "choose what is to be stopped"))?;
    let ask = HaltAsk {
        kind,
        name: posted.get("name").to_owned(),
        reason: posted.get("reason").to_owned(),
    };
    match halt::begin(&door.app, &visit.op, &ask).await {
        Ok(_) => done("/console/halts", "halted"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::NotFound | Kind::Conflict) => {
            list(&door, &visit, Some((&e, &posted))).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn lift(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    match halt::lift(&door.app, &visit.op, &id, posted.get("reason")).await {
        Ok(_) => done("/console/halts", "lifted"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            list(&door, &visit, Some((&e, &posted))).await
        }
        Err(e) => Err(e.into()),
    }
}
