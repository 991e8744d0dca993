//! Routes that are new and routes that have vanished, by the counts.

use super::book::folded;
use super::change::{Change, ChangeKind, Example, RouteKey};
use crate::clickhouse::ClickHouse;
use crate::error::QueryError;
use crate::model::{Scope, is_path};
use crate::patterns::KnownPatterns;
use crate::store::changes::Recent;
use crate::store::{StoreError, known_routes};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const MINUTE: i64 = 60_000_000_000;
/// Time after the first request of a service in an environment in which its routes are learned and none is new.
const LEARNING: i64 = 10 * MINUTE;
/// Time without traffic after which a route with regular traffic has vanished.
const SILENCE_MINUTES: i64 = 24 * 60;
/// Traffic is regular with requests in so many half hours of the days before the last one.
const REGULAR_HALF_HOURS: usize = 24;
const HALF_HOUR: i64 = 30;
const REGULAR_MINUTES: i64 = 7 * 24 * 60;
/// Routes that are known at a time, and new ones of one review.
const MAX_ROUTES: usize = 50_000;
const MAX_NEW: usize = 1_000;

/// A route that was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownRoute {
    pub(crate) key: RouteKey,
    /// Unix nanoseconds.
    pub(crate) first_seen: i64,
    /// Unix minute of its latest half hour.
    pub(crate) last_counted: i64,
    pub(crate) traffic: Traffic,
}

/// Whether a route carries traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    Some,
    /// It had regular traffic, and has none: it has vanished.
    Vanished,
    /// Its traffic was never regular, and it has none.
    None,
}

impl Traffic {
    /// The number in the store.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Some => 0,
            Self::Vanished => 1,
            Self::None => 2,
        }
    }

    pub(crate) fn of_number(number: i64) -> Self {
        match number {
            1 => Self::Vanished,
            2 => Self::None,
            _ => Self::Some,
        }
    }
}

/// What a review has found.
#[derive(Debug, Default)]
pub(crate) struct Review {
    /// New, or other than before.
    pub(crate) routes: Vec<KnownRoute>,
    /// Of which nothing is counted any more.
    pub(crate) gone: Vec<RouteKey>,
    /// Shown under another route now.
    pub(crate) folded: Vec<(RouteKey, String)>,
    pub(crate) changes: Vec<Change>,
}

/// The series of a route.
struct Counted {
    last_counted: i64,
    newest: i64,
    version: String,
}

/// Compares the routes that are counted with those that are known. `now` is in Unix nanoseconds.
pub(crate) fn review(
    (file, server): (&Connection, Option<&ClickHouse>),
    known: Vec<KnownRoute>,
    patterns: &KnownPatterns,
    now: i64,
) -> Result<Review, QueryError> {
    let waiting = waiting(file)?;
    let counted = counted(file, &waiting)?;
    let mut newest: HashMap<&Scope, i64> = HashMap::new();
    for (key, counted) in &counted {
        let last = newest.entry(&key.scope).or_insert(0);
        *last = counted.last_counted.max(*last);
    }
    let mut since: HashMap<Scope, i64> = HashMap::new();
    for route in &known {
        let first = since.entry(route.key.scope.clone()).or_insert(i64::MAX);
        *first = route.first_seen.min(*first);
    }
    let mut review = Review::default();
    let mut heirs: HashSet<RouteKey> = HashSet::new();
    let mut names: HashSet<RouteKey> = HashSet::new();
    for route in known {
        names.insert(route.key.clone());
        let Some(of) = counted.get(&route.key) else {
            match folded(&route.key, patterns) {
                Some(shown) => {
                    heirs.insert(RouteKey { route: shown.clone(), ..route.key.clone() });
                    review.folded.push((route.key, shown));
                }
                None => review.gone.push(route.key),
            }
            continue;
        };
        let newest = newest.get(&route.key.scope).copied().unwrap_or_default();
        let half_hours = |key: &RouteKey, until: i64| match server {
            Some(server) => server.half_hours(key, (until.saturating_sub(REGULAR_MINUTES), until)),
            None => Ok(half_hours(file, &waiting, key, until)?),
        };
        again(half_hours, route, (of, newest, now), &mut review)?;
    }
    let mut places = MAX_ROUTES.saturating_sub(names.len()).min(MAX_NEW);
    for (key, of) in counted.iter().filter(|(key, _)| !names.contains(key)) {
        let Some(left) = places.checked_sub(1) else { break };
        places = left;
        let time = of.time(now);
        let is_learned = since.get(&key.scope).is_some_and(|since| time.saturating_sub(*since) >= LEARNING);
        if is_learned && !heirs.contains(key) {
            review.changes.push(change(ChangeKind::RouteNew, key, time, &of.version));
        }
        let (key, last_counted) = (key.clone(), of.last_counted);
        review.routes.push(KnownRoute { key, first_seen: time, last_counted, traffic: Traffic::Some });
    }
    Ok(review)
}

