//! The workers of one thread, by their counters.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;

use super::learned::LearnedRoutes;
use super::usage::Usage;
use super::waiting::WaitingEvent;
use super::worker::{Phase, Worker};
use crate::export::RootId;
use crate::host::Host;
use crate::plan::Plan;
use crate::request::Fingerprint;
use crate::shared::CounterSetId;
use gatelens_redact::capture::SLICE_BYTES;
use gatelens_routes::Patterns;

/// The workers of one thread, by their counters.
///
/// All root contexts of a thread share it, and it lasts as long as their Wasm VM: a configuration update ends root
/// contexts, and the next root context that ticks delivers the remaining exports.
#[derive(Debug, Default)]
pub struct Registry {
    workers: RefCell<HashMap<CounterSetId, Rc<WorkerHandle>>>,
    /// Root contexts that exist, those that wait for their last answers included.
    roots: Cell<u32>,
}

/// A worker and its users.
#[derive(Debug)]
pub(super) struct WorkerHandle {
    worker: RefCell<Worker>,
    usage: Rc<Usage>,
    learned: Rc<LearnedRoutes>,
    /// Events that wait for their bodies; the first one is worked on.
    waiting: RefCell<VecDeque<WaitingEvent>>,
    /// Root contexts whose configuration has these counters.
    roots: Cell<u32>,
    /// Time of the last tick, and shortest time until the next, nanoseconds.
    ticked_ns: Cell<u64>,
    tick_gap_ns: Cell<u64>,
    /// The last request that a filter has counted. It belongs to the counters rather than to the root context: Envoy
    /// gives a filter and a logger with one and the same configuration one root context or two, depending on the
    /// listener's metadata and direction.
    pub(super) counted_by_filter: Cell<Option<Fingerprint>>,
    /// Requests since the last one that was timed.
    pub(super) untimed: Cell<u32>,
}

impl Registry {
    /// The worker of a plan's counters, for one more root context.
    pub(super) fn attach(&self, host: &impl Host, plan: &Plan) -> Rc<WorkerHandle> {
        let mut workers = self.workers.borrow_mut();
        let config = &plan.export;
        let handle = match workers.get(&config.counters) {
            Some(handle) => {
                handle.with(|worker| worker.reconfigure(host, Rc::clone(config)));
                Rc::clone(handle)
            }
            None => {
                let usage = Rc::<Usage>::default();
                let learned = Rc::<LearnedRoutes>::default();
                let worker = Worker::new(host, Rc::clone(config), Rc::clone(&usage), Rc::clone(&learned));
                let handle = Rc::new(WorkerHandle {
                    worker: RefCell::new(worker),
                    usage,
                    learned,
                    waiting: RefCell::default(),
                    roots: Cell::new(0),
                    ticked_ns: Cell::default(),
                    tick_gap_ns: Cell::default(),
                    counted_by_filter: Cell::default(),
                    untimed: Cell::default(),
                });
                workers.insert(config.counters, Rc::clone(&handle));
                handle
            }
        };
        handle.roots.set(handle.roots.get().saturating_add(1));
        handle.tick_gap_ns.set(u64::from(config.limits.flush_ms.min(500)).saturating_mul(500_000));
        handle
    }

    /// Whether no worker has anything left to deliver. One that streams still use has not, once its log and its counters are
    /// acknowledged.
    pub fn is_delivered(&self) -> bool {
        let is_delivered = |handle: &Rc<WorkerHandle>| {
            let is_idle = handle.with(|worker| worker.is_idle()).unwrap_or(false);
            handle.is_done() || (handle.usage().streams() > 0 && is_idle)
        };
        self.all().iter().all(is_delivered)
    }

    /// A root context exists from now on.
    pub(super) fn add_root(&self) {
        self.roots.set(self.roots.get().saturating_add(1));
    }

    /// A root context is gone. Returns the number of those that remain.
    pub(super) fn forget_root(&self) -> u32 {
        self.roots.set(self.roots.get().saturating_sub(1));
        self.roots.get()
    }

    /// All workers.
    pub(super) fn all(&self) -> Vec<Rc<WorkerHandle>> {
        self.workers.try_borrow().map(|workers| workers.values().cloned().collect()).unwrap_or_default()
    }

    /// Workers without a root context: the root contexts of other counters work for them.
    pub(super) fn orphans(&self) -> Vec<Rc<WorkerHandle>> {
        self.all().into_iter().filter(|handle| !handle.has_roots()).collect()
    }

