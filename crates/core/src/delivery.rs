//! The queue of request-log batches, and what becomes of them.
//!
//! Every batch has exactly one [`Fate`]. A batch keeps its bytes and its sequence number through all attempts, so that
//! an ingest can tell a repeat from news.

use std::collections::VecDeque;
use std::time::Duration;

use crate::batch;
use crate::config::Compression;
use crate::host::{CalloutAnswer, CalloutId};
use crate::otlp::proto;

/// Batches of one worker that may be under way at once.
pub const MAX_IN_FLIGHT: usize = 2;

/// A batch older than this is given up: a receiver remembers sequence numbers for at least as long.
pub const MAX_AGE: Duration = Duration::from_secs(300);

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// A closed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The request's body.
    pub body: Vec<u8>,
    /// How the body is compressed: a configuration update may change it for what comes later.
    pub compression: Compression,
    /// Events in it.
    pub events: u64,
    /// Bodies of requests and responses in it.
    pub bodies: u64,
    /// Whether it was dispatched before: its bytes stay the same then.
    pub was_sent: bool,
    /// Its number; given before the first attempt at the latest.
    pub sequence: Option<u64>,
    /// When it was closed, nanoseconds since the Unix epoch.
    pub closed_ns: u64,
}

impl Parcel {
    /// Takes the bodies out; returns how many there were of requests and of responses.
    fn lighten(&mut self) -> [u64; 2] {
        self.bodies = 0;
        match batch::without_bodies(&self.body, self.compression) {
            Some((body, taken)) => {
                self.body = body;
                taken
            }
            None => [0; 2],
        }
    }
}

/// What became of a batch's events. Nothing else can become of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fate {
    /// The receiver took them.
    Sent,
    /// They are lost, and why.
    Dropped(DropReason),
}

/// Why events are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The queue was full; the oldest go first.
    QueueFull,
    /// The receiver refused them for good.
    Rejected,
    /// They waited longer than [`MAX_AGE`].
    Expired,
}

/// Events by fate. What is captured and has no fate yet is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Written into a batch.
    pub captured: u64,
    /// Taken by a receiver.
    pub sent: u64,
    /// See [`DropReason::QueueFull`].
    pub queue_full: u64,
    /// See [`DropReason::Rejected`].
    pub rejected: u64,
    /// See [`DropReason::Expired`].
    pub expired: u64,
    /// Held by a virtual machine when it was lost.
    pub lost: u64,
}

impl Tally {
    pub(crate) const NUMBERS: usize = 6;

    /// The fates with the names under which they leave the process, in `gatelens.event.fate`.
    pub fn fates(&self) -> [(&'static str, u64); 5] {
        [
            ("sent", self.sent),
            ("queue_full", self.queue_full),
            ("rejected", self.rejected),
            ("expired", self.expired),
            ("lost", self.lost),
        ]
    }

    /// Events that wait or are under way.
    pub fn held(&self) -> u64 {
        self.fates().iter().fold(self.captured, |held, (_, events)| held.saturating_sub(*events))
    }

    pub(crate) fn as_array(&self) -> [u64; Self::NUMBERS] {
        [self.captured, self.sent, self.queue_full, self.rejected, self.expired, self.lost]
    }

    pub(crate) fn from_array(
        [captured, sent, queue_full, rejected, expired, lost]: [u64; Self::NUMBERS],
    ) -> Self {
        Self { captured, sent, queue_full, rejected, expired, lost }
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        let mut sum = self.as_array();
        sum.iter_mut().zip(other.as_array()).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        *self = Self::from_array(sum);
    }

    pub(crate) fn since(&self, before: &Tally) -> Tally {
        let mut rest = self.as_array();
        rest.iter_mut().zip(before.as_array()).for_each(|(rest, less)| *rest = rest.saturating_sub(less));
        Self::from_array(rest)
    }

    fn count(&mut self, fate: Fate, events: u64) {
        let counter = match fate {
            Fate::Sent => &mut self.sent,
            Fate::Dropped(DropReason::QueueFull) => &mut self.queue_full,
            Fate::Dropped(DropReason::Rejected) => &mut self.rejected,
            Fate::Dropped(DropReason::Expired) => &mut self.expired,
        };
        *counter = counter.saturating_add(events);
    }
}

/// What an answer means, by the rules of OTLP/HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken, but for so many records: a partial success, which is never sent again.
    Taken {
        /// Records that the receiver refused.
        rejected: u64,
    },
    /// Try again later, and not before so long: 429, 502, 503, 504, or a connection that broke. Envoy itself answers 503
    /// when it cannot connect and 504 when the time is up.
    Later {
        /// From `retry-after`.
        not_before: Option<Duration>,
    },
    /// Refused for good.
    Refused,
}

