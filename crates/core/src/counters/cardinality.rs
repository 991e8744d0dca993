//! Caps on the number of series and of the names in them.

use hashbrown::HashMap;

use super::series::{Dimension, Dimensions, Series};
use crate::request::route::RouteSource;

/// Series kept beyond the cap for what exceeds it, one per status and one for all further statuses.
pub const OVERFLOW_SERIES: u32 = 64;

/// Series kept free for each configured template: for its methods and statuses, with the consumer given up.
const SERIES_OF_A_TEMPLATE: u32 = 4;

/// How many of each there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Number of series, without the overflow series.
    pub series: u32,
    /// Consumers told apart.
    pub consumers: u32,
    /// Routes told apart, configured templates included.
    pub routes: u32,
    /// Hosts told apart.
    pub hosts: u32,
    /// Upstream clusters told apart.
    pub upstream_clusters: u32,
    /// Distinct routes of configured templates: that many of the routes are reserved for them, whoever comes first.
    pub templates: u32,
}

/// A dimension whose names are bounded by a cap of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// Consumers.
    Consumer,
    /// Routes, without configured templates.
    Route,
    /// Hosts.
    Host,
    /// Upstream clusters.
    UpstreamCluster,
}

/// How many of each there are.
#[derive(Clone, Debug, Default)]
pub struct Cardinality {
    series: u32,
    /// Of the series, those that only the room of the templates may hold.
    of_templates: u32,
    overflow: u32,
    given_up: u32,
    names: [Names; 4],
}

/// Names of a dimension, each with the number of series that have it.
type Names = HashMap<Box<str>, u32>;

impl Caps {
    /// Series that only requests of configured templates may take, with the consumer given up: four for each template,
    /// at most half of all.
    pub fn headroom(&self) -> u32 {
        self.templates.saturating_mul(SERIES_OF_A_TEMPLATE).min(self.series / 2)
    }

    /// The least number of series with which each of this number of templates has all of its headroom.
    pub fn series_for_templates(templates: u32) -> u32 {
        templates.saturating_mul(SERIES_OF_A_TEMPLATE).saturating_mul(2)
    }

    /// Names of a dimension that may be told apart, without those that are reserved.
    pub fn names(&self, kind: NameKind) -> u32 {
        match kind {
            NameKind::Consumer => self.consumers,
            NameKind::Route => self.routes.saturating_sub(self.templates),
            NameKind::Host => self.hosts,
            NameKind::UpstreamCluster => self.upstream_clusters,
        }
    }
}

impl NameKind {
    /// All of them, in the order in which they are given up.
    pub const ALL: [Self; 4] = [Self::Consumer, Self::Route, Self::Host, Self::UpstreamCluster];

    /// The name that a series has in this dimension, unless it is given up, absent, or a configured template.
    pub fn of<'a>(self, dimensions: &Dimensions<'a>) -> Option<&'a str> {
        let dimension = match self {
            Self::Consumer => Some(dimensions.consumer),
            Self::Route if dimensions.route_source == RouteSource::Template => None,
            Self::Route => Some(dimensions.route),
            Self::Host => dimensions.host,
            Self::UpstreamCluster => dimensions.upstream_cluster,
        };
        match dimension {
            Some(Dimension::Value(name)) => Some(name),
            Some(Dimension::Overflow) | None => None,
        }
    }

    /// The series that counts for another one with this dimension given up.
    pub fn given_up(self, dimensions: Dimensions<'_>) -> Series<'_> {
        let overflow = Dimension::Overflow;
        Series::Exact(match self {
            Self::Consumer => Dimensions { consumer: overflow, ..dimensions },
            Self::Route => Dimensions { route: overflow, ..dimensions },
            Self::Host => Dimensions { host: Some(overflow), ..dimensions },
            Self::UpstreamCluster => Dimensions { upstream_cluster: Some(overflow), ..dimensions },
        })
    }
}

impl Cardinality {
    /// Takes a series in.
    pub fn add(&mut self, series: Series<'_>) {
        let Series::Exact(dimensions) = series else {
            self.overflow = self.overflow.saturating_add(1);
            return;
        };
        self.series = self.series.saturating_add(1);
        self.of_templates = self.of_templates.saturating_add(u32::from(is_of_templates(&dimensions)));
        for (kind, names) in NameKind::ALL.iter().zip(&mut self.names) {
            let Some(name) = kind.of(&dimensions) else { continue };
            match names.get_mut(name) {
                Some(series) => *series = series.saturating_add(1),
                None => drop(names.insert(name.into(), 1)),
            }
        }
    }

