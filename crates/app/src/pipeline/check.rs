//! A file against the house: what it names must be there, belong to the right organisation, and fit together.

use std::collections::{HashSet, VecDeque};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use model::code::SyncMode;
use model::entry::Entry;
use model::pipeline::file::{Faults, Place};
use model::pipeline::window::MarkKind;
use model::pipeline::{Pipeline, PipelineFile};
use model::{Code, Error, Kind, Op, Result};
use policy::port::{Feed, KafkaFeed, TransformAsk, TransformInput, TransformPlan};
use policy::{Action, Target};

use super::secret;
use crate::{App, audit, catalogue};

/// Pipelines walked through when a circle is looked for.
const WALKED: usize = 2_000;

/// A file that may be kept.
#[derive(Clone, Debug)]
pub struct Checked {
    pub file: PipelineFile,
    pub entry: Entry,
    pub org: String,
    /// What its source is counted by, and where that is.
    pub source: String,
    pub place: String,
    /// What the transformation makes of what.
    pub plan: Option<TransformPlan>,
}

/// Checks a file as `present` (or as a new pipeline): the error names every fault with its line.
pub async fn check(app: &App, op: &Op, text: &str, present: Option<&Pipeline>) -> Result<Checked> {
    let file = PipelineFile::parse(text)?;
    let org = match (present, file.org.is_empty()) {
        (Some(present), _) => present.org.clone(),
        (None, false) => file.org.clone(),
        (None, true) => op.actor.org().unwrap_or_default().to_owned(),
    };
    audit::permit(app, op, Action::DataCollect, &Target::of_org("Entry", "pipelines", &org))
        .await?;
    let mut faults = Faults::of(text);
    if !file.org.is_empty() && file.org != org {
        faults.at("org", "管道不能换到另一个单位", "a pipeline stays with its organisation");
    }
    let entry = entry(app, op, &file, &mut faults).await?;
    if let Some(entry) = &entry {
        suits(&file, entry, &mut faults);
        shared(app, &file, entry, present, &mut faults).await?;
    }
    let (source, place) = source(app, &org, &file, &mut faults).await?;
    lookups(app, op, &org, &file, &mut faults).await?;
    waits(app, &org, &file, &mut faults).await?;
    let plan = match &entry {
        Some(entry) if faults.found.is_empty() => plan(app, &file, entry, &mut faults).await?,
        _ => None,
    };
    faults.settle()?;
    let entry = entry.ok_or_else(|| Error::internal("a checked file without its entry"))?;
    Ok(Checked { file, entry, org, source, place, plan })
}

