//! The range of time that a query is about.

use super::params::Params;
use crate::error::QueryError;
use jiff::Timestamp;

const NANOS: i64 = 1_000_000_000;
/// The range when none is given.
const DEFAULT_SECONDS: i64 = 3600;

/// From the first (inclusive) to the second (exclusive), in Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Range {
    /// Reads `from` and `to`; without them, the hour before `now` (Unix nanoseconds).
    pub(crate) fn read(params: &Params, now: i64) -> Result<Self, QueryError> {
        let edge = |name| params.one(name)?.map(|text| edge(name, text, now)).transpose();
        let (from, to) = (edge("from")?, edge("to")?.unwrap_or(now));
        let from = from.unwrap_or_else(|| to.saturating_sub(DEFAULT_SECONDS * NANOS));
        if from >= to {
            return Err(QueryError::parameter("from", "from must be before to"));
        }
        Ok(Self { from, to })
    }

    /// Reads `from` and `to`; without them, all of time. `now` is in Unix nanoseconds.
    pub(crate) fn read_any(params: &Params, now: i64) -> Result<Self, QueryError> {
        let edge = |name| params.one(name)?.map(|text| edge(name, text, now)).transpose();
        let range = Self { from: edge("from")?.unwrap_or(i64::MIN), to: edge("to")?.unwrap_or(i64::MAX) };
        if range.from >= range.to {
            return Err(QueryError::parameter("from", "from must be before to"));
        }
        Ok(range)
    }

    /// The range that holds this one and begins and ends at multiples of `seconds`.
    pub(crate) fn widened(self, seconds: i64) -> Self {
        let step = seconds * NANOS;
        Self {
            from: self.from.div_euclid(step).saturating_mul(step),
            to: self.to.saturating_add(step - 1).div_euclid(step).saturating_mul(step),
        }
    }

    /// The same, with each edge before `since` (Unix nanoseconds) moved outwards to a multiple of `seconds`.
    pub(crate) fn widened_before(self, since: i64, seconds: i64) -> Self {
        let wide = self.widened(seconds);
        Self {
            from: if self.from < since { wide.from } else { self.from },
            to: if self.to < since { wide.to } else { self.to },
        }
    }

    /// The range without what comes before its first multiple of `seconds`; it may be empty then.
    pub(crate) fn shrunk_from(self, seconds: i64) -> Self {
        let step = seconds * NANOS;
        let from = self.from.saturating_add(step - 1).div_euclid(step).saturating_mul(step);
        Self { from: from.min(self.to), to: self.to }
    }

    /// The Unix minutes that hold it, the end exclusive.
    pub(crate) fn minutes(self) -> (i64, i64) {
        (self.from.div_euclid(60 * NANOS), self.to.saturating_add(60 * NANOS - 1).div_euclid(60 * NANOS))
    }

    /// The range this many seconds earlier.
    pub(crate) fn earlier(self, seconds: i64) -> Self {
        let nanos = seconds.saturating_mul(NANOS);
        Self { from: self.from.saturating_sub(nanos), to: self.to.saturating_sub(nanos) }
    }

    /// Length in seconds.
    pub(crate) fn seconds(self) -> i64 {
        self.to.saturating_sub(self.from) / NANOS
    }
}

/// RFC 3339 in UTC for Unix nanoseconds.
pub(crate) fn rfc3339(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos)).map(|time| time.to_string()).unwrap_or_default()
}

/// A time, or the time that an age such as `-10m` was ago; `now` is in Unix nanoseconds.
pub(super) fn edge(field: &str, text: &str, now: i64) -> Result<i64, QueryError> {
    match age(text) {
        Some(age) => Ok(now.saturating_sub(age)),
        None => time(field, text),
    }
}

/// The nanoseconds of an age: a minus sign, a whole number, and s, m, h or d.
fn age(text: &str) -> Option<i64> {
    let (number, unit) = text.strip_prefix('-')?.split_at_checked(text.len().checked_sub(2)?)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: i64 = number.parse::<u32>().ok()?.into();
    number.checked_mul(seconds)?.checked_mul(NANOS)
}

/// RFC 3339, or Unix seconds with or without a fraction.
fn time(field: &str, text: &str) -> Result<i64, QueryError> {
    let parsed = match text.parse::<Timestamp>() {
        Ok(time) => i64::try_from(time.as_nanosecond()).ok(),
        Err(_) => seconds(text),
    };
    parsed.ok_or_else(|| {
        let message =
            format!("{field} must be a time such as 2026-01-31T12:00:00Z, 1769860800 or -10m, not {text:?}");
        QueryError::parameter(field, message)
    })
}

fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok().filter(|whole| *whole >= 0)?;
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(NANOS)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        let check =
            |text: &str, expected: Option<i64>| assert_eq!(time("from", text).ok(), expected, "{text}");
        check("0", Some(0));
        check("1769860800", Some(1_769_860_800 * NANOS));
        check("1769860800.25", Some(1_769_860_800 * NANOS + NANOS / 4));
        check("2026-01-31T12:00:00Z", Some(1_769_860_800 * NANOS));
        check("2026-01-31T13:00:00+01:00", Some(1_769_860_800 * NANOS));
        check("2026-01-31T12:00:00.25Z", Some(1_769_860_800 * NANOS + NANOS / 4));
        for wrong in ["", "now", "-5", "1.x", "99999999999999", "2026-01-31", "NaN", "1e9"] {
            check(wrong, None);
        }
    }

    #[test]
    fn ages_are_read() {
        let now = 1_769_860_800 * NANOS;
        let check = |text: &str, seconds: Option<i64>| {
            assert_eq!(edge("from", text, now).ok(), seconds.map(|age| now - age * NANOS), "{text}");
        };
        check("-10m", Some(600));
        check("-2h", Some(7_200));
        check("-7d", Some(604_800));
        check("-0s", Some(0));
        for wrong in ["-", "-m", "--1m", "-1w", "-1.5h", "-é", "-99999999999d"] {
            check(wrong, None);
        }
    }

    #[test]
    fn widening_reaches_whole_steps() {
        let range = Range { from: 61 * NANOS, to: 119 * NANOS };
        assert_eq!(range.widened(60), Range { from: 60 * NANOS, to: 120 * NANOS });
        assert_eq!(range.widened(60).widened(60), range.widened(60));
        assert_eq!(rfc3339(range.from), "1970-01-01T00:01:01Z");
    }
}
