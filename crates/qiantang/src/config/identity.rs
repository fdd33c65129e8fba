//! The identity centre: by which address the provider is known, and outside identity services people may sign in with.

use std::path::{Path, PathBuf};

use model::Result;
use model::identity::OutsideService;
use serde::{Deserialize, Serialize};

use super::{Config, bad, read};

/// Addresses and services.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityPart {
    /// Address by which clients know the provider, without a slash at the end; empty: the portal's own. It must lead to the portal.
    pub issuer: String,
    /// Outside identity services, in the order of their buttons.
    pub outside: Vec<OutsidePart>,
}

/// An outside identity service (OpenID Connect).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutsidePart {
    /// Short name in addresses: lower-case letters, digits, `-`.
    pub name: String,
    /// What its button says, Chinese and English.
    pub zh: String,
    pub en: String,
    /// Its issuer; its addresses must be in `[outgoing] allow`.
    pub issuer: String,
    pub client_id: String,
    /// File that holds our secret there; none: we are a public client.
    pub client_secret_file: Option<PathBuf>,
    /// Words asked for beyond `openid`.
    pub scopes: Vec<String>,
    /// Whether somebody without an account gets a citizen's; otherwise only accounts that were tied to it sign in.
    pub create: bool,
}

impl IdentityPart {
    /// Paths in the file are relative to it.
    pub(super) fn relative_to(&mut self, base: &Path) {
        for service in &mut self.outside {
            service.client_secret_file = service.client_secret_file.take().map(|f| base.join(f));
        }
    }
}

impl Config {
    /// What cannot be seen from one key alone.
    pub(super) fn check_identity(&self) -> Result<()> {
        let web = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        let issuer = self.identity.issuer.as_str();
        if !issuer.is_empty()
            && (!web(issuer) || issuer.ends_with('/') || issuer.contains(['?', '#']))
        {
            return bad(
                "identity.issuer",
                "应为 http(s) 地址，末尾不带 /",
                "is a web address without a slash at the end",
            );
        }
        for service in &self.identity.outside {
            let named = !service.name.is_empty()
                && service
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !named
                || service.zh.is_empty()
                || service.en.is_empty()
                || service.client_id.is_empty()
            {
                return bad(
                    "identity.outside",
                    "须有 name（小写字母、数字、-）、zh、en、client_id",
                    "needs name (lower-case letters, digits, -), zh, en and client_id",
                );
            }
            if self.identity.outside.iter().filter(|s| s.name == service.name).count() > 1 {
                return bad("identity.outside.name", "名称重复", "stands there twice");
            }
            if !web(&service.issuer) {
                return bad(
                    "identity.outside.issuer",
                    "应以 http:// 或 https:// 开头",
                    "must start with http:// or https://",
                );
            }
        }
        Ok(())
    }

    /// Outside identity services with their secrets.
    pub fn identity_services(&self) -> Result<Vec<OutsideService>> {
        let with_secret = |part: &OutsidePart| -> Result<OutsideService> {
            let secret = match &part.client_secret_file {
                Some(file) => read(file)?.trim().to_owned(),
                None => String::new(),
            };
            Ok(OutsideService {
                name: part.name.clone(),
                zh: part.zh.clone(),
                en: part.en.clone(),
                issuer: part.issuer.clone(),
                client_id: part.client_id.clone(),
                client_secret: secret,
                scopes: part.scopes.clone(),
                create: part.create,
            })
        };
        self.identity.outside.iter().map(with_secret).collect()
    }
}
