//! Points, records and spans that are not stored although their request is: how many, and why.

use std::fmt;

/// Why one point, record or span of a request is not stored. The name stands in `/metrics`, `/healthz` and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// A log record that is no HTTP request.
    OtherRecord,
    /// A span that is not a server's span of an HTTP request, and that cannot be shown with its trace.
    OtherSpan,
    /// Too many attributes, or too many bytes.
    TooLarge,
    /// A histogram with too many buckets.
    TooManyBuckets,
    /// Buckets that do not add up to the count, or bounds that do not rise.
    Buckets,
    /// More requests than a gateway can have had in the time that the point covers.
    Count,
    /// A sum that is not finite, negative, or too large for its count.
    Sum,
    /// A time far ahead, or years ago.
    Time,
    /// The request names too many resources.
    TooManyResources,
    /// Too many instances are new today.
    TooManyInstances,
    /// The sender, or all new senders together, have their share of the series that the store keeps apart.
    TooManySeries,
    /// What is stored of the minute leaves no room for it.
    Overflow,
}

impl Rejection {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::OtherRecord,
        Self::OtherSpan,
        Self::TooLarge,
        Self::TooManyBuckets,
        Self::Buckets,
        Self::Count,
        Self::Sum,
        Self::Time,
        Self::TooManyResources,
        Self::TooManyInstances,
        Self::TooManySeries,
        Self::Overflow,
    ];

    /// Those that need nobody's attention: a sender of many things has them all the time.
    pub(crate) const ORDINARY: [Self; 2] = [Self::OtherRecord, Self::OtherSpan];

    /// Its name in metrics and in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OtherRecord => "other_record",
            Self::OtherSpan => "other_span",
            Self::TooLarge => "too_large",
            Self::TooManyBuckets => "too_many_buckets",
            Self::Buckets => "buckets",
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Time => "time",
            Self::TooManyResources => "too_many_resources",
            Self::TooManyInstances => "too_many_instances",
            Self::TooManySeries => "too_many_series",
            Self::Overflow => "overflow",
        }
    }

    /// The reason and the remedy, as the sender reads them.
    fn message(self) -> &'static str {
        match self {
            Self::OtherRecord => "only records of HTTP requests are stored: set http.request.method",
            Self::OtherSpan => {
                "a span needs the IDs of its trace and itself, a start and an end; without them only server spans of HTTP requests are stored: set http.request.method"
            }
            Self::TooLarge => "a record or point may have 2,000 attributes and 8 MiB: send fewer",
            Self::TooManyBuckets => "a histogram may have 4,096 buckets: set a lower scale, or fewer bounds",
            Self::Buckets => "buckets must add up to the count, and their bounds must rise",
            Self::Count => "the count is more than a million requests a second: check start and count",
            Self::Sum => "a sum must be finite, not negative, and fit its count",
            Self::Time => "the time is more than a day ahead or ten years ago: set the clock",
            Self::TooManyResources => "a request may name 1,000 resources: send smaller batches",
            Self::TooManyInstances => {
                "the service knows as many new instances today as it may: set service.instance.id to a lasting name"
            }
            Self::TooManySeries => {
                "the store holds its maximum of series of this sender: send fewer label values"
            }
            Self::Overflow => "what is counted in this minute leaves no room for more",
        }
    }
}

/// Counts by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rejections([u64; Rejection::ALL.len()]);

impl Rejections {
    /// `count` more for a reason.
    pub(crate) fn add(&mut self, reason: Rejection, count: u64) {
        if let Some(known) = self.0.get_mut(reason as usize) {
            *known = known.saturating_add(count);
        }
    }

    /// All that the other holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.each().for_each(|(reason, count)| self.add(reason, count));
    }

    /// Reasons that occurred, with their counts.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Rejection, u64)> {
        let counts = Rejection::ALL.into_iter().zip(self.0);
        counts.filter(|(_, count)| *count > 0)
    }

    /// All of them together.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// The message of a partial success: one reason as it is, several each with its count.
impl fmt::Display for Rejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let several = self.each().count() > 1;
        for (position, (reason, count)) in self.each().enumerate() {
            let between = if position > 0 { "; " } else { "" };
            match several {
                true => write!(f, "{between}{count}: {}", reason.message())?,
                false => f.write_str(reason.message())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Rejection, Rejections};

    #[test]
    fn each_reason_has_its_place() {
        for (place, reason) in Rejection::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
    }

    #[test]
    fn one_reason_is_said_alone_and_several_with_their_counts() {
        let mut rejections = Rejections::default();
        assert_eq!(rejections.to_string(), "");
        rejections.add(Rejection::Time, 2);
        assert_eq!(
            rejections.to_string(),
            "the time is more than a day ahead or ten years ago: set the clock"
        );
        rejections.add(Rejection::Buckets, 1);
        let text = rejections.to_string();
        assert!(text.starts_with("1: buckets must add up") && text.contains("; 2: the time is"), "{text}");
        assert_eq!(rejections.total(), 3);
    }
}
