//! One turn of a source: pages are read and taken one after the other, the position is kept after each; when all are read, what was not
//! seen goes. Every step may be done twice: what a page brought is known by source and foreign id, and counted from where it went.

use chrono::{DateTime, TimeDelta};
use model::entry::EntryDraft;
use model::harvest::{
    HarvestAs, HarvestKind, HarvestOrigin, HarvestOutcome, HarvestRefusal, HarvestSource,
    HarvestState, HarvestTurn, Record,
};
use model::op::stamp;
use model::{Code, Error, Op, Result};
use policy::Permit;
use policy::port::{HarvestAsk, HarvestPage};

use super::mapped;
use super::tick::counted;
use crate::catalogue::harvested;
use crate::{App, lease};

/// Records between two signs of life.
const BEAT: usize = 20;
/// Records looked at together that were not seen.
const TOGETHER: u32 = 200;

/// A turn being worked at.
pub(super) struct Work<'a> {
    pub(super) app: &'a App,
    pub(super) permit: &'a Permit,
    pub(super) source: HarvestSource,
    pub(super) turn: HarvestTurn,
}

/// Whether everything of a source has to be looked at: its reader knows no other way, nobody has yet, or it is long ago.
pub(super) fn full(app: &App, source: &HarvestSource, op: &Op) -> bool {
    let tells =
        matches!(source.kind, HarvestKind::Ckan | HarvestKind::Qiantang | HarvestKind::OaiPmh);
    !tells || source.since.is_empty() || stale(app, source, op)
}

/// Whether everything was last looked at too long ago.
fn stale(app: &App, source: &HarvestSource, op: &Op) -> bool {
    let days = TimeDelta::days(app.rules.harvest.full_days.clamp(1, 3650));
    DateTime::parse_from_rfc3339(&source.full_at).map_or(true, |at| op.at - at.to_utc() >= days)
}

