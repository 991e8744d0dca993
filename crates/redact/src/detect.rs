//! Secrets that are recognised by their form, in any text.

mod card;
mod email;
mod iban;
mod jwt;
mod keys;
mod ssn;

use std::borrow::Cow;
use std::ops::Range;

use super::DetectorKind;
use super::MASK;
use super::rules::{Hits, RuleId, RuleRegistry};
use super::stable::until_stable;
use super::work;
use keys::KeyFormats;
pub use keys::KeyForms;

/// The detectors of a configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Detectors {
    enabled: Vec<(DetectorKind, RuleId)>,
    /// The forms of keys, which are built in.
    keys: Option<KeyFormats>,
}

impl Detectors {
    pub(super) fn add(&mut self, kind: DetectorKind, rule: RuleId) {
        self.enabled.push((kind, rule));
    }

    /// Adds the forms of keys.
    pub(super) fn add_keys(&mut self, rules: &mut RuleRegistry) {
        self.keys = Some(KeyFormats::new(rules));
    }

    /// Whether the text can contain a secret. False for most texts, if only the built-in forms are looked for.
    #[inline]
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        !self.enabled.is_empty() || text.len() >= keys::SHORTEST && self.has_key(text)
    }

    fn has_key(&self, text: &[u8]) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.is_in(text))
    }

    /// Masks every secret in the text and keeps the rest.
    pub(super) fn redact<'t>(&self, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
        if !self.may_be_in(text.as_bytes()) {
            return Cow::Borrowed(text);
        }
        // A mask creates new edges. A secret that appears at an edge was not found before, so it is counted, too.
        let stable = until_stable(text, |text, _| {
            let found = self.find(text, hits);
            (!found.is_empty()).then(|| mask(text, found))
        });
        stable.unwrap_or(Cow::Borrowed(MASK))
    }

    /// Whether the text contains a secret.
    pub(super) fn hit(&self, text: &str, hits: &mut Hits) -> bool {
        !self.find(text, hits).is_empty()
    }

    /// Whether a number can be a secret.
    pub(super) fn look_at_numbers(&self) -> bool {
        !self.enabled.is_empty()
    }

    /// Whether a number, as it is written in JSON, is a secret.
    pub(super) fn hit_number(&self, digits: &str, hits: &mut Hits) -> bool {
        let mut hit = false;
        for (kind, rule) in &self.enabled {
            let long_integer = digits.len() >= 13 && digits.bytes().all(|byte| byte.is_ascii_digit());
            if *kind == DetectorKind::Card && long_integer && !card::find(digits).is_empty() {
                hits.add(*rule, 1);
                hit = true;
            }
        }
        hit
    }

    fn find(&self, text: &str, hits: &mut Hits) -> Vec<Range<usize>> {
        let mut found = self.keys.as_ref().map_or_else(Vec::new, |keys| keys.find(text, hits));
        // Most texts are too short or lack the characters of a secret.
        if self.enabled.is_empty() || text.len() < SHORTEST {
            return found;
        }
        work::add(text.len());
        let signs = Signs::of(text);
        for (kind, rule) in self.enabled.iter().filter(|(kind, _)| signs.allow(*kind)) {
            work::add(text.len());
            let more = match kind {
                DetectorKind::Card => card::find(text),
                DetectorKind::Jwt => jwt::find(text),
                DetectorKind::Email => email::find(text),
                DetectorKind::Iban => iban::find(text),
                DetectorKind::Ssn => ssn::find(text),
            };
            hits.add(*rule, more.len() as u64);
            found.extend(more);
        }
        found
    }
}

/// Length of the shortest secret, an e-mail address such as `a@b.c`, bytes.
const SHORTEST: usize = 5;

/// Characters of a text that secrets need.
struct Signs {
    digits: usize,
    at_signs: bool,
    dots: bool,
}

impl Signs {
    fn of(text: &str) -> Self {
        let count = |wanted: fn(&u8) -> bool| text.as_bytes().iter().filter(|byte| wanted(byte)).count();
        Self {
            digits: count(u8::is_ascii_digit),
            at_signs: count(|byte| matches!(byte, b'@' | b'%')) > 0,
            dots: count(|byte| *byte == b'.') > 0,
        }
    }

    /// Whether the text can contain such a secret.
    fn allow(&self, kind: DetectorKind) -> bool {
        match kind {
            DetectorKind::Card => self.digits >= 13,
            DetectorKind::Jwt => self.dots,
            DetectorKind::Email => self.at_signs && self.dots,
            DetectorKind::Iban => self.digits >= 2,
            DetectorKind::Ssn => self.digits >= 9,
        }
    }
}

