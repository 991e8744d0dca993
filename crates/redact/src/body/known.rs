//! What the rules mean for a name, remembered across bodies.
//!
//! An API repeats its names in every body, and finding the rules that match one costs some hundred steps for a harmless name and
//! some thousand for a sensitive one. A name means the same in every body, so the answer is kept. The whole name is compared,
//! so a remembered answer is always the one that the rules give.

use std::sync::{Arc, Mutex};

use super::BodyRedactor;
use crate::names::Found;
use crate::rules::Hits;
use crate::work;

/// Places for names, a power of two. A name that belongs to an occupied place takes it.
const PLACES: usize = 512;

/// Words of eight bytes in a name that is remembered.
const WORDS: usize = 5;

/// Longest name that is remembered, bytes, together with the name around it.
const MAX_BYTES: usize = WORDS * 8;

/// What the rules mean for a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The rules that match the name. `None` when no rule matches.
    pub(super) found: Option<Arc<Found>>,
    /// Whether other rules can match together with the name around it.
    pub(super) may_be_within: bool,
    /// Whether it can make the names of its members sensitive.
    pub(super) is_parent: bool,
    /// Whether the name itself holds a secret that a detector finds.
    pub(super) holds_secret: bool,
    /// Whether a path begins with the name at any depth.
    pub(super) is_anywhere: bool,
}

/// The memory of a set of rules. One pass at a time uses it.
#[derive(Debug, Default)]
pub(super) struct NameMemory(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// No body was redacted so far.
    #[default]
    Unused,
    Free(Box<[Remembered]>),
    /// A pass has the names.
    Taken,
}

#[derive(Clone, Debug, Default)]
struct Remembered {
    key: Key,
    known: Known,
}

/// A name, or a name and the name around it, in words that are different for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Key {
    words: [u64; WORDS],
    /// Length of the name, bytes. 0 when nothing is remembered: the empty name has no place.
    name: u8,
    /// Length of the name and of the name around it, bytes.
    all: u8,
}

/// The names as one pass uses them. They go back into the memory when the pass ends.
pub(super) struct Names<'r> {
    rules: &'r BodyRedactor<'r>,
    /// `None` while another pass has them.
    places: Option<Box<[Remembered]>>,
    /// What was found out of a name that has no place.
    last: Known,
}

impl Clone for NameMemory {
    /// A clone begins without names: each is learned again.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl NameMemory {
    fn take(&self) -> Option<Box<[Remembered]>> {
        let mut state = self.0.try_lock().ok()?;
        match std::mem::replace(&mut *state, State::Taken) {
            State::Unused => Some(vec![Remembered::default(); PLACES].into()),
            State::Free(places) => Some(places),
            State::Taken => None,
        }
    }

    fn put(&self, places: Box<[Remembered]>) {
        if let Ok(mut state) = self.0.try_lock() {
            *state = State::Free(places);
        }
    }
}

impl<'r> Names<'r> {
    pub(super) fn new(rules: &'r BodyRedactor<'r>) -> Self {
        Self { rules, places: rules.body.memory.take(), last: Known::default() }
    }

    /// What the rules mean for a name, which is given as bytes and, where it must be learned, as text.
    #[inline]
    pub(super) fn of<N: AsRef<str>>(&mut self, bytes: &[u8], name: impl FnOnce() -> N) -> &Known {
        work::add(bytes.len().min(MAX_BYTES));
        let rules = self.rules;
        self.look_up(Key::of(bytes), || learn(rules, name().as_ref()))
    }

    /// The rules that match a name, by itself and together with the name around it.
    pub(super) fn within(&mut self, parent: &str, name: &str) -> Option<Arc<Found>> {
        let rules = self.rules;
        let find = || {
            let found = rules.body.keys.find_within(Some(parent), name);
            Known { found: (!found.is_empty()).then(|| Arc::new(found)), ..Known::default() }
        };
        self.look_up(Key::within(parent, name), find).found.clone()
    }

    /// Lends the names to passes over the strings of this body.
    pub(super) fn lend<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let memory = &self.rules.body.memory;
        let Some(places) = self.places.take() else { return run() };
        memory.put(places);
        let result = run();
        self.places = memory.take();
        result
    }

    #[inline]
    fn look_up(&mut self, key: Option<Key>, learn: impl FnOnce() -> Known) -> &Known {
        if let Some(key) = key
            && let Some(places) = &mut self.places
            && let Some(place) = places.get_mut(key.place())
        {
            if place.key != key {
                *place = Remembered { key, known: learn() };
            }
            return &place.known;
        }
        self.last = learn();
        &self.last
    }
}

impl Drop for Names<'_> {
    fn drop(&mut self) {
        if let Some(places) = self.places.take() {
            self.rules.body.memory.put(places);
        }
    }
}

impl Key {
    /// `None` when the name is empty or too long to be remembered.
    #[inline]
    fn of(name: &[u8]) -> Option<Self> {
        let length = u8::try_from(name.len()).ok()?;
        Some(Self { words: words(name)?, name: length, all: length })
    }

