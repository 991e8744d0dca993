//! The sample of requests that the log keeps, and the weight of each.
//!
//! The choice is that of OpenTelemetry's consistent probability sampling: the least significant 56 bits of the trace ID
//! are compared with a threshold. All gateways of a trace choose alike, and a gateway with a lower rate keeps a subset of
//! what one with a higher rate keeps. Requests that a rule keeps whatever the rate were certain to be in the log, so
//! their weight is 1; the weight of the others is the inverse of their probability. A sum of weights over the log is
//! therefore an unbiased estimate of the number of requests.

use super::Facts;
use super::trace::TraceContext;
use crate::config::Sample;
use crate::hash::fnv1a;
use crate::outcome::Ending;
use gatelens_model::hash::mix;
use gatelens_model::order;

/// Number of the values that the randomness of a request can have: 56 bits.
const ALL: u64 = 1 << 56;

/// The section `sample`, compiled.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    /// Number of the 2^56 values of randomness with which a request is logged.
    accepted: u64,
    keep_errors: bool,
    /// `u64::MAX` keeps none.
    keep_slower_than_ns: u64,
    /// Sorted.
    keep_consumers: Vec<Box<str>>,
}

/// Whether a request is in the log, and for how many requests it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sampled {
    /// It is; the weight is at least 1.
    In(f64),
    /// It is not.
    Out,
}

impl Sampling {
    /// Compiles the section. The rate is between 0 and 1.
    pub(super) fn new(config: &Sample) -> Self {
        let accepted = (config.rate * ALL as f64).round() as u64;
        let mut keep_consumers: Vec<Box<str>> =
            config.keep_consumers.iter().map(|consumer| consumer.as_str().into()).collect();
        order::sort_by(&mut keep_consumers, Ord::cmp);
        Self {
            // A rate that is not 0 keeps something.
            accepted: if config.rate > 0.0 { accepted.clamp(1, ALL) } else { 0 },
            keep_errors: config.keep_errors,
            keep_slower_than_ns: config
                .keep_slower_than_ms
                .map_or(u64::MAX, |ms| u64::from(ms).saturating_mul(1_000_000)),
            keep_consumers,
        }
    }

    /// Whether every request is in the sample.
    pub(super) fn takes_all(&self) -> bool {
        self.accepted == ALL
    }

    /// Whether no request can be in the sample.
    pub(super) fn takes_none(&self) -> bool {
        self.accepted == 0 && !self.has_exceptions()
    }

    /// Whether a request can be in the sample that the rate leaves out.
    pub(super) fn has_exceptions(&self) -> bool {
        self.keep_errors || self.keep_slower_than_ns < u64::MAX || !self.keep_consumers.is_empty()
    }

    /// Decides about a finished request. `chance` gives 64 random bits; it is asked for nothing unless they decide.
    pub(super) fn choose(&self, facts: &Facts<'_>, chance: impl FnOnce() -> u64) -> Sampled {
        if self.takes_all() || self.keeps(facts) {
            return Sampled::In(1.0);
        }
        match self.accepted {
            0 => Sampled::Out,
            _ => self.by_rate(randomness(facts.traceparent, facts.request_id).unwrap_or_else(chance)),
        }
    }

    /// Decides by the rate alone; `None` where that needs chance, which the end of the stream would not repeat.
    pub(super) fn by_ids(&self, traceparent: &[u8], request_id: &[u8]) -> Option<Sampled> {
        match self.accepted {
            0 => Some(Sampled::Out),
            _ => Some(self.by_rate(randomness(traceparent, request_id)?)),
        }
    }

    fn by_rate(&self, randomness: u64) -> Sampled {
        let rejected = ALL.saturating_sub(self.accepted);
        match randomness & (ALL.saturating_sub(1)) >= rejected {
            true => Sampled::In(ALL as f64 / self.accepted as f64),
            false => Sampled::Out,
        }
    }

    fn keeps(&self, facts: &Facts<'_>) -> bool {
        self.keep_errors && Ending { status: facts.status, grpc_status: facts.grpc_status }.is_error()
            || facts.measurement.duration_ns > self.keep_slower_than_ns
            || self.keep_consumers.binary_search_by(|consumer| (**consumer).cmp(&*facts.consumer.id)).is_ok()
    }
}

