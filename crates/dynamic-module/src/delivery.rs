//! Ticks and requests of all isolates, on Envoy's main thread.
//!
//! Envoy gives access loggers no timer and no requests; bootstrap extensions and the configurations of HTTP filters can send
//! requests and be scheduled on the main thread. A thread of this module's own keeps the time and does nothing else: when a tick is
//! due, it has Envoy call [`round`] on the main thread.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use gatelens_core::host::{Callout, CalloutAnswer, CalloutId, DispatchError, LogLevel};
use gatelens_model::route_patterns::{MAX_BYTES, VERSION_HEADER};

use crate::abi::{self, Buffer, HttpHeader, Opaque};
use crate::bootstrap::Completion;
use crate::guard::{guarded, lock, take_panics};
use crate::host;
use crate::isolate::{self, Isolate, Slot};

/// Longest time between two rounds.
const IDLE: Duration = Duration::from_secs(1);

/// Shortest time between two rounds.
const SHORTEST: Duration = Duration::from_millis(1);

/// Time that the end of the process waits for the last answers.
const FAREWELL: Duration = Duration::from_secs(2);

/// Time between two attempts at the end of the process.
const FAREWELL_PERIOD: Duration = Duration::from_millis(10);

/// The objects of Envoy's through which requests can be sent, and the requests that wait for their answers.
static SENDERS: Mutex<Senders> =
    Mutex::new(Senders { all: Vec::new(), waiting: None, instance: String::new() });

/// Configurations that Envoy has destroyed since the last round.
static ENDED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// When the next round is due.
static DUE: Mutex<Option<Instant>> = Mutex::new(None);
static DUE_CHANGED: Condvar = Condvar::new();

/// The thread of the clock runs.
static HAS_CLOCK: AtomicBool = AtomicBool::new(false);

static NEXT_CALLOUT: AtomicU32 = AtomicU32::new(0);

/// Requests whose answers never come.
static LOST: Mutex<Vec<Waiting>> = Mutex::new(Vec::new());

/// Answers that came within the call that sends. They wait for the next round.
static LATE: Mutex<Vec<((usize, u64), Answer)>> = Mutex::new(Vec::new());

static LEAVING: Mutex<Option<Leaving>> = Mutex::new(None);

thread_local! {
    /// Whether this is Envoy's main thread.
    static IS_MAIN: Cell<bool> = const { Cell::new(false) };
}

struct Senders {
    all: Vec<Sender>,
    waiting: Option<HashMap<(usize, u64), Waiting>>,
    /// The gateway's name, if it was given.
    instance: String,
}

/// What kind of object sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bootstrap,
    Filter,
}

struct Sender {
    kind: Kind,
    config: Opaque,
    scheduler: *mut c_void,
    /// Envoy has its clusters.
    is_ready: bool,
    /// Envoy's counter of panics.
    panics: Option<usize>,
}

// SAFETY: the objects are Envoy's. Schedulers may be used by any thread; configurations are used by the main thread only, and
// removed under the same lock before Envoy frees them.
unsafe impl Send for Sender {}

/// A request that waits for its answer.
struct Waiting {
    isolate: Weak<Isolate>,
    slot: u64,
    id: CalloutId,
}

impl Waiting {
    /// Hands the answer over, on the main thread.
    fn answered(&self, answer: &Answer) {
        if let Some(isolate) = self.isolate.upgrade() {
            isolate.enter(|state| state.answered(self.slot, self.id, answer));
        }
    }
}

/// The end of the process.
struct Leaving {
    /// The latest time; at once without it.
    until: Option<Instant>,
    completion: Completion,
}

