//! Accounts: people with roles, and applications (应用) with keys.

use serde::{Deserialize, Serialize};

use crate::realname::RealNameSeen;

/// Role of a person. A person may hold several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 系统管理员
    SystemAdministrator,
    /// 公共数据主管部门
    Authority,
    /// 数据提供单位 (数源单位)
    Provider,
    /// 审核人
    Reviewer,
    /// 数据使用单位
    Consumer,
    /// 安全管理员
    SecurityOfficer,
    /// 审计员
    Auditor,
    /// 企业用户
    Enterprise,
    /// 公众用户
    Citizen,
}

impl Role {
    pub const ALL: [Role; 9] = [
        Role::SystemAdministrator,
        Role::Authority,
        Role::Provider,
        Role::Reviewer,
        Role::Consumer,
        Role::SecurityOfficer,
        Role::Auditor,
        Role::Enterprise,
        Role::Citizen,
    ];
    /// Word used in rules, files and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::SystemAdministrator => "system_administrator",
            Role::Authority => "authority",
            Role::Provider => "provider",
            Role::Reviewer => "reviewer",
            Role::Consumer => "consumer",
            Role::SecurityOfficer => "security_officer",
            Role::Auditor => "auditor",
            Role::Enterprise => "enterprise",
            Role::Citizen => "citizen",
        }
    }
    /// Name shown in Chinese.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Role::SystemAdministrator => "系统管理员",
            Role::Authority => "主管部门",
            Role::Provider => "数据提供单位",
            Role::Reviewer => "审核人",
            Role::Consumer => "数据使用单位",
            Role::SecurityOfficer => "安全管理员",
            Role::Auditor => "审计员",
            Role::Enterprise => "企业",
            Role::Citizen => "公众",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|r| r.as_str() == word)
    }
}

/// A person's account as shown outward (never the password hash).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    /// Login name, unique, lower case.
    pub name: String,
    /// Name shown.
    pub display_name: String,
    pub org: Option<String>,
    pub roles: Vec<Role>,
    pub active: bool,
    pub created_at: String,
}

/// A person's token for machine doors as shown to its owner; the token itself is told once and kept as a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalToken {
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Its last characters, by which its owner knows it again.
    pub tail: String,
    pub created_at: String,
    /// RFC 3339: no use of it is taken from then on.
    pub expires_at: String,
    /// RFC 3339, to the minute; `None`: never.
    pub last_used_at: Option<String>,
}

/// What is needed to open an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserNew {
    pub name: String,
    pub display_name: String,
    pub org: Option<String>,
    pub roles: Vec<Role>,
    pub password: String,
}

/// What a system administrator may change of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChange {
    pub display_name: String,
    pub org: Option<String>,
    pub roles: Vec<Role>,
}

/// An account as its administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    #[serde(flatten)]
    pub user: User,
    /// Sign-in is refused until then (RFC 3339), after too many failures.
    pub locked_until: Option<String>,
    /// The password is a one-time one, good until then (RFC 3339), and must be changed at the next sign-in.
    pub one_time_until: Option<String>,
    /// Who it is, as far as somebody has looked; `None`: an account of a public body, of which nobody asks.
    pub real_name: Option<RealNameSeen>,
}

/// A one-time password: shown once to the administrator who asked for it.
#[derive(Clone, Serialize)]
pub struct OneTimePassword {
    pub user: User,
    pub password: String,
    /// Good until then, RFC 3339.
    pub until: String,
}

impl std::fmt::Debug for OneTimePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneTimePassword").field("user", &self.user.name).finish_non_exhaustive()
    }
}

/// An application (应用) that calls interfaces. The secret is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    pub id: String,
    pub name: String,
    pub description: String,
    /// Organisation it belongs to; empty for a citizen's own, which belongs to `owner`.
    pub org: String,
    /// Access key, public part of the credential.
    pub key: String,
    pub active: bool,
    pub owner: String,
    pub created_at: String,
}

impl Application {
    /// Whether it is a citizen's own and not an organisation's.
    #[must_use]
    pub fn personal(&self) -> bool {
        self.org.is_empty()
    }
}

/// What is needed to register an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplicationNew {
    pub name: String,
    pub description: String,
    /// Organisation it is to belong to; empty: the person's own.
    pub org: String,
}

/// A new application with its secret: shown once.
#[derive(Clone, Serialize)]
pub struct ApplicationSecret {
    pub application: Application,
    pub secret: String,
}

impl std::fmt::Debug for ApplicationSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApplicationSecret")
            .field("key", &self.application.key)
            .finish_non_exhaustive()
    }
}
