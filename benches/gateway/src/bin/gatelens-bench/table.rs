//! The figures of the benchmark as text.

use std::fmt::Write;

use crate::rounds::Cost;

/// Variants before the ones that capture, in a table of speeds: no filter, the no-op, gatelens without capture.
const UNCAPTURED: usize = 3;

/// A table of one load. The first row is the base line, the second the yardstick. Where bodies were captured, their
/// number per request stands last.
pub(crate) fn render(load: &str, names: &[&str], costs: &[Cost]) -> String {
    let bodies = costs.iter().any(|cost| cost.bodies > 0.0);
    let mut text = format!("{load:<34}{:>10}{:>26}{:>24}", "µs", "added µs", "÷ no-op filter");
    text.push_str(if bodies { "   bodies\n" } else { "\n" });
    let added = added(costs, 0);
    for (index, name) in names.iter().enumerate() {
        let (Some(cost), Some(extra)) = (costs.get(index), added.get(index)) else { continue };
        let _ = write!(text, "{name:<34}{:>10.1}", median(&cost.micros));
        if index > 0 {
            let ratios = over(extra, added.get(1));
            let _ = write!(text, "{:>26}{ratios:>24}", spread(extra));
        }
        if bodies && index > 0 {
            let _ = write!(text, "{:>9.2}", cost.bodies);
        }
        text.push('\n');
    }
    text
}

/// A table of one load with bodies of `body_bytes` bytes. The first three rows are those of [`render`] with gatelens that
/// captures nothing, which is the base line of the others.
pub(crate) fn render_speeds(load: &str, names: &[&str], costs: &[Cost], body_bytes: f64) -> String {
    let mut text =
        format!("{load:<34}{:>10}{:>30}{:>24}{:>24}   bodies\n", "µs", "added µs", "MB/s", "÷ no-op filter");
    let (over_none, over_idle) = (added(costs, 0), added(costs, UNCAPTURED - 1));
    for (index, name) in names.iter().enumerate() {
        let added = if index < UNCAPTURED { &over_none } else { &over_idle };
        let (Some(cost), Some(extra)) = (costs.get(index), added.get(index)) else { continue };
        let _ = write!(text, "{name:<34}{:>10.1}", median(&cost.micros));
        if index > 0 {
            let speeds: Vec<f64> = extra.iter().map(|micros| body_bytes / micros).collect();
            let speeds = if index < UNCAPTURED { String::new() } else { spread(&speeds) };
            let ratios = over(extra, over_none.get(1));
            let _ = write!(text, "{:>30}{speeds:>24}{ratios:>24}{:>9.2}", spread(extra), cost.bodies);
        }
        text.push('\n');
    }
    text
}

/// The difference between two modules in the same rounds, with the interval that holds it with 95 % confidence: from the
/// ranks of the rounds' differences, so that single disturbed rounds do not widen it.
pub(crate) fn render_pair(name: &str, costs: &[Cost]) -> String {
    let [this, baseline] = costs else { return String::new() };
    let mut less: Vec<f64> = this.micros.iter().zip(&baseline.micros).map(|(a, b)| a - b).collect();
    less.sort_by(f64::total_cmp);
    // The ranks of the sign test: half of the rounds, less and more 0.98 times the root of their number.
    let (count, reach) = (less.len() as f64, 0.98 * (less.len() as f64).sqrt());
    let rank = |rank: f64| {
        less.get((rank.max(0.0) as usize).min(less.len().saturating_sub(1))).copied().unwrap_or(0.0)
    };
    let (low, high) = (rank((count / 2.0 - reach).floor() - 1.0), rank((count / 2.0 + reach).ceil() - 1.0));
    format!(
        "{name:<20}{:>8.1} µs, baseline {:.1} µs, difference {:+.1} µs ({low:+.1} … {high:+.1})\n",
        median(&this.micros),
        median(&baseline.micros),
        median(&less),
    )
}

/// What each row costs beyond a row, round by round.
fn added(costs: &[Cost], base: usize) -> Vec<Vec<f64>> {
    let base: &[f64] = costs.get(base).map_or(&[], |cost| &cost.micros);
    let less = |cost: &Cost| cost.micros.iter().zip(base).map(|(value, base)| value - base).collect();
    costs.iter().map(less).collect()
}

/// The ratio of the medians, which a round in which the yardstick was disturbed does not spoil, with the least and the
/// most of the rounds.
fn over(column: &[f64], yardstick: Option<&Vec<f64>>) -> String {
    let Some(yardstick) = yardstick else { return String::new() };
    let ratios: Vec<f64> = column.iter().zip(yardstick).map(|(value, unit)| value / unit).collect();
    around(median(column) / median(yardstick), &ratios)
}

fn spread(series: &[f64]) -> String {
    around(median(series), series)
}

fn around(middle: f64, series: &[f64]) -> String {
    let least = series.iter().copied().fold(f64::INFINITY, f64::min);
    let most = series.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{middle:.1} ({least:.1} … {most:.1})")
}

fn median(series: &[f64]) -> f64 {
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => f64::NAN,
        (Some(upper), 0) => (sorted.get(middle - 1).unwrap_or(upper) + upper) / 2.0,
        (Some(value), _) => *value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(series: [[f64; 3]; 4]) -> Vec<Cost> {
        series.into_iter().map(|micros| Cost { micros: micros.to_vec(), bodies: 0.0 }).collect()
    }

    /// The lines of a table with their blanks made one.
    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn figures_are_relative_to_the_same_round() {
        let mut costs =
            costs([[10.0, 20.0, 30.0], [14.0, 24.0, 34.0], [22.0, 28.0, 42.0], [23.0, 30.0, 42.0]]);
        let names = ["none", "no-op", "ours", "captured"];
        let text = lines(&render("proxied", &names, &costs));
        assert_eq!(
            text,
            [
                "proxied µs added µs ÷ no-op filter",
                "none 20.0",
                "no-op 24.0 4.0 (4.0 … 4.0) 1.0 (1.0 … 1.0)",
                "ours 28.0 12.0 (8.0 … 12.0) 3.0 (2.0 … 3.0)",
                "captured 30.0 12.0 (10.0 … 13.0) 3.0 (2.5 … 3.2)",
            ]
        );
        costs[3].bodies = 2.0;
        assert_eq!(
            lines(&render("proxied", &names, &costs))[4],
            "captured 30.0 12.0 (10.0 … 13.0) 3.0 (2.5 … 3.2) 2.00"
        );
    }

    #[test]
    fn speeds_are_relative_to_the_same_gateway_without_capture() {
        let mut costs =
            costs([[10.0, 10.0, 10.0], [20.0, 20.0, 20.0], [30.0, 31.0, 32.0], [40.0, 51.0, 72.0]]);
        costs[3].bodies = 1.0;
        let text = lines(&render_speeds("1 KB", &["none", "no-op", "ours", "captured"], &costs, 1000.0));
        assert_eq!(text[3], "ours 31.0 21.0 (20.0 … 22.0) 2.1 (2.0 … 2.2) 0.00");
        assert_eq!(text[4], "captured 51.0 20.0 (10.0 … 40.0) 50.0 (25.0 … 100.0) 2.0 (1.0 … 4.0) 1.00");
    }

    #[test]
    fn a_round_that_disturbed_the_yardstick_does_not_decide_the_ratio() {
        assert_eq!(over(&[20.0, 20.0, 20.0], Some(&vec![10.0, 40.0, -5.0])), "2.0 (-4.0 … 2.0)");
    }

    #[test]
    fn medians_of_even_counts_lie_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
