//! The host traits for Envoy, except for what concerns a stream.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gatelens_core::host::{
    Callout, CalloutAnswer, CalloutId, Callouts, Clock, Conflict, DispatchError, InfoNeeds, Log, LogLevel,
    PluginIdentity, Setup, SharedData, Version,
};

use crate::abi::{self, Buffer, Opaque};
use crate::delivery::{self, Answer};
use crate::isolate::Slot;
use crate::shared;

/// The gateway, as one plugin configuration of an isolate sees it in one hook.
pub(crate) struct Envoy<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) at: At,
    /// The response that is being delivered.
    pub(crate) answer: Option<&'a Answer>,
}

/// The stream that a hook is about.
#[derive(Clone, Copy)]
pub(crate) enum At {
    /// A tick, a configuration or a response, which belong to no stream.
    NoStream,
    Logger(Opaque),
    Filter(Opaque),
}

impl<'a> Envoy<'a> {
    /// Without a stream.
    pub(crate) fn of(slot: &'a Slot) -> Self {
        Self { slot, at: At::NoStream, answer: None }
    }

    /// For a response to a callout.
    pub(crate) fn with_answer(slot: &'a Slot, answer: &'a Answer) -> Self {
        Self { answer: Some(answer), ..Self::of(slot) }
    }

    /// For a stream.
    ///
    /// # Safety
    /// The pointer must be that which Envoy handed to a hook, and the hook must last for `'a`.
    pub(crate) unsafe fn at(slot: &'a Slot, at: At) -> Self {
        Self { at, ..Self::of(slot) }
    }
}

/// Wall clock, nanoseconds since the Unix epoch.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since the first call; unlike the wall clock it never goes back.
pub(crate) fn uptime_ns() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Writes a line to Envoy's log.
pub(crate) fn log(level: LogLevel, message: &str) {
    let level = match level {
        LogLevel::Debug | LogLevel::Info => abi::LOG_INFO,
        LogLevel::Warn => abi::LOG_WARN,
        LogLevel::Error => abi::LOG_ERROR,
    };
    let message = format!("gatelens: {message}");
    // SAFETY: the message outlives the call.
    unsafe { abi::log(level, Buffer::of(message.as_bytes())) };
}

impl Clock for Envoy<'_> {
    fn now(&self) -> u64 {
        now_ns()
    }

    fn random(&self) -> u64 {
        // The standard library seeds a thread's first from the operating system, and makes each one differ.
        RandomState::new().hash_one(now_ns())
    }
}

impl Log for Envoy<'_> {
    fn log(&self, level: LogLevel, message: &str) {
        log(level, message);
    }
}

impl Setup for Envoy<'_> {
    fn plugin_configuration(&self) -> Vec<u8> {
        self.slot.configuration().text.clone()
    }

    fn plugin_identity(&self) -> PluginIdentity {
        PluginIdentity {
            node_id: delivery::instance(),
            name: self.slot.configuration().name.clone(),
            root_id: String::new(),
        }
    }

    fn prepare_info(&self, needs: InfoNeeds<'_>) {
        // A response header is as cheap alone as among the others.
        self.slot.needs.set(InfoNeeds { response_header: None, ..needs });
    }

    fn set_tick_period(&self, period: Duration) {
        if self.slot.set_period(period) {
            delivery::wake();
        }
    }
}

impl SharedData for Envoy<'_> {
    fn shared_get(&self, key: &[u8]) -> Option<(Vec<u8>, Version)> {
        shared::get(key)
    }

    fn shared_set(&self, key: &[u8], value: &[u8], expected: Version) -> Result<(), Conflict> {
        shared::set(key, value, expected)
    }
}

impl Callouts for Envoy<'_> {
    fn dispatch(&self, request: &Callout<'_>) -> Result<CalloutId, DispatchError> {
        delivery::dispatch(self.slot, request)
    }

    fn callout_answer(&self) -> CalloutAnswer {
        self.answer.map(Answer::head).unwrap_or_default()
    }

    fn callout_body(&self, most: usize) -> Vec<u8> {
        let body = self.answer.map(|answer| &answer.body[..]).unwrap_or_default();
        body.get(..most).unwrap_or(body).to_vec()
    }
}
