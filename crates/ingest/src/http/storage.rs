//! `GET /api/v1/storage`: the size of the data, its limit, what was removed to stay within it, what was rejected and of
//! whom, and the damage that was found.

use super::State;
use crate::clickhouse::Database;
use crate::error::json;
use crate::query::params::none;
use crate::stats::NotTaken;
use crate::store::quarantine::{Damage, Known};
use crate::store::reduce::Kind;
use crate::store::scrub::{Progress, Report};
use axum::extract::{self, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Serialize)]
struct Storage {
    /// On disk, by kind of file.
    bytes: BTreeMap<&'static str, u64>,
    limit_bytes: Option<u64>,
    /// Of the file system, for this service. Absent where it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_bytes: Option<u64>,
    /// Since the start of the service.
    removed: Vec<Removed>,
    /// Points, records and spans that were rejected since the start, by reason.
    rejected: BTreeMap<&'static str, u64>,
    /// Senders of whom something was rejected or refused since the start, those with most first.
    senders: Vec<NotTaken>,
    scrub: Scrubs,
    /// What has the counters, the log and the spans for all replicas. Absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<Database>,
}

/// The reading of all files, and what it has found.
#[derive(Serialize)]
struct Scrubs {
    /// The pass at work.
    running: Option<Progress>,
    /// The last pass that came to its end.
    last: Option<Report>,
    /// Pieces of damage that were ever set aside.
    damaged: u64,
    /// The latest of them first.
    latest: Vec<Damage>,
}

#[derive(Serialize)]
struct Removed {
    kind: Kind,
    count: u64,
    /// All older data of the kind is gone.
    until: Timestamp,
    at: Timestamp,
}

/// The size of the data and what was removed.
pub(super) async fn storage(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(error) = none(query.as_deref()) {
        return error.into_response();
    }
    let time = |nanos: i64| Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default();
    let removed = state.data.removals().into_iter();
    let removed = removed.map(|(kind, removal)| Removed {
        kind,
        count: removal.count,
        until: time(removal.until),
        at: time(removal.at),
    });
    let Known { pieces: damaged, latest } = state.data.quarantine().known();
    let scrub = state.data.scrub();
    let scrub = Scrubs { running: scrub.progress(), last: scrub.last(), damaged, latest };
    let database = match &state.server {
        Some(server) => Some(server.sizes().await),
        None => None,
    };
    let storage = Storage {
        bytes: state.data.sizes().into_iter().collect(),
        limit_bytes: state.max_disk,
        free_bytes: state.data.free_bytes(),
        removed: removed.collect(),
        rejected: state.stats.rejections().into_iter().collect(),
        senders: state.stats.not_taken(),
        scrub,
        database,
    };
    json(StatusCode::OK, &storage)
}
