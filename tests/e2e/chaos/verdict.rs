//! Compares the read API's final responses with the requests that were sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use super::super::report::{self, Fates};
use super::super::stack::{Counts, Key};
use super::super::traffic::{Kind, Sent, add};
use super::director::{OTHER_TEMPLATE, Record};
use super::{ENVOY_GROWTH_BYTES, World};

pub(super) struct Verdict {
    counts: BTreeMap<Key, Counts>,
    fates: Fates,
    rows: Vec<Value>,
}

impl Verdict {
    /// Waits until nothing is in flight any more and reads everything.
    pub(super) fn reach(world: &mut World, sent: &Sent) -> Self {
        let requests = sent.requests();
        let fates = report::settled(&world.ingest, requests);
        Self { counts: report::summary(&world.ingest), fates, rows: report::request_log(&world.ingest) }
    }

    pub(super) fn check(&self, world: &World, sent: &Sent, record: &Record, kinds: &[Kind]) {
        assert_eq!(sent.differences, Vec::<String>::new(), "answers differ from those without the filter");

        // The one name that changed during the traffic counts as the one that it replaced.
        let mut counts = BTreeMap::<Key, Counts>::new();
        for (key, more) in &self.counts {
            add(counts.entry(canonical(key.clone())).or_default(), *more);
        }
        for (key, expected) in &sent.counts {
            assert_eq!(counts.get(key), Some(expected), "{key:?}");
        }
        assert_eq!(counts, sent.counts);
        for name in ["/users/{id}", OTHER_TEMPLATE] {
            assert!(
                self.counts.keys().any(|(_, _, route, _)| route == name),
                "{name} was in force for a time"
            );
        }

        let Fates { captured, sent: delivered, dropped, held, .. } = &self.fates;
        assert_eq!(*captured, sent.requests(), "each request is captured once: {:?}", self.fates);
        assert_eq!(*held, 0, "{:?}", self.fates);
        assert_eq!(*captured, delivered + dropped.values().sum::<u64>(), "{:?}", self.fates);
        for reason in ["queue_full", "expired", "lost"] {
            assert_eq!(dropped.get(reason), Some(&0), "only refused records are lost: {:?}", self.fates);
        }

        let mut ids = BTreeSet::new();
        for row in &self.rows {
            let id = row["request_id"].as_str().unwrap_or_default();
            assert!(ids.insert(id), "stored twice: {row}");
            let kind = sent.kind_of(id).unwrap_or_else(|| panic!("invented: {row}"));
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let status = row["status"].as_u64().unwrap_or_default() as u16;
            let logged = canonical((text("consumer"), text("method"), text("route"), status));
            assert_eq!(logged, kinds[kind as usize].key(), "{row}");
        }
        assert_eq!(self.rows.len() as u64, *delivered, "delivered records are stored: {:?}", self.fates);

        let tally = world.proxy.tally();
        assert_eq!(tally.altered, 0, "the bytes under an identity never change");
        assert!(tally.repeats > 0, "stored batches were sent again: {tally:?}");
        assert!(!world.envoy.log().contains("panicked"), "{}", world.envoy.log());
        let grown = record.envoy_bytes.most.saturating_sub(record.envoy_bytes.first);
        assert!(grown < ENVOY_GROWTH_BYTES, "{record:?}");
    }

    pub(super) fn table(&self, world: &World, sent: &Sent, record: &Record, seed: u64) -> String {
        let tally = world.proxy.tally();
        let counted: u64 = self.counts.values().map(|counts| counts.requests).sum();
        let request_bytes = |counts: &BTreeMap<Key, Counts>| -> u64 {
            counts.values().map(|counts| counts.request_bytes + counts.response_bytes).sum()
        };
        let ids: BTreeSet<_> = self.rows.iter().filter_map(|row| row["request_id"].as_str()).collect();
        let megabytes = |bytes: u64| format!("{} MB", bytes >> 20);
        let mut table = format!("chaos, seed {seed}\n");
        let mut line = |what: &str, value: String| {
            let _ = writeln!(table, "  {what:<34} {value}");
        };
        line("requests sent", sent.requests().to_string());
        line("requests counted", counted.to_string());
        line("body bytes sent and received", request_bytes(&sent.counts).to_string());
        line("body bytes counted", request_bytes(&self.counts).to_string());
        line("series", sent.counts.len().to_string());
        line("answers that differ", sent.differences.len().to_string());
        line("log records captured", self.fates.captured.to_string());
        line("  sent", self.fates.sent.to_string());
        for (reason, records) in &self.fates.dropped {
            line(&format!("  dropped: {reason}"), records.to_string());
        }
        line("  held", self.fates.held.to_string());
        line("log rows stored", self.rows.len().to_string());
        line("log rows stored twice", (self.rows.len() - ids.len()).to_string());
        line("ingest killed and restarted", record.kills.to_string());
        line("listener / plugin updates", format!("{} / {}", record.listener_updates, record.plugin_updates));
        line("requests to the ingest", tally.requests.to_string());
        for (fault, times) in &tally.faults {
            line(&format!("  {fault:?}"), times.to_string());
        }
        line("  ingest not there", tally.unreachable.to_string());
        for (status, times) in &tally.declined {
            line(&format!("  ingest answered {status}"), times.to_string());
        }
        line("repeats sent to and refused by it", tally.repeats.to_string());
        line("bytes altered in a repeat", tally.altered.to_string());
        for (who, memory) in [("Envoy", record.envoy_bytes), ("ingest", record.ingest_bytes)] {
            let [first, most, last] = [memory.first, memory.most, memory.last].map(megabytes);
            line(&format!("memory of {who}"), format!("{first} at first, {most} at most, {last} at last"));
        }
        table
    }
}

fn canonical((consumer, method, route, status): Key) -> Key {
    let route = if route == OTHER_TEMPLATE { "/users/{id}".to_owned() } else { route };
    (consumer, method, route, status)
}