    /// Forgets the workers that are done.
    pub(super) fn forget_done(&self) {
        if let Ok(mut workers) = self.workers.try_borrow_mut() {
            workers.retain(|_, handle| handle.has_roots() || !handle.is_done());
        }
    }
}

impl WorkerHandle {
    /// Uses the worker. Nothing calls back into a worker while it is in use. If a host ever does so, the inner call
    /// returns `None` instead of trapping.
    pub(super) fn with<T>(&self, use_worker: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        self.worker.try_borrow_mut().ok().map(|mut worker| use_worker(&mut worker))
    }

    /// The regular work. Each root context of this worker has a timer of its own; a tick that follows another one by less
    /// than half a period does nothing, because a bound counts ticks: the silence after which a worker is taken for lost.
    pub(super) fn tick(&self, host: &impl Host, me: RootId, now_ns: u64) {
        if self.is_due(now_ns) {
            self.ticked_ns.set(now_ns);
            self.with(|worker| worker.tick(host, me, now_ns));
        }
    }

    /// Whether a tick now does the regular work.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        let since_ns = now_ns.checked_sub(self.ticked_ns.get());
        since_ns.is_none_or(|since_ns| since_ns >= self.tick_gap_ns.get())
    }

    /// Whether a body of this number of bytes, decoded, may wait for its redaction. Without a root context nothing is begun
    /// that takes time.
    pub(super) fn may_wait(&self, bytes: usize) -> bool {
        self.has_roots() && self.usage.may_wait(bytes)
    }

    /// Takes an event that waits for its bodies.
    pub(super) fn wait(&self, event: WaitingEvent) {
        if let Ok(mut waiting) = self.waiting.try_borrow_mut() {
            waiting.push_back(event);
        }
    }

    /// Whether events wait for their bodies, or for being written.
    pub(super) fn has_waiting(&self) -> bool {
        self.is_writing() || self.waiting.try_borrow().is_ok_and(|waiting| !waiting.is_empty())
    }

    /// Writes a slice of the event that waited last, or redacts a slice of the body that has waited longest, if redaction may take
    /// time now: its share is `percent`.
    pub(super) fn work_on_waiting(&self, host: &impl Host, percent: u32) {
        if !self.has_waiting() {
            return;
        }
        let began_ns = host.now();
        if !self.usage.may_redact(percent, began_ns) {
            return;
        }
        if self.is_writing() {
            self.with(|worker| worker.write_slice(host, began_ns));
        } else if let Some(mut event) = self.next_waiting() {
            event.advance();
            let log = |(draft, bodies)| self.with(|worker| worker.log_late(draft, bodies, began_ns));
            if event.ready().and_then(log).is_none()
                && let Ok(mut waiting) = self.waiting.try_borrow_mut()
            {
                waiting.push_front(event);
            }
        }
        let spent_ns = host.now().saturating_sub(began_ns);
        self.usage.redacted(SLICE_BYTES, spent_ns);
        self.with(|worker| worker.was_busy(spent_ns));
    }

    fn next_waiting(&self) -> Option<WaitingEvent> {
        self.waiting.try_borrow_mut().ok()?.pop_front()
    }

    fn is_writing(&self) -> bool {
        self.with(|worker| worker.is_writing()).unwrap_or(false)
    }

    /// Logs the waiting events without what is not redacted yet: nobody works on them any more.
    pub(super) fn give_up_waiting(&self, now_ns: u64) {
        let all = self.waiting.try_borrow_mut().map(|mut waiting| std::mem::take(&mut *waiting));
        for mut event in all.into_iter().flatten() {
            event.give_up();
            if let Some((draft, bodies)) = event.ready() {
                self.with(|worker| worker.log_late(draft, bodies, now_ns));
            }
        }
        self.with(|worker| worker.end_writing());
    }

    /// The numbers that streams change.
    pub(super) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The learned route patterns in force.
    pub(super) fn learned(&self) -> Option<Rc<Patterns>> {
        self.learned.get()
    }

    /// A root context stops using it.
    pub(super) fn detach(&self) {
        self.roots.set(self.roots.get().saturating_sub(1));
    }

    /// Whether a root context uses it.
    pub(super) fn has_roots(&self) -> bool {
        self.roots.get() > 0
    }

    /// Whether a root context or a stream uses it.
    pub(super) fn is_used(&self) -> bool {
        self.has_roots() || self.usage.streams() > 0
    }

    fn is_done(&self) -> bool {
        self.with(|worker| worker.phase() == Phase::Done).unwrap_or(false)
    }
}
