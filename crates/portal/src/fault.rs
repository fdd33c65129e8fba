//! How an error becomes a page: status, code, the public text in both languages, fields to mend, reasons, request id.

use std::any::Any;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use model::{Code, Error, Kind};

use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// An error on its way to the middleware, which renders it for the visitor.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) Error);

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault(error)
    }
}

/// Marks a response whose page is still to be made.
#[derive(Clone)]
pub(crate) struct Failure(pub(crate) Arc<Error>);

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        response.extensions_mut().insert(Failure(Arc::new(self.0)));
        response
    }
}

/// The status a page of this error is answered with.
pub(crate) fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Faults that the form they came of can show; others are pages of their own.
pub(crate) fn mendable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::Unavailable)
}

/// No such page.
pub(crate) async fn nowhere(visit: Visit) -> Answer {
    Err(Fault(Error::not_found("页面", "the page", visit.uri.path())))
}

/// A handler panicked: a defect, told in general words.
pub(crate) fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_default();
    Fault(Error::internal(format!("panic: {text}"))).into_response()
}

/// What to do about it, in both languages.
fn help(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Invalid => ("请按提示修改后重新提交。", "Mend what is named and send it again."),
        Kind::Unauthenticated => ("请登录后再试。", "Sign in and try again."),
        Kind::Denied => (
            "如确需办理，请联系本单位管理员或公共数据主管部门开通权限。",
            "If you need this for your work, ask your administrator or the public-data authority.",
        ),
        Kind::NotFound => (
            "请检查网址，或从首页搜索。它也可能已下线，或不对您开放。",
            "Check the address or search from the home page. It may be offline, or not open to you.",
        ),
        Kind::Conflict => (
            "请刷新页面查看最新状态后再操作。",
            "Reload the page to see the present state, then act again.",
        ),
        Kind::TooLarge => {
            ("请减小内容后重试，或分批办理。", "Make it smaller or send it in parts.")
        }
        Kind::Exhausted => ("请稍后再试。", "Try again later."),
        Kind::Unavailable => (
            "请稍后再试；如持续出现，请把请求编号告诉管理员。",
            "Try again later; if it lasts, give the request id to the administrator.",
        ),
        Kind::Internal => (
            "这是系统的问题。请把请求编号告诉管理员。",
            "This is a fault of the system. Give the request id to the administrator.",
        ),
    }
}

/// Renders the error for the visitor and writes the operator's voice to the log.
pub(crate) async fn page(door: &Door, visit: &Visit, error: &Error) -> Response {
    match error.kind() {
        Kind::Internal | Kind::Unavailable => tracing::error!(
            request.id = visit.op.request_id,
            error = error.operator_text(),
            "a page failed"
        ),
        _ => tracing::debug!(
            request.id = visit.op.request_id,
            error = error.operator_text(),
            "a page was refused"
        ),
    }
    let (mut help_zh, mut help_en) = help(error.kind());
    // What is open on conditions is applied for, on its page.
    let conditions = error.reasons().iter().any(|r| r == "open.restricted");
    let set = visit.uri.path().strip_prefix("/data/").and_then(|rest| rest.split('/').next());
    let apply = set.filter(|set| conditions && !set.is_empty());
    if apply.is_some() {
        help_zh = "请在数据集页面提交申请，审核通过并签订协议后使用。";
        help_en = "Apply on the page of the data set: it is used once that is approved and signed.";
    }
    let own = error.zh() != error.code().zh();
    let context = context! {
        code => error.code().as_str(),
        status => error.code().status(),
        heading => visit.t(error.code().zh(), error.code().en()),
        zh => error.zh(),
        en => error.en(),
        own,
        fields => value(error.fields()),
        reasons => value(error.reasons()),
        help => visit.t(help_zh, help_en),
        sign_in => error.code() == Code::SignInRequired, apply,
    };
    let template = if visit.fragment { "error_fragment.html" } else { "error.html" };
    match door.page(visit, template, context).await {
        Ok(mut response) => {
            *response.status_mut() = status(error);
            response
        }
        Err(Fault(worse)) => {
            tracing::error!(error = worse.operator_text(), "the error page failed");
            (status(error), format!("{}\n{}\n", error.zh(), error.en())).into_response()
        }
    }
}
