//! Values with a unit: days, and bytes on disk.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

const DAYS: RangeInclusive<u64> = 1..=3650;

/// Suffixes of sizes and their factors.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Whole days, 1 to 3,650.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u32);

/// Bytes, written as a number with or without a unit: `20GiB`, `500 MB`, `1.5TiB`, `1048576`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// A number of bytes.
    pub(crate) const fn of(bytes: u64) -> Self {
        Self(bytes)
    }
}

/// A value that is not of its unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number of days.
    #[error("{0} is not in 1..=3650; write a whole number of days")]
    Days(String),
    /// Not a size.
    #[error("`{0}` is not a size; write a number with a unit, such as 20GiB or 500MB")]
    Size(String),
}

impl Days {
    /// `days`, which the caller knows to be within the bounds.
    pub(super) const fn new(days: u32) -> Self {
        Self(days)
    }

    /// As a time span.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 24 * 3600)
    }

    fn checked(days: u64) -> Option<Self> {
        u32::try_from(days).ok().filter(|_| DAYS.contains(&days)).map(Self)
    }
}

impl FromStr for Days {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let days = text.parse().ok().and_then(Self::checked);
        days.ok_or_else(|| UnitError::Days(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Days;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of days, 1 to 3650")
            }

            fn visit_u64<E: Error>(self, days: u64) -> Result<Days, E> {
                Days::checked(days).ok_or_else(|| E::custom(UnitError::Days(days.to_string())))
            }

            fn visit_i64<E: Error>(self, days: i64) -> Result<Days, E> {
                Err(E::custom(UnitError::Days(days.to_string())))
            }
        }
        deserializer.deserialize_u32(Whole)
    }
}

impl Size {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Size(text.to_owned());
        let trimmed = text.trim();
        let is_unit = |unit: &str| {
            trimmed
                .len()
                .checked_sub(unit.len())
                .and_then(|at| trimmed.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(unit))
        };
        let (number, factor) = match UNITS.iter().find(|(unit, _)| is_unit(unit)) {
            Some((unit, factor)) => (&trimmed[..trimmed.len() - unit.len()], *factor),
            None => (trimmed, 1),
        };
        let number = number.trim();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = |digits: &str| digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(fraction) || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let bytes = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(factor));
        let part = match fraction {
            "" => 0,
            digits => {
                let scale = 10u128.pow(digits.len() as u32);
                let digits: u128 = digits.parse().map_err(|_| wrong())?;
                u64::try_from(digits * u128::from(factor) / scale).map_err(|_| wrong())?
            }
        };
        bytes.and_then(|bytes| bytes.checked_add(part)).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS[..4].iter().rev().find(|(_, factor)| self.0 >= *factor);
        match fitting {
            Some((unit, factor)) if self.0.is_multiple_of(*factor) => {
                write!(f, "{} {unit}", self.0 / factor)
            }
            Some((unit, factor)) => write!(f, "{:.1} {unit}", self.0 as f64 / *factor as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 20GiB")
            }

            fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Bytes)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Days {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Days".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": DAYS.start(), "maximum": DAYS.end()})
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = r"^ *[0-9]+(\.[0-9]{1,9})? *([KkMmGgTt][Ii]?)?[Bb]? *$";
        schemars::json_schema!({"type": ["string", "integer"], "pattern": pattern, "minimum": 0})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(text.parse().ok().map(Size::bytes), expected, "{text}")
        };
        check("20GiB", Some(20 << 30));
        check("20 gib", Some(20 << 30));
        check("500MB", Some(500_000_000));
        check("1.5TiB", Some(3 << 39));
        check("0.001kB", Some(1));
        check("1048576", Some(1 << 20));
        check("7B", Some(7));
        for wrong in [
            "",
            "GiB",
            "-1GiB",
            "20Gi",
            "1e9",
            "1.GiBB",
            "99999999999TiB",
            "1 2MB",
            "½GiB",
            "1.1234567891GiB",
        ] {
            check(wrong, None);
        }
        assert_eq!(Size(20 << 30).to_string(), "20 GiB");
        assert_eq!(Size(1_500_000_000).to_string(), "1.4 GiB");
        assert_eq!(Size(12).to_string(), "12 B");
    }

    #[test]
    fn days_have_bounds() {
        let check = |text: &str, expected: Option<u64>| {
            let days = text.parse::<Days>().ok().map(|days| days.duration().as_secs() / 86_400);
            assert_eq!(days, expected, "{text}");
        };
        check("1", Some(1));
        check("3650", Some(3650));
        for wrong in ["0", "3651", "-1", "1.5", "", "99999999999999999999"] {
            check(wrong, None);
        }
    }
}
