//! The failed requests of a batch, by issue. Of each row the status is looked at; all else costs only the rows that failed.

use super::fingerprint::{Failure, Id, Kind};
use super::reason::{self, Fields, Reason};
use crate::model::{Column, RequestBatch, RequestPart, is_error, is_path};
use crate::patterns::KnownPatterns;
use gatelens_model::value;
use gatelens_routes::Patterns;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Issues with reasons of their own that one batch may change; the failed requests of further ones belong to the issue of the
/// same failure without a reason.
const MAX_REASONED: usize = 100;
/// Issues that one batch may change; the failed requests of further ones belong to none.
const MAX_ISSUES: usize = 200;
/// Bytes of bodies that are read for one batch; later failures of the batch are grouped without a reason.
const MAX_READ_BYTES: usize = 1 << 20;
/// Values of a dimension, and fields, of one issue and batch.
const MAX_VALUES: usize = 200;
/// Tags of one request.
const MAX_TAGS: usize = 16;
/// Hours of one issue and batch.
const MAX_HOURS: usize = 48;
/// Example requests that are kept of an issue: the latest.
pub(super) const MAX_EXAMPLES: usize = 10;
/// Nanoseconds.
pub(super) const HOUR: i64 = 3600 * 1_000_000_000;

/// The failed requests of a batch by issue.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(super) issues: HashMap<Id, Occurrences>,
    /// Failed requests that belong to no issue, because the batch has too many.
    pub(super) left_out: u64,
}

/// The requests of one issue in a batch.
#[derive(Debug)]
pub(super) struct Occurrences {
    pub(super) failure: Failure,
    pub(super) reason: Reason,
    /// Number of requests by Unix hour.
    pub(super) by_hour: BTreeMap<i64, f64>,
    /// The first and the latest time, Unix nanoseconds.
    pub(super) first: (i64, Arc<str>),
    pub(super) last: (i64, Arc<str>),
    /// Number of requests, where each stands for its weight.
    pub(super) requests: f64,
    /// Number of rows of the log.
    pub(super) logged: u64,
    pub(super) values: HashMap<(Value, Arc<str>), Share>,
    pub(super) fields: HashMap<(String, String), (String, Share)>,
    pub(super) examples: VecDeque<Example>,
}

/// A part of the requests of an issue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub(super) requests: f64,
    /// Unix nanoseconds.
    pub(super) last: i64,
}

/// The dimensions of which an issue knows some values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Value {
    Consumer,
    Version,
    Host,
    Gateway,
    UpstreamCluster,
    /// A tag that the application reported: `name=value`.
    Tag,
}

/// A request that shows an issue, by what finds it in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    /// Start, Unix nanoseconds.
    pub(super) time: i64,
    pub(super) request_id: String,
    pub(super) trace_id: String,
    pub(super) consumer: Arc<str>,
    pub(super) gateway: Arc<str>,
}

impl Seen {
    /// Whether no request failed.
    pub(crate) fn is_empty(&self) -> bool {
        self.issues.is_empty()
    }

    /// Failed requests that belong to no issue, because the batch has too many.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}

impl Value {
    pub(super) const ALL: [Self; 6] =
        [Self::Consumer, Self::Version, Self::Host, Self::Gateway, Self::UpstreamCluster, Self::Tag];

    /// The name in the store, which is that of the field of the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Version => "version",
            Self::Host => "host",
            Self::Gateway => "gateway",
            Self::UpstreamCluster => "upstream_cluster",
            Self::Tag => "tag",
        }
    }

    /// Values that are kept of an issue: the first ones.
    pub(super) fn kept(self) -> i64 {
        match self {
            Self::Consumer => 200,
            Self::Version | Self::Host | Self::Gateway | Self::UpstreamCluster | Self::Tag => 20,
        }
    }
}

impl Share {
    pub(super) fn add(&mut self, requests: f64, time: i64) {
        self.requests += requests;
        self.last = self.last.max(time);
    }
}

