//! The comparison as a picture: one bar for each variant, as a multiple of what the no-op filter adds.

use std::fmt::Write;

use crate::table::{Comparison, Row};

const WIDTH: f64 = 860.0;
const NAMES: f64 = 270.0;
const FIGURES: f64 = 130.0;
const BAR: f64 = 16.0;
const STEP: f64 = 26.0;
const HEAD: f64 = 34.0;
const FOOT: f64 = 30.0;

/// All comparisons below each other on one scale, readable on light and on dark paper.
pub(crate) fn svg(comparisons: &[Comparison]) -> String {
    let ratios = comparisons.iter().flat_map(bars).filter_map(|row| row.ratio);
    let ends = ratios.map(|ratio| if ratio.has_interval() { ratio.high } else { ratio.value });
    let most = ends.fold(1.0, f64::max);
    let scale = (WIDTH - NAMES - FIGURES) / most;
    let rows: usize = comparisons.iter().map(|each| bars(each).count()).sum();
    let height = HEAD.mul_add(comparisons.len() as f64, STEP * rows as f64) + FOOT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\" role=\"img\" aria-label=\"CPU time that each variant adds to Envoy, as a multiple of the no-op filter\">\n\
         <style>text{{fill:#1f2933}}.quiet{{fill:#5b6773}}.bar{{fill:#8a98a8}}.ours{{fill:#2563eb}}.line{{stroke:#1f2933}}\n\
         @media (prefers-color-scheme:dark){{text{{fill:#e6eaef}}.quiet{{fill:#9aa7b4}}.bar{{fill:#66758a}}.ours{{fill:#60a5fa}}\
         .line{{stroke:#e6eaef}}}}</style>\n"
    );
    let mut y = 0.0;
    for comparison in comparisons {
        let _ = writeln!(
            text,
            "<text x=\"0\" y=\"{}\" font-weight=\"600\">{}</text>",
            y + 22.0,
            escaped(&comparison.load)
        );
        y += HEAD;
        let mut ours = false;
        for row in bars(comparison) {
            ours = row.name.starts_with("gatelens") || (ours && row.name.starts_with('…'));
            y = bar(&mut text, row, if ours { "ours" } else { "bar" }, scale, y);
        }
    }
    let _ = writeln!(
        text,
        "<text class=\"quiet\" x=\"0\" y=\"{}\">CPU time added per request ÷ that of the SDK's no-op Wasm filter, with 95 % intervals.</text>\n</svg>",
        y + 20.0
    );
    text
}

/// The rows with a ratio: all except the one without a filter.
fn bars(comparison: &Comparison) -> impl Iterator<Item = &Row> {
    comparison.rows.iter().filter(|row| row.ratio.is_some())
}

fn bar(text: &mut String, row: &Row, class: &str, scale: f64, y: f64) -> f64 {
    let Some(ratio) = row.ratio else { return y };
    let (middle, indent) = (y + BAR / 2.0, if row.name.starts_with('…') { 14.0 } else { 0.0 });
    let (low, high) = if ratio.has_interval() { (ratio.low, ratio.high) } else { (ratio.value, ratio.value) };
    let [value, low, high] = [ratio.value, low, high].map(|end| end.max(0.0) * scale);
    let _ = writeln!(
        text,
        "<text x=\"{indent}\" y=\"{:.1}\">{}</text><rect class=\"{class}\" x=\"{NAMES}\" y=\"{y:.1}\" width=\"{value:.1}\" height=\"{BAR}\"/>\
         <path class=\"line\" d=\"M{:.1} {middle:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">{:.1}</text>",
        y + 12.5,
        escaped(&row.name),
        NAMES + low,
        NAMES + high,
        NAMES + high.max(value) + 8.0,
        y + 12.5,
        ratio.value,
    );
    y + STEP
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Cost;

    #[test]
    fn each_variant_beside_no_filter_has_a_bar() {
        let costs = [10.0, 14.0, 18.0].map(|micros| Cost { micros: vec![micros; 3], bodies: 0.0 });
        let comparison = Comparison::new("a < b", &["no filter", "no-op", "gatelens, logger"], &costs);
        let svg = svg(&[comparison]);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert_eq!(svg.matches("class=\"ours\"").count(), 1);
        assert!(svg.contains("a &lt; b") && svg.contains(">2.0</text>"), "{svg}");
    }
}
