//! A log record or a span, read in one pass and without being decoded: its texts stay where they are in the body.
//!
//! A gateway reports the same attributes of each request in the same order. So each name is first compared with the one that
//! the record before had at this place, and looked up only where it differs.

use super::Unreadable;
use super::value::Value;
use super::walk::{Content, fields};
use super::weight::{self, Kind};
use crate::model::Rejection;
use crate::model::request::{FIELDS, Source};
use gatelens_model::attribute;
use hashbrown::HashMap;
use std::sync::LazyLock;

/// The caller, where a sender follows the conventions alone.
pub(super) const ENDUSER: &str = "enduser.id";
/// Names of attributes that fields of the log come from.
const MAX_NAMES: usize = 64;
/// Attributes that are kept with a span of an application: those of the [conventions] that have few values and hold no data of a
/// person.
///
/// [conventions]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/
const OF_APPLICATIONS: [&str; 16] = [
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "url.template",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "db.system.name",
    "db.system",
    "db.operation.name",
    "db.collection.name",
    "messaging.system",
    "messaging.operation.name",
    "messaging.destination.template",
    "error.type",
    "server.address",
];

/// A record or a span.
pub(super) struct Record<'a> {
    /// Of a log record the two times, of a span its start and its end: Unix nanoseconds, 0 where there is none.
    pub(super) times: [u64; 2],
    /// Of a span.
    pub(super) span_kind: u64,
    /// Of a span, what only a waterfall shows.
    pub(super) waterfall: Waterfall<'a>,
    /// Of a span whose request the sender reports as a log record, too.
    pub(super) is_in_log: bool,
    /// Of a log record.
    pub(super) event_name: &'a [u8],
    pub(super) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    /// Attributes that are headers of the request or of the response, by the whole name.
    pub(super) headers: Vec<(&'a str, Value<'a>)>,
    /// Bytes of memory that reading it takes for a moment.
    pub(super) passing: usize,
    /// Bytes that it takes until it is stored.
    pub(super) kept: usize,
    /// By name: a bit for each of `values` that the record has.
    present: u64,
    values: [Value<'a>; MAX_NAMES],
}

/// What a waterfall shows of a span, and the log has no field for.
#[derive(Default)]
pub(super) struct Waterfall<'a> {
    pub(super) parent: &'a [u8],
    /// May be no UTF-8.
    pub(super) name: &'a [u8],
    /// OTLP's number, and the reason, which may be no UTF-8.
    pub(super) status: (u64, &'a [u8]),
    /// Those of [`OF_APPLICATIONS`] that are texts or whole numbers.
    pub(super) attributes: Vec<(&'static str, Value<'a>)>,
}

/// Reads the records of a body, one after the other.
pub(super) struct Records<'a> {
    record: Record<'a>,
    /// What the attributes of the last record were, by their place.
    expected: Vec<(&'a [u8], Meaning)>,
}

/// What an attribute is to the log, and to a waterfall.
#[derive(Clone, Copy)]
struct Meaning {
    is: Name,
    of_application: Option<&'static str>,
}

/// What an attribute is to the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// At this place of the values.
    Field(u8),
    Header,
    InLog,
    Other,
}

/// The attributes that a field comes from: the second where the first is absent.
pub(super) fn names(source: &Source) -> [Option<&'static str>; 2] {
    match *source {
        Source::Text(name)
        | Source::Query(name)
        | Source::Label(name, _)
        | Source::Number(name)
        | Source::Weight(name)
        | Source::Status(name)
        | Source::Flag(name)
        | Source::Body(name) => [Some(name), None],
        Source::Attempts(one, other) | Source::GrpcStatus(one, other) | Source::BodyOmitted(one, other) => {
            [Some(one), Some(other)]
        }
        Source::ConfiguredBy => [Some(attribute::ROUTE_SOURCE), None],
        Source::Route => [Some(attribute::ROUTE), Some(attribute::URL_TEMPLATE)],
        Source::Consumer => [Some(attribute::CONSUMER_ID), Some(ENDUSER)],
        Source::Headers(_) | Source::TraceId | Source::SpanId | Source::Direction | Source::Version => {
            [None, None]
        }
    }
}

