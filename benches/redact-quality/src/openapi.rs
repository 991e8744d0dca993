//! Reads the fields of the schemas of an OpenAPI document.

use serde_json::Value;

use crate::field::{Kind, Type, Types};

/// Adds all objects of a document.
pub(crate) fn read(document: &Value, types: &mut Types) {
    let mut stack = vec![("body".to_owned(), document)];
    while let Some((name, value)) = stack.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::Object(properties)) = members.get("properties") {
                    let fields = properties.iter().map(|(field, schema)| {
                        let (kind, list) = of(&name, field, schema);
                        (field.clone(), kind, list)
                    });
                    types.objects.entry(name.clone()).or_default().extend(fields.collect::<Vec<_>>());
                    stack
                        .extend(properties.iter().map(|(field, schema)| (format!("{name}.{field}"), schema)));
                }
                let others = members.iter().filter(|(key, _)| *key != "properties");
                stack.extend(others.map(|(key, value)| match &**key {
                    // The same object in another form.
                    "items" | "oneOf" | "anyOf" | "allOf" => (name.clone(), value),
                    key => (key.to_owned(), value),
                }));
            }
            Value::Array(values) => stack.extend(values.iter().map(|value| (name.clone(), value))),
            _ => {}
        }
    }
}

fn of(object: &str, field: &str, schema: &Value) -> (Type, bool) {
    let one = schema.get("items").unwrap_or(schema);
    let list = schema.get("items").is_some();
    if let Some(reference) = one.get("$ref").and_then(Value::as_str) {
        return (Type::Named(reference.rsplit('/').next().unwrap_or(reference).to_owned()), list);
    }
    let kind = match one.get("type").and_then(Value::as_str) {
        _ if one.get("enum").is_some() => Kind::Enumeration,
        Some("integer" | "number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        Some("string") => Kind::Text,
        _ if one.get("properties").is_some() => return (Type::Named(format!("{object}.{field}")), list),
        Some("object") => Kind::Object,
        _ => Kind::Text,
    };
    (Type::Known(kind), list)
}
