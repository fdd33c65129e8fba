//! What was agreed with an application for batch use: whole tables, by SQL or as files.
//!
//! What a decision left out because of an emergency stop is kept with what it gave ([`Stopped`]). Doors keep both, and tell why a table is
//! not there by the decision that left it out: the stops as they are a moment later may be others.

use std::collections::HashMap;
use std::sync::Arc;

use model::entry::Entry;
use model::halt::HaltKind;
use model::request::{Request, RequestFilter, RequestState};
use model::{Code, Error, Op, Result};
use policy::{Action, Grant, GrantAsk, Via};
use store::request::RequestScope;

use crate::App;

/// What may be used in bulk, as one decision found it.
pub(crate) struct Batch {
    /// Grants with their entries, by code.
    pub(crate) given: Vec<(Grant, Entry)>,
    pub(crate) stopped: Stopped,
}

/// Resources, by code, that a decision left out because of an emergency stop, with what is told of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopped(Arc<HashMap<String, Error>>);

impl Stopped {
    /// Why a resource that was agreed was not given: a stop says so, everything else is an agreement that has ended.
    pub(crate) fn why(&self, code: &str) -> Error {
        self.of(code).unwrap_or_else(|| Error::of(Code::GrantExpired))
    }

    /// The stop because of which a resource was left out, where that was the reason.
    pub(crate) fn of(&self, code: &str) -> Option<Error> {
        self.0.get(code).map(Error::again)
    }

    /// All of them, by code.
    pub(crate) fn by_code(&self) -> Arc<HashMap<String, Error>> {
        Arc::clone(&self.0)
    }

    /// Whether a resource was left out because of a stop.
    pub(crate) fn holds(&self, code: &str) -> bool {
        self.0.contains_key(code)
    }

    /// The stop of the application itself, where that left something out.
    pub(crate) fn of_caller(&self) -> Option<Error> {
        let own = format!("halt.{}", HaltKind::Application.as_str());
        self.0.values().find(|refusal| refusal.reasons().contains(&own)).map(Error::again)
    }
}

/// Grants of `action` from the newest approved share application for each entry, where batch use was agreed.
pub(crate) async fn granted(app: &App, op: &Op, action: Action) -> Result<Batch> {
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
    let mut given = Vec::new();
    let mut stopped = HashMap::new();
    for request in newest.iter().filter(|r| r.by_sql) {
        if crate::restricted::clean_use(app, op, request).await.is_err() {
            continue;
        }
        let Some(entry) = app.store.entry_get(&request.entry).await? else { continue };
        let row_cap = if action == Action::RowsSql { 0 } else { u64::MAX };
        let ask = GrantAsk { action, entry: &entry, via: Via::Request(request), row_cap };
        // What was agreed and is not allowed any more is simply not there.
        match app.policy.grant(op, &ask) {
            Ok(grant) => given.push((grant, entry)),
            Err(refusal) if refusal.code() == Code::Halted => {
                stopped.insert(entry.draft.code, refusal);
            }
            Err(_) => {}
        }
    }
    given.sort_by(|(a, _), (b, _)| a.code().cmp(b.code()));
    Ok(Batch { given, stopped: Stopped(Arc::new(stopped)) })
}

#[cfg(test)]
mod tests {
    use model::halt::Halt;

    use super::*;

    fn stop(kind: HaltKind) -> Error {
        Halt { id: "h1".into(), kind: kind.as_str().to_owned(), ..Halt::default() }.refusal()
    }

    #[test]
    fn a_decision_tells_the_stop_that_it_met() {
        let none = Stopped::default();
        assert_eq!(none.why("firms").code(), Code::GrantExpired);
        assert!(none.of_caller().is_none());
        let entry = HashMap::from([("firms".to_owned(), stop(HaltKind::Entry))]);
        let entry = Stopped(Arc::new(entry));
        assert_eq!(entry.why("firms").code(), Code::Halted);
        assert_eq!(entry.why("firms").zh(), stop(HaltKind::Entry).zh());
        assert_eq!(entry.why("firms").reasons(), ["halt.entry"]);
        assert!(entry.holds("firms") && !entry.holds("others"));
        assert_eq!(entry.why("others").code(), Code::GrantExpired);
        assert!(entry.of_caller().is_none(), "a resource is stopped, the application is not");
        let own = HashMap::from([("firms".to_owned(), stop(HaltKind::Application))]);
        let own = Stopped(Arc::new(own));
        assert_eq!(own.of_caller().map(|e| e.code()), Some(Code::Halted));
        assert_eq!(own.why("firms").reasons(), ["halt.application"]);
    }
}
