//! Segments and the routes that stand for them.

use gatelens_routes::{MAX_ROUTE_BYTES, infer};
use proptest::prelude::*;

fn route(path: &[u8]) -> String {
    let mut out = String::from("old");
    infer(path, &mut out);
    out
}

/// All that differ are shown at once.
fn check<'a>(table: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let differing: Vec<_> = table
        .into_iter()
        .map(|(segment, expected)| (segment, expected, route(format!("/a/{segment}/b").as_bytes())))
        .filter(|(_, expected, route)| *route != format!("/a/{expected}/b"))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn words_stay() {
    let words: Vec<&str> = include_str!("data/words.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect();
    assert!(words.len() > 900, "{} words", words.len());
    let changed: Vec<_> = words
        .iter()
        .map(|word| (word, route(format!("/{word}").as_bytes())))
        .filter(|(word, route)| *route != format!("/{word}"))
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn kinds_that_have_names_of_their_own() {
    check([
        ("42", "{number}"),
        ("-42", "{number}"),
        ("1.5", "{number}"),
        ("4111111111111111", "{number}"),
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "{uuid}"),
        ("3F2504E0-4F89-41D3-9A0C-0305E82C3301", "{uuid}"),
        ("507f1f77bcf86cd799439011", "{hex}"),
        ("2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", "{hex}"),
        ("a1b2c3d", "{hex}"),
        ("9f86d081", "{hex}"),
        ("1a79a4d6", "{hex}"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{ulid}"),
        ("2024-05-17", "{date}"),
        ("2024-05-17T10:20:30Z", "{date}"),
        ("ann@example.com", "{email}"),
        ("ann%40example.com", "{email}"),
        ("ann%2Bnews%40example.co.uk", "{email}"),
        ("10.0.0.1", "{ip}"),
        ("2001:db8::1", "{ip}"),
        ("2001%3Adb8%3A%3A1", "{ip}"),
        ("00:1a:2b:3c:4d:5e", "{mac}"),
        ("00-1A-2B-3C-4D-5E", "{mac}"),
        ("c8c4.240f.e7f9", "{mac}"),
        ("52.52,13.405", "{coordinates}"),
        ("-33.8688,151.2093", "{coordinates}"),
        ("978-3-16-148410-0", "{isbn}"),
        ("0-306-40615-2", "{isbn}"),
        ("0-8044-2957-X", "{isbn}"),
        ("1.2.3", "{version}"),
        ("v1.28.3", "{version}"),
        ("2.0.0-rc.1+build5", "{version}"),
        ("en-US", "{locale}"),
        ("pt_BR", "{locale}"),
        ("zh-Hans-CN", "{locale}"),
        ("zh-Hant", "{locale}"),
        ("en-us", "{locale}"),
        ("1,2,3", "{list}"),
        ("AAPL,MSFT", "{list}"),
        ("main...feature", "{range}"),
        ("v1.0..v1.1", "{range}"),
        ("@ann", "{handle}"),
        ("~ann", "{handle}"),
    ]);
}

#[test]
fn identifiers_behind_a_prefix() {
    let segments = [
        "cus_NffrFeUfNV2Hib",
        "pi_3MtwBwLkdIwHu7ix",
        "price_1MoBy5LkdI",
        "cus_NffrFeUfNVAHib",
        "PROJ-1234",
        "ABC-7",
        "ORD-2026-000123",
        "INV-0042",
        "user-7029",
        "user7029",
        "order_98121",
        "i-0abc12d9",
        "i-0abcd1234ef567890",
        "sg-903004f8",
        "user_01h455vb4pex5vsknk084sn02q",
        "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "web-6d4b75cb6d-zx",
        "node-exporter-x7k2p",
        "node-exporter-zxkqt",
        "coredns-5d78c9869d",
        "my-branch-81231",
        "urn:isbn:9780306406157",
        "user:1234",
    ];
    check(segments.map(|segment| (segment, "{id}")));
}

#[test]
fn identifiers_without_a_word() {
    let segments = [
        "eyJhbGciOiJIUzI1NiIsInR5cCI6",
        "0ujsswThIGTUYm2K8FjOOfXtY1K",
        "V1StGXR8_Z5jdHi6B-myT",
        "cjld2cjxh0000qzrmn831i7rn",
        "9m4e2mr0ui3e8a215n4g",
        "jR8kLm2Q",
        "x7k2p9qw",
        "aGVsbG8gd29ybGQ9",
        "dQw4w9WgXcQ",
        "FvQnEa-Ia-Z",
        "JTDoFGON",
        "NpTiNNIGOzKMOCibIznjk",
        "LDX4EQZTOYDWKSMR",
        "GB29NWBK60161331926819",
        "vol-049df61146c4d7901",
        "web-6d4b75cb6d-zxkqt",
        "+49-170-1234567",
        "caf%C3%A9",
        "Shared%20Documents",
        "a%2Fb",
        "%2540",
        "ann%2540example.com",
        "50%",
        "token=secret",
        "foo+bar",
        "a&b",
        "(555)1234",
        "*",
        "a@b",
        "{not a name}",
        "[x]",
        "{}",
    ];
    check(segments.map(|segment| (segment, "{token}")));
}

#[test]
fn text_around_an_identifier_stays() {
    check([
        ("42.json", "{number}.json"),
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301.pdf", "{uuid}.pdf"),
        ("SMb7f8a1c2d3e4f5a6b7c8d9e0f1a2b3c4.json", "{token}.json"),
        ("2024-05-17.csv", "{date}.csv"),
        ("Customers(42)", "Customers({number})"),
        ("Customers%2842%29", "Customers({number})"),
        ("Customers('ALFKI')", "Customers({key})"),
        ("Orders(OrderID=1,ProductID=2)", "Orders({key})"),
        ("items(3f2504e0-4f89-41d3-9a0c-0305e82c3301)", "items({uuid})"),
        ("42:cancel", "{number}:cancel"),
        ("cus_NffrFeUfNV2Hib:archive", "{id}:archive"),
        ("42;v=2", "{number};v={value}"),
        ("users;v=2", "users;v={value}"),
        (";v=2", ";v={value}"),
        ("cars;colour=red;year=2012", "cars;colour={value};year={value}"),
        ("x;1=2", "x;{value}"),
        ("index.jsp;jsessionid=A1B2C3D4E5F6A7B8", "index.jsp;jsessionid={value}"),
        ("us%65rs", "users"),
    ]);
}

#[test]
fn placeholders_and_masks_stay() {
    let segments = [
        "{number}",
        "{param}",
        "{order_id}",
        "{number}.json",
        "Customers({number})",
        "{id}:cancel",
        "{number};v={value}",
        "[CLIENT_REDACTED]",
        "{base}...{head}",
    ];
    check(segments.map(|segment| (segment, segment)));
}

#[test]
fn whole_paths() {
    let check = |path: &str, expected: &str| assert_eq!(route(path.as_bytes()), expected, "{path}");
    check("/", "/");
    check("/users/", "/users/");
    check("//double", "//double");
    check("/users/-42/1.5", "/users/{number}/{number}");
    check("/rest/api/3/issue/10001", "/rest/api/3/issue/{number}");
    check("/rest/agile/1.0/board", "/rest/agile/1.0/board");
    check("/api/7", "/api/{number}");
    check("/api/42/x", "/api/{number}/x");
    check("/api/users/7/orders", "/api/users/{number}/orders");
    check("*", "*");
    check("", "__unmatched__");
    check("relative", "__unmatched__");
    check(&format!("/{}", "a".repeat(65)), "/{token}");
    check(&format!("/{}@example.com", "a".repeat(65)), "/{email}");
    check(&format!("/{}", "%61".repeat(200)), "/{token}");
    check(&"/a".repeat(30), &format!("{}/{{rest}}", "/a".repeat(24)));
    check("/caf\u{e9}", "/{token}");
    check(
        "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json",
        "/{date}/Accounts/{hex}/Messages.json",
    );
}

/// Segments between random bytes and the forms that the rules know.
fn segments() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[ -~]{0,70}".prop_map(String::into_bytes),
        "[a-zA-Z0-9._~:;=(){},@$%-]{0,40}".prop_map(String::into_bytes),
        "[a-z]{1,6}[_-][a-zA-Z0-9]{1,16}(\\.json|:cancel|;v=2|\\(7\\))?".prop_map(String::into_bytes),
        "[a-z0-9]{1,9}[{][a-z0-9_]{1,12}[}][a-z0-9.]{0,5}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_path_has_a_bounded_route_that_is_its_own_route(
        segments in prop::collection::vec(segments(), 0..30),
        raw in prop::collection::vec(any::<u8>(), 0..9000),
    ) {
        let mut path = b"/".to_vec();
        path.extend(segments.join(&b'/'));
        for path in [&path, &raw] {
            let once = route(path);
            prop_assert!(!once.is_empty() && once.len() <= MAX_ROUTE_BYTES);
            prop_assert_eq!(&route(once.as_bytes()), &once, "{:?}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn nothing_but_plain_characters_stands_in_a_route(segment in segments()) {
        let mut path = b"/".to_vec();
        path.extend(&segment);
        let route = route(&path);
        let mentions = ["@me", "@self", "@all", "@original", "@current", "@here", "@everyone"];
        let is_mention = route.split('/').any(|segment| mentions.contains(&segment));
        prop_assert!(is_mention || !route.contains('@'), "{}", route);
        prop_assert!(route.bytes().all(|byte| byte.is_ascii_graphic()), "{}", route);
        prop_assert!(!route.contains(['%', '"', '<', '>', '\\', '^', '`', '?', '#']), "{}", route);
    }

    #[test]
    fn every_email_number_and_uuid_is_recognised(
        number in any::<u64>(),
        uuid in any::<u128>(),
        email in "[a-z.+]{1,12}(@|%40)[a-z]{1,12}\\.[a-z]{2,4}",
    ) {
        prop_assert_eq!(route(format!("/{number}").as_bytes()), "/{number}");
        prop_assert_eq!(route(format!("/{email}").as_bytes()), "/{email}");
        let hex = format!("{uuid:032x}");
        let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        // A UUID without any decimal digit does not occur in practice.
        prop_assume!(uuid.bytes().any(|byte| byte.is_ascii_digit()));
        prop_assert_eq!(route(format!("/{uuid}").as_bytes()), "/{uuid}");
    }
}
