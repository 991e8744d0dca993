//! The counters on their way to one destination. Idle on all workers except the leader.
//!
//! Exported values are cumulative, so a lost request costs no count. It would cost resolution, though: a single value
//! after an hour without the receiver cannot be split into minutes. So while the receiver accepts nothing, the changes
//! of each minute are kept as a [`Snapshot`] and sent in order later. When they exceed [`MAX_HISTORY_BYTES`],
//! neighbours are joined, shortest first.
//!
//! Two times describe the progress of the export: `covered_ns`, up to which all changes are in a snapshot, and
//! `acknowledged_ns`, up to which the receiver has accepted them. The second one is passed on with the lease, so that a
//! new leader's first export covers exactly the time that nobody has reported.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::config::ExportConfig;
use super::pipeline::{Pipeline, Sender, Settled};
use super::request::{ExportRequest, RootId};
use crate::config::Temporality;
use crate::counters::Place;
use crate::host::{CalloutAnswer, CalloutId, Host};
use crate::shared::delta;
use crate::shared::sequence::Signal;

/// Maximum number of series in one request: about half a megabyte before compression.
pub const MAX_REQUEST_SERIES: usize = 500;

/// Without traffic, metrics are still sent at this interval, so that a silent gateway and a dead one differ.
const HEARTBEAT_NS: u64 = 10_000_000_000;

/// Bytes of snapshots kept: an hour of a few hundred busy series.
pub const MAX_HISTORY_BYTES: usize = 4 * 1024 * 1024;

const MINUTE_NS: u64 = 60_000_000_000;

/// Values of the series that changed in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// End of the span, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Its length.
    pub span_ns: u64,
    /// By slot, as shared data holds them.
    pub series: BTreeMap<u32, Vec<u8>>,
}

impl Snapshot {
    fn bytes(&self) -> usize {
        // A map's entry takes about as much again as a short value.
        self.series.values().map(|value| value.len().saturating_add(64)).sum()
    }

    /// Joins a later one: of a slot in both, the later value contains the earlier. Where it is that of another series, the
    /// receiver has acknowledged the final values of the earlier one.
    fn join(&mut self, later: Snapshot) {
        self.time_ns = later.time_ns;
        self.span_ns = self.span_ns.saturating_add(later.span_ns);
        self.series.extend(later.series);
    }

    /// The span, if it is so long that its minutes cannot be told apart.
    pub fn coarse_span_ns(&self) -> Option<u64> {
        (self.span_ns > MINUTE_NS).then_some(self.span_ns)
    }
}

/// The receiver's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It has all values in it.
    Accepted {
        /// Places of series that are given up: their final values were in it.
        finished: Vec<Place>,
    },
    /// All values in it must be sent again.
    Refused,
}

/// The role of this worker in the export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    /// It does not: another worker leads.
    #[default]
    Follower,
    /// It leads.
    Leader,
    /// It ends, and sends the changes that it merged last, whichever worker leads.
    Ending,
}

/// The export of counters by one worker.
#[derive(Debug)]
pub struct CounterExport {
    role: Role,
    pipeline: Pipeline,
    /// Slots that changed since they were last put into a snapshot.
    changed: BTreeSet<u32>,
    history: VecDeque<Snapshot>,
    /// Slots in the request that waits or is in flight.
    current: Vec<u32>,
    /// Of those, the places whose series are given up: the request has their final values.
    current_final: Vec<Place>,
    /// The sequence number of that request, where it has changes.
    sequence: Option<u64>,
    temporality: Temporality,
    last_sent_ns: u64,
    /// The last time at which changes were taken from shared data.
    taken_ns: u64,
    covered_ns: u64,
    acknowledged_ns: u64,
}

impl CounterExport {
    /// A follower of an epoch that began at this time. The destination is that at this place.
    pub fn new(epoch_start_ns: u64, destination: usize, temporality: Temporality) -> Self {
        Self {
            role: Role::default(),
            pipeline: Pipeline::new(Signal::Metrics, destination),
            changed: BTreeSet::new(),
            history: VecDeque::new(),
            current: Vec::new(),
            current_final: Vec::new(),
            sequence: None,
            temporality,
            last_sent_ns: 0,
            taken_ns: epoch_start_ns,
            covered_ns: epoch_start_ns,
            acknowledged_ns: epoch_start_ns,
        }
    }

    /// The destination's place in [`ExportConfig::destinations`].
    pub fn destination(&self) -> usize {
        self.pipeline.destination()
    }

