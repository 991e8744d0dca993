//! Inference: a path's identifiers replaced by their kind.

use crate::MAX_ROUTE_BYTES;
use gatelens_model::value::UNMATCHED;

/// Maximum number of segments of an inferred route; a deeper path ends in `{rest}`.
const MAX_SEGMENTS: usize = 24;

/// Maximum bytes of a literal segment; a longer one counts as an identifier.
const MAX_LITERAL_BYTES: usize = 64;

/// The kind of identifier that replaces a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inferred {
    /// RFC 9562, in its 8-4-4-4-12 form.
    Uuid,
    /// Decimal digits, with an optional sign and one decimal point.
    Number,
    /// `2024-05-17`, with or without a time of day behind a `T`.
    Date,
    /// Sixteen or more hexadecimal digits with a letter and a digit among them: object ids, hashes.
    Hex,
    /// Crockford base 32 of 26 characters.
    Ulid,
    /// Text with an `@` and a dot after it.
    Email,
    /// Anything else that nobody would write by hand: long with digits and letters mixed, over-long, or no text.
    Token,
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
        }
    }

    /// The kind of a segment; `None` for a literal.
    pub fn of(segment: &[u8]) -> Option<Self> {
        if segment.is_empty() {
            return None;
        }
        // The common case, an ordinary word, takes one pass over the bytes.
        let has_digit = segment.iter().any(u8::is_ascii_digit);
        let plain = segment.iter().all(|byte| byte.is_ascii_graphic());
        if !plain || segment.len() > MAX_LITERAL_BYTES {
            return Some(if is_email(segment) { Inferred::Email } else { Inferred::Token });
        }
        if !has_digit {
            return is_email(segment).then_some(Inferred::Email);
        }
        if is_number(segment) {
            Some(Inferred::Number)
        } else if is_uuid(segment) {
            Some(Inferred::Uuid)
        } else if is_date(segment) {
            Some(Inferred::Date)
        } else if is_long_hex(segment) {
            Some(Inferred::Hex)
        } else if is_ulid(segment) {
            Some(Inferred::Ulid)
        } else if is_email(segment) {
            Some(Inferred::Email)
        } else if is_token(segment) {
            Some(Inferred::Token)
        } else {
            None
        }
    }
}

/// Writes the inferred route of a path (without query) into `out`.
pub fn infer(path: &[u8], out: &mut String) {
    out.clear();
    let Some(rest) = path.strip_prefix(b"/") else {
        out.push_str(if path == b"*" { "*" } else { UNMATCHED });
        return;
    };
    for (index, segment) in rest.split(|byte| *byte == b'/').enumerate() {
        out.push('/');
        if index >= MAX_SEGMENTS {
            out.push_str("{rest}");
            break;
        }
        match (Inferred::of(segment), std::str::from_utf8(segment)) {
            (None, Ok(literal)) => out.push_str(literal),
            (Some(kind), _) => out.push_str(kind.placeholder()),
            (None, Err(_)) => out.push_str(Inferred::Token.placeholder()),
        }
    }
    if out.len() > MAX_ROUTE_BYTES {
        out.clear();
        out.push_str(UNMATCHED);
    }
}

fn is_number(segment: &[u8]) -> bool {
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

fn is_email(segment: &[u8]) -> bool {
    let at = segment.iter().position(|byte| *byte == b'@');
    let domain = at.filter(|at| *at > 0).and_then(|at| segment.get(at.saturating_add(1)..));
    domain.is_some_and(|domain| domain.contains(&b'.') && !domain.contains(&b'@'))
}

fn is_token(segment: &[u8]) -> bool {
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    let upper = segment.iter().any(u8::is_ascii_uppercase);
    let lower = segment.iter().any(u8::is_ascii_lowercase);
    let alphabet = segment.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_=.~+".contains(byte));
    alphabet
        && segment.len() >= 20
        && digits >= 3
        && (upper && lower || digits.saturating_mul(4) >= segment.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identifiers_are_replaced_and_words_stay() {
        let check = |path: &str, route: &str| {
            let mut out = String::from("old");
            infer(path.as_bytes(), &mut out);
            assert_eq!(out, route, "{path}");
        };
        check("/", "/");
        check("/users", "/users");
        check("/users/", "/users/");
        check("/users/42", "/users/{number}");
        check("/users/-42/1.5", "/users/{number}/{number}");
        check("/v1/items/7/parts", "/v1/items/{number}/parts");
        check("/orders/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "/orders/{uuid}");
        check("/orders/3F2504E0-4F89-41D3-9A0C-0305E82C3301", "/orders/{uuid}");
        check("/o/507f1f77bcf86cd799439011", "/o/{hex}");
        check("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{ulid}");
        check("/d/2024-05-17/x", "/d/{date}/x");
        check("/u/ann@example.com", "/u/{email}");
        check("/t/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/t/{token}");
        check("/api/oauth2/callback-v2", "/api/oauth2/callback-v2");
        check("/deadbeef/feedback", "/deadbeef/feedback");
        check("/docs/getting-started-with-the-api-in-2024", "/docs/getting-started-with-the-api-in-2024");
        check("*", "*");
        check("", UNMATCHED);
        check("relative", UNMATCHED);
        check("//double", "//double");
        check(&format!("/{}", "a".repeat(65)), "/{token}");
        check(&"/a".repeat(30), &format!("{}/{{rest}}", "/a".repeat(24)));
        check("/caf\u{e9}", "/{token}");
    }

    proptest! {
        #[test]
        fn any_path_has_a_bounded_route(path in prop::collection::vec(any::<u8>(), 0..9000)) {
            let mut out = String::new();
            infer(&path, &mut out);
            prop_assert!(!out.is_empty() && out.len() <= MAX_ROUTE_BYTES);
        }

        #[test]
        fn every_number_and_uuid_is_recognised(number in any::<u64>(), uuid in any::<u128>()) {
            prop_assert_eq!(Inferred::of(number.to_string().as_bytes()), Some(Inferred::Number));
            let hex = format!("{uuid:032x}");
            let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
            // A UUID without any decimal digit does not occur in practice and may stay a word.
            prop_assume!(uuid.bytes().any(|b| b.is_ascii_digit()));
            prop_assert_eq!(Inferred::of(uuid.as_bytes()), Some(Inferred::Uuid));
        }
    }
}