impl Answer {
    /// From what the receiver said.
    pub fn new(answer: &CalloutAnswer, now_ns: u64) -> Self {
        match answer.status {
            Some(200..=299) => Answer::Taken { rejected: rejected_records(&answer.body).unwrap_or(0) },
            None | Some(429 | 502 | 503 | 504) => {
                Answer::Later { not_before: retry_after(&answer.retry_after, now_ns) }
            }
            Some(_) => Answer::Refused,
        }
    }
}

/// `retry-after` (RFC 9110, 10.2.3): seconds, or a date. At most [`MAX_AGE`]: nothing would be left to send.
fn retry_after(value: &[u8], now_ns: u64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            date.saturating_sub(Duration::from_nanos(now_ns))
        }
    };
    Some(wait.min(MAX_AGE))
}

/// `partial_success.rejected_…` of an export response: field 1 of field 1, the same for logs and metrics.
fn rejected_records(body: &[u8]) -> Option<u64> {
    let partial_success = proto::find_bytes(body, 1)?;
    proto::find_varint(partial_success, 1)
}

/// When to try again after failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
    until_ns: u64,
}

impl Backoff {
    /// Whether an attempt may be made.
    pub fn is_over(&self, now_ns: u64) -> bool {
        // An end further ahead than any back-off was set before the clock was put back.
        now_ns >= self.until_ns || self.until_ns.saturating_sub(now_ns) > MAX_AGE.as_nanos() as u64
    }

    /// Whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Forgets all failures.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Waits longer than before: one second, then half as much again each time up to thirty, each between half and one
    /// and a half times that, as `random` says; and at least as long as the receiver asked for.
    pub fn failed(&mut self, now_ns: u64, random: u64, not_before: Option<Duration>) {
        let mut wait = FIRST_BACKOFF.as_millis() as u64;
        for _ in 0..self.failures.min(16) {
            wait = wait.saturating_mul(3) / 2;
        }
        wait = wait.min(LONGEST_BACKOFF.as_millis() as u64);
        let jittered = (wait / 2).saturating_add(random.checked_rem(wait.max(1)).unwrap_or(0));
        let asked_for = not_before.map_or(0, |wait| wait.as_millis() as u64);
        self.failures = self.failures.saturating_add(1);
        self.until_ns = now_ns.saturating_add(jittered.max(asked_for).saturating_mul(1_000_000));
    }
}

/// The root context that sent a request; the answer comes to it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootId(pub u64);

/// A batch that was sent and not yet answered.
#[derive(Debug)]
pub struct InFlight {
    /// The request.
    pub id: CalloutId,
    /// Who waits for the answer.
    pub root: RootId,
    /// The batch.
    pub parcel: Parcel,
}

/// A worker's batches, waiting and under way; bounded in bytes.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Parcel>,
    in_flight: Vec<InFlight>,
    bytes: usize,
    tally: Tally,
}

impl Queue {
    /// An event is written into the batch that will be pushed.
    pub fn capture(&mut self) {
        self.tally.captured = self.tally.captured.saturating_add(1);
    }

