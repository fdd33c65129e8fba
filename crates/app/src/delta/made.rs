//! Views that are being made: one maker each, as many at once as the rules say, and callers who wait a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::delta::DeltaView;
use model::{Code, Error, Op, Result};
use policy::port::ShareView;
use tokio::sync::watch;

use super::shared::Table;
use crate::App;

/// What is made of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Version(i64),
    Change { from: i64, to: i64 },
}

type Outcome = Option<std::result::Result<(ShareView, u64), Arc<Error>>>;

/// A view under way.
#[derive(Clone)]
pub(super) struct Making {
    done: Arc<AtomicU64>,
    told: watch::Receiver<Outcome>,
}

/// The view, made if it was not; a caller who has waited long enough is told how far it is.
pub(super) async fn view(
    app: &Arc<App>,
    op: &Op,
    table: &Table,
    wanted: Wanted,
) -> Result<ShareView> {
    let grant = &table.grant;
    let there = match wanted {
        Wanted::Version(version) => app.lake.share_view(grant, version).await?,
        Wanted::Change { from, to } => app.lake.share_change(grant, from, to).await?,
    };
    let (view, millis) = match there {
        Some(view) => (view, 0),
        None => wait(app, making(app, op, table, wanted), table).await?,
    };
    used(app, op, table, &view, wanted, millis).await?;
    Ok(view)
}

/// Notes that a version was asked for: it stays for a while.
async fn used(
    app: &App,
    op: &Op,
    table: &Table,
    view: &ShareView,
    wanted: Wanted,
    millis: u64,
) -> Result<()> {
    let whole = matches!(wanted, Wanted::Version(_));
    let sum = |of: fn(&policy::port::ShareFile) -> u64| match whole {
        true => view.files.iter().map(of).sum(),
        false => 0,
    };
    let noted = DeltaView {
        id: view.id.clone(),
        version: view.version,
        application: op.actor.id().to_owned(),
        entry: table.name.clone(),
        files: if whole { view.files.len() as u64 } else { 0 },
        rows: sum(|f| f.rows),
        bytes: sum(|f| f.bytes),
        made_at: op.stamp(),
        millis,
        used_at: op.at.timestamp(),
    };
    app.store.delta_view_used(&noted).await
}

/// The view under way; begun by the first who asks.
fn making(app: &Arc<App>, op: &Op, table: &Table, wanted: Wanted) -> Making {
    let name = format!("{} {wanted:?}", app.lake.share_id(&table.grant));
    let mut all = app.delta.making.lock();
    if let Some(making) = all.get(&name) {
        return making.clone();
    }
    let done = Arc::new(AtomicU64::new(0));
    let (tell, told) = watch::channel(None);
    let making = Making { done: Arc::clone(&done), told };
    all.insert(name.clone(), making.clone());
    let (app, grant, attempt) = (Arc::clone(app), table.grant.clone(), op.new_id());
    drop(tokio::spawn(async move {
        let made = async {
            let turn = Arc::clone(&app.delta.makers).acquire_owned().await;
            let _turn = turn.map_err(|e| Error::internal("no turn to make a view").caused_by(e))?;
            let begun = Instant::now();
            let view = match wanted {
                Wanted::Version(version) => {
                    app.lake.share_make(&grant, version, &attempt, done).await?
                }
                Wanted::Change { from, to } => {
                    app.lake.share_change_make(&grant, from, to, &attempt, done).await?
                }
            };
            let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            metrics::histogram!("qt_delta_view_seconds").record(begun.elapsed().as_secs_f64());
            Ok((view, took.max(1)))
        };
        let made: Result<(ShareView, u64)> = made.await;
        if let Err(error) = &made {
            tracing::error!(error = %error.operator_text(), "a shared view could not be made");
        }
        app.delta.making.lock().remove(&name);
        // Nobody may be waiting any more.
        let _ = tell.send(Some(made.map_err(Arc::new)));
    }));
    making
}

async fn wait(app: &App, mut making: Making, table: &Table) -> Result<(ShareView, u64)> {
    let patience = Duration::from_secs(app.rules.delta.wait_seconds);
    let ended = tokio::time::timeout(patience, making.told.wait_for(Option::is_some)).await;
    match ended {
        Ok(Ok(outcome)) => match outcome.as_ref() {
            Some(Ok(made)) => Ok(made.clone()),
            Some(Err(e)) => Err(Error::new(e.code(), e.zh().to_owned(), e.en().to_owned())
                .detail(e.operator_text())),
            None => Err(Error::internal("a view that was made is none")),
        },
        Ok(Err(e)) => Err(Error::internal("the maker of a view ended").caused_by(e)),
        Err(_) => {
            let (rows, name) = (making.done.load(Ordering::Relaxed), &table.name);
            Err(Error::new(
                Code::StoreUnavailable,
                format!(
                    "`{name}` 的共享视图正在生成，已写入 {rows} 行，请稍候重试（客户端会自动重试）"
                ),
                format!(
                    "the shared view of `{name}` is being made, {rows} rows so far: ask again shortly (clients do by themselves)"
                ),
            ))
        }
    }
}
