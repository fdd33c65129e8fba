//! 开放大赛: contests with their rounds, works and awards; forming a team, joining one, entering works.

use std::sync::Arc;

use app::contest::{self, WorkNew};
use axum::Router;
use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::context;
use model::news::blocks;
use model::{Error, Kind};

use crate::console::{done, next_link};
use crate::form::{self, Posted};
use crate::site::attachment;
use crate::site::city::kept;
use crate::site::interact::may_write;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Contests of one page.
const PAGE: u32 = 20;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/contests", get(list))
        .route("/contests/{id}", get(show))
        .route("/contests/{id}/teams", post(form))
        .route("/contests/{id}/join", post(join))
        .route("/contests/{id}/leave", post(leave))
        .route("/contests/{id}/invitation", post(renew))
        .route("/contests/{id}/works", post(enter))
        .route("/contests/{id}/works/{work}/showcase", post(showcase))
        .route("/contests/{id}/works/{work}/take-back", post(take_back))
        .route("/contests/{id}/works/{work}/consent", post(consent))
        .route("/contests/{id}/works/{work}/files", post(attach).layer(DefaultBodyLimit::disable()))
        .route("/contests/{id}/works/{work}/files/{file}", get(file))
        .route("/contests/{id}/works/{work}/files/{file}/remove", post(detach))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let before = visit.q("before");
    let page = contest::contests(&door.app, &visit.op, before, PAGE).await?;
    let context = context! {
        rows => value(&page.items), first => before.is_some(), today => visit.op.today().to_string(),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "site/contests.html", context).await
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None, None).await
}

/// The page, with an invitation code that was just made or what was wrong with a form.
async fn page(
    door: &Door,
    visit: &Visit,
    id: &str,
    code: Option<String>,
    wrong: Option<&Error>,
) -> Answer {
    let seen = contest::contest(&door.app, &visit.op, id, false).await?;
    let (of, limits) = (&seen.contest, &door.app.rules.contest.file);
    let text = visit.t(&of.text, if of.text_en.is_empty() { &of.text } else { &of.text_en });
    let context = context! {
        view => value(&seen), contest => value(of), blocks => value(blocks(text)), code,
        most => limits.most, bytes => limits.bytes, kinds => limits.words(), done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "site/contest.html", context, wrong).await
}

/// The page again, with what was wrong, for faults that its forms can mend.
async fn again(door: &Door, visit: &Visit, id: &str, error: Error) -> Answer {
    match error.kind() {
        Kind::Invalid | Kind::Conflict => page(door, visit, id, None, Some(&error)).await,
        _ => Err(error.into()),
    }
}

async fn form(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    match contest::form(&door.app, &visit.op, &id, posted.get("name")).await {
        Ok((_, code)) => page(&door, &visit, &id, Some(code), None).await,
        Err(error) => again(&door, &visit, &id, error).await,
    }
}

/// What a form asks for is done: onward with a word when it went well, the page again with what was wrong when not.
async fn did<T>(
    door: &Door,
    visit: &Visit,
    id: &str,
    deed: impl Future<Output = Result<T, Error>>,
    onward: impl FnOnce(T) -> (String, &'static str),
) -> Answer {
    may_write(visit)?;
    match deed.await {
        Ok(made) => {
            let (to, word) = onward(made);
            done(&to, word)
        }
        Err(error) => again(door, visit, id, error).await,
    }
}

/// A contest's page, on the site of the city that the visitor stands on.
fn here(door: &Door, visit: &Visit, id: &str) -> String {
    kept(door, visit, &format!("/contests/{id}"))
}

async fn join(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let deed = contest::join(&door.app, &visit.op, &id, posted.get("code"));
    did(&door, &visit, &id, deed, |_| (here(&door, &visit, &id), "joined")).await
}

async fn leave(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    may_write(&visit)?;
    contest::leave(&door.app, &visit.op, &id).await?;
    done(&here(&door, &visit, &id), "left")
}

async fn renew(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let (_, code) = contest::renew(&door.app, &visit.op, &id).await?;
    page(&door, &visit, &id, Some(code), None).await
}

async fn enter(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let new = WorkNew {
        track: posted.get("track").parse().unwrap_or(usize::MAX),
        title: posted.get("title").to_owned(),
        text: posted.get("text").to_owned(),
        link: posted.get("link").to_owned(),
        sets: posted.get("sets").lines().map(str::to_owned).collect(),
    };
    let deed = contest::enter(&door.app, &visit.op, &id, new);
    did(&door, &visit, &id, deed, |_| (here(&door, &visit, &id), "entered")).await
}

/// Streams a file of a work in.
async fn attach(
    State(door): State<Arc<Door>>,
    Path((id, work)): Path<(String, String)>,
    visit: Visit,
    multipart: std::result::Result<Multipart, MultipartRejection>,
) -> Answer {
    // What is no multipart form has no token either.
    let Ok(mut multipart) = multipart else {
        visit.check_csrf(None)?;
        return Err(Error::invalid("表单无法读取", "the form cannot be read").into());
    };
    may_write(&visit)?;
    let (app, op) = (&door.app, &visit.op);
    let (of, to) = (id.as_str(), work.as_str());
    let most = app.rules.contest.file.bytes;
    let sent = form::upload(&visit, most, &mut multipart, |_, name, bytes| async move {
        contest::attach(app, op, of, to, &name, bytes).await
    });
    match sent.await {
        Ok((_, Some(_))) => done(&here(&door, &visit, &id), "attached"),
        Ok((_, None)) => {
            let error = Error::invalid("请选择要上传的文件", "choose a file to upload").field(
                "file",
                "请选择文件",
                "choose a file",
            );
            again(&door, &visit, &id, error).await
        }
        Err(error) => again(&door, &visit, &id, error).await,
    }
}

async fn detach(
    State(door): State<Arc<Door>>,
    Path((id, work, file)): Path<(String, String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let deed = contest::detach(&door.app, &visit.op, &id, &work, &file);
    did(&door, &visit, &id, deed, |_| (here(&door, &visit, &id), "removed")).await
}

/// A file of a work for those who may have it; browsers keep it and never run or show it.
async fn file(
    State(door): State<Arc<Door>>,
    Path((id, work, file)): Path<(String, String, String)>,
    visit: Visit,
) -> Answer {
    let (file, content) = contest::file(&door.app, &visit.op, &id, &work, &file).await?;
    let mut response =
        (attachment(&file.name, "application/octet-stream"), Body::from_stream(content))
            .into_response();
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::from_str(&file.media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

async fn consent(
    State(door): State<Arc<Door>>,
    Path((id, work)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let agrees = posted.ticked("agrees");
    let deed = contest::consent(&door.app, &visit.op, &id, &work, agrees);
    did(&door, &visit, &id, deed, |_| (here(&door, &visit, &id), "saved")).await
}

async fn take_back(
    State(door): State<Arc<Door>>,
    Path((id, work)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let deed = contest::take_back(&door.app, &visit.op, &id, &work);
    did(&door, &visit, &id, deed, |()| (here(&door, &visit, &id), "withdraw")).await
}

async fn showcase(
    State(door): State<Arc<Door>>,
    Path((id, work)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let deed = contest::to_showcase(&door.app, &visit.op, &id, &work);
    let at = |id: &str| kept(&door, &visit, &format!("/showcase/{id}"));
    did(&door, &visit, &id, deed, |made| (at(&made.id), "handed")).await
}
