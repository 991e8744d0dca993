use super::*;
use jsonpath_rust::JsonPath;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

/// The document of RFC 9535, section 1.5.
const STORE: &str = r#"{ "store": {
  "book": [
    { "category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95 },
    { "category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99 },
    { "category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553-21311-3", "price": 8.99 },
    { "category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings", "isbn": "0-395-19395-8", "price": 22.99 }
  ],
  "bicycle": { "color": "red", "price": 399 } } }"#;

/// Normalized paths of all nodes, by number.
fn normalized(tree: &Tree) -> Vec<String> {
    let mut paths = vec![String::new(); tree.len()];
    paths[0] = "$".into();
    for node in 0..tree.len() as NodeId {
        for (index, child) in tree.children(node).enumerate() {
            let step = match tree.is_object(node) {
                true => format!("['{}']", tree.name(child).replace('\\', "\\\\").replace('\'', "\\'")),
                false => format!("[{index}]"),
            };
            paths[child as usize] = format!("{}{step}", paths[node as usize]);
        }
    }
    paths
}

fn selected(document: &str, path: &str) -> Result<Vec<String>, OmissionReason> {
    let tree = Tree::parse(document)?;
    let paths = normalized(&tree);
    Ok(select(&Path::parse(path).unwrap(), &tree)?.iter().map(|node| paths[*node as usize].clone()).collect())
}

#[track_caller]
fn check(document: &str, path: &str, wanted: &[&str]) {
    assert_eq!(selected(document, path).unwrap(), wanted, "{path} in {document}");
}

