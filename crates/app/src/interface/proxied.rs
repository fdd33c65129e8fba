//! Proxied interfaces: a department's own service behind an entry of the catalogue. The caller enters the gate as for rows of the
//! platform's own; the rows come from the service, through the port that applies the grant to them.
//!
//! A service that fails again and again is left alone for a while (`model::interface::Breaker`, one for each version, in each process).
//! What it answered may be given again for as long as its keeper declared, to callers of the same grant who ask the same, and the
//! answer says how old it is. Every call is counted and recorded, whoever answers it.

use std::collections::HashMap;
use std::sync::Arc;

use model::interface::{Asked, Breaker, BreakerState, Interface, Upstream};
use model::query::{RowPage, RowQuery};
use model::value::Rows;
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::Action;
use policy::port::UpstreamAsk;
use serde::Serialize;

use super::call::{Answer, Body};
use super::rows::{chosen, labels, marked};
use crate::{App, pipeline, sharing};

/// Bytes of answers that are kept, about.
const KEPT_BYTES: u64 = 64 << 20;

/// Breakers and kept answers of this process.
pub(super) struct Memory {
    /// By version.
    breakers: Mutex<HashMap<String, Breaker>>,
    answers: moka::sync::Cache<String, Arc<Kept>>,
}

struct Kept {
    rows: Rows,
    /// Milliseconds since 1970.
    at: i64,
}

impl Default for Memory {
    fn default() -> Self {
        let weight = |key: &String, kept: &Arc<Kept>| {
            let rows: u64 = kept.rows.rows.iter().map(sharing::row_bytes).sum();
            let cells = kept.rows.rows.len() * kept.rows.columns.len() * 32;
            u32::try_from(rows)
                .unwrap_or(u32::MAX)
                .saturating_add(u32::try_from(cells + key.len() + 200).unwrap_or(u32::MAX))
        };
        Self {
            breakers: Mutex::default(),
            answers: moka::sync::Cache::builder()
                .max_capacity(KEPT_BYTES)
                .weigher(weight)
                .time_to_live(std::time::Duration::from_secs(86_400))
                .build(),
        }
    }
}

/// How the service behind a version stands, as this process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamStanding {
    pub state: BreakerState,
}

/// The same for the page of a version.
#[must_use]
pub fn standing(app: &App, op: &Op, interface: &Interface) -> Option<UpstreamStanding> {
    interface.draft.upstream.as_ref()?;
    let now = op.at.timestamp_millis();
    let breakers = app.interfaces.proxied.breakers.lock();
    let state = breakers
        .get(&interface.id)
        .map_or(BreakerState::Closed, |b| b.state(app.rules.interface.breaker, now));
    Some(UpstreamStanding { state })
}

