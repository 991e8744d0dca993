//! Every source of the consumer on the real Envoy: claims of tokens that jwt_authn verified, client certificates, response
//! headers, credentials, and the address. All that leaves the gateway is searched for the credentials.

mod keys;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use gatelens_testkit::client::{Connection, Request, Response};
use gatelens_testkit::otlp::{counts, inflated, records};
use gatelens_testkit::{Envoy, EnvoyConfig, Launch, Listeners, Receiver, Upstream};
use serde_json::{Value, json};

use super::stack::{Mode, Stack};
use keys::{Authority, Certified, ISSUER, TokenKey, base64url};

/// In every credential, and in nothing else.
const PLANTED: &str = "8675309";
const API_KEY: &str = "sk_live_51planted8675309";
const PSEUDONYMIZE_KEY: &str = "e2e-key-planted-8675309";

// `printf %s VALUE | openssl dgst -sha256 -hmac e2e-key-planted-8675309`
const HASH_OF_API_KEY: &str = "053233d2d9d13b6e";
const HASH_OF_COOKIE: &str = "8d99e459574b54dc";
const HASH_OF_ADDRESS: &str = "31da90bb43568d72";

/// Far more than the slowest host needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The only listener of the file, which the others are made from.
const LISTENER: &str = "/static_resources/listeners/0";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

struct Gateway {
    receiver: Receiver,
    envoy: Envoy,
    listeners: BTreeMap<String, SocketAddr>,
    /// Consumer, and whether it is trusted, by path.
    expected: BTreeMap<String, (String, bool)>,
    _upstream: Upstream,
}

impl Gateway {
    fn start(mode: Mode, change: impl FnOnce(EnvoyConfig) -> EnvoyConfig) -> Self {
        let config = mode.config();
        let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
        let config = config.upstream(upstream.address()).unwrap().ingest(receiver.address()).unwrap();
        let envoy = Envoy::launch(&change(config), &Launch::default()).unwrap();
        let listeners = envoy.listeners().unwrap();
        Self { receiver, envoy, listeners, expected: BTreeMap::new(), _upstream: upstream }
    }

    /// Sends a request to a listener. Its record must name this consumer.
    fn expect(&mut self, listener: &str, request: Request, id: &str, trusted: bool) -> Response {
        let head = String::from_utf8_lossy(&request.to_bytes()).into_owned();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let path = target.split('?').next().unwrap().to_owned();
        assert!(self.expected.insert(path, (id.to_owned(), trusted)).is_none(), "{target} twice");
        Connection::open(self.listeners[listener]).unwrap().request(&request).unwrap()
    }

    /// Waits for all records, compares them with what is expected, and searches all that left for the planted secret.
    fn check(&self) {
        let start = Instant::now();
        while records(&self.receiver.captured()).len() < self.expected.len() && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(200));
        }
        // One more tick, for the counters that belong to the last records.
        sleep(Duration::from_secs(2));
        let left = self.receiver.captured();
        let records = records(&left);
        let found: BTreeMap<String, (String, bool)> = records
            .iter()
            .map(|record| {
                let trusted = record.contains_key("gatelens.consumer.trusted");
                (record["url.path"].clone(), (record["gatelens.consumer.id"].clone(), trusted))
            })
            .collect();
        assert_eq!(found, self.expected, "{}", self.envoy.log());
        assert_eq!(records.len(), self.expected.len());

        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for (series, count) in counts(&left) {
            *counted.entry(series["gatelens.consumer.id"].clone()).or_default() += count;
        }
        let mut sent: BTreeMap<String, u64> = BTreeMap::new();
        for (id, _) in self.expected.values() {
            *sent.entry(id.clone()).or_default() += 1;
        }
        assert_eq!(counted, sent);

        let exports = left.iter().map(|export| {
            let body = String::from_utf8_lossy(&inflated(export)).into_owned();
            format!("{} {:?}\n{body}", export.path, export.headers)
        });
        for text in exports.chain([self.envoy.log()]) {
            assert!(!text.contains(PLANTED), "a credential left: {text}");
        }
    }
}

/// Adds a copy of the first listener under another name, with this plugin configuration and changes.
fn listener(config: EnvoyConfig, name: &str, plugin: &Value, change: impl FnOnce(&mut Value)) -> EnvoyConfig {
    let mut listener = config.clone().plugin(plugin).bootstrap().pointer(LISTENER).unwrap().clone();
    listener["name"] = json!(name);
    change(&mut listener);
    config.edit(|bootstrap| {
        bootstrap["static_resources"]["listeners"].as_array_mut().unwrap().push(listener);
    })
}

