//! Caps on the number of series, consumers and routes.

use hashbrown::HashSet;

use super::series::{Dimension, Series};

/// Series kept beyond the cap for what exceeds it, one per status and one for all further statuses.
pub const OVERFLOW_SERIES: u32 = 64;

/// How many of each there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Number of series, without the overflow series.
    pub series: u32,
    /// Consumers told apart.
    pub consumers: u32,
    /// Routes told apart.
    pub routes: u32,
}

/// How many of each there are.
#[derive(Clone, Debug, Default)]
pub struct Cardinality {
    series: u32,
    overflow: u32,
    consumers: HashSet<Box<str>>,
    routes: HashSet<Box<str>>,
}

impl Cardinality {
    /// Takes a series in.
    pub fn add(&mut self, series: Series<'_>) {
        let insert = |set: &mut HashSet<Box<str>>, dimension: Dimension<'_>| {
            if let Dimension::Value(text) = dimension {
                set.get_or_insert_with(text, |text| text.into());
            }
        };
        match series {
            Series::Exact { consumer, route, .. } => {
                self.series = self.series.saturating_add(1);
                insert(&mut self.consumers, consumer);
                insert(&mut self.routes, route);
            }
            Series::Overflow(_) => self.overflow = self.overflow.saturating_add(1),
        }
    }

    /// Series without the overflow series.
    pub fn series(&self) -> u32 {
        self.series
    }

    /// Whether there is room for one more series beside those of two sets of series.
    ///
    /// # Errors
    /// The series that counts for it instead: with the consumer given up, then the route, then everything but the
    /// status, then everything. For that last one there is always room.
    pub fn room_for<'a>(&self, and: &Cardinality, caps: &Caps, series: Series<'a>) -> Result<(), Series<'a>> {
        let is_full = |sets: [&HashSet<Box<str>>; 2], dimension: Dimension<'_>, cap: u32| match dimension {
            Dimension::Value(text) => {
                !sets.iter().any(|set| set.contains(text))
                    && sets.iter().map(|set| set.len()).sum::<usize>() >= cap as usize
            }
            Dimension::Overflow => false,
        };
        match series {
            Series::Exact { consumer, method, route, status, error } => {
                if is_full([&self.consumers, &and.consumers], consumer, caps.consumers) {
                    Err(Series::Exact { consumer: Dimension::Overflow, method, route, status, error })
                } else if is_full([&self.routes, &and.routes], route, caps.routes) {
                    Err(Series::Exact { consumer, method, route: Dimension::Overflow, status, error })
                } else if self.series.saturating_add(and.series) >= caps.series {
                    Err(Series::Overflow(Some(status)))
                } else {
                    Ok(())
                }
            }
            Series::Overflow(Some(_))
                if self.overflow.saturating_add(and.overflow) >= OVERFLOW_SERIES.saturating_sub(1) =>
            {
                Err(Series::Overflow(None))
            }
            Series::Overflow(_) => Ok(()),
        }
    }
}