    /// Takes a batch in. While more than `most_bytes` are held, bodies go first, those of the oldest waiting batch
    /// before others, and when there are none left the oldest waiting batch is dropped. Returns how many bodies of
    /// requests and of responses were taken out.
    pub fn push(&mut self, parcel: Parcel, most_bytes: usize) -> [u64; 2] {
        self.bytes = self.bytes.saturating_add(parcel.body.len());
        self.waiting.push_back(parcel);
        let mut taken = [0u64; 2];
        while self.bytes > most_bytes {
            let heavy = self.waiting.iter_mut().find(|parcel| parcel.bodies > 0 && !parcel.was_sent);
            if let Some(parcel) = heavy {
                let before = parcel.body.len();
                let lightened = parcel.lighten();
                self.bytes = self.bytes.saturating_sub(before).saturating_add(parcel.body.len());
                taken.iter_mut().zip(lightened).for_each(|(sum, more)| *sum = sum.saturating_add(more));
            } else if let Some(oldest) = self.waiting.pop_front() {
                self.end(oldest, Fate::Dropped(DropReason::QueueFull));
            } else {
                break;
            }
        }
        taken
    }

    /// The next batch to send, unless `limit` batches are under way. Batches that are too old are given up.
    pub fn next(&mut self, now_ns: u64, limit: usize) -> Option<Parcel> {
        while self.in_flight.len() < limit {
            let parcel = self.waiting.pop_front()?;
            if now_ns.saturating_sub(parcel.closed_ns) <= MAX_AGE.as_nanos() as u64 {
                return Some(parcel);
            }
            self.end(parcel, Fate::Dropped(DropReason::Expired));
        }
        None
    }

    /// A batch from [`Queue::next`] is under way.
    pub fn sent(&mut self, mut sent: InFlight) {
        sent.parcel.was_sent = true;
        self.in_flight.push(sent);
    }

    /// A batch from [`Queue::next`] could not be sent: it is the next again.
    pub fn put_back(&mut self, parcel: Parcel) {
        self.waiting.push_front(parcel);
    }

    /// Takes an answer; false if it is for none of these batches.
    pub fn answered(&mut self, id: CalloutId, answer: Answer) -> bool {
        let Some(position) = self.in_flight.iter().position(|sent| sent.id == id) else { return false };
        let parcel = self.in_flight.swap_remove(position).parcel;
        match answer {
            Answer::Taken { rejected } => {
                let rejected = rejected.min(parcel.events);
                self.tally.count(Fate::Dropped(DropReason::Rejected), rejected);
                let events = parcel.events.saturating_sub(rejected);
                self.end(Parcel { events, ..parcel }, Fate::Sent);
            }
            Answer::Refused => self.end(parcel, Fate::Dropped(DropReason::Rejected)),
            Answer::Later { .. } => self.put_back(parcel),
        }
        true
    }

    fn end(&mut self, parcel: Parcel, fate: Fate) {
        self.bytes = self.bytes.saturating_sub(parcel.body.len());
        self.tally.count(fate, parcel.events);
    }

    /// A root context is gone and with it the answers to what it had sent: that waits to be sent again.
    pub fn abandon(&mut self, root: RootId) {
        for sent in self.in_flight.extract_if(.., |sent| sent.root == root) {
            self.waiting.push_front(sent.parcel);
        }
    }

