//! Self sign-up (自助注册) and real-name verification (实名认证): what somebody says of themselves, and where the answer stands.
//!
//! Numbers and names of people are no part of what is listed: [`RealNameDetails`] rests sealed, [`RealNameFiling`] holds the number with
//! its middle hidden and a keyed hash of it.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::account::Role;
use crate::code::code_list;
use crate::identity::SubjectKind;

code_list! {
    /// For whom somebody signs up.
    SignUpKind {
        Citizen = "citizen", "个人", "A person";
        Enterprise = "enterprise", "企业", "An enterprise";
    }
}

impl SignUpKind {
    /// The role of such an account.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            SignUpKind::Citizen => Role::Citizen,
            SignUpKind::Enterprise => Role::Enterprise,
        }
    }
}

code_list! {
    /// Where the real-name verification of an account stands.
    RealNameState {
        Unverified = "unverified", "未实名", "Not verified";
        Review = "review", "审核中", "Under review";
        Verified = "verified", "已实名", "Verified";
        Refused = "refused", "未通过", "Refused";
        Withdrawn = "withdrawn", "已撤回", "Withdrawn";
        Revoked = "revoked", "已撤销", "Revoked";
    }
}

/// What somebody says who signs up.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SignUpNew {
    pub kind: Option<SignUpKind>,
    /// Login name.
    pub name: String,
    /// Name shown.
    pub display_name: String,
    pub password: String,
    /// Name and unified social credit code of the enterprise; nothing is looked up by them.
    pub company: String,
    pub uscc: String,
    /// The terms were agreed to.
    pub agreed: bool,
}

impl std::fmt::Debug for SignUpNew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignUpNew")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is kept of a sign-up. Accounts that others opened have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignUp {
    /// Id of the account.
    pub account: String,
    pub kind: SignUpKind,
    /// Version of the terms that were agreed to.
    pub terms: String,
    /// What the enterprise is called and its credit code, as told; empty for a person.
    pub company: String,
    pub uscc: String,
    /// RFC 3339.
    pub at: String,
}

/// What a person or company files to be verified.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealNameDetails {
    /// Name of the person, or of the company.
    pub name: String,
    /// Identity number (GB 11643) or unified social credit code (GB 32100).
    pub number: String,
    /// Legal representative (法定代表人) of a company; empty for a person.
    pub representative: String,
}

impl std::fmt::Debug for RealNameDetails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RealNameDetails").finish_non_exhaustive()
    }
}

/// A scan that goes with a filing. It is taken away when the filing is over; its checksum stays in the audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealNameFile {
    pub id: String,
    pub name: String,
    /// Media type (IANA).
    pub media: String,
    pub bytes: u64,
    /// SHA-256, in hex.
    pub checksum: String,
    /// RFC 3339.
    pub at: String,
}

/// What was filed, without the details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealNameFiling {
    pub id: String,
    /// Id and login name of the account.
    pub account: String,
    pub account_name: String,
    pub kind: SubjectKind,
    pub state: RealNameState,
    /// The number with its middle hidden.
    pub shown: String,
    /// Keyed hash of the number.
    pub mark: String,
    /// RFC 3339.
    pub filed_at: String,
    /// Day by which the authority is to answer.
    pub due: NaiveDate,
    pub files: Vec<RealNameFile>,
    /// Login name of who decided; empty until then.
    pub decided_by: String,
    /// RFC 3339; empty until then.
    pub decided_at: String,
    /// Why it was refused, or revoked.
    pub reason: String,
    /// Login name of who revoked the verification, and when (RFC 3339); empty while it stands.
    #[serde(default)]
    pub revoked_by: String,
    #[serde(default)]
    pub revoked_at: String,
    /// Grows with each change.
    pub edit: u64,
}

impl RealNameFiling {
    /// Whether it waits longer than it should on a day.
    #[must_use]
    pub fn overdue(&self, today: NaiveDate) -> bool {
        self.state == RealNameState::Review && self.due < today
    }

    /// Whether it waits for an answer that is due by a day.
    #[must_use]
    pub fn due_by(&self, day: NaiveDate) -> bool {
        self.state == RealNameState::Review && self.due <= day
    }
}

/// What an account's administrator sees of who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RealNameSeen {
    pub state: RealNameState,
    /// What is kept of the sign-up; `None`: somebody else opened the account.
    pub sign_up: Option<SignUp>,
    /// Id of the newest filing; empty: there is none.
    pub filing: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filing_is_due_overdue_or_over() {
        let day = |d: &str| d.parse::<NaiveDate>().unwrap();
        // As it was kept before a verification could be revoked.
        let body = r#"{"id":"r","account":"u","account_name":"li","kind":"person","state":"review","shown":"110***2X","mark":"0f",
            "filed_at":"2026-03-02T01:00:00.000Z","due":"2026-03-05","files":[],"decided_by":"","decided_at":"","reason":"","edit":1}"#;
        let mut filing: RealNameFiling = serde_json::from_str(body).unwrap();
        assert_eq!(filing.revoked_at, "");
        let told = |f: &RealNameFiling, d: &str| (f.due_by(day(d)), f.overdue(day(d)));
        assert_eq!(told(&filing, "2026-03-04"), (false, false));
        assert_eq!(told(&filing, "2026-03-05"), (true, false));
        assert_eq!(told(&filing, "2026-03-06"), (true, true));
        filing.state = RealNameState::Verified;
        assert_eq!(told(&filing, "2026-03-06"), (false, false), "it was answered");
    }

    #[test]
    fn secrets_do_not_show_in_logs() {
        let new = SignUpNew { password: "Hidden-2026!".into(), ..SignUpNew::default() };
        let details =
            RealNameDetails { number: "11010519491231002X".into(), ..RealNameDetails::default() };
        let told = format!("{new:?} {details:?}");
        assert!(!told.contains("Hidden") && !told.contains("110105"), "{told}");
    }
}
