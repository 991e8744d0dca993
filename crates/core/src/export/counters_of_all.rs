//! The exports of the counters to all destinations that get them.
//!
//! Each has its own changes, history, requests and back-off, so that none waits for another. One thing they share: a series that
//! is given up keeps its slot until every destination has acknowledged its final values.

use std::collections::BTreeSet;

use super::config::{Destination, ExportConfig};
use super::counters::{Answered, CounterExport};
use super::pipeline::Sender;
use super::request::RootId;
use crate::counters::Place;
use crate::host::{CalloutAnswer, CalloutId, Host};
use crate::shared::SharedStore;
use crate::shared::delta::{self, Verdict};
use crate::shared::lease::Acknowledged;
use crate::stats::{MAX_DESTINATIONS, WorkerStats};

/// The exports of one worker, by destination.
#[derive(Debug)]
pub struct CounterExports {
    all: Vec<Export>,
}

#[derive(Debug)]
struct Export {
    counters: CounterExport,
    /// Places of series that are given up whose final values the destination has, and others may not.
    finished: BTreeSet<Place>,
}

/// What an answer means for all destinations together.
#[derive(Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Every destination has the final values of the series in these places.
    Finished(Vec<Place>),
    /// The destination at this place must get all values of a request again.
    Refused(usize),
}

impl CounterExports {
    /// Followers of an epoch that began at this time.
    pub fn new(config: &ExportConfig, epoch_start_ns: u64) -> Self {
        let places = config.destinations.iter().enumerate();
        let with_metrics = places.filter(|(_, to)| to.metrics_path.is_some());
        let export = |(destination, to): (usize, &Destination)| Export {
            counters: CounterExport::new(epoch_start_ns, destination, to.temporality),
            finished: BTreeSet::new(),
        };
        Self { all: with_metrics.map(export).collect() }
    }

