//! Headers and bodies of a request, each within bounds of its own.

use super::Unreadable;
use super::value::{Value, clip};
use gatelens_model::OmissionReason;
use std::collections::BTreeMap;

/// Lines of headers kept of a message.
const MAX_HEADERS: usize = 200;
/// Bytes of names and values kept of a message.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// A longer value is cut.
const MAX_HEADER_VALUE_BYTES: usize = 4096;
/// A longer body is omitted, because a part of it would not be a valid body: bytes.
const MAX_BODY_BYTES: usize = 2 << 20;

/// The headers of a message among attributes by name: those whose names begin with `prefix`, as JSON: an object of lists of
/// values by name. Attributes of the same name are one header. Values beyond the bounds are dropped, and so are values that
/// are not text.
///
/// # Errors
/// For a value that is not protobuf, or a text that is not UTF-8.
pub(super) fn headers(attributes: &[(&str, Value<'_>)], prefix: &str) -> Result<Option<String>, Unreadable> {
    let mut kept: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut bytes = 0;
    let lines = attributes.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
    let lines = lines.flat_map(|(name, value)| value.texts().map(move |text| (name, text)));
    for (name, text) in lines.take(MAX_HEADERS) {
        let text = clip(text?, MAX_HEADER_VALUE_BYTES);
        bytes += name.len() + text.len();
        if bytes > MAX_HEADER_BYTES {
            break;
        }
        kept.entry(name.to_ascii_lowercase()).or_default().push(text);
    }
    let kept = Some(kept).filter(|kept| !kept.is_empty());
    Ok(kept.and_then(|kept| serde_json::to_string(&kept).ok()))
}

/// A body, as long as it is not too large.
pub(super) fn body(content: Value<'_>) -> Option<&str> {
    content.whole_text().filter(|body| body.len() <= MAX_BODY_BYTES)
}

/// Why the body with this content is absent.
pub(super) fn body_omitted<'a>(content: Value<'a>, omitted: Value<'a>) -> Option<&'a str> {
    match content.whole_text() {
        Some(body) => (body.len() > MAX_BODY_BYTES).then(|| OmissionReason::TooLarge.name()),
        None => omitted.label(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BODY_BYTES, MAX_HEADER_VALUE_BYTES, MAX_HEADERS, body, body_omitted, headers};
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, any_value::Value};
    use prost::Message;
    use serde_json::{Value as Json, json};

    fn text(text: &str) -> Value {
        Value::StringValue(text.to_owned())
    }

    fn list(values: Vec<Value>) -> Value {
        let values = values.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
        Value::ArrayValue(ArrayValue { values })
    }

    /// A name, and its value as it lies in a message.
    fn attribute(name: impl Into<String>, value: Value) -> (String, Vec<u8>) {
        (name.into(), AnyValue { value: Some(value) }.encode_to_vec())
    }

    fn read(attributes: &[(String, Vec<u8>)]) -> Json {
        let value = |bytes| super::Value::read(bytes).unwrap();
        let attributes: Vec<_> =
            attributes.iter().map(|(name, bytes)| (name.as_str(), value(bytes))).collect();
        let found = headers(&attributes, "h.").unwrap();
        found.map_or(Json::Null, |text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn headers_are_lists_of_texts() {
        let check = |attributes: &[(&str, Value)], expected: Json| {
            let attributes: Vec<_> =
                attributes.iter().map(|(key, value)| attribute(*key, value.clone())).collect();
            assert_eq!(read(&attributes), expected, "{attributes:?}");
        };
        check(&[], Json::Null);
        check(&[("h", text("v")), ("x.h.a", text("v"))], Json::Null);
        check(&[("h.a", text("v"))], json!({"a": ["v"]}));
        check(&[("h.a", text(""))], json!({"a": [""]}));
        check(&[("h.a", list(vec![text("1"), text("2"), text("1")]))], json!({"a": ["1", "2", "1"]}));
        check(&[("h.X-A", text("1")), ("h.x-a", list(vec![text("2")]))], json!({"x-a": ["1", "2"]}));
        check(&[("h.a", list(vec![]))], Json::Null);
        check(&[("h.a", Value::IntValue(7)), ("h.b", Value::BytesValue(vec![0xff]))], Json::Null);
        let mixed =
            list(vec![Value::IntValue(1), text("\u{0}\"é"), list(vec![text("in")]), Value::BoolValue(true)]);
        check(&[("h.a", mixed)], json!({"a": ["\u{0}\"é"]}));
    }

    #[test]
    fn headers_are_bounded() {
        let lines = |found: &Json| {
            let all = found.as_object().unwrap().values().map(|values| values.as_array().unwrap().len());
            all.sum::<usize>()
        };
        let many = read(&[attribute("h.a", list(vec![text("v"); 100_000]))]);
        assert_eq!(lines(&many), MAX_HEADERS);
        let names: Vec<_> = (0..1000).map(|i| attribute(format!("h.{i}"), text("v"))).collect();
        assert_eq!(lines(&read(&names)), MAX_HEADERS);
        let long = read(&[attribute("h.a", text(&"é".repeat(1 << 20)))]);
        assert_eq!(long["a"][0], "é".repeat(MAX_HEADER_VALUE_BYTES / 2));
        let wide = read(&[attribute("h.a", list(vec![text(&"v".repeat(4096)); 100]))]);
        assert_eq!(lines(&wide), 15, "sixteen of them and their names would be more than 64 KiB");
        assert_eq!(read(&[attribute(format!("h.{}", "n".repeat(1 << 20)), text("v"))]), Json::Null);
    }

    #[test]
    fn a_body_is_there_or_not() {
        use super::Value::{Array, Bool, Int, Other, Text};
        let check = |found: super::Value<'_>,
                     reason: super::Value<'_>,
                     content: Option<&str>,
                     omitted: Option<&str>| {
            assert_eq!((body(found), body_omitted(found, reason)), (content, omitted), "{reason:?}");
        };
        let largest = "x".repeat(MAX_BODY_BYTES);
        let larger = format!("{largest}x");
        check(Other, Other, None, None);
        check(Text(""), Other, Some(""), None);
        check(Text(&largest), Other, Some(&largest), None);
        check(Text(&larger), Other, None, Some("too_large"));
        check(Other, Text("grpc"), None, Some("grpc"));
        check(Text("{}"), Text("grpc"), Some("{}"), None);
        check(Int(1), Text("grpc"), None, Some("grpc"));
        check(Array(&[]), Bool(true), None, None);
    }
}
