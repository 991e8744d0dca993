//! Sensitive names of headers, query parameters and members of bodies.
//!
//! Names are compared word by word, so that a rule for `auth` matches `x-auth-user` but not `x-author`. A name is
//! normalised to lower-case words between single underscores: `_api_key_`. Where case separates words (`apiKey`,
//! `APIKey`), the name is also matched without that separation, so that `pAsSwOrD` still matches.

mod caller;
mod defaults;
mod extent;
mod joined;
mod prefilter;
mod suffix;
mod words;

use super::rules::{Hits, RuleId, RuleRegistry};
use super::work;
use defaults::{DEFAULTS, Default, Match};
use joined::{JoinedNames, is_segmented, segments};
use prefilter::Prefilter;
use words::{Humps, NameForms, contains_words, squash, words};

pub use caller::{is_credential_claim, is_credential_cookie, is_credential_header};
pub(super) use extent::Extent;

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
    /// Each way of looking for each built-in name, by the number of its text in the prefilter.
    defaults: Vec<(&'static Default, &'static Match, RuleId)>,
    patterns: Vec<(Pattern, RuleId)>,
    /// Each with the number of its text in the prefilter.
    key_rules: Vec<(KeyRule, usize, RuleId)>,
    prefilter: Prefilter,
    joined: JoinedNames,
    place: NameContext,
}

/// How much of a name is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// One of the names that it consists of.
    Segment,
}

/// The rules that match a name, and the values that they mask together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) rules: Vec<RuleId>,
    pub(super) extent: Extent,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Counts a hit of each rule.
    pub(super) fn count(&self, hits: &mut Hits) {
        self.rules.iter().for_each(|rule| hits.add(*rule, 1));
    }

    fn add(&mut self, rule: RuleId, extent: Extent) {
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
        self.extent = self.extent.max(extent);
    }
}

impl NameRules {
    pub(super) fn new(place: NameContext) -> Self {
        Self {
            defaults: Vec::new(),
            patterns: Vec::new(),
            key_rules: Vec::new(),
            prefilter: Prefilter::default(),
            joined: JoinedNames::default(),
            place,
        }
    }

    /// Adds the built-in names. Must come before all others, whose texts have later numbers.
    pub(super) fn add_defaults(&mut self, rules: &mut RuleRegistry) {
        for default in DEFAULTS.iter().copied().flatten() {
            if !default.places.contains(&self.place) {
                continue;
            }
            let rule = rules.add(default.rule.to_owned());
            for way in default.matches {
                self.prefilter.add(way.squashed());
                self.defaults.push((default, way, rule));
                if let Match::Words(words, _) = way {
                    self.joined.add(words, rule, default.extent);
                }
            }
        }
    }

    pub(super) fn add_pattern(&mut self, pattern: Pattern, rule: RuleId) {
        self.patterns.push((pattern, rule));
    }

    pub(super) fn add_key_rule(&mut self, key_rule: KeyRule, rule: RuleId) {
        let number = self.prefilter.add(&key_rule.squashed);
        self.joined.add(key_rule.words.trim_matches('_'), rule, Extent::Everything);
        self.key_rules.push((key_rule, number, rule));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.defaults.is_empty() && self.patterns.is_empty() && self.key_rules.is_empty()
    }

    /// Whether a rule can match the name. False for most names; costs one read of the name.
    pub(super) fn may_be_sensitive(&self, name: &str) -> bool {
        !self.patterns.is_empty() || self.prefilter.may_be_in(name)
    }

    /// Whether a rule can match a name that is a part of this text, by itself. False is certain.
    pub(super) fn may_be_in_part(&self, text: &str) -> bool {
        self.may_be_sensitive(text) || is_segmented(text) && self.joined.may_be_around(text)
    }

