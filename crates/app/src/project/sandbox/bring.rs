//! What is brought into a sandbox: a masked sample of a granted table, and uploads of the members' own.

use std::sync::Arc;

use futures::StreamExt;
use model::batch::Batch;
use model::code::Grade;
use model::project::result::{Made, ProjectResult};
use model::{Code, Error, Op, Result};

use super::land::{self, NewTable};
use super::{SAMPLE, SampleRules, UPLOAD, name_of, working};
use crate::App;
use crate::project::keep::recorded;
use crate::project::room::Use;
use model::sandbox::SandboxStage;

/// Brings a sample of a granted table in, masked as it is granted. The same rows give the same sample.
pub async fn sample(app: &Arc<App>, op: &Op, id: &str, code: &str) -> Result<ProjectResult> {
    let (held, _) = working(app, op, id).await?;
    if !held.project.entries.iter().any(|e| e == code) {
        return Err(Error::not_found("授权数据表", "granted table", code));
    }
    let place = app.projects.place(id, app.rules.project.statements)?;
    let mut reading = land::read(app, op, &held, &land::whole(code), Use::Reviewed, "").await?;
    let mut chosen = Chosen::new(app.rules.sandbox.sample);
    while let Some(batch) = reading.rows.next().await {
        chosen.take(batch?);
    }
    drop((reading.sitting, place));
    let name = format!("{SAMPLE}{code}");
    let new = NewTable {
        name: &name,
        title: &format!("{code} 开发样本"),
        items: reading.items,
        made: reading.made,
        hidden: false,
    };
    let batch = chosen.done().ok_or_else(|| {
        Error::new(
            Code::RuleBroken,
            format!("`{code}` 没有数据，无法取样"),
            format!("`{code}` has no rows to take a sample of"),
        )
    })?;
    let made = land::land(app, &held, new, land::once(batch)).await?;
    recorded(app, op, "sandbox.sample", id, &format!("{code} {} rows", made.rows)).await?;
    Ok(made)
}

/// Takes a CSV of the members' own in, as texts. It counts against the sandbox's space.
pub async fn upload(
    app: &Arc<App>,
    op: &Op,
    id: &str,
    name: &str,
    bytes: &[u8],
) -> Result<ProjectResult> {
    let (held, _) = working(app, op, id).await?;
    let rules = &app.rules.sandbox;
    if bytes.len() > rules.upload_bytes {
        return Err(Error::new(
            Code::TooLarge,
            format!("文件超过 {} 字节", rules.upload_bytes),
            format!("the file has more than {} bytes", rules.upload_bytes),
        ));
    }
    let name = format!("{UPLOAD}{}", name_of(name, SandboxStage::Development)?);
    let (items, batch) = land::csv(bytes, rules.upload_columns, Grade::L1)?;
    let new = NewTable { name: &name, title: &name, items, made: Made::default(), hidden: false };
    let made = land::land(app, &held, new, land::once(batch)).await?;
    recorded(app, op, "sandbox.upload", id, &format!("{name} {} rows", made.rows)).await?;
    Ok(made)
}

/// The rows of a table with the smallest hashes.
struct Chosen {
    rules: SampleRules,
    read: u64,
    kept: Option<Batch>,
    prints: Vec<u128>,
}

impl Chosen {
    fn new(rules: SampleRules) -> Self {
        Self { rules, read: 0, kept: None, prints: Vec::new() }
    }

    fn take(&mut self, batch: Batch) {
        self.read += batch.rows() as u64;
        let mut scratch = String::new();
        self.prints
            .extend((0..batch.rows()).map(|row| guard::print::row(&batch, row, &mut scratch)));
        match &mut self.kept {
            Some(kept) => kept.append(batch),
            None => self.kept = Some(batch),
        }
        if self.prints.len() > self.rules.most.saturating_mul(4) {
            self.cut(self.rules.most);
        }
    }

    /// Keeps the so many smallest.
    fn cut(&mut self, most: usize) {
        let Some(kept) = &mut self.kept else { return };
        let mut order: Vec<usize> = (0..self.prints.len()).collect();
        order.sort_by_key(|at| self.prints.get(*at).copied().unwrap_or(u128::MAX));
        order.truncate(most);
        *kept = kept.pick(&order);
        self.prints = order.iter().filter_map(|at| self.prints.get(*at).copied()).collect();
    }

    fn done(mut self) -> Option<Batch> {
        let share = usize::try_from(self.read.saturating_mul(self.rules.percent) / 100);
        let most = self.rules.most.max(1);
        let wanted = share.unwrap_or(most).max(self.rules.least).min(most);
        self.cut(wanted);
        let mut batch = self.kept.filter(|b| b.rows() > 0)?;
        batch.records = (1..=batch.rows() as u64).collect();
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::batch::{Column, TextColumn};

    fn batch(from: u64, many: u64) -> Batch {
        let mut text = TextColumn::with_capacity(8);
        for n in from..from + many {
            text.push(Some(&format!("行{n}")));
        }
        Batch {
            columns: vec![Column::Text(text)],
            records: (from..from + many).collect(),
            operations: Vec::new(),
        }
    }

    fn chosen(rules: SampleRules, pieces: &[(u64, u64)]) -> Vec<String> {
        let mut chosen = Chosen::new(rules);
        for (from, many) in pieces {
            chosen.take(batch(*from, *many));
        }
        land::texts(&chosen.done().unwrap()).into_iter().flatten().collect()
    }

    #[test]
    fn a_sample_is_the_same_however_its_rows_come() {
        let rules = SampleRules { percent: 1, least: 5, most: 30 };
        let one = chosen(rules, &[(0, 2000)]);
        assert_eq!(one.len(), 20);
        assert_eq!(one, chosen(rules, &[(1000, 1000), (0, 400), (400, 600)]));
        assert_eq!(chosen(rules, &[(0, 100_000)]).len(), 30);
        assert_eq!(chosen(rules, &[(0, 8)]).len(), 5);
        assert_eq!(chosen(rules, &[(0, 3)]).len(), 3);
        assert!(Chosen::new(rules).done().is_none());
    }
}
