//! Warnings: a configuration that the filter accepts, but that perhaps does not do what its author meant.

use std::collections::BTreeSet;

use gatelens_core::config::bounds;
use gatelens_core::counters::Caps;
use gatelens_core::request::route::Template;

use super::carrier::{self, Carrier};
use gatelens_documents::problem::Problem;
use gatelens_documents::yaml::{Node, Place};

mod selection;

/// A warning about a part of a configuration.
pub(super) struct Lint {
    /// Path from the root of the plugin's configuration.
    pub(super) path: String,
    /// In the text or tree of the configuration.
    pub(super) place: Place,
    pub(super) message: String,
}

/// About a configuration that the filter accepts, and the clusters that Envoy knows, if they are all known.
pub(super) fn on_configuration(root: &Node, clusters: Option<&[String]>) -> Vec<Lint> {
    let mut lints = Vec::new();
    let ingest = root.get("ingest");
    let cluster = ingest.and_then(|ingest| ingest.get("cluster")).and_then(Node::text).unwrap_or_default();
    let has_ingest = ingest.and_then(|ingest| ingest.get("enabled")).and_then(Node::text) != Some("false");
    if has_ingest && clusters.is_some_and(|known| !known.iter().any(|name| name == cluster)) {
        lints.push(Lint {
            path: "ingest.cluster".to_owned(),
            place: ingest.unwrap_or(root).key_place("cluster"),
            message: format!(
                "no cluster `{cluster}` under static_resources.clusters, so nothing can be delivered: add it, or correct the name"
            ),
        });
    }
    match root.at(&["consumer", "sources"]) {
        None => lints.push(Lint {
            path: "consumer".to_owned(),
            place: root.key_place("consumer"),
            message: untrusted("x-consumer-id"),
        }),
        Some(sources) => {
            for (index, source) in sources.elements().iter().enumerate() {
                if source.get("client_ip").and_then(Node::text) == Some("true")
                    && source.get("pseudonymize").and_then(Node::text) != Some("true")
                {
                    lints.push(Lint {
                        path: format!("consumer.sources[{index}].client_ip"),
                        place: source.key_place("client_ip"),
                        message: "the addresses of clients leave the gateway as names of consumers; add \
                                  `\"pseudonymize\": true` unless you want that"
                            .to_owned(),
                    });
                }
                let Some(header) = source.get("header").and_then(Node::text) else { continue };
                if source.get("trusted").and_then(Node::text) != Some("true") {
                    lints.push(Lint {
                        path: format!("consumer.sources[{index}].header"),
                        place: source.key_place("header"),
                        message: untrusted(header),
                    });
                }
            }
        }
    }
    lints.extend(selection::lints(root));
    let templates = root.at(&["routes", "templates"]).map(Node::elements).unwrap_or_default();
    for (index, node) in templates.iter().enumerate() {
        let template = node.text().and_then(|text| Template::parse(text).ok());
        if let Some(reason) = template.and_then(|template| template.never_matches()) {
            lints.push(Lint {
                path: format!("routes.templates[{index}]"),
                place: node.place,
                message: format!("this template matches no request: {reason}"),
            });
        }
    }
    let key = root.at(&["consumer", "pseudonymize_key"]).and_then(Node::text).unwrap_or_default();
    if (1..SAFE_KEY_CHARS).contains(&key.chars().count()) {
        lints.push(Lint {
            path: "consumer.pseudonymize_key".to_owned(),
            place: root.get("consumer").unwrap_or(root).key_place("pseudonymize_key"),
            message: format!(
                "whoever guesses this key can test which value is behind a pseudonym; use at least {SAFE_KEY_CHARS} \
                 random characters"
            ),
        });
    }
    lints
}

/// Fewest characters of a key that nobody guesses: 128 bits as hex digits.
const SAFE_KEY_CHARS: usize = 32;

