//! The SQL door: where it listens, and its certificate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use guard::tls::TlsFiles;
use model::Result;
use serde::{Deserialize, Serialize};

use super::{Config, ProcessRole, bad};

/// SQL over the PostgreSQL wire, in processes with the role `sql`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlPart {
    pub listen: SocketAddr,
    /// Address people are told on pages, `host:port`; empty = listen.
    pub public_address: String,
    /// Certificate chain and private key as PEM files. Off this machine they are wanted.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Authorities (PEM) whose certificates of clients are taken: an application may sign in by the key of one that is registered
    /// for it, instead of the SQL password.
    pub client_ca_file: Option<PathBuf>,
}

impl Default for SqlPart {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8603).into(),
            public_address: String::new(),
            certificate_file: None,
            key_file: None,
            client_ca_file: None,
        }
    }
}

impl SqlPart {
    /// Paths in the file are relative to it.
    pub(super) fn relative_to(&mut self, base: &Path) {
        let files = [&mut self.certificate_file, &mut self.key_file, &mut self.client_ca_file];
        for file in files.into_iter().flatten() {
            *file = base.join(&*file);
        }
    }

    /// The files of TLS, where it is configured.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFiles> {
        TlsFiles::named([
            ("sql.certificate_file", &self.certificate_file),
            ("sql.key_file", &self.key_file),
            ("sql.client_ca_file", &self.client_ca_file),
        ])
    }
}

impl Config {
    /// What cannot be seen from one key of the SQL door alone.
    pub(super) fn check_sql(&self) -> Result<()> {
        let sql = &self.sql;
        if sql.certificate_file.is_some() != sql.key_file.is_some() {
            return bad(
                "sql.certificate_file",
                "须与 sql.key_file 同时给出",
                "comes together with sql.key_file",
            );
        }
        if sql.client_ca_file.is_some() && sql.tls().is_none() {
            return bad(
                "sql.client_ca_file",
                "须同时配置 sql.certificate_file 和 sql.key_file",
                "wants sql.certificate_file and sql.key_file",
            );
        }
        if !self.runs(ProcessRole::Sql) {
            return Ok(());
        }
        if !sql.listen.ip().is_loopback() && sql.tls().is_none() {
            return bad(
                "sql.listen",
                "监听本机以外的地址须配置 TLS（sql.certificate_file、sql.key_file）",
                "off this machine TLS is wanted (sql.certificate_file, sql.key_file)",
            );
        }
        let others = [
            (self.runs(ProcessRole::Portal), self.portal.listen),
            (self.runs(ProcessRole::Gateway), self.gateway.listen),
            (true, self.operation.listen),
        ];
        if others.iter().any(|(runs, at)| *runs && *at == sql.listen && at.port() != 0) {
            return bad(
                "sql.listen",
                "不能与 portal、gateway、operation 的地址相同",
                "must differ from those of portal, gateway and operation",
            );
        }
        Ok(())
    }

    /// Whether one process runs everything that writes.
    pub(super) fn whole(&self) -> bool {
        [ProcessRole::Portal, ProcessRole::Gateway, ProcessRole::Worker]
            .into_iter()
            .all(|role| self.runs(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_this_machine_the_sql_door_wants_tls() {
        let mut config = Config::default();
        config.roles.push(ProcessRole::Sql);
        config.check().unwrap();
        config.sql.listen = ([0, 0, 0, 0], 8603).into();
        assert!(config.check().unwrap_err().en().contains("TLS"));
        config.sql.certificate_file = Some("c.pem".into());
        assert!(config.check().unwrap_err().en().contains("key_file"));
        config.sql.key_file = Some("k.pem".into());
        config.check().unwrap();
        config.sql.listen = config.portal.listen;
        assert!(config.check().unwrap_err().en().contains("sql.listen"));
    }

    #[test]
    fn certificates_of_clients_want_tls() {
        let mut config = Config::default();
        config.sql.client_ca_file = Some("ca.pem".into());
        assert!(config.check().unwrap_err().en().contains("sql.client_ca_file"));
        config.sql.certificate_file = Some("c.pem".into());
        config.sql.key_file = Some("k.pem".into());
        config.check().unwrap();
        let files = config.sql.tls().unwrap();
        assert_eq!(files.authorities.unwrap().path, Path::new("ca.pem"));
    }

    #[test]
    fn an_sqlite_store_wants_the_other_roles_beside_sql() {
        let roles = vec![ProcessRole::Portal, ProcessRole::Gateway, ProcessRole::Sql];
        let config = Config { roles, ..Config::default() };
        assert!(config.check().unwrap_err().en().contains("PostgreSQL"));
    }
}
