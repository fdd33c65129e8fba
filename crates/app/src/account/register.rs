//! Self sign-up (自助注册): somebody opens an account on the open site. It is a citizen's, or an enterprise's without an organisation:
//! naming one proves nothing, so that nothing is looked up by what is named ([`crate::realname`] confirms it).
//!
//! Tries are limited by address before anything is looked at, accounts of an address by the day, in the store. A taken name and one that
//! nobody gets read the same; that a name is taken is all that can be found out.

use chrono::TimeDelta;
use model::account::User;
use model::identity::{SignInMethod, one_spelling};
use model::realname::{SignUp, SignUpKind, SignUpNew};
use model::voice::{impersonal, plain};
use model::{Code, Error, Op, Result, ident, op};
use serde::Deserialize;
use store::realname::Limit;

use super::Session;
use super::attempt::{self, Refusal, hashed};
use super::person::{good_password, open};
use crate::{App, audit};

/// Longest name shown and name of an enterprise, in characters.
const SHOWN: usize = 50;
const COMPANY: usize = 100;

/// Sign-up and real-name verification (`rules/signup.toml`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignUpRules {
    /// Day from which it holds, `YYYY-MM-DD`.
    pub effective: String,
    pub open: SignUpOpen,
    pub limits: SignUpLimits,
    pub words: SignUpWords,
    pub terms: SignUpTerms,
    pub real_name: crate::realname::RealNameRules,
}

/// For whom the site allows sign-up.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignUpOpen {
    pub citizens: bool,
    pub enterprises: bool,
}

impl SignUpOpen {
    /// Whether the site allows it.
    #[must_use]
    pub fn allows(self, kind: SignUpKind) -> bool {
        match kind {
            SignUpKind::Citizen => self.citizens,
            SignUpKind::Enterprise => self.enterprises,
        }
    }
    /// For whom it is allowed.
    #[must_use]
    pub fn kinds(self) -> Vec<SignUpKind> {
        SignUpKind::ALL.iter().copied().filter(|k| self.allows(*k)).collect()
    }
}

/// How much there may be.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignUpLimits {
    /// Accounts of one address in 24 hours.
    pub accounts_a_day: u32,
    /// Tries of one address within the window.
    pub tries: u32,
    pub window_seconds: u32,
    /// Length of login names in characters.
    pub name_least: usize,
    pub name_most: usize,
}

/// Words that nobody gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignUpWords {
    /// Login names, in small letters.
    pub reserved: Vec<String>,
    /// Parts of names shown.
    pub claims: Vec<String>,
}

/// The terms in both languages, one version of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignUpTerms {
    pub version: String,
    pub zh: Vec<String>,
    pub en: Vec<String>,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(own: Option<SignUpRules>) -> std::result::Result<SignUpRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/signup.toml")), Ok)
}

/// Opens an account for whoever asks, and signs them in.
pub async fn sign_up(app: &App, op: &Op, new: SignUpNew) -> Result<Session> {
    let name = new.name.trim().to_lowercase();
    match attempt::to_sign_up(app, op) {
        Ok(()) => {}
        Err(Refusal::Told(error)) => return refuse(app, op, &name, error).await,
        Err(Refusal::Untold(error)) => return Err(error),
    }
    let (user, sign_up) = drawn(app, op, &name, &new)?;
    good_password(app, &new.password, &name)?;
    if reserved(app, &name) {
        return refuse(app, op, &name, taken()).await;
    }
    let phc = hashed(app, new.password).await?;
    let (_, permit) = app.platform(op)?;
    let since = op::stamp(op.at - TimeDelta::hours(24));
    let limit = Limit { since: &since, most: app.rules.signup.limits.accounts_a_day };
    let source = app.keys.derive("source of a sign-up").mark(attempt::subscriber(op).as_bytes());
    let kept =
        app.store.sign_up_insert(&permit, (&user, phc.as_str()), &sign_up, &source, limit).await;
    match kept {
        Ok(true) => {}
        Ok(false) => return refuse(app, op, &name, enough()).await,
        Err(error) if error.code() == Code::Duplicate => {
            return refuse(app, op, &name, taken()).await;
        }
        Err(error) => return Err(error),
    }
    let mut event = audit::event(op, "account.sign_up", &user.name);
    event.scope = format!("{} terms {}", sign_up.kind, sign_up.terms);
    audit::record(app, event).await?;
    open(app, op, user, false, SignInMethod::Password).await
}

