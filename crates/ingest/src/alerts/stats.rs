//! The metrics of alerts.

use super::Severity;
use crate::stats::register;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds in seconds of the histogram of evaluations.
const BOUNDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0];

/// Counters since the start of the process, and gauges.
pub(crate) struct AlertStats {
    firing: IntGaugeVec,
    evaluating: IntGauge,
    evaluations: Histogram,
    failures: IntCounter,
    deliveries: IntCounterVec,
}

impl AlertStats {
    /// All metrics at 0, in this registry.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let named = |name: &str, help: &str| Opts::new(format!("gatelens_ingest_{name}"), help);
        let evaluations = HistogramOpts::new(
            "gatelens_ingest_alert_evaluation_duration_seconds",
            "Time to evaluate all alert rules.",
        );
        let stats = Self {
            firing: register(
                registry,
                IntGaugeVec::new(named("alerts_firing", "Alerts that fire, by severity."), &["severity"])?,
            )?,
            evaluating: register(
                registry,
                IntGauge::with_opts(named(
                    "alerts_evaluating",
                    "Whether this replica evaluates the alert rules: 1 at one of all replicas, 0 where another one does or the store is away.",
                ))?,
            )?,
            evaluations: register(registry, Histogram::with_opts(evaluations.buckets(BOUNDS.to_vec()))?)?,
            failures: register(
                registry,
                IntCounter::with_opts(named(
                    "alert_evaluation_failures_total",
                    "Evaluations in which a rule could not be evaluated.",
                ))?,
            )?,
            deliveries: register(
                registry,
                IntCounterVec::new(
                    named(
                        "alert_deliveries_total",
                        "Attempts to send a message about an alert, by kind of receiver and outcome.",
                    ),
                    &["receiver", "outcome"],
                )?,
            )?,
        };
        stats.firing(&BTreeMap::new());
        Ok(stats)
    }

    /// Sets the alerts that fire.
    pub(crate) fn firing(&self, firing: &BTreeMap<Severity, usize>) {
        for severity in Severity::ALL {
            let count = firing.get(&severity).copied().unwrap_or_default();
            self.firing.with_label_values(&[severity.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Notes whether this replica evaluates.
    pub(crate) fn evaluating(&self, evaluates: bool) {
        self.evaluating.set(evaluates.into());
    }

    /// Counts an evaluation and the time it took.
    pub(crate) fn evaluated(&self, time: Duration) {
        self.evaluations.observe(time.as_secs_f64());
    }

    /// Counts an evaluation in which something failed.
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    /// Counts an attempt.
    pub(crate) fn attempted(&self, kind: &str, outcome: &str) {
        self.deliveries.with_label_values(&[kind, outcome]).inc();
    }
}
