//! OTLP log records to [`RequestBatch`].

use super::budget::Budget;
use super::record::Record;
use super::row::{Timed, is_named_request};
use super::weight::Kind;
use super::{Unreadable, plausible, requests};
use crate::model::{Identity, Rejection, RequestBatch};
use gatelens_model::value;

/// Takes the requests out of an export, and counts the other records. `now` (Unix nanoseconds) stands in for a missing
/// time.
pub(crate) fn read_logs(
    body: &[u8],
    identity: Option<Identity>,
    now: i64,
    budget: &mut Budget<'_>,
) -> Result<RequestBatch, Unreadable> {
    requests::read(body, (Kind::Record, None), identity, budget, |record| {
        if !is_request(record) {
            return Err(Rejection::OtherRecord);
        }
        let time = record.times.into_iter().find(|time| *time > 0);
        let time = time.map_or(now, |time| i64::try_from(time).unwrap_or(i64::MAX));
        plausible::time(time, now)?;
        Ok(Timed { time, took: None })
    })
}

fn is_request(record: &Record<'_>) -> bool {
    record.event_name == value::EVENT_NAME.as_bytes() || is_named_request(record)
}
