//! Headers and bodies of a request, each within bounds of its own.

use super::attributes::{clip, text, whole_text};
use gatelens_model::OmissionReason;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use std::collections::BTreeMap;

/// Lines of headers kept of a message.
const MAX_HEADERS: usize = 200;
/// Bytes of names and values kept of a message.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// A longer value is cut.
const MAX_HEADER_VALUE_BYTES: usize = 4096;
/// A longer body is omitted, because a part of it would not be a valid body: bytes.
const MAX_BODY_BYTES: usize = 2 << 20;

/// The headers of a message, whose attributes' names begin with `prefix`, as JSON: an object of lists of values by
/// name. Attributes of the same name are one header. Values beyond the bounds are dropped, and so are values that are not text.
pub(super) fn headers(attributes: &[KeyValue], prefix: &str) -> Option<String> {
    let mut kept: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut bytes = 0;
    let lines = attributes.iter().filter_map(|attribute| {
        let name = attribute.key.strip_prefix(prefix).filter(|name| !name.is_empty())?;
        Some((name, attribute.value.as_ref()?.value.as_ref()?))
    });
    let lines = lines.flat_map(|(name, value)| texts(value).map(move |text| (name, text)));
    for (name, text) in lines.take(MAX_HEADERS) {
        let text = clip(text, MAX_HEADER_VALUE_BYTES);
        bytes += name.len() + text.len();
        if bytes > MAX_HEADER_BYTES {
            break;
        }
        kept.entry(name.to_ascii_lowercase()).or_default().push(text);
    }
    let kept = Some(kept).filter(|kept| !kept.is_empty())?;
    serde_json::to_string(&kept).ok()
}

/// A body, as long as it is not too large.
pub(super) fn body<'a>(attributes: &'a [KeyValue], content: &str) -> Option<&'a str> {
    whole_text(attributes, content).filter(|body| body.len() <= MAX_BODY_BYTES)
}

/// Why a body is absent.
pub(super) fn body_omitted<'a>(attributes: &'a [KeyValue], content: &str, omitted: &str) -> Option<&'a str> {
    match whole_text(attributes, content) {
        Some(body) => (body.len() > MAX_BODY_BYTES).then(|| OmissionReason::TooLarge.name()),
        None => text(attributes, omitted),
    }
}

/// The texts of a list; a text is a list of one.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Value::StringValue(text) => (Some(text.as_str()), &[][..]),
        Value::ArrayValue(array) => (None, array.values.as_slice()),
        _ => (None, &[][..]),
    };
    let many = many.iter().filter_map(|value| match &value.value {
        Some(Value::StringValue(text)) => Some(text.as_str()),
        _ => None,
    });
    one.into_iter().chain(many)
}

#[cfg(test)]
mod tests {
    use super::{MAX_BODY_BYTES, MAX_HEADER_VALUE_BYTES, MAX_HEADERS, body, body_omitted, headers};
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
    use serde_json::{Value as Json, json};

    fn text(text: &str) -> Value {
        Value::StringValue(text.to_owned())
    }

    fn list(values: Vec<Value>) -> Value {
        let values = values.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
        Value::ArrayValue(ArrayValue { values })
    }

    fn attribute(key: impl Into<String>, value: Value) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    }

    fn read(attributes: &[KeyValue]) -> Json {
        headers(attributes, "h.").map_or(Json::Null, |text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn headers_are_lists_of_texts() {
        let check = |attributes: &[(&str, Value)], expected: Json| {
            let attributes: Vec<_> =
                attributes.iter().map(|(key, value)| attribute(*key, value.clone())).collect();
            assert_eq!(read(&attributes), expected, "{attributes:?}");
        };
        check(&[], Json::Null);
        check(&[("h", text("v")), ("h.", text("v")), ("x.h.a", text("v"))], Json::Null);
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
        let check = |attributes: &[(&str, Value)], content: Option<&str>, omitted: Option<&str>| {
            let attributes: Vec<_> =
                attributes.iter().map(|(key, value)| attribute(*key, value.clone())).collect();
            let found = (body(&attributes, "content"), body_omitted(&attributes, "content", "omitted"));
            assert_eq!(found, (content, omitted));
        };
        let largest = "x".repeat(MAX_BODY_BYTES);
        check(&[], None, None);
        check(&[("content", text(""))], Some(""), None);
        check(&[("content", text(&largest))], Some(&largest), None);
        check(&[("content", text(&format!("{largest}x")))], None, Some("too_large"));
        check(&[("omitted", text("grpc"))], None, Some("grpc"));
        check(&[("omitted", text("grpc")), ("content", text("{}"))], Some("{}"), None);
        check(&[("content", Value::IntValue(1)), ("omitted", text("grpc"))], None, Some("grpc"));
        check(&[("content", list(vec![text("{}")])), ("omitted", Value::BoolValue(true))], None, None);
    }
}
