//! The fates of samples, for the service's own metrics.

use crate::stats::register;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

const SENT: &str = "sent";
const REJECTED: &str = "rejected";
const QUEUE_FULL: &str = "queue_full";
const OTHER_REPLICA: &str = "other_replica";

/// Counters since the start of the process.
pub(crate) struct RemoteWriteStats {
    samples: IntCounterVec,
    failures: IntCounter,
    queue: IntGauge,
}

impl RemoteWriteStats {
    /// All at 0, in this registry.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let named = |name: &str, help: &str| Opts::new(format!("gatelens_ingest_remote_write_{name}"), help);
        let stats = Self {
            samples: register(
                registry,
                IntCounterVec::new(named("samples_total", "Samples for remote write by fate."), &["fate"])?,
            )?,
            failures: register(
                registry,
                IntCounter::with_opts(named("failures_total", "Attempts that are repeated."))?,
            )?,
            queue: register(
                registry,
                IntGauge::with_opts(named("queue_bytes", "Bytes of requests that wait to be sent."))?,
            )?,
        };
        [SENT, REJECTED, QUEUE_FULL, OTHER_REPLICA]
            .iter()
            .for_each(|fate| drop(stats.samples.with_label_values(&[*fate])));
        Ok(stats)
    }

    pub(super) fn sent(&self, samples: u64) {
        self.samples.with_label_values(&[SENT]).inc_by(samples);
    }

    pub(super) fn rejected(&self, samples: u64) {
        self.samples.with_label_values(&[REJECTED]).inc_by(samples);
    }

    /// Samples that went because the queue was full.
    pub(super) fn dropped(&self, samples: u64) {
        self.samples.with_label_values(&[QUEUE_FULL]).inc_by(samples);
    }

    /// Samples that went because another replica sends now.
    pub(super) fn left_to_another(&self, samples: u64) {
        self.samples.with_label_values(&[OTHER_REPLICA]).inc_by(samples);
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn waits(&self, bytes: usize) {
        self.queue.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
