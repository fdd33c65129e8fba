//! The interfaces in memory. A call finds its interface by code, however many there are; a change of one moves that one alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use model::interface::{Interface, InterfaceState};
use model::{Op, Result};
use parking_lot::RwLock;

use crate::App;
use crate::noticing::Noticing;

/// Versions read at once.
const AT_ONCE: u32 = 1000;

/// What this process knows of interfaces.
#[derive(Default)]
pub struct Memory {
    /// All versions but drafts, newest first.
    by_code: RwLock<HashMap<String, Arc<[Arc<Interface>]>>>,
    /// Number of the last change taken in.
    seen: AtomicI64,
    ready: AtomicBool,
    /// When the store's number of changes was last looked at.
    looked: Noticing,
    /// One at a time takes changes in.
    taking: tokio::sync::Mutex<()>,
    /// What the administrator decided of the older convention.
    convention: RwLock<String>,
    /// Whether it is on when nothing was decided.
    configured: bool,
    /// Calls of interfaces that have quotas.
    pub(super) counters: super::quota::Counters,
    /// Services behind interfaces.
    pub(super) proxied: super::proxied::Memory,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("interface::Memory").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Memory {
    /// Notices what other processes changed, at most every `follow_ms`; the first call reads all.
    pub(crate) async fn look(&self, app: &App, op: &Op) -> Result<()> {
        let due = self.looked.due(op.at.timestamp_millis(), app.rules.interface.follow_ms);
        if self.ready.load(Ordering::Acquire) && !due {
            return Ok(());
        }
        self.follow(app).await
    }

    /// Takes in what changed. Called after a change of this process, too, so that its next call sees it.
    pub(crate) async fn follow(&self, app: &App) -> Result<()> {
        let _one = self.taking.lock().await;
        let clock = app.store.interface_clock().await?;
        if *self.convention.read() != clock.convention {
            *self.convention.write() = clock.convention;
        }
        while self.seen.load(Ordering::Relaxed) < clock.changed {
            let changes =
                app.store.interface_changes(self.seen.load(Ordering::Relaxed), AT_ONCE).await?;
            let Some((last, _)) = changes.last() else {
                // The last change is of one that was changed again meanwhile.
                self.seen.store(clock.changed, Ordering::Relaxed);
                break;
            };
            let last = *last;
            let mut all = self.by_code.write();
            for (_, interface) in changes {
                put(&mut all, interface);
            }
            drop(all);
            self.seen.store(last, Ordering::Relaxed);
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// The version that answers a caller: the one it names, else by its share of callers.
    pub(crate) fn choose(
        &self,
        code: &str,
        caller: &str,
        version: Option<u32>,
    ) -> Option<Arc<Interface>> {
        let versions = self.by_code.read().get(code).cloned()?;
        pick(&versions, caller, version).cloned()
    }

    /// All versions of a code but drafts, newest first.
    pub(crate) fn versions(&self, code: &str) -> Arc<[Arc<Interface>]> {
        self.by_code.read().get(code).cloned().unwrap_or_default()
    }

    /// With the older convention on or off until the administrator decides.
    #[must_use]
    pub fn configured_with(on: bool) -> Self {
        Self { configured: on, ..Self::default() }
    }

    pub(crate) fn configured(&self) -> bool {
        self.configured
    }

    /// Whether the older convention is served.
    pub(crate) fn convention_on(&self) -> bool {
        match self.convention.read().as_str() {
            "on" => true,
            "off" => false,
            _ => self.configured,
        }
    }

    /// `on`, `off` or empty, as the administrator decided.
    pub(crate) fn convention(&self) -> String {
        self.convention.read().clone()
    }

    /// How many interfaces are known (by code).
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_code.read().len()
    }
}

fn put(all: &mut HashMap<String, Arc<[Arc<Interface>]>>, interface: Interface) {
    let code = interface.code.clone();
    let before = all.remove(&code);
    let mut versions: Vec<Arc<Interface>> =
        before.iter().flat_map(|b| b.iter()).filter(|i| i.id != interface.id).cloned().collect();
    if interface.state != InterfaceState::Draft {
        versions.push(Arc::new(interface));
    }
    versions.sort_by_key(|i| std::cmp::Reverse(i.version));
    if !versions.is_empty() {
        all.insert(code, versions.into());
    }
}

/// Of versions from the newest: the one named; else the newest published whose share of callers this caller is in; else any that
/// is published, one that is deprecated, and last one that answers nobody (so that the refusal can say why).
fn pick<'a>(
    versions: &'a [Arc<Interface>],
    caller: &str,
    version: Option<u32>,
) -> Option<&'a Arc<Interface>> {
    if let Some(version) = version {
        return versions.iter().find(|i| i.version == version);
    }
    let published = || versions.iter().filter(|i| i.state == InterfaceState::Published);
    published()
        .find(|i| within(i, caller))
        .or_else(|| published().next_back())
        .or_else(|| versions.iter().find(|i| i.state == InterfaceState::Deprecated))
        .or_else(|| versions.iter().find(|i| i.state == InterfaceState::Offline))
}

