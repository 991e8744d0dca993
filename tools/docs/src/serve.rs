//! `docs/serve.md` and `docs/serve.schema.json`, from the options of the service.

use crate::config;
use gatelens_ingest::config::Options;
use serde_json::{Value, json};

const HEAD: &str = "\
# The configuration of the service

`gatelens serve --config FILE` reads options from a file in YAML, of which JSON is a subset:

```yaml
listen: 0.0.0.0:4318
data: /var/lib/gatelens
sender_tokens: /etc/gatelens/sender-tokens.yaml
users: /etc/gatelens/users.yaml
keep_requests: 7
log_format: json
```

Every flag of `gatelens serve` is a key with the same name, with `_` in place of `-`: `--keep-requests` is `keep_requests`. A
flag wins over the file. Relative paths begin at the working directory, as in a flag. Sections are keys without a flag, except
that `--oidc FILE` names a file with the keys of the section `oidc`.

Unknown keys are refused. The error names the place and the nearest known key. `gatelens check FILE` finds such errors in
advance, and warns if others can read a file of secrets, such as `users` or `tls_key`. Editors can validate against
[serve.schema.json](serve.schema.json).

<!-- Written by `make docs` from the types in crates/ingest/src/config.rs. -->
";

/// The JSON Schema of the options.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Options).to_value();
    schema["title"] = json!("The options of gatelens serve");
    config::strip(&mut schema);
    schema
}

/// The reference for readers.
pub(crate) fn page(schema: &Value) -> String {
    HEAD.to_owned() + &config::sections(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained_and_its_default_and_examples_are_accepted() {
        let schema = schema();
        let properties = schema["properties"].as_object().unwrap();
        let mut known = Options::KEYS.to_vec();
        known.sort_unstable();
        assert_eq!(properties.keys().collect::<Vec<_>>(), known);
        for (key, property) in properties {
            assert!(property["description"].as_str().is_some_and(|text| text.ends_with(['.', '`'])), "{key}");
            let examples = property["examples"].as_array().into_iter().flatten();
            for value in examples.chain(property.get("default").filter(|default| !default.is_null())) {
                let mut options = json!({});
                options[key] = value.clone();
                let read = Options::parse(&options.to_string());
                assert!(read.as_ref().is_ok_and(|read| *read != Options::default()), "{options}: {read:?}");
            }
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_service() {
        let schema = schema();
        let mut defaults = json!({"data": "x"});
        for (key, property) in schema["properties"].as_object().unwrap() {
            if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
                defaults[key] = default.clone();
            }
        }
        let settled = |text: &str| format!("{:?}", Options::parse(text).unwrap().settle().unwrap());
        assert_eq!(settled(&defaults.to_string()), settled(r#"{"data": "x"}"#));
        let read = Options::parse(&defaults.to_string()).unwrap();
        assert_eq!(
            (read.log_format(), read.log_level()),
            (Options::default().log_format(), Options::default().log_level())
        );
    }
}
