//! The identity provider's rooms: keys rotate and the former one stays known, what is given out ends with the application, the account and
//! the session, ids differ by client, a client learns what was agreed to and no more, and nothing is kept that could be used.

use app::account::{self, Session};
use app::identity::{self, Asker, Leaving, Presented, Refused, Step, Tokens};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use model::account::{ApplicationSecret, UserChange};
use model::identity::{ClientKind, ClientSettings, Scope, SubjectKind};
use model::{Code, Op};
use serde_json::Value;
use testkit::{House, PASSWORD};

pub(crate) const ISSUER: &str = "https://id.test";
pub(crate) const BACK: &str = "https://app.test/back";
const OUT: &str = "https://app.test/out";
/// Scopes asked for where nothing else is said.
const USUAL: &str = "openid profile offline_access";
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn client(house: &House, name: &str, kind: ClientKind) -> ApplicationSecret {
    let (_, made) = house.application(name).await;
    let mut settings = ClientSettings::new(kind, vec![BACK.into()]);
    settings.scopes.push(Scope::RealName);
    settings.logouts = vec![OUT.into()];
    let consumer = house.person("consumer").await;
    identity::set_client(&house.app, &consumer, &made.application.id, settings).await.unwrap();
    made
}

pub(crate) fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn request(key: &str) -> Vec<(String, String)> {
    asking(key, &[])
}

/// The usual request, with some parameters put in another's place (empty: left out).
pub(crate) fn asking(key: &str, other: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = pairs(&[
        ("client_id", key),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", USUAL),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    for &(name, value) in other {
        all.retain(|(n, _)| n != name);
        all.extend(pairs(&[(name, value)]));
    }
    all.retain(|(_, v)| !v.is_empty());
    all
}

pub(crate) fn asker(session: Option<&Session>) -> Asker<'_> {
    Asker { session, issuer: ISSUER, locale: "zh-CN" }
}

/// A parameter of the address a client is told.
pub(crate) fn told(step: Step, name: &str) -> String {
    let address = match step {
        Step::Back(address) => address,
        other => panic!("{other:?}"),
    };
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let pair = query.split('&').find_map(|p| p.strip_prefix(&format!("{name}=")));
    pair.unwrap_or_default().to_owned()
}

pub(crate) async fn signed_in(house: &House, name: &str) -> (Op, Session) {
    let session = account::sign_in(&house.app, &house.nobody(), name, PASSWORD).await.unwrap();
    (house.app.op(session.actor.clone(), "127.0.0.1"), session)
}

/// A code that somebody agreed to.
async fn code(house: &House, name: &str, key: &str) -> String {
    let (op, session) = signed_in(house, name).await;
    let asker = asker(Some(&session));
    let step = identity::consent(&house.app, &op, asker, &request(key), true).await.unwrap();
    told(step, "code")
}

/// The same person, now.
pub(crate) fn now(house: &House, op: &Op) -> Op {
    house.app.op(op.actor.clone(), "127.0.0.1")
}

/// Tokens of a session for these scopes, agreed to.
pub(crate) async fn tokens(
    house: &House,
    made: &ApplicationSecret,
    who: &(Op, Session),
    scope: &str,
) -> Tokens {
    let asked = asking(&made.application.key, &[("scope", scope)]);
    let (op, asker) = (now(house, &who.0), asker(Some(&who.1)));
    let step = identity::consent(&house.app, &op, asker, &asked, true).await.unwrap();
    exchanged(house, shown(made), &told(step, "code")).await.unwrap()
}

/// What userinfo says, and the names of it.
pub(crate) async fn said(house: &House, tokens: &Tokens) -> (Value, Vec<String>) {
    let said = identity::userinfo(&house.app, &house.nobody(), &tokens.access).await.unwrap();
    let names = said.as_object().unwrap().keys().cloned().collect();
    (said, names)
}

/// The body of an ID token.
pub(crate) fn body(tokens: &Tokens) -> Value {
    let token = tokens.id.as_deref().unwrap();
    let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

pub(crate) fn shown(made: &ApplicationSecret) -> Presented<'_> {
    Presented { id: &made.application.key, secret: Some(&made.secret) }
}