/// The failed requests of a batch by issue, under the learned routes that are in force.
pub(crate) fn observe(batch: &RequestBatch, patterns: &KnownPatterns) -> Seen {
    let mut seen = Seen::default();
    let mut room = MAX_READ_BYTES;
    for part in &batch.parts {
        let mut rows = Rows::of(part, patterns);
        for row in 0..part.events.len() {
            rows.observe(row, &mut seen, &mut room);
        }
    }
    seen
}

/// The requests of one sender, with the columns that decide about failures.
struct Rows<'a> {
    part: &'a RequestPart,
    status: Option<&'a Column>,
    grpc_status: Option<&'a Column>,
    reported: Option<&'a Column>,
    patterns: &'a KnownPatterns,
    /// Made for the first failed request.
    fields: Option<Box<FieldsOfFailed<'a>>>,
}

/// What is read of failed requests only.
struct FieldsOfFailed<'a> {
    service: Arc<str>,
    environment: Arc<str>,
    gateway: Arc<str>,
    learned: Option<Arc<crate::patterns::Learned>>,
    columns: [Option<&'a Column>; NAMES.len()],
    /// Texts that repeat, and routes by the route that was reported.
    texts: HashMap<&'a str, Arc<str>>,
    folded: HashMap<&'a str, Arc<str>>,
    /// Reasons by the place of their body.
    reasons: HashMap<(u64, Fields), Reason>,
}

const NAMES: [&str; 15] = [
    "method",
    "route",
    "route_source",
    "direction",
    "error_type",
    "consumer",
    "version",
    "host",
    "upstream_cluster",
    "request_id",
    "trace_id",
    "weight",
    "response_body",
    REPORTED,
    "reported_tags",
];

/// The error that an application reported.
const REPORTED: &str = "reported_error";

impl<'a> Rows<'a> {
    fn of(part: &'a RequestPart, patterns: &'a KnownPatterns) -> Self {
        let [status, grpc_status, reported] =
            ["status", "grpc_status", REPORTED].map(|name| part.events.named(name));
        Self { part, status, grpc_status, reported, patterns, fields: None }
    }

    fn observe(&mut self, row: usize, seen: &mut Seen, room: &mut usize) {
        let number = |column: Option<&Column>| column.and_then(|column| column.number(row));
        let status = number(self.status).and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
        let grpc_status = number(self.grpc_status);
        let is_error = is_error(status, grpc_status);
        let reported = self.reported.and_then(|column| column.str(row)).filter(|text| !text.is_empty());
        if !is_error && !matches!(status, 400 | 422) && reported.is_none() {
            return;
        }
        let (part, patterns) = (self.part, self.patterns);
        let fields = self.fields.get_or_insert_with(|| Box::new(FieldsOfFailed::of(part, patterns)));
        let wanted = if is_error { Fields::Ignored } else { Fields::Wanted };
        // The body of an error is not read when its application has reported the reason.
        let mut reason = match (is_error && reported.is_none()) || (!is_error && matches!(status, 400 | 422))
        {
            true => fields.reason(row, wanted, room),
            false => Reason::default(),
        };
        let kind = match (is_error, reported) {
            (true, _) => Kind::Error,
            (false, _) if status == 422 || !reason.fields.is_empty() => Kind::Validation,
            (false, Some(_)) => Kind::Reported,
            (false, None) => return,
        };
        if let Some(text) = reported {
            // The application knows more than its response shows.
            reason = Reason { fields: reason.fields, ..reason::reported(text) };
        }
        let failure = fields.failure(row, kind, (status, grpc_status));
        let id = failure.id_with(&reason);
        let (id, reason) = match seen.issues.len() >= MAX_REASONED && !seen.issues.contains_key(&id) {
            true => (failure.id(), Reason::default()),
            false => (id, reason),
        };
        if seen.issues.len() >= MAX_ISSUES && !seen.issues.contains_key(&id) {
            seen.left_out += 1;
            return;
        }
        fields.add(row, part.events.times()[row], seen, (id, failure, reason));
    }
}

