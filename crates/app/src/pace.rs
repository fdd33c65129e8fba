//! Walks over a whole ledger that nobody waits for: between two pages they rest as long as they worked, so that of one processor
//! half is left, whatever a province's ledger holds.

use std::time::{Duration, Instant};

/// Work too short to rest for.
const WORTH: Duration = Duration::from_millis(20);
/// The longest rest: a page that took long for another's sake does not hold the walk up for ever.
const LONGEST: Duration = Duration::from_secs(1);

/// The pace of one walk.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
}

impl Pace {
    pub(crate) fn begin() -> Self {
        Self { since: Instant::now() }
    }

    /// To be called after each page.
    pub(crate) async fn rest(&mut self) {
        let worked = self.since.elapsed();
        if worked >= WORTH {
            tokio::time::sleep(worked.min(LONGEST)).await;
            self.since = Instant::now();
        }
    }
}