pub(crate) async fn exchanged(
    house: &House,
    who: Presented<'_>,
    code: &str,
) -> Result<identity::Tokens, Refused> {
    let form = pairs(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]);
    identity::token(&house.app, &house.nobody(), ISSUER, who, &form).await
}

fn word(refused: &Refused) -> &str {
    match refused {
        Refused::Protocol { word, .. } => word,
        Refused::House(error) => error.code().as_str(),
    }
}

async fn kids(house: &House) -> Vec<String> {
    let set = identity::jwks(&house.app, &house.nobody()).await.unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
}

/// Two keys are known: the one that signs and the one before it.
async fn keys(house: House) {
    let first = kids(&house).await;
    assert_eq!((first.len(), kids(&house).await), (1, first.clone()), "made once");
    house.clock.forward(TimeDelta::days(91));
    let second = kids(&house).await;
    assert_eq!((second.len(), second.last()), (2, first.first()));
    house.clock.forward(TimeDelta::days(91));
    let third = kids(&house).await;
    assert_eq!((third.len(), third.last()), (2, second.first()));
    assert!(!third.contains(first.first().unwrap()));
    // What is kept opens under the master key only.
    let kept = house.app.store.identity_keys().await.unwrap();
    assert!(kept.iter().all(|k| k.sealed.starts_with("v1.") && !k.sealed.contains("BEGIN")));
}

/// Tokens end with the application, its settings and the account; ids are another for every client.
async fn ends(house: House) {
    let app = &house.app;
    let one = client(&house, "一", ClientKind::Confidential).await;
    let two = client(&house, "二", ClientKind::Confidential).await;
    let sub = async |made: &ApplicationSecret, name: &str| {
        let given = code(&house, name, &made.application.key).await;
        let tokens = exchanged(&house, shown(made), &given).await.unwrap();
        let said = identity::userinfo(app, &house.nobody(), &tokens.access).await.unwrap();
        (said["sub"].as_str().unwrap().to_owned(), tokens)
    };
    let (first, tokens) = sub(&one, "citizen").await;
    let (again, _) = sub(&one, "citizen").await;
    let (elsewhere, _) = sub(&two, "citizen").await;
    let (another, _) = sub(&one, "enterprise").await;
    assert_eq!(first, again);
    assert!(first != elsewhere && first != another);

    let who = async |token: &str| identity::userinfo(app, &house.nobody(), token).await;
    assert!(who(&tokens.access).await.is_ok());
    // A person's token is none for data, and the gateway does not know it.
    let e = account::token_call(app, &house.nobody(), &tokens.access).await.unwrap_err();
    assert_eq!(e.code(), Code::SignatureMismatch);
    let consumer = house.person("consumer").await;
    account::set_application_active(app, &consumer, &one.application.id, false).await.unwrap();
    assert_eq!(word(&who(&tokens.access).await.unwrap_err()), "invalid_token");
    let refused = exchanged(&house, shown(&one), "x").await.unwrap_err();
    assert_eq!(word(&refused), "invalid_client");
    let (op, session) = signed_in(&house, "citizen").await;
    let asked = request(&one.application.key);
    let stopped = identity::authorize(app, &op, asker(Some(&session)), &asked).await;
    assert_eq!(stopped.unwrap_err().code(), Code::InvalidInput);

    let (_, tokens) = sub(&two, "citizen").await;
    let admin = house.person("admin").await;
    let citizen = house.person("citizen").await;
    account::set_user_active(app, &admin, citizen.actor.id(), false).await.unwrap();
    assert_eq!(word(&who(&tokens.access).await.unwrap_err()), "invalid_token");
    let form = pairs(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh.as_deref().unwrap()),
    ]);
    let refused = identity::token(app, &house.nobody(), ISSUER, shown(&two), &form).await;
    assert_eq!(word(&refused.unwrap_err()), "invalid_grant");
}