fn plugin(consumer: Value) -> Value {
    json!({
        "version": 1, "service": {"name": "e2e"}, "ingest": {"cluster": "gatelens_ingest"}, "debug": true,
        "consumer": consumer,
        "capture": {"request_headers": ["*"], "response_headers": ["*"]},
    })
}

/// The connection manager of a listener.
fn manager(listener: &mut Value) -> &mut Value {
    listener.pointer_mut(MANAGER).unwrap()
}

/// The filter that verifies tokens, and keeps their claims under `payload`.
fn jwt_authn(key: &TokenKey) -> Value {
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"test": {
                "issuer": ISSUER, "local_jwks": {"inline_string": key.jwks()}, "payload_in_metadata": "payload",
            }},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "test"}}],
        },
    })
}

/// A cluster at this socket, which gets this client certificate.
fn tls_cluster(name: &str, socket: &Path, client: &Certified) -> Value {
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"pipe": {"path": socket}}}},
        ]}]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"tls_certificates": [certificate(client)]},
        }},
    })
}

fn certificate(certified: &Certified) -> Value {
    json!({
        "certificate_chain": {"inline_string": certified.certificate},
        "private_key": {"inline_string": certified.key},
    })
}

/// A listener at this socket that asks for a client certificate of the authority.
fn mutual_tls(listener: &mut Value, socket: &Path, authority: &Authority) {
    listener["address"] = json!({"pipe": {"path": socket}});
    listener["filter_chains"][0]["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            "common_tls_context": {
                "tls_certificates": [certificate(&authority.certify("gateway.test", &[]))],
                "validation_context": {"trusted_ca": {"inline_string": authority.pem()}},
            },
        },
    });
}

/// A listener without the plugin that passes everything on to a cluster.
fn pass_on(listener: &mut Value, cluster: &str) {
    let manager = manager(listener);
    manager["http_filters"].as_array_mut().unwrap().retain(|filter| filter["name"] != "gatelens");
    manager["route_config"]["virtual_hosts"][0]["routes"] =
        json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]);
}

#[test]
fn every_source_names_the_caller_and_no_credential_leaves() {
    let logger = EnvoyConfig::access_logger().unwrap();
    every_source_names_the_caller(Mode::Filter, &logger, tokens);
}

#[test]
fn every_source_names_the_caller_of_a_module_and_no_credential_leaves() {
    let logger = EnvoyConfig::module_logger().unwrap();
    every_source_names_the_caller(Mode::ModuleFilter, &logger, tokens_of_a_module);
}

fn every_source_names_the_caller(mode: Mode, logger: &EnvoyConfig, tokens: fn(&mut Gateway, &TokenKey)) {
    let key = TokenKey::new();
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("mtls");
    let mut gateway = Gateway::start(mode, |config| {
        let config = with_credentials(config, logger);
        let config = with_tokens(config, logger, &key);
        with_certificates(config, logger, &authority, &socket)
    });
    credentials(&mut gateway);
    hostile_names(&mut gateway);
    response_headers(&mut gateway);
    tokens(&mut gateway, &key);
    certificates(&mut gateway);
    gateway.check();
}

fn with_credentials(config: EnvoyConfig, logger: &EnvoyConfig) -> EnvoyConfig {
    let chain = plugin(json!({
        "sources": [
            {"header": "x-consumer-id", "trusted": true},
            {"response_header": "x-caller"},
            {"unverified_bearer_claim": "sub"},
            {"basic_user": true},
            {"api_key_header": "x-api-key", "keep_prefix": 8},
            {"api_key_query": "key"},
            {"cookie": "uid", "pseudonymize": true},
            {"client_ip": true, "pseudonymize": true},
        ],
        "pseudonymize_key": PSEUDONYMIZE_KEY,
    }));
    let default = json!({"version": 1, "service": {"name": "e2e"}, "ingest": {"cluster": "gatelens_ingest"}});
    let config = listener(config, "chain", &chain, |_| {});
    let config = listener(config, "default", &default, |_| {});
    let response = plugin(json!({"sources": [{"response_header": "x-caller"}]}));
    listener(config, "logger", &response, |listener| as_logger(listener, logger, &response))
}

