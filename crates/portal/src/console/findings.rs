//! Findings of the rule packs (编目规范): sums by rule and organisation, the entries behind them, and mending many at once
//! with what it would write shown before.

use std::sync::Arc;

use app::catalogue::standard::{self, Range};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;

use crate::console::{PAGE, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/findings", get(list))
        .route("/console/findings/fix", get(preview).post(apply))
}

/// Organisation asked for: `mine`, or an id.
fn org(visit: &Visit) -> model::Result<Option<String>> {
    Ok(match visit.q("org") {
        Some("mine") => visit.session()?.user.org.clone(),
        other => other.map(str::to_owned),
    })
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let (org, rule) = (org(&visit)?, visit.q("rule"));
    let sums = standard::sums(app, op, org.as_deref(), rule, visit.q("after_org"), PAGE).await?;
    let page = standard::findings(app, op, org.as_deref(), rule, visit.q("after"), PAGE).await?;
    door.names.refresh(app).await;
    let rules: Vec<_> = sums
        .rules
        .iter()
        .map(|(rule, sum)| context! { rule => value(rule), sum => value(sum) })
        .collect();
    let broken = sums.rules.iter().filter(|(_, sum)| sum.is_some()).count();
    let chosen = sums.rules.iter().map(|(r, _)| r).find(|r| Some(r.id.as_str()) == rule);
    let context = context! {
        rules, broken, orgs_sums => value(&sums.orgs.items), stale => sums.stale, own => sums.own,
        next_org => next_link(&visit, "after_org", sums.orgs.next.as_deref()),
        rows => value(&page.items), next => next_link(&visit, "after", page.next.as_deref()),
        rule, org => visit.q("org"), chosen => value(chosen), orgs => value(&door.names.get().orgs),
        may_fix => standard::may_fix(app, op),
    };
    door.page(&visit, "console/findings.html", context).await
}

async fn preview(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let range = Range { rule: visit.q("rule").unwrap_or_default().to_owned(), org: org(&visit)? };
    let page = standard::preview(&door.app, &visit.op, &range, visit.q("after"), PAGE).await?;
    let context = context! {
        rule => value(&page.rule), rows => value(&page.rows), org => visit.q("org"),
        ready => page.rows.iter().filter(|r| r.refused.is_none()).count(),
        next => next_link(&visit, "after", page.next.as_deref()),
        report => value(None::<()>), done => 0,
    };
    door.page(&visit, "console/findings_fix.html", context).await
}

async fn apply(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    // Each ticked box holds the entry and the moment it was previewed in.
    let chosen: Vec<(String, String)> = posted
        .all("entry")
        .filter_map(|word| word.split_once('~'))
        .map(|(id, at)| (id.to_owned(), at.to_owned()))
        .collect();
    if chosen.is_empty() {
        return Err(model::Error::invalid("请勾选要修复的目录", "tick the entries to mend").into());
    }
    let rule = posted.get("rule");
    let report = standard::apply(&door.app, &visit.op, rule, &chosen).await?;
    let done = report.iter().filter(|r| r.done).count();
    let rules = door.app.rules.packs.rules(visit.op.today());
    let context = context! {
        rule => value(rules.iter().find(|r| r.id == rule)), rows => value(Vec::<()>::new()), ready => 0,
        org => posted.get("org"), next => None::<String>, report => value(&report), done,
    };
    door.page(&visit, "console/findings_fix.html", context).await
}
