//! Files read through so that their checksums are known, behind the back of whoever asked for them: those of a set once at a time,
//! however many ask; a few files at once in this process, however many sets. Who went away has begun what the next one finds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Error, Result};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Files that are read through at once.
const AT_ONCE: usize = 2;
/// Sets whose files are read through, or wait for it. Who asks for another one asks again later.
const SETS: usize = 16;

/// How it ended; `None` while it goes on.
type Ended = Option<Result<(), Arc<Error>>>;

/// What is read through in this process.
pub(crate) struct Measuring {
    sets: Arc<Mutex<HashMap<String, watch::Receiver<Ended>>>>,
    turns: Arc<Semaphore>,
}

impl Default for Measuring {
    fn default() -> Self {
        Self { sets: Arc::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Measuring {
    /// The turn of one file, waited for.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        turn.map_err(|e| Error::internal("no file is read through any more").caused_by(e))
    }

    /// Has `work` read through the files of a set, unless that is under way already, and waits for its end, `most` at longest; it goes on
    /// beyond that. Fails with why they could not be read.
    pub(crate) async fn read<F>(&self, set: &str, most: Duration, work: F) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let Some(mut under_way) = self.under_way(set, work) else { return Ok(()) };
        let ended = async {
            let ended = under_way.wait_for(Option::is_some).await.ok()?;
            ended.as_ref().cloned()
        };
        match tokio::time::timeout(most, ended).await {
            Ok(Some(Err(why))) => Err(why.again()),
            _ => Ok(()),
        }
    }

    /// The reading of a set, begun when there is none; `None` when too many wait.
    fn under_way<F>(&self, set: &str, work: F) -> Option<watch::Receiver<Ended>>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let mut sets = self.sets.lock();
        if let Some(under_way) = sets.get(set) {
            return Some(under_way.clone());
        }
        if sets.len() >= SETS {
            return None;
        }
        let (tell, ended) = watch::channel(None);
        sets.insert(set.to_owned(), ended.clone());
        drop(sets);
        let (sets, set) = (Arc::clone(&self.sets), set.to_owned());
        drop(tokio::spawn(async move {
            let done = tokio::spawn(work).await.unwrap_or_else(|e| {
                Err(Error::internal("the reading of files ended early").caused_by(e))
            });
            if let Err(error) = &done {
                tracing::warn!(
                    entry.id = set,
                    error = error.operator_text(),
                    "checksums could not be worked out"
                );
            }
            // Who comes from here on begins anew.
            sets.lock().remove(&set);
            tell.send_replace(Some(done.map_err(Arc::new)));
        }));
        Some(ended)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_set_is_read_once_however_many_ask_and_goes_on_without_them() {
        let measuring = Measuring::default();
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            async move {
                begun.fetch_add(1, Ordering::Relaxed);
                go.notified().await;
                Err(Error::invalid("读不出", "cannot be read"))
            }
        };
        // Nobody waits for it to its end: it goes on.
        measuring.read("a", Duration::ZERO, work()).await.unwrap();
        measuring.read("a", Duration::ZERO, work()).await.unwrap();
        go.notify_one();
        let told = measuring.read("a", LONG, work()).await.unwrap_err();
        assert_eq!((told.en(), begun.load(Ordering::Relaxed)), ("cannot be read", 1));
        // It has ended, so that the next begins anew.
        go.notify_one();
        measuring.read("a", LONG, work()).await.unwrap_err();
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn no_more_sets_wait_than_may_and_no_more_files_are_read_than_may() {
        let measuring = Measuring::default();
        let begun = Arc::new(AtomicUsize::new(0));
        for set in 0..SETS + 5 {
            let begun = Arc::clone(&begun);
            let work = async move {
                begun.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<Result<()>>().await
            };
            measuring.read(&set.to_string(), Duration::ZERO, work).await.unwrap();
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.load(Ordering::Relaxed), SETS);
        let (one, two) = (measuring.turn().await.unwrap(), measuring.turn().await.unwrap());
        let third = tokio::time::timeout(Duration::from_millis(20), measuring.turn()).await;
        assert!(third.is_err(), "two at once");
        drop(one);
        let next = measuring.turn().await.unwrap();
        drop((two, next));
    }
}
