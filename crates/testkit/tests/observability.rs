//! The rules for Prometheus by its own tool, and the dashboards of Grafana against its grid and the files that provision
//! them. `crates/ingest/tests/traffic.rs` asks their questions.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use gatelens_testkit::{artefacts, paths};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

fn file(name: &str) -> PathBuf {
    paths::workspace_root().join(name)
}

#[test]
fn the_rules_hold_what_their_tests_say() {
    let Some(promtool) = artefacts::tool("promtool", "prometheus") else { return };
    let run = |arguments: &[&str]| {
        let output = Command::new(&promtool)
            .args(arguments)
            .current_dir(file("packaging/prometheus"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
    };
    run(&["check", "config", "prometheus.yml"]);
    run(&["check", "rules", "gatelens.rules.yaml"]);
    run(&["test", "rules", "gatelens.rules.test.yaml"]);
}

#[test]
fn every_alert_has_a_test() {
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(file("packaging/prometheus").join(name)).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    };
    let names = |of: &Value, path: [&str; 2], key: &str| -> HashSet<String> {
        let groups = of[path[0]].as_array().unwrap().iter();
        let rules = groups.filter_map(|group| group[path[1]].as_array()).flatten();
        rules.filter_map(|rule| rule[key].as_str().map(str::to_owned)).collect()
    };
    let alerts = names(&read("gatelens.rules.yaml"), ["groups", "rules"], "alert");
    let tested = names(&read("gatelens.rules.test.yaml"), ["tests", "alert_rule_test"], "alertname");
    assert_eq!(alerts, tested);
}

#[test]
fn panels_of_dashboards_have_a_place_and_a_question_each() {
    let mut uids = HashSet::new();
    for entry in std::fs::read_dir(file("packaging/grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let board: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(board["uid"], *name);
        assert!(uids.insert(name.clone()));
        let kind = board["templating"]["list"][0]["query"].as_str().unwrap();
        let (mut ids, mut taken) = (HashSet::new(), HashSet::new());
        for panel in board["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}");
            let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            let [x, y, width, height] = place;
            assert!(x + width <= 24 && width > 0 && height > 0, "{name}: {title}: {place:?}");
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {title} covers another panel");
            }
            assert_eq!(panel["datasource"]["type"], kind, "{name}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            let targets = panel["targets"].as_array().unwrap();
            let refs: HashSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
            assert_eq!(refs.len(), targets.len(), "{name}: {title}");
            assert!(!targets.is_empty(), "{name}: {title}");
        }
        let sources =
            std::fs::read_to_string(file("packaging/grafana/provisioning/datasources/gatelens.yaml"));
        let sources: Value = serde_saphyr::from_str(&sources.unwrap()).unwrap();
        let sources = sources["datasources"].as_array().unwrap();
        assert!(sources.iter().any(|source| source["type"] == kind), "{name}: nothing provides {kind}");
    }
    assert_eq!(uids.len(), 3);
}
