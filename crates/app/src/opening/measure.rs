//! What is measured of open sets when new data have landed: how full their rows are, and where their features lie. A recurring job
//! walks over the sets once for all of it, so that no page reads rows.

use async_trait::async_trait;
use model::entry::Entry;
use model::{Op, Result};
use policy::{Action, Permit, Target};

use super::fullness::Fullness;
use super::ground::Places;
use crate::App;
use crate::pace::Pace;

/// Entries of one page of the walk.
const PAGE: u32 = 500;

/// How many sets were measured in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetsMeasured {
    /// How full they are.
    pub filled: u64,
    /// Where their features lie.
    pub placed: u64,
}

/// Measures the freely open sets that got data since they were last measured; the walk reads each page of them once.
pub async fn measure(app: &App, op: &Op) -> Result<SetsMeasured> {
    let permit = app.policy.permit(op, Action::SystemWork, &Target::plain("System", "openness"))?;
    let mut filled = Turn::new(Fullness::new(app).await?);
    let mut placed = Turn::new(Places::new(app).await?);
    let (mut after, mut pace) = (None::<String>, Pace::begin());
    while !(filled.over() && placed.over()) {
        let page = app.store.entry_list_open(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.draft.code.clone());
        for entry in page.iter().filter(|e| e.freely_open()) {
            filled.take(app, op, &permit, entry).await?;
            placed.take(app, op, &permit, entry).await?;
        }
        pace.rest().await;
    }
    Ok(SetsMeasured { filled: filled.done, placed: placed.done })
}

/// Something that is measured of the rows of a freely open set, once per landing.
#[async_trait]
pub(super) trait Gauge {
    /// What is kept of a set.
    type Found: Send + Sync;
    /// Sets measured in one turn at most; the others wait for the next.
    const TURN: u64;
    /// What it measures, for the operator.
    const WHAT: &'static str;

    /// When a set was last measured.
    fn measured_at(&self, entry: &Entry) -> Option<&str>;

    /// Reads what there is to measure of a set, as anybody may see it; nothing where it has nothing of the kind.
    async fn of(&self, app: &App, op: &Op, entry: &Entry) -> Result<Option<Self::Found>>;

    /// Keeps what was found.
    async fn keep(app: &App, permit: &Permit, found: &Self::Found) -> Result<()>;
}

/// A gauge on one walk.
struct Turn<G> {
    gauge: G,
    done: u64,
}

impl<G: Gauge> Turn<G> {
    fn new(gauge: G) -> Self {
        Self { gauge, done: 0 }
    }

    fn over(&self) -> bool {
        self.done >= G::TURN
    }

    /// Measures one set if data have landed since. One that cannot be read keeps no other from being measured.
    async fn take(&mut self, app: &App, op: &Op, permit: &Permit, entry: &Entry) -> Result<()> {
        let Some(data_at) = &entry.data_at else { return Ok(()) };
        let held = self.gauge.measured_at(entry).is_some_and(|at| at > data_at.as_str());
        if held || self.over() {
            return Ok(());
        }
        match self.gauge.of(app, op, entry).await {
            Ok(Some(found)) => {
                G::keep(app, permit, &found).await?;
                self.done += 1;
            }
            Ok(None) => {}
            Err(e) => {
                let code = entry.draft.code.as_str();
                tracing::warn!(
                    entry.code = code,
                    measured.what = G::WHAT,
                    error = %e.operator_text(),
                    "an open set could not be measured"
                );
            }
        }
        Ok(())
    }
}
