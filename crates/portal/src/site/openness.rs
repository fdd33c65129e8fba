//! 开放指数: scores of cities and departments by published rules; every score opens the sets that fail it.

use std::sync::Arc;

use app::opening::metadata::{ASKS, MOST};
use app::opening::{DEFECTS, Failing};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::{Value, context};

use crate::label;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Failing sets of one page.
const PAGE: usize = 50;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/index", get(page)).route("/index/failing", get(failing))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let index = app::opening::index(&door.app, &visit.op).await?;
    let rules = &door.app.rules.site.index;
    let context = context! {
        index => value(&*index), rules => value(rules), defects => DEFECTS.to_vec(),
        asks => value(ASKS), most => MOST,
    };
    door.page(&visit, "site/index.html", context).await
}

async fn failing(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let defect = visit.q("defect").unwrap_or("late");
    let whose = (visit.q("city"), visit.q("org"));
    let page =
        app::opening::failing(&door.app, &visit.op, whose, defect, visit.q("after"), PAGE).await?;
    let row = |f: &Failing| {
        let others: Vec<Value> =
            f.defects.iter().map(|d| Value::from(label::label("defect", d, visit.lang))).collect();
        context! { failing => value(f), defects => others }
    };
    let next = page.next.as_deref().map(|after| {
        let mut parts = vec![format!("defect={}", encode(defect))];
        parts.extend(whose.0.map(|c| format!("city={}", encode(c))));
        parts.extend(whose.1.map(|o| format!("org={}", encode(o))));
        // Nothing is narrowed by it: it says whose site the page stands on.
        parts.extend(visit.qs("region").map(|r| format!("region={}", encode(r))));
        parts.push(format!("after={}", encode(after)));
        format!("/index/failing?{}", parts.join("&"))
    });
    let context = context! {
        defect, city => whose.0, org => whose.1, rows => page.items.iter().map(row).collect::<Vec<_>>(), next,
        most => MOST,
    };
    door.page(&visit, "site/failing.html", context).await
}
