//! The aims for the price of a request, and what a run says about them.

use std::fmt::Write;

use crate::stats::Estimate;
use crate::table::{Comparison, around_ratio};

/// What one variant may add under one load, as a multiple of what the no-op filter adds in the same rounds.
struct Target {
    load: &'static str,
    variant: &'static str,
    most: f64,
    /// What would be better still.
    ambition: f64,
}

/// Requests without bodies to an upstream, over HTTP/1.1.
pub(crate) const PROXIED: &str = "HTTP/1.1, proxied";

/// Requests and answers with JSON bodies.
pub(crate) const BODIES: &str = "POST of 4 KB, answered 2 KB";

const TARGETS: [Target; 8] = [
    Target { load: PROXIED, variant: "module, access logger", most: 0.8, ambition: 0.6 },
    Target { load: PROXIED, variant: "module, HTTP filter", most: 0.9, ambition: 0.7 },
    Target {
        load: BODIES,
        variant: "module, nothing captured … both bodies, and 5 paths each",
        most: 3.0,
        ambition: 2.0,
    },
    Target { load: PROXIED, variant: "gatelens, access logger", most: 1.8, ambition: 1.3 },
    Target { load: PROXIED, variant: "gatelens, HTTP filter", most: 2.6, ambition: 2.0 },
    Target { load: PROXIED, variant: "gatelens, access logger … counters only", most: 1.5, ambition: 1.1 },
    Target { load: PROXIED, variant: "gatelens, HTTP filter … counters only", most: 2.3, ambition: 1.9 },
    Target {
        load: BODIES,
        variant: "gatelens, nothing captured … both bodies, and 5 paths each",
        most: 5.5,
        ambition: 4.5,
    },
];

/// Whether a variant's figure under a load is compared with an aim. Such figures get their rounds first.
pub(crate) fn is_aimed_at(load: &str, variant: &str) -> bool {
    TARGETS.iter().any(|target| (target.load, target.variant) == (load, variant))
}

/// The aims beside the figures of a run. None without such a figure.
pub(crate) fn render(comparisons: &[Comparison]) -> Option<String> {
    let measured = |target: &Target| {
        let comparison = comparisons.iter().find(|comparison| comparison.load == target.load)?;
        comparison.named_rows().find(|(name, _)| name == target.variant)?.1.ratio
    };
    let known: Vec<(&Target, Estimate)> =
        TARGETS.iter().filter_map(|target| Some((target, measured(target)?))).collect();
    if known.is_empty() {
        return None;
    }
    let mut text =
        "| what | aim | ambition | measured (95 %) | reading |\n|---|---|---|---|---|\n".to_owned();
    for (target, ratio) in known {
        let _ = writeln!(
            text,
            "| {}, {} | {:.1} | {:.1} | {} | {} |",
            target.variant,
            target.load,
            target.most,
            target.ambition,
            around_ratio(ratio),
            reading(target, &ratio),
        );
    }
    Some(text)
}

/// What an interval says: only one that lies wholly on one side of the aim decides.
fn reading(target: &Target, ratio: &Estimate) -> &'static str {
    if !ratio.has_interval() {
        "too few rounds"
    } else if ratio.high <= target.ambition {
        "the ambition is reached"
    } else if ratio.high <= target.most {
        "the aim is reached"
    } else if ratio.low > target.most {
        "the aim is missed"
    } else {
        "not decided: the aim lies within the interval"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Cost;

    #[test]
    fn an_interval_decides_only_where_it_lies_on_one_side() {
        let target = Target { load: "", variant: "", most: 2.0, ambition: 1.0 };
        let check = |low: f64, high: f64, expected: &str| {
            let ratio = Estimate { value: (low + high) / 2.0, low, high };
            assert_eq!(reading(&target, &ratio), expected);
        };
        check(0.5, 0.9, "the ambition is reached");
        check(0.9, 1.9, "the aim is reached");
        check(1.9, 2.1, "not decided: the aim lies within the interval");
        check(2.1, 2.2, "the aim is missed");
        check(f64::NEG_INFINITY, f64::INFINITY, "too few rounds");
        check(f64::NAN, f64::NAN, "too few rounds");
    }

    #[test]
    fn a_variant_is_found_below_the_one_that_it_belongs_to() {
        let names = ["no filter", "SDK no-op filter", "gatelens, access logger", "… counters only"];
        let costs = [10.0, 14.0, 18.0, 16.0]
            .map(|micros| Cost { micros: vec![micros, micros + 1.0, micros - 1.0], bodies: 0.0 });
        let text = render(&[Comparison::new(PROXIED, &names, &costs)]).unwrap();
        assert!(
            text.contains("| gatelens, access logger, HTTP/1.1, proxied | 1.8 | 1.3 | 2.00 (2.00 … 2.00)"),
            "{text}"
        );
        assert!(
            text.contains("| gatelens, access logger … counters only, HTTP/1.1, proxied | 1.5 | 1.1 | 1.50"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 4);
        assert!(render(&[Comparison::new("other", &names, &costs)]).is_none());
        assert!(is_aimed_at(PROXIED, "gatelens, access logger … counters only"));
        assert!(!is_aimed_at("HTTP/2, proxied", "gatelens, access logger"));
    }
}
