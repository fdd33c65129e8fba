//! Reading the meter, and recounting the chain against it.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use model::Result;
use model::audit::AuditEvent;
use model::usage::{
    HISTOGRAM, Usage, UsageBy, UsageDifference, UsageFilter, UsageRow, UsageVerdict, counted, hour,
};
use policy::{Action, Permit};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::AuditLog;
use super::meter::FIGURES;
use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, text};
use crate::meter::region_bounds;

/// Whose calls may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageScope<'a> {
    All,
    /// What an organisation calls, and what it provides.
    Org(&'a str),
    Application(&'a str),
}

/// A question to the meter.
#[derive(Clone, Copy, Debug)]
pub struct UsageAsk<'a> {
    pub filter: &'a UsageFilter,
    pub scope: UsageScope<'a>,
    /// `None` adds everything up.
    pub by: Option<UsageBy>,
    /// The last line of the page before: its calls and its word.
    pub after: Option<(u64, &'a str)>,
    pub limit: u32,
}

/// Differences that are told at most.
const MOST: usize = 20;

impl AuditLog {
    /// Lines of a table of use, most calls first (by day: in order of days).
    pub async fn usage(&self, ask: &UsageAsk<'_>) -> Result<Vec<UsageRow>> {
        let by = match ask.by {
            None => "''",
            Some(UsageBy::Application) => "k.application",
            Some(UsageBy::Org) => "k.org",
            Some(UsageBy::Entry) => "k.entry",
            Some(UsageBy::Interface) => "k.interface",
            Some(UsageBy::Provider) => "COALESCE(e.org, '')",
            Some(UsageBy::Way) => "k.way",
            Some(UsageBy::Outcome) => "k.outcome",
            Some(UsageBy::Purpose) => "k.purpose",
            Some(UsageBy::Day) => "d.day",
            Some(UsageBy::Province) => "COALESCE(SUBSTR(o.region, 1, 2) || '0000', '')",
            Some(UsageBy::City) => "COALESCE(SUBSTR(o.region, 1, 4) || '00', '')",
            Some(UsageBy::County) => "COALESCE(o.region, '')",
        };
        let (named, join) = match ask.by {
            Some(UsageBy::Application) => {
                // People's statements in projects are counted under who made them.
                (
                    "COALESCE(MAX(a.name), MAX(u.display_name))",
                    " LEFT JOIN application a ON a.id = k.application LEFT JOIN user_account u ON u.id = k.application",
                )
            }
            Some(UsageBy::Entry) => ("MAX(e.title)", ""),
            Some(UsageBy::Org) => ("MAX(o.name_cn)", ""),
            Some(UsageBy::Provider) => ("MAX(p.name_cn)", " LEFT JOIN org p ON p.id = e.org"),
            // One line a code, whatever versions there are: figures are not doubled.
            Some(UsageBy::Interface) => (
                "MAX(i.title)",
                " LEFT JOIN (SELECT code, MAX(title) AS title FROM interface WHERE state <> 'draft' GROUP BY code) i ON i.code = k.interface",
            ),
            _ => ("''", ""),
        };
        let mut c = Clause::default();
        let f = ask.filter;
        for (condition, value) in [
            ("d.day >=", &f.from),
            ("d.day <=", &f.to),
            ("k.application =", &f.application),
            ("k.org =", &f.org),
            ("e.org =", &f.provider),
            ("k.entry =", &f.entry),
            ("k.interface =", &f.interface),
            ("k.way =", &f.way),
            ("k.outcome =", &f.outcome),
        ] {
            if !value.is_empty() {
                c.and_text(condition, value);
            }
        }
        if !f.region.is_empty() {
            let (lo, hi) = region_bounds(&f.region);
            c.and_text("o.region >=", &lo);
            c.and_text("o.region <=", &hi);
        }
        match ask.scope {
            UsageScope::All => {}
            UsageScope::Org(org) => {
                c.and_text("(k.org =", org);
                c.or_text("e.org =", org);
                c.close();
            }
            UsageScope::Application(id) => c.and_text("k.application =", id),
        }
        let by_day = ask.by == Some(UsageBy::Day);
        let mut having = Clause::default();
        let mut values = c.values().to_vec();
        if let Some((calls, word)) = ask.after {
            values.push(word.to_owned());
            let n = values.len();
            having.and(&match by_day {
                true => format!("{by} > ${n}"),
                false => {
                    format!("SUM(d.calls) < {calls} OR (SUM(d.calls) = {calls} AND {by} > ${n})")
                }
            });
        }
        let order = if by_day { "word" } else { "calls DESC, word" };
        // One by one: the outcome decides whether a call was answered; a maximum does not add up.
        let figures: Vec<String> = FIGURES
            .iter()
            .map(|f| match *f {
                "slowest" => "COALESCE(MAX(d.slowest), 0) AS slowest".to_owned(),
                f => format!("CAST(COALESCE(SUM(d.{f}), 0) AS BIGINT) AS {f}"),
            })
            .collect();
        let grouped = if ask.by.is_some() { format!(" GROUP BY {by}") } else { String::new() };
        let sql = format!(
            "SELECT {by} AS word, {named} AS name,
             CAST(COALESCE(SUM(CASE WHEN k.outcome = 'ok' THEN d.calls ELSE 0 END), 0) AS BIGINT) AS answered, {}
             FROM meter_day d JOIN meter_key k ON k.id = d.key_id LEFT JOIN org o ON o.id = k.org
             LEFT JOIN entry e ON e.code = k.entry{join}{}{grouped}{} ORDER BY {order} LIMIT {}",
            figures.join(", "),
            c.sql(),
            having.sql().replacen("WHERE", "HAVING", 1),
            ask.limit.clamp(1, 5000),
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in &values {
            query = query.bind(value.as_str());
        }
        let rows = query.fetch_all(self.figures().await).await.map_err(fail)?;
        rows.iter().map(read).collect()
    }

    /// Answered calls and refused ones of the whole house from a day on, from the small table by hour.
    pub async fn calls_since(&self, day: &str) -> Result<(u64, u64)> {
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(CASE WHEN outcome = 'ok' THEN calls ELSE 0 END), 0) AS BIGINT) AS answered,
             CAST(COALESCE(SUM(calls), 0) AS BIGINT) AS calls FROM meter_hour WHERE hour >= $1",
        )
        .bind(day)
        .fetch_one(self.figures().await)
        .await
        .map_err(fail)?;
        let answered = unsigned(number(&row, "answered")?);
        Ok((answered, unsigned(number(&row, "calls")?).saturating_sub(answered)))
    }

    /// Counts the chain anew and holds the meter against it, in one snapshot of both.
    pub async fn usage_check(&self, permit: &Permit) -> Result<UsageVerdict> {
        permit.require(&[Action::AuditExport])?;
        let mut tx = match matches!(self.head, super::head::Head::File(_)) {
            true => self.table().await?.begin().await,
            false => self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await,
        }
        .map_err(fail)?;
        // By day and the key's parts with a mark between: (what the chain says, what the meter says).
        let mut figures: BTreeMap<(String, String), (Usage, Usage)> = BTreeMap::new();
        let (mut records, mut calls) = (0, 0);
        {
            let mut rows = sqlx::query("SELECT body FROM audit ORDER BY seq").fetch(&mut *tx);
            while let Some(row) = rows.try_next().await.map_err(fail)? {
                records += 1;
                let event: AuditEvent = json(&row, "body")?;
                let Some((key, usage)) = counted(&event) else { continue };
                calls += usage.calls;
                let hour = hour(&event.ts).unwrap_or_else(|| event.ts.clone());
                let day = hour.get(..10).unwrap_or(&hour).to_owned();
                figures.entry((day, key.parts().join(" | "))).or_default().0.add(&usage);
            }
        }
        {
            let mut rows = sqlx::query(
                "SELECT d.*, k.application, k.org, k.entry, k.interface, k.way, k.outcome, k.purpose
                 FROM meter_day d JOIN meter_key k ON k.id = d.key_id",
            )
            .fetch(&mut *tx);
            while let Some(row) = rows.try_next().await.map_err(fail)? {
                let parts =
                    ["application", "org", "entry", "interface", "way", "outcome", "purpose"]
                        .iter()
                        .map(|part| text(&row, part))
                        .collect::<Result<Vec<_>>>()?;
                let place = (text(&row, "day")?, parts.join(" | "));
                figures.entry(place).or_default().1.add(&usage_of(&row)?);
            }
        }
        tx.commit().await.map_err(fail)?;
        let differences: Vec<UsageDifference> = figures
            .into_iter()
            .filter(|(_, (audited, metered))| audited != metered)
            .take(MOST)
            .map(|((day, key), (audited, metered))| UsageDifference { day, key, audited, metered })
            .collect();
        Ok(UsageVerdict { records, calls, agrees: differences.is_empty(), differences })
    }
}

fn read(row: &AnyRow) -> Result<UsageRow> {
    Ok(UsageRow {
        word: text(row, "word")?,
        name: maybe(row, "name")?.unwrap_or_default(),
        answered: unsigned(number(row, "answered")?),
        usage: usage_of(row)?,
    })
}

fn usage_of(row: &AnyRow) -> Result<Usage> {
    let mut times = [0; HISTOGRAM];
    for (time, column) in times.iter_mut().zip(FIGURES.iter().skip(5)) {
        *time = unsigned(number(row, column)?);
    }
    let of = |column: &str| number(row, column).map(unsigned);
    Ok(Usage {
        calls: of("calls")?,
        rows: of("row_count")?,
        bytes: of("byte_count")?,
        micros: of("micros")?,
        slowest: of("slowest")?,
        times,
    })
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
