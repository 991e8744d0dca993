//! The life of a root context.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;

use crate::capture::{Bodies, Capture};
use crate::delivery::RootId;
use crate::exchange::{Exchange, Mark};
use crate::host::{CalloutId, Host, LogLevel};
use crate::ledger::LedgerId;
use crate::plan::Plan;
use crate::redact::Hits;
use crate::worker::Worker;

/// The workers of one virtual machine, by their counters.
///
/// All root contexts of a virtual machine share it, and it lasts as long as that: a configuration update ends root
/// contexts, and what they had not delivered yet is delivered by whichever root context ticks next.
#[derive(Debug, Default)]
pub struct Registry {
    workers: RefCell<HashMap<LedgerId, Rc<Shared>>>,
}

/// A worker and the number of root contexts that use it.
#[derive(Debug)]
struct Shared {
    worker: RefCell<Worker>,
    roots: Cell<u32>,
    /// The last exchange that a filter has counted. It belongs to the counters rather than to the root context:
    /// Envoy gives a filter and a logger with one and the same configuration one root context or two, depending on the
    /// listener's metadata and direction.
    counted_by_filter: Cell<Option<Mark>>,
    exchanges: Cell<u32>,
}

/// Exchanges of which one is timed.
const SAMPLE: u32 = 64;

/// A root context.
#[derive(Debug)]
pub struct Plugin {
    registry: Rc<Registry>,
    /// Tells this root context from all others of the process when an exporter is elected.
    me: RootId,
    active: Option<Rc<Active>>,
    ending: bool,
}

/// A configuration in force: what the streams of a root context need.
#[derive(Debug)]
pub struct Active {
    plan: Plan,
    shared: Rc<Shared>,
    /// Of this configuration's rules, since the last tick.
    hits: RefCell<Hits>,
}

/// What Envoy makes of a `google.protobuf.Struct`, for instance.
const NOT_JSON: &str = "this is no JSON object; in Envoy's YAML the configuration is a text, of the type \
    type.googleapis.com/google.protobuf.StringValue";

/// What the host is to do when a root context ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is under way.
    Now,
    /// Keep the context until [`Plugin::answered`] says so.
    WhenAnswered,
}

impl Plugin {
    /// A root context without a configuration.
    pub fn new(registry: Rc<Registry>) -> Self {
        Self { registry, me: RootId(0), active: None, ending: false }
    }

    /// Reads the configuration. False, and a line in the gateway's log, if it is refused.
    pub fn configure(&mut self, host: &impl Host) -> bool {
        let raw = host.plugin_configuration();
        let parsed = match std::str::from_utf8(&raw) {
            Ok(text) if !text.trim_start().starts_with('{') && !text.is_empty() => Err(NOT_JSON.to_owned()),
            Ok(text) => Plan::read(text, &host.plugin_identity()).map_err(|error| error.to_string()),
            Err(_) => Err(NOT_JSON.to_owned()),
        };
        let plan = match parsed {
            Ok(plan) => plan,
            Err(error) => {
                host.log(LogLevel::Error, &format!("configuration refused: {error}"));
                return false;
            }
        };
        if self.me == RootId(0) {
            self.me = RootId(host.random());
        }
        let shared = self.registry.attach(host, &plan);
        let period = plan.tick_period(host.random());
        if plan.debug {
            let hash = &plan.stream.resource.config_hash;
            host.log(
                LogLevel::Info,
                &format!("configuration {hash} in force, a tick every {} ms", period.as_millis()),
            );
        }
        host.set_tick_period(period);
        let active = Active { plan, shared, hits: RefCell::default() };
        if let Some(before) = self.active.replace(Rc::new(active)) {
            before.shared.detach();
        }
        true
    }

    /// What a stream of this root context needs; `None` before a configuration is in force.
    pub fn active(&self) -> Option<Rc<Active>> {
        self.active.clone()
    }

