//! Texts of errors without the values in them, so that the same error has the same text whatever it was about.

use crate::text::is_format;

/// Characters of a normalised text; the rest is cut.
pub(super) const MAX_CHARS: usize = 200;
/// Bytes of a text that are looked at.
const MAX_READ_BYTES: usize = 2_000;
/// A word of this length with some numbers in it is taken for a token: bytes.
const TOKEN_BYTES: usize = 20;
/// Numbers, between other characters, in a token.
const TOKEN_NUMBERS: usize = 3;
/// A shorter run of hexadecimal digits is a word: bytes.
const HEX_BYTES: usize = 8;
/// Characters of a class of errors.
const MAX_CLASS_CHARS: usize = 128;

/// The text of an error without values: quoted parts, numbers, identifiers, addresses and URLs become placeholders such as
/// `{number}`. The result has no digit and no control character, and at most [`MAX_CHARS`] characters.
pub(super) fn normalise(text: &str) -> String {
    let text = unquoted(clip(text));
    let mut normal = String::with_capacity(text.len().min(MAX_CHARS));
    let mut word = String::new();
    for c in text.chars() {
        let in_url = word.contains("://") && matches!(c, '=' | ',' | ';' | '|');
        if is_separator(c) && !in_url {
            put_word(&mut normal, &word);
            word.clear();
            put(&mut normal, c);
        } else {
            word.push(c);
        }
    }
    put_word(&mut normal, &word);
    let normal: String = normal.trim().chars().take(MAX_CHARS).collect();
    normal.trim_end().to_owned()
}

/// The class of an error: a type, an exception or a code that looks like a name; `None` for other texts. Of a URI goes the query.
pub(super) fn class(text: &str) -> Option<String> {
    let text = clip(text).trim();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let is_name =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | '$' | '/' | '\\' | '~');
    // A number alone is a status or an identifier.
    if text == "about:blank" || !text.chars().all(is_name) || !text.chars().any(char::is_alphabetic) {
        return None;
    }
    let segments = text.split('/').map(|segment| placeholder(segment).unwrap_or(segment));
    Some(segments.collect::<Vec<_>>().join("/").chars().take(MAX_CLASS_CHARS).collect())
}

/// A segment of the path to a field, as a name: an identifier that a client chose becomes a placeholder.
pub(super) fn segment(text: &str) -> String {
    const MAX_SEGMENT_CHARS: usize = 64;
    const MAX_DIGITS: usize = 3;
    let text = clip(text).trim();
    if let Some(placeholder) = placeholder(text) {
        return placeholder.to_owned();
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    if text.chars().all(is_name) && digits <= MAX_DIGITS {
        return text.chars().take(MAX_SEGMENT_CHARS).collect();
    }
    normalise(text).chars().take(MAX_SEGMENT_CHARS).collect()
}

/// The first bytes of a text.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_READ_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Replaces what stands between quotation marks.
fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before: Option<char> = None;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let opens = closing(c).filter(|_| !before.is_some_and(char::is_alphanumeric));
        match opens.and_then(|closing| Some((closing, end_of_quotation(after, closing)?))) {
            Some((closing, end)) => {
                out.push_str("{quoted}");
                rest = &after[end + closing.len_utf8()..];
                before = Some('}');
            }
            None => {
                out.push(c);
                rest = after;
                before = Some(c);
            }
        }
    }
    out
}

/// The mark that closes what this one opens.
fn closing(mark: char) -> Option<char> {
    Some(match mark {
        '\'' | '"' | '`' => mark,
        '\u{2018}' => '\u{2019}',
        '\u{201c}' => '\u{201d}',
        '\u{ab}' => '\u{bb}',
        _ => return None,
    })
}

/// Where a quotation ends: at a mark that no word goes on behind.
fn end_of_quotation(text: &str, closing: char) -> Option<usize> {
    let mut marks = text.match_indices(closing).map(|(place, _)| place);
    marks.find(|place| !text[place + closing.len_utf8()..].chars().next().is_some_and(char::is_alphanumeric))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || is_format(c)
        || matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ',' | ';' | '=' | '|' | '"' | '\'')
}

/// Adds a separator; blanks become one.
fn put(normal: &mut String, c: char) {
    if c.is_whitespace() || c.is_control() {
        if !normal.ends_with(' ') {
            normal.push(' ');
        }
    } else if !is_format(c) {
        normal.push(c);
    }
}

fn put_word(normal: &mut String, word: &str) {
    if word.contains("://") {
        return normal.push_str("{url}");
    }
    // The end of a sentence is not a part of its last word.
    let core = word.trim_end_matches(['.', '!', '?', ':']);
    let mut pieces = core.split_inclusive(['/', ':']);
    if !core.chars().any(|c| c.is_numeric() || c == '@') {
        normal.push_str(word);
        return;
    }
    if let Some(whole) = placeholder(core) {
        normal.push_str(whole);
    } else {
        pieces.by_ref().for_each(|piece| {
            let name = piece.trim_end_matches(['/', ':']);
            match placeholder(name) {
                Some(placeholder) => normal.push_str(placeholder),
                None => put_without_digits(normal, name),
            }
            normal.push_str(&piece[name.len()..]);
        });
    }
    normal.push_str(&word[core.len()..]);
}

