//! Uploads that are looked at once and not kept: written to a temporary file that goes away with its handle.

use futures::StreamExt;
use model::{Code, Error, Result};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use crate::form::Bytes;

/// Writes the bytes to a temporary file; more than `most` bytes are refused.
pub(super) async fn keep(mut bytes: Bytes, most: u64) -> Result<NamedTempFile> {
    let failed = |e: std::io::Error| {
        Error::of(Code::StoreUnavailable).detail(format!("temporary file: {e}"))
    };
    let file = NamedTempFile::new().map_err(failed)?;
    let mut out = tokio::fs::File::from_std(file.reopen().map_err(failed)?);
    let mut all = 0_u64;
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        all += piece.len() as u64;
        if all > most {
            return Err(Error::new(
                Code::TooLarge,
                format!("文件超过 {most} 字节的上限"),
                format!("the file is larger than the limit of {most} bytes"),
            ));
        }
        out.write_all(&piece).await.map_err(failed)?;
    }
    out.flush().await.map_err(failed)?;
    Ok(file)
}
