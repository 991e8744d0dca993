//! Requests that were just stored, for readers who follow them.
//!
//! The writer hands a batch over after its commit, and only while somebody follows. It never waits for a reader: one who falls
//! behind misses the oldest, and finds out how many by their numbers.

use super::chunk;
use crate::clock;
use crate::model::RequestPart;
use crate::sync::lock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// Batches that wait for the slowest reader; with [`MAX_BYTES`], at most 16 MiB.
const MAX_BATCHES: usize = 64;
/// Bytes of a batch as a chunk of the log; the requests of a larger one are passed over.
const MAX_BYTES: usize = 256 << 10;

/// Where the requests of accepted batches are announced.
pub(crate) struct News {
    sender: Sender<Arc<Announced>>,
    /// Requests that were announced since the start, whether or not anybody followed. Held while a batch is numbered and sent.
    count: Mutex<u64>,
    /// When the first of those who follow began, in Unix nanoseconds.
    followed_since: AtomicI64,
}

/// The requests of one sender, in the order in which it sent them.
pub(crate) struct Announced {
    /// Requests that were announced before these.
    pub(crate) before: u64,
    pub(crate) requests: u64,
    pub(crate) gateway: Arc<str>,
    pub(crate) service: Arc<str>,
    pub(crate) environment: Arc<str>,
    /// A chunk of the log.
    pub(crate) chunk: Vec<u8>,
}

impl News {
    /// What is announced from now on, and the number of requests that were announced before.
    pub(crate) fn follow(&self) -> (Receiver<Arc<Announced>>, u64) {
        let count = self.count();
        if self.sender.receiver_count() == 0 {
            self.followed_since.store(clock::now(), Relaxed);
        }
        (self.sender.subscribe(), *count)
    }

    /// The time since which somebody has followed, in Unix nanoseconds; `None` while nobody does.
    pub(crate) fn followed_since(&self) -> Option<i64> {
        (self.sender.receiver_count() > 0).then(|| self.followed_since.load(Relaxed))
    }

    /// Counts requests that are stored and not announced, so that those who follow learn that they miss them.
    pub(crate) fn pass_over(&self, requests: u64) {
        let mut count = self.count();
        *count = count.wrapping_add(requests);
    }

    /// Announces requests that are stored.
    pub(crate) fn announce(&self, part: &RequestPart) {
        let mut count = self.count();
        let requests = part.events.len() as u64;
        let before = *count;
        *count = before.wrapping_add(requests);
        if requests == 0 || self.sender.receiver_count() == 0 {
            return;
        }
        let Ok(chunk) = chunk::encode(&part.events) else { return };
        if chunk.len() > MAX_BYTES {
            return;
        }
        let gateway = &part.gateway;
        let announced = Announced {
            before,
            requests,
            gateway: gateway.instance.as_str().into(),
            service: Arc::clone(&gateway.service),
            environment: Arc::clone(&gateway.environment),
            chunk,
        };
        // Without a reader, nobody misses it.
        let _ = self.sender.send(Arc::new(announced));
    }

    fn count(&self) -> MutexGuard<'_, u64> {
        lock(&self.count)
    }
}

impl Default for News {
    fn default() -> Self {
        Self { sender: channel(MAX_BATCHES).0, count: Mutex::default(), followed_since: AtomicI64::default() }
    }
}
