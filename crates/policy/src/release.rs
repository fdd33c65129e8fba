//! Making grants: which columns, rows, masks, how many and how often, once Cedar has said yes.

use chrono::{DateTime, NaiveDate, Utc};
use model::code::{Grade, OpenType};
use model::item::Item;
use model::mask::Mask;
use model::request::Request;
use model::{Actor, Code, Error, Op, Result};

use crate::cedar::Release;
use crate::rules::{Limits, RowLimit};
use crate::{Action, Grant, GrantAsk, GrantColumn, Policy, Quota, Target, Via};

const SECONDS_PER_DAY: u64 = 86_400;

impl Policy {
    /// Decides a release and says exactly what of it. Callers may keep a grant while [`Policy::version`], the entry and
    /// the share application stay as they are, and check [`Grant::check_time`] at every use.
    pub fn grant(&self, op: &Op, ask: &GrantAsk<'_>) -> Result<Grant> {
        // A return flow is limited to the receiver's region, which only `grant_flow` knows.
        if !ask.action.is_release() || ask.action == Action::RowsFlow {
            return Err(Error::internal(format!("grant asked for `{}`", ask.action.as_str())));
        }
        self.grant_by(op, ask)
    }

    pub(crate) fn grant_by(&self, op: &Op, ask: &GrantAsk<'_>) -> Result<Grant> {
        let expires_at = match ask.via {
            Via::Request(request) | Via::Released(request) => end_of(request)?,
            Via::Open | Via::Owner | Via::Made => None,
        };
        let release = match ask.via {
            Via::Open => Release { via: "open", ..Release::default() },
            Via::Owner => Release { via: "owner", ..Release::default() },
            Via::Made => Release { via: "made", ..Release::default() },
            Via::Request(request) | Via::Released(request) => Release {
                via: "request",
                application: Some(&request.application),
                entry: Some(&request.entry),
                state: Some(request.state.as_str()),
                way: Some(request.way.as_str()),
                sql: request.by_sql,
                expired: expires_at.is_some_and(|end| op.at >= end),
            },
        };
        let outcome = self.ask(op, ask.action, &Target::entry(ask.entry), &release);
        if !outcome.allowed {
            let default = match ask.via {
                Via::Owner => Code::Denied,
                Via::Open | Via::Request(_) | Via::Released(_) | Via::Made => Code::NoGrant,
            };
            return Err(self.refusal(ask.action, outcome, default));
        }
        // The owner's staff may still look at what is theirs.
        if !matches!(ask.via, Via::Owner) {
            self.flowing(&op.actor, &ask.entry.id)?;
        }
        let columns = self.columns(ask, op.today());
        if columns.is_empty() {
            return Err(nothing_left(ask.via));
        }
        let grade = columns.iter().map(|c| c.grade).max().unwrap_or(Grade::L1);
        Ok(Grant {
            entry: ask.entry.id.clone(),
            code: ask.entry.draft.code.clone(),
            key: ask.entry.draft.key().into_iter().map(str::to_owned).collect(),
            columns,
            row_filter: self.row_filter(ask)?,
            row_cap: match ask.action {
                Action::RowsVerify => 1,
                _ => row_limit(self.limits(), ask.action).cap(ask.row_cap),
            },
            quota: quota(self.limits(), ask),
            purpose: match ask.via {
                Via::Request(request) | Via::Released(request) => request.scene.clone(),
                Via::Open => "open".to_owned(),
                Via::Owner => "owner".to_owned(),
                Via::Made => "project".to_owned(),
            },
            request: match ask.via {
                Via::Request(request) | Via::Released(request) => Some(request.id.clone()),
                Via::Open | Via::Owner | Via::Made => None,
            },
            grantee: grantee(&op.actor),
            grade,
            expires_at,
            action: ask.action,
        })
    }

    fn columns(&self, ask: &GrantAsk<'_>, today: NaiveDate) -> Vec<GrantColumn> {
        let released = |item: &&Item| match ask.via {
            // What was agreed and is not offered any more by the way it was asked for (not shared, not opened) stays in.
            Via::Request(request) | Via::Released(request) => {
                request.way.offers(item) && request.items.contains(&item.identifier)
            }
            // L4 is never open (DB33/T 2351-2021), whatever was declared.
            Via::Open => item.open_type == OpenType::Unconditional && item.grade < Grade::L4,
            Via::Owner | Via::Made => true,
        };
        ask.entry
            .draft
            .items
            .iter()
            .filter(released)
            .map(|item| {
                if ask.action == Action::RowsVerify {
                    return verified(item);
                }
                let mask = self.mask(item, ask.via, today);
                // Comparing a masked key needs the value beforehand; the public could guess without end.
                let lookup = (item.primary || item.lookup)
                    && !(mask.is_some() && matches!(ask.via, Via::Open));
                GrantColumn {
                    identifier: item.identifier.clone(),
                    name_cn: item.name_cn.clone(),
                    data_type: item.data_type,
                    scale: item.scale,
                    grade: item.grade,
                    filterable: mask.is_none(),
                    mask,
                    lookup,
                }
            })
            .collect()
    }

