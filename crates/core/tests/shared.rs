//! Shared data: the lease, heartbeats, sequence numbers and the laws of room, each under races and clock steps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::config::Compression;
use gatelens_core::counters::{Caps, Cardinality, Dimension, Dimensions, OVERFLOW_SERIES, Series};
use gatelens_core::outcome::{Method, Status};
use gatelens_core::request::route::RouteSource;
use gatelens_core::request::scheme::Scheme;
use gatelens_core::shared::delta;
use gatelens_core::shared::heartbeat::Heartbeats;
use gatelens_core::shared::lease::{self, Acknowledged, LEASE, Leadership};
use gatelens_core::shared::sequence::{self, Signal};
use gatelens_core::shared::{CounterSetId, SharedStore};
use gatelens_core::stats::WorkerStats;
use gatelens_model::fate::{DropReason, Fate};
use gatelens_testkit::fake::{FakeGateway, FakeHost};
use proptest::prelude::*;

const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const LEASE_NS: u64 = LEASE.as_nanos() as u64;

fn setup() -> (FakeHost, SharedStore) {
    (FakeGateway::starting_at(START).worker(""), SharedStore::new(CounterSetId(7)))
}

const ELECTED: Leadership = elected(0);

/// After this time was acknowledged by the first destination.
const fn elected(acknowledged_ns: u64) -> Leadership {
    Leadership::Elected { acknowledged: up_to(acknowledged_ns) }
}

const fn up_to(acknowledged_ns: u64) -> Acknowledged {
    [acknowledged_ns, 0, 0, 0]
}

#[test]
fn one_worker_leads_until_its_lease_ends_or_is_released() {
    let (host, store) = setup();
    let acquire =
        |me: u64, now_ns: u64, led: Option<u64>| lease::acquire(&host, &store, me, now_ns, led.map(up_to));
    assert_eq!(acquire(1, START, None), ELECTED);
    assert_eq!(acquire(2, START, None), Leadership::Follower);
    assert_eq!(acquire(1, START + 3 * SECOND, Some(START)), Leadership::Leader);
    assert_eq!(acquire(2, START + LEASE_NS, None), Leadership::Follower, "it was renewed");
    let ended = START + 3 * SECOND + LEASE_NS;
    assert_eq!(acquire(2, ended, None), elected(START));
    assert_eq!(acquire(1, ended, Some(START)), Leadership::Follower);
    // Only the holder can release it.
    lease::release(&host, &store, 1, up_to(START));
    assert_eq!(acquire(1, ended, None), Leadership::Follower);
    lease::release(&host, &store, 2, up_to(ended));
    assert_eq!(lease::acknowledged(&host, &store), up_to(ended));
    assert_eq!(acquire(1, ended, None), elected(ended));
}

#[test]
fn a_holder_that_does_not_know_that_it_leads_is_elected_again() {
    let (host, store) = setup();
    assert_eq!(lease::acquire(&host, &store, 1, START, None), ELECTED);
    assert_eq!(lease::acquire(&host, &store, 1, START, Some(up_to(START))), Leadership::Leader);
    let again = lease::acquire(&host, &store, 1, START + SECOND, None);
    assert_eq!(again, elected(START));
}

#[test]
fn a_step_of_the_clock_leaves_no_gateway_without_a_leader() {
    // Set back, the lease would end further ahead than a lease lasts, so it counts as over: for a moment two workers
    // may export, but never none.
    for (step, expected) in [(-3_600i64, ELECTED), (-2, ELECTED), (0, Leadership::Follower), (3_600, ELECTED)]
    {
        let (host, store) = setup();
        assert_eq!(lease::acquire(&host, &store, 1, START, None), ELECTED);
        let now_ns = START.saturating_add_signed(step * SECOND as i64);
        assert_eq!(lease::acquire(&host, &store, 2, now_ns, None), expected, "{step} s");
    }
}

#[test]
fn at_most_one_worker_is_elected_when_all_write_at_once() {
    for conflicts in 1..6 {
        let (host, store) = setup();
        host.conflict_every(conflicts);
        let leaders = (1..=8u64)
            .filter(|me| lease::acquire(&host, &store, *me, START, None) != Leadership::Follower)
            .count();
        assert!(leaders <= 1, "conflicts every {conflicts}");
        assert!(conflicts == 1 || leaders == 1, "conflicts every {conflicts}");
    }
}

