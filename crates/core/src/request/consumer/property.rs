//! A value of Envoy's dynamic metadata, which arrives without its type.
//!
//! Envoy hands over a text as its bytes, a number as a little-endian double, a boolean as one byte, and a list or an object
//! in the encoding of header maps: a list as pairs whose second halves are empty, an object as names and values.

use crate::host::pairs::Pairs;

/// Integers up to this bound are exact in a double.
const MAX_INTEGER: f64 = 9_007_199_254_740_991.0;

/// The text of a value: of a text, of a whole number, or of the first element of a list. `None` for all others, because
/// they name nobody.
pub(super) fn text(value: &[u8]) -> Option<Vec<u8>> {
    if is_text(value) {
        return Some(value.to_vec());
    }
    if let Some(number) = number(value) {
        return Some(number.into_bytes());
    }
    if value.is_empty() || value.len() == size_of::<f64>() || value.len() == size_of::<bool>() {
        return None;
    }
    let elements = Pairs::from_host(value.to_vec());
    if !elements.is_well_formed() {
        // A text with control characters, which are replaced where it is shown.
        return std::str::from_utf8(value).is_ok().then(|| value.to_vec());
    }
    if !elements.iter().all(|(_, value)| value.is_empty()) {
        return None;
    }
    let first = elements.names().next()?;
    if is_text(first) { Some(first.to_vec()) } else { number(first).map(String::into_bytes) }
}

/// Whether bytes are a text, rather than the encoding of something else. A text that names somebody has no control
/// characters; each of the other encodings has some, or is not UTF-8, except a few doubles between 2^48 and 2^53.
fn is_text(value: &[u8]) -> bool {
    !value.is_empty() && !value.iter().any(u8::is_ascii_control) && std::str::from_utf8(value).is_ok()
}

fn number(value: &[u8]) -> Option<String> {
    let number = f64::from_le_bytes(value.try_into().ok()?);
    (number.trunc() == number && number.abs() <= MAX_INTEGER).then(|| format!("{number:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_whole_numbers_and_lists_name_somebody() {
        let check = |value: &[u8], name: Option<&str>| {
            assert_eq!(text(value).as_deref(), name.map(str::as_bytes), "{value:?}");
        };
        check(b"acme", Some("acme"));
        check(b"acme-inc", Some("acme-inc"));
        check("Zoë".as_bytes(), Some("Zoë"));
        check(&42f64.to_le_bytes(), Some("42"));
        check(&1_234_567_890_123f64.to_le_bytes(), Some("1234567890123"));
        check(&MAX_INTEGER.to_le_bytes(), Some("9007199254740991"));
        check(&0.5f64.to_le_bytes(), None);
        check(&f64::NAN.to_le_bytes(), None);
        check(&f64::INFINITY.to_le_bytes(), None);
        check(&[1], None);
        check(&[0], None);
        check(b"", None);
        check(b"caf\xe9", None);
        check(b"a\0b\n", Some("a\0b\n"));
        let list = |elements: &[(&[u8], &[u8])]| encoded(elements);
        check(&list(&[(b"admin", b""), (b"user", b"")]), Some("admin"));
        check(&list(&[(&7f64.to_le_bytes(), b"")]), Some("7"));
        check(&list(&[]), None);
        check(&list(&[(b"plan", b"gold")]), None);
    }

    fn encoded(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut out = u32::try_from(pairs.len()).unwrap().to_le_bytes().to_vec();
        for (name, value) in pairs {
            out.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        }
        for (name, value) in pairs {
            out.extend([name, &b"\0"[..], value, b"\0"].concat());
        }
        out
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(value in any::<Vec<u8>>()) {
            text(&value);
        }
    }
}
