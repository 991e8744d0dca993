//! The figures of the benchmark as text.

use std::fmt::Write;

use crate::rounds::Cost;
use crate::stats::{Estimate, median, ratio, typical};

/// Variants before the ones that capture, in a table of speeds: no filter, the no-op, gatelens without capture.
const UNCAPTURED: usize = 3;

/// What one load cost each variant. The first is the base line, the second the yardstick.
pub(crate) struct Comparison {
    pub(crate) load: String,
    pub(crate) rows: Vec<Row>,
}

/// What one load cost one variant.
pub(crate) struct Row {
    pub(crate) name: String,
    /// CPU time per request, µs.
    pub(crate) micros: f64,
    /// What the variant adds to the base line in the same rounds, µs; none for the base line.
    pub(crate) added: Option<Estimate>,
    /// What it adds, as a multiple of what the yardstick adds.
    pub(crate) ratio: Option<Estimate>,
    /// Bodies that reached the receiver, per request.
    pub(crate) bodies: f64,
}

impl Comparison {
    pub(crate) fn new(load: &str, names: &[&str], costs: &[Cost]) -> Self {
        let added = added(costs, 0);
        let rows =
            names.iter().zip(costs).zip(&added).enumerate().map(|(index, ((name, cost), extra))| Row {
                name: (*name).to_owned(),
                micros: typical(&cost.micros).value,
                added: (index > 0).then(|| typical(extra)),
                ratio: added.get(1).filter(|_| index > 0).map(|yardstick| ratio(extra, yardstick)),
                bodies: cost.bodies,
            });
        Self { load: load.to_owned(), rows: rows.collect() }
    }

    /// The rows by their full names: one that begins with "…" belongs to the last one that does not.
    pub(crate) fn named_rows(&self) -> impl Iterator<Item = (String, &Row)> {
        let mut head = "";
        self.rows.iter().map(move |row| match row.name.starts_with('…') {
            true => (format!("{head} {}", row.name), row),
            false => {
                head = &row.name;
                (row.name.clone(), row)
            }
        })
    }

    /// As a table for people. Where bodies were captured, their number per request stands last. A ratio that is more uncertain
    /// than `precision` is marked.
    pub(crate) fn render(&self, precision: f64) -> String {
        let bodies = self.rows.iter().any(|row| row.bodies > 0.0);
        let mut text = format!("{:<36}{:>8}{:>24}{:>22}", self.load, "µs", "added µs", "÷ no-op filter");
        text.push_str(if bodies { "   bodies\n" } else { "\n" });
        for row in &self.rows {
            let _ = write!(text, "{:<36}{:>8.1}", row.name, row.micros);
            if let (Some(added), Some(ratio)) = (row.added, row.ratio) {
                let mark = if ratio.uncertainty() <= precision { ' ' } else { '~' };
                let _ = write!(text, "{:>24}{:>21}{mark}", around(added), around_ratio(ratio));
                if bodies {
                    let _ = write!(text, "{:>9.2}", row.bodies);
                }
            }
            text.push('\n');
        }
        text
    }
}

/// A table of one load with bodies of `body_bytes` bytes. The first three rows are those of [`Comparison`] with gatelens that
/// captures nothing, which is the base line of the others.
pub(crate) fn render_speeds(load: &str, names: &[&str], costs: &[Cost], body_bytes: f64) -> String {
    let mut text =
        format!("{load:<36}{:>8}{:>28}{:>22}{:>22}   bodies\n", "µs", "added µs", "MB/s", "÷ no-op filter");
    let (over_none, over_idle) = (added(costs, 0), added(costs, UNCAPTURED - 1));
    for (index, name) in names.iter().enumerate() {
        let added = if index < UNCAPTURED { &over_none } else { &over_idle };
        let (Some(cost), Some(extra)) = (costs.get(index), added.get(index)) else { continue };
        let _ = write!(text, "{name:<36}{:>8.1}", typical(&cost.micros).value);
        if index > 0 {
            let speeds: Vec<f64> = extra.iter().map(|micros| body_bytes / micros).collect();
            let speeds = if index < UNCAPTURED { String::new() } else { around(typical(&speeds)) };
            let ratios =
                over_none.get(1).map(|yardstick| around(ratio(extra, yardstick))).unwrap_or_default();
            let _ =
                write!(text, "{:>28}{speeds:>22}{ratios:>22}{:>9.2}", around(typical(extra)), cost.bodies);
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

/// A ratio with its interval.
pub(crate) fn around_ratio(estimate: Estimate) -> String {
    let Estimate { value, low, high } = estimate;
    if !estimate.has_interval() {
        return format!("{value:.2} (…)");
    }
    format!("{value:.2} ({low:.2} … {high:.2})")
}

/// A figure with its interval.
pub(crate) fn around(estimate: Estimate) -> String {
    let Estimate { value, low, high } = estimate;
    if !estimate.has_interval() {
        return format!("{value:.1} (…)");
    }
    format!("{value:.1} ({low:.1} … {high:.1})")
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
        let text = lines(&Comparison::new("proxied", &names, &costs).render(0.1));
        assert_eq!(
            text,
            [
                "proxied µs added µs ÷ no-op filter",
                "none 20.0",
                "no-op 24.0 4.0 (4.0 … 4.0) 1.00 (1.00 … 1.00)",
                "ours 28.0 12.0 (8.0 … 12.0) 3.00 (2.00 … 3.00)~",
                "captured 30.0 12.0 (10.0 … 13.0) 3.00 (2.50 … 3.25)~",
            ]
        );
        costs[3].bodies = 2.0;
        assert_eq!(
            lines(&Comparison::new("proxied", &names, &costs).render(0.1))[4],
            "captured 30.0 12.0 (10.0 … 13.0) 3.00 (2.50 … 3.25)~ 2.00"
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
    fn a_round_that_left_a_variant_out_is_no_figure_of_it() {
        let mut costs =
            costs([[10.0, 10.0, 10.0], [14.0, 14.0, 14.0], [22.0, 22.0, 22.0], [18.0, f64::NAN, 18.0]]);
        for (cost, last) in costs.iter_mut().zip([10.0, 14.0, 22.0, 18.0]) {
            cost.micros.push(last);
        }
        let names = ["none", "no-op", "ours", "… less"];
        let comparison = Comparison::new("proxied", &names, &costs);
        assert_eq!(lines(&comparison.render(0.1))[4], "… less 18.0 8.0 (8.0 … 8.0) 2.00 (2.00 … 2.00)");
        let named: Vec<String> = comparison.named_rows().map(|(name, _)| name).collect();
        assert_eq!(named, ["none", "no-op", "ours", "ours … less"]);
    }
}
