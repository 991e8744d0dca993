//! `gatelens check` as a user runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Checks a text; returns the exit status and what was said, with `FILE` for the file.
fn check(text: &str) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, text).unwrap();
    let (status, said) = gatelens(&[file.to_str().unwrap()]);
    (status, said.replace(file.to_str().unwrap(), "FILE"))
}

fn gatelens(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gatelens")).arg("check").args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

#[test]
fn the_files_of_the_repository_are_accepted() {
    let mut checked = 0;
    for directory in ["envoy", "packaging/compose", "istio", "envoy-gateway"] {
        for entry in fs::read_dir(repository().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let holds_one = ["vm_config", "WasmPlugin\n", "EnvoyExtensionPolicy\n"]
                .iter()
                .any(|mark| text.contains(mark));
            if path.extension().is_some_and(|extension| extension == "yaml") && holds_one {
                let (status, said) = gatelens(&[path.to_str().unwrap()]);
                assert_eq!(status, 0, "{said}");
                let is_ok = said.ends_with(": ok\n") || said.ends_with("scrape.yaml: ok, 2 configurations\n");
                assert!(is_ok, "{said}");
                // Whoever copies the file decides who sets the header; nothing else is left open.
                let warnings = said.lines().filter(|line| line.contains("warning"));
                assert_eq!(
                    warnings.filter(|line| !line.contains("`x-consumer-id`")).count(),
                    usize::from(said.contains("FAIL_OPEN")),
                    "{said}"
                );
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 7);
}

#[test]
fn a_file_without_a_plugin_is_a_note_beside_a_file_with_one() {
    let mut files = Vec::new();
    for directory in ["envoy", "istio", "envoy-gateway"] {
        let entries = fs::read_dir(repository().join(directory)).unwrap().map(|entry| entry.unwrap().path());
        let yaml = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        files.extend(yaml.map(|path| path.to_str().unwrap().to_owned()));
    }
    let arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    let (status, output) = gatelens(&arguments);
    assert_eq!(status, 0, "{output}");
    let companions = [
        "istio/access-logger-module.yaml",
        "istio/ingest-outside.yaml",
        "envoy-gateway/ingest-cluster.yaml",
        "envoy-gateway/ingest-cluster-patch.yaml",
    ];
    assert_eq!(output.lines().filter(|line| line.contains(": note: ")).count(), companions.len(), "{output}");
    for companion in companions {
        let file = repository().join(companion);
        let file = file.to_str().unwrap();
        assert!(output.contains(&format!("{file}:1:1: note: no configuration of gatelens")), "{output}");
        assert!(!output.contains(&format!("{file}: ok")), "{output}");
        let (status, output) = gatelens(&[file]);
        assert_eq!(status, 1, "{output}");
        assert!(output.contains(":1:1: error: no configuration of gatelens"), "{output}");
    }
    let (status, output) = gatelens(&[&["--format", "json"], &*arguments].concat());
    let output: Value = serde_json::from_str(&output).unwrap();
    let notes = output["files"].as_array().unwrap().iter().filter(|file| file["configurations"] == 0);
    let notes: Vec<&Value> = notes.collect();
    assert_eq!((status, notes.len()), (0, companions.len()), "{output}");
    for file in notes {
        assert_eq!((&file["ok"], &file["problems"][0]["severity"]), (&true.into(), &"note".into()), "{file}");
    }

    // These are defects beside any file: nothing of Kubernetes or Envoy, or a resource that must carry a plugin.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let plugin = repository().join("istio/wasm-plugin.yaml");
    for defect in [
        "",
        "version: 1\ningset: {cluster: a}\n",
        "[1]",
        "a: [",
        "kind: Deployment\n",
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: a}\n",
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugn\nspec: {pluginConfig: {version: 1}}\n",
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nspec: {}\n",
    ] {
        fs::write(&file, defect).unwrap();
        let (status, output) = gatelens(&[file.to_str().unwrap(), plugin.to_str().unwrap()]);
        assert_eq!(status, 1, "{defect}\n{output}");
    }
    for companion in [
        "apiVersion: v1\nkind: Service\nspec: {}\n---\napiVersion: v1\nkind: ConfigMap\ndata: {}\n",
        "static_resources: {clusters: []}\n",
    ] {
        fs::write(&file, companion).unwrap();
        let (status, output) = gatelens(&[file.to_str().unwrap(), plugin.to_str().unwrap()]);
        assert_eq!(status, 0, "{companion}\n{output}");
    }
}

#[test]
fn templates_are_read_by_the_filters_own_code() {
    let config = |templates: &str| {
        format!(
            "version: 1\ningest: {{cluster: a}}\nconsumer: {{sources: [{{header: a, trusted: true}}]}}\nroutes:\n  templates:\n{templates}"
        )
    };
    let (status, said) = check(&config("  - GET /{group}/{version}\n  - /ok\n  - GET /{kind}/{name}\n"));
    assert_eq!(status, 1, "{said}");
    assert!(
        said.starts_with(
            "FILE:8:5: error: routes.templates[2]: `GET /{kind}/{name}` matches requests that `GET /{group}/{version}` \
             (routes.templates[0]) matches too"
        ),
        "{said}"
    );
    let few = config("  - /a\n  - /b\ncounters: {max_series: 15}\n");
    let (status, said) = check(&few);
    assert_eq!(
        (status, said.as_str()),
        (
            0,
            "FILE:8:12: warning: counters.max_series: with 15 series, requests of the 2 templates can be counted in overflow; \
             set `counters.max_series` to 16\nFILE: ok\n"
        )
    );
    let (status, said) = check(&few.replace("15", "16"));
    assert_eq!((status, said.as_str()), (0, "FILE: ok\n"));
    let (status, said) = check(&config("  - /ok\n  - /a/../b\n  - /files/**\n"));
    assert_eq!(status, 0, "{said}");
    assert_eq!(
        said,
        "FILE:7:5: warning: routes.templates[1]: this template matches no request: clients and gateways resolve `.` and \
         `..` before they send a path\nFILE: ok\n"
    );
}

#[test]
fn a_defect_is_shown_where_it_is_in_the_file() {
    let refused = |text: &str, says: &str| {
        let (status, said) = check(text);
        assert_eq!(status, 1, "{text}\n{said}");
        assert!(said.lines().any(|line| line.starts_with(says)), "{text}\n{said}\nshould say: {says}");
    };
    let typo = "error: ingest.clutser: unknown key `clutser`; did you mean `cluster`?";
    refused("{\"version\": 1,\n \"ingest\": {\"clutser\": \"a\"}}", &format!("FILE:2:13: {typo}"));
    refused("version: 1\ningest:\n  clutser: a\n", &format!("FILE:3:3: {typo}"));
    refused("{\"version\": 1,", "FILE:1:14: error: EOF while parsing");
    refused("", "FILE:1:1: error: no configuration of gatelens");
    refused("a: [", "FILE:");
    refused("kind: Deployment\nspec: {}\n", "FILE:1:1: error: no configuration of gatelens");
    refused(
        "kind: WasmPlugin\nspec:\n  url: oci://a/b\n  failStrategy: FAIL_OPEN\n  pluginConfig:\n    version: 1\n    ingest: {cluster: a}\n    routes: {templates: [/a, b]}\n",
        "FILE:8:30: error: routes.templates[1]: ",
    );
    refused(
        "kind: WasmPlugin\nspec: {url: oci://a/b}\n",
        "FILE:2:7: error: the plugin configuration is empty",
    );
    refused(
        "kind: EnvoyExtensionPolicy\nspec:\n  wasm:\n  - config: {version: \"1\", ingest: {cluster: a}}\n    failOpen: true\n",
        "FILE:4:14: error: version: ",
    );

    // As `kubectl get -o yaml` prints several resources.
    let list = "apiVersion: v1\nkind: List\nitems:\n- kind: Deployment\n  spec: {}\n- kind: WasmPlugin\n  metadata: {name: gatelens}\n  spec:\n    failStrategy: FAIL_OPEN\n    pluginConfig:\n      version: 1\n      ingest: {clutser: a}\n";
    refused(list, &format!("FILE:12:16: {typo}"));

    // In the text that an Envoy configuration holds, in each way of writing one.
    let filter = |value: &str| {
        format!(
            "http_filters:\n- name: w\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      name: gatelens\n      fail_open: true\n      vm_config: {{}}\n      configuration:\n        \"@type\": type.googleapis.com/google.protobuf.StringValue\n        value: {value}\n"
        )
    };
    let literal = "|\n          {\n            \"version\": 1,\n            \"ingest\": {\"clutser\": \"a\"}\n          }";
    refused(&filter(literal), &format!("FILE:14:24: {typo}"));
    refused(&filter(r#"'{"version": 1, "ingest": {"clutser": "a"}}'"#), &format!("FILE:11:43: {typo}"));
    refused(
        &filter(r#""{\"version\": 1,\n\"ingest\": {\"clutser\": \"a\"}}""#),
        &format!("FILE:11:48: {typo}"),
    );
    // Tried on Envoy 1.40: a Struct arrives as binary.
    let mapping = filter("{version: 1, ingest: {clutser: a}}").replace("StringValue", "Struct");
    refused(&mapping, "FILE:10:9: error: Envoy passes the text of a `google.protobuf.StringValue`");
    refused(&mapping, &format!("FILE:11:38: {typo}"));
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let warned = |text: &str, says: &[&str]| {
        let (status, said) = check(text);
        assert_eq!(status, 0, "{text}\n{said}");
        let warnings: Vec<&str> = said.lines().filter(|line| line.contains("warning")).collect();
        assert_eq!(warnings.len(), says.len(), "{said}");
        for (warning, says) in warnings.iter().zip(says) {
            assert!(warning.starts_with(says), "{warning}\nshould say: {says}");
        }
    };
    let trusted = r#""consumer": {"sources": [{"header": "x", "trusted": true}]}"#;
    warned(&format!("{{\"version\": 1, \"ingest\": {{\"cluster\": \"a\"}}, {trusted}}}"), &[]);
    warned(
        "{\"version\": 1, \"ingest\": {\"cluster\": \"a\"},\n \"consumer\": {\"sources\": [{\"header\": \"x\"}]}}",
        &["FILE:2:28: warning: consumer.sources[0].header: any client can send `x`"],
    );
    let consumer = |consumer: &str| {
        format!("{{\"version\": 1, \"ingest\": {{\"cluster\": \"a\"}},\n \"consumer\": {{{consumer}}}}}")
    };
    warned(
        &consumer(r#""sources": [{"client_ip": true}]"#),
        &["FILE:2:28: warning: consumer.sources[0].client_ip: the addresses of clients leave the gateway"],
    );
    let hashed = |key: &str| {
        consumer(&format!(
            r#""sources": [{{"client_ip": true, "pseudonymize": true}}], "pseudonymize_key": "{key}""#
        ))
    };
    warned(&hashed("0123456789abcdef0123456789abcdef"), &[]);
    warned(&hashed("short"), &["FILE:2:71: warning: consumer.pseudonymize_key: whoever guesses this key"]);
    warned(
        "version: 1\ningest: {cluster: a}\n",
        &["FILE:1:1: warning: consumer: any client can send `x-consumer-id`"],
    );
    let selected = |sections: &str| {
        format!("{{\"version\": 1, \"ingest\": {{\"cluster\": \"a\"}}, {trusted},\n {sections}}}")
    };
    warned(&selected(r#""sample": {"rate": 0.1, "keep_errors": true, "keep_consumers": ["acme"]}"#), &[]);
    warned(
        &selected(r#""sample": {"keep_errors": false, "keep_slower_than_ms": 500}"#),
        &[
            "FILE:2:13: warning: sample.keep_errors: this is an exception from the rate",
            "FILE:2:35: warning: sample.keep_slower_than_ms: this is an exception from the rate",
        ],
    );
    warned(
        &selected(r#""exclude": {"log": {"user_agents": ["kube-probe", "kube-probe/*", "Envoy/HC"]}}"#),
        &["FILE:2:38: warning: exclude.log.user_agents[0]: `kube-probe` matches only this whole user agent"],
    );
    let kept = r#""sample": {"rate": 0.1, "keep_consumers": ["acme", "amce"]}"#;
    warned(
        &consumer(&format!(
            r#""sources": [{{"header": "x", "trusted": true}}], "directory": {{"acme": {{}}}}}}, {kept}, "limits": {{"#
        )),
        &["FILE:2:141: warning: sample.keep_consumers[1]: `consumer.directory` has no `amce`"],
    );
    warned(
        &consumer(&format!(r#""sources": []}}, {kept}, "limits": {{"#)),
        &["FILE:2:55: warning: sample.keep_consumers: `consumer.sources` is empty"],
    );

    let bootstrap = fs::read_to_string(repository().join("envoy/http-filter.yaml")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(bootstrap.contains(from), "{from}");
        let text = bootstrap.replace(r#"{"header": "x-consumer-id"}"#, r#"{"header": "x", "trusted": true}"#);
        text.replace(from, to)
    };
    // Where a mark stands, of which the text has only one outside its comments.
    let place = |text: &str, mark: &str| {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
        let (index, line) = lines.find(|(_, line)| line.contains(mark)).unwrap();
        format!("FILE:{}:{}: warning: ", index + 1, line.find(mark).unwrap() + 1)
    };
    let text = changed("fail_open: true", "fail_open: true");
    warned(&text, &[]);
    let text = changed("fail_open: true", "failure_policy: FAIL_OPEN");
    warned(
        &text,
        &[&(place(&text, "failure_policy: ")
            + "if the filter traps, FAIL_OPEN ends every request in flight")],
    );
    let text = changed("fail_open: true", "").replace("    name: gatelens", "    name: 'gatelens'");
    warned(
        &text,
        &[&(place(&text, "name: 'gatelens'") + "if the filter traps, every request is answered 503")],
    );
    // Envoy refuses both at once.
    let text = changed("fail_open: true", "fail_open: true, failure_policy: FAIL_RELOAD")
        .replace("fail_open: true, ", "fail_open: true\n                ");
    let (status, said) = check(&text);
    assert!(status == 1 && said.contains("error: Envoy refuses an entry that sets both"), "{said}");
    // The allow-list is found in both of its places: under `vm_config`, and beside it for Envoy before 1.40.
    let beside = |text: &str| {
        let list: Vec<String> = text
            .lines()
            .skip_while(|line| !line.contains("capability_restriction_config:"))
            .take_while(|line| !line.contains("The reference of these keys"))
            .map(|line| line.get(2..).unwrap_or_default().to_owned())
            .collect();
        let start = text.find("                  capability_restriction_config:").unwrap();
        let end = text.find("                # The reference of these keys").unwrap();
        format!("{}{}\n{}", &text[..start], list.join("\n"), &text[end..])
    };
    let text = beside(&changed("fail_open: true", "fail_open: true"));
    assert!(text.contains("\n                capability_restriction_config:"), "{text}");
    warned(&text, &[]);
    let text = beside(&changed("proxy_on_delete: {}", ""));
    let lacks = "the allow-list lacks capabilities that the module needs; add proxy_on_delete";
    warned(&text, &[&(place(&text, "proxy_on_vm_start") + lacks)]);
    let text = changed("proxy_on_delete: {}", "");
    let lacks = "the allow-list lacks capabilities that the module needs; add proxy_on_delete";
    warned(&text, &[&(place(&text, "proxy_on_vm_start") + lacks)]);
    // Callbacks for bodies are missed where bodies are captured, and only there.
    let without_bodies = |text: String| text.replace("proxy_on_response_body: {}", "");
    let captured = r#""version": 1, "capture": {"response_body": true},"#;
    warned(&without_bodies(changed("fail_open: true", "fail_open: true")), &[]);
    warned(&changed(r#""version": 1,"#, captured), &[]);
    let text = without_bodies(changed(r#""version": 1,"#, captured));
    let lacks = "bodies are captured, but the allow-list keeps them from the filter, so they are omitted as \
                 `not_seen`; add proxy_on_response_body";
    warned(&text, &[&(place(&text, "proxy_on_vm_start") + lacks)]);
    let logger = fs::read_to_string(repository().join("envoy/access-logger.yaml")).unwrap();
    let logger = logger.replace(r#"{"header": "x-consumer-id"}"#, r#"{"header": "x", "trusted": true}"#);
    warned(&logger, &[]);
    let text =
        logger.replace(r#""version": 1,"#, captured).replace("    name: gatelens", "    name: 'gatelens'");
    warned(&text, &[&(place(&text, "name: 'gatelens'") + "an access logger sees no bodies")]);
    // So is the removal of a response header.
    let named_by_response = |text: &str| {
        let source = r#"{"header": "x", "trusted": true}"#;
        assert!(text.contains(source), "{text}");
        text.replace(source, r#"{"response_header": "x-caller"}"#)
    };
    let text = changed("fail_open: true", "fail_open: true");
    warned(&text.replace("proxy_remove_header_map_value: {}", ""), &[]);
    warned(&named_by_response(&text), &[]);
    let text = named_by_response(&text).replace("proxy_remove_header_map_value: {}", "");
    let lacks = "the allow-list keeps the filter from removing the response headers that name the consumer or report an \
                 error, so the client sees them; add proxy_remove_header_map_value";
    warned(&text, &[&(place(&text, "proxy_on_vm_start") + lacks)]);
    let text = named_by_response(&logger).replace("    name: gatelens", "    name: 'gatelens'");
    warned(&text, &[&(place(&text, "name: 'gatelens'") + "an access logger only reads the response header")]);
    // Both in one gateway: the logger leaves out what the filter counts where they share a virtual machine.
    let both = |filter: &str, logger: &str| {
        let entry = |kind: &str, policy: &str, list: &str| {
            format!(
                "- \"@type\": type.googleapis.com/envoy.extensions.{kind}\n  config: {{name: gatelens, {policy}, \
                 vm_config: {{vm_id: a{list}}}, configuration: {{\"@type\": type.googleapis.com/google.protobuf.StringValue, \
                 value: '{{\"version\": 1, \"ingest\": {{\"cluster\": \"a\"}}, {trusted}}}'}}}}\n"
            )
        };
        entry("filters.http.wasm.v3.Wasm", "fail_open: true", filter)
            + &entry("access_loggers.wasm.v3.WasmAccessLog", "failure_policy: FAIL_RELOAD", logger)
    };
    let (status, said) = check(&both("", ""));
    assert_eq!((status, said.contains("counts twice")), (0, false), "{said}");
    let (status, said) = check(&both("", "1"));
    assert_eq!((status, said.contains("each request that passes both counts twice")), (0, true), "{said}");
    let endpoint = fs::read_to_string(repository().join("envoy/scrape.yaml")).unwrap();
    let endpoint =
        endpoint.replace(r#"{"header": "x-consumer-id"}"#, r#"{"header": "x-consumer-id", "trusted": true}"#);
    warned(&endpoint, &[]);
    let text = endpoint.replace("                      proxy_send_local_response: {}\n", "");
    let (status, said) = check(&text);
    let lacks = "the allow-list keeps the endpoint from answering; add proxy_send_local_response";
    assert!(status == 0 && said.contains(lacks), "{said}");
    let text = endpoint.replace("filters.http.wasm.v3.Wasm", "access_loggers.wasm.v3.WasmAccessLog");
    let (status, said) = check(&text.replace("fail_open: true", "failure_policy: FAIL_RELOAD"));
    assert!(status == 1 && said.contains("an access logger cannot answer Prometheus"), "{said}");
    let text = changed("  - name: gatelens_ingest\n", "  - name: ingest\n");
    let unknown = "ingest.cluster: no cluster `gatelens_ingest`";
    warned(&text, &[&(place(&text, "\"cluster\": \"gatelens_ingest\"") + unknown)]);
}

#[test]
fn the_entries_of_a_dynamic_module_are_checked() {
    let example = fs::read_to_string(repository().join("envoy/dynamic-module.yaml")).unwrap();
    let (status, said) = check(&example);
    assert_eq!((status, said.contains("ok, 2 configurations")), (0, true), "{said}");
    let (status, said) = check(&example.replace("\"cluster\": \"gatelens_ingest\"", "\"clutser\": \"a\""));
    assert!(status == 1 && said.matches("did you mean `cluster`?").count() == 2, "{said}");
    let (status, said) = check(&example.replace(", do_not_close: true", ""));
    assert!(status == 0 && said.contains("add `do_not_close: true`"), "{said}");
    let (before, after) = example.split_once("bootstrap_extensions:").unwrap();
    let (_, after) = after.split_once("admin:").unwrap();
    let (status, said) = check(&format!("{before}admin:{after}"));
    assert!(status == 1 && said.contains("needs the bootstrap extension of the same module"), "{said}");
    let (status, said) =
        check(&example.replace("\"version\": 1,", "\"version\": 1, \"capture\": {\"request_body\": true},"));
    assert!(status == 0 && said.matches("an access logger sees no bodies").count() == 1, "{said}");
}

#[test]
fn the_result_can_be_read_by_a_program_and_the_text_come_from_a_pipe() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatelens"))
        .args(["check", "--format", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"version: 1\ningest: {clutser: a}\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = &said["files"][0];
    assert_eq!(
        (&file["file"], &file["ok"], &file["configurations"]),
        (&"standard input".into(), &false.into(), &1.into())
    );
    let problem = &file["problems"][0];
    assert_eq!((&problem["severity"], &problem["path"]), (&"error".into(), &"ingest.clutser".into()));
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &10.into()));
}

#[test]
fn wrong_usage_is_told_apart() {
    assert_eq!(gatelens(&[]).0, 2);
    assert_eq!(gatelens(&["/no/such/file"]).0, 2);
}

#[test]
fn all_defects_are_named_at_once() {
    let text = "version: 1\ningest: {cluster: c, timeot_ms: 5}\nsample:\n  rate: 7\nroutes:\n  templates: [/a, b, /c, d]\n";
    let (status, said) = check(text);
    let places: Vec<_> =
        said.lines().map(|line| line.split(": ").take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        places,
        [
            "FILE:2:22 error ingest.timeot_ms",
            "FILE:4:3 error sample.rate",
            "FILE:6:19 error routes.templates[1]",
            "FILE:6:26 error routes.templates[3]",
        ],
        "{said}"
    );
    assert_eq!(status, 1);
}

#[test]
fn a_defect_that_follows_from_another_is_not_named() {
    let (_, said) =
        check(r#"{"version": 1, "ingest": {"cluster": "c"}, "consumer": {"sources": [{"from": "header"}]}}"#);
    assert!(said.contains("consumer.sources[0].from: unknown key") && said.lines().count() == 1, "{said}");
}

#[test]
fn strict_takes_warnings_for_errors() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plugin.json");
    fs::write(
        &file,
        r#"{"version": 1, "ingest": {"cluster": "c"}, "consumer": {"sources": [{"header": "x-consumer-id"}]}}"#,
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let (status, said) = gatelens(&[file]);
    assert!(status == 0 && said.contains(" warning: "), "{said}");
    let (status, said) = gatelens(&["--strict", file]);
    assert!(status == 1 && said.contains(" error: ") && !said.contains("warning"), "{said}");
}
