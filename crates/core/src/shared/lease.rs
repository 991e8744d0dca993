//! The lease: which worker exports the counters.
//!
//! One row of numbers: the leader, the end of its lease, and by destination the time up to which all changes are acknowledged.
//! These times pass from leader to leader, so that a new leader knows how much time its first exports cover.

use std::time::Duration;

use super::row::{put_numbers, set_numbers, take_numbers};
use super::store::{ATTEMPTS, SharedStore};
use crate::host::{Host, Version};
use crate::stats::MAX_DESTINATIONS;

/// Duration of a lease that is not renewed, nanoseconds.
pub const LEASE: Duration = Duration::from_secs(4);

/// No worker has this number.
const NOBODY: u64 = 0;

/// By destination, the time before which all changes are acknowledged, nanoseconds since the Unix epoch; 0 where nothing is.
pub type Acknowledged = [u64; MAX_DESTINATIONS];

/// The part of a worker in the export of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Another worker leads.
    Follower,
    /// This worker leads and has led without a break.
    Leader,
    /// This worker leads from now on. Before, another one led, or none did.
    Elected {
        /// How far the exports of earlier leaders are acknowledged.
        acknowledged: Acknowledged,
    },
}

/// The value of the lease.
#[derive(Debug, Default)]
struct Lease {
    holder: u64,
    ends_ns: u64,
    acknowledged: Acknowledged,
    row: Vec<u64>,
}

/// Becomes or stays the leader. `me` is a number that no other worker has. `acknowledged` is how far this worker's exports are
/// acknowledged; `None` while it does not lead.
pub fn acquire(
    host: &impl Host,
    store: &SharedStore,
    me: u64,
    now_ns: u64,
    acknowledged: Option<Acknowledged>,
) -> Leadership {
    let key = store.key(format_args!("lease"));
    let ends_ns = now_ns.saturating_add(LEASE.as_nanos() as u64);
    for _ in 0..ATTEMPTS {
        let (mut lease, version) = read(host, &key);
        let leadership = match acknowledged {
            Some(acknowledged) if lease.holder == me => {
                lease.acknowledged = acknowledged;
                Leadership::Leader
            }
            _ if [me, NOBODY].contains(&lease.holder) || is_over(lease.ends_ns, now_ns) => {
                Leadership::Elected { acknowledged: lease.acknowledged }
            }
            _ => return Leadership::Follower,
        };
        (lease.holder, lease.ends_ns) = (me, ends_ns);
        if host.shared_set(&key, &lease.encode(), version).is_ok() {
            return leadership;
        }
    }
    Leadership::Follower
}

/// Lets another worker lead at once, if this one leads. `acknowledged` is how far its exports are acknowledged.
pub fn release(host: &impl Host, store: &SharedStore, me: u64, acknowledged: Acknowledged) {
    let key = store.key(format_args!("lease"));
    for _ in 0..ATTEMPTS {
        let (mut lease, version) = read(host, &key);
        if lease.holder != me {
            return;
        }
        (lease.holder, lease.ends_ns, lease.acknowledged) = (NOBODY, 0, acknowledged);
        if host.shared_set(&key, &lease.encode(), version).is_ok() {
            return;
        }
    }
}

/// How far exports are acknowledged, as the last leader wrote it.
pub fn acknowledged(host: &impl Host, store: &SharedStore) -> Acknowledged {
    read(host, &store.key(format_args!("lease"))).0.acknowledged
}

/// Whether a lease has ended. An end further ahead than a lease was written before the clock was set back.
fn is_over(ends_ns: u64, now_ns: u64) -> bool {
    now_ns >= ends_ns || ends_ns.saturating_sub(now_ns) > LEASE.as_nanos() as u64
}

/// An unreadable lease has no holder: the next worker overwrites it.
fn read(host: &impl Host, key: &[u8]) -> (Lease, Version) {
    let Some((value, version)) = host.shared_get(key) else { return (Lease::default(), Version::ABSENT) };
    let row = take_numbers(&mut &value[..]).unwrap_or_default();
    let number = |index: usize| row.get(index).copied().unwrap_or(0);
    let acknowledged = std::array::from_fn(|destination| number(destination.saturating_add(2)));
    let lease = Lease { holder: number(0), ends_ns: number(1), acknowledged, row };
    (lease, version)
}

impl Lease {
    fn encode(mut self) -> Vec<u8> {
        let mut known = vec![self.holder, self.ends_ns];
        known.extend_from_slice(&self.acknowledged);
        set_numbers(&mut self.row, &known);
        let mut out = Vec::new();
        put_numbers(&mut out, &self.row);
        out
    }
}
