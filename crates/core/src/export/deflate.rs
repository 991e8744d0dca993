//! Gzip (RFC 1952) for log batches, written in one pass.
//!
//! Records repeat the keys and most values of the record before. So a search is needed only where the bytes differ from
//! those at the last distance, and at the beginnings of attributes, which the caller knows ([`Deflater::write`]). The codes
//! are those that suit the batches before: symbols go out as they are found, and no table is built per batch.
//!
//! The output is a few dynamic blocks of deflate (RFC 1951), which every decoder reads. What the codes do not suit is stored. Positions count the bytes of all
//! batches, modulo 2^32, so that a new batch clears no table: what a table holds is only a proposal, which is compared byte
//! by byte.

mod codes;

use flate2::Crc;

use crate::otlp::requests::Mark;
use codes::{Code, Codes, Counts};

/// The largest distance of a match (RFC 1951, section 2).
const WINDOW: usize = 32 * 1024;

/// The most bytes held. Beyond them the older ones are let go, down to a window.
const MOST_HELD: usize = 3 * WINDOW;

/// The shortest match that is looked for, bytes.
const SHORTEST: usize = 4;

/// The longest match (RFC 1951, section 3.2.5).
const LONGEST: usize = 258;

/// Bits of the hash of [`SHORTEST`] bytes.
const HASH_LOG2: u32 = 12;

/// Symbols after which the codes are made anew for the first time. A worker's first batches teach them.
const FIRST_LESSON: u32 = 2_048;

/// Symbols after which the codes are made anew from then on: some hundred records, or some ten kilobytes of bodies.
const LESSON: u32 = 65_536;

/// The longest stored block (RFC 1951, section 3.2.4).
const LONGEST_STORED: usize = 65_535;

/// Bytes by which codes may be longer than what they stand for. A stored block, and the header of the block behind it, take
/// about as many.
const TOLERATED: usize = 128;

/// The header of a member: deflate, no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Number of bytes written before, modulo 2^32.
type Position = u32;

/// A gzip member under construction. What it has learned is used for the next one.
#[derive(Debug)]
pub(super) struct Deflater {
    /// The last bytes written: at least a window, if there were so many.
    held: Vec<u8>,
    /// Position of the first held byte.
    first: Position,
    /// The last position of each hash.
    last: Box<[Position; 1 << HASH_LOG2]>,
    out: BitWriter,
    codes: Box<Codes>,
    counts: Box<Counts>,
    lesson: u32,
    checksum: Crc,
    is_in_block: bool,
}

impl Deflater {
    /// An empty member.
    pub(super) fn new() -> Self {
        let mut counts = Box::new(Counts::expected());
        Self {
            held: Vec::new(),
            first: 0,
            last: Box::new([0; 1 << HASH_LOG2]),
            out: BitWriter::default(),
            codes: Box::new(counts.codes()),
            counts,
            lesson: FIRST_LESSON,
            checksum: Crc::new(),
            is_in_block: false,
        }
    }

    /// Appends bytes. `marks` are rising places in them.
    pub(super) fn write(&mut self, bytes: &[u8], marks: &[Mark]) {
        if bytes.is_empty() {
            return;
        }
        if self.checksum.amount() == 0 {
            self.out.bytes.extend_from_slice(&HEADER);
        }
        self.checksum.update(bytes);
        let (mut rest, mut done, mut marks) = (bytes, 0u32, marks);
        while !rest.is_empty() {
            self.make_room();
            let (piece, after) = rest.split_at(rest.len().min(MOST_HELD.saturating_sub(self.held.len())));
            let from = self.held.len();
            self.held.extend_from_slice(piece);
            let end = done.saturating_add(piece.len() as u32);
            let (here, later) = marks.split_at(marks.partition_point(|mark| mark.at < end));
            self.begin_block();
            let before = self.out.written();
            self.compress(from, here, done);
            if self.out.bytes_since(&before) > piece.len().saturating_add(TOLERATED) {
                self.out.rewind(&before);
                self.store(from);
            }
            (rest, done, marks) = (after, end, later);
        }
    }

