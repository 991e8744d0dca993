//! The figures of the benchmark as text.

use std::fmt::Write;

/// One figure per round, in µs.
pub(crate) type Series = Vec<f64>;

/// A table of one kind of request. The first column is the base line, the second the yardstick.
pub(crate) fn render(kind: &str, names: &[&str], columns: &[Series]) -> String {
    let mut text = format!("{kind:<26}{:>10}{:>26}{:>26}\n", "µs", "added µs", "÷ no-op filter");
    let added: Vec<Series> = columns.iter().map(|column| less(column, columns.first())).collect();
    for (index, name) in names.iter().enumerate() {
        let (Some(column), Some(extra)) = (columns.get(index), added.get(index)) else { continue };
        let _ = write!(text, "{name:<26}{:>10.1}", median(column));
        if index > 0 {
            let ratios = over(extra, added.get(1));
            let _ = write!(text, "{:>26}{:>26}", spread(extra), spread(&ratios));
        }
        text.push('\n');
    }
    text
}

fn less(column: &Series, base: Option<&Series>) -> Series {
    column.iter().zip(base.into_iter().flatten()).map(|(value, base)| value - base).collect()
}

fn over(column: &Series, yardstick: Option<&Series>) -> Series {
    column.iter().zip(yardstick.into_iter().flatten()).map(|(value, unit)| value / unit).collect()
}

fn spread(series: &Series) -> String {
    let least = series.iter().copied().fold(f64::INFINITY, f64::min);
    let most = series.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.1} ({least:.1} … {most:.1})", median(series))
}

fn median(series: &Series) -> f64 {
    let mut sorted = series.clone();
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

    #[test]
    fn figures_are_relative_to_the_same_round() {
        let columns = [vec![10.0, 20.0, 30.0], vec![14.0, 24.0, 34.0], vec![22.0, 28.0, 42.0]];
        let text = render("proxied", &["none", "no-op", "ours"], &columns);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["none", "20.0"]);
        assert!(lines[2].contains("4.0 (4.0 … 4.0)") && lines[2].contains("1.0 (1.0 … 1.0)"), "{text}");
        assert!(lines[3].contains("12.0 (8.0 … 12.0)") && lines[3].contains("3.0 (2.0 … 3.0)"), "{text}");
    }

    #[test]
    fn medians_of_even_counts_lie_between() {
        assert_eq!(median(&vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&Vec::new()).is_nan());
    }
}
