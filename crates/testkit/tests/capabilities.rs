//! The allow-lists of the files under `envoy/` against the module itself: a function that is missing there traps
//! or fails at its first use, which may be the day something goes wrong; one too many is a right that nobody needs.

use gatelens_testkit::{EnvoyConfig, artefacts, module::Module, paths};

/// Called by the endpoint that is scraped alone.
const OF_THE_ENDPOINT: &str = "proxy_send_local_response";

/// Linked in by the SDK, which has one wrapper for every host call, and never called by the filter.
const NEVER_CALLED: &[&str] = &[
    "proxy_add_header_map_value",
    "proxy_close_stream",
    "proxy_continue_stream",
    "proxy_dequeue_shared_queue",
    "proxy_enqueue_shared_queue",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_register_shared_queue",
    "proxy_replace_header_map_value",
    "proxy_resolve_shared_queue",
    "proxy_set_buffer_bytes",
    "proxy_set_header_map_pairs",
    "proxy_set_property",
];

#[test]
fn what_the_module_calls_is_allowed_and_nothing_else() {
    artefacts::or_skip();
    let module = Module::read(&paths::wasm().unwrap()).unwrap();
    for config in [EnvoyConfig::http_filter().unwrap(), EnvoyConfig::access_logger().unwrap()] {
        let allowed = config.allowed_capabilities();
        let denied =
            module.imports.difference(&allowed).filter(|name| !NEVER_CALLED.contains(&name.as_str()));
        let denied: Vec<&String> = denied.collect();
        assert_eq!(denied, [OF_THE_ENDPOINT], "the module may call what is not allowed");
        let known = |name: &&String| module.imports.contains(*name) || module.exports.contains(*name);
        let unused = allowed.iter().filter(|name| !known(name));
        assert_eq!(unused.collect::<Vec<_>>(), [""; 0], "allowed, but the module has no use for it");
    }
    let allowed = EnvoyConfig::scrape().unwrap().allowed_capabilities();
    let known = |name: &&String| module.imports.contains(*name) || module.exports.contains(*name);
    assert!(allowed.iter().all(|name| known(&name)) && allowed.contains(OF_THE_ENDPOINT));
}
