//! Exchange of files in the console: the list with what waits, one exchange with its files, receipts and incidents, and making one.

use std::sync::Arc;

use app::exchange::{self, ExchangeView};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::code::SyncMode;
use model::entry::EntryFilter;
use model::exchange::{
    Completeness, ExchangeCipher, ExchangeFormat, ExchangeNew, ExchangeSignature, ExchangeWay,
    ExchangeWish,
};
use model::{Error, Kind};

use crate::console::oversight::of_channel;
use crate::console::{PAGE, done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Entries offered while typing.
const OFFERED: u32 = 200;
/// Options of an object store, each a field of its own.
const OPTIONS: [&str; 4] = ["endpoint", "region", "access_key_id", "secret_access_key"];

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/exchanges", get(list).post(create))
        .route("/console/exchanges/new", get(new_page))
        .route("/console/exchanges/{id}", get(one))
        .route("/console/exchanges/{id}/run", post(run))
        .route("/console/exchanges/{id}/pause", post(pause))
        .route("/console/exchanges/{id}/resume", post(resume))
        .route("/console/exchanges/{id}/retry", post(retry))
        .route("/console/exchanges/{id}/key", post(key))
        .route("/console/exchanges/{id}/remove", post(remove))
}

fn row(view: &ExchangeView) -> Value {
    context! {
        exchange => value(view),
        waits => view.waiting > 0 || !view.figures.zh.is_empty(),
        resumable => view.exchange.wish == ExchangeWish::Pause,
    }
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = exchange::list(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let exchanges: Vec<Value> = page.items.iter().map(row).collect();
    let context = context! {
        exchanges, done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/exchanges.html", context).await
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    show_new(&door, &visit, None, None).await
}

async fn show_new(
    door: &Door,
    visit: &Visit,
    posted: Option<&Posted>,
    error: Option<Error>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    // Whether they may keep exchanges at all is said before what is wrong with the form.
    exchange::list(app, op, None, 1).await?;
    let filter = EntryFilter {
        org: op.actor.org().map(str::to_owned),
        limit: OFFERED,
        ..EntryFilter::default()
    };
    let entries = app::catalogue::list(app, op, &filter).await?.items;
    let get = |name: &str, or: &str| {
        posted.map(|p| p.get(name).to_owned()).unwrap_or_else(|| or.to_owned())
    };
    let folder = format!("file://{}/", app.folders.exchange.display());
    let context = context! {
        offered => entries.iter().map(|e| context! { code => &e.draft.code, title => &e.draft.title }).collect::<Vec<_>>(),
        form => context! {
            name => get("name", ""), way => get("way", ExchangeWay::In.as_str()), peer => get("peer", ""),
            entry => get("entry", visit.q("entry").unwrap_or_default()), place => get("place", &folder),
            pattern => get("pattern", "*.csv"), completeness => get("completeness", Completeness::Done.as_str()),
            quiet_seconds => get("quiet_seconds", &app.rules.exchange.quiet_seconds.to_string()),
            mode => get("mode", SyncMode::Full.as_str()), cipher => get("cipher", ExchangeCipher::None.as_str()),
            signature => get("signature", ExchangeSignature::None.as_str()), signer => get("signer", ""),
            format => get("format", ExchangeFormat::Csv.as_str()), request => get("request", ""),
            endpoint => get("endpoint", ""), region => get("region", ""), access_key_id => get("access_key_id", ""),
        },
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/exchange_new.html", context, error).await
}

fn read(posted: &Posted) -> ExchangeNew {
    let options = OPTIONS
        .iter()
        .map(|name| ((*name).to_owned(), posted.get(name).to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    ExchangeNew {
        name: posted.get("name").to_owned(),
        way: ExchangeWay::parse(posted.get("way")),
        peer: posted.get("peer").to_owned(),
        entry: posted.get("entry").to_owned(),
        place: posted.get("place").to_owned(),
        pattern: posted.get("pattern").to_owned(),
        completeness: Completeness::parse(posted.get("completeness")),
        quiet_seconds: posted.get("quiet_seconds").parse().ok(),
        mode: SyncMode::parse(posted.get("mode")),
        cipher: ExchangeCipher::parse(posted.get("cipher")),
        key: posted.get("key").to_owned(),
        signature: ExchangeSignature::parse(posted.get("signature")),
        signer: posted.get("signer").to_owned(),
        format: ExchangeFormat::parse(posted.get("format")),
        request: posted.get("request").to_owned(),
        options,
    }
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    match exchange::create(&door.app, &visit.op, read(&posted)).await {
        Ok(made) => done(&format!("/console/exchanges/{}", made.exchange.id), "created"),
        // A refusal by the grant, or an entry that is not there, is told in the form as well.
        Err(e)
            if mendable(&e)
                || (matches!(e.kind(), Kind::NotFound | Kind::Denied)
                    && !posted.get("name").is_empty()) =>
        {
            show_new(&door, &visit, Some(&posted), Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    show(&door, &visit, &id, None, None).await
}

async fn show(
    door: &Door,
    visit: &Visit,
    id: &str,
    key: Option<&str>,
    error: Option<Error>,
) -> Answer {
    let view = exchange::get(&door.app, &visit.op, id).await?;
    let files = exchange::files(&door.app, &visit.op, id, visit.q("before"), PAGE).await?;
    let incidents = exchange::incidents(&door.app, &visit.op, id, None, 20).await?;
    let compared = match view.exchange.way {
        ExchangeWay::In => of_channel(door, visit, &view.exchange.entry, id).await?,
        ExchangeWay::Out => Value::from(()),
    };
    let context = context! {
        compared, row => row(&view), files => value(&files.items), incidents => value(&incidents.items),
        done => visit.q("done"), key, next => next_link(visit, "before", files.next.as_deref()),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
    };
    door.page_with(visit, "console/exchange.html", context, error).await
}

fn back(id: &str, word: &str) -> Answer {
    done(&format!("/console/exchanges/{}", encode(id)), word)
}

async fn run(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    match exchange::run(&door.app, &visit.op, &id).await {
        Ok(_) => back(&id, "ran"),
        Err(e) if mendable(&e) => show(&door, &visit, &id, None, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn pause(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    exchange::pause(&door.app, &visit.op, &id).await?;
    back(&id, "saved")
}

async fn resume(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    exchange::resume(&door.app, &visit.op, &id).await?;
    back(&id, "resumed")
}

async fn retry(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    match exchange::retry(&door.app, &visit.op, &id, posted.get("file")).await {
        Ok(()) => back(&id, "saved"),
        Err(e) if mendable(&e) => show(&door, &visit, &id, None, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn key(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let key = exchange::key(&door.app, &visit.op, &id).await?;
    show(&door, &visit, &id, Some(key.as_str()), None).await
}

async fn remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    exchange::remove(&door.app, &visit.op, &id).await?;
    done("/console/exchanges", "removed")
}
