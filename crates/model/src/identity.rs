//! The identity centre (统一身份与授权): clients of our own OpenID Connect provider, outside identity services, and what a subject
//! (主体: a person or company) has authorised.

use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// Whether a client can keep a secret (RFC 6749 §2.1).
    ClientKind {
        Confidential = "confidential", "机密客户端（服务器）", "Confidential (a server)";
        Public = "public", "公开客户端（浏览器、手机）", "Public (a browser, a phone)";
    }
}

code_list! {
    /// What a subject's identifier is.
    SubjectKind {
        Person = "person", "个人（身份证号）", "Person (identity number)";
        Company = "company", "企业（统一社会信用代码）", "Company (unified social credit code)";
    }
}

code_list! {
    /// Where a subject's authorisation stands. That its term is over is told by the clock.
    AuthorisationState {
        Asked = "asked", "待授权", "Asked for";
        Standing = "standing", "已授权", "Given";
        Refused = "refused", "已拒绝", "Refused";
        Revoked = "revoked", "已撤回", "Revoked";
    }
}

/// What an application is as a client of the identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSettings {
    pub kind: ClientKind,
    /// Where the browser may be sent back to; compared letter by letter.
    pub redirects: Vec<String>,
}

/// A person's consent that a client learns what its scopes name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub application: String,
    /// Words parted by spaces.
    pub scope: String,
    pub at: String,
}

/// An outside identity service, as configured.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideService {
    /// Short name in addresses: letters, digits, `-`.
    pub name: String,
    /// What its button says.
    pub zh: String,
    pub en: String,
    pub issuer: String,
    pub client_id: String,
    #[serde(default, skip_serializing)]
    pub client_secret: String,
    /// Words asked for beyond `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether somebody without an account gets a citizen's; otherwise only linked accounts sign in.
    #[serde(default)]
    pub create: bool,
}

impl std::fmt::Debug for OutsideService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutsideService")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// An account's tie to an outside identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutsideLink {
    /// Name of the service.
    pub service: String,
    pub at: String,
}

/// A confirmed identifier of an account, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubjectView {
    pub kind: SubjectKind,
    /// The identifier with its middle hidden.
    pub shown: String,
    /// By whom it was confirmed: a person's id; empty: it is the organisation's own.
    pub confirmed_by: String,
}

/// A subject's authorisation (主体授权), or the wish for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorisation {
    pub id: String,
    /// Keyed hash of the subject's identifier.
    pub subject: String,
    pub state: AuthorisationState,
    /// Who may use the data.
    pub application: String,
    pub application_name: String,
    /// Organisation of the application; empty: a citizen's own.
    pub org: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// Identifiers of the items; none: all that the application is granted.
    pub items: Vec<String>,
    pub purpose: String,
    pub days: u32,
    /// Version of the letter (授权书) it was given by; empty until then.
    pub letter: String,
    pub asked_by: String,
    pub asked_at: String,
    pub given_at: String,
    /// End of the term, RFC 3339; empty until it is given.
    pub until: String,
    pub ended_at: String,
}

impl Authorisation {
    /// Whether it holds at a moment (RFC 3339).
    #[must_use]
    pub fn holds(&self, at: &str) -> bool {
        self.state == AuthorisationState::Standing && self.until.as_str() > at
    }
    /// Whether it covers an item.
    #[must_use]
    pub fn covers(&self, item: &str) -> bool {
        self.items.is_empty() || self.items.iter().any(|i| i == item)
    }
}

/// What is needed to ask for an authorisation, or to give one by oneself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorisationNew {
    /// The application's id or key.
    pub application: String,
    /// The data set's code.
    pub entry: String,
    pub items: Vec<String>,
    pub purpose: String,
    pub days: u32,
}

/// One use of a subject's data by an authorisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorisationUse {
    pub authorisation: String,
    pub at: String,
    /// Items asked for, parted by commas.
    pub items: String,
    pub purpose: String,
    pub request_id: String,
}

/// An identifier in one spelling: without blanks, capital letters.
#[must_use]
pub fn one_spelling(identifier: &str) -> String {
    identifier.split_whitespace().collect::<String>().to_uppercase()
}

/// An identifier with its middle hidden: the first three and the last two letters stay.
#[must_use]
pub fn half_hidden(identifier: &str) -> String {
    let letters: Vec<char> = identifier.chars().collect();
    let (head, tail) = (3, 2);
    let hidden = letters.len().saturating_sub(head + tail);
    if hidden == 0 {
        return "*".repeat(letters.len());
    }
    let start: String = letters.iter().take(head).collect();
    let end: String = letters.iter().skip(head + hidden).collect();
    format!("{start}{}{end}", "*".repeat(hidden))
}

/// Whether a client may be sent back to an address: `https`, or `http` on this machine only (RFC 8252 §7.3); no fragment, no user, no
/// wildcard (RFC 6749 §3.1.2).
#[must_use]
pub fn redirect_ok(address: &str) -> bool {
    if address.len() > 500 || !address.bytes().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    if address.contains(['#', '*', '\\', '"', '\'', '<', '>', ';', ',']) {
        return false;
    }
    let (secure, rest) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return false,
    };
    let place = rest.split(['/', '?']).next().unwrap_or_default();
    if place.is_empty() || place.contains('@') {
        return false;
    }
    let host = match place.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default(),
        None => place.split(':').next().unwrap_or_default(),
    };
    !host.is_empty() && (secure || ["127.0.0.1", "localhost", "::1"].contains(&host))
}

/// Scheme, host and port of an address that is good by [`redirect_ok`].
#[must_use]
pub fn origin_of(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let place = rest.split(['/', '?']).next()?;
    Some(format!("{scheme}://{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_to_plain_addresses_only() {
        for good in [
            "https://app.example.cn/back",
            "https://app.example.cn:8443/back?x=1",
            "http://127.0.0.1:4000/cb",
            "http://[::1]:4000/cb",
            "http://localhost/cb",
        ] {
            assert!(redirect_ok(good), "{good}");
        }
        for bad in [
            "http://app.example.cn/back",
            "http://127.0.0.1@evil.example/",
            "https://a@b/",
            "https:///x",
            "https://x/#y",
            "https://*.example.cn/",
            "javascript:alert(1)",
            "//evil.example",
            "http://localhost.evil.example/",
            "https://x/\r\n",
            "https://x; script-src *",
            "",
        ] {
            assert!(!redirect_ok(bad), "{bad}");
        }
        assert_eq!(origin_of("http://127.0.0.1:4/a?b").as_deref(), Some("http://127.0.0.1:4"));
    }

    #[test]
    fn identifiers_have_one_spelling_and_are_half_hidden() {
        assert_eq!(one_spelling(" 11010519491231002x "), "11010519491231002X");
        assert_eq!(half_hidden("11010519491231002X"), "110*************2X");
        assert_eq!(half_hidden("abcde"), "*****");
        assert_eq!(half_hidden(""), "");
    }
}
