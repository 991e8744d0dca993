//! Medians, and how far they can be trusted.

/// Draws of the bootstrap. More do not move an interval by what is printed of it.
const DRAWS: usize = 2_000;

/// Fewer rounds have no interval.
const LEAST_ROUNDS: usize = 3;

/// A figure with the interval that holds it with 95 % confidence: endless where too few rounds were measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// Whether enough rounds were measured.
    pub(crate) fn has_interval(&self) -> bool {
        (self.high - self.low).is_finite()
    }

    /// Half the width of the interval, as a share of the figure.
    pub(crate) fn uncertainty(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.value.abs()
    }
}

/// The ratio of two medians whose figures belong together by round. A round in which one of them was disturbed moves neither
/// median far, unlike a median of ratios. The interval is that of a bootstrap over the rounds.
///
/// A figure that was not measured in a round is NaN there, and the other figure of the round still counts: a yardstick that is
/// small beside its noise is known from all rounds much better than from those of the column.
pub(crate) fn ratio(column: &[f64], yardstick: &[f64]) -> Estimate {
    let rounds: Vec<(f64, f64)> = column.iter().copied().zip(yardstick.iter().copied()).collect();
    let measured = rounds.iter().filter(|(above, below)| (above - below).is_finite()).count();
    let known = |drawn: &[f64]| drawn.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>();
    let whole = estimate(&rounds, |drawn| {
        let (above, below): (Vec<f64>, Vec<f64>) = drawn.iter().map(|pair| **pair).unzip();
        median(&known(&above)) / median(&known(&below))
    });
    match measured < LEAST_ROUNDS {
        true => Estimate { low: f64::NEG_INFINITY, high: f64::INFINITY, ..whole },
        false => whole,
    }
}

/// The median of a series, in which NaN stands for a round without a figure.
pub(crate) fn typical(series: &[f64]) -> Estimate {
    let known: Vec<f64> = series.iter().copied().filter(|value| value.is_finite()).collect();
    estimate(&known, |drawn| median(&drawn.iter().map(|value| **value).collect::<Vec<_>>()))
}

/// A quantile of all values of all rounds.
pub(crate) fn pooled(rounds: &[Vec<f64>], share: f64) -> Estimate {
    estimate(rounds, |drawn| {
        let mut values: Vec<f64> = drawn.iter().flat_map(|round| round.iter().copied()).collect();
        values.sort_unstable_by(f64::total_cmp);
        quantile(&values, share)
    })
}

/// A figure of all rounds, with the interval of the same figure over rounds that are drawn with repetition.
fn estimate<T>(rounds: &[T], figure: impl Fn(&[&T]) -> f64) -> Estimate {
    let all: Vec<&T> = rounds.iter().collect();
    if all.len() < LEAST_ROUNDS {
        return Estimate { value: figure(&all), low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            figure(&all.iter().filter_map(|_| rounds.get(random.below(rounds.len()))).collect::<Vec<_>>())
        })
        .filter(|value| value.is_finite())
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn.get((drawn.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Estimate { value: figure(&all), low: at(0.025), high: at(0.975) }
}

/// The value in the middle; NaN of nothing.
pub(crate) fn median(series: &[f64]) -> f64 {
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => f64::NAN,
        (Some(upper), 0) => (sorted.get(middle - 1).unwrap_or(upper) + upper) / 2.0,
        (Some(value), _) => *value,
    }
}

/// The value below which this share of a sorted series lies; NaN of nothing.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Xorshift: the same draws every time, so that a table made again from the same figures is the same table.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_disturbed_the_yardstick_does_not_decide_the_ratio() {
        let disturbed = ratio(&[20.0, 20.0, 20.0, 20.0, 20.0], &[10.0, 10.0, 10.0, 10.0, -5.0]);
        assert_eq!(disturbed.value, 2.0);
        assert!(disturbed.low <= 2.0 && disturbed.high >= 2.0, "{disturbed:?}");
    }

    #[test]
    fn the_interval_narrows_with_the_rounds_and_holds_the_truth() {
        // A spread of ±10 % around 30 over 10.
        let series = |rounds: usize, middle: f64| -> Vec<f64> {
            let mut random = Random(7 + rounds as u64 + middle as u64);
            (0..rounds).map(|_| middle * (0.9 + random.below(2_001) as f64 / 10_000.0)).collect()
        };
        let few = ratio(&series(5, 30.0), &series(5, 10.0));
        let many = ratio(&series(200, 30.0), &series(200, 10.0));
        assert!(many.uncertainty() < few.uncertainty() / 2.0, "{few:?} {many:?}");
        assert!(many.low < 3.0 && 3.0 < many.high, "{many:?}");
    }

    #[test]
    fn steady_figures_have_no_interval() {
        assert_eq!(typical(&[4.0; 9]), Estimate { value: 4.0, low: 4.0, high: 4.0 });
        assert!(typical(&[]).value.is_nan());
    }

    #[test]
    fn a_yardstick_is_known_from_all_rounds() {
        // In the rounds of the column the yardstick was disturbed; in the others it was not.
        let nan = f64::NAN;
        let some = ratio(&[20.0, nan, nan, 20.0, nan, 20.0, nan], &[1.0, 10.0, 10.0, 0.5, 10.0, 10.0, 10.0]);
        assert_eq!(some.value, 2.0);
        assert!(some.has_interval() && some.low <= 2.0 && some.high >= 2.0, "{some:?}");
        let twice = ratio(&[20.0, nan, nan, 20.0, nan], &[10.0; 5]);
        assert_eq!((twice.value, twice.has_interval()), (2.0, false));
        assert_eq!(typical(&[4.0, f64::NAN]), typical(&[4.0]));
    }

    #[test]
    fn values_of_all_rounds_make_one_quantile() {
        let rounds = [vec![1.0; 99], vec![1.0; 98], vec![7.0]];
        let (p50, p99) = (pooled(&rounds, 0.5), pooled(&rounds, 0.999));
        assert_eq!((p50.value, p99.value, p99.high), (1.0, 7.0, 7.0));
    }

    #[test]
    fn few_rounds_have_no_interval() {
        let one = ratio(&[20.0, 21.0], &[10.0, 10.0]);
        assert_eq!((one.value, one.low, one.high), (2.05, f64::NEG_INFINITY, f64::INFINITY));
        assert!(one.uncertainty() > 1.0);
    }

    #[test]
    fn medians_of_even_counts_lie_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            (quantile(&sorted, 0.5), quantile(&sorted, 0.99), quantile(&sorted, 1.0)),
            (50.0, 99.0, 100.0)
        );
        assert!(quantile(&[], 0.5).is_nan());
    }
}
