//! The browser's way (RFC 6749 §4.1, OpenID Connect Core 1.0 §3.1): a request is looked at, the person signs in and agrees, and the
//! browser goes back with a code. Nothing is ever sent to an address that is not registered.

use guard::identity::challenge_ok;
use guard::{hash, keys, signature};
use model::account::Application;
use model::identity::{Claim, ClientSettings, Consent, Scope, SignInMethod, origin_of};
use model::{Error, Op, Result};
use serde::Serialize;
use store::identity::Given;

use super::{LONGEST, claims, first, provider};
use crate::account::Session;
use crate::{App, account, audit};

const PARAMETERS: [&str; 17] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "prompt",
    "max_age",
    "code_challenge",
    "code_challenge_method",
    "id_token_hint",
    "login_hint",
    "acr_values",
    "ui_locales",
    "display",
    SINCE,
];
/// Ours: a session must not be older (seconds since 1970, and our mark that nobody else makes). It stands in the address to which
/// sign-in leads back.
const SINCE: &str = "qt_since";
/// Words of `prompt` that ask for a sign-in made for the request; the sign-in page is where an account is chosen.
const ANEW: [&str; 2] = ["login", "select_account"];

/// Whose browser asks, and by which address the provider is known.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub session: Option<&'a Session>,
    pub issuer: &'a str,
    /// Language of the pages (BCP 47).
    pub locale: &'a str,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Back to the client, by its registered address.
    Back(String),
    /// To the sign-in page, and from there to this path.
    SignIn(String),
    /// The person is asked.
    Consent(Box<ConsentAsk>),
}

/// What a person is asked to agree to.
#[derive(Clone, Debug, Serialize)]
pub struct ConsentAsk {
    pub application: String,
    pub description: String,
    /// Organisation of the application; empty: a citizen's own.
    pub org: String,
    pub scopes: Vec<ScopeAsk>,
    /// Scheme, host and port the browser goes back to.
    pub goal: String,
}

/// A scope with all that it hands over.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ScopeAsk {
    pub scope: Scope,
    pub claims: &'static [Claim],
}

impl From<Scope> for ScopeAsk {
    fn from(scope: Scope) -> Self {
        Self { scope, claims: scope.claims() }
    }
}

/// A consent as its giver sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ConsentView {
    pub application: String,
    pub name: String,
    pub org: String,
    pub scopes: Vec<String>,
    pub at: String,
}

/// A request whose client and address are right.
struct Request<'a> {
    pairs: &'a [(String, String)],
    application: Application,
    settings: ClientSettings,
    redirect: String,
}

/// Whoever asks, signed in as the request wants it.
struct Person<'a> {
    session: &'a Session,
    /// When the session began, seconds since 1970.
    began: i64,
    method: SignInMethod,
}

/// Why a client is told no: RFC 6749 §4.1.2.1 and OpenID Connect Core 1.0 §3.1.2.6.
struct No(&'static str, &'static str);

