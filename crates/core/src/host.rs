//! The filter's only view of the world.

use std::ops::Range;
use std::time::Duration;

use crate::pairs::Pairs;
use gatelens_model::Message;

/// What the filter asks of the gateway that runs it.
///
/// An implementation must not panic on any answer of the host: what cannot be had is `None` or an error.
pub trait Host {
    /// Wall clock, nanoseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Sixty-four random bits, for identities; not for secrets.
    fn random(&self) -> u64;

    /// Writes a line to the gateway's own log.
    fn log(&self, level: LogLevel, message: &str);

    /// The plugin configuration as the operator wrote it. Valid while the plugin is being configured.
    fn plugin_configuration(&self) -> Vec<u8>;

    /// The plugin's own name and that of its gateway. Valid while the plugin is being configured.
    fn plugin_identity(&self) -> PluginIdentity;

    /// One property by its path, in the host's own encoding.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;

    /// What the host knows of a finished exchange: the attributes in [`Attribute::COMMON`]. Valid at the end of a stream
    /// only.
    fn attributes(&self) -> Attributes;

    /// One attribute, in the host's own encoding. Valid at the end of a stream only.
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        self.property(&attribute.path())
    }

    /// The final request headers; empty when the host has none (a request that it could not parse).
    fn request_headers(&self) -> Pairs;

    /// The response headers; empty when there are none. Valid in the callback for them and at the end of a stream.
    fn response_headers(&self) -> Pairs;

    /// A part of the chunk of a body that is passing. Valid in the callback for it; shorter than asked for when the host
    /// does not hold so much.
    fn body_chunk(&self, message: Message, part: Range<usize>) -> Vec<u8>;

    /// The answer to the callout whose response is being delivered.
    fn callout_answer(&self) -> CalloutAnswer;

    /// A value in the data shared by all workers, with its version.
    fn shared_get(&self, key: &[u8]) -> Option<(Vec<u8>, Version)>;

    /// Replaces a shared value if its version is still `expected`.
    ///
    /// # Errors
    /// [`Conflict`] when another worker was faster; nothing has changed then.
    fn shared_set(&self, key: &[u8], value: &[u8], expected: Version) -> Result<(), Conflict>;

    /// Sends a request to a cluster; the answer arrives in a callback with the returned token.
    ///
    /// # Errors
    /// [`DispatchError`]; no callback follows then.
    fn dispatch(&self, request: &Callout<'_>) -> Result<CalloutId, DispatchError>;

    /// Asks for a tick each `period`; zero stops it.
    fn set_tick_period(&self, period: Duration);
}

/// Names that the gateway gives itself and a plugin. Those that it does not give are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginIdentity {
    /// The gateway's name: Envoy's `node.id`.
    pub node_id: String,
    /// The plugin's name in the gateway's configuration.
    pub name: String,
    /// The name of the plugin's root.
    pub root_id: String,
}

/// Levels of the gateway's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only with `debug: true`.
    Debug,
    /// Life-cycle events.
    Info,
    /// Something is lost or late, traffic goes on.
    Warn,
    /// The configuration is refused.
    Error,
}

/// The version of a shared value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u32);

impl Version {
    /// Expected where no value exists yet.
    ///
    /// Zero would overwrite whatever another worker has just created. Envoy ignores the version when a key is absent
    /// and compares it when it exists, and it never hands this one out before four billion writes: so it creates, or
    /// conflicts.
    pub const ABSENT: Version = Version(u32::MAX);
}

/// Another worker has changed the value in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

/// Names a callout until its answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CalloutId(pub u32);

/// A POST to a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Callout<'a> {
    /// The cluster's name in the gateway's configuration.
    pub cluster: &'a str,
    /// Headers including the pseudo-headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
    /// How long the gateway waits for the answer.
    pub timeout: Duration,
}

