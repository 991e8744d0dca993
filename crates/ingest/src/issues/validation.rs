//! The fields that a response refuses: what FastAPI and Pydantic, Zod, Express-validator, class-validator, ASP.NET, Laravel,
//! Rails, Django, Spring, JSON:API and problem details write into the body of a 400 or 422. Only the path to a field, a type and
//! a message without values are kept.

use super::reason::member;
use super::text::{class, normalise, segment};
use serde_json::{Map, Value};

/// Errors of fields of one body.
pub(super) const MAX_FIELDS: usize = 50;
/// Characters of the path to a field.
pub(super) const MAX_FIELD_CHARS: usize = 120;
/// Segments of the path to a field.
const MAX_SEGMENTS: usize = 12;

/// A field that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FieldError {
    /// Such as `body.items[].name`; empty where only a message is known.
    pub(super) field: String,
    /// Such as `string_too_short`; empty without.
    pub(super) kind: String,
    pub(super) message: String,
}

/// Members that hold a list of errors, or an object of errors by field.
const HOLDERS: [&str; 10] = [
    "errors",
    "issues",
    "detail",
    "details",
    "invalidparams",
    "violations",
    "fielderrors",
    "validationerrors",
    "error",
    "message",
];

/// The fields that a body names as refused, each once; none where it is no such body.
pub(super) fn fields(root: &Value) -> Vec<FieldError> {
    let mut found = Vec::new();
    read(root, &mut found, 0);
    found.sort();
    found.dedup();
    found
}

/// Reads a holder of errors, or an object with such a member.
fn read(value: &Value, found: &mut Vec<FieldError>, depth: usize) {
    const MAX_DEPTH: usize = 3;
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Array(list) => read_list(list, found),
        Value::Object(object) => {
            for holder in HOLDERS.iter().filter_map(|name| member(object, name)) {
                match holder {
                    Value::Object(by_field) => {
                        read(holder, found, depth + 1);
                        if found.is_empty() {
                            read_by_field(by_field, found);
                        }
                    }
                    Value::Array(list) => read_list(list, found),
                    _ => continue,
                }
                if !found.is_empty() {
                    return;
                }
            }
            // Rails and Django write the fields into the root.
            if depth == 0 && !object.is_empty() && object.values().all(is_messages) {
                read_by_field(object, found);
            }
        }
        _ => {}
    }
}

fn read_list(list: &[Value], found: &mut Vec<FieldError>) {
    for item in list.iter().take(MAX_FIELDS) {
        match item {
            Value::Object(item) => read_item(item, found),
            // Nested lists, as class-validator has them under `message`.
            Value::String(text) if list.iter().all(Value::is_string) => {
                put(found, FieldError { message: normalise(text), ..FieldError::default() });
            }
            _ => {}
        }
    }
}

/// One error of a list: its field under one of many names, else it is none of a field.
fn read_item(item: &Map<String, Value>, found: &mut Vec<FieldError>) {
    let of_source = || match member(item, "source")? {
        Value::Object(source) => member(source, "pointer").or_else(|| member(source, "parameter")),
        _ => None,
    };
    let names = [
        "loc",
        "path",
        "field",
        "param",
        "property",
        "propertypath",
        "instancepath",
        "pointer",
        "name",
        "key",
    ];
    let place = names.iter().find_map(|name| member(item, name).filter(|place| is_place(place)));
    let Some(field) = place.or_else(of_source).and_then(path) else { return };
    let text = |names: &[&str]| names.iter().find_map(|name| member(item, name)?.as_str());
    let kind = text(&["code", "type", "keyword", "constraint", "rule"]).and_then(class).unwrap_or_default();
    if let Some(Value::Object(constraints)) = member(item, "constraints") {
        // class-validator: a message by the name of each constraint.
        for (name, message) in constraints.iter().take(MAX_FIELDS) {
            let message = normalise(message.as_str().unwrap_or_default());
            put(found, FieldError { field: field.clone(), kind: class(name).unwrap_or_default(), message });
        }
        return;
    }
    let message = text(&["msg", "message", "defaultmessage", "reason", "detail", "title"]).map(normalise);
    put(found, FieldError { field, kind, message: message.unwrap_or_default() });
}

/// An object of messages by field.
fn read_by_field(by_field: &Map<String, Value>, found: &mut Vec<FieldError>) {
    for (name, messages) in by_field.iter().take(MAX_FIELDS) {
        let Some(field) = path(&Value::String(name.clone())) else { continue };
        let mut add = |kind: String, message: &str| {
            put(found, FieldError { field: field.clone(), kind, message: normalise(message) });
        };
        match messages {
            Value::Array(list) => {
                list.iter().filter_map(Value::as_str).take(3).for_each(|text| add(String::new(), text))
            }
            // As Mongoose has it.
            Value::Object(error) => {
                let kind = member(error, "kind").or_else(|| member(error, "code")).and_then(Value::as_str);
                if let Some(message) = member(error, "message").and_then(Value::as_str) {
                    add(kind.and_then(class).unwrap_or_default(), message);
                }
            }
            _ => {}
        }
    }
}

fn put(found: &mut Vec<FieldError>, error: FieldError) {
    if found.len() < MAX_FIELDS && error != FieldError::default() {
        found.push(error);
    }
}

/// Whether a value is a list of messages.
fn is_messages(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string))
}

fn is_place(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => {
            !list.is_empty() && list.iter().all(|part| part.is_string() || part.is_number())
        }
        _ => false,
    }
}

