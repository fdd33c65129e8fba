//! What is known of the files of a freely open set before anybody has them: size and checksum. They are kept in the store, so that every
//! process tells them and a start forgets none; what a file is made of is one digest, and of another digest it is another file.

use guard::hash::{HashAlgorithm, Hasher};
use model::{Op, Result};
use policy::{Action, GrantAsk, Target, Via};
use store::openness::OpenFile;

use super::Dataset;
use crate::{App, audit};

/// The digest of all in the house that decides the bytes of a whole file: rows as they lie, declaration, columns, row filter and masks
/// of today, and whom pseudonyms are made for where there are any. `None` where nothing is given out. Compare it before and after rows
/// were begun to be read: what is the same is what they are of.
pub async fn making(app: &App, op: &Op, dataset: &Dataset) -> Result<Option<String>> {
    let (entry, row_cap) = (&dataset.entry, u64::MAX);
    let ask = GrantAsk { action: Action::RowsDownload, entry, via: Via::Open, row_cap };
    let Some(grant) = dataset.free.then(|| app.policy.grant(op, &ask)).and_then(Result::ok) else {
        return Ok(None);
    };
    let layout = app.lake.layout(&entry.draft.code).await?.unwrap_or_default();
    let version = entry.version.to_string();
    let (columns, filter) = (format!("{:?}", grant.columns()), format!("{:?}", grant.row_filter()));
    let masked = grant.columns().iter().any(|c| c.mask.is_some());
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    for part in [
        entry.id.as_str(),
        version.as_str(),
        entry.data_at.as_deref().unwrap_or_default(),
        layout.as_str(),
        columns.as_str(),
        filter.as_str(),
        if masked { grant.grantee() } else { "" },
    ] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    Ok(Some(hasher.finish()))
}

/// What is known of the files of a set, by name. Whoever tells it looks whether a file is still made of the same.
pub async fn files_known(app: &App, dataset: &Dataset) -> Result<Vec<OpenFile>> {
    app.store.open_files(&dataset.entry.id).await
}

/// Keeps what was found when a file was read to its end.
pub async fn file_keep(app: &App, file: &OpenFile) -> Result<()> {
    let op = Op::system(app.now());
    let permit =
        audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "openness")).await?;
    app.store.open_file_put(&permit, file).await
}