    /// Takes the finished member and begins a new one.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if self.checksum.amount() == 0 {
            self.out.bytes.extend_from_slice(&HEADER);
        }
        self.end_block();
        // An empty block with fixed codes is the last one.
        self.out.put(0b011, 10);
        self.out.align();
        self.out.bytes.extend_from_slice(&self.checksum.sum().to_le_bytes());
        self.out.bytes.extend_from_slice(&self.checksum.amount().to_le_bytes());
        self.checksum.reset();
        self.first = self.first.wrapping_add(self.held.len() as u32);
        self.held.clear();
        // A batch is about as large as the one before. One that is not does not wait with the room of a larger one.
        let room = self.out.bytes.len();
        let mut member = std::mem::replace(&mut self.out.bytes, Vec::with_capacity(room));
        if member.capacity() > room.saturating_mul(2) {
            member.shrink_to_fit();
        }
        member
    }

    /// Begins a block where none is open. The codes are made anew before, if there were enough symbols.
    fn begin_block(&mut self) {
        if self.counts.symbols() >= self.lesson {
            self.end_block();
            self.lesson = LESSON;
            *self.codes = self.counts.codes();
        }
        if !self.is_in_block {
            self.is_in_block = true;
            self.codes.write_header(&mut self.out);
        }
    }

    fn end_block(&mut self) {
        if std::mem::take(&mut self.is_in_block) {
            self.out.code(self.codes.end);
        }
    }

    /// Lets older bytes go where there are many.
    fn make_room(&mut self) {
        if self.held.len() >= MOST_HELD {
            let gone = self.held.len().saturating_sub(WINDOW);
            self.held.drain(..gone);
            self.first = self.first.wrapping_add(gone as u32);
        }
    }

    /// Writes the held bytes from `from` on as they are. What they taught is used at once.
    fn store(&mut self, from: usize) {
        self.end_block();
        for block in self.held.get(from..).unwrap_or_default().chunks(LONGEST_STORED) {
            self.out.put(0b000, 3);
            self.out.align();
            let length = block.len() as u16;
            self.out.bytes.extend_from_slice(&length.to_le_bytes());
            self.out.bytes.extend_from_slice(&(!length).to_le_bytes());
            self.out.bytes.extend_from_slice(block);
        }
        self.lesson = 0;
    }

    /// Writes the held bytes from `from` on. The marks count from `done`, which is there.
    fn compress(&mut self, from: usize, marks: &[Mark], done: u32) {
        let Self { held, first, last, out, codes, counts, .. } = self;
        let held = held.as_slice();
        let mut symbols = Symbols { out, codes, counts };
        let mut marks = marks.iter();
        let place = |mark: &Mark| (mark.at.wrapping_sub(done) as usize).saturating_add(from);
        let mut at = from;
        let mut repeat = Repeat::default();
        let mut next = marks.next();
        loop {
            // Up to the next bytes that hardly ever repeat others.
            let stop = match next {
                Some(mark) => place(mark),
                None => held.len(),
            };
            // A position before `stop`, or behind it in a match.
            while at < stop {
                let Some(four) = four_at(held, at) else { break };
                let position = first.wrapping_add(at as u32);
                let proposed = position.wrapping_sub(enter(last, four, position)) as usize;
                // The last distance first: behind a value of the same length the record before continues.
                if !repeats(held, at, repeat.distance, four) {
                    if !repeats(held, at, proposed, four) {
                        let [byte, ..] = four;
                        symbols.literal(byte);
                        at = at.saturating_add(1);
                        continue;
                    }
                    repeat = Repeat::new(proposed, symbols.codes);
                }
                let length = matching(held, at, repeat.distance);
                symbols.repeat(length, &repeat);
                at = at.saturating_add(length);
            }
            let Some(mark) = next else { break };
            next = marks.next();
            let end = stop.saturating_add(mark.unique as usize);
            if mark.unique == 0 {
                // So that later records find the attribute that a match covers. Its length may differ, its key does not.
                let key = stop.saturating_add(2);
                if at > stop
                    && let Some(four) = four_at(held, key)
                {
                    enter(last, four, first.wrapping_add(key as u32));
                }
            } else if let Some(unique) = held.get(at..end) {
                symbols.literals(unique);
                at = end;
            }
        }
        symbols.literals(held.get(at..).unwrap_or_default());
    }
}

/// A distance, its symbol and its code.
#[derive(Clone, Copy, Default)]
struct Repeat {
    distance: usize,
    symbol: usize,
    code: Code,
}

impl Repeat {
    fn new(distance: usize, codes: &Codes) -> Self {
        let (symbol, code) = codes.distance(distance);
        Self { distance, symbol, code }
    }
}

/// Where symbols go.
struct Symbols<'d> {
    out: &'d mut BitWriter,
    codes: &'d Codes,
    counts: &'d mut Counts,
}

impl Symbols<'_> {
    #[inline]
    fn literal(&mut self, byte: u8) {
        self.counts.literal(byte);
        self.out.code(self.codes.literal(byte));
    }

    /// Writes bytes as they are.
    #[inline(never)]
    fn literals(&mut self, bytes: &[u8]) {
        self.counts.literals(bytes);
        self.out.codes(bytes.iter().map(|byte| self.codes.literal(*byte)));
    }

    #[inline]
    fn repeat(&mut self, length: usize, repeat: &Repeat) {
        self.counts.repeat(length, repeat.symbol);
        self.out.code(self.codes.length(length));
        self.out.code(repeat.code);
    }
}

