//! Certificates (mutual TLS) as an application's proof of who it is: the door has verified the certificate by its authority, here it is
//! found by its thumbprint (RFC 8705 §2, §3.1). Everything after that is as with any other proof.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use guard::hash;
use model::{Actor, Code, Error, Op, Result};
use store::certificate::Certificate;

use super::application::{credential, managed};
use super::shown::logins_named;
use crate::{App, audit};

/// Certificates that one application has.
const MOST: usize = 20;
/// Longest certificate as PEM, bytes.
const LONGEST: usize = 32 * 1024;

/// Certificates of an application that the caller manages; who registered them by the names shown.
pub async fn certificates(app: &App, op: &Op, id: &str) -> Result<Vec<Certificate>> {
    let (application, _) = managed(app, op, id).await?;
    let mut found = app.store.certificates_of(&application.id).await?;
    logins_named(app, found.iter_mut().map(|c| &mut c.added_by).collect()).await?;
    Ok(found)
}

/// Registers a certificate: as PEM, or its SHA-256 thumbprint in hex or base64url.
pub async fn certificate_add(
    app: &App,
    op: &Op,
    id: &str,
    name: &str,
    given: &str,
) -> Result<Certificate> {
    let (application, permit) = managed(app, op, id).await?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(Error::invalid("名称为 1 至 100 个字", "the name has 1 to 100 characters")
            .field("name", "必填", "required"));
    }
    let new = Certificate {
        thumbprint: thumbprint(given)?,
        application: application.id,
        name: name.to_owned(),
        added_at: op.stamp(),
        added_by: op.actor.name().to_owned(),
    };
    if app.store.certificates_of(&new.application).await?.len() >= MOST {
        return Err(Error::invalid(
            format!("一个应用最多登记 {MOST} 个证书"),
            format!("an application has {MOST} certificates at most"),
        ));
    }
    app.store.certificate_insert(&permit, &new).await?;
    let mut event = audit::event(op, "application.certificate_add", id);
    event.scope.clone_from(&new.thumbprint);
    audit::record(app, event).await?;
    Ok(new)
}

/// Takes a certificate away; calls by it end at once here, within a second elsewhere.
pub async fn certificate_remove(app: &App, op: &Op, id: &str, thumbprint: &str) -> Result<()> {
    let (application, permit) = managed(app, op, id).await?;
    if !app.store.certificate_delete(&permit, &application.id, thumbprint).await? {
        let shown: String = thumbprint.chars().take(64).collect();
        return Err(Error::not_found("证书", "certificate", &shown));
    }
    app.shares.forget();
    app.accounts.forget();
    let mut event = audit::event(op, "application.certificate_remove", id);
    thumbprint.clone_into(&mut event.scope);
    audit::record(app, event).await
}

/// Who calls by a certificate that the door has verified.
pub async fn certificate_call(app: &App, op: &Op, thumbprint: &str) -> Result<Actor> {
    app.shares.look(app, op).await?;
    app.accounts.follow(app.shares.epoch());
    if let Some(known) = app.accounts.certificates.get(thumbprint) {
        return Ok(Actor::clone(&known));
    }
    let unknown = || {
        Error::new(
            Code::SignatureMismatch,
            format!(
                "客户端证书未登记到任何启用的应用（SHA-256 {thumbprint}），请在“应用管理 · 证书”中登记"
            ),
            format!(
                "the client certificate is registered for no application in use (SHA-256 {thumbprint}): register it under Applications, Certificates"
            ),
        )
    };
    let row = app.store.certificate_get(thumbprint).await?.ok_or_else(unknown)?;
    let application = app.store.application_get(&row.application).await?.ok_or_else(unknown)?;
    let known = credential(app, &application.key).await?.ok_or_else(unknown)?;
    let actor = Arc::new(known.actor.clone());
    app.accounts.certificates.insert(thumbprint.to_owned(), Arc::clone(&actor));
    Ok(Actor::clone(&actor))
}

/// The SHA-256 of a certificate, as lower hex.
fn thumbprint(given: &str) -> Result<String> {
    let wrong = || {
        Error::invalid(
            "请粘贴 PEM 证书，或其 SHA-256 指纹（64 位十六进制，或 base64url）",
            "paste a certificate as PEM, or its SHA-256 thumbprint (64 hex digits, or base64url)",
        )
        .field("certificate", "PEM 或指纹", "PEM or thumbprint")
    };
    let given = given.trim();
    if given.len() > LONGEST {
        return Err(wrong());
    }
    if let Some(rest) = given.split_once("-----BEGIN CERTIFICATE-----").map(|(_, rest)| rest) {
        let (body, _) = rest.split_once("-----END CERTIFICATE-----").ok_or_else(wrong)?;
        let plain: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        let der = STANDARD.decode(plain).map_err(|e| wrong().caused_by(e))?;
        // A sequence of its own length: what a certificate is to begin with.
        return if der.first() == Some(&0x30) { Ok(hash::sha256_hex(&der)) } else { Err(wrong()) };
    }
    let plain: String = given.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    if plain.len() == 64 && plain.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(plain.to_ascii_lowercase());
    }
    let bytes = URL_SAFE_NO_PAD.decode(plain).map_err(|e| wrong().caused_by(e))?;
    if bytes.len() == 32 { Ok(hex::encode(bytes)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_read_however_it_is_written() {
        let hex64 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let bytes: Vec<u8> = hex::decode(hex64).unwrap();
        let colons: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
        for text in [hex64.to_owned(), colons.join(":"), URL_SAFE_NO_PAD.encode(&bytes)] {
            assert_eq!(thumbprint(&text).unwrap(), hex64, "{text}");
        }
        let der = [0x30, 0x03, 0x02, 0x01, 0x05];
        let pem = format!(
            "x\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(der)
        );
        assert_eq!(thumbprint(&pem).unwrap(), hash::sha256_hex(&der));
        for wrong in [
            "",
            "abc",
            "-----BEGIN CERTIFICATE-----\nMA==",
            "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
        ] {
            assert!(thumbprint(wrong).is_err(), "{wrong}");
        }
    }
}