/// A public client has no secret: PKCE alone proves it, and it gets nothing in its own name.
async fn public(house: House) {
    let app = &house.app;
    let made = client(&house, "手机应用", ClientKind::Public).await;
    let bare = Presented { id: &made.application.key, secret: None };
    let given = code(&house, "citizen", &made.application.key).await;
    let tokens = exchanged(&house, bare, &given).await.unwrap();
    let refresh = tokens.refresh.clone().unwrap();
    let nobody = house.nobody();
    let own = pairs(&[("grant_type", "client_credentials")]);
    let refused = identity::token(app, &nobody, ISSUER, bare, &own).await.unwrap_err();
    assert_eq!(word(&refused), "unauthorized_client");
    let refused = identity::introspect(app, &nobody, ISSUER, bare, &tokens.access).await;
    assert_eq!(word(&refused.unwrap_err()), "invalid_client");
    let wrong = Presented { id: &made.application.key, secret: Some("guess") };
    let form = pairs(&[("grant_type", "refresh_token"), ("refresh_token", &refresh)]);
    let refused = identity::token(app, &nobody, ISSUER, wrong, &form).await.unwrap_err();
    assert_eq!(word(&refused), "invalid_client");
    // Narrower, never wider; the chain ends when it was said to.
    let narrow = pairs(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", &refresh),
        ("scope", "openid org"),
    ]);
    let refused = identity::token(app, &nobody, ISSUER, bare, &narrow).await.unwrap_err();
    assert_eq!(word(&refused), "invalid_scope");
    let next = identity::token(app, &nobody, ISSUER, bare, &form).await.unwrap();
    house.clock.forward(TimeDelta::days(30));
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", next.refresh.as_deref().unwrap())];
    let late = identity::token(app, &house.nobody(), ISSUER, bare, &pairs(&form)).await;
    assert_eq!(word(&late.unwrap_err()), "invalid_grant");

    // Redirect addresses are looked at when they are registered.
    let consumer = house.person("consumer").await;
    for bad in ["http://app.test/", "https://app.test/#x", "javascript:alert(1)", "https://*.test/"]
    {
        let settings = ClientSettings::new(ClientKind::Public, vec![bad.into()]);
        let e = identity::set_client(app, &consumer, &made.application.id, settings).await;
        assert_eq!(e.unwrap_err().code(), Code::InvalidInput, "{bad}");
    }
    let stranger = house.person("enterprise").await;
    let none = ClientSettings::new(ClientKind::Public, Vec::new());
    let e = identity::set_client(app, &stranger, &made.application.id, none).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
}

/// Guesses at a secret are limited by address.
async fn guesses(house: House) {
    let made = client(&house, "一", ClientKind::Confidential).await;
    let wrong = Presented { id: &made.application.key, secret: Some("guess") };
    let mut words = Vec::new();
    for _ in 0..40 {
        let refused = exchanged(&house, wrong, "x").await.unwrap_err();
        words.push(word(&refused).to_owned());
    }
    assert_eq!(words.first().map(String::as_str), Some("invalid_client"));
    assert_eq!(words.last().map(String::as_str), Some("rate_limited"));
}