pub(super) async fn forward(
    app: &App,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    let Some(described) = &draft.upstream else {
        return Err(Error::internal("a proxied interface without a service"));
    };
    let pass = sharing::enter(app, op, &draft.entry, Action::RowsQuery).await?;
    let query = RowQuery {
        select: chosen(app, op, draft, &pass).await?,
        filter: asked.filter.clone(),
        limit: Some(asked.limit.unwrap_or(draft.most_rows).clamp(1, draft.most_rows)),
        ..RowQuery::default()
    };
    if asked.after.is_some() || asked.page.is_some_and(|p| p > 1) {
        let e = Error::new(
            Code::InvalidQuery,
            "代理接口不分页，请缩小条件",
            "a proxied interface has no pages: narrow what is asked",
        );
        return Err(pass.refuse(app, op, e).await);
    }
    // A record is asked for whether it is fetched or was kept.
    let counted = pass.ask(app, op, &query).await?;
    let values: Vec<(String, String)> =
        asked.values.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
    let key = (described.cache_seconds > 0).then(|| {
        let shape = pass.grant().shape();
        format!(
            "{}\n{}\n{values:?}\n{:?}\n{shape}",
            interface.id, interface.updated_at, query.limit
        )
    });
    let now = op.at.timestamp_millis();
    let span = i64::try_from(described.cache_seconds).unwrap_or(i64::MAX).saturating_mul(1000);
    let memory = &app.interfaces.proxied;
    let kept = key.as_ref().and_then(|k| memory.answers.get(k));
    let (answer, age) = match kept.filter(|k| (0..span).contains(&now.saturating_sub(k.at))) {
        Some(kept) => {
            let age = u64::try_from(now.saturating_sub(kept.at) / 1000).unwrap_or(0);
            (kept, age)
        }
        None => {
            let ask = UpstreamAsk {
                described,
                values: &values,
                headers: &[],
                items: pass.items(),
                filter: query.filter.as_ref(),
                select: &query.select,
                most_rows: query.limit.unwrap_or(draft.most_rows),
            };
            let asking = exchange(app, op, interface, described, &pass, ask);
            let rows = match pass.timed(app, op, asking).await {
                Ok(rows) => rows,
                Err(e) => {
                    pass.unask(app, counted.as_ref(), &e).await;
                    return Err(e);
                }
            };
            let fresh = Arc::new(Kept { rows, at: now });
            if let Some(key) = key {
                memory.answers.insert(key, Arc::clone(&fresh));
            }
            (fresh, 0)
        }
    };
    let Rows { columns, rows } = answer.rows.clone();
    let page = RowPage { columns, rows, total: None, next: None };
    let mut event = marked(interface, pass.event(op, &query, &page));
    if described.cache_seconds > 0 {
        event.scope.push_str(&format!("; age {age} s"));
    }
    pass.told(app, op, event).await?;
    Ok(Answer {
        masked: labels(draft, &pass.masked(&query)),
        calls_left: pass.calls_left,
        interface: Arc::clone(interface),
        age: Some(age),
        mark: None,
        body: Body::Rows(page),
    })
}

/// Asks the service, unless its breaker keeps it from being asked.
async fn exchange(
    app: &App,
    op: &Op,
    interface: &Interface,
    described: &Upstream,
    pass: &sharing::Pass,
    ask: UpstreamAsk<'_>,
) -> Result<Rows> {
    let rules = app.rules.interface.breaker;
    let breaker = |act: &dyn Fn(&mut Breaker) -> Result<(), i64>| {
        let mut breakers = app.interfaces.proxied.breakers.lock();
        act(breakers.entry(interface.id.clone()).or_default())
    };
    let mut headers = Vec::with_capacity(described.headers.len());
    for (name, value) in &described.headers {
        let value = pipeline::secret_filled(app, &interface.org, value).await?;
        headers.push((name.clone(), value.as_str().to_owned()));
    }
    breaker(&|b| b.admit(rules, op.at.timestamp_millis())).map_err(|wait| {
        let seconds = u64::try_from(wait).unwrap_or(0) / 1000 + 1;
        Error::new(
            Code::SourceUnavailable,
            format!("接口背后的服务多次失败，已暂停转发，约 {seconds} 秒后再试"),
            format!(
                "the service behind the interface has failed several times and is left alone: try again in about {seconds} seconds"
            ),
        )
        .with_reasons(vec!["upstream.breaker".to_owned()])
        .after(seconds)
    })?;
    let outcome = app.upstream.ask(pass.grant(), &UpstreamAsk { headers: &headers, ..ask }).await;
    let told = breaker(&|b| {
        match &outcome {
            Err(e) if e.code() == Code::SourceUnavailable => {
                b.failed(rules, app.now().timestamp_millis());
            }
            // A refusal of ours says nothing of the service.
            Err(_) => {}
            Ok(_) => b.succeeded(),
        }
        match b.state(rules, app.now().timestamp_millis()) {
            BreakerState::Open => Err(0),
            _ => Ok(()),
        }
    });
    if let (Err(_), Err(e)) = (told, &outcome) {
        tracing::warn!(interface.code = %interface.code, error = %e.operator_text(), "a service behind an interface is left alone");
    }
    outcome
}
