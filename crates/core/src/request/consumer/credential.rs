//! The parts of credentials that name somebody: the user of basic authentication, a claim of a bearer token, a cookie, a
//! parameter of the query.

use std::borrow::Cow;

use gatelens_model::percent;
use serde_json::Value;

use crate::host::HeaderMap;

/// Longest `authorization` header that is decoded, bytes. Envoy's own bound for all headers is 60 KiB.
const MAX_AUTHORIZATION: usize = 16_384;

/// The first value of a header, whose name must be in lower case; trimmed. `None` if it is absent or blank.
pub(super) fn header<'a>(headers: &'a impl HeaderMap, lower: &str) -> Option<&'a [u8]> {
    let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(lower.as_bytes()))?;
    present(value)
}

/// An API key in a header. `authorization` also has a scheme, which is not a part of the key.
pub(super) fn api_key<'a>(headers: &'a impl HeaderMap, lower: &str) -> Option<&'a [u8]> {
    let value = header(headers, lower)?;
    match lower {
        "authorization" => scheme_and_credentials(value).map_or(Some(value), |(_, key)| present(key)),
        _ => Some(value),
    }
}

/// The user of HTTP basic authentication (RFC 7617).
///
/// Services whose API key stands in place of the user leave the password empty: such a user is only given with
/// [`Secrecy::Kept`].
pub(super) fn basic_user(headers: &impl HeaderMap, secrecy: Secrecy) -> Option<Vec<u8>> {
    let mut decoded = base64(credentials(headers, "basic")?)?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    if secrecy == Secrecy::Lost && decoded.len() == colon.saturating_add(1) {
        return None;
    }
    decoded.truncate(colon);
    Some(decoded)
}

/// Whether a value leaves the gateway as a pseudonym or in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    Kept,
    Lost,
}

/// A claim of a bearer token (RFC 7519), whose signature is not verified.
pub(super) fn bearer_claim(headers: &impl HeaderMap, claim: &str) -> Option<Vec<u8>> {
    let token = credentials(headers, "bearer")?;
    let mut parts = token.split(|byte| *byte == b'.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload: Value = serde_json::from_slice(&base64(payload)?).ok()?;
    name_in(payload.get(claim)?)
}

/// A text, a number, or the first of these in a list. Nothing else names somebody.
fn name_in(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Array(list) => match list.first()? {
            nested @ (Value::String(_) | Value::Number(_)) => name_in(nested),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

/// A cookie (RFC 6265). Of several with the same name the first one counts.
pub(super) fn cookie<'a>(headers: &'a impl HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lists = headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(b"cookie"));
    let value = lists.flat_map(|(_, list)| list.split(|byte| *byte == b';')).find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = pair.split_at_checked(equals)?;
        (found.trim_ascii() == name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })?;
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    present(unquoted.unwrap_or(value))
}

/// A parameter of the query, decoded. Of several with the same name the first one counts.
pub(super) fn parameter(query: &[u8], name: &str) -> Option<Vec<u8>> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let found = decoded(parts.next()?);
        (*found == *name.as_bytes()).then(|| decoded(parts.next().unwrap_or_default()).into_owned())
    })
}

/// The credentials of `authorization` under this scheme.
fn credentials<'a>(headers: &'a impl HeaderMap, scheme: &str) -> Option<&'a [u8]> {
    let value = header(headers, "authorization").filter(|value| value.len() <= MAX_AUTHORIZATION)?;
    let (found, credentials) = scheme_and_credentials(value)?;
    found.eq_ignore_ascii_case(scheme.as_bytes()).then_some(credentials)
}

fn scheme_and_credentials(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, credentials) = value.split_at_checked(blank)?;
    Some((scheme, credentials.trim_ascii()))
}

fn present(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    (!value.is_empty()).then_some(value)
}

/// Percent-encoding and `+` undone. What is not percent-encoding stays.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent::decoded(text);
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent::decoded(&spaced).into_owned().into()
}