    /// What is under way.
    pub fn in_flight(&self) -> &[InFlight] {
        &self.in_flight
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Events by fate so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Abandon,
        Send,
        Answer(Answer),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1usize..400).prop_map(Step::Push),
            Just(Step::Send),
            Just(Step::Abandon),
            prop_oneof![
                (0u64..3).prop_map(|rejected| Answer::Taken { rejected }),
                Just(Answer::Later { not_before: None }),
                Just(Answer::Refused)
            ]
            .prop_map(Step::Answer),
            (0u64..400).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn every_event_has_one_fate_and_memory_is_bounded(steps in prop::collection::vec(step(), 0..200)) {
            let mut queue = Queue::default();
            let (mut captured, mut now_ns, mut callout) = (0u64, 0u64, 0u32);
            let mut under_way = VecDeque::new();
            for step in steps {
                match step {
                    Step::Push(bytes) => {
                        captured += 1;
                        queue.capture();
                        let body = vec![0; bytes];
                        queue.push(Parcel { body, compression: Compression::None, events: 1, bodies: 0, was_sent: false, sequence: None, closed_ns: now_ns }, 1_000);
                    }
                    Step::Send => {
                        if let Some(parcel) = queue.next(now_ns, MAX_IN_FLIGHT) {
                            callout += 1;
                            queue.sent(InFlight { id: CalloutId(callout), root: RootId(u64::from(callout % 2)), parcel });
                            under_way.push_back(CalloutId(callout));
                        }
                    }
                    Step::Answer(answer) => {
                        if let Some(id) = under_way.pop_front() {
                            prop_assert!(queue.answered(id, answer));
                            prop_assert!(!queue.answered(id, answer));
                        }
                    }
                    Step::Abandon => {
                        queue.abandon(RootId(1));
                        under_way.retain(|id: &CalloutId| id.0 % 2 != 1);
                    }
                    Step::Wait(seconds) => now_ns += seconds * 1_000_000_000,
                }
                let held = queue.waiting.iter().chain(queue.in_flight.iter().map(|sent| &sent.parcel));
                prop_assert_eq!(held.clone().map(|p| p.body.len()).sum::<usize>(), queue.bytes());
                prop_assert!(queue.bytes() <= 1_000 + 2 * 400);
                prop_assert_eq!(queue.tally().captured, captured);
                prop_assert_eq!(queue.tally().held(), held.count() as u64);
                prop_assert!(queue.in_flight.len() <= MAX_IN_FLIGHT);
            }
        }

        #[test]
        fn back_off_stays_within_its_bounds(failures in 1u32..100, random in any::<u64>()) {
            let mut backoff = Backoff::default();
            (0..failures).for_each(|_| backoff.failed(0, random, None));
            let wait = backoff.until_ns / 1_000_000;
            prop_assert!((500..=45_000).contains(&wait), "{wait} ms");
            prop_assert!(!backoff.is_over(0) && backoff.is_over(backoff.until_ns));
        }
    }

    #[test]
    fn answers_by_the_rules_of_otlp() {
        let now_ns = 784_111_777_000_000_000;
        let check = |status: Option<u16>, retry_after: &str, body: &[u8], expected: Answer| {
            let answer = CalloutAnswer { status, retry_after: retry_after.into(), body: body.into() };
            assert_eq!(Answer::new(&answer, now_ns), expected, "{answer:?}");
        };
        for status in [200, 202, 204] {
            check(Some(status), "", b"", Answer::Taken { rejected: 0 });
        }
        check(Some(200), "", b"\x0a\x02\x08\x07", Answer::Taken { rejected: 7 });
        check(Some(200), "", b"\x0a\x05\x12\x03why", Answer::Taken { rejected: 0 });
        check(Some(200), "", b"\x0a\xff", Answer::Taken { rejected: 0 });
        check(Some(200), "", b"{\"partialSuccess\":{}}", Answer::Taken { rejected: 0 });
        for status in [429, 502, 503, 504] {
            check(Some(status), "", b"", Answer::Later { not_before: None });
        }
        let after = |seconds| Answer::Later { not_before: Some(Duration::from_secs(seconds)) };
        check(Some(429), "17", b"", after(17));
        check(Some(503), " Sun, 06 Nov 1994 08:49:47 GMT", b"", after(10));
        check(Some(503), "Sun, 06 Nov 1994 08:49:00 GMT", b"", after(0));
        check(Some(503), "99999999", b"", after(300));
        check(Some(503), "soon", b"", Answer::Later { not_before: None });
        for status in [301, 400, 401, 404, 413, 500, 501] {
            check(Some(status), "5", b"", Answer::Refused);
        }
        check(None, "", b"", Answer::Later { not_before: None });
    }
}