/// About the entry that carries a configuration with a response header that the filter removes: a `response_header` among the
/// consumer's sources, or one of the section `report`.
pub(super) fn on_response_header(carrier: Carrier, node: &Node) -> Option<Problem> {
    if carrier == Carrier::EnvoyLogger {
        let message = "an access logger only reads the response headers that name the consumer or report an error, so the client sees them: load \
                       the HTTP filter to remove them";
        return Some(Problem::warning(node.key_place("name"), message));
    }
    let (list, listed) = listed_capabilities(node)?;
    let missing = carrier::missing_response_header_capabilities(|name| listed.contains(name));
    let message = format!(
        "the allow-list keeps the filter from removing the response headers that name the consumer or report an error, so the \
         client sees them; \
         add {}",
        missing.join(", ")
    );
    (!missing.is_empty()).then(|| Problem::warning(list.place, message))
}

/// About templates that cannot have a series for each of their methods and statuses.
pub(super) fn on_caps(root: &Node, caps: &Caps) -> Option<Lint> {
    let most = *bounds::SERIES.end();
    let needed = Caps::series_for_templates(caps.templates).min(most);
    let counters = root.get("counters");
    (caps.series < needed).then(|| Lint {
        path: "counters.max_series".to_owned(),
        place: counters.map_or_else(|| root.key_place("counters"), |counters| counters.key_place("max_series")),
        message: format!(
            "with {} series, requests of the {} templates can be counted in overflow; set `counters.max_series` to {needed}",
            caps.series, caps.templates
        ),
    })
}

/// About the entry that carries a configuration.
pub(super) fn on_carrier(carrier: Carrier, node: &Node) -> Vec<Problem> {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let mut problems = Vec::new();
    let fails_open = text("fail_open").or_else(|| text("failOpen")) == Some("true");
    let policy = text("failure_policy").or_else(|| text("failurePolicy"));
    if let (true, Some(_)) = (fails_open, policy) {
        let message =
            "Envoy refuses an entry that sets both `fail_open` and `failure_policy`; remove one of them";
        return vec![Problem::error(node.key_place("failure_policy"), message)];
    }
    let mut warn = |key: &str, message: &str| problems.push(Problem::warning(node.key_place(key), message));
    match carrier {
        Carrier::EnvoyFilter => match policy {
            Some("FAIL_OPEN") => warn(
                "failure_policy",
                "if the filter traps, FAIL_OPEN ends every request in flight on the worker; set `fail_open: true`, which touches none",
            ),
            Some("FAIL_RELOAD") => warn(
                "failure_policy",
                "if the filter traps, FAIL_RELOAD ends every request in flight on the worker; set `fail_open: true`, which touches none",
            ),
            _ if !fails_open => {
                warn("name", "if the filter traps, every request is answered 503; set `fail_open: true`");
            }
            _ => {}
        },
        Carrier::EnvoyLogger => {
            if policy != Some("FAIL_RELOAD") {
                warn("name", "if the module traps, it stops counting; set `failure_policy: FAIL_RELOAD`");
            }
        }
        Carrier::WasmPlugin => {
            if !matches!(text("failStrategy"), Some("FAIL_OPEN" | "FAIL_RELOAD")) {
                warn(
                    "url",
                    "if the filter traps, every request is answered 503; set `failStrategy: FAIL_OPEN`",
                );
            }
        }
        Carrier::ExtensionPolicy => {
            if text("failOpen") != Some("true") {
                warn("name", "if the filter traps, every request is answered 5xx; set `failOpen: true`");
            }
        }
    }
    problems
}

/// What is wrong with the entry of a dynamic module.
pub(super) fn on_module(carrier: Carrier, node: &Node, lacks_extension: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    if carrier == Carrier::EnvoyLogger && lacks_extension {
        let message = "an access logger of a dynamic module needs the bootstrap extension of the same module, because Envoy gives access \
                       loggers neither a timer nor requests of their own: add `bootstrap_extensions` as in docs/dynamic-module.md";
        problems.push(Problem::error(node.key_place("logger_name"), message));
    }
    if node.at(&["dynamic_module_config", "do_not_close"]).and_then(Node::text) != Some("true") {
        let message =
            "Envoy may unload the module, which keeps the counters of the process: add `do_not_close: true`";
        problems.push(Problem::warning(node.key_place("dynamic_module_config"), message));
    }
    problems
}

