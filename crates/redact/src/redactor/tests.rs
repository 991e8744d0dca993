use super::*;
use proptest::prelude::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn headers() {
    let config = RedactConfig {
        headers: strings(&["Content-Type", "HOST", "x-internal-*"]),
        ..RedactConfig::default()
    };
    let redactor = Redactor::new(&config).unwrap();
    let check = |name: &str, value: &str, kept: &str| {
        let got = redactor.header(name.as_bytes(), value.as_bytes(), &mut Hits::default());
        assert_eq!(String::from_utf8_lossy(&got), kept.replace("***", MASK), "{name}: {value}");
    };
    for name in [
        "content-type",
        "CONTENT-TYPE",
        "Authorization",
        "authorization",
        "host",
        "Host",
        "HOST",
        "X-Internal-Id",
        "set-cookie",
        "Cookie",
        "X-API-Key",
    ] {
        check(name, "value", "***");
    }
    check("x-author", "ann", "ann");
    check("x-data", "theme=dark&token=x", "theme=dark&token=***");
    check("accept", "text/html;q=0.9, */*;q=0.1", "text/html;q=0.9, */*;q=0.1");
    check("cache-control", "max-age=60", "max-age=60");
    check("accept", "*/*", "*/*");
    check("x-user", r#"{"id":1,"url":"https://x/?a=1","token":"x"}"#, "***");
    check("x-user", r#"{"id":1"#, "***");
    check("report-to", r#"{"group":"a","url":"https://x/"}"#, r#"{"group":"a","url":"https://x/"}"#);
    check(
        "location",
        "https://a:b@x/cb?code=1&state=2#id_token=3",
        "https://***@x/cb?code=***&state=2#id_token=***",
    );
    check("Referer", "https://x/?page=1&TOKEN=2", "https://x/?page=1&TOKEN=***");
    check(":path", "/a?access_token=x", "/a?access_token=***");
    check("user-agent", "curl/8.0 (+https://curl.se)", "curl/8.0 (+https://curl.se)");
    // The rest begins as JSON.
    let odd = redactor.header(b"x-odd", b"\xff&{a=\"", &mut Hits::default());
    assert_eq!(redactor.header(b"x-odd", &odd, &mut Hits::default()), odd);
    let odd = redactor.header(b"x-odd", b"caf\xe9", &mut Hits::default());
    assert_eq!(&*odd, b"caf\xe9");
    assert_eq!(&*redactor.header(b"x-\xff-token", b"x", &mut Hits::default()), MASK.as_bytes());
}

#[test]
fn hosts_lose_their_userinfo() {
    let redactor = Redactor::new(&RedactConfig::default()).unwrap();
    let check = |name: &str, value: &str, kept: &str| {
        let value = value.replace("***", MASK);
        let got = redactor.header(name.as_bytes(), value.as_bytes(), &mut Hits::default());
        assert_eq!(String::from_utf8_lossy(&got), kept.replace("***", MASK), "{name}: {value}");
    };
    for host in ["host", "Host", ":authority", "X-Forwarded-Host"] {
        check(host, "ann:x@h:80", "***@h:80");
        check(host, "ann@h", "***@h");
        check(host, "a:b@h, c:d@i", "***@i");
        check(host, "***@h", "***@h");
        check(host, "@h", "@h");
        check(host, "h.test:80", "h.test:80");
    }
    check("from", "ann@x.io", "ann@x.io");
}

#[test]
fn queries_and_paths() {
    let config = RedactConfig {
        query: strings(&["session_*", "Käse"]),
        keys: strings(&["passport_no"]),
        detectors: vec![crate::DetectorKind::Email],
        ..RedactConfig::default()
    };
    let redactor = Redactor::new(&config).unwrap();
    let check = |query: &str, kept: &str| {
        let got = redactor.query(query.as_bytes(), &mut Hits::default());
        assert_eq!(String::from_utf8_lossy(&got), kept.replace("***", MASK), "{query}");
    };
    check("a=1&SESSION_x=2&k%C3%84se=3&passportNo=4", "a=1&SESSION_x=***&k%C3%84se=***&passportNo=***");
    check("q=ann%40x.io&z=", "q=***&z=");
    check("country_code=de&code=1", "country_code=de&code=***");
    check("{\"a\":\"x=y&z\",\"token\":1}", "***");
    check("%7B%22a%22%3A%22x%3Dy%22%2C%22token%22%3A1%7D", "***");
    check("{\"a\":\"b\"}", "{\"a\":\"b\"}");
    check("[a]=1&x={\"b\":\"c\"}", "[a]=1&x={\"b\":\"c\"}");
    check("filter=%7B%22token%22%3A1%7D&q={a}", "filter=***&q={a}");
    let check = |path: &str, kept: &str| {
        let got = redactor.path(path.as_bytes(), &mut Hits::default());
        assert_eq!(String::from_utf8_lossy(&got), kept.replace("***", MASK), "{path}");
    };
    check("/users/ann@x.io/a;jsessionid=1;v=2", "/users/***/a;jsessionid=***;v=***");
    check("/cb&token=x/a", "/***/a");
    check("/a%3Bjsessionid=x", "/***");
    check("/login%3Ftoken%3Dx", "/***");
    check("/to/https://ann:x@y/b", "/to/https://***@y/b");
    check("/to/https%3A%2F%2Fann%3Ax%40y", "/to/***");
    check(r#"/api/{"password":"x"}"#, "/api/***");
    check(r#"/api/{"password":"x"}/b"#, "/api/***/b");
    check(r#"/api/[1,{"password":"x"}];v=1/b"#, "/api/***/b");
    check(r#"/api/"{\"password\":\"x\"}"/b"#, "/api/***/b");
    // A slash in a string does not end the JSON.
    check(r#"/api/{"a":"b/c","password":"x"}"#, "/api/***");
    check(r#"/api/{"password":"x/y","a":1}/b"#, "/api/***");
    check("/api/%7B%22a%22:%22b/c%22,%22password%22:%22x%22%7D", "/api/***");
    for harmless in [
        "/a%20b/100%25/x=1/YWI9PQ==",
        "/Users(code=5)",
        "/a;v=1/b",
        "//x/@home",
        "/%zz/%",
        "/u/{id}/[a]",
        "/a/{\"b\":1}/\"c\"",
    ] {
        check(harmless, harmless);
    }
}

/// The same JSON is found in each place where a value can hold it.
#[test]
fn json_is_recognised_alike_in_every_place() {
    let redactor = Redactor::new(&RedactConfig::default()).unwrap();
    for json in [
        r#"{"token":"s3cret"}"#,
        r#"[1,{"token":"s3cret"}]"#,
        r#"["a",{"token":"s3cret"}]"#,
        r#"[ [ {"token":"s3cret"}]]"#,
        "\u{feff}{\"token\":\"s3cret\"}",
        "\u{a0}{\"token\":\"s3cret\"}",
        // Strings that hold JSON, with and without escapes.
        r#"["{\"token\":\"s3cret\"}"]"#,
        r#"["\u007b\u0022\u0074oken\u0022\u003a\u0022s3cret\u0022}"]"#,
        r#"[1,"\u007b\u0022\u0074oken\u0022\u003a\u0022s3cret\u0022}"]"#,
        r#""{\"token\":\"s3cret\"}""#,
        // A receiver of a form ends a field at the `&`.
        r#"[1,{"a":"b&c","token":"s3cret"}]"#,
        r#"[1,{"a":"b;c","token":"s3cret"}]"#,
    ] {
        let hits = &mut Hits::default();
        let encoded: String = json.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let header = redactor.header(b"x-data", json.as_bytes(), hits).into_owned();
        let quoted = redactor.header(b"x-data", encoded.as_bytes(), hits).into_owned();
        let query = redactor.query(format!("data={encoded}").as_bytes(), hits).into_owned();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let mut left = vec![
            ("header", text(header)),
            ("header, encoded", text(quoted)),
            ("query", text(query)),
            ("path", text(redactor.path(format!("/a/{encoded}/b").as_bytes(), hits).into_owned())),
        ];
        let nested = serde_json::json!({ "data": json }).to_string();
        for (place, kind, body) in [
            ("text", BodyKind::Text, json.to_owned()),
            ("form", BodyKind::Form, json.to_owned()),
            ("field of a form", BodyKind::Form, format!("data={encoded}")),
            ("string of JSON", BodyKind::Json, nested.clone()),
            ("event", BodyKind::EventStream, format!("data: {json}\n\n")),
        ] {
            let kept = redactor.body(Message::Request, kind, &body, hits);
            left.push((place, kept.unwrap_or_default()));
        }
        for (place, left) in left {
            let same = left.contains("s3cret") || left.contains(&encoded);
            assert!(!same, "{place}: {left}\nof {json}");
        }
    }
    // Text that only begins as JSON does stays.
    let hits = &mut Hits::default();
    for value in
        ["[::1]:8080", "[link](https://x/)", "\"33a64df5\"", "\"a\", \"b\"", "[1, 2]", "{name}", "[\"a\"]"]
    {
        assert_eq!(&*redactor.header(b"x-data", value.as_bytes(), hits), value.as_bytes(), "{value}");
        let body = serde_json::json!({ "s": value }).to_string();
        let kept = redactor.body(Message::Request, BodyKind::Json, &body, hits);
        assert_eq!(kept.as_ref(), Ok(&body), "{value}");
    }
}

#[test]
fn without_defaults_only_what_is_configured_is_masked() {
    let redactor = Redactor::new(&RedactConfig { defaults: false, ..RedactConfig::default() }).unwrap();
    let mut hits = Hits::default();
    assert_eq!(redactor.rules(), [""; 0]);
    assert_eq!(&*redactor.header(b"authorization", b"x", &mut hits), b"x");
    assert_eq!(&*redactor.query(b"token=x", &mut hits), b"token=x");
    let body = r#"{"password": 1}"#;
    assert_eq!(redactor.body(Message::Request, BodyKind::Json, body, &mut hits).as_deref(), Ok(body));
    assert!(hits.is_empty());
}

#[test]
fn a_star_masks_all() {
    let all = RedactConfig { headers: strings(&["*"]), query: strings(&["*"]), ..RedactConfig::default() };
    let redactor = Redactor::new(&all).unwrap();
    assert_eq!(&*redactor.header(b"accept", b"x", &mut Hits::default()), MASK.as_bytes());
    assert_eq!(&*redactor.query(b"a=1&=2", &mut Hits::default()), format!("a={MASK}&={MASK}").as_bytes());
}

#[test]
fn a_wrong_rule_is_named() {
    let check = |edit: fn(&mut RedactConfig), place: (&str, Option<usize>), says: &str| {
        let mut config = RedactConfig::default();
        edit(&mut config);
        let defect = Redactor::new(&config).expect_err(says);
        assert_eq!((defect.list, defect.index), place, "{defect}");
        assert!(defect.message.contains(says), "{defect}\nshould say: {says}");
    };
    check(|c| c.request_body = strings(&["$.a", "user.email"]), ("request_body", Some(1)), "`$.user.email`");
    check(|c| c.response_body = strings(&["$["]), ("response_body", Some(0)), "not complete");
    check(|c| c.headers = strings(&["a b"]), ("headers", Some(0)), "not a header name");
    check(|c| c.headers = strings(&["$.a"]), ("headers", Some(0)), "`request_body`");
    check(|c| c.query = strings(&[" a"]), ("query", Some(0)), "`a`");
    check(|c| c.query = strings(&[""]), ("query", Some(0)), "empty");
    check(|c| c.keys = strings(&["$.a"]), ("keys", Some(0)), "`request_body`");
    check(|c| c.keys = strings(&["a*"]), ("keys", Some(0)), "no `*`");
    check(|c| c.keys = strings(&["--"]), ("keys", Some(0)), "letters");
    check(|c| c.keys = vec!["a".into(); 300], ("keys", None), "256");
    check(|c| c.headers = vec!["a".repeat(600)], ("headers", Some(0)), "512");
    check(|c| c.detectors = vec![crate::DetectorKind::Ssn; 2], ("detectors", Some(1)), "already");
}

#[test]
fn the_largest_configuration_compiles() {
    let paths: Vec<_> = (0..MAX_LIST).map(|i| format!("$..a{i}{}", ".b".repeat(250))).collect();
    let redactor = Redactor::new(&RedactConfig { request_body: paths, ..RedactConfig::default() }).unwrap();
    let body = format!("{{\"a7\":{}1{}}}", "{\"b\":".repeat(120), "}".repeat(120));
    assert_eq!(
        redactor.body(Message::Request, BodyKind::Json, &body, &mut Hits::default()).as_ref(),
        Ok(&body)
    );
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_survived_and_redaction_is_idempotent(
        name in any::<Vec<u8>>(),
        value in prop_oneof![any::<Vec<u8>>(), "(token|a|=|&|;|%|%3D|%2574oken|#|\\?|//|@|:|/|x@y\\.de|\\+| ){0,20}".prop_map(String::into_bytes)],
    ) {
        let config = RedactConfig { detectors: crate::DetectorKind::ALL.to_vec(), ..RedactConfig::default() };
        let redactor = Redactor::new(&config).unwrap();
        let hits = &mut Hits::default();
        let once = redactor.header(&name, &value, hits);
        prop_assert_eq!(redactor.header(&name, &once, hits), &once[..], "header {:?}", String::from_utf8_lossy(&value));
        let once = redactor.query(&value, hits);
        prop_assert_eq!(redactor.query(&once, hits), &once[..], "query {:?}", String::from_utf8_lossy(&value));
        let once = redactor.url(&value, hits);
        prop_assert_eq!(redactor.url(&once, hits), &once[..], "url {:?}", String::from_utf8_lossy(&value));
        let once = redactor.path(&value, hits);
        prop_assert_eq!(redactor.path(&once, hits), &once[..], "path {:?}", String::from_utf8_lossy(&value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_harmless_query_is_what_a_search_leaves_of_it(
        query in prop_oneof![
            "[a-z=&.?#/ -]{0,24}",
            "\\PC{0,16}",
            "(token|page|session|card|number|user|a|1|=|=|&|&|;|%3D|%|\\+|#|\\?|//|@|:|/|\\.|\\[|\\]|\\{|\"|_|-|no|é| |ghp_0123456789abcdefghij|sk_live_0123456789abcdefghijklmn|AKIAABCDEFGHIJKLMNOP|AIza|SG\\.|0123456789abcdefghijklmnopqrstuvwxy){0,12}",
        ],
        detectors in prop_oneof![3 => Just(Vec::new()), 1 => Just(crate::DetectorKind::ALL.to_vec())],
        keys in prop_oneof![Just(Vec::new()), Just(vec!["page_no".to_owned(), "1".to_owned()])],
        patterns in prop_oneof![3 => Just(Vec::new()), 1 => Just(vec!["p*".to_owned()])],
    ) {
        let config = RedactConfig { detectors, keys, query: patterns, ..RedactConfig::default() };
        let redactor = Redactor::new(&config).unwrap();
        let (mut quick, mut searched) = (Hits::default(), Hits::default());
        prop_assert_eq!(
            redactor.query(query.as_bytes(), &mut quick),
            redactor.searched_query(query.as_bytes(), &mut searched)
        );
        let counted = |mut hits: Hits| hits.drain().collect::<Vec<_>>();
        prop_assert_eq!(counted(quick), counted(searched));
    }

    #[test]
    fn a_value_without_signs_is_what_a_search_leaves_of_it(
        value in prop_oneof![
            "[\\PC\\t]{0,24}",
            "(token|session|a|=|&|;|%3D|%|#|\\?|//|@|:|/|x@y\\.de|\\+|\\[|\\{|\"|\u{feff}|é| |sk_live_0123456789abcdefghijklmn){0,12}",
        ],
        detectors in prop_oneof![Just(Vec::new()), Just(crate::DetectorKind::ALL.to_vec())],
    ) {
        let redactor = Redactor::new(&RedactConfig { detectors, ..RedactConfig::default() }).unwrap();
        let value = value.as_bytes();
        let (mut quick, mut searched) = (Hits::default(), Hits::default());
        prop_assert_eq!(
            redactor.header_value(value, &mut quick),
            redactor.searched_header_value(value, &mut searched)
        );
        prop_assert_eq!(redactor.path(value, &mut quick), redactor.searched_path(value, &mut searched));
        let counted = |mut hits: Hits| hits.drain().collect::<Vec<_>>();
        prop_assert_eq!(counted(quick), counted(searched));
    }
}
