//! The identity provider's rooms: keys rotate and the former one stays known, what is given out ends with the application and the account,
//! ids differ by client, and nothing is kept that could be used.

use app::account::{self, Session};
use app::identity::{self, Asker, Presented, Refused, Step};
use chrono::TimeDelta;
use model::account::ApplicationSecret;
use model::identity::{ClientKind, ClientSettings};
use model::{Code, Op};
use testkit::{House, PASSWORD};

const ISSUER: &str = "https://id.test";
const BACK: &str = "https://app.test/back";
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn client(house: &House, name: &str, kind: ClientKind) -> ApplicationSecret {
    let (_, made) = house.application(name).await;
    let settings = ClientSettings { kind, redirects: vec![BACK.into()] };
    let consumer = house.person("consumer").await;
    identity::set_client(&house.app, &consumer, &made.application.id, settings).await.unwrap();
    made
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn request(key: &str) -> Vec<(String, String)> {
    pairs(&[
        ("client_id", key),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "openid profile offline_access"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ])
}

async fn signed_in(house: &House, name: &str) -> (Op, Session) {
    let session = account::sign_in(&house.app, &house.nobody(), name, PASSWORD).await.unwrap();
    (house.app.op(session.actor.clone(), "127.0.0.1"), session)
}

/// A code that somebody agreed to.
async fn code(house: &House, name: &str, key: &str) -> String {
    let (op, session) = signed_in(house, name).await;
    let asker = Asker { session: Some(&session), issuer: ISSUER };
    let step = identity::consent(&house.app, &op, asker, &request(key), true).await.unwrap();
    let address = match step {
        Step::Back(address) => address,
        other => panic!("{other:?}"),
    };
    let rest = address.split_once("code=").unwrap().1;
    rest.split('&').next().unwrap().to_owned()
}

fn shown(made: &ApplicationSecret) -> Presented<'_> {
    Presented { id: &made.application.key, secret: Some(&made.secret) }
}

async fn exchanged(
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
    let asker = Asker { session: Some(&session), issuer: ISSUER };
    let stopped = identity::authorize(app, &op, asker, &request(&one.application.key)).await;
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
        let settings = ClientSettings { kind: ClientKind::Public, redirects: vec![bad.into()] };
        let e = identity::set_client(app, &consumer, &made.application.id, settings).await;
        assert_eq!(e.unwrap_err().code(), Code::InvalidInput, "{bad}");
    }
    let stranger = house.person("enterprise").await;
    let none = ClientSettings { kind: ClientKind::Public, redirects: Vec::new() };
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

crate::on_both!(keys, ends, public, guesses);