async fn entry(
    app: &App,
    op: &Op,
    file: &PipelineFile,
    faults: &mut Faults<'_>,
) -> Result<Option<Entry>> {
    match catalogue::get(app, op, &file.entry).await {
        Ok(entry) => {
            audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
            Ok(Some(entry))
        }
        Err(e) if e.kind() == Kind::NotFound => {
            faults.at("entry", e.zh(), e.en());
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// What mode, key and watermark must have to do with each other.
fn suits(file: &PipelineFile, entry: &Entry, faults: &mut Faults<'_>) {
    let keyed = !entry.draft.key().is_empty();
    let incremental = file.mode == SyncMode::Incremental;
    let late = file.watermark.as_ref().is_some_and(|w| !w.late.is_nothing());
    if incremental && late && !keyed {
        faults.at(
            "watermark.late",
            "目录没有业务主键，重读迟到行会造成重复；请设置主键或去掉 late",
            "the entry has no business key, and rows read again would be there twice: give it a key, or leave `late` out",
        );
    }
    let pulled = matches!(
        file.source.place,
        Place::Database { .. } | Place::Sqlite { .. } | Place::Http { .. }
    );
    if incremental && pulled && !keyed && file.watermark.is_none() {
        faults.at(
            "mode",
            "目录没有业务主键，增量管道需要 [watermark]",
            "the entry has no business key: an incremental pipeline needs a [watermark]",
        );
    }
    if file.operation_column.is_some() && !(incremental && keyed) {
        faults.at(
            "operation_column",
            "只有增量且目录有业务主键时才能设置操作列",
            "an operation column needs mode incremental and a business key",
        );
    }
    let Some(mark) = &file.watermark else { return };
    let columns =
        if file.source.columns.is_empty() { &entry.draft.items } else { &file.source.columns };
    let known = columns.iter().any(|i| i.identifier.eq_ignore_ascii_case(&mark.column));
    if mark.kind == MarkKind::Integer && !known {
        faults.at(
            "watermark.column",
            format!("整数水位线 `{}` 应是目录的数据项（或声明的源列），才能知道读到哪里", mark.column),
            format!("a watermark that is a number must be an item of the entry (or a declared column): `{}` is none, and nobody would know where the pipeline stands", mark.column),
        );
    }
}

/// Other pipelines of the entry: one that replaces everything cannot share it.
async fn shared(
    app: &App,
    file: &PipelineFile,
    entry: &Entry,
    present: Option<&Pipeline>,
    faults: &mut Faults<'_>,
) -> Result<()> {
    for other in app.store.pipelines_of_entry(&entry.id).await? {
        if present.is_some_and(|p| p.id == other.id) {
            continue;
        }
        let full = PipelineFile::parse(&other.file).is_ok_and(|f| f.mode == SyncMode::Full);
        if full || file.mode == SyncMode::Full {
            faults.at(
                "entry",
                format!("管道 `{}` 也向该目录供数，全量管道会互相覆盖", other.name),
                format!("the pipeline `{}` brings rows to this entry too, and a full one would replace the other's", other.name),
            );
        }
    }
    if let Some(rail) = app.store.rail_of_entry(&entry.id).await? {
        faults.at(
            "entry",
            format!("该目录由数据高铁「{rail}」实时供数"),
            format!("the rail `{rail}` feeds this entry"),
        );
    }
    Ok(())
}

/// What the source is counted by, and where it is.
async fn source(
    app: &App,
    org: &str,
    file: &PipelineFile,
    faults: &mut Faults<'_>,
) -> Result<(String, String)> {
    let word = file.source.place.word();
    match &file.source.place {
        Place::Database { source, .. } => {
            let all = app.store.sources_of(org).await?;
            match all.into_iter().find(|s| s.id == *source || s.name == *source) {
                Some(found) => {
                    return Ok((found.id.clone(), format!("{} {}", found.name, found.place())));
                }
                None => faults.at(
                    "source.source",
                    format!("本单位没有名为 `{source}` 的数据源，请先登记"),
                    format!("your organisation has no data source `{source}`: enter it first"),
                ),
            }
        }
        Place::Sqlite { path, .. } => {
            if let Err(e) = allowed(app, org, Path::new(path)) {
                faults.at("source.path", e.zh(), e.en());
            }
        }
        Place::Folder { url, .. } => {
            if let Some(path) = url.strip_prefix("file://") {
                if let Err(e) = allowed(app, org, Path::new(path)) {
                    faults.at("source.url", e.zh(), e.en());
                }
            } else if !url.starts_with("s3://") {
                faults.at(
                    "source.url",
                    "应以 file:// 或 s3:// 开头",
                    "begins with file:// or s3://",
                );
            }
        }
        Place::Http { headers, query, .. } => {
            for (name, value) in headers.iter().chain(query) {
                for wanted in secret::named(value) {
                    if app.store.pipeline_secret(org, &wanted).await?.is_none() {
                        let e = secret::missing(&wanted);
                        faults.at(&format!("source.headers.{name}"), e.zh(), e.en());
                    }
                }
            }
        }
        Place::Kafka { brokers, topic } => {
            // Whether this build has a client for it is the engine's to say.
            let (brokers, topic) = (brokers.clone(), topic.clone());
            let feed = Feed::Kafka(KafkaFeed { brokers, topic, from: String::new() });
            if let Err(e) = app.intake.probe(&feed).await {
                faults.at("source.kind", e.zh(), e.en());
            }
        }
    }
    Ok((word.clone(), word))
}

/// Refuses a path outside the organisation's own folder of exchanges and the folders that the rules allow; `{org}` in one of them is
/// the pipeline's organisation.
pub(super) fn allowed(app: &App, org: &str, path: &Path) -> Result<PathBuf> {
    let plain = path.is_absolute()
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let inside = |path: &Path| {
        let own = app.folders.exchange.join(org);
        let named =
            app.rules.pipeline.folders.iter().map(|f| PathBuf::from(f.replace("{org}", org)));
        named.chain([own]).any(|f| path.starts_with(f.canonicalize().unwrap_or(f)))
    };
    // A link must not lead out; what is not there yet is judged by its name.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if plain && inside(&real) {
        return Ok(real);
    }
    let shown = path.display();
    Err(Error::new(
        Code::RuleBroken,
        format!("`{shown}` 不在允许的文件夹内；请管理员在规则文件 [pipeline] folders 中登记"),
        format!(
            "`{shown}` is not in a folder that is allowed: the operator names those in [pipeline] folders of the rule file"
        ),
    ))
}

async fn lookups(
    app: &App,
    op: &Op,
    org: &str,
    file: &PipelineFile,
    faults: &mut Faults<'_>,
) -> Result<()> {
    for code in &file.lookups {
        match catalogue::get(app, op, code).await {
            Ok(entry) if entry.draft.org == org || entry.freely_open() => {}
            Ok(_) => faults.at(
                "lookups",
                format!("只能引用本单位或已开放的目录，`{code}` 不是"),
                format!(
                    "entries of your organisation or open ones are looked up; `{code}` is neither"
                ),
            ),
            Err(e) if e.kind() == Kind::NotFound => faults.at("lookups", e.zh(), e.en()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// What it waits for must be there and must not wait for it in turn.
async fn waits(app: &App, org: &str, file: &PipelineFile, faults: &mut Faults<'_>) -> Result<()> {
    let mut seen = HashSet::new();
    let mut next: VecDeque<(String, Vec<String>)> =
        file.after.iter().map(|name| (name.clone(), vec![file.name.clone()])).collect();
    while let Some((name, mut way)) = next.pop_front() {
        way.push(name.clone());
        if name == file.name {
            let way = way.join(" → ");
            faults.at(
                "after",
                format!("循环依赖：{way}"),
                format!("they wait for each other: {way}"),
            );
            return Ok(());
        }
        if !seen.insert(name.clone()) || seen.len() > WALKED {
            continue;
        }
        let Some(upstream) = app.store.pipeline_named(org, &name).await? else {
            if file.after.contains(&name) {
                faults.at(
                    "after",
                    format!("本单位没有名为 `{name}` 的管道"),
                    format!("your organisation has no pipeline called `{name}`"),
                );
            }
            continue;
        };
        for further in app.store.pipeline_upstreams(&upstream.id).await? {
            next.push_back((further, way.clone()));
        }
    }
    Ok(())
}

async fn plan(
    app: &App,
    file: &PipelineFile,
    entry: &Entry,
    faults: &mut Faults<'_>,
) -> Result<Option<TransformPlan>> {
    let Some(ask) = ask(app, file, entry).await? else { return Ok(None) };
    match app.transform.plan(&ask).await {
        Ok(plan) => Ok(Some(plan)),
        Err(e) if e.kind() == Kind::Invalid => {
            faults.at("transform.sql", e.zh(), e.en());
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// What is asked of the engine; `None` without a transformation.
pub(super) async fn ask(
    app: &App,
    file: &PipelineFile,
    entry: &Entry,
) -> Result<Option<TransformAsk>> {
    let Some(sql) = &file.transform else { return Ok(None) };
    let own =
        if file.source.columns.is_empty() { &entry.draft.items } else { &file.source.columns };
    let mut inputs = vec![TransformInput { name: "source".into(), items: own.clone() }];
    for code in &file.lookups {
        let missing = || Error::not_found("目录", "entry", code);
        let looked = app.store.entry_get(code).await?.ok_or_else(missing)?;
        inputs.push(TransformInput { name: code.clone(), items: looked.draft.items });
    }
    Ok(Some(TransformAsk {
        sql: sql.clone(),
        inputs,
        items: entry.draft.items.clone(),
        operation_column: file.operation_column.clone(),
        patience: Duration::from_secs(app.rules.pipeline.transform_seconds),
    }))
}
