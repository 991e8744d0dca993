//! The decoder without the service around it, for fuzzers and for tests of its memory.

use crate::clock;
use crate::limits::Limits;
use crate::model::Signal;
use crate::wire::{self, Budget, Encoding};

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

/// Reads a body as `/v1/…` of this name, `json` or protobuf, and returns the bytes of memory that the decoder stated
/// before it took them; `None` where the body is refused.
pub fn stated(signal: &str, encoding: &str, body: &[u8]) -> Option<usize> {
    let signal = [Signal::Metrics, Signal::Logs, Signal::Traces].into_iter().find(|s| s.name() == signal)?;
    let encoding = if encoding == "json" { Encoding::Json } else { Encoding::Protobuf };
    let mut hold = |_| true;
    let mut budget = Budget::new(usize::MAX, &mut hold);
    let batch = wire::read((signal, encoding), body, body.len() * 8, &mut budget, None, clock::now());
    batch.ok().map(|_| budget.stated())
}

fn read(signal: Signal, body: &[u8]) {
    let Limits { body_bytes, decoded_bytes, .. } = Limits::default();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let mut hold = |_| true;
        let mut budget = Budget::new(decoded_bytes, &mut hold);
        // A refusal is an answer too; only a panic or a hang is not.
        let _ = wire::read((signal, encoding), body, body_bytes, &mut budget, None, clock::now());
    }
}