    /// The regular work of this root context's worker, and of workers that no root context uses any more.
    pub fn tick(&self, host: &impl Host) {
        let Some(active) = self.active.as_ref().filter(|_| !self.ending) else { return };
        let now_ns = host.now();
        active.pass_on_hits();
        active.shared.with(|worker| worker.tick(host, self.me, now_ns));
        if active.plan.debug {
            active.shared.with(|worker| host.log(LogLevel::Debug, &format!("{:?}", worker.stats())));
        }
        for orphan in self.registry.orphans() {
            // Streams that began under an earlier configuration still end in its worker. Without any, the registry
            // and this loop alone know it.
            let is_unused = Rc::strong_count(&orphan) == 2;
            orphan.with(|worker| {
                worker.tick(host, self.me, now_ns);
                if is_unused && worker.is_idle() {
                    worker.retire(host, self.me, now_ns);
                }
            });
        }
        self.registry.forget_orphans();
        active.shared.with(|worker| worker.was_busy(host.now().saturating_sub(now_ns)));
    }

    /// Takes the answer to a callout. [`Ending::Now`] when the context was kept for answers and needs none any more.
    pub fn answered(&self, host: &impl Host, id: CalloutId) -> Ending {
        let (answer, now_ns) = (host.callout_answer(), host.now());
        for shared in self.registry.all() {
            // A context that ends leaves what is to be sent to those that stay, if there are any.
            let sends = !self.ending || shared.roots.get() == 0;
            shared.with(|worker| {
                worker.answered(host, id, &answer, now_ns);
                if sends {
                    worker.send(host, self.me, now_ns);
                }
            });
        }
        self.ending()
    }

    /// The host ends this root context: a configuration update, or the end of the process.
    pub fn done(&mut self, host: &impl Host) -> Ending {
        // Envoy arms an old context's timer again after an update unless it is stopped here.
        host.set_tick_period(Duration::ZERO);
        self.ending = true;
        let now_ns = host.now();
        if let Some(active) = &self.active {
            active.pass_on_hits();
            active.shared.detach();
            match active.shared.roots.get() {
                0 => active.shared.with(|worker| worker.flush(host, self.me, now_ns)),
                _ => active.shared.with(|worker| worker.merge(host)),
            };
        }
        self.ending()
    }

    /// The host is about to forget this root context.
    pub fn gone(&mut self, host: &impl Host) {
        for shared in self.registry.all() {
            shared.with(|worker| worker.abandon(host, self.me));
        }
        // Without a root context the virtual machine goes too.
        if self.registry.all().iter().all(|shared| shared.roots.get() == 0) {
            for shared in self.registry.all() {
                shared.with(|worker| worker.leave(host));
            }
        }
    }

    fn ending(&self) -> Ending {
        let waits = |shared: &Rc<Shared>| shared.with(|worker| worker.is_waiting(self.me)).unwrap_or(false);
        if self.ending && !self.registry.all().iter().any(waits) { Ending::Now } else { Ending::WhenAnswered }
    }

    /// An exchange ended, and this root context is an access logger.
    pub fn log(&self, host: &impl Host) {
        let Some(active) = &self.active else { return };
        let began_ns = host.now();
        let exchange = Exchange::read(host, &active.plan);
        // Envoy runs a stream's filters before its access loggers, so the mark is that of this very exchange if the
        // filter has seen it.
        let counted = active.shared.counted_by_filter.take();
        if counted.is_none() || counted != exchange.mark() {
            active.record(host, &exchange, Bodies::default(), began_ns);
        }
    }
}

impl Active {
    /// What is captured of bodies.
    pub(crate) fn capture(&self) -> &Capture {
        &self.plan.capture
    }

    /// Bytes of bodies that may be held beyond those that are.
    pub(crate) fn room_for_bodies(&self) -> usize {
        self.shared.with(|worker| worker.room_for_bodies()).unwrap_or(0)
    }

    /// A filter holds `now` bytes of bodies where it held `before`.
    pub(crate) fn hold(&self, before: usize, now: usize) {
        self.shared.with(|worker| worker.hold(before, now));
    }

