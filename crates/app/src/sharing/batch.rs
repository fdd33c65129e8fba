//! What was agreed with an application for batch use: whole tables, by SQL or as files.

use model::entry::Entry;
use model::request::{Request, RequestFilter, RequestState};
use model::{Op, Result};
use policy::{Action, Grant, GrantAsk, Via};
use store::request::RequestScope;

use crate::App;

/// Grants of `action` from the newest approved share application for each entry, where batch use was agreed; by code.
pub(crate) async fn granted(app: &App, op: &Op, action: Action) -> Result<Vec<(Grant, Entry)>> {
    let mut newest: Vec<Request> = Vec::new();
    let mut filter = RequestFilter {
        application: Some(op.actor.id().to_owned()),
        state: Some(RequestState::Approved),
        limit: 1000,
        ..RequestFilter::default()
    };
    loop {
        let page = app.store.request_list(&filter, &RequestScope::All).await?;
        let last = page.last().map(|r| r.id.clone());
        for request in page {
            match newest.iter_mut().find(|r| r.entry == request.entry) {
                Some(there) if there.id < request.id => *there = request,
                Some(_) => {}
                None => newest.push(request),
            }
        }
        match last {
            Some(last) => filter.after = Some(last),
            None => break,
        }
    }
    let mut found = Vec::new();
    for request in newest.iter().filter(|r| r.by_sql) {
        if crate::restricted::clean_use(app, op, request).await.is_err() {
            continue;
        }
        let Some(entry) = app.store.entry_get(&request.entry).await? else { continue };
        let row_cap = if action == Action::RowsSql { 0 } else { u64::MAX };
        let ask = GrantAsk { action, entry: &entry, via: Via::Request(request), row_cap };
        // What was agreed and is not allowed any more is simply not there.
        if let Ok(grant) = app.policy.grant(op, &ask) {
            found.push((grant, entry));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.code().cmp(b.code()));
    Ok(found)
}
