//! The kinds of identifiers that a whole segment can be.

use super::random::is_random;
use super::{Classes, opaque, vocabulary};

/// The kind of identifier that replaces a segment, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inferred {
    /// RFC 9562, in its 8-4-4-4-12 form.
    Uuid,
    /// Decimal digits, with an optional sign and one decimal point.
    Number,
    /// `2024-05-17`, with or without a time of day behind a `T`.
    Date,
    /// Hexadecimal digits with letters and digits among them: object ids, hashes, short hashes of seven and more.
    Hex,
    /// Crockford base 32 of 26 characters.
    Ulid,
    /// Text with an `@` and a dot after it.
    Email,
    /// Anything else that nobody would write by hand: letters and digits mixed, over-long, encoded, or no text.
    Token,
    /// A word with an identifier behind it: `cus_NffrFeUfNV2Hib`, `PROJ-1234`, `user-7029`.
    Id,
    /// An IPv4 or IPv6 address.
    Ip,
    /// Six pairs of hexadecimal digits between colons or dashes, or three groups of four between dots.
    Mac,
    /// Two or three numbers between commas, with a decimal point.
    Coordinates,
    /// Ten or thirteen digits in four or five groups.
    Isbn,
    /// Three or more numbers between dots: `1.2.3`, `v1.2.3-rc.1`.
    Version,
    /// A language with a script or region: `en-US`, `zh-Hans-CN`.
    Locale,
    /// Several values between commas.
    List,
    /// Two names with dots between them: `main...feature`.
    Range,
    /// A user's name behind `@` or `~`.
    Handle,
    /// The key in `Customers('ALFKI')`, where it is neither a number nor a UUID.
    Key,
    /// The value of a matrix parameter: `;colour=red`.
    Value,
    /// A value at a place that is learned from traffic.
    Param,
}

impl Inferred {
    /// The placeholder in the route.
    pub fn placeholder(self) -> &'static str {
        match self {
            Inferred::Uuid => "{uuid}",
            Inferred::Number => "{number}",
            Inferred::Date => "{date}",
            Inferred::Hex => "{hex}",
            Inferred::Ulid => "{ulid}",
            Inferred::Email => "{email}",
            Inferred::Token => "{token}",
            Inferred::Id => "{id}",
            Inferred::Ip => "{ip}",
            Inferred::Mac => "{mac}",
            Inferred::Coordinates => "{coordinates}",
            Inferred::Isbn => "{isbn}",
            Inferred::Version => "{version}",
            Inferred::Locale => "{locale}",
            Inferred::List => "{list}",
            Inferred::Range => "{range}",
            Inferred::Handle => "{handle}",
            Inferred::Key => "{key}",
            Inferred::Value => "{value}",
            Inferred::Param => "{param}",
        }
    }

    /// The kind of a text of visible ASCII characters; `None` for a word.
    pub(super) fn of(text: &str, classes: Classes) -> Option<Self> {
        let bytes = text.as_bytes();
        if !classes.has(Classes::DIGIT) {
            return opaque::letters(text, classes);
        }
        if is_number(bytes) {
            Some(Inferred::Number)
        } else if is_uuid(bytes) {
            Some(Inferred::Uuid)
        } else if is_date(bytes) {
            Some(Inferred::Date)
        } else if is_long_hex(bytes) {
            Some(Inferred::Hex)
        } else if is_ulid(bytes) {
            Some(Inferred::Ulid)
        } else if is_mac(bytes) {
            Some(Inferred::Mac)
        } else if is_ip(text) {
            Some(Inferred::Ip)
        } else if is_version(text) {
            Some(Inferred::Version)
        } else if opaque::is_prefixed(text) {
            Some(Inferred::Id)
        } else if is_token(text) {
            Some(Inferred::Token)
        } else if is_isbn(bytes) {
            Some(Inferred::Isbn)
        } else if is_coordinates(text) {
            Some(Inferred::Coordinates)
        } else if classes.has(Classes::RESERVED) {
            None
        } else {
            opaque::mixed(text)
        }
    }
}

