//! OTLP in JSON, turned into OTLP in protobuf, so that one decoder and its bounds serve both.
//!
//! As the specification has it: names in lowerCamelCase (those of the .proto file are taken too), trace and span ids
//! in hex, other bytes in base64, 64-bit integers as strings or numbers, enumerations as numbers or names, `null` as
//! absent, unknown fields ignored. Fields that the ingest does not read are unknown.

mod schema;

use super::budget::Budget;
use super::{Encoding, Unreadable};
use crate::model::Signal;
use data_encoding::{BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use gatelens_model::varint;
use schema::Scalar::{self, Base64, Bool, Double, Enum, Fixed32, Fixed64, Hex, Int, Signed64, Text, Zigzag};
use schema::Type::{Message, Messages, One, Packed};
use schema::{EXPORT_LOGS, EXPORT_METRICS, EXPORT_TRACES, Field, Schema};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Bytes of protobuf that a byte of JSON can become: `,1` is a fixed number of eight bytes.
const MAX_GROWTH: usize = 4;

/// The body in protobuf, for which memory is held before it is made.
///
/// # Errors
/// The fault and its place, for a body that is not an OTLP export in JSON or that unfolds to more than `limit` bytes.
pub(crate) fn to_protobuf(
    signal: Signal,
    body: &[u8],
    limit: usize,
    budget: &mut Budget<'_>,
) -> Result<Vec<u8>, Unreadable> {
    let root = match signal {
        Signal::Logs => EXPORT_LOGS,
        Signal::Metrics => EXPORT_METRICS,
        Signal::Traces => EXPORT_TRACES,
    };
    // A buffer that grows is there twice for a moment, the new one with room for as much again; and a text with escapes
    // is there once more.
    let most = body.len().saturating_mul(MAX_GROWTH).min(limit);
    budget.pass(most.saturating_mul(3).saturating_add(body.len().saturating_mul(3)))?;
    let mut out = Vec::new();
    let mut input = serde_json::Deserializer::from_slice(body);
    let read = Object { of: root, out: &mut out, limit }.deserialize(&mut input);
    let malformed = |error: serde_json::Error| Unreadable::Malformed {
        encoding: Encoding::Json,
        detail: error.to_string(),
    };
    read.and_then(|_| input.end()).map_err(malformed)?;
    out.shrink_to_fit();
    budget.keep(out.len())?;
    Ok(out)
}

/// Reads an object as the fields of a message; `false` for `null`.
struct Object<'a> {
    of: Schema,
    out: &'a mut Vec<u8>,
    /// Bytes that may be written.
    limit: usize,
}

/// Reads the value of one field, and writes it with its tag.
struct Value<'a> {
    field: &'static Field,
    out: &'a mut Vec<u8>,
    limit: usize,
}

