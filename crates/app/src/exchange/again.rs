//! Files of an exchange read again from its archive, for being compared with the lake.

use std::collections::HashSet;
use std::sync::Arc;

use guard::envelope;
use model::exchange::{Exchange, ExchangeCipher, ExchangeFile, FileState};
use model::{Error, Kind, Result};
use policy::port::ShelfPlace;

use super::Secrets;
use crate::App;
use crate::collection::Fetched;

/// Files looked up together.
const PAGE: u32 = 500;

/// An exchange with what has landed by it.
pub(crate) struct Archive {
    app: Arc<App>,
    pub(crate) exchange: Exchange,
    secrets: Secrets,
    place: ShelfPlace,
}

/// What lies in the archive of a landed file.
pub(crate) enum Archived {
    /// As it was received.
    Same(Fetched),
    /// Another content than the receipt says.
    Altered,
    Gone,
}

impl Archive {
    pub(crate) async fn of(app: &Arc<App>, id: &str) -> Result<Self> {
        let missing = || Error::not_found("数据交换", "exchange", id);
        let (record, sealed) = app.store.exchange_get(id).await?.ok_or_else(missing)?;
        let secrets = Secrets::open(app, id, &sealed)?;
        let place = secrets.place(&record.exchange);
        Ok(Self { app: Arc::clone(app), exchange: record.exchange, secrets, place })
    }

    /// Files that have landed, in the order they did, and the names of all that were ever seen.
    pub(crate) async fn landed(&self) -> Result<(Vec<ExchangeFile>, HashSet<String>)> {
        let (mut before, mut files, mut names) = (None::<String>, Vec::new(), HashSet::new());
        loop {
            let page =
                self.app.store.exchange_files(&self.exchange.id, before.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.id.clone());
            for file in page {
                names.insert(file.path.clone());
                let landed = |state| {
                    matches!(state, FileState::Agreed | FileState::Received | FileState::Differs)
                };
                if landed(file.outcome.unwrap_or(file.state)) && file.version.is_some() {
                    files.push(file);
                }
            }
        }
        files.sort_by(|a, b| (a.version, &a.id).cmp(&(b.version, &b.id)));
        Ok((files, names))
    }

    /// A landed file as it lies in the archive, decrypted.
    pub(crate) async fn open(&self, file: &ExchangeFile) -> Result<Archived> {
        let Some(path) = file.archived.as_deref() else { return Ok(Archived::Gone) };
        let raw = Fetched::new(&self.app);
        let sha256 = match self.app.shelf.fetch(&self.place, path, raw.path()).await {
            Ok((_, sha256)) => sha256,
            Err(e) if e.kind() == Kind::NotFound => return Ok(Archived::Gone),
            Err(e) => return Err(e),
        };
        let known = file.receiver.sha256.as_deref();
        if known.is_some_and(|known| !known.eq_ignore_ascii_case(&sha256)) {
            return Ok(Archived::Altered);
        }
        if self.exchange.cipher == ExchangeCipher::None {
            return Ok(Archived::Same(raw));
        }
        let (key, plain) = (self.secrets.key.clone(), Fetched::new(&self.app));
        let to = plain.path().to_owned();
        tokio::task::spawn_blocking(move || {
            let here = |e| Error::of(model::Code::StoreUnavailable).caused_by(e);
            let opened = envelope::open(&key, &std::fs::read(raw.path()).map_err(here)?)?;
            std::fs::write(to, &*opened).map_err(here)
        })
        .await
        .map_err(|e| Error::internal("opening an archived file").caused_by(e))??;
        Ok(Archived::Same(plain))
    }
}
