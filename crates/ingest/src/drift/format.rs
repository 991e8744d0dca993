//! Types of JSON values, and formats of strings by strict tests of their own: what a test takes is of the format, and what
//! is odd is plain text.

use gatelens_redact::MASK;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A text beyond this many bytes has no format.
const MAX_BYTES: usize = 2_048;

/// The type of a value, as JSON Schema names it, or the format of a string, as OpenAPI names it.
///
/// Its number is stored, so that a number once given stays with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    Null = 0,
    Boolean = 1,
    Integer = 2,
    Number = 3,
    String = 4,
    Object = 5,
    Array = 6,
    /// A text without a known format.
    Plain = 8,
    Uuid = 9,
    DateTime = 10,
    Date = 11,
    Time = 12,
    Email = 13,
    Uri = 14,
    Ipv4 = 15,
    Ipv6 = 16,
    /// Redaction has taken the value, and its type with it.
    Masked = 17,
}

impl Kind {
    pub(crate) const TYPES: [Self; 7] =
        [Self::Null, Self::Boolean, Self::Integer, Self::Number, Self::String, Self::Object, Self::Array];
    pub(crate) const FORMATS: [Self; 10] = [
        Self::Plain,
        Self::Uuid,
        Self::DateTime,
        Self::Date,
        Self::Time,
        Self::Email,
        Self::Uri,
        Self::Ipv4,
        Self::Ipv6,
        Self::Masked,
    ];

    /// The name in answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Object => "object",
            Self::Array => "array",
            Self::Plain => "plain",
            Self::Uuid => "uuid",
            Self::DateTime => "date-time",
            Self::Date => "date",
            Self::Time => "time",
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Masked => "masked",
        }
    }

    /// The type of a value; `None` where it is masked.
    pub(crate) fn type_of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(text) if text == MASK => return None,
            Value::String(_) => Self::String,
            Value::Object(_) => Self::Object,
            Value::Array(_) => Self::Array,
        })
    }

    /// The format of a string; `None` for an empty one, which has none and is no plain text either.
    pub(crate) fn format_of(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if text == MASK {
            return Some(Self::Masked);
        }
        if text.len() > MAX_BYTES {
            return Some(Self::Plain);
        }
        let found = TESTS.iter().find(|(_, is_of)| is_of(text));
        Some(found.map_or(Self::Plain, |(format, _)| *format))
    }
}

type Test = (Kind, fn(&str) -> bool);

const TESTS: [Test; 8] = [
    (Kind::Uuid, is_uuid),
    (Kind::DateTime, is_date_time),
    (Kind::Date, is_date),
    (Kind::Time, is_time),
    (Kind::Email, is_email),
    (Kind::Uri, is_uri),
    (Kind::Ipv4, |text| text.parse::<Ipv4Addr>().is_ok()),
    (Kind::Ipv6, |text| text.contains(':') && text.parse::<Ipv6Addr>().is_ok()),
];

/// RFC 9562, section 4.
fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    text.len() == 36
        && text
            .split('-')
            .map(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(group.len()))
            .eq(lengths.map(Some))
}

/// RFC 3339, section 5.6: `full-date "T" full-time`. A space in place of `T` is allowed there, too.
fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    let mut rest = rest.chars();
    is_date(date) && matches!(rest.next(), Some('T' | 't' | ' ')) && is_time(rest.as_str())
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && numbers(text, '-', [4, 2, 2]) && text.parse::<jiff::civil::Date>().is_ok()
}

/// `full-time` of RFC 3339: with an offset.
fn is_time(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else { return false };
    let in_range = |clock: &str| {
        let parts: Vec<u8> = clock.split(':').filter_map(|part| part.parse().ok()).collect();
        matches!(parts.as_slice(), [0..=23, 0..=59, 0..=60])
    };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let has_fraction = !rest.starts_with('.') || offset.len() + 1 < rest.len();
    let is_offset = match offset.strip_prefix(['+', '-']) {
        Some(hours) => numbers(hours, ':', [2, 2]),
        None => matches!(offset, "Z" | "z"),
    };
    numbers(clock, ':', [2, 2, 2]) && in_range(clock) && has_fraction && is_offset
}

/// Whether a text is groups of so many digits.
fn numbers<const N: usize>(text: &str, separator: char, lengths: [usize; N]) -> bool {
    text.split(separator)
        .map(|group| group.bytes().all(|byte| byte.is_ascii_digit()).then_some(group.len()))
        .eq(lengths.map(Some))
}

/// The common part of RFC 5321: a dot-string, and a domain of at least two labels.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 254
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

/// RFC 3986 with an authority. `mailto:` and `urn:` look too much like prefixed identifiers.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_of_scheme)
        && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && rest.chars().all(|c| c.is_ascii_graphic() && !"<>\"\\^`".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_strictly() {
        let check = |format: &str, texts: &[&str]| {
            for text in texts {
                let found = Kind::format_of(text).map(Kind::name);
                assert_eq!(found, Some(format), "{text}");
            }
        };
        check("uuid", &["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"]);
        check(
            "date-time",
            &["2026-11-22T09:00:00Z", "2026-11-22t09:00:00.123456+01:00", "2026-11-22 23:59:60z"],
        );
        check("date", &["2026-11-22", "2024-02-29"]);
        check("time", &["09:00:00Z", "23:59:59.5-08:00"]);
        check("email", &["a.b+c@example.com"]);
        check("uri", &["https://example.com/a?b=c#d", "s3://bucket/key", "http://[::1]/"]);
        check("ipv4", &["127.0.0.1"]);
        check("ipv6", &["::1", "2001:db8::8a2e:370:7334"]);
        check("masked", &["[CLIENT_REDACTED]"]);
        check(
            "plain",
            &[
                " ",
                "é",
                "2026-02-30",
                "2026-11-22T09:00:00",
                "2026-11-22T24:00:00Z",
                "2026-11-22T09:00:00.Z",
                "09:00",
                "123e4567e89b12d3a456426614174000",
                "123e4567-e89b-12d3-a456-42661417400g",
                "a@b",
                "a@b@example.com",
                ".a@example.com",
                "a@-example.com",
                "urn:isbn:1",
                "https://",
                "https://a b",
                "1.2.3",
                "256.1.1.1",
                "::g",
                "20é26-11-2",
            ],
        );
        check("plain", &[&"x".repeat(MAX_BYTES + 1)]);
        assert_eq!(Kind::format_of(""), None);
    }
}
