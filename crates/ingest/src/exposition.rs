//! The counters of the traffic in the formats that Prometheus reads: its text format 0.0.4, OpenMetrics 1.0, and its
//! protobuf, which has native histograms.
//!
//! A bound has the same text in all of them (`1.0`, as OpenMetrics has it), so that a scraper that changes the format
//! goes on with the same series.

mod native;
mod protobuf;
mod samples;
mod text;

pub(crate) use native::{Native, ZERO_THRESHOLD};
pub(crate) use samples::{Sample, samples};

use crate::accept::choices;
use crate::query::{Exemplars, Traffic};
use gatelens_model::prometheus;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily`, one after the other, each behind its length.
    Protobuf,
}

/// The label of exemplars by which Grafana finds a trace.
const TRACE_ID: &str = "trace_id";

impl Format {
    /// The format that an `Accept` header prefers (RFC 9110, 12.5.1): of equal ones the first. Whoever takes none of ours
    /// gets the text.
    pub(crate) fn of(accept: &str) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in choices(accept) {
            let has =
                |name, values: &[&str]| range.parameter(name).is_none_or(|value| values.contains(&value));
            let format = match range.name.as_str() {
                "application/vnd.google.protobuf"
                    if range.parameter("proto") == Some("io.prometheus.client.MetricFamily")
                        && range.parameter("encoding") == Some("delimited") =>
                {
                    Self::Protobuf
                }
                "application/openmetrics-text" if has("version", &["1.0.0", "0.0.1"]) => Self::OpenMetrics,
                "text/plain" if has("version", &["0.0.4"]) => Self::Text,
                _ => continue,
            };
            if range.weight() > best.1 {
                best = (format, range.weight());
            }
        }
        best.0
    }

    /// Whether it has exemplars.
    pub(crate) fn exemplars(self) -> Exemplars {
        match self {
            Self::Text => Exemplars::None,
            Self::OpenMetrics | Self::Protobuf => Exemplars::Latest,
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus::TEXT_CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// Writes all counters in a format.
pub(crate) fn render(traffic: &Traffic, format: Format) -> Vec<u8> {
    match format {
        Format::Text => text::render(traffic, text::Version::Prometheus).into_bytes(),
        Format::OpenMetrics => text::render(traffic, text::Version::OpenMetrics).into_bytes(),
        Format::Protobuf => protobuf::render(traffic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_the_scraper_prefers() {
        let check = |accept: &str, expected: Format| assert_eq!(Format::of(accept), expected, "{accept}");
        check("", Format::Text);
        check("*/*", Format::Text);
        check("text/html", Format::Text);
        check("application/openmetrics-text", Format::OpenMetrics);
        check("application/openmetrics-text;version=2.0.0", Format::Text);
        // Prometheus 2.42, without and with native histograms.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics,
        );
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::Protobuf,
        );
        check("application/vnd.google.protobuf", Format::Text);
        check(
            "text/plain;version=0.0.4;q=0.9, application/openmetrics-text; version=1.0.0; q=0.2",
            Format::Text,
        );
    }
}