/// Reads a scalar, and writes it without a tag; `false` for `null`.
struct Bare<'a> {
    name: &'static str,
    scalar: Scalar,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<bool, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<bool, M::Error> {
        let Self { of, out, limit } = self;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match of.iter().find(|(known, _, _)| is_named(known, &name)) {
                Some(field) => map.next_value_seed(Value { field, out, limit })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        let &(name, number, kind) = self.field;
        if let Messages(_) | Packed(_) = kind {
            return input.deserialize_any(self);
        }
        let Self { out, limit, .. } = self;
        let begun = out.len();
        let is_present = match kind {
            Messages(_) | Packed(_) => false,
            Message(of) => {
                let content = begin(out, number);
                let is_present = Object { of: of(), out, limit }.deserialize(input)?;
                end(out, content);
                is_present
            }
            One(scalar) => {
                let content = begin_scalar(out, number, scalar);
                let is_present = Bare { name, scalar, out }.deserialize(input)?;
                if let Some(content) = content {
                    end(out, content);
                }
                is_present
            }
        };
        if !is_present {
            out.truncate(begun);
        }
        within(limit, out)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for {}", self.field.0)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        let Self { field: &(name, number, kind), out, limit } = self;
        match kind {
            Message(of) | Messages(of) => loop {
                let begun = out.len();
                let content = begin(out, number);
                if items.next_element_seed(Object { of: of(), out: &mut *out, limit })?.is_none() {
                    out.truncate(begun);
                    return Ok(());
                }
                end(out, content);
                within(limit, out)?;
            },
            One(scalar) | Packed(scalar) => {
                let content = begin(out, number);
                while items.next_element_seed(Bare { name, scalar, out: &mut *out })?.is_some() {
                    within(limit, out)?;
                }
                end(out, content);
                within(limit, out)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bare<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<bool, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bare<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.scalar {
            Text => "a string",
            Hex => "a string of hex digits",
            Base64 => "a string in base64",
            Bool => "true or false",
            Double => "a number",
            Fixed32 | Fixed64 | Signed64 | Int | Zigzag => "an integer",
            Enum(_) => "a number or a name",
        };
        write!(f, "{kind} for {}", self.name)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        match self.scalar {
            Bool => self.out.push(value.into()),
            _ => return Err(self.unfit(&value)),
        }
        Ok(true)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.integer(value.into(), &value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.integer(value.into(), &value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        match self.scalar {
            Double => self.out.extend(value.to_le_bytes()),
            // 1e9 is an integer too. Beyond 2^63 the integer that is meant cannot be known.
            _ if value.fract() == 0.0 && value.abs() < i64::MAX as f64 => {
                return self.integer(value as i128, &value);
            }
            _ => return Err(self.unfit(&value)),
        }
        Ok(true)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        match self.scalar {
            Text => self.out.extend(text.as_bytes()),
            Hex => {
                let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
                self.out.extend(bytes.map_err(|_| self.unfit(&text))?);
            }
            Base64 => self.out.extend(base64(text).ok_or_else(|| self.unfit(&text))?),
            Double => {
                let value: f64 = text.parse().map_err(|_| self.unfit(&text))?;
                self.out.extend(value.to_le_bytes());
            }
            Enum(names) => {
                let found = names.iter().find(|(name, _)| *name == text);
                let (_, value) = found.ok_or_else(|| self.unfit(&text))?;
                varint::put(self.out, *value);
            }
            Fixed32 | Fixed64 | Signed64 | Int | Zigzag => {
                let value: i128 = text.parse().map_err(|_| self.unfit(&text))?;
                return self.integer(value, &text);
            }
            Bool => return Err(self.unfit(&text)),
        }
        Ok(true)
    }
}

impl Bare<'_> {
    fn integer<E: Error>(self, value: i128, shown: &dyn fmt::Debug) -> Result<bool, E> {
        let unfit = |_| self.unfit(shown);
        match self.scalar {
            Double => self.out.extend((value as f64).to_le_bytes()),
            Fixed32 => self.out.extend(u32::try_from(value).map_err(unfit)?.to_le_bytes()),
            Fixed64 => self.out.extend(u64::try_from(value).map_err(unfit)?.to_le_bytes()),
            Signed64 => self.out.extend(i64::try_from(value).map_err(unfit)?.to_le_bytes()),
            Zigzag => {
                let value = i32::try_from(value).map_err(unfit)?;
                varint::put_signed(self.out, value.into());
            }
            Int | Enum(_) => {
                let signed = i64::try_from(value).map(|value| value as u64);
                let value = signed.or_else(|_| u64::try_from(value)).map_err(unfit)?;
                varint::put(self.out, value);
            }
            Text | Hex | Base64 | Bool => return Err(self.unfit(shown)),
        }
        Ok(true)
    }

    fn unfit<E: Error>(&self, found: &dyn fmt::Debug) -> E {
        let found = format!("{found:?}");
        let shown = &found[..found.floor_char_boundary(60)];
        struct Expected<'a>(&'a Bare<'a>);
        impl fmt::Display for Expected<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.expecting(f)
            }
        }
        E::custom(format!("{shown} where {} is expected", Expected(self)))
    }
}

/// Whether a key names a field, in lowerCamelCase or as the .proto file writes it.
fn is_named(field: &str, key: &str) -> bool {
    field == key
        || (key.contains('_')
            && key.chars().filter(|c| *c != '_').eq(field.chars().map(|c| c.to_ascii_lowercase())))
}

/// Writes the tag of a field with a length, and returns the place of its content.
fn begin(out: &mut Vec<u8>, number: u64) -> usize {
    varint::put(out, number << 3 | 2);
    out.push(0);
    out.len()
}

/// Writes the length of the content that begins at this place, before it.
fn end(out: &mut Vec<u8>, content: usize) {
    let len = out.len() - content;
    // One byte is there already, and most contents need no more.
    if len < 0x80 {
        out[content - 1] = len as u8;
        return;
    }
    let mut length = Vec::new();
    varint::put(&mut length, len as u64);
    out.splice(content - 1..content, length);
}

/// Writes the tag of a scalar, and returns the place of its content where it has a length.
fn begin_scalar(out: &mut Vec<u8>, number: u64, scalar: Scalar) -> Option<usize> {
    let wire_type = match scalar {
        Text | Hex | Base64 => return Some(begin(out, number)),
        Bool | Int | Zigzag | Enum(_) => 0,
        Double | Fixed64 | Signed64 => 1,
        Fixed32 => 5,
    };
    varint::put(out, number << 3 | wire_type);
    None
}

fn within<E: Error>(limit: usize, out: &[u8]) -> Result<(), E> {
    if out.len() <= limit {
        return Ok(());
    }
    Err(E::custom(format!("the body unfolds to more than {limit} bytes: send it in smaller batches")))
}

/// Base64 in the ordinary or the URL alphabet, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    BASE64_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
    use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
    use serde_json::{Value as Json, json};

    const LIMIT: usize = 1 << 20;

    fn transcoded(signal: Signal, body: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        let mut hold = |_| true;
        to_protobuf(signal, body, limit, &mut Budget::new(usize::MAX, &mut hold)).map_err(|error| match error
        {
            Unreadable::Malformed { detail, .. } => detail,
            other => other.to_string(),
        })
    }

    fn read<M: prost::Message + Default>(signal: Signal, body: &Json) -> M {
        M::decode(transcoded(signal, body.to_string().as_bytes(), LIMIT).unwrap().as_slice()).unwrap()
    }

    #[test]
    fn every_field_of_a_metric_arrives() {
        let body = json!({"resourceMetrics": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeMetrics": [{"scope": {"name": "x"}, "metrics": [
                {"name": "h", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [{
                    "startTimeUnixNano": "18446744073709551615", "timeUnixNano": 7, "count": "3", "sum": 1.5,
                    "bucketCounts": ["1", 2, "0"], "explicitBounds": [0.5, 1], "flags": 1, "min": 0.1}]}},
                {"name": "e", "exponentialHistogram": {
                    "aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA",
                    "dataPoints": [{"count": 4, "scale": -3, "zeroCount": "1", "sum": "NaN",
                        "positive": {"offset": -7, "bucketCounts": ["3"]}, "negative": null}]}},
                {"name": "s", "sum": {"isMonotonic": true, "dataPoints": [{"asInt": "-5"}, {"asDouble": 2}, {"asInt": 1e3}]}, "gauge": null},
            ]}],
        }], "unknown": {"deep": [[1]]}});
        let export: ExportMetricsServiceRequest = read(Signal::Metrics, &body);
        let metrics = &export.resource_metrics[0].scope_metrics[0].metrics;
        let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("{metrics:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (u64::MAX, 7));
        assert_eq!((point.count, point.sum, point.flags), (3, Some(1.5), 1));
        assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&[1, 2, 0][..], &[0.5, 1.0][..]));
        assert_eq!(histogram.aggregation_temporality, 2);
        let Some(Data::ExponentialHistogram(histogram)) = &metrics[1].data else { panic!("{metrics:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.scale, point.zero_count), (4, -3, 1));
        assert!(point.sum.unwrap().is_nan());
        let buckets = point.positive.as_ref().unwrap();
        assert_eq!((buckets.offset, &buckets.bucket_counts[..]), (-7, &[3][..]));
        assert_eq!((histogram.aggregation_temporality, &point.negative), (1, &None));
        let Some(Data::Sum(sum)) = &metrics[2].data else { panic!("{metrics:?}") };
        let values: Vec<_> = sum.data_points.iter().map(|point| point.value.unwrap()).collect();
        use number_data_point::Value::{AsDouble, AsInt};
        assert_eq!(values, [AsInt(-5), AsDouble(2.0), AsInt(1000)]);
        assert!(sum.is_monotonic);
    }

    #[test]
    fn every_field_of_a_log_record_and_a_span_arrives() {
        let attributes = json!([
            {"key": "i", "value": {"intValue": "-9223372036854775808"}}, {"key": "b", "value": {"boolValue": true}},
            {"key": "d", "value": {"doubleValue": "-Infinity"}}, {"key": "n", "value": null},
            {"key": "y", "value": {"bytesValue": "AP8+"}},
            {"key": "a", "value": {"arrayValue": {"values": [{"stringValue": "ü"}, {"kvlistValue": {"values": [{"key": "k"}]}}]}}}]);
        let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{
            "timeUnixNano": "1", "observed_time_unix_nano": 2, "traceId": "5B8EFFF798038103D269B633813FC60C",
            "spanId": "eee19b7ec3c1b174", "flags": 1, "eventName": "e", "body": {"stringValue": "x"},
            "severityNumber": "SEVERITY_NUMBER_INFO", "attributes": attributes}]}]}]});
        let export: ExportLogsServiceRequest = read(Signal::Logs, &body);
        let record = &export.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (1, 2));
        assert_eq!((record.trace_id[1], record.span_id.len(), record.event_name.as_str()), (0x8e, 8, "e"));
        let values: Vec<_> =
            record.attributes.iter().map(|a| a.value.clone().and_then(|v| v.value)).collect();
        use any_value::Value::{ArrayValue, BoolValue, BytesValue, DoubleValue, IntValue};
        assert_eq!(values[0], Some(IntValue(i64::MIN)));
        assert_eq!(values[1], Some(BoolValue(true)));
        assert_eq!(values[2], Some(DoubleValue(f64::NEG_INFINITY)));
        assert_eq!(record.attributes[3].value, None);
        assert_eq!(values[4], Some(BytesValue(vec![0, 0xff, 0x3e])));
        let Some(ArrayValue(array)) = &values[5] else { panic!("{values:?}") };
        assert_eq!(array.values[0], AnyValue { value: Some(any_value::Value::StringValue("ü".to_owned())) });

        let span = json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "x",
            "kind": "SPAN_KIND_SERVER", "startTimeUnixNano": "1", "endTimeUnixNano": "3", "status": {"code": 2}});
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        let export: ExportTraceServiceRequest = read(Signal::Traces, &body);
        let span = &export.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((span.kind, span.start_time_unix_nano, span.end_time_unix_nano), (2, 1, 3));
    }

    #[test]
    fn errors_name_the_fault_and_the_field() {
        let check = |body: &str, words: &str| {
            let error = transcoded(Signal::Logs, body.as_bytes(), 1000).unwrap_err();
            assert!(error.contains(words), "{error:?} should say {words:?}");
        };
        let record =
            |field: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{field}}}]}}]}}]}}"#);
        check("", "EOF");
        check("[]", "expected an object");
        check("{} x", "trailing");
        check(r#"{"resourceLogs": 1}"#, "expected an array for resourceLogs");
        check(r#"{"resourceLogs": [1]}"#, "expected an object");
        check(&record(r#""timeUnixNano": "x""#), "\"x\" where an integer for timeUnixNano is expected");
        check(&record(r#""timeUnixNano": -1"#), "-1 where");
        check(&record(r#""timeUnixNano": 1.5"#), "1.5 where");
        check(&record(r#""traceId": "abc""#), "hex digits for traceId");
        check(&record(r#""traceId": 5"#), "5 where");
        check(&record(r#""eventName": {}"#), "expected a string for eventName");
        check(&record(&format!(r#""eventName": "{}""#, "x".repeat(1001))), "more than 1000 bytes");
        check(&"[".repeat(100_000), "");
        check(&format!("{}1", r#"{"resourceLogs":"#.repeat(100_000)), "");
        check(
            &record(&format!(r#""attributes":[{{"value":{}"#, r#"{"arrayValue":{"values":["#.repeat(100))),
            "recursion limit",
        );
    }
}