    /// The end of a name of an object, or of an array of objects, that can make the names of its members sensitive.
    pub(super) fn parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.joined.parent(name)
    }

    /// Whether a rule can match the name together with the name around it. False is certain.
    pub(super) fn may_be_within(&self, name: &str) -> bool {
        self.joined.may_be_within(name)
    }

    /// All rules that match the name.
    pub(super) fn find(&self, name: &str) -> Found {
        self.find_within(None, name)
    }

    /// All rules that match the name of a member, or that match it together with the name around it.
    pub(super) fn find_within(&self, parent: Option<&str>, name: &str) -> Found {
        let mut found = Found::default();
        if !self.patterns.is_empty() {
            let lower = name.to_lowercase();
            let matching = self.patterns.iter().filter(|(pattern, _)| pattern.matches_lower(&lower));
            matching.for_each(|(_, rule)| found.add(*rule, Extent::Everything));
        }
        if parent.is_none() && !self.may_match(name) {
            return found;
        }
        work::add(name.len());
        let squashed = squash(name);
        let prefilter = self.prefilter.found_in(&squashed);
        self.find_keys(name, &squashed, &prefilter, &mut found);
        if self.place == NameContext::Header || !is_segmented(name) {
            self.find_defaults(name, &prefilter, Part::Whole, &mut found);
            self.find_joined(parent, name, &mut found);
            return found;
        }
        // Each name is judged as in JSON, where an object behind a sensitive name is masked as a whole.
        let mut parent = parent;
        for segment in segments(name) {
            let prefilter = self.prefilter.found_in(&squash(segment));
            self.find_defaults(segment, &prefilter, Part::Segment, &mut found);
            self.find_joined(parent, segment, &mut found);
            parent = self.parent(segment);
        }
        self.find_across(name, &squashed, &mut found);
        found
    }

    fn find_keys(&self, name: &str, squashed: &str, prefilter: &[usize], found: &mut Found) {
        let mut matching =
            self.key_rules.iter().filter(|(_, number, _)| prefilter.contains(number)).peekable();
        if matching.peek().is_none() {
            return;
        }
        let forms = NameForms::new(name, self.place);
        matching
            .filter(|(key_rule, ..)| key_rule.matches(&forms, squashed))
            .for_each(|(.., rule)| found.add(*rule, Extent::Everything));
    }

    fn find_defaults(&self, name: &str, prefilter: &[usize], part: Part, found: &mut Found) {
        if prefilter.is_empty() {
            return;
        }
        let forms = NameForms::new(name, self.place);
        // A name with blanks can be a sentence: `password check: hunter2`. Headers are masked in doubt, too.
        let has_suffix = self.place != NameContext::Header && !name.contains(char::is_whitespace);
        let mut numbers = prefilter.to_vec();
        numbers.sort_unstable();
        for number in numbers {
            let Some((default, way, rule)) = self.defaults.get(number) else { continue };
            let is_sensitive = !(part == Part::Segment && matches!(way, Match::Sole(_)))
                && forms.each().any(|read| way.matches(read))
                && !(has_suffix && forms.each().any(|read| is_harmless(read, way, default.rule)));
            if !is_sensitive {
                continue;
            }
            let is_described = |read: &str| {
                suffix::is_action(read) || suffix::described(read).is_some_and(|before| way.matches(before))
            };
            let extent = match has_suffix && forms.each().any(is_described) {
                true => Extent::Described,
                false => default.extent,
            };
            found.add(*rule, extent);
        }
    }

    fn find_joined(&self, parent: Option<&str>, name: &str, found: &mut Found) {
        let Some(parent) = parent else { return };
        work::add(parent.len().saturating_add(name.len()));
        let forms = NameForms::new(name, self.place);
        self.joined.find(parent, &forms, |rule, extent| found.add(rule, extent));
    }

    /// What is sensitive as a whole or across several names: `social[security][number]`.
    fn find_across(&self, name: &str, squashed: &str, found: &mut Found) {
        for (default, way, rule) in &self.defaults {
            let is_across = match way {
                Match::Sole(whole) => squashed == *whole,
                Match::Anywhere(part) => {
                    squashed.contains(part) && !segments(name).any(|segment| squash(segment).contains(part))
                }
                _ => false,
            };
            if is_across {
                found.add(*rule, default.extent);
            }
        }
    }

    fn may_match(&self, name: &str) -> bool {
        self.prefilter.may_be_in(name) || is_segmented(name) && self.joined.may_be_around(name)
    }

    /// Whether the name is sensitive. Counts a hit of each matching rule.
    pub(super) fn hit(&self, name: &str, hits: &mut Hits) -> bool {
        self.hit_within(None, name, hits)
    }

    /// Whether the name of a member is sensitive, by itself or together with the name around it. Counts a hit of each
    /// matching rule.
    pub(super) fn hit_within(&self, parent: Option<&str>, name: &str, hits: &mut Hits) -> bool {
        let found = self.find_within(parent, name);
        found.count(hits);
        !found.is_empty()
    }

    /// Whether the name is sensitive by these rules or the others. Counts one hit of each matching rule.
    pub(super) fn hit_either(
        &self,
        others: &NameRules,
        parent: Option<&str>,
        name: &str,
        hits: &mut Hits,
    ) -> bool {
        let mut found = self.find_within(parent, name);
        let others = others.find_within(parent, name);
        others.rules.iter().for_each(|rule| found.add(*rule, others.extent));
        found.count(hits);
        !found.is_empty()
    }
}

/// Whether the last word of a normalised name makes it harmless: without it, the name still matches.
fn is_harmless(read: &str, way: &Match, rule: &str) -> bool {
    suffix::without(read, rule).is_some_and(|before| way.matches(before))
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

    fn matches(&self, forms: &NameForms, squashed: &str) -> bool {
        let is_part = |read: &str| read.contains(&*self.words) || contains_words(read, &self.squashed);
        squashed == &*self.squashed || forms.each().any(is_part)
    }
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
            assert_eq!(key_rule.matches(&read, &squash(name)), found, "{configured} {name}");
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
