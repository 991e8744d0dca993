//! Whether a connection waits for a request or is busy with one, as the socket and the handlers see it together.

use crate::stats::Stats;
use crate::sync::lock;
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// Values of the phase that are not a time.
const BUSY: u64 = 0;
const ENDED: u64 = u64::MAX;

/// What one connection does.
pub(super) struct Activity {
    /// [`BUSY`], [`ENDED`], or the milliseconds since the first use of the clock at which waiting began, from 1.
    phase: AtomicU64,
    /// The answer to the request at hand was handed over whole; the client may not have read it.
    answered: AtomicBool,
    /// When the answer at hand was ready; 0 while there is none.
    answer_since: AtomicU64,
    /// Places and memory that the answer at hand takes until the client has read it.
    held: Mutex<Vec<Box<dyn Any + Send>>>,
    stats: Arc<Stats>,
}

impl Activity {
    /// A connection that was just opened.
    pub(super) fn new(stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU64::new(millis()),
            answered: AtomicBool::new(false),
            answer_since: AtomicU64::new(0),
            held: Mutex::default(),
            stats,
        })
    }

    /// The head of a request has arrived.
    pub(super) fn begin(&self) {
        self.answered.store(false, Ordering::Release);
        let _ = self
            .phase
            .try_update(Ordering::AcqRel, Ordering::Acquire, |phase| (phase != ENDED).then_some(BUSY));
    }

    /// The answer is ready, and its client may take its time to read it from now on.
    pub(super) fn ready(&self) {
        self.answer_since.store(millis(), Ordering::Release);
    }

    /// The last byte of the answer was handed to the connection.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// All that was handed to the connection has gone to the system.
    pub(super) fn flushed(&self) {
        if self.answered.swap(false, Ordering::AcqRel) {
            self.answer_since.store(0, Ordering::Release);
            self.held().clear();
            let now = millis();
            let _ = self
                .phase
                .try_update(Ordering::AcqRel, Ordering::Acquire, |phase| (phase == BUSY).then_some(now));
        }
    }

    /// Keeps `what` until the answer at hand has been written, or the connection has ended.
    pub(super) fn hold(&self, what: impl Any + Send) {
        self.held().push(Box::new(what));
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_since().is_some()
    }

    pub(super) fn waiting_since(&self) -> Option<u64> {
        match self.phase.load(Ordering::Acquire) {
            BUSY | ENDED => None,
            since => Some(since),
        }
    }

    /// Marks a connection that waits as ended; `false` if it does not wait.
    pub(super) fn end(&self) -> bool {
        let ended = |phase| (phase != BUSY && phase != ENDED).then_some(ENDED);
        self.phase.try_update(Ordering::AcqRel, Ordering::Acquire, ended).is_ok()
    }

    /// Milliseconds for which the answer has been ready.
    pub(super) fn answer_age(&self) -> Option<u64> {
        match self.answer_since.load(Ordering::Acquire) {
            0 => None,
            since => Some(millis().saturating_sub(since)),
        }
    }

    /// Counts a connection that was closed because its client was too slow.
    pub(super) fn closed_by(&self, reason: &'static str) {
        self.stats.refused_by(reason);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Any + Send>>> {
        lock(&self.held)
    }
}

/// The connection of a request, among the request's extensions.
#[derive(Clone)]
pub(super) struct Connection {
    /// The other end of the socket, which may be a proxy.
    pub(super) address: std::net::IpAddr,
    pub(super) activity: Arc<Activity>,
}

/// Milliseconds of a clock that begins at 1.
fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let passed = START.get_or_init(Instant::now).elapsed().as_millis();
    u64::try_from(passed).unwrap_or(u64::MAX - 2) + 1
}
