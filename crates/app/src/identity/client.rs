//! Applications as clients of the provider: what they are set to, and who presents itself at the token endpoint.

use model::account::Application;
use model::identity::{ClientKind, ClientSettings, Scope, origin_ok, redirect_ok};
use model::{Actor, Error, Op, Result};

use super::Refused;
use crate::account::attempt;
use crate::{App, account, audit};

/// What a client shows of itself: its access key, and its secret unless it is public.
#[derive(Clone, Copy, Default)]
pub struct Presented<'a> {
    pub id: &'a str,
    pub secret: Option<&'a str>,
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A client that was found to be who it says.
pub(super) struct Client {
    pub(super) application: Application,
    pub(super) actor: Actor,
    /// It showed its secret.
    pub(super) proven: bool,
}

/// The settings of an application, if the caller may see it; `None`: it is no client.
pub async fn client_settings(app: &App, op: &Op, id: &str) -> Result<Option<ClientSettings>> {
    let application = account::application(app, op, id).await?;
    app.store.identity_client(&application.id).await
}

/// Sets what an application is as a client. What was given out by other settings ends.
pub async fn set_client(app: &App, op: &Op, id: &str, mut settings: ClientSettings) -> Result<()> {
    let (application, permit) = account::managed(app, op, id).await?;
    for list in [&mut settings.redirects, &mut settings.logouts, &mut settings.origins] {
        list.retain(|line| !line.trim().is_empty());
    }
    settings.backchannel = settings.backchannel.trim().to_owned();
    settings.origins.sort_unstable();
    settings.origins.dedup();
    settings.scopes.retain(|scope| *scope != Scope::OpenId);
    settings.scopes.sort_unstable();
    settings.scopes.dedup();
    check(app, &settings)?;
    app.store
        .identity_client_set(&permit, &application.id, &settings, &op.stamp(), op.actor.name())
        .await?;
    app.store.credentials_drop(&permit, &application.id).await?;
    app.shares.forget();
    app.accounts.forget();
    let mut event = audit::event(op, "application.client", &application.id);
    let scopes: Vec<&str> = settings.scopes.iter().map(|s| s.as_str()).collect();
    event.scope = format!(
        "{} {} scopes={} logouts={} origins={} backchannel={}",
        settings.kind,
        settings.redirects.join(" "),
        scopes.join(","),
        settings.logouts.join(","),
        settings.origins.join(","),
        settings.backchannel
    );
    audit::record(app, event).await
}

/// What is wrong with settings, named by field.
fn check(app: &App, settings: &ClientSettings) -> Result<()> {
    let rules = &app.rules.identity.provider;
    let most = rules.redirects_most;
    addresses("redirects", "回调地址", "redirect address", &settings.redirects, most)?;
    addresses("logouts", "退出后返回地址", "sign-out address", &settings.logouts, most)?;
    if !settings.backchannel.is_empty() {
        let one = std::slice::from_ref(&settings.backchannel);
        addresses("backchannel_logout_uri", "退出通知地址", "sign-out notice address", one, 1)?;
    }
    let wrong = |zh: String, en: String| Error::invalid(&*zh, &*en).field("origins", &*zh, &*en);
    if !settings.origins.is_empty() && settings.kind != ClientKind::Public {
        return Err(wrong(
            "浏览器来源只适用于公开客户端：机密客户端的密钥不得出现在浏览器中".into(),
            "browser origins are for public clients only: the secret of a confidential client must not be in a browser".into(),
        ));
    }
    let most = rules.origins_most;
    if settings.origins.len() > most {
        return Err(wrong(
            format!("浏览器来源最多 {most} 个"),
            format!("{most} browser origins at most"),
        ));
    }
    if let Some(bad) = settings.origins.iter().find(|o| !origin_ok(o)) {
        let bad = shortened(bad);
        return Err(wrong(
            format!(
                "浏览器来源 `{bad}` 不可用：应为 https://主机[:端口]，小写，末尾不带斜杠和路径（本机调试可用 http://127.0.0.1:端口）"
            ),
            format!(
                "`{bad}` cannot be a browser origin: https://host[:port] in small letters, without a slash or path behind it (http on this machine only)"
            ),
        ));
    }
    Ok(())
}

/// Checks one list of addresses of a client.
fn addresses(field: &str, zh: &str, en: &str, list: &[String], most: usize) -> Result<()> {
    let wrong = |zh: String, en: String| Error::invalid(&*zh, &*en).field(field, &*zh, &*en);
    if list.len() > most {
        return Err(wrong(format!("{zh}最多 {most} 个"), format!("more than {most} {en}es")));
    }
    if let Some(bad) = list.iter().find(|a| !redirect_ok(a)) {
        let bad = shortened(bad);
        return Err(wrong(
            format!(
                "{zh} `{bad}` 不可用：应为 https 完整网址（本机调试可用 http://127.0.0.1），不含 # 和通配符"
            ),
            format!(
                "`{bad}` cannot be a {en}: a whole https address (http on this machine only), without # and wildcards"
            ),
        ));
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Whether scripts of an origin may read what clients are told: a public client in use has registered it.
pub async fn origin_known(app: &App, origin: &str) -> Result<bool> {
    if !origin_ok(origin) {
        return Ok(false);
    }
    app.store.identity_origin_known(origin).await
}

/// Who presents itself. Failures are limited by address and recorded; which part was wrong is not told.
pub(super) async fn known(
    app: &App,
    op: &Op,
    presented: Presented<'_>,
) -> std::result::Result<Client, Refused> {
    let told = match attempt::by_address(app, op) {
        Ok(()) => None,
        Err(attempt::Refusal::Told(error)) => Some(error),
        Err(attempt::Refusal::Untold(error)) => return Err(error.into()),
    };
    let object: String = presented.id.chars().take(64).collect();
    if let Some(error) = told {
        audit::refused(app, op, "identity.client", &object, &error).await?;
        return Err(error.into());
    }
    let found = account::application_of(app, op, presented.id, presented.secret).await?;
    let Some((application, actor)) = found else {
        let error = Error::of(model::Code::SignatureMismatch);
        audit::refused(app, op, "identity.client", &object, &error).await?;
        return Err(Refused::client());
    };
    let proven = presented.secret.is_some();
    if !proven {
        let settings = app.store.identity_client(&application.id).await?;
        if settings.is_none_or(|s| s.kind != ClientKind::Public) {
            let error = Error::of(model::Code::SignatureMissing);
            audit::refused(app, op, "identity.client", &object, &error).await?;
            return Err(Refused::client());
        }
    }
    attempt::forgive_address(app, op);
    crate::halt::admit(app, op, &actor).await?;
    Ok(Client { application, actor, proven })
}
