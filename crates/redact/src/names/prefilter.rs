//! Rules out most names quickly: reads a name once and finds out whether it can contain any of many texts.

use super::squash;
use crate::work;

/// Number of bytes at the beginning of a text that the table knows.
const MAX_WIDTH: usize = 3;

/// Bits of the table, as a power of two. With two hundred texts, one name in ten passes the filter by accident.
const TABLE_LOG2: u32 = 14;

/// Words of 64 bits.
const TABLE_WORDS: usize = 1 << (TABLE_LOG2 - 6);

/// Unused bits of the hash of a beginning.
const UNUSED: u32 = u32::BITS.saturating_sub(TABLE_LOG2);

/// Texts of lower-case letters and digits, indexed by their first bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefilter {
    /// The beginning of each text, its number and the text, sorted by beginning.
    texts: Vec<(u32, usize, Box<str>)>,
    /// Length of the beginnings, bytes.
    width: usize,
    /// Mask for `width` bytes.
    kept: u32,
    /// A bit for the hash of each beginning. Empty without texts.
    beginnings: Vec<u64>,
    /// A bit for the hash of each beginning and the byte after it, which is 0 at the end of a text.
    continued: Vec<u64>,
}

impl Prefilter {
    /// Adds a text, which must be squashed and not empty. Returns its number; numbers are consecutive.
    pub(super) fn add(&mut self, text: &str) -> usize {
        let number = self.texts.len();
        let width = text.len().min(MAX_WIDTH);
        if number == 0 || width < self.width {
            // All beginnings are as long as the shortest text, up to the maximum.
            self.width = width;
            self.kept = match width {
                1 => 0xff,
                2 => 0xffff,
                _ => 0xff_ffff,
            };
            self.beginnings = vec![0; TABLE_WORDS];
            self.continued = vec![0; TABLE_WORDS];
            let known = std::mem::take(&mut self.texts);
            known.into_iter().for_each(|(_, number, text)| self.enter(number, text));
        }
        self.enter(number, text.into());
        number
    }

    fn enter(&mut self, number: usize, text: Box<str>) {
        let begin = text.bytes().take(self.width).fold(0, |window, byte| self.slide(window, byte));
        let (word, bit) = place(begin);
        if let Some(word) = self.beginnings.get_mut(word) {
            *word |= bit;
        }
        let (word, bit) =
            place(followed(begin, text.as_bytes().get(self.width).copied().unwrap_or_default()));
        if let Some(word) = self.continued.get_mut(word) {
            *word |= bit;
        }
        let at = self.texts.partition_point(|(other, ..)| *other <= begin);
        self.texts.insert(at, (begin, number, text));
    }

    /// The numbers of the texts that a squashed name contains, each once, in no particular order.
    pub(super) fn found_in(&self, squashed: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let mut window = 0;
        for (end, byte) in squashed.bytes().enumerate() {
            window = self.slide(window, byte);
            if !self.is_beginning(window) {
                continue;
            }
            let rest = squashed.as_bytes().get(end.saturating_add(1)..).unwrap_or_default();
            for (number, after) in self.beginning_with(window) {
                if rest.starts_with(after) && !found.contains(&number) {
                    found.push(number);
                }
            }
        }
        found
    }

    /// Whether the letters and digits of a name can contain one of the texts. False is certain.
    pub(super) fn may_be_in(&self, name: &str) -> bool {
        if self.texts.is_empty() {
            return false;
        }
        work::add(name.len());
        if name.is_ascii() {
            return self.is_any_in(name.bytes().map(squashed).filter(|byte| *byte != 0));
        }
        self.is_any_in(squash(name).bytes())
    }

    fn is_any_in(&self, mut squashed: impl Iterator<Item = u8> + Clone) -> bool {
        let mut window = 0;
        while let Some(byte) = squashed.next() {
            window = self.slide(window, byte);
            if self.is_beginning(window)
                && self.may_continue(window, squashed.clone().next())
                && self.continues(window, squashed.clone())
            {
                return true;
            }
        }
        false
    }

