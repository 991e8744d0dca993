//! The Helm chart: rendered by a library, because the tests have no Helm. With its defaults it is packaging/kubernetes/ingest.yaml, and
//! with all options its parts meet each other and what gatelens accepts.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, HashMap};
use std::fs;

use gatelens_core::host::PluginIdentity;
use gatelens_core::plan::Plan;
use gatelens_testkit::paths;
use gtmpl::{Context, FuncError, Template, Value as Item};
use serde_json::{Map, Value, json};

const CHART: &str = "packaging/helm/gatelens";
/// Every option that changes a document.
const ALL: &str = r#"
image: {pullPolicy: Always, tag: 1.2.3}
imagePullSecrets: [{name: pull}]
hosts: [gatelens.example.com]
serve: {keep_requests: 7}
storage: {className: fast}
service: {annotations: {a: b}, port: 8080}
ingress: {enabled: true, className: nginx, host: gatelens.example.com, tlsSecret: tls, annotations: {x: y}}
serviceMonitor: {enabled: true, tokenSecret: {name: prometheus-token}}
filter: {kind: istio, gateway: eg, config: {routes: {templates: ["/users/{id}"]}}}
podAnnotations: {p: q}
nodeSelector: {disk: ssd}
tolerations: [{key: k, operator: Exists}]
affinity: {nodeAffinity: {}}
"#;

