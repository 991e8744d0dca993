//! Weighs a record, a point or a resource before it is decoded: messages within one another unfold to far more than
//! their bytes.

use super::walk::{Content, Malformed, all, fields, packed_varints};
use crate::model::Rejection;
use crate::model::request::RequestEvent;
use crate::model::{Gateway, Point};

/// Messages within a record, a point or a resource: attributes, their values, events and links of spans.
pub(super) const MAX_NESTED: usize = 2_000;
/// Bytes of a record, a point or a resource: two of the largest bodies, and all else.
pub(super) const MAX_BYTES: usize = 8 << 20;
/// Buckets of a point, explicit or exponential.
pub(super) const MAX_BUCKETS: usize = 4_096;

/// A message that is decoded: the largest has some 120 bytes, and a list of one takes the room of four.
const NESTED_BYTES: usize = 4 * 128 + 32;
/// A bucket while its point is decoded, and turned into a sketch.
const PASSING_BUCKET_BYTES: usize = 96;
/// A bucket of a sketch that is kept; a list that grows has room for twice as many.
const KEPT_BUCKET_BYTES: usize = 32;
/// What a text takes beside its bytes: its allocation, and its entry among the texts that are shared.
const TEXT_BYTES: usize = 96;
/// No attribute that is kept has a shorter name.
const SHORTEST_NAME: usize = 8;
/// The entry of a point by which its other instruments find it.
const PLACE_BYTES: usize = 160;
/// The short texts that every request has.
const LABELS_BYTES: usize = 160;
/// Headers become JSON, which writes a control character as six.
const HEADER_FACTOR: usize = 6;
/// Bytes of the headers of a message, before they become JSON: more than is kept of them.
const HEADERS_BYTES: usize = 128 << 10;

/// The decoder's own bound on nesting.
const MAX_DEPTH: usize = 100;

/// What a record, a point or a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Resource,
    Record,
    Span,
    NumberPoint,
    HistogramPoint,
    ExponentialPoint,
}

/// Bytes of memory that decoding takes for a moment, or why that is refused.
pub(super) type Fit = Result<usize, Rejection>;

/// Weighs one record, point or resource.
///
/// # Errors
/// For bytes that are not protobuf.
pub(super) fn passing(kind: Kind, message: &[u8]) -> Result<Fit, Malformed> {
    Ok(passing_and_buckets(kind, message)?.map(|(passing, _)| passing))
}

/// Weighs one point. The second number is the bytes that its buckets take until it is stored.
///
/// # Errors
/// For bytes that are not protobuf.
pub(super) fn passing_and_buckets(
    kind: Kind,
    message: &[u8],
) -> Result<Result<(usize, usize), Rejection>, Malformed> {
    if message.len() > MAX_BYTES {
        return Ok(Err(Rejection::TooLarge));
    }
    let buckets = match kind {
        Kind::HistogramPoint | Kind::ExponentialPoint => buckets(kind, message)?,
        Kind::Resource | Kind::Record | Kind::Span | Kind::NumberPoint => 0,
    };
    if buckets > MAX_BUCKETS {
        return Ok(Err(Rejection::TooManyBuckets));
    }
    let nested = nested(kind, message)?;
    if nested > MAX_NESTED {
        return Ok(Err(Rejection::TooLarge));
    }
    let passing = message.len() + nested * NESTED_BYTES + buckets * PASSING_BUCKET_BYTES;
    Ok(Ok((passing, buckets * KEPT_BUCKET_BYTES)))
}

/// Bytes that a point takes until it is stored, without its buckets.
pub(super) fn kept_point(kind: Kind, point: &[u8]) -> Result<usize, Malformed> {
    let attributes = if kind == Kind::HistogramPoint {
        9
    } else if kind == Kind::ExponentialPoint {
        1
    } else {
        7
    };
    let texts = texts(point, attributes)?;
    Ok(size_of::<Point>() + PLACE_BYTES + texts)
}

/// Bytes that a record or a span takes until it is stored, with all of its texts: see [`kept_attribute`].
pub(super) fn kept_request(texts: usize) -> usize {
    (size_of::<RequestEvent>() + LABELS_BYTES).saturating_add(texts)
}

