//! Sensitive names of headers, query parameters and members of bodies.
//!
//! Names are compared word by word, so that a rule for `auth` matches `x-auth-user` but not `x-author`. A name is
//! normalised to lower-case words between single underscores: `_api_key_`. Where case separates words (`apiKey`,
//! `APIKey`), the name is also matched without that separation, so that `pAsSwOrD` still matches.

mod caller;
mod defaults;
mod prefilter;

use super::rules::{Hits, RuleId, RuleRegistry};
use super::work;
use defaults::{DEFAULTS, Match};
use prefilter::Prefilter;

pub use caller::{is_credential_claim, is_credential_cookie, is_credential_header};

/// Where a name occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameContext {
    Header,
    Query,
    Key,
}

/// The compiled rules for names in one context.
#[derive(Clone, Debug)]
pub(super) struct NameRules {
    /// Each with the number of its first text in the prefilter.
    defaults: Vec<(&'static [Match], usize, RuleId)>,
    patterns: Vec<(Pattern, RuleId)>,
    /// Each with the number of its text in the prefilter.
    key_rules: Vec<(KeyRule, usize, RuleId)>,
    prefilter: Prefilter,
    place: NameContext,
}

impl NameRules {
    pub(super) fn new(place: NameContext) -> Self {
        Self {
            defaults: Vec::new(),
            patterns: Vec::new(),
            key_rules: Vec::new(),
            prefilter: Prefilter::default(),
            place,
        }
    }

    pub(super) fn add_defaults(&mut self, rules: &mut RuleRegistry) {
        for (name, matches, places) in DEFAULTS {
            if places.contains(&self.place) {
                let numbers: Vec<_> = matches.iter().map(|way| self.prefilter.add(way.squashed())).collect();
                let first = numbers.first().copied().unwrap_or_default();
                self.defaults.push((matches, first, rules.add((*name).to_owned())));
            }
        }
    }

    pub(super) fn add_pattern(&mut self, pattern: Pattern, rule: RuleId) {
        self.patterns.push((pattern, rule));
    }

    pub(super) fn add_key_rule(&mut self, key_rule: KeyRule, rule: RuleId) {
        let number = self.prefilter.add(&key_rule.squashed);
        self.key_rules.push((key_rule, number, rule));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.defaults.is_empty() && self.patterns.is_empty() && self.key_rules.is_empty()
    }

    /// Whether a rule can match the name. False for most names; costs one read of the name.
    pub(super) fn may_be_sensitive(&self, name: &str) -> bool {
        !self.patterns.is_empty() || self.prefilter.may_be_in(name)
    }

    /// All rules that match the name.
    pub(super) fn rules_for(&self, name: &str) -> Vec<RuleId> {
        let mut found = Vec::new();
        if !self.patterns.is_empty() {
            let lower = name.to_lowercase();
            let matching = self.patterns.iter().filter(|(pattern, _)| pattern.matches_lower(&lower));
            found.extend(matching.map(|(_, rule)| *rule));
        }
        if !self.prefilter.may_be_in(name) {
            return found;
        }
        work::add(name.len());
        let squashed = squash(name);
        let prefilter = self.prefilter.found_in(&squashed);
        if prefilter.is_empty() {
            return found;
        }
        let forms = NameForms::new(name, self.place);
        for (matches, first, rule) in &self.defaults {
            let hit = matches
                .iter()
                .zip(*first..)
                .any(|(way, number)| prefilter.contains(&number) && forms.matches(way, &squashed));
            if hit && !found.contains(rule) {
                found.push(*rule);
            }
        }
        for (key_rule, number, rule) in &self.key_rules {
            if prefilter.contains(number) && forms.has(key_rule, &squashed) {
                found.push(*rule);
            }
        }
        found
    }

    /// Whether the name is sensitive. Counts a hit of each matching rule.
    pub(super) fn hit(&self, name: &str, hits: &mut Hits) -> bool {
        let rules = self.rules_for(name);
        rules.iter().for_each(|rule| hits.add(*rule, 1));
        !rules.is_empty()
    }

    /// Whether the name is sensitive by these rules or the others. Counts one hit of each matching rule.
    pub(super) fn hit_either(&self, others: &NameRules, name: &str, hits: &mut Hits) -> bool {
        let rules = self.rules_for(name);
        let others = others.rules_for(name);
        let new = others.iter().filter(|rule| !rules.contains(rule));
        rules.iter().chain(new).for_each(|rule| hits.add(*rule, 1));
        !rules.is_empty() || !others.is_empty()
    }
}

/// A name with `*` for any characters, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: Box<str>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_lowercase().into() }
    }

    /// Whether the whole name matches. The name must be in lower case.
    pub(crate) fn matches_lower(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (&*self.text, name);
        // After a mismatch, matching resumes after the last star, one character of the name further.
        let mut retry: Option<(&str, &str)> = None;
        loop {
            let mut wanted = pattern.chars();
            let mut given = rest.chars();
            match (wanted.next(), given.next()) {
                (Some('*'), _) => {
                    pattern = wanted.as_str();
                    retry = Some((pattern, rest));
                    continue;
                }
                (Some(a), Some(b)) if a == b => {
                    (pattern, rest) = (wanted.as_str(), given.as_str());
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after_star, from)) = retry else { return false };
            let mut shorter = from.chars();
            if shorter.next().is_none() {
                return false;
            }
            (pattern, rest) = (after_star, shorter.as_str());
            retry = Some((pattern, rest));
        }
    }
}

