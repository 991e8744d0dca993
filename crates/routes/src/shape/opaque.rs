//! Text that nobody would write by hand, told by the mixture of its characters.

use super::kind::is_locale;
use super::random::is_random;
use super::{Classes, Inferred, vocabulary};

/// Maximum bytes of the word before an identifier: `subscription_schedule` and the like.
const MAX_PREFIX_BYTES: usize = 24;

/// Maximum separators of a random text: more divide words.
const MAX_RANDOM_SEPARATORS: usize = 2;

/// The kind of a text of letters and separators; `None` for words, which almost all are.
pub(super) fn letters(text: &str, classes: Classes) -> Option<Inferred> {
    let is_mixed_case = classes.has(Classes::LOWER) && classes.has(Classes::UPPER);
    if !classes.has(Classes::SEPARATOR) {
        return (is_mixed_case && is_random(text)).then_some(Inferred::Token);
    }
    if classes.has(Classes::LOWER) && (5..=10).contains(&text.len()) && is_locale(text) {
        return Some(Inferred::Locale);
    }
    let (_, tail) = text.rsplit_once(['-', '_'])?;
    let prefixed = if classes.has(Classes::UPPER) {
        is_mixed_case_tail(text, tail)
    } else {
        is_vowel_free_tail(text, tail)
    };
    if prefixed {
        return Some(Inferred::Id);
    }
    (is_mixed_case && is_random_between_separators(text)).then_some(Inferred::Token)
}

/// Whether a text with a separator or two, which alphabets such as base64url have, is random.
fn is_random_between_separators(text: &str) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'-' | b'_')).count() <= MAX_RANDOM_SEPARATORS
        && is_random(text)
}

/// The kind of a text with digits; `None` for words, versions and slugs.
pub(super) fn mixed(text: &str) -> Option<Inferred> {
    if is_month(text) {
        return None;
    }
    let mut parts = text.split(['-', '_', '.']);
    let first = Part::of(parts.next().unwrap_or_default());
    let Some(second) = parts.next().map(Part::of) else {
        return single(text, &first);
    };
    let is_key = parts.next().is_none()
        && second.is_number()
        && first.text.len() >= 2
        && first.digits < first.text.len()
        && first.text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if is_key && !vocabulary::is_standard(first.text) {
        return Some(Inferred::Id);
    }
    let all = || text.split(['-', '_', '.']).map(Part::of);
    let words = all().filter(|part| !part.text.is_empty() && !part.is_number()).count();
    let numbers = all().filter(Part::is_number).count();
    let is_slug_of_a_year = words >= 2 && numbers == 1;
    let odd = |part: &Part<'_>| part.is_odd() && !(is_slug_of_a_year && part.is_year());
    let standard = vocabulary::is_standard(first.text) && second.is_number() && words == 1;
    let is_mixed_case = || {
        text.bytes().any(|byte| byte.is_ascii_lowercase())
            && text.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    let is_opaque = all().any(|part| odd(&part))
        || is_vowel_free_tail(text, all().next_back()?.text)
        || is_mixed_case() && !text.contains('.') && is_random_between_separators(text);
    if standard || !is_opaque {
        return None;
    }
    let prefixed = !first.is_odd() && !first.text.is_empty() && first.text.len() <= MAX_PREFIX_BYTES;
    Some(if prefixed { Inferred::Id } else { Inferred::Token })
}

fn single(text: &str, part: &Part<'_>) -> Option<Inferred> {
    if !part.is_odd() {
        return None;
    }
    let letters = text.trim_end_matches(|character: char| character.is_ascii_digit());
    let is_numbered_word = letters.len() >= 2
        && letters.len() < text.len()
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic());
    Some(if is_numbered_word && !(part.hex && text.len() >= 7) {
        Inferred::Id
    } else if part.hex {
        Inferred::Hex
    } else {
        Inferred::Token
    })
}

/// `cus_NffrFeUfNV2Hib`, `sk_test_4eC39HqLyjWDarjtT1zdp7dc`: short words and `_` before an identifier, however long.
pub(super) fn is_prefixed(text: &str) -> bool {
    let Some((prefix, tail)) = text.rsplit_once('_') else { return false };
    (2..=MAX_PREFIX_BYTES).contains(&prefix.len())
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && tail.len() >= 8
        && tail.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && Part::of(tail).is_odd()
}

/// A year and a month: as rare as a version, and often one (`/admin/api/2026-03/`).
fn is_month(text: &str) -> bool {
    text.split_once('-').is_some_and(|(year, month)| {
        Part::of(year).is_year() && month.len() == 2 && matches!(month.parse::<u8>(), Ok(1..=12))
    })
}

/// What a generator of names appends: five characters without vowels (Kubernetes: `web-zxkqt`).
fn is_vowel_free_tail(text: &str, tail: &str) -> bool {
    tail.len() == 5
        && text.len() > 6
        && text.as_bytes().get(text.len().saturating_sub(6)) == Some(&b'-')
        && tail.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
        && !vocabulary::is_vowel_free_word(tail)
}

/// `cus_NffrFeUfNVAHib`: a short prefix, and behind its last separator letters of both cases in turn.
fn is_mixed_case_tail(text: &str, tail: &str) -> bool {
    let prefix = text.len().saturating_sub(tail.len()).saturating_sub(1);
    let is_prefix = text.bytes().take(prefix).all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && prefix <= MAX_PREFIX_BYTES;
    let separator = text.as_bytes().get(prefix);
    let is_opaque = || Part::of(tail).changes >= 2 || is_random(tail);
    is_prefix && separator == Some(&b'_') && tail.len() >= 8 && is_opaque()
}

/// A part between separators, measured.
struct Part<'a> {
    text: &'a str,
    digits: usize,
    /// Digits at the end.
    trailing: usize,
    /// Changes between small letters, capitals and digits; a capital before small letters begins a word.
    changes: usize,
    /// Whether all characters are hexadecimal digits.
    hex: bool,
}

impl<'a> Part<'a> {
    fn of(text: &'a str) -> Self {
        let mut part = Self { text, digits: 0, trailing: 0, changes: 0, hex: true };
        let mut last = None;
        for byte in text.bytes() {
            let class = match byte {
                b'0'..=b'9' => b'0',
                b'A'..=b'Z' => b'A',
                _ => b'a',
            };
            if class == b'0' {
                part.digits = part.digits.saturating_add(1);
                part.trailing = part.trailing.saturating_add(1);
            } else {
                part.trailing = 0;
            }
            let begins_a_word = last == Some(b'A') && class == b'a';
            if last.is_some_and(|last| last != class) && !begins_a_word {
                part.changes = part.changes.saturating_add(1);
            }
            part.hex &= byte.is_ascii_hexdigit();
            last = Some(class);
        }
        part
    }

    fn is_number(&self) -> bool {
        self.digits > 0 && self.digits == self.text.len()
    }

    fn is_year(&self) -> bool {
        self.is_number()
            && self.text.len() == 4
            && (self.text.starts_with("19") || self.text.starts_with("20"))
    }

    /// Whether it is part of an identifier.
    fn is_odd(&self) -> bool {
        let length = self.text.len();
        if self.digits == 0 {
            return false;
        }
        // One digit behind letters is a word's number (`decade1`), not a hash.
        let is_hash =
            self.hex && length >= 7 && (self.digits >= 2 || self.trailing == 0) && self.digits < length;
        let looks_odd = is_hash && self.changes >= 2
            || (5..8).contains(&length) && self.changes >= 3
            || is_random(self.text)
            || self.digits >= 4
            || self.trailing >= 3;
        looks_odd && !vocabulary::is_technical(self.text)
    }
}