/// What a receiver answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalloutAnswer {
    /// `None` when the answer was cut off before its headers.
    pub status: Option<u16>,
    /// `retry-after`; empty when absent.
    pub retry_after: Vec<u8>,
    /// The beginning of the body, at most 4 KiB.
    pub body: Vec<u8>,
}

/// Why a callout was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// The gateway has no such cluster, or refuses the headers.
    #[error("the cluster is unknown to the gateway, or a header is refused")]
    Refused,
    /// The cluster has no healthy host, or its circuit breaker is open.
    #[error("the cluster has no healthy host, or its circuit breaker is open")]
    Unavailable,
}

/// A value that the host knows of a finished exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Attribute {
    /// Total duration in nanoseconds.
    RequestDuration,
    /// Body bytes of the request, as sent.
    RequestSize,
    /// Body bytes of the response, as sent.
    ResponseSize,
    /// Status of the response; absent when none was sent.
    ResponseCode,
    /// Envoy's response flags as a bit mask.
    ResponseFlags,
    /// Envoy's own word for how the response came to be.
    ResponseCodeDetails,
    /// Nanoseconds from the request headers sent to the upstream to the last byte of its response, of the last attempt.
    /// Absent unless that response ended regularly.
    UpstreamLatency,
    /// Address and port of the client.
    SourceAddress,
    /// How often the request was sent to an upstream; 0 or absent when it never was.
    Attempts,
}

impl Attribute {
    /// All of them, in the order of their positions.
    pub const ALL: [Attribute; 9] = [
        Attribute::RequestDuration,
        Attribute::RequestSize,
        Attribute::ResponseSize,
        Attribute::ResponseCode,
        Attribute::ResponseFlags,
        Attribute::ResponseCodeDetails,
        Attribute::UpstreamLatency,
        Attribute::SourceAddress,
        Attribute::Attempts,
    ];

    /// Those that every exchange is asked for. The others are known from something else as a rule.
    pub const COMMON: [Attribute; 7] = [
        Attribute::RequestDuration,
        Attribute::RequestSize,
        Attribute::ResponseSize,
        Attribute::ResponseFlags,
        Attribute::SourceAddress,
        Attribute::UpstreamLatency,
        Attribute::Attempts,
    ];

    /// The property's path in Envoy.
    pub fn path(self) -> [&'static str; 2] {
        match self {
            Attribute::RequestDuration => ["request", "duration"],
            Attribute::RequestSize => ["request", "size"],
            Attribute::ResponseSize => ["response", "size"],
            Attribute::ResponseCode => ["response", "code"],
            Attribute::ResponseFlags => ["response", "flags"],
            Attribute::ResponseCodeDetails => ["response", "code_details"],
            Attribute::UpstreamLatency => ["response", "backend_latency"],
            Attribute::SourceAddress => ["source", "address"],
            Attribute::Attempts => ["upstream", "request_attempt_count"],
        }
    }
}

/// The values of all [`Attribute`]s, in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    buffer: Vec<u8>,
    ranges: [Option<Range<usize>>; Attribute::ALL.len()],
}

impl Attributes {
    /// Adds one value.
    pub fn push(&mut self, attribute: Attribute, value: &[u8]) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(value);
        if let Some(range) = self.ranges.get_mut(attribute as usize) {
            *range = Some(start..self.buffer.len());
        }
    }

    /// The raw value.
    pub fn bytes(&self, attribute: Attribute) -> Option<&[u8]> {
        let range = self.ranges.get(attribute as usize)?.clone()?;
        self.buffer.get(range)
    }

    /// The value as a little-endian 64-bit integer, as Envoy encodes integers, times and durations.
    pub fn int(&self, attribute: Attribute) -> Option<i64> {
        Some(i64::from_le_bytes(self.bytes(attribute)?.try_into().ok()?))
    }

    /// The value as an integer that cannot be negative: a size, a duration, a time.
    pub fn unsigned(&self, attribute: Attribute) -> Option<u64> {
        u64::try_from(self.int(attribute)?).ok()
    }
}
