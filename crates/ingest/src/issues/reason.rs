//! The reason of an error, out of the body of its response: problem details (RFC 9457), `{"error": …}`, `{"message": …}` and
//! what frameworks write. The body is redacted already; values go from what is left of it.

use super::text::{class, normalise};
use super::validation::{self, FieldError};
use serde_json::{Map, Value};

/// A longer body is not read: bytes.
pub(super) const MAX_BODY_BYTES: usize = 64 << 10;
/// Members of an object that are looked at.
const MAX_MEMBERS: usize = 100;

/// Whether the fields that a body names as refused matter: those of a 400 or 422 do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fields {
    Wanted,
    Ignored,
}

/// Why a request failed, as far as its response names a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reason {
    /// A type, an exception or a code; empty where none is named.
    pub(super) class: String,
    /// A normalised text; empty where there is none.
    pub(super) message: String,
    /// The fields that were refused.
    pub(super) fields: Vec<FieldError>,
}

/// Reads a body.
pub(super) fn read(body: &str, fields: Fields) -> Reason {
    let body = body.trim();
    if body.is_empty() || body.len() > MAX_BODY_BYTES {
        return Reason::default();
    }
    if body.starts_with(['{', '[']) {
        return serde_json::from_str(body).map(|root: Value| of_json(&root, fields)).unwrap_or_default();
    }
    if body.starts_with('<') {
        return Reason { message: of_markup(body).map(normalise).unwrap_or_default(), ..Reason::default() };
    }
    // A JSON text that is only a string, or plain text, of which the first line matters.
    let text = serde_json::from_str::<String>(body).unwrap_or_else(|_| body.to_owned());
    Reason { message: normalise(text.lines().next().unwrap_or_default()), ..Reason::default() }
}

/// Reads an error that an application reported in a header: a class, a text, or `Class: text`.
pub(super) fn reported(text: &str) -> Reason {
    let (head, rest) = text.split_once(": ").unwrap_or((text, ""));
    // Go writes the type of a pointer with a star.
    match class(head.trim_start_matches('*')) {
        Some(class) => Reason { class, message: normalise(rest), fields: Vec::new() },
        None => Reason { message: normalise(text), ..Reason::default() },
    }
}

/// The value of a member whatever its spelling: `ExceptionType` is `exception_type`.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let same = |key: &str| {
        let letters =
            key.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).map(|byte| byte.to_ascii_lowercase());
        letters.eq(name.bytes())
    };
    object.iter().take(MAX_MEMBERS).find(|(key, _)| same(key)).map(|(_, value)| value)
}

fn of_json(root: &Value, fields: Fields) -> Reason {
    let fields = match fields {
        Fields::Wanted => validation::fields(root),
        Fields::Ignored => Vec::new(),
    };
    let first = match root {
        Value::Array(list) => list.first(),
        root => Some(root),
    };
    let Some(Value::Object(root)) = first else { return Reason { fields, ..Reason::default() } };
    let inner =
        ["error", "errors", "exception", "fault"].into_iter().filter_map(|name| match member(root, name)? {
            Value::Object(inner) => Some(inner),
            Value::Array(list) => list.first()?.as_object(),
            _ => None,
        });
    let mut objects: Vec<&Map<String, Value>> = inner.collect();
    // Problem details have their own members first, and errors of fields below them.
    if fields.is_empty() {
        objects.push(root)
    } else {
        objects = vec![root]
    }
    let text = |names: &[&str]| {
        let texts =
            objects.iter().flat_map(|object| names.iter().filter_map(|name| member(object, name)?.as_str()));
        texts.map(str::trim).find(|text| !text.is_empty()).map(str::to_owned)
    };
    let exception = text(&["exception", "exceptiontype", "exceptionclass", "errorclass", "errortype"]);
    let (exception, inspected) = match exception.as_deref().and_then(|text| text.strip_prefix("#<")) {
        // An exception as Ruby inspects it: `#<NoMethodError: undefined method …>`.
        Some(inspected) => {
            let (name, rest) = inspected.split_once(':').unwrap_or((inspected, ""));
            (Some(name.trim_end_matches('>').to_owned()), Some(rest.trim_end_matches('>').to_owned()))
        }
        None => (exception, None),
    };
    let named = |names: &[&str]| {
        let texts =
            objects.iter().flat_map(|object| names.iter().filter_map(|name| member(object, name)?.as_str()));
        texts.filter_map(class).next()
    };
    let class = exception
        .as_deref()
        .and_then(class)
        .or_else(|| named(&["type", "class", "code", "errorcode", "name", "reason", "status"]));
    let title = text(&["title"]);
    let detail = inspected.filter(|text| !text.is_empty()).or_else(|| {
        text(&[
            "detail",
            "message",
            "msg",
            "errordescription",
            "errormessage",
            "exceptionmessage",
            "description",
            "error",
        ])
    });
    let first = || match member(root, "errors")? {
        Value::Array(list) => list.first()?.as_str().map(str::to_owned),
        _ => None,
    };
    let detail = detail.or_else(first);
    let message = match (title, detail) {
        (Some(title), Some(detail)) if title != detail => format!("{title}: {detail}"),
        (title, detail) => title.or(detail).unwrap_or_default(),
    };
    Reason { class: class.unwrap_or_default(), message: normalise(&message), fields }
}

