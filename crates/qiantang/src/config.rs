//! Configuration: one TOML file, every key with a default, mistakes named with line and remedy.

mod advice;
mod cluster;
mod evidence;
mod identity;
mod log;
mod paper;
mod reaching;
mod sql;
mod tls;
mod tsa;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use app::rules::Rules;
use chrono::NaiveDate;
use model::calendar::Calendar;
use model::{Error, Result};
use policy::Policy;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::advice::{calendar_advice, certificate_advice};
pub use self::cluster::ClusterPart;
pub use self::evidence::EvidencePart;
pub use self::identity::IdentityPart;
pub use self::log::{LogFormat, LogPart};
pub use self::paper::PaperPart;
use self::reaching::absolute;
pub use self::reaching::{ExchangePart, OutgoingPart};
pub use self::sql::SqlPart;
pub use self::tls::TlsPart;
pub use self::tsa::TsaPart;

/// The whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Parts this process runs: `portal`, `gateway`, `worker`, `sql`, or of a cluster `scheduler`, `executor`. Several
    /// processes on the store need PostgreSQL.
    pub roles: Vec<ProcessRole>,
    pub data: Data,
    pub store: StorePart,
    pub lake: LakePart,
    pub portal: PortalPart,
    pub gateway: GatewayPart,
    pub sql: SqlPart,
    pub cluster: ClusterPart,
    pub tls: TlsPart,
    pub tsa: TsaPart,
    pub evidence: EvidencePart,
    pub paper: PaperPart,
    pub operation: OperationPart,
    pub log: LogPart,
    pub rules: RulesPart,
    pub outgoing: OutgoingPart,
    pub exchange: ExchangePart,
    pub identity: IdentityPart,
}

/// One part of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessRole {
    Portal,
    Gateway,
    Worker,
    Sql,
    /// Of the cluster for SQL: hands tasks out.
    Scheduler,
    /// Of the cluster for SQL: runs them.
    Executor,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Folder of everything kept locally (keys, SQLite files, lake, index, inbox). Processes on one PostgreSQL store may
    /// share it.
    pub folder: PathBuf,
    /// Master key in place of `master.key` in the folder. All processes on one store need the same key;
    /// [`KEY_VARIABLE`] in the environment goes before it.
    pub key_file: Option<PathBuf>,
    /// Folder of uploads on their way; empty = `inbox` in the data folder. Processes with folders of their own share it,
    /// so that each can take up what another left.
    pub inbox: PathBuf,
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
    /// Cookies only over HTTPS; when it does not stand here it follows from an `https` public_url.
    pub secure_cookies: Option<bool>,
    /// A reverse proxy of ours stands in front: callers' addresses are the last hop of `X-Forwarded-For`.
    pub behind_proxy: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayPart {
    pub listen: SocketAddr,
    /// Address machines use; empty = `http://` + listen.
    pub public_url: String,
    /// Calls per second and address without a signature.
    pub anonymous_per_second: u32,
    /// Serve the province's older calling convention (MD5, legacy) until an administrator decides otherwise.
    pub older_convention: bool,
    /// Answer CKAN's `datastore_search_sql`: one SELECT of a closed grammar over one open table.
    pub ckan_sql: bool,
    /// Let people of departments write drafts through CKAN's actions (`ckanapi load`), each by a personal token of their own.
    pub ckan_write: bool,
    /// A reverse proxy of ours stands in front: callers' addresses are the last hop of `X-Forwarded-For`.
    pub behind_proxy: bool,
}

/// Every process answers `/health`, `/ready` and `/metrics` here, whatever its roles.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationPart {
    /// For collectors and probes, not for the public; processes on one machine need addresses of their own.
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesPart {
    /// Folder with `policies.cedar`, `schema.cedarschema`, `masks.toml` in place of the shipped ones.
    pub policy_folder: Option<PathBuf>,
    /// Rule file in place of the shipped `limits.toml`.
    pub limits_file: Option<PathBuf>,
    /// Calendar in place of the shipped one: lines `YYYY-MM-DD,holiday` or `YYYY-MM-DD,workday`.
    pub holidays_file: Option<PathBuf>,
    /// Words that mean the same when searching, in place of the shipped `synonyms.txt`.
    pub synonyms_file: Option<PathBuf>,
}

