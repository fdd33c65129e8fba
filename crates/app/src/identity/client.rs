//! Applications as clients of the provider: what they are set to, and who presents itself at the token endpoint.

use model::account::Application;
use model::identity::{ClientKind, ClientSettings, redirect_ok};
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
    let most = app.rules.identity.provider.redirects_most;
    settings.redirects.retain(|r| !r.trim().is_empty());
    let wrong = |zh: String, en: String| Error::invalid(&*zh, &*en).field("redirects", &*zh, &*en);
    if settings.redirects.len() > most {
        return Err(wrong(
            format!("回调地址最多 {most} 个"),
            format!("{most} redirect addresses at most"),
        ));
    }
    if let Some(bad) = settings.redirects.iter().find(|r| !redirect_ok(r)) {
        let bad: String = bad.chars().take(100).collect();
        return Err(wrong(
            format!(
                "回调地址 `{bad}` 不可用：应为 https 完整网址（本机调试可用 http://127.0.0.1），不含 # 和通配符"
            ),
            format!(
                "`{bad}` cannot be a redirect address: a whole https address (http on this machine only), without # and wildcards"
            ),
        ));
    }
    app.store
        .identity_client_set(&permit, &application.id, &settings, &op.stamp(), op.actor.name())
        .await?;
    app.store.credentials_drop(&permit, &application.id).await?;
    app.shares.forget();
    app.accounts.forget();
    let mut event = audit::event(op, "application.client", &application.id);
    event.scope = format!("{} {}", settings.kind, settings.redirects.join(" "));
    audit::record(app, event).await
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
