//! The account of one epoch's log records, from the gateway's reports and the ingest's own count.
//!
//! The gateway reports what it captured, what was acknowledged and what it dropped. Its last report may be older than
//! its last batches, so the ingest's own count completes it. A record of which neither knows is held by the gateway,
//! or lost if the gateway's epoch ended. A record that the gateway gave up without an answer and that the ingest stored is
//! stored: records that the ingest accepted beyond the acknowledged ones first explain what exceeds the captured ones.
//! In every case `captured = stored + dropped + held`.

use crate::model::Report;

/// Nanoseconds of silence after which an epoch has ended. A gateway reports at least once a minute, and repeats no
/// batch that is older than 5 minutes (`expired`).
const SILENCE: i64 = 300_000_000_000;

/// Nanoseconds of silence after which a gateway at work would have reported again: the longest time between two reports
/// and some slack.
const REPORT_DUE: i64 = 90_000_000_000;

/// Whether an epoch may still deliver what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    Ended,
}

impl Phase {
    /// The phase at `now` of an epoch that was last seen at `last_seen`, where the newest other epoch of its gateway was
    /// first seen at `newest`; all in Unix nanoseconds. Epochs at work side by side, as during a hot restart, both run:
    /// a newer epoch ends only one whose next report is overdue.
    pub(super) fn at(now: i64, last_seen: i64, newest: Option<i64>) -> Self {
        let silence = now.saturating_sub(last_seen);
        let replaced = newest.is_some_and(|newest| newest >= last_seen) && silence > REPORT_DUE;
        let silent = silence > SILENCE;
        if replaced || silent { Self::Ended } else { Self::Running }
    }
}

/// Counts of log records; `captured = stored + dropped + held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) captured: u64,
    pub(super) stored: u64,
    /// In the order of [`crate::model::DROP_REASONS`], of which `lost` is the last.
    pub(super) dropped: [u64; 4],
    pub(super) held: u64,
}

impl Account {
    /// Settles the latest report of an epoch with the number of its records that the ingest accepted. `None` where the
    /// gateway reports nothing about its log.
    pub(super) fn settle(report: &Report, accepted: u64, phase: Phase) -> Option<Self> {
        let reported = report.captured?;
        // A log that was acknowledged by another receiver, or before the ingest counted, is only in the report.
        let stored = accepted.max(report.sent.unwrap_or_default());
        let mut dropped = report.dropped.map(Option::unwrap_or_default);
        let unacknowledged = accepted.saturating_sub(report.sent.unwrap_or_default());
        let excess = sum(stored, &dropped).saturating_sub(reported);
        correct(&mut dropped, unacknowledged.min(excess));
        let fated = sum(stored, &dropped);
        // Records that were captured after the report may have been stored already.
        let captured = reported.max(fated);
        let mut held = captured.saturating_sub(fated);
        if phase == Phase::Ended {
            let [.., lost] = &mut dropped;
            *lost = lost.saturating_add(held);
            held = 0;
        }
        Some(Self { captured, stored, dropped, held })
    }
}

/// Takes up to `stored` records out of those that the gateway gave up. A gateway that got no answer to a batch does not
/// know that the ingest has stored it, whatever becomes of the batch after that: it may expire, give way to others in a
/// full queue, be refused when it is repeated, or be lost with its worker.
fn correct(dropped: &mut [u64; 4], stored: u64) {
    let mut rest = stored;
    for count in dropped.iter_mut().rev() {
        let corrected = rest.min(*count);
        *count = count.saturating_sub(corrected);
        rest = rest.saturating_sub(corrected);
    }
}

fn sum(stored: u64, dropped: &[u64; 4]) -> u64 {
    dropped.iter().fold(stored, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_epoch_ends_with_a_newer_one_after_which_it_does_not_report_or_in_silence() {
        let check = |newest: Option<i64>, now: i64, ended: bool| {
            let expected = if ended { Phase::Ended } else { Phase::Running };
            assert_eq!(Phase::at(now, 5_000, newest), expected, "{newest:?} at {now}");
        };
        let report_due = 5_000 + REPORT_DUE;
        check(None, 5_000, false);
        check(None, 5_000 + SILENCE, false);
        check(None, 5_001 + SILENCE, true);
        // A clock that was set back.
        check(None, 0, false);
        check(Some(4_999), report_due + 1, false);
        check(Some(5_000), report_due + 1, true);
        check(Some(500), report_due + 1, false);
        // Both may be at work, so its next report must be overdue.
        check(Some(5_000), report_due, false);
        check(Some(5_000), 5_000, false);
        check(Some(5_000), 0, false);
    }

    #[test]
    fn only_a_gateway_that_reports_its_log_has_an_account() {
        assert_eq!(Account::settle(&Report::default(), 7, Phase::Running), None);
    }

    #[test]
    fn stored_records_were_not_lost() {
        // Captured, sent, dropped and accepted; then captured, stored and dropped.
        let check = |report: (u64, Option<u64>, [u64; 4], u64), expected: (u64, u64, [u64; 4])| {
            let (captured, sent, dropped, accepted) = report;
            let found =
                Report { captured: Some(captured), sent, dropped: dropped.map(Some), ..Report::default() };
            for phase in [Phase::Running, Phase::Ended] {
                let account = Account::settle(&found, accepted, phase).unwrap();
                assert_eq!(
                    (account.captured, account.stored, account.dropped),
                    expected,
                    "{report:?} {phase:?}"
                );
                assert_eq!(account.held, 0);
            }
        };
        check((6, Some(2), [0, 0, 0, 4], 6), (6, 6, [0; 4]));
        // The loss is corrected first, then the expiry, the refusals and the full queue: a batch whose answer was lost may
        // be stored, and dropped or refused after that.
        check((9, Some(2), [1, 1, 3, 2], 6), (9, 6, [1, 1, 1, 0]));
        check((9, None, [3, 0, 3, 3], 9), (9, 9, [0; 4]));
        check((200, Some(187), [4, 9, 0, 0], 192), (200, 192, [4, 4, 0, 0]));
        // No more is corrected than the ingest has beyond the acknowledged, or than exceeds the captured.
        check((10, Some(6), [0, 0, 0, 4], 6), (10, 6, [0, 0, 0, 4]));
        check((8, Some(2), [0, 0, 0, 4], 6), (8, 6, [0, 0, 0, 2]));
        check((8, Some(6), [0, 0, 0, 4], 7), (10, 7, [0, 0, 0, 3]));
        check((2, Some(9), [0, 0, 0, u64::MAX], 1), (u64::MAX, 9, [0, 0, 0, u64::MAX]));
    }

    proptest! {
        #[test]
        fn every_account_adds_up(
            captured in 0u64..1000,
            sent in prop::option::of(0u64..1000),
            dropped in prop::array::uniform4(prop::option::of(0u64..100)),
            accepted in 0u64..1000,
        ) {
            let report = Report { captured: Some(captured), sent, dropped, ..Report::default() };
            let [running, ended] =
                [Phase::Running, Phase::Ended].map(|phase| Account::settle(&report, accepted, phase).unwrap());
            for Account { captured, stored, dropped, held } in [running, ended] {
                prop_assert_eq!(captured, stored + dropped.iter().sum::<u64>() + held);
            }
            prop_assert_eq!(ended.held, 0);
            prop_assert_eq!(ended.dropped[3], running.dropped[3] + running.held);
            prop_assert_eq!((ended.captured, ended.stored), (running.captured, running.stored));
            prop_assert!(running.stored >= accepted && running.captured >= captured);
        }
    }
}