/// The response of a receiver.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Vec<u8>,
    pub(crate) route_patterns: Vec<u8>,
    /// Its beginning: as much as the core ever reads.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Copies what the core reads of a response.
    pub(crate) fn read<'a>(
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        chunks: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut answer = Self::default();
        for (name, value) in headers {
            match name {
                b":status" => {
                    answer.status = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok())
                }
                b"retry-after" => answer.retry_after = value.to_vec(),
                name if name == VERSION_HEADER.as_bytes() => answer.route_patterns = value.to_vec(),
                _ => {}
            }
        }
        for chunk in chunks {
            let room = MAX_BYTES.saturating_add(1).saturating_sub(answer.body.len());
            answer.body.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        }
        answer
    }

    /// The answer as the core takes it: with the beginning of its body.
    pub(crate) fn head(&self) -> CalloutAnswer {
        CalloutAnswer {
            status: self.status,
            retry_after: self.retry_after.clone(),
            route_patterns: self.route_patterns.clone(),
            body: self.body.get(..CalloutAnswer::MAX_BODY).unwrap_or(&self.body).to_vec(),
        }
    }
}

fn senders() -> MutexGuard<'static, Senders> {
    lock(&SENDERS)
}

/// Whether anything in the process can send and tick.
pub(crate) fn is_possible() -> bool {
    !senders().all.is_empty()
}

/// The gateway's name; empty if it is not known.
pub(crate) fn instance() -> String {
    senders().instance.clone()
}

/// Sets the gateway's name.
pub(crate) fn set_instance(name: String) {
    senders().instance = name;
}

/// Requests can be sent through an object of Envoy's from now on.
///
/// # Safety
/// The pointer must be a configuration of that kind, and [`remove`] must be called before Envoy frees it.
pub(crate) unsafe fn add(kind: Kind, config: Opaque, panics: Option<usize>) {
    // SAFETY: the caller's promise.
    let scheduler = unsafe {
        match kind {
            Kind::Bootstrap => abi::bootstrap_scheduler_new(config),
            Kind::Filter => abi::filter_config_scheduler_new(config),
        }
    };
    senders().all.push(Sender { kind, config, scheduler, is_ready: kind == Kind::Filter, panics });
    static CLOCK: Once = Once::new();
    CLOCK.call_once(|| {
        let clock = thread::Builder::new().name("gatelens".to_owned());
        HAS_CLOCK.store(clock.spawn(keep_time).is_ok(), Ordering::Relaxed);
        if !HAS_CLOCK.load(Ordering::Relaxed) {
            host::log(
                LogLevel::Error,
                "the system gives no thread for the time, so nothing is sent: restart Envoy",
            );
        }
    });
    wake();
}

/// Envoy has its clusters.
pub(crate) fn ready(config: Opaque) {
    senders()
        .all
        .iter_mut()
        .filter(|sender| sender.config == config)
        .for_each(|sender| sender.is_ready = true);
    wake();
}

/// Envoy is about to free an object. The answers to what it has sent never come: with the next round each of these requests
/// has failed.
pub(crate) fn remove(config: Opaque) {
    let mut senders = senders();
    senders.all.retain(|sender| {
        let is_kept = sender.config != config;
        if !is_kept {
            // SAFETY: the scheduler is this module's, and every use of it is under the lock.
            unsafe {
                match sender.kind {
                    Kind::Bootstrap => abi::bootstrap_scheduler_delete(sender.scheduler),
                    Kind::Filter => abi::filter_config_scheduler_delete(sender.scheduler),
                }
            }
        }
        is_kept
    });
    // At once, because the next object may have the same address.
    if let Some(waiting) = &mut senders.waiting {
        let lost = waiting.extract_if(|(sender, _), _| *sender == config.addr());
        lock(&LOST).extend(lost.map(|(_, lost)| lost));
    }
    drop(senders);
    wake();
}

/// Envoy has destroyed a plugin configuration.
pub(crate) fn end(configuration: u64) {
    lock(&ENDED).push(configuration);
    wake();
}