    /// The item's own mask, else the default rule above L1; from L3 on never without one. The owner's staff see L1
    /// and L2 plain. What a job made holds masked values already, and what was released was looked at as it is.
    pub(crate) fn mask(&self, item: &Item, via: Via<'_>, today: NaiveDate) -> Option<Mask> {
        if matches!(via, Via::Made | Via::Released(_)) {
            return None;
        }
        if matches!(via, Via::Owner) && item.grade < Grade::L3 {
            return None;
        }
        if item.mask.is_some() {
            return item.mask.clone();
        }
        if item.grade == Grade::L1 {
            return None;
        }
        Some(self.masks().of(item, today).cloned().unwrap_or(Mask::Replace))
    }

    /// Most calls a day that are granted without a person having looked at the application.
    #[must_use]
    pub fn calls_at_once_most(&self) -> u64 {
        self.limits().quota_request.at_once_most
    }
}

/// First instant at which the agreement no longer holds.
fn end_of(request: &Request) -> Result<Option<DateTime<Utc>>> {
    let Some(text) = &request.expires_at else { return Ok(None) };
    DateTime::parse_from_rfc3339(text).map(|t| Some(t.with_timezone(&Utc))).map_err(|e| {
        Error::internal(format!("request `{}`: end `{text}` is not RFC 3339", request.id))
            .caused_by(e)
    })
}

/// An item as a verification knows it: compared by equality only, and never told, whatever its grade.
fn verified(item: &Item) -> GrantColumn {
    GrantColumn {
        identifier: item.identifier.clone(),
        name_cn: item.name_cn.clone(),
        data_type: item.data_type,
        scale: item.scale,
        grade: item.grade,
        mask: Some(Mask::Replace),
        filterable: false,
        lookup: true,
    }
}

fn row_limit(limits: &Limits, action: Action) -> RowLimit {
    match action {
        Action::RowsPreview => limits.rows_preview,
        Action::RowsDownload | Action::RowsFlow | Action::RowsBatch => limits.rows_download,
        Action::RowsSql => limits.rows_sql,
        _ => limits.rows_query,
    }
}

/// Calls are counted at the interface only.
fn quota(limits: &Limits, ask: &GrantAsk<'_>) -> Option<Quota> {
    if !matches!(
        ask.action,
        Action::RowsQuery
            | Action::RowsFlow
            | Action::RowsVerify
            | Action::RowsSql
            | Action::RowsBatch
    ) {
        return None;
    }
    match ask.via {
        Via::Owner | Via::Made => None,
        Via::Open => Some(Quota {
            calls_per_day: limits.quota_open.calls_per_day,
            calls_per_second: limits.quota_open.calls_per_second,
            burst: limits
                .quota_open
                .calls_per_second
                .saturating_mul(limits.quota_open.burst_seconds),
        }),
        Via::Request(request) | Via::Released(request) => {
            let rule = limits.quota_request;
            let calls_per_day = match request.calls_per_day {
                0 => rule.calls_per_day,
                // An agreement for batches says nothing of calls.
                agreed if matches!(ask.action, Action::RowsSql | Action::RowsBatch) => {
                    agreed.max(rule.statements_least)
                }
                agreed => agreed,
            };
            let burst = calls_per_day.saturating_mul(rule.burst).div_ceil(SECONDS_PER_DAY);
            let calls_per_second =
                u32::try_from(burst).unwrap_or(u32::MAX).max(rule.calls_per_second_least);
            let burst = calls_per_second.saturating_mul(rule.burst_seconds);
            Some(Quota { calls_per_day, calls_per_second, burst })
        }
    }
}

pub(crate) fn grantee(actor: &Actor) -> String {
    match actor {
        Actor::Application { key, .. } => key.clone(),
        Actor::User { id, .. } => id.clone(),
        Actor::Nobody => "public".to_owned(),
        Actor::System => "system".to_owned(),
    }
}

fn nothing_left(via: Via<'_>) -> Error {
    let (zh, en) = match via {
        Via::Request(_) | Via::Released(_) => (
            "申请的数据项都不在可共享范围内，请重新申请",
            "none of the items applied for is shared any more; apply again",
        ),
        Via::Open => {
            ("该资源没有可无条件开放的数据项", "the resource has no unconditionally open item")
        }
        Via::Owner | Via::Made => ("该目录没有数据项", "the entry has no items"),
    };
    Error::new(Code::ColumnNotGranted, zh, en).with_reasons(vec!["columns.none".to_owned()])
}

impl Action {
    /// Whether rows leave by it, so that it needs a [`Grant`].
    #[must_use]
    pub fn is_release(self) -> bool {
        matches!(
            self,
            Action::RowsQuery
                | Action::RowsPreview
                | Action::RowsDownload
                | Action::RowsFlow
                | Action::RowsVerify
                | Action::RowsSql
                | Action::RowsBatch
        )
    }
}

impl Grant {
    /// Fails with `ColumnNotGranted`, naming the item, unless every identifier is granted.
    pub fn require_columns<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Result<()> {
        match wanted.into_iter().find(|name| self.column(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(Error::new(
                Code::ColumnNotGranted,
                format!("数据项 `{name}` 不在授权范围内，可用：{}", self.names()),
                format!("the data item `{name}` is not granted; granted are: {}", self.names()),
            )
            .with_reasons(vec!["columns.not-granted".to_owned()])),
        }
    }

    fn names(&self) -> String {
        self.columns().iter().map(|c| c.identifier.as_str()).collect::<Vec<_>>().join(", ")
    }
}
