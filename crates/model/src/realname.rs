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
    /// Why it was refused.
    pub reason: String,
    /// Grows with each change.
    pub edit: u64,
}

impl RealNameFiling {
    /// Whether it waits longer than it should on a day.
    #[must_use]
    pub fn overdue(&self, today: NaiveDate) -> bool {
        self.state == RealNameState::Review && self.due < today
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_logs() {
        let new = SignUpNew { password: "Hidden-2026!".into(), ..SignUpNew::default() };
        let details =
            RealNameDetails { number: "11010519491231002X".into(), ..RealNameDetails::default() };
        let told = format!("{new:?} {details:?}");
        assert!(!told.contains("Hidden") && !told.contains("110105"), "{told}");
    }
}
