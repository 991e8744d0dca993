//! Strings of JSON: finding their end, decoding and writing them.

use std::borrow::Cow;

use crate::work;

/// The same byte eight times.
pub(crate) const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Number of bytes before the first quote, backslash or control character. Reads eight bytes at a time.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    plain_part(bytes).0
}

/// The same, and whether [`has_separator`] is true for these bytes.
#[inline]
pub(super) fn plain_part(bytes: &[u8]) -> (usize, bool) {
    let (mut length, mut separators) = (0usize, 0u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let special = special(word);
        if special != 0 {
            // The bits of all bytes before the first special one.
            let before = (special & special.wrapping_neg()).wrapping_sub(1) >> 7;
            separators |= separators_in(word) & before;
            return (length.wrapping_add((special.trailing_zeros() >> 3) as usize), separators != 0);
        }
        separators |= separators_in(word);
        length = length.wrapping_add(8);
    }
    let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
    let in_rest = rest.iter().take(plain).any(|byte| matches!(byte, b':'..=b'@'));
    (length.wrapping_add(plain), separators != 0 || in_rest)
}

/// Whether one of the bytes is one of these. Reads eight bytes at a time.
#[cfg_attr(target_arch = "wasm32", inline(never))]
pub(crate) fn has_one_of<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let is_in = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        wanted.iter().fold(0, |found, byte| found | zeros(word ^ eight(*byte))) & eight(0x80) != 0
    };
    words.iter().any(is_in) || rest.iter().any(|byte| wanted.contains(byte))
}

/// The place of the first of these bytes. Reads eight bytes at a time.
#[cfg_attr(target_arch = "wasm32", inline(never))]
pub(crate) fn position<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut length = 0usize;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let found = wanted.iter().fold(0, |found, byte| found | zeros(word ^ eight(*byte))) & eight(0x80);
        if found != 0 {
            return Some(length.wrapping_add((found.trailing_zeros() >> 3) as usize));
        }
        length = length.wrapping_add(8);
    }
    let in_rest = rest.iter().position(|byte| wanted.contains(byte))?;
    Some(length.wrapping_add(in_rest))
}

/// Sets the highest bit of the lowest byte that is zero, and perhaps of others above it; none where no byte is zero.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(eight(1)) & !word
}

/// Sets the highest bit of each quote, backslash and control character. Only the lowest set bit is reliable.
#[inline]
fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(eight(b' ')) & !word;
    (zeros(word ^ eight(b'"')) | zeros(word ^ eight(b'\\')) | control) & eight(0x80)
}

/// Whether one of the bytes is between `FIRST` and `LAST`, which must be ASCII. Reads eight bytes at a time.
pub(crate) fn has_byte_of<const FIRST: u8, const LAST: u8>(bytes: &[u8]) -> bool {
    work::add(bytes.len());
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().any(|word| in_range::<FIRST, LAST>(u64::from_le_bytes(*word)) != 0)
        || rest.iter().any(|byte| (FIRST..=LAST).contains(byte))
}

/// Whether a text contains `:`, `=`, `@` or a character between them in ASCII.
pub(crate) fn has_separator(text: &[u8]) -> bool {
    has_byte_of::<b':', b'@'>(text)
}

/// Sets the lowest bit of each byte that [`has_separator`] looks for.
#[inline]
fn separators_in(word: u64) -> u64 {
    in_range::<b':', b'@'>(word)
}

/// Sets the lowest bit of each byte between `FIRST` and `LAST`.
#[inline]
fn in_range<const FIRST: u8, const LAST: u8>(word: u64) -> u64 {
    // The sums use seven bits of each byte, so that no carry leaves it. The highest bit of the first sum is set when the
    // byte is too large, that of the second when it is large enough.
    let (too_large, large_enough) = (0x7f_u8.wrapping_sub(LAST), 0x80_u8.wrapping_sub(FIRST));
    let low = word & eight(0x7f);
    let outside = low.wrapping_add(eight(too_large)) | !low.wrapping_add(eight(large_enough)) | word;
    (!outside >> 7) & eight(1)
}

