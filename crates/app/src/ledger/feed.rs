//! The change feed (变更订阅源): entries and assets as they were entered, changed and taken out, newest first, page by page;
//! and the same as Atom (RFC 4287) with paging links (RFC 5005) and tombstones (RFC 6721).

use std::collections::HashMap;

use model::asset::{Asset, Ledger, Node};
use model::change::{Change, ChangeFilter, Happened, Position};
use model::entry::Entry;
use model::{Error, Op, Result};
use policy::{Action, Target};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::rules::LedgerRules;
use super::{org_names, rules};
use crate::{App, Page, catalogue};

/// Rounds in which a page is filled when much of the feed is not the caller's to know.
const ROUNDS: usize = 5;

/// A page of what changed, newest first, as far as the caller may know of it. *constant page*.
pub async fn changes(app: &App, op: &Op, filter: &ChangeFilter) -> Result<Page<Change>> {
    let rules = rules(app, op)?;
    let names = org_names(app).await?;
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(200) };
    let keep = usize::try_from(limit).unwrap_or(50);
    let mut ask = ChangeFilter { limit: limit + 1, ..filter.clone() };
    let mut items = Vec::new();
    for _ in 0..ROUNDS {
        let found = once(app, op, &ask, rules, &names).await?;
        let more = found.len() > keep;
        for (position, change) in found.into_iter().take(keep) {
            if items.len() == keep {
                break;
            }
            ask.after = Some(position);
            items.extend(change);
        }
        if !more {
            return Ok(Page { items, next: None });
        }
        if items.len() == keep {
            break;
        }
    }
    Ok(Page { items, next: ask.after.map(|p| p.write()) })
}

/// Codes of a region and all below it, for a filter.
pub async fn regions_below(app: &App, code: &str) -> Result<Vec<String>> {
    let all = app.store.regions_list().await?;
    let codes: Vec<String> =
        all.into_iter().map(|r| r.code).filter(|c| model::region::covers(code, c)).collect();
    if codes.is_empty() {
        return Err(Error::not_found(
            "行政区划",
            "region",
            &code.chars().take(12).collect::<String>(),
        ));
    }
    Ok(codes)
}

