//! Reporting for those who fill and those who answer: the desk, a task with its form, its workbook, files and decisions.

use std::sync::Arc;

use app::report::{self, Agreement, Faced, Import, RowsPage, Saved, TaskView, Typed};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::report::{Cells, Fault, FormField, TaskState};
use model::{Code, Error, Result};

use crate::console::{PAGE, done, next_link, temporary};
use crate::export::xlsx;
use crate::form::{self, Posted};
use crate::site::attachment;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/reports", get(desk))
        .route("/console/reports/{id}", get(one))
        .route("/console/reports/{id}/save", post(save))
        .route("/console/reports/{id}/import", post(import).layer(DefaultBodyLimit::disable()))
        .route("/console/reports/{id}/template.xlsx", get(template))
        .route("/console/reports/{id}/filled.xlsx", get(filled))
        .route("/console/reports/{id}/files", post(attach).layer(DefaultBodyLimit::disable()))
        .route("/console/reports/{id}/files/{file}", get(download))
        .route("/console/reports/{id}/files/{file}/remove", post(detach))
        .route("/console/reports/{id}/decide", post(decide))
}

async fn desk(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let view = visit.q("view").unwrap_or("own");
    let faced = match view {
        "waiting" => Faced::Below(true),
        "below" => Faced::Below(false),
        _ => Faced::Own,
    };
    let page = report::desk(&door.app, &visit.op, faced, visit.q("before"), PAGE).await?;
    let today = visit.op.today();
    let tasks: Vec<Value> = page
        .items
        .iter()
        .map(|t| context! { task => value(t), overdue => t.overdue(today) })
        .collect();
    let context = context! {
        view, tasks, done => visit.q("done"), designs => report::may_design(&door.app, &visit.op),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "console/reports.html", context).await
}

/// What a page shows beside the task.
#[derive(Default)]
struct Told<'a> {
    posted: Option<&'a Posted>,
    faults: Vec<Fault>,
    fault_count: usize,
    agreement: Option<Agreement>,
    import: Option<&'a Import>,
    error: Option<Error>,
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    show(&door, &visit, &id, Told::default()).await
}