/// What was typed, checked, as an account that is not kept yet.
fn drawn(app: &App, op: &Op, name: &str, new: &SignUpNew) -> Result<(User, SignUp)> {
    let rules = &app.rules.signup;
    let kind = new.kind.ok_or_else(|| {
        Error::invalid("请选择个人或企业", "say whether you are a person or an enterprise")
            .field("kind", "必选", "required")
    })?;
    if !rules.open.allows(kind) {
        return Err(closed(kind));
    }
    good_name(app, name)?;
    let shown = plain("display_name", ("显示名", "name shown"), &new.display_name, 2, SHOWN)?;
    impersonal("display_name", &shown)?;
    let lower = shown.to_lowercase();
    if let Some(claim) = rules.words.claims.iter().find(|c| lower.contains(c.as_str())) {
        return Err(Error::invalid(
            format!("显示名不能含有“{claim}”，以免被误认为平台或主管部门"),
            format!("the name shown must not hold `{claim}`: it would pass for the platform or an authority"),
        )
        .field("display_name", "请换一个", "choose another"));
    }
    let (company, uscc) = match kind {
        SignUpKind::Citizen => (String::new(), String::new()),
        SignUpKind::Enterprise => company(new)?,
    };
    if !new.agreed {
        return Err(Error::invalid("请阅读并同意用户协议", "read the terms and agree to them")
            .field("agreed", "必选", "required"));
    }
    let user = User {
        id: op.new_id(),
        name: name.to_owned(),
        display_name: shown,
        org: None,
        roles: vec![kind.role()],
        active: true,
        created_at: op.stamp(),
    };
    let sign_up = SignUp {
        account: user.id.clone(),
        kind,
        terms: rules.terms.version.clone(),
        company,
        uscc,
        at: op.stamp(),
    };
    Ok((user, sign_up))
}

fn company(new: &SignUpNew) -> Result<(String, String)> {
    let name = ("企业名称", "name of the enterprise");
    let company = plain("company", name, &new.company, 2, COMPANY)?;
    let uscc = one_spelling(&new.uscc);
    ident::uscc(&uscc).map_err(|_| {
        Error::invalid("统一社会信用代码不正确", "this is no unified social credit code").field(
            "uscc",
            "请核对 18 位代码",
            "check its 18 characters",
        )
    })?;
    Ok((company, uscc))
}

/// A login name: its shape, and that it tells of nobody.
fn good_name(app: &App, name: &str) -> Result<()> {
    let limits = &app.rules.signup.limits;
    let (least, most) = (limits.name_least, limits.name_most);
    let shape = (least..=most).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name.bytes().any(|b| b.is_ascii_alphabetic());
    if !shape {
        return Err(Error::invalid(
            format!("用户名为 {least} 至 {most} 位字母、数字、- _ .，至少含一个字母"),
            format!(
                "the user name has {least} to {most} letters, digits, - _ . and one letter at least"
            ),
        )
        .field("name", "请改写用户名", "rewrite the user name"));
    }
    impersonal("name", name)
}

/// Whether nobody gets this name, whatever digits and signs it is dressed in.
fn reserved(app: &App, name: &str) -> bool {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    app.rules.signup.words.reserved.contains(&letters)
}

fn closed(kind: SignUpKind) -> Error {
    let (zh, en) = (kind.zh(), kind.en().to_lowercase());
    Error::new(
        Code::RuleBroken,
        format!("本站未开放{zh}自助注册，请联系所在地公共数据主管部门开通账号"),
        format!("sign-up is not open to {en} here: ask the public-data authority of your place for an account"),
    )
    .with_reasons(vec!["signup.closed".to_owned()])
}

fn taken() -> Error {
    Error::new(
        Code::Duplicate,
        "该用户名不可用，请换一个",
        "this user name is not to be had: choose another",
    )
    .field("name", "请换一个用户名", "choose another user name")
}

fn enough() -> Error {
    Error::new(
        Code::RateLimited,
        "您所在网络今日注册的账号已达上限，请明天再试，或联系所在地公共数据主管部门开通",
        "as many accounts were opened from your network today as are allowed: try again tomorrow, or ask the public-data authority of your place",
    )
}

async fn refuse<T>(app: &App, op: &Op, name: &str, error: Error) -> Result<T> {
    let object: String = name.chars().take(64).collect();
    audit::refused(app, op, "account.sign_up", &object, &error).await?;
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_read() {
        let rules = rules(None).unwrap();
        assert!(
            rules.open.allows(SignUpKind::Citizen),
            "open to citizens unless somebody says otherwise"
        );
        assert!(rules.limits.accounts_a_day > 0 && rules.limits.tries > 0);
        assert!(rules.limits.name_least >= 2 && rules.limits.name_most <= 64);
        assert!(rules.real_name.days > 0 && rules.real_name.files > 0);
        assert!(rules.real_name.remind <= rules.real_name.days);
        assert_eq!(rules.terms.zh.len(), rules.terms.en.len());
        for word in &rules.words.reserved {
            assert!(word.bytes().all(|b| b.is_ascii_lowercase()), "{word}: letters are compared");
        }
    }

    #[test]
    fn a_misspelt_rule_is_an_error() {
        let text = include_str!("../../rules/signup.toml").replace("citizens", "citizen");
        assert!(toml::from_str::<SignUpRules>(&text).is_err());
    }
}