/// Variable of the environment that holds the master key's text (the content of a `master.key`).
pub const KEY_VARIABLE: &str = "QIANTANG_MASTER_KEY";

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: vec![ProcessRole::Portal, ProcessRole::Gateway, ProcessRole::Worker],
            data: Data::default(),
            store: StorePart::default(),
            lake: LakePart::default(),
            portal: PortalPart::default(),
            gateway: GatewayPart::default(),
            sql: SqlPart::default(),
            cluster: ClusterPart::default(),
            tls: TlsPart::default(),
            tsa: TsaPart::default(),
            evidence: EvidencePart::default(),
            paper: PaperPart::default(),
            operation: OperationPart::default(),
            log: LogPart::default(),
            rules: RulesPart::default(),
            outgoing: OutgoingPart::default(),
            exchange: ExchangePart::default(),
            identity: IdentityPart::default(),
        }
    }
}
impl Default for Data {
    fn default() -> Self {
        Self { folder: "./qiantang-data".into(), key_file: None, inbox: PathBuf::new() }
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
            secure_cookies: None,
            behind_proxy: false,
        }
    }
}
impl Default for GatewayPart {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8601).into(),
            public_url: String::new(),
            anonymous_per_second: 200,
            older_convention: false,
            ckan_sql: false,
            ckan_write: false,
            behind_proxy: false,
        }
    }
}
impl Default for OperationPart {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 8602).into() }
    }
}