#[test]
fn sequence_numbers_have_no_gaps_whoever_asks() {
    let (host, store) = setup();
    host.conflict_every(3);
    let numbers: Vec<_> = (0..50)
        .map(|_| sequence::next(&host, &store, Signal::Logs, 0).expect("contended for ever"))
        .collect();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    // Each signal and each destination has numbers of its own.
    for (signal, destination) in [(Signal::Metrics, 0), (Signal::Logs, 1), (Signal::Logs, 2)] {
        assert_eq!(sequence::next(&host, &store, signal, destination), Some(1));
    }
}

/// Statistics of a worker that has captured these events and sent those.
fn stats(captured: u64, sent: u64) -> WorkerStats {
    let mut stats = WorkerStats::default();
    let events = &mut stats.deliveries[0].events;
    events.captured = captured;
    events.count(Fate::Sent, sent);
    stats
}

const LOST: Fate = Fate::Dropped(DropReason::Lost);

#[test]
fn a_worker_that_was_taken_for_lost_continues_under_a_new_record() {
    let (host, store) = setup();
    let (mut leader, mut slow) = (Heartbeats::default(), Heartbeats::default());
    leader.report(&host, &store, &stats(0, 0));
    slow.report(&host, &store, &stats(10, 4));
    let mut now_ns = START;
    for _ in 0..40 {
        now_ns += SECOND;
        leader.report(&host, &store, &stats(0, 0));
        leader.survey(&host, &store, now_ns);
    }
    let fleet = leader.survey(&host, &store, now_ns);
    assert_eq!((fleet.workers, fleet.workers_lost), (1, 1));
    assert_eq!(
        (fleet.stats.deliveries[0].events.captured, fleet.stats.deliveries[0].events.of(LOST)),
        (10, 6)
    );
    // The worker was only held up. Its six events are sent after all; they count as captured again, so that the sum is
    // right.
    slow.report(&host, &store, &stats(12, 12));
    let fleet = leader.survey(&host, &store, now_ns);
    assert_eq!((fleet.workers, fleet.workers_lost), (2, 1));
    let events = fleet.stats.deliveries[0].events;
    assert_eq!((events.captured, events.of(Fate::Sent), events.of(LOST), events.held()), (18, 12, 6, 0));
}

#[test]
fn a_stopped_process_loses_no_worker() {
    let (host, store) = setup();
    let (mut leader, mut other) = (Heartbeats::default(), Heartbeats::default());
    let mut now_ns = START;
    for _ in 0..100 {
        // An hour passes between ticks, but all workers stopped for the same time.
        now_ns += 3_600 * SECOND;
        leader.report(&host, &store, &stats(0, 0));
        other.report(&host, &store, &stats(1, 1));
        assert_eq!(leader.survey(&host, &store, now_ns).workers_lost, 0);
    }
}

#[test]
fn a_worker_that_ends_leaves_its_statistics_and_its_place() {
    let (host, store) = setup();
    let mut leader = Heartbeats::default();
    leader.report(&host, &store, &stats(0, 0));
    for ended in 1..=5u64 {
        let mut worker = Heartbeats::default();
        worker.report(&host, &store, &stats(3, 1));
        worker.deregister(&host, &store, &stats(3, 2));
        let fleet = leader.survey(&host, &store, START);
        assert_eq!((fleet.workers, fleet.workers_lost), (1, 0));
        let events = fleet.stats.deliveries[0].events;
        assert_eq!((events.captured, events.of(Fate::Sent), events.of(LOST)), (3 * ended, 2 * ended, ended));
    }
}

#[test]
fn workers_that_register_at_once_get_records_of_their_own() {
    let gateway = FakeGateway::starting_at(START);
    let store = SharedStore::new(CounterSetId(7));
    let host = gateway.worker("");
    host.conflict_every(2);
    let mut workers: Vec<_> = (0..20).map(|_| Heartbeats::default()).collect();
    for _ in 0..3 {
        gateway.wait(Duration::from_secs(1));
        workers.iter_mut().for_each(|worker| worker.report(&host, &store, &stats(1, 0)));
    }
    let fleet = workers[0].survey(&host, &store, START);
    assert_eq!((fleet.workers, fleet.stats.deliveries[0].events.captured), (20, 20));
}

