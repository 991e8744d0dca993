//! Requests of the log that stand for buckets of a histogram.

use super::filter::Filter;
use super::range::Range;
use super::requests::RequestsQuery;
use super::traffic::{TrafficLabel, TrafficRow};
use crate::clickhouse::ClickHouse;
use crate::limits::Limits;
use crate::model::RequestEvent;
use crate::store::DataDir;
use data_encoding::HEXLOWER;
use gatelens_model::value;
use std::collections::HashMap;

/// The latest requests of the log that are looked at, and how old they may be: nanoseconds.
const REQUESTS: usize = 500;
const AGE: i64 = 600 * 1_000_000_000;

/// A request of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exemplar {
    /// In hexadecimal digits.
    pub(crate) trace_id: String,
    pub(crate) duration_ns: u64,
    /// Its start in Unix nanoseconds.
    pub(crate) time: i64,
}

/// Gives rows the latest requests with a trace that the filter takes, at `now` (Unix nanoseconds). None where the log cannot be
/// read: the counters are worth more.
pub(super) fn put(
    rows: &mut [TrafficRow],
    (labels, filter): (&[TrafficLabel], &Filter),
    (store, limits): ((&DataDir, Option<&ClickHouse>), &Limits),
    now: i64,
) {
    let range = Range { from: now.saturating_sub(AGE), to: now };
    let question = RequestsQuery::latest(filter.clone(), range, REQUESTS.min(limits.rows));
    let page = match question.answer(store, limits) {
        Ok(page) => page,
        Err(error) => {
            return tracing::debug!(%error, "the buckets get no exemplars, because the log cannot be read");
        }
    };
    let mut places: HashMap<(bool, Vec<String>), usize> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        places.insert((row.is_outbound, row.values.clone()), place);
    }
    for (event, sender) in page.requests() {
        let values = labels.iter().map(|label| label.of_event(event, sender)).collect();
        let place = places.get(&(event.direction() == value::OUTBOUND, values)).copied();
        let exemplar = Exemplar::of(event);
        if let (Some(row), Some(exemplar)) = (place.and_then(|place| rows.get_mut(place)), exemplar) {
            row.exemplars.push(exemplar);
        }
    }
}

impl Exemplar {
    fn of(event: &RequestEvent) -> Option<Self> {
        let trace_id = Some(HEXLOWER.encode(&event.trace_id)).filter(|id| !id.is_empty())?;
        Some(Self { trace_id, duration_ns: event.duration_ns?, time: event.time })
    }
}