/// About the entry that carries a configuration that captures bodies.
pub(super) fn on_bodies(carrier: Carrier, node: &Node) -> Option<Problem> {
    if carrier == Carrier::EnvoyLogger {
        let message = "an access logger sees no bodies, so all of them are omitted as `not_seen`: load the HTTP filter to capture them";
        return Some(Problem::warning(node.key_place("name"), message));
    }
    let (list, listed) = listed_capabilities(node)?;
    let missing = carrier::missing_body_callbacks(|name| listed.contains(name));
    let message = format!(
        "bodies are captured, but the allow-list keeps them from the filter, so they are omitted as `not_seen`; add {}",
        missing.join(", ")
    );
    (!missing.is_empty()).then(|| Problem::warning(list.place, message))
}

/// About the `configuration` of an Envoy plugin, whose type decides what reaches the plugin.
pub(super) fn on_encoding(configuration: &Node) -> Option<Problem> {
    let kind = configuration.get("@type").and_then(Node::text).unwrap_or_default();
    let message = "Envoy passes the text of a `google.protobuf.StringValue` to the plugin, and any other type as binary \
                   protobuf, which the plugin refuses: write the JSON as a StringValue";
    let is_text = kind.ends_with("/google.protobuf.StringValue")
        && configuration.get("value").is_some_and(|value| value.text().is_some());
    (!is_text).then(|| Problem::error(configuration.key_place("@type"), message))
}

fn untrusted(header: &str) -> String {
    format!(
        "any client can send `{header}` and pass for another consumer: set `\"trusted\": true` if the gateway sets or \
         strips it"
    )
}

/// The module traps or fails on the day it needs a capability that the allow-list leaves out.
pub(super) fn missing_capabilities(plugin: &Node) -> Option<Problem> {
    let (list, listed) = listed_capabilities(plugin)?;
    let missing = carrier::missing_capabilities(|name| listed.contains(name));
    let message =
        format!("the allow-list lacks capabilities that the module needs; add {}", missing.join(", "));
    (!missing.is_empty()).then(|| Problem::warning(list.place, message))
}

/// About the entry that carries the configuration of an endpoint for Prometheus.
pub(super) fn on_scrape(carrier: Carrier, node: &Node) -> Option<Problem> {
    if carrier == Carrier::EnvoyLogger {
        let message = "an access logger cannot answer Prometheus: load the HTTP filter on a listener of its own, or remove `scrape`";
        return Some(Problem::error(node.key_place("name"), message));
    }
    let (list, listed) = listed_capabilities(node)?;
    let missing = carrier::missing_scrape_capabilities(|name| listed.contains(name));
    let message = format!("the allow-list keeps the endpoint from answering; add {}", missing.join(", "));
    (!missing.is_empty()).then(|| Problem::warning(list.place, message))
}

/// The allow-list of a plugin entry and the names on it; `None` where nothing is restricted, as with an empty list.
fn listed_capabilities(plugin: &Node) -> Option<(&Node, BTreeSet<&str>)> {
    let list = allow_list(plugin)?;
    let listed: BTreeSet<&str> = list.members().iter().filter_map(|(name, _)| name.text()).collect();
    (!listed.is_empty()).then_some((list, listed))
}

/// Envoy before 1.40 reads the list beside `vm_config`.
fn allow_list(plugin: &Node) -> Option<&Node> {
    const PATH: [&str; 2] = ["capability_restriction_config", "allowed_capabilities"];
    plugin.get("vm_config").and_then(|vm| vm.at(&PATH)).or_else(|| plugin.at(&PATH))
}
