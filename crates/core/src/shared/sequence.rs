//! Sequence numbers of export requests, without gaps in an epoch.

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
    fn name(self) -> &'static str {
        match self {
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
            Signal::Traces => "traces",
        }
    }
}

/// Gives out the next sequence number, from 1; `None` while shared data is contended or damaged.
pub fn next(host: &impl Host, store: &SharedStore, signal: Signal) -> Option<u64> {
    let mut next = 1;
    store
        .update(host, format_args!("sequence/{}", signal.name()), |present| {
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
