use crate::config::*;
use crate::host::PluginIdentity;
use crate::plan::Plan;

const SMALLEST: &str = r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}"#;

fn refused(text: &str) -> ConfigError {
    Plan::read(text, &PluginIdentity::default()).expect_err(text)
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let config = Config::parse(SMALLEST).unwrap();
    assert_eq!(config.service.name, "gateway");
    assert_eq!(config.service.environment, "default");
    assert_eq!(config.service.direction, Direction::Inbound);
    assert_eq!(config.ingest.timeout_ms, 5_000);
    let header = ConsumerSource { header: Some("x-consumer-id".into()), ..ConsumerSource::default() };
    assert_eq!(config.consumer.sources, [header]);
    assert!(config.routes.infer);
    assert_eq!(config.counters.max_series, 10_000);
    assert!(config.counters.consumer);
    assert_eq!(config.limits.queue_bytes, 8_388_608);
    assert_eq!(
        (config.limits.batch_events, config.limits.batch_bytes, config.limits.flush_ms),
        (500, 262_144, 1_000)
    );
    assert_eq!(config.limits.redaction_percent, 20);
    assert!(!config.debug);
    let none = Exclusions::default();
    assert_eq!((config.exclude.counters, config.exclude.log.defaults), (none, true));
    assert_eq!(config.sample.rate, 1.0);
    assert!(config.sample.keep_errors && config.sample.keep_consumers.is_empty());
    assert_eq!(config.sample.keep_slower_than_ms, Some(1_000));
    assert!(!config.access_log);
}

#[test]
fn a_full_configuration_is_read() {
    let text = r#"{
      "version": 1,
      "service": {"name": "orders", "version": "1.4.2", "environment": "prod", "tags": {"team": "checkout"}, "direction": "outbound"},
      "ingest": {"cluster": "gatelens_ingest", "authority": "ingest.internal", "path_prefix": "/x", "headers": {"authorization": "Bearer abc"},
                 "timeout_ms": 2000, "temporality": "cumulative", "requests_as": "logs"},
      "consumer": {"sources": [{"header": "x-consumer-id", "trusted": true}, {"header": "X-User"}]},
      "routes": {"templates": ["GET /users/{id}", "/v1/orders/{order_id}/items/{item}"], "use_route_name": true, "infer": false},
      "counters": {"max_series": 10, "consumer": false, "bounds_seconds": [0.1, 1]},
      "limits": {"queue_bytes": 65536, "batch_events": 1, "batch_bytes": 4096, "flush_ms": 100},
      "debug": true
    }"#;
    let config = Config::parse(text).unwrap();
    assert_eq!(config.service.direction, Direction::Outbound);
    assert_eq!(config.routes.templates.len(), 2);
    assert!(config.debug);
}

