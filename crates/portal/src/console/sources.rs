//! Data sources of a department: keeping them, trying the connection, and collecting by one SELECT.

use std::sync::Arc;

use app::collection::source::{self, QueryOrder};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::code::SyncMode;
use model::source::{DataSource, SourceKind, SourceNew, SourceTls};
use model::{Error, Result};

use crate::console::done;
use crate::console::runs::columns;
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/sources", get(list).post(create))
        .route("/console/sources/{id}", get(one).post(change))
        .route("/console/sources/{id}/test", post(test))
        .route("/console/sources/{id}/check", post(check))
        .route("/console/sources/{id}/remove", post(remove))
        .route("/console/entries/{id}/query", get(query_page).post(query))
}

/// What a form shows. A password is never among it.
fn form_of(source: Option<&DataSource>, posted: Option<&Posted>) -> Value {
    let get = |name: &str, kept: Option<String>| {
        posted.map(|p| p.get(name).to_owned()).or(kept).unwrap_or_default()
    };
    context! {
        name => get("name", source.map(|s| s.name.clone())),
        kind => get("kind", Some(source.map_or(SourceKind::Postgres, |s| s.kind).to_string())),
        host => get("host", source.map(|s| s.host.clone())),
        port => get("port", Some(source.map_or(5432, |s| s.port).to_string())),
        database => get("database", source.map(|s| s.database.clone())),
        account => get("account", source.map(|s| s.account.clone())),
        tls => get("tls", Some(source.map_or(SourceTls::Prefer, |s| s.tls).to_string())),
    }
}

fn read(visit: &Visit, posted: &Posted) -> Result<SourceNew> {
    let kind = SourceKind::parse(posted.get("kind")).ok_or_else(|| {
        Error::invalid("请选择数据库类型", "choose the kind of database").field(
            "kind",
            "请从列表选择",
            "choose from the list",
        )
    })?;
    let port = posted.get("port").parse().map_err(|_| {
        Error::invalid("端口应为 1–65535", "the port must be 1 to 65535").field(
            "port",
            "请填写端口",
            "enter the port",
        )
    })?;
    Ok(SourceNew {
        org: visit.session()?.user.org.clone().unwrap_or_default(),
        name: posted.get("name").to_owned(),
        kind,
        host: posted.get("host").to_owned(),
        port,
        database: posted.get("database").to_owned(),
        account: posted.get("account").to_owned(),
        // A password may begin or end with a blank.
        password: posted.raw("password").to_owned(),
        tls: SourceTls::parse(posted.get("tls")).unwrap_or(SourceTls::Prefer),
    })
}

/// The page of all sources, or of one, with what is wrong in a form just sent.
async fn show(
    door: &Door,
    visit: &Visit,
    source: Option<&DataSource>,
    posted: Option<&Posted>,
    error: Option<Error>,
) -> Answer {
    let sources = match source {
        Some(_) => Vec::new(),
        None => source::list(&door.app, &visit.op).await?,
    };
    let context = context! {
        sources => value(&sources), source => value(source), form => form_of(source, posted),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
        done => visit.q("done"),
    };
    let template = if source.is_some() { "console/source.html" } else { "console/sources.html" };
    door.page_with(visit, template, context, error).await
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    show(&door, &visit, None, None, None).await
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    // Whether they may keep sources at all is said before what is wrong with the form.
    source::list(&door.app, &visit.op).await?;
    let made = match read(&visit, &posted) {
        Ok(new) => source::create(&door.app, &visit.op, new).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(source) => done(&format!("/console/sources/{}", source.id), "created"),
        Err(e) if mendable(&e) => show(&door, &visit, None, Some(&posted), Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let source = source::get(&door.app, &visit.op, &id).await?;
    show(&door, &visit, Some(&source), None, None).await
}

async fn change(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let old = source::get(&door.app, &visit.op, &id).await?;
    let made = match read(&visit, &posted) {
        Ok(new) => source::edit(&door.app, &visit.op, &id, new).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(_) => done(&format!("/console/sources/{id}"), "saved"),
        Err(e) if mendable(&e) => show(&door, &visit, Some(&old), Some(&posted), Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn test(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    match source::test(&door.app, &visit.op, &id).await {
        Ok(_) => done(&format!("/console/sources/{id}"), "connected"),
        Err(e) if mendable(&e) => {
            let source = source::get(&door.app, &visit.op, &id).await?;
            show(&door, &visit, Some(&source), None, Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}

/// What the stored account may do, on the source's own page.
async fn check(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let source = source::get(&door.app, &visit.op, &id).await?;
    match app::collection::privilege::check(&door.app, &visit.op, &id, &[]).await {
        Ok(found) => {
            let fine = found.fine();
            let context = context! {
                source => value(&source), form => form_of(Some(&source), None),
                check => value(&found), fine,
            };
            door.page(&visit, "console/source.html", context).await
        }
        Err(e) if mendable(&e) => show(&door, &visit, Some(&source), None, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    source::remove(&door.app, &visit.op, &id).await?;
    done("/console/sources", "removed")
}

/// The query form of an entry, with a preview when one was asked for.
async fn query_page(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let entry = app::catalogue::get(&door.app, &visit.op, &id).await?;
    let context = context! {
        form => context! {
            source => visit.q("source"), sql => "", mode => entry.draft.sync_mode.as_str(),
            operation_column => "",
        },
    };
    show_query(&door, &visit, &entry, context).await
}

async fn show_query(
    door: &Door,
    visit: &Visit,
    entry: &model::entry::Entry,
    more: Value,
) -> Answer {
    let sources = source::list(&door.app, &visit.op).await?;
    let context = context! {
        entry => value(entry), sources => value(&sources),
        has_key => !entry.draft.key().is_empty(), items => value(&entry.draft.items),
        columns => columns(entry, visit),
        ..more
    };
    door.page(visit, "console/query.html", context).await
}

async fn query(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let entry = app::catalogue::get(&door.app, &visit.op, &id).await?;
    let operation = posted.get("operation_column");
    let order = QueryOrder {
        source: posted.get("source").to_owned(),
        entry: entry.id.clone(),
        sql: posted.get("sql").to_owned(),
        mode: SyncMode::parse(posted.get("mode")).unwrap_or(SyncMode::Full),
        operation_column: Some(operation.to_owned()).filter(|o| !o.is_empty()),
    };
    let outcome = if posted.get("do") == "collect" {
        match source::collect(&door.app, &visit.op, order).await {
            Ok(run) => return done(&format!("/console/runs/{}", run.id), "queried"),
            Err(e) => Err(e),
        }
    } else {
        source::preview(&door.app, &visit.op, &order).await
    };
    let (preview, error) = match outcome {
        Ok(preview) => (Some(preview), None),
        Err(e) if mendable(&e) => (None, Some(e)),
        Err(e) => return Err(e.into()),
    };
    let context = context! {
        form => context! {
            source => posted.get("source"), sql => posted.get("sql"), mode => posted.get("mode"),
            operation_column => operation,
        },
        preview => value(&preview),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    let mut response = show_query(&door, &visit, &entry, context).await?;
    if let Some(error) = error {
        *response.status_mut() =
            StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::BAD_REQUEST);
    }
    Ok(response)
}
