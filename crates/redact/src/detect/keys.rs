//! Keys and tokens whose vendors gave them a form of their own: `sk_live_…`, `ghp_…`, `AKIA…`, private keys in PEM.
//!
//! Every form begins with a prefix that hardly anything else begins with, and has a length. A key begins where a word
//! begins. The search is cheap: each prefix has one of five bytes, which a pass of eight bytes at a time finds, and a
//! table of the three bytes up to there rules out almost all places.

mod formats;

use std::ops::Range;

use crate::json::eight;
use crate::rules::{Hits, RuleId, RuleRegistry};
use crate::work;
use formats::{FORMATS, Format};
use gatelens_model::order;

/// Length of the shortest key, bytes.
pub(super) const SHORTEST: usize = 16;

/// Bits of the table, as a power of two.
const TABLE_LOG2: u32 = 13;

/// Words of 64 bits.
const TABLE_WORDS: usize = 1 << (TABLE_LOG2 - 6);

/// Number of bytes that the table knows: an anchor and the two bytes before.
const WIDTH: usize = 3;

/// The forms of keys, compiled.
#[derive(Clone, Debug)]
pub(super) struct KeyFormats {
    /// Sorted by the bytes up to their anchors.
    formats: Vec<(Window, &'static Format, Anchor, RuleId)>,
    /// A bit for the hash of the bytes up to each anchor.
    anchors: Vec<u64>,
}

/// The forms of keys for values that leave the gateway in clear, whatever the section `redact` contains.
#[derive(Clone, Debug)]
pub struct KeyForms(KeyFormats);

impl Default for KeyForms {
    fn default() -> Self {
        Self(KeyFormats::new(&mut RuleRegistry::default()))
    }
}

impl KeyForms {
    /// Whether a key stands anywhere in these bytes. The cost grows with their number.
    pub fn is_in(&self, value: &[u8]) -> bool {
        self.0.is_in(value)
    }
}

/// The bytes up to an anchor.
type Window = u32;

/// Where in its prefix a form has the byte by which it is found.
type Anchor = usize;

impl KeyFormats {
    pub(super) fn new(rules: &mut RuleRegistry) -> Self {
        let mut formats = Vec::new();
        let mut anchors = vec![0u64; TABLE_WORDS];
        for format in FORMATS {
            let rule = rules.add(format.rule.to_owned());
            let prefix = format.prefix.as_bytes();
            let anchor = prefix
                .iter()
                .enumerate()
                .position(|(at, byte)| at.saturating_add(1) >= WIDTH && is_anchor(*byte));
            let Some(anchor) = anchor else { continue };
            let Some(window) = window(prefix, anchor) else { continue };
            let (word, bit) = place(window);
            if let Some(word) = anchors.get_mut(word) {
                *word |= bit;
            }
            formats.push((window, format, anchor, rule));
        }
        // Forms with the same bytes keep their order.
        order::sort_by_key(&mut formats, |(window, ..)| *window);
        Self { formats, anchors }
    }

    /// Whether the text contains a key.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        text.len() >= SHORTEST && self.next(text, 0).is_some()
    }

    /// Where in a text keys stand. Counts hits of their rules.
    pub(super) fn find(&self, text: &str, hits: &mut Hits) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut from = 0usize;
        if text.len() < SHORTEST {
            return found;
        }
        while let Some((range, rule)) = self.next(text.as_bytes(), from) {
            hits.add(rule, 1);
            from = range.end;
            found.push(range);
        }
        found
    }

    /// The next key that begins at `from` or after it.
    fn next(&self, text: &[u8], from: usize) -> Option<(Range<usize>, RuleId)> {
        let rest = text.get(from..)?;
        work::add(rest.len());
        let (words, last) = rest.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            let mut marks = anchors_in(u64::from_le_bytes(*word));
            while marks != 0 {
                let lane = (marks.trailing_zeros() >> 3) as usize;
                let at = from.saturating_add(index.saturating_mul(8)).saturating_add(lane);
                if let Some(found) = self.at_anchor(text, from, at) {
                    return Some(found);
                }
                marks &= marks.wrapping_sub(1);
            }
        }
        let start = text.len().saturating_sub(last.len());
        let anchors = (start..).zip(last).filter(|(_, byte)| is_anchor(**byte));
        anchors.map(|(at, _)| at).find_map(|at| self.at_anchor(text, from, at))
    }

    fn at_anchor(&self, text: &[u8], from: usize, at: usize) -> Option<(Range<usize>, RuleId)> {
        let window = window(text, at)?;
        let (word, bit) = place(window);
        let may_be = self.anchors.get(word).is_some_and(|word| word & bit != 0);
        if may_be { self.key_at(text, from, at, window) } else { None }
    }

    #[cold]
    fn key_at(&self, text: &[u8], from: usize, at: usize, window: Window) -> Option<(Range<usize>, RuleId)> {
        let first = self.formats.partition_point(|(other, ..)| *other < window);
        let same = self.formats.iter().skip(first).take_while(|(other, ..)| *other == window);
        same.into_iter().find_map(|(_, format, anchor, rule)| {
            let start = at.checked_sub(*anchor).filter(|start| *start >= from)?;
            let body = text.get(start..)?.strip_prefix(format.prefix.as_bytes())?;
            let is_word = format.prefix.starts_with(|c: char| c.is_ascii_alphanumeric());
            if is_word && !begins_word(text.get(..start).unwrap_or_default()) {
                return None;
            }
            let length = (format.body)(body)?;
            work::add(length);
            let end = start.saturating_add(format.prefix.len()).saturating_add(length);
            Some((start..end, *rule))
        })
    }
}

/// Whether a word begins after this text: after anything except letters and digits, or after an escaped line end.
fn begins_word(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., last] => !last.is_ascii_alphanumeric(),
        [] => true,
    }
}

/// Whether the byte is one by which keys are found.
fn is_anchor(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b'A' | b'z')
}

/// Sets the highest bit of each anchor, and by accident of other bytes after it.
fn anchors_in(word: u64) -> u64 {
    let is_zero = |word: u64| word.wrapping_sub(eight(1)) & !word;
    let is = |byte: u8| is_zero(word ^ eight(byte));
    (is(b'_') | is(b'-') | is(b'.') | is(b'A') | is(b'z')) & eight(0x80)
}

/// The byte at a place and the two before.
fn window(text: &[u8], at: usize) -> Option<Window> {
    let start = at.checked_sub(WIDTH.saturating_sub(1))?;
    let [a, b, c] = *text.get(start..)?.first_chunk::<WIDTH>()?;
    Some(u32::from_le_bytes([a, b, c, 0]))
}

/// Word and bit in the table.
fn place(window: Window) -> (usize, u64) {
    let hash = window.wrapping_mul(0x9e37_79b1).wrapping_shr(u32::BITS.saturating_sub(TABLE_LOG2));
    ((hash >> 6) as usize, 1u64.wrapping_shl(hash & 63))
}

#[cfg(test)]
mod tests;
