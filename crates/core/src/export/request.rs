//! A request to the receiver.

use std::rc::Rc;

use crate::config::Compression;
use crate::host::CalloutId;

/// A request to the receiver. It keeps its bytes and its sequence number through all attempts, so that the receiver
/// recognises a repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRequest {
    /// The body; the same memory for all destinations that get it.
    pub body: Rc<Vec<u8>>,
    /// Compression of the body: a configuration update may change it for later requests.
    pub compression: Compression,
    /// Events in it; 0 for counters.
    pub events: u64,
    /// Captured bodies of requests and responses in it.
    pub bodies: u64,
    /// Whether it was dispatched before. After that its bytes never change.
    pub was_sent: bool,
    /// Its number; given before the first attempt at the latest.
    pub sequence: Option<u64>,
    /// Time at which it was made, nanoseconds since the Unix epoch.
    pub closed_ns: u64,
}

/// The root context that sent a request; the host delivers the answer to it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootId(pub u64);

/// A request without an answer yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) id: CalloutId,
    /// The root context that waits for the answer.
    pub(super) root: RootId,
    pub(super) request: ExportRequest,
}