    /// Whether a text can begin with these bytes.
    fn is_beginning(&self, window: u32) -> bool {
        let (word, bit) = place(window);
        self.beginnings.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether a text can end with these bytes, or continue with the next.
    fn may_continue(&self, window: u32, next: Option<u8>) -> bool {
        let has = |byte: u8| {
            let (word, bit) = place(followed(window, byte));
            self.continued.get(word).is_some_and(|word| word & bit != 0)
        };
        has(0) || next.is_some_and(has)
    }

    /// Whether the rest of a text follows its beginning: `price` begins like `privatekey`, but continues differently.
    #[cold]
    fn continues(&self, window: u32, rest: impl Iterator<Item = u8> + Clone) -> bool {
        self.beginning_with(window).any(|(_, after)| {
            let mut rest = rest.clone();
            after.iter().all(|byte| rest.next() == Some(*byte))
        })
    }

    /// The number and the rest of each text that begins with these bytes.
    fn beginning_with(&self, window: u32) -> impl Iterator<Item = (usize, &[u8])> {
        let first = self.texts.partition_point(|(begin, ..)| *begin < window);
        let same = self.texts.iter().skip(first).take_while(move |(begin, ..)| *begin == window);
        same.map(|(_, number, text)| (*number, text.as_bytes().get(self.width..).unwrap_or_default()))
    }

    /// Moves the window on by one byte.
    fn slide(&self, window: u32, byte: u8) -> u32 {
        (window.wrapping_shl(8) | u32::from(byte)) & self.kept
    }
}

/// The form of an ASCII character in a squashed name; 0 when it is dropped.
fn squashed(byte: u8) -> u8 {
    /// One table for all filters.
    static SQUASHED: [u8; 256] = {
        let mut table = [0; 256];
        let mut rest: &mut [u8] = &mut table;
        let mut byte = 0u8;
        while let [first, others @ ..] = rest {
            if byte.is_ascii_alphanumeric() {
                *first = byte.to_ascii_lowercase();
            }
            byte = byte.wrapping_add(1);
            rest = others;
        }
        table
    };
    SQUASHED.get(usize::from(byte)).copied().unwrap_or(0)
}

/// A beginning, which has at most three bytes, and the byte after it.
fn followed(begin: u32, byte: u8) -> u32 {
    begin | u32::from(byte).wrapping_shl(24)
}

/// Word and bit of a beginning in the table.
fn place(window: u32) -> (usize, u64) {
    let hash = window.wrapping_mul(0x9e37_79b1).wrapping_shr(UNUSED);
    ((hash >> 6) as usize, 1u64.wrapping_shl(hash & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn none_is_missed(
            texts in prop::collection::vec("[a-c0é]{1,5}", 1..4),
            before in "[a-dA-D_0é -]{0,5}",
            after in "[a-dA-D_0É -]{0,5}",
            which: prop::sample::Index,
        ) {
            let mut prefilter = Prefilter::default();
            texts.iter().enumerate().for_each(|(number, text)| assert_eq!(prefilter.add(text), number));
            let name = format!("{before}{}{after}", which.get(&texts).to_uppercase());
            prop_assert!(prefilter.may_be_in(&name), "{} {:?}", name, texts);
            let squashed = squash(&name);
            let found = prefilter.found_in(&squashed);
            for (number, text) in texts.iter().enumerate() {
                prop_assert_eq!(found.contains(&number), squashed.contains(text), "{} {:?} {}", name, texts, text);
            }
        }
    }

    #[test]
    fn most_names_hold_none() {
        let mut prefilter = Prefilter::default();
        assert!(!prefilter.may_be_in("password"));
        for text in ["password", "secret", "token", "apikey", "ssn", "privatekey", "credential"] {
            prefilter.add(text);
        }
        for name in [
            "id",
            "",
            "createdAt",
            "user_name",
            "Straße",
            "ss",
            "to_be",
            "pa-x",
            "price",
            "private",
            "Passwört",
        ] {
            assert!(!prefilter.may_be_in(name), "{name}");
        }
        assert!(prefilter.may_be_in("S-S_N"));
    }
}