/// Sends a request. Only within [`round`] and [`answered`], because Envoy takes it on the main thread only.
pub(crate) fn dispatch(slot: &Slot, request: &Callout<'_>) -> Result<CalloutId, DispatchError> {
    if !IS_MAIN.get() {
        return Err(DispatchError::Unavailable);
    }
    let headers: Vec<HttpHeader> =
        request.headers.iter().map(|(name, value)| HttpHeader::of(name, value)).collect();
    let cluster = Buffer::of(request.cluster.as_bytes());
    let body = Buffer::of(request.body);
    let timeout_ms = u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX);
    // The lock keeps the sender alive. A hook that Envoy calls within takes no lock, because this thread is in an isolate.
    let mut senders = senders();
    let sender = senders.best().ok_or(DispatchError::Unavailable)?;
    let (kind, config) = (sender.kind, sender.config);
    let mut envoys_id = 0;
    let (pointer, size) = (headers.as_ptr(), headers.len());
    let send = match kind {
        Kind::Bootstrap => abi::bootstrap_callout,
        Kind::Filter => abi::filter_config_callout,
    };
    // SAFETY: all slices outlive the call, and the configuration is alive.
    match unsafe { send(config, &mut envoys_id, cluster, pointer, size, body, timeout_ms) } {
        abi::CALLOUT_SUCCESS => {
            let id = CalloutId(NEXT_CALLOUT.fetch_add(1, Ordering::Relaxed));
            let waiting = Waiting { isolate: slot.isolate(), slot: slot.configuration().id, id };
            senders.waiting.get_or_insert_default().insert((config.addr(), envoys_id), waiting);
            Ok(id)
        }
        abi::CALLOUT_MISSING_HEADERS | abi::CALLOUT_CLUSTER_NOT_FOUND => Err(DispatchError::Refused),
        _ => Err(DispatchError::Unavailable),
    }
}

/// Takes the response to a callout of either kind of sender.
///
/// # Safety
/// The arguments must be those of Envoy's hook.
pub(crate) unsafe fn callout_done(
    config: Opaque,
    id: u64,
    result: u32,
    headers: (*const HttpHeader, usize),
    chunks: (*const Buffer, usize),
) {
    guarded(|| {
        // SAFETY: Envoy's arrays are valid in the hook; without a response they are null.
        let (headers, chunks) = unsafe { (abi::slice(headers), abi::slice(chunks)) };
        let answer = if result == abi::CALLOUT_SUCCESS {
            // SAFETY: and so are the texts in them.
            let pairs = headers.iter().map(|header| unsafe { header.pair() });
            // SAFETY: and so are the slices of the body.
            Answer::read(pairs, chunks.iter().map(|chunk| unsafe { chunk.bytes() }))
        } else {
            Answer::default()
        };
        answered(config, id, answer);
    });
}

/// The answer to a request has come. Only on the main thread.
pub(crate) fn answered(config: Opaque, id: u64, answer: Answer) {
    let key = (config.addr(), id);
    // Envoy can answer within the call that sends, for example where no host is healthy.
    if isolate::is_inside() {
        lock(&LATE).push((key, answer));
        return wake();
    }
    IS_MAIN.set(true);
    let waiting = senders().waiting.as_mut().and_then(|waiting| waiting.remove(&key));
    if let Some(waiting) = waiting {
        waiting.answered(&answer);
    }
}

/// The process ends when everything is delivered or [`FAREWELL`] is over.
pub(crate) fn leave(completion: Completion) {
    let until = Instant::now().checked_add(FAREWELL).filter(|_| HAS_CLOCK.load(Ordering::Relaxed));
    *lock(&LEAVING) = Some(Leaving { until, completion });
    round();
}