impl<'a> FieldsOfFailed<'a> {
    fn of(part: &'a RequestPart, patterns: &KnownPatterns) -> Self {
        let gateway = &part.gateway;
        Self {
            service: Arc::clone(&gateway.service),
            environment: Arc::clone(&gateway.environment),
            gateway: gateway.instance.as_str().into(),
            learned: patterns.get(&gateway.scope()),
            columns: NAMES.map(|name| part.events.named(name)),
            texts: HashMap::new(),
            folded: HashMap::new(),
            reasons: HashMap::new(),
        }
    }

    fn column(&self, name: &str) -> Option<&'a Column> {
        *self.columns.get(NAMES.iter().position(|known| *known == name)?)?
    }

    fn text(&mut self, row: usize, name: &str) -> Arc<str> {
        let text = self.column(name).and_then(|column| column.str(row)).unwrap_or_default();
        Arc::clone(self.texts.entry(text).or_insert_with(|| text.into()))
    }

    fn failure(&mut self, row: usize, kind: Kind, (status, grpc_status): (u16, Option<u64>)) -> Failure {
        let direction = match self.text(row, "direction") {
            direction if direction.is_empty() => value::INBOUND.into(),
            direction => direction,
        };
        Failure {
            kind,
            service: Arc::clone(&self.service),
            environment: Arc::clone(&self.environment),
            direction,
            method: self.text(row, "method"),
            route: self.route(row),
            status,
            grpc_status,
            error_type: self.text(row, "error_type"),
        }
    }

    /// The route under which the request belongs now.
    fn route(&mut self, row: usize) -> Arc<str> {
        let reported = self.column("route").and_then(|column| column.str(row)).unwrap_or_default();
        let is_inferred = self.column("route_source").is_none_or(|source| source.text(row).is_none());
        let Some(learned) = self.learned.as_ref().filter(|_| is_inferred && is_path(reported)) else {
            return self.text(row, "route");
        };
        let patterns: &Patterns = &learned.patterns;
        let fold = || patterns.fold(reported).map_or_else(|| reported.into(), Arc::from);
        Arc::clone(self.folded.entry(reported).or_insert_with(fold))
    }

    /// The reason that the response names, as long as there is room to read it.
    fn reason(&mut self, row: usize, fields: Fields, room: &mut usize) -> Reason {
        let Some(column) = self.column("response_body") else { return Reason::default() };
        let (Some(place), Some(body)) = (column.place(row), column.str(row)) else {
            return Reason::default();
        };
        if let Some(known) = self.reasons.get(&(place, fields)) {
            return known.clone();
        }
        let Some(left) = room.checked_sub(body.len()) else { return Reason::default() };
        // A body that is too long is not read.
        if body.len() <= reason::MAX_BODY_BYTES {
            *room = left;
        }
        let reason = reason::read(body, fields);
        self.reasons.insert((place, fields), reason.clone());
        reason
    }

    fn add(&mut self, row: usize, time: i64, seen: &mut Seen, (id, failure, reason): (Id, Failure, Reason)) {
        let weight = self.column("weight").and_then(|column| column.number(row)).map(f64::from_bits);
        let weight = weight.filter(|weight| weight.is_finite() && *weight >= 1.0).unwrap_or(1.0);
        let version = self.text(row, "version");
        let (first, last) = ((time, Arc::clone(&version)), (time, Arc::clone(&version)));
        let issue = seen.issues.entry(id).or_insert_with(|| Occurrences {
            failure,
            reason: Reason { fields: Vec::new(), ..reason.clone() },
            by_hour: BTreeMap::new(),
            first,
            last,
            requests: 0.0,
            logged: 0,
            values: HashMap::new(),
            fields: HashMap::new(),
            examples: VecDeque::new(),
        });
        issue.requests += weight;
        issue.logged += 1;
        if time < issue.first.0 {
            issue.first = (time, Arc::clone(&version));
        }
        if time >= issue.last.0 {
            issue.last = (time, Arc::clone(&version));
        }
        let hour = time.div_euclid(HOUR);
        if issue.by_hour.len() < MAX_HOURS || issue.by_hour.contains_key(&hour) {
            *issue.by_hour.entry(hour).or_default() += weight;
        }
        let gateway = Arc::clone(&self.gateway);
        let mut add = |kind: Value, text: Arc<str>| {
            let key = (kind, text);
            if !key.1.is_empty() && (issue.values.len() < MAX_VALUES || issue.values.contains_key(&key)) {
                issue.values.entry(key).or_default().add(weight, time);
            }
        };
        for kind in Value::ALL {
            match kind {
                Value::Gateway => add(kind, Arc::clone(&gateway)),
                Value::Version => add(kind, Arc::clone(&version)),
                Value::Tag => {
                    let tags = self.text(row, "reported_tags");
                    tags.split(',').take(MAX_TAGS).for_each(|tag| add(kind, tag.into()));
                }
                other => add(kind, self.text(row, other.name())),
            }
        }
        for field in reason.fields {
            let key = (field.field, field.kind);
            if issue.fields.len() < MAX_VALUES || issue.fields.contains_key(&key) {
                let (_, share) = issue.fields.entry(key).or_insert_with(|| (field.message, Share::default()));
                share.add(weight, time);
            }
        }
        let trace_id = self.column("trace_id").and_then(|column| column.text(row)).unwrap_or_default();
        issue.examples.push_back(Example {
            time,
            request_id: self.text(row, "request_id").to_string(),
            trace_id: data_encoding::HEXLOWER.encode(trace_id),
            consumer: self.text(row, "consumer"),
            gateway,
        });
        if issue.examples.len() > MAX_EXAMPLES {
            issue.examples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Columns, Gateway, Rejections, RequestEvent, Standing};

    const NOON: i64 = 1_781_956_800 * 1_000_000_000;

    fn event(status: u16, body: &str) -> RequestEvent {
        RequestEvent {
            time: NOON,
            consumer: "acme".to_owned(),
            method: "GET".to_owned(),
            route: "/a".to_owned(),
            status,
            response_body: Some(body.to_owned()),
            ..RequestEvent::default()
        }
    }

    fn seen(events: &[RequestEvent]) -> Seen {
        let gateway = Gateway { instance: "edge-1".to_owned(), ..Gateway::default() };
        let parts = vec![RequestPart { gateway, events: Columns::of(events) }];
        let batch = RequestBatch {
            spans: Vec::new(),
            identity: None,
            standing: Standing::default(),
            parts,
            rejected: Rejections::default(),
        };
        observe(&batch, &KnownPatterns::default())
    }

    #[test]
    fn failed_requests_are_grouped_by_their_reason() {
        let check = |events: &[RequestEvent], expected: &[(&str, u16, &str, u64)]| {
            let mut found: Vec<_> = seen(events).issues.into_values().collect();
            found.sort_by_key(|issue| (issue.failure.status, issue.reason.message.clone()));
            let found: Vec<_> = found
                .iter()
                .map(|issue| {
                    (issue.failure.kind.name(), issue.failure.status, &*issue.reason.message, issue.logged)
                })
                .collect();
            assert_eq!(found, expected);
        };
        check(&[event(200, "{\"error\": \"x\"}"), event(404, "x"), event(499, "x"), event(400, "{}")], &[]);
        check(
            &[event(500, "{\"error\": \"row 1\"}"), event(500, "{\"error\": \"row 2\"}"), event(500, "")],
            &[("error", 500, "", 1), ("error", 500, "row {number}", 2)],
        );
        check(&[event(0, ""), event(503, "no")], &[("error", 0, "", 1), ("error", 503, "no", 1)]);
        check(&[event(422, "?")], &[("validation", 422, "?", 1)]);
        let fields = "{\"detail\": [{\"loc\": [\"body\", \"a\"], \"msg\": \"m\", \"type\": \"t\"}]}";
        check(&[event(400, fields)], &[("validation", 400, "", 1)]);
    }

    #[test]
    fn the_report_of_an_application_comes_before_the_body() {
        let reported = |status: u16, error: &str, body: &str| RequestEvent {
            reported_error: Some(error.to_owned()),
            reported_tags: Some("plan=gold,cart=large".to_owned()),
            ..event(status, body)
        };
        let found = seen(&[
            reported(500, "KeyError: 'x'", "{\"error\": \"one\"}"),
            reported(500, "KeyError: 'y'", "{\"error\": \"two\"}"),
            reported(404, "NoSuchOrder", "{\"error\": \"three\"}"),
            reported(200, "", ""),
        ]);
        let mut all: Vec<_> = found.issues.values().collect();
        all.sort_by_key(|issue| issue.failure.status);
        let shown: Vec<_> = all
            .iter()
            .map(|issue| (issue.failure.kind, &*issue.reason.class, &*issue.reason.message, issue.logged))
            .collect();
        assert_eq!(shown, [(Kind::Reported, "NoSuchOrder", "", 1), (Kind::Error, "KeyError", "{quoted}", 2)]);
        assert_eq!(all[1].values[&(Value::Tag, "plan=gold".into())].requests, 2.0);
    }

    #[test]
    fn a_request_stands_for_its_weight() {
        let mut heavy = event(500, "");
        heavy.weight_bits = Some(7.5_f64.to_bits());
        let mut strange = event(500, "");
        strange.weight_bits = Some(f64::NAN.to_bits());
        let seen = seen(&[heavy, strange]);
        let issue = seen.issues.values().next().unwrap();
        assert_eq!((issue.requests, issue.logged), (8.5, 2));
        assert_eq!(issue.by_hour, BTreeMap::from([(NOON / HOUR, 8.5)]));
        assert_eq!(issue.values[&(Value::Consumer, "acme".into())].requests, 8.5);
    }

    #[test]
    fn a_batch_changes_a_bounded_number_of_issues() {
        let letters =
            |n: usize| format!("{}{}", (b'a' + (n / 26 % 26) as u8) as char, (b'a' + (n % 26) as u8) as char);
        let events: Vec<_> =
            (0..500).map(|n| event(500, &format!("{{\"error\": \"{}\"}}", letters(n)))).collect();
        let found = seen(&events);
        assert_eq!((found.issues.len(), found.left_out()), (MAX_REASONED + 1, 0));
        let logged: u64 = found.issues.values().map(|issue| issue.logged).sum();
        assert_eq!(logged, 500);
        let events: Vec<_> =
            (0..500).map(|n| RequestEvent { route: format!("/{n}"), ..event(500, "") }).collect();
        let found = seen(&events);
        assert_eq!((found.issues.len(), found.left_out()), (MAX_ISSUES, 300));
    }

    #[test]
    fn bodies_are_read_within_bounds() {
        let text = "x".repeat(60 << 10);
        let events: Vec<_> = (0..40)
            .map(|n| event(500, &format!("{{\"error\": \"boom\", \"pad{n}\": \"{text}\"}}")))
            .collect();
        let found = seen(&events);
        let mut by_message: Vec<_> =
            found.issues.values().map(|issue| (&*issue.reason.message, issue.logged)).collect();
        by_message.sort();
        assert_eq!(by_message, [("", 23), ("boom", 17)]);
    }

    #[test]
    fn the_latest_requests_are_examples() {
        let events: Vec<_> = (0..30)
            .map(|n| RequestEvent {
                time: NOON + n,
                request_id: Some(format!("id-{n}")),
                trace_id: vec![0xab; 16],
                ..event(500, "")
            })
            .collect();
        let found = seen(&events);
        let issue = found.issues.values().next().unwrap();
        assert_eq!(issue.examples.len(), MAX_EXAMPLES);
        let last = issue.examples.back().unwrap();
        assert_eq!((&*last.request_id, &*last.trace_id), ("id-29", &*"ab".repeat(16)));
        assert_eq!((issue.first.0, issue.last.0), (NOON, NOON + 29));
    }
}