pub(super) fn is_number(segment: &[u8]) -> bool {
    let digits = segment.strip_prefix(b"-").or(segment.strip_prefix(b"+")).unwrap_or(segment);
    let points = digits.iter().filter(|byte| **byte == b'.').count();
    points <= 1
        && digits.first().is_some_and(u8::is_ascii_digit)
        && digits.last().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_date(segment: &[u8]) -> bool {
    let Some((date, time)) = segment.split_first_chunk::<10>() else { return false };
    let dashed = date.iter().enumerate().all(|(position, byte)| match position {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    dashed && (time.is_empty() || time.first() == Some(&b'T'))
}

fn is_long_hex(segment: &[u8]) -> bool {
    segment.len() >= 16 && segment.iter().all(u8::is_ascii_hexdigit)
}

fn is_ulid(segment: &[u8]) -> bool {
    let crockford = |byte: &u8| byte.is_ascii_alphanumeric() && !b"ILOUilou".contains(byte);
    segment.len() == 26 && matches!(segment.first(), Some(b'0'..=b'7')) && segment.iter().all(crockford)
}

pub(super) fn is_email(segment: &[u8]) -> bool {
    let at = segment.iter().position(|byte| *byte == b'@');
    let domain = at.filter(|at| *at > 0).and_then(|at| segment.get(at.saturating_add(1)..));
    domain.is_some_and(|domain| domain.contains(&b'.') && !domain.contains(&b'@'))
}

fn is_token(text: &str) -> bool {
    let segment = text.as_bytes();
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    let upper = segment.iter().any(u8::is_ascii_uppercase);
    let lower = segment.iter().any(u8::is_ascii_lowercase);
    let alphabet = segment.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_=.~+".contains(byte));
    alphabet
        && segment.len() >= 20
        && digits >= 3
        && (upper && lower && is_random(text) || digits.saturating_mul(4) >= segment.len())
}

/// Six pairs between colons or dashes, or three groups of four between dots, as switches print them.
fn is_mac(segment: &[u8]) -> bool {
    let is_divided = |length: usize, group: usize, between: &[u8]| {
        let separator = segment.get(group).filter(|byte| between.contains(byte));
        let places = group.saturating_add(1);
        segment.len() == length
            && separator.is_some()
            && segment.chunks(places).all(|chunk| match chunk.split_at_checked(group) {
                Some((digits, rest)) => {
                    digits.iter().all(u8::is_ascii_hexdigit)
                        && rest.first().is_none_or(|byte| Some(byte) == separator)
                }
                None => false,
            })
    };
    is_divided(17, 2, b":-") || is_divided(14, 4, b".")
}

fn is_ip(text: &str) -> bool {
    // The parser is asked only where the text can be an address.
    text.bytes().filter(|byte| matches!(byte, b'.' | b':')).count() >= 2
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
        && text.parse::<std::net::IpAddr>().is_ok()
}

fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() >= 3 && core.split('.').all(number)
}

fn is_isbn(segment: &[u8]) -> bool {
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    let dashes = segment.iter().filter(|byte| **byte == b'-').count();
    let check = usize::from(segment.last() == Some(&b'X'));
    let characters = digits.saturating_add(check);
    characters.saturating_add(dashes) == segment.len()
        && segment.first() != Some(&b'-')
        && matches!((characters, dashes), (10, 3) | (13, 4))
}

fn is_coordinates(text: &str) -> bool {
    text.contains('.')
        && matches!(text.split(',').count(), 2 | 3)
        && text.split(',').all(|number| is_number(number.as_bytes()))
}

/// BCP 47 in the forms that stand in paths: a language with a region, a script, or both.
pub(super) fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let (Some(language), Some(second), third, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_language = language.len() == 2 && language.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_region = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_script = |part: &str| match part.as_bytes() {
        [first, rest @ ..] => {
            rest.len() == 3 && first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_lowercase)
        }
        [] => false,
    };
    is_language
        && match third {
            Some(third) => is_script(second) && is_region(third),
            None => {
                is_region(second)
                    || vocabulary::is_script(second) && is_script(second)
                    || vocabulary::is_language(language) && vocabulary::is_region(second)
            }
        }
}
