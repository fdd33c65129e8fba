//! One's own real-name verification: where it stands, filing, evidence, withdrawing.

use std::sync::Arc;

use app::realname;
use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use futures::stream::BoxStream;
use minijinja::context;
use model::Error;
use model::realname::{RealNameDetails, RealNameFile};

use crate::console::done;
use crate::fault::mendable;
use crate::form::{self, Posted};
use crate::site::attachment as attachment_named;
use crate::view::value;
use crate::visit::{self, Visit};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/account/realname", get(show).post(file))
        .route("/account/realname/withdraw", post(withdraw))
        .route("/account/realname/files", post(attach).layer(DefaultBodyLimit::disable()))
        .route("/account/realname/files/{file}", get(evidence))
        .route("/account/realname/files/{file}/remove", post(detach))
        .route_layer(middleware::from_fn(visit::signed_in))
}

async fn show(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None).await
}

async fn page(door: &Door, visit: &Visit, wrong: Option<(&Error, &Posted)>) -> Answer {
    let standing = realname::standing(&door.app, &visit.op).await?;
    let typed = |name: &str| wrong.map(|(_, p)| p.get(name).to_owned());
    let told = standing.sign_up.as_ref();
    let rules = &door.app.rules.signup.real_name;
    let context = context! {
        form => context! {
            name => typed("name").or_else(|| told.map(|t| t.company.clone())).unwrap_or_default(),
            identifier => typed("identifier").or_else(|| told.map(|t| t.uscc.clone())).unwrap_or_default(),
            representative => typed("representative").unwrap_or_default(),
        },
        standing => value(&standing), days => rules.days, most => rules.files, bytes => rules.bytes,
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(visit, "account/realname.html", context, wrong.map(|(error, _)| error)).await
}

async fn file(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = RealNameDetails {
        name: posted.get("name").to_owned(),
        number: posted.get("identifier").to_owned(),
        representative: posted.get("representative").to_owned(),
    };
    match realname::file(&door.app, &visit.op, new).await {
        Ok(_) => done("/account/realname", "filed"),
        Err(e) if mendable(&e) || e.kind() == model::Kind::Exhausted => {
            page(&door, &visit, Some((&e, &posted))).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn withdraw(State(door): State<Arc<Door>>, visit: Visit, _posted: Posted) -> Answer {
    realname::withdraw(&door.app, &visit.op).await?;
    done("/account/realname", "withdraw")
}

async fn attach(
    State(door): State<Arc<Door>>,
    visit: Visit,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer {
    // What is no multipart form has no token either.
    let Ok(mut multipart) = multipart else {
        visit.check_csrf(None)?;
        return Err(Error::invalid("表单无法读取", "the form cannot be read").into());
    };
    let (app, op) = (&door.app, &visit.op);
    let most = app.rules.signup.real_name.bytes;
    let (_, kept) = form::upload(&visit, most, &mut multipart, |_, name, bytes| async move {
        realname::attach(app, op, &name, bytes).await
    })
    .await?;
    if kept.is_none() {
        return Err(Error::invalid("请选择要上传的文件", "choose a file to upload")
            .field("file", "请选择文件", "choose a file")
            .into());
    }
    done("/account/realname", "attached")
}

async fn detach(
    State(door): State<Arc<Door>>,
    Path(file): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    realname::detach(&door.app, &visit.op, &file).await?;
    done("/account/realname", "removed")
}

async fn evidence(State(door): State<Arc<Door>>, Path(file): Path<String>, visit: Visit) -> Answer {
    let (file, content) = realname::evidence(&door.app, &visit.op, &file).await?;
    Ok(scan(&file, content))
}

/// A scan; browsers keep it and never run it.
pub(crate) fn scan(
    file: &RealNameFile,
    content: BoxStream<'static, std::io::Result<bytes::Bytes>>,
) -> Response {
    let mut response =
        (attachment_named(&file.name, "application/octet-stream"), Body::from_stream(content))
            .into_response();
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::from_str(&file.media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes));
    response
}
