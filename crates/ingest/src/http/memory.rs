//! Memory for bodies: received, unpacked, decoded and not yet stored.
//!
//! It is set aside before it is taken. No peer has more than a half of it, and neither counters nor the log have more
//! than three quarters, so that a flood of one sender or of one kind leaves room for the others.

use super::peers::Peer;
use crate::error::ReceiveError;
use crate::model::Signal;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Memory of all bodies.
#[derive(Debug)]
pub(super) struct Memory {
    total: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    counts: usize,
    log: usize,
    by_peer: HashMap<Peer, usize>,
}

/// On whose account memory is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Without one, nobody is bounded alone.
    pub(super) peer: Option<Peer>,
    /// Absent for bodies that are no exports.
    pub(super) signal: Option<Signal>,
}

/// Memory set aside, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Arc<Memory>,
    account: Account,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, taken: Mutex::default() })
    }

    /// Nothing yet.
    pub(super) fn share(self: &Arc<Self>, account: Account) -> Share {
        Share { memory: Arc::clone(self), account, bytes: 0 }
    }

    /// Bytes that are set aside.
    pub(super) fn taken(&self) -> usize {
        self.lock().all
    }

    /// The most that one decoded body may take, so that it fits beside its own bytes when nothing else is there.
    pub(super) fn for_one(&self) -> usize {
        self.total / 8 * 3
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        lock(&self.taken)
    }
}

impl Taken {
    fn of_signal(&mut self, signal: Signal) -> &mut usize {
        match signal {
            Signal::Metrics => &mut self.counts,
            Signal::Logs | Signal::Traces => &mut self.log,
        }
    }
}

impl Share {
    /// Sets more aside.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ReceiveError> {
        let Account { peer, signal } = self.account;
        let total = self.memory.total;
        let mut taken = self.memory.lock();
        let fits = |taken: usize, most: usize| taken.saturating_add(bytes) <= most;
        let of_peer = peer.and_then(|peer| taken.by_peer.get(&peer)).copied().unwrap_or_default();
        if !fits(taken.all, total)
            || !fits(of_peer, total / 2)
            || signal.is_some_and(|signal| !fits(*taken.of_signal(signal), total / 4 * 3))
        {
            return Err(ReceiveError::Busy);
        }
        taken.all += bytes;
        if let Some(signal) = signal {
            *taken.of_signal(signal) += bytes;
        }
        if let Some(peer) = peer {
            *taken.by_peer.entry(peer).or_default() += bytes;
        }
        drop(taken);
        self.bytes += bytes;
        Ok(())
    }

    /// An empty share on the same account.
    pub(super) fn beside(&self) -> Self {
        self.memory.share(self.account)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Self { memory, account: Account { peer, signal }, bytes } = self;
        let mut taken = memory.lock();
        taken.all = taken.all.saturating_sub(*bytes);
        if let Some(signal) = signal {
            let of_signal = taken.of_signal(*signal);
            *of_signal = of_signal.saturating_sub(*bytes);
        }
        if let Some(peer) = peer
            && let Some(of_peer) = taken.by_peer.get_mut(peer)
        {
            *of_peer = of_peer.saturating_sub(*bytes);
            if *of_peer == 0 {
                taken.by_peer.remove(peer);
            }
        }
    }
}

/// As much of `wanted` as the process may have: a quarter of its address space (`ulimit -v`) and of its control group's
/// memory, because an allocation that fails ends the process.
pub(super) fn fitting(wanted: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    let bounds = [address_space(&limits), group.trim().parse().ok()];
    let most = bounds.into_iter().flatten().map(|bound| bound / 4).min().unwrap_or(usize::MAX);
    if most < wanted {
        tracing::warn!(bytes = most, "less memory is used for bodies, because the process may not have more");
    }
    wanted.min(most)
}

/// The soft limit of the address space, unless it is unlimited: bytes.
fn address_space(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(last: u8, signal: Signal) -> Account {
        let peer = Some(Peer::of([192, 0, 2, last].into()));
        Account { peer, signal: Some(signal) }
    }

    #[test]
    fn one_peer_leaves_a_half_and_one_kind_a_quarter() {
        let memory = Memory::new(800);
        let mut first = memory.share(account(1, Signal::Metrics));
        first.grow(300).unwrap();
        let mut second = first.beside();
        assert!(second.grow(101).is_err(), "a peer has at most a half");
        second.grow(100).unwrap();
        let mut other = memory.share(account(2, Signal::Metrics));
        assert!(other.grow(201).is_err(), "counters have at most three quarters");
        other.grow(200).unwrap();
        let mut log = memory.share(account(3, Signal::Logs));
        assert!(log.grow(201).is_err(), "there is no more in all");
        log.grow(200).unwrap();
        assert_eq!(memory.taken(), 800);
        drop((first, second, other));
        assert_eq!(memory.taken(), 200);
        log.grow(200).unwrap();
        drop(log);
        assert_eq!((memory.taken(), memory.lock().by_peer.len()), (0, 0));
    }

    #[test]
    fn the_address_space_is_read() {
        let line = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max address space         1073741824           unlimited            bytes\n";
        assert_eq!(address_space(line), Some(1 << 30));
        assert_eq!(address_space(&line.replace("1073741824", "unlimited")), None);
        assert_eq!(address_space(""), None);
    }
}
