//! Interfaces in the console: the list; drawing one up as text; a version with its life; what a programmer reads of it, with a form
//! that calls it through the real gate as an application of the reader's.

use std::sync::Arc;

use app::App;
use app::interface::{self, Answer as Told, Body, Documented, Move};
use app::production::{self, LANGUAGES};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::halt::HaltKind;
use model::interface::{Arguments, Interface, InterfaceQuota, InterfaceState, Kind};
use model::{Error, Kind as Fault};
use serde_json::json;

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::label::choices;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/interfaces", get(list).post(create))
        .route("/console/interfaces/new", get(new_page))
        .route("/console/interfaces/{id}", get(one))
        .route("/console/interfaces/{id}/edit", get(edit_page).post(edit))
        .route("/console/interfaces/{id}/step", post(step))
        .route("/console/interfaces/{id}/share", post(share))
        .route("/console/interfaces/{id}/until", post(until))
        .route("/console/interfaces/{id}/quota", post(set_quota))
        .route("/console/interfaces/{id}/version", post(version))
        .route("/console/interfaces/{id}/try", post(trial))
        .route("/console/interfaces/{id}/openapi.json", get(openapi))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let keeps = interface::may_keep(app, op);
    let mine = match visit.q("whose") {
        Some("all") => false,
        Some("mine") => true,
        _ => keeps,
    };
    let page = interface::list(app, op, mine, visit.q("q"), visit.q("after"), PAGE).await?;
    let context = context! {
        interfaces => value(&page.items), keeps, mine, q => visit.q("q"), done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/interfaces.html", context).await
}