    /// Takes a series out that was added.
    pub fn remove(&mut self, series: Series<'_>) {
        let Series::Exact(dimensions) = series else {
            self.overflow = self.overflow.saturating_sub(1);
            return;
        };
        self.series = self.series.saturating_sub(1);
        self.of_templates = self.of_templates.saturating_sub(u32::from(is_of_templates(&dimensions)));
        for (kind, names) in NameKind::ALL.iter().zip(&mut self.names) {
            let Some(name) = kind.of(&dimensions) else { continue };
            if let Some(series) = names.get_mut(name) {
                *series = series.saturating_sub(1);
                if *series == 0 {
                    names.remove(name);
                }
            }
        }
    }

    /// A slot is taken by a series that is given up and not yet acknowledged.
    pub fn add_given_up(&mut self) {
        self.given_up = self.given_up.saturating_add(1);
    }

    /// Such a slot is free.
    pub fn remove_given_up(&mut self) {
        self.given_up = self.given_up.saturating_sub(1);
    }

    /// Series without the overflow series.
    pub fn series(&self) -> u32 {
        self.series
    }

    /// Names of a dimension.
    pub fn names(&self, kind: NameKind) -> usize {
        self.of_kind(kind).len()
    }

    /// The same, each once.
    pub fn all_names(&self, kind: NameKind) -> impl Iterator<Item = &str> {
        self.of_kind(kind).keys().map(|name| &**name)
    }

    /// Whether a name is among them.
    pub fn knows(&self, kind: NameKind, name: &str) -> bool {
        self.of_kind(kind).contains_key(name)
    }

    /// Whether there is room for one more series beside those of two sets of series.
    ///
    /// # Errors
    /// The series that counts for it instead: with the consumer given up, then the route, the host, the upstream
    /// cluster, then everything but the status, then everything. For that last one there is always room. The route of a
    /// configured template is given up last: where all series are taken, the other dimensions go first.
    pub fn room_for<'a>(&self, and: &Cardinality, caps: &Caps, series: Series<'a>) -> Result<(), Series<'a>> {
        let dimensions = match series {
            Series::Exact(dimensions) => dimensions,
            Series::Overflow(Some(_))
                if self.overflow.saturating_add(and.overflow) >= OVERFLOW_SERIES.saturating_sub(1) =>
            {
                return Err(Series::Overflow(None));
            }
            Series::Overflow(_) => return Ok(()),
        };
        let is_full = |kind: &NameKind| {
            kind.of(&dimensions).is_some_and(|name| {
                ![self, and].iter().any(|set| set.knows(*kind, name))
                    && self.names(*kind).saturating_add(and.names(*kind)) >= caps.names(*kind) as usize
            })
        };
        if let Some(kind) = NameKind::ALL.iter().find(|kind| is_full(kind)) {
            return Err(kind.given_up(dimensions));
        }
        let of_templates = self.of_templates.saturating_add(and.of_templates);
        let all = [self.series, and.series, self.given_up, and.given_up].iter().fold(0, add);
        let ordinary = caps.series.saturating_sub(caps.headroom());
        let has_room = match is_of_templates(&dimensions) {
            true => all < caps.series,
            false => all < caps.series && all.saturating_sub(of_templates) < ordinary,
        };
        if has_room {
            return Ok(());
        }
        let is_template = dimensions.route_source == RouteSource::Template;
        let next = NameKind::ALL.iter().find(|kind| is_template && kind.of(&dimensions).is_some());
        Err(next.map_or(Series::Overflow(Some(dimensions.status)), |kind| kind.given_up(dimensions)))
    }

    fn of_kind(&self, kind: NameKind) -> &Names {
        let [consumers, routes, hosts, upstream_clusters] = &self.names;
        match kind {
            NameKind::Consumer => consumers,
            NameKind::Route => routes,
            NameKind::Host => hosts,
            NameKind::UpstreamCluster => upstream_clusters,
        }
    }
}

fn add(sum: u32, number: &u32) -> u32 {
    sum.saturating_add(*number)
}

/// Whether nothing is told apart except what a configured template, its method and the outcome are: the number of such
/// series is bounded by the configuration, so that the headroom is theirs.
fn is_of_templates(dimensions: &Dimensions<'_>) -> bool {
    dimensions.route_source == RouteSource::Template
        && NameKind::ALL.iter().all(|kind| kind.of(dimensions).is_none())
}
