//! The core's state for one thread of Envoy, as a Wasm VM would hold it.
//!
//! The core shares its parts by [`Rc`], so only one thread may be in an isolate at a time: the thread that it belongs to, in a
//! hook of a stream, or the main thread, in a tick. The lock is free for nearly every request.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use gatelens_core::host::{CalloutId, InfoNeeds};
use gatelens_core::lifecycle::{Ending, Plugin, Registry};

use crate::abi::Buffer;
use crate::delivery::{self, Answer};
use crate::guard::{guarded, lock};
use crate::host::{Envoy, uptime_ns};

/// Time between two looks at workers that no configuration uses any more.
const KEEPER_PERIOD: Duration = Duration::from_millis(500);

/// All isolates of the process. Envoy's threads last as long as the process.
static ALL: Mutex<Vec<Arc<Isolate>>> = Mutex::new(Vec::new());

/// Identifiers of configurations. Zero is the keeper's.
static NEXT_CONFIGURATION: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static OWN: Arc<Isolate> = Isolate::begin();
    /// Whether this thread is in an isolate.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The state for one thread.
pub(crate) struct Isolate {
    state: Mutex<State>,
}

/// The content of an isolate.
pub(crate) struct State {
    isolate: Weak<Isolate>,
    registry: Rc<Registry>,
    slots: Vec<Rc<Slot>>,
    /// A plugin without a configuration. It works for workers that no configuration uses any more, so that nothing is lost with
    /// the last of them.
    keeper: Rc<Slot>,
}

// SAFETY: every `Rc` within is reachable only through the isolate's lock: from `State` itself, or from a `Confined`, which takes
// the same lock for each use and for its end. None is ever cloned out of an isolate. So no two threads touch a count at once, and
// the lock orders their uses.
unsafe impl Send for State {}

/// A plugin configuration as Envoy handed it over.
pub(crate) struct Configuration {
    /// Identifies it in the process.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
}

/// A plugin configuration in an isolate.
pub(crate) struct Slot {
    isolate: Weak<Isolate>,
    configuration: Arc<Configuration>,
    plugin: RefCell<Plugin>,
    /// Nanoseconds between two ticks; zero for none.
    period_ns: Cell<u64>,
    /// By [`uptime_ns`].
    due_ns: Cell<u64>,
    life: Cell<Life>,
    pub(crate) needs: Cell<InfoNeeds<'static>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    InForce,
    /// Until its last answers come.
    Ending,
    Ended,
}

/// The isolate of the current thread; `None` when the thread ends.
pub(crate) fn own() -> Option<Arc<Isolate>> {
    OWN.try_with(Arc::clone).ok()
}

/// Whether this thread is in an isolate.
pub(crate) fn is_inside() -> bool {
    IS_INSIDE.try_with(Cell::get).unwrap_or(true)
}

/// The isolates of all threads.
pub(crate) fn all() -> Vec<Arc<Isolate>> {
    lock(&ALL).clone()
}

/// A configuration of a logger or a filter, as Envoy keeps it; null if the core refuses it.
///
/// # Safety
/// The texts must be valid in the hook.
pub(crate) unsafe fn configuration(name: Buffer, config: Buffer) -> *const Configuration {
    // SAFETY: the caller's promise.
    let (name, text) = unsafe { (name.bytes(), config.bytes()) };
    let id = NEXT_CONFIGURATION.fetch_add(1, Ordering::Relaxed);
    let configuration =
        Arc::new(Configuration { id, name: String::from_utf8_lossy(name).into_owned(), text: text.to_vec() });
    // Each thread reads it again for itself, when Envoy cannot refuse it any more.
    if State::accepts(&configuration) { Arc::into_raw(configuration) } else { std::ptr::null() }
}

/// Envoy gives up a configuration of a logger or a filter.
///
/// # Safety
/// The pointer must be one of [`configuration`], and must not be used after this.
pub(crate) unsafe fn give_up(configuration: *const Configuration) {
    if !configuration.is_null() {
        // SAFETY: the caller's promise.
        let configuration = unsafe { Arc::from_raw(configuration) };
        delivery::end(configuration.id);
    }
}