/// Whether a caller is in the share of callers that a version gets: always the same callers, more of them as the share grows.
fn within(interface: &Interface, caller: &str) -> bool {
    if interface.share >= 100 {
        return true;
    }
    let digest = guard::hash::sm3_hex(format!("{}\n{caller}", interface.code).as_bytes());
    let place = digest.get(..8).and_then(|d| u32::from_str_radix(d, 16).ok()).unwrap_or(u32::MAX);
    place % 100 < u32::from(interface.share)
}

#[cfg(test)]
mod tests {
    use model::interface::InterfaceDraft;

    use super::*;

    fn version(version: u32, state: InterfaceState, share: u8) -> Arc<Interface> {
        let text = "title = \"t\"\nentry = \"e\"\nkind = \"list\"\n";
        Arc::new(Interface {
            id: format!("i{version}"),
            code: "0123456789abcdef".into(),
            version,
            state,
            share,
            org: "o".into(),
            region: "330000".into(),
            entry: "e1".into(),
            until: String::new(),
            deprecated_at: String::new(),
            quota: Default::default(),
            created_by: "u".into(),
            created_at: String::new(),
            updated_at: String::new(),
            text: text.into(),
            draft: InterfaceDraft::read(text).unwrap(),
        })
    }

    #[test]
    fn a_share_of_callers_gets_the_new_version_and_keeps_it_as_the_share_grows() {
        use InterfaceState as S;
        let of = |share, caller: &str| {
            let versions = [version(2, S::Published, share), version(1, S::Published, 100)];
            pick(&versions, caller, None).unwrap().version
        };
        let callers: Vec<String> = (0..1000).map(|n| format!("application {n}")).collect();
        let new = |share| callers.iter().filter(|c| of(share, c) == 2).collect::<Vec<_>>();
        let (ten, thirty) = (new(10), new(30));
        assert!((60..140).contains(&ten.len()), "{}", ten.len());
        assert!((240..360).contains(&thirty.len()), "{}", thirty.len());
        assert!(ten.iter().all(|c| thirty.contains(c)));
        assert_eq!((new(0).len(), new(100).len()), (0, 1000));
    }

    #[test]
    fn a_version_is_found_by_its_number_and_one_that_answers_nobody_last() {
        use InterfaceState as S;
        let versions =
            [version(3, S::Test, 100), version(2, S::Offline, 100), version(1, S::Deprecated, 100)];
        let number = |v| pick(&versions, "a", v).map(|i| i.version);
        assert_eq!((number(None), number(Some(3)), number(Some(9))), (Some(1), Some(3), None));
        assert_eq!(pick(&versions[..2], "a", None).map(|i| i.version), Some(2));
        assert_eq!(pick(&versions[..1], "a", None).map(|i| i.version), None);
    }

    #[test]
    fn a_change_moves_one_interface_and_a_draft_is_not_known() {
        use InterfaceState as S;
        let mut all = HashMap::new();
        put(&mut all, version(1, S::Published, 100).as_ref().clone());
        put(&mut all, version(2, S::Test, 100).as_ref().clone());
        assert_eq!(all.values().next().map(|v| v.len()), Some(2));
        put(&mut all, version(2, S::Draft, 100).as_ref().clone());
        assert_eq!(all.values().next().map(|v| v.len()), Some(1));
        put(&mut all, version(1, S::Draft, 100).as_ref().clone());
        assert!(all.is_empty());
    }
}