async fn show(door: &Door, visit: &Visit, id: &str, told: Told<'_>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = report::task(app, op, id).await?;
    let revision = visit.q("revision").and_then(|r| r.parse().ok());
    let from = told.posted.map_or_else(|| visit.q("from"), |p| Some(p.get("from")));
    let from = from.and_then(|f| f.parse().ok()).unwrap_or(1);
    let page = report::rows(app, op, id, revision, from).await?;
    let writes = view.may_fill && view.task.state.writable() && revision.is_none();
    let mut faults = told.faults;
    if writes && told.posted.is_none() && view.task.state != TaskState::Open {
        let mut shown = vec![(0, page.head.clone())];
        shown.extend(page.rows.iter().cloned());
        faults = report::faults(app, op, id, &shown).await?;
    }
    let agreement = match told.agreement {
        Some(agreement) => agreement,
        None if view.below.is_empty() => Agreement::default(),
        None => report::agreement(app, op, id).await.unwrap_or_default(),
    };
    let events = report::events(app, op, id, None, PAGE).await?;
    door.names.refresh(app).await;
    let rules = &app.rules.basket.attachment;
    let context = context! {
        view => value(&view), task => value(&view.task), form => value(&view.form), writes, from, revision,
        page => sheet(visit, &view, &page, &faults, told.posted),
        faults => placed(&view, &faults), fault_count => told.fault_count.max(faults.len()),
        import => told.import.map(|i| context! { saved => i.saved, read => i.read, kept => i.kept, count => i.fault_count, faults => value(&i.faults) }),
        agreement => figures(visit, &view, &agreement, told.posted),
        events => value(&events.items), done => visit.q("done"),
        accept => rules.accept(),
        error => told.error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => told.error.as_ref().map(|e| e.code().as_str()),
        fields => value(told.error.as_ref().map(Error::fields).unwrap_or_default()),
        more => page.next.map(|n| format!("/console/reports/{}?from={n}", encode(id))),
    };
    let mut response = door.page(visit, "console/report.html", context).await?;
    let status = match (&told.error, told.import.is_some_and(|i| !i.saved), told.posted) {
        (Some(e), _, _) => {
            StatusCode::from_u16(e.kind().status()).unwrap_or(StatusCode::BAD_REQUEST)
        }
        (None, true, _) | (None, _, Some(_)) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    *response.status_mut() = status;
    Ok(response)
}

/// The name of a cell's input.
fn name(row: u64, place: usize) -> String {
    format!("c-{row}-{place}")
}

/// What is filled once and the rows of the page, cell by cell; what was typed stands over what is kept.
fn sheet(
    visit: &Visit,
    view: &TaskView,
    page: &RowsPage,
    faults: &[Fault],
    posted: Option<&Posted>,
) -> Value {
    let draft = &view.form.draft;
    let of = |n: u64, cells: &Cells| -> Vec<Value> {
        draft
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| draft.belongs(field, n))
            .map(|(place, field)| {
                let kept = cells.get(place).cloned().flatten().unwrap_or_default();
                let name = name(n, place);
                let typed = posted
                    .and_then(|p| p.names().any(|k| k == name).then(|| p.raw(&name).to_owned()));
                let other = typed.as_ref().filter(|t| t.trim() != kept).map(|_| kept.clone());
                let fault = faults.iter().find(|f| f.row == n && f.field == field.id());
                cell(visit, field, name, &typed.unwrap_or(kept), other, fault)
            })
            .collect()
    };
    let rows: Vec<Value> = page
        .rows
        .iter()
        .map(|(n, cells)| {
            let fault = faults.iter().find(|f| f.row == *n && f.field.is_empty());
            context! { n, cells => of(*n, cells), fault => fault.map(|f| visit.t(&f.zh, &f.en)) }
        })
        .collect();
    let columns: Vec<Value> = draft
        .fields
        .iter()
        .filter(|f| draft.belongs(f, 1))
        .map(|f| context! { name => label(visit, f), required => f.required, help => help(visit, f) })
        .collect();
    context! { head => of(0, &page.head), columns, rows, count => page.count, has_rows => draft.has_rows() }
}

fn label(visit: &Visit, field: &FormField) -> String {
    let en =
        if field.item.name_en.is_empty() { &field.item.identifier } else { &field.item.name_en };
    let unit =
        if field.item.unit.is_empty() { String::new() } else { format!(" ({})", field.item.unit) };
    format!("{}{unit}", visit.t(&field.item.name_cn, en))
}

fn help(visit: &Visit, field: &FormField) -> String {
    let en = if field.help_en.is_empty() { &field.help } else { &field.help_en };
    visit.t(&field.help, en).to_owned()
}

fn cell(
    visit: &Visit,
    field: &FormField,
    name: String,
    shown: &str,
    other: Option<String>,
    fault: Option<&Fault>,
) -> Value {
    let known = shown.is_empty() || field.codes.iter().any(|c| c.code == shown);
    let mode = if field.numeric() { "decimal" } else { "text" };
    context! {
        name, label => label(visit, field), help => help(visit, field), value => shown, other, mode,
        required => field.required, kind => field.item.data_type.as_str(),
        long => field.item.data_type.as_str() == "text" && field.item.length > 200,
        codes => field.codes.iter().map(|c| context! { code => &c.code, name => &c.name }).collect::<Vec<_>>(),
        stray => !known, fault => fault.map(|f| visit.t(&f.zh, &f.en)),
    }
}

/// Faults with the words of their fields.
fn placed(view: &TaskView, faults: &[Fault]) -> Vec<Value> {
    let draft = &view.form.draft;
    faults
        .iter()
        .map(|f| {
            let place = draft.place(&f.field);
            let field = place.and_then(|p| draft.fields.get(p));
            context! {
                row => f.row, zh => &f.zh, en => &f.en,
                name => field.map(|x| x.item.name_cn.clone()), en_name => &f.field,
                to => place.map(|p| name(f.row, p)),
            }
        })
        .collect()
}