#[test]
fn a_defect_has_a_place_and_a_suggestion() {
    let check = |text: &str, place: (&str, usize, usize), message: &str| {
        let error = refused(text);
        assert_eq!((error.path.as_str(), error.line, error.column), place, "{text}\n{error}");
        assert!(error.message.contains(message), "{text}\n{error}\nshould say: {message}");
    };
    check("", ("", 0, 0), "empty");
    check("{\"version\": 1,,}", ("", 1, 15), "key must be a string");
    check("{\"version\": 1, \"ingest\": {\"cluster\": \"a\"}} x", ("", 1, 44), "trailing characters");
    check(r#"{"ingest": {"cluster": "a"}}"#, ("", 1, 28), "the key `version` is missing");
    check(r#"{"version": 1}"#, ("", 1, 14), "the key `ingest` is missing");
    check(
        "{\"version\": 1,\n \"ingest\": {\"clutser\": \"a\"}}",
        ("ingest.clutser", 2, 13),
        "did you mean `cluster`?",
    );
    check(
        "{\"version\": 1,\n \"ingest\": {\"cluster\": 7}}",
        ("ingest.cluster", 2, 13),
        "invalid type: integer `7`",
    );
    check(r#"{"version": 2, "ingest": {"cluster": "a"}}"#, ("version", 1, 2), "write 1");

    let check = |section: &str, path: &str, message: &str| {
        let text = format!("{{\"version\": 1, \"ingest\": {{\"cluster\": \"a\"}},\n{section}}}");
        let error = refused(&text);
        assert_eq!(error.path, path, "{text}\n{error}");
        assert_eq!(error.line, 2, "{text}\n{error}");
        assert!(error.message.contains(message), "{text}\n{error}\nshould say: {message}");
    };
    check(r#""sample": {"rate": 1.5}"#, "sample.rate", "use a number between 0 and 1");
    check(r#""sample": {"rate": "0.1"}"#, "sample.rate", "invalid type");
    check(r#""sample": {"keep_slower_than_ms": 0}"#, "sample.keep_slower_than_ms", "between 1 and 86400000");
    check(r#""sample": {"keep_consumers": ["a", ""]}"#, "sample.keep_consumers[1]", "use 1 to 128");
    check(r#""sample": {"keep_error": true}"#, "sample.keep_error", "did you mean `keep_errors`?");
    check(r#""exclude": {"paths": []}"#, "exclude.paths", "expected one of `counters`, `log`");
    check(r#""exclude": {"counters": {"defaults": true}}"#, "exclude.counters.defaults", "expected one of");
    check(r#""exclude": {"log": {"paths": ["/a", "b"]}}"#, "exclude.log.paths[1]", "write `/b`");
    check(r#""exclude": {"log": {"paths": ["/a?b=1"]}}"#, "exclude.log.paths[0]", "compared without a query");
    check(r#""exclude": {"log": {"paths": [""]}}"#, "exclude.log.paths[0]", "use 1 to 1024");
    check(r#""exclude": {"counters": {"methods": ["options"]}}"#, "exclude.counters.methods[0]", "`OPTIONS`");
    check(r#""exclude": {"counters": {"methods": ["FETCH"]}}"#, "exclude.counters.methods[0]", "`PATCH`");
    check(r#""exclude": {"log": {"user_agents": [""]}}"#, "exclude.log.user_agents[0]", "1 to 1024");
    check(
        r#""consumer": {"sources": [{"haeder": "a"}]}"#,
        "consumer.sources[0].haeder",
        "did you mean `header`?",
    );
    check(
        r#""consumer": {"sources": [{"header": "a b"}]}"#,
        "consumer.sources[0].header",
        "not a header name",
    );
    check(
        r#""consumer": {"sources": [{"header": "X-Api-Key"}]}"#,
        "consumer.sources[0].header",
        "holds a credential",
    );
    check(r#""capture": {"request_headers": ["a b"]}"#, "capture.request_headers[0]", "not a header name");
    check(r#""capture": {"request_headers": [":path"]}"#, "capture.request_headers[0]", "`host`");
    check(r#""capture": {"max_body_bytes": 0}"#, "capture.max_body_bytes", "not between 1 and 1048576");
    check(r#""capture": {"body": true}"#, "capture.body", "unknown key `body`");
    check(r#""redact": {"headers": [""]}"#, "redact.headers[0]", "cannot be empty");
    check(r#""redact": {"headers": ["$.a"]}"#, "redact.headers[0]", "this is a path");
    check(r#""redact": {"request_body": ["$.a", "user.email"]}"#, "redact.request_body[1]", "$.user.email");
    check(r#""redact": {"response_body": ["$.a["]}"#, "redact.response_body[0]", "");
    check(r#""redact": {"keys": ["*"]}"#, "redact.keys[0]", "no `*` here");
    check(r#""redact": {"detectors": ["crad"]}"#, "redact.detectors[0]", "did you mean `card`?");
    check(r#""redact": {"detectors": ["card", "card"]}"#, "redact.detectors[1]", "in the list already");
    check(r#""frobnicate": {}"#, "frobnicate", "expected one of `version`, `service`");
    check(r#""service": {"direction": "inbuond"}"#, "service.direction", "did you mean `inbound`?");
    check(r#""service": {"environment": "prod eu"}"#, "service.environment", "1 to 32 letters");
    check(r#""service": {"name": ""}"#, "service.name", "use 1 to 255");
    check(r#""routes": {"templates": ["/ok", "users/{id}"]}"#, "routes.templates[1]", "/users/{id}");
    check(r#""routes": {"templates": ["/a/{b"]}"#, "routes.templates[0]", "{b");
    check(
        r#""routes": {"templates": ["/{group}/{version}", "/ok", "/{kind}/{name}"]}"#,
        "routes.templates[2]",
        "`/{kind}/{name}` matches requests that `/{group}/{version}` (routes.templates[0]) matches too",
    );
    check(
        r#""routes": {"templates": ["GET /a", "GET /a"]}"#,
        "routes.templates[1]",
        "`GET /a` (routes.templates[0])",
    );
    check(
        r#""counters": {"max_routes": 2}, "routes": {"templates": ["GET /a", "/b", "POST /a", "/c"]}"#,
        "counters.max_routes",
        "the templates have 3 routes, and the bound is 2; set `counters.max_routes` to 3 or more",
    );
    check(r#""counters": {"max_hosts": 0}"#, "counters.max_hosts", "use a number between 1 and 20000");
    check(
        r#""counters": {"max_upstreams": 0}"#,
        "counters.max_upstreams",
        "use a number between 1 and 20000",
    );
    check(r#""counters": {"host": "virtual_host"}"#, "counters.host", "boolean");
    check(r#""counters": {"max_series": 0}"#, "counters.max_series", "use a number between 1 and 20000");
    check(r#""counters": {"bounds_seconds": [1, 0.5]}"#, "counters.bounds_seconds", "do not rise");
    check(r#""limits": {"flush_ms": 1}"#, "limits.flush_ms", "use a number between 100 and 60000");
    check(
        r#""limits": {"redaction_percent": 0}"#,
        "limits.redaction_percent",
        "use a number between 1 and 100",
    );
    check(
        r#""limits": {"redaction_percent": 101}"#,
        "limits.redaction_percent",
        "use a number between 1 and 100",
    );
    check(
        r#""limits": {"queue_bytes": 65536, "batch_bytes": 100000}"#,
        "limits.batch_bytes",
        "does not fit into the queue; use at most `queue_bytes`, 65536",
    );
    check(r#""debug": "yes""#, "debug", "expected a boolean");
    check(r#""scrape": {"path": "metrics"}"#, "scrape.path", "write `/metrics`");
    check(r#""scrape": {"path": "/metrics?a"}"#, "scrape.path", "has no query");
    check(r#""scrape": {"labels": ["http_route", "route"]}"#, "scrape.labels[1]", "`http_route`");
    check(r#""scrape": {"labels": ["http_route", "http_route"]}"#, "scrape.labels[1]", "named twice");
    check(r#""scrape": {"max_series": 0}"#, "scrape.max_series", "use a number between 1 and 10000");
    check(r#""scrape": {"lables": []}"#, "scrape.lables", "did you mean `labels`?");

    let check = |ingest: &str, path: &str, message: &str| {
        let text = format!("{{\"version\": 1, \"ingest\": {{\"cluster\": \"a\", {ingest}}}}}");
        let error = refused(&text);
        assert_eq!(error.path, path, "{text}\n{error}");
        assert!(error.message.contains(message), "{text}\n{error}\nshould say: {message}");
    };
    check(r#""path_prefix": "otlp/""#, "ingest.path_prefix", "`/otlp`");
    check(r#""temporality": "gauge""#, "ingest.temporality", "`cumulative`, `delta`");
    check(r#""timeout_ms": 0"#, "ingest.timeout_ms", "0 is out of range; use a number between 1 and 60000");
    check(
        r#""headers": {"x-gatelens-epoch": "1"}"#,
        "ingest.headers.x-gatelens-epoch",
        "sets this header itself",
    );
    check(r#""headers": {"a": "b\r\nc: d"}"#, "ingest.headers.a", "printable");

    let check = |sections: &str, path: &str, message: &str| {
        let error = refused(&format!("{{\"version\": 1, {sections}}}"));
        assert_eq!(error.path, path, "{sections}\n{error}");
        assert!(error.message.contains(message), "{sections}\n{error}");
    };
    check(r#""ingest": {}"#, "ingest", "the key `cluster` is missing");
    check(r#""ingest": {"enabled": true}"#, "ingest", "the key `cluster` is missing");
    check(r#""ingest": {"cluster": ""}"#, "ingest.cluster", "use 1 to 255");
    let bodies = r#""ingest": {"enabled": false}, "capture": {"response_body": true}"#;
    check(bodies, "capture.response_body", "remove this key, or `ingest.enabled`");
    let bodies = r#""ingest": {"cluster": "a", "requests_as": "none"}, "capture": {"request_body": true},
        "destinations": [{"cluster": "b", "requests_as": "none"}]"#;
    check(bodies, "capture.request_body", "remove this key, or `ingest.requests_as`");
    check(
        r#""ingest": {"cluster": "a", "metrics": false, "requests_as": "none"}"#,
        "ingest.metrics",
        "nothing would be sent",
    );
    check(r#""ingest": {"cluster": "a", "requests_as": "all"}"#, "ingest.requests_as", "`both`");

    let check = |destinations: &str, path: &str, message: &str| {
        let text = format!(
            "{{\"version\": 1, \"ingest\": {{\"cluster\": \"a\"}}, \"destinations\": [{destinations}]}}"
        );
        let error = refused(&text);
        assert_eq!(error.path, path, "{text}\n{error}");
        assert!(error.message.contains(message), "{text}\n{error}");
    };
    check(r#"{"cluster": "a"}"#, "destinations[0]", "the same receiver");
    check(r#"{"cluster": "a", "authority": "a"}"#, "destinations[0]", "the same receiver");
    check(r#"{"cluster": "b"}, {"cluster": "b"}"#, "destinations[1]", "the same receiver");
    check(r#"{"cluster": "b"}, {}"#, "destinations[1]", "the key `cluster` is missing");
    check(r#"{"cluster": "b", "enabled": false}"#, "destinations[0]", "remove this entry");
    check(r#"{"cluster": "b", "path_prefix": "/x/"}"#, "destinations[0].path_prefix", "`/x`");
    check(r#"{"cluster": "b", "timeout_ms": 0}"#, "destinations[0].timeout_ms", "out of range");
    check(r#"{"cluster": "b", "cluter": "c"}"#, "destinations[0].cluter", "`cluster`");
    check(
        r#"{"cluster": "b", "headers": "Bearer abc"}"#,
        "destinations[0].headers",
        "the headers are not an object",
    );
    let four = ["b", "c", "d", "e"].map(|cluster| format!(r#"{{"cluster": "{cluster}"}}"#));
    check(&four.join(","), "destinations", "there are 4 destinations; use at most 3");
}

#[test]
fn other_destinations_begin_new_counters_and_a_rotated_credential_does_not() {
    let counters = |ingest: &str, destinations: &str| {
        let text = format!(
            r#"{{"version": 1, "ingest": {{"cluster": "a"{ingest}}}, "destinations": [{destinations}]}}"#
        );
        Plan::read(&text, &PluginIdentity::default()).unwrap().export.counters
    };
    let of_one =
        Plan::read(r#"{"version": 1, "ingest": {"cluster": "a"}}"#, &PluginIdentity::default()).unwrap();
    assert_eq!(counters("", ""), of_one.export.counters);
    let all = [
        counters("", ""),
        counters(r#", "requests_as": "spans""#, ""),
        counters(r#", "requests_as": "both""#, ""),
        counters(r#", "requests_as": "none""#, ""),
        counters(r#", "metrics": false"#, ""),
        counters("", r#"{"cluster": "b"}"#),
        counters("", r#"{"cluster": "b", "requests_as": "spans"}"#),
        counters("", r#"{"cluster": "b"}, {"cluster": "c"}"#),
        counters(r#", "compression": "none""#, r#"{"cluster": "b"}"#),
    ];
    let distinct: std::collections::HashSet<u64> = all.iter().map(|id| id.0).collect();
    assert_eq!(distinct.len(), all.len());
    let with_key =
        |key: &str| counters("", &format!(r#"{{"cluster": "b", "headers": {{"api-key": "{key}"}}}}"#));
    assert_eq!(with_key("one"), with_key("other"));
    let text = r#"{"version": 1, "ingest": {"cluster": "a"}, "destinations": [{"cluster": "b", "headers": {"api-key": "s3cr3t"}}]}"#;
    let canonical = String::from_utf8(Config::parse(text).unwrap().canonical()).unwrap();
    assert!(!canonical.contains("s3cr3t"), "{canonical}");
}

#[test]
fn destinations_have_names_of_their_own() {
    let text = r#"{"version": 1, "ingest": {"cluster": "a", "path_prefix": "/x"}, "destinations": [
        {"cluster": "a", "path_prefix": "/x", "authority": "one"}, {"cluster": "a", "authority": "one"}]}"#;
    let plan = Plan::read(text, &PluginIdentity::default()).unwrap();
    let names: Vec<&str> = plan.export.destinations.iter().map(|to| to.name.as_str()).collect();
    assert_eq!(names, ["a/x[a]", "a/x[one]", "a"]);
}

#[test]
fn without_an_ingest_a_request_has_an_event_only_for_the_log_of_the_gateway() {
    use crate::request::Foresight;

    let foresight = |sections: &str| {
        let text = format!("{{\"version\": 1, \"ingest\": {{\"enabled\": false}}{sections}}}");
        Plan::read(&text, &PluginIdentity::default()).unwrap().request.selection.foresight()
    };
    assert_eq!(foresight(""), Foresight::Always);
    assert_ne!(foresight(r#", "access_log": true"#), Foresight::Always);
    // Neither an ingest nor the section `scrape` changes the hash of a configuration that has the defaults.
    let hash = |ingest: &str| {
        Config::parse(&format!("{{\"version\": 1, \"ingest\": {ingest}}}")).unwrap().canonical()
    };
    assert_eq!(hash(r#"{"cluster": "a"}"#), hash(r#"{"enabled": true, "cluster": "a"}"#));
    let canonical = hash(r#"{"cluster": "a"}"#);
    let canonical = String::from_utf8_lossy(&canonical);
    assert!(!canonical.contains("enabled") && !canonical.contains("scrape"), "{canonical}");
}

#[test]
fn templates_that_a_request_must_search_for_long_are_refused() {
    let templates = |levels: u32| {
        let path = |number: u32| {
            (0..levels).map(|bit| if number >> bit & 1 == 0 { "/a" } else { "/{p}" }).collect::<String>()
        };
        let templates: Vec<String> = (0..1 << levels).map(path).collect();
        let text = serde_json::json!({"version": 1, "ingest": {"cluster": "a"}, "routes": {"templates": templates},
                                      "counters": {"max_routes": 1024}});
        Plan::read(&text.to_string(), &PluginIdentity::default())
    };
    assert!(templates(8).is_ok());
    let error = templates(9).expect_err("1,023 nodes");
    assert_eq!(error.path, "routes.templates");
    assert!(error.message.contains("1023 steps"), "{error}");
}

#[test]
fn a_credential_cannot_name_a_consumer() {
    let parse = |header: &str| {
        let sources = format!(r#"{{"sources": [{{"header": "x-user"}}, {{"header": "{header}"}}]}}"#);
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "a"}}, "consumer": {sources}}}"#);
        Plan::read(&text, &PluginIdentity::default())
    };
    for header in [
        "authorization",
        "Proxy-Authorization",
        "x-authorization",
        "x-auth",
        "x-session",
        "x-session-id",
        "x-jwt",
        "x-jwt-assertion",
        "x-access-key",
        "x-goog-iap-jwt-assertion",
        "x-amzn-oidc-data",
        "x-ms-client-principal",
        "DPoP",
        "dpop",
        "cookie",
        "Set-Cookie",
        "X-Api-Key",
        "x_apikey",
        "apikey",
        "x-auth-token",
        "x-auth-request-access-token",
        "x-auth-user-password",
        "x-csrftoken",
        "x-client-secret",
        "client-assertion",
        "ocp-apim-subscription-key",
        "x-user-jwt",
        "x-group-jwt",
        "user-session-id",
        "x-user-session",
        "x-user-sessionid",
        "x-user-auth",
        "x-auth-user-key",
    ] {
        let error = parse(header).expect_err(header);
        assert_eq!(error.path, "consumer.sources[1].header", "{header}");
        assert!(error.message.contains("holds a credential"), "{header}: {error}");
    }
    // These name the caller, although a word in them is also found in names of credentials.
    for header in [
        "x-consumer-id",
        "x-author",
        "x-auth-user",
        "x-auth-request-user",
        "x-auth-request-email",
        "x-auth-request-preferred-username",
        "x-auth-request-groups",
        "x-auth-user-id",
        "x-auth-client-id",
        "x-jwt-claim-sub",
        "x-session-user",
        "x-credential-identifier",
        "x-api-key-id",
        "x-token-email",
        "x-amzn-oidc-identity",
        "x-ms-client-principal-name",
        "x-tokenizer",
    ] {
        assert!(parse(header).is_ok(), "{header}: {:?}", parse(header).err());
    }
}

#[test]
fn a_source_is_refused_with_its_place_and_the_remedy() {
    let check = |consumer: &str, path: &str, message: &str| {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "a"}}, "consumer": {consumer}}}"#);
        let error = refused(&text);
        assert_eq!(error.path, path, "{text}\n{error}");
        assert!(error.message.contains(message), "{text}\n{error}\nmust contain: {message}");
    };
    let sources = |source: &str, path: &str, message: &str| {
        let at = format!("consumer.sources[0]{path}");
        check(&format!(r#"{{"sources": [{source}], "pseudonymize_key": "k"}}"#), &at, message);
    };
    sources("{}", "", "write one of `header`");
    sources(r#"{"client_ip": false}"#, "", "write one of `header`");
    sources(r#"{"header": "a", "cookie": "b"}"#, ".cookie", "a source of its own");
    sources(r#"{"metdata": ["a", "b"]}"#, ".metdata", "did you mean `metadata`?");
    sources(r#"{"metadata": ["a"]}"#, ".metadata", "the path has 1 names");
    sources(r#"{"metadata": ["a", ""]}"#, ".metadata", "0 characters");
    sources(r#"{"metadata": ["a", "b\u0000c"]}"#, ".metadata", "control characters");
    sources(r#"{"metadata": ["a", "access_token"]}"#, ".metadata", "holds a credential");
    sources(r#"{"unverified_bearer_claim": "sid"}"#, ".unverified_bearer_claim", "holds a credential");
    sources(r#"{"cookie": "session"}"#, ".cookie", "add `\"pseudonymize\": true`");
    sources(r#"{"cookie": "connect.sid"}"#, ".cookie", "holds a credential");
    sources(r#"{"header": "authorization"}"#, ".header", "holds a credential");
    sources(r#"{"response_header": "set-cookie"}"#, ".response_header", "holds a credential");
    sources(r#"{"response_header": "a b"}"#, ".response_header", "not a header name");
    sources(r#"{"cookie": "uid", "trusted": true}"#, ".trusted", "only a `header` needs this mark");
    sources(r#"{"cookie": "uid", "keep_prefix": 4}"#, ".keep_prefix", "add `\"pseudonymize\": true`");
    sources(r#"{"api_key_header": "x", "keep_prefix": 17}"#, ".keep_prefix", "between 0 and 16");

    check(
        r#"{"sources": [{"api_key_header": "x-api-key"}]}"#,
        "consumer.sources[0].api_key_header",
        "pseudonymize_key",
    );
    check(
        r#"{"sources": [{"api_key_query": "key"}]}"#,
        "consumer.sources[0].api_key_query",
        "pseudonymize_key",
    );
    check(
        r#"{"sources": [{"client_ip": true, "pseudonymize": true}]}"#,
        "consumer.sources[0].pseudonymize",
        "add `pseudonymize_key`",
    );
    check(r#"{"pseudonymize_key": ""}"#, "consumer.pseudonymize_key", "the key has 0 characters");
    check(r#"{"pseudonymize_key": 70451}"#, "consumer.pseudonymize_key", "the value is not text");
    check(r#"{"name": {}}"#, "consumer.name", "exactly one of");
    check(r#"{"group": {"header": "a", "metadata": ["a", "b"]}}"#, "consumer.group", "exactly one of");
    check(
        r#"{"name": {"header": "x-api-key"}}"#,
        "consumer.name.header",
        "names and groups of consumers are sent",
    );
    check(r#"{"group": {"metadata": ["a"]}}"#, "consumer.group.metadata", "the path has 1 names");
    let long = "x".repeat(65);
    check(
        &format!(r#"{{"directory": {{"a": {{"name": "{long}"}}}}}}"#),
        "consumer.directory.a.name",
        "65 characters",
    );
    check(r#"{"directory": {"a ": {}}}"#, "consumer.directory.a ", "no request has this ID");
    check(r#"{"directory": {"a": {"nmae": "A"}}}"#, "consumer.directory.a.nmae", "did you mean `name`?");
}

#[test]
fn a_pseudonymised_source_may_hold_a_credential() {
    for source in
        [r#""header": "x-api-key""#, r#""cookie": "session""#, r#""metadata": ["a", "access_token"]"#]
    {
        let text = format!(
            r#"{{"version": 1, "ingest": {{"cluster": "a"}},
                "consumer": {{"sources": [{{{source}, "pseudonymize": true}}], "pseudonymize_key": "k"}}}}"#
        );
        assert!(Plan::read(&text, &PluginIdentity::default()).is_ok(), "{text}");
    }
}

#[test]
fn the_column_counts_characters() {
    let text = "{\"version\": 1, \"ingest\": {\"cluster\": \"é\\\"]}\"}, \"debug\": 1}";
    assert_eq!(refused(text).column, text.chars().position(|c| c == 'd').unwrap());
}

#[test]
fn a_pattern_in_the_schema_allows_what_the_filter_allows() {
    let check = |section: fn(&str) -> String, pattern: &str, text: &str| {
        let config =
            format!(r#"{{"version": 1, "ingest": {{"cluster": "a"}}, "service": {}}}"#, section(text));
        let accepted = Plan::read(&config, &PluginIdentity::default()).is_ok();
        assert_eq!(accepted, regex_lite::Regex::new(pattern).unwrap().is_match(text), "{text}");
    };
    for text in [
        "",
        "prod",
        "a_b-C9",
        "a.b",
        "a b",
        "\u{e9}",
        &"x".repeat(32),
        &"x".repeat(33),
        &"x".repeat(64),
        &"x".repeat(65),
    ] {
        check(|text| format!(r#"{{"environment": "{text}"}}"#), bounds::ENVIRONMENT_PATTERN, text);
        check(|text| format!(r#"{{"tags": {{"{text}": "a"}}}}"#), bounds::TAG_PATTERN, text);
    }
}

#[test]
fn a_header_that_the_configuration_masks_cannot_name_a_consumer() {
    let text = |masked: &str| {
        format!(
            r#"{{"version": 1, "ingest": {{"cluster": "c"}}, "consumer": {{"sources": [{{"header": "X-Member"}}]}},
                "redact": {{"headers": ["{masked}"]}}}}"#
        )
    };
    for masked in ["x-member", "x-mem*", "*"] {
        let error = refused(&text(masked));
        assert_eq!(error.path, "consumer.sources[0].header", "{masked}");
        assert!(error.message.contains("`redact.headers` masks `X-Member`"), "{}", error.message);
    }
    assert!(Plan::read(&text("x-members"), &PluginIdentity::default()).is_ok());
}
