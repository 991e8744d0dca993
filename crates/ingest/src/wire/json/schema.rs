//! The messages of OTLP as far as they are read here.

use Scalar::{Base64, Bool, Double, Enum, Fixed32, Fixed64, Hex, Int, Signed64, Text, Zigzag};
use Type::{Message, Messages, One, Packed};

/// A field: its name, its number and what it holds.
pub(super) type Field = (&'static str, u64, Type);
pub(super) type Schema = &'static [Field];

#[derive(Clone, Copy)]
pub(super) enum Type {
    /// A function, since messages hold one another.
    Message(fn() -> Schema),
    Messages(fn() -> Schema),
    One(Scalar),
    Packed(Scalar),
}

#[derive(Clone, Copy)]
pub(super) enum Scalar {
    Text,
    Hex,
    Base64,
    Bool,
    Double,
    Fixed32,
    Fixed64,
    Signed64,
    /// A varint, negative ones as ten bytes.
    Int,
    /// A varint of the zigzag kind.
    Zigzag,
    /// A varint, or one of these names.
    Enum(&'static [(&'static str, u64)]),
}

pub(super) const EXPORT_LOGS: Schema = &[("resourceLogs", 1, Messages(|| RESOURCE_LOGS))];
const RESOURCE_LOGS: Schema =
    &[("resource", 1, Message(|| RESOURCE)), ("scopeLogs", 2, Messages(|| SCOPE_LOGS))];
const SCOPE_LOGS: Schema = &[("logRecords", 2, Messages(|| LOG_RECORD))];
const LOG_RECORD: Schema = &[
    ("timeUnixNano", 1, One(Fixed64)),
    ("observedTimeUnixNano", 11, One(Fixed64)),
    ("attributes", 6, Messages(|| KEY_VALUE)),
    ("flags", 8, One(Fixed32)),
    ("traceId", 9, One(Hex)),
    ("spanId", 10, One(Hex)),
    ("eventName", 12, One(Text)),
];

pub(super) const EXPORT_METRICS: Schema = &[("resourceMetrics", 1, Messages(|| RESOURCE_METRICS))];
const RESOURCE_METRICS: Schema =
    &[("resource", 1, Message(|| RESOURCE)), ("scopeMetrics", 2, Messages(|| SCOPE_METRICS))];
const SCOPE_METRICS: Schema = &[("metrics", 2, Messages(|| METRIC))];
const METRIC: Schema = &[
    ("name", 1, One(Text)),
    ("gauge", 5, Message(|| NUMBERS)),
    ("sum", 7, Message(|| NUMBERS)),
    ("histogram", 9, Message(|| HISTOGRAM)),
    ("exponentialHistogram", 10, Message(|| EXPONENTIAL)),
];
const NUMBERS: Schema = &[
    ("dataPoints", 1, Messages(|| NUMBER_POINT)),
    ("aggregationTemporality", 2, One(Enum(TEMPORALITY))),
    ("isMonotonic", 3, One(Bool)),
];
const HISTOGRAM: Schema =
    &[("dataPoints", 1, Messages(|| HISTOGRAM_POINT)), ("aggregationTemporality", 2, One(Enum(TEMPORALITY)))];
const EXPONENTIAL: Schema = &[
    ("dataPoints", 1, Messages(|| EXPONENTIAL_POINT)),
    ("aggregationTemporality", 2, One(Enum(TEMPORALITY))),
];
const NUMBER_POINT: Schema = &[
    ("attributes", 7, Messages(|| KEY_VALUE)),
    ("startTimeUnixNano", 2, One(Fixed64)),
    ("timeUnixNano", 3, One(Fixed64)),
    ("asDouble", 4, One(Double)),
    ("asInt", 6, One(Signed64)),
    ("flags", 8, One(Int)),
];
const HISTOGRAM_POINT: Schema = &[
    ("attributes", 9, Messages(|| KEY_VALUE)),
    ("startTimeUnixNano", 2, One(Fixed64)),
    ("timeUnixNano", 3, One(Fixed64)),
    ("count", 4, One(Fixed64)),
    ("sum", 5, One(Double)),
    ("bucketCounts", 6, Packed(Fixed64)),
    ("explicitBounds", 7, Packed(Double)),
    ("flags", 10, One(Int)),
];
const EXPONENTIAL_POINT: Schema = &[
    ("attributes", 1, Messages(|| KEY_VALUE)),
    ("startTimeUnixNano", 2, One(Fixed64)),
    ("timeUnixNano", 3, One(Fixed64)),
    ("count", 4, One(Fixed64)),
    ("sum", 5, One(Double)),
    ("scale", 6, One(Zigzag)),
    ("zeroCount", 7, One(Fixed64)),
    ("positive", 8, Message(|| BUCKETS)),
    ("negative", 9, Message(|| BUCKETS)),
    ("flags", 10, One(Int)),
];
const BUCKETS: Schema = &[("offset", 1, One(Zigzag)), ("bucketCounts", 2, Packed(Int))];
const TEMPORALITY: &[(&str, u64)] = &[
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
];

pub(super) const EXPORT_TRACES: Schema = &[("resourceSpans", 1, Messages(|| RESOURCE_SPANS))];
const RESOURCE_SPANS: Schema =
    &[("resource", 1, Message(|| RESOURCE)), ("scopeSpans", 2, Messages(|| SCOPE_SPANS))];
const SCOPE_SPANS: Schema = &[("spans", 2, Messages(|| SPAN))];
const SPAN: Schema = &[
    ("traceId", 1, One(Hex)),
    ("spanId", 2, One(Hex)),
    ("kind", 6, One(Enum(SPAN_KIND))),
    ("startTimeUnixNano", 7, One(Fixed64)),
    ("endTimeUnixNano", 8, One(Fixed64)),
    ("attributes", 9, Messages(|| KEY_VALUE)),
];
const SPAN_KIND: &[(&str, u64)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];

const RESOURCE: Schema = &[("attributes", 1, Messages(|| KEY_VALUE))];
const KEY_VALUE: Schema = &[("key", 1, One(Text)), ("value", 2, Message(|| ANY_VALUE))];
const ANY_VALUE: Schema = &[
    ("stringValue", 1, One(Text)),
    ("boolValue", 2, One(Bool)),
    ("intValue", 3, One(Int)),
    ("doubleValue", 4, One(Double)),
    ("arrayValue", 5, Message(|| ARRAY)),
    ("kvlistValue", 6, Message(|| KEY_VALUES)),
    ("bytesValue", 7, One(Base64)),
];
const ARRAY: Schema = &[("values", 1, Messages(|| ANY_VALUE))];
const KEY_VALUES: Schema = &[("values", 1, Messages(|| KEY_VALUE))];
