//! The service's own metrics, for Prometheus.

mod senders;

pub(crate) use senders::{NotTaken, SenderName};

use crate::learning::Attention;
use crate::model::{Rejection, Rejections, Signal};
use crate::store::reduce::Kind;
use crate::store::scrub::{Progress, Report};
use crate::store::{Removal, Stored};
use prometheus::{Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use prometheus::{Registry, TextEncoder, core::Collector};
use senders::BySender;
use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds in seconds of the histogram of answers.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const SIGNALS: [Signal; 3] = [Signal::Metrics, Signal::Logs, Signal::Traces];
const STORED: &str = "stored";
const REPEATED: &str = "repeated";
const REFUSED: &str = "refused";
const REJECTED: &str = "rejected";
const TAKEN: &str = "taken";
const PASSED_OVER: &str = "passed_over";
/// Reasons to refuse a request or a connection before its handler.
const REFUSALS: [&str; 21] = [
    "unknown_host",
    "foreign_origin",
    "malformed",
    "no_sender_token",
    "other_environment",
    "sign_in",
    "role",
    "csrf",
    "client_certificate",
    "rate",
    "readers",
    "peer_readers",
    "answer_memory",
    "streams",
    "exports",
    "peer_connections",
    "connection_replaced",
    "head_timeout",
    "write_timeout",
    "tls_handshake",
    "preview_timeout",
];
const RELOADS: [&str; 2] = ["loaded", "failed"];

/// Counters since the start of the process, and gauges.
pub(crate) struct Stats {
    registry: Registry,
    answers: IntCounterVec,
    refusals: IntCounterVec,
    tls_reloads: IntCounterVec,
    durations: HistogramVec,
    received_bytes: IntCounterVec,
    batches: IntCounterVec,
    records: IntCounterVec,
    rejected: IntCounterVec,
    by_sender: BySender,
    lessons: IntCounterVec,
    samples: IntCounterVec,
    started_at: Gauge,
    queues: IntGaugeVec,
    memory_bytes: IntGauge,
    answer_bytes: IntGauge,
    tls_outdated: IntGauge,
    store_bytes: IntGaugeVec,
    troubles: IntGauge,
    store_limit: IntGauge,
    store_removed: IntGaugeVec,
    store_removed_until: IntGaugeVec,
    store_removed_at: IntGaugeVec,
    store_free: IntGauge,
    damaged: IntGauge,
    scrub_ended_at: IntGauge,
    scrub_damaged: IntGauge,
    scrub_lost: IntGauge,
    scrub_progress: Gauge,
}

/// Values that are measured when the metrics are read.
pub(crate) struct Gauges {
    /// Bytes of bodies being received, decoded or stored.
    pub(crate) memory_bytes: usize,
    /// Bytes of answers that their clients have not read.
    pub(crate) answer_bytes: usize,
    /// Whether the files for TLS on disk cannot be used.
    pub(crate) tls_outdated: bool,
    /// Batches that wait for a writer, by its name.
    pub(crate) queues: [(&'static str, usize); 2],
    /// Bytes on disk, by kind of file.
    pub(crate) store_bytes: Vec<(&'static str, u64)>,
    /// Files that are damaged or unreadable.
    pub(crate) troubles: usize,
    /// Bytes that the files may take.
    pub(crate) store_limit: Option<u64>,
    /// Data removed for want of room.
    pub(crate) removals: BTreeMap<Kind, Removal>,
    /// Bytes that the file system has left.
    pub(crate) free_bytes: Option<u64>,
    /// Pieces of damage that were ever set aside.
    pub(crate) damaged: u64,
    /// The last scrub.
    pub(crate) scrubbed: Option<Report>,
    /// The scrub at work.
    pub(crate) scrubbing: Option<Progress>,
    /// Unix seconds.
    pub(crate) started_at: f64,
}

impl Stats {
    /// All metrics at 0.
    ///
    /// # Errors
    /// When two metrics have one name, or one has an invalid name.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(
                &registry,
                IntCounterVec::new(Opts::new(format!("gatelens_ingest_{name}"), help), labels)?,
            )
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(format!("gatelens_ingest_{name}"), help), labels)?)
        };
        let gauge = |name: &str, help: &str| {
            register(&registry, IntGauge::new(format!("gatelens_ingest_{name}"), help)?)
        };
        gauges("build_info", "The version that runs.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let durations =
            HistogramOpts::new("gatelens_ingest_http_request_duration_seconds", "Time to an answer by path.");
        let stats = Self {
            answers: counters("http_requests_total", "Answers by path and status.", &["path", "status"])?,
            refusals: counters(
                "refusals_total",
                "Requests and connections that reached no handler, by reason.",
                &["reason"],
            )?,
            tls_reloads: counters(
                "tls_reloads_total",
                "Changes of the files for TLS by outcome; after a failed one the previous certificate stays.",
                &["outcome"],
            )?,
            durations: register(
                &registry,
                HistogramVec::new(durations.buckets(BOUNDS.to_vec()), &["path"])?,
            )?,
            received_bytes: counters(
                "received_bytes_total",
                "Bytes of bodies received, as sent.",
                &["signal"],
            )?,
            batches: counters("batches_total", "Requests of senders by outcome.", &["signal", "outcome"])?,
            records: counters(
                "records_total",
                "Points, log records and spans by outcome, without those of repeated requests.",
                &["signal", "outcome"],
            )?,
            rejected: counters(
                "rejected_total",
                "Points, log records and spans that are not stored although their request is, by reason.",
                &["signal", "reason"],
            )?,
            by_sender: BySender::new(&registry)?,
            lessons: counters(
                "learning_batches_total",
                "Batches that show routes, by whether they are learned from: passed_over found the queue full.",
                &["outcome"],
            )?,
            samples: counters(
                "drift_batches_total",
                "Batches with bodies whose fields are learned, by whether they are read: passed_over found the queue full.",
                &["outcome"],
            )?,
            started_at: register(
                &registry,
                Gauge::new("process_start_time_seconds", "Start of the process in Unix seconds.")?,
            )?,
            queues: gauges("queue_batches", "Batches that wait for a writer of the store.", &["writer"])?,
            memory_bytes: gauge("memory_bytes", "Bytes of bodies received and not yet stored.")?,
            answer_bytes: gauge("answer_bytes", "Bytes of answers that their clients have not read.")?,
            tls_outdated: gauge(
                "tls_outdated",
                "1 while the files for TLS on disk cannot be used and the previous certificate stays.",
            )?,
            store_bytes: gauges("store_bytes", "Bytes on disk by kind of file.", &["file"])?,
            troubles: gauge("troubled_files", "Files set aside or not readable, see /healthz.")?,
            store_limit: gauge("store_limit_bytes", "Bytes that the files may take; 0: no limit.")?,
            store_removed: gauges(
                "store_removed",
                "Bodies, requests and rows of counts removed since the start to stay within the limit.",
                &["kind"],
            )?,
            store_removed_until: gauges(
                "store_removed_until_seconds",
                "Data of the kind before this Unix time was removed to stay within the limit; 0: none.",
                &["kind"],
            )?,
            store_removed_at: gauges(
                "store_removed_at_seconds",
                "Unix time of the last removal to stay within the limit; 0: none.",
                &["kind"],
            )?,
            store_free: gauge("store_free_bytes", "Bytes that the file system has left for the service.")?,
            damaged: gauge(
                "damaged_pieces",
                "Pieces of damage that were ever set aside, see /api/v1/storage.",
            )?,
            scrub_ended_at: gauge("scrub_ended_seconds", "Unix time of the end of the last scrub; 0: none.")?,
            scrub_damaged: gauge("scrub_damaged_pieces", "Pieces of damage that the last scrub has found.")?,
            scrub_lost: gauge(
                "scrub_lost_rows",
                "Rows that are probably lost by the damage of the last scrub.",
            )?,
            scrub_progress: register(
                &registry,
                Gauge::new(
                    "gatelens_ingest_scrub_progress_ratio",
                    "Part of the data that the scrub at work has read.",
                )?,
            )?,
            registry,
        };
        // A counter that does not exist until its first event cannot be alerted on.
        for outcome in [TAKEN, PASSED_OVER] {
            stats.lessons.with_label_values(&[outcome]);
            stats.samples.with_label_values(&[outcome]);
        }
        for signal in SIGNALS.map(Signal::name) {
            stats.received_bytes.with_label_values(&[signal]);
            for outcome in [STORED, REPEATED, REFUSED] {
                stats.batches.with_label_values(&[signal, outcome]);
            }
            for outcome in [STORED, REJECTED] {
                stats.records.with_label_values(&[signal, outcome]);
            }
            for reason in Rejection::ALL {
                stats.rejected.with_label_values(&[signal, reason.name()]);
            }
        }
        for outcome in RELOADS {
            stats.tls_reloads.with_label_values(&[outcome]);
        }
        for reason in REFUSALS {
            stats.refusals.with_label_values(&[reason]);
        }
        Ok(stats)
    }

    /// Counts a change of the files for TLS.
    pub(crate) fn tls_reloaded(&self, outcome: &'static str) {
        self.tls_reloads.with_label_values(&[outcome]).inc();
    }

    /// Counts a request or a connection that reaches no handler. The reason is a constant.
    pub(crate) fn refused_by(&self, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
    }

    /// Counts an answer on a path of the service, of which there are few.
    pub(crate) fn answered(&self, path: &str, status: u16, took: Duration) {
        self.answers.with_label_values(&[path, &status.to_string()]).inc();
        let durations: Histogram = self.durations.with_label_values(&[path]);
        durations.observe(took.as_secs_f64());
    }

    /// Counts the bytes of a body, as sent.
    pub(crate) fn received(&self, signal: Signal, bytes: usize) {
        self.received_bytes.with_label_values(&[signal.name()]).inc_by(bytes as u64);
    }

    /// Counts a batch of a sender that is on disk, with the numbers of its records that were stored and rejected.
    pub(crate) fn stored(
        &self,
        (sender, signal): (&SenderName, Signal),
        stored: Stored,
        records: u64,
        rejected: &Rejections,
    ) {
        match stored {
            Stored::New { .. } => {
                self.batch(signal, STORED);
                let beyond = stored.rejected().total();
                self.records
                    .with_label_values(&[signal.name(), STORED])
                    .inc_by(records.saturating_sub(beyond));
                self.records.with_label_values(&[signal.name(), REJECTED]).inc_by(rejected.total());
                self.by_sender.rejected(sender, rejected);
                for (reason, count) in rejected.each() {
                    self.rejected.with_label_values(&[signal.name(), reason.name()]).inc_by(count);
                }
            }
            Stored::Repeat => self.batch(signal, REPEATED),
        }
    }

    /// Counts a batch that routes could be learned from.
    pub(crate) fn observed(&self, attention: Attention) {
        count_attention(&self.lessons, attention);
    }

    /// Counts a batch that fields of bodies could be learned from.
    pub(crate) fn sampled(&self, attention: Attention) {
        count_attention(&self.samples, attention);
    }

    /// Points, records and spans that were rejected since the start, by reason, except those that are ordinary.
    pub(crate) fn rejections(&self) -> Vec<(&'static str, u64)> {
        let count = |reason: Rejection| {
            let of = |signal: Signal| self.rejected.with_label_values(&[signal.name(), reason.name()]).get();
            (reason.name(), SIGNALS.into_iter().map(of).sum())
        };
        let reasons = Rejection::ALL.into_iter().filter(|reason| !Rejection::ORDINARY.contains(reason));
        reasons.map(count).filter(|(_, count)| *count > 0).collect()
    }

    /// Senders of whom something was rejected or refused since the start, those with most first.
    pub(crate) fn not_taken(&self) -> Vec<NotTaken> {
        self.by_sender.not_taken()
    }

    /// Where further metrics may be registered.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts a batch that was refused, for the holder of a token also by reason, which is a constant.
    pub(crate) fn refused(&self, sender: Option<&SenderName>, signal: Signal, reason: &'static str) {
        self.batch(signal, REFUSED);
        if let Some(sender) = sender {
            self.by_sender.refused(sender, reason);
        }
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// When the encoder fails.
    pub(crate) fn render(&self, gauges: &Gauges) -> prometheus::Result<String> {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.started_at.set(gauges.started_at);
        self.memory_bytes.set(whole(gauges.memory_bytes as u64));
        self.answer_bytes.set(whole(gauges.answer_bytes as u64));
        self.tls_outdated.set(i64::from(gauges.tls_outdated));
        self.troubles.set(whole(gauges.troubles as u64));
        self.store_limit.set(whole(gauges.store_limit.unwrap_or_default()));
        self.store_free.set(whole(gauges.free_bytes.unwrap_or_default()));
        self.damaged.set(whole(gauges.damaged));
        let last = gauges.scrubbed.as_ref();
        self.scrub_ended_at.set(last.map_or(0, |last| last.ended_at.as_second()));
        self.scrub_damaged.set(last.map_or(0, |last| whole(last.damaged)));
        self.scrub_lost.set(last.map_or(0, |last| whole(last.lost)));
        let read = gauges
            .scrubbing
            .as_ref()
            .map_or(0.0, |now| now.done_bytes as f64 / now.total_bytes.max(1) as f64);
        self.scrub_progress.set(read);
        for kind in Kind::ALL {
            let removal = gauges.removals.get(&kind);
            let seconds = |nanos: i64| nanos.div_euclid(1_000_000_000);
            for (gauge, value) in [
                (&self.store_removed, removal.map(|removal| whole(removal.count))),
                (&self.store_removed_until, removal.map(|removal| seconds(removal.until))),
                (&self.store_removed_at, removal.map(|removal| seconds(removal.at))),
            ] {
                gauge.with_label_values(&[kind.name()]).set(value.unwrap_or_default());
            }
        }
        for (writer, depth) in gauges.queues {
            self.queues.with_label_values(&[writer]).set(whole(depth as u64));
        }
        for (kind, bytes) in &gauges.store_bytes {
            self.store_bytes.with_label_values(&[*kind]).set(whole(*bytes));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn batch(&self, signal: Signal, outcome: &str) {
        self.batches.with_label_values(&[signal.name(), outcome]).inc();
    }
}

pub(crate) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn count_attention(counter: &IntCounterVec, attention: Attention) {
    match attention {
        Attention::Nothing => {}
        Attention::Taken => counter.with_label_values(&[TAKEN]).inc(),
        Attention::PassedOver => counter.with_label_values(&[PASSED_OVER]).inc(),
    }
}