/// A configuration of a logger or a filter.
///
/// # Safety
/// The pointer must be one of [`configuration`], and Envoy must not have given it up.
pub(crate) unsafe fn shared(configuration: *const Configuration) -> Option<Arc<Configuration>> {
    if configuration.is_null() {
        return None;
    }
    // SAFETY: the caller's promise: Envoy owns one count, and the new one is this module's.
    unsafe {
        Arc::increment_strong_count(configuration);
        Some(Arc::from_raw(configuration))
    }
}

impl Isolate {
    fn begin() -> Arc<Self> {
        let isolate = Arc::new_cyclic(|isolate| {
            let registry = Rc::<Registry>::default();
            let nothing = Configuration { id: 0, name: String::new(), text: Vec::new() };
            let keeper = Rc::new(Slot::new(Weak::clone(isolate), Arc::new(nothing), &registry));
            keeper.set_period(KEEPER_PERIOD);
            let state = State { isolate: Weak::clone(isolate), registry, slots: Vec::new(), keeper };
            Self { state: Mutex::new(state) }
        });
        lock(&ALL).push(Arc::clone(&isolate));
        isolate
    }

    /// Works in the isolate. `None` if this thread is in one already: Envoy has called a hook within another one.
    pub(crate) fn enter<T>(&self, work: impl FnOnce(&mut State) -> T) -> Option<T> {
        struct Inside;
        impl Drop for Inside {
            fn drop(&mut self) {
                let _ = IS_INSIDE.try_with(|inside| inside.set(false));
            }
        }
        if IS_INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(true) {
            return None;
        }
        let _inside = Inside;
        Some(work(&mut lock(&self.state)))
    }
}

impl State {
    /// Whether the core accepts a configuration; if not, the reason is in Envoy's log.
    pub(crate) fn accepts(configuration: &Arc<Configuration>) -> bool {
        let slot = Slot::new(Weak::new(), Arc::clone(configuration), &Rc::default());
        slot.plugin.try_borrow_mut().is_ok_and(|mut plugin| plugin.configure(&Envoy::of(&slot)))
    }

    /// The plugin of a configuration; `None` where the core refuses it.
    pub(crate) fn attach(&mut self, configuration: &Arc<Configuration>) -> Option<Rc<Slot>> {
        if let Some(slot) = self.slots.iter().find(|slot| slot.configuration.id == configuration.id) {
            return Some(Rc::clone(slot));
        }
        let slot = Rc::new(Slot::new(Weak::clone(&self.isolate), Arc::clone(configuration), &self.registry));
        if !slot.plugin.try_borrow_mut().is_ok_and(|mut plugin| plugin.configure(&Envoy::of(&slot))) {
            slot.gone();
            return None;
        }
        self.slots.push(Rc::clone(&slot));
        Some(slot)
    }

    /// The ticks that are due. Returns the time of the next one, by [`uptime_ns`]. Only on the main thread.
    pub(crate) fn tick(&mut self, ended: &[u64]) -> u64 {
        for slot in &self.slots {
            if ended.contains(&slot.configuration.id) {
                slot.end();
            }
            slot.tick();
        }
        self.slots.retain(|slot| slot.life.get() != Life::Ended);
        self.keeper.tick();
        let due = self.slots.iter().chain([&self.keeper]).map(|slot| slot.next_ns());
        due.min().unwrap_or(u64::MAX)
    }

    /// The process ends: all that is left is sent, as often as this is called. False while something waits for its answer.
    pub(crate) fn deliver_all(&mut self) -> bool {
        for slot in &self.slots {
            slot.end();
        }
        self.keeper.due_ns.set(0);
        self.keeper.tick();
        self.registry.is_delivered()
    }

