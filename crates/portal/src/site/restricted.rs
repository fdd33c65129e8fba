//! 受限开放: my applications, the form to apply, one application with its papers, public statistics, and the verification of a paper.
//! One application's page serves the desk, too (see `console/restricted.rs`): the same page, what one may do differs.

use std::sync::Arc;

use app::restricted::{self, UseOrder, UseSeen};
use axum::Router;
use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::request::RequestWay;
use model::restricted::{PaperKind, SignWay, UseAnswer, UseDeed, UseFile, UseNew, UseReportNew};
use model::{Error, Kind, Result};

use super::attachment as attachment_named;
use super::city;
use super::interact::{may_write, word};
use crate::console::{done, next_link};
use crate::form::{self, Posted};
use crate::items;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Applications of one page.
const PAGE: u32 = 20;
/// The page of what is one's own.
const MINE: &str = "/restricted";

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route(MINE, get(list))
        .route("/restricted/new", get(blank).post(file))
        .route("/restricted/key", post(key))
        .route("/restricted/statistics", get(statistics))
        .route("/restricted/credit/{id}", post(object))
        .route("/restricted/{number}", get(show))
        .route("/restricted/{number}/edit", get(edit).post(revise))
        .route("/restricted/{number}/discard", post(discard))
        .route("/restricted/{number}/moves", post(moves))
        .route("/restricted/{number}/files", post(attach).layer(DefaultBodyLimit::disable()))
        .route("/restricted/{number}/files/{file}", get(attachment))
        .route("/restricted/{number}/papers/{kind}", get(paper))
        .route("/agreements/verify", get(verify))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    mine(&door, &visit, None).await
}

async fn mine(door: &Door, visit: &Visit, wrong: Option<&Error>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let page = restricted::mine(app, op, visit.q("before"), PAGE).await?;
    let may_apply = restricted::may_file(app, op);
    let context = context! {
        rows => value(&page.items), credit => value(restricted::credit_mine(app, op).await?), may_apply,
        key => match may_apply { true => value(restricted::signing_key(app, op).await?), false => Value::from(()) },
        today => op.today().to_string(), first => visit.q("before").is_some(),
        next => next_link(visit, "before", page.next.as_deref()), done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "site/restricted.html", context, wrong).await
}

async fn blank(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let codes = visit.query.iter().filter(|(k, v)| k == "code" && !v.is_empty());
    let new = UseNew {
        entries: codes.map(|(_, code)| (code.clone(), Vec::new())).collect(),
        calls_per_day: 1000,
        renews: visit.q("renews").unwrap_or_default().to_owned(),
        ..UseNew::default()
    };
    blank_form(&door, &visit, &new, None, None).await
}

/// A draft that is changed: its number, and its `edit` as the form was filled from it.
type Draft<'a> = (&'a str, u64);

/// The form, with what was typed and what is wrong with it; of a draft that is saved already, or of a new one.
async fn blank_form(
    door: &Door,
    visit: &Visit,
    new: &UseNew,
    draft: Option<Draft<'_>>,
    wrong: Option<&Error>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let mut datasets = Vec::new();
    for (code, chosen) in &new.entries {
        let dataset = app::opening::dataset(app, op, code).await?;
        let items: Vec<Value> = dataset
            .entry
            .draft
            .items
            .iter()
            .filter(|i| RequestWay::Open.offers(i))
            .map(|i| {
                let ticked = chosen.is_empty() || chosen.contains(&i.identifier);
                context! { item => value(i), ticked }
            })
            .collect();
        datasets.push(
            context! { entry => value(&dataset.entry), items, free => dataset.entry.freely_open() },
        );
    }
    let applications = match restricted::may_file(app, op) {
        true => app::account::applications(app, op).await?,
        false => Vec::new(),
    };
    // What would have the application refused is told before it is written.
    let today = op.today();
    let credit = restricted::credit_mine(app, op).await?;
    let credit: Vec<Value> = credit
        .iter()
        .filter(|c| c.repaired_at.is_empty() && c.until >= today)
        .map(|c| context! { rule => &c.rule, until => c.until.to_string() })
        .collect();
    let rules = &app.rules.restricted;
    let questions: Vec<Value> = rules
        .questions
        .iter()
        .map(|q| {
            let given = new.answers.iter().find(|a| a.question == q.id);
            context! {
                question => value(q), choice => given.map(|a| a.choice.clone()),
                text => given.map(|a| a.text.clone()).unwrap_or_default(),
            }
        })
        .collect();
    let context = context! {
        form => value(new), datasets, questions, credit, methods => value(&rules.methods),
        may_apply => restricted::may_file(app, op),
        applications => value(applications.iter().filter(|a| a.active).collect::<Vec<_>>()),
        longest => context! { purpose => rules.longest.purpose, scope => rules.longest.scope, text => rules.longest.text },
        until => new.until.map(|d| d.to_string()).unwrap_or_default(),
        draft => draft.map(|(number, _)| number), seen => draft.map(|(_, seen)| seen),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "site/restricted_new.html", context, wrong).await
}