/// The value of a string, which is given with its quotes. Half a surrogate pair becomes U+FFFD.
pub(crate) fn unescape(quoted: &str) -> Cow<'_, str> {
    work::add(quoted.len());
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escaped.chars();
        match chars.next() {
            Some('u') => {
                let (c, after) = unicode(chars.as_str());
                out.push(c);
                rest = after;
                continue;
            }
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Decodes the digits after `\u`. Returns the character and the rest of the text.
fn unicode(text: &str) -> (char, &str) {
    let four = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let after = text.get(4..).unwrap_or("");
    let Some(first) = four(text) else { return (char::REPLACEMENT_CHARACTER, after) };
    if let Some(c) = char::from_u32(first) {
        return (c, after);
    }
    let low = after.strip_prefix("\\u").and_then(four).filter(|low| (0xdc00..0xe000).contains(low));
    match low {
        Some(low) if first < 0xdc00 => {
            let high = (first & 0x3ff).wrapping_shl(10);
            let c = char::from_u32((high | (low & 0x3ff)).saturating_add(0x10000));
            (c.unwrap_or(char::REPLACEMENT_CHARACTER), after.get(6..).unwrap_or(""))
        }
        _ => (char::REPLACEMENT_CHARACTER, after),
    }
}

/// Writes text as a JSON string, with its quotes.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some((plain, special)) = rest.split_at_checked(plain_length(rest.as_bytes())) {
        out.push_str(plain);
        let mut chars = special.chars();
        let Some(c) = chars.next() else { break };
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
        rest = chars.as_str();
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings() {
        let check = |quoted: &str, text: &str| assert_eq!(unescape(quoted), text, "{quoted}");
        check(r#""""#, "");
        check(r#""plain é""#, "plain é");
        check(r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t");
        check(r#""p\u0061ss\u00e9\u20AC""#, "passé€");
        check(r#""\ud83d\ude00!""#, "😀!");
        check(r#""\ud83d""#, "\u{fffd}");
        check(r#""\ud83dx""#, "\u{fffd}x");
        check(r#""\ude00\ud83d\u0041""#, "\u{fffd}\u{fffd}A");
        check(r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀");
    }

    proptest! {
        #[test]
        fn special_bytes_are_found_wherever_they_stand(bytes in prop::collection::vec(any::<u8>(), 0..40), text in r#"[a-zé€😀"\\\x00-\x20]{0,40}"#) {
            for bytes in [&bytes, text.as_bytes()] {
                let plain = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
                let plain = plain.unwrap_or(bytes.len());
                let has_separator = bytes[..plain].iter().any(|byte| (b':'..=b'@').contains(byte));
                prop_assert_eq!(plain_part(bytes), (plain, has_separator), "{:?}", bytes);
                let is_wanted = |byte: &u8| matches!(byte, b'"' | b'a' | 0 | 0xff);
                let wanted = [b'"', b'a', 0, 0xff];
                prop_assert_eq!(position(bytes, wanted), bytes.iter().position(is_wanted), "{:?}", bytes);
                prop_assert_eq!(has_one_of(bytes, wanted), bytes.iter().any(is_wanted), "{:?}", bytes);
            }
        }

        #[test]
        fn bytes_of_a_range_are_found_wherever_they_stand(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[89A-Bé]{0,30}[:=@ ]?[89A-Bé]{0,9}") {
            for bytes in [&bytes, text.as_bytes()] {
                let has = |range: std::ops::RangeInclusive<u8>| bytes.iter().any(|byte| range.contains(byte));
                prop_assert_eq!(has_byte_of::<b':', b'@'>(bytes), has(b':'..=b'@'), "{:?}", bytes);
                prop_assert_eq!(has_byte_of::<0, b' '>(bytes), has(0..=b' '), "{:?}", bytes);
                prop_assert_eq!(has_byte_of::<b'0', 0x7f>(bytes), has(b'0'..=0x7f), "{:?}", bytes);
            }
        }

        #[test]
        fn what_is_quoted_reads_back(text in any::<String>()) {
            let mut quoted = String::new();
            quote(&text, &mut quoted);
            prop_assert_eq!(unescape(&quoted), &text[..]);
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }
    }
}