    /// An exchange ended that a filter of this root context saw, with these bodies.
    pub(crate) fn log_from_filter(&self, host: &impl Host, bodies: Bodies) {
        let began_ns = host.now();
        let exchange = Exchange::read(host, &self.plan);
        self.shared.counted_by_filter.set(exchange.mark());
        self.record(host, &exchange, bodies, began_ns);
    }

    /// A filter of this root context sees a request begin.
    pub(crate) fn begin(&self) {
        self.shared.with(Worker::begin);
    }

    /// That request is over, however it ended.
    pub(crate) fn end(&self) {
        self.shared.with(Worker::end);
    }

    /// Whether bodies are to be left out, so that the worker gets on with its traffic.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.shared.with(|worker| worker.is_overloaded()).unwrap_or(true)
    }

    fn record(&self, host: &impl Host, exchange: &Exchange, bodies: Bodies, began_ns: u64) {
        let redacts_bodies = bodies.held_bytes() > 0;
        let mut hits = self.hits.take();
        exchange.observe(&self.plan, bodies, &mut hits, began_ns, |series, event| {
            self.shared.with(|worker| worker.record(host, series, event, began_ns));
        });
        self.hits.replace(hits);
        if redacts_bodies {
            let spent_ns = host.now().saturating_sub(began_ns);
            self.shared.with(|worker| worker.redacted(spent_ns));
            return;
        }
        // The clock costs a tenth of a microsecond, so one exchange in sixty-four stands for all.
        let exchanges = self.shared.exchanges.get().wrapping_add(1);
        self.shared.exchanges.set(exchanges);
        if exchanges.is_multiple_of(SAMPLE) {
            let busy_ns = host.now().saturating_sub(began_ns).saturating_mul(u64::from(SAMPLE));
            self.shared.with(|worker| worker.was_busy(busy_ns));
        }
    }
}

impl Active {
    /// Gives the worker what the rules have hit.
    fn pass_on_hits(&self) {
        let mut hits = self.hits.take();
        if !hits.is_empty() {
            self.shared.with(|worker| worker.hit(self.plan.redactor.rules(), &mut hits));
        }
    }
}

/// The last stream of a replaced configuration may end long after it.
impl Drop for Active {
    fn drop(&mut self) {
        self.pass_on_hits();
    }
}

impl Registry {
    fn attach(&self, host: &impl Host, plan: &Plan) -> Rc<Shared> {
        let mut workers = self.workers.borrow_mut();
        let shared = match workers.get(&plan.stream.ledger) {
            Some(shared) => {
                shared.with(|worker| worker.adopt(host, Rc::clone(&plan.stream)));
                Rc::clone(shared)
            }
            None => {
                let worker = RefCell::new(Worker::new(host, Rc::clone(&plan.stream)));
                let shared = Rc::new(Shared {
                    worker,
                    roots: Cell::new(0),
                    counted_by_filter: Cell::default(),
                    exchanges: Cell::default(),
                });
                workers.insert(plan.stream.ledger, Rc::clone(&shared));
                shared
            }
        };
        shared.roots.set(shared.roots.get().saturating_add(1));
        shared
    }

    fn all(&self) -> Vec<Rc<Shared>> {
        self.workers.try_borrow().map(|workers| workers.values().cloned().collect()).unwrap_or_default()
    }

    fn orphans(&self) -> Vec<Rc<Shared>> {
        self.all().into_iter().filter(|shared| shared.roots.get() == 0).collect()
    }

    fn forget_orphans(&self) {
        if let Ok(mut workers) = self.workers.try_borrow_mut() {
            workers.retain(|_, shared| {
                Rc::strong_count(shared) > 1 || !shared.with(|worker| worker.is_over()).unwrap_or(false)
            });
        }
    }
}

impl Shared {
    /// Uses the worker. Nothing calls back into a worker while it is in use; should a host ever do so, the inner call
    /// is left out rather than trapping.
    fn with<T>(&self, use_worker: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        self.worker.try_borrow_mut().ok().map(|mut worker| use_worker(&mut worker))
    }

    fn detach(&self) {
        self.roots.set(self.roots.get().saturating_sub(1));
    }
}
