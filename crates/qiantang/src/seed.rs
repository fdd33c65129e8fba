//! Bringing the demo province (and described real data) into a house, as its people would: every step goes through
//! the rooms, by the person who may do it. A second run finds what is there and changes nothing.

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use app::App;
use app::catalogue::Move;
use app::collection::{self, Order};
use chrono::TimeDelta;
use model::code::SyncMode;
use model::entry::{Entry, EntryDraft, EntryFilter};
use model::org::Org;
use model::parcel::{Run, RunState};
use model::request::{Period, RequestFilter, RequestState};
use model::{Code, Error, Op, Result};
use policy::port::{ReadOptions, Source};
use policy::{Action, Target as Thing};
use serde::{Deserialize, Serialize};

use crate::command::{err, steps};
use crate::demo::orgs::reviewer_of;
use crate::demo::{
    By, Deed, DemoEntry, DemoRequest, DemoUser, Outcome, PASSWORD, Province, manifest, province,
};

/// The seed of the demo province: the same everywhere.
const SEED: u64 = 2026;

/// An application's credential, kept in the demo's data folder so that a second start can show it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DemoApp {
    pub name: String,
    pub key: String,
    pub secret: String,
    /// Empty in a folder of an older version, until the next start.
    #[serde(default)]
    pub sql_password: String,
    handle: String,
    pub id: String,
}

/// What was seeded.
#[derive(Debug)]
pub struct Seeded {
    /// `(role, user, password)`
    pub accounts: Vec<(String, String, String)>,
    pub apps: Vec<DemoApp>,
}

