use crate::host::PluginIdentity;
use crate::plan::Plan;

fn defects(text: &str) -> Vec<String> {
    Plan::defects(text, &PluginIdentity::default())
        .iter()
        .map(|error| format!("{}:{} {}: {}", error.line, error.column, error.path, error.message))
        .collect()
}

#[track_caller]
fn assert_begin(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} does not begin with {expected}");
    }
}

#[test]
fn a_sound_configuration_has_none() {
    assert_eq!(defects(r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}"#), [""; 0]);
}

#[test]
fn defects_of_all_kinds_are_found_in_one_call() {
    let found = defects(
        r#"{
  "version": 1,
  "ingest": {"cluster": "c", "timeout": 5},
  "servce": {},
  "sample": {"rate": 7},
  "counters": {"max_series": "many", "max_routes": 0},
  "routes": {"templates": ["/a/{id}", "no-slash", "/b", "/c/{x", "/d"]},
  "redact": {"request_body": ["user.email", "$.fine"]}
}"#,
    );
    assert_begin(
        &found,
        &[
            "3:30 ingest.timeout: unknown key `timeout`",
            "4:3 servce: unknown key `servce`; did you mean `service`?",
            "5:14 sample.rate: ",
            "6:16 counters.max_series: ",
            "6:38 counters.max_routes: ",
            "7:39 routes.templates[1]: ",
            "7:57 routes.templates[3]: ",
            "8:31 redact.request_body[0]: ",
        ],
    );
}

#[test]
fn a_required_value_that_is_wrong_or_missing_is_named_once_and_hides_nothing() {
    let found = defects(r#"{"version": 9, "ingest": {"cluster": 5}, "sample": {"rate": 7}}"#);
    assert_begin(&found, &["1:2 version: ", "1:27 ingest.cluster: ", "1:53 sample.rate: "]);
    let found = defects(r#"{"sample": {"rate": 7}}"#);
    assert_eq!(found.len(), 3, "{found:#?}");
    for part in ["`version` is missing", "`ingest` is missing", "sample.rate: "] {
        assert!(found.iter().any(|defect| defect.contains(part)), "{part} in {found:#?}");
    }
    let found = defects(r#"{"version": 1, "ingest": {}}"#);
    assert_begin(&found, &["1:16 ingest: the key `cluster` is missing"]);
    let found = defects(r#"{"version": 1, "ingest": {"clutser": "c"}}"#);
    assert_begin(&found, &["1:27 ingest.clutser: unknown key `clutser`; did you mean `cluster`?"]);
    let found = defects("{}");
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn no_text_takes_long_or_panics() {
    for text in [
        "",
        " ",
        "{",
        "[]",
        "null",
        "7",
        "{}}",
        "{\"version\": 1,}",
        "{\"version\": 1, \"ingest\": \"{\"}",
        "\u{feff}{}",
        "{\"é\": 1}",
    ] {
        assert!(!defects(text).is_empty(), "{text}");
    }
    let wrong: Vec<String> = (0..500).map(|index| format!("\"wrong{index}\": {index}")).collect();
    assert_eq!(defects(&format!("{{{}}}", wrong.join(","))).len(), 100);
}
