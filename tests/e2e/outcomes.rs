//! Causes of responses that the gateway made, with Envoy's own filters, and the status of gRPC calls.

use std::path::Path;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, EnvoyConfig, Receiver, Upstream, otlp, wait};
use serde_json::{Value, json};

use super::stack::{Mode, in_both_modes, plugin};

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";

/// The public key of RFC 7515, appendix A.3. No token of this test is signed with it.
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A request, and its status, `error.type` and whether it is an error (severity 17).
type Expected<'a> = (Request, &'a str, Option<&'a str>, bool);

in_both_modes!(check);

fn check(mode: Mode) {
    let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
    let config = mode.config().upstream(upstream.address()).unwrap().ingest(receiver.address()).unwrap();
    let mut configuration = plugin();
    configuration["ingest"]["compression"] = json!("none");
    let directory = tempfile::tempdir().unwrap();
    let config = refusing(config, &directory.path().join("behind.sock")).plugin(&configuration);
    let envoy = Envoy::start(&config).unwrap();

    let get = |target: &str| Request::get(target);
    let call = |target: &str| {
        Request::post(target, "\0\0\0\0\0")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    };
    let expected: [Expected<'_>; 16] = [
        // It takes the only token of the bucket.
        (get("/limited?status=200"), "200", None, false),
        (get("/limited"), "429", Some("rate_limited"), false),
        (get("/token"), "401", Some("jwt_authn_access_denied"), false),
        (
            get("/token").header("authorization", "Bearer x.y.z"),
            "401",
            Some("jwt_authn_access_denied"),
            false,
        ),
        (get("/forbidden"), "403", Some("rbac_access_denied"), false),
        (get("/asked"), "403", Some("ext_authz_denied"), false),
        (Request::post("/echo", vec![b'x'; 5_000]), "413", Some("payload_too_large"), false),
        (get("/status/200").header("x-nowhere", "1"), "404", Some("no_route"), false),
        (get("/status/401"), "401", None, false),
        (get("/status/429"), "429", None, false),
        (get("/status/503"), "503", Some("503"), true),
        (get("/dead"), "503", Some("upstream_connection_failure"), true),
        // Envoy answers each gRPC call with 200.
        (call("/limited"), "200", Some("rate_limited"), true),
        (call("/grpc/0"), "200", None, false),
        (call("/grpc/14"), "200", Some("UNAVAILABLE"), true),
        (call("/grpc-headers/5"), "200", Some("NOT_FOUND"), true),
    ];
    for (request, ..) in &expected {
        // A connection of its own, because Envoy closes those of refused bodies.
        Connection::open(envoy.address()).unwrap().request(request).unwrap();
    }
    let records = wait::eventually("the log", || {
        let records = otlp::log_records(&receiver.captured());
        Ok((records.len() >= expected.len()).then_some(records))
    });
    let records = records.unwrap();
    assert_eq!(records.len(), expected.len(), "{mode:?}");
    // Envoy's workers send their records apart: in the order of the requests' starts.
    let mut records = records;
    records.sort_by_key(|record| record.time_unix_nano);
    for (record, (request, status, cause, is_error)) in records.iter().zip(&expected) {
        let attributes = otlp::attributes(&record.attributes);
        let named = |key: &str| attributes.get(key).map(String::as_str);
        let request = String::from_utf8_lossy(&request.to_bytes()).lines().next().unwrap().to_owned();
        let found = (named("http.response.status_code"), named("error.type"), record.severity_number == 17);
        assert_eq!(found, (Some(*status), *cause, *is_error), "{mode:?} {request} {attributes:?}");
    }
    // The counters have the same causes.
    let counts = wait::eventually("the counters", || {
        let counts = otlp::counts(&receiver.captured());
        Ok((counts.values().sum::<u64>() >= expected.len() as u64).then_some(counts))
    });
    let mut of_counts: Vec<_> = Vec::new();
    for (series, count) in counts.unwrap() {
        let named = |key: &str| series.get(key).cloned().unwrap_or_default();
        let key =
            (named("http.response.status_code"), named("error.type"), named("rpc.response.status_code"));
        of_counts.extend(std::iter::repeat_n(key, count as usize));
    }
    let mut of_log: Vec<_> = records
        .iter()
        .map(|record| {
            let attributes = otlp::attributes(&record.attributes);
            let named = |key: &str| attributes.get(key).cloned().unwrap_or_default();
            (named("http.response.status_code"), named("error.type"), named("rpc.response.status_code"))
        })
        .collect();
    of_counts.sort_unstable();
    of_log.sort_unstable();
    assert_eq!(of_counts, of_log, "{mode:?}");
}

