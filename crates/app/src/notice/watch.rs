//! Subscriptions follow the change feed, and the data of what is subscribed to; reminders tell organisations what of theirs is left
//! lying. A chore of the worker: it remembers its place in the feed, and a notice that was given already is not given again.

use chrono::{DateTime, TimeDelta};
use model::account::Role;
use model::asset::{Ledger, Node};
use model::change::{Change, ChangeFilter, Happened, Position};
use model::notice::Watched;
use model::{Actor, Op, Result, op};
use policy::{Action, Permit, Target};
use serde::Serialize;

use super::{Told, tell};
use crate::{App, ledger};

/// Where the feed was read up to, and which period was reminded of: names in the store.
const PLACE: &str = "watch_at";
const REMINDED: &str = "quality_reminded";
/// Up to when new data were told of.
const FRESH: &str = "watch_data_at";
/// Changes of a round.
const LOT: u32 = 200;
/// A change may become visible a little later than it is stamped (a long transaction): so much is read again.
const OVERLAP: i64 = 120;
/// After so long without a change nothing can still come in behind.
const QUIET: i64 = 600;
/// People told of one organisation at most.
const TOLD: u32 = 100;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Watch {
    /// Changes looked at.
    pub changes: u64,
    /// Organisations reminded.
    pub reminded: u64,
}

/// One round; `op` is the platform's.
pub async fn watch(app: &App, op: &Op) -> Result<Watch> {
    let permit = app.policy.permit(op, Action::SystemWork, &Target::plain("System", "platform"))?;
    let mut done = Watch { changes: follow(app, op, &permit).await?, reminded: 0 };
    fresh(app, op, &permit).await?;
    done.reminded = remind(app, op, &permit).await?;
    Ok(done)
}

async fn follow(app: &App, op: &Op, permit: &Permit) -> Result<u64> {
    let kept = app.store.meta_get(PLACE).await?.and_then(|p| Position::parse(&p));
    let Some(kept) = kept else {
        // Nobody is told of what was there before anybody could subscribe.
        let now = Position { at: op.stamp(), id: "0".into() };
        return app.store.meta_set(permit, PLACE, &now.write()).await.map(|()| 0);
    };
    let mut after = behind(op, &kept);
    let (mut last, mut count) = (kept.clone(), 0);
    loop {
        let filter = ChangeFilter {
            after: Some(after.clone()),
            oldest_first: true,
            limit: LOT,
            ..ChangeFilter::default()
        };
        let page = ledger::changes(app, op, &filter).await?;
        let full = page.next;
        count += u64::try_from(page.items.len()).unwrap_or(0);
        if let Some(newest) = page.items.last() {
            last = last.max(newest.position());
        }
        things(app, op, permit, &page.items).await?;
        searches(app, op, permit, &page.items).await?;
        match full.and_then(|next| Position::parse(&next)) {
            Some(next) => after = next,
            None => break,
        }
    }
    if last != kept {
        app.store.meta_set(permit, PLACE, &last.write()).await?;
    }
    Ok(count)
}

/// From where to read: a little before the place kept, unless it has been quiet for long.
fn behind(op: &Op, kept: &Position) -> Position {
    let Ok(at) = DateTime::parse_from_rfc3339(&kept.at) else { return kept.clone() };
    let at = at.with_timezone(&chrono::Utc);
    if (op.at - at).num_seconds() > QUIET {
        return kept.clone();
    }
    let earlier = at - TimeDelta::try_seconds(OVERLAP).unwrap_or_default();
    Position { at: op::stamp(earlier), id: "0".into() }
}

/// An operation of a person as of now; nothing when the account is closed.
async fn reader(app: &App, system: &Op, id: &str) -> Result<Option<Op>> {
    let Some(user) = app.store.user_get(id).await?.map(|u| u.user).filter(|u| u.active) else {
        return Ok(None);
    };
    let region = match &user.org {
        Some(org) => app.store.org_get(org).await?.map(|o| o.region),
        None => None,
    };
    let (id, name, org, roles) = (user.id, user.name, user.org, user.roles);
    Ok(Some(Op { actor: Actor::User { id, name, org, region, roles }, ..system.clone() }))
}

/// Tells who follows a data set that it has new data: once a day, however often they come.
async fn fresh(app: &App, system: &Op, permit: &Permit) -> Result<()> {
    let kept = app.store.meta_get(FRESH).await?;
    if let Some(at) = kept {
        let since = behind(system, &Position { at, id: "0".into() }).at;
        let mut after = String::new();
        loop {
            let page = app.store.subscribers_of_data(&since, &after, LOT).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(&last.id);
            for (of, data_at) in page {
                let Some(node) = Node::parse(&of.subject) else { continue };
                let Some(op) = reader(app, system, &of.owner).await? else { continue };
                let Some(href) = place(app, &op, &node).await? else { continue };
                let day = data_at.get(..10).unwrap_or(&data_at);
                let told = Told {
                    mark: format!("fresh:{}:{day}", of.subject),
                    kind: "thing.fresh",
                    title: of.title,
                    words: String::new(),
                    href,
                };
                tell(app, system, permit, &[of.owner], &told).await?;
            }
        }
    }
    app.store.meta_set(permit, FRESH, &system.stamp()).await
}

fn href(node: &Node) -> String {
    match node.ledger {
        Ledger::Data => format!("/console/entries/{}", node.id),
        ledger => format!("/console/ledger/{ledger}/{}", node.id),
    }
}

