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

code_list! {
    /// How a session was opened: the authentication context (`acr`) of its ID tokens.
    SignInMethod {
        Password = "password", "本平台密码", "A password of this platform";
        Outside = "outside", "外部身份服务", "An outside identity service";
    }
}

code_list! {
    /// What a client may ask for (OpenID Connect Core 1.0 §5.4, §11; `org` and `real_name` are ours).
    Scope {
        OpenId = "openid", "识别您的账号", "To know you again";
        Profile = "profile", "个人资料", "Your profile";
        Org = "org", "所在单位", "Your organisation";
        RealName = "real_name", "实名状态", "Real-name state";
        OfflineAccess = "offline_access", "在您退出登录后继续获取以上信息", "To go on learning this after you have signed out";
    }
}

code_list! {
    /// One thing a client is told of a person: its word in userinfo (OpenID Connect Core 1.0 §5.1), and what it is.
    Claim {
        Subject = "sub", "您在该应用中的固定标识（不是用户名，其他应用看到的不同）", "a steady id of you for this application (not your user name; others see another)";
        Name = "name", "显示名", "the name shown";
        PreferredUsername = "preferred_username", "用户名", "user name";
        UpdatedAt = "updated_at", "资料最近变更时间", "when these last changed";
        Locale = "locale", "登录时使用的语言", "the language you signed in with";
        Org = "org", "所在单位的统一社会信用代码", "credit code of your organisation";
        OrgName = "org_name", "所在单位名称", "name of your organisation";
        RealNameVerified = "real_name_verified", "账号是否已实名核验（只告知是或否，不含姓名和证件号码）", "whether your identity was verified (yes or no only, never name or number)";
    }
}

impl Scope {
    /// What it hands over, exactly.
    #[must_use]
    pub fn claims(self) -> &'static [Claim] {
        match self {
            Scope::OpenId => &[Claim::Subject],
            Scope::Profile => {
                &[Claim::Name, Claim::PreferredUsername, Claim::UpdatedAt, Claim::Locale]
            }
            Scope::Org => &[Claim::Org, Claim::OrgName],
            Scope::RealName => &[Claim::RealNameVerified],
            Scope::OfflineAccess => &[],
        }
    }

    /// The scope of a word, letter by letter (RFC 6749 §3.3).
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Scope::ALL.iter().copied().find(|s| s.as_str() == word)
    }

    /// Those of a text that are known, in the order of the list, each once.
    #[must_use]
    pub fn among(words: &str) -> Vec<Self> {
        let said: Vec<&str> = words.split_whitespace().collect();
        Scope::ALL.iter().copied().filter(|s| said.contains(&s.as_str())).collect()
    }
}

/// What an application is as a client of the identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSettings {
    pub kind: ClientKind,
    /// Where the browser may be sent back to; compared letter by letter.
    pub redirects: Vec<String>,
    /// Where it may be sent after signing out; compared letter by letter.
    pub logouts: Vec<String>,
    /// Origins whose scripts may read the provider's answers: of a public client only.
    pub origins: Vec<String>,
    /// What it may ask for beyond `openid`.
    pub scopes: Vec<Scope>,
    /// Where it is told that a session has ended (`backchannel_logout_uri`); empty: it is not told.
    pub backchannel: String,
    /// It cannot do without the session's id there (`backchannel_logout_session_required`). Every logout token holds it.
    pub sid_required: bool,
}

impl ClientSettings {
    /// A client with these redirect addresses and the usual scopes.
    #[must_use]
    pub fn new(kind: ClientKind, redirects: Vec<String>) -> Self {
        let scopes = vec![Scope::Profile, Scope::Org, Scope::OfflineAccess];
        Self {
            kind,
            redirects,
            logouts: Vec::new(),
            origins: Vec::new(),
            scopes,
            backchannel: String::new(),
            sid_required: false,
        }
    }

    /// Whether the client may ask for it.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        scope == Scope::OpenId || self.scopes.contains(&scope)
    }
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

/// Whether an address is an origin as browsers write it (RFC 6454 §6.2): scheme, host and a port that is not the usual one, in small letters,
/// nothing behind them.
#[must_use]
pub fn origin_ok(origin: &str) -> bool {
    let usual = match origin.split_once("://") {
        Some(("https", place)) => place.ends_with(":443"),
        _ => origin.ends_with(":80"),
    };
    redirect_ok(origin)
        && !usual
        && !origin.bytes().any(|b| b.is_ascii_uppercase())
        && origin_of(origin).as_deref() == Some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_do() {
        for good in ["https://app.example.cn", "https://app.example.cn:8443", "http://[::1]:4000"] {
            assert!(origin_ok(good), "{good}");
        }
        for bad in [
            "https://app.example.cn/",
            "https://App.example.cn",
            "https://app.example.cn:443",
            "http://localhost:80",
            "http://app.example.cn",
            "https://app.example.cn?x",
            "null",
            "*",
            "",
        ] {
            assert!(!origin_ok(bad), "{bad}");
        }
    }

    #[test]
    fn a_scope_hands_over_what_it_lists_and_no_two_the_same() {
        let all: Vec<Claim> = Scope::ALL.iter().flat_map(|s| s.claims()).copied().collect();
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!((all.len(), once.len()), (Claim::ALL.len(), Claim::ALL.len()));
        assert_eq!(Scope::among("profile openid x openid"), [Scope::OpenId, Scope::Profile]);
        assert_eq!(Scope::of("Profile"), None);
    }

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