/// The next things of the feed in their order; `None` beside a position: it is not the caller's to know.
async fn once(
    app: &App,
    op: &Op,
    ask: &ChangeFilter,
    rules: &LedgerRules,
    names: &HashMap<String, String>,
) -> Result<Vec<(Position, Option<Change>)>> {
    let mut found: Vec<(Position, Option<Change>)> = Vec::new();
    if ask.ledger.is_none_or(|l| l == Ledger::Data) {
        let scope = catalogue::scope(app, op);
        for (entry, at) in app.store.entry_changes(ask, &scope).await? {
            let position = Position { at, id: entry.id.clone() };
            let change = of_entry(app, op, entry, &position.at, names);
            found.push((position, change));
        }
    }
    let own = assets_of(app, op, ask);
    if let Some(ask) = own.filter(|a| a.ledger != Some(Ledger::Data) && !a.open) {
        for asset in app.store.asset_changes(&ask).await? {
            let position = Position { at: asset.updated_at.clone(), id: asset.id.clone() };
            let may = app.policy.decide(op, Action::AssetRead, &Target::asset(&asset)).allowed;
            let change = may.then(|| of_asset(asset, rules, names));
            found.push((position, change));
        }
    }
    found.sort_by(|a, b| if ask.oldest_first { a.0.cmp(&b.0) } else { b.0.cmp(&a.0) });
    found.truncate(usize::try_from(ask.limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// The filter on assets: of all, or (an application) of the caller's own organisation; `None` when of none.
fn assets_of(app: &App, op: &Op, ask: &ChangeFilter) -> Option<ChangeFilter> {
    let may = |org: &str| {
        let target = Target { org: Some(org.to_owned()), ..Target::plain("Asset", "feed") };
        app.policy.decide(op, Action::AssetRead, &target).allowed
    };
    if may("") {
        return Some(ask.clone());
    }
    let own = op.actor.org().filter(|org| may(org))?;
    let fits = ask.org.as_deref().is_none_or(|org| org == own);
    fits.then(|| ChangeFilter { org: Some(own.to_owned()), ..ask.clone() })
}

/// A change of an entry as the caller may know of it.
fn of_entry(
    app: &App,
    op: &Op,
    entry: Entry,
    at: &str,
    names: &HashMap<String, String>,
) -> Option<Change> {
    let (live, was_live) = (entry.live(), entry.published_at.is_some());
    let happened = match (live, was_live) {
        (false, true) => Happened::Retired,
        _ if entry.version <= 1 => Happened::Created,
        _ => Happened::Changed,
    };
    let node = Node::entry(&entry.id);
    let gone = |node| Change {
        node,
        at: at.to_owned(),
        happened,
        gone: true,
        code: String::new(),
        title: String::new(),
        title_en: String::new(),
        description: String::new(),
        org: String::new(),
        org_name: String::new(),
        region: String::new(),
        state: String::new(),
        version: 0,
    };
    // While it was live the caller could know of it: then so much is told that it went.
    let knew = || {
        let target = Target { live: true, ..Target::entry(&entry) };
        !live && was_live && app.policy.decide(op, Action::EntryRead, &target).allowed
    };
    let knew = knew();
    match catalogue::seen(app, op, entry) {
        Some(seen) => Some(Change {
            gone: false,
            org_name: names.get(&seen.draft.org).cloned().unwrap_or_default(),
            state: seen.online_state.as_str().to_owned(),
            version: seen.version,
            code: seen.draft.code,
            title: seen.draft.title,
            title_en: seen.draft.title_en,
            description: seen.draft.description,
            org: seen.draft.org,
            region: seen.draft.region,
            ..gone(node)
        }),
        None => knew.then(|| gone(node)),
    }
}

pub(crate) fn of_asset(
    asset: Asset,
    rules: &LedgerRules,
    names: &HashMap<String, String>,
) -> Change {
    let rule = rules.of(asset.draft.ledger).ok();
    let retired = rule.and_then(|r| r.state(&asset.state)).is_some_and(|s| s.retired);
    Change {
        node: Node::asset(asset.draft.ledger, &asset.id),
        at: asset.updated_at,
        happened: match asset.version {
            _ if retired || asset.merged_into.is_some() => Happened::Retired,
            1 => Happened::Created,
            _ => Happened::Changed,
        },
        gone: false,
        org_name: names.get(&asset.draft.org).cloned().unwrap_or_default(),
        state: asset.state,
        version: asset.version,
        code: asset.draft.code,
        title: asset.draft.name,
        title_en: String::new(),
        description: asset.draft.description,
        org: asset.draft.org,
        region: asset.draft.region,
    }
}

/// The door that gives a feed: it decides where a thing's link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedDoor {
    Console,
    /// The open-data site.
    Site,
    /// The interface for programs.
    Interface,
}

/// Where a feed stands, for its addresses and texts.
#[derive(Clone, Debug)]
pub struct FeedPlace {
    /// Title of the feed, in the reader's language.
    pub title: String,
    /// Language tag of its texts.
    pub lang: String,
    /// Address of this page, with its query.
    pub this: String,
    /// Address of the first page.
    pub first: String,
    /// Address of the next page, when there is one.
    pub next: Option<String>,
    /// Address of the door, without a slash at the end.
    pub base: String,
    pub door: FeedDoor,
    /// Stamp of a feed that holds nothing.
    pub now: String,
}

/// A page of changes as an Atom feed, and its entity tag.
pub fn atom(page: &Page<Change>, place: &FeedPlace) -> Result<(Vec<u8>, String)> {
    let broken = |e: std::io::Error| Error::internal("the feed could not be written").caused_by(e);
    let text = write(page, place).map_err(broken)?;
    let tag =
        format!("\"{}\"", guard::hash::sha256_hex(&text).chars().take(32).collect::<String>());
    Ok((text, tag))
}

fn write(page: &Page<Change>, place: &FeedPlace) -> std::io::Result<Vec<u8>> {
    let mut w = Writer::new_with_indent(Vec::new(), b' ', 1);
    w.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
    w.create_element("feed")
        .with_attributes([
            ("xmlns", "http://www.w3.org/2005/Atom"),
            ("xmlns:at", "http://purl.org/atompub/tombstones/1.0"),
            ("xml:lang", place.lang.as_str()),
        ])
        .write_inner_content(|w| {
            let updated = page.items.first().map_or(place.now.as_str(), |c| c.at.as_str());
            text(w, "title", &place.title)?;
            text(w, "id", &place.first)?;
            text(w, "updated", updated)?;
            w.create_element("author").write_inner_content(|w| text(w, "name", &place.title))?;
            link(w, "self", &place.this)?;
            link(w, "first", &place.first)?;
            if let Some(next) = &place.next {
                link(w, "next", next)?;
            }
            page.items.iter().try_for_each(|change| entry(w, change, place))
        })?;
    Ok(w.into_inner())
}

type Out = Writer<Vec<u8>>;

fn text(w: &mut Out, name: &str, content: &str) -> std::io::Result<()> {
    // What XML cannot hold at all (control characters) is left out.
    let plain: String =
        content.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    w.create_element(name).write_text_content(BytesText::new(&plain)).map(|_| ())
}

fn link(w: &mut Out, rel: &str, href: &str) -> std::io::Result<()> {
    w.create_element("link")
        .with_attributes([("rel", rel), ("type", "application/atom+xml"), ("href", href)])
        .write_empty()
        .map(|_| ())
}

fn entry(w: &mut Out, change: &Change, place: &FeedPlace) -> std::io::Result<()> {
    let id = format!("urn:qiantang:{}", change.node.key());
    if change.gone {
        w.create_element("at:deleted-entry")
            .with_attributes([("ref", id.as_str()), ("when", change.at.as_str())])
            .write_empty()?;
        return Ok(());
    }
    let english = place.lang.starts_with("en") && !change.title_en.is_empty();
    let title = if english { &change.title_en } else { &change.title };
    let base = &place.base;
    let href = match change.node.ledger {
        Ledger::Data => match place.door {
            FeedDoor::Console => format!("{base}/console/entries/{}", change.node.id),
            FeedDoor::Site => format!("{base}/data/{}", change.code),
            // What another catalogue brought has no rows here: its description is what there is.
            FeedDoor::Interface if crate::harvest::brought(&change.code) => {
                format!("{base}/dataset/{}", change.code)
            }
            FeedDoor::Interface => format!("{base}/api/v1/{}", change.code),
        },
        ledger => match place.door {
            FeedDoor::Console => format!("{base}/console/ledger/{ledger}/{}", change.node.id),
            FeedDoor::Site | FeedDoor::Interface => String::new(),
        },
    };
    w.create_element("entry")
        .write_inner_content(|w| {
            text(w, "title", title)?;
            text(w, "id", &id)?;
            text(w, "updated", &change.at)?;
            w.create_element("author")
                .write_inner_content(|w| text(w, "name", &change.org_name))?;
            if !href.is_empty() {
                w.create_element("link")
                    .with_attributes([("rel", "alternate"), ("href", href.as_str())])
                    .write_empty()?;
            }
            for (scheme, term) in [
                ("urn:qiantang:ledger", change.node.ledger.as_str()),
                ("urn:qiantang:happened", change.happened.as_str()),
                ("urn:qiantang:region", change.region.as_str()),
                ("urn:qiantang:code", change.code.as_str()),
            ] {
                w.create_element("category")
                    .with_attributes([("scheme", scheme), ("term", term)])
                    .write_empty()?;
            }
            text(w, "summary", &change.description)
        })
        .map(|_| ())
}
