//! Names that are sensitive together with the name around them: `number` within `card`, in JSON and in a form.

use super::prefilter::Prefilter;
use super::words::{Humps, words};
use crate::json::has_byte_of;
use crate::rules::RuleId;
use crate::work;

use super::{Extent, NameForms, suffix};

/// Words at the end of a name that mean nothing: `card_details` holds a card.
const FILLERS: &[&str] = &["data", "detail", "details", "info", "information", "object", "params"];

/// Longest end of a name around others that is looked at, bytes.
const MAX_PARENT: usize = 48;

/// Names of two words and more, each divided into the words around and the words within.
#[derive(Clone, Debug, Default)]
pub(super) struct JoinedNames {
    divided: Vec<Divided>,
    /// The words around, to rule out most names that consist of several.
    around: Prefilter,
    /// The last of the words around, in the singular and in the plural, and fillers.
    endings: Endings,
    /// A bit for each first letter of words within.
    beginnings: u32,
}

#[derive(Clone, Debug)]
struct Divided {
    /// `_card_`
    around: Box<str>,
    /// `_number_`
    within: Box<str>,
    rule: RuleId,
    extent: Extent,
}

impl JoinedNames {
    /// Adds the words of a name, `card_number`, divided before the last.
    pub(super) fn add(&mut self, words: &str, rule: RuleId, extent: Extent) {
        let Some((around, within)) = words.rsplit_once('_') else { return };
        if around.is_empty() || within.is_empty() {
            return;
        }
        self.around.add(&around.replace('_', ""));
        let last = around.rsplit('_').next().unwrap_or(around);
        self.endings.add(last);
        self.endings.add(&format!("{last}s"));
        FILLERS.iter().for_each(|filler| self.endings.add(filler));
        self.beginnings |= letter(within);
        self.divided.push(Divided {
            around: format!("_{around}_").into(),
            within: format!("_{within}_").into(),
            rule,
            extent,
        });
    }

    /// Whether a name can be sensitive within one of the names around. False is certain.
    pub(super) fn may_be_within(&self, name: &str) -> bool {
        letter(name) & self.beginnings != 0
    }

    /// The end of a name around others, if a name within can be sensitive because of it.
    pub(super) fn parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        if !self.endings.may_end(name) {
            return None;
        }
        let begin = name.ceil_char_boundary(name.len().saturating_sub(MAX_PARENT));
        let end = name.get(begin..)?;
        work::add(end.len());
        let reads = Self::reads(end);
        let ends = |divided: &Divided| reads.iter().any(|read| read.ends_with(&*divided.around));
        self.divided.iter().any(ends).then_some(end)
    }

    /// Whether a name that consists of several can have one around another. False is certain.
    pub(super) fn may_be_around(&self, name: &str) -> bool {
        self.around.may_be_in(name)
    }

    /// The rules that match `name` within `parent`.
    pub(super) fn find(&self, parent: &str, name: &NameForms, mut found: impl FnMut(RuleId, Extent)) {
        let reads = Self::reads(parent);
        for divided in &self.divided {
            // `number` within `card`, and `number_hash`, but not `number_of_items`.
            let is_within =
                |read: &str| *read == *divided.within || suffix::carried(read) == Some(&*divided.within);
            if reads.iter().any(|read| read.ends_with(&*divided.around)) && name.each().any(is_within) {
                found(divided.rule, divided.extent);
            }
        }
    }

    /// The words of a name around others, in each way in which it can be read: without numbers and fillers at its end,
    /// in the singular.
    fn reads(parent: &str) -> Vec<String> {
        let mut reads = Vec::new();
        for humps in [Humps::Keep, Humps::Split] {
            let all = words(parent, humps);
            let mut read = &*all;
            while let Some((before, last)) = read.strip_suffix('_').and_then(|read| read.rsplit_once('_'))
                && (FILLERS.contains(&last) || last.bytes().all(|byte| byte.is_ascii_digit()))
                && !before.is_empty()
            {
                read = read.get(..before.len().saturating_add(1)).unwrap_or_default();
            }
            if let Some(singular) = read.strip_suffix("s_") {
                reads.push(format!("{singular}_"));
            }
            reads.push(read.to_owned());
        }
        reads.dedup();
        reads
    }
}