    fn within(parent: &str, name: &str) -> Option<Self> {
        let mut both = [0; MAX_BYTES];
        let (first, rest) = both.split_at_mut_checked(name.len())?;
        first.copy_from_slice(name.as_bytes());
        rest.get_mut(..parent.len())?.copy_from_slice(parent.as_bytes());
        let all = name.len().checked_add(parent.len())?;
        let words = words(both.get(..all)?)?;
        // A name with an empty one around it would look like the name alone.
        (!parent.is_empty() && !name.is_empty()).then_some(())?;
        Some(Self { words, name: u8::try_from(name.len()).ok()?, all: u8::try_from(all).ok()? })
    }

    #[inline]
    fn place(&self) -> usize {
        let seed = u64::from(self.name);
        let mixed = self
            .words
            .iter()
            .fold(seed, |mixed, word| (mixed.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (mixed >> u64::BITS.saturating_sub(PLACES.trailing_zeros())) as usize
    }
}

/// Bytes as words. Texts of the same length have different words if they differ. `None` for none and for too many.
#[inline]
fn words(bytes: &[u8]) -> Option<[u64; WORDS]> {
    let mut words = [0; WORDS];
    if let Some(last) = bytes.last_chunk::<8>() {
        if bytes.len() > MAX_BYTES {
            return None;
        }
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        // The last word overlaps the one before, so that no byte is read alone.
        if let Some(word) = words.get_mut(bytes.len().div_ceil(8).saturating_sub(1)) {
            *word = u64::from_le_bytes(*last);
        }
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let halves = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
        words = [halves, 0, 0, 0, 0];
    } else {
        let (first, last) = (bytes.first()?, bytes.last()?);
        let middle = bytes.get(bytes.len() >> 1)?;
        words = [u64::from(*first) | u64::from(*middle) << 8 | u64::from(*last) << 16, 0, 0, 0, 0];
    }
    Some(words)
}

/// Finds out what the rules mean for a name.
#[cold]
fn learn(rules: &BodyRedactor<'_>, name: &str) -> Known {
    let keys = &rules.body.keys;
    let found = keys.may_be_sensitive(name).then(|| keys.find(name));
    let mut hits = Hits::default();
    rules.detectors.redact(name, &mut hits);
    Known {
        found: found.filter(|found| !found.is_empty()).map(Arc::new),
        may_be_within: keys.may_be_within(name),
        is_parent: keys.parent(name).is_some(),
        holds_secret: !hits.is_empty(),
        is_anywhere: rules.body.plain.is_anywhere(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RedactConfig, Redactor};
    use gatelens_model::Message;
    use proptest::prelude::*;

    /// What the rules mean for names, asked one after the other.
    fn check(redactor: &Redactor, names: &[(String, Option<String>)]) {
        let rules = redactor.body_redactor(Message::Request);
        for (name, parent) in names {
            let mut known = Names::new(&rules);
            let wanted = learn(&rules, name);
            let got = known.of(name.as_bytes(), || name);
            assert_eq!(
                (&got.found, got.may_be_within, got.is_parent, got.holds_secret, got.is_anywhere),
                (
                    &wanted.found,
                    wanted.may_be_within,
                    wanted.is_parent,
                    wanted.holds_secret,
                    wanted.is_anywhere
                ),
                "{name}"
            );
            if let Some(parent) = parent {
                let wanted = rules.body.keys.find_within(Some(parent), name);
                let got = known.within(parent, name);
                assert_eq!(got.as_deref().cloned().unwrap_or_default(), wanted, "{name} within {parent}");
            }
        }
    }

    #[test]
    fn a_pass_within_another_one_has_the_names_only_if_they_are_lent() {
        let redactor = Redactor::new(&RedactConfig::default()).unwrap();
        let rules = redactor.body_redactor(Message::Request);
        let mut outer = Names::new(&rules);
        assert!(outer.of(b"password", || "password").found.is_some());
        assert!(Names::new(&rules).places.is_none());
        outer.lend(|| assert!(Names::new(&rules).places.is_some()));
        assert!(outer.places.is_some());
        drop(outer);
        assert!(Names::new(&rules).places.is_some());
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_the_rules_mean(
            names in prop::collection::vec(
                ("(card|pass|user|number|token|sk_live_0123456789abcdef|[a-e]{1,9}|[_é-]){0,9}", prop::option::of("card|user|[a-c]{0,5}")),
                0..40,
            ),
        ) {
            let paths = RedactConfig { request_body: vec!["$..user".into(), "$.a.b".into()], ..RedactConfig::default() };
            let redactor = Redactor::new(&paths).unwrap();
            check(&redactor, &names);
            check(&redactor, &names);
        }

        #[test]
        fn different_names_have_different_keys(a in "[ab]{0,42}", b in "[ab]{0,42}", parent in "[ab]{0,9}") {
            let same = a == b;
            if let (Some(a), Some(b)) = (Key::of(a.as_bytes()), Key::of(b.as_bytes())) {
                prop_assert_eq!(a == b, same);
            }
            if let (Some(a), Some(b)) = (Key::within(&parent, &a), Key::of(b.as_bytes())) {
                prop_assert_ne!(a, b);
            }
            if let (Some(a), Some(b)) = (Key::within(&parent, &a), Key::within(&parent, &b)) {
                prop_assert_eq!(a == b, same);
            }
        }
    }
}
