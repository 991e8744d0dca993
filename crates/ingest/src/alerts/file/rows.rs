//! The rows of `alerts.db`.

use crate::alerts::observe::Labels;
use crate::alerts::state::State;
use rusqlite::Row;

/// The state of an alert between two evaluations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) rule: String,
    pub(crate) fingerprint: String,
    pub(crate) definition: String,
    pub(crate) labels: Labels,
    pub(crate) state: State,
    /// When receivers were last told that it fires, in Unix nanoseconds.
    pub(crate) announced_at: Option<i64>,
    /// The row of its incident.
    pub(crate) incident: Option<i64>,
    /// The latest value.
    pub(crate) value: Option<f64>,
    /// The latest times and values, in their order.
    pub(crate) recent: Recent,
}

/// Times in Unix nanoseconds and the values at them.
pub(crate) type Recent = std::collections::VecDeque<(i64, Option<f64>)>;

/// A time for which an alert fired.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incident {
    pub(crate) id: i64,
    pub(crate) rule: String,
    pub(crate) fingerprint: String,
    pub(crate) labels: Labels,
    pub(crate) severity: String,
    pub(crate) measure: String,
    pub(crate) side: String,
    pub(crate) threshold: f64,
    pub(crate) since: i64,
    pub(crate) fired_at: i64,
    pub(crate) resolved_at: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) worst: Option<f64>,
    /// The path of the page's view from before the incident on, without the end of the time.
    pub(crate) view: Option<String>,
}

/// A message on its way to a receiver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) receiver: String,
    pub(crate) rule: String,
    pub(crate) fingerprint: String,
    pub(crate) kind: String,
    /// JSON.
    pub(crate) content: String,
    pub(crate) created_at: i64,
    pub(crate) outcome: String,
    pub(crate) attempts: u32,
    pub(crate) next_at: i64,
    pub(crate) last_at: Option<i64>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    /// The recipients of an e-mail that have it, where not all have.
    pub(crate) reached: Vec<String>,
}

/// The end of an attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered,
    /// Another attempt follows at this time, in Unix nanoseconds.
    Waiting(i64),
    Failed,
}

impl Outcome {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Waiting(_) => "waiting",
            Self::Failed => "failed",
        }
    }
}

/// Service, environment, instance and epoch.
pub(crate) type EpochKey = [String; 4];

pub(super) const DELIVERY: &str = "id, receiver, rule, fingerprint, kind, content, created_at, outcome, attempts, next_at, last_at, \
                        status, error, reached";

pub(super) const INCIDENT: &str = "id, rule, fingerprint, labels, severity, measure, side, threshold, since, fired_at, resolved_at, \
                        reason, worst, view";

pub(super) fn read_delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let reached: Option<String> = row.get(13)?;
    Ok(Delivery {
        id: row.get(0)?,
        receiver: row.get(1)?,
        rule: row.get(2)?,
        fingerprint: row.get(3)?,
        kind: row.get(4)?,
        content: row.get(5)?,
        created_at: row.get(6)?,
        outcome: row.get(7)?,
        attempts: row.get(8)?,
        next_at: row.get(9)?,
        last_at: row.get(10)?,
        status: row.get(11)?,
        error: row.get(12)?,
        reached: reached.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    })
}

pub(super) fn read_incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let labels: String = row.get(3)?;
    Ok(Incident {
        id: row.get(0)?,
        rule: row.get(1)?,
        fingerprint: row.get(2)?,
        labels: serde_json::from_str(&labels).unwrap_or_default(),
        severity: row.get(4)?,
        measure: row.get(5)?,
        side: row.get(6)?,
        threshold: row.get(7)?,
        since: row.get(8)?,
        fired_at: row.get(9)?,
        resolved_at: row.get(10)?,
        reason: row.get(11)?,
        worst: row.get(12)?,
        view: row.get(13)?,
    })
}