/// Where a person finds a thing; `None` when they may not know of it now. Who does not work here is led to the open site.
async fn place(app: &App, op: &Op, node: &Node) -> Result<Option<String>> {
    let outside = op.actor.roles().iter().all(|r| matches!(r, Role::Enterprise | Role::Citizen));
    let found = match node.ledger {
        Ledger::Data => crate::catalogue::get(app, op, &node.id).await.map(|entry| match outside {
            true => format!("/data/{}", entry.draft.code),
            false => href(node),
        }),
        _ => ledger::get(app, op, &node.id).await.map(|_| href(node)),
    };
    match found {
        Ok(href) => Ok(Some(href)),
        Err(e) if e.kind() == model::Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// People who subscribe to a thing and may still know of it; `system` is the platform's.
pub(crate) async fn who_follow(app: &App, system: &Op, node: &Node) -> Result<Vec<String>> {
    let mut people = Vec::new();
    for of in app.store.subscribers(Watched::Thing, &node.key()).await? {
        if let Some(op) = reader(app, system, &of.owner).await?
            && place(app, &op, node).await?.is_some()
        {
            people.push(of.owner);
        }
    }
    Ok(people)
}

/// Tells subscribers of these things.
async fn things(app: &App, system: &Op, permit: &Permit, changes: &[Change]) -> Result<()> {
    for change in changes {
        let key = change.node.key();
        for of in app.store.subscribers(Watched::Thing, &key).await? {
            // What changed before somebody subscribed is no news to them.
            let Some(op) = reader(app, system, &of.owner).await? else { continue };
            if change.at <= of.created_at {
                continue;
            }
            let place = place(app, &op, &change.node).await?;
            let known = place.is_some();
            let retired = !known || change.happened == Happened::Retired;
            let told = Told {
                mark: format!("thing:{key}:{}", change.at),
                kind: if retired { "thing.retired" } else { "thing.changed" },
                // Of what they may no longer know, they are told no more than they knew.
                title: if known { change.title.clone() } else { of.title.clone() },
                words: String::new(),
                href: place.unwrap_or_else(|| "/console/notices".into()),
            };
            tell(app, system, permit, &[of.owner], &told).await?;
        }
    }
    Ok(())
}

/// Tells people what newly matches, or changed in, the searches they subscribe to.
async fn searches(app: &App, system: &Op, permit: &Permit, changes: &[Change]) -> Result<()> {
    let moved: Vec<&Change> = changes.iter().filter(|c| c.happened != Happened::Retired).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let page = app.store.searches_watched(&after, LOT).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(&last.id);
        for (of, query) in &page {
            let Some(op) = reader(app, system, &of.owner).await? else { continue };
            let mut asked = ledger::question(query);
            asked.ids = moved.iter().map(|c| c.node.id.clone()).collect();
            asked.facets = Some(Vec::new());
            (asked.after, asked.limit) = (None, LOT);
            let found = match ledger::search(app, &op, asked).await {
                Ok(found) => found,
                // A kept search that cannot be asked any more is told on its own page.
                Err(e) if e.kind() == model::Kind::Invalid => continue,
                Err(e) => return Err(e),
            };
            for change in &moved {
                let hit = found.hits.iter().any(|h| h.doc.id == change.node.id);
                if !hit || change.at <= of.created_at {
                    continue;
                }
                let new = change.happened == Happened::Created;
                let told = Told {
                    mark: format!("search:{}:{}:{}", of.subject, change.node.key(), change.at),
                    kind: if new { "search.new" } else { "search.changed" },
                    title: change.title.clone(),
                    words: of.title.clone(),
                    href: href(&change.node),
                };
                tell(app, system, permit, std::slice::from_ref(&of.owner), &told).await?;
            }
        }
    }
}

/// Reminds every organisation once a period of what is stale, ownerless, or linked with nothing.
async fn remind(app: &App, op: &Op, permit: &Permit) -> Result<u64> {
    let quality = &ledger::rules(app, op)?.quality;
    let days = quality.remind_days.max(1);
    let period = (op.at.timestamp() / 86_400).checked_div(days).unwrap_or(0).to_string();
    if app.store.meta_get(REMINDED).await?.as_ref() == Some(&period) {
        return Ok(0);
    }
    let back = |days: i64| op::stamp(op.at - TimeDelta::try_days(days).unwrap_or_default());
    let stale = back(quality.stale_days);
    let orphans = app.store.orphans_by_org().await?;
    let entries = app.store.stale_entries_by_org(&stale).await?;
    let count = |list: &[(String, i64)], org: &str| {
        list.iter().find(|(o, _)| o == org).map_or(0, |(_, n)| *n)
    };
    let assets = app.store.asset_quality(&stale).await?;
    let mut orgs: Vec<&str> = assets.iter().map(|a| a.org.as_str()).collect();
    orgs.extend(entries.iter().map(|(o, _)| o.as_str()));
    orgs.sort_unstable();
    orgs.dedup();
    let mut reminded = 0;
    for org in orgs {
        let own = assets.iter().find(|a| a.org == org);
        let figures = [
            ("stale", own.map_or(0, |a| a.stale)),
            ("ownerless", own.map_or(0, |a| a.ownerless)),
            ("orphans", count(&orphans, org)),
            ("entries", count(&entries, org)),
        ];
        if figures.iter().all(|(_, n)| *n == 0) {
            continue;
        }
        let mut people = app.store.holders(org, Role::Provider, TOLD).await?;
        people.extend(app.store.holders(org, Role::Consumer, TOLD).await?);
        let words: Vec<String> =
            figures.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{word}={n}")).collect();
        let told = Told {
            mark: format!("quality:{org}:{period}"),
            kind: "quality",
            title: String::new(),
            words: words.join(" "),
            href: format!("/console/ledger?org={org}"),
        };
        tell(app, op, permit, &people, &told).await?;
        reminded += 1;
    }
    app.store.notices_forget(permit, &back(quality.notice_days)).await?;
    app.store.meta_set(permit, REMINDED, &period).await?;
    Ok(reminded)
}
