//! The head: last number and hash of the chain, noted beside it.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model::{Code, Error, Result};
use sqlx::{AnyPool, Row};

use crate::db::fail;

/// Where the last number and hash are noted.
#[derive(Clone, Debug)]
pub(crate) enum Head {
    File(PathBuf),
    Table(AnyPool),
}

impl Head {
    /// Last number and hash noted; `None` when nothing was ever written.
    pub(crate) async fn read(&self) -> Result<Option<(i64, String)>> {
        let text = match self {
            Head::File(path) => return read_file(path),
            Head::Table(pool) => {
                match sqlx::query("SELECT value FROM meta WHERE name = 'audit.head'")
                    .fetch_optional(pool)
                    .await
                    .map_err(fail)?
                {
                    Some(row) => row.try_get::<String, _>("value").map_err(fail)?,
                    None => return Ok(None),
                }
            }
        };
        Ok(parse(&text))
    }
}

/// Number and hash of a head's text.
pub(super) fn parse(text: &str) -> Option<(i64, String)> {
    let (seq, hash) = text.trim().split_once(' ')?;
    Some((seq.parse().ok()?, hash.to_owned()))
}

pub(super) fn read_file(path: &Path) -> Result<Option<(i64, String)>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::of(Code::AuditUnavailable).caused_by(e)),
    }
}

/// The head's file, kept open: noting is one write of always the same length, so that no crash leaves half a head.
/// It is not synced: after a power cut it may lag behind the chain, never run ahead of it.
#[derive(Debug)]
pub(super) struct HeadFile(File);

impl HeadFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map(Self)
            .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))
    }

    pub(super) fn note(&mut self, seq: i64, hash: &str) -> std::io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(format!("{seq:020} {hash}\n").as_bytes())
    }
}