/// A gateway whose own filters refuse requests by their path. Calls of gRPC reach the upstream over HTTP/2.
fn refusing(config: EnvoyConfig, socket: &Path) -> EnvoyConfig {
    config.edit(|bootstrap| {
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        let manager = bootstrap.pointer_mut(manager).unwrap();
        manager["http_protocol_options"] = json!({"enable_trailers": true});
        let host = &mut manager["route_config"]["virtual_hosts"][0];
        host["typed_per_filter_config"] = json!({
            "envoy.filters.http.ext_authz":
                {"@type": format!("{FILTERS}.ext_authz.v3.ExtAuthzPerRoute"), "disabled": true},
        });
        let routes = host["routes"].as_array_mut().unwrap();
        for route in routes.iter_mut() {
            let nowhere = json!([{"name": "x-nowhere", "present_match": true, "invert_match": true}]);
            route["match"]["headers"] = nowhere;
        }
        let with = |prefix: &str, cluster: &str, filter: &str, options: Value| {
            json!({
                "match": {"prefix": prefix},
                "route": {"cluster": cluster},
                "typed_per_filter_config": {format!("envoy.filters.http.{filter}"): options},
            })
        };
        let asked =
            json!({"@type": format!("{FILTERS}.ext_authz.v3.ExtAuthzPerRoute"), "check_settings": {}});
        routes.insert(0, with("/limited", "upstream", "local_ratelimit", limit(100)));
        routes.insert(1, with("/asked", "upstream", "ext_authz", asked));
        routes.insert(2, json!({"match": {"prefix": "/grpc"}, "route": {"cluster": "over_http2"}}));
        let filters = manager["http_filters"].as_array_mut().unwrap();
        let router = filters.len() - 1;
        filters.splice(router..router, own_filters());
        let behind = json!({
            "@type": manager["@type"],
            "stat_prefix": "behind",
            "http_protocol_options": {"enable_trailers": true},
            "route_config": {"virtual_hosts": [{
                "name": "behind", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
            }]},
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": format!("{FILTERS}.router.v3.Router")},
            }],
        });
        let pipe = json!({"pipe": {"path": socket}});
        bootstrap["static_resources"]["listeners"].as_array_mut().unwrap().push(json!({
            "name": "behind",
            "address": pipe,
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager", "typed_config": behind,
            }]}],
        }));
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
        let upstream = clusters.iter_mut().find(|cluster| cluster["name"] == "upstream").unwrap();
        upstream["typed_extension_protocol_options"] =
            speaking("http_protocol_options", json!({"enable_trailers": true}));
        clusters.push(json!({
            "name": "over_http2",
            "typed_extension_protocol_options": speaking("http2_protocol_options", json!({})),
            "load_assignment": {
                "cluster_name": "over_http2",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": pipe}}]}],
            },
        }));
    })
}

/// Options of a cluster that speaks one version of HTTP.
fn speaking(version: &str, options: Value) -> Value {
    json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {version: options},
    }})
}

/// The filters that refuse, in the order in which they see a request.
fn own_filters() -> Vec<Value> {
    let filter = |name: &str, kind: &str, options: Value| {
        let mut typed = options;
        typed["@type"] = json!(format!("{FILTERS}.{name}.v3.{kind}"));
        json!({"name": format!("envoy.filters.http.{name}"), "typed_config": typed})
    };
    let forbidden = json!({"url_path": {"path": {"prefix": "/forbidden"}}});
    vec![
        json!({"name": "envoy.filters.http.local_ratelimit", "typed_config": limit(0)}),
        filter(
            "jwt_authn",
            "JwtAuthentication",
            json!({
                "providers": {"some": {"local_jwks": {"inline_string": KEYS}}},
                "rules": [{"match": {"prefix": "/token"}, "requires": {"provider_name": "some"}}],
            }),
        ),
        filter(
            "rbac",
            "RBAC",
            json!({"rules": {"action": "DENY", "policies": {
                "forbidden": {"permissions": [forbidden], "principals": [{"any": true}]},
            }}}),
        ),
        // The upstream of the tests is the service that is asked, and answers as the path requests.
        filter(
            "ext_authz",
            "ExtAuthz",
            json!({"http_service": {
                "server_uri": {"uri": "http://authz.test", "cluster": "upstream", "timeout": "5s"},
                "path_prefix": "/status/403?asked=",
            }}),
        ),
        filter("buffer", "Buffer", json!({"max_request_bytes": 1_000})),
    ]
}

/// A bucket of one token, in force for this share of the requests.
fn limit(percent: u32) -> Value {
    let share = json!({"default_value": {"numerator": percent}});
    json!({
        "@type": format!("{FILTERS}.local_ratelimit.v3.LocalRateLimit"),
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"},
        "filter_enabled": share,
        "filter_enforced": share,
    })
}
