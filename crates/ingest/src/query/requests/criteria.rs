//! What only the request log can be asked for: values that are no dimension.

use crate::clickhouse::Condition;
use crate::error::QueryError;
use crate::model::RequestEvent;
use crate::query::filter::Wanted;
use crate::query::glob::Glob;
use crate::query::params::Params;
use crate::store::bloom::{AnyOf, Column, Key};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// Names of the parameters read here.
pub(super) const NAMES: [&str; 8] = [
    "request_id",
    "trace_id",
    "path",
    "client_address",
    "user_agent",
    "min_duration_ms",
    "max_duration_ms",
    "min_upstream_ms",
];

/// More than a century, in milliseconds: a longer time is a mistake.
const MAX_MS: f64 = 3.2e12;
const NANOS_PER_MS: f64 = 1e6;

/// All of these must hold. A request that does not have the value in question does not match a criterion that asks for
/// one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Criteria {
    request_id: Wanted<String>,
    /// 16 bytes each.
    trace_id: Wanted<Vec<u8>>,
    path: Wanted<Glob>,
    client_address: Wanted<String>,
    user_agent: Wanted<Glob>,
    /// Nanoseconds, inclusive, as the others.
    min_duration: Option<u64>,
    max_duration: Option<u64>,
    min_upstream: Option<u64>,
}

impl Criteria {
    pub(super) fn read(params: &Params) -> Result<Self, QueryError> {
        let text = |text: &str| Ok(text.to_owned());
        let glob = |text: &str| Ok(Glob::new(text));
        let criteria = Self {
            request_id: Wanted::read(params, "request_id", text)?,
            trace_id: Wanted::read(params, "trace_id", trace_id)?,
            path: Wanted::read(params, "path", glob)?,
            client_address: Wanted::read(params, "client_address", text)?,
            user_agent: Wanted::read(params, "user_agent", glob)?,
            min_duration: nanos(params, "min_duration_ms")?,
            max_duration: nanos(params, "max_duration_ms")?,
            min_upstream: nanos(params, "min_upstream_ms")?,
        };
        if let (Some(least), Some(most)) = (criteria.min_duration, criteria.max_duration)
            && least > most
        {
            let message = "min_duration_ms must not be greater than max_duration_ms";
            return Err(QueryError::parameter("min_duration_ms", message));
        }
        Ok(criteria)
    }

    /// Whether a request matches.
    pub(super) fn take(&self, event: &RequestEvent) -> bool {
        let text = |text: &Option<String>, wanted: &Wanted<String>| {
            wanted.takes(|wanted| text.as_ref() == Some(wanted))
        };
        let glob = |text: &Option<String>, wanted: &Wanted<Glob>| {
            wanted.takes(|wanted| text.as_deref().is_some_and(|text| wanted.takes(text)))
        };
        let least = |found: Option<u64>, least: Option<u64>| {
            least.is_none_or(|least| found.is_some_and(|found| found >= least))
        };
        least(event.duration_ns, self.min_duration)
            && self.max_duration.is_none_or(|most| event.duration_ns.is_some_and(|found| found <= most))
            && least(event.upstream_ns, self.min_upstream)
            && self.trace_id.takes(|wanted| *wanted == event.trace_id)
            && text(&event.request_id, &self.request_id)
            && text(&event.client_address, &self.client_address)
            && glob(&event.path, &self.path)
            && glob(&event.user_agent, &self.user_agent)
    }

    /// The values of which a chunk must hold some.
    pub(super) fn keys(&self) -> Vec<AnyOf> {
        let text = |column: Column| move |text: &String| vec![Some(Key::of_text(column, text))];
        let all = [
            self.request_id.keys(text(Column::RequestId)),
            self.trace_id.keys(|id| vec![Some(Key::of(Column::TraceId, id))]),
            self.client_address.keys(text(Column::ClientAddress)),
            self.path.keys(|glob| {
                glob.path_words().map(|word| Some(Key::of_text(Column::PathWord, word))).collect()
            }),
        ];
        all.into_iter().flatten().collect()
    }

    /// The matching requests in SQL.
    pub(super) fn condition(&self) -> Condition {
        let text = |column, wanted: &Wanted<String>| {
            wanted.condition(|text| Condition::one_of(column, [text.as_str()]).exact_if(!text.is_empty()))
        };
        let glob = |column, wanted: &Wanted<Glob>| {
            // A request without the text has an empty one in its column.
            wanted.condition(|glob| glob.condition(column).exact_if(!glob.takes("")))
        };
        let trace_id =
            |id: &Vec<u8>| Condition::exact(format!("(trace_id = unhex('{}'))", HEXLOWER.encode(id)));
        let bounds = [
            ("duration_ns >=", self.min_duration),
            ("duration_ns <=", self.max_duration),
            ("upstream_ns >=", self.min_upstream),
        ];
        let bounds = bounds.into_iter().filter_map(|(compared, bound)| {
            Some(Condition::exact(format!("ifNull({compared} {}, 0)", bound?)))
        });
        let texts = [
            text("request_id", &self.request_id),
            self.trace_id.condition(trace_id),
            text("client_address", &self.client_address),
            glob("path", &self.path),
            glob("user_agent", &self.user_agent),
        ];
        Condition::all(texts.into_iter().chain(bounds))
    }

    /// The fields of a request that decide whether it matches.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static str> {
        let asked = [
            ("request_id", self.request_id != Wanted::default()),
            ("trace_id", self.trace_id != Wanted::default()),
            ("path", self.path != Wanted::default()),
            ("client_address", self.client_address != Wanted::default()),
            ("user_agent", self.user_agent != Wanted::default()),
            ("duration_ms", self.min_duration.is_some() || self.max_duration.is_some()),
            ("upstream_ms", self.min_upstream.is_some()),
        ];
        asked.into_iter().filter(|(_, is_asked)| *is_asked).map(|(field, _)| field)
    }

    /// Whether a chunk of which no request took longer, in all or upstream, can hold a matching one. In nanoseconds.
    pub(super) fn may_take_chunk(&self, max_duration: i64) -> bool {
        let least = self.min_duration.max(self.min_upstream);
        least.is_none_or(|least| i64::try_from(least).is_ok_and(|least| least <= max_duration))
    }
}

fn nanos(params: &Params, name: &str) -> Result<Option<u64>, QueryError> {
    let Some(text) = params.one(name)? else { return Ok(None) };
    let ms = text.parse::<f64>().ok().filter(|ms| (0.0..=MAX_MS).contains(ms));
    let nanos = ms.map(|ms| (ms * NANOS_PER_MS).round() as u64);
    nanos.map(Some).ok_or_else(|| {
        QueryError::parameter(name, format!("{name} must be milliseconds such as 250 or 0.5, not {text:?}"))
    })
}

fn trace_id(text: &str) -> Result<Vec<u8>, QueryError> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == 16);
    bytes.ok_or_else(|| {
        QueryError::parameter("trace_id", format!("trace_id must be 32 hexadecimal digits, not {text:?}"))
    })
}
