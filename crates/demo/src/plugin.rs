//! What the demo's filter keeps beyond what the shipped configuration does, and what it masks.

use gatelens_testkit::{EnvoyConfig, Result};
use serde_json::{Value, json};

/// The same gateway with headers and bodies in its log, redacted as a shop would.
///
/// # Errors
/// As [`EnvoyConfig::plugin_configuration`].
pub(crate) fn capturing(config: EnvoyConfig) -> Result<EnvoyConfig> {
    let mut plugin = config.plugin_configuration()?;
    plugin["capture"] = capture();
    plugin["redact"] = redact();
    Ok(config.plugin(&plugin))
}

fn capture() -> Value {
    json!({
        "request_headers": ["accept", "authorization", "content-type", "idempotency-key"],
        "response_headers": ["content-type", "location", "set-cookie", "x-internal-*"],
        "request_body": true,
        "response_body": true,
    })
}

fn redact() -> Value {
    json!({
        "headers": ["x-internal-*"],
        "query": ["email"],
        "request_body": [
            "$.user",
            "$.email",
            "$.card.holder",
            "$..shipping.street",
            "$.orders[*].customer.name",
            // Orders named their tax number so once. The page shows that the rule never matches any more.
            "$.customer.tax_id",
        ],
        "response_body": ["$.email", "$.users[*].email", "$..customer.email", "$..customer.name", "$..address.street", "$..shipping.street"],
        "keys": ["phone", "door_code"],
        "detectors": ["card"],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatelens_core::config::Config;
    use gatelens_model::Message;
    use gatelens_redact::capture::preview;

    use super::*;
    use crate::scenarios;

    #[test]
    fn the_traffic_meets_every_rule_for_requests_but_one() {
        let text = json!({
            "version": 1, "ingest": {"cluster": "gatelens_ingest"}, "capture": capture(), "redact": redact(),
        });
        let config = Config::parse(&text.to_string()).unwrap();
        let mut hits: BTreeMap<String, u64> =
            config.redact.request_body.iter().map(|path| (format!("request_body:{path}"), 0)).collect();
        fastrand::seed(7);
        for _ in 0..5_000 {
            let request = scenarios::random().request.to_bytes();
            let request = String::from_utf8(request).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let Some((_, kind)) = head.split_once("content-type: ") else { continue };
            let headers = [("content-type", kind.lines().next().unwrap())];
            let seen = preview(&config.redact, &config.capture, Message::Request, &headers, body.as_bytes())
                .unwrap();
            for (rule, count) in seen.hits {
                *hits.entry(rule).or_default() += count;
            }
        }
        let never: Vec<&String> =
            hits.iter().filter(|(_, count)| **count == 0).map(|(rule, _)| rule).collect();
        assert_eq!(never, ["request_body:$.customer.tax_id"]);
        let others = [
            "default:password",
            "default:secret",
            "default:cvv",
            "default:card_number",
            "detectors:card",
            "keys:phone",
        ];
        for rule in others {
            assert!(hits.contains_key(rule), "{rule}: {hits:?}");
        }
    }
}
