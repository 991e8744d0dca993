use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Bodies seen one after the other, and what changed.
struct Bodies {
    root: Field,
    room: usize,
    time: i64,
}

impl Bodies {
    fn new() -> Self {
        Self { root: Field::default(), room: 10_000, time: 1_000 }
    }

    /// Takes in a body so many times, and returns the changes as text.
    fn take(&mut self, times: u64, body: &Value) -> Vec<String> {
        let mut changes = Vec::new();
        for _ in 0..times {
            self.time += 1;
            let mut walk = Walk::new(self.time, &mut self.room);
            self.root.take(body, None, &mut walk);
            changes.append(&mut walk.changes);
        }
        let text = |FieldChange { kind, field, before, after }: &FieldChange| {
            format!("{} {field} {before} -> {after}", kind.name())
        };
        changes.iter().map(text).collect()
    }

    fn places(&self) -> Vec<String> {
        fn walk(path: &str, field: &Field, into: &mut Vec<String>) {
            into.push(format!("{path} {}", field.label()));
            for (name, child) in &field.children {
                walk(&format!("{path}/{name}"), child, into);
            }
        }
        let mut places = Vec::new();
        walk("", &self.root, &mut places);
        places
    }
}

#[test]
fn fields_have_types_formats_and_presence() {
    let mut bodies = Bodies::new();
    let order = json!({
        "id": "123e4567-e89b-12d3-a456-426614174000", "total": 12.5, "paid": true, "note": null,
        "items": [{"sku": "a", "count": 1}, {"sku": "b"}], "mail": "[CLIENT_REDACTED]",
    });
    assert_eq!(bodies.take(5, &order), [""; 0]);
    assert_eq!(
        bodies.places(),
        [
            " object",
            "/id string (uuid)",
            "/items array",
            "/items/[] object",
            "/items/[]/count integer",
            "/items/[]/sku string",
            "/mail masked",
            "/note null",
            "/paid boolean",
            "/total number",
        ]
    );
    let items = &bodies.root.children["items"].children[ITEMS];
    let presence = |name: &str| (items.children[name].seen, items.children[name].of);
    assert_eq!([presence("sku"), presence("count")], [(10, 10), (5, 10)]);
}

#[test]
fn a_change_is_reported_once_at_the_body_that_shows_it() {
    let mut bodies = Bodies::new();
    let old = json!({"id": 1, "at": "2026-11-22", "user": {"name": "a"}});
    assert_eq!(bodies.take(20, &old), [""; 0]);
    let new = json!({"id": "one", "at": "22.11.2026", "user": {"name": "a", "address": {"city": "b"}}});
    let mut changes = bodies.take(40, &new);
    changes.sort();
    assert_eq!(
        changes,
        [
            "field_new /user/address  -> object",
            "format_changed /at date -> plain",
            "type_changed /id integer -> string",
        ]
    );
}

#[test]
fn what_only_some_bodies_have_is_optional_and_not_vanished() {
    let mut bodies = Bodies::new();
    let [with, without] = [json!({"a": 1, "b": 2}), json!({"a": 1})];
    bodies.take(20, &with);
    assert_eq!(bodies.take(5, &without), [""; 0]);
    assert_eq!(bodies.take(1, &with), ["became_optional /b always -> sometimes"]);
    for _ in 0..50 {
        assert_eq!(bodies.take(3, &without), [""; 0]);
        assert_eq!(bodies.take(1, &with), [""; 0]);
    }
    assert_eq!(bodies.take(u64::from(MISSES) - 1, &without), [""; 0]);
}

#[test]
fn a_field_vanishes_after_bodies_without_it_and_may_come_back() {
    let mut bodies = Bodies::new();
    let [with, without] = [json!({"a": 1, "b": {"c": 2}}), json!({"a": 1})];
    bodies.take(20, &with);
    assert_eq!(bodies.take(u64::from(MISSES) - 1, &without), [""; 0]);
    assert_eq!(bodies.take(100, &without), ["field_vanished /b object -> "]);
    assert_eq!(bodies.take(100, &with), ["field_new /b  -> object"]);
    assert!(bodies.root.children["b"].is_always());
}

#[test]
fn a_field_that_is_always_there_from_now_on_became_required() {
    let mut bodies = Bodies::new();
    for _ in 0..20 {
        bodies.take(1, &json!({"a": 1, "b": 2}));
        bodies.take(1, &json!({"a": 1}));
    }
    assert_eq!(bodies.take(300, &json!({"a": 1, "b": 2})), ["became_required /b sometimes -> always"]);
}