/// The path to a field in one notation, whether it is a list, a JSON pointer, or text with dots and brackets.
fn path(place: &Value) -> Option<String> {
    let mut field = String::new();
    let mut segments = 0;
    let mut add = |name: &str| {
        segments += 1;
        if segments > MAX_SEGMENTS || name.is_empty() || name == "$" || name == "#" {
            return;
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) || name == "*" {
            field.push_str("[]");
            return;
        }
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(&segment(name));
    };
    match place {
        Value::Array(list) => list.iter().for_each(|part| match part {
            Value::String(name) => add(name),
            _ => add("0"),
        }),
        Value::String(text) if text.contains('@') => add(text),
        Value::String(text) => text.split(['/', '.', '[', ']']).for_each(add),
        _ => return None,
    }
    let field: String = field.chars().take(MAX_FIELD_CHARS).collect();
    (!field.is_empty()).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(body: &Value, expected: &[(&str, &str, &str)]) {
        let found = fields(body);
        let found: Vec<_> =
            found.iter().map(|error| (&*error.field, &*error.kind, &*error.message)).collect();
        assert_eq!(found, expected, "{body:#}");
    }

    #[test]
    fn the_bodies_of_frameworks_name_fields() {
        // FastAPI and Pydantic.
        check(
            &json!({"detail": [
                {"type": "missing", "loc": ["body", "items", 3, "name"], "msg": "Field required", "input": {"secret": 1}},
                {"type": "missing", "loc": ["body", "items", 7, "name"], "msg": "Field required", "input": {}},
                {"type": "int_parsing", "loc": ["query", "limit"], "msg": "Input should be a valid integer", "input": "x"},
            ]}),
            &[
                ("body.items[].name", "missing", "Field required"),
                ("query.limit", "int_parsing", "Input should be a valid integer"),
            ],
        );
        // Zod, bare and inside an error.
        let zod = json!([{"code": "too_small", "minimum": 1, "path": ["user", "age"], "message": "Expected at least 18"}]);
        let of_zod = [("user.age", "too_small", "Expected at least {number}")];
        check(&zod, &of_zod);
        check(&json!({"issues": zod, "name": "ZodError"}), &of_zod);
        check(&json!({"success": false, "error": {"issues": zod, "name": "ZodError"}}), &of_zod);
        // Problem details.
        check(
            &json!({"type": "about:blank", "title": "Bad", "invalid-params": [{"name": "age", "reason": "must be positive"}]}),
            &[("age", "", "must be positive")],
        );
        check(
            &json!({"title": "Bad", "errors": [{"detail": "must be positive", "pointer": "#/items/0/age"}]}),
            &[("items[].age", "", "must be positive")],
        );
        // Express-validator, of both major versions.
        check(
            &json!({"errors": [{"type": "field", "value": "me", "msg": "Invalid value", "path": "email", "location": "body"}]}),
            &[("email", "field", "Invalid value")],
        );
        check(
            &json!({"errors": [{"value": "me", "msg": "Invalid value", "param": "email"}]}),
            &[("email", "", "Invalid value")],
        );
        // ASP.NET and Laravel.
        check(
            &json!({"title": "One or more validation errors occurred.", "status": 400,
                    "errors": {"$.lines[0].count": ["not a number"], "Name": ["The Name field is required."]}}),
            &[("Name", "", "The Name field is required."), ("lines[].count", "", "not a number")],
        );
        // Rails and Django.
        check(&json!({"name": ["can't be blank"]}), &[("name", "", "can't be blank")]);
        check(&json!({"errors": ["Name can't be blank"]}), &[("", "", "Name can't be blank")]);
        // Spring.
        check(
            &json!({"status": 400, "errors": [{"objectName": "order", "field": "lines[2].sku", "rejectedValue": "secret",
                    "defaultMessage": "must not be blank", "code": "NotBlank"}]}),
            &[("lines[].sku", "NotBlank", "must not be blank")],
        );
        // JSON:API.
        check(
            &json!({"errors": [{"status": "422", "source": {"pointer": "/data/attributes/name"}, "title": "Too short"}]}),
            &[("data.attributes.name", "", "Too short")],
        );
        // class-validator.
        check(
            &json!({"message": [{"property": "age", "constraints": {"min": "age must not be less than 18"}}], "statusCode": 400}),
            &[("age", "min", "age must not be less than {number}")],
        );
    }

    #[test]
    fn other_bodies_name_none() {
        for other in [
            json!({}),
            json!({"message": "boom"}),
            json!({"error": {"code": 7, "message": "boom"}}),
            json!({"errors": [{"message": "Cannot query field"}]}),
            json!({"data": {"name": "x"}, "list": [1]}),
            json!([1, 2]),
            json!("x"),
        ] {
            check(&other, &[]);
        }
    }

    #[test]
    fn a_field_that_a_client_chose_gives_no_value_away() {
        check(
            &json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "jane.doe@example.com"], "msg": "Extra inputs"}]}),
            &[("body.{email}", "extra_forbidden", "Extra inputs")],
        );
        check(
            &json!({"errors": {"4111111111111111": ["bad"], "k-4111111111111111": ["bad"]}}),
            &[("[]", "", "bad"), ("k-{number}", "", "bad")],
        );
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let many: Vec<Value> =
            (0..500).map(|i| json!({"loc": ["body", format!("f{}", "x".repeat(i))], "msg": "m"})).collect();
        assert_eq!(fields(&json!({"detail": many})).len(), MAX_FIELDS);
    }
}
