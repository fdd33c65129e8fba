//! Standing pages: about, how to call interfaces, the table of errors.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::{Value, context};
use model::Code;

use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/about", get(about))
        .route("/help/errors", get(errors))
        .route("/help/api", get(interfaces))
}

async fn about(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let figures = app::opening::figures(&door.app, &visit.op).await?;
    door.page(&visit, "site/about.html", context! { figures => crate::view::value(&figures) }).await
}

async fn interfaces(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let call = &door.app.rules.call;
    let context = context! {
        window => call.window_seconds, default_rows => call.default_rows, max_rows => call.max_rows,
        max_offset => call.max_offset, signing => app::evidence::signing(&door.app).as_str(),
    };
    door.page(&visit, "site/help_api.html", context).await
}

async fn errors(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let codes: Vec<Value> = Code::ALL
        .iter()
        .map(|c| {
            context! {
                code => c.as_str(), status => c.status(), zh => c.zh(), en => c.en(),
                help_zh => c.help_zh(), help_en => c.help_en(),
            }
        })
        .collect();
    door.page(&visit, "site/help_errors.html", context! { codes }).await
}