impl Request<'_> {
    fn get(&self, name: &str) -> &str {
        first(self.pairs, name)
    }
    /// What is asked for. Words we do not know are left out (OpenID Connect Core 1.0 §3.1.2.1).
    fn scopes(&self) -> Vec<Scope> {
        Scope::among(self.get("scope"))
    }
    /// The same as words parted by spaces.
    fn scope(&self) -> String {
        words(&self.scopes())
    }
    fn prompts(&self) -> Vec<&str> {
        self.get("prompt").split_whitespace().collect()
    }
    /// A sign-in is asked for that is made for this request.
    fn anew(&self) -> bool {
        self.prompts().iter().any(|w| ANEW.contains(w))
    }
    /// The client's address with what it is told; state and issuer (RFC 9207) always are.
    fn back(&self, issuer: &str, told: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(told);
        if !self.get("state").is_empty() {
            query.append_pair("state", self.get("state"));
        }
        query.append_pair("iss", issuer);
        let joint = if self.redirect.contains('?') { '&' } else { '?' };
        format!("{}{joint}{}", self.redirect, query.finish())
    }
    /// Back to the client with a no.
    fn refused(&self, issuer: &str, No(word, why): No) -> Step {
        Step::Back(self.back(issuer, &[("error", word), ("error_description", why)]))
    }
    /// Where sign-in leads back to: this request, to be met by a session that is not older than now.
    fn again(&self, app: &App, op: &Op) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs {
            match name.as_str() {
                SINCE => {}
                "prompt" => {
                    let rest: Vec<&str> =
                        value.split_whitespace().filter(|w| !ANEW.contains(w)).collect();
                    if !rest.is_empty() {
                        query.append_pair(name, &rest.join(" "));
                    }
                }
                _ => {
                    query.append_pair(name, value);
                }
            }
        }
        let since = op.at.timestamp();
        query.append_pair(SINCE, &format!("{since}-{}", self.mark(app, since)));
        format!("/oauth/authorize?{}", query.finish())
    }
    /// Mark of a moment for this request.
    fn mark(&self, app: &App, since: i64) -> String {
        let (client, challenge) = (self.get("client_id"), self.get("code_challenge"));
        let text = format!("{since}\n{client}\n{challenge}\n{}", self.get("state"));
        app.keys.derive("identity sign-in again").mark(text.as_bytes())
    }
    /// The moment at which the person was sent to sign in for this request.
    fn since(&self, app: &App) -> Option<i64> {
        let (since, mark) = self.get(SINCE).split_once('-')?;
        let since: i64 = since.parse().ok()?;
        signature::equal(mark.as_bytes(), self.mark(app, since).as_bytes()).then_some(since)
    }
    /// What is wrong with the request itself.
    fn check(&self) -> std::result::Result<(), No> {
        let twice =
            PARAMETERS.iter().any(|p| self.pairs.iter().filter(|(n, _)| n == p).count() > 1);
        if twice {
            return Err(No("invalid_request", "a parameter stands there twice"));
        }
        for (name, word) in [
            ("request", "request_not_supported"),
            ("request_uri", "request_uri_not_supported"),
            ("registration", "registration_not_supported"),
        ] {
            if !self.get(name).is_empty() {
                return Err(No(word, "request objects and registration are not offered"));
            }
        }
        match self.get("response_type") {
            "code" => {}
            "" => return Err(No("invalid_request", "response_type is missing")),
            _ => {
                let why = "only response_type=code is offered";
                return Err(No("unsupported_response_type", why));
            }
        }
        if !matches!(self.get("response_mode"), "" | "query") {
            return Err(No("invalid_request", "only response_mode=query is offered"));
        }
        let scopes = self.scopes();
        if !scopes.contains(&Scope::OpenId) {
            return Err(No("invalid_scope", "scope must hold openid"));
        }
        if !scopes.iter().all(|s| self.settings.allows(*s)) {
            return Err(No("invalid_scope", "the client is not registered for this scope"));
        }
        if self.get("code_challenge_method") != "S256" || !challenge_ok(self.get("code_challenge"))
        {
            return Err(No("invalid_request", "PKCE with code_challenge_method=S256 is required"));
        }
        if self.get("nonce").len() > LONGEST || self.get("state").len() > LONGEST {
            return Err(No("invalid_request", "state or nonce is too long"));
        }
        let prompts = self.prompts();
        let known = |w: &&str| ["none", "consent"].contains(w) || ANEW.contains(w);
        if !prompts.iter().all(known) || (prompts.contains(&"none") && prompts.len() > 1) {
            let why = "prompt is none, login, consent or select_account";
            return Err(No("invalid_request", why));
        }
        let age = self.get("max_age");
        if !age.is_empty() && age.parse::<u32>().is_err() {
            return Err(No("invalid_request", "max_age is a number of seconds"));
        }
        Ok(())
    }
}

/// Client and address of a request; whatever is wrong with these is told to the person, never sent anywhere.
async fn request<'a>(app: &App, op: &Op, pairs: &'a [(String, String)]) -> Result<Request<'a>> {
    let wrong = || {
        Error::invalid(
            "登录请求有误：应用不存在、已停用，或回调地址与登记的不完全一致。请联系该应用的管理者",
            "this sign-in request is wrong: the application is unknown or stopped, or the address to go back to is not exactly one it registered. Tell whoever runs it",
        )
    };
    let once = |name: &str| pairs.iter().filter(|(n, _)| n == name).count() == 1;
    if !once("client_id") || !once("redirect_uri") {
        return Err(wrong());
    }
    let redirect = first(pairs, "redirect_uri").to_owned();
    let found = account::application_of(app, op, first(pairs, "client_id"), None).await?;
    let (application, actor) = found.ok_or_else(wrong)?;
    let settings = app.store.identity_client(&application.id).await?.ok_or_else(wrong)?;
    if !settings.redirects.contains(&redirect) {
        return Err(wrong());
    }
    crate::halt::admit(app, op, &actor).await?;
    Ok(Request { pairs, application, settings, redirect })
}