    /// Hands an answer over to the plugin that sent the request, or to one that stands in for it.
    pub(crate) fn answered(&mut self, id: u64, callout: CalloutId, answer: &Answer) {
        let sender = self.slots.iter().find(|slot| slot.configuration.id == id);
        sender.unwrap_or(&self.keeper).answered(callout, answer);
        self.slots.retain(|slot| slot.life.get() != Life::Ended);
    }
}

impl Slot {
    fn new(isolate: Weak<Isolate>, configuration: Arc<Configuration>, registry: &Rc<Registry>) -> Self {
        Self {
            isolate,
            configuration,
            plugin: RefCell::new(Plugin::new(Rc::clone(registry))),
            period_ns: Cell::default(),
            due_ns: Cell::default(),
            life: Cell::new(Life::InForce),
            needs: Cell::default(),
        }
    }

    pub(crate) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The isolate that it belongs to.
    pub(crate) fn isolate(&self) -> Weak<Isolate> {
        Weak::clone(&self.isolate)
    }

    /// Uses the plugin; `None` within another use.
    pub(crate) fn plugin<T>(&self, work: impl FnOnce(&Plugin) -> T) -> Option<T> {
        self.plugin.try_borrow().ok().map(|plugin| work(&plugin))
    }

    /// Sets the time between two ticks. True if the next one is now earlier than it was.
    pub(crate) fn set_period(&self, period: Duration) -> bool {
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let before_ns = self.period_ns.replace(period_ns);
        self.due_ns.set(uptime_ns().saturating_add(period_ns));
        period_ns != 0 && (before_ns == 0 || period_ns < before_ns)
    }

    fn next_ns(&self) -> u64 {
        if self.period_ns.get() == 0 { u64::MAX } else { self.due_ns.get() }
    }

    fn tick(&self) {
        let now_ns = uptime_ns();
        if now_ns < self.next_ns() || self.life.get() != Life::InForce {
            return;
        }
        self.due_ns.set(now_ns.saturating_add(self.period_ns.get()));
        guarded(|| self.plugin(|plugin| plugin.tick(&Envoy::of(self))));
    }

    fn answered(&self, callout: CalloutId, answer: &Answer) {
        let host = Envoy::with_answer(self, answer);
        let ending = guarded(|| self.plugin(|plugin| plugin.answered(&host, callout))).flatten();
        if ending == Some(Ending::Now) && self.life.get() == Life::Ending {
            self.gone();
        }
    }

    fn end(&self) {
        if self.life.get() != Life::InForce {
            return;
        }
        self.life.set(Life::Ending);
        let done = || Some(self.plugin.try_borrow_mut().ok()?.done(&Envoy::of(self)));
        if guarded(done).flatten() == Some(Ending::Now) {
            self.gone();
        }
    }

    fn gone(&self) {
        self.life.set(Life::Ended);
        guarded(|| self.plugin.try_borrow_mut().map(|mut plugin| plugin.gone(&Envoy::of(self))));
    }
}

/// A value of an isolate that Envoy holds: it is used and dropped only in the isolate.
pub(crate) struct Confined<T> {
    isolate: Arc<Isolate>,
    value: ManuallyDrop<UnsafeCell<T>>,
}

impl<T> Confined<T> {
    /// A value that `make` makes in the isolate of this thread; `None` where it makes none.
    pub(crate) fn new(make: impl FnOnce(&mut State) -> Option<T>) -> Option<Self> {
        let isolate = own()?;
        let value = isolate.enter(make)??;
        Some(Self { isolate, value: ManuallyDrop::new(UnsafeCell::new(value)) })
    }

    /// Uses the value.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        // SAFETY: only one thread is in the isolate, and `enter` refuses a second visit of the same thread, so nobody else
        // refers to the value.
        self.isolate.enter(|_| work(unsafe { &mut *self.value.get() }))
    }
}

impl<T> Drop for Confined<T> {
    fn drop(&mut self) {
        let Self { isolate, value } = self;
        // Within another hook the value stays, which is a leak and no more.
        // SAFETY: the value is not used after this, and it is dropped in its isolate.
        isolate.enter(|_| unsafe { ManuallyDrop::drop(value) });
    }
}
