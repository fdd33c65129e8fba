//! Configuration: one TOML file, every key with a default, mistakes named with line and remedy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use model::{Error, Result};
use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Parts this process runs: `portal`, `gateway`, `worker`. Several processes need a PostgreSQL store.
    pub roles: Vec<ProcessRole>,
    pub data: Data,
    pub store: StorePart,
    pub lake: LakePart,
    pub portal: PortalPart,
    pub gateway: GatewayPart,
    pub log: LogPart,
    pub rules: RulesPart,
}

/// One part of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessRole {
    Portal,
    Gateway,
    Worker,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Folder of everything kept locally (keys, SQLite files, lake, index, inbox).
    pub folder: PathBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorePart {
    /// `sqlite:` (files in the data folder) or `postgres://user:password@host:port/database`.
    pub url: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LakePart {
    /// Folder of the lake; empty = `lake` in the data folder.
    pub root: PathBuf,
    /// Memory for queries and landings, MiB.
    pub memory_mb: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortalPart {
    pub listen: SocketAddr,
    /// Address people use; empty = `http://` + listen.
    pub public_url: String,
    /// Cookies only over HTTPS. Turn on behind TLS.
    pub secure_cookies: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayPart {
    pub listen: SocketAddr,
    /// Address machines use; empty = `http://` + listen.
    pub public_url: String,
    /// Calls per second and address without a signature.
    pub anonymous_per_second: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogPart {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error warn info debug`, or a filter such as `info,lake=debug`.
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesPart {
    /// Folder with `policies.cedar`, `schema.cedarschema`, `masks.toml` in place of the shipped ones.
    pub policy_folder: Option<PathBuf>,
    /// Rule file in place of the shipped `limits.toml`.
    pub limits_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: vec![ProcessRole::Portal, ProcessRole::Gateway, ProcessRole::Worker],
            data: Data::default(),
            store: StorePart::default(),
            lake: LakePart::default(),
            portal: PortalPart::default(),
            gateway: GatewayPart::default(),
            log: LogPart::default(),
            rules: RulesPart::default(),
        }
    }
}
impl Default for Data {
    fn default() -> Self {
        Self { folder: "./qiantang-data".into() }
    }
}
impl Default for StorePart {
    fn default() -> Self {
        Self { url: "sqlite:".into() }
    }
}
impl Default for LakePart {
    fn default() -> Self {
        Self { root: PathBuf::new(), memory_mb: 512 }
    }
}
impl Default for PortalPart {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8600).into(),
            public_url: String::new(),
            secure_cookies: false,
        }
    }
}
impl Default for GatewayPart {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8601).into(),
            public_url: String::new(),
            anonymous_per_second: 200,
        }
    }
}
impl Default for LogPart {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info,tantivy=warn,deltalake_core=warn".into() }
    }
}

impl Config {
    /// Reads and checks a file. Paths in it are relative to the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::invalid(
                format!("无法读取配置文件 {}：{e}", path.display()),
                format!("the configuration file {} cannot be read: {e}", path.display()),
            )
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|e| {
            Error::invalid(
                format!("配置文件 {} 有误：{e}", path.display()),
                format!("the configuration file {} is wrong: {e}", path.display()),
            )
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.data.folder = base.join(&config.data.folder);
        if !config.lake.root.as_os_str().is_empty() {
            config.lake.root = base.join(&config.lake.root);
        }
        config.rules.policy_folder = config.rules.policy_folder.map(|p| base.join(p));
        config.rules.limits_file = config.rules.limits_file.map(|p| base.join(p));
        config.check()?;
        Ok(config)
    }

    /// What cannot be seen from one key alone.
    pub fn check(&self) -> Result<()> {
        let bad = |key: &str, zh: &str, en: &str| {
            Err(Error::invalid(
                format!("配置项 {key}：{zh}"),
                format!("configuration key {key}: {en}"),
            ))
        };
        if self.roles.is_empty() {
            return bad(
                "roles",
                "至少要有一个角色（portal、gateway、worker）",
                "needs at least one of portal, gateway, worker",
            );
        }
        let url = self.store.url.as_str();
        if !(url.starts_with("sqlite:")
            || url.starts_with("postgres://")
            || url.starts_with("postgresql://"))
        {
            return bad(
                "store.url",
                "应以 sqlite: 或 postgres:// 开头",
                "must start with sqlite: or postgres://",
            );
        }
        if self.roles.len() < 3 && url.starts_with("sqlite:") {
            return bad(
                "roles",
                "SQLite 只能由一个进程使用；分进程部署请配置 PostgreSQL",
                "SQLite serves one process only; use PostgreSQL to split the roles",
            );
        }
        if self.portal.listen == self.gateway.listen && self.portal.listen.port() != 0 {
            return bad(
                "gateway.listen",
                "不能与 portal.listen 相同",
                "must differ from portal.listen",
            );
        }
        if self.lake.memory_mb < 64 {
            return bad("lake.memory_mb", "至少为 64", "must be at least 64");
        }
        Ok(())
    }

    pub fn lake_root(&self) -> PathBuf {
        if self.lake.root.as_os_str().is_empty() {
            self.data.folder.join("lake")
        } else {
            self.lake.root.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.toml");
        std::fs::write(&file, "[portal]\nlisten = \"127.0.0.1:1\"\nlisen = 3\n").unwrap();
        let text = Config::load(&file).unwrap_err().en().to_owned();
        assert!(text.contains("line 3") && text.contains("lisen"), "{text}");
    }

    #[test]
    fn sqlite_is_for_one_process() {
        let config = Config { roles: vec![ProcessRole::Gateway], ..Config::default() };
        assert!(config.check().unwrap_err().en().contains("PostgreSQL"));
    }
}
