//! Prefix codes (RFC 1951, section 3.2) for the symbols of a block, from the symbols before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::BitWriter;

/// Literals, the end of a block, and lengths.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const END: usize = 256;
const LENGTH_CODES: usize = 19;

/// Longest code, bits.
const MOST_BITS: u32 = 15;

/// Longest code of a distance, bits: with its extra bits it still fits a [`Code`].
const MOST_DISTANCE_BITS: u32 = 12;

/// Longest code of a length of a code, bits.
const MOST_LENGTH_BITS: u32 = 7;

/// The order in which a block's header has the codes of lengths.
const LENGTH_ORDER: [u8; LENGTH_CODES] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The smallest length of each symbol for lengths, less 3, and its extra bits.
const LENGTH_BASES: [(u8, u8); 29] = [
    (0, 0),
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 1),
    (10, 1),
    (12, 1),
    (14, 1),
    (16, 2),
    (20, 2),
    (24, 2),
    (28, 2),
    (32, 3),
    (40, 3),
    (48, 3),
    (56, 3),
    (64, 4),
    (80, 4),
    (96, 4),
    (112, 4),
    (128, 5),
    (160, 5),
    (192, 5),
    (224, 5),
    (255, 0),
];

/// A code with the extra bits that follow it: the bits, and above them their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code(u32);

impl Code {
    fn new(bits: u32, length: u32) -> Self {
        Self(bits | length << 27)
    }

    /// This code, then others.
    fn then(self, extra: u32, count: u32) -> Self {
        Self::new(self.bits() | extra.wrapping_shl(self.length()), self.length().wrapping_add(count))
    }

    #[inline]
    pub(super) fn bits(self) -> u32 {
        self.0 & ((1 << 27) - 1)
    }

    #[inline]
    pub(super) fn length(self) -> u32 {
        self.0 >> 27
    }
}

/// The codes of a block.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    literals: [Code; 256],
    /// By length less 3, with the extra bits.
    lengths: [Code; 256],
    distances: [Code; DISTANCES],
    /// The end of the block.
    pub(super) end: Code,
    /// Lengths of the codes: literals and lengths, then distances.
    bits: Vec<u8>,
}

impl Codes {
    #[inline]
    pub(super) fn literal(&self, byte: u8) -> Code {
        self.literals.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// The code of the length of a match.
    #[inline]
    pub(super) fn length(&self, length: usize) -> Code {
        self.lengths.get(usize::from(length.wrapping_sub(3) as u8)).copied().unwrap_or_default()
    }

    /// The symbol and the code of a distance.
    #[inline]
    pub(super) fn distance(&self, distance: usize) -> (usize, Code) {
        let (symbol, extra, count) = distance_symbol(distance);
        let code = self.distances.get(symbol).copied().unwrap_or_default();
        (symbol, code.then(extra, count))
    }

    /// Begins a block with these codes, which is not the last one.
    pub(super) fn write_header(&self, out: &mut BitWriter) {
        let runs = runs(&self.bits);
        let mut counts = [1u32; LENGTH_CODES];
        for (symbol, ..) in &runs {
            counts
                .get_mut(usize::from(*symbol))
                .into_iter()
                .for_each(|count| *count = count.saturating_add(1));
        }
        let lengths = code_lengths(&counts, MOST_LENGTH_BITS);
        let codes = canonical(&lengths);
        out.put(0b100, 3);
        out.put((LITERALS - 257) as u32, 5);
        out.put((DISTANCES - 1) as u32, 5);
        out.put((LENGTH_CODES - 4) as u32, 4);
        for symbol in LENGTH_ORDER {
            out.put(u32::from(lengths.get(usize::from(symbol)).copied().unwrap_or(0)), 3);
        }
        for (symbol, extra, count) in runs {
            out.code(codes.get(usize::from(symbol)).copied().unwrap_or_default().then(extra, count));
        }
    }
}

/// How often each symbol came; at least once, so that each has a code.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    literals: [u32; 256],
    lengths: [u32; 256],
    distances: [u32; DISTANCES],
    symbols: u32,
}

impl Counts {
    /// About as log records have them, before there were any.
    pub(super) fn expected() -> Self {
        let mut counts =
            Self { literals: [1; 256], lengths: [1; 256], distances: [1; DISTANCES], symbols: 0 };
        for (byte, count) in (0u8..=255).zip(&mut counts.literals) {
            *count = match byte {
                b'0'..=b'9' | b'a'..=b'f' => 24,
                b'g'..=b'z' => 12,
                b'-' | b'.' | b'/' | b'_' | 0x0a | 0x12 => 12,
                0x20..=0x7e => 3,
                _ => 2,
            };
        }
        for (length, count) in (3u32..).zip(&mut counts.lengths) {
            *count = 60u32.checked_div(length).unwrap_or(0).max(1);
        }
        for (symbol, count) in (0u32..).zip(&mut counts.distances) {
            *count = if (18..=20).contains(&symbol) { 60 } else { 2 };
        }
        counts
    }

