//! Percent-encoding (RFC 3986, section 2.1).

use std::borrow::Cow;

/// Reads an escape whose `%` stood before `after`: its byte, and the bytes behind it. `None` without two hexadecimal
/// digits: such a `%` has no meaning and stays.
pub fn escape(after: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = after.split_first_chunk::<2>()?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4 | digit(low)?, rest))
}

/// A text without percent-encoding. An incomplete escape stays as it is.
pub fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = take(rest) {
        out.push(byte);
        rest = after;
    }
    Cow::Owned(out)
}

/// The first byte of a text, decoded, and the rest, as it is; `None` at the end.
pub fn take(text: &[u8]) -> Option<(u8, &[u8])> {
    let (first, after) = text.split_first()?;
    let escaped = if *first == b'%' { escape(after) } else { None };
    Some(escaped.unwrap_or((*first, after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_halves_stay() {
        let check = |text: &str, out: &str| assert_eq!(&*decoded(text.as_bytes()), out.as_bytes(), "{text}");
        check("plain", "plain");
        check("caf%C3%a9", "caf\u{e9}");
        check("%2F%2f", "//");
        check("%", "%");
        check("%4", "%4");
        check("%zz%41", "%zzA");
        check("%+f", "%+f");
    }
}