/// The attributes that fields of the log come from.
static NAMES: LazyLock<HashMap<&'static str, u8>> = LazyLock::new(|| {
    let mut places = HashMap::new();
    for name in FIELDS.iter().flat_map(|field| names(&field.source)).flatten() {
        let next = places.len() as u8;
        places.entry(name).or_insert(next);
    }
    places
});

/// Where the value of an attribute is in each record; `None` if no field of the log comes from it.
pub(super) fn place(name: &str) -> Option<u8> {
    NAMES.get(name).copied().filter(|place| usize::from(*place) < MAX_NAMES)
}

impl<'a> Records<'a> {
    pub(super) fn new() -> Self {
        let record = Record {
            times: [0; 2],
            span_kind: 0,
            waterfall: Waterfall::default(),
            is_in_log: false,
            event_name: &[],
            trace_id: &[],
            span_id: &[],
            headers: Vec::new(),
            passing: 0,
            kept: 0,
            present: 0,
            values: [Value::Other; MAX_NAMES],
        };
        Self { record, expected: Vec::new() }
    }

    /// Reads one record or span, or says why nothing of it is stored.
    ///
    /// # Errors
    /// For bytes that are not protobuf, and for a text of an attribute that is not UTF-8.
    pub(super) fn read(
        &mut self,
        kind: Kind,
        message: &'a [u8],
    ) -> Result<Result<&Record<'a>, Rejection>, Unreadable> {
        if message.len() > weight::MAX_BYTES {
            return Ok(Err(Rejection::TooLarge));
        }
        let Self { record, expected } = self;
        record.clear();
        let (mut nested, mut attributes) = (0, 0);
        let mut texts = 0usize;
        for field in fields(message) {
            match (kind, field?) {
                (Kind::Record, (6, Content::Bytes(attribute)))
                | (Kind::Span, (9, Content::Bytes(attribute))) => {
                    nested += 1;
                    let (name, value) = attribute_of(attribute, &mut nested)?;
                    let meaning = match expected.get(attributes) {
                        Some((last, meaning)) if *last == name => *meaning,
                        _ => {
                            let meaning = classify(name, kind)?;
                            match expected.get_mut(attributes) {
                                Some(last) => *last = (name, meaning),
                                // More attributes than a record may have need no memory.
                                None if attributes < weight::MAX_NESTED => expected.push((name, meaning)),
                                None => {}
                            }
                            meaning
                        }
                    };
                    attributes += 1;
                    let is_header = meaning.is == Name::Header;
                    texts = texts.saturating_add(weight::kept_attribute(name, attribute, is_header));
                    record.note(meaning, name, value);
                }
                (Kind::Record, (1, Content::Fixed64(time))) | (Kind::Span, (7, Content::Fixed64(time))) => {
                    record.times[0] = time;
                }
                (Kind::Record, (11, Content::Fixed64(time))) | (Kind::Span, (8, Content::Fixed64(time))) => {
                    record.times[1] = time;
                }
                (Kind::Record, (9, Content::Bytes(id))) | (Kind::Span, (1, Content::Bytes(id))) => {
                    record.trace_id = id
                }
                (Kind::Record, (10, Content::Bytes(id))) | (Kind::Span, (2, Content::Bytes(id))) => {
                    record.span_id = id
                }
                (Kind::Record, (12, Content::Bytes(name))) => record.event_name = name,
                (Kind::Span, (4, Content::Bytes(id))) => record.waterfall.parent = id,
                (Kind::Span, (5, Content::Bytes(name))) => record.waterfall.name = name,
                (Kind::Span, (6, Content::Number(number))) => record.span_kind = number,
                (Kind::Span, (15, Content::Bytes(status))) => record.waterfall.read_status(status)?,
                (_, (number, Content::Bytes(content))) => {
                    weight::count_field(kind, number, content, &mut nested)?
                }
                _ => {}
            }
        }
        if nested > weight::MAX_NESTED {
            return Ok(Err(Rejection::TooLarge));
        }
        record.passing = weight::passing_request(message, nested);
        record.kept = weight::kept_request(texts);
        Ok(Ok(record))
    }
}