/// The title or the first heading of a page.
fn of_markup(body: &str) -> Option<&str> {
    ["title", "h1"].into_iter().find_map(|name| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        rest.split_once('<').map(|(text, _)| text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(body: &str, class: &str, message: &str) {
        let found = read(body, Fields::Ignored);
        assert_eq!((&*found.class, &*found.message), (class, message), "{body}");
    }

    #[test]
    fn the_bodies_of_frameworks_name_a_reason() {
        check(
            r#"{"type":"https://example.com/probs/out-of-credit","title":"You do not have enough credit.","status":403,"detail":"Your balance is 30, but that costs 50."}"#,
            "https://example.com/probs/out-of-credit",
            "You do not have enough credit.: Your balance is {number}, but that costs {number}.",
        );
        check(r#"{"type":"about:blank","title":"Internal Server Error"}"#, "", "Internal Server Error");
        check(r#"{"error": "db timeout after 30 s"}"#, "", "db timeout after {number} s");
        check(r#"{"error":{"code":"E_DB","message":"row 7 is locked"}}"#, "E_DB", "row {number} is locked");
        check(r#"{"message":"boom"}"#, "", "boom");
        check(
            r#"{"timestamp":"2026-01-02","status":500,"error":"Internal Server Error","exception":"java.lang.IllegalStateException","message":"order 7","path":"/a"}"#,
            "java.lang.IllegalStateException",
            "order {number}",
        );
        check(
            r##"{"status":500,"error":"Internal Server Error","exception":"#<NoMethodError: undefined method 'x' for nil>"}"##,
            "NoMethodError",
            "undefined method {quoted} for nil",
        );
        check(
            r#"{"Message":"An error has occurred.","ExceptionMessage":"no 4","ExceptionType":"System.Exception"}"#,
            "System.Exception",
            "An error has occurred.",
        );
        check(r#"{"detail":"Not found"}"#, "", "Not found");
        check(
            r#"{"errors":[{"message":"Cannot query 'a'","extensions":{}}],"data":null}"#,
            "",
            "Cannot query {quoted}",
        );
        check("upstream connect error\nmore", "", "upstream connect error");
        check("\"a text\"", "", "a text");
        check("<html><head><title>502 Bad Gateway</title></head></html>", "", "{number} Bad Gateway");
        check(r#"{"errors":["row 7 is locked"]}"#, "", "row {number} is locked");
        check("[CLIENT_REDACTED]", "", "");
        for nothing in ["", "{}", "[]", "{\"a\":", "[1]", "<p>x</p>", "{\"message\": 7}", "[[[[]]]]"] {
            check(nothing, "", "");
        }
    }

    #[test]
    fn an_application_reports_a_class_and_a_text() {
        let check = |text: &str, class: &str, message: &str| {
            let found = reported(text);
            assert_eq!((&*found.class, &*found.message), (class, message), "{text}");
        };
        check("KeyError: 'card'", "KeyError", "{quoted}");
        check("PaymentDeclined", "PaymentDeclined", "");
        check("*errors.errorString: boom", "errors.errorString", "boom");
        check("no stock of 7", "", "no stock of {number}");
        check("payment 12: declined", "", "payment {number}: declined");
    }

    #[test]
    fn a_body_that_is_too_large_or_too_deep_has_no_reason() {
        let large = format!("{{\"message\": \"{}\"}}", "x".repeat(MAX_BODY_BYTES));
        assert_eq!(read(&large, Fields::Wanted), Reason::default());
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(read(&deep, Fields::Wanted), Reason::default());
        let nested = "{\"error\":".repeat(100) + "1" + &"}".repeat(100);
        assert_eq!(read(&nested, Fields::Wanted), Reason::default());
    }

    proptest! {
        #[test]
        fn hostile_bodies_give_bounded_reasons(
            name in "(error|errors|detail|issues|message|type|title|exception|loc|path|violations|.{0,9})",
            inner in any::<String>(),
            list in prop::collection::vec(any::<String>(), 0..80),
            depth in 0_usize..6,
        ) {
            let mut value = serde_json::json!({"loc": list, "path": inner, "msg": inner, "field": inner, "x": [inner, list]});
            for _ in 0..depth {
                value = serde_json::json!({name.clone(): [value.clone(), value]});
            }
            for body in [value.to_string(), inner.clone(), format!("{{{inner}"), format!("[{inner}]")] {
                let Reason { class, message, fields } = read(&body, Fields::Wanted);
                prop_assert!(class.chars().count() <= 128 && message.chars().count() <= 200);
                prop_assert!(fields.len() <= validation::MAX_FIELDS);
                for FieldError { field, kind, message } in fields {
                    prop_assert!(field.chars().count() <= validation::MAX_FIELD_CHARS);
                    prop_assert!(kind.chars().count() <= 128 && message.chars().count() <= 200);
                }
            }
        }
    }
}