/// A client is told what the scopes of its token hand over and nothing else; the ID token says nothing of the person but who it is.
async fn scopes(house: House) {
    let app = &house.app;
    let made = client(&house, "一", ClientKind::Confidential).await;
    let who = signed_in(&house, "citizen").await;
    let (_, names) = said(&house, &tokens(&house, &made, &who, "openid").await).await;
    assert_eq!(names, ["sub"]);
    // More was agreed to since; a token for less still says less.
    let profile = tokens(&house, &made, &who, "openid profile").await;
    let (first, mut names) = said(&house, &profile).await;
    names.sort_unstable();
    assert_eq!(names, ["locale", "name", "preferred_username", "sub", "updated_at"]);
    assert_eq!(
        (&first["preferred_username"], &first["locale"]),
        (&"citizen".into(), &"zh-CN".into())
    );
    let (_, names) = said(&house, &tokens(&house, &made, &who, "openid").await).await;
    assert_eq!(names, ["sub"]);
    let id = body(&profile);
    let mut names: Vec<&String> = id.as_object().unwrap().keys().collect();
    names.sort_unstable();
    let want =
        ["acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "sid", "sub"];
    assert_eq!(names, want);
    assert_eq!((&id["acr"], &id["sub"]), (&"urn:qiantang:acr:password".into(), &first["sub"]));
    let supported = identity::discovery(ISSUER)["claims_supported"].clone();
    assert!(want.iter().all(|w| supported.as_array().unwrap().contains(&(*w).into())));

    // When the profile changed, and not before.
    house.clock.forward(TimeDelta::hours(1));
    let (admin, citizen) = (house.person("admin").await, house.person("citizen").await);
    let change = UserChange {
        display_name: "王小明".into(),
        org: None,
        roles: vec![model::account::Role::Citizen],
    };
    account::change_user(app, &admin, citizen.actor.id(), change).await.unwrap();
    let renewed = tokens(&house, &made, &who, "openid profile").await;
    let (second, _) = said(&house, &renewed).await;
    assert_eq!(second["name"], "王小明");
    assert!(second["updated_at"].as_i64().unwrap() >= first["updated_at"].as_i64().unwrap() + 3600);

    // The real-name state is a yes or a no, never the number.
    let (before, names) =
        said(&house, &tokens(&house, &made, &who, "openid real_name").await).await;
    assert_eq!((names.len(), &before["real_name_verified"]), (2, &false.into()));
    let number = "11010519491231002X";
    app::authorisation::confirm(app, &admin, citizen.actor.id(), SubjectKind::Person, number)
        .await
        .unwrap();
    let (after, _) = said(&house, &tokens(&house, &made, &who, "openid real_name").await).await;
    assert!(after["real_name_verified"] == true && !after.to_string().contains(number));

    // Without `openid` a refreshed token is good for no userinfo; a scope that is not the client's own is refused.
    let form = pairs(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", renewed.refresh.as_deref().unwrap()),
        ("scope", "profile"),
    ]);
    let less = identity::token(app, &house.nobody(), ISSUER, shown(&made), &form).await.unwrap();
    assert!(less.id.is_none());
    let refused = identity::userinfo(app, &house.nobody(), &less.access).await.unwrap_err();
    assert_eq!(word(&refused), "insufficient_scope");
    let consumer = house.person("consumer").await;
    let settings = ClientSettings::new(ClientKind::Confidential, vec![BACK.into()]);
    identity::set_client(app, &consumer, &made.application.id, settings).await.unwrap();
    let asked = asking(&made.application.key, &[("scope", "openid real_name")]);
    let step = identity::authorize(app, &who.0, asker(Some(&who.1)), &asked).await.unwrap();
    assert_eq!(told(step, "error"), "invalid_scope");
}