/// The access logger of a configuration, with this plugin configuration, in place of the filter.
fn as_logger(listener: &mut Value, logger: &EnvoyConfig, plugin: &Value) {
    let logger = logger.clone().plugin(plugin);
    let entries = logger.bootstrap().pointer(&format!("{LISTENER}{MANAGER}/access_log")).unwrap().clone();
    let manager = manager(listener);
    manager["http_filters"].as_array_mut().unwrap().retain(|filter| filter["name"] != "gatelens");
    manager["access_log"] = entries;
}

fn credentials(gateway: &mut Gateway) {
    let anonymous = |path: &str| Request::get(path).header("x-other", "1");
    gateway.expect("default", anonymous("/default/nobody"), "anonymous", false);
    gateway.expect("default", anonymous("/default/header").header("X-Consumer-ID", " acme "), "acme", false);
    gateway.expect("chain", anonymous("/chain/header").header("x-consumer-id", "acme"), "acme", true);

    let claims = base64url(r#"{"sub": "ann", "iss": "nobody verifies this"}"#);
    let bearer = format!("Bearer e30.{claims}.{PLANTED}");
    gateway.expect("chain", anonymous("/chain/bearer").header("authorization", bearer), "ann", false);
    // `ann:pw8675309`, and a token without claims.
    let basic = "Basic YW5uOnB3ODY3NTMwOQ==";
    gateway.expect("chain", anonymous("/chain/basic").header("Authorization", basic), "ann", false);

    let kept = format!("sk_live_{HASH_OF_API_KEY}");
    let opaque = format!("Bearer opaque-{PLANTED}");
    let with_key = anonymous("/chain/key").header("authorization", opaque).header("X-API-Key", API_KEY);
    gateway.expect("chain", with_key, &kept, false);
    let in_query = anonymous(&format!("/chain/query?a=b&key={API_KEY}&c=d"));
    gateway.expect("chain", in_query, HASH_OF_API_KEY, false);
    let cookie = format!("theme=dark; uid=uid-planted-{PLANTED}; session={PLANTED}");
    gateway.expect("chain", anonymous("/chain/cookie").header("cookie", cookie), HASH_OF_COOKIE, false);
    gateway.expect("chain", anonymous("/chain/address"), HASH_OF_ADDRESS, false);
}

fn hostile_names(gateway: &mut Gateway) {
    let named = |path: &str, id: &[u8]| Request::get(path).header("x-consumer-id", id);
    let long = "x".repeat(50_000);
    gateway.expect("default", named("/hostile/long", long.as_bytes()), &"x".repeat(128), false);
    let markup = "<img src=x onerror=alert(1)>&\"'";
    gateway.expect("default", named("/hostile/markup", markup.as_bytes()), markup, false);
    let marks = "admin\u{202e}\u{200b}gpj.exe";
    gateway.expect(
        "default",
        named("/hostile/marks", marks.as_bytes()),
        "admin\u{fffd}\u{fffd}gpj.exe",
        false,
    );
    gateway.expect("default", named("/hostile/bytes", b"caf\xe9"), "caf\u{fffd}", false);
    gateway.expect("default", named("/hostile/sentinel", b"__overflow__"), "\u{fffd}_overflow__", false);
    gateway.expect("default", named("/hostile/formula", b"=cmd|'/c calc'!A0"), "=cmd|'/c calc'!A0", false);
}

fn response_headers(gateway: &mut Gateway) {
    let named =
        |path: &str| Request::post(path, "x").header("answer-x-caller", "app").header("answer-x-seen", "1");
    let response = gateway.expect("chain", named("/echo/1"), "app", true);
    assert_eq!((response.header("x-caller"), response.header("x-seen")), (None, Some("1")));
    // An access logger cannot change the response.
    let response = gateway.expect("logger", named("/echo/2"), "app", true);
    assert_eq!(response.header("x-caller"), Some("app"));
    // A name from an earlier source leaves the header no less internal.
    let response = gateway.expect("chain", named("/echo/3").header("x-consumer-id", "acme"), "acme", true);
    assert_eq!(response.header("x-caller"), None);
}

fn with_tokens(config: EnvoyConfig, logger: &EnvoyConfig, key: &TokenKey) -> EnvoyConfig {
    let claim = |path: &[&str]| {
        let path: Vec<&str> =
            ["envoy.filters.http.jwt_authn", "payload"].iter().chain(path).copied().collect();
        json!({ "metadata": path })
    };
    let sources = json!([claim(&["account"]), claim(&["org", "name"]), claim(&["groups"]), claim(&["sub"])]);
    let plugin = plugin(json!({ "sources": sources }));
    let filters = |listener: &mut Value, place: usize| {
        manager(listener)["http_filters"].as_array_mut().unwrap().insert(place, jwt_authn(key));
    };
    let config = listener(config, "jwt_first", &plugin, |listener| filters(listener, 0));
    let config = listener(config, "jwt_last", &plugin, |listener| filters(listener, 1));
    listener(config, "jwt_logger", &plugin, |listener| {
        filters(listener, 0);
        as_logger(listener, logger, &plugin);
    })
}

fn tokens(gateway: &mut Gateway, key: &TokenKey) {
    let forged = TokenKey::new();
    for listener in ["jwt_first", "jwt_last", "jwt_logger"] {
        let mut check = |path: &str, authorization: &str, status: u16, id: &str| {
            let request = Request::get(format!("/{listener}/{path}?status=200"));
            let request = request.header("authorization", authorization);
            let response = gateway.expect(listener, request, id, id != "anonymous");
            assert_eq!(response.status, status, "{listener} {path}");
        };
        check("text", &key.bearer(json!({"sub": "ann"})), 200, "ann");
        check("number", &key.bearer(json!({"account": 1_234_567, "sub": "ann"})), 200, "1234567");
        check("nested", &key.bearer(json!({"org": {"name": "Acme"}, "sub": "ann"})), 200, "Acme");
        check("list", &key.bearer(json!({"groups": ["gold", "all"], "sub": "ann"})), 200, "gold");
        check("numbers", &key.bearer(json!({"groups": [7, 8], "sub": "ann"})), 200, "7");
        check(
            "others",
            &key.bearer(json!({"account": {"a": [1]}, "org": true, "groups": [], "sub": "ann"})),
            200,
            "ann",
        );
        check(
            "fraction",
            &key.bearer(json!({"account": 0.5, "groups": [{"a": 1}], "sub": "ann"})),
            200,
            "ann",
        );
        check("null", &key.bearer(json!({"account": null})), 200, "anonymous");
        check(
            "hostile",
            &key.bearer(json!({"sub": "a\u{0}b\u{1b}[31m\u{202e}c"})),
            200,
            "a\u{fffd}b\u{fffd}[31m\u{fffd}c",
        );
        check("forged", &forged.bearer(json!({"sub": "ann"})), 401, "anonymous");
    }
}

/// The logger of a module reads texts and numbers, and no lists; the filter reads no keys within keys.
fn tokens_of_a_module(gateway: &mut Gateway, key: &TokenKey) {
    let mut check = |listener: &str, path: &str, claims: Value, id: &str| {
        let request = Request::get(format!("/{listener}/{path}?status=200"));
        let request = request.header("authorization", key.bearer(claims));
        assert_eq!(gateway.expect(listener, request, id, id != "anonymous").status, 200, "{path}");
    };
    check("jwt_logger", "text", json!({"sub": "ann"}), "ann");
    check("jwt_logger", "number", json!({"account": 1_234_567, "sub": "ann"}), "1234567");
    check("jwt_logger", "nested", json!({"org": {"name": "Acme"}, "sub": "ann"}), "Acme");
    check("jwt_logger", "list", json!({"groups": ["gold"], "sub": "ann"}), "ann");
    check("jwt_first", "text", json!({"sub": "ann"}), "anonymous");
}

fn with_certificates(
    config: EnvoyConfig,
    logger: &EnvoyConfig,
    authority: &Authority,
    socket: &Path,
) -> EnvoyConfig {
    let plugin = plugin(json!({"sources": [{"certificate_uri_san": true}, {"certificate_subject": true}]}));
    let workload = authority.certify("orders", &["spiffe://test/ns/shop/sa/orders", "spiffe://test/second"]);
    let person = authority.certify("Ann", &[]);
    let logged = socket.with_extension("logged");
    let config = listener(config, "mtls", &plugin, |listener| mutual_tls(listener, socket, authority));
    let mut config = listener(config, "mtls_logger", &plugin, |listener| {
        mutual_tls(listener, &logged, authority);
        as_logger(listener, logger, &plugin);
    });
    let clients = [
        ("workload", socket, &workload),
        ("person", socket, &person),
        ("workload_logged", logged.as_path(), &workload),
        ("person_logged", logged.as_path(), &person),
    ];
    for (name, socket, client) in clients {
        config = listener(config, name, &plugin, |listener| pass_on(listener, name)).edit(|bootstrap| {
            let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
            clusters.push(tls_cluster(name, socket, client));
        });
    }
    // Without a certificate there is none to read.
    listener(config, "plaintext", &plugin, |_| {})
}

fn certificates(gateway: &mut Gateway) {
    let get = |path: &str| Request::get(format!("{path}?status=200"));
    let response = gateway.expect("workload", get("/mtls/workload"), "spiffe://test/ns/shop/sa/orders", true);
    assert_eq!(response.status, 200);
    gateway.expect("person", get("/mtls/person"), "CN=Ann,O=Acme", true);
    gateway.expect("workload_logged", get("/mtls_logger/workload"), "spiffe://test/ns/shop/sa/orders", true);
    gateway.expect("person_logged", get("/mtls_logger/person"), "CN=Ann,O=Acme", true);
    gateway.expect("plaintext", get("/mtls/none"), "anonymous", false);
}

#[test]
fn names_and_groups_reach_the_answers_and_no_key_reaches_the_store() {
    let stack = Stack::launch(Mode::Filter, Listeners::Static, |config| {
        config.plugin(&json!({
            "version": 1, "service": {"name": "e2e"}, "ingest": {"cluster": "gatelens_ingest"},
            "capture": {"request_headers": ["*"]},
            "consumer": {
                "sources": [{"header": "x-consumer-id", "trusted": true}, {"api_key_header": "x-api-key"},
                            {"api_key_query": "key"}],
                "pseudonymize_key": PSEUDONYMIZE_KEY,
                "name": {"header": "x-consumer-name"},
                "group": {"header": "x-consumer-group"},
                "directory": {HASH_OF_API_KEY: {"name": "A partner", "group": "partners"}},
            },
        }))
    });
    let send = |request: Request| {
        Connection::open(stack.envoy.address()).unwrap().request(&request).unwrap();
    };
    let acme = |name: &str| {
        Request::get("/users/1")
            .header("x-consumer-id", "acme")
            .header("x-consumer-name", name)
            .header("x-consumer-group", "gold")
    };
    send(acme("Acme"));
    stack.wait_for_requests(1);
    send(acme("Acme \u{202e}Inc.<b>"));
    send(Request::get("/users/2").header("x-consumer-id", "globex"));
    send(Request::get("/users/3").header("x-api-key", API_KEY));
    send(Request::get(format!("/users/4?key={API_KEY}")));
    stack.wait_for_count(5);
    let log = stack.wait_for_requests(5);

    let get = |path: &str| stack.ingest.get_json(path).unwrap();
    let rows = |path: &str, keys: &[&str]| -> Vec<Value> {
        let answer = get(path);
        let all = answer["rows"].as_array().unwrap();
        let mut rows: Vec<Value> =
            all.iter().map(|row| keys.iter().map(|key| row[*key].clone()).collect()).collect();
        rows.sort_by_key(Value::to_string);
        rows
    };
    let acme = "Acme \u{fffd}Inc.<b>";
    let keys = ["consumer", "consumer_name", "consumer_group", "requests"];
    assert_eq!(
        rows("/api/v1/summary?group_by=consumer", &keys),
        [
            json!([HASH_OF_API_KEY, "A partner", "partners", 2]),
            json!(["acme", acme, "gold", 2]),
            json!(["globex", null, null, 1]),
        ]
    );
    assert_eq!(
        rows("/api/v1/summary?group_by=group", &["group", "requests"]),
        [json!(["", 1]), json!(["gold", 2]), json!(["partners", 2])]
    );
    assert_eq!(
        rows("/api/v1/requests?group=partners", &["path"]),
        [json!(["/users/3"]), json!(["/users/4"])]
    );
    assert_eq!(
        rows("/api/v1/consumers?group=gold,partners", &["id", "name", "group"]),
        [json!([HASH_OF_API_KEY, "A partner", "partners"]), json!(["acme", acme, "gold"])]
    );

    let mut texts = vec![stack.envoy.log(), Value::from(log).to_string()];
    for file in std::fs::read_dir(stack.ingest.data()).unwrap() {
        let file = file.unwrap();
        // The socket of the service at work keeps no bytes.
        if !file.file_type().unwrap().is_file() {
            continue;
        }
        let bytes = std::fs::read(file.path()).unwrap();
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    for text in texts {
        assert!(!text.contains(PLANTED), "a credential left: {text}");
    }
}
