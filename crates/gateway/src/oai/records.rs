//! The answers: pages of the change feed as headers or records, one record, formats and sets.

use app::ledger;
use app::opening::{self, Dataset};
use model::asset::Ledger;
use model::change::{ChangeFilter, Position};
use model::{Kind, Op};

use super::Fault;
use super::asked::{self, Asked, Lot, Prefix};
use super::xml::{Body, Header, Record, SetOf};
use crate::Door;
use crate::ckan::shape;
use crate::metadata::alone;

/// Records of a page.
const PAGE: u32 = 100;

pub(super) async fn answer(door: &Door, op: &Op, asked: &Asked) -> Result<Body, Fault> {
    match asked {
        Asked::Identify => identify(door, op).await,
        Asked::Formats { identifier } => {
            if let Some(identifier) = identifier {
                found(door, op, identifier).await?;
            }
            Ok(Body::Formats)
        }
        Asked::Sets => {
            let open = opening::open_organisations(&door.app, op).await?;
            let one =
                |o: &model::org::Org| SetOf { spec: shape::name(&o.id), name: o.name_cn.clone() };
            Ok(Body::Sets(open.iter().map(|(o, _)| one(o)).collect()))
        }
        Asked::Get { identifier, prefix } => {
            let dataset = found(door, op, identifier).await?;
            let at = opening::changed_at(&door.app, &dataset).await?;
            record(door, &dataset, &at, *prefix).await.map(|r| Body::Record(Box::new(r)))
        }
        Asked::List(lot) => list(door, op, lot).await,
    }
}

async fn identify(door: &Door, op: &Op) -> Result<Body, Fault> {
    let filter = ChangeFilter {
        ledger: Some(Ledger::Data),
        open: true,
        oldest_first: true,
        limit: 1,
        ..ChangeFilter::default()
    };
    let first = ledger::changes(&door.app, op, &filter).await?;
    let earliest = first.items.first().map_or_else(|| op.stamp(), |c| c.at.clone());
    Ok(Body::Identify { earliest: whole_second(&earliest) })
}

/// A stored stamp (milliseconds) to the second.
fn whole_second(stamp: &str) -> String {
    match stamp.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => stamp.to_owned(),
    }
}

/// Name space of identifiers: the host of this door.
fn space(door: &Door) -> String {
    let url = &door.config.public_url;
    let host = url.split("://").nth(1).unwrap_or(url);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    format!("oai:{}:", if host.is_empty() { "qiantang" } else { host })
}

async fn found(door: &Door, op: &Op, identifier: &str) -> Result<Dataset, Fault> {
    let missing = || {
        Fault::new(
            "idDoesNotExist",
            "没有此标识符的记录，或它未开放",
            "there is no such identifier, or it is not open",
        )
    };
    let id = identifier.strip_prefix(&space(door)).ok_or_else(missing)?;
    let dataset = opening::found(&door.app, op, id).await.map_err(|e| match e.kind() {
        Kind::NotFound => missing(),
        _ => e.into(),
    })?;
    if dataset.entry.id == id { Ok(dataset) } else { Err(missing()) }
}

fn header(door: &Door, id: &str, at: &str, org: &str, gone: bool) -> Header {
    Header {
        identifier: format!("{}{id}", space(door)),
        stamp: whole_second(at),
        // What went tells no set: its organisation is told no more.
        set: if gone { String::new() } else { shape::name(org) },
        gone,
    }
}

async fn record(door: &Door, dataset: &Dataset, at: &str, prefix: Prefix) -> Result<Record, Fault> {
    let entry = &dataset.entry;
    let base = &door.config.public_url;
    let dcat = match prefix {
        Prefix::Dc => None,
        Prefix::Dcat => {
            let bytes = alone(door, dataset, app::ledger::dump::RdfFormat::RdfXml).await?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    let origin = app::harvest::origin(&door.app, &entry.draft.code).await?;
    Ok(Record {
        origin,
        header: header(door, &entry.id, at, &entry.draft.org, false),
        dcat,
        address: format!("{base}/dataset/{}", entry.draft.code),
        dataset: dataset.clone(),
    })
}

async fn list(door: &Door, op: &Op, lot: &Lot) -> Result<Body, Fault> {
    let org = match lot.set.as_str() {
        "" => None,
        set => {
            let open = opening::open_organisations(&door.app, op).await?;
            let known = open.iter().find(|(o, _)| shape::name(&o.id) == set);
            Some(known.map(|(o, _)| o.id.clone()).ok_or_else(nothing)?)
        }
    };
    let start = match (&lot.after, lot.from.as_str()) {
        (Some(after), _) => Some(after.clone()),
        (None, "") => None,
        // Everything that bears this second, whatever its id.
        (None, from) => {
            Some(Position { at: from.trim_end_matches('Z').to_owned(), id: String::new() })
        }
    };
    let filter = ChangeFilter {
        ledger: Some(Ledger::Data),
        org,
        open: true,
        oldest_first: true,
        after: start,
        limit: PAGE,
        ..ChangeFilter::default()
    };
    let page = ledger::changes(&door.app, op, &filter).await?;
    let past = |at: &str| !lot.until.is_empty() && whole_second(at) > lot.until;
    let mut over = page.next.is_none();
    let (mut headers, mut records) = (Vec::new(), Vec::new());
    for change in page.items {
        if past(&change.at) {
            over = true;
            break;
        }
        let gone = change.gone;
        let head = header(door, &change.node.id, &change.at, &change.org, gone);
        if lot.headers {
            headers.push(head);
            continue;
        }
        let dataset = match gone {
            true => None,
            false => match opening::found(&door.app, op, &change.node.id).await {
                Ok(dataset) => Some(dataset),
                // It went while the page was made: the next harvest says so.
                Err(e) if e.kind() == Kind::NotFound => continue,
                Err(e) => return Err(e.into()),
            },
        };
        records.push(match dataset {
            Some(dataset) => Ok(Box::new(record(door, &dataset, &change.at, lot.prefix).await?)),
            None => Err(head),
        });
    }
    let token = page.next.filter(|_| !over).map(|after| asked::written(lot, &after));
    if headers.is_empty() && records.is_empty() && token.is_none() && lot.after.is_none() {
        return Err(nothing());
    }
    // The last page of several says that it is.
    let token = match (token, &lot.after) {
        (Some(token), _) => Some(token),
        (None, Some(_)) => Some(String::new()),
        (None, None) => None,
    };
    Ok(match lot.headers {
        true => Body::Headers { headers, token },
        false => Body::Records { records, token },
    })
}

fn nothing() -> Fault {
    Fault::new("noRecordsMatch", "没有符合条件的记录", "no records match")
}
