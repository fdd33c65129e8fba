//! The provider itself: its signing keys, and what it says of itself (OpenID Connect Discovery 1.0).

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use guard::identity::{self as made, Hint, Signer};
use model::identity::{Claim, Scope, SignInMethod};
use model::{Error, Op, Result};
use serde_json::{Value, json};
use store::identity::KeyRow;

use super::claims;
use crate::{App, audit};

/// Context of a sealed key.
fn context(kid: &str) -> String {
    format!("identity.key {kid}")
}

/// A key as it lies in the store, opened.
fn opened(app: &App, row: &KeyRow) -> Result<Arc<Signer>> {
    if let Some(known) = app.identity.signers.lock().get(&row.kid) {
        return Ok(Arc::clone(known));
    }
    let pem = app.keys.vault().open(&context(&row.kid), &row.sealed)?;
    let pem = std::str::from_utf8(&pem)
        .map_err(|e| Error::internal("the identity provider's key").caused_by(e))?;
    let signer = Arc::new(Signer::from_pem(&row.kid, pem)?);
    app.identity.signers.lock().insert(row.kid.clone(), Arc::clone(&signer));
    Ok(signer)
}

fn due(app: &App, op: &Op, newest: Option<&KeyRow>) -> bool {
    let made = newest.and_then(|k| k.made_at.parse::<DateTime<Utc>>().ok());
    made.is_none_or(|made| made + TimeDelta::days(app.rules.identity.provider.key_days) <= op.at)
}

/// The keys, newest first; one is made where there is none, or the newest is old.
async fn keys(app: &App, op: &Op) -> Result<Vec<KeyRow>> {
    let kept = app.store.identity_keys().await?;
    if !due(app, op, kept.first()) {
        return Ok(kept);
    }
    let _turn = app.identity.making.lock().await;
    let kept = app.store.identity_keys().await?;
    if !due(app, op, kept.first()) {
        return Ok(kept);
    }
    let (kid, pem) = tokio::task::spawn_blocking(made::generate)
        .await
        .map_err(|e| Error::internal("making a key").caused_by(e))??;
    let row = KeyRow {
        sealed: app.keys.vault().seal(&context(&kid), pem.as_bytes())?,
        kid,
        made_at: op.stamp(),
    };
    let (system, permit) = app.platform(op)?;
    app.store.identity_key_insert(&permit, &row).await?;
    audit::record(app, audit::event(&system, "identity.key", &row.kid)).await?;
    app.store.identity_keys().await
}

/// The key that signs now.
pub(super) async fn signer(app: &App, op: &Op) -> Result<Arc<Signer>> {
    let keys = keys(app, op).await?;
    let newest = keys.first().ok_or_else(|| Error::internal("no identity key"))?;
    opened(app, newest)
}

/// The JWK set: the key that signs and the one before it.
pub async fn jwks(app: &App, op: &Op) -> Result<Value> {
    let mut set = Vec::new();
    for row in keys(app, op).await? {
        set.push(opened(app, &row)?.public()?);
    }
    Ok(json!({ "keys": set }))
}

/// What an ID token says that was brought back (`id_token_hint`); `None`: it is none of ours, or of a key that is gone.
pub(super) async fn hint(app: &App, op: &Op, issuer: &str, token: &str) -> Result<Option<Hint>> {
    let mut signers = Vec::new();
    for row in keys(app, op).await? {
        signers.push(opened(app, &row)?);
    }
    Ok(made::hint(&signers, issuer, token))
}

/// What the provider at an address offers (`/.well-known/openid-configuration`).
#[must_use]
pub fn discovery(issuer: &str) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let client = ["client_secret_basic", "client_secret_post"];
    let scopes: Vec<&str> = Scope::ALL.iter().map(|s| s.as_str()).collect();
    let told: Vec<&str> =
        claims::PROTOCOL.into_iter().chain(Claim::ALL.iter().map(|c| c.as_str())).collect();
    let contexts: Vec<&str> = SignInMethod::ALL.iter().map(|m| claims::context(*m)).collect();
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "userinfo_endpoint": at("/oauth/userinfo"),
        "jwks_uri": at("/oauth/jwks"),
        "revocation_endpoint": at("/oauth/revoke"),
        "introspection_endpoint": at("/oauth/introspect"),
        "end_session_endpoint": at("/oauth/logout"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": client,
        "code_challenge_methods_supported": ["S256"],
        "claim_types_supported": ["normal"],
        "claims_supported": told,
        "acr_values_supported": contexts,
        "ui_locales_supported": ["zh-CN", "en"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    })
}