    /// Symbols since the codes were made.
    pub(super) fn symbols(&self) -> u32 {
        self.symbols
    }

    #[inline]
    pub(super) fn literal(&mut self, byte: u8) {
        self.symbols = self.symbols.wrapping_add(1);
        let count = self.literals.get_mut(usize::from(byte));
        count.into_iter().for_each(|count| *count = count.wrapping_add(1));
    }

    #[inline]
    pub(super) fn literals(&mut self, bytes: &[u8]) {
        self.symbols = self.symbols.wrapping_add(bytes.len() as u32);
        for byte in bytes {
            let count = self.literals.get_mut(usize::from(*byte));
            count.into_iter().for_each(|count| *count = count.wrapping_add(1));
        }
    }

    #[inline]
    pub(super) fn repeat(&mut self, length: usize, distance_symbol: usize) {
        self.symbols = self.symbols.wrapping_add(1);
        let of_length = self.lengths.get_mut(usize::from(length.wrapping_sub(3) as u8));
        let of_distance = self.distances.get_mut(distance_symbol);
        of_length.into_iter().chain(of_distance).for_each(|count| *count = count.wrapping_add(1));
    }

    /// The codes for what was counted, of which half the weight remains.
    pub(super) fn codes(&mut self) -> Codes {
        let mut literals = [1u32; LITERALS];
        let (bytes, others) = literals.split_at_mut(END);
        bytes.copy_from_slice(&self.literals);
        for (count, symbol) in self.lengths.iter().zip(LENGTH_SYMBOLS) {
            // The first of the others is the end of a block.
            let sum = others.get_mut(usize::from(symbol).saturating_add(1));
            sum.into_iter().for_each(|sum| *sum = sum.saturating_add(*count));
        }
        let bits: Vec<u8> = code_lengths(&literals, MOST_BITS)
            .into_iter()
            .chain(code_lengths(&self.distances, MOST_DISTANCE_BITS))
            .collect();
        let (of_literals, of_distances) = bits.split_at(LITERALS.min(bits.len()));
        let codes = canonical(of_literals);
        let code = |symbol: usize| codes.get(symbol).copied().unwrap_or_default();
        let mut made = Codes {
            literals: [Code::default(); 256],
            lengths: [Code::default(); 256],
            distances: [Code::default(); DISTANCES],
            end: code(END),
            bits: Vec::new(),
        };
        made.literals.iter_mut().zip(&codes).for_each(|(literal, code)| *literal = *code);
        for ((length, symbol), made) in (0u8..=255).zip(LENGTH_SYMBOLS).zip(&mut made.lengths) {
            let (base, count) = LENGTH_BASES.get(usize::from(symbol)).copied().unwrap_or_default();
            let symbol = usize::from(symbol).saturating_add(END + 1);
            *made = code(symbol).then(u32::from(length.wrapping_sub(base)), u32::from(count));
        }
        made.distances.iter_mut().zip(canonical(of_distances)).for_each(|(made, code)| *made = code);
        made.bits = bits;
        let halved = [&mut self.literals[..], &mut self.lengths, &mut self.distances];
        halved.into_iter().flatten().for_each(|count| *count = count.div_ceil(2));
        self.symbols = 0;
        made
    }
}

/// The symbol for each length less 3.
const LENGTH_SYMBOLS: [u8; 256] = {
    let mut symbols = [0; 256];
    let mut rest: &mut [u8] = &mut symbols;
    let (mut length, mut symbol, mut bases): (u8, u8, &[(u8, u8)]) = (0, 0, &LENGTH_BASES);
    while let [first, others @ ..] = rest {
        if let [_, next @ ..] = bases
            && let [(base, _), ..] = next
            && length == *base
        {
            symbol = symbol.wrapping_add(1);
            bases = next;
        }
        *first = symbol;
        length = length.wrapping_add(1);
        rest = others;
    }
    symbols
};

/// The symbol of a distance, its extra bits and their number (RFC 1951, section 3.2.5).
#[inline]
fn distance_symbol(distance: usize) -> (usize, u32, u32) {
    let distance = (distance as u32).wrapping_sub(1);
    if distance < 4 {
        return (distance as usize, 0, 0);
    }
    // Two symbols for each power of two.
    let log2 = distance.leading_zeros() ^ 31;
    let count = log2.wrapping_sub(1);
    let half = distance.wrapping_shr(count) & 1;
    let symbol = log2.wrapping_mul(2).wrapping_add(half);
    (symbol as usize, distance & 1u32.wrapping_shl(count).wrapping_sub(1), count)
}