/// A client signs a person out of the session its ID token is of, to an address it has registered; everybody else is asked.
async fn leaves(house: House) {
    let app = &house.app;
    let made = client(&house, "一", ClientKind::Confidential).await;
    let other = client(&house, "二", ClientKind::Confidential).await;
    let (key, who) = (made.application.key.clone(), signed_in(&house, "citizen").await);
    let bound = tokens(&house, &made, &who, "openid profile").await;
    let lasting = tokens(&house, &made, &who, "openid offline_access").await;
    let hint = bound.id.clone().unwrap();
    let leave = async |who: Option<&(Op, Session)>, wish: &[(&str, &str)]| {
        let op = who.map_or_else(|| house.nobody(), |w| now(&house, &w.0));
        identity::leave(app, &op, asker(who.map(|w| &w.1)), &pairs(wish)).await
    };
    let asked = async |who: Option<&(Op, Session)>, wish: &[(&str, &str)]| match leave(who, wish)
        .await
        .unwrap()
    {
        Leaving::Ask(ask) => *ask,
        other => panic!("{other:?}"),
    };
    let alive = async || account::session(app, &who.1.token).await.unwrap().is_some();

    // Nobody is sent anywhere that is not registered to the letter, and nothing ends on the way.
    for bad in ["https://app.test/out/", "https://app.test/out?x=1", "https://evil.test/", BACK] {
        let wish = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", bad)];
        let e = leave(Some(&who), &wish).await.unwrap_err();
        assert_eq!(e.code(), Code::InvalidInput, "{bad}");
    }
    let strange = [("id_token_hint", hint.as_str()), ("client_id", other.application.key.as_str())];
    assert_eq!(leave(Some(&who), &strange).await.unwrap_err().code(), Code::InvalidInput);
    let nameless = [("post_logout_redirect_uri", OUT)];
    assert_eq!(leave(Some(&who), &nameless).await.unwrap_err().code(), Code::InvalidInput);
    assert!(alive().await);

    // Without a hint, with a forged one, another person's, or another session's: the person is asked.
    let ask = asked(Some(&who), &[]).await;
    assert!(ask.signed_in && ask.application.is_empty() && ask.back.is_empty());
    let registered = [("client_id", key.as_str()), ("post_logout_redirect_uri", OUT)];
    let ask = asked(Some(&who), &registered).await;
    assert_eq!((ask.application.as_str(), ask.goal.as_str()), ("一", "https://app.test"));
    let another = signed_in(&house, "enterprise").await;
    let theirs = tokens(&house, &made, &another, "openid").await.id.unwrap();
    let elsewhere = signed_in(&house, "citizen").await;
    let older = tokens(&house, &made, &elsewhere, "openid").await.id.unwrap();
    let forged = format!("{hint}x");
    for hint in [theirs, older, forged, "none".to_owned()] {
        assert!(asked(Some(&who), &[("id_token_hint", hint.as_str())]).await.signed_in);
    }
    assert!(alive().await);
    let stayed = identity::leave_answered(app, &who.0, asker(Some(&who.1)), &[], false).await;
    assert!(matches!(stayed.unwrap(), Leaving::Stayed) && alive().await);

    // With its own, however old, the session ends, and what was given out with it; what was given for later does not.
    house.clock.forward(TimeDelta::hours(1));
    let fresh = tokens(&house, &made, &who, "openid profile").await;
    let wish = [
        ("id_token_hint", hint.as_str()),
        ("client_id", key.as_str()),
        ("post_logout_redirect_uri", OUT),
        ("state", "a b"),
    ];
    let gone = leave(Some(&who), &wish).await.unwrap();
    assert!(matches!(&gone, Leaving::Gone(Some(back)) if back == "https://app.test/out?state=a+b"));
    assert!(!alive().await);
    let nobody = house.nobody();
    let refused = identity::userinfo(app, &nobody, &fresh.access).await.unwrap_err();
    assert_eq!(word(&refused), "invalid_token");
    let renew = async |tokens: &Tokens| {
        let token = tokens.refresh.as_deref().unwrap();
        let form = pairs(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
        identity::token(app, &house.nobody(), ISSUER, shown(&made), &form).await
    };
    assert_eq!(word(&renew(&fresh).await.unwrap_err()), "invalid_grant");
    assert_eq!(word(&renew(&bound).await.unwrap_err()), "invalid_grant");
    let off = identity::introspect(app, &nobody, ISSUER, shown(&made), &fresh.access).await;
    assert_eq!(off.unwrap(), serde_json::json!({ "active": false }));
    assert!(renew(&lasting).await.is_ok());
    // The other session of the same person stands.
    assert!(account::session(app, &elsewhere.1.token).await.unwrap().is_some());

    // Nobody is signed in: back at once with an ID token of ours, by a link without.
    assert!(matches!(leave(None, &wish).await.unwrap(), Leaving::Gone(Some(_))));
    let ask = asked(None, &registered).await;
    assert_eq!((ask.signed_in, ask.back.as_str()), (false, OUT));
}

/// What a request wants of the sign-in is kept, and nobody talks themself past it (OpenID Connect Core 1.0 §3.1.2.1).
async fn wishes(house: House) {
    let app = &house.app;
    let made = client(&house, "一", ClientKind::Confidential).await;
    let key = made.application.key.as_str();
    let who = signed_in(&house, "citizen").await;
    let own = tokens(&house, &made, &who, USUAL).await.id.unwrap();
    let another = signed_in(&house, "enterprise").await;
    let theirs = tokens(&house, &made, &another, USUAL).await.id.unwrap();
    let step = async |session: Option<&Session>, other: &[(&str, &str)]| {
        let asked = asking(key, other);
        identity::authorize(app, &now(&house, &who.0), asker(session), &asked).await.unwrap()
    };
    let error = async |other: &[(&str, &str)]| told(step(Some(&who.1), other).await, "error");
    assert_eq!(error(&[("response_type", "")]).await, "invalid_request");
    assert_eq!(error(&[("registration", "{}")]).await, "registration_not_supported");
    assert_eq!(error(&[("id_token_hint", "x"), ("prompt", "none")]).await, "invalid_request");
    assert_eq!(
        error(&[("id_token_hint", theirs.as_str()), ("prompt", "none")]).await,
        "login_required"
    );
    assert_eq!(error(&[("id_token_hint", own.as_str()), ("prompt", "none")]).await, "");
    assert_eq!(told(step(None, &[("prompt", "none")]).await, "error"), "login_required");

    // Signing in again is done for this very request: a moment without our mark, or another request's, does not count.
    house.clock.forward(TimeDelta::seconds(5));
    let mut since = String::new();
    for other in [("prompt", "login"), ("prompt", "select_account"), ("max_age", "1")] {
        let path = match step(Some(&who.1), &[other]).await {
            Step::SignIn(path) => path,
            other => panic!("{other:?}"),
        };
        since = path.split_once("qt_since=").unwrap().1.to_owned();
        assert!(!path.contains("prompt="), "{path}");
        let (moment, mark) = since.split_once('-').unwrap();
        let early = format!("{}-{mark}", moment.parse::<i64>().unwrap() - 60);
        for forged in [early.as_str(), "0", "0-", moment] {
            let again = step(Some(&who.1), &[other, ("qt_since", forged)]).await;
            assert!(matches!(again, Step::SignIn(_)), "{forged}");
        }
    }
    house.clock.forward(TimeDelta::seconds(1));
    let fresh = signed_in(&house, "citizen").await;
    let done = step(Some(&fresh.1), &[("max_age", "1"), ("qt_since", since.as_str())]).await;
    assert!(!told(done, "code").is_empty());
    let other = step(Some(&who.1), &[("max_age", "1"), ("qt_since", since.as_str())]).await;
    assert!(matches!(other, Step::SignIn(_)), "an older session");

    // Somebody else is signed in than the one meant: asked once, then the client is told.
    assert!(matches!(
        step(Some(&who.1), &[("id_token_hint", theirs.as_str())]).await,
        Step::SignIn(_)
    ));
    let path = match step(Some(&who.1), &[("id_token_hint", theirs.as_str()), ("prompt", "login")])
        .await
    {
        Step::SignIn(path) => path,
        other => panic!("{other:?}"),
    };
    let since = path.split_once("qt_since=").unwrap().1;
    house.clock.forward(TimeDelta::seconds(1));
    let fresh = signed_in(&house, "citizen").await;
    let meant = [("id_token_hint", theirs.as_str()), ("qt_since", since)];
    assert_eq!(told(step(Some(&fresh.1), &meant).await, "error"), "login_required");

    // Who has yet to change a one-time password gets no code.
    let admin = house.person("admin").await;
    let given = account::reset_password(app, &admin, who.0.actor.id()).await.unwrap();
    let session = account::sign_in(app, &house.nobody(), "citizen", &given.password).await.unwrap();
    let silent = step(Some(&session), &[("prompt", "none")]).await;
    assert_eq!(told(silent, "error"), "interaction_required");
}

/// Browser origins are a public client's, written as browsers write them, and known while it is in use.
async fn origins(house: House) {
    let app = &house.app;
    let (_, made) = house.application("网页应用").await;
    let consumer = house.person("consumer").await;
    let set = async |kind: ClientKind, origin: &str| {
        let mut settings = ClientSettings::new(kind, vec![BACK.into()]);
        settings.origins = vec![origin.into(), origin.into()];
        identity::set_client(app, &consumer, &made.application.id, settings).await
    };
    for (kind, bad) in [
        (ClientKind::Confidential, "https://app.test"),
        (ClientKind::Public, "https://app.test/"),
        (ClientKind::Public, "https://App.test"),
        (ClientKind::Public, "http://app.test"),
        (ClientKind::Public, "null"),
        (ClientKind::Public, "*"),
    ] {
        let e = set(kind, bad).await.unwrap_err();
        assert_eq!(
            (e.code(), e.fields()[0].field.as_str()),
            (Code::InvalidInput, "origins"),
            "{bad}"
        );
    }
    let known = async |origin: &str| identity::origin_known(app, origin).await.unwrap();
    assert!(!known("https://app.test").await);
    set(ClientKind::Public, "https://app.test").await.unwrap();
    assert!(known("https://app.test").await && !known("https://app.test:8443").await);
    let kept = identity::client_settings(app, &consumer, &made.application.id).await.unwrap();
    assert_eq!(kept.unwrap().origins, ["https://app.test"]);
    account::set_application_active(app, &consumer, &made.application.id, false).await.unwrap();
    assert!(!known("https://app.test").await);
}

crate::on_both!(keys, ends, public, guesses, scopes, leaves, wishes, origins);
