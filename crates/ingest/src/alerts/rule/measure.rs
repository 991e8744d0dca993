//! What rules measure, and the words for it.

use serde::{Deserialize, Serialize};

/// The measured value of a rule. Its name ends with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of requests that are errors, in percent.
    ErrorPercent,
    /// Median of the duration, in milliseconds.
    P50Ms,
    /// 95th percentile of the duration, in milliseconds.
    P95Ms,
    /// 99th percentile of the duration, in milliseconds.
    P99Ms,
    /// 95th percentile of the upstream's share of the duration, in milliseconds.
    UpstreamP95Ms,
    /// Requests in a minute, on average over the window.
    RequestsPerMinute,
    /// Change of the number of requests from the same time last week, in percent: -100 without any.
    RequestsChangePercent,
    /// Time since a gateway reported, in seconds. A gateway that was silent for a day is no longer missed.
    GatewaySilenceSeconds,
    /// Log records that gateways dropped in the window, for whichever reason.
    DroppedRecords,
    /// Used share of the disk of the data directory, or of the size that the data may have (`max_disk`), whichever is
    /// larger; in percent.
    DiskPercent,
}

/// What a measure is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Counts by minute, of which there is a history.
    Counts,
    /// The present state of each gateway.
    Gateways,
    /// The present state of the disk.
    Disk,
}

impl Measure {
    /// All, by their names.
    pub(crate) const ALL: [(&str, Self); 10] = [
        ("error_percent", Self::ErrorPercent),
        ("p50_ms", Self::P50Ms),
        ("p95_ms", Self::P95Ms),
        ("p99_ms", Self::P99Ms),
        ("upstream_p95_ms", Self::UpstreamP95Ms),
        ("requests_per_minute", Self::RequestsPerMinute),
        ("requests_change_percent", Self::RequestsChangePercent),
        ("gateway_silence_seconds", Self::GatewaySilenceSeconds),
        ("dropped_records", Self::DroppedRecords),
        ("disk_percent", Self::DiskPercent),
    ];

    /// The measure of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, measure)| *measure)
    }

    /// The name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, measure)| *measure == self).map_or("", |(name, _)| name)
    }

    /// Where its values come from.
    pub(crate) fn source(self) -> Source {
        match self {
            Self::GatewaySilenceSeconds | Self::DroppedRecords => Source::Gateways,
            Self::DiskPercent => Source::Disk,
            _ => Source::Counts,
        }
    }

    /// Whether a window without requests has a value all the same.
    pub(crate) fn counts_requests(self) -> bool {
        matches!(self, Self::RequestsPerMinute | Self::RequestsChangePercent)
    }

    /// The words of a message for a value.
    pub(crate) fn words(self, value: f64) -> String {
        let number = number(value);
        match self {
            Self::ErrorPercent => format!("{number} % errors"),
            Self::P50Ms => format!("p50 {number} ms"),
            Self::P95Ms => format!("p95 {number} ms"),
            Self::P99Ms => format!("p99 {number} ms"),
            Self::UpstreamP95Ms => format!("upstream p95 {number} ms"),
            Self::RequestsPerMinute => format!("{number} requests/min"),
            Self::RequestsChangePercent => format!("{number} % requests against last week"),
            Self::GatewaySilenceSeconds => format!("silent for {number} s"),
            Self::DroppedRecords => format!("{number} records dropped"),
            Self::DiskPercent => format!("disk {number} % full"),
        }
    }

    /// The unit behind a number.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::ErrorPercent | Self::RequestsChangePercent | Self::DiskPercent => "%",
            Self::P50Ms | Self::P95Ms | Self::P99Ms | Self::UpstreamP95Ms => "ms",
            Self::RequestsPerMinute => "requests/min",
            Self::GatewaySilenceSeconds => "s",
            Self::DroppedRecords => "records",
        }
    }

    /// The dimensions that its scope and `each` may name.
    pub(super) fn dimensions(self) -> Dimensions {
        match self.source() {
            Source::Counts => Dimensions::OfRequests,
            Source::Gateways => Dimensions::OfGateways,
            Source::Disk => Dimensions::None,
        }
    }
}

#[derive(PartialEq, Eq)]
pub(super) enum Dimensions {
    OfRequests,
    OfGateways,
    None,
}

/// The dimensions of a gateway.
pub(crate) const GATEWAY_DIMENSIONS: [&str; 3] = ["service", "environment", "gateway"];

/// A number as people read it: two decimals at most, and more for small ones.
pub(crate) fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 1.0 {
        2
    } else {
        4
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_has_the_name_that_json_has() {
        for (name, measure) in Measure::ALL {
            assert_eq!(serde_json::to_value(measure).unwrap(), name);
        }
    }

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(200.0, "200");
        check(1234.56, "1235");
        check(3.4567, "3.46");
        check(10.0, "10");
        check(0.01234, "0.0123");
        check(0.0, "0");
        check(-50.0, "-50");
    }
}
