//! Which bodies of a batch are read: few of each route, because a body costs more to read than the rest of its request.

use super::change::{Example, RouteKey, ShapeKey};
use crate::model::{Column, RequestBatch, RequestPart, is_path};
use crate::sync::lock;
use gatelens_model::Message;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Instant;

/// Bodies of one shape that are read at once, and then in a second.
const BURST: f64 = 200.0;
const PER_SECOND: f64 = 1.0;
/// Shapes of which bodies are counted at a time; those of further ones are not read.
const MAX_SHAPES: usize = 16_384;
/// Bodies of one batch that are read, and their bytes.
const MAX_BODIES: usize = 400;
const MAX_BYTES: usize = 1 << 20;
/// Bytes of a body; a larger one is not read.
const MAX_BODY_BYTES: usize = 256 << 10;

/// A body that is read, as it was logged.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) shape: ShapeKey,
    /// Learned patterns may give it another route.
    pub(crate) has_inferred_route: bool,
    pub(crate) body: String,
    /// Start of the request, Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) example: Example,
}

/// How many bodies of each shape may be read.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    buckets: Mutex<HashMap<u64, Bucket>>,
    hasher: RandomState,
}

/// Bodies that may be read, at a time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, now: Instant) -> Self {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        Self { left: (self.left + seconds * PER_SECOND).min(BURST), at: now }
    }
}

impl Budget {
    /// The bodies of a batch that are read.
    pub(crate) fn choose(&self, batch: &RequestBatch, now: Instant) -> Vec<Sample> {
        let mut chosen = Vec::new();
        let mut bytes = 0;
        for part in &batch.parts {
            for message in Message::ALL {
                self.choose_of(part, message, now, &mut bytes, &mut chosen);
            }
        }
        chosen
    }

    fn choose_of(
        &self,
        part: &RequestPart,
        message: Message,
        now: Instant,
        bytes: &mut usize,
        chosen: &mut Vec<Sample>,
    ) {
        let name = match message {
            Message::Request => "request_body",
            Message::Response => "response_body",
        };
        let Some(bodies) = part.events.named(name) else { return };
        let [status, method, route, source, version, request_id, trace_id] =
            ["status", "method", "route", "route_source", "version", "request_id", "trace_id"]
                .map(|name| part.events.named(name));
        let str = |column: Option<&'_ Column>, row| {
            column.and_then(|column| column.str(row)).unwrap_or_default().to_owned()
        };
        let scope = part.gateway.scope();
        for (row, time) in part.events.times().iter().enumerate() {
            if chosen.len() >= MAX_BODIES {
                return;
            }
            let Some(body) = bodies.str(row) else { continue };
            let (Some(method), Some(route)) = (
                method.and_then(|method| method.str(row)),
                route.and_then(|route| route.str(row)).filter(|route| !route.starts_with("__")),
            ) else {
                continue;
            };
            // Text, forms and what was cut are no JSON.
            let is_json = body.trim_start().starts_with(['{', '[']);
            if !is_json || body.len() > MAX_BODY_BYTES || *bytes + body.len() > MAX_BYTES {
                continue;
            }
            let class = status.and_then(|status| status.number(row)).unwrap_or_default() / 100;
            let class = u8::try_from(class).unwrap_or(u8::MAX);
            let is_sent = matches!(message, Message::Request);
            if !self.takes(self.hasher.hash_one((&scope, method, route, is_sent, class)), now) {
                continue;
            }
            *bytes += body.len();
            let trace_id = trace_id.and_then(|id| id.text(row)).unwrap_or_default();
            chosen.push(Sample {
                shape: ShapeKey {
                    route: RouteKey {
                        scope: scope.clone(),
                        method: method.to_owned(),
                        route: route.to_owned(),
                    },
                    message,
                    class,
                },
                has_inferred_route: part.gateway.infers_routes()
                    && source.is_none_or(|source| source.text(row).is_none())
                    && is_path(route),
                body: body.to_owned(),
                time: *time,
                example: Example {
                    release: str(version, row),
                    request_id: str(request_id, row),
                    trace_id: data_encoding::HEXLOWER.encode(trace_id),
                },
            });
        }
    }

    fn takes(&self, shape: u64, now: Instant) -> bool {
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= MAX_SHAPES && !buckets.contains_key(&shape) {
            // Those that have rested long enough begin anew.
            buckets.retain(|_, bucket| bucket.refilled(now).left < BURST);
            if buckets.len() >= MAX_SHAPES {
                return false;
            }
        }
        let bucket = buckets.entry(shape).or_insert(Bucket { left: BURST, at: now });
        *bucket = bucket.refilled(now);
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Columns, Gateway, Rejections, RequestEvent, Standing};
    use std::time::Duration;

    fn batch(bodies: &[(&str, &str)]) -> RequestBatch {
        let event = |(route, body): &(&str, &str)| RequestEvent {
            method: "GET".to_owned(),
            route: (*route).to_owned(),
            status: 200,
            response_body: Some((*body).to_owned()),
            ..RequestEvent::default()
        };
        let events = Columns::of(&bodies.iter().map(event).collect::<Vec<_>>());
        RequestBatch {
            spans: Vec::new(),
            identity: None,
            standing: Standing::default(),
            parts: vec![RequestPart { gateway: Gateway::default(), events }],
            rejected: Rejections::default(),
        }
    }

    #[test]
    fn bodies_of_json_are_read_and_no_others() {
        let large = format!("[\"{}\"]", "x".repeat(MAX_BODY_BYTES));
        let all = [
            ("/a", "{}"),
            ("/a", " \n[1]"),
            ("/a", "text"),
            ("/a", ""),
            ("__unmatched__", "{}"),
            ("/a", &large),
        ];
        let chosen = Budget::default().choose(&batch(&all), Instant::now());
        let bodies: Vec<_> = chosen.iter().map(|sample| sample.body.as_str()).collect();
        assert_eq!(bodies, ["{}", " \n[1]"]);
    }

    #[test]
    fn a_route_with_much_traffic_leaves_the_others_their_share() {
        let budget = Budget::default();
        let now = Instant::now();
        let busy = batch(&vec![("/busy", "{}"); BURST as usize + 50]);
        assert_eq!(budget.choose(&busy, now).len(), BURST as usize);
        assert_eq!(budget.choose(&busy, now).len(), 0);
        assert_eq!(budget.choose(&batch(&[("/quiet", "{}")]), now).len(), 1);
        assert_eq!(budget.choose(&busy, now + Duration::from_secs(10)).len(), 10);
    }

    #[test]
    fn one_batch_is_read_within_its_bounds() {
        let routes: Vec<String> = (0..MAX_BODIES + 10).map(|number| format!("/{number}")).collect();
        let all: Vec<_> = routes.iter().map(|route| (route.as_str(), "{}")).collect();
        assert_eq!(Budget::default().choose(&batch(&all), Instant::now()).len(), MAX_BODIES);
        let large = format!("[\"{}\"]", "x".repeat(MAX_BODY_BYTES - 10));
        let bytes = vec![("/a", large.as_str()); 10];
        assert_eq!(Budget::default().choose(&batch(&bytes), Instant::now()).len(), 4);
    }
}
