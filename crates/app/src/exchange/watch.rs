//! Which process works at which exchange, and one turn of it. A turn has the exchange by a lease that it renews; what a dead
//! process left is taken up when that is over (at once on SQLite, where only one process works).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use model::exchange::{
    Exchange, ExchangeFigures, ExchangeFile, ExchangeIncident, ExchangeWay, ExchangeWish,
};
use model::{Error, Kind, Op, Result};
use policy::port::ShelfPlace;
use policy::{Action, Permit, Target};
use store::exchange::ExchangeRecord;
use store::lease::Lease;

use super::{Secrets, arriving, leaving};
use crate::{App, audit, lease};

const BEAT: Duration = Duration::from_secs(15);
/// Exchanges looked at together.
const PAGE: u32 = 200;

/// One turn of every exchange that is watched; answers how many files were settled.
pub async fn tick(app: &Arc<App>) -> Result<u64> {
    let (mut after, mut done) = (None::<String>, 0);
    loop {
        let page = app.store.exchange_list(None, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some(last.exchange.id.clone());
        let due = page.into_iter().filter(|r| r.exchange.wish == ExchangeWish::Run);
        let turns = stream::iter(due).map(|record| async move {
            let id = record.exchange.id.clone();
            match turn(app, record).await {
                Ok(n) => n.unwrap_or(0),
                Err(e) => {
                    tracing::warn!(
                        exchange.id = id,
                        error = e.operator_text(),
                        "an exchange's turn broke off"
                    );
                    0
                }
            }
        });
        let settled: Vec<u64> =
            turns.buffer_unordered(app.rules.exchange.side_by_side.max(1)).collect().await;
        done += settled.iter().sum::<u64>();
    }
}

/// One turn of an exchange; `None` when another is at it.
pub(super) async fn turn(app: &Arc<App>, record: ExchangeRecord) -> Result<Option<u64>> {
    let Some(mut work) = Work::begin(app, record).await? else { return Ok(None) };
    let (permit, id, lease) =
        (Arc::clone(&work.permit), work.exchange.id.clone(), work.owner.clone());
    let done = {
        let mut doing = pin!(async {
            match work.exchange.way {
                ExchangeWay::In => arriving::turn(&mut work).await,
                ExchangeWay::Out => leaving::turn(&mut work).await,
            }
        });
        // Side by side: a turn that waits in a transaction must go on while its lease is renewed.
        tokio::select! {
            done = &mut doing => done,
            never = beating(app, &permit, &id, &lease) => match never {},
        }
    };
    work.end(done).await.map(Some)
}

/// Renews a lease for as long as it is awaited.
async fn beating(app: &App, permit: &Permit, id: &str, owner: &str) -> Infallible {
    loop {
        tokio::time::sleep(BEAT).await;
        let ours = lease::named(app, owner);
        // When it is not ours any more the next change is refused.
        if let Err(e) = app.store.exchange_beat(permit, id, &ours).await {
            tracing::warn!(
                exchange.id = id,
                error = e.operator_text(),
                "a lease could not be renewed"
            );
        }
    }
}

/// Takes an exchange for this turn; the owner's name, or `None` when another has it. Two turns of one process are two owners.
pub(super) async fn hold(
    app: &App,
    permit: &Permit,
    record: &ExchangeRecord,
) -> Result<Option<String>> {
    if !lease::over(app, &record.lease) {
        return Ok(None);
    }
    let owner = format!("{}:{}", app.collections.owner(), Op::system(app.now()).new_id());
    let lease = lease::named(app, &owner);
    let id = &record.exchange.id;
    let claimed = app.store.exchange_claim(permit, id, &record.lease, &lease).await?;
    Ok(claimed.then_some(owner))
}

/// Gives an exchange back.
pub(super) async fn release(app: &App, permit: &Permit, id: &str, owner: &str) -> Result<()> {
    app.store.exchange_beat(permit, id, &Lease::ended(owner)).await.map(|_| ())
}

/// An exchange being worked at.
pub(super) struct Work {
    pub(super) app: Arc<App>,
    pub(super) exchange: Exchange,
    pub(super) figures: ExchangeFigures,
    pub(super) secrets: Secrets,
    pub(super) place: ShelfPlace,
    pub(super) permit: Arc<Permit>,
    pub(super) owner: String,
    /// Files settled in this turn.
    pub(super) settled: u64,
}

impl Work {
    async fn begin(app: &Arc<App>, record: ExchangeRecord) -> Result<Option<Self>> {
        let op = Op::system(app.now());
        let id = record.exchange.id.clone();
        let target = Target::plain("System", "exchange");
        let permit = audit::permit(app, &op, Action::SystemWork, &target).await?;
        let Some(owner) = hold(app, &permit, &record).await? else { return Ok(None) };
        // As it is now, with its secrets.
        let Some((record, sealed)) = app.store.exchange_get(&id).await? else { return Ok(None) };
        let secrets = Secrets::open(app, &id, &sealed)?;
        Ok(Some(Self {
            app: Arc::clone(app),
            place: secrets.place(&record.exchange),
            exchange: record.exchange,
            figures: record.figures,
            secrets,
            permit: Arc::new(permit),
            owner,
            settled: 0,
        }))
    }

    /// Keeps how the turn ended and gives the exchange back. A fault of the place is told on the exchange.
    async fn end(mut self, done: Result<()>) -> Result<u64> {
        let op = Op::system(self.app.now());
        self.figures.looked_at = Some(op.stamp());
        let told = match &done {
            Ok(()) => (String::new(), String::new()),
            Err(e) => words(e),
        };
        let failed = match done {
            Ok(()) => None,
            // Told to people on the page; a defect also to the log.
            Err(e) if e.kind() == Kind::Internal => Some(e),
            Err(e) => {
                tracing::warn!(
                    exchange.id = self.exchange.id,
                    error = e.operator_text(),
                    "an exchange waits"
                );
                None
            }
        };
        (self.figures.zh, self.figures.en) = told;
        let (store, id) = (&self.app.store, &self.exchange.id);
        let kept = store.exchange_figures(&self.permit, id, &self.owner, &self.figures).await;
        release(&self.app, &self.permit, id, &self.owner).await?;
        kept?;
        match failed {
            Some(e) => Err(e),
            None => Ok(self.settled),
        }
    }

    /// Keeps a file as it stands now.
    pub(super) async fn keep(&self, file: &mut ExchangeFile) -> Result<()> {
        self.keep_with(file, None).await
    }

    pub(super) async fn keep_with(
        &self,
        file: &mut ExchangeFile,
        incident: Option<(String, String)>,
    ) -> Result<()> {
        let op = Op::system(self.app.now());
        file.updated_at = op.stamp();
        let incident = incident.map(|(zh, en)| ExchangeIncident {
            id: op.new_id(),
            exchange: self.exchange.id.clone(),
            file: Some(file.path.clone()),
            zh,
            en,
            at: op.stamp(),
            open: file.state.waits() || file.outcome.is_some_and(|o| o.waits()),
        });
        if let Some(incident) = &incident {
            tracing::warn!(
                exchange.id = incident.exchange,
                file.path = file.path,
                "{}",
                incident.en
            );
            metrics::counter!("qt_exchange_incidents_total").increment(1);
        }
        self.app.store.exchange_file_keep(&self.permit, &self.owner, file, incident.as_ref()).await
    }

    /// A small file of the place, whole; `None` when it is not there.
    pub(super) async fn small(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(about) = self.app.shelf.look(&self.place, path).await? else { return Ok(None) };
        let most = self.app.rules.exchange.small_bytes;
        if about.bytes > most {
            return Err(Error::new(
                model::Code::TooLarge,
                format!("`{path}` 超过 {most} 字节，不是清单、签名或回执"),
                format!(
                    "`{path}` is larger than {most} bytes: it is no manifest, signature or receipt"
                ),
            ));
        }
        let to = self.scratch("small");
        let read = match self.app.shelf.fetch(&self.place, path, &to).await {
            Ok(_) => tokio::fs::read(&to)
                .await
                .map(Some)
                .map_err(|e| Error::of(model::Code::StoreUnavailable).caused_by(e)),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        };
        let _ = tokio::fs::remove_file(&to).await;
        read
    }

    /// Writes a small file into the place.
    pub(super) async fn put(&self, path: &str, text: &[u8]) -> Result<()> {
        let from = self.scratch("put");
        tokio::fs::write(&from, text)
            .await
            .map_err(|e| Error::of(model::Code::StoreUnavailable).caused_by(e))?;
        let put = self.app.shelf.put(&self.place, path, &from).await;
        let _ = tokio::fs::remove_file(&from).await;
        put
    }

    /// A file of the inbox for a moment; what a crash leaves is swept away by its end `.part`.
    pub(super) fn scratch(&self, what: &str) -> std::path::PathBuf {
        let id = Op::system(self.app.now()).new_id();
        self.app.folders.inbox.join(format!("{id}.{what}.part"))
    }

    /// Whether a fault is one of the moment: then the file stays where it is and is taken up again.
    pub(super) fn passing(error: &Error) -> bool {
        matches!(error.kind(), Kind::Unavailable | Kind::Internal | Kind::Exhausted)
            || error.code() == model::Code::Stale
    }
}

/// An error with its first fields, in both languages.
pub(super) fn words(error: &Error) -> (String, String) {
    let (mut zh, mut en) = (error.zh().to_owned(), error.en().to_owned());
    for field in error.fields().iter().take(5) {
        zh.push_str(&format!("；{}：{}", field.field, field.zh));
        en.push_str(&format!("; {}: {}", field.field, field.en));
    }
    (zh, en)
}
