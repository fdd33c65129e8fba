//! Bringing the serving copy and the catalogue's figures level with the lake.

use futures::StreamExt;
use model::code::SyncMode;
use model::entry::Entry;
use model::{Op, Result};
use policy::Permit;

use crate::{App, catalogue};

/// After a parcel is in the lake: the serving copy holds its rows, the catalogue knows count and time, search finds it.
/// Done twice, nothing changes.
pub(super) async fn settle(
    app: &App,
    op: &Op,
    permit: &Permit,
    entry: &Entry,
    mode: SyncMode,
    parcel: &str,
    version: i64,
) -> Result<()> {
    let rows = match bring(app, permit, entry, mode, parcel, version).await? {
        Some(rows) => rows,
        None => app.lake.count(entry).await?,
    };
    catalogue::landed(app, op, &entry.id, rows).await?;
    Ok(())
}

/// Brings the serving copy level with a landed parcel and whatever it missed before it; return flows look at once. Answers the
/// rows of the present view when the copy has just counted them: it does so row by row as it puts them, so that nobody else need
/// hold or read the keys of a table to count it.
pub(crate) async fn bring(
    app: &App,
    permit: &Permit,
    entry: &Entry,
    mode: SyncMode,
    parcel: &str,
    version: i64,
) -> Result<Option<u64>> {
    app.outflows.ring(&entry.draft.code);
    let serving = app.store.serving();
    let position = serving.position(&entry.id).await?.map(|(_, at)| at);
    if !entry.draft.served() {
        if position.is_some() {
            serving.remove(permit, &entry.id).await?;
        }
        return Ok(None);
    }
    if position.is_some_and(|at| at >= version) {
        return Ok(None);
    }
    let next = position.is_some_and(|at| at + 1 == version);
    if next || mode == SyncMode::Full {
        return refresh(app, permit, entry, mode, parcel, version).await.map(Some);
    }
    // The copy lags by more than this parcel (a crash, a lost file, an entry that was not served before): bring the
    // missing ones in order, from the newest full one on.
    let mut missing = Vec::new();
    for v in app.lake.versions(&entry.draft.code).await? {
        if v.version > version || v.parcel.is_empty() {
            continue;
        }
        if position.is_some_and(|at| v.version <= at) {
            break;
        }
        let mode = SyncMode::parse(&v.mode).unwrap_or(SyncMode::Incremental);
        missing.push((mode, v.parcel, v.version));
        if mode == SyncMode::Full {
            break;
        }
    }
    missing.reverse();
    if let [(SyncMode::Full, ..), _, ..] = missing.as_slice() {
        // An empty table is filled at once by all of them, in order; of a key that comes twice the last row stays.
        let mut parcels = Vec::with_capacity(missing.len());
        for (_, parcel, _) in &missing {
            parcels.push(app.lake.replay(permit, entry, parcel).await?);
        }
        let rows = futures::stream::iter(parcels).flatten().boxed();
        let rows = serving.refresh(permit, entry, SyncMode::Full, parcel, version, rows).await?;
        return Ok(Some(rows));
    }
    let mut rows = None;
    for (mode, parcel, version) in missing {
        rows = Some(refresh(app, permit, entry, mode, &parcel, version).await?);
    }
    Ok(rows)
}

async fn refresh(
    app: &App,
    permit: &Permit,
    entry: &Entry,
    mode: SyncMode,
    parcel: &str,
    version: i64,
) -> Result<u64> {
    let rows = app.lake.replay(permit, entry, parcel).await?;
    app.store.serving().refresh(permit, entry, mode, parcel, version, rows).await
}
