use super::*;

fn event() -> RequestEvent {
    RequestEvent {
        consumer: "acme".to_owned(),
        method: "GET".to_owned(),
        route: "/v1/orders/{number}".to_owned(),
        status: 503,
        error_type: Some("upstream_timeout".to_owned()),
        path: Some("/v1/orders/4711".to_owned()),
        query: Some("page=2".to_owned()),
        host: Some("api.example".to_owned()),
        client_address: Some("192.0.2.7".to_owned()),
        user_agent: Some("Curl/8.1".to_owned()),
        request_id: Some("5f0c6fb1-7a80-4a1c-9a50-0f2f3f3e7b11".to_owned()),
        trace_id: (0..16).collect(),
        duration_ns: Some(640_000_000),
        upstream_ns: Some(600_000_000),
        response_bytes: Some(20_000),
        request_headers: Some(r#"{"x-tenant":["Blue"],"accept":["*/*"]}"#.to_owned()),
        response_body: Some(r#"{"error":"No Stock"}"#.to_owned()),
        ..RequestEvent::default()
    }
}

fn sender() -> Sender {
    let [gateway, service, environment] = ["edge-1", "orders", "prod"].map(Into::into);
    Sender { gateway, service, environment }
}

#[test]
fn a_request_must_match_all_terms_and_any_value_of_each() {
    let check = |search: &str, expected: bool| {
        assert_eq!(Search::parse(search).unwrap().takes(&event(), &sender()), expected, "{search}");
    };
    for found in [
        "",
        "status:503",
        "status:429,503",
        "status:5xx -status:500",
        "status>=500",
        "status<600 status>502",
        "errors:true",
        "duration>500ms",
        "duration>500 duration<=0.64s",
        "upstream>=600ms",
        "response_bytes>10kB",
        "method:get",
        "GET orders",
        "consumer:acme,globex",
        "consumer:ac*",
        "-consumer:globex",
        "path:orders",
        "path:/v1/*",
        "path:/v1/ord",
        "path=/v1/orders/4711",
        "path:ORDERS",
        "-path=/v1/orders",
        "route:/v1/orders/{number}",
        "host:api.example",
        "host:*.example",
        "client_address:192.0.2.7",
        "client_address:192.0.2.*",
        "user_agent:curl",
        "error_type:upstream_timeout",
        "gateway:edge-1 service:orders environment:prod direction:inbound",
        "query:page",
        "request_id:5f0c6fb1-7a80-4a1c-9a50-0f2f3f3e7b11",
        "request_id:5f0c6fb1-*",
        "trace_id:000102030405060708090A0B0C0D0E0F",
        "trace_id:0001*",
        "header:blue",
        "request_header.X-Tenant:blue",
        "header.x-tenant=Blue",
        "body:\"no stock\"",
        "response_body:stock",
        "4711",
        "orders/47 acme",
        "5f0c6fb1-7a80-4a1c-9a50-0f2f3f3e7b11",
        "5F0C6FB1-7A80-4A1C-9A50-0F2F3F3E7B11",
        "5f0c6fb1-7a80",
        "000102030405060708090a0b0c0d0e0f",
        "0a0b0c",
        "*/4711",
        "-version:1",
        "!status:404",
    ] {
        check(found, true);
    }
    for missed in [
        "status:5xx status:404",
        "-status:5xx",
        "errors:false",
        "duration>640ms",
        "duration<640ms",
        "status<0",
        "grpc_status:0",
        "request_bytes>0",
        "path=/v1/orders",
        "consumer:acm",
        "consumer=ac*",
        "POST",
        "get",
        "request_id:5f0c6fb1",
        "header.accept:blue",
        "response_header:blue",
        "request_body:stock",
        "version:*",
        "gateway:edge-2",
        "5f0c6fb1-7a80-4a1c-9a50-0f2f3f3e7b12",
        "body:\"stock no\"",
    ] {
        check(missed, false);
    }
}

#[test]
fn an_id_is_found_whether_it_is_written_in_small_or_in_capital_letters() {
    const SMALL: &str = "5f0c6fb1-7a80-4a1c-9a50-0f2f3f3e7b11";
    let capital = SMALL.to_ascii_uppercase();
    let mixed = SMALL.replace('f', "F");
    let with_id = |id: &str| RequestEvent { request_id: Some(id.to_owned()), ..event() };
    for (stored, asked) in
        [(SMALL, &*capital), (&*capital, SMALL), (&*capital, &*capital), (&*mixed, &*mixed), (SMALL, &*mixed)]
    {
        let search = Search::parse(asked).unwrap();
        assert!(search.takes(&with_id(stored), &sender()), "{asked} of {stored}");
        let key = Key::of_text(Column::RequestId, stored);
        assert!(search.keys().iter().all(|any| any.contains(&vec![key])), "a filter must not hide {stored}");
    }
}

#[test]
fn a_mistake_is_named_with_its_place_and_what_was_probably_meant() {
    let check = |search: &str, column: usize, expected: &str| {
        let error = Search::parse(search).unwrap_err();
        let QueryError::Search(SearchError { column: found, message }) = error else { panic!("{error:?}") };
        assert_eq!(found, column, "{search}");
        assert!(message.starts_with(expected), "{search}: {message}");
    };
    check("acme statsu:5xx", 6, "there is no key \"statsu\": did you mean status?");
    check("client:192.0.2.7", 1, "there is no key \"client\": did you mean client_address?");
    check("http://x", 1, "there is no key \"http\": expected one of consumer, group");
    check("status:200,ok", 12, "status must be a code such as 404, a class such as 5xx, or 0, not \"ok\"");
    check("duration>fast", 10, "duration must be a time such as 500ms, 1.5s or 2m, not \"fast\"");
    check("response_bytes>1x", 16, "response_bytes must be a size such as 800, 10kB or 1MiB, not \"1x\"");
    check("consumer>a", 1, "consumer cannot be compared: write consumer:value");
    check("consumer.a:b", 1, "consumer has no parts");
    check("trace_id:12", 10, "trace_id must be 32 hexadecimal digits, or have a star, not \"12\"");
    check("direction:up", 11, "direction must be inbound or outbound, not \"up\"");
    check("errors:maybe", 1, "write errors:true or errors:false");
}

#[test]
fn chunks_that_cannot_match_are_passed_over() {
    let (ok, server_error) = (1 << 2, 1 << 5);
    let check = |search: &str, (errors, classes, longest): (i64, i64, i64), expected: bool| {
        let found = Search::parse(search).unwrap().may_take_chunk(errors, classes, longest);
        assert_eq!(found, expected, "{search}");
    };
    check("status:5xx", (0, ok, 1), false);
    check("status:5xx", (1, ok | server_error, 1), true);
    check("status>=500", (0, ok, 1), false);
    check("status>=200", (0, ok, 1), true);
    check("-status:2xx", (0, ok, 1), true);
    check("status<0", (0, ok, 1), false);
    check("status<201", (0, ok, 1), true);
    check("status>999", (0, ok | server_error, 1), false);
    check("status:0", (1, 1, 1), true);
    check("errors:true", (0, ok, 1), false);
    check("duration>1s", (0, ok, 1_000_000_000), false);
    check("duration>=1s", (0, ok, 1_000_000_000), true);
    check("upstream<1s", (0, ok, 1), true);
    let sender_takes = |search: &str| Search::parse(search).unwrap().takes_sender("orders", "prod", "edge-1");
    assert!(sender_takes("gateway:edge-1 consumer:x") && !sender_takes("gateway:edge-2"));
    assert!(!sender_takes("-gateway:edge-*"));
}