/// Enters these bytes into the table. Returns the last position of others with the same hash.
#[inline]
fn enter(last: &mut [Position; 1 << HASH_LOG2], four: [u8; SHORTEST], position: Position) -> Position {
    let hash = u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH_LOG2);
    last.get_mut(hash as usize).map_or(position, |slot| std::mem::replace(slot, position))
}

#[inline]
fn four_at(held: &[u8], at: usize) -> Option<[u8; SHORTEST]> {
    held.get(at..)?.first_chunk::<SHORTEST>().copied()
}

/// Whether the bytes at this distance before are these.
#[inline]
fn repeats(held: &[u8], at: usize, distance: usize, four: [u8; SHORTEST]) -> bool {
    // A distance of 0 wraps, too.
    distance.wrapping_sub(1) < WINDOW && four_at(held, at.wrapping_sub(distance)) == Some(four)
}

/// Number of bytes, at most [`LONGEST`], that repeat those at this distance before.
#[inline]
fn matching(held: &[u8], at: usize, distance: usize) -> usize {
    let before = held.get(at.wrapping_sub(distance)..).unwrap_or_default();
    let rest = held.get(at..).unwrap_or_default();
    let rest = rest.get(..LONGEST).unwrap_or(rest);
    let mut length = 0usize;
    let (blocks, _) = rest.as_chunks::<32>();
    for (block, other) in blocks.iter().zip(before.as_chunks::<32>().0) {
        if block != other {
            break;
        }
        length = length.wrapping_add(32);
    }
    let (rest, before) = (rest.get(length..).unwrap_or_default(), before.get(length..).unwrap_or_default());
    let (words, tail) = rest.as_chunks::<8>();
    for (word, other) in words.iter().zip(before.as_chunks::<8>().0) {
        let different = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if different != 0 {
            return length.wrapping_add((different.trailing_zeros() >> 3) as usize);
        }
        length = length.wrapping_add(8);
    }
    let before = before.get(rest.len().wrapping_sub(tail.len())..).unwrap_or_default();
    length.wrapping_add(tail.iter().zip(before).take_while(|(byte, other)| byte == other).count())
}

/// Bits, the least significant first, as they become bytes.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Fewer than 32 between two calls.
    bits: u64,
    count: u32,
}

impl BitWriter {
    /// Appends a code.
    #[inline]
    fn code(&mut self, code: Code) {
        self.put(code.bits(), code.length());
    }

    /// Appends codes of at most 16 bits.
    #[inline]
    fn codes(&mut self, codes: impl Iterator<Item = Code>) {
        let (mut bits, mut count) = (self.bits, self.count);
        for code in codes {
            bits |= u64::from(code.bits()).wrapping_shl(count);
            count = count.wrapping_add(code.length());
            if count >= 32 {
                self.bytes.extend_from_slice(&(bits as u32).to_le_bytes());
                bits >>= 32;
                count = count.wrapping_sub(32);
            }
        }
        (self.bits, self.count) = (bits, count);
    }

    /// Appends at most 32 bits.
    #[inline]
    fn put(&mut self, bits: u32, count: u32) {
        self.bits |= u64::from(bits).wrapping_shl(self.count);
        self.count = self.count.wrapping_add(count);
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.bits as u32).to_le_bytes());
            self.bits >>= 32;
            self.count = self.count.wrapping_sub(32);
        }
    }

    /// A place to [`rewind`](Self::rewind) to.
    fn written(&self) -> Written {
        Written { bytes: self.bytes.len(), bits: self.bits, count: self.count }
    }

    /// Whole bytes appended since a mark.
    fn bytes_since(&self, written: &Written) -> usize {
        self.bytes.len().saturating_sub(written.bytes)
    }

    /// Removes everything appended since a mark.
    fn rewind(&mut self, written: &Written) {
        self.bytes.truncate(written.bytes);
        (self.bits, self.count) = (written.bits, written.count);
    }

    /// Fills the last byte with zeros.
    fn align(&mut self) {
        let bytes = self.bits.to_le_bytes();
        self.bytes.extend(bytes.iter().take(self.count.div_ceil(8) as usize));
        (self.bits, self.count) = (0, 0);
    }
}

/// Where a [`BitWriter`] was.
#[derive(Debug)]
struct Written {
    bytes: usize,
    bits: u64,
    count: u32,
}

#[cfg(test)]
mod tests;