proptest! {
    /// The laws of room: caps are never exceeded, every series finds a place in at most six steps, and a step gives up
    /// a dimension and never regains one.
    #[test]
    fn every_series_finds_room(
        caps in (1u32..6, 1u32..4, 1u32..4, 1u32..4, 1u32..4),
        requests in prop::collection::vec((0u8..6, 0u8..6, 0u8..5, 0u8..5, 200u16..280), 1..200),
    ) {
        let (series, consumers, routes, hosts, upstream_clusters) = caps;
        let caps = Caps { series, consumers, routes, hosts, upstream_clusters, templates: 0 };
        let mut present = Cardinality::default();
        let mut seen = std::collections::HashSet::new();
        for (consumer, route, host, cluster, status) in requests {
            let (consumer, route) = (format!("c{consumer}"), format!("/r{route}"));
            // The first of each is absent.
            let (host, cluster) = ("h".repeat(host.into()), "u".repeat(cluster.into()));
            let optional = |text| Some(Dimension::Value(text)).filter(|found| *found != Dimension::Value(""));
            let mut series = Series::Exact(Dimensions {
                consumer: Dimension::Value(&consumer),
                method: Method::new(b"GET"),
                scheme: Scheme::Http,
                route: Dimension::Value(&route),
                route_source: RouteSource::Inferred,
                status: Status(status),
                grpc_status: None,
                error: None,
                host: optional(&*host),
                upstream_cluster: optional(&*cluster),
            });
            let mut steps = 0;
            while !seen.contains(&format!("{series:?}")) {
                match present.room_for(&Cardinality::default(), &caps, series) {
                    Ok(()) => {
                        present.add(series);
                        seen.insert(format!("{series:?}"));
                    }
                    Err(coarser) => {
                        prop_assert!(rank(coarser) > rank(series), "{series:?} to {coarser:?}");
                        series = coarser;
                        steps += 1;
                    }
                }
            }
            prop_assert!(steps <= 6);
            prop_assert!(present.series() <= caps.series);
            let overflow = seen.iter().filter(|series| series.starts_with("Overflow")).count();
            prop_assert!(overflow <= OVERFLOW_SERIES as usize);
        }
    }
}

/// Number of dimensions given up.
fn rank(series: Series<'_>) -> u32 {
    match series {
        Series::Exact(Dimensions { consumer, route, host, upstream_cluster, .. }) => {
            let given_up = [Some(consumer), Some(route), host, upstream_cluster];
            given_up.iter().filter(|dimension| **dimension == Some(Dimension::Overflow)).count() as u32
        }
        Series::Overflow(Some(_)) => 5,
        Series::Overflow(None) => 6,
    }
}

/// Does something within the read of shared data that follows this number of others.
fn within_read(host: &Rc<FakeHost>, after: usize, work: Box<dyn FnOnce()>) {
    let again = Rc::clone(host);
    host.on_next_shared_read(move || match after.checked_sub(1) {
        None => work(),
        Some(after) => within_read(&again, after, work),
    });
}

#[test]
fn of_two_workers_that_begin_a_batch_of_changes_at_once_one_does_and_its_batch_stays() {
    let batch = |sequence: u64| delta::Batch {
        sequence,
        time_ns: START,
        compression: Compression::None,
        body: sequence.to_be_bytes().to_vec(),
        series: Vec::new(),
    };
    for after in 0..3 {
        let gateway = FakeGateway::starting_at(START);
        let (host, other) = (Rc::new(gateway.worker("")), gateway.worker(""));
        let store = || SharedStore::new(CounterSetId(7));
        let other_began = Rc::new(Cell::new(false));
        let work = {
            let (store, theirs, other_began) = (store(), batch(2), Rc::clone(&other_began));
            move || other_began.set(delta::begin(&other, &store, 0, (&theirs, 0), START))
        };
        within_read(&host, after, Box::new(work));
        let began = delta::begin(&*host, &store(), 0, (&batch(1), 0), START);
        assert!(began != other_began.get(), "after {after} reads");
        let sequence = if began { 1 } else { 2 };
        let unanswered = delta::unanswered(&*host, &store(), 0).map(|unanswered| unanswered.sequence);
        assert_eq!(unanswered, Some(sequence), "after {after} reads");
        assert_eq!(delta::batch(&*host, &store(), 0, sequence), Some(batch(sequence)), "after {after} reads");
    }
}