    /// Whether changes are exported, so that only a leader may make a request.
    pub fn is_delta(&self) -> bool {
        self.temporality == Temporality::Delta
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn has_no_request(&self) -> bool {
        self.pipeline.is_idle()
    }

    /// The sequence number of the request with changes that was given last.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Drops a request with changes that waits: another worker has the answer to it, or repeats it.
    pub fn drop_waiting(&mut self) {
        if self.sequence.is_some() && self.pipeline.pop_if(|_| true).is_some() {
            self.sequence = None;
            self.current.clear();
            self.current_final.clear();
        }
    }

    /// A snapshot that [`CounterExport::next`] gave cannot be sent now.
    pub fn put_back(&mut self, snapshot: Snapshot) {
        self.current.clear();
        self.history.push_front(snapshot);
    }

    /// Takes over a request with the changes of these slots, which another worker began.
    pub fn adopt(&mut self, request: ExportRequest, slots: Vec<u32>, finished: Vec<Place>) {
        self.current = slots;
        self.push(request, finished);
    }

    /// Whether this worker leads.
    pub fn leads(&self) -> bool {
        self.role == Role::Leader
    }

    /// All changes before this time are acknowledged, nanoseconds since the Unix epoch.
    pub fn acknowledged_ns(&self) -> u64 {
        self.acknowledged_ns
    }

    /// Whether there is nothing to send.
    pub fn is_idle(&self) -> bool {
        self.pipeline.is_idle() && self.changed.is_empty() && self.history.is_empty()
    }

    /// See [`Pipeline::is_waiting`].
    pub fn is_waiting(&self, root: RootId) -> bool {
        self.pipeline.is_waiting(root)
    }

    /// See [`Pipeline::is_own`].
    pub fn is_own(&self, id: CalloutId) -> bool {
        self.pipeline.is_own(id)
    }

    /// See [`Pipeline::requeue`].
    pub fn requeue(&mut self, root: RootId) {
        self.pipeline.requeue(root);
    }

    /// Attempts to deliver that failed.
    pub fn failures(&self) -> u64 {
        self.pipeline.failures()
    }

    /// This worker leads from now on and exports all series: another leader may have taken changes that never
    /// arrived. The exports of earlier leaders are acknowledged up to `acknowledged_ns`.
    pub fn on_elected(&mut self, acknowledged_ns: u64) {
        self.role = Role::Leader;
        self.changed.clear();
        self.history.clear();
        self.begin_at(acknowledged_ns);
    }

    /// Another worker leads. A request that was begun is still finished, because its sequence number is given out.
    /// Returns slots that this worker took although it did not lead: they must be marked as changed again, because
    /// only an elected leader exports all series.
    #[must_use]
    pub fn on_lease_lost(&mut self) -> Vec<u32> {
        if self.is_delta() {
            // Whoever leads repeats it.
            self.drop_waiting();
        }
        let mut slots = std::mem::take(&mut self.changed);
        for snapshot in self.history.drain(..) {
            slots.extend(snapshot.series.into_keys());
        }
        match std::mem::take(&mut self.role) {
            // A follower holds slots only if a refusal arrived after it lost the lease.
            Role::Ending | Role::Follower => slots.into_iter().collect(),
            Role::Leader => Vec::new(),
        }
    }

    /// The worker's Wasm VM ends. Returns the slots whose changes it took and has no acknowledgement of: they must be
    /// marked as changed again.
    #[must_use]
    pub fn abandon(&mut self) -> Vec<u32> {
        let mut slots = std::mem::take(&mut self.changed);
        slots.extend(self.history.drain(..).flat_map(|snapshot| snapshot.series.into_keys()));
        slots.extend(self.current.drain(..));
        slots.into_iter().collect()
    }

    /// This worker ends: it exports the changes that it takes now, whichever worker leads. The leader's
    /// exports are acknowledged up to `acknowledged_ns`.
    pub fn on_ending(&mut self, acknowledged_ns: u64) {
        if self.role == Role::Follower && self.is_delta() {
            return;
        }
        if self.role == Role::Follower {
            self.begin_at(acknowledged_ns);
        }
        self.role = Role::Ending;
    }

    /// Whether it takes changes: of changes themselves, a follower would send some that the leader sends, too.
    pub fn takes(&self) -> bool {
        self.role != Role::Follower || !self.is_delta()
    }

    /// Adds slots that changed since the last call.
    pub fn take(&mut self, changed: impl IntoIterator<Item = u32>, now_ns: u64) {
        if self.is_acknowledged() {
            self.acknowledged_ns = self.taken_ns;
        }
        if self.changed.is_empty() {
            self.covered_ns = self.taken_ns;
        }
        self.taken_ns = now_ns;
        self.changed.extend(changed);
        if self.is_acknowledged() {
            self.acknowledged_ns = now_ns;
        }
    }

    /// While the receiver accepts nothing: puts the changes of a minute that is over into the history.
    pub fn keep_minute(&mut self, now_ns: u64, read: impl Fn(u32) -> Option<Vec<u8>>) {
        let minute_ns = now_ns.saturating_sub(now_ns.checked_rem(MINUTE_NS).unwrap_or(0));
        if !self.pipeline.is_idle() && minute_ns > self.covered_ns && !self.changed.is_empty() {
            let snapshot = self.snapshot(minute_ns, usize::MAX, &read);
            self.history.push_back(snapshot);
            self.bound_history();
        }
    }

    /// The next snapshot to be encoded and given to [`CounterExport::push`], if a request may be sent now: the oldest
    /// that is kept, else the changes, else an empty one when a heartbeat is due.
    pub fn next(&mut self, now_ns: u64, read: impl Fn(u32) -> Option<Vec<u8>>) -> Option<Snapshot> {
        if self.role == Role::Follower || !self.pipeline.is_ready(now_ns) {
            return None;
        }
        let is_heartbeat_due = now_ns.saturating_sub(self.last_sent_ns) >= HEARTBEAT_NS;
        let mut next = match self.history.pop_front() {
            Some(kept) => kept,
            None if !self.changed.is_empty() || is_heartbeat_due => {
                self.snapshot(now_ns, MAX_REQUEST_SERIES, &read)
            }
            None => return None,
        };
        if let Some((first_of_rest, _)) = next.series.iter().nth(MAX_REQUEST_SERIES) {
            let series = next.series.split_off(&first_of_rest.clone());
            self.history.push_front(Snapshot { series, ..next });
        }
        self.current = next.series.keys().copied().collect();
        Some(next)
    }

    /// Takes the request that contains a snapshot, and the places whose final values are in it.
    pub fn push(&mut self, request: ExportRequest, finished: Vec<Place>) {
        self.current_final = finished;
        self.sequence = request.sequence.filter(|_| self.is_delta() && !self.current.is_empty());
        self.pipeline.push(request);
    }

    /// Sends the waiting request, if there is one.
    pub fn send(&mut self, host: &impl Host, root: RootId, now_ns: u64, from: Sender<'_>) {
        if self.pipeline.send(host, root, now_ns, from) {
            self.last_sent_ns = now_ns;
            if let Some(sequence) = self.sequence {
                delta::note_sent(host, from.store, self.destination(), sequence, now_ns);
            }
        }
    }

    /// Sends the next request even if no count has changed.
    pub fn force_export(&mut self) {
        self.last_sent_ns = 0;
    }

    /// Takes an answer, if it is to one of these requests.
    pub fn answered(
        &mut self,
        host: &impl Host,
        id: CalloutId,
        answer: &CalloutAnswer,
        now_ns: u64,
        config: &ExportConfig,
    ) -> Option<Answered> {
        match self.pipeline.answered(host, id, answer, now_ns, config)? {
            Settled::Accepted { .. } => {
                self.current.clear();
                Some(Answered::Accepted { finished: std::mem::take(&mut self.current_final) })
            }
            // The receiver never accepts these bytes; it may accept newer values of the same series in another request.
            Settled::Refused(_) => {
                if !self.current.is_empty() {
                    self.covered_ns = self.acknowledged_ns;
                }
                self.changed.extend(self.current.drain(..));
                self.current_final.clear();
                Some(Answered::Refused)
            }
        }
    }

    /// Whether all changes that were taken are acknowledged.
    fn is_acknowledged(&self) -> bool {
        self.changed.is_empty() && self.history.is_empty() && self.current.is_empty()
    }

    fn begin_at(&mut self, acknowledged_ns: u64) {
        let time_ns = acknowledged_ns.max(self.acknowledged_ns);
        (self.taken_ns, self.covered_ns, self.acknowledged_ns) = (time_ns, time_ns, time_ns);
    }

    #[inline(never)]
    fn snapshot(&mut self, time_ns: u64, most: usize, read: &dyn Fn(u32) -> Option<Vec<u8>>) -> Snapshot {
        let span_ns = time_ns.saturating_sub(self.covered_ns);
        let mut snapshot = Snapshot { time_ns, span_ns, ..Snapshot::default() };
        while snapshot.series.len() < most {
            let Some(slot) = self.changed.pop_first() else { break };
            snapshot.series.extend(read(slot).map(|value| (slot, value)));
        }
        if self.changed.is_empty() {
            self.covered_ns = time_ns;
        }
        snapshot
    }

    #[inline(never)]
    fn bound_history(&mut self) {
        while self.history.iter().map(Snapshot::bytes).sum::<usize>() > MAX_HISTORY_BYTES {
            let spans = self.history.iter().zip(self.history.iter().skip(1));
            let together = spans.map(|(a, b)| a.span_ns.saturating_add(b.span_ns)).enumerate();
            let Some((shortest, _)) = together.min_by_key(|(_, span_ns)| *span_ns) else { break };
            if let Some(later) = self.history.remove(shortest.saturating_add(1))
                && let Some(earlier) = self.history.get_mut(shortest)
            {
                earlier.join(later);
            }
        }
    }
}
