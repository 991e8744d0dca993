//! The resource that carries a plugin configuration, and what its allow-list must hold.

use gatelens_core::filter::{BODY_CALLBACKS, RESPONSE_HEADER_CAPABILITIES};

/// What carries a configuration; each gateway has its own words for the same things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Envoy's HTTP filter.
    EnvoyFilter,
    /// Envoy's access logger.
    EnvoyLogger,
    /// Istio's WasmPlugin.
    WasmPlugin,
    /// Envoy Gateway's EnvoyExtensionPolicy.
    ExtensionPolicy,
}

/// The callbacks and host calls that the module needs whatever it is configured to do. The tests of the testkit hold
/// the example configurations against the module, and a test here holds this list against them.
const NEEDED: [&str; 26] = [
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
    "proxy_call_foreign_function",
    "proxy_done",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_log",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_tick",
    "proxy_on_vm_start",
    "proxy_set_effective_context",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
    "random_get",
];

/// Those of them that only counting takes: an endpoint for Prometheus does without.
const ONLY_COUNTING: [&str; 6] = [
    "proxy_call_foreign_function",
    "proxy_get_header_map_value",
    "proxy_http_call",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_set_shared_data",
];

/// Those that an endpoint needs in addition.
const ONLY_SCRAPE: [&str; 2] = ["proxy_on_request_headers", "proxy_send_local_response"];

/// Those of the capabilities of an endpoint for Prometheus that a list lacks.
pub(super) fn missing_scrape_capabilities(listed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let needed = NEEDED.into_iter().filter(|name| !ONLY_COUNTING.contains(name)).chain(ONLY_SCRAPE);
    needed.filter(|name| !listed(name)).collect()
}

/// Those of the needed capabilities that a list lacks.
pub(super) fn missing_capabilities(listed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    NEEDED.into_iter().filter(|name| !listed(name)).collect()
}

/// Those of the callbacks for bodies that a list lacks.
pub(super) fn missing_body_callbacks(listed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    BODY_CALLBACKS.into_iter().filter(|name| !listed(name)).collect()
}

/// Those of the capabilities for removing a response header that a list lacks.
pub(super) fn missing_response_header_capabilities(listed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    RESPONSE_HEADER_CAPABILITIES.into_iter().filter(|name| !listed(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use gatelens_documents::yaml::{self, Node};

    #[test]
    fn the_needed_capabilities_are_those_of_the_examples() {
        let needed = NEEDED.into_iter().chain(BODY_CALLBACKS).chain(RESPONSE_HEADER_CAPABILITIES);
        let needed: BTreeSet<String> = needed.map(str::to_owned).collect();
        for example in [
            include_str!("../../../../envoy/http-filter.yaml"),
            include_str!("../../../../envoy/access-logger.yaml"),
        ] {
            let mut listed = BTreeSet::new();
            yaml::documents(example).unwrap().iter().for_each(|document| collect(document, &mut listed));
            assert_eq!(listed, needed);
        }
    }

    #[test]
    fn an_endpoint_needs_the_capabilities_of_its_example() {
        let example = include_str!("../../../../envoy/scrape.yaml");
        let (_, endpoint) = example.split_once("name: scrape\n").unwrap();
        let listed = |name: &str| endpoint.contains(&format!(" {name}: {{}}\n"));
        assert_eq!(missing_scrape_capabilities(listed), [""; 0]);
        let all = endpoint.lines().filter(|line| line.ends_with(": {}")).count();
        assert_eq!(all, NEEDED.len() - ONLY_COUNTING.len() + ONLY_SCRAPE.len());
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
}
