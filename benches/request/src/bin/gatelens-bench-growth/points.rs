//! What grows, and from where to where.

use gatelens_bench_request::host::Shape;
use serde_json::{Value, json};

/// One thing that grows.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) points: &'static [Point],
    /// Why its figures are as they are.
    pub(crate) explanation: &'static str,
}

/// A place on the way.
pub(crate) struct Point {
    pub(crate) to: u64,
    /// Bound of series, consumers and routes.
    caps: u64,
    pub(crate) shape: Shape,
    /// Paths whose requests the counters leave out; none of them is asked for.
    exclusions: u64,
    pub(crate) workers: usize,
    /// Requests before the measured ones.
    pub(crate) warm_up: u64,
}

const USUAL: Shape = Shape { consumers: 12, in_a_row: 1, templates: 0, more_headers: 0 };
const BASE: Point = Point { to: 0, caps: 2_000, shape: USUAL, exclusions: 0, workers: 1, warm_up: 4_000 };

const fn series(to: u64) -> Point {
    let warm_up = if to < 2_000 { 4_000 } else { to * 6 };
    Point { to, caps: to, shape: Shape { consumers: to, in_a_row: 2, ..USUAL }, warm_up, ..BASE }
}

const fn templates(to: u64) -> Point {
    Point { to, shape: Shape { templates: to, ..USUAL }, ..BASE }
}

const fn headers(to: u64) -> Point {
    Point { to, shape: Shape { more_headers: (to - 14) as usize, ..USUAL }, ..BASE }
}

const fn consumers(to: u64) -> Point {
    let warm_up = if to < 10_000 { 6_000 } else { to };
    Point { to, shape: Shape { consumers: to, ..USUAL }, warm_up, ..BASE }
}

const fn exclusions(to: u64) -> Point {
    Point { to, exclusions: to, ..BASE }
}

const fn workers(to: u64) -> Point {
    let shape = Shape { consumers: 2_000, in_a_row: 2, ..USUAL };
    Point { to, shape, workers: to as usize, warm_up: 40_000, ..BASE }
}

pub(crate) const GROUPS: [Group; 6] = [
    Group {
        name: "series",
        points: &[series(10), series(100), series(1_000), series(2_000), series(10_000), series(20_000)],
        explanation: "Each consumer sends two requests in a row, so at most 1,000 series change between two ticks. A tick merges and exports those.",
    },
    Group {
        name: "configured templates",
        points: &[templates(10), templates(100), templates(1_000), templates(5_000)],
        explanation: "A path is matched segment by segment, so other templates are not looked at.",
    },
    Group {
        name: "request headers",
        points: &[headers(14), headers(25), headers(50), headers(100)],
        explanation: "One host call returns all headers, and each name is looked at.",
    },
    Group {
        name: "distinct consumers, 2,000 series",
        points: &[consumers(12), consumers(1_000), consumers(100_000), consumers(1_000_000)],
        explanation: "Consumers beyond the bound count under overflow, so fewer series change between two ticks.",
    },
    Group {
        name: "excluded paths",
        points: &[exclusions(0), exclusions(16), exclusions(64), exclusions(256)],
        explanation: "Whole paths and patterns with `*`, half of each.",
    },
    Group {
        name: "workers, 2,000 series",
        points: &[workers(1), workers(2), workers(4), workers(8)],
        explanation: "The tick is that of all workers together: each merges what it counted, and one of them exports.",
    },
];

impl Point {
    /// The sections that the shipped configurations have, and what grows.
    pub(crate) fn configuration(&self) -> Value {
        let templates: Vec<String> = match self.shape.templates {
            0 => vec!["/users/{id}".to_owned(), "GET /v1/items/{item}".to_owned()],
            count => (0..count).map(|number| format!("GET /v1/r{number}/items/{{item}}")).collect(),
        };
        let excluded: Vec<String> = (0..self.exclusions)
            .map(|number| match number % 2 {
                0 => format!("/internal/{number}"),
                _ => format!("/v1/hidden-{number}/*"),
            })
            .collect();
        json!({
            "version": 1,
            "service": {"name": "shop", "version": "1.0.0", "environment": "demo"},
            "ingest": {"cluster": "gatelens_ingest"},
            "consumer": {"sources": [{"header": "x-consumer-id"}]},
            "routes": {"templates": templates},
            "exclude": {"counters": {"paths": excluded}},
            "counters": {"max_series": self.caps, "max_consumers": self.caps, "max_routes": self.shape.templates.max(2_000)},
        })
    }
}