/// 64 bits, of which the lower 56 decide: of a trace, those that OpenTelemetry takes from its ID; else a hash of the
/// request's ID, which the gateways that pass it on share. `None` where the request has neither.
///
/// A consumer's name does not serve: all of its requests would be in the log, or none.
fn randomness(traceparent: &[u8], request_id: &[u8]) -> Option<u64> {
    if let Some(trace) = TraceContext::parse(traceparent) {
        let [.., a, b, c, d, e, f, g, h] = trace.trace_id;
        return Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    }
    (!request_id.is_empty()).then(|| mix(fnv1a([request_id])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(rate: f64) -> Sampling {
        let config = Sample { rate, keep_errors: false, keep_slower_than_ms: None, ..Sample::default() };
        Sampling::new(&config)
    }

    fn weight(sampled: Sampled) -> f64 {
        match sampled {
            Sampled::In(weight) => weight,
            Sampled::Out => 0.0,
        }
    }

    /// SplitMix64.
    fn next(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*seed)
    }

    fn traceparent(seed: &mut u64) -> String {
        format!("00-{:016x}{:016x}-00f067aa0ba902b7-01", next(seed), next(seed))
    }

    #[test]
    fn the_threshold_is_that_of_opentelemetry() {
        let check = |rate: f64, trace_id: &str, expected: f64| {
            let header = format!("00-{trace_id}-00f067aa0ba902b7-03");
            assert_eq!(
                at(rate).by_ids(header.as_bytes(), b"").map(weight),
                Some(expected),
                "{rate} {trace_id}"
            );
        };
        // The last 14 digits decide; the threshold of 0.5 is 80000000000000, that of 0.25 is c0000000000000.
        check(0.5, "ffffffffffffffffff7fffffffffffff", 0.0);
        check(0.5, "00000000000000000080000000000000", 2.0);
        check(0.25, "ffffffffffffffffffbfffffffffffff", 0.0);
        check(0.25, "000000000000000001c0000000000000", 4.0);
        check(0.1, "000000000000000001ffffffffffffff", 10.0);
        check(0.1, "000000000000000001e6666666666665", 0.0);
        check(1.0, "00000000000000000100000000000000", 1.0);
        check(0.0, "000000000000000001ffffffffffffff", 0.0);
        check(1e-300, "000000000000000001ffffffffffffff", ALL as f64);
        check(1e-300, "000000000000000001fffffffffffffe", 0.0);
    }

    #[test]
    fn a_request_without_a_trace_is_chosen_by_its_id_and_one_without_both_by_chance() {
        let half = at(0.5);
        assert_eq!(half.by_ids(b"", b""), None);
        assert_eq!(half.by_ids(b"00-0-0-0", b""), None);
        assert_eq!(half.by_ids(b"", b"a"), half.by_ids(b"broken", b"a"));
        // IDs in a row are spread evenly, and so are those that differ in their middle.
        for format in [|n| format!("req-{n:08}"), |n| format!("{n:08}-0000-4000")] {
            let kept = (0..100_000)
                .filter(|n| weight(half.by_ids(b"", format(*n).as_bytes()).unwrap()) > 0.0)
                .count();
            assert!((49_000..51_000).contains(&kept), "{kept}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// A Horvitz-Thompson estimate: within five standard deviations for every seed, and half of the estimates of many
        /// seeds are on either side.
        #[test]
        fn sums_of_weights_estimate_the_number_of_requests(seed in any::<u64>(), rate in 0.01f64..1.0) {
            const REQUESTS: u32 = 50_000;
            let (mut seed, sampling) = (seed, at(rate));
            let estimate: f64 = (0..REQUESTS)
                .map(|_| weight(sampling.by_ids(traceparent(&mut seed).as_bytes(), b"").unwrap()))
                .sum();
            let deviation = (f64::from(REQUESTS) * (1.0 - rate) / rate).sqrt();
            prop_assert!((estimate - f64::from(REQUESTS)).abs() <= 5.0 * deviation + 1e-6, "{estimate} at {rate}");
        }

        /// A gateway with a lower rate keeps a subset.
        #[test]
        fn rates_nest(seed in any::<u64>(), low in 0.0f64..=1.0, high in 0.0f64..=1.0) {
            let (low, high) = if low <= high { (low, high) } else { (high, low) };
            let mut seed = seed;
            for _ in 0..200 {
                let header = traceparent(&mut seed);
                let kept = |rate| weight(at(rate).by_ids(header.as_bytes(), b"").unwrap()) > 0.0;
                prop_assert!(!kept(low) || kept(high), "{header} {low} {high}");
            }
        }
    }
}