impl Config {
    /// Reads and checks a file. Paths in it are relative to the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let mut config: Self = toml::from_str(&text).map_err(|e| {
            Error::invalid(
                format!("配置文件 {} 有误：{e}", path.display()),
                format!("the configuration file {} is wrong: {e}", path.display()),
            )
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.data.folder = base.join(&config.data.folder);
        for given in [&mut config.lake.root, &mut config.data.inbox] {
            if !given.as_os_str().is_empty() {
                *given = base.join(&*given);
            }
        }
        for folder in &mut config.exchange.folders {
            *folder = base.join(&*folder);
        }
        config.sql.relative_to(base);
        config.cluster.relative_to(base);
        config.tls.relative_to(base);
        config.tsa.relative_to(base);
        config.paper.relative_to(base);
        config.identity.relative_to(base);
        config.data.key_file = config.data.key_file.map(|p| base.join(p));
        config.rules.policy_folder = config.rules.policy_folder.map(|p| base.join(p));
        config.rules.limits_file = config.rules.limits_file.map(|p| base.join(p));
        config.rules.holidays_file = config.rules.holidays_file.map(|p| base.join(p));
        config.rules.synonyms_file = config.rules.synonyms_file.map(|p| base.join(p));
        config.check()?;
        Ok(config)
    }

    /// What cannot be seen from one key alone.
    pub fn check(&self) -> Result<()> {
        if self.roles.is_empty() {
            return bad(
                "roles",
                "至少要有一个角色（portal、gateway、worker、sql、scheduler、executor）",
                "needs at least one of portal, gateway, worker, sql, scheduler, executor",
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
        if !self.node() && !self.whole() && url.starts_with("sqlite:") {
            return bad(
                "roles",
                "SQLite 只能由一个进程使用；分进程部署请配置 PostgreSQL",
                "SQLite serves one process only; use PostgreSQL to split the roles",
            );
        }
        let same = |a: SocketAddr, b: SocketAddr| a == b && a.port() != 0;
        let (runs_portal, runs_gateway) =
            (self.runs(ProcessRole::Portal), self.runs(ProcessRole::Gateway));
        if runs_portal && runs_gateway && same(self.portal.listen, self.gateway.listen) {
            return bad(
                "gateway.listen",
                "不能与 portal.listen 相同",
                "must differ from portal.listen",
            );
        }
        if (runs_portal && same(self.operation.listen, self.portal.listen))
            || (runs_gateway && same(self.operation.listen, self.gateway.listen))
        {
            return bad(
                "operation.listen",
                "不能与 portal.listen 或 gateway.listen 相同",
                "must differ from portal.listen and gateway.listen",
            );
        }
        for (key, url) in [
            ("portal.public_url", self.portal.public_url.as_str()),
            ("gateway.public_url", self.gateway.public_url.as_str()),
        ] {
            if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
                return bad(
                    key,
                    "应以 http:// 或 https:// 开头",
                    "must start with http:// or https://",
                );
            }
        }
        if let Some(part) = self.log.level.split(',').find(|part| !log::directive(part)) {
            return bad(
                "log.level",
                &format!("`{part}` 应为 error、warn、info、debug、trace、off 之一，或 模块=级别"),
                &format!(
                    "`{part}` must be one of error, warn, info, debug, trace, off, or module=level"
                ),
            );
        }
        self.check_sql()?;
        self.check_cluster()?;
        self.check_tls()?;
        self.check_tsa()?;
        self.signing()?;
        self.check_identity()?;
        self.outgoing()?;
        let kept = absolute(&self.data.folder);
        if let Some(folder) = self.exchange.folders.iter().find(|f| kept.starts_with(absolute(f))) {
            return bad(
                "exchange.folders",
                &format!("{} 包含数据目录（主密钥等在其中），不能用于交换", folder.display()),
                &format!(
                    "{} holds the data folder (with the master key in it) and cannot be used for exchanges",
                    folder.display()
                ),
            );
        }
        if self.lake.memory_mb < 64 {
            return bad("lake.memory_mb", "至少为 64", "must be at least 64");
        }
        Ok(())
    }

    #[must_use]
    pub fn runs(&self, role: ProcessRole) -> bool {
        self.roles.contains(&role)
    }

    /// Whether several processes may work on the store at once.
    #[must_use]
    pub fn shared(&self) -> bool {
        self.store.url.starts_with("postgres")
    }

    /// Whether cookies are sent over HTTPS only.
    #[must_use]
    pub fn secure_cookies(&self) -> bool {
        self.portal.secure_cookies.unwrap_or_else(|| self.portal.public_url.starts_with("https://"))
    }

    /// The master key's text from the environment or from `data.key_file`; `None` = `master.key` in the folder.
    pub fn key_text(&self) -> Result<Option<Zeroizing<String>>> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the configuration reads the environment, here alone"
        )]
        if let Ok(text) = std::env::var(KEY_VARIABLE) {
            return Ok(Some(Zeroizing::new(text)));
        }
        let Some(path) = &self.data.key_file else { return Ok(None) };
        read(path).map(|text| Some(Zeroizing::new(text)))
    }

    /// The working-day calendar in force.
    pub fn calendar(&self) -> Result<Calendar> {
        match &self.rules.holidays_file {
            Some(path) => Calendar::read(&read(path)?).map_err(|e| of_file(path, &e)),
            None => Ok(Calendar::china()),
        }
    }

    /// The file of words that mean the same, when there is one of one's own.
    pub fn synonyms(&self) -> Result<Option<String>> {
        self.rules.synonyms_file.as_deref().map(read).transpose()
    }

    /// The policies in force.
    pub fn policy(&self) -> Result<Policy> {
        match &self.rules.policy_folder {
            Some(path) => Policy::load(path),
            None => Policy::shipped(),
        }
    }

    /// The business rules in force.
    pub fn rules(&self) -> Result<Rules> {
        match &self.rules.limits_file {
            Some(path) => Rules::parse(&read(path)?).map_err(|e| of_file(path, &e)),
            None => Rules::shipped(),
        }
    }

    /// Reads everything the configuration names, without opening a store. Answers what should be seen to soon, in
    /// Chinese and English.
    pub fn examine(&self, today: NaiveDate) -> Result<Vec<(String, String)>> {
        self.policy()?;
        self.rules()?;
        self.stamp_authorities()?;
        self.identity_services()?;
        if let Some(text) = self.key_text()? {
            guard::keys::KeyRing::from_text(text.trim())?;
        }
        let mut advice = Vec::new();
        advice.extend(calendar_advice(&self.calendar()?, today));
        if self.portal.secure_cookies == Some(false)
            && self.portal.public_url.starts_with("https://")
        {
            advice.push((
                "portal.secure_cookies = false，但 portal.public_url 是 https：建议删去该项".into(),
                "portal.secure_cookies is false although portal.public_url is https: leave the key out"
                    .into(),
            ));
        }
        if !self.whole() && self.data.key_file.is_none() && self.key_text()?.is_none() {
            advice.push((
                "分进程部署：各进程须使用同一数据目录，或用 data.key_file 给出同一主密钥".into(),
                "roles in several processes: let them share the data folder, or give each the same master key by data.key_file"
                    .into(),
            ));
        }
        Ok(advice)
    }

    #[must_use]
    pub fn inbox(&self) -> PathBuf {
        if self.data.inbox.as_os_str().is_empty() {
            self.data.folder.join("inbox")
        } else {
            self.data.inbox.clone()
        }
    }

    pub fn lake_root(&self) -> PathBuf {
        if self.lake.root.as_os_str().is_empty() {
            self.data.folder.join("lake")
        } else {
            self.lake.root.clone()
        }
    }
}

