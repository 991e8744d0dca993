//! Learned places, applied to paths and to routes.

#![allow(clippy::unwrap_used, reason = "a failure of a helper fails the test")]

use gatelens_routes::Patterns;
use proptest::prelude::*;

fn patterns() -> Patterns {
    let text = r#"{"places": {"/repos": [], "/repos/{}": ["search"], "/orgs": ["me"], "/v1/projects/{}/topics": []}}"#;
    Patterns::read(text).unwrap()
}

fn route(patterns: &Patterns, path: &str) -> String {
    let mut out = String::from("old");
    patterns.route(path.as_bytes(), &mut out);
    out
}

#[test]
fn values_at_places_become_parameters_and_kept_words_stay() {
    for (path, expected) in [
        ("/repos", "/repos"),
        ("/repos/", "/repos/"),
        ("/repos/ann", "/repos/{param}"),
        ("/repos/ann/shop/issues/7", "/repos/{param}/{param}/issues/{number}"),
        ("/repos/42/shop", "/repos/{param}/{param}"),
        ("/repos/ann/search", "/repos/{param}/search"),
        ("/repos/ann/a.json", "/repos/{param}/{param}"),
        ("/repos/[CLIENT_REDACTED]/x", "/repos/{param}/{param}"),
        ("/orgs/me/x", "/orgs/me/x"),
        ("/orgs/acme/x", "/orgs/{param}/x"),
        ("/users/ann", "/users/ann"),
        ("/v1/projects/p-1234/topics/news:publish", "/v1/projects/{id}/topics/{param}:publish"),
        ("/v1/projects/p-1234/topics/t-1234:publish", "/v1/projects/{id}/topics/{param}:publish"),
        ("*", "*"),
        ("relative", "__unmatched__"),
    ] {
        assert_eq!(route(&patterns(), path), expected, "{path}");
    }
}

#[test]
fn a_route_folds_like_its_paths() {
    let patterns = patterns();
    for (before, after) in [
        ("/repos/ann/shop/issues/{number}", Some("/repos/{param}/{param}/issues/{number}")),
        ("/repos/{param}/shop", Some("/repos/{param}/{param}")),
        ("/repos/{param}/{param}", None),
        ("/users/{number}", None),
        ("__unmatched__", None),
        ("GET checkout", None),
    ] {
        assert_eq!(patterns.fold(before).as_deref(), after, "{before}");
    }
}

#[test]
fn what_is_too_long_for_a_route_is_left_out_and_what_is_written_can_be_read() {
    // Behind the place `/a`, every segment of one letter becomes `{}`, which is longer.
    let segments = "/a".repeat(128);
    let before: Vec<String> = (1..128).map(|count| format!(r#""{}": []"#, &segments[..count * 2])).collect();
    let long = format!(r#""/b": ["{}", "c"]"#, "w".repeat(100_000));
    let text = format!(r#"{{"places": {{{}, {long}}}}}"#, before.join(", "));
    let mut patterns = Patterns::read(&text).unwrap();
    patterns.merge(&Patterns::read(&text).unwrap());
    assert!(patterns.write().len() < 50_000, "{}", patterns.write().len());
    assert_eq!(Patterns::read(&patterns.write()).unwrap(), patterns);
    assert_eq!(route(&patterns, "/b/c"), "/b/c");
}

#[test]
fn the_written_form_is_stable() {
    let text = patterns().write();
    assert_eq!(
        text,
        r#"{"places":{"/orgs":["me"],"/repos":[],"/repos/{}":["search"],"/v1/projects/{}/topics":[]}}"#
    );
    assert_eq!(Patterns::read(&text).unwrap(), patterns());
    assert!(Patterns::read(r#"{"places": {}}"#).unwrap().is_empty());
}

#[test]
fn other_texts_are_refused() {
    for text in ["", "[]", "{}", r#"{"places": {"repos": []}}"#, r#"{"places": {}, "more": 1}"#] {
        assert!(Patterns::read(text).is_err(), "{text}");
    }
    let many: Vec<String> = (0..4_001).map(|number| format!("\"/a{number}\": []")).collect();
    assert!(Patterns::read(&format!("{{\"places\": {{{}}}}}", many.join(","))).is_err());
}

#[test]
fn a_place_behind_a_word_that_became_a_value_stands_behind_the_value() {
    let mut patterns =
        Patterns::read(r#"{"places": {"/repos/ann": [], "/repos/bob/shop/labels": []}}"#).unwrap();
    patterns.merge(&Patterns::read(r#"{"places": {"/repos": ["me"]}}"#).unwrap());
    assert_eq!(patterns.write(), r#"{"places":{"/repos":["me"],"/repos/{}":[],"/repos/{}/{}/labels":[]}}"#);
}

fn some_patterns() -> impl Strategy<Value = Patterns> {
    let place = "(/(a|b|c|\\{\\})){0,3}";
    let words = prop::collection::vec("[a-c]", 0..3);
    prop::collection::btree_map(place, words, 0..6)
        .prop_map(|places| Patterns::read(&serde_json::json!({ "places": places }).to_string()).unwrap())
}

proptest! {
    #[test]
    fn merging_is_commutative_and_idempotent(a in some_patterns(), b in some_patterns()) {
        let merged = |left: &Patterns, right: &Patterns| { let mut both = left.clone(); both.merge(right); both };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
    }

    #[test]
    fn a_folded_route_is_the_route_of_the_path(patterns in some_patterns(), path in "(/([a-e]|[0-9]|[a-c]:run|)){0,6}") {
        let mut inferred = String::new();
        gatelens_routes::infer(path.as_bytes(), &mut inferred);
        let direct = route(&patterns, &path);
        prop_assert_eq!(patterns.fold(&inferred).unwrap_or(inferred), direct.clone());
        prop_assert_eq!(patterns.fold(&direct), None);
    }
}
