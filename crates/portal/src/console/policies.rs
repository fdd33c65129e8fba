//! 政策动态 from within: the authority writes, publishes and withdraws.

use std::sync::Arc;

use app::news;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::news::{News, NewsKind, NewsNew, NewsState};
use model::region::RegionLevel;
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::{self, Posted};
use crate::site::interact::word;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/policies", get(list))
        .route("/console/policies/new", get(blank).post(write))
        .route("/console/policies/{id}", get(show).post(edit))
        .route("/console/policies/{id}/moves", post(moves))
        .route("/console/policies/{id}/files", post(attach).layer(DefaultBodyLimit::disable()))
        .route("/console/policies/{id}/files/{file}/remove", post(detach))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let state = word(NewsState::ALL, NewsState::as_str, visit.q("state"));
    let page = news::desk(&door.app, &visit.op, state, visit.q("before"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), state => state.map(NewsState::as_str), done => visit.q("done"),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "console/policies.html", context).await
}

/// Sites that something can be written for: the province and its cities.
async fn sites(door: &Door) -> Vec<Value> {
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    let sites = names.regions.iter().filter(|r| r.level != RegionLevel::County);
    sites.map(|r| context! { code => &r.code, level => value(r.level) }).collect()
}

async fn page(
    door: &Door,
    visit: &Visit,
    kept: Option<&News>,
    new: &NewsNew,
    wrong: Option<&Error>,
) -> Answer {
    let context = context! {
        form => value(new), news => value(kept), sites => sites(door).await,
        action => kept.map_or_else(|| "/console/policies/new".to_owned(), |n| format!("/console/policies/{}", n.id)),
        today => visit.op.today().to_string(), done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/policy_form.html", context, wrong).await
}

fn posted_new(posted: &Posted) -> NewsNew {
    let said = |name: &str| posted.get(name).to_owned();
    NewsNew {
        kind: word(NewsKind::ALL, NewsKind::as_str, Some(posted.get("kind"))),
        title: said("title"),
        title_en: said("title_en"),
        text: said("text"),
        text_en: said("text_en"),
        number: said("number"),
        day: said("day"),
        region: said("region"),
    }
}

fn of(news: &News) -> NewsNew {
    NewsNew {
        kind: Some(news.kind),
        title: news.title.clone(),
        title_en: news.title_en.clone(),
        text: news.text.clone(),
        text_en: news.text_en.clone(),
        number: news.number.clone(),
        day: news.day.to_string(),
        region: news.region.clone(),
    }
}

async fn blank(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None, &NewsNew::default(), None).await
}

async fn write(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = posted_new(&posted);
    match news::write(&door.app, &visit.op, &new).await {
        Ok(news) => done(&format!("/console/policies/{}", news.id), "created"),
        Err(error) if error.kind() == Kind::Invalid => {
            page(&door, &visit, None, &new, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let kept = news::kept(&door.app, &visit.op, &id).await?;
    page(&door, &visit, Some(&kept), &of(&kept), None).await
}

async fn edit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (new, seen) = (posted_new(&posted), posted.number("seen")?);
    match news::edit(&door.app, &visit.op, &id, &new, seen).await {
        Ok(_) => done(&format!("/console/policies/{id}"), "saved"),
        Err(error) if error.kind() == Kind::Invalid => {
            let kept = news::kept(&door.app, &visit.op, &id).await?;
            page(&door, &visit, Some(&kept), &new, Some(&error)).await
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
    let (word, moved) = match posted.get("do") {
        "publish" => ("published", news::publish(app, op, &id).await),
        "withdraw" => ("withdraw", news::withdraw(app, op, &id, posted.get("reason")).await),
        _ => return Err(Error::invalid("请选择发布或撤下", "choose to publish or withdraw").into()),
    };
    match moved {
        Ok(_) => done(&format!("/console/policies/{id}"), word),
        Err(error) if error.kind() == Kind::Invalid => {
            let kept = news::kept(app, op, &id).await?;
            page(&door, &visit, Some(&kept), &of(&kept), Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn attach(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let to = id.as_str();
    let most = app.rules.basket.attachment.bytes;
    let (_, kept) = form::upload(&visit, most, &mut multipart, |_, name, bytes| async move {
        news::attach(app, op, to, &name, bytes).await
    })
    .await?;
    if kept.is_none() {
        return Err(Error::invalid("请选择要上传的文件", "choose a file to upload").into());
    }
    done(&format!("/console/policies/{id}"), "attached")
}

async fn detach(
    State(door): State<Arc<Door>>,
    Path((id, file)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    news::detach(&door.app, &visit.op, &id, &file).await?;
    done(&format!("/console/policies/{id}"), "removed")
}
