//! Whether the rows of a source are in the lake already, and under which parcel id.
//!
//! The parcel id of a content is a hash (`resume::parcel_id`). A content that was handed in before is *repeated* while it
//! still stands, and nothing changes. Once something newer lies over it, handing it in again is a wish to have it back:
//!
//! ```text
//! full A, full B, full A            the third is landed, as `<hash of A>-<run>`
//! open, closed, open (with a key)   the third is landed, likewise
//! log 1, log 2, log 1 (no key)      the third is repeated: its rows are there, and would be there twice
//! ```
//!
//! Rows mended and replayed count to the parcel they were set aside from: they do not lie over it.

use model::Result;
use model::code::SyncMode;
use model::entry::Entry;
use policy::port::{LakeVersion, Landing};

use super::resume::parcel_id;
use super::work::Job;
use crate::App;

/// Begins the parcel ids of replays.
const REPLAY: &str = "replay-";

/// The parcel id of a replay's slice: its run can be told from it.
pub(super) fn replay_id(of: &str, content: &str) -> String {
    format!("{REPLAY}{of}-{content}")
}

/// Whether a parcel holds mended rows (of the run `of`, when given).
pub(super) fn is_replay(parcel: &str, of: Option<&str>) -> bool {
    let Some(rest) = parcel.strip_prefix(REPLAY) else { return false };
    of.is_none_or(|of| rest.strip_prefix(of).is_some_and(|rest| rest.starts_with('-')))
}

/// The hash of a parcel's content.
fn content_of(parcel: &str) -> &str {
    parcel.split_once('-').map_or(parcel, |(content, _)| content)
}

/// The parcel id of a job's source, and its landing if it stands in the lake.
pub(super) async fn standing(
    app: &App,
    entry: &Entry,
    job: &mut Job,
    checksum: &str,
) -> Result<(String, Option<Landing>)> {
    let code = &entry.draft.code;
    if let Some(parcel) = job.resume.parcel.clone() {
        let landing = app.lake.landed(code, &parcel).await?;
        return Ok((parcel, landing));
    }
    let content = parcel_id(entry, job.run.mode, checksum, &job.resume.options)?;
    if !job.resume.anew {
        if app.lake.landed(code, &content).await?.is_none() {
            return Ok((content, None));
        }
        let versions = app.lake.versions(code).await?;
        if let Some(parcel) = stands(&versions, entry, job.run.mode, &content)
            && let Some(landing) = app.lake.landed(code, parcel).await?
        {
            return Ok((parcel.to_owned(), Some(landing)));
        }
        job.resume.anew = true;
    }
    // The run is the salt: resumed, it makes the same parcel.
    let parcel = format!("{content}-{}", job.run.id);
    let landing = app.lake.landed(code, &parcel).await?;
    Ok((parcel, landing))
}

/// The parcel of this content that still stands. `versions` are newest first.
fn stands<'a>(
    versions: &'a [LakeVersion],
    entry: &Entry,
    mode: SyncMode,
    content: &str,
) -> Option<&'a str> {
    let mut landed =
        versions.iter().filter(|v| !v.parcel.is_empty() && !is_replay(&v.parcel, None));
    let same = |v: &&LakeVersion| content_of(&v.parcel) == content;
    let appended = mode == SyncMode::Incremental && entry.draft.key().is_empty();
    if !appended {
        return landed.next().filter(same).map(|v| v.parcel.as_str());
    }
    for version in landed {
        if same(&version) {
            return Some(&version.parcel);
        }
        if version.mode == SyncMode::Full.as_str() {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parcels_tell_their_content_and_their_run() {
        assert_eq!(content_of("ab12"), "ab12");
        assert_eq!(content_of("ab12-0199"), "ab12");
        let id = replay_id("0199", "ab12");
        assert!(is_replay(&id, None) && is_replay(&id, Some("0199")));
        assert!(!is_replay(&id, Some("019")) && !is_replay("ab12-0199", None));
    }
}