/// Scheme, host and port to which a request at this query leads in the end, if its client registered it: what a page's form may lead to.
pub async fn goes_to(app: &App, op: &Op, pairs: &[(String, String)]) -> Option<String> {
    let request = request(app, op, pairs).await.ok()?;
    origin_of(&request.redirect)
}

/// Looks at a request and says what comes next.
pub async fn authorize(
    app: &App,
    op: &Op,
    asker: Asker<'_>,
    pairs: &[(String, String)],
) -> Result<Step> {
    let request = request(app, op, pairs).await?;
    let person = match ready(app, op, asker, &request).await? {
        Ok(person) => person,
        Err(step) => return Ok(step),
    };
    let scopes = request.scopes();
    let account = &person.session.user.id;
    let given = app.store.identity_consent(account, &request.application.id).await?;
    let agreed = given.is_some_and(|c| {
        let had = Scope::among(&c.scope);
        scopes.iter().all(|s| had.contains(s))
    });
    if !agreed || request.prompts().contains(&"consent") {
        if request.prompts().contains(&"none") {
            let no = No("consent_required", "the person has to agree");
            return Ok(request.refused(asker.issuer, no));
        }
        return Ok(Step::Consent(Box::new(ConsentAsk {
            application: request.application.name.clone(),
            description: request.application.description.clone(),
            org: request.application.org.clone(),
            scopes: scopes.into_iter().map(ScopeAsk::from).collect(),
            goal: origin_of(&request.redirect).unwrap_or_default(),
        })));
    }
    code(app, op, asker, &request, &person).await.map(Step::Back)
}

/// What the person answered to the same request; answers where the browser goes.
pub async fn consent(
    app: &App,
    op: &Op,
    asker: Asker<'_>,
    pairs: &[(String, String)],
    agreed: bool,
) -> Result<Step> {
    let request = request(app, op, pairs).await?;
    let person = match ready(app, op, asker, &request).await? {
        Ok(person) => person,
        Err(step) => return Ok(step),
    };
    if !agreed {
        let mut event = audit::event(op, "identity.consent", &request.application.id);
        event.result = "denied".into();
        audit::record(app, event).await?;
        let no = No("access_denied", "the person did not agree");
        return Ok(request.refused(asker.issuer, no));
    }
    let account = &person.session.user.id;
    let had = app.store.identity_consent(account, &request.application.id).await?;
    let before = had.map(|c| c.scope).unwrap_or_default();
    let consent = Consent {
        application: request.application.id.clone(),
        scope: words(&Scope::among(&format!("{} {before}", request.scope()))),
        at: op.stamp(),
    };
    let mut event = audit::event(op, "identity.consent", &consent.application);
    event.scope.clone_from(&consent.scope);
    audit::record(app, event).await?;
    app.store.identity_consent_put(account, &consent).await?;
    code(app, op, asker, &request, &person).await.map(Step::Back)
}

/// Scopes as words parted by spaces.
fn words(scopes: &[Scope]) -> String {
    let words: Vec<&str> = scopes.iter().map(|s| s.as_str()).collect();
    words.join(" ")
}

/// Whoever asks, if the request is right and they are signed in as it wants; otherwise what comes next.
async fn ready<'a>(
    app: &App,
    op: &Op,
    asker: Asker<'a>,
    request: &Request<'_>,
) -> Result<std::result::Result<Person<'a>, Step>> {
    if let Err(wrong) = request.check() {
        return Ok(Err(request.refused(asker.issuer, wrong)));
    }
    let hinted = match request.get("id_token_hint") {
        "" => None,
        token => {
            let hint = provider::hint(app, op, asker.issuer, token).await?;
            let own = hint.filter(|h| h.audience == request.application.key);
            let Some(own) = own else {
                let no = No("invalid_request", "id_token_hint is no ID token of this client");
                return Ok(Err(request.refused(asker.issuer, no)));
            };
            Some(own.subject)
        }
    };
    let silent = request.prompts().contains(&"none");
    let Some(person) = signed(app, op, asker, request).await? else {
        if silent {
            let no = No("login_required", "the person has to sign in");
            return Ok(Err(request.refused(asker.issuer, no)));
        }
        return Ok(Err(Step::SignIn(request.again(app, op))));
    };
    if person.session.must_change {
        let no = No("interaction_required", "the person has to change a one-time password first");
        return Ok(Err(request.refused(asker.issuer, no)));
    }
    let own = claims::subject(app, &request.application.id, &person.session.user.id);
    if hinted.is_some_and(|h| !signature::equal(h.as_bytes(), own.as_bytes())) {
        // Asked once; whoever then signs in as somebody else again is not the person meant.
        if silent || request.since(app).is_some() {
            let no = No("login_required", "somebody else is signed in");
            return Ok(Err(request.refused(asker.issuer, no)));
        }
        return Ok(Err(Step::SignIn(request.again(app, op))));
    }
    Ok(Ok(person))
}

