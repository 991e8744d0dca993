//! Precision and recall of the built-in rules on a labelled table, and names that must never be masked less.
//!
//! `make redact-quality` measures the same on the fields of real APIs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use gatelens_model::Message;
use gatelens_redact::{BodyKind, Hits, MASK, RedactConfig, Redactor};

/// Smallest precision and recall, as a share.
const TARGET: f64 = 0.95;

const LABELS: &str = include_str!("data/labels.txt");
const NEVER_LOOSER: &str = include_str!("data/never_looser.txt");

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn redact(kind: BodyKind, body: &str) -> String {
    let redactor = Redactor::new(&RedactConfig::default()).unwrap();
    redactor.body(Message::Response, kind, body, &mut Hits::default()).unwrap()
}

/// Whether the value at the end of a path of names is masked in JSON. Every second name holds a list.
fn is_masked(path: &str, value: &str) -> bool {
    let body = path.rsplit('.').enumerate().fold(value.to_owned(), |inner, (depth, name)| match depth % 2 {
        0 => format!("{{\"{name}\": {inner}}}"),
        _ => format!("{{\"{name}\": [{inner}]}}"),
    });
    redact(BodyKind::Json, &body) != body
}

#[test]
fn the_labelled_table_is_met() {
    let (mut right, mut in_vain, mut missed) = (0u32, Vec::new(), Vec::new());
    for line in lines(LABELS) {
        let mut parts = line.splitn(3, ' ');
        let (label, path, value) = (parts.next().unwrap(), parts.next().unwrap(), parts.next());
        match (label, is_masked(path, value.unwrap_or("\"x4Kq9Z\""))) {
            ("+", true) => right += 1,
            ("-", true) => in_vain.push(line),
            ("+", false) => missed.push(line),
            ("-", false) => {}
            _ => panic!("{line}"),
        }
    }
    let share = |wrong: usize| f64::from(right) / (f64::from(right) + wrong as f64);
    let (precision, recall) = (share(in_vain.len()), share(missed.len()));
    assert!(
        right > 100 && precision >= TARGET && recall >= TARGET,
        "{precision} {recall}: {in_vain:?} {missed:?}"
    );
}

#[test]
fn a_second_password_and_the_members_of_a_change_are_masked() {
    let check = |body: &str, secrets: bool| {
        assert_eq!(redact(BodyKind::Json, body) != body, secrets, "{body}");
    };
    for name in
        ["password_check", "passwordCheck", "passwordField", "password_match", "password_verification"]
    {
        check(&format!(r#"{{"{name}": "x4Kq9Z"}}"#), true);
        check(&format!(r#"{{"{name}": true}}"#), false);
    }
    check(r#"{"change_password": {"old": "x4Kq9Z"}}"#, true);
    check(r#"{"change_password": {"new": "x4Kq9Z"}}"#, true);
    check(r#"{"resetPassword": {"current": "x4Kq9Z"}}"#, true);
    check(r#"{"token_info": {"value": "x4Kq9Z"}}"#, true);
    check(r#"{"secret_details": {"value": "x4Kq9Z"}}"#, true);
    check(r#"{"change_password": {"href": "/a"}}"#, false);
    check(r#"{"token_check": "pass"}"#, false);
}

#[test]
fn nothing_that_was_masked_rightly_is_masked_less() {
    let values = [
        "\"x4Kq9Z\"",
        "\"\"",
        "\"pass\"",
        "\"bearer\"",
        "0",
        "-1.5e3",
        "[]",
        "[\"x4Kq9Z\"]",
        "{}",
        "{\"a\": 1}",
        "{\"status\": \"pass\"}",
    ];
    for name in lines(NEVER_LOOSER) {
        for value in values {
            let body = format!("[{{\"a\": {{\"{name}\": {value}}}}}]");
            let masked = format!("[{{\"a\": {{\"{name}\": \"{MASK}\"}}}}]");
            assert_eq!(redact(BodyKind::Json, &body), masked);
        }
        let name = name.replace(' ', "+");
        for field in [name.clone(), format!("user[{name}]"), format!("items[0][{name}]")] {
            assert_eq!(redact(BodyKind::Form, &format!("{field}=x4Kq9Z&b=1")), format!("{field}={MASK}&b=1"));
        }
    }
}

/// A form is masked as the JSON of the same names.
#[test]
fn the_labels_hold_in_forms() {
    for line in lines(LABELS) {
        let mut parts = line.splitn(3, ' ');
        let (path, value) = (parts.nth(1).unwrap(), parts.next());
        // Other values than strings do not exist in a form.
        if value.is_some() {
            continue;
        }
        let (first, others) = path.split_once('.').unwrap_or((path, ""));
        let others = others.split('.').filter(|name| !name.is_empty()).map(|name| format!("[0][{name}]"));
        let field = format!("{first}{}", others.collect::<String>());
        let form = format!("{field}=x4Kq9Z");
        // In a form, names that are sensitive as parameters count, too: `session`, `signature`, `code`.
        let parameter = ["session", "signature", "code"].iter().any(|word| path.contains(word));
        let json = is_masked(path, "\"x4Kq9Z\"");
        assert!((redact(BodyKind::Form, &form) != form) == json || parameter, "{form}");
    }
}
