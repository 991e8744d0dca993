//! Who may bring new series and new instances, and how many: a stranger must not take the room of those who are known.
//!
//! A sender is a service in an environment; with tokens, the environment is that of the token. A sender, and an instance,
//! is a stranger for its first day, so that a stranger under the name of a known service is one, too. An environment and a
//! sender have a share of the series, and so have all strangers together; of instances, the new ones of a day are bounded in
//! the same way. Strangers whose token is for an environment have a share of their own in each, so that the holder of a
//! token cannot keep new senders of other environments out. A series that exists, and an instance that is known, always
//! pass.

use super::StoreError;
use crate::limits::Limits;
use crate::model::{Gateway, Rejection, SeriesKey, Standing};
use crate::sync::lock;
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

const DAY: i64 = 24 * 3600 * 1_000_000_000;

/// What is known of all senders. Both writers ask it.
pub(crate) struct Admission {
    limits: Limits,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    senders: HashMap<SenderKey, Sender>,
    /// When each instance was first seen (Unix nanoseconds), by a hash of sender and instance.
    instances: HashMap<u64, i64>,
    hasher: RandomState,
    series: usize,
    /// Series of each environment.
    environments: HashMap<Arc<str>, usize>,
    /// Days since 1970.
    day: i64,
    new_today: usize,
    /// Series that strangers made today: those of an environment that their tokens prove, and all others.
    strange_today: HashMap<Option<Arc<str>>, usize>,
}

/// Environment and service.
type SenderKey = (Arc<str>, Arc<str>);

