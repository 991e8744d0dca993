//! The text formats.

use super::TRACE_ID;
use super::samples::{Number, Sample, samples};
use crate::query::{Traffic, What};
use gatelens_model::prometheus::{put_head, put_label, put_sample};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Prometheus' own, 0.0.4.
    Prometheus,
    /// 1.0, with units, exemplars and the times at which counters were 0.
    OpenMetrics,
}

/// Writes all counters.
pub(super) fn render(traffic: &Traffic, version: Version) -> String {
    let is_open = version == Version::OpenMetrics;
    let mut out = String::new();
    for (metric, table) in traffic.metrics() {
        let family = metric.family();
        // Of a counter, OpenMetrics has the name without the end of its sample's.
        put_head(&mut out, if is_open { family } else { &metric.name }, metric.help, kind(&metric.what));
        if let Some(unit) = metric.unit.filter(|_| is_open) {
            out.extend(["# UNIT ", family, " ", unit, "\n"]);
        }
        for (values, samples) in samples(metric, table) {
            let labels = labels(&table.labels, values);
            let samples = samples.into_iter().filter(|sample| is_open || !sample.is_created());
            for Sample { suffix, bound, number, exemplar } in samples {
                let name = (family, suffix);
                let mut put = |value| put_sample(&mut out, name, &labels, bound.as_deref(), value);
                match exemplar.filter(|_| is_open) {
                    None => put(&number),
                    Some(exemplar) => {
                        let duration = Number::Nanos(exemplar.duration_ns.into());
                        let time = Number::Nanos(u128::try_from(exemplar.time).unwrap_or_default());
                        let id = &exemplar.trace_id;
                        put(&format_args!("{number} # {{{TRACE_ID}=\"{id}\"}} {duration} {time}"));
                    }
                }
            }
        }
    }
    if is_open {
        out.push_str("# EOF\n");
    }
    out
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Requests | What::Bytes(_) => "counter",
        What::Durations | What::DurationsAt(_) | What::Sizes(_) => "histogram",
        What::SizeSummary(_) => "summary",
        What::Active => "gauge",
    }
}

/// The labels with a value, without braces.
fn labels(names: &[&str], values: &[String]) -> String {
    let mut out = String::new();
    for (name, value) in names.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
        put_label(&mut out, name, value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_without_a_value_are_left_out() {
        let values = ["a\"b\\c\nd".to_owned(), String::new(), "é".to_owned()];
        assert_eq!(labels(&["x", "y", "z"], &values), "x=\"a\\\"b\\\\c\\nd\",z=\"é\"");
    }
}