fn text(file: &str) -> String {
    let path = paths::workspace_root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The values of the chart, with others over them as Helm lays them.
fn values(over: &str) -> Value {
    let mut values = yaml(&text(&format!("{CHART}/values.yaml")));
    if !over.is_empty() {
        merge(&mut values, yaml(over));
    }
    values
}

fn merge(values: &mut Value, over: Value) {
    match (values, over) {
        (Value::Object(values), Value::Object(over)) => {
            for (key, value) in over {
                merge(values.entry(key).or_insert(Value::Null), value);
            }
        }
        (values, over) => *values = over,
    }
}

/// All documents of the chart by their kind.
fn rendered(values: &Value) -> BTreeMap<String, Value> {
    let release = json!({"Name": "gatelens", "Namespace": "gatelens"});
    let context = json!({"Values": values, "Release": release, "Chart": chart(&["appVersion"])});
    let mut found = BTreeMap::new();
    for file in fs::read_dir(paths::workspace_root().join(CHART).join("templates")).unwrap() {
        let file = file.unwrap().path();
        let shown = render(&fs::read_to_string(&file).unwrap(), &context);
        if shown.trim().is_empty() || file.extension().is_some_and(|extension| extension == "txt") {
            continue;
        }
        let document = yaml(&shown);
        found.insert(document["kind"].as_str().unwrap().to_owned(), document);
    }
    found
}

/// Keys of Chart.yaml as Helm names them in a template.
fn chart(keys: &[&str]) -> Value {
    let chart = yaml(&text(&format!("{CHART}/Chart.yaml")));
    let named = |key: &str| format!("{}{}", key[..1].to_uppercase(), &key[1..]);
    keys.iter().map(|key| (named(key), chart[key].clone())).collect::<Map<_, _>>().into()
}

fn render(template: &str, context: &Value) -> String {
    let mut engine = Template::default();
    engine.add_func("toYaml", |given| Ok(yaml_of(&json_of(&given[0])).into()));
    engine.add_func("toJson", |given| Ok(json_of(&given[0]).to_string().into()));
    engine.add_func("sha256sum", |given| Ok(format!("{:x}", given[0].to_string().len()).into()));
    engine.add_func("list", |given| Ok(Item::Array(given.to_vec())));
    engine.add_func("indent", indent);
    engine.parse(template).unwrap_or_else(|error| panic!("{error}: {template}"));
    engine.render(&Context::from(item(context))).unwrap_or_else(|error| panic!("{error}: {template}"))
}

fn indent(given: &[Item]) -> Result<Item, FuncError> {
    let [Item::Number(by), Item::String(text)] = given else {
        return Err(FuncError::ExactlyXArgs("indent".to_owned(), 2));
    };
    let by = " ".repeat(by.as_u64().unwrap() as usize);
    Ok(text.lines().map(|line| format!("{by}{line}")).collect::<Vec<_>>().join("\n").into())
}

/// JSON is YAML.
fn yaml_of(value: &Value) -> String {
    let is_empty = value.as_object().is_none_or(Map::is_empty) && !value.is_array();
    match value {
        Value::Object(map) if !is_empty => {
            map.iter().map(|(key, value)| format!("{}: {value}", json!(key))).collect::<Vec<_>>().join("\n")
        }
        Value::Array(list) => list.iter().map(|value| format!("- {value}")).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn item(value: &Value) -> Item {
    match value {
        Value::Null => Item::Nil,
        Value::Bool(is) => Item::Bool(*is),
        Value::Number(number) => number.as_i64().unwrap().into(),
        Value::String(text) => Item::String(text.clone()),
        Value::Array(list) => Item::Array(list.iter().map(item).collect()),
        Value::Object(map) => {
            Item::Map(map.iter().map(|(key, value)| (key.clone(), item(value))).collect::<HashMap<_, _>>())
        }
    }
}

fn json_of(item: &Item) -> Value {
    match item {
        Item::Bool(is) => json!(is),
        Item::Number(number) => json!(number.as_i64()),
        Item::String(text) => json!(text),
        Item::Array(list) => list.iter().map(json_of).collect(),
        Item::Map(map) | Item::Object(map) => {
            map.iter().map(|(key, item)| (key.clone(), json_of(item))).collect::<Map<_, _>>().into()
        }
        _ => Value::Null,
    }
}

#[test]
fn the_defaults_are_the_files_for_kubectl() {
    let found = rendered(&values(""));
    let files: Vec<Value> = serde_saphyr::from_multiple(&text("packaging/kubernetes/ingest.yaml")).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["NetworkPolicy", "Service", "StatefulSet"]);
    for file in files {
        assert_eq!(found[file["kind"].as_str().unwrap()], file);
    }
    let version = chart(&["version", "appVersion"]);
    assert_eq!(
        version,
        json!({"Version": env!("CARGO_PKG_VERSION"), "AppVersion": env!("CARGO_PKG_VERSION")})
    );
}

#[test]
fn every_option_arrives_where_it_belongs() {
    let found = rendered(&values(ALL));
    let pod = &found["StatefulSet"]["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["image"], "REGISTRY/gatelens:1.2.3");
    assert_eq!(container["imagePullPolicy"], "Always");
    let arguments = container["args"].as_array().unwrap();
    for argument in ["--host=gatelens.example.com", "--config=/etc/gatelens-serve/serve.yaml"] {
        assert!(arguments.contains(&json!(argument)), "{arguments:?}");
    }
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(pod["spec"]["nodeSelector"], json!({"disk": "ssd"}));
    assert_eq!(pod["spec"]["tolerations"], json!([{"key": "k", "operator": "Exists"}]));
    assert_eq!(pod["spec"]["affinity"], json!({"nodeAffinity": {}}));
    assert_eq!(pod["metadata"]["annotations"]["p"], "q");
    let claim = &found["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["spec"];
    assert_eq!(claim["storageClassName"], "fast");
    // Each volume that is mounted exists, and the configuration is in the map that one of them shows.
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut volumes = names(&pod["spec"]["volumes"]);
    volumes.push("data".to_owned());
    assert!(names(&container["volumeMounts"]).iter().all(|mount| volumes.contains(mount)));
    assert_eq!(yaml(found["ConfigMap"]["data"]["serve.yaml"].as_str().unwrap()), json!({"keep_requests": 7}));
    let service = &found["Service"];
    assert_eq!(
        (&service["spec"]["ports"][0]["port"], &service["metadata"]["annotations"]["a"]),
        (&json!(8080), &json!("b"))
    );
    let ingress = &found["Ingress"]["spec"];
    assert_eq!(ingress["tls"], json!([{"hosts": ["gatelens.example.com"], "secretName": "tls"}]));
    assert_eq!(
        ingress["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"]["name"],
        service["spec"]["ports"][0]["name"]
    );
    let paths = found["ServiceMonitor"]["spec"]["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].clone());
    assert_eq!(paths.collect::<Vec<_>>(), ["/metrics", "/metrics/traffic"]);
}

#[test]
fn both_ways_of_loading_the_filter_have_a_configuration_that_it_accepts() {
    let istio = &rendered(&values(ALL))["WasmPlugin"]["spec"]["pluginConfig"];
    let over = ALL.replace("kind: istio", "kind: envoy-gateway");
    let policy = &rendered(&values(&over))["EnvoyExtensionPolicy"]["spec"];
    assert_eq!(policy["targetRefs"][0]["name"], "eg");
    let gateway = &policy["wasm"][0]["config"];
    for (configuration, cluster) in
        [(istio, "outbound|8080||gatelens.gatelens.svc.cluster.local"), (gateway, "gatelens_ingest")]
    {
        assert_eq!(configuration["ingest"]["cluster"], cluster);
        assert_eq!(configuration["ingest"]["authority"], "gatelens.gatelens.svc.cluster.local:8080");
        assert_eq!(configuration["routes"]["templates"], json!(["/users/{id}"]));
        let read = Plan::read(&configuration.to_string(), &PluginIdentity::default());
        assert!(read.is_ok(), "{configuration}: {}", read.unwrap_err());
    }
}

#[test]
fn the_schema_has_every_value_and_no_other() {
    fn compare(schema: &Value, values: &Value, path: &str) {
        let (Some(known), Some(values)) = (schema["properties"].as_object(), values.as_object()) else {
            return;
        };
        if schema["additionalProperties"] != json!(false) {
            return;
        }
        // Helm adds it to the values of every chart.
        let known: Vec<&String> = known.keys().filter(|key| *key != "global").collect();
        assert_eq!(known, values.keys().collect::<Vec<_>>(), "{path}");
        for key in known {
            compare(&schema["properties"][key], &values[key], &format!("{path}.{key}"));
        }
    }
    let schema: Value = serde_json::from_str(&text(&format!("{CHART}/values.schema.json"))).unwrap();
    compare(&schema, &values(""), "");
}