fn words(visit: &Visit) -> Vec<Value> {
    let all = choices("interface_kind", visit.lang);
    all.into_iter().map(|(word, name)| context! { value => word, name => name }).collect()
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let kind = visit.q("kind").and_then(Kind::parse);
    let text = match (visit.q("entry"), kind) {
        (Some(code), Some(kind)) if !code.is_empty() => {
            match app::catalogue::get(&door.app, &visit.op, code).await {
                Ok(entry) => Ok(Some(interface::sketch(&entry, kind))),
                Err(e) => Err(e),
            }
        }
        _ => Ok(None),
    };
    match text {
        Ok(text) => form(&door, &visit, None, text.as_deref(), None).await,
        Err(e) if e.kind() == Fault::NotFound => form(&door, &visit, None, None, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

/// The text in its form, with what is wrong with it.
async fn form(
    door: &Door,
    visit: &Visit,
    old: Option<&Interface>,
    text: Option<&str>,
    error: Option<Error>,
) -> Answer {
    let context = context! {
        kinds => words(visit), kind => visit.q("kind"), entry => visit.q("entry"), text,
        rows => text.map(|t| t.lines().count().clamp(12, 40)),
        old => old.map(value),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/interface_form.html", context, error).await
}

/// Faults that the same form can show.
fn mendable(error: &Error) -> bool {
    matches!(error.kind(), Fault::Invalid | Fault::Conflict | Fault::TooLarge)
        || (error.kind() == Fault::NotFound && !error.fields().is_empty())
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let text = posted.raw("text").replace("\r\n", "\n");
    match interface::create(&door.app, &visit.op, &text).await {
        Ok(made) => done(&format!("/console/interfaces/{}", made.id), "created"),
        Err(e) if mendable(&e) => form(&door, &visit, None, Some(&text), Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn edit_page(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (view, _) = interface::get(&door.app, &visit.op, &id).await?;
    form(&door, &visit, Some(&view.interface), Some(&view.interface.text), None).await
}

async fn edit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let text = posted.raw("text").replace("\r\n", "\n");
    match interface::change(&door.app, &visit.op, &id, &text, posted.get("seen")).await {
        Ok(made) => done(&format!("/console/interfaces/{}", made.id), "saved"),
        Err(e) if mendable(&e) => {
            let (view, _) = interface::get(&door.app, &visit.op, &id).await?;
            form(&door, &visit, Some(&view.interface), Some(&text), Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}

/// What was tried on the page.
struct Tried {
    pairs: Vec<(String, String)>,
    application: String,
    outcome: Result<String, Error>,
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    show(&door, &visit, &id, None, None).await
}

/// The page, with what was tried on it or what is wrong with the quota typed.
async fn show(
    door: &Door,
    visit: &Visit,
    id: &str,
    tried: Option<Tried>,
    wrong: Option<(&Error, &Posted)>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let (view, versions) = interface::get(app, op, id).await?;
    let documented = interface::documented(app, op, id).await?;
    let url = door.gateway(visit);
    let applications = app::account::applications(app, op).await.or_else(|e| match e.kind() {
        Fault::Denied => Ok(Vec::new()),
        _ => Err(e),
    })?;
    let moves: Vec<Value> = interface::moves(app, op, &view.interface)
        .iter()
        .map(|to| context! { word => to.as_str(), name => visit.t(to.zh(), to.en()) })
        .collect();
    let errors: Vec<Value> = documented
        .errors
        .iter()
        .map(|c| {
            context! {
                code => c.as_str(), status => c.status(), message => visit.t(c.zh(), c.en()),
                help => visit.t(c.help_zh(), c.help_en()),
            }
        })
        .collect();
    let given = |name: &str| {
        tried.as_ref().and_then(|t| t.pairs.iter().find(|(n, _)| n == name)).map(|(_, v)| v.clone())
    };
    let params: Vec<Value> = documented
        .params
        .iter()
        .map(|p| context! { p => value(p), given => given(&p.name) })
        .collect();
    let context = context! {
        row => value(&view), versions => value(&versions), moves, params, errors,
        doc => value(&documented), endpoint => format!("{url}{}", documented.path),
        samples => samples(&documented, &url, applications.first().map_or("", |a| a.key.as_str())),
        applications => value(&applications),
        paged => interface::paged(view.interface.draft.kind), limit => given("limit"), after => given("after"),
        application => tried.as_ref().map(|t| t.application.clone()),
        answer => tried.as_ref().and_then(|t| t.outcome.as_ref().ok()),
        error => tried.as_ref().and_then(|t| t.outcome.as_ref().err()).map(|e| visit.t(e.zh(), e.en())),
        code => tried.as_ref().and_then(|t| t.outcome.as_ref().err()).map(|e| e.code().as_str()),
        quota => quota_form(&view.interface.quota, wrong.map(|(_, posted)| posted)),
        quota_error => wrong.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        quota_fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        called => interface::called_today(app, op, &view.interface).await?,
        upstream => value(interface::standing(app, op, &view.interface)),
        halt => value(app::halt::of(app, HaltKind::Interface, &view.interface.code).await?),
        may_halt => app::halt::may_halt(app, op, HaltKind::Interface),
        halted_resources => halted_resources(app, &documented).await?,
        older => older(door, visit, &view.interface).await?,
        done => visit.q("done"),
        published => view.interface.state == InterfaceState::Published,
        deprecated => view.interface.state == InterfaceState::Deprecated,
        editable => matches!(view.interface.state, InterfaceState::Draft | InterfaceState::Test),
        callable => view.interface.state != InterfaceState::Draft
            && view.interface.state != InterfaceState::Offline,
    };
    door.page_with(visit, "console/interface.html", context, wrong.map(|(error, _)| error)).await
}

/// Resources behind an interface out of which nothing goes now.
async fn halted_resources(app: &App, documented: &Documented) -> Result<Vec<Value>, Error> {
    let mut halted = Vec::new();
    for r in documented.resources.iter().filter(|r| !r.entry.is_empty()) {
        if let Some(stop) = app::halt::of(app, HaltKind::Entry, &r.entry).await? {
            halted.push(context! { title => &r.title, code => &r.code, at => stop.halt.at });
        }
    }
    Ok(halted)
}

/// Where programs of the older convention call it, while that is served.
async fn older(door: &Door, visit: &Visit, interface: &Interface) -> Result<Option<String>, Error> {
    let on = app::account::convention_on(&door.app, &visit.op).await?;
    let (region, code) = (&interface.region, &interface.code);
    Ok(on.then(|| format!("{}/gateway/api/{region}/dataSharing/{code}.htm", door.gateway(visit))))
}

/// What is set, or what was typed in its place.
fn quota_form(set: &InterfaceQuota, typed: Option<&Posted>) -> Value {
    let shown = |name: &str, set: Option<u64>| match typed {
        Some(posted) => posted.get(name).to_owned(),
        None => set.map(|n| n.to_string()).unwrap_or_default(),
    };
    context! {
        per_day => shown("per_day", set.per_day),
        application_per_day => shown("application_per_day", set.application_per_day),
        per_second => shown("per_second", set.per_second.map(u64::from)),
        burst => shown("burst", set.burst.map(u64::from)),
    }
}

/// What was typed; nothing typed sets nothing.
fn quota_of(posted: &Posted) -> Result<InterfaceQuota, Error> {
    let a_day = |name: &str| match posted.get(name) {
        "" => Ok(None),
        _ => posted.number::<u64>(name).map(Some),
    };
    let a_second = |name: &str| match posted.get(name) {
        "" => Ok(None),
        _ => posted.number::<u32>(name).map(Some),
    };
    Ok(InterfaceQuota {
        per_day: a_day("per_day")?,
        application_per_day: a_day("application_per_day")?,
        per_second: a_second("per_second")?,
        burst: a_second("burst")?,
    })
}

async fn set_quota(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let kept = match quota_of(&posted) {
        Ok(quota) => interface::set_quota(&door.app, &visit.op, &id, quota).await,
        Err(e) => Err(e),
    };
    match kept {
        Ok(_) => done(&format!("/console/interfaces/{}", encode(&id)), "saved"),
        Err(e) if e.kind() == Fault::Invalid => {
            show(&door, &visit, &id, None, Some((&e, &posted))).await
        }
        Err(e) => Err(e.into()),
    }
}

fn samples(documented: &Documented, url: &str, key: &str) -> Vec<Value> {
    let query = interface::sample_query(documented);
    LANGUAGES
        .iter()
        .map(|l| {
            let text = production::filled(l, url, &documented.path, &query, key);
            context! { id => l.id, name => l.name, run => l.run, text }
        })
        .collect()
}

async fn trial(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let mut given = Arguments::default();
    let mut pairs = Vec::new();
    for (name, text) in posted.pairs() {
        if let Some(name) = name.strip_prefix("p-") {
            given.add(name, text.trim());
            pairs.push((name.to_owned(), text.trim().to_owned()));
        }
    }
    let application = posted.get("application").to_owned();
    let called = interface::trial(&door.app, &visit.op, &id, &application, given).await;
    let outcome = called.and_then(|answer| written(&answer));
    show(&door, &visit, &id, Some(Tried { pairs, application, outcome }), None).await
}

/// The answer as the page shows it.
fn written(answer: &Told) -> Result<String, Error> {
    let broken = |e: serde_json::Error| Error::internal("cannot write JSON").caused_by(e);
    let objects = |columns: &[String], rows: &[model::value::Row]| {
        rows.iter()
            .map(|row| {
                let cells = columns.iter().zip(row);
                let object: serde_json::Map<String, serde_json::Value> = cells
                    .map(|(c, v)| Ok((c.clone(), serde_json::to_value(v).map_err(broken)?)))
                    .collect::<Result<_, Error>>()?;
                Ok(serde_json::Value::Object(object))
            })
            .collect::<Result<Vec<_>, Error>>()
    };
    let shown = match &answer.body {
        Body::Rows(page) => json!({
            "rows": objects(&page.columns, &page.rows)?, "next": page.next, "total": page.total,
        }),
        Body::Groups(groups) => json!({
            "rows": objects(&groups.columns, &groups.rows)?, "hidden": groups.hidden,
        }),
        Body::Verdict(right) => {
            json!({ "verdict": right, "verdict_zh": if *right { "是" } else { "否" } })
        }
        Body::Changes(pulled) => {
            let rows: Vec<_> = pulled.changes.iter().map(|(_, row)| row.clone()).collect();
            let rows = objects(&pulled.columns, &rows)?;
            let changes: Vec<_> = pulled
                .changes
                .iter()
                .zip(rows)
                .map(|((op, _), row)| json!({ "op": op.as_str(), "row": row }))
                .collect();
            json!({ "reset": pulled.reset, "key": pulled.key, "changes": changes,
                "more": pulled.more, "next": pulled.next })
        }
        // A file is fetched by a program; here its columns are enough.
        Body::File(file) => json!({ "columns": file.columns }),
    };
    serde_json::to_string_pretty(&shown).map_err(broken)
}

async fn step(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let to = InterfaceState::parse(posted.get("to"))
        .ok_or_else(|| Error::invalid("没有这个状态", "there is no such state"))?;
    let share = match posted.get("share") {
        "" => 100,
        _ => posted.number("share")?,
    };
    let to = Move { to, share, until: posted.get("until").to_owned() };
    interface::step(&door.app, &visit.op, &id, &to).await?;
    done(&format!("/console/interfaces/{}", encode(&id)), "saved")
}

async fn share(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    interface::set_share(&door.app, &visit.op, &id, posted.number("share")?).await?;
    done(&format!("/console/interfaces/{}", encode(&id)), "saved")
}

async fn until(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    interface::set_until(&door.app, &visit.op, &id, posted.get("until")).await?;
    done(&format!("/console/interfaces/{}", encode(&id)), "saved")
}

async fn version(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let made = interface::version(&door.app, &visit.op, &id).await?;
    done(&format!("/console/interfaces/{}/edit", made.id), "created")
}

async fn openapi(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let documented = interface::documented(&door.app, &visit.op, &id).await?;
    let described = interface::openapi(&documented, &door.gateway(&visit));
    let bytes = serde_json::to_vec_pretty(&described)
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"openapi.json\""),
    ];
    Ok((headers, bytes).into_response())
}
