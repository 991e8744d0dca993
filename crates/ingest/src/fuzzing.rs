//! The decoder without the service around it, for fuzzers.

use crate::limits::Limits;
use crate::model::Signal;
use crate::wire::{self, Bounds, Encoding};

/// Reads a body as an export of counters, in protobuf and in JSON.
pub fn metrics(body: &[u8]) {
    read(Signal::Metrics, body);
}

/// Reads a body as an export of log records, in protobuf and in JSON.
pub fn logs(body: &[u8]) {
    read(Signal::Logs, body);
}

/// Reads a body as an export of spans, in protobuf and in JSON.
pub fn traces(body: &[u8]) {
    read(Signal::Traces, body);
}

fn read(signal: Signal, body: &[u8]) {
    let Limits { body_bytes: bytes, messages, .. } = Limits::default();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        // A refusal is an answer too; only a panic or a hang is not.
        let _ = wire::read((signal, encoding), body, Bounds { bytes, messages }, None, 0);
    }
}