#[test]
fn a_type_that_was_left_and_comes_back_is_a_change_again() {
    let mut bodies = Bodies::new();
    bodies.take(50, &json!({"a": 1}));
    assert_eq!(bodies.take(FORGOTTEN + 60, &json!({"a": "x"})), ["type_changed /a integer -> string"]);
    assert_eq!(bodies.take(1, &json!({"a": 1})), ["type_changed /a string -> integer"]);
    // A type that is rare all the time is known.
    for _ in 0..5 {
        assert_eq!(bodies.take(FORGOTTEN * 2, &json!({"a": "x"})), [""; 0]);
        assert_eq!(bodies.take(1, &json!({"a": 1})), [""; 0]);
    }
}

#[test]
fn whole_numbers_are_numbers_and_every_format_is_text() {
    let mut bodies = Bodies::new();
    bodies.take(20, &json!({"price": 1.5, "note": "some words"}));
    assert_eq!(bodies.take(20, &json!({"price": 2, "note": "2026-11-22"})), [""; 0]);
    bodies.take(20, &json!({"price": 2, "note": ""}));
    let mut other = Bodies::new();
    other.take(20, &json!({"price": 2, "mail": "[CLIENT_REDACTED]"}));
    assert_eq!(
        other.take(20, &json!({"price": 1.5, "mail": "a@example.com"})),
        ["format_changed /mail masked -> email", "type_changed /price integer -> number"]
    );
}

#[test]
fn keys_of_maps_are_no_names() {
    let mut bodies = Bodies::new();
    for number in 0..40_u64 {
        let by_id = json!({format!("{:032x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15_1234_5678): 1});
        let word: String = number.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect();
        bodies.take(
            1,
            &json!({"by_id": by_id, "by_word": {format!("word{word}"): {"n": number}}, "id": number}),
        );
    }
    assert_eq!(
        bodies.places(),
        [
            " object",
            "/by_id object",
            "/by_id/{*} integer",
            "/by_word object",
            "/by_word/{*} object",
            "/by_word/{*}/n integer",
            "/id integer",
        ]
    );
}

#[test]
fn one_key_that_is_no_name_does_not_make_a_map() {
    let mut bodies = Bodies::new();
    bodies.take(5, &json!({"id": "x", "a b": 1, "name": "y"}));
    assert_eq!(bodies.places(), [" object", "/id string", "/name string", "/{*} integer"]);
}

#[test]
fn names_are_told_from_identifiers() {
    let names = [
        "id",
        "user_id",
        "createdAt",
        "line2",
        "address1",
        "sha256",
        "oauth2",
        "$ref",
        "@type",
        "_links",
        "x-rate-limit",
        "isActive",
        "URL",
        "größe",
        "dc:title",
        "a.b",
        "_",
        "httpStatusCode",
        "node_id",
        "gravatar_id",
        "custom_404",
        "address_line_2",
    ];
    for name in names {
        assert!(!is_identifier(name), "{name}");
    }
    let identifiers = [
        "",
        "1",
        "42",
        "123e4567-e89b-12d3-a456-426614174000",
        "bob@example.com",
        "a b",
        "2026-11-22",
        "[]",
        "{*}",
        "a/b",
        "5f3e9a1b7c2d4e6f8a9b0c1d",
        "[CLIENT_REDACTED]",
        "+49 30 1234",
        "cus_NffrFeUfNV2Hib",
        "user_123456",
    ];
    for name in identifiers {
        assert!(is_identifier(name), "{name}");
    }
    assert!(is_identifier(&"x".repeat(MAX_NAME_BYTES + 1)));
}

#[test]
fn hostile_bodies_stay_within_the_bounds() {
    let mut bodies = Bodies { room: 100, ..Bodies::new() };
    let wide: serde_json::Map<String, Value> =
        (0..2_000).map(|number| (format!("n{}", "x".repeat(number % 50)), json!(number))).collect();
    bodies.take(3, &Value::Object(wide));
    let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner}));
    bodies.take(3, &deep);
    bodies.take(3, &json!([[[[]]], {}, null, "", 1e300]));
    assert!(bodies.root.size() <= 101, "{}", bodies.root.size());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}|[a-d]", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bodies_are_taken_and_survive_the_store(all in prop::collection::vec(value(), 1..60)) {
        let mut bodies = Bodies { room: 200, ..Bodies::new() };
        for body in &all {
            bodies.take(1, body);
        }
        prop_assert!(bodies.root.size() <= 201);
        let text = serde_json::to_string(&bodies.root).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Field>(&text).unwrap(), &bodies.root);
        let mut doubled = bodies.root.clone();
        doubled.merge(bodies.root.clone());
        prop_assert_eq!(doubled.size(), bodies.root.size());
    }
}