/// The table of disagreements, with the reasons typed so far.
fn figures(
    visit: &Visit,
    view: &TaskView,
    agreement: &Agreement,
    posted: Option<&Posted>,
) -> Value {
    let draft = &view.form.draft;
    let typed = |key: &str| {
        let n = posted.and_then(|p| {
            p.pairs()
                .find(|(k, v)| k.starts_with("cell-") && *v == key)
                .map(|(k, _)| k.replace("cell-", "why-"))
        });
        n.and_then(|n| posted.map(|p| p.get(&n).to_owned())).unwrap_or_default()
    };
    let kept = |by: &[String], field: &str| {
        let known = view.task.explained.iter().find(|e| e.by == by && e.field == field);
        known.map(|e| e.reason.clone()).unwrap_or_default()
    };
    let rows: Vec<Value> = agreement
        .differences
        .iter()
        .zip(&agreement.parts)
        .map(|(d, parts)| {
            let field = draft.place(&d.field).and_then(|p| draft.fields.get(p));
            let reason = Some(typed(&d.key())).filter(|r| !r.is_empty());
            context! {
                key => d.key(), by => d.by.join(" · "), rule => d.rule.as_str(),
                name => field.map(|f| label(visit, f)),
                own => d.own.map(|n| n.to_string()), below => d.below.map(|n| n.to_string()),
                parts => parts.iter().map(|(org, n)| context! { org, n => n.map(|n| n.to_string()) }).collect::<Vec<_>>(),
                reason => reason.unwrap_or_else(|| kept(&d.by, &d.field)),
            }
        })
        .collect();
    context! {
        rows, missing => &agreement.missing, reason => typed("missing"),
        whole => agreement.whole(), rows_own => agreement.own.rows, rows_below => agreement.below.rows,
    }
}

/// What a posted form says of cells: `c-<row>-<field>`.
fn typed(posted: &Posted) -> Typed {
    let cells = posted
        .pairs()
        .filter_map(|(k, v)| {
            let (row, place) = k.strip_prefix("c-")?.split_once('-')?;
            Some((row.parse().ok()?, place.parse().ok()?, v.replace("\r\n", "\n")))
        })
        .collect();
    let action = posted.get("action");
    let drop = action.strip_prefix("drop-").and_then(|n| n.parse().ok());
    Typed { cells, drop: drop.into_iter().collect(), add: u64::from(action == "add") }
}

/// Keeps what was typed; then adds or drops a row, or hands the report in.
async fn save(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let seen = posted.number("version")?;
    let saved = report::save_draft(app, op, &id, seen, typed(&posted)).await;
    let quiet = visit.fragment;
    let saved = match saved {
        Ok(saved) => saved,
        Err(e) if e.code() == Code::Stale && quiet => {
            let context = context! { stale => visit.t(e.zh(), e.en()), version => seen };
            return door.page(&visit, "console/report_saved.html", context).await;
        }
        Err(e) if e.code() == Code::Stale => {
            let told = Told { posted: Some(&posted), error: Some(e), ..Told::default() };
            return show(&door, &visit, &id, told).await;
        }
        Err(e) => return Err(e.into()),
    };
    if quiet {
        let context = context! {
            version => saved.task.version, at => &saved.task.edited_at, count => saved.fault_count,
        };
        return door.page(&visit, "console/report_saved.html", context).await;
    }
    if posted.get("action") == "submit" {
        return submit(&door, &visit, &id, &posted, &saved).await;
    }
    let from = Some(posted.get("from")).filter(|f| !f.is_empty()).unwrap_or("1");
    let mut path = format!("/console/reports/{}?from={}", encode(&id), encode(from));
    if posted.get("action") == "add" {
        // The new row is the last one; a page that begins with it shows it.
        let page = report::rows(app, op, &id, None, from.parse().unwrap_or(1)).await?;
        if let Some(next) = page.next {
            path = format!("/console/reports/{}?from={next}", encode(&id));
        }
    }
    done(&path, "saved")
}

