//! Caps on the number of series, consumers and routes.

use hashbrown::HashSet;

use super::series::{Dimension, Dimensions, Series};

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
    /// Hosts told apart.
    pub hosts: u32,
    /// Upstream clusters told apart.
    pub upstream_clusters: u32,
}

/// How many of each there are.
#[derive(Clone, Debug, Default)]
pub struct Cardinality {
    series: u32,
    overflow: u32,
    consumers: HashSet<Box<str>>,
    routes: HashSet<Box<str>>,
    hosts: HashSet<Box<str>>,
    upstream_clusters: HashSet<Box<str>>,
}

impl Cardinality {
    /// Takes a series in.
    pub fn add(&mut self, series: Series<'_>) {
        let insert = |set: &mut HashSet<Box<str>>, dimension: Option<Dimension<'_>>| {
            if let Some(Dimension::Value(text)) = dimension {
                set.get_or_insert_with(text, |text| text.into());
            }
        };
        match series {
            Series::Exact(Dimensions { consumer, route, host, upstream_cluster, .. }) => {
                self.series = self.series.saturating_add(1);
                insert(&mut self.consumers, Some(consumer));
                insert(&mut self.routes, Some(route));
                insert(&mut self.hosts, host);
                insert(&mut self.upstream_clusters, upstream_cluster);
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
    /// The series that counts for it instead: with the consumer given up, then the route, the host, the upstream
    /// cluster, then everything but the status, then everything. For that last one there is always room.
    pub fn room_for<'a>(&self, and: &Cardinality, caps: &Caps, series: Series<'a>) -> Result<(), Series<'a>> {
        type Names = HashSet<Box<str>>;
        let is_full = |dimension: Option<Dimension<'_>>, names: fn(&Self) -> &Names, cap: u32| {
            let Some(Dimension::Value(text)) = dimension else { return false };
            let sets = [names(self), names(and)];
            !sets.iter().any(|set| set.contains(text))
                && sets.iter().map(|set| set.len()).sum::<usize>() >= cap as usize
        };
        match series {
            Series::Exact(dimensions) => {
                let Dimensions { consumer, route, host, upstream_cluster, status, .. } = dimensions;
                if is_full(Some(consumer), |names| &names.consumers, caps.consumers) {
                    Err(Series::Exact(Dimensions { consumer: Dimension::Overflow, ..dimensions }))
                } else if is_full(Some(route), |names| &names.routes, caps.routes) {
                    Err(Series::Exact(Dimensions { route: Dimension::Overflow, ..dimensions }))
                } else if is_full(host, |names| &names.hosts, caps.hosts) {
                    Err(Series::Exact(Dimensions { host: Some(Dimension::Overflow), ..dimensions }))
                } else if is_full(upstream_cluster, |names| &names.upstream_clusters, caps.upstream_clusters)
                {
                    let upstream_cluster = Some(Dimension::Overflow);
                    Err(Series::Exact(Dimensions { upstream_cluster, ..dimensions }))
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