#[test]
fn names_and_wildcards() {
    let o = r#"{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}, "a": [5, 3], "ü": 1}"#;
    check(o, "$", &["$"]);
    check(o, "$.o['j j']", &["$['o']['j j']"]);
    check(o, "$.o['j j']['k.k']", &["$['o']['j j']['k.k']"]);
    check(o, r#"$.o["j j"]["k.k"]"#, &["$['o']['j j']['k.k']"]);
    check(o, r#"$["'"]["@"]"#, &[r"$['\'']['@']"]);
    check(o, "$.ü", &["$['ü']"]);
    check(o, r"$['\u00fc']", &["$['ü']"]);
    check(o, "$.a.*", &["$['a'][0]", "$['a'][1]"]);
    check(o, "$.a['0']", &[]);
    check(o, "$[0]", &[]);
    check(o, "$.A", &[]);
    check(o, "$['a', 'o', 'a']", &["$['o']", "$['a']"]);
    check("7", "$", &["$"]);
    check("7", "$.*", &[]);
}

#[test]
fn indices_and_slices() {
    let a = r#"["a", "b", "c", "d", "e", "f", "g"]"#;
    let check = |path: &str, indices: &[usize]| {
        let wanted: Vec<_> = indices.iter().map(|index| format!("$[{index}]")).collect();
        assert_eq!(selected(a, path).unwrap(), wanted, "{path}");
    };
    check("$[1]", &[1]);
    check("$[-2]", &[5]);
    check("$[7]", &[]);
    check("$[-8]", &[]);
    check("$[1:3]", &[1, 2]);
    check("$[5:]", &[5, 6]);
    check("$[1:5:2]", &[1, 3]);
    check("$[5:1:-2]", &[3, 5]);
    check("$[::-1]", &[0, 1, 2, 3, 4, 5, 6]);
    check("$[:]", &[0, 1, 2, 3, 4, 5, 6]);
    check("$[-2:]", &[5, 6]);
    check("$[:-5]", &[0, 1]);
    check("$[10:0:-3]", &[3, 6]);
    check("$[-100:100:3]", &[0, 3, 6]);
    check("$[3:1]", &[]);
    check("$[1:3:-1]", &[]);
    check("$[9007199254740991]", &[]);
    check("$[-9007199254740991:9007199254740991:9007199254740991]", &[0]);
    check("$[0, 5:, -1]", &[0, 5, 6]);
}

#[test]
fn descendants() {
    let d = r#"{"o": {"j": 1, "k": 2}, "a": [5, 3, [{"j": 4}, {"k": 6}]]}"#;
    check(d, "$..j", &["$['o']['j']", "$['a'][2][0]['j']"]);
    check(d, "$..[0]", &["$['a'][0]", "$['a'][2][0]"]);
    check(d, "$..o", &["$['o']"]);
    check(d, "$.o..[*]", &["$['o']['j']", "$['o']['k']"]);
    check(d, "$.a..[0, 1]", &["$['a'][0]", "$['a'][1]", "$['a'][2][0]", "$['a'][2][1]"]);
    check(d, "$..['j','k']", &["$['o']['j']", "$['o']['k']", "$['a'][2][0]['j']", "$['a'][2][1]['k']"]);
    check(
        STORE,
        "$..author",
        &[0, 1, 2, 3].map(|i| format!("$['store']['book'][{i}]['author']")).each_ref().map(|s| &**s),
    );
    check(STORE, "$..book[2].title", &["$['store']['book'][2]['title']"]);
    check(STORE, "$..book[-1].title", &["$['store']['book'][3]['title']"]);
    assert_eq!(selected(STORE, "$..*").unwrap().len(), 27);
    check(r#"{"a":{"a":{"a":1}}}"#, "$..a..a", &["$['a']['a']", "$['a']['a']['a']"]);
}

/// RFC 9535, section 2.3.5.3.
#[test]
fn filters() {
    let f = r#"{"a": [3, 5, 1, 2, 4, 6, {"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}],
                "o": {"p": 1, "q": 2, "r": 3, "s": 5, "t": {"u": 6}}, "e": "f"}"#;
    let a = |indices: &[usize]| indices.iter().map(|index| format!("$['a'][{index}]")).collect::<Vec<_>>();
    let check_a =
        |path: &str, indices: &[usize]| assert_eq!(selected(f, path).unwrap(), a(indices), "{path}");
    check_a("$.a[?@.b == 'kilo']", &[9]);
    check_a("$.a[?(@.b == 'kilo')]", &[9]);
    check_a("$.a[?@ > 3.5]", &[1, 4, 5]);
    check_a("$.a[?@.b]", &[6, 7, 8, 9]);
    check_a("$.a[?@<2 || @.b == \"k\"]", &[2, 7]);
    check_a("$.a[?match(@.b, \"[jk]\")]", &[6, 7]);
    check_a("$.a[?search(@.b, \"[jk]\")]", &[6, 7, 9]);
    check_a("$.a[?!@.b]", &[0, 1, 2, 3, 4, 5]);
    check_a("$.a[?@.b == @.x]", &[0, 1, 2, 3, 4, 5]);
    check_a("$.a[?@ == @]", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check(f, "$[?@.*]", &["$['a']", "$['o']"]);
    check(f, "$[?@[?@.b]]", &["$['a']"]);
    check(f, "$.o[?@<3, ?@<3]", &["$['o']['p']", "$['o']['q']"]);
    check(f, "$.o[?@>1 && @<4]", &["$['o']['q']", "$['o']['r']"]);
    check(f, "$.o[?@.u || @.x]", &["$['o']['t']"]);
    check(f, "$..[?@ == $.e]", &["$['e']"]);
    check(
        STORE,
        "$..book[?@.isbn].price",
        &["$['store']['book'][2]['price']", "$['store']['book'][3]['price']"],
    );
    check(
        STORE,
        "$..book[?@.price<10].title",
        &["$['store']['book'][0]['title']", "$['store']['book'][2]['title']"],
    );
}

/// RFC 9535, section 2.3.5.3, table 11, and what follows from 2.3.5.2.2.
#[test]
fn comparisons() {
    let check = |expression: &str, holds: bool| {
        let document = r#"{"obj": {"x": "y"}, "arr": [2, 3], "same": {"b": [1, {"c": null}], "a": 1.0}, "like": {"a": 1, "b": [1, {"c": null}]},
            "t": true, "f": false, "n": null, "tiny": 1e-17, "third": 0.30000000000000004, "s": "\u0061b"}"#;
        let got = selected(document, &format!("$.t[?{expression}]")).unwrap();
        assert!(got.is_empty(), "{expression}: nothing is in a boolean");
        let wrapped = format!("[{document}]");
        let got = selected(&wrapped, &format!("$[?{}]", expression.replace('$', "@"))).unwrap();
        assert_eq!(!got.is_empty(), holds, "{expression}");
    };
    check("$.absent1 == $.absent2", true);
    check("$.absent1 <= $.absent2", true);
    check("$.absent == 'g'", false);
    check("$.absent1 != $.absent2", false);
    check("$.absent != 'g'", true);
    check("1 <= 2", true);
    check("1 > 2", false);
    check("13 == '13'", false);
    check("'a' <= 'b'", true);
    check("'a' > 'b'", false);
    check("$.obj == $.arr", false);
    check("$.obj != $.arr", true);
    check("$.obj == $.obj", true);
    check("$.obj != $.obj", false);
    check("$.arr == $.arr", true);
    check("$.same == $.like", true);
    check("$.obj == 17", false);
    check("$.obj != 17", true);
    check("$.obj <= $.arr", false);
    check("$.obj < $.arr", false);
    check("$.obj <= $.obj", true);
    check("1 <= $.arr", false);
    check("1 >= $.arr", false);
    check("1 > $.arr", false);
    check("true <= true", true);
    check("true > true", false);
    check("$.t == true", true);
    check("$.f != true", true);
    check("$.n == null", true);
    check("$.n == false", false);
    check("$.tiny == 0", false);
    check("$.tiny != 0", true);
    check("$.third == 0.3", false);
    check("$.s == 'ab'", true);
    check("1E2 == 100", true);
    check("-0 == 0", true);
}

/// RFC 9535, section 2.4.
#[test]
fn functions() {
    let d = r#"[{"a": "ab\u00e9", "l": [1,2,3]}, {"a": {"x": 1}, "l": []}, {"a": 7}]"#;
    let check = |path: &str, indices: &[usize]| {
        let wanted: Vec<_> = indices.iter().map(|index| format!("$[{index}]")).collect();
        assert_eq!(selected(d, path).unwrap(), wanted, "{path}");
    };
    check("$[?length(@.a) == 3]", &[0]);
    check("$[?length(@.a) == 1]", &[1]);
    check("$[?length(@.l) >= 0]", &[0, 1]);
    check("$[?length('abc') == 3]", &[0, 1, 2]);
    check("$[?count(@.l[*]) == 3]", &[0]);
    check("$[?count(@.l[*]) == 0]", &[1, 2]);
    check("$[?count(@.absent) == 0]", &[0, 1, 2]);
    check("$[?count(@['a','a']) == 2]", &[0, 1, 2]);
    check("$[?value(@..x) == 1]", &[1]);
    check("$[?value(@.l[*]) == 1]", &[]);
    check("$[?length(value(@.l)) == 3]", &[0]);
    check("$[?match(@.a, 'ab.')]", &[0]);
    check("$[?match(@.a, 'ab')]", &[]);
    check("$[?search(@.a, 'b')]", &[0]);
    check("$[?!match(@.a, 'ab.')]", &[1, 2]);
}

#[test]
fn numbers_that_a_float_cannot_tell_apart_are_not_compared() {
    let check = |document: &str, path: &str, reason: Option<OmissionReason>| {
        assert_eq!(selected(document, path).err(), reason, "{path} in {document}");
    };
    let inexact = Some(OmissionReason::NumberBeyondF64);
    check("[9007199254740993, 9007199254740992]", "$[?@ == $[1]]", inexact);
    check("[9007199254740993]", "$[?@ == 9.007199254740992e15]", inexact);
    check("[9007199254740993, 9007199254740993]", "$[?@ != $[0]]", inexact);
    check("[1e999, 2e999]", "$[?@ == $[1]]", inexact);
    check("[9007199254740993]", "$[?@ > 5]", None);
    check("[9007199254740993]", "$[?@ == 'x']", None);
    check("[9007199254740993]", "$[?@.x]", None);
    check("[{\"a\":1,\"a\":2}]", "$[?@.a]", Some(OmissionReason::DuplicateNames));
}

#[test]
fn work_is_bounded() {
    let deep = format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120));
    let document = format!("[{}{deep}]", format!("{deep},").repeat(70));
    for path in ["$..[?count(@..*..*) > 100000]", "$..[?@..b]"] {
        assert_eq!(selected(&document, path), Err(OmissionReason::RuleFailed), "{path}");
    }
    assert_eq!(selected(&document, "$..[?@.a.a]").map(|nodes| nodes.len()), Ok(71 * 119));
    assert_eq!(selected(&document, "$..a..a..a[?@ == 1]").map(|nodes| nodes.len()), Ok(71));
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        (-3i64..9).prop_map(|n| json!(n)),
        Just(json!(0.5)),
        "[ab]{0,2}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|m| json!(m)),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        "'[abc]'",
        Just("*".to_owned()),
        (-4i64..5).prop_map(|i| i.to_string()),
        (
            prop::option::of(-4i64..5),
            prop::option::of(-4i64..5),
            prop::sample::select(vec![-2i64, -1, 1, 2, 3])
        )
            .prop_map(|(a, b, c)| format!(
                "{}:{}:{c}",
                a.map(|a| a.to_string()).unwrap_or_default(),
                b.map(|b| b.to_string()).unwrap_or_default()
            )),
        prop::sample::select(vec![
            "?@.a",
            "?!@.b",
            "?@.a == 1",
            "?@ > 2",
            "?@.a != @.b",
            "?@.a && @.b",
            "?@.a[0] || @['b'] == 'a'",
            "?length(@) > 1",
            "?match(@.a, 'a.?')",
            "?search(@, 'b')",
            "?(@.a || @.b) && !@.c",
            "?@.a == $.b",
            "?value(@..a) == 1",
            "?@.*",
            "?@ == null",
            "?@ <= true",
        ])
        .prop_map(str::to_owned),
    ];
    let segment = (prop::sample::select(vec!["", ".."]), prop::collection::vec(selector, 1..3))
        .prop_map(|(dots, selectors)| format!("{dots}[{}]", selectors.join(",")));
    prop::collection::vec(segment, 0..4).prop_map(|segments| format!("${}", segments.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// An evaluator written by others, on what it is known to do right (see `docs/jsonpath.md`).
    #[test]
    fn jsonpath_rust_agrees(document in json_value(), path in path()) {
        let theirs: BTreeSet<_> = document.query_only_path(&path).unwrap().into_iter().collect();
        let text = document.to_string();
        let ours: BTreeSet<_> = selected(&text, &path).unwrap().into_iter().collect();
        prop_assert_eq!(ours, theirs, "{} in {}", path, text);
    }

    #[test]
    fn no_path_panics(path in r#"\$[\[\]().?@*'"a0:,=<!&| \-]{0,24}|\$(\.a|\[\?|@\.a|\]|==|\(|\)|'a'|length|count|match|\.\.|\*|1|,|:|&&|!){0,12}"#) {
        let _ = Path::parse(&path);
    }
}

#[test]
fn an_evaluation_ends_when_its_caller_has_given_up() {
    let tree = Tree::parse(STORE).unwrap();
    let path = Path::parse("$..book[?@.price < 10].title").unwrap();
    let interrupt = crate::Interrupt::default();
    assert_eq!(interrupt.guard(|| select(&path, &tree)).map(|nodes| nodes.len()), Ok(2));
    interrupt.give_up();
    assert_eq!(interrupt.guard(|| select(&path, &tree)), Err(OmissionReason::RuleFailed));
    // It holds for the guarded work alone.
    assert_eq!(select(&path, &tree).map(|nodes| nodes.len()), Ok(2));
}