/// Bytes that the text of an attribute takes until it is stored, where it can be kept.
pub(super) fn kept_attribute(name: &[u8], attribute: &[u8], is_header: bool) -> usize {
    if name.len() < SHORTEST_NAME {
        return 0;
    }
    TEXT_BYTES + attribute.len() * if is_header { HEADER_FACTOR } else { 1 }
}

/// Bytes that reading a record or a span takes for a moment.
pub(super) fn passing_request(message: &[u8], nested: usize) -> usize {
    // A text that grows is there twice for a moment, with room for as much again.
    let headers = message.len().min(HEADERS_BYTES) * HEADER_FACTOR * 3;
    message.len() + nested * NESTED_BYTES + headers
}

/// Bytes that a resource takes until it is stored, as a sender with all its texts, and as the key by which the next
/// resource of the same sender finds it.
pub(super) fn kept_resource(resource: &[u8]) -> Result<usize, Malformed> {
    Ok(2 * (size_of::<Gateway>() + 8 * TEXT_BYTES + texts(resource, 1)?) + 1024)
}

/// The texts of attributes that can be kept.
fn texts(message: &[u8], attributes: u64) -> Result<usize, Malformed> {
    let mut bytes = 0usize;
    for attribute in all(message, attributes) {
        let attribute = attribute?;
        let mut name: &[u8] = &[];
        for found in all(attribute, 1) {
            name = found?;
        }
        bytes = bytes.saturating_add(kept_attribute(name, attribute, false));
    }
    Ok(bytes)
}

/// Buckets of a point, and bounds.
fn buckets(kind: Kind, point: &[u8]) -> Result<usize, Malformed> {
    let mut count = 0;
    for field in fields(point) {
        count += match (kind, field?) {
            (Kind::HistogramPoint, (6 | 7, Content::Bytes(packed))) => packed.len() / 8,
            (Kind::HistogramPoint, (6 | 7, Content::Fixed64(_))) => 1,
            (Kind::ExponentialPoint, (8 | 9, Content::Bytes(buckets))) => exponential_buckets(buckets)?,
            _ => 0,
        };
    }
    // Each bucket but the last has a bound.
    Ok(if kind == Kind::HistogramPoint { count / 2 } else { count })
}

fn exponential_buckets(buckets: &[u8]) -> Result<usize, Malformed> {
    let mut count = 0;
    for field in fields(buckets) {
        count += match field? {
            (2, Content::Bytes(packed)) => packed_varints(packed),
            (2, Content::Number(_)) => 1,
            _ => 0,
        };
    }
    Ok(count)
}

#[derive(Clone, Copy)]
enum Message {
    Record,
    Number,
    Histogram,
    Exponential,
    Exemplar,
    Span,
    SpanEvent,
    SpanLink,
    Resource,
    Entity,
    KeyValue,
    AnyValue,
    Array,
    KeyValues,
    Leaf,
}

impl Kind {
    fn message(self) -> Message {
        match self {
            Self::Resource => Message::Resource,
            Self::Record => Message::Record,
            Self::Span => Message::Span,
            Self::NumberPoint => Message::Number,
            Self::HistogramPoint => Message::Histogram,
            Self::ExponentialPoint => Message::Exponential,
        }
    }
}

/// The fields that are messages, or lists of texts.
fn messages(of: Message) -> &'static [(u64, Message)] {
    use Message::*;
    match of {
        Record => &[(5, AnyValue), (6, KeyValue)],
        Number => &[(5, Exemplar), (7, KeyValue)],
        Histogram => &[(8, Exemplar), (9, KeyValue)],
        Exponential => &[(1, KeyValue), (11, Exemplar)],
        Exemplar => &[(7, KeyValue)],
        Span => &[(9, KeyValue), (11, SpanEvent), (13, SpanLink)],
        SpanEvent => &[(3, KeyValue)],
        SpanLink => &[(4, KeyValue)],
        Resource => &[(1, KeyValue), (3, Entity)],
        Entity => &[(3, Leaf), (4, Leaf)],
        KeyValue => &[(2, AnyValue)],
        AnyValue => &[(5, Array), (6, KeyValues)],
        Array => &[(1, AnyValue)],
        KeyValues => &[(1, KeyValue)],
        Leaf => &[],
    }
}

