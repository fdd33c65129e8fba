//! Data sandboxes in the console: the list, opening one, one with its tables, programs, runs and releases; and the desk where runs
//! over whole data and releases are decided on.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::project;
use app::project::sandbox::{self, ReleaseAsk, RunAsk};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::StreamExt;
use minijinja::context;
use model::project::ProjectNew;
use model::sandbox::release::{ColumnPart, ReleaseState, ReleaseWay};
use model::sandbox::{RunKind, SandboxStage};
use model::{Code, Error, Kind, Result};

use crate::console::done;
use crate::console::projects::{new_form, new_of};
use crate::form::{self, Posted};
use crate::site::attachment;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    let unlimited = DefaultBodyLimit::disable;
    Router::new()
        .route("/console/sandboxes", get(list).post(create))
        .route("/console/sandboxes/new", get(new_page))
        .route("/console/sandboxes/{id}", get(one))
        .route("/console/sandboxes/{id}/samples", post(sample))
        .route("/console/sandboxes/{id}/uploads", post(upload).layer(unlimited()))
        .route("/console/sandboxes/{id}/programs", post(program).layer(unlimited()))
        .route("/console/sandboxes/{id}/runs", post(run))
        .route("/console/sandboxes/{id}/runs/{run}", post(begin))
        .route("/console/sandboxes/{id}/extensions", post(extension))
        .route("/console/sandboxes/{id}/releases", post(release))
        .route("/console/sandboxes/{id}/releases/{release}", post(fetch))
        .route("/console/releases", get(desk).post(trace))
        .route("/console/releases/{subject}", post(decide))
}

/// Sandboxes of a page.
const PAGE: u32 = 50;

fn path(id: &str) -> String {
    format!("/console/sandboxes/{}", encode(id))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = sandbox::list(&door.app, &visit.op, visit.q("before"), PAGE).await?;
    let context = context! {
        sandboxes => value(&page.items), next => page.next, done => visit.q("done"),
        may_open => !project::offers(&door.app, &visit.op).await?.is_empty(),
        has_desk => sandbox::has_desk(&door.app, &visit.op),
    };
    door.page(&visit, "console/sandboxes.html", context).await
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    form_page(&door, &visit, None, None).await
}