/// A key whose value does not do.
fn bad<T>(key: &str, zh: &str, en: &str) -> Result<T> {
    Err(Error::invalid(format!("配置项 {key}：{zh}"), format!("configuration key {key}: {en}")))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| {
        Error::invalid(
            format!("无法读取 {}：{e}", path.display()),
            format!("{} cannot be read: {e}", path.display()),
        )
    })
}

/// An error about a file's content, with the file's name.
fn of_file(path: &Path, e: &Error) -> Error {
    Error::new(
        e.code(),
        format!("{}：{}", path.display(), e.zh()),
        format!("{}: {}", path.display(), e.en()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (tempfile::TempDir, Result<Config>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = Config::load(&file);
        (folder, loaded)
    }

    #[test]
    fn a_level_that_is_none_is_named() {
        let (_folder, e) = load("[log]\nlevel = \"inof,lake=debug\"\n");
        assert!(e.unwrap_err().en().contains("`inof`"));
        let (_folder, e) = load("[log]\nlevel = \"info,lake=loud\"\n");
        assert!(e.unwrap_err().en().contains("`lake=loud`"));
        let (_folder, ok) = load("[log]\nlevel = \"info,lake=debug,tantivy=off\"\n");
        ok.unwrap();
    }

    #[test]
    fn rule_files_are_read_by_the_check() {
        let today = "2026-03-02".parse().unwrap();
        let (folder, config) =
            load("[rules]\nlimits_file = \"limits.toml\"\nholidays_file = \"days.csv\"\n");
        let config = config.unwrap();
        assert!(config.examine(today).unwrap_err().en().contains("limits.toml"));
        std::fs::write(folder.path().join("limits.toml"), "effective = 3\n").unwrap();
        assert!(config.examine(today).unwrap_err().en().contains("line 1"));
        std::fs::write(
            folder.path().join("limits.toml"),
            include_str!("../../app/rules/limits.toml"),
        )
        .unwrap();
        std::fs::write(folder.path().join("days.csv"), "2026-01-01,holiday\n2026-01-04,feast\n")
            .unwrap();
        let told = config.examine(today).unwrap_err();
        assert!(told.en().contains("days.csv") && told.en().contains("line 2"), "{told}");
        std::fs::write(folder.path().join("days.csv"), "2026-01-01,holiday\n").unwrap();
        assert!(config.examine(today).unwrap().is_empty());
    }

    #[test]
    fn a_calendar_that_ends_within_sixty_days_is_told() {
        let config = Config::default();
        let advice = |day: &str| config.examine(day.parse().unwrap()).unwrap();
        assert!(advice("2026-10-01").is_empty());
        assert!(advice("2026-11-25").iter().any(|(_, en)| en.contains("ends on 2026-12-31")));
    }

    #[test]
    fn cookies_are_secure_behind_an_https_address() {
        let (_folder, config) = load("[portal]\npublic_url = \"https://data.example\"\n");
        assert!(config.unwrap().secure_cookies());
        assert!(!Config::default().secure_cookies());
        let (_folder, config) = load(
            "[portal]\npublic_url = \"https://data.example\"\nsecure_cookies = false\nbehind_proxy = true\n",
        );
        let config = config.unwrap();
        assert!(!config.secure_cookies() && config.portal.behind_proxy);
        assert_eq!(config.examine("2026-03-02".parse().unwrap()).unwrap().len(), 1);
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let text = toml::to_string_pretty(&Config::default()).unwrap();
        let (_folder, again) = load(&text);
        assert_eq!(again.unwrap().operation.listen, Config::default().operation.listen);
    }

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
