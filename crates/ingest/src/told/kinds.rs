//! The kinds of rows that replicas tell each other, by the file that has them.
//!
//! Merges keep the earliest first time and the latest last time. Texts are those of the later time; of two with the same time
//! the greater ones, so that all replicas choose the same.

mod issues;
mod log;
mod people;
mod releases;
mod routes;
mod senders;
mod shapes;
mod uptime;

use super::Kind;
pub(crate) use people::CONSUMERS;
pub(crate) use releases::RELEASES;
pub(crate) use routes::{PATTERNS, scope};

/// Those of `metrics.db`. A kind stands behind those that it refers to: a replica that starts reads them in this order.
pub(crate) const COUNTERS: &[&Kind] = &[
    &senders::GATEWAYS,
    &senders::REPORTS,
    &senders::REDACTION,
    &senders::TAGS,
    &senders::COARSE_INTERVALS,
    &senders::SEQUENCES,
    &CONSUMERS,
    &people::DIRECTORY,
    &people::AUDIT,
    &uptime::UPTIME,
    &uptime::PROBE_RESULTS,
    &RELEASES,
    &PATTERNS,
    &routes::PATTERN_PLACES,
    &log::ACCEPTED_ELSEWHERE,
    &shapes::SHAPES,
    &shapes::CHANGES,
];

/// Those of the request log.
pub(crate) const LOG: &[&Kind] = &[&log::LOG_GATEWAYS, &log::LOG_SEQUENCES, &log::ACCEPTED];

/// Those of the file of issues.
pub(crate) const ISSUES: &[&Kind] = &[
    &issues::ISSUES,
    &issues::VALUES,
    &issues::FIELDS,
    &issues::HOURS,
    &issues::EXAMPLES,
    &issues::DECISIONS,
];
