//! `compare`: the stretch of time before, whose counts stand beside those of a question's range.

use super::params::Params;
use super::range::{self, Range};
use crate::error::QueryError;

/// The name of the parameter.
pub(super) const NAME: &str = "compare";

const DAY_SECONDS: i64 = 24 * 3600;
const HALF_HOUR_SECONDS: i64 = 1800;
const MINUTE_SECONDS: i64 = 60;

/// What a range is compared with: a stretch of the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// The stretch that ends where the range begins.
    Previous,
    /// The stretch this many seconds earlier.
    Earlier(i64),
    /// The stretch that begins at a time, in Unix nanoseconds.
    From(i64),
}

impl Compare {
    /// Reads the parameter; `now` is in Unix nanoseconds.
    pub(super) fn read(params: &Params, now: i64) -> Result<Option<Self>, QueryError> {
        let Some(text) = params.one(NAME)? else { return Ok(None) };
        Ok(Some(match text {
            "previous" => Self::Previous,
            "day" => Self::Earlier(DAY_SECONDS),
            "week" => Self::Earlier(7 * DAY_SECONDS),
            start => Self::From(range::edge(NAME, start, now).map_err(|_| {
                let message = format!(
                    "compare must be previous, day, week, or the start of the stretch to compare with, such as \
                     2026-01-31T12:00:00Z, 1769860800 or -2h, not {start:?}"
                );
                QueryError::parameter(NAME, message)
            })?),
        }))
    }

    /// A range and the stretch before for an answer in one piece. Where the stretch reaches beyond the first minute that is
    /// kept (`since`, Unix nanoseconds), both are widened to half hours, so that they keep the same length.
    pub(super) fn sides(self, range: Range, since: i64) -> (Range, Range) {
        let before = self.before(range, MINUTE_SECONDS);
        if before.from.min(range.from) >= since {
            return (range, before);
        }
        let range = range.widened(HALF_HOUR_SECONDS);
        (range, self.before(range, HALF_HOUR_SECONDS))
    }

    /// The stretch before for an answer in steps of this many seconds. A step of half hours must begin at one.
    pub(super) fn before_in_steps(self, range: Range, step: i64) -> Range {
        let unit = if step % HALF_HOUR_SECONDS == 0 { HALF_HOUR_SECONDS } else { MINUTE_SECONDS };
        self.before(range, unit)
    }

    /// The stretch before, which begins at a multiple of `unit` seconds if the range does.
    fn before(self, range: Range, unit: i64) -> Range {
        match self {
            Self::Previous => range.earlier(range.seconds()),
            Self::Earlier(seconds) => range.earlier(seconds),
            Self::From(start) => {
                let start = Range { from: start, to: start }.widened(unit).from;
                Range { from: start, to: start.saturating_add(range.to.saturating_sub(range.from)) }
            }
        }
    }
}

/// The error where gateways matter, and are known only since a time in Unix nanoseconds.
pub(super) fn unknown_gateways(since: i64) -> QueryError {
    let message = format!(
        "gateways are known since {} only: compare later stretches, or leave the gateway out of the question",
        range::rfc3339(since)
    );
    QueryError::TooMuch { field: NAME, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn read(text: &str) -> Result<Option<Compare>, QueryError> {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(NAME, text).finish();
        Compare::read(&Params::parse(Some(&query), &[NAME])?, 1_000_000 * SECOND)
    }

    #[test]
    fn the_stretch_before_is_as_long_as_the_range() {
        let check = |text: &str, since: i64, range: (i64, i64), expected: ((i64, i64), (i64, i64))| {
            let compare = read(text).unwrap().unwrap();
            let range = Range { from: range.0 * SECOND, to: range.1 * SECOND };
            let (range, before) = compare.sides(range, since * SECOND);
            let seconds = |range: Range| (range.from / SECOND, range.to / SECOND);
            assert_eq!((seconds(range), seconds(before)), expected, "{text}");
        };
        check("previous", 0, (864_060, 864_180), ((864_060, 864_180), (863_940, 864_060)));
        check("day", 0, (864_060, 864_180), ((864_060, 864_180), (777_660, 777_780)));
        check("week", 0, (864_060, 864_180), ((864_060, 864_180), (259_260, 259_380)));
        check("600061", 0, (864_060, 864_180), ((864_060, 864_180), (600_060, 600_180)));
        check("-1000s", 0, (999_960, 1_000_020), ((999_960, 1_000_020), (999_000, 999_060)));
        // Minutes before 864000 have expired.
        check("day", 864_000, (864_060, 864_180), ((864_000, 865_800), (777_600, 779_400)));
        check("600061", 864_000, (864_060, 864_180), ((864_000, 865_800), (599_400, 601_200)));
        check("previous", 864_000, (865_860, 867_600), ((865_860, 867_600), (864_120, 865_860)));
    }

    #[test]
    fn steps_of_half_hours_begin_at_half_hours() {
        let range = Range { from: 864_000 * SECOND, to: 867_600 * SECOND };
        let check = |text: &str, step: i64, expected: i64| {
            let before = read(text).unwrap().unwrap().before_in_steps(range, step);
            assert_eq!((before.from / SECOND, before.seconds()), (expected, 3600), "{text} {step}");
        };
        check("600061", 60, 600_060);
        check("600061", 1800, 599_400);
        check("previous", 60, 860_400);
    }

    #[test]
    fn other_words_are_refused() {
        assert_eq!(read("").unwrap(), None);
        for wrong in ["yesterday", "Day", "2026-01-31"] {
            let message = read(wrong).unwrap_err().to_string();
            assert!(message.starts_with("compare must be previous, day, week, or the start"), "{message}");
        }
    }
}
