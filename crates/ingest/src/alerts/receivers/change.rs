//! Changes of a receiver of the page: its secrets are not shown, so that whoever changes something else cannot write them
//! again. One that is not written is kept.

use super::{KINDS, ReceiverConfig};
use crate::alerts::rule::RuleError;
use serde::Serialize;
use serde_json::{Map, Value};

/// The keys of a kind that hold secrets, each with the keys that decide where it is sent. An address is a secret itself.
const SECRETS: [(&str, &str, &[&str]); 7] = [
    ("webhook", "url", &[]),
    // It signs, and is not sent.
    ("webhook", "secret", &[]),
    ("slack", "url", &[]),
    ("pagerduty", "url", &[]),
    ("pagerduty", "routing_key", &["url"]),
    ("alertmanager", "url", &[]),
    ("smtp", "password", &["host", "port", "tls"]),
];

/// A receiver of the page as an admin may see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Settings {
    name: String,
    kind: &'static str,
    send_resolved: bool,
    /// The keys of the kind without those that hold secrets.
    settings: Map<String, Value>,
    /// The keys of secrets that it has.
    secrets: Vec<&'static str>,
}

/// The secret keys of a kind, each with the keys that decide where it is sent.
fn secrets_of(kind: &str) -> impl Iterator<Item = (&'static str, &'static [&'static str])> + use<'_> {
    SECRETS.into_iter().filter(move |(of, ..)| *of == kind).map(|(_, key, place)| (key, place))
}

/// What may be seen of a stored receiver; `None` where the text is not one.
pub(crate) fn settings(config: &ReceiverConfig, stored: &Value) -> Option<Settings> {
    let (kind, mut settings) =
        KINDS.into_iter().find_map(|kind| Some((kind, stored.get(kind)?.as_object()?.clone())))?;
    let is_there = |key: &str| settings.get(key).is_some_and(|value| !value.is_null());
    let secrets: Vec<_> = secrets_of(kind).map(|(key, _)| key).filter(|key| is_there(key)).collect();
    settings.retain(|key, value| !value.is_null() && !secrets.contains(&key.as_str()));
    let send_resolved = config.send_resolved.unwrap_or(true);
    Some(Settings { name: config.name.clone(), kind, send_resolved, settings, secrets })
}

/// A changed receiver with those secrets of the stored one that the change does not name. `null` removes one.
///
/// # Errors
/// When a kept secret would be sent to another place than the one that it was written for: whoever may change a receiver
/// must not learn a secret by that.
pub(crate) fn with_kept_secrets(stored: &Value, mut changed: Value) -> Result<Value, RuleError> {
    for kind in KINDS {
        let (Some(stored), Some(changed)) =
            (stored.get(kind), changed.get_mut(kind).and_then(Value::as_object_mut))
        else {
            continue;
        };
        let moved: Vec<&str> = secrets_of(kind)
            .flat_map(|(_, place)| place)
            .filter(|key| has_moved(kind, key, changed, stored))
            .copied()
            .collect();
        for (key, place) in secrets_of(kind) {
            let Some(kept) = stored.get(key).filter(|kept| !kept.is_null()) else { continue };
            if changed.contains_key(key) {
                continue;
            }
            if let Some(other) = place.iter().find(|key| moved.contains(key)) {
                let message = format!(
                    "`{key}` was written for another `{other}` and would be sent there: write it again"
                );
                return Err(RuleError::new(format!("{kind}.{key}"), message));
            }
            changed.insert(key.to_owned(), kept.clone());
        }
    }
    Ok(changed)
}

/// Whether a key that decides where secrets are sent is another one. A secret one that is not named is kept; another one has
/// its default then.
fn has_moved(kind: &str, key: &str, changed: &Map<String, Value>, stored: &Value) -> bool {
    let is_kept = !changed.contains_key(key) && secrets_of(kind).any(|(secret, _)| secret == key);
    let present = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
    !is_kept && present(changed.get(key)) != present(stored.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(stored: Value, asked: Value) -> Result<Value, String> {
        with_kept_secrets(&stored, asked).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_that_is_not_written_is_kept_and_null_removes_it() {
        let check = |stored: Value, asked: Value, expected: Value| {
            assert_eq!(changed(stored, asked.clone()), Ok(expected), "{asked}");
        };
        let stored = json!({"name": "a", "webhook": {"url": "https://a/s", "secret": "old"}});
        check(stored.clone(), json!({"name": "a", "webhook": {}}), stored.clone());
        check(
            stored.clone(),
            json!({"name": "a", "webhook": {"url": "https://b", "secret": null}}),
            json!({"name": "a", "webhook": {"url": "https://b", "secret": null}}),
        );
        // Another kind begins anew.
        check(stored, json!({"name": "a", "slack": {}}), json!({"name": "a", "slack": {}}));
        let mail = json!({"smtp": {"host": "m", "port": 25, "password": "p", "from": "x@y"}});
        check(
            mail.clone(),
            json!({"smtp": {"host": "m", "port": 25, "from": "z@y"}}),
            json!({"smtp": {"host": "m", "port": 25, "from": "z@y", "password": "p"}}),
        );
        check(json!({"smtp": {"host": "m"}}), json!({"smtp": {"host": "n"}}), json!({"smtp": {"host": "n"}}));
    }

    #[test]
    fn a_kept_secret_goes_to_no_other_place() {
        let check = |stored: &Value, asked: Value, words: &str| {
            let error = changed(stored.clone(), asked.clone()).unwrap_err();
            assert!(error.contains(words) && !error.contains("hidden"), "{asked}: {error}");
        };
        let mail = json!({"smtp": {"host": "m", "port": 465, "tls": "implicit", "password": "hidden"}});
        for (key, value) in
            [("host", json!("evil")), ("port", json!(25)), ("tls", json!("none")), ("tls", json!(null))]
        {
            let mut asked = json!({"smtp": {"host": "m", "port": 465, "tls": "implicit"}});
            asked["smtp"][key] = value;
            check(&mail, asked.clone(), &format!("another `{key}`"));
            asked["smtp"]["password"] = json!("new");
            assert!(changed(mail.clone(), asked).is_ok());
        }
        check(&mail, json!({"smtp": {"host": "m", "port": 465}}), "another `tls`");
        let pagerduty = json!({"pagerduty": {"routing_key": "hidden", "url": "https://eu"}});
        assert_eq!(changed(pagerduty.clone(), json!({"pagerduty": {}})), Ok(pagerduty.clone()));
        for url in [json!("https://evil"), json!(null)] {
            check(
                &pagerduty,
                json!({"pagerduty": {"url": url}}),
                "`routing_key` was written for another `url`",
            );
        }
        let usual = json!({"pagerduty": {"routing_key": "hidden"}});
        check(&usual, json!({"pagerduty": {"url": "https://evil"}}), "another `url`");
    }

    #[test]
    fn secrets_are_not_shown() {
        let stored = json!({"name": "a", "smtp": {"host": "m", "password": "hidden", "username": null, "to": ["x@y"]}});
        let config: ReceiverConfig = serde_json::from_value(stored.clone()).unwrap();
        let shown = serde_json::to_value(settings(&config, &stored).unwrap()).unwrap();
        let expected = json!({
            "name": "a", "kind": "smtp", "send_resolved": true, "settings": {"host": "m", "to": ["x@y"]},
            "secrets": ["password"],
        });
        assert_eq!(shown, expected);
    }

    /// A new secret of a receiver must not be shown.
    #[test]
    fn every_key_of_every_kind_is_a_secret_or_may_be_seen() {
        const SEEN: [&str; 7] = ["allow_plain_text", "from", "host", "port", "tls", "to", "username"];
        let text = format!(
            "{:?}",
            ReceiverConfig {
                webhook: Some(Default::default()),
                slack: Some(Default::default()),
                pagerduty: Some(Default::default()),
                alertmanager: Some(Default::default()),
                smtp: Some(Default::default()),
                ..ReceiverConfig::default()
            }
        );
        let kinds: Vec<_> = text.split("Config {").skip(2).zip(KINDS).collect();
        assert_eq!(kinds.len(), KINDS.len());
        for (fields, kind) in kinds {
            let fields = fields.split('}').next().unwrap();
            for field in
                fields.split(',').filter_map(|field| field.trim().split_once(':')).map(|(key, _)| key)
            {
                let is_known = SEEN.contains(&field)
                    || field.ends_with("_file")
                    || secrets_of(kind).any(|(secret, _)| secret == field);
                assert!(is_known, "{kind}.{field}");
            }
        }
    }
}
