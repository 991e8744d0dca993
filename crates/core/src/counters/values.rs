//! The values of a series.

use gatelens_model::sketch::Sketch;

/// What one request adds to its series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measurement {
    /// Total duration, nanoseconds.
    pub duration_ns: u64,
    /// The upstream's share of it: from the request headers sent to it to the last byte of its response, so the transfer
    /// of bodies and a slow client are in it. `None` when its response did not end regularly.
    pub upstream_ns: Option<u64>,
    /// The gateway's share of it, see [`crate::request::overhead`]; `None` when it cannot be known.
    pub gateway_ns: Option<u64>,
    /// Body bytes of the request.
    pub request_bytes: u64,
    /// Body bytes of the response.
    pub response_bytes: u64,
    /// How often the request was sent to an upstream.
    pub attempts: u64,
}

/// The values of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Total duration; its count is the number of requests.
    pub duration: Sketch,
    /// The upstream's share.
    pub upstream: Sketch,
    /// The gateway's share.
    pub gateway: Sketch,
    /// Body bytes of requests.
    pub request_bytes: u64,
    /// Body bytes of responses.
    pub response_bytes: u64,
    /// How often requests were sent to an upstream, retries included.
    pub attempts: u64,
    /// Durations up to each configured bound and above the bound before; one more for the rest.
    pub by_bound: Vec<u64>,
}

impl Values {
    /// Adds one request. `bounds_ns` are the configured bounds, rising.
    pub fn add(&mut self, measurement: &Measurement, bounds_ns: &[u64]) {
        self.duration.insert(measurement.duration_ns);
        measurement.upstream_ns.into_iter().for_each(|time_ns| self.upstream.insert(time_ns));
        measurement.gateway_ns.into_iter().for_each(|time_ns| self.gateway.insert(time_ns));
        self.request_bytes = self.request_bytes.saturating_add(measurement.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(measurement.response_bytes);
        self.attempts = self.attempts.saturating_add(measurement.attempts);
        self.by_bound.resize(bounds_ns.len().saturating_add(1), 0);
        let position = bounds_ns.partition_point(|bound| *bound < measurement.duration_ns);
        if let Some(count) = self.by_bound.get_mut(position) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds all that other values hold.
    #[inline(never)]
    pub fn merge(&mut self, other: &Values) {
        self.duration.merge(&other.duration);
        self.upstream.merge(&other.upstream);
        self.gateway.merge(&other.gateway);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.attempts = self.attempts.saturating_add(other.attempts);
        let length = self.by_bound.len().max(other.by_bound.len());
        self.by_bound.resize(length, 0);
        for (mine, theirs) in self.by_bound.iter_mut().zip(&other.by_bound) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// The change since earlier values of the same series.
    #[inline(never)]
    pub fn since(&self, earlier: &Values) -> Values {
        let before = earlier.by_bound.iter().chain(std::iter::repeat(&0));
        Values {
            duration: self.duration.since(&earlier.duration),
            upstream: self.upstream.since(&earlier.upstream),
            gateway: self.gateway.since(&earlier.gateway),
            request_bytes: self.request_bytes.saturating_sub(earlier.request_bytes),
            response_bytes: self.response_bytes.saturating_sub(earlier.response_bytes),
            attempts: self.attempts.saturating_sub(earlier.attempts),
            by_bound: self
                .by_bound
                .iter()
                .zip(before)
                .map(|(now, before)| now.saturating_sub(*before))
                .collect(),
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.duration.clear();
        self.upstream.clear();
        self.gateway.clear();
        (self.request_bytes, self.response_bytes, self.attempts) = (0, 0, 0);
        self.by_bound.clear();
    }
}