impl<'a> Record<'a> {
    /// The value of an attribute that is at this [`place`].
    pub(super) fn value(&self, place: Option<u8>) -> Value<'a> {
        let known = place.filter(|place| self.present & 1 << place != 0);
        known.map_or(Value::Other, |place| self.values[usize::from(place)])
    }

    fn clear(&mut self) {
        self.times = [0; 2];
        (self.span_kind, self.is_in_log) = (0, false);
        self.waterfall.clear();
        (self.event_name, self.trace_id, self.span_id) = (&[], &[], &[]);
        self.headers.clear();
        self.present = 0;
    }

    /// Notes an attribute. Of several with the same name, the first counts.
    fn note(&mut self, meaning: Meaning, name: &'a [u8], value: Value<'a>) {
        let Meaning { is, of_application } = meaning;
        if let Some(name) = of_application {
            self.waterfall.note(name, value);
        }
        match is {
            Name::Field(place) if self.present & 1 << place == 0 => {
                self.present |= 1 << place;
                self.values[usize::from(place)] = value;
            }
            Name::Header if self.headers.len() < weight::MAX_NESTED => {
                // A name is known to be UTF-8 when it is classified.
                self.headers.extend(std::str::from_utf8(name).ok().map(|name| (name, value)));
            }
            Name::InLog => self.is_in_log = value == Value::Bool(true),
            Name::Field(_) | Name::Header | Name::Other => {}
        }
    }
}

impl<'a> Waterfall<'a> {
    fn clear(&mut self) {
        (self.parent, self.name) = (&[], &[]);
        self.status = (0, &[]);
        self.attributes.clear();
    }

    fn read_status(&mut self, status: &'a [u8]) -> Result<(), Unreadable> {
        for field in fields(status) {
            match field? {
                (2, Content::Bytes(reason)) => self.status.1 = reason,
                (3, Content::Number(number)) => self.status.0 = number,
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes one of [`OF_APPLICATIONS`]. A span that repeats its attributes keeps no more than there are names.
    fn note(&mut self, name: &'static str, value: Value<'a>) {
        let is_kept = matches!(value, Value::Text(_) | Value::Int(_));
        if is_kept && self.attributes.len() < OF_APPLICATIONS.len() {
            self.attributes.push((name, value));
        }
    }
}

/// Name and value of a `KeyValue`; adds the messages within the value to `nested`.
fn attribute_of<'a>(attribute: &'a [u8], nested: &mut usize) -> Result<(&'a [u8], Value<'a>), Unreadable> {
    let (mut name, mut value) = (&[][..], Value::Other);
    for field in fields(attribute) {
        match field? {
            (1, Content::Bytes(found)) => name = found,
            (2, Content::Bytes(found)) => {
                value = Value::read(found)?;
                if matches!(value, Value::Array(_) | Value::Other) {
                    weight::count_value(found, nested)?;
                }
            }
            _ => {}
        }
    }
    Ok((name, value))
}

fn classify(name: &[u8], kind: Kind) -> Result<Meaning, Unreadable> {
    let name = std::str::from_utf8(name).map_err(|_| Unreadable::text())?;
    let is_header = [attribute::REQUEST_HEADER, attribute::RESPONSE_HEADER]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|header| !header.is_empty()));
    let is = match place(name) {
        Some(place) => Name::Field(place),
        None if is_header => Name::Header,
        None if name == attribute::IN_LOG => Name::InLog,
        None => Name::Other,
    };
    let of_application = match kind {
        Kind::Span => OF_APPLICATIONS.into_iter().find(|known| *known == name),
        _ => None,
    };
    Ok(Meaning { is, of_application })
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use opentelemetry_proto::tonic::trace::v1::{Span, Status};
    use prost::Message;

