//! Files sent with a resource (`upload`). The rows of one are collected into the table of the data set, by the walk of the console's
//! upload: into the inbox while they arrive, read by the items of the entry, misfits into quarantine, the rest landed once. No file is
//! kept as such, and nothing is published by it: a table is seen by whoever may see its entry.

use std::time::Duration;

use app::collection::{self, Order, Spooled};
use app::{ReadOptions, Source, catalogue, harvest};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{Method, header};
use futures::TryStreamExt as _;
use model::code::SyncMode;
use model::entry::Entry;
use model::parcel::{Run, RunState};
use model::{Error, FieldError, Kind, Op, Result};
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::params::{self, Params};
use super::super::shape;
use super::{Who, left_out, package, read, resource};
use crate::Door;

/// Actions that a file may come with.
const TAKES: [&str; 3] = ["resource_create", "resource_patch", "resource_update"];
/// The part that is a file.
const UPLOAD: &str = "upload";
/// Fields of a table that are taken.
const TAKEN: [&str; 4] = ["id", "mode", "package_id", UPLOAD];
/// The longest that a caller waits for the end of a collection, which goes on beyond it.
const WAITS: Duration = Duration::from_secs(20);

/// A file in the inbox, and the entry whose table its rows are for.
#[derive(Debug)]
pub(in crate::ckan) struct Brought {
    entry: Entry,
    file: Spooled,
}

/// Whether a call may bring a file: one in parts, of an action that takes one.
pub(in crate::ckan) fn may_bring(parts: &Parts, name: &str) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    TAKES.contains(&name) && parts.method == Method::POST && kind.is_some_and(params::is_parts)
}

/// Reads the parts of such a call. Who it is is asked before anything is read. A file is kept while it arrives, so that what says where
/// its rows belong must stand before it.
pub(in crate::ckan) async fn bring(
    door: &Door,
    who: &Who,
    action: &str,
    request: Request,
) -> Result<(Params, Option<Brought>), Fault> {
    let person = who.person()?;
    let most = door.app.rules.upload.max_bytes;
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let told = told.and_then(|v| v.parse::<u64>().ok());
    if told.is_some_and(|told| told > most.saturating_add(params::LARGEST as u64)) {
        return Err(too_large(most));
    }
    let mut form = Multipart::from_request(request, &()).await.map_err(|e| params::wrong(&e))?;
    let (mut params, mut file, mut taken) = (Params::default(), None, 0);
    while let Some(field) = form.next_field().await.map_err(|e| params::wrong(&e))? {
        let part = field.name().unwrap_or_default().to_owned();
        let sent = field.file_name().filter(|file| !file.is_empty()).map(str::to_owned);
        match sent {
            None => {
                let text = params::text_part(field, &mut taken).await?;
                params.add(part, text);
            }
            Some(_) if part != UPLOAD || file.is_some() => return Err(one_file(&part)),
            Some(sent) => {
                let entry = meant(door, person, action, &params).await?;
                let kept = Box::pin(keep(door, person, &entry, &sent, field)).await?;
                file = Some(Brought { entry, file: kept });
            }
        }
    }
    Ok((params, file))
}

/// The entry whose table is meant, by the parts that stand before the file. Its items must be declared: they say what the columns are.
async fn meant(door: &Door, person: &Op, action: &str, params: &Params) -> Result<Entry, Fault> {
    let field = if action == "resource_create" { "package_id" } else { "id" };
    let id = params.text(field).filter(|id| !id.is_empty()).ok_or_else(|| {
        Fault::invalid(
            field,
            "必填，且须写在文件（upload）之前",
            "Missing value: it must stand before the file (upload)",
        )
    })?;
    let entry = if action == "resource_create" {
        package::owned(door, person, &id).await?
    } else {
        let (of, word) = shape::of_resource(&id).ok_or_else(|| resource::missing(&id))?;
        let entry = package::owned(door, person, of).await?;
        if word != shape::TABLE {
            let table = shape::resource_id(&entry, shape::TABLE);
            return Err(Fault::invalid(
                UPLOAD,
                &format!("文件只能用于数据集的表 `{table}`；链接请改其 url"),
                &format!(
                    "a file is for the table of the data set, `{table}`; of a link, change its url"
                ),
            ));
        }
        entry
    };
    if harvest::undeclared(&entry.draft) {
        return Err(Fault::invalid(
            UPLOAD,
            "该目录尚未编制数据项，无法读取文件；请先在控制台编制数据项（可由文件起草），再上传",
            "the items of this entry are not declared yet, so that no file can be read by them: declare them in the console first (they can be drafted from the file), then upload",
        ));
    }
    Ok(entry)
}

/// Takes a file into the inbox.
async fn keep(
    door: &Door,
    person: &Op,
    entry: &Entry,
    name: &str,
    field: Field<'_>,
) -> Result<Spooled, Fault> {
    // Its own name, whatever path a client sends.
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let bytes = field.map_err(|e| broken(&e));
    let spooled = collection::pump(bytes, |bytes| {
        collection::spool(&door.app, person, &entry.id, name, bytes)
    });
    spooled.await.map_err(refused)
}