/// Seeds the province. `keep` is the file of the demo's credentials.
pub async fn seed(app: &Arc<App>, scale: u32, keep: &Path, work: &Path) -> Result<Seeded> {
    let province = province(SEED, scale);
    let accounts = province
        .users
        .iter()
        .map(|u| {
            let roles: Vec<_> = u.roles.iter().map(|r| r.as_str()).collect();
            (roles.join(","), u.name.clone(), PASSWORD.to_owned())
        })
        .collect();
    let mark = format!("seed {SEED}");
    let system = Op::system(app.now());
    let done = app.store.meta_get("demo").await?;
    if done.as_deref().is_some_and(|m| m.starts_with(&mark)) {
        return Ok(Seeded { accounts, apps: read_apps(keep)? });
    }
    err("正在生成演示省份（合成数据）… making the demo province (synthetic data) …");
    people(app, &province.orgs, &province.users).await?;
    let apps = applications(app, &province, keep).await?;
    let bar = steps(u64::try_from(province.entries.len()).unwrap_or(0));
    for entry in &province.entries {
        bar.set_message(entry.draft.code.clone());
        one_entry(app, entry, work).await.map_err(|e| named(e, &entry.draft.code))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    for entry in &province.fed {
        one_entry(app, entry, work).await.map_err(|e| named(e, &entry.draft.code))?;
    }
    crate::seed_channels::channels(app).await.map_err(|e| named(e, "channels"))?;
    for request in &province.requests {
        one_request(app, request, &apps).await.map_err(|e| named(e, &request.new.entry))?;
    }
    if let Some(team) = apps.iter().find(|a| a.handle == "team") {
        crate::seed_basket::basket(app, &team.id, crate::demo::orgs::MARKET)
            .await
            .map_err(|e| named(e, "basket"))?;
        crate::seed_dispatch::dispatch(app, &team.id).await.map_err(|e| named(e, "dispatch"))?;
        crate::seed_project::project(app, &team.id).await.map_err(|e| named(e, "project"))?;
        crate::seed_delivery::delivery(app).await.map_err(|e| named(e, "delivery"))?;
    }
    if let Some(analyst) = apps.iter().find(|a| a.handle == "analyst") {
        crate::seed_sandbox::sandbox(app, &analyst.id).await.map_err(|e| named(e, "sandbox"))?;
    }
    if let Some(client) = apps.iter().find(|a| a.handle == "enterprise") {
        crate::seed_sandbox::identity(app, &client.id).await.map_err(|e| named(e, "identity"))?;
    }
    crate::seed_sandbox::credit(app).await.map_err(|e| named(e, "credit"))?;
    crate::seed_interface::interfaces(app).await.map_err(|e| named(e, "interfaces"))?;
    crate::seed_voice::voice(app).await.map_err(|e| named(e, "voice"))?;
    crate::seed_realname::real_names(app).await.map_err(|e| named(e, "real names"))?;
    crate::seed_opening::openings(app).await.map_err(|e| named(e, "opening"))?;
    let permit = app.policy.permit(&system, Action::SystemWork, &Thing::plain("System", "demo"))?;
    app.store.meta_set(&permit, "demo", &format!("{mark} scale {scale}")).await?;
    Ok(Seeded { accounts, apps })
}

/// Gives every city open sets of its own, once: beside the province, so that what is counted of that stays as it is.
pub async fn cities(app: &Arc<App>, work: &Path) -> Result<()> {
    const DONE: &str = "demo cities";
    if app.store.meta_get(DONE).await?.is_some() {
        return Ok(());
    }
    let layer = crate::demo::cities::layer(SEED);
    people(app, &layer.orgs, &layer.users).await?;
    for entry in &layer.entries {
        one_entry(app, entry, work).await.map_err(|e| named(e, &entry.draft.code))?;
    }
    let system = Op::system(app.now());
    let permit = app.policy.permit(&system, Action::SystemWork, &Thing::plain("System", "demo"))?;
    app.store.meta_set(&permit, DONE, &format!("seed {SEED}")).await
}

/// Says for the operator where seeding stopped.
fn named(e: Error, what: &str) -> Error {
    let detail = format!("while seeding `{what}`: {}", e.operator_text());
    let fields = e.fields().to_vec();
    Error::new(e.code(), e.zh().to_owned(), e.en().to_owned()).with_fields(fields).detail(detail)
}

async fn people(app: &App, orgs: &[Org], users: &[DemoUser]) -> Result<()> {
    let system = Op::system(app.now());
    for org in orgs {
        if app.store.org_get(&org.id).await?.is_none() {
            app::org::create(app, &system, org.clone()).await?;
        }
    }
    for user in users {
        if app.store.user_by_name(&user.name).await?.is_none() {
            app::account::create_user(app, &system, user.with_password(PASSWORD)).await?;
        }
    }
    Ok(())
}

pub(crate) async fn op_of(app: &App, user: &str) -> Result<Op> {
    let actor = app::account::person(app, user).await?;
    Ok(app.op(actor, "demo"))
}

async fn applications(app: &App, province: &Province, keep: &Path) -> Result<Vec<DemoApp>> {
    let mut apps = if keep.exists() { read_apps(keep)? } else { Vec::new() };
    for wanted in &province.applications {
        let op = op_of(app, wanted.owner).await?;
        if let Some(known) = apps.iter_mut().find(|a| a.handle == wanted.handle) {
            if known.sql_password.is_empty() {
                let made = app::wire::make_password(app, &op, &known.id).await?;
                known.sql_password = made.password;
                write_apps(keep, &apps)?;
            }
            continue;
        }
        let made = app::account::register_application(app, &op, wanted.new.clone()).await?;
        let sql = app::wire::make_password(app, &op, &made.application.id).await?;
        apps.push(DemoApp {
            name: made.application.name,
            key: made.application.key,
            secret: made.secret,
            sql_password: sql.password,
            handle: wanted.handle.to_owned(),
            id: made.application.id,
        });
        write_apps(keep, &apps)?;
    }
    Ok(apps)
}

fn write_apps(keep: &Path, apps: &[DemoApp]) -> Result<()> {
    let text = serde_json::to_vec_pretty(apps).map_err(|e| Error::internal("JSON").caused_by(e))?;
    write_private(keep, &text)
}

fn read_apps(keep: &Path) -> Result<Vec<DemoApp>> {
    let text = std::fs::read_to_string(keep).map_err(|e| {
        Error::new(
            Code::StoreUnavailable,
            format!("演示凭据文件 {} 无法读取", keep.display()),
            format!("the demo's credential file {} cannot be read", keep.display()),
        )
        .caused_by(e)
    })?;
    serde_json::from_str(&text)
        .map_err(|e| Error::internal("the demo's credential file is damaged").caused_by(e))
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::internal(format!("cannot write {}", path.display())).caused_by(e)
    };
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)
}

/// Takes one entry along its steps; what has been done before is counted from the entry's own history.
async fn one_entry(app: &Arc<App>, demo: &DemoEntry, work: &Path) -> Result<()> {
    let compiler = op_of(app, &demo.compiler).await?;
    let mut entry = match find(app, &compiler, &demo.draft.code).await? {
        Some(entry) => entry,
        None => app::catalogue::create(app, &compiler, demo.draft.clone()).await?,
    };
    let done = app::catalogue::steps(app, &compiler, &entry.id).await?.len().saturating_sub(1);
    for (i, step) in demo.target.steps().iter().enumerate() {
        if i == 2 {
            rows(app, &compiler, demo, &entry, work).await?;
        }
        if i < done {
            continue;
        }
        let op = match step.by {
            By::Compiler => compiler.clone(),
            By::Authority => op_of(app, "authority").await?,
        };
        let op = app.op(op.actor, "demo");
        entry = match step.deed {
            Deed::Edit => {
                let mut draft = entry.draft.clone();
                draft.title.push_str("（修订）");
                app::catalogue::edit(app, &op, &entry.id, draft, entry.version).await?
            }
            deed => app::catalogue::step(app, &op, &entry.id, move_of(deed), step.reason).await?,
        };
    }
    if demo.target.published() && demo.target.steps().len() == 2 {
        rows(app, &compiler, demo, &entry, work).await?;
    }
    Ok(())
}

