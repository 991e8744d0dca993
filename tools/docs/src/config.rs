//! `docs/config.md` and `docs/config.schema.json`, from the types of the configuration.

use std::fmt::Write;

use crate::examples;
use gatelens_core::config::Config;
use serde_json::{Map, Value, json};

const HEAD: &str = "\
# The plugin's configuration

The filter and the access logger read the same JSON: as the `configuration` of Envoy's plugin entry, as the `pluginConfig`
of Istio's WasmPlugin, as `config` of Envoy Gateway's EnvoyExtensionPolicy. The smallest is

```json
{\"version\": 1, \"ingest\": {\"cluster\": \"gatelens_ingest\"}}
```

Unknown keys are refused. The error names the place and the nearest known key. Envoy refuses to start; an xDS update is rejected and the previous configuration stays active.
`gatelens check FILE…` finds such errors in advance, in the JSON alone and in the YAML around it. Editors can validate
against [config.schema.json](config.schema.json).

<!-- Written by `make docs` from the types in crates/config/src/lib.rs. -->
";

/// The JSON Schema of the configuration.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    schema["title"] = json!("The configuration of the gatelens plugin");
    // The schema describes JSON; the width of a Rust integer does not belong in it.
    strip(&mut schema);
    examples::add(&mut schema);
    schema
}

/// The reference for readers.
pub(crate) fn page(schema: &Value) -> String {
    HEAD.to_owned() + &sections(schema)
}

/// The keys of a schema: a table of those at the top that are values, and one for each section.
pub(crate) fn sections(schema: &Value) -> String {
    let mut page = String::new();
    let (sections, values): (Vec<_>, Vec<_>) =
        rows(schema, schema, "").into_iter().partition(|(_, property)| property.get("properties").is_some());
    page.push_str("\n## At the top\n\n");
    table(schema, &values, &mut page);
    for (name, section) in sections {
        let _ = write!(page, "\n## `{name}`\n\n{}\n\n", meaning(&section));
        let keys = rows(schema, &section, &format!("{name}."));
        table(schema, &keys, &mut page);
        for (path, property) in &keys {
            let parts = [
                ("An element of", resolved(schema, &property["items"])),
                ("An entry of", resolved(schema, &property["additionalProperties"])),
                ("The keys of", property.as_object().cloned().unwrap_or_default()),
            ];
            for (title, part) in parts {
                let element = Value::Object(part);
                if element.get("properties").is_none() {
                    continue;
                }
                let _ = write!(page, "\n{title} `{path}`:\n\n");
                table(schema, &rows(schema, &element, ""), &mut page);
            }
        }
    }
    page
}

/// The keys of an object with their schemas, which have `required` here.
fn rows(root: &Value, object: &Value, prefix: &str) -> Vec<(String, Value)> {
    let is_required = |key: &str| object["required"].as_array().into_iter().flatten().any(|one| one == key);
    let row = |(key, property): (&String, &Value)| {
        let mut property = resolved(root, property);
        // A section keeps its own list of keys.
        if !property.contains_key("properties") {
            property.insert("required".to_owned(), json!(is_required(key)));
        }
        (format!("{prefix}{key}"), Value::Object(property))
    };
    members(object).map(row).collect()
}

fn table(root: &Value, rows: &[(String, Value)], page: &mut String) {
    page.push_str("| key | value | default | example | meaning |\n|---|---|---|---|---|\n");
    for (name, property) in rows {
        let (value, default) = (value_of(root, property), default_of(property));
        let example = property["examples"].get(0).map(|example| format!("`{example}`")).unwrap_or_default();
        let _ = writeln!(page, "| `{name}` | {value} | {default} | {example} | {} |", meaning(property));
    }
}

/// What may be written: the type with its bounds, or the words to choose from.
fn value_of(root: &Value, property: &Value) -> String {
    if let Some(words) = words_of(property) {
        return words;
    }
    let kind = match &property["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "integer" => match (property["minimum"].as_u64(), property["maximum"].as_u64()) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (Some(least), Some(most)) => format!("{} to {}", grouped(least), grouped(most)),
            _ => "integer".to_owned(),
        },
        "string" => text_of(property),
        "boolean" => "`true`, `false`".to_owned(),
        "object" => match property["maxProperties"].as_u64() {
            Some(most) => {
                let names = property["propertyNames"]["pattern"].as_str().unwrap_or(".*");
                let values = &property["additionalProperties"];
                if values.get("$ref").is_some() {
                    return format!("object, at most {} keys with objects", grouped(most));
                }
                let value = text_of(values);
                format!("object, at most {} keys `{names}` with {value}", grouped(most))
            }
            None => "object".to_owned(),
        },
        "array" => {
            let element = Value::Object(resolved(root, &property["items"]));
            let of = match (words_of(&element), element["type"].as_str()) {
                (Some(words), _) => return format!("list of {words}"),
                (_, Some("string")) => "texts",
                (_, Some("number")) => "numbers",
                _ => "objects",
            };
            let of = match (element["minimum"].as_f64(), element["maximum"].as_f64()) {
                (Some(least), Some(most)) => format!("{of} from {least} to {most}"),
                _ => of.to_owned(),
            };
            match property["maxItems"].as_u64() {
                Some(most) => format!("at most {} {of}", grouped(most)),
                None => of,
            }
        }
        other => other.to_owned(),
    }
}

