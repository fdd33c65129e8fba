//! Pipelines in the console: the list with state, last and next turn; one with its file, versions, turns and lineage. The file is
//! edited as the text it is; what is wrong with it is marked at its lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::pipeline::{self, DryRun, PipelineView};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::pipeline::{PipelineWish, Turn, TurnState};
use model::{Error, FieldError};

use crate::console::{PAGE, done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Turns and versions of one page.
const SHOWN: u32 = 20;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/pipelines", get(list).post(create))
        .route("/console/pipelines/new", get(new_page))
        .route("/console/pipelines/try", post(try_text))
        .route("/console/pipelines/secrets", get(secrets).post(secret_set))
        .route("/console/pipelines/secrets/remove", post(secret_remove))
        .route("/console/pipelines/{id}", get(one).post(edit))
        .route("/console/pipelines/{id}/figures", get(figures))
        .route("/console/pipelines/{id}/download", get(download))
        .route("/console/pipelines/{id}/run", post(run))
        .route("/console/pipelines/{id}/pause", post(pause))
        .route("/console/pipelines/{id}/resume", post(resume))
        .route("/console/pipelines/{id}/backfill", post(backfill))
        .route("/console/pipelines/{id}/again", post(again))
        .route("/console/pipelines/{id}/cancel", post(cancel))
        .route("/console/pipelines/{id}/remove", post(remove))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = pipeline::list(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let context = context! {
        pipelines => page.items.iter().map(row).collect::<Vec<_>>(), done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/pipelines.html", context).await
}

fn row(view: &PipelineView) -> Value {
    context! { p => value(view), paused => view.pipeline.wish == PipelineWish::Pause }
}

/// A text in its form, with what is wrong or what it would bring.
struct Shown<'a> {
    text: &'a str,
    /// The pipeline it is of, and the version it was made from.
    view: Option<&'a PipelineView>,
    seen: String,
    error: Option<Error>,
    /// It was held against the house and nothing is wrong.
    checked: bool,
    dry: Option<DryRun>,
}

/// Lines with what is wrong with them.
fn lines(visit: &Visit, text: &str, fields: &[FieldError]) -> Vec<Value> {
    let mut marks: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for field in fields {
        let line = field.en.strip_prefix("line ").and_then(|rest| rest.split(':').next());
        if let Some(line) = line.and_then(|n| n.parse().ok()) {
            marks.entry(line).or_default().push(visit.t(&field.zh, &field.en));
        }
    }
    if marks.is_empty() {
        return Vec::new();
    }
    text.lines()
        .enumerate()
        .map(|(n, line)| {
            let faults: Option<Vec<String>> =
                marks.get(&(n + 1)).map(|all| all.iter().map(|f| (*f).to_owned()).collect());
            context! { n => n + 1, text => line, faults }
        })
        .collect()
}

fn form(visit: &Visit, shown: &Shown<'_>) -> Value {
    let fields = shown.error.as_ref().map(Error::fields).unwrap_or_default();
    let words = |pairs: &[(String, String)]| -> Vec<String> {
        pairs.iter().map(|(zh, en)| visit.t(zh, en).to_owned()).collect()
    };
    context! {
        text => shown.text, seen => &shown.seen, checked => shown.checked,
        rows => shown.text.lines().count().clamp(12, 40),
        id => shown.view.map(|v| v.pipeline.id.clone()),
        error => shown.error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => shown.error.as_ref().map(|e| e.code().as_str()),
        fields => value(fields), lines => lines(visit, shown.text, fields),
        dry => shown.dry.as_ref().map(value),
        beyond => shown.dry.as_ref().and_then(|d| d.beyond.as_ref()).map(|(zh, en)| visit.t(zh, en)),
        lineage => shown.dry.as_ref().and_then(|d| d.plan.as_ref()).map(lineage),
        notes => shown.dry.as_ref().and_then(|d| d.plan.as_ref()).map(|p| words(&p.notes)),
    }
}

/// Columns of a transformation with where they come from.
fn lineage(plan: &app::pipeline::TransformPlan) -> Vec<Value> {
    plan.columns
        .iter()
        .map(|c| {
            context! {
                name => &c.name, kind => &c.kind, item => &c.item, from => &c.from,
                through => &c.through, by => &c.by,
            }
        })
        .collect()
}

/// A beginning, by a source and an entry of the organisation where there are some.
async fn sample(door: &Door, visit: &Visit) -> Result<String, Error> {
    let sources = app::collection::source::list(&door.app, &visit.op).await?;
    let source = sources.first().map_or("数据源名称", |s| s.name.as_str());
    let entry = visit.q("entry").unwrap_or("entry_code");
    let plain = |text: &str| text.replace(['"', '\\'], "");
    Ok(format!(
        "# {}\nname = \"pipeline_1\"\ntitle = \"\"\nentry = \"{}\"\nmode = \"full\"            # full | incremental\nempty = \"warn\"           # allow | warn | fail\n\n[source]\nkind = \"database\"        # database | sqlite | http | folder | kafka\nsource = \"{}\"\ntable = \"table_name\"      # 或 sql = \"SELECT …\"\n\n# [watermark]\n# column = \"updated_at\"\n# type = \"datetime\"       # datetime | date | integer\n# start = \"2026-01-01\"\n# late = \"1d\"\n\n[schedule]\ncron = \"15 2 * * *\"\n\n[retry]\ntimes = 3\nfirst = \"30s\"\nlongest = \"15m\"\n",
        visit.t("每天 02:15 运行", "every day at 02:15"),
        plain(entry),
        plain(source),
    ))
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let text = sample(&door, &visit).await?;
    let shown = Shown {
        text: &text,
        view: None,
        seen: String::new(),
        error: None,
        checked: false,
        dry: None,
    };
    show_new(&door, &visit, &shown).await
}

async fn show_new(door: &Door, visit: &Visit, shown: &Shown<'_>) -> Answer {
    let context = context! { form => form(visit, shown) };
    door.page_with(visit, "console/pipeline_new.html", context, shown.error.as_ref()).await
}

/// Text areas send CRLF; the file is kept with the ends of lines it would have on a disk.
fn text_of(posted: &Posted) -> String {
    posted.raw("text").replace("\r\n", "\n")
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    // Whether they may keep pipelines at all is said before what is wrong with the text.
    pipeline::list(&door.app, &visit.op, None, 1).await?;
    let text = text_of(&posted);
    match pipeline::import(&door.app, &visit.op, &text).await {
        Ok(made) => done(&format!("/console/pipelines/{}", made.pipeline.id), "saved"),
        Err(e) if mendable(&e) => {
            let shown = Shown {
                text: &text,
                view: None,
                seen: String::new(),
                error: Some(e),
                checked: false,
                dry: None,
            };
            show_new(&door, &visit, &shown).await
        }
        Err(e) => Err(e.into()),
    }
}

/// Checks a text or runs it dry; nothing is kept.
async fn try_text(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    pipeline::list(&door.app, &visit.op, None, 1).await?;
    let (text, id) = (text_of(&posted), posted.get("id"));
    let view = match id {
        "" => None,
        id => Some(pipeline::get(&door.app, &visit.op, id).await?),
    };
    let (error, dry) = if posted.get("do") == "dry" {
        let id = view.as_ref().map(|v| v.pipeline.id.as_str());
        match pipeline::dry_run(&door.app, &visit.op, id, Some(&text)).await {
            Ok(dry) => (None, Some(dry)),
            Err(e) => (Some(e), None),
        }
    } else {
        let present = view.as_ref().map(|v| &v.pipeline);
        (pipeline::check(&door.app, &visit.op, &text, present).await.err(), None)
    };
    if let Some(e) = error.as_ref().filter(|e| !mendable(e)) {
        return Err(Error::new(e.code(), e.zh(), e.en()).into());
    }
    let seen = posted.get("seen").to_owned();
    let shown =
        Shown { text: &text, view: view.as_ref(), seen, checked: error.is_none(), error, dry };
    match &view {
        Some(view) => show(&door, &visit, view, &shown).await,
        None => show_new(&door, &visit, &shown).await,
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = pipeline::get(&door.app, &visit.op, &id).await?;
    let (text, seen) = (view.pipeline.file.clone(), view.pipeline.version.to_string());
    let shown =
        Shown { text: &text, view: Some(&view), seen, error: None, checked: false, dry: None };
    show(&door, &visit, &view, &shown).await
}

/// The page of one, with its text as `shown`.
async fn show(door: &Door, visit: &Visit, view: &PipelineView, shown: &Shown<'_>) -> Answer {
    let (app, op, id) = (&door.app, &visit.op, &view.pipeline.id);
    let versions = pipeline::versions(app, op, id, None, SHOWN).await?;
    let number = |name: &str| visit.q(name).and_then(|n| n.parse::<i64>().ok());
    let newest = view.pipeline.version;
    let (old, new) = (number("old").unwrap_or(newest - 1), number("new").unwrap_or(newest));
    let asked = number("old").is_some();
    let difference = match old >= 1 && asked {
        true => pipeline::difference(app, op, id, old, new).await?,
        false => Vec::new(),
    };
    // A source that is away or an engine's refusal must not hide the page.
    let (plan, items) = match pipeline::lineage(app, op, id).await {
        Ok((plan, entry)) => (plan, entry.draft.items),
        Err(_) => (None, Vec::new()),
    };
    let items: Vec<Value> = items
        .iter()
        .map(|i| context! { identifier => &i.identifier, name => &i.name_cn })
        .collect();
    let context = context! {
        row => row(view), form => form(visit, shown), turns => turns(door, visit, id).await?,
        versions => value(&versions.items), difference => value(&difference), old, new,
        lineage => plan.as_ref().map(lineage), items,
        backfills => !view.position.is_empty(),
        compared => super::oversight::of_channel(door, visit, &view.pipeline.entry, id).await?,
        done => visit.q("done"),
    };
    door.page_with(visit, "console/pipeline.html", context, shown.error.as_ref()).await
}

/// Turns with what may be done with each.
async fn turns(door: &Door, visit: &Visit, id: &str) -> Result<Value, Error> {
    let (app, op) = (&door.app, &visit.op);
    let page = pipeline::turns(app, op, id, visit.q("group"), visit.q("before"), SHOWN).await?;
    let mut groups: BTreeMap<String, Value> = BTreeMap::new();
    for turn in page.items.iter().filter(|t| !t.group.is_empty()) {
        if !groups.contains_key(&turn.group) {
            let progress = pipeline::progress(app, op, id, &turn.group).await?;
            groups.insert(turn.group.clone(), value(&progress));
        }
    }
    let live = page.items.iter().any(|t| !t.state.ended());
    let items: Vec<Value> = page.items.iter().map(turn_row).collect();
    Ok(context! {
        id, items, live, groups => groups.into_values().collect::<Vec<_>>(),
        next => next_link(visit, "before", page.next.as_deref()),
    })
}

fn turn_row(turn: &Turn) -> Value {
    context! {
        t => value(turn), runs => turn.attempts.iter().rev().find(|a| !a.run.is_empty()).map(|a| a.run.clone()),
        bad => turn.state == TurnState::Failed,
        again => matches!(turn.state, TurnState::Failed | TurnState::Cancelled),
        cancel => matches!(turn.state, TurnState::Waiting | TurnState::Retrying),
    }
}

async fn figures(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let turns = turns(&door, &visit, &id).await?;
    door.page(&visit, "console/pipeline_figures.html", context! { turns }).await
}

async fn edit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let text = text_of(&posted);
    let seen = posted.number("seen")?;
    match pipeline::edit(&door.app, &visit.op, &id, &text, seen).await {
        Ok(_) => back(&id, "saved"),
        Err(e) if mendable(&e) => {
            let view = pipeline::get(&door.app, &visit.op, &id).await?;
            let shown = Shown {
                text: &text,
                view: Some(&view),
                seen: seen.to_string(),
                error: Some(e),
                checked: false,
                dry: None,
            };
            show(&door, &visit, &view, &shown).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn download(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let version = visit.q("version").and_then(|n| n.parse().ok());
    let (pipeline, text) = pipeline::export(&door.app, &visit.op, &id, version).await?;
    // Names hold a-z, 0-9, _ and - only.
    let name = format!("attachment; filename=\"{}.toml\"", pipeline.name);
    let head = [
        (header::CONTENT_TYPE, "application/toml; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((head, text).into_response())
}

fn back(id: &str, word: &str) -> Answer {
    done(&format!("/console/pipelines/{}", encode(id)), word)
}

async fn run(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    pipeline::run_now(&door.app, &visit.op, &id).await?;
    back(&id, "begun")
}

async fn pause(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    pipeline::pause(&door.app, &visit.op, &id).await?;
    back(&id, "rests")
}

async fn resume(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    pipeline::resume(&door.app, &visit.op, &id).await?;
    back(&id, "resumed")
}

async fn backfill(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (from, to, step) = (posted.get("from"), posted.get("to"), posted.get("step"));
    match pipeline::backfill(&door.app, &visit.op, &id, from, to, step).await {
        Ok(_) => back(&id, "begun"),
        Err(e) if mendable(&e) => {
            let view = pipeline::get(&door.app, &visit.op, &id).await?;
            let (text, seen) = (view.pipeline.file.clone(), view.pipeline.version.to_string());
            let shown = Shown {
                text: &text,
                view: Some(&view),
                seen,
                error: Some(e),
                checked: false,
                dry: None,
            };
            show(&door, &visit, &view, &shown).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn again(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    pipeline::again(&door.app, &visit.op, &id, posted.get("turn")).await?;
    back(&id, "begun")
}

async fn cancel(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    pipeline::cancel(&door.app, &visit.op, &id, posted.get("turn")).await?;
    back(&id, "cancelled")
}

async fn remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    pipeline::remove(&door.app, &visit.op, &id).await?;
    done("/console/pipelines", "removed")
}

async fn secrets(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let secrets = pipeline::secrets(&door.app, &visit.op).await?;
    let secrets: Vec<Value> = secrets.iter().map(|(name, at)| context! { name, at }).collect();
    let context = context! { secrets, done => visit.q("done") };
    door.page(&visit, "console/pipeline_secrets.html", context).await
}

async fn secret_set(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let (name, value) = (posted.get("name"), posted.raw("value"));
    pipeline::secret_set(&door.app, &visit.op, name, value).await?;
    done("/console/pipelines/secrets", "saved")
}

async fn secret_remove(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    pipeline::secret_remove(&door.app, &visit.op, posted.get("name")).await?;
    done("/console/pipelines/secrets", "removed")
}
