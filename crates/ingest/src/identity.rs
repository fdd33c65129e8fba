//! Outside identity services: the relying party of OpenID Connect by the crate `openidconnect`. Every connection goes to the address that
//! the operator's list was asked about ([`crate::outgoing`]); no redirect is followed, and an answer is cut at a mebibyte.

use std::pin::Pin;

use async_trait::async_trait;
use model::identity::OutsideService;
use model::{Code, Error, Result};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AsyncHttpClient, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use policy::port::{OutsideBack, OutsideBegin, OutsideIdentity, OutsidePerson};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use crate::links::{PATIENCE, client_to};
use crate::outgoing::Outgoing;

/// Longest answer in bytes.
const MOST: usize = 1 << 20;

/// [`OutsideIdentity`] over HTTP.
#[derive(Debug)]
pub struct IdentityServices {
    outgoing: Outgoing,
}

impl IdentityServices {
    #[must_use]
    pub fn reaching(outgoing: Outgoing) -> Self {
        Self { outgoing }
    }

    async fn described(&self, service: &OutsideService) -> Result<CoreProviderMetadata> {
        let issuer = IssuerUrl::new(service.issuer.clone()).map_err(|e| away(&e))?;
        CoreProviderMetadata::discover_async(issuer, self).await.map_err(|e| away(&e))
    }

    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse> {
        let (parts, body) = request.into_parts();
        let late = |e: reqwest::Error| away(&e);
        let url = Url::parse(&parts.uri.to_string()).map_err(|e| away(&e))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::of(Code::SourceUnavailable).detail("not an address of the web"));
        }
        let client = client_to(&self.outgoing, &url, PATIENCE).await?;
        let sent = client.request(parts.method, url).headers(parts.headers).body(body);
        let mut answer = sent.send().await.map_err(late)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(late)? {
            if bytes.len() + piece.len() > MOST {
                return Err(Error::of(Code::SourceUnavailable).detail("the answer is too long"));
            }
            bytes.extend_from_slice(&piece);
        }
        let mut response = HttpResponse::new(bytes);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for IdentityServices {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse>> + Send + 'c>>;
    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.fetch(request))
    }
}

/// The other side's fault, with its causes for the operator.
fn away(cause: &dyn std::error::Error) -> Error {
    let mut told = cause.to_string();
    let mut next = cause.source();
    while let Some(deeper) = next {
        if let Some(own) = deeper.downcast_ref::<Error>()
            && own.code() == Code::RuleBroken
        {
            return Error::new(Code::RuleBroken, own.zh(), own.en());
        }
        told = format!("{told}: {deeper}");
        next = deeper.source();
    }
    Error::new(
        Code::SourceUnavailable,
        "外部身份服务暂不可用，请稍后再试或改用其他方式登录",
        "the outside identity service is not available now: try again later or sign in another way",
    )
    .detail(told)
}

/// A client that could not be told, with the causes for the operator.
fn deaf(cause: &dyn std::error::Error) -> Error {
    let mut told = cause.to_string();
    let mut next = cause.source();
    while let Some(deeper) = next {
        told = format!("{told}: {deeper}");
        next = deeper.source();
    }
    Error::new(
        Code::SourceUnavailable,
        "应用的退出通知地址没有应答",
        "the application's sign-out notice address does not answer",
    )
    .detail(told)
}

fn untrue(why: &str) -> Error {
    Error::new(
        Code::SignatureMismatch,
        "外部身份服务的应答不可信，登录未完成",
        "the outside service's answer cannot be trusted: nobody was signed in",
    )
    .detail(why.to_owned())
}

fn secret(service: &OutsideService) -> Option<ClientSecret> {
    (!service.client_secret.is_empty()).then(|| ClientSecret::new(service.client_secret.clone()))
}

#[async_trait]
impl OutsideIdentity for IdentityServices {
    async fn begin(&self, service: &OutsideService, redirect: &str) -> Result<OutsideBegin> {
        let described = self.described(service).await?;
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|e| away(&e))?;
        let id = ClientId::new(service.client_id.clone());
        let client = CoreClient::from_provider_metadata(described, id, secret(service))
            .set_redirect_uri(redirect);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = service.scopes.iter().map(|s| Scope::new(s.clone()));
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        Ok(OutsideBegin {
            url: url.to_string(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
        })
    }

    async fn finish(
        &self,
        service: &OutsideService,
        back: OutsideBack<'_>,
    ) -> Result<OutsidePerson> {
        let described = self.described(service).await?;
        let redirect = RedirectUrl::new(back.redirect.to_owned()).map_err(|e| away(&e))?;
        let id = ClientId::new(service.client_id.clone());
        let client = CoreClient::from_provider_metadata(described, id, secret(service))
            .set_redirect_uri(redirect);
        let answer = client
            .exchange_code(AuthorizationCode::new(back.code.to_owned()))
            .map_err(|e| away(&e))?
            .set_pkce_verifier(PkceCodeVerifier::new(back.verifier.to_owned()))
            .request_async(self)
            .await
            .map_err(|e| away(&e))?;
        let (subject, mut name) = {
            let token = answer.id_token().ok_or_else(|| untrue("no ID token"))?;
            let verifier = client.id_token_verifier();
            let nonce = Nonce::new(back.nonce.to_owned());
            let said = token.claims(&verifier, &nonce).map_err(|e| untrue(&e.to_string()))?;
            if let Some(expected) = said.access_token_hash() {
                let alg = token.signing_alg().map_err(|e| untrue(&e.to_string()))?;
                let key = token.signing_key(&verifier).map_err(|e| untrue(&e.to_string()))?;
                let actual = AccessTokenHash::from_token(answer.access_token(), alg, key)
                    .map_err(|e| untrue(&e.to_string()))?;
                if actual != *expected {
                    return Err(untrue("the access token is another's"));
                }
            }
            let name = said.name().and_then(|n| n.get(None)).map(|n| n.as_str().to_owned());
            (said.subject().clone(), name)
        };
        if name.is_none()
            && let Ok(ask) = client.user_info(answer.access_token().clone(), Some(subject.clone()))
        {
            // A name is for reading only: without one the account gets another.
            let told: std::result::Result<CoreUserInfoClaims, _> = ask.request_async(self).await;
            name = told
                .ok()
                .and_then(|t| t.name().and_then(|n| n.get(None)).map(|n| n.as_str().to_owned()));
        }
        Ok(OutsidePerson { subject: subject.as_str().to_owned(), name: name.unwrap_or_default() })
    }

    async fn logout(&self, address: &str, token: &str) -> Result<u16> {
        let url = Url::parse(address).map_err(|e| deaf(&e))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::of(Code::SourceUnavailable).detail("not an address of the web"));
        }
        let client = client_to(&self.outgoing, &url, PATIENCE).await?;
        // A token is letters of base64url and dots: nothing of it is to be encoded.
        let sent = client
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}"));
        let answer = sent.send().await.map_err(|e| deaf(&e))?;
        Ok(answer.status().as_u16())
    }
}