/// A tree of other replicas beside the one that takes bodies in.
fn beside(bodies: &mut Bodies, others: &Field, times: u64, body: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    for _ in 0..times {
        bodies.time += 1;
        let mut walk = Walk::new(bodies.time, &mut bodies.room);
        bodies.root.take(body, Some(others), &mut walk);
        changes.append(&mut walk.changes);
    }
    changes.iter().map(|change| format!("{} {}", change.kind.name(), change.field)).collect()
}

#[test]
fn what_other_replicas_know_is_no_change() {
    let old = json!({"id": 1, "at": "2026-06-20", "sub": {"a": 1}});
    let new = json!({"id": "x", "at": "noon", "sub": {"a": 1, "b": 2}, "more": true});
    let mut others = Bodies::new();
    others.take(20, &old);
    others.take(20, &new);
    let mut own = Bodies::new();
    own.take(20, &old);
    assert_eq!(beside(&mut own, &others.root, 20, &new), [""; 0]);
    // A replica without a past finds what is new to all.
    let mut own = Bodies::new();
    let unknown = json!({"id": 1, "at": "2026-06-20", "sub": {"a": true, "c": 1}});
    assert_eq!(beside(&mut own, &others.root, 1, &unknown), ["type_changed /sub/a", "field_new /sub/c"]);
    // A field that others lack at times is not optional only now.
    let (with, without) = (json!({"x": 1, "y": 1}), json!({"x": 1}));
    let mut others = Bodies::new();
    others.take(5, &with);
    others.take(1, &without);
    let mut own = Bodies::new();
    own.take(20, &with);
    assert_eq!(beside(&mut own, &others.root, 1, &without), [""; 0]);
    assert_eq!(beside(&mut own, &others.root, 1, &with), [""; 0]);
}

#[test]
fn a_field_has_vanished_when_no_replica_sees_it() {
    let (with, without) = (json!({"x": 1, "y": 1}), json!({"x": 1}));
    let mut own = Bodies::new();
    own.take(20, &with);
    let mut others = Bodies::new();
    others.take(40, &with);
    // They have seen it later.
    assert_eq!(beside(&mut own, &others.root, 60, &without), [""; 0]);
    others.time = own.time;
    assert_eq!(others.take(60, &without), ["field_vanished /y integer -> "]);
    assert_eq!(beside(&mut own, &others.root, 1, &without), [""; 0], "it is a change of the others");
    assert!(own.root.children["y"].gone);
    // It comes back, first there.
    others.take(1, &with);
    assert_eq!(beside(&mut own, &others.root, 1, &with), [""; 0]);
    assert!(!own.root.children["y"].gone);
    // Others have nothing more to say for an hour.
    let mut own = Bodies::new();
    own.take(20, &with);
    own.time += 4_000;
    assert_eq!(beside(&mut own, &others.root, 30, &without), ["field_vanished /y"]);
}

fn a_body() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c", "550e8400-e29b-41d4-a716-446655440000", "[]"]);
    let leaf = prop::sample::select(vec![json!(1), json!(1.5), json!("x"), json!("2026-06-20"), json!(null)]);
    leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            prop::collection::btree_map(name.clone(), inner.clone(), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

/// What is shown of a tree.
fn shown(field: &Field) -> Vec<String> {
    fn walk(path: &str, field: &Field, into: &mut Vec<String>) {
        let Field { first_seen, last_seen, seen, of, values, gone, children, .. } = field;
        let label = field.label();
        into.push(format!("{path} {label} {first_seen} {last_seen} {seen}/{of} {values} {gone}"));
        for (name, child) in children {
            walk(&format!("{path}/{name}"), child, into);
        }
    }
    let mut all = Vec::new();
    walk("", field, &mut all);
    all
}

proptest! {
    #[test]
    fn parts_of_replicas_add_up_to_the_same_in_any_order(
        parts in prop::collection::vec(prop::collection::vec((a_body(), 1u64..40), 1..4), 3..4),
    ) {
        let trees: Vec<Field> = parts
            .iter()
            .zip(0..)
            .map(|(part, time)| {
                let mut bodies = Bodies::new();
                bodies.time += time * 7;
                part.iter().for_each(|(body, times)| drop(bodies.take(*times, body)));
                bodies.root
            })
            .collect();
        let sum = |order: [usize; 3]| {
            let mut all = trees[order[0]].clone();
            order[1..].iter().for_each(|part| all.add_part(trees[*part].clone()));
            shown(&all)
        };
        let expected = sum([0, 1, 2]);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            prop_assert_eq!(&sum(order), &expected);
        }
        let mut last = trees[1].clone();
        last.add_part(trees[2].clone());
        let mut all = trees[0].clone();
        all.add_part(last);
        prop_assert_eq!(&shown(&all), &expected);
    }
}