#[derive(Debug, Clone, Copy)]
struct Sender {
    /// Unix nanoseconds.
    first_seen: i64,
    series: usize,
    new_today: usize,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), known: Mutex::default() }
    }

    /// Takes in the senders that a file knows, at `now` (Unix nanoseconds).
    pub(super) fn load(&self, file: &Connection, now: i64) -> Result<(), StoreError> {
        let mut known = self.lock();
        known.turn(now);
        let mut select = file.prepare(
            "SELECT environment, service, instance, min(first_seen) FROM gateways
             GROUP BY environment, service, instance",
        )?;
        let mut rows = select.query(params![])?;
        while let Some(row) = rows.next()? {
            let key: SenderKey = (row.get(0)?, row.get(1)?);
            let (instance, first_seen): (Arc<str>, i64) = (row.get(2)?, row.get(3)?);
            let is_new = known.note(&key, &instance, first_seen);
            let today = usize::from(is_new && first_seen.div_euclid(DAY) == known.day);
            known.new_today += today;
            let sender = known.sender(&key, first_seen);
            sender.first_seen = first_seen.min(sender.first_seen);
            sender.new_today += today;
        }
        Ok(())
    }

    /// Counts the series of all senders anew, because some were removed, or not stored after all.
    pub(super) fn recount(&self, series: &HashMap<SeriesKey, i64>) {
        let mut known = self.lock();
        known.senders.values_mut().for_each(|sender| sender.series = 0);
        known.series = series.len();
        known.environments.clear();
        for key in series.keys() {
            // One of which the file has series, and no gateway any more, was seen long ago.
            known.sender(&sender_of(key), 0).series += 1;
            *known.environments.entry(Arc::clone(&key.environment)).or_default() += 1;
        }
    }

    /// Whether an instance may send, and counts it if it is new.
    pub(super) fn instance(&self, gateway: &Gateway, standing: Standing, now: i64) -> Result<(), Rejection> {
        let mut known = self.lock();
        known.turn(now);
        let key = (Arc::clone(&gateway.environment), Arc::clone(&gateway.service));
        if known.instances.contains_key(&known.hash(&key, &gateway.instance)) {
            return Ok(());
        }
        let Limits { new_instances, new_instances_per_sender, new_instances_of_strangers, .. } = self.limits;
        let strangers = known.senders.iter().filter(|((environment, _), sender)| {
            let counts = standing == Standing::Claimed || *environment == gateway.environment;
            counts && self.is_strange(sender.first_seen, now)
        });
        let of_strangers: usize = strangers.map(|(_, sender)| sender.new_today).sum();
        let sender = *known.sender(&key, now);
        if known.new_today >= new_instances
            || sender.new_today >= new_instances_per_sender
            || (self.is_strange(sender.first_seen, now) && of_strangers >= new_instances_of_strangers)
        {
            known.forget_if_unused(&key);
            return Err(Rejection::TooManyInstances);
        }
        known.note(&key, &gateway.instance, now);
        known.new_today += 1;
        known.sender(&key, now).new_today += 1;
        Ok(())
    }

    /// Whether an instance may make a new series, and counts it.
    pub(super) fn series(
        &self,
        key: &SeriesKey,
        (instance, standing): (&str, Standing),
        now: i64,
    ) -> Result<(), Rejection> {
        let mut known = self.lock();
        known.turn(now);
        let Limits { series, series_per_environment, series_per_sender, series_of_strangers, .. } =
            self.limits;
        let all = known.series;
        let of_environment = known.environments.get(&key.environment).copied().unwrap_or_default();
        let strangers = match standing {
            Standing::Claimed => None,
            Standing::Proven => Some(Arc::clone(&key.environment)),
        };
        let strange_today = known.strange_today.get(&strangers).copied().unwrap_or_default();
        let sender = sender_of(key);
        let first_seen = known.instances.get(&known.hash(&sender, instance)).copied();
        let is_strange = first_seen.is_none_or(|first_seen| self.is_strange(first_seen, now));
        let sender = known.sender(&sender, now);
        if all >= series
            || of_environment >= series_per_environment
            || sender.series >= series_per_sender
            || (is_strange && strange_today >= series_of_strangers)
        {
            return Err(Rejection::TooManySeries);
        }
        sender.series += 1;
        known.series += 1;
        *known.environments.entry(Arc::clone(&key.environment)).or_default() += 1;
        if is_strange {
            *known.strange_today.entry(strangers).or_default() += 1;
        }
        Ok(())
    }

    fn is_strange(&self, first_seen: i64, now: i64) -> bool {
        let age = i64::try_from(self.limits.known_after.as_nanos()).unwrap_or(i64::MAX);
        now.saturating_sub(first_seen) < age
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

fn sender_of(series: &SeriesKey) -> SenderKey {
    (Arc::clone(&series.environment), Arc::clone(&series.service))
}

impl Known {
    /// Begins a new day.
    fn turn(&mut self, now: i64) {
        let day = now.div_euclid(DAY);
        if day != self.day {
            self.day = day;
            self.new_today = 0;
            self.strange_today.clear();
            self.senders.values_mut().for_each(|sender| sender.new_today = 0);
        }
    }

    fn sender(&mut self, key: &SenderKey, now: i64) -> &mut Sender {
        let new = Sender { first_seen: now, series: 0, new_today: 0 };
        self.senders.entry(key.clone()).or_insert(new)
    }

    /// A sender that was refused and has nothing must not stay.
    fn forget_if_unused(&mut self, key: &SenderKey) {
        if self.senders.get(key).is_some_and(|sender| sender.series == 0 && sender.new_today == 0) {
            self.senders.remove(key);
        }
    }

    fn hash(&self, key: &SenderKey, instance: &str) -> u64 {
        self.hasher.hash_one((key, instance))
    }

    /// Whether an instance was not known, which it is from then on.
    fn note(&mut self, key: &SenderKey, instance: &str, first_seen: i64) -> bool {
        let hash = self.hash(key, instance);
        let known = self.instances.insert(hash, first_seen);
        if let Some(known) = known {
            self.instances.insert(hash, known.min(first_seen));
        }
        known.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: i64 = 20_000 * DAY + DAY / 2;

    fn admission() -> Admission {
        Admission::new(&Limits {
            series: 10,
            series_per_environment: 10,
            series_per_sender: 6,
            series_of_strangers: 4,
            new_instances: 10,
            new_instances_per_sender: 6,
            new_instances_of_strangers: 4,
            known_after: Duration::from_secs(3600),
            ..Limits::default()
        })
    }

    fn gateway(service: &str, instance: usize) -> Gateway {
        Gateway { service: service.into(), instance: format!("i-{instance}"), ..Gateway::default() }
    }

    /// How many of `wanted` new instances of a service are admitted.
    fn instances(admission: &Admission, service: &str, wanted: usize, now: i64) -> usize {
        (0..wanted)
            .filter(|i| admission.instance(&gateway(service, *i), Standing::Claimed, now).is_ok())
            .count()
    }

    /// The same of new series of the first instance.
    fn series(admission: &Admission, service: &str, wanted: usize, now: i64) -> usize {
        series_of(admission, (service, "i-0"), wanted, now)
    }

    fn series_of(admission: &Admission, sender: (&str, &str), wanted: usize, now: i64) -> usize {
        series_in(admission, ("", Standing::Claimed), sender, wanted, now)
    }

    fn series_in(
        admission: &Admission,
        (environment, standing): (&str, Standing),
        (service, instance): (&str, &str),
        wanted: usize,
        now: i64,
    ) -> usize {
        let text = |text: &str| -> Arc<str> { text.into() };
        let key = |i: usize| SeriesKey {
            service: text(service),
            environment: text(environment),
            version: text(""),
            direction: text(""),
            consumer: text(""),
            method: text(""),
            route: text(&i.to_string()),
            route_source: text(""),
            host: text(""),
            upstream_cluster: text(""),
            status: 200,
            grpc_status: None,
            error_type: text(""),
            overflow: false,
        };
        (0..wanted).filter(|i| admission.series(&key(*i), (instance, standing), now).is_ok()).count()
    }

    #[test]
    fn strangers_leave_room_for_those_who_are_known() {
        let admission = admission();
        let hour = DAY / 24;
        assert_eq!(instances(&admission, "known", 1, NOW), 1);
        assert_eq!(series(&admission, "known", 1, NOW), 1);
        let now = NOW + hour;
        assert_eq!(instances(&admission, "a", 3, now), 3);
        assert_eq!(instances(&admission, "b", 3, now), 1, "strangers have four together");
        assert_eq!(series(&admission, "a", 3, now), 3);
        assert_eq!(series(&admission, "b", 3, now), 0, "strangers made four today");
        assert_eq!(instances(&admission, "known", 5, now), 5);
        assert_eq!(series(&admission, "known", 9, now), 5, "one sender has six");
        assert_eq!(series(&admission, "a", 9, now + hour), 1, "there are ten in all");
    }

    #[test]
    fn instances_that_are_known_pass_and_a_new_day_has_room_again() {
        let admission = admission();
        assert_eq!(instances(&admission, "a", 9, NOW), 4);
        assert_eq!(instances(&admission, "a", 4, NOW), 4);
        assert_eq!(instances(&admission, "a", 20, NOW + DAY), 10, "four of before, and six new ones");
    }

    #[test]
    fn a_stranger_under_a_known_name_is_a_stranger() {
        let admission = admission();
        assert_eq!(instances(&admission, "known", 1, NOW), 1);
        let now = NOW + DAY;
        admission.instance(&gateway("known", 7), Standing::Claimed, now).unwrap();
        assert_eq!(series_of(&admission, ("known", "i-7"), 9, now), 4);
        assert_eq!(series(&admission, "known", 9, now), 2, "one sender has six");
    }

    #[test]
    fn the_holder_of_a_token_leaves_room_for_other_environments() {
        let admission = Admission::new(&Limits { series_per_environment: 7, ..admission().limits });
        let instances = |environment: &str, service: &str, wanted: usize, now: i64| {
            let of = |i| Gateway { environment: environment.into(), ..gateway(service, i) };
            (0..wanted).filter(|i| admission.instance(&of(*i), Standing::Proven, now).is_ok()).count()
        };
        let series = |environment, service, wanted, now| {
            series_in(&admission, (environment, Standing::Proven), (service, "i-0"), wanted, now)
        };
        assert_eq!(instances("stage", "a", 2, NOW) + instances("stage", "b", 9, NOW), 4);
        assert_eq!(instances("prod", "a", 9, NOW), 4, "each environment has strangers of its own");
        assert_eq!(series("stage", "a", 9, NOW) + series("stage", "b", 9, NOW), 4);
        assert_eq!(series("prod", "a", 9, NOW), 4);
        let tomorrow = NOW + DAY;
        assert_eq!(series("stage", "c", 9, tomorrow), 2, "there are ten in all");
        admission.recount(&HashMap::new());
        let later = tomorrow + DAY;
        assert_eq!(
            series("stage", "a", 9, later) + series("stage", "b", 9, later),
            7,
            "an environment has seven"
        );
        assert_eq!(series("prod", "a", 9, later), 3);
    }

    #[test]
    fn series_that_went_make_room() {
        let admission = admission();
        assert_eq!(series(&admission, "a", 9, NOW), 4);
        admission.recount(&HashMap::new());
        assert_eq!(series(&admission, "a", 9, NOW + DAY), 4);
    }

    #[test]
    fn senders_that_were_refused_take_no_memory() {
        let admission = admission();
        assert_eq!(instances(&admission, "a", 9, NOW), 4);
        for service in 0..100 {
            assert_eq!(instances(&admission, &format!("s-{service}"), 1, NOW), 0);
        }
        assert_eq!(admission.lock().senders.len(), 1);
    }
}