/// Lengths of prefix codes, at most `most`, by Huffman's method.
fn code_lengths(counts: &[u32], most: u32) -> Vec<u8> {
    let mut counts = counts.to_vec();
    loop {
        let lengths = unlimited(&counts);
        if lengths.iter().all(|length| u32::from(*length) <= most) {
            return lengths;
        }
        // Flatter counts make shorter codes.
        counts.iter_mut().for_each(|count| *count = (*count >> 2).max(1));
    }
}

/// Lengths of Huffman's codes.
fn unlimited(counts: &[u32]) -> Vec<u8> {
    let nodes = counts.len().saturating_mul(2);
    let mut parents = vec![usize::MAX; nodes];
    let mut roots: BinaryHeap<Reverse<(u64, usize)>> =
        counts.iter().enumerate().map(|(symbol, count)| Reverse((u64::from(*count), symbol))).collect();
    let mut next = counts.len();
    while let (Some(Reverse((a, first))), Some(Reverse((b, second)))) = (roots.pop(), roots.pop()) {
        [first, second].into_iter().for_each(|child| {
            parents.get_mut(child).into_iter().for_each(|parent| *parent = next);
        });
        roots.push(Reverse((a.saturating_add(b), next)));
        next = next.saturating_add(1);
        if roots.len() == 1 {
            break;
        }
    }
    // A parent stands behind its children.
    let mut depths = vec![0u8; nodes];
    for node in (0..next.saturating_sub(1)).rev() {
        let parent = parents.get(node).and_then(|parent| depths.get(*parent)).copied().unwrap_or(0);
        depths.get_mut(node).into_iter().for_each(|depth| *depth = parent.saturating_add(1));
    }
    depths.truncate(counts.len());
    depths
}

/// The codes with these lengths, as the format orders them (RFC 1951, section 3.2.2). Their bits are reversed, because
/// the first bit of a code is the most significant one.
fn canonical(lengths: &[u8]) -> Vec<Code> {
    let mut codes = vec![Code::default(); lengths.len()];
    let mut next = 0u32;
    for length in 1..=MOST_BITS {
        next <<= 1;
        for (code, _) in codes.iter_mut().zip(lengths).filter(|(_, of)| u32::from(**of) == length) {
            *code = Code::new(next.reverse_bits().wrapping_shr(u32::BITS.wrapping_sub(length)), length);
            next = next.wrapping_add(1);
        }
    }
    codes
}

/// The lengths of codes as a header has them: a symbol, its extra bits and their number. A length that repeats at least
/// three times is written once and counted.
fn runs(lengths: &[u8]) -> Vec<(u8, u32, u32)> {
    let mut runs = Vec::new();
    for same in lengths.chunk_by(|a, b| a == b) {
        let length = same.first().copied().unwrap_or(0);
        runs.push((length, 0, 0));
        let mut rest = same.len().saturating_sub(1);
        while rest >= 3 {
            let taken = rest.min(6);
            runs.push((16, taken.saturating_sub(3) as u32, 2));
            rest = rest.saturating_sub(taken);
        }
        runs.extend((0..rest).map(|_| (length, 0, 0)));
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_complete_and_bounded() {
        let fibonacci: Vec<u32> = (0..40)
            .scan((1u32, 1u32), |(a, b), _| {
                (*a, *b) = (*b, *a + *b);
                Some(*a)
            })
            .collect();
        for counts in [&fibonacci[..], &[1; 286], &[1, 1_000_000_000], &[1; 30], &[7; 19]] {
            for most in [9, 12, 15] {
                let lengths = code_lengths(counts, most);
                assert!(lengths.iter().all(|length| (1..=most).contains(&u32::from(*length))), "{lengths:?}");
                let kraft: f64 = lengths.iter().map(|length| 0.5f64.powi(i32::from(*length))).sum();
                assert!((kraft - 1.0).abs() < 1e-9, "{kraft} {lengths:?}");
            }
        }
    }

    #[test]
    fn symbols_are_those_of_the_format() {
        let check = |distance: usize, symbol: usize, extra: u32, count: u32| {
            assert_eq!(distance_symbol(distance), (symbol, extra, count), "{distance}");
        };
        check(1, 0, 0, 0);
        check(4, 3, 0, 0);
        check(5, 4, 0, 1);
        check(8, 5, 1, 1);
        check(513, 18, 0, 8);
        check(769, 19, 0, 8);
        check(32_768, 29, 8_191, 13);
        assert_eq!(LENGTH_SYMBOLS[0], 0);
        assert_eq!(LENGTH_SYMBOLS[9], 8, "12, which shares a symbol with 11");
        assert_eq!(LENGTH_SYMBOLS[254], 27);
        assert_eq!(LENGTH_SYMBOLS[255], 28, "258 has a symbol of its own");
    }
}
