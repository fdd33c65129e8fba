//! 开放大赛 from within: the authority sets up and leads, judges score.

use std::sync::Arc;

use app::contest::{self, ContestNew};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link, or_empty};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/contests", get(list))
        .route("/console/contests/new", get(blank).post(set_up))
        .route("/console/contests/{id}", get(show).post(edit))
        .route("/console/contests/{id}/moves", post(moves))
        .route("/console/contests/{id}/advance", post(advance))
        .route("/console/contests/{id}/award", post(award))
        .route("/console/contests/{id}/works", get(works))
        .route("/console/contests/{id}/works/{work}", post(score))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let keeps = contest::may_keep(app, op);
    let (rows, next) = if keeps {
        let page = contest::contests_desk(app, op, visit.q("before"), PAGE).await?;
        (page.items, page.next)
    } else {
        (Vec::new(), None)
    };
    let context = context! {
        rows => value(&rows), keeps, judged => value(or_empty(contest::contests_judged(app, op).await)?),
        next => next_link(&visit, "before", next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/contests.html", context).await
}

fn posted_new(posted: &Posted) -> ContestNew {
    let said = |name: &str| posted.get(name).to_owned();
    ContestNew {
        title: said("title"),
        title_en: said("title_en"),
        text: said("text"),
        text_en: said("text_en"),
        tracks: said("tracks"),
        items: said("items"),
        rounds: said("rounds"),
        judges: said("judges"),
    }
}

async fn form(
    door: &Door,
    visit: &Visit,
    action: &str,
    new: &ContestNew,
    wrong: Option<&Error>,
) -> Answer {
    let context = context! {
        action, seen => (), form => value(new),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/contest_form.html", context, wrong).await
}

async fn blank(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let new = ContestNew {
        items: "创新性|Novelty|40|100\n应用价值|Use|40|100\n完成度|Completeness|20|100".into(),
        ..ContestNew::default()
    };
    form(&door, &visit, "/console/contests/new", &new, None).await
}

async fn set_up(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = posted_new(&posted);
    match contest::set_up(&door.app, &visit.op, new.clone()).await {
        Ok(contest) => done(&format!("/console/contests/{}", contest.id), "created"),
        Err(error) if error.kind() == Kind::Invalid => {
            form(&door, &visit, "/console/contests/new", &new, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None, None).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    id: &str,
    typed: Option<&ContestNew>,
    wrong: Option<&Error>,
) -> Answer {
    let seen = contest::contest(&door.app, &visit.op, id, true).await?;
    let names = contest::judge_names(&door.app, &seen.contest.judge_ids()).await?;
    let kept = contest::written(&seen.contest, &names);
    let context = context! {
        view => value(&seen), contest => value(&seen.contest),
        form => value(typed.unwrap_or(&kept)),
        action => format!("/console/contests/{id}"), seen => seen.contest.edit, done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/contest.html", context, wrong).await
}

async fn edit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let seen = posted.number("seen")?;
    let new = posted_new(&posted);
    match contest::edit(&door.app, &visit.op, &id, new.clone(), seen).await {
        Ok(_) => done(&format!("/console/contests/{id}"), "saved"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, &id, Some(&new), Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn moves(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let moved = match posted.get("do") {
        "publish" => contest::publish(app, op, &id).await,
        "close" => contest::close_round(app, op, &id).await,
        "end" => contest::end(app, op, &id).await,
        _ => Err(Error::invalid("请选择操作", "choose what to do")),
    };
    settled(&door, &visit, &id, moved.map(|_| ()), "moved").await
}

async fn settled(
    door: &Door,
    visit: &Visit,
    id: &str,
    outcome: model::Result<()>,
    word: &str,
) -> Answer {
    match outcome {
        Ok(()) => done(&format!("/console/contests/{id}"), word),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            page(door, visit, id, None, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn advance(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let works: Vec<String> = posted.all("work").map(str::to_owned).collect();
    let outcome = contest::advance(&door.app, &visit.op, &id, &works).await;
    settled(&door, &visit, &id, outcome.map(|_| ()), "advanced").await
}

async fn award(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (work, name, name_en) = (posted.get("work"), posted.get("name"), posted.get("name_en"));
    let outcome = contest::award(&door.app, &visit.op, &id, work, name, name_en).await;
    settled(&door, &visit, &id, outcome.map(|_| ()), "awarded").await
}

async fn works(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    scored(&door, &visit, &id, None).await
}

async fn scored(door: &Door, visit: &Visit, id: &str, wrong: Option<&Error>) -> Answer {
    let (of, works) = contest::works_to_judge(&door.app, &visit.op, id).await?;
    let context = context! {
        contest => value(&of), works => value(&works), done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/contest_works.html", context, wrong).await
}

async fn score(
    State(door): State<Arc<Door>>,
    Path((id, work)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let points: Vec<u32> = posted.all("points").map_while(|p| p.parse().ok()).collect();
    let words = posted.get("words");
    match contest::score(&door.app, &visit.op, &id, &work, points, words).await {
        Ok(_) => done(&format!("/console/contests/{id}/works"), "saved"),
        Err(error) if error.kind() == Kind::Invalid => {
            scored(&door, &visit, &id, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}
