//! The time-stamp authority (RFC 3161) that says when a seal over the audit chain was there, and whose stamps are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::evidence::Stamping;
use guard::timestamp::Authorities;
use ingest::outgoing::Outgoing;
use model::Result;
use serde::{Deserialize, Serialize};

use super::{Config, bad, of_file, read};

/// With `url` seals are stamped; with `authorities` alone stamps that were given earlier are still checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TsaPart {
    /// Where the authority is asked: `http://` or `https://`, and in `[outgoing] allow`.
    pub url: String,
    /// Certificates (PEM) of the authorities whose stamps are trusted; earlier ones stay in the file.
    pub authorities: Option<PathBuf>,
}

impl TsaPart {
    /// Paths in the file are relative to it.
    pub(super) fn relative_to(&mut self, base: &Path) {
        self.authorities = self.authorities.take().map(|file| base.join(file));
    }
}

impl Config {
    /// What cannot be seen from one key of the authority alone.
    pub(super) fn check_tsa(&self) -> Result<()> {
        let url = self.tsa.url.as_str();
        if url.is_empty() {
            return Ok(());
        }
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return bad(
                "tsa.url",
                "应以 http:// 或 https:// 开头",
                "must start with http:// or https://",
            );
        }
        if self.tsa.authorities.is_none() {
            return bad(
                "tsa.authorities",
                "须给出所信任机构的证书文件（PEM），否则任何人盖的时间戳都无从辨认",
                "names the certificates (PEM) of the authorities that are trusted: a stamp by anybody would do without",
            );
        }
        Ok(())
    }

    /// Authorities whose stamps are trusted.
    pub fn stamp_authorities(&self) -> Result<Option<Authorities>> {
        let Some(path) = &self.tsa.authorities else { return Ok(None) };
        Authorities::from_pem(&read(path)?).map(Some).map_err(|e| of_file(path, &e))
    }

    /// Who stamps seals, and whose stamps are trusted.
    pub fn stamping(&self, outgoing: &Outgoing) -> Result<Stamping> {
        let url = self.tsa.url.clone();
        Ok(Stamping {
            stamper: match url.is_empty() {
                true => None,
                false => Some(Arc::new(ingest::HttpStamper::reaching(outgoing.clone(), url)) as _),
            },
            authorities: self.stamp_authorities()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_asked_only_where_its_stamps_can_be_told_from_others() {
        let mut config = Config::default();
        config.check().unwrap();
        config.tsa.url = "tsa.example".into();
        assert!(config.check().unwrap_err().en().contains("tsa.url"));
        config.tsa.url = "https://tsa.example/".into();
        assert!(config.check().unwrap_err().en().contains("tsa.authorities"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tsa.pem");
        config.tsa.authorities = Some(file.clone());
        config.check().unwrap();
        let today = "2026-03-02".parse().unwrap();
        assert!(config.examine(today).unwrap_err().en().contains("tsa.pem"));
        std::fs::write(&file, "no certificate").unwrap();
        assert!(config.examine(today).unwrap_err().en().contains("no certificate in PEM"));
    }
}