/// How many messages are within a record, a point or a resource.
///
/// # Errors
/// For bytes that are not protobuf.
pub(super) fn nested(kind: Kind, message: &[u8]) -> Result<usize, Malformed> {
    let mut found = 0;
    count(kind.message(), message, &mut found, MAX_DEPTH)?;
    Ok(found)
}

/// Counts the messages within one another.
fn count(of: Message, message: &[u8], found: &mut usize, depth: usize) -> Result<(), Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    for field in fields(message) {
        if let (number, Content::Bytes(content)) = field? {
            count_within(of, (number, content), found, depth)?;
        }
    }
    Ok(())
}

/// Counts what is in a field of a message.
fn count_within(
    of: Message,
    (number, content): (u64, &[u8]),
    found: &mut usize,
    depth: usize,
) -> Result<(), Malformed> {
    let Some((_, of)) = messages(of).iter().find(|(known, _)| *known == number) else { return Ok(()) };
    // The value of an attribute lies within it; all others are in lists.
    let is_within = matches!(number, 2 | 5) && matches!(of, Message::AnyValue | Message::Array);
    *found += usize::from(!is_within);
    if matches!(of, Message::Leaf) { Ok(()) } else { count(*of, content, found, depth) }
}

/// Counts the messages in a field of a record or a span.
///
/// # Errors
/// For bytes that are not protobuf.
pub(super) fn count_field(
    kind: Kind,
    number: u64,
    content: &[u8],
    found: &mut usize,
) -> Result<(), Malformed> {
    count_within(kind.message(), (number, content), found, MAX_DEPTH - 1)
}

/// Counts the messages within the value of an attribute of a record or a span.
///
/// # Errors
/// For bytes that are not protobuf.
pub(super) fn count_value(value: &[u8], found: &mut usize) -> Result<(), Malformed> {
    count(Message::AnyValue, value, found, MAX_DEPTH - 2)
}

#[cfg(test)]
mod tests {
    use super::super::record::Records;
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, KeyValue};
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use opentelemetry_proto::tonic::metrics::v1::{Exemplar, HistogramDataPoint};
    use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
    use prost::Message as _;

    #[test]
    fn no_message_is_larger_than_its_weight() {
        let sizes = [
            size_of::<KeyValue>(),
            size_of::<AnyValue>(),
            size_of::<Exemplar>(),
            size_of::<Event>(),
            size_of::<Link>(),
            size_of::<EntityRef>(),
        ];
        assert!(sizes.iter().all(|size| 4 * size + 32 <= NESTED_BYTES), "{sizes:?}");
    }

    #[test]
    fn a_record_has_bounds() {
        let check = |attributes: usize, bytes: usize, fits: bool| {
            let mut record =
                LogRecord { attributes: vec![KeyValue::default(); attributes], ..Default::default() };
            record.severity_text = "x".repeat(bytes);
            let message = record.encode_to_vec();
            let mut records = Records::new();
            let found = records.read(Kind::Record, &message).unwrap();
            assert_eq!(found.is_ok(), fits, "{attributes} attributes, {bytes} bytes");
        };
        check(MAX_NESTED, 10, true);
        check(MAX_NESTED + 1, 10, false);
        check(10, MAX_BYTES - 100, true);
        check(10, MAX_BYTES, false);
    }

    #[test]
    fn a_point_has_bounds() {
        let check = |buckets: usize, expected: bool| {
            let point = HistogramDataPoint {
                bucket_counts: vec![1; buckets + 1],
                explicit_bounds: vec![1.0; buckets],
                ..Default::default()
            };
            let found = passing(Kind::HistogramPoint, &point.encode_to_vec()).unwrap();
            assert_eq!(found.is_ok(), expected, "{buckets}: {found:?}");
        };
        check(0, true);
        check(MAX_BUCKETS - 1, true);
        check(MAX_BUCKETS + 1, false);
        check(1_000_000, false);
    }
}