/// Looks at a route that is known. `half_hours` is the number of those in which it was counted in the days before a Unix minute.
fn again(
    half_hours: impl Fn(&RouteKey, i64) -> Result<usize, QueryError>,
    mut route: KnownRoute,
    (of, newest, now): (&Counted, i64, i64),
    review: &mut Review,
) -> Result<(), QueryError> {
    let before = route.clone();
    if of.last_counted > route.last_counted {
        if route.traffic == Traffic::Vanished {
            review.changes.push(change(ChangeKind::RouteNew, &route.key, of.time(now), &of.version));
        }
        (route.last_counted, route.traffic) = (of.last_counted, Traffic::Some);
    }
    // A service that is silent as a whole has lost no route.
    let silent_at = route.last_counted.saturating_add(SILENCE_MINUTES);
    if route.traffic == Traffic::Some && newest >= silent_at {
        route.traffic = Traffic::None;
        if half_hours(&route.key, route.last_counted)? >= REGULAR_HALF_HOURS {
            route.traffic = Traffic::Vanished;
            let time = silent_at.saturating_mul(MINUTE);
            review.changes.push(change(ChangeKind::RouteVanished, &route.key, time, &of.version));
        }
    }
    if route != before {
        review.routes.push(route);
    }
    Ok(())
}

impl Counted {
    /// When it was counted, Unix nanoseconds: traffic that is reported as it happens comes in the present half hour.
    fn time(&self, now: i64) -> i64 {
        let half_hour = self.last_counted.saturating_mul(MINUTE);
        if (half_hour..half_hour.saturating_add(60 * MINUTE)).contains(&now) { now } else { half_hour }
    }
}

fn change(kind: ChangeKind, route: &RouteKey, time: i64, release: &str) -> Change {
    let example = Example { release: release.to_owned(), ..Example::default() };
    let (route, empty) = (route.clone(), String::new);
    Change { time, kind, route, body: None, field: empty(), before: empty(), after: empty(), example }
}

/// The routes that are counted, as they are shown, except those that have vanished.
pub(crate) fn alive(file: &Connection) -> Result<Vec<RouteKey>, StoreError> {
    let mut counted = counted(file, &waiting(file)?)?;
    for route in known_routes(file)?.iter().filter(|route| route.traffic == Traffic::Vanished) {
        counted.remove(&route.key);
    }
    Ok(counted.into_keys().collect())
}

/// All routes that are counted, as they are shown.
pub(super) fn counted_routes(file: &Connection) -> Result<BTreeSet<RouteKey>, StoreError> {
    Ok(counted(file, &Waiting::new())?.into_keys().collect())
}

/// The half hours of series whose counts wait to be added up, as Unix minutes.
type Waiting = HashMap<i64, BTreeSet<i64>>;

fn waiting(file: &Connection) -> Result<Waiting, StoreError> {
    let mut waiting = Waiting::new();
    Recent::default().each(file, (i64::MIN, i64::MAX), |change| {
        let half_hour = change.minute.div_euclid(HALF_HOUR) * HALF_HOUR;
        waiting.entry(change.series).or_default().insert(half_hour);
        Ok::<_, StoreError>(())
    })?;
    Ok(waiting)
}

/// The routes that are counted, as they are shown.
fn counted(file: &Connection, waiting: &Waiting) -> Result<BTreeMap<RouteKey, Counted>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT service, environment, direction, method, coalesce(folded, route), last_counted, id, version
         FROM series WHERE NOT overflow",
    )?;
    let mut rows = select.query([])?;
    let mut routes: BTreeMap<RouteKey, Counted> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let route: String = row.get(4)?;
        let (counted, id): (i64, i64) = (row.get(5)?, row.get(6)?);
        let last_counted =
            waiting.get(&id).and_then(|minutes| minutes.last()).map_or(counted, |last| counted.max(*last));
        if !is_path(&route) || last_counted == 0 {
            continue;
        }
        let scope = Scope { service: row.get(0)?, environment: row.get(1)?, direction: row.get(2)? };
        let key = RouteKey { scope, method: row.get(3)?, route };
        let version = row.get(7)?;
        let of = routes.entry(key).or_insert(Counted { last_counted, newest: id, version: String::new() });
        of.last_counted = of.last_counted.max(last_counted);
        if id >= of.newest {
            (of.newest, of.version) = (id, version);
        }
    }
    Ok(routes)
}

/// In how many half hours a route was counted in the days before a Unix minute.
fn half_hours(file: &Connection, waiting: &Waiting, key: &RouteKey, until: i64) -> Result<usize, StoreError> {
    let RouteKey { scope: Scope { service, environment, direction }, method, route } = key;
    let of_route = "service = ?1 AND environment = ?2 AND direction = ?3 AND method = ?4 AND coalesce(folded, route) = ?5";
    let since = until.saturating_sub(REGULAR_MINUTES);
    let mut select = file.prepare_cached(&format!(
        "WITH own AS MATERIALIZED (SELECT id FROM series WHERE {of_route})
         SELECT DISTINCT minute FROM half_hours WHERE minute > ?6 AND minute <= ?7 AND series_id IN own"
    ))?;
    let found = select
        .query_map(params![service, environment, direction, method, route, since, until], |row| row.get(0))?;
    let mut half_hours: BTreeSet<i64> = found.collect::<Result<_, _>>()?;
    let mut select = file.prepare_cached(&format!("SELECT id FROM series WHERE {of_route}"))?;
    let ids =
        select.query_map([service, environment, direction, method, route], |row| row.get::<_, i64>(0))?;
    for id in ids {
        let minutes = waiting.get(&id?).into_iter().flatten();
        half_hours.extend(minutes.filter(|minute| (since + 1..=until).contains(minute)));
    }
    Ok(half_hours.len())
}