/// The form of a new sandbox, with what is wrong with it.
async fn form_page(
    door: &Door,
    visit: &Visit,
    posted: Option<&ProjectNew>,
    error: Option<&Error>,
) -> Answer {
    let form = new_form(door, visit, posted, error).await?;
    let context = context! { days_most => door.app.rules.sandbox.term_days, ..form };
    door.page_with(visit, "console/sandbox_new.html", context, error).await
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = new_of(&posted);
    let days: u64 = posted.number("days")?;
    match sandbox::create(&door.app, &visit.op, new.clone(), days).await {
        Ok(made) => done(&path(&made.id), "created"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            form_page(&door, &visit, Some(&new), Some(&e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    show(&door, &visit, &id, None).await
}

/// A sandbox, with what was wrong with what was sent.
async fn show(door: &Door, visit: &Visit, id: &str, error: Option<&Error>) -> Answer {
    let seen = sandbox::get(&door.app, &visit.op, id).await?;
    let context = context! {
        seen => value(&seen), view => value(&seen.view), done => visit.q("done"),
        me => visit.op.actor.id(),
        error => error.map(|e| visit.t(e.zh(), e.en())),
        fields => value(error.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/sandbox.html", context, error).await
}

/// Back to the page: with the word when it went well, with what may be mended when not.
async fn answered<T>(
    door: &Door,
    visit: &Visit,
    id: &str,
    outcome: Result<T>,
    word: &str,
) -> Answer {
    match outcome {
        Ok(_) => done(&path(id), word),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            show(door, visit, id, Some(&e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn sample(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let made = sandbox::sample(&door.app, &visit.op, &id, posted.get("code")).await;
    answered(&door, &visit, &id, made, "saved").await
}

/// A file in memory, of so many bytes at most.
async fn whole(mut bytes: form::Bytes, most: usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        if all.len() + piece.len() > most {
            return Err(Error::of(Code::TooLarge));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

fn no_file() -> Error {
    Error::invalid("请选择要上传的文件", "choose a file to upload").field(
        "file",
        "请选择文件",
        "choose a file",
    )
}

async fn upload(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    let most = door.app.rules.sandbox.upload_bytes;
    let (posted, bytes) =
        form::upload(&visit, most as u64, &mut multipart, |_, _, bytes| async move {
            whole(bytes, most).await
        })
        .await?;
    let made = match bytes {
        Some(bytes) => {
            sandbox::upload(&door.app, &visit.op, &id, posted.get("name"), &bytes).await.map(|_| ())
        }
        None => Err(no_file()),
    };
    answered(&door, &visit, &id, made, "saved").await
}

/// Largest module that is read; the engine says how large it may be.
const MODULE_MOST: usize = 4 << 20;

async fn program(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    let (posted, bytes) =
        form::upload(&visit, MODULE_MOST as u64, &mut multipart, |_, _, bytes| async move {
            whole(bytes, MODULE_MOST).await
        })
        .await?;
    // A module is a file, or a text that was written on the page.
    let module = match bytes {
        Some(bytes) => bytes,
        None => posted.raw("text").as_bytes().to_vec(),
    };
    let made = match module.is_empty() {
        true => Err(no_file()),
        false => {
            let (app, op, name) = (&door.app, &visit.op, posted.get("name"));
            sandbox::add_program(app, op, &id, name, module).await.map(|_| ())
        }
    };
    answered(&door, &visit, &id, made, "saved").await
}

async fn run(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let unknown = || Error::invalid("没有这个选项", "there is no such choice");
    let ask = RunAsk {
        kind: RunKind::parse(posted.get("kind")).ok_or_else(unknown)?,
        stage: SandboxStage::parse(posted.get("stage")).ok_or_else(unknown)?,
        into: posted.get("into").to_owned(),
        sql: posted.get("sql").to_owned(),
        program: posted.get("program").to_owned(),
        inputs: posted.all("input").map(str::to_owned).collect(),
        reason: posted.get("reason").to_owned(),
    };
    let made = sandbox::ask_run(&door.app, &visit.op, &id, ask).await;
    answered(&door, &visit, &id, made, "saved").await
}

async fn begin(
    State(door): State<Arc<Door>>,
    Path((id, run)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let begun = sandbox::begin(&door.app, &visit.op, &id, &run).await;
    answered(&door, &visit, &id, begun, "saved").await
}

async fn release(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    // `column:part`
    let part = |text: &str| {
        let (column, part) = text.rsplit_once(':')?;
        Some((column.to_owned(), ColumnPart::parse(part)?))
    };
    let parts: BTreeMap<String, ColumnPart> = posted.all("part").filter_map(part).collect();
    let ask = ReleaseAsk {
        result: posted.get("result").to_owned(),
        parts,
        hide: posted.ticked("hide"),
        way: match posted.get("way") {
            "" => ReleaseWay::Download,
            word => ReleaseWay::parse(word)
                .ok_or_else(|| Error::invalid("没有这个选项", "there is no such choice"))?,
        },
        reason: posted.get("reason").to_owned(),
    };
    let made = sandbox::ask_release(&door.app, &visit.op, &id, ask).await;
    let stopped = made.as_ref().is_ok_and(|r| r.state == ReleaseState::Stopped);
    answered(&door, &visit, &id, made, if stopped { "stopped" } else { "saved" }).await
}

async fn fetch(
    State(door): State<Arc<Door>>,
    Path((id, release)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    if posted.get("do") == "publish" {
        let published = sandbox::publish(&door.app, &visit.op, &id, &release).await;
        return answered(&door, &visit, &id, published, "saved").await;
    }
    let fetched = sandbox::fetch(&door.app, &visit.op, &id, &release).await?;
    let headers = attachment(&fetched.name, "text/csv; charset=utf-8");
    Ok((headers, Body::from(fetched.bytes)).into_response())
}

/// A longer term is asked for.
async fn extension(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (until, reason) = (posted.get("until"), posted.get("reason"));
    let asked = sandbox::ask_extension(&door.app, &visit.op, &id, until, reason).await;
    answered(&door, &visit, &id, asked, "saved").await
}

async fn desk(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let items = sandbox::desk(&door.app, &visit.op).await?;
    let context = context! {
        items => value(&items), done => visit.q("done"),
        traces => sandbox::may_trace(&door.app, &visit.op),
    };
    door.page(&visit, "console/releases.html", context).await
}

/// Whose copy a text is.
async fn trace(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let found = sandbox::trace(&door.app, &visit.op, posted.raw("text")).await?;
    let items = sandbox::desk(&door.app, &visit.op).await?;
    let context = context! {
        items => value(&items), traces => true, traced => true,
        release => value(found.as_ref().map(|t| &t.release)),
        call => value(found.as_ref().and_then(|t| t.call.as_ref())),
    };
    door.page(&visit, "console/releases.html", context).await
}

async fn decide(
    State(door): State<Arc<Door>>,
    Path(subject): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let agreed = match posted.get("do") {
        "agree" => true,
        "refuse" => false,
        _ => return Err(Error::invalid("没有这个操作", "there is no such step").into()),
    };
    sandbox::decide(&door.app, &visit.op, &subject, agreed, posted.get("note")).await?;
    done("/console/releases", "saved")
}
