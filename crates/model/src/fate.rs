//! Outcomes of an event. Every event gets exactly one.

/// Outcome of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fate {
    /// The receiver accepted it.
    Sent,
    /// It is lost, for this reason.
    Dropped(DropReason),
}

/// Why an event was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The queue was full. The oldest events go first.
    QueueFull,
    /// The receiver refused it for good.
    Rejected,
    /// It waited longer than receivers remember sequence numbers.
    Expired,
    /// A worker held it when a trap took that worker.
    Lost,
}

impl Fate {
    /// All fates, in the order of their places in shared data: append only.
    pub const ALL: [Fate; 5] = [
        Fate::Sent,
        Fate::Dropped(DropReason::QueueFull),
        Fate::Dropped(DropReason::Rejected),
        Fate::Dropped(DropReason::Expired),
        Fate::Dropped(DropReason::Lost),
    ];

    /// Value of `gatelens.event.fate`.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Sent => "sent",
            Fate::Dropped(DropReason::QueueFull) => "queue_full",
            Fate::Dropped(DropReason::Rejected) => "rejected",
            Fate::Dropped(DropReason::Expired) => "expired",
            Fate::Dropped(DropReason::Lost) => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fate;

    #[test]
    fn every_fate_has_a_name_of_its_own() {
        let mut names = Fate::ALL.map(Fate::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fate::ALL.len());
    }
}
