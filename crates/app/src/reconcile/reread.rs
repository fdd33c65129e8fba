//! A pipeline's table, asked for sums by its keys like a rail's; rows that are looked at one by one are typed by the pipeline's
//! own reader. The source's sums are a hint (decision 14): where the two type otherwise, time is lost and nothing else.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use guard::print;
use model::batch::Batch;
use model::entry::Entry;
use model::reconcile::{Key, KeyRange, RangeSum};
use model::{Code, Error, Result};
use policy::port::{ProbeAsk, ProbeRows, ProbeTable};

use super::passed::{blank, key_at, misfit};
use crate::pipeline::{Again, Asked};
use crate::{App, rail};

pub(super) struct Reread {
    app: Arc<App>,
    entry: Entry,
    again: Again,
    asked: Asked,
    table: Arc<dyn ProbeTable>,
    key: Vec<usize>,
}

impl Reread {
    /// Gives the pipeline back when its table cannot be asked by ranges: then its rows are passed through.
    pub(super) async fn open(
        app: &Arc<App>,
        entry: &Entry,
        again: Again,
    ) -> Result<std::result::Result<Self, Again>> {
        let Some(asked) = again.table(app).await? else { return Ok(Err(again)) };
        let (items, span) = (&entry.draft.items, asked.span.clone());
        let opened = rail::port(app).probe(&asked.at, &asked.place, items, span).await;
        let table = match opened {
            Ok(table) => table,
            // A view, a table without a key, a key that has no common order: it can be read all the same.
            Err(error) => {
                tracing::info!(
                    pipeline.id = again.pipeline.id,
                    error = error.operator_text(),
                    "a table cannot be asked for sums; its rows are read instead"
                );
                return Ok(Err(again));
            }
        };
        let (app, entry, key) = (Arc::clone(app), entry.clone(), key_at(entry));
        Ok(Ok(Self { app, entry, again, asked, table, key }))
    }

    async fn gather(&self, ask: ProbeAsk<'_>, most: usize) -> Result<ProbeRows> {
        let sql = self.table.statement(ask);
        let mut read = self.again.asked(&self.app, &self.asked, sql).await?;
        let (batch, keys, misfits) = (blank(&self.entry), Vec::new(), Vec::new());
        let mut all = ProbeRows { batch, keys, misfits };
        while let Some(chunk) = read.chunks.next().await {
            let chunk = chunk?;
            if all.keys.len() + all.misfits.len() + chunk.batch.rows() > most {
                return Err(too_many(most));
            }
            all.keys
                .extend((0..chunk.batch.rows()).map(|n| print::key(&chunk.batch, n, &self.key)));
            all.misfits.extend(chunk.rejects.iter().map(|reject| misfit(reject, &self.key)));
            all.batch.append(chunk.batch);
        }
        Ok(all)
    }
}

fn too_many(most: usize) -> Error {
    Error::new(
        Code::RuleBroken,
        format!("该键段的行数超过 {most}，无法逐行核对；请稍后重试，或补采整个范围"),
        format!(
            "this key range has more than {most} rows, too many to compare one by one; try again later, or backfill the whole range"
        ),
    )
}

#[async_trait]
impl ProbeTable for Reread {
    fn statement(&self, ask: ProbeAsk<'_>) -> String {
        self.table.statement(ask)
    }
    fn pushes(&self) -> bool {
        self.table.pushes()
    }
    async fn bound(&self, range: &KeyRange, rows: u64) -> Result<Option<Key>> {
        self.table.bound(range, rows).await
    }
    async fn sum(&self, range: &KeyRange) -> Result<RangeSum> {
        self.table.sum(range).await
    }
    async fn rows(&self, range: &KeyRange, most: usize) -> Result<ProbeRows> {
        self.gather(ProbeAsk::Range(range, most), most).await
    }
    async fn rows_of(&self, keys: &[Key], record: u64) -> Result<ProbeRows> {
        let mut rows = self.gather(ProbeAsk::Keys(keys), usize::MAX).await?;
        rows.batch.records.iter_mut().for_each(|n| *n = record);
        Ok(rows)
    }
    fn deletes(&self, keys: &[Key], record: u64) -> Batch {
        self.table.deletes(keys, record)
    }
    /// There is no log to come level with: what is compared is settled.
    async fn head(&self) -> Result<String> {
        Ok(String::new())
    }
    async fn newer(&self, keys: &[Key]) -> Result<HashSet<Key>> {
        let rows = self.gather(ProbeAsk::Beyond(keys), usize::MAX).await?;
        Ok(rows.keys.into_iter().chain(rows.misfits).collect())
    }
}