/// Collects the rows of a file into the table, and tells the table with what came of it.
pub(in crate::ckan) async fn collect(
    door: &Door,
    who: &Who,
    params: &Params,
    brought: Brought,
) -> Result<Value, Fault> {
    let person = who.person()?;
    let Brought { entry, file } = brought;
    let order = Order {
        entry: entry.id.clone(),
        mode: mode(params, &entry)?,
        source: Source::File { path: file.path, name: file.name },
        options: ReadOptions::default(),
    };
    let run = collection::start(&door.app, person, order).await.map_err(refused)?;
    let run = ended(door, person, run).await?;
    if run.state == RunState::Failed {
        return Err(Fault::invalid(UPLOAD, &run.message_zh, &run.message_en));
    }
    let entry = catalogue::get(&door.app, person, &entry.id).await?;
    let mut told = shape::table(package::base(door), &entry);
    if let Some(told) = told.as_object_mut() {
        told.insert("run".into(), about(&run));
        let lost = lost(params);
        if !lost.is_empty() {
            told.insert("not_kept".into(), left_out(&lost));
        }
    }
    Ok(told)
}

/// How the rows go into the table: as the caller says, else as the entry does where it has a key, as the console's form proposes.
fn mode(params: &Params, entry: &Entry) -> Result<SyncMode, Fault> {
    match params.text("mode").filter(|word| !word.is_empty()) {
        None if entry.draft.key().is_empty() => Ok(SyncMode::Full),
        None => Ok(entry.draft.sync_mode),
        Some(word) => SyncMode::parse(&word).ok_or_else(|| {
            Fault::invalid(
                "mode",
                "应为 full（全量）或 incremental（增量）",
                "must be full or incremental",
            )
        }),
    }
}

/// The run when it has ended, or as it began where that takes longer than a caller waits.
async fn ended(door: &Door, person: &Op, begun: Run) -> Result<Run, Fault> {
    let waiting = async {
        loop {
            let run = collection::run(&door.app, person, &begun.id).await?;
            if !matches!(run.state, RunState::Queued | RunState::Running) {
                return Ok::<Run, Error>(run);
            }
            collection::changed(&door.app, &run.id).await;
        }
    };
    let waited = tokio::time::timeout(WAITS, waiting).await;
    match waited {
        Ok(run) => Ok(run?),
        Err(_) => Ok(begun),
    }
}

/// What came of it, in figures and words.
fn about(run: &Run) -> Value {
    let message = match run.state {
        RunState::Queued | RunState::Running => {
            "仍在归集，请在控制台查看 / still being collected: see the console".to_owned()
        }
        RunState::Unchanged => {
            "同一文件已归集过，没有变化 / the same file was collected before: nothing changed"
                .to_owned()
        }
        _ if run.quarantined > 0 => format!(
            "有 {n} 行不合格，已隔离，请在控制台修正 / {n} rows did not fit and were put aside: mend them in the console",
            n = run.quarantined
        ),
        _ => String::new(),
    };
    json!({
        "id": run.id, "state": run.state.as_str(), "mode": run.mode, "read": run.read, "accepted": run.accepted,
        "quarantined": run.quarantined, "message": message,
    })
}

/// Fields that say something and have no place in a table.
fn lost(params: &Params) -> Vec<FieldError> {
    let said = params.whole().iter().filter(|(_, value)| read::says(value));
    said.filter(|(field, _)| !TAKEN.contains(&field.as_str()))
        .map(|(field, _)| FieldError {
            field: field.chars().take(80).collect(),
            zh: "数据表没有对应的字段，未保存".to_owned(),
            en: "a table has no such field: it was not kept".to_owned(),
        })
        .collect()
}

/// A refusal of a file, by the part that brought it.
fn refused(error: Error) -> Fault {
    match error.kind() {
        Kind::Invalid | Kind::Conflict | Kind::TooLarge => {
            Fault::invalid(UPLOAD, error.zh(), error.en())
        }
        _ => Fault::from(error),
    }
}

fn broken(error: &MultipartError) -> Error {
    Error::invalid(
        "上传中断或格式有误，请重新上传",
        "the upload broke off or is malformed, send it again",
    )
    .detail(error.body_text())
}

fn one_file(part: &str) -> Fault {
    let shown: String = part.chars().take(60).collect();
    Fault::invalid(
        &shown,
        "一次只收一个文件，放在 upload 中",
        "one file is taken at a time, as `upload`",
    )
}

fn too_large(most: u64) -> Fault {
    Fault::invalid(
        UPLOAD,
        &format!("文件超过上传上限 {most} 字节，未读取；请拆分后分批上传"),
        &format!(
            "the file is larger than the limit of {most} bytes and was not read: split it and upload the parts"
        ),
    )
}

/// A file that was not sent as one.
pub(super) fn only_in_parts(params: &Params) -> Result<(), Fault> {
    if params.get(UPLOAD).is_some_and(read::says) {
        return Err(Fault::invalid(
            UPLOAD,
            "文件须以 multipart/form-data 的文件部分上传",
            "a file is sent as a file part of multipart/form-data",
        ));
    }
    Ok(())
}