fn move_of(deed: Deed) -> Move {
    match deed {
        Deed::Submit | Deed::Edit => Move::Submit,
        Deed::Approve => Move::Approve,
        Deed::Reject => Move::Reject,
        Deed::PutOnline => Move::PutOnline,
        Deed::TakeOffline => Move::TakeOffline,
    }
}

async fn find(app: &App, op: &Op, code: &str) -> Result<Option<Entry>> {
    match app::catalogue::get(app, op, code).await {
        Ok(entry) => Ok(Some(entry)),
        Err(e) if e.code() == Code::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

async fn rows(app: &Arc<App>, op: &Op, demo: &DemoEntry, entry: &Entry, work: &Path) -> Result<()> {
    let Some(name) = demo.file_name() else { return Ok(()) };
    if landed(app, op, entry).await? {
        return Ok(());
    }
    let path = work.join(&name);
    let failed = |e: std::io::Error| {
        Error::internal(format!("cannot write {}", path.display())).caused_by(e)
    };
    let mut out = BufWriter::new(std::fs::File::create(&path).map_err(failed)?);
    demo.write(&mut out).map_err(failed)?;
    std::io::Write::flush(&mut out).map_err(failed)?;
    drop(out);
    collect(app, op, entry, &path, &name, ReadOptions::default()).await?;
    std::fs::remove_file(&path).map_err(failed)
}

async fn landed(app: &App, op: &Op, entry: &Entry) -> Result<bool> {
    let runs = collection::runs(app, op, Some(&entry.id), None, 20).await?;
    Ok(runs.items.iter().any(|r| r.state == RunState::Succeeded))
}

async fn collect(
    app: &Arc<App>,
    op: &Op,
    entry: &Entry,
    path: &Path,
    name: &str,
    options: ReadOptions,
) -> Result<Run> {
    let spooled = collection::spool_file(app, op, &entry.id, name, path).await?;
    let source = Source::File { path: spooled.path, name: name.to_owned() };
    let order = Order { entry: entry.id.clone(), source, mode: SyncMode::Full, options };
    let run = collection::collect(app, op, order).await?;
    if run.state == RunState::Failed {
        return Err(Error::invalid(
            format!("{name} 归集失败：{}", run.message_zh),
            format!("{name} was not collected: {}", run.message_en),
        ));
    }
    Ok(run)
}

/// Files one application and takes it to its outcome; one filed before is taken up where it stands.
async fn one_request(app: &Arc<App>, demo: &DemoRequest, apps: &[DemoApp]) -> Result<()> {
    let op = op_then(app, demo, demo.by).await?;
    let application = apps.iter().find(|a| a.handle == demo.new.application).ok_or_else(|| {
        Error::internal(format!("no demo application `{}`", demo.new.application))
    })?;
    if app::sharing::way(&op) == model::request::RequestWay::Open {
        return crate::seed_restricted::agreed(app, demo, &application.id).await;
    }
    let filter = RequestFilter {
        application: Some(application.id.clone()),
        limit: 1000,
        ..RequestFilter::default()
    };
    let known = app::sharing::list(app, &op, &filter).await?.items;
    let mut request = match known
        .into_iter()
        .find(|r| r.entry_code == demo.new.entry && r.scene == demo.new.scene)
    {
        Some(request) => request,
        None => {
            let mut new = model::request::RequestNew {
                application: application.id.clone(),
                ..demo.new.clone()
            };
            if let Some(days) = demo.until_in_days {
                let last = op.today() + TimeDelta::days(i64::from(days));
                new.period = Period::Until { date: last.to_string() };
            }
            app::sharing::apply(app, &op, new).await?
        }
    };
    if let Outcome::Undone(reason) = demo.outcome {
        if request.state == RequestState::ProviderAuditing {
            app::sharing::undo(app, &op, &request.id, reason).await?;
        }
        return Ok(());
    }
    if request.state == RequestState::ProviderAuditing && demo.outcome != Outcome::ProviderAuditing
    {
        let (agree, reason) = match demo.outcome {
            Outcome::Rejected(reason) => (false, reason),
            _ => (true, "符合共享条件"),
        };
        let reviewer = op_then(app, demo, reviewer_of(&request.provider)).await?;
        request = app::sharing::review(app, &reviewer, &request.id, agree, reason).await?;
    }
    if request.state == RequestState::AuthorityAuditing
        && matches!(demo.outcome, Outcome::Approved | Outcome::Revoked(_) | Outcome::Expired)
    {
        let authority = op_then(app, demo, "authority").await?;
        request = app::sharing::review(app, &authority, &request.id, true, "同意").await?;
    }
    if demo.outcome == Outcome::Expired && request.state == RequestState::Approved {
        app::sharing::expire(app, &Op::system(app.now())).await?;
    }
    if let (Outcome::Revoked(reason), RequestState::Approved) = (demo.outcome, request.state) {
        let authority = op_of(app, "authority").await?;
        app::sharing::revoke(app, &authority, &request.id, reason).await?;
    }
    Ok(())
}

/// What a person does at the time the application stands at.
async fn op_then(app: &App, demo: &DemoRequest, user: &str) -> Result<Op> {
    let mut op = op_of(app, user).await?;
    op.at -= TimeDelta::days(i64::from(demo.filed_days_ago));
    Ok(op)
}

/// Brings in every data set that a manifest describes; files are found under `dir`.
pub async fn load(
    app: &Arc<App>,
    manifest_file: Option<&Path>,
    dir: &Path,
    work: &Path,
) -> Result<Vec<(String, u64)>> {
    let described = manifest::read(manifest_file, dir)?;
    let mut loaded = Vec::new();
    for set in described {
        let rows = one_set(app, &set, work).await.map_err(|e| named(e, &set.draft.code))?;
        loaded.push((set.draft.code.clone(), rows));
    }
    Ok(loaded)
}

async fn one_set(app: &Arc<App>, set: &manifest::DataSet, work: &Path) -> Result<u64> {
    let compiler = op_of(app, crate::demo::orgs::compiler_of(&set.draft.org)).await?;
    let entry = ensure_live(app, &compiler, &set.draft).await?;
    if landed(app, &compiler, &entry).await? {
        return Ok(u64::try_from(entry.rows).unwrap_or(0));
    }
    let path = set.source(work)?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    err(&format!("  {} ← {}", set.draft.code, set.name));
    let run = collect(app, &compiler, &entry, &path, &name, set.options.clone()).await?;
    let read = run.read;
    // `cargo xtask real-data` reads this line.
    err(&format!(
        "  {}: read {read} = accepted {} + quarantined {}",
        set.draft.code, run.accepted, run.quarantined
    ));
    if let Some(expected) = set.expected_rows.filter(|expected| *expected != read) {
        return Err(Error::new(
            Code::InvalidFile,
            format!("{name}：清单写明 {expected} 行，实际读取 {read} 行"),
            format!("{name}: the manifest says {expected} rows, {read} were read"),
        ));
    }
    Ok(read)
}

/// The entry, published and online, by the shortest honest way.
async fn ensure_live(app: &App, compiler: &Op, draft: &EntryDraft) -> Result<Entry> {
    let mut entry = match find(app, compiler, &draft.code).await? {
        Some(entry) => entry,
        None => app::catalogue::create(app, compiler, draft.clone()).await?,
    };
    let done = app::catalogue::steps(app, compiler, &entry.id).await?.len().saturating_sub(1);
    for step in crate::demo::Target::Online.steps().iter().skip(done) {
        let by = match step.by {
            By::Compiler => compiler.actor.clone(),
            By::Authority => op_of(app, "authority").await?.actor,
        };
        let op = app.op(by, "demo");
        entry = app::catalogue::step(app, &op, &entry.id, move_of(step.deed), step.reason).await?;
    }
    Ok(entry)
}

/// One resource of the ready file.
#[derive(Debug, Serialize)]
pub struct Resource {
    pub code: String,
    pub name: String,
    pub rows: i64,
    pub open: bool,
    pub url: String,
}

/// Live resources, by code.
pub async fn resources(app: &App, gateway_url: &str) -> Result<Vec<Resource>> {
    let op = op_of(app, "authority").await?;
    let mut filter = EntryFilter { limit: 1000, ..EntryFilter::default() };
    let mut all = BTreeMap::new();
    loop {
        let page = app::catalogue::list(app, &op, &filter).await?;
        for e in page.items.into_iter().filter(Entry::live) {
            let url = format!("{gateway_url}/api/v1/{}", e.draft.code);
            let resource = Resource {
                open: e.freely_open(),
                name: e.draft.title,
                rows: e.rows,
                url,
                code: e.draft.code.clone(),
            };
            all.insert(e.draft.code, resource);
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return Ok(all.into_values().collect()),
        }
    }
}