/// Words at the end of names. Rules out most names by their last letters.
#[derive(Clone, Debug, Default)]
struct Endings {
    /// Sorted, each once.
    words: Vec<Box<str>>,
    /// A bit for each hash of the last letters. Empty without words.
    bits: Vec<u64>,
}

impl Endings {
    fn add(&mut self, word: &str) {
        if self.bits.is_empty() {
            self.bits = vec![0; 1 << (ENDINGS_LOG2 - 6)];
        }
        let (at, bit) = Self::place(word.as_bytes(), LAST_LETTERS);
        if let Some(bits) = self.bits.get_mut(at) {
            *bits |= bit;
        }
        if let Err(at) = self.words.binary_search_by(|known| (**known).cmp(word)) {
            self.words.insert(at, word.into());
        }
    }

    /// Whether one of the words can be the last of a name. False is certain.
    fn may_end(&self, name: &str) -> bool {
        if self.bits.is_empty() {
            return false;
        }
        let name = name.as_bytes();
        // Digits and brackets can stand behind the last word.
        let name = match name.last() {
            Some(last) if last.is_ascii_alphabetic() => name,
            _ => {
                let last = name.iter().rposition(u8::is_ascii_alphabetic);
                name.get(..last.map_or(0, |last| last.saturating_add(1))).unwrap_or_default()
            }
        };
        work::add(1);
        let has = |length: usize| {
            let (at, bit) = Self::place(name, length);
            self.bits.get(at).is_some_and(|bits| bits & bit != 0)
        };
        // The letters before a shorter word can be any.
        (has(LAST_LETTERS) || has(SHORT_WORD)) && self.ends(name)
    }

    /// Whether one of the words is the last of a name, in a way in which it can be read.
    #[cold]
    fn ends(&self, name: &[u8]) -> bool {
        let near = name.get(name.len().saturating_sub(MAX_PARENT)..).unwrap_or_default();
        work::add(near.len());
        let run = near.iter().rposition(|byte| !byte.is_ascii_alphabetic());
        let run = near.get(run.map_or(0, |at| at.saturating_add(1))..).unwrap_or_default();
        let hump = run.iter().rposition(u8::is_ascii_uppercase).and_then(|at| run.get(at..));
        [Some(run), hump].into_iter().flatten().any(|word| {
            let lower = word.iter().map(u8::to_ascii_lowercase);
            self.words.binary_search_by(|known| known.bytes().cmp(lower.clone())).is_ok()
        }) || !near.is_ascii()
    }

    /// Word and bit of the last letters, in lower case.
    fn place(word: &[u8], length: usize) -> (usize, u64) {
        let from = word.len().saturating_sub(length);
        let letters = word.get(from..).unwrap_or_default();
        let window =
            letters.iter().fold(0u32, |window, byte| window.wrapping_shl(8) | u32::from(byte | 0x20));
        let hash = window.wrapping_mul(0x9e37_79b1).wrapping_shr(u32::BITS.saturating_sub(ENDINGS_LOG2));
        ((hash >> 6) as usize, 1u64.wrapping_shl(hash & 63))
    }
}

/// Number of letters at the end of a word by which it is known.
const LAST_LETTERS: usize = 4;

/// Number of letters of the shortest word around: `api`, `otp`.
const SHORT_WORD: usize = 3;

/// Bits of the table of endings, as a power of two.
const ENDINGS_LOG2: u32 = 12;

/// A bit for the first letter.
fn letter(name: &str) -> u32 {
    match name.bytes().find(u8::is_ascii_alphanumeric) {
        Some(first) => 1u32.wrapping_shl(u32::from(first | 0x20)),
        // A name without ASCII is looked at.
        None => u32::MAX,
    }
}

/// The names that a name of a form or a dotted name consists of: `items[0][card][number]` of `items`, `card` and
/// `number`.
pub(super) fn segments(name: &str) -> impl Iterator<Item = &str> {
    let is_index = |segment: &&str| segment.bytes().all(|byte| byte.is_ascii_digit());
    name.split(['[', ']', '.']).filter(move |segment| !is_index(segment))
}

/// Whether a name consists of several.
pub(super) fn is_segmented(name: &str) -> bool {
    has_byte_of::<b'.', b'.'>(name.as_bytes()) || has_byte_of::<b'[', b']'>(name.as_bytes())
}