/// Whoever asks, if their session is new enough for the request.
async fn signed<'a>(
    app: &App,
    op: &Op,
    asker: Asker<'a>,
    request: &Request<'_>,
) -> Result<Option<Person<'a>>> {
    let Some(session) = asker.session else { return Ok(None) };
    let start = app.store.session_began(&hash::sha256_hex(session.token.as_bytes())).await?;
    let Some(start) = start else { return Ok(None) };
    let began = claims::seconds(&start.at).filter(|began| fresh(app, op, request, *began));
    Ok(began.map(|began| Person { session, began, method: start.method }))
}

/// Whether a session that began then is new enough for the request.
fn fresh(app: &App, op: &Op, request: &Request<'_>, began: i64) -> bool {
    if let Some(since) = request.since(app) {
        // Whoever came back from signing in has done what `login` and `max_age` ask; a later visit starts anew.
        let lately = op.at.timestamp().saturating_sub(since) <= 600;
        return lately && began >= since;
    }
    let age = op.at.timestamp().saturating_sub(began);
    let young = request.get("max_age").parse::<i64>().map_or(true, |most| age <= most);
    young && !request.anew()
}

async fn code(
    app: &App,
    op: &Op,
    asker: Asker<'_>,
    request: &Request<'_>,
    person: &Person<'_>,
) -> Result<String> {
    let code = keys::token(32)?;
    let digest = hash::sha256_hex(code.as_bytes());
    let given = Given {
        application: request.application.id.clone(),
        account: person.session.user.id.clone(),
        scope: request.scope(),
        redirect: request.redirect.clone(),
        challenge: request.get("code_challenge").to_owned(),
        nonce: request.get("nonce").to_owned(),
        auth_time: person.began,
        family: digest.clone(),
        session: hash::sha256_hex(person.session.token.as_bytes()),
        bound: !request.scopes().contains(&Scope::OfflineAccess),
        method: Some(person.method),
        locale: asker.locale.to_owned(),
    };
    let now = op.at.timestamp_millis();
    let ends_at = now.saturating_add(app.rules.identity.provider.code_seconds.saturating_mul(1000));
    // Kept for a day, so that a code used again is known as such.
    let forget = now.saturating_sub(86_400_000);
    let mut event = audit::event(op, "identity.code", &given.application);
    event.scope.clone_from(&given.scope);
    audit::record(app, event).await?;
    app.store.identity_code_insert(&digest, &given, ends_at, forget).await?;
    Ok(request.back(asker.issuer, &[("code", &code)]))
}

/// One's own consents.
pub async fn consents(app: &App, op: &Op) -> Result<Vec<ConsentView>> {
    let mut views = Vec::new();
    for consent in app.store.identity_consents(op.actor.id()).await? {
        let Some(known) = app.store.application_get(&consent.application).await? else { continue };
        views.push(ConsentView {
            application: consent.application,
            name: known.name,
            org: known.org,
            scopes: consent.scope.split_whitespace().map(str::to_owned).collect(),
            at: consent.at,
        });
    }
    Ok(views)
}

/// Withdraws one's consent; what was given out by it stops at once.
pub async fn withdraw(app: &App, op: &Op, application: &str) -> Result<()> {
    if !app.store.identity_consent_end(op.actor.id(), application).await? {
        return Err(Error::not_found("授权登录", "consent", application));
    }
    audit::record(app, audit::event(op, "identity.withdraw", application)).await
}