/// A configured key. It matches in any spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRule {
    /// The words, as `_passport_no_`.
    words: Box<str>,
    /// The letters and digits, as `passportno`.
    squashed: Box<str>,
}

impl KeyRule {
    /// `None` when the name has neither letters nor digits.
    pub(super) fn new(name: &str) -> Option<Self> {
        let words = words(name, Humps::Split);
        let squashed = squash(name);
        (!squashed.is_empty()).then(|| Self { words: words.into(), squashed: squashed.into() })
    }
}

/// The normalised forms of a name.
struct NameForms {
    separated: String,
    humps: Option<String>,
}

impl NameForms {
    fn new(name: &str, place: NameContext) -> Self {
        let separated = words(name, Humps::Keep);
        // Case means nothing in header names: HTTP/2 writes them in lower case.
        let humps = (place != NameContext::Header && name.chars().any(char::is_uppercase))
            .then(|| words(name, Humps::Split));
        Self { separated, humps }
    }

    fn any(&self, test: impl Fn(&str) -> bool) -> bool {
        test(&self.separated) || self.humps.as_deref().is_some_and(test)
    }

    fn matches(&self, way: &Match, squashed: &str) -> bool {
        match way {
            Match::Word(words) | Match::Words(words, _) => self.any(|read| contains_words(read, words)),
            Match::Ending(ending) => self.any(|read| read.split('_').any(|word| word.ends_with(ending))),
            Match::Anywhere(part) => squashed.contains(part),
            Match::Whole(whole) => squashed == *whole,
        }
    }

    fn has(&self, key_rule: &KeyRule, squashed: &str) -> bool {
        let is_part =
            |read: &str| read.contains(&*key_rule.words) || contains_words(read, &key_rule.squashed);
        squashed == &*key_rule.squashed || self.any(is_part)
    }
}

/// Whether a normalised name, `_access_token_`, contains the words `access_token` in this order.
fn contains_words(read: &str, words: &str) -> bool {
    read.match_indices(words).any(|(at, found)| {
        let before = read.get(..at).is_some_and(|before| before.ends_with('_'));
        let after = read.get(at.saturating_add(found.len())..).is_some_and(|after| after.starts_with('_'));
        before && after
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Humps {
    Split,
    Keep,
}

/// The words of a name in lower case, between single underscores. Digits are words of their own: `cvv2` is `_cvv_2_`.
fn words(name: &str, humps: Humps) -> String {
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
fn squash(name: &str) -> String {
    if name.is_ascii() {
        let kept = name.bytes().filter(u8::is_ascii_alphanumeric);
        return kept.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    }
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_into_words() {
        let check = |name: &str, separated: &str, humps: &str| {
            assert_eq!(words(name, Humps::Keep), separated, "{name}");
            assert_eq!(words(name, Humps::Split), humps, "{name}");
        };
        check("x-api-key", "_x_api_key_", "_x_api_key_");
        check("apiKey", "_apikey_", "_api_key_");
        check("APIKey", "_apikey_", "_api_key_");
        check("userID", "_userid_", "_user_id_");
        check("user[password]", "_user_password_", "_user_password_");
        check("__a  b.c__", "_a_b_c_", "_a_b_c_");
        check("cvv2", "_cvv_2_", "_cvv_2_");
        check("", "_", "_");
        check("--", "_", "_");
        check("ÄnderungsToken", "_änderungstoken_", "_änderungs_token_");
    }

    #[test]
    fn configured_names_are_found_in_any_spelling() {
        let check = |configured: &str, name: &str, found: bool| {
            let key_rule = KeyRule::new(configured).unwrap();
            let read = NameForms::new(name, NameContext::Key);
            assert_eq!(read.has(&key_rule, &squash(name)), found, "{configured} {name}");
        };
        for name in [
            "passport_no",
            "passportNo",
            "Passport-No",
            "PASSPORTNO",
            "passport no",
            "user[passportno]",
            "user_passport_no",
            "userPassportNo",
        ] {
            check("passport_no", name, true);
            check("passportNo", name, true);
        }
        for name in ["passport", "no", "passport_number", "passport_notes", "no_passport"] {
            check("passport_no", name, false);
        }
        assert_eq!(KeyRule::new("--"), None);
    }

    #[test]
    fn patterns_match_whole_names_in_any_case() {
        let check = |pattern: &str, name: &str, matches: bool| {
            assert_eq!(
                Pattern::new(pattern).matches_lower(&name.to_lowercase()),
                matches,
                "{pattern} {name}"
            );
        };
        check("host", "HOST", true);
        check("HOST", "host", true);
        check("host", "x-host", false);
        check("x-*", "X-Anything", true);
        check("x-*", "y-x-", false);
        check("*", "", true);
        check("*-id", "request-id", true);
        check("*-id", "request-idx", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c-b", false);
        check("session_*", "SESSION_É", true);
        check("", "", true);
        check("", "a", false);
    }
}
