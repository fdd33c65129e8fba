//! The owner's side: the password of an application for SQL, its tables, its statements.

use guard::keys;
use guard::scram::Verifier;
use model::sql::{SqlLogin, SqlStatement};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::{context, desk};
use crate::account::{self, managed};
use crate::{App, Page, audit};

/// Bytes of chance in a password.
const PASSWORD_BYTES: usize = 24;

/// A new password, shown once.
#[derive(Clone, Serialize)]
pub struct SqlSecret {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for SqlSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlSecret").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What the page of an application says of SQL.
#[derive(Clone, Debug, Serialize)]
pub struct SqlView {
    pub user: String,
    /// `None`: no password was made yet.
    pub login: Option<SqlLogin>,
    /// Certificates that are registered for the application: their keys sign in, too.
    pub keys: usize,
    pub tables: Vec<SqlTableView>,
}

/// One table as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct SqlTableView {
    pub code: String,
    pub title: String,
    pub columns: usize,
    /// Identifiers of masked columns.
    pub masked: Vec<String>,
    pub row_cap: u64,
    /// RFC 3339; `None`: long term.
    pub until: Option<String>,
}

/// Whether the caller may make the password and see statements.
#[must_use]
pub fn may_manage(app: &App, op: &Op, application: &model::account::Application) -> bool {
    app.may(op, Action::ApplicationManage, &Target::application(application))
}

/// Makes a password for SQL or a new one in its place; sessions of the old one end. Only a verifier of it is kept.
pub async fn make_password(app: &App, op: &Op, id: &str) -> Result<SqlSecret> {
    let (application, permit) = managed(app, op, id).await?;
    if !application.active {
        return Err(Error::new(
            Code::WrongState,
            format!("应用 `{}` 已停用，请先启用", application.name),
            format!("the application `{}` is stopped: start it first", application.name),
        ));
    }
    let password = keys::token(PASSWORD_BYTES)?;
    let login = SqlLogin {
        application: application.id.clone(),
        made_at: op.stamp(),
        made_by: op.actor.name().to_owned(),
    };
    let verifier = Verifier::of(&password)?.to_text();
    app.store.sql_login_set(&permit, &login, &verifier).await?;
    audit::record(app, audit::event(op, "application.sql_password", id)).await?;
    Ok(SqlSecret { user: application.key, password })
}

/// Takes the password away: its sessions end, and SQL is closed for the application but for keys of its certificates.
pub async fn remove_password(app: &App, op: &Op, id: &str) -> Result<()> {
    let (_, permit) = managed(app, op, id).await?;
    app.store.sql_login_remove(&permit, id).await?;
    audit::record(app, audit::event(op, "application.sql_close", id)).await
}

/// What the page of an application says of SQL; who made the password by the name shown.
pub async fn view(app: &App, op: &Op, id: &str) -> Result<SqlView> {
    let application = account::application(app, op, id).await?;
    let mut login = app.store.sql_login(id).await?.map(|(login, _)| login);
    account::logins_named(app, login.iter_mut().map(|l| &mut l.made_by).collect()).await?;
    let keys = app.store.certificates_of(id).await?.len();
    let tables = match account::credential(app, &application.key).await? {
        Some(credential) => {
            let own = app.op(credential.actor.clone(), &op.source);
            desk::granted(app, &own).await?
        }
        None => Vec::new(),
    };
    let tables = tables.into_iter().map(|table| SqlTableView {
        code: table.grant.code().to_owned(),
        title: table.title,
        columns: table.grant.columns().len(),
        masked: table
            .grant
            .columns()
            .iter()
            .filter(|c| c.mask.is_some())
            .map(|c| c.identifier.clone())
            .collect(),
        row_cap: table.grant.row_cap(),
        until: table.grant.expires_at().map(model::op::stamp),
    });
    Ok(SqlView { user: application.key, login, keys, tables: tables.collect() })
}

/// What an application has run lately, newest first. Texts may name persons: its keepers alone see them.
pub async fn statements(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<SqlStatement>> {
    let (application, _) = managed(app, op, id).await?;
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let mut items = app.store.sql_statements(&application.id, before, limit + 1).await?;
    let vault = app.keys.vault();
    for statement in &mut items {
        let plain = vault.open(&context(&statement.id), &statement.text)?;
        statement.text = String::from_utf8_lossy(&plain).into_owned();
    }
    Ok(Page::cut(items, limit, |s| s.id.clone()))
}
