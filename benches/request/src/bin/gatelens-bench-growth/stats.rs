//! A median, and how far it can be trusted.

use std::fmt;

/// A median with the interval that holds it with 95 % confidence, from the ranks of the sign test.
pub(crate) struct Figure {
    pub(crate) value: f64,
    low: f64,
    high: f64,
}

impl Figure {
    pub(crate) fn of(series: &[f64]) -> Self {
        let mut sorted = series.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (middle, reach) = (sorted.len() as f64 / 2.0, 0.98 * (sorted.len() as f64).sqrt());
        let last = sorted.len().saturating_sub(1);
        let at = |rank: f64| sorted.get((rank.max(0.0) as usize).min(last)).copied().unwrap_or(f64::NAN);
        Self {
            value: at(middle.floor()),
            low: at((middle - reach).floor()),
            high: at((middle + reach).ceil() - 1.0),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, low, high } = self;
        let text = match value {
            value if *value < 100.0 => format!("{value:.2} ({low:.2} … {high:.2})"),
            _ => format!("{value:.0} ({low:.0} … {high:.0})"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_ranks() {
        let series: Vec<f64> = (1..=25).map(f64::from).collect();
        assert_eq!(Figure::of(&series).to_string(), "13.00 (8.00 … 18.00)");
        assert_eq!(Figure::of(&[4.0]).to_string(), "4.00 (4.00 … 4.00)");
        assert!(Figure::of(&[]).value.is_nan());
    }
}
