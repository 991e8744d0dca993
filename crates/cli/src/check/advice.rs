//! What works, but perhaps not as meant.

use std::collections::BTreeSet;

use gatelens_core::filter::BODY_CALLBACKS;
use serde_json::Value;

use super::Problem;
use super::find::Holder;
use super::yaml::{self, Node};

/// The configurations whose allow-lists are known to be complete: tests hold them against the module itself.
const COMPLETE: [(Holder, &str); 2] = [
    (Holder::EnvoyFilter, include_str!("../../../../envoy/http-filter.yaml")),
    (Holder::EnvoyLogger, include_str!("../../../../envoy/access-logger.yaml")),
];

/// About a configuration that the filter accepts: paths in it and messages.
pub(super) fn on_configuration(read: &Value, clusters: Option<&[String]>) -> Vec<(String, String)> {
    let mut advice = Vec::new();
    let cluster = read["ingest"]["cluster"].as_str().unwrap_or_default();
    if clusters.is_some_and(|known| !known.iter().any(|name| name == cluster)) {
        let message =
            format!("no cluster `{cluster}` under static_resources.clusters: nothing could be delivered");
        advice.push(("ingest.cluster".to_owned(), message));
    }
    match read["consumer"]["sources"].as_array() {
        None => advice.push(("consumer".to_owned(), untrusted("x-consumer-id"))),
        Some(sources) => {
            for (index, source) in sources.iter().enumerate() {
                if let Some(header) = source["header"].as_str().filter(|_| source["trusted"] != true) {
                    advice.push((format!("consumer.sources[{index}].header"), untrusted(header)));
                }
            }
        }
    }
    advice
}

/// About the entry that holds a configuration.
pub(super) fn on_holder(holder: Holder, node: &Node) -> Vec<Problem> {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let mut problems = Vec::new();
    let mut warn = |key: &str, message: &str| problems.push(Problem::warning(node.find(key), message));
    match holder {
        Holder::EnvoyFilter => match text("failure_policy").or_else(|| text("failurePolicy")) {
            Some("FAIL_OPEN") => warn(
                "failure_policy",
                "FAIL_OPEN answers 503 to the request that hits a trap; only `fail_open: true` lets that one pass, too",
            ),
            Some("FAIL_RELOAD") => warn(
                "failure_policy",
                "FAIL_RELOAD answers 503 from a trap until the module is loaded anew; `fail_open: true` lets requests pass",
            ),
            _ if text("fail_open").or_else(|| text("failOpen")) != Some("true") => {
                warn("name", "should the filter trap, all requests are answered 503: say `fail_open: true`");
            }
            _ => {}
        },
        Holder::EnvoyLogger => {
            if text("failure_policy").or_else(|| text("failurePolicy")) != Some("FAIL_RELOAD") {
                warn("name", "should the module trap, it counts no more: say `failure_policy: FAIL_RELOAD`");
            }
        }
        Holder::WasmPlugin => {
            if !matches!(text("failStrategy"), Some("FAIL_OPEN" | "FAIL_RELOAD")) {
                warn(
                    "url",
                    "should the filter trap, all requests are answered 503: say `failStrategy: FAIL_OPEN`",
                );
            }
        }
        Holder::ExtensionPolicy => {
            if text("failOpen") != Some("true") {
                warn("name", "should the filter trap, all requests are answered 5xx: say `failOpen: true`");
            }
        }
    }
    problems.extend(missing_capabilities(holder, node));
    problems
}

/// About the entry that holds a configuration that captures bodies.
pub(super) fn on_bodies(holder: Holder, node: &Node) -> Option<Problem> {
    if holder == Holder::EnvoyLogger {
        let message = "an access logger sees no bodies: all of them are left out as `not_seen`; load the filter for them";
        return Some(Problem::warning(node.find("name"), message));
    }
    let (list, listed) = listed_capabilities(node)?;
    let missing: Vec<&str> = BODY_CALLBACKS.into_iter().filter(|name| !listed.contains(name)).collect();
    let message = format!(
        "bodies are captured, but the allow-list keeps them from the filter, and they are left out as `not_seen`; it lacks {}",
        missing.join(", ")
    );
    (!missing.is_empty()).then(|| Problem::warning(list.place, message))
}

/// About the `configuration` of an Envoy plugin, whose type decides what reaches the plugin.
pub(super) fn on_encoding(configuration: &Node) -> Option<Problem> {
    let kind = configuration.get("@type").and_then(Node::text).unwrap_or_default();
    let message = "Envoy hands over the text of a `google.protobuf.StringValue`, and any other type as binary protobuf, \
                   which the plugin refuses: write the JSON as a text";
    let is_text = kind.ends_with("/google.protobuf.StringValue")
        && configuration.get("value").is_some_and(|value| value.text().is_some());
    (!is_text).then(|| Problem::error(configuration.find("@type"), message))
}

fn untrusted(header: &str) -> String {
    format!(
        "any client can send `{header}`: if the gateway sets or strips it, say `\"trusted\": true`; else a caller can \
         pass for another"
    )
}

/// An allow-list that leaves out what the module calls makes it trap or fail the day it does.
fn missing_capabilities(holder: Holder, plugin: &Node) -> Option<Problem> {
    let (list, listed) = listed_capabilities(plugin)?;
    let needed = needed_capabilities(holder);
    let missing: Vec<&str> = needed
        .iter()
        .map(String::as_str)
        // These are needed by configurations that capture bodies alone.
        .filter(|name| !listed.contains(name) && !BODY_CALLBACKS.contains(name))
        .collect();
    let message = format!("the allow-list lacks what the module needs: {}", missing.join(", "));
    (!missing.is_empty()).then(|| Problem::warning(list.place, message))
}

/// The allow-list of a plugin entry and the names on it; `None` where nothing is restricted, as by an empty list.
fn listed_capabilities(plugin: &Node) -> Option<(&Node, BTreeSet<&str>)> {
    let list = allow_list(plugin)?;
    let listed: BTreeSet<&str> = list.members().iter().filter_map(|(name, _)| name.text()).collect();
    (!listed.is_empty()).then_some((list, listed))
}

/// Before Envoy 1.40 the list stands beside `vm_config`.
fn allow_list(plugin: &Node) -> Option<&Node> {
    const PATH: [&str; 2] = ["capability_restriction_config", "allowed_capabilities"];
    plugin.get("vm_config").and_then(|vm| vm.at(&PATH)).or_else(|| plugin.at(&PATH))
}

fn needed_capabilities(holder: Holder) -> BTreeSet<String> {
    let file = COMPLETE.iter().find(|(known, _)| *known == holder).map_or("", |(_, file)| file);
    let mut names = BTreeSet::new();
    for document in yaml::documents(file).unwrap_or_default() {
        collect(&document, &mut names);
    }
    names
}

fn collect(node: &Node, names: &mut BTreeSet<String>) {
    for (key, value) in node.members() {
        if key.text() == Some("allowed_capabilities") {
            names.extend(value.members().iter().filter_map(|(name, _)| name.text()).map(str::to_owned));
        }
        collect(value, names);
    }
    node.elements().iter().for_each(|element| collect(element, names));
}
