//! One call of an interface: which version answers, and by which kind.

use std::sync::Arc;

use model::halt::HaltKind;
use model::interface::{Arguments, Asked, Interface, InterfaceState, Kind};
use model::query::{Groups, RowPage};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};

use super::{FileRows, compose, outward, proxied, quota, rows};
use crate::outflow::Pulled;
use crate::{App, audit};

/// What a call is answered.
#[derive(Debug)]
pub struct Answer {
    pub interface: Arc<Interface>,
    pub body: Body,
    /// Names in the answer whose values are masked.
    pub masked: Vec<String>,
    /// Calls left today, when there is a quota.
    pub calls_left: Option<u64>,
    /// How old the rows are, in seconds, where they come from a department's own service.
    pub age: Option<u64>,
    /// Watermark that the texts of the rows bear, where they bear one.
    pub mark: Option<String>,
}

/// The answer itself, by kind.
#[derive(Debug)]
pub enum Body {
    Rows(RowPage),
    /// 是 or 否.
    Verdict(bool),
    Groups(Groups),
    Changes(Box<Pulled>),
    File(Box<FileRows>),
}

/// Calls an interface as `op.actor`, through the gate.
pub async fn call(app: &Arc<App>, op: &Op, code: &str, mut given: Arguments) -> Result<Answer> {
    app.interfaces.look(app, op).await?;
    app.halts.look(app).await?;
    let version = given.take("version");
    let interface = match find(app, op, code, version.as_deref()) {
        Ok(interface) => interface,
        Err(e) => return Err(refuse(app, op, code, e).await),
    };
    let mut within = Op { interface: code.to_owned(), ..op.clone() };
    // A token limited to this interface reaches the resources behind it.
    if op.reaches(code) {
        within.scope.clear();
    }
    let asked = match interface.draft.ask(given) {
        Ok(asked) => asked,
        Err(e) => return Err(refuse(app, &within, code, e).await),
    };
    let counted = quota::count(app, &within, &interface).await?;
    match (by_kind(app, &within, &interface, &asked).await, counted) {
        (Ok(answer), None) => Ok(answer),
        (Ok(answer), Some(counted)) => {
            let calls_left = answer.calls_left.into_iter().chain(counted.left).min();
            Ok(Answer { calls_left, ..answer })
        }
        (Err(e), counted) => {
            if let Some(counted) = counted {
                counted.put_back();
            }
            // What the caller may not know of is not there, whichever way it asks.
            Err(match e.code() {
                Code::NotFound => missing(code),
                _ => interface.draft.by_parameter(&asked, e),
            })
        }
    }
}

async fn by_kind(
    app: &Arc<App>,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    match interface.draft.kind {
        Kind::Query | Kind::Fuzzy | Kind::List => rows::page(app, op, interface, asked).await,
        Kind::Verify => rows::verify(app, op, interface, asked).await,
        Kind::Statistics => rows::statistics(app, op, interface, asked).await,
        Kind::Batch => rows::batch(app, op, interface, asked).await,
        Kind::Composed => compose::joined(app, op, interface, asked).await,
        Kind::Incremental => outward::changes(app, op, interface, asked).await,
        Kind::File => outward::file(app, op, interface, asked).await,
        Kind::Proxied => proxied::forward(app, op, interface, asked).await,
    }
}

/// The version that answers, if it answers this caller.
pub(super) fn find(
    app: &App,
    op: &Op,
    code: &str,
    version: Option<&str>,
) -> Result<Arc<Interface>> {
    let number = match version {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Error::new(
                Code::InvalidInput,
                "参数 `version` 应为版本号",
                "the parameter `version` must be the number of a version",
            )
        })?),
    };
    let chosen = app.interfaces.choose(code, op.actor.id(), number);
    let interface = chosen.ok_or_else(|| no_version(app, op, code, number))?;
    // Who may not know of it is told nothing of its stop.
    if let Some(halt) = app.policy.halted(HaltKind::Interface, code) {
        return Err(match knows(app, op, &interface) {
            true => halt.refusal(),
            false => missing(code),
        });
    }
    // The last day of a deprecated version is the last on which it answers.
    let over = interface.state == InterfaceState::Deprecated
        && !interface.until.is_empty()
        && interface.until < op.today().to_string();
    if interface.state.live() && !over {
        return Ok(interface);
    }
    let target = Target::interface(&interface);
    match interface.state {
        // Tested by those who keep it, and by their applications, when they name the version.
        InterfaceState::Test
            if number.is_some()
                && app.policy.decide(op, Action::InterfaceRead, &target).allowed =>
        {
            Ok(interface)
        }
        InterfaceState::Offline | InterfaceState::Deprecated if knows(app, op, &interface) => {
            Err(Error::new(
                Code::WrongState,
                format!("接口 `{code}` 已下线，请改用新的接口"),
                format!("the interface `{code}` is offline: use the one that replaces it"),
            ))
        }
        _ => Err(missing(code)),
    }
}

/// Whether a live interface of this kind would be shown to the caller.
fn knows(app: &App, op: &Op, interface: &Interface) -> bool {
    let live = Target { live: true, ..Target::interface(interface) };
    app.policy.decide(op, Action::InterfaceRead, &live).allowed
}

/// Whether the caller may know of an interface of this code: it would be shown one of its versions, or what one reads.
pub(crate) async fn known_of(app: &App, op: &Op, code: &str) -> Result<bool> {
    app.interfaces.look(app, op).await?;
    for version in app.interfaces.versions(code).iter() {
        let shown = match version.state {
            // Tested by those who keep it, and by their applications.
            InterfaceState::Test => {
                let target = Target::interface(version);
                app.policy.decide(op, Action::InterfaceRead, &target).allowed
            }
            _ => knows(app, op, version),
        };
        if shown || crate::sharing::knows(app, op, &version.draft.entry).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// There is none of this code; or, for who knows of the interface, none of its versions is the one that was named.
fn no_version(app: &App, op: &Op, code: &str, number: Option<u32>) -> Error {
    let other = number.and_then(|_| app.interfaces.choose(code, op.actor.id(), None));
    let (Some(number), Some(other)) = (number, other) else { return missing(code) };
    if !other.state.live() || !knows(app, op, &other) {
        return missing(code);
    }
    Error::new(
        Code::NotFound,
        format!(
            "接口 `{code}` 没有版本 {number}；现行版本为 {}，不带 version 即可调用",
            other.version
        ),
        format!(
            "the interface `{code}` has no version {number}; the present one is {}, called without `version`",
            other.version
        ),
    )
}

pub(super) fn missing(code: &str) -> Error {
    Error::not_found("接口", "interface", &code.chars().take(80).collect::<String>())
}

/// A refusal before the gate leaves a record, too.
async fn refuse(app: &App, op: &Op, code: &str, error: Error) -> Error {
    let object: String = code.chars().take(80).collect();
    if let Err(trouble) = audit::refused(app, op, "interface.call", &object, &error).await {
        tracing::error!(error = %trouble.operator_text(), "a refusal could not be recorded");
    }
    error
}

/// What the audit says of a call by an interface, before columns and operators of its filter.
pub(super) fn mark(interface: &Interface) -> String {
    format!("interface {} v{} {}", interface.code, interface.version, interface.draft.kind)
}
