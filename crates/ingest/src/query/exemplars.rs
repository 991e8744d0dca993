//! Requests of the log that stand for buckets of a histogram.

use super::filter::Filter;
use super::requests::RequestsQuery;
use super::traffic::{TrafficLabel, TrafficRow};
use crate::clickhouse::ClickHouse;
use crate::limits::Limits;
use crate::model::RequestEvent;
use crate::store::DataDir;
use data_encoding::HEXLOWER;
use gatelens_model::value;
use std::collections::HashMap;

/// The latest requests of the log that are looked at, and how old they may be.
const REQUESTS: usize = 500;
const AGE_SECONDS: i64 = 600;

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
    (directory, server, limits): (&DataDir, Option<&ClickHouse>, &Limits),
    now: i64,
) {
    let from = now.div_euclid(1_000_000_000) - AGE_SECONDS;
    let limit = REQUESTS.min(limits.rows);
    let question = format!("from={from}&limit={limit}&direction=inbound,outbound");
    let page = RequestsQuery::parse(Some(&question), now, limits)
        .and_then(|question| question.answer((directory, server), limits));
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            return tracing::debug!(%error, "there are no exemplars, because the log cannot be read");
        }
    };
    let mut places: HashMap<(bool, Vec<String>), usize> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        places.insert((row.is_outbound, row.values.clone()), place);
    }
    for (event, sender) in page.requests().filter(|(event, sender)| filter.takes_event(event, sender)) {
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