/// Base64 in either alphabet (RFC 4648), with or without padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0u32, 0u32);
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last.saturating_add(1));
    for byte in text.get(..end)? {
        let value = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held = held.saturating_add(6);
        if held >= 8 {
            held = held.saturating_sub(8);
            out.extend((bits >> held).to_le_bytes().first());
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pairs::Pairs;
    use proptest::prelude::*;

    fn with(name: &str, value: &str) -> Pairs {
        Pairs::encode(&[(":path", "/"), (name, value)])
    }

    #[test]
    fn only_the_user_of_basic_authentication_is_read() {
        let check = |value: &str, secrecy: Secrecy, user: Option<&str>| {
            let found = basic_user(&with("Authorization", value), secrecy);
            assert_eq!(found.as_deref(), user.map(str::as_bytes), "{value}");
        };
        check("Basic YW5uOnMzY3JldA==", Secrecy::Lost, Some("ann"));
        check("basic  YW5uOnMzY3JldA", Secrecy::Lost, Some("ann"));
        check("Basic YW5uOmE6Yg==", Secrecy::Lost, Some("ann"));
        // A key in place of the user: `sk_live_1:`.
        check("Basic c2tfbGl2ZV8xOg==", Secrecy::Lost, None);
        check("Basic c2tfbGl2ZV8xOg==", Secrecy::Kept, Some("sk_live_1"));
        // Without a colon it is not a user.
        check("Basic dG9rZW4=", Secrecy::Kept, None);
        check("Basic %%%", Secrecy::Kept, None);
        check("Basic", Secrecy::Kept, None);
        check("Bearer YW5uOnMzY3JldA==", Secrecy::Kept, None);
    }

    #[test]
    fn a_claim_of_any_type_is_read_or_passed_over() {
        use std::fmt::Write;
        let check = |payload: &str, name: Option<&str>| {
            let mut token = String::from("Bearer e30.");
            for chunk in payload.as_bytes().chunks(3) {
                let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
                    << (8 * (3 - chunk.len()));
                for index in 0..=chunk.len() {
                    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                    write!(token, "{}", char::from(alphabet[(bits >> (18 - 6 * index) & 63) as usize]))
                        .unwrap();
                }
            }
            token.push_str(".c2ln");
            let found = bearer_claim(&with("authorization", &token), "sub");
            assert_eq!(found.as_deref(), name.map(str::as_bytes), "{payload}");
        };
        check(r#"{"sub": "ann"}"#, Some("ann"));
        check(r#"{"sub": "é\u0000"}"#, Some("é\0"));
        check(r#"{"sub": 42}"#, Some("42"));
        check(r#"{"sub": ["a", "b"]}"#, Some("a"));
        check(r#"{"sub": [["a"]]}"#, None);
        check(r#"{"sub": []}"#, None);
        check(r#"{"sub": {"a": 1}}"#, None);
        check(r#"{"sub": true}"#, None);
        check(r#"{"sub": null}"#, None);
        check(r#"{"user": "ann"}"#, None);
        check("[1]", None);
        check("{", None);
        check(&"[".repeat(5_000), None);
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        let check = |list: &str, value: Option<&str>| {
            assert_eq!(cookie(&with("cookie", list), "uid"), value.map(str::as_bytes), "{list}");
        };
        check("uid=7", Some("7"));
        check("a=b; uid = \"7=8\" ; uid=9", Some("7=8"));
        check("xuid=7; UID=8; uid", None);
        check("uid=", None);
        check("uid=\"", Some("\""));
    }

    #[test]
    fn a_parameter_is_decoded() {
        let check = |query: &str, value: Option<&str>| {
            assert_eq!(parameter(query.as_bytes(), "key").as_deref(), value.map(str::as_bytes), "{query}");
        };
        check("a=b&key=s%2Fx+y&key=z", Some("s/x y"));
        check("k%65y=7", Some("7"));
        check("key=%zz%4", Some("%zz%4"));
        check("key", Some(""));
        check("akey=7", None);
    }

    #[test]
    fn the_scheme_is_no_part_of_a_key() {
        assert_eq!(api_key(&with("authorization", "Bearer  k1"), "authorization"), Some(&b"k1"[..]));
        assert_eq!(api_key(&with("authorization", "k1"), "authorization"), Some(&b"k1"[..]));
        assert_eq!(api_key(&with("X-Api-Key", " a b "), "x-api-key"), Some(&b"a b"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(value in any::<Vec<u8>>()) {
            let bearer = [b"Bearer ", &value[..]].concat();
            let basic = [b"Basic ", &value[..]].concat();
            for value in [&value, &bearer, &basic] {
                let headers = Pairs::encode(&[("authorization", value), ("cookie", value)]);
                bearer_claim(&headers, "sub");
                basic_user(&headers, Secrecy::Kept);
                cookie(&headers, "uid");
                parameter(value, "key");
            }
        }
    }
}
