//! How many rounds a table gets: enough for its figures, within its share of the time.

use std::time::{Duration, Instant};

use crate::rounds::Bench;

/// The rounds of one table.
pub(crate) struct Pace {
    least: usize,
    most: usize,
    end: Option<Instant>,
    begun: usize,
    last_began: Instant,
}

impl Pace {
    /// Begins now.
    pub(crate) fn start(bench: &Bench<'_>) -> Self {
        let (least, most) = (bench.rounds.max(1), bench.most_rounds.max(1));
        Self { least, most, end: bench.end, begun: 0, last_began: Instant::now() }
    }

    /// Whether another round begins. The first always does, so that there is a figure; a later one only where it ends in time
    /// if it lasts as long as the last one. Beyond the least number, rounds go on while `wanting`.
    pub(crate) fn another(&mut self, wanting: impl FnOnce() -> bool) -> bool {
        let now = Instant::now();
        let last: Duration = now - self.last_began;
        let in_time = self.begun == 0 || self.end.is_none_or(|end| now + last <= end);
        let another = in_time && (self.begun < self.least || (self.begun < self.most && wanting()));
        if another {
            self.last_began = now;
            self.begun += 1;
            eprintln!("round {} …", self.begun);
        }
        another
    }

    /// Whether the least number of rounds is done.
    pub(crate) fn is_at_will(&self) -> bool {
        self.begun > self.least
    }
}

/// When each of several tables must end, so that all end in time: what is left is divided by weight among those that are left.
pub(crate) fn end_of_first(weights: &[f64], end: Instant) -> Instant {
    let now = Instant::now();
    let all: f64 = weights.iter().sum();
    let share = weights.first().map_or(0.0, |first| first / all);
    now + end.saturating_duration_since(now).mul_f64(share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(end: Option<Instant>) -> Pace {
        Pace { least: 2, most: 4, end, begun: 0, last_began: Instant::now() }
    }

    #[test]
    fn rounds_go_on_while_they_are_wanted() {
        let mut pace = pace(None);
        assert_eq!([(); 5].map(|()| pace.another(|| true)), [true, true, true, true, false]);
        let mut pace = self::pace(None);
        assert_eq!([(); 3].map(|()| pace.another(|| false)), [true, true, false]);
    }

    #[test]
    fn without_time_there_is_one_round() {
        let mut pace = pace(Some(Instant::now()));
        assert_eq!([(); 3].map(|()| pace.another(|| true)), [true, false, false]);
    }

    #[test]
    fn time_is_divided_by_weight() {
        let begun = Instant::now();
        let end = begun + Duration::from_secs(1_000);
        let share = end_of_first(&[3.0, 1.0], end).saturating_duration_since(begun).as_secs_f64();
        assert!((share / 750.0 - 1.0).abs() < 0.5, "{share}");
        assert!(end_of_first(&[1.0], end) <= end + Duration::from_millis(1));
        assert!(end_of_first(&[1.0, 1.0], begun) >= begun);
    }
}