/// A text with its bounds.
fn text_of(property: &Value) -> String {
    if let Some(pattern) = property["pattern"].as_str() {
        return format!("text, `{pattern}`");
    }
    match (property["minLength"].as_u64(), property["maxLength"].as_u64()) {
        (Some(least), Some(most)) => format!("text, {} to {} characters", grouped(least), grouped(most)),
        (None, Some(most)) => format!("text, at most {} characters", grouped(most)),
        _ => "text".to_owned(),
    }
}

/// The words to choose from, if there are any.
fn words_of(property: &Value) -> Option<String> {
    let words: Vec<String> = property["oneOf"]
        .as_array()
        .into_iter()
        .chain(property["enum"].as_array())
        .flatten()
        .filter_map(|choice| choice["const"].as_str().or_else(|| choice.as_str()))
        .map(|word| format!("`{word}`"))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn default_of(property: &Value) -> String {
    match property.get("default") {
        None if property["required"] == true => "required".to_owned(),
        None => String::new(),
        Some(Value::Null) => String::new(),
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(Value::Object(map)) if map.is_empty() => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "none".to_owned(),
        Some(Value::Number(number)) if number.is_u64() => grouped(number.as_u64().unwrap_or_default()),
        Some(default) => format!("`{default}`"),
    }
}

/// A description without what the other columns say.
fn meaning(property: &Value) -> String {
    let text = property["description"].as_str().unwrap_or_default();
    let sentences: Vec<&str> = text.split_inclusive(". ").map(str::trim_end).collect();
    let told = |sentence: &&str| !sentence.starts_with("Default ") || sentence.contains(':');
    sentences.into_iter().filter(told).collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A number with its thousands apart; JSON itself is written without.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The keys of an object's schema.
fn members(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

pub(crate) fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, inner| {
                !(key == "format"
                    && inner.as_str().is_some_and(|text| matches!(text, "uint32" | "double" | "float")))
            });
            // Descriptions are wrapped where the source is.
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The schema that a reference points to, merged with the text beside the reference.
fn resolved(root: &Value, schema: &Value) -> Map<String, Value> {
    let mut merged = Map::new();
    // An option that may be absent is either of its type or null.
    let schema_or_null = schema["anyOf"].as_array().and_then(|either| either.first());
    let referred = schema_or_null.unwrap_or(schema)["$ref"]
        .as_str()
        .and_then(|reference| root.pointer(reference.trim_start_matches('#')));
    for part in [referred, Some(schema)].into_iter().flatten() {
        merged.extend(part.as_object().cloned().unwrap_or_default());
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatelens_core::config::Scrape;
    use gatelens_core::host::PluginIdentity;
    use gatelens_core::plan::Plan;

    #[test]
    fn every_key_is_explained() {
        let schema = schema();
        each_property(&schema, &schema, "", &mut |path, property| {
            let described = property["description"].as_str().is_some_and(|text| text.ends_with(['.', '`']));
            assert!(described, "{path}: {property}");
        });
    }

    #[test]
    fn the_bounds_are_those_of_the_filter() {
        let schema = schema();
        let mut checked = 0;
        each_property(&schema, &schema, "", &mut |path, property| {
            // The version has one legal value, so its lower and upper bound are the same.
            let accepts = |value: i64| {
                let mut config =
                    json!({"version": 1, "ingest": {"cluster": "a"}, "limits": {"queue_bytes": 67_108_864}});
                // A batch has to fit into the queue.
                if path == "limits.queue_bytes" {
                    config["limits"]["batch_bytes"] = json!(4_096);
                }
                let pointer = path.split('.').collect::<Vec<_>>();
                let mut at = &mut config;
                for key in pointer {
                    at = at.as_object_mut().unwrap().entry(key).or_insert(json!({}));
                }
                *at = json!(value);
                Plan::read(&config.to_string(), &PluginIdentity::default()).is_ok()
            };
            if let (Some(least), Some(most)) = (property["minimum"].as_i64(), property["maximum"].as_i64()) {
                assert!(accepts(least) && accepts(most), "{path}: {property}");
                assert!(!accepts(least - 1) && !accepts(most + 1), "{path}: {property}");
                checked += 1;
            }
        });
        assert!(checked >= 9, "{checked}");
    }

    #[test]
    fn the_defaults_are_those_of_the_filter() {
        let schema = schema();
        let smallest = json!({"version": 1, "ingest": {"cluster": "a"}});
        let read = Config::parse(&smallest.to_string()).unwrap();
        // The one section that is not the same empty as absent.
        let endpoint = Config { scrape: Some(Scrape::default()), ..read.clone() };
        each_property(&schema, &schema, "", &mut |path, property| {
            let Some(default) = property.get("default").filter(|default| !default.is_null()) else { return };
            let mut config = smallest.clone();
            let mut at = &mut config;
            for key in path.split('.') {
                at = at.as_object_mut().unwrap().entry(key).or_insert(json!({}));
            }
            *at = default.clone();
            let expected = if path.starts_with("scrape.") { &endpoint } else { &read };
            assert_eq!(Config::parse(&config.to_string()).unwrap(), *expected, "{path}: {default}");
        });
    }

    /// Visits every key of the configuration with its path; those of a list's elements come after `[]`.
    fn each_property(root: &Value, schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
        let Some(properties) = schema["properties"].as_object() else { return };
        for (name, property) in properties {
            let property = Value::Object(resolved(root, property));
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            visit(&path, &property);
            if !path.contains("[]") {
                each_property(root, &property, &path, visit);
            }
        }
    }
}
