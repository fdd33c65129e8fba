//! Data sources (数据源): databases of a department that its entries are collected from by query.

use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// Which database it is.
    SourceKind {
        Postgres = "postgres", "PostgreSQL", "PostgreSQL";
        Mysql = "mysql", "MySQL / MariaDB", "MySQL / MariaDB";
    }
}

code_list! {
    /// Whether the connection must be encrypted.
    SourceTls {
        Prefer = "prefer", "能加密则加密", "Encrypt where offered";
        Require = "require", "必须加密", "Must be encrypted";
    }
}

/// A stored source as shown outward: where it is and by which account, never the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    pub id: String,
    /// Owning organisation.
    pub org: String,
    /// Name shown, unique within the organisation.
    pub name: String,
    pub kind: SourceKind,
    pub host: String,
    pub port: u16,
    pub database: String,
    /// Account of the database.
    pub account: String,
    pub tls: SourceTls,
    pub created_at: String,
    pub created_by: String,
    pub updated_at: String,
    /// When the connection was last tried, and how that ended (`ok` or an error code).
    pub tried_at: Option<String>,
    pub tried: String,
}

impl DataSource {
    /// Where it is, for lists and records: `host:port/database`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

/// What is needed to store a source.
#[derive(Clone, Deserialize)]
pub struct SourceNew {
    pub org: String,
    pub name: String,
    pub kind: SourceKind,
    pub host: String,
    pub port: u16,
    pub database: String,
    pub account: String,
    pub password: String,
    pub tls: SourceTls,
}

impl std::fmt::Debug for SourceNew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceNew").field("name", &self.name).finish_non_exhaustive()
    }
}

code_list! {
    /// How a finding of a source's check stands.
    CheckLevel {
        Ok = "ok", "符合", "As it should be";
        Warn = "warn", "建议改进", "Could be better";
        Bad = "bad", "须整改", "To be mended";
    }
}

/// What a look at a source's account found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCheck {
    /// `PostgreSQL 15.4`
    pub server: String,
    /// As the database calls it.
    pub account: String,
    /// Protocol and cipher; empty when the connection is plain.
    pub tls: String,
    /// The database's clock less ours, milliseconds.
    pub clock_ms: i64,
    pub findings: Vec<SourceFinding>,
}

impl SourceCheck {
    /// Whether nothing must be mended.
    #[must_use]
    pub fn fine(&self) -> bool {
        self.findings.iter().all(|f| f.level != CheckLevel::Bad)
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFinding {
    pub level: CheckLevel,
    /// `read`, `write`, `ddl`, `superuser`, `replication`, `tls`, `clock`, …
    pub what: String,
    pub zh: String,
    pub en: String,
    /// Statement that mends it, for the database's administrator; empty when there is none.
    pub sql: String,
}
