//! How a range is read: half hours where they fit, minutes at the edges, and in long stretches units of which sums are kept.

use super::{HALF_HOUR_MINUTES, MINUTE_NANOS, Table};
use crate::query::range::Range;

/// A stretch of Unix minutes, the end exclusive, and the table to read it from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) table: Table,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// Minutes of the stretches of which sums are kept, the longest first: a week, a day and three hours.
const UNITS: [i64; 3] = [7 * 24 * 60, 24 * 60, 3 * 60];
/// Units are used in stretches of at least this number of them: sums of many short ones would take much memory.
const MIN_UNITS: i64 = 6;

impl Part {
    /// Covers a range of whole minutes: half hours where they fit, minutes at the edges. An edge before the first
    /// minute that is kept must be that of a half hour.
    pub(crate) fn cover(range: Range) -> Vec<Self> {
        let (from, to) = (range.from.div_euclid(MINUTE_NANOS), range.to.div_euclid(MINUTE_NANOS));
        let first = (from + HALF_HOUR_MINUTES - 1).div_euclid(HALF_HOUR_MINUTES) * HALF_HOUR_MINUTES;
        let last = to.div_euclid(HALF_HOUR_MINUTES) * HALF_HOUR_MINUTES;
        if first >= last {
            return vec![Self { table: Table::Minutes, from, to }];
        }
        let parts = [
            Self { table: Table::Minutes, from, to: first },
            Self { table: Table::HalfHours, from: first, to: last },
            Self { table: Table::Minutes, from: last, to },
        ];
        parts.into_iter().filter(|part| part.from < part.to).collect()
    }

    /// The same stretch in pieces: those of which sums are worth keeping, which begin at multiples of their length, and the
    /// rest.
    pub(super) fn pieces(self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let units = UNITS.into_iter().filter(|unit| self.to - self.from >= MIN_UNITS * unit);
        if self.table == Table::HalfHours {
            divide((self.from, self.to), &units.collect::<Vec<_>>(), &mut pieces);
        } else {
            pieces.push(Piece::Rest(self.from, self.to));
        }
        pieces
    }
}

/// A stretch of Unix minutes, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Unit(i64, i64),
    Rest(i64, i64),
}

fn divide((from, to): (i64, i64), units: &[i64], pieces: &mut Vec<Piece>) {
    if from >= to {
        return;
    }
    let Some((unit, shorter)) = units.split_first() else { return pieces.push(Piece::Rest(from, to)) };
    let (first, last) = ((from + unit - 1).div_euclid(*unit) * unit, to.div_euclid(*unit) * unit);
    if first >= last {
        return divide((from, to), shorter, pieces);
    }
    divide((from, first), shorter, pieces);
    let starts = std::iter::successors(Some(first), |start| Some(start + unit));
    pieces.extend(starts.take_while(|start| *start < last).map(|start| Piece::Unit(start, start + unit)));
    divide((last, to), shorter, pieces);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_covered_once() {
        let check = |from: i64, to: i64, expected: &[(Table, i64, i64)]| {
            let parts = Part::cover(Range { from: from * MINUTE_NANOS, to: to * MINUTE_NANOS });
            let found: Vec<_> = parts.iter().map(|part| (part.table, part.from, part.to)).collect();
            assert_eq!(found, expected, "{from} to {to}");
        };
        check(0, 30, &[(Table::HalfHours, 0, 30)]);
        check(1, 30, &[(Table::Minutes, 1, 30)]);
        check(1, 59, &[(Table::Minutes, 1, 59)]);
        check(1, 61, &[(Table::Minutes, 1, 30), (Table::HalfHours, 30, 60), (Table::Minutes, 60, 61)]);
        check(30, 95, &[(Table::HalfHours, 30, 90), (Table::Minutes, 90, 95)]);
        check(29, 31, &[(Table::Minutes, 29, 31)]);
    }

    #[test]
    fn long_stretches_are_divided_into_units_that_begin_at_multiples_of_their_length() {
        let pieces = |from, to| Part { table: Table::HalfHours, from, to }.pieces();
        let lengths = |pieces: &[Piece]| -> Vec<i64> {
            let unit = |piece: &Piece| match piece {
                Piece::Unit(from, to) => Some(to - from),
                Piece::Rest(..) => None,
            };
            pieces.iter().filter_map(unit).collect()
        };
        assert_eq!(pieces(0, 120), [Piece::Rest(0, 120)]);
        assert_eq!(lengths(&pieces(30, 24 * 60)), [180; 7]);
        assert_eq!(lengths(&pieces(0, 8 * 1440)), [1440; 8]);
        let year = pieces(30, 400 * 1440 - 30);
        assert_eq!(lengths(&year).iter().filter(|length| **length == 7 * 1440).count(), 56);
        for pieces in [pieces(30, 24 * 60), pieces(0, 8 * 1440), year] {
            let mut ends = Vec::new();
            for piece in &pieces {
                let (Piece::Unit(from, to) | Piece::Rest(from, to)) = piece;
                ends.push((*from, *to));
                if matches!(piece, Piece::Unit(..)) {
                    assert_eq!(from % (to - from), 0, "{piece:?}");
                }
            }
            assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0), "{pieces:?}");
        }
    }
}
