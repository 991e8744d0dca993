//! The words of a name.

use super::NameContext;
use super::defaults::Match;

/// The normalised forms of a name: its words, read with and without the separation by case.
#[derive(Debug)]
pub(super) struct NameForms {
    separated: String,
    humps: Option<String>,
}

impl NameForms {
    pub(super) fn new(name: &str, place: NameContext) -> Self {
        let separated = words(name, Humps::Keep);
        // Case means nothing in header names: HTTP/2 writes them in lower case.
        let humps = (place != NameContext::Header && name.chars().any(char::is_uppercase))
            .then(|| words(name, Humps::Split));
        Self { separated, humps }
    }

    /// The forms, each as `_access_token_`.
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        [Some(&*self.separated), self.humps.as_deref()].into_iter().flatten()
    }
}

impl Match {
    /// Whether a normalised name matches.
    pub(super) fn matches(&self, read: &str) -> bool {
        match self {
            Self::Word(words) | Self::Words(words, _) | Self::Phrase(words, _) => contains_words(read, words),
            Self::Ending(ending) => read.split('_').any(|word| word.ends_with(ending)),
            Self::Anywhere(part) => squash(read).contains(part),
            Self::Whole(whole) | Self::Sole(whole) => squash(read) == *whole,
        }
    }
}

/// Whether a normalised name, `_access_token_`, contains the words `access_token` in this order.
pub(super) fn contains_words(read: &str, words: &str) -> bool {
    read.match_indices(words).any(|(at, found)| {
        let before = read.get(..at).is_some_and(|before| before.ends_with('_'));
        let after = read.get(at.saturating_add(found.len())..).is_some_and(|after| after.starts_with('_'));
        before && after
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Humps {
    Split,
    Keep,
}

/// The words of a name in lower case, between single underscores. Digits are words of their own: `cvv2` is `_cvv_2_`.
pub(super) fn words(name: &str, humps: Humps) -> String {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Separator,
        Lower,
        Upper,
        Digit,
    }
    let kind = |c: char| match c {
        c if c.is_numeric() => Kind::Digit,
        c if c.is_uppercase() && humps == Humps::Split => Kind::Upper,
        c if c.is_alphabetic() => Kind::Lower,
        _ => Kind::Separator,
    };
    let mut out = String::with_capacity(name.len().saturating_add(8));
    let mut last = Kind::Separator;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let this = kind(c);
        let next = chars.peek().map_or(Kind::Separator, |c| kind(*c));
        let begins = match (last, this) {
            (_, Kind::Separator) => false,
            (Kind::Upper, Kind::Upper) => next == Kind::Lower,
            (Kind::Upper, Kind::Lower) => false,
            (last, this) => last != this,
        };
        if begins {
            out.push('_');
        }
        if this != Kind::Separator {
            out.extend(c.to_lowercase());
        }
        last = this;
    }
    out.push('_');
    out
}

/// The letters and digits of a name, in lower case.
pub(super) fn squash(name: &str) -> String {
    if name.is_ascii() {
        let kept = name.bytes().filter(u8::is_ascii_alphanumeric);
        return kept.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    }
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