/// All ticks that are due. Only on the main thread.
pub(crate) fn round() {
    IS_MAIN.set(true);
    report_panics();
    let lost = std::mem::take(&mut *lock(&LOST));
    lost.into_iter().for_each(|waiting| waiting.answered(&Answer::default()));
    let late = std::mem::take(&mut *lock(&LATE));
    for ((config, id), answer) in late {
        answered(std::ptr::without_provenance(config), id, answer);
    }
    let ended = std::mem::take(&mut *lock(&ENDED));
    let mut next_ns = u64::MAX;
    for isolate in isolate::all() {
        let due_ns = isolate.enter(|state| state.tick(&ended));
        next_ns = next_ns.min(due_ns.unwrap_or_default());
    }
    let pause = Duration::from_nanos(next_ns.saturating_sub(host::uptime_ns())).clamp(SHORTEST, IDLE);
    if let Some(pause) = say_farewell().unwrap_or(Some(pause)) {
        bring_forward(pause);
    }
}

/// Delivers what is left, if the process ends. The time until the next round; none after the last one.
fn say_farewell() -> Option<Option<Duration>> {
    let mut leaving = lock(&LEAVING);
    let is_over = leaving.as_ref()?.until.is_none_or(|until| until <= Instant::now());
    let mut is_delivered = true;
    for isolate in isolate::all() {
        is_delivered &= isolate.enter(|state| state.deliver_all()).unwrap_or(false);
    }
    if !is_delivered && !is_over {
        return Some(Some(FAREWELL_PERIOD));
    }
    if !is_delivered {
        host::log(LogLevel::Warn, "the process ends before everything is delivered");
    }
    let last = leaving.take()?;
    drop(leaving);
    let configs: Vec<Opaque> = senders().all.iter().map(|sender| sender.config).collect();
    configs.into_iter().for_each(remove);
    drop(last.completion);
    Some(None)
}

/// A round is due now.
pub(crate) fn wake() {
    bring_forward(Duration::ZERO);
}

/// The next round is due after this time, or earlier.
fn bring_forward(pause: Duration) {
    let mut due = lock(&DUE);
    let now = Instant::now();
    let wanted = now.checked_add(pause).unwrap_or(now);
    *due = Some(due.map_or(wanted, |due| due.min(wanted)));
    DUE_CHANGED.notify_one();
}

/// The thread of the clock.
fn keep_time() {
    let mut due = lock(&DUE);
    loop {
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        due = match left {
            None => DUE_CHANGED.wait(due).unwrap_or_else(PoisonError::into_inner),
            Some(left) if !left.is_zero() => {
                DUE_CHANGED.wait_timeout(due, left).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                // The round brings the next one forward. If Envoy is late, another event a second does no harm.
                *due = Instant::now().checked_add(IDLE);
                drop(due);
                schedule();
                lock(&DUE)
            }
        };
    }
}

/// Has Envoy call a round on the main thread.
fn schedule() {
    if let Some(sender) = senders().best() {
        // SAFETY: the scheduler is alive, because it is removed under the lock that is held here; any thread may use it.
        unsafe {
            match sender.kind {
                Kind::Bootstrap => abi::bootstrap_scheduler_commit(sender.scheduler, 0),
                Kind::Filter => abi::filter_config_scheduler_commit(sender.scheduler, 0),
            }
        }
    }
}

/// Adds the panics since the last round to Envoy's counter.
fn report_panics() {
    let senders = senders();
    let counter = senders.all.iter().find_map(|sender| Some((sender.config, sender.panics?)));
    if let Some((config, counter)) = counter {
        let panics = take_panics();
        if panics > 0 {
            // SAFETY: the configuration is alive, and the counter is one of its own.
            unsafe { abi::bootstrap_add_to_counter(config, counter, std::ptr::null(), 0, panics) };
        }
    }
}

impl Senders {
    /// The one that lasts as long as the process, if there is one.
    fn best(&self) -> Option<&Sender> {
        let ready = |kind| self.all.iter().rfind(|sender| sender.is_ready && sender.kind == kind);
        ready(Kind::Bootstrap).or_else(|| ready(Kind::Filter))
    }
}