async fn submit(door: &Door, visit: &Visit, id: &str, posted: &Posted, saved: &Saved) -> Answer {
    let reasons: Vec<(String, String)> = posted
        .pairs()
        .filter_map(|(k, v)| {
            let n = k.strip_prefix("cell-")?;
            Some((v.to_owned(), posted.get(&format!("why-{n}")).to_owned()))
        })
        .collect();
    let ended = report::submit(&door.app, &visit.op, id, saved.task.version, &reasons).await?;
    if ended.submitted {
        return done(&format!("/console/reports/{}", encode(id)), "submitted");
    }
    let told = Told {
        posted: Some(posted),
        faults: ended.faults,
        fault_count: ended.fault_count,
        agreement: ended.agreement,
        ..Told::default()
    };
    show(door, visit, id, told).await
}

async fn import(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let most = app.rules.report.sheet_bytes;
    let (_, import) = form::upload(&visit, most, &mut multipart, |posted, _, bytes| {
        let id = id.as_str();
        async move {
            let seen = posted.number("version")?;
            let file = temporary::keep(bytes, most).await?;
            report::import(app, op, id, seen, file.path(), posted.ticked("good_rows")).await
        }
    })
    .await?;
    let import = import.ok_or_else(no_file)?;
    if import.saved && import.fault_count == 0 {
        return done(&format!("/console/reports/{}", encode(&id)), "imported");
    }
    show(&door, &visit, &id, Told { import: Some(&import), ..Told::default() }).await
}

fn no_file() -> Error {
    Error::invalid("请选择要上传的文件", "choose a file to upload").field(
        "file",
        "请选择文件",
        "choose a file",
    )
}

/// A workbook as an answer.
pub(super) fn book((name, bytes): (String, Vec<u8>)) -> Answer {
    Ok((attachment(&name, xlsx::CONTENT_TYPE), Body::from(bytes)).into_response())
}

async fn template(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    book(report::template(&door.app, &visit.op, &id).await?)
}

async fn filled(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    book(report::filled(&door.app, &visit.op, &id).await?)
}

async fn attach(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let most = app.rules.basket.attachment.bytes;
    let (_, kept) = form::upload(&visit, most, &mut multipart, |_, name, bytes| {
        let id = id.as_str();
        async move { report::attach(app, op, id, &name, bytes).await }
    })
    .await?;
    kept.ok_or_else(no_file)?;
    done(&format!("/console/reports/{}", encode(&id)), "attached")
}

async fn detach(
    State(door): State<Arc<Door>>,
    Path((id, file)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    report::detach(&door.app, &visit.op, &id, &file).await?;
    done(&format!("/console/reports/{}", encode(&id)), "removed")
}

async fn download(
    State(door): State<Arc<Door>>,
    Path((id, file)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (file, content) = report::attachment(&door.app, &visit.op, &id, &file).await?;
    let mut response =
        (attachment(&file.name, "application/octet-stream"), Body::from_stream(content))
            .into_response();
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::from_str(&file.media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes));
    Ok(response)
}

async fn decide(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let word = match decided(&door, &visit, &id, &posted).await {
        Ok(word) => word,
        Err(e) if matches!(e.kind(), model::Kind::Invalid | model::Kind::Conflict) => {
            return show(&door, &visit, &id, Told { error: Some(e), ..Told::default() }).await;
        }
        Err(e) => return Err(e.into()),
    };
    done(&format!("/console/reports/{}", encode(&id)), word)
}

async fn decided(door: &Door, visit: &Visit, id: &str, posted: &Posted) -> Result<&'static str> {
    let (app, op, reason) = (&door.app, &visit.op, posted.get("reason"));
    match posted.get("action") {
        "accept" => report::accept(app, op, id).await.map(|_| "accepted"),
        "return" => report::give_back(app, op, id, reason).await.map(|_| "returned"),
        "withdraw" => report::withdraw(app, op, id, reason).await.map(|_| "withdraw"),
        "take_back" => report::take_back(app, op, id).await.map(|_| "withdraw"),
        _ => Err(Error::invalid("未知的操作", "this cannot be done")),
    }
}