/// The placeholder for a word that is an identifier or an address as a whole.
fn placeholder(word: &str) -> Option<&'static str> {
    let has_digit = word.chars().any(char::is_numeric);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some((user, host)) = word.split_once('@')
        && !user.is_empty()
        && host.contains('.')
    {
        return Some("{email}");
    }
    if !has_digit {
        return None;
    }
    let groups: Vec<&str> = word.split('-').collect();
    if let [a, b, c, d, e] = groups.as_slice()
        && [a.len(), b.len(), c.len(), d.len(), e.len()] == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| is_hex(group))
    {
        return Some("{uuid}");
    }
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    if digits.is_some_and(|digits| !digits.is_empty() && is_hex(digits)) {
        return Some("{hex}");
    }
    let of_number = |c: char| c.is_numeric() || matches!(c, '.' | '-');
    if word.chars().all(of_number) && word.ends_with(char::is_numeric) && word.starts_with(char::is_numeric) {
        return Some("{number}");
    }
    if word.len() >= HEX_BYTES && is_hex(word) {
        return Some("{hex}");
    }
    let of_token =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'~' | b'%');
    // A name with a number or two is the same name with longer numbers.
    let numbers = word.split(|c: char| !c.is_numeric()).filter(|number| !number.is_empty()).count();
    let is_token = word.len() >= TOKEN_BYTES && numbers >= TOKEN_NUMBERS && word.bytes().all(of_token);
    is_token.then_some("{token}")
}

/// Adds a word with `{number}` in place of each number, in which `.` and `-` may stand between digits.
fn put_without_digits(normal: &mut String, word: &str) {
    let mut rest = word;
    while let Some(start) = rest.find(char::is_numeric) {
        normal.push_str(&rest[..start]);
        normal.push_str("{number}");
        rest = &rest[start..];
        loop {
            rest = rest.trim_start_matches(char::is_numeric);
            match rest.strip_prefix(['.', '-']) {
                Some(more) if more.starts_with(char::is_numeric) => rest = more,
                _ => break,
            }
        }
    }
    normal.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_become_placeholders() {
        let check = |text: &str, expected: &str| assert_eq!(normalise(text), expected, "{text}");
        check("no stock", "no stock");
        check("order 4711 of user_12 not found.", "order {number} of user_{number} not found.");
        check("can't open", "can't open");
        check("KeyError: 'card_number'", "KeyError: {quoted}");
        check("column \"a b\" of relation `t` is missing", "column {quoted} of relation {quoted} is missing");
        check("it's 'one' and \u{201c}two\u{201d}", "it's {quoted} and {quoted}");
        check("no row 3f2504e0-4f89-11d3-9a0c-0305e82c3301!", "no row {uuid}!");
        check("object at 0x7f3a, sha deadbeef01", "object at {hex}, sha {hex}");
        check("mail to a.b@c.example, id=7", "mail to {email}, id={number}");
        check("GET http://a.example/x?y=1 failed", "GET {url} failed");
        check("connect to 10.0.0.7:5432: refused", "connect to {number}:{number}: refused");
        check("/users/42/cards/9", "/users/{number}/cards/{number}");
        check("token eyJhbGciOiJIUzI1NiJ9.e30.x is bad", "token {token} is bad");
        check("at 2026-01-02T03:04:05Z", "at {number}T{number}:{number}:{number}Z");
        check(" a\n\tb \u{202e}c\u{7} ", "a b c");
        check("", "");
    }

    #[test]
    fn a_class_is_a_name() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(class(text).as_deref(), expected, "{text}");
        };
        check("java.lang.NullPointerException", Some("java.lang.NullPointerException"));
        check("https://example.com/probs/out-of-credit?x=1", Some("https://example.com/probs/out-of-credit"));
        check("/errors/3f2504e0-4f89-11d3-9a0c-0305e82c3301", Some("/errors/{uuid}"));
        check("E1042", Some("E1042"));
        check("about:blank", None);
        check("500", None);
        check("Out of credit", None);
        check("", None);
    }

    #[test]
    fn a_field_keeps_its_name_and_no_value() {
        let check = |text: &str, expected: &str| assert_eq!(segment(text), expected, "{text}");
        check("address1", "address1");
        check("größe", "größe");
        check("a@b.example", "{email}");
        check("4711", "{number}");
        check("key of 'x' 12345", "key of {quoted} {number}");
    }

    proptest! {
        #[test]
        fn a_normal_text_is_bounded_and_has_no_digit(text in any::<String>()) {
            let normal = normalise(&text);
            prop_assert!(normal.chars().count() <= MAX_CHARS);
            prop_assert!(!normal.chars().any(|c| c.is_numeric() || c.is_control() || is_format(c)), "{normal:?}");
        }

        #[test]
        fn numbers_do_not_tell_two_texts_apart(a in any::<u32>(), b in any::<u32>()) {
            let text = |n: u32| normalise(&format!("order {n} (try {n}) of user-{n}: \"{n}\" took {n}.{n} ms"));
            prop_assert_eq!(text(a), text(b));
        }
    }
}
