//! Views that nobody may read any more go, and so do old versions and, where the disk is full, what was not asked for longest.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use model::delta::DeltaView;
use model::{Op, Result};
use policy::{Action, Permit, Target};

use super::shared;
use crate::{App, account};

/// Bytes of one GB of the rules.
const GB: u64 = 1 << 30;

/// One round; answers how many files and views went. A turn of the lake's housekeeping.
pub(crate) async fn tidy(app: &App, system: &Op) -> Result<u64> {
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(system, Action::SystemWork, &platform)?;
    let rules = &app.rules.delta;
    let before = system.at - TimeDelta::hours(rules.keep_hours.max(rules.read_hours));
    app.store.delta_reads_forget(&permit, before.timestamp_millis()).await?;
    let mut views: BTreeMap<String, Vec<DeltaView>> = BTreeMap::new();
    for view in app.store.delta_views(None).await? {
        views.entry(view.id.clone()).or_default().push(view);
    }
    // What was asked for of late may be being read.
    let lately = system.at - TimeDelta::minutes(rules.url_minutes + rules.idle_minutes);
    let mut round = Round { app, permit, before, gone: 0 };
    let granted = round.granted(system, &views).await?;
    // What lies in the lake counts, whatever was noted: the note may have been lost.
    let mut held = app.lake.shares_held().await?;
    held.sort_by_key(|h| used(&views, &h.id));
    let mut bytes: u64 = held.iter().map(|h| h.bytes).sum();
    for view in &held {
        let noted = views.get(&view.id).map(Vec::as_slice).unwrap_or_default();
        let last = used(&views, &view.id);
        // A read that began with the grant may still go on, but is refused: nothing is kept for it.
        let ended = !granted.contains(&view.id);
        let young = view.written >= before && (noted.is_empty() || !ended);
        let full = bytes > rules.disk_gb.saturating_mul(GB) && last < lately.timestamp();
        if (ended && !young) || full {
            round.forget(&view.id).await?;
            bytes = bytes.saturating_sub(view.bytes);
        } else {
            round.prune(&view.id, noted).await?;
        }
    }
    for id in views.keys().filter(|id| !held.iter().any(|h| h.id == **id)) {
        app.store.delta_view_forget(&round.permit, id, None).await?;
    }
    Ok(round.gone)
}

/// When a view was last asked for.
fn used(views: &BTreeMap<String, Vec<DeltaView>>, id: &str) -> i64 {
    views.get(id).into_iter().flatten().map(|v| v.used_at).max().unwrap_or(0)
}

struct Round<'a> {
    app: &'a App,
    permit: Permit,
    before: DateTime<Utc>,
    gone: u64,
}

impl Round<'_> {
    /// Ids of the views that somebody may read now, or could but for an emergency stop: when that is lifted, reading goes on.
    async fn granted(
        &self,
        system: &Op,
        views: &BTreeMap<String, Vec<DeltaView>>,
    ) -> Result<HashSet<String>> {
        let applications: HashSet<&str> =
            views.values().flatten().map(|v| v.application.as_str()).collect();
        let mut found = HashSet::new();
        for id in applications {
            let Some(application) = self.app.store.application_get(id).await? else { continue };
            let Some(known) = account::credential(self.app, &application.key).await? else {
                continue;
            };
            let own = Op { actor: known.actor.clone(), ..system.clone() };
            let (tables, stopped) = shared::granted_or_stopped(self.app, &own).await?;
            found.extend(tables.iter().map(|t| self.app.lake.share_id(&t.grant)));
            let waits = |v: &&DeltaView| v.application == id && stopped.holds(&v.entry);
            found.extend(views.values().flatten().filter(waits).map(|v| v.id.clone()));
        }
        Ok(found)
    }

    async fn forget(&mut self, id: &str) -> Result<()> {
        self.app.lake.share_forget(&self.permit, id).await?;
        self.app.store.delta_view_forget(&self.permit, id, None).await?;
        self.gone += 1;
        Ok(())
    }

    async fn prune(&mut self, id: &str, noted: &[DeltaView]) -> Result<()> {
        let fresh = |v: &&DeltaView| v.used_at >= self.before.timestamp();
        let keep: Vec<i64> = noted.iter().filter(fresh).map(|v| v.version).collect();
        self.gone += self.app.lake.share_prune(&self.permit, id, &keep, self.before).await?;
        let newest = noted.iter().map(|v| v.version).max();
        for old in noted.iter().filter(|v| !keep.contains(&v.version) && Some(v.version) != newest)
        {
            self.app.store.delta_view_forget(&self.permit, id, Some(old.version)).await?;
        }
        Ok(())
    }
}