    /// Whether no destination gets counters.
    pub fn is_off(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether this worker leads.
    pub fn leads(&self) -> bool {
        self.iter().any(CounterExport::leads)
    }

    /// How far each destination has acknowledged the changes.
    pub fn acknowledged(&self) -> Acknowledged {
        let mut acknowledged = Acknowledged::default();
        for export in self.iter() {
            if let Some(time_ns) = acknowledged.get_mut(export.destination()) {
                *time_ns = export.acknowledged_ns();
            }
        }
        acknowledged
    }

    /// Whether there is nothing to send.
    pub fn is_idle(&self) -> bool {
        self.iter().all(CounterExport::is_idle)
    }

    /// See [`super::Pipeline::is_waiting`].
    pub fn is_waiting(&self, root: RootId) -> bool {
        self.iter().any(|export| export.is_waiting(root))
    }

    /// The destination to which this callout went; `None` for a callout of another's.
    pub fn destination_of(&self, id: CalloutId) -> Option<usize> {
        self.iter().find(|export| export.is_own(id)).map(CounterExport::destination)
    }

    /// See [`super::Pipeline::requeue`].
    pub fn requeue(&mut self, root: RootId) {
        self.iter_mut().for_each(|export| export.requeue(root));
    }

    /// See [`CounterExport::on_elected`].
    pub fn on_elected(&mut self, acknowledged: Acknowledged) {
        for Export { counters, finished } in &mut self.all {
            finished.clear();
            counters.on_elected(acknowledged.get(counters.destination()).copied().unwrap_or(0));
        }
    }

    /// See [`CounterExport::on_lease_lost`].
    #[must_use]
    pub fn on_lease_lost(&mut self) -> Vec<u32> {
        self.all.iter_mut().for_each(|export| export.finished.clear());
        self.iter_mut().flat_map(CounterExport::on_lease_lost).collect()
    }

    /// See [`CounterExport::abandon`].
    #[must_use]
    pub fn abandon(&mut self) -> Vec<u32> {
        self.iter_mut().flat_map(CounterExport::abandon).collect()
    }

    /// See [`CounterExport::on_ending`].
    pub fn on_ending(&mut self, acknowledged: Acknowledged) {
        for export in self.iter_mut() {
            export.on_ending(acknowledged.get(export.destination()).copied().unwrap_or(0));
        }
    }

    /// Whether this worker may export to some destination.
    pub fn may_export(&self) -> bool {
        self.iter().any(CounterExport::takes)
    }

    /// Whether some destination gets changes, and this worker does not lead: then it must not export to that one.
    pub fn needs_leader(&self) -> bool {
        self.iter().any(|export| !export.takes())
    }

    /// Adds slots that changed since the last call, for all destinations to which this worker may export.
    pub fn take(&mut self, changed: &[u32], now_ns: u64) {
        let may_take = |export: &&mut CounterExport| export.takes();
        self.iter_mut().filter(may_take).for_each(|export| export.take(changed.iter().copied(), now_ns));
    }

    /// See [`CounterExport::keep_minute`].
    pub fn keep_minute(&mut self, now_ns: u64, read: impl Fn(u32) -> Option<Vec<u8>>) {
        self.iter_mut().for_each(|export| export.keep_minute(now_ns, &read));
    }

    /// See [`CounterExport::force_export`]: for all destinations.
    pub fn force_export(&mut self) {
        self.iter_mut().for_each(CounterExport::force_export);
    }

    /// The same for the destinations at these places.
    pub fn force_export_to(&mut self, destinations: [bool; MAX_DESTINATIONS]) {
        let is_meant = |export: &&mut CounterExport| destinations.get(export.destination()) == Some(&true);
        self.iter_mut().filter(is_meant).for_each(CounterExport::force_export);
    }

    /// Takes an answer, if it is to one of these requests.
    pub fn answered(
        &mut self,
        host: &impl Host,
        id: CalloutId,
        answer: &CalloutAnswer,
        now_ns: u64,
        config: &ExportConfig,
        store: &SharedStore,
    ) -> Option<Settlement> {
        let settled = self.all.iter_mut().find_map(|Export { counters, finished }| {
            let sequence = counters.sequence();
            let answered = counters.answered(host, id, answer, now_ns, config)?;
            if let Some(sequence) = sequence {
                let verdict = match &answered {
                    Answered::Accepted { .. } => Verdict::Accepted,
                    Answered::Refused => Verdict::Refused,
                };
                delta::settle(host, store, counters.destination(), sequence, verdict);
            }
            Some(match answered {
                Answered::Accepted { finished: places } => {
                    finished.extend(places);
                    None
                }
                Answered::Refused => Some(Settlement::Refused(counters.destination())),
            })
        })?;
        Some(settled.unwrap_or_else(|| Settlement::Finished(self.take_finished())))
    }

    /// Adds the attempts that failed to the statistics of a worker.
    pub fn add_to(&self, stats: &mut WorkerStats) {
        for export in self.iter() {
            if let Some(of) = stats.deliveries.get_mut(export.destination()) {
                of.export_failures = of.export_failures.saturating_add(export.failures());
            }
        }
    }

    /// The export to the destination at this place, if it gets counters.
    pub fn to(&mut self, destination: usize) -> Option<&mut CounterExport> {
        self.iter_mut().find(|export| export.destination() == destination)
    }

    /// Sends the waiting requests.
    pub fn send(&mut self, host: &impl Host, root: RootId, now_ns: u64, from: Sender<'_>) {
        self.iter_mut().for_each(|export| export.send(host, root, now_ns, from));
    }

    fn iter(&self) -> impl Iterator<Item = &CounterExport> {
        self.all.iter().map(|export| &export.counters)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut CounterExport> {
        self.all.iter_mut().map(|export| &mut export.counters)
    }

    /// Takes the places of series whose final values every destination has.
    fn take_finished(&mut self) -> Vec<Place> {
        let Some((first, others)) = self.all.split_first_mut() else { return Vec::new() };
        let is_everywhere = |place: &Place| others.iter().all(|other| other.finished.contains(place));
        let everywhere: Vec<Place> = first.finished.extract_if(.., |place| is_everywhere(place)).collect();
        for place in &everywhere {
            others.iter_mut().for_each(|other| {
                other.finished.remove(place);
            });
        }
        everywhere
    }
}
