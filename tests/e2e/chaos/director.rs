//! The faults during the traffic, and their times.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use gatelens_testkit::{EnvoyConfig, Update};
use serde_json::{Value, json};

use super::super::traffic::Progress;
use super::{World, impatient};

/// An event, at a number of requests sent.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The ingest is killed with SIGKILL and starts again after this time.
    Kill(Duration),
    /// The listener is replaced.
    Listener(Change),
    /// The plugin's configuration alone is replaced.
    Plugin(Change),
}

/// The change of a configuration.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The same counters; a template has another name.
    Template,
    /// The same counters; batches are smaller and no longer compressed.
    Batches,
    /// Another service, which has its own counters.
    Service,
    /// As at the start.
    Back,
    /// As at the start, with the plugin's configuration in a file of its own.
    Detach,
}

/// Name of the template that [`Change::Template`] puts in the place of `/users/{id}`.
pub(super) const OTHER_TEMPLATE: &str = "/users/{user_id}";

const CHANGES: [Event; 6] = [
    Event::Listener(Change::Template),
    Event::Listener(Change::Batches),
    Event::Listener(Change::Service),
    Event::Listener(Change::Back),
    Event::Listener(Change::Detach),
    Event::Plugin(Change::Template),
];

/// All events in their order.
pub(super) struct Plan {
    events: Vec<(u64, Event)>,
}

impl Plan {
    /// Spreads the kills and all configuration changes over this many requests.
    pub(super) fn new(seed: u64, kills: usize, requests: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut is_kill: Vec<bool> = [vec![true; kills], vec![false; CHANGES.len()]].concat();
        rng.shuffle(&mut is_kill);
        let steps = is_kill.len() as u64 + 1;
        let mut changes = CHANGES.into_iter();
        let events = is_kill.into_iter().enumerate().filter_map(|(step, is_kill)| {
            let event = match is_kill {
                true => Event::Kill(Duration::from_millis(rng.u64(0..2_000))),
                false => changes.next()?,
            };
            Some((requests * (step as u64 + 1) / steps, event))
        });
        Self { events: events.collect() }
    }
}

/// The faults that were injected, and measurements during them.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) kills: u64,
    pub(super) listener_updates: u64,
    pub(super) plugin_updates: u64,
    pub(super) envoy_bytes: Memory,
    pub(super) ingest_bytes: Memory,
}

/// Resident memory over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) first: u64,
    pub(super) most: u64,
    pub(super) last: u64,
}

impl Memory {
    fn sample(&mut self, bytes: u64) {
        if self.first == 0 {
            self.first = bytes;
        }
        self.most = self.most.max(bytes);
        self.last = bytes;
    }
}

pub(super) struct Director<'a> {
    world: &'a mut World,
    record: Record,
    sampled: Option<Instant>,
}

impl<'a> Director<'a> {
    pub(super) fn new(world: &'a mut World) -> Self {
        Self { world, record: Record::default(), sampled: None }
    }

    /// Carries out the whole plan.
    pub(super) fn direct(mut self, plan: &Plan, progress: &Progress) -> Record {
        for (at, event) in &plan.events {
            while progress.sent.load(Ordering::Relaxed) < *at {
                thread::sleep(Duration::from_millis(20));
                self.sample();
            }
            self.happen(*event);
        }
        self.sampled = None;
        self.sample();
        self.record
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Kill(pause) => {
                self.world.ingest.kill().unwrap();
                thread::sleep(pause);
                self.world.ingest.restart().unwrap();
                self.record.kills += 1;
            }
            Event::Listener(change) => {
                let config = self.changed(change);
                assert_eq!(self.world.envoy.update(&config).unwrap(), Update::Accepted, "{change:?}");
                self.record.listener_updates += 1;
            }
            Event::Plugin(change) => {
                let config = self.changed(change);
                self.world.discovery.update(&self.world.envoy, &config);
                self.record.plugin_updates += 1;
            }
        }
    }

    fn changed(&self, change: Change) -> EnvoyConfig {
        let mut plugin = impatient();
        match change {
            Change::Template => plugin["routes"] = json!({"templates": [format!("GET {OTHER_TEMPLATE}")]}),
            Change::Batches => {
                plugin["limits"]["batch_events"] = json!(100);
                plugin["limits"]["flush_ms"] = json!(500);
                plugin["ingest"]["compression"] = json!("none");
            }
            Change::Service => plugin["service"]["name"] = Value::from("e2e-other"),
            Change::Back | Change::Detach => {}
        }
        let config = self.world.config.clone().plugin(&plugin);
        match change {
            Change::Detach => self.world.discovery.detach(config),
            _ => config,
        }
    }

    fn sample(&mut self) {
        if self.sampled.is_some_and(|sampled| sampled.elapsed() < Duration::from_secs(1)) {
            return;
        }
        self.sampled = Some(Instant::now());
        let envoy = self.world.envoy.process().resident_bytes().unwrap();
        self.record.envoy_bytes.sample(envoy);
        let ingest = self.world.ingest.process().resident_bytes().unwrap();
        self.record.ingest_bytes.sample(ingest);
    }
}
