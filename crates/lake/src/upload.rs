//! The uploader: takes the encoder's pieces and writes them as files into the table's folder of the object store.
//!
//! A file appears under its name only when complete (a multi-part upload, or a temporary file and a rename); what
//! was completed before a failure is listed so that it can be removed.

use std::sync::Arc;

use model::Result;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::sync::mpsc;
use tracing::warn;

use crate::encode::Piece;
use crate::fault;

/// Bytes of one part of an upload (object stores ask for at least 5 MiB).
const PART_BYTES: usize = 8 << 20;
/// Parts on their way at once.
const PARTS_AT_ONCE: usize = 2;

/// A complete data file.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

/// Files written, and why it stopped if it did not end well.
#[derive(Debug, Default)]
pub(crate) struct Uploaded {
    pub(crate) files: Vec<DataFile>,
    pub(crate) fault: Option<model::Error>,
}

/// Writes pieces until the channel closes. A file that was opened and not closed is abandoned.
pub(crate) async fn upload(
    store: Arc<dyn ObjectStore>,
    mut pieces: mpsc::Receiver<Piece>,
) -> Uploaded {
    let mut done = Uploaded::default();
    let mut open: Option<OpenFile> = None;
    while let Some(piece) = pieces.recv().await {
        if let Err(fault) = take(&store, piece, &mut open, &mut done.files).await {
            done.fault = Some(fault);
            break;
        }
    }
    if let Some(file) = open
        && let Err(error) = file.write.abort().await
    {
        warn!(%error, path = %file.path, "an unfinished upload could not be aborted");
    }
    done
}

struct OpenFile {
    path: String,
    bytes: u64,
    write: WriteMultipart,
}

async fn take(
    store: &Arc<dyn ObjectStore>,
    piece: Piece,
    open: &mut Option<OpenFile>,
    files: &mut Vec<DataFile>,
) -> Result<()> {
    match piece {
        Piece::Open(path) => {
            let upload = store
                .put_multipart(&Path::from(path.as_str()))
                .await
                .map_err(|e| fault::storage("beginning a data file", e))?;
            let write = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            *open = Some(OpenFile { path, bytes: 0, write });
        }
        Piece::Bytes(bytes) => {
            if let Some(file) = open {
                file.write
                    .wait_for_capacity(PARTS_AT_ONCE)
                    .await
                    .map_err(|e| fault::storage("writing a data file", e))?;
                file.bytes += u64::try_from(bytes.len()).unwrap_or(0);
                file.write.put(bytes);
            }
        }
        Piece::Close { rows } => {
            if let Some(OpenFile { path, bytes, write }) = open.take() {
                write.finish().await.map_err(|e| fault::storage("completing a data file", e))?;
                files.push(DataFile { path, bytes, rows });
            }
        }
    }
    Ok(())
}

/// Removes files of an attempt that failed. What cannot be removed now is left for the sweep.
pub(crate) async fn discard(store: &Arc<dyn ObjectStore>, files: &[DataFile]) {
    for file in files {
        if let Err(error) = store.delete(&Path::from(file.path.as_str())).await {
            warn!(%error, path = %file.path, "a data file of a failed landing stays behind for the sweep");
        }
    }
}