fn mask(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut copied = 0usize;
    for range in found {
        if range.start >= copied {
            out.push_str(text.get(copied..range.start).unwrap_or_default());
            out.push_str(MASK);
        }
        copied = copied.max(range.end);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

/// The byte at a place of a text, if there is one.
fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleRegistry;
    use proptest::prelude::*;

    fn detectors(kinds: &[DetectorKind]) -> Detectors {
        let mut rules = RuleRegistry::default();
        let mut detectors = Detectors::default();
        for kind in kinds {
            detectors.add(*kind, rules.add(kind.name().to_owned()));
        }
        detectors
    }

    fn check(kind: DetectorKind, text: &str, masked: &str) {
        let detectors = detectors(&[kind]);
        let got = detectors.redact(text, &mut Hits::default());
        assert_eq!(got, masked.replace("***", MASK), "{text}");
        assert_eq!(detectors.redact(&got, &mut Hits::default()), got, "{text}: twice");
    }

    #[test]
    fn cards() {
        let check = |text, masked| check(DetectorKind::Card, text, masked);
        check("4111111111111111", "***");
        check("4111 1111 1111 1111", "***");
        check("pay 4111-1111-1111-1111 now", "pay *** now");
        check("call 12 4111 1111 1111 1111 7", "call 12 *** 7");
        check("378282246310005", "***");
        check("3782 822463 10005", "***");
        check("6011000990139424,5555555555554444", "***,***");
        check("4111111111111112", "4111111111111112");
        check("1234567890123456", "1234567890123456");
        check("0000000000000000", "0000000000000000");
        check("2024-11-20 11:06:04", "2024-11-20 11:06:04");
        check("no4111111111111111x", "no***x");
        check("6120e4f8-e411-1111-1111-11111db73043", "6120e4f8-e411-1111-1111-11111db73043");
        check("x4111 1111 1111 1111", "x4111 1111 1111 1111");
        check("é4111111111111111é", "é***é");
        check("", "");
    }

    #[test]
    fn tokens() {
        let check = |text, masked| check(DetectorKind::Jwt, text, masked);
        check(
            "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g",
            "Bearer ***",
        );
        check("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "***");
        check("a,eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.x,b", "a,***,b");
        check("eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIn0");
        check("eyebrow.test.com", "eyebrow.test.com");
    }

    #[test]
    fn addresses() {
        let check = |text, masked| check(DetectorKind::Email, text, masked);
        check("ann@example.com", "***");
        check("<ann.b+tag@mail.example.co.uk>, bob@x.io.", "<***>, ***.");
        check("mailto:ann%40example.com", "mailto:***");
        check("josé@exämple.de", "***");
        check("@home", "@home");
        check("a@b", "a@b");
        check("a @ b.com", "a @ b.com");
        check("v@1.2", "v@1.2");
        check("a@b.com@c.com", "***@c.com");
    }

    #[test]
    fn accounts() {
        let check = |text, masked| check(DetectorKind::Iban, text, masked);
        check("DE89370400440532013000", "***");
        check("DE89 3704 0044 0532 0130 00 is mine", "*** is mine");
        check("to gb29nwbk60161331926819.", "to ***.");
        check("FR14 2004 1010 0505 0001 3M02 606", "***");
        check("DE88370400440532013000", "DE88370400440532013000");
        check("ZZ89370400440532013000", "ZZ89370400440532013000");
        check("NO9386011117947", "***");
    }

    #[test]
    fn social_security_numbers() {
        let check = |text, masked| check(DetectorKind::Ssn, text, masked);
        check("123-45-6789", "***");
        check("ssn 123 45 6789.", "ssn ***.");
        check("000-45-6789", "000-45-6789");
        check("666-45-6789", "666-45-6789");
        check("923-45-6789", "923-45-6789");
        check("123-00-6789", "123-00-6789");
        check("123-45-0000", "123-45-0000");
        check("1123-45-6789", "1123-45-6789");
        check("123-45-67890", "123-45-67890");
        check("123456789", "123456789");
    }

    #[test]
    fn numbers() {
        let detectors = detectors(&DetectorKind::ALL);
        let check = |digits: &str, hit: bool| {
            assert_eq!(detectors.hit_number(digits, &mut Hits::default()), hit, "{digits}");
        };
        check("4111111111111111", true);
        check("4111111111111112", false);
        check("4111111111111111.5", false);
        check("42", false);
    }

    proptest! {
        #[test]
        fn masking_twice_changes_nothing(text in "[0-9 .@a-zD-E%é-]{0,60}|(4111111111111111|DE89370400440532013000|123-45-6789|a@b.de|eyJa.eyJb.c|[ .@0-9x-]){0,8}") {
            let detectors = detectors(&DetectorKind::ALL);
            let once = detectors.redact(&text, &mut Hits::default()).into_owned();
            prop_assert_eq!(detectors.redact(&once, &mut Hits::default()), &once[..]);
        }

        #[test]
        fn any_text_is_survived(text in ".*") {
            detectors(&DetectorKind::ALL).redact(&text, &mut Hits::default());
        }
    }
}
