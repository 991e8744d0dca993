//! Numbers of a search, with their units.

/// More than a century: a longer time is a mistake.
const MAX_NANOS: f64 = 3.2e18;

const TIMES: [(&str, f64); 6] =
    [("ns", 1.0), ("us", 1e3), ("\u{b5}s", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9)];
const SIZES: [(&str, f64); 7] =
    [("kB", 1e3), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("KiB", 1024.0), ("MiB", 1_048_576.0), ("B", 1.0)];

/// A time in nanoseconds; without a unit, it is in milliseconds.
pub(super) fn nanos(text: &str) -> Option<u64> {
    number(text, &TIMES, 1e6).filter(|nanos| *nanos <= MAX_NANOS).map(|nanos| nanos.round() as u64)
}

/// A number of bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    number(text, &SIZES, 1.0).filter(|bytes| *bytes <= u64::MAX as f64).map(|bytes| bytes.round() as u64)
}

fn number(text: &str, units: &[(&str, f64)], default: f64) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => default,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        for (text, expected) in [
            ("500ms", Some(500_000_000)),
            ("500", Some(500_000_000)),
            ("0.5s", Some(500_000_000)),
            ("2m", Some(120_000_000_000)),
            ("7us", Some(7_000)),
            ("", None),
            ("ms", None),
            ("5h", None),
            ("-5", None),
            ("1.2.3", None),
            ("99999999999999999", None),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
        for (text, expected) in
            [("10", Some(10)), ("10kB", Some(10_000)), ("1MiB", Some(1 << 20)), ("1x", None)]
        {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
