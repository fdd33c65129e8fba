//! Home: search box, live figures, newest data sets, domains and regions with their counts.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;
use model::search::SearchQuery;

use crate::site::{city, facets};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/", get(home)).route("/suggest", get(suggest))
}

async fn home(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let app = &door.app;
    let figures = app::opening::figures(app, &visit.op).await?;
    let query = SearchQuery {
        filters: facets::open_only(),
        sort: "data_at".into(),
        limit: 6,
        ..SearchQuery::default()
    };
    let found = app::opening::search(app, &visit.public_op(), query).await?;
    door.names.refresh(app).await;
    let counts = |name: &str| facets::counts(&found.facets, name);
    let domains = facets::plain("domain", counts("domain"), &visit, &[]);
    let regions = city::listed(&door, &visit).await?;
    let orgs = facets::plain("org", counts("org"), &visit, &door.names.get().orgs);
    let context = context! {
        figures => value(&figures),
        latest => value(&found.hits),
        domains, regions,
        orgs => orgs.into_iter().take(12).collect::<Vec<_>>(),
    };
    door.page(&visit, "site/home.html", context).await
}

/// Completions while typing, as `<option>`s of the search box's list.
async fn suggest(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let words = match visit.q("q") {
        Some(prefix) => app::opening::suggest(&door.app, &visit.public_op(), prefix).await?,
        None => Vec::new(),
    };
    door.page(&visit, "site/suggest.html", context! { words }).await
}
