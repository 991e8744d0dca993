//! The filter's only view of the world, in small traits. An edge implements each with the functions of its gateway.
//!
//! An implementation must not panic on any response of the gateway: a missing value is `None` or an error.

pub mod pairs;
mod stream;

pub use stream::{Certificate, HeaderMap, InfoNeeds, SoleHeader, Stream, StreamInfo};

use std::time::Duration;

/// Everything that the filter uses of a gateway. Every type that implements the parts is a host.
pub trait Host: Clock + Log + Setup + SharedData + Callouts + Stream {}

impl<T: Clock + Log + Setup + SharedData + Callouts + Stream> Host for T {}

/// Time and chance. Valid in every callback.
pub trait Clock {
    /// Wall clock, nanoseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// 64 random bits, for identities; not for secrets.
    fn random(&self) -> u64;
}

/// The gateway's own log. Valid in every callback.
pub trait Log {
    /// Writes a line.
    fn log(&self, level: LogLevel, message: &str);
}

/// The gateway's data about the plugin. Valid while the plugin is being configured, except where stated.
pub trait Setup {
    /// The plugin configuration as the operator wrote it.
    fn plugin_configuration(&self) -> Vec<u8>;

    /// The plugin's own name and that of its gateway.
    fn plugin_identity(&self) -> PluginIdentity;

    /// Prepares the host for [`Stream::info`].
    fn prepare_info(&self, needs: InfoNeeds<'_>);

    /// Requests a tick each `period`; zero stops it. Also valid when the plugin ends.
    fn set_tick_period(&self, period: Duration);
}

/// A map that all workers of the process share. Valid in every callback.
pub trait SharedData {
    /// A value with its version.
    fn shared_get(&self, key: &[u8]) -> Option<(Vec<u8>, Version)>;

    /// Replaces a value if its version is still `expected`.
    ///
    /// # Errors
    /// [`Conflict`] when another worker was faster; then nothing has changed.
    fn shared_set(&self, key: &[u8], value: &[u8], expected: Version) -> Result<(), Conflict>;
}

/// Requests that the filter itself sends. Valid in a tick, when a response arrives and when the plugin ends.
pub trait Callouts {
    /// Sends a request to a cluster; its response arrives in a callback with the returned id.
    ///
    /// # Errors
    /// [`DispatchError`]; then no callback follows.
    fn dispatch(&self, request: &Callout<'_>) -> Result<CalloutId, DispatchError>;

    /// The response that is being delivered. Valid when a response arrives.
    fn callout_answer(&self) -> CalloutAnswer;

    /// The first `most` bytes of the body of that response.
    fn callout_body(&self, most: usize) -> Vec<u8>;
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
    /// Something is lost or late; traffic continues.
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

/// Identifies a callout until its response arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CalloutId(pub u32);

/// A request to a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Callout<'a> {
    /// The cluster's name in the gateway's configuration.
    pub cluster: &'a str,
    /// Headers including the pseudo-headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
    /// Time that the gateway waits for the response.
    pub timeout: Duration,
}

/// The response of a receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalloutAnswer {
    /// `None` when the response was cut off before its headers.
    pub status: Option<u16>,
    /// `retry-after`; empty when absent.
    pub retry_after: Vec<u8>,
    /// `x-gatelens-route-patterns`; empty when absent.
    pub route_patterns: Vec<u8>,
    /// The beginning of the body, at most [`CalloutAnswer::MAX_BODY`] bytes.
    pub body: Vec<u8>,
}

impl CalloutAnswer {
    /// Bytes of the body that an edge hands over with the answer.
    pub const MAX_BODY: usize = 4_096;
}

/// The reason why a callout was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// The gateway has no such cluster, or refuses the headers.
    #[error("the cluster is unknown to the gateway, or a header is refused")]
    Refused,
    /// The cluster has no healthy host, or its circuit breaker is open.
    #[error("the cluster has no healthy host, or its circuit breaker is open")]
    Unavailable,
}
