//! Sequence numbers of export requests, without gaps in an epoch, for each destination and signal.

use super::row::{put_numbers, set_numbers, take_numbers};
use super::store::SharedStore;
use crate::host::Host;

/// An OTLP signal. Each has sequence numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `/v1/metrics`.
    Metrics,
    /// `/v1/logs`.
    Logs,
    /// `/v1/traces`.
    Traces,
}

impl Signal {
    /// Its name on the path.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
            Signal::Traces => "traces",
        }
    }
}

/// Gives out the next sequence number to a destination, from 1; `None` while shared data is contended or damaged.
pub fn next(host: &impl Host, store: &SharedStore, signal: Signal, destination: usize) -> Option<u64> {
    let mut next = 1;
    // The key of the first destination is older than the others.
    let suffix = if destination == 0 { String::new() } else { format!("/{destination}") };
    store
        .update(host, format_args!("sequence/{}{suffix}", signal.name()), |present| {
            let mut row = present.map_or(Ok(Vec::new()), |mut value| take_numbers(&mut value))?;
            next = row.first().copied().unwrap_or(0).saturating_add(1);
            set_numbers(&mut row, &[next]);
            let mut encoded = Vec::new();
            put_numbers(&mut encoded, &row);
            Ok(encoded)
        })
        .ok()?;
    Some(next)
}