fn read(door: &Door, posted: &Posted) -> Result<UseNew> {
    let said = |name: &str| posted.get(name).to_owned();
    let entries: Vec<(String, Vec<String>)> = posted
        .all("code")
        .map(|code| {
            let field = format!("items-{code}");
            let items: Vec<String> = posted.all(&field).map(str::to_owned).collect();
            (code.to_owned(), items)
        })
        .collect();
    let answers = door.app.rules.restricted.questions.iter().map(|q| UseAnswer {
        question: q.id.clone(),
        choice: said(&format!("answer-{}", q.id)),
        text: said(&format!("explain-{}", q.id)),
    });
    Ok(UseNew {
        entries,
        application: said("application"),
        purpose: said("purpose"),
        scope: said("scope"),
        method: said("method"),
        until: posted.get("until").parse().ok(),
        calls_per_day: posted.number("calls_per_day")?,
        answers: answers.collect(),
        renews: said("renews"),
    })
}

async fn file(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    may_write(&visit)?;
    let new = read(&door, &posted)?;
    match restricted::file(&door.app, &visit.op, new.clone()).await {
        Ok(filed) => done(&city::kept(&door, &visit, &at(false, &filed.number)), "saved"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            blank_form(&door, &visit, &new, None, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A draft in its form, as it was saved.
async fn edit(State(door): State<Arc<Door>>, Path(number): Path<String>, visit: Visit) -> Answer {
    let (draft, form) = restricted::saved(&door.app, &visit.op, &number).await?;
    blank_form(&door, &visit, &form, Some((draft.number.as_str(), draft.edit)), None).await
}

/// Saves what was changed of a draft, unless somebody has changed it since the form was filled.
async fn revise(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let (new, seen) = (read(&door, &posted)?, posted.number("seen")?);
    match restricted::revise(&door.app, &visit.op, &number, seen, new.clone()).await {
        Ok(revised) => done(&city::kept(&door, &visit, &at(false, &revised.number)), "saved"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            blank_form(&door, &visit, &new, Some((number.as_str(), seen)), Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn discard(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    restricted::discard(&door.app, &visit.op, &number, posted.number("seen")?).await?;
    done(&city::kept(&door, &visit, MINE), "removed")
}

async fn key(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    may_write(&visit)?;
    match restricted::register_key(&door.app, &visit.op, posted.get("key")).await {
        Ok(_) if restricted::may_file(&door.app, &visit.op) => {
            done(&city::kept(&door, &visit, MINE), "saved")
        }
        Ok(_) => done("/console/restricted", "saved"),
        Err(error) if error.kind() == Kind::Invalid => mine(&door, &visit, Some(&error)).await,
        Err(error) => Err(error.into()),
    }
}

async fn object(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    match restricted::credit_object(&door.app, &visit.op, &id, posted.get("text")).await {
        Ok(_) => done(&city::kept(&door, &visit, MINE), "saved"),
        Err(error) if error.kind() == Kind::Invalid => mine(&door, &visit, Some(&error)).await,
        Err(error) => Err(error.into()),
    }
}

async fn statistics(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let figures = restricted::figures(&door.app, &visit.op).await?;
    let rows: Vec<_> = std::iter::once(&figures.all).chain(&figures.providers).collect();
    let context = context! { rows => value(&rows) };
    door.page(&visit, "site/restricted_statistics.html", context).await
}

async fn verify(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (number, digest) = (visit.q("number").unwrap_or(""), visit.q("digest").unwrap_or(""));
    let asked = !number.is_empty() || !digest.is_empty();
    let found = match asked {
        true => restricted::verify(&door.app, &visit.op, number, digest).await?,
        false => None,
    };
    let context = context! { asked, number, digest, found => value(&found) };
    door.page(&visit, "site/restricted_verify.html", context).await
}

async fn show(State(door): State<Arc<Door>>, Path(number): Path<String>, visit: Visit) -> Answer {
    opened(&door, &visit, &number, false, None).await
}

/// The page of one application, for its applicant or (`desk`) for those who decide.
pub(crate) async fn opened(
    door: &Door,
    visit: &Visit,
    number: &str,
    desk: bool,
    wrong: Option<&Error>,
) -> Answer {
    opened_with(door, visit, number, desk, (None, wrong)).await
}

/// The same with what was typed of a report on use that was not taken.
async fn opened_with(
    door: &Door,
    visit: &Visit,
    number: &str,
    desk: bool,
    (typed, wrong): (Option<UseReportNew>, Option<&Error>),
) -> Answer {
    let view = restricted::open(&door.app, &visit.op, number).await?;
    let report = typed.unwrap_or_else(|| begun(&view));
    let mut entries = Vec::new();
    for asked in &view.application.entries {
        let entry = items::dataset(door, visit, &asked.code).await?;
        let named = items::named(entry.as_ref().map(|e| &e.draft), &asked.items);
        entries.push(context! { named, ..value(asked) });
    }
    let template = if desk { "console/restricted_use.html" } else { "site/restricted_use.html" };
    let context = context! {
        ..shown(door, &view, desk, visit.op.actor.id()),
        ..context! {
            done => visit.q("done"), report => value(&report), entries,
            error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
            fields => value(wrong.map(Error::fields).unwrap_or_default()),
        }
    };
    door.page_with(visit, template, context, wrong).await
}

/// The form of a report on use as it begins: what was said before, when it was returned, and the figures of the meter.
fn begun(view: &UseSeen) -> UseReportNew {
    let said = view.application.awaited().map(|r| r.said.clone()).unwrap_or_default();
    UseReportNew { calls: view.metered.calls, rows: view.metered.rows, ..said }
}

/// Where the pages of one application are; its applicant's stand on a city's site where they were reached by one (`city::kept`).
fn at(desk: bool, number: &str) -> String {
    let base = if desk { "/console/restricted" } else { MINE };
    format!("{base}/{number}")
}

fn shown(door: &Door, view: &UseSeen, desk: bool, me: &str) -> Value {
    let rules = &door.app.rules.restricted;
    let a = &view.application;
    let answers: Vec<Value> = a
        .answers
        .iter()
        .filter_map(|answer| {
            let question = rules.question(&answer.question)?;
            let choice = question.choice(&answer.choice)?;
            let files: Vec<_> = a.files.iter().filter(|f| f.of == question.id).collect();
            Some(context! { question => value(question), choice => value(choice), text => answer.text.as_str(), files => value(&files) })
        })
        .collect();
    // The paper that is to be signed now, and by which deed; scans of it that the reader brought.
    let signs = view.deeds.iter().find_map(|deed| deed.signs().map(|kind| (*deed, kind)));
    let seal = signs.map(|(_, kind)| format!("seal:{}", kind.as_str()));
    let mine = |f: &&UseFile| seal.as_ref() == Some(&f.of) && f.by == me;
    let seals: Vec<_> = a.files.iter().filter(mine).collect();
    let sign = signs.and_then(|(deed, kind)| {
        let paper = a.paper(kind)?;
        let digest = view.key.as_ref().map(|k| paper.digest(k.algorithm).to_owned());
        Some(context! {
            deed => deed.as_str(), kind => kind.as_str(), sm3 => paper.sm3.as_str(), sha256 => paper.sha256.as_str(), digest,
            algorithm => view.key.as_ref().map(|k| k.algorithm.as_str()),
            platform => deed == UseDeed::Countersign && view.key.is_none(),
        })
    });
    context! {
        view => value(view), ask => value(a), base => at(desk, &a.number), desk, answers, seals => value(&seals),
        deeds => view.deeds.iter().map(|d| d.as_str()).collect::<Vec<_>>(), sign,
        method => value(rules.method(&a.method)), confirm => value(&rules.confirm),
        papers => value(&a.papers), longest => rules.longest.text,
    }
}

/// What a form orders to be done.
pub(crate) fn order(posted: &Posted) -> Result<UseOrder> {
    let said = posted.get("do");
    let deed = word(UseDeed::ALL, UseDeed::as_str, Some(said)).ok_or_else(|| {
        let shown: String = said.chars().take(40).collect();
        Error::invalid(format!("没有操作 `{shown}`"), format!("there is no action `{shown}`"))
    })?;
    Ok(UseOrder {
        seen: match posted.get("seen") {
            "" => None,
            _ => Some(posted.number("seen")?),
        },
        rule: posted.get("rule").to_owned(),
        way: word(SignWay::ALL, SignWay::as_str, Some(posted.get("way"))),
        digest: posted.get("digest").to_owned(),
        signature: posted.get("signature").to_owned(),
        confirm: posted.get("confirm").to_owned(),
        report: match deed {
            UseDeed::Report => Some(reported(posted)?),
            _ => None,
        },
        ..UseOrder::new(deed, posted.get("text"))
    })
}

/// What the form of a report on use says.
fn reported(posted: &Posted) -> Result<UseReportNew> {
    let said = |name: &str| posted.get(name).to_owned();
    Ok(UseReportNew {
        done: said("done"),
        people: said("people"),
        measures: said("measures"),
        incidents: said("incidents"),
        results: said("results"),
        calls: posted.number("calls")?,
        rows: posted.number("rows")?,
    })
}

/// Does what a form orders, and answers the page with what was wrong.
pub(crate) async fn ordered(
    door: &Door,
    visit: &Visit,
    number: &str,
    desk: bool,
    posted: &Posted,
) -> Answer {
    may_write(visit)?;
    let order = order(posted)?;
    let (word, typed) = (order.deed.as_str(), order.report.clone());
    match restricted::act(&door.app, &visit.op, number, order).await {
        Ok(a) => done(&city::kept(door, visit, &at(desk, &a.number)), word),
        Err(error) if error.kind() == Kind::Invalid => {
            opened_with(door, visit, number, desk, (typed, Some(&error))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn moves(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    ordered(&door, &visit, &number, false, &posted).await
}

/// Streams evidence or the scan of a sealed paper in.
pub(crate) async fn take_in(
    door: &Door,
    visit: &Visit,
    number: &str,
    desk: bool,
    multipart: std::result::Result<Multipart, MultipartRejection>,
) -> Answer {
    // What is no multipart form has no token either.
    let Ok(mut multipart) = multipart else {
        visit.check_csrf(None)?;
        return Err(Error::invalid("表单无法读取", "the form cannot be read").into());
    };
    may_write(visit)?;
    let (app, op) = (&door.app, &visit.op);
    let most = app.rules.basket.attachment.bytes;
    let (_, kept) = form::upload(visit, most, &mut multipart, |posted, name, bytes| async move {
        restricted::attach(app, op, number, posted.get("of"), &name, bytes).await
    })
    .await?;
    if kept.is_none() {
        return Err(Error::invalid("请选择要上传的文件", "choose a file to upload")
            .field("file", "请选择文件", "choose a file")
            .into());
    }
    done(&city::kept(door, visit, &at(desk, &encode(number))), "attached")
}

async fn attach(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    multipart: std::result::Result<Multipart, MultipartRejection>,
) -> Answer {
    take_in(&door, &visit, &number, false, multipart).await
}

/// A file of an application, streamed to its parties; browsers keep it and never run it.
async fn attachment(
    State(door): State<Arc<Door>>,
    Path((number, file)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (file, content) = restricted::attachment(&door.app, &visit.op, &number, &file).await?;
    let mut response =
        (attachment_named(&file.name, "application/octet-stream"), Body::from_stream(content))
            .into_response();
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::from_str(&file.media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes));
    Ok(response)
}

/// A paper: `undertaking.pdf`, or its text as it is signed, `undertaking.txt`.
async fn paper(
    State(door): State<Arc<Door>>,
    Path((number, name)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (word_of, kind_of) = name.rsplit_once('.').unwrap_or((name.as_str(), ""));
    let unknown = || Error::not_found("文书", "paper", &name.chars().take(40).collect::<String>());
    let kind = word(PaperKind::ALL, PaperKind::as_str, Some(word_of)).ok_or_else(unknown)?;
    match kind_of {
        "pdf" => {
            let address = format!("{}/agreements/verify", visit.base);
            let (number, bytes) =
                restricted::print(&door.app, &visit.op, &number, kind, &address).await?;
            let named = attachment_named(&format!("{number}.pdf"), "application/pdf");
            Ok((named, Body::from(bytes)).into_response())
        }
        "txt" => {
            let view = restricted::open(&door.app, &visit.op, &number).await?;
            let paper = view.application.paper(kind).ok_or_else(unknown)?;
            let named =
                attachment_named(&format!("{}.txt", paper.number), "text/plain; charset=utf-8");
            Ok((named, Body::from(paper.text.clone())).into_response())
        }
        _ => Err(unknown().into()),
    }
}
