//! What the service counts about itself, and how Prometheus reads it.

use crate::model::Signal;
use crate::store::Stored;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds in seconds of the histogram of answers.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Name, help, and for each outcome the counter of it.
type Family = (&'static str, &'static str, &'static [(&'static str, fn(&BySignal) -> &AtomicU64)]);

/// Counters since the start of the process.
#[derive(Default)]
pub(crate) struct Stats {
    answers: Mutex<BTreeMap<(String, u16), u64>>,
    durations: Mutex<BTreeMap<String, Histogram>>,
    signals: [BySignal; 3],
}

#[derive(Default)]
struct BySignal {
    received_bytes: AtomicU64,
    stored: AtomicU64,
    repeated: AtomicU64,
    refused: AtomicU64,
    records_stored: AtomicU64,
    records_rejected: AtomicU64,
}

#[derive(Default)]
struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

/// What is measured when somebody asks.
pub(crate) struct Gauges {
    /// Bytes of bodies being received, decoded or stored.
    pub(crate) memory_bytes: usize,
    /// Batches that wait for a writer, by its name.
    pub(crate) queues: [(&'static str, usize); 2],
    /// Bytes on disk, by kind of file.
    pub(crate) store_bytes: Vec<(&'static str, u64)>,
    /// Files with which something is wrong.
    pub(crate) troubles: usize,
    /// Unix seconds.
    pub(crate) started_at: f64,
}

impl Stats {
    /// Notes an answer on a path of the service, which is one of few.
    pub(crate) fn answered(&self, path: &str, status: u16, took: Duration) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((path.to_owned(), status)).or_default() += 1;
        drop(answers);
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        durations.entry(path.to_owned()).or_default().add(took.as_secs_f64());
    }

    /// Notes the bytes of a body, as sent.
    pub(crate) fn received(&self, signal: Signal, bytes: usize) {
        self.of(signal).received_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Notes a batch that is on disk, with so many records taken and others not.
    pub(crate) fn stored(&self, signal: Signal, stored: Stored, records: u64, rejected: u64) {
        let of = self.of(signal);
        match stored {
            Stored::New { .. } => {
                of.stored.fetch_add(1, Relaxed);
                of.records_stored.fetch_add(records, Relaxed);
                of.records_rejected.fetch_add(rejected, Relaxed);
            }
            Stored::Repeat => {
                of.repeated.fetch_add(1, Relaxed);
            }
        }
    }

    /// Notes a batch that was not taken; the status of the answer says why.
    pub(crate) fn refused(&self, signal: Signal) {
        self.of(signal).refused.fetch_add(1, Relaxed);
    }

    /// All of it in Prometheus' text format, version 0.0.4.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut page = Page::default();
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.family("gatelens_ingest_build_info", "gauge", "The version that runs.");
        page.sample("", &version, 1);
        page.family("process_start_time_seconds", "gauge", "When the process started, in Unix seconds.");
        page.sample("", &[], gauges.started_at);
        self.render_answers(&mut page);
        self.render_signals(&mut page);
        page.family("gatelens_ingest_queue_batches", "gauge", "Batches that wait for a writer of the store.");
        for (writer, depth) in gauges.queues {
            page.sample("", &[("writer", writer)], depth);
        }
        page.family("gatelens_ingest_memory_bytes", "gauge", "Bytes of bodies received and not yet stored.");
        page.sample("", &[], gauges.memory_bytes);
        page.family("gatelens_ingest_store_bytes", "gauge", "Bytes on disk by kind of file.");
        for (kind, bytes) in &gauges.store_bytes {
            page.sample("", &[("file", kind)], bytes);
        }
        page.family(
            "gatelens_ingest_troubled_files",
            "gauge",
            "Files set aside or not readable, see /healthz.",
        );
        page.sample("", &[], gauges.troubles);
        page.text
    }

    fn render_answers(&self, page: &mut Page) {
        page.family("gatelens_ingest_http_requests_total", "counter", "Answers by path and status.");
        for ((path, status), count) in &*self.answers.lock().unwrap_or_else(PoisonError::into_inner) {
            page.sample("", &[("path", path), ("status", &status.to_string())], count);
        }
        page.family(
            "gatelens_ingest_http_request_duration_seconds",
            "histogram",
            "Time to an answer by path.",
        );
        for (path, histogram) in &*self.durations.lock().unwrap_or_else(PoisonError::into_inner) {
            for (bound, count) in BOUNDS.iter().zip(histogram.counts) {
                page.sample("_bucket", &[("path", path), ("le", &bound.to_string())], count);
            }
            page.sample("_bucket", &[("path", path), ("le", "+Inf")], histogram.count);
            page.sample("_sum", &[("path", path)], histogram.seconds);
            page.sample("_count", &[("path", path)], histogram.count);
        }
    }

    fn render_signals(&self, page: &mut Page) {
        let families: [Family; 3] = [
            (
                "gatelens_ingest_received_bytes_total",
                "Bytes of bodies received, as sent.",
                &[("", |of| &of.received_bytes)],
            ),
            (
                "gatelens_ingest_batches_total",
                "Requests of senders by what became of them.",
                &[
                    ("stored", |of| &of.stored),
                    ("repeated", |of| &of.repeated),
                    ("refused", |of| &of.refused),
                ],
            ),
            (
                "gatelens_ingest_records_total",
                "Points, log records and spans by what became of them, repeats aside.",
                &[("stored", |of| &of.records_stored), ("rejected", |of| &of.records_rejected)],
            ),
        ];
        for (name, help, outcomes) in families {
            page.family(name, "counter", help);
            for (signal, of) in [Signal::Metrics, Signal::Logs, Signal::Traces].map(|s| (s, self.of(s))) {
                for (outcome, get) in outcomes {
                    let labels = [("signal", signal.name()), ("outcome", *outcome)];
                    let labels = if outcome.is_empty() { &labels[..1] } else { &labels[..] };
                    page.sample("", labels, get(of).load(Relaxed));
                }
            }
        }
    }

    fn of(&self, signal: Signal) -> &BySignal {
        let [metrics, logs, traces] = &self.signals;
        match signal {
            Signal::Metrics => metrics,
            Signal::Logs => logs,
            Signal::Traces => traces,
        }
    }
}

impl Histogram {
    fn add(&mut self, seconds: f64) {
        for (bound, count) in BOUNDS.iter().zip(&mut self.counts) {
            *count += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.seconds += seconds;
    }
}

#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.name = name;
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{}{suffix}{labels} {value}", self.name);
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