    fn attribute(key: &str, value: Option<any_value::Value>) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..Default::default() }
    }

    fn text(text: &str) -> Option<any_value::Value> {
        Some(any_value::Value::StringValue(text.to_owned()))
    }

    fn record(attributes: Vec<KeyValue>) -> Vec<u8> {
        LogRecord { time_unix_nano: 7, attributes, ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn every_name_has_a_place() {
        assert!(NAMES.len() <= MAX_NAMES, "{}", NAMES.len());
    }

    #[test]
    fn records_are_read_whatever_the_order_of_their_attributes() {
        let one = record(vec![attribute("url.path", text("/a")), attribute("url.query", text("q"))]);
        let other = record(vec![
            attribute("url.query", text("r")),
            attribute("unknown", text("u")),
            attribute("url.path", Some(any_value::Value::IntValue(3))),
            attribute("url.path", text("/b")),
        ]);
        let mut records = Records::new();
        let mut check = |message, path, query| {
            let found = records.read(Kind::Record, message).unwrap().unwrap();
            let of = |name| found.value(place(name));
            assert_eq!((found.times, of("url.path"), of("url.query")), ([7, 0], path, query));
        };
        check(&one, Value::Text("/a"), Value::Text("q"));
        check(&other, Value::Int(3), Value::Text("r"));
        check(&one, Value::Text("/a"), Value::Text("q"));
        check(&[0x09, 7, 0, 0, 0, 0, 0, 0, 0], Value::Other, Value::Other);
    }

    #[test]
    fn a_span_has_nothing_of_the_one_before() {
        let whole = Span {
            parent_span_id: vec![7; 8],
            name: "SELECT".to_owned(),
            status: Some(Status { code: 2, message: "gone".to_owned() }),
            attributes: vec![attribute("db.system", text("mysql")); OF_APPLICATIONS.len() + 3],
            ..Default::default()
        };
        let bare = Span { attributes: vec![attribute("db.system", None)], ..Default::default() };
        let (whole, bare) = (whole.encode_to_vec(), bare.encode_to_vec());
        let mut records = Records::new();
        let found = &records.read(Kind::Span, &whole).unwrap().unwrap().waterfall;
        assert_eq!(
            (found.parent, found.name, found.status),
            (&[7; 8][..], &b"SELECT"[..], (2, &b"gone"[..]))
        );
        assert_eq!(found.attributes, [("db.system", Value::Text("mysql")); OF_APPLICATIONS.len()]);
        let found = &records.read(Kind::Span, &bare).unwrap().unwrap().waterfall;
        assert_eq!((found.parent, found.name, found.status), (&[][..], &[][..], (0, &[][..])));
        assert_eq!(found.attributes, []);
    }

    #[test]
    fn the_weight_of_a_record_is_that_of_all_messages_within_it() {
        let list = |count| {
            let values = vec![AnyValue { value: text("v") }; count];
            Some(any_value::Value::ArrayValue(ArrayValue { values }))
        };
        for attributes in [
            vec![],
            vec![attribute("url.path", text("/a")); 3],
            vec![attribute("http.request.header.x", list(5)), attribute("x", None)],
            vec![attribute("http.request.header.x", list(3_000))],
        ] {
            let message = record(attributes);
            let mut records = Records::new();
            let found = records.read(Kind::Record, &message).unwrap().map(|record| record.passing);
            let nested = weight::nested(Kind::Record, &message).unwrap();
            let expected = weight::passing_request(&message, nested);
            assert_eq!(
                found,
                if nested > weight::MAX_NESTED { Err(Rejection::TooLarge) } else { Ok(expected) }
            );
        }
    }

    #[test]
    fn texts_that_are_not_utf_8_are_refused() {
        let good = record(vec![attribute("url.path", text("/abc"))]);
        for damage in [&b"/abc"[..], b"url."] {
            let mut bad = good.clone();
            let at = bad.windows(damage.len()).position(|bytes| bytes == damage).unwrap();
            bad[at + 1] = 0xff;
            assert!(Records::new().read(Kind::Record, &bad).is_err());
        }
    }
}
