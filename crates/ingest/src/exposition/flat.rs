//! The counters as single samples, for protocols that have no families.

use super::Family;
use crate::query::{Traffic, TrafficRow};
use gatelens_model::{metric, prometheus};

/// A sample.
pub(crate) struct Flat<'a> {
    /// The whole name.
    pub(crate) name: &'a str,
    /// Values of the labels, in the order of those of the answer; an empty one is absent.
    pub(crate) values: &'a [String],
    /// Of a bucket.
    pub(crate) bound: Option<&'a str>,
    pub(crate) value: f64,
}

/// Calls `each` with all samples.
pub(crate) fn flat(traffic: &Traffic, mut each: impl FnMut(Flat<'_>)) {
    for row in &traffic.rows {
        let prefix = prefix(row.is_outbound);
        let values = row.values.as_slice();
        let name = Family::new(prefix, metric::REQUEST_DURATION, "s").name;
        let count = row.count();
        let bucket_name = format!("{name}_bucket");
        let mut bucket = |bound: &str, value: u64| {
            each(Flat { name: &bucket_name, values, bound: Some(bound), value: value as f64 });
        };
        for (bound, up_to) in row.buckets() {
            bucket(&prometheus::bound(bound as f64 / 1e9), up_to.min(count));
        }
        bucket("+Inf", count);
        end(&name, values, (count, row.sum_ns() as f64 / 1e9), &mut each);
        sizes(row, prefix, &mut each);
    }
    for row in &traffic.active {
        let name = Family::new(prefix(row.is_outbound), metric::ACTIVE_REQUESTS, "").name;
        each(Flat { name: &name, values: &row.values, bound: None, value: row.requests as f64 });
    }
}

fn sizes(row: &TrafficRow, prefix: &str, each: &mut impl FnMut(Flat<'_>)) {
    let names = [metric::REQUEST_BODY_SIZE, metric::RESPONSE_BODY_SIZE];
    for (name, (count, sum)) in names.into_iter().zip(row.sizes()) {
        let name = Family::new(prefix, name, "By").name;
        let bucket = format!("{name}_bucket");
        each(Flat { name: &bucket, values: &row.values, bound: Some("+Inf"), value: count as f64 });
        end(&name, &row.values, (count, sum as f64), each);
    }
}

fn end(name: &str, values: &[String], (count, sum): (u64, f64), each: &mut impl FnMut(Flat<'_>)) {
    for (suffix, value) in [("_sum", sum), ("_count", count as f64)] {
        each(Flat { name: &format!("{name}{suffix}"), values, bound: None, value });
    }
}

fn prefix(is_outbound: bool) -> &'static str {
    if is_outbound { metric::CLIENT } else { metric::SERVER }
}
