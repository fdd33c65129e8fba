//! Floods of calls whose signature fails: an address that fails too often in a second is turned away before its next
//! signature is looked at, and however many fail, the audit gets one record a second and address (and only so many a
//! second in all) which tells how many more there were.
//!
//! Calls that succeed pay one relaxed load here. Addresses are forgotten a minute after their last failure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Records of failed signatures in one second, over all addresses.
const RECORDS_A_SECOND: u32 = 50;
/// Addresses kept at most; beyond that all are forgotten and counting starts anew.
const ADDRESSES: usize = 100_000;
/// Seconds after which a quiet address is forgotten.
const FORGET_AFTER: i64 = 60;

/// Failures of the present second, by address.
#[derive(Debug)]
pub(crate) struct Flood {
    /// Failures an address may have in a second before its calls are turned away unread.
    most: u32,
    /// Addresses in `state`, so that a quiet door takes no lock.
    known: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    addresses: HashMap<IpAddr, Failures>,
    second: i64,
    recorded: u32,
    tidied: i64,
}

#[derive(Debug)]
struct Failures {
    second: i64,
    count: u32,
    recorded: i64,
    silent: u64,
}

/// What to do about one failed signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// Write a record; so many failures before it had none.
    Record(u64),
    Silent,
}

impl Flood {
    pub(crate) fn new(most: u32) -> Self {
        Self { most: most.max(1), known: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// Whether the address has failed too often in this second to be listened to.
    pub(crate) fn blocks(&self, address: IpAddr, second: i64) -> bool {
        if self.known.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut state = self.state.lock();
        let blocked = state
            .addresses
            .get_mut(&address)
            .filter(|f| f.second == second && f.count >= self.most)
            .map(|f| f.silent += 1)
            .is_some();
        drop(state);
        blocked
    }

    /// Counts one failure of the address.
    pub(crate) fn failed(&self, address: IpAddr, second: i64) -> Tell {
        let mut state = self.state.lock();
        if second.saturating_sub(state.tidied) >= FORGET_AFTER {
            state.tidied = second;
            state.addresses.retain(|_, f| second.saturating_sub(f.second) < FORGET_AFTER);
            state.addresses.shrink_to(1024);
        }
        if state.addresses.len() >= ADDRESSES {
            state.addresses.clear();
        }
        if state.second != second {
            state.second = second;
            state.recorded = 0;
        }
        let room = state.recorded < RECORDS_A_SECOND;
        let new = Failures { second, count: 0, recorded: i64::MIN, silent: 0 };
        let failures = state.addresses.entry(address).or_insert(new);
        if failures.second != second {
            failures.second = second;
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        let tell = if room && failures.recorded != second {
            failures.recorded = second;
            Tell::Record(std::mem::take(&mut failures.silent))
        } else {
            failures.silent += 1;
            Tell::Silent
        };
        if tell != Tell::Silent {
            state.recorded += 1;
        }
        self.known.store(state.addresses.len(), Ordering::Relaxed);
        tell
    }
}

/// The address limits are kept by: of IPv6 the network of 64 bits, for a caller commands all addresses of one.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn a_flood_leaves_one_record_a_second_and_is_turned_away() {
        let flood = Flood::new(5);
        assert!(!flood.blocks(address(1), 100));
        assert_eq!(flood.failed(address(1), 100), Tell::Record(0));
        for _ in 0..4 {
            assert!(!flood.blocks(address(1), 100));
            assert_eq!(flood.failed(address(1), 100), Tell::Silent);
        }
        assert!(flood.blocks(address(1), 100));
        // Another address, and the same one a second later, are listened to.
        assert!(!flood.blocks(address(2), 100) && !flood.blocks(address(1), 101));
        // Four failed in silence and one was turned away: the next record says so.
        assert_eq!(flood.failed(address(1), 101), Tell::Record(5));
    }

    #[test]
    fn many_addresses_together_leave_a_bounded_number_of_records() {
        let flood = Flood::new(5);
        let recorded =
            (0..250).filter(|n| matches!(flood.failed(address(*n), 100), Tell::Record(_))).count();
        assert_eq!(recorded, RECORDS_A_SECOND as usize);
        assert_eq!(flood.failed(address(0), 100 + FORGET_AFTER), Tell::Record(0));
        assert_eq!(flood.state.lock().addresses.len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), IpAddr::from([10, 0, 0, 1]));
    }
}
