//! Least privilege of a source: its stored account is looked at, and each finding says what mends it.

use model::audit::AuditEvent;
use model::schema::TableName;
use model::source::SourceCheck;
use model::{Op, Result};

use super::source::reach;
use crate::{App, audit};

/// Connects with the stored account and says what it may do. Wanted are the tables its rails follow and those named; without
/// any, whatever it may read.
pub async fn check(app: &App, op: &Op, id: &str, named: &[TableName]) -> Result<SourceCheck> {
    let (source, url, _) = reach(app, op, id).await?;
    let rails = app.store.rails_of_source(id).await?;
    let mut wanted = named.to_vec();
    if rails > 0 {
        wanted.extend(followed(app, &source.org, id).await?);
        wanted.sort();
        wanted.dedup();
    }
    let found = app.intake.privileges(&url, &wanted, rails > 0, app.now()).await?;
    let event = AuditEvent {
        scope: format!("findings={} fine={}", found.findings.len(), found.fine()),
        reason: format!("{} {}", source.name, source.place()),
        ..audit::event(op, "source.check", id)
    };
    audit::record(app, event).await?;
    Ok(found)
}

/// Tables that rails of a source follow.
async fn followed(app: &App, org: &str, source: &str) -> Result<Vec<TableName>> {
    let (mut tables, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = app.store.rail_list(Some(org), after.as_deref(), 200).await?;
        let Some(last) = page.last() else { return Ok(tables) };
        after = Some(last.rail.id.clone());
        for record in page.into_iter().filter(|r| r.rail.source == source) {
            for kept in app.store.rail_tables(&record.rail.id).await? {
                if let Some((schema, name)) = kept.table.place.split_once('.') {
                    tables.push(TableName { schema: schema.to_owned(), name: name.to_owned() });
                }
            }
        }
    }
}