impl Work<'_> {
    /// Reads pages until all are read or the round is over; answers how many. A turn that is through has its end written.
    pub(super) async fn go(&mut self) -> Result<u64> {
        let rules = &self.app.rules.harvest;
        let mut pages = 0;
        while !self.turn.read {
            if pages >= rules.pages_per_round {
                self.keep(HarvestState::Running, &stamp(self.app.now())).await?;
                return Ok(pages);
            }
            if self.turn.figures.pages >= rules.most_pages {
                return Err(Error::new(
                    Code::RuleBroken,
                    format!("已读 {} 页仍未读完，已停止；请核对来源地址", rules.most_pages),
                    format!(
                        "{} pages were read and it has not come to its end: check the address",
                        rules.most_pages
                    ),
                ));
            }
            self.page().await?;
            pages += 1;
        }
        self.settle().await?;
        Ok(pages)
    }

    async fn page(&mut self) -> Result<()> {
        let rules = &self.app.rules.harvest;
        let op = Op::system(self.app.now());
        let untold = self.turn.position.is_some() || self.turn.accepts_loss;
        let mark = match untold || stale(self.app, &self.source, &op) {
            true => "",
            false => self.source.mark.as_str(),
        };
        let ask = HarvestAsk {
            kind: self.source.kind,
            url: &self.source.url,
            position: self.turn.position.as_deref(),
            since: if self.turn.full { "" } else { &self.source.since },
            mark,
            records: rules.page_records,
            most_bytes: rules.most_bytes,
        };
        let page = self.app.harvests.port.page(&ask).await?;
        self.beat().await?;
        self.take_page(&page).await?;
        // What was not seen may have moved over the edge of a page.
        self.turn.moved |= page.moved;
        if self.turn.position.is_none() {
            self.turn.mark.clone_from(&page.mark);
            self.turn.untouched = page.untouched;
        }
        self.turn.read = page.next.is_none();
        if page.next.is_some() && page.next == self.turn.position {
            return Err(Error::new(
                Code::RuleBroken,
                "来源目录的下一页就是本页，已停止",
                "the catalogue's next page is the page itself: it was stopped",
            ));
        }
        self.turn.position = page.next;
        self.turn.failures = 0;
        (self.turn.zh, self.turn.en) = (String::new(), String::new());
        self.turn.figures.pages += 1;
        self.keep(HarvestState::Running, &stamp(self.app.now())).await
    }

    async fn take_page(&self, page: &HarvestPage) -> Result<()> {
        for refusal in &page.refused {
            self.refuse(refusal).await?;
        }
        for (n, record) in page.records.iter().enumerate() {
            if n % BEAT == BEAT - 1 {
                self.beat().await?;
            }
            self.take(record).await?;
        }
        for id in &page.gone {
            if let Some(origin) = self.app.store.harvest_origin(&self.source.id, id).await?
                && origin.gone_at.is_empty()
            {
                self.lose(origin).await?;
            }
        }
        Ok(())
    }

    /// Takes a record. What is not the platform's own trouble is told in the report, and the turn goes on.
    async fn take(&self, record: &Record) -> Result<()> {
        let digest = mapped::digest(record)?;
        let known = self.app.store.harvest_origin(&self.source.id, &record.foreign_id).await?;
        let again = known.as_ref().is_some_and(|o| {
            o.seen_turn == self.turn.id
                && o.digest == digest
                && o.outcome != HarvestOutcome::Refused
                && o.gone_at.is_empty()
        });
        if again {
            return Ok(());
        }
        let code = mapped::code(&self.source.id, &record.foreign_id);
        let written = self.write(record, known.as_ref(), &digest, &code).await;
        match written {
            Ok(outcome) => self.note(record, known, digest, code, outcome).await,
            Err(Trouble::Ours(error)) => Err(error),
            Err(Trouble::Theirs(refusal)) => {
                self.refuse(&refusal).await?;
                // Seen and not gone, and taken anew next time.
                if self.app.store.entry_held(&code).await?.is_none() {
                    return Ok(());
                }
                let before = known.as_ref().map(|o| o.digest.clone()).unwrap_or_default();
                self.note(record, known, before, code, HarvestOutcome::Refused).await
            }
        }
    }

    async fn write(
        &self,
        record: &Record,
        known: Option<&HarvestOrigin>,
        digest: &str,
        code: &str,
    ) -> std::result::Result<HarvestOutcome, Trouble> {
        let app = self.app;
        let op = Op::system(app.now());
        let held = app.store.entry_held(code).await?;
        let back = known.is_some_and(|o| !o.gone_at.is_empty());
        let same =
            known.is_some_and(|o| o.digest == digest && o.outcome != HarvestOutcome::Refused);
        if same && !back && held.is_some() {
            return Ok(HarvestOutcome::Unchanged);
        }
        let trouble = |error: Error| match error.kind().ours() || error.code() == Code::Stale {
            true => Trouble::Ours(error),
            false => Trouble::Theirs(Box::new(mapped::broken(record, &error))),
        };
        let working: Option<EntryDraft> =
            held.as_ref().map(|h| h.pending.as_ref().unwrap_or(&h.entry.draft).clone());
        let draft = mapped::draft(app, &self.source, record, working.as_ref())
            .map_err(|r| Trouble::Theirs(Box::new(r)))?;
        let why = format!("采集自 {} / harvested", self.source.name);
        let made = held.is_none();
        match held {
            None => harvested::create(app, &op, draft).await.map_err(trouble)?,
            Some(held) => harvested::edit(app, &op, held, draft, &why).await.map_err(trouble)?,
        };
        if self.source.becomes == HarvestAs::Published {
            harvested::publish(app, &op, code, back, &why).await.map_err(trouble)?;
        }
        // An entry that is there without a word of where it comes from was made by a process that died before it wrote it.
        Ok(if made || known.is_none_or(|o| o.digest.is_empty()) {
            HarvestOutcome::New
        } else {
            HarvestOutcome::Changed
        })
    }

    async fn note(
        &self,
        record: &Record,
        known: Option<HarvestOrigin>,
        digest: String,
        code: String,
        outcome: HarvestOutcome,
    ) -> Result<()> {
        let first = known.map_or_else(|| self.turn.id.clone(), |o| o.first_turn);
        let origin = HarvestOrigin {
            source: self.source.id.clone(),
            source_name: self.source.name.clone(),
            foreign_id: record.foreign_id.clone(),
            entry: code,
            digest,
            outcome,
            first_turn: first,
            seen_turn: self.turn.id.clone(),
            last_seen: stamp(self.app.now()),
            gone_at: String::new(),
            record: record.clone(),
        };
        self.app.store.harvest_origin_put(self.permit, &origin).await
    }

    async fn refuse(&self, refusal: &HarvestRefusal) -> Result<()> {
        self.app.store.harvest_refuse(self.permit, &self.turn.id, refusal).await
    }

    /// A record that the source has no more: its entry goes out of sight, with a note.
    async fn lose(&self, mut origin: HarvestOrigin) -> Result<()> {
        let op = Op::system(self.app.now());
        let note = format!(
            "来源目录“{}”已不再提供 / the catalogue does not list it any more",
            self.source.name
        );
        let at_once = self.source.becomes == HarvestAs::Published;
        match harvested::retire(self.app, &op, &origin.entry, at_once, &note).await {
            Ok(()) => {
                origin.gone_at = op.stamp();
                origin.seen_turn.clone_from(&self.turn.id);
                self.app.store.harvest_origin_put(self.permit, &origin).await
            }
            Err(error) if error.kind().ours() || error.code() == Code::Stale => Err(error),
            Err(error) => self.refuse(&mapped::broken(&origin.record, &error)).await,
        }
    }

    /// Whether everything of the source was looked at, so that what was not seen is gone.
    fn whole(&self) -> bool {
        self.turn.full && !self.turn.untouched && !self.turn.moved
    }

    /// All pages are read: what was not seen goes, unless that is suddenly most of it.
    async fn settle(&mut self) -> Result<()> {
        let (store, rules) = (&self.app.store, &self.app.rules.harvest);
        if self.whole() {
            let known = store.harvest_known(&self.source.id, &self.turn.id).await?;
            let few =
                known.again.saturating_mul(100) < known.before.saturating_mul(rules.least_percent);
            if few && !self.turn.accepts_loss {
                self.turn.zh = format!(
                    "来源此前有 {} 条，本次只见到其中 {} 条：未作下线处理；请核对来源，确认无误后以“接受减少”重新采集",
                    known.before, known.again
                );
                self.turn.en = format!(
                    "of {} records known before only {} were seen: nothing was taken offline; check the source, and run it again accepting the loss if that is right",
                    known.before, known.again
                );
                return self.end(HarvestState::Stopped).await;
            }
            let mut after = String::new();
            loop {
                let lost =
                    store.harvest_unseen(&self.source.id, &self.turn.id, &after, TOGETHER).await?;
                let Some(last) = lost.last() else { break };
                after.clone_from(&last.foreign_id);
                for origin in lost {
                    self.lose(origin).await?;
                }
                self.beat().await?;
            }
        }
        self.end(HarvestState::Done).await?;
        self.remember().await
    }

    /// What the next turn goes on from. After a refusal everything is looked at again, so that what was mended is taken.
    async fn remember(&self) -> Result<()> {
        let store = &self.app.store;
        let Some(mut source) = store.harvest_source_get(&self.source.id).await? else {
            return Ok(());
        };
        // People have pointed it elsewhere meanwhile.
        if source.url != self.source.url || source.kind != self.source.kind {
            return Ok(());
        }
        let clean = self.turn.figures.refused == 0;
        if !self.turn.untouched {
            source.since = if clean { self.turn.since.clone() } else { String::new() };
            source.mark = if clean { self.turn.mark.clone() } else { String::new() };
        }
        if self.whole() {
            source.full_at = self.turn.created_at.clone();
        }
        store.harvest_source_update(self.permit, &source).await
    }

    async fn end(&mut self, state: HarvestState) -> Result<()> {
        self.turn.figures = counted(self.app, &self.turn).await?;
        let now = stamp(self.app.now());
        self.turn.finished_at = Some(now.clone());
        self.keep(state, &now).await
    }

    /// Writes the turn as it stands.
    async fn keep(&mut self, state: HarvestState, ready_at: &str) -> Result<()> {
        self.turn.state = state;
        let owner = self.app.collections.owner();
        self.app.store.harvest_turn_write(self.permit, owner, &self.turn, ready_at).await
    }

    /// A sign of life; whoever finds that the turn is another's stops at once.
    async fn beat(&self) -> Result<()> {
        let own = lease::taken(self.app);
        if self.app.store.harvest_beat(self.permit, &self.turn.id, &own).await? {
            return Ok(());
        }
        Err(Error::of(Code::Stale))
    }
}

/// Why a record was not written.
enum Trouble {
    /// The platform cannot now: the turn waits.
    Ours(Error),
    /// It cannot be taken as it is: the report says why.
    Theirs(Box<HarvestRefusal>),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}
