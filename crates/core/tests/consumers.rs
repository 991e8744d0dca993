//! Every source of the consumer on a fake gateway: the ID, the host calls, and what leaves the gateway in clear.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use gatelens_core::filter::EndStream;
use gatelens_core::host::{HeaderMap, PluginIdentity, Stream};
use gatelens_core::plan::Plan;
use gatelens_core::request::FinishedRequest;
use gatelens_core::request::consumer::{Identity, Label};
use gatelens_model::Message;
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream};
use gatelens_testkit::otlp;
use gatelens_testkit::worker::Worker;

/// `printf %s VALUE | openssl dgst -sha256 -hmac k3y`
const HASH_OF_KEY: &str = "d1a1b7e0075a9efe";
const KEY: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

fn configuration(consumer: &str) -> String {
    format!(r#"{{"version": 1, "ingest": {{"cluster": "c"}}, "consumer": {consumer}}}"#)
}

fn sources(list: &str) -> String {
    configuration(&format!(r#"{{"sources": [{list}], "pseudonymize_key": "k3y"}}"#))
}

fn identify(configuration: &str, stream: FakeStream) -> (Identity<'static>, Label, u32) {
    let plan = Plan::read(configuration, &PluginIdentity::default()).unwrap();
    let host = FakeGateway::starting_at(1).worker(configuration);
    host.finish(stream);
    let request = FinishedRequest::read(&host, &plan.request);
    host.take_reads();
    let facts = request.facts(&host, &plan.request, None).unwrap();
    let Identity { id, trusted } = facts.consumer;
    (Identity { id: id.into_owned().into(), trusted }, facts.consumer_label, host.take_reads())
}

fn request() -> FakeStream {
    FakeStream::new("GET", "/a?key=a%20b&x=1", 200)
        .header("authorization", "Basic YW5uOnMzY3JldA==")
        .header("cookie", "a=b; uid=u7; session=s3cr3t")
        .header("x-api-key", KEY)
        .header("x-consumer-id", "acme")
        .response_header("x-caller", "app")
        .text(Attribute::UriSan, "spiffe://example.com/orders")
        .text(Attribute::CertificateSubject, "CN=orders,O=Acme")
        .metadata(&["envoy.filters.http.jwt_authn", "payload", "sub"], "ann")
        .metadata(&["envoy.filters.http.jwt_authn", "payload", "number"], 42f64.to_le_bytes())
        .metadata(&["envoy.filters.http.jwt_authn", "payload", "flag"], [1])
}

#[test]
fn every_source_names_the_caller() {
    let check = |source: &str, id: &str, trusted: bool, reads: u32| {
        let found = identify(&sources(source), request());
        assert_eq!(found, (Identity { id: id.into(), trusted }, Label::default(), reads), "{source}");
    };
    let jwt =
        |claim: &str| format!(r#"{{"metadata": ["envoy.filters.http.jwt_authn", "payload", "{claim}"]}}"#);
    check(&jwt("sub"), "ann", true, 1);
    check(&jwt("number"), "42", true, 1);
    check(&jwt("flag"), "anonymous", false, 1);
    check(&jwt("absent"), "anonymous", false, 1);
    check(r#"{"certificate_uri_san": true}"#, "spiffe://example.com/orders", true, 1);
    check(r#"{"certificate_subject": true}"#, "CN=orders,O=Acme", true, 1);
    check(r#"{"header": "X-Consumer-ID"}"#, "acme", false, 0);
    check(r#"{"header": "x-consumer-id", "trusted": true}"#, "acme", true, 0);
    check(r#"{"response_header": "X-Caller"}"#, "app", true, 1);
    check(r#"{"unverified_bearer_claim": "sub"}"#, "anonymous", false, 0);
    check(r#"{"basic_user": true}"#, "ann", false, 0);
    check(r#"{"api_key_header": "X-Api-Key"}"#, HASH_OF_KEY, false, 0);
    check(
        r#"{"api_key_header": "x-api-key", "keep_prefix": 8}"#,
        &format!("sk_live_{HASH_OF_KEY}"),
        false,
        0,
    );
    check(r#"{"header": "x-api-key", "pseudonymize": true}"#, HASH_OF_KEY, false, 0);
    check(r#"{"cookie": "uid"}"#, "u7", false, 0);
    check(r#"{"client_ip": true}"#, "192.0.2.7", false, 0);
}

#[test]
fn later_sources_are_not_read_after_a_hit() {
    let chain = r#"{"header": "x-user"}, {"header": "x-consumer-id"}, {"certificate_uri_san": true},
                   {"metadata": ["a", "b"]}, {"response_header": "x-caller"}"#;
    assert_eq!(identify(&sources(chain), request()).2, 0);
    let without = FakeStream::new("GET", "/", 200).header("x-consumer-id", "  ");
    let (identity, _, reads) = identify(&sources(chain), without);
    assert_eq!((&*identity.id, reads), ("anonymous", 3));
    let bearer =
        FakeStream::new("GET", "/", 200).header("authorization", "Bearer e30.eyJzdWIiOiJhbm4ifQ.c2ln");
    assert_eq!(identify(&sources(r#"{"unverified_bearer_claim": "sub"}"#), bearer).0.id, "ann");
}

#[test]
fn pseudonyms_are_those_of_the_decoded_value() {
    let hash = |source: &str| identify(&sources(source), request()).0.id;
    let of_text = FakeStream::new("GET", "/", 200).header("x-user", "a b");
    let expected = identify(&sources(r#"{"header": "x-user", "pseudonymize": true}"#), of_text).0.id;
    assert_eq!(hash(r#"{"api_key_query": "key"}"#), expected);
    assert_eq!(expected.len(), 16);
}

#[test]
fn names_and_groups_come_from_headers_metadata_and_the_directory() {
    let check = |consumer: &str, stream: FakeStream, name: &str, group: &str| {
        let (_, label, _) = identify(&configuration(consumer), stream);
        assert_eq!(label, Label { name: name.into(), group: group.into() }, "{consumer}");
    };
    let named = || {
        request()
            .header("x-consumer-name", " Acme\u{202e} Inc. ".as_bytes())
            .metadata(&["f", "groups"], b"\x01\0\0\0\x04\0\0\0\0\0\0\0gold\0\0")
    };
    let both = r#""name": {"header": "X-Consumer-Name"}, "group": {"metadata": ["f", "groups"]}"#;
    check(&format!("{{{both}}}"), named(), "Acme\u{fffd} Inc.", "gold");
    check(&format!(r#"{{{both}, "directory": {{"acme": {{"name": "ACME"}}}}}}"#), named(), "ACME", "gold");
    check(r#"{"directory": {"acme": {"group": "free"}, "globex": {"name": "x"}}}"#, named(), "", "free");
    let long = request().header("x-consumer-name", "x".repeat(500));
    check(r#"{"name": {"header": "x-consumer-name"}}"#, long, &"x".repeat(64), "");
    let nobody = FakeStream::new("GET", "/", 200).header("x-consumer-name", "Acme");
    check(r#"{"name": {"header": "x-consumer-name"}}"#, nobody, "", "");
}

#[test]
fn the_filter_removes_a_response_header_that_names_the_caller() {
    let text = sources(r#"{"response_header": "x-caller"}, {"header": "x-consumer-id"}"#);
    let gateway = FakeGateway::starting_at(1);
    let worker = Worker::start(&gateway, &text);
    let mut filter = worker.begin(&request());
    filter.headers(&worker.host, Message::Request, EndStream::Yes);
    filter.headers(&worker.host, Message::Response, EndStream::Yes);
    assert!(worker.host.response_headers().is_empty(), "the client must not see it");
    filter.log(&worker.host);
    drop(filter);
    // Without the callback it is read when the stream ends.
    worker.finish(request());
    let consumers: Vec<_> =
        logged(&worker).into_iter().map(|record| record["gatelens.consumer.id"].clone()).collect();
    assert_eq!(consumers, ["app", "app"]);
}

#[test]
fn a_response_header_that_names_the_caller_is_not_logged() {
    let text = r#"{"version": 1, "ingest": {"cluster": "c"}, "capture": {"response_headers": ["*"]},
                   "consumer": {"sources": [{"response_header": "X-Caller"}]}}"#;
    let worker = Worker::start(&FakeGateway::starting_at(1), text);
    worker.finish(request().response_header("x-other", "1"));
    let records = logged(&worker);
    assert_eq!(records[0]["gatelens.consumer.id"], "app");
    assert_eq!(records[0]["http.response.header.x-other"], "1");
    assert_eq!(records[0].get("http.response.header.x-caller"), None);
}

#[test]
fn a_pseudonymised_value_is_nowhere_in_clear() {
    let text = r#"{"version": 1, "ingest": {"cluster": "c"}, "redact": {"defaults": false},
        "capture": {"request_headers": ["*"]},
        "consumer": {"pseudonymize_key": "k3y-0451", "sources": [
            {"header": "x-user-mail", "pseudonymize": true}, {"api_key_header": "X-Custom-Key"}, {"api_key_query": "key"},
            {"cookie": "uid", "pseudonymize": true}, {"client_ip": true, "pseudonymize": true}]}}"#;
    let worker = Worker::start(&FakeGateway::starting_at(1), text);
    let plain = || FakeStream::new("GET", "/a?key=planted-1&x=1", 200).int(Attribute::RequestDuration, 1);
    worker.finish(plain().header("x-user-mail", "planted-2").header("x-custom-key", "planted-3"));
    worker.finish(plain().header("cookie", "uid=planted-4"));
    worker.finish(FakeStream::new("GET", "/", 200).header("cookie", "uid=planted-4"));
    worker.finish(FakeStream::new("GET", "/", 200));
    let sent = worker.deliver_after(Duration::from_secs(2));
    let records = otlp::records(&sent);
    assert_eq!(records.len(), 4);
    for (record, length) in records.iter().zip([16; 4]) {
        assert_eq!(record["gatelens.consumer.id"].len(), length, "{record:?}");
        assert_eq!(record.get("client.address"), None, "{record:?}");
    }
    let all: String =
        sent.iter().map(|sent| String::from_utf8_lossy(&otlp::inflated(sent)).into_owned()).collect();
    for secret in ["planted", "192.0.2.7", "k3y-0451"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert!(!format!("{:?}", worker.plugin).contains("k3y-0451"));
}

#[test]
fn a_pseudonymised_value_is_in_no_other_header() {
    let text = r#"{"version": 1, "ingest": {"cluster": "c"}, "redact": {"defaults": false},
        "capture": {"request_headers": ["*"], "response_headers": ["*"]},
        "consumer": {"pseudonymize_key": "k3y-0451", "sources": [
            {"cookie": "uid", "pseudonymize": true}, {"client_ip": true, "pseudonymize": true},
            {"certificate_uri_san": true, "pseudonymize": true}]}}"#;
    let worker = Worker::start(&FakeGateway::starting_at(1), text);
    worker.finish(
        FakeStream::new("GET", "/", 200)
            .header("x-forwarded-for", "192.0.2.7, 10.0.0.1")
            .header("X-Real-IP", "192.0.2.7")
            .header("x-envoy-external-address", "192.0.2.7")
            .header("forwarded", "for=192.0.2.7;proto=https")
            .header("x-forwarded-client-cert", "By=spiffe://a/b;URI=spiffe://planted/2")
            .header("x-other", "kept")
            .response_header("set-cookie", "uid=planted-1; Path=/"),
    );
    let records = logged(&worker);
    assert_eq!(records[0]["http.request.header.x-other"], "kept");
    for secret in ["planted", "192.0.2.7"] {
        assert!(!format!("{records:?}").contains(secret), "{secret}: {records:?}");
    }
}

#[test]
fn a_pseudonymised_value_is_no_name_and_no_other_id() {
    let refused = |consumer: &str, path: &str| {
        let error = Plan::read(&configuration(consumer), &PluginIdentity::default()).unwrap_err();
        assert_eq!(error.path, path, "{error}");
        assert!(error.to_string().contains("a source pseudonymises this value"), "{error}");
    };
    let with =
        |source: &str, more: &str| format!(r#"{{"pseudonymize_key": "k3y", "sources": [{source}], {more}}}"#);
    let user = r#"{"header": "X-User", "pseudonymize": true}"#;
    refused(&with(user, r#""name": {"header": "x-user"}"#), "consumer.name.header");
    refused(
        &with(r#"{"api_key_header": "x-user"}"#, r#""group": {"header": "x-user"}"#),
        "consumer.group.header",
    );
    let mail = r#"{"metadata": ["f", "mail"], "pseudonymize": true}"#;
    refused(&with(mail, r#""name": {"metadata": ["f", "mail"]}"#), "consumer.name.metadata");
    let twice = format!(r#"{user}, {{"header": "x-user"}}"#);
    refused(&with(&twice, r#""directory": {}"#), "consumer.sources[1].header");
    let other = with(user, r#""name": {"header": "x-user-name"}"#);
    assert!(Plan::read(&configuration(&other), &PluginIdentity::default()).is_ok());
}

#[test]
fn a_key_in_the_wrong_place_names_nobody_in_clear() {
    // `ghp_16C7e42F292c6912E7710c838347Ae178B4a:x-oauth-basic`
    let basic = "Basic Z2hwXzE2QzdlNDJGMjkyYzY5MTJFNzcxMGM4MzgzNDdBZTE3OEI0YTp4LW9hdXRoLWJhc2lj";
    let key = || FakeStream::new("GET", "/", 200).header("authorization", basic).header("x-consumer-id", KEY);
    for source in [r#"{"basic_user": true}"#, r#"{"header": "x-consumer-id"}"#] {
        assert_eq!(identify(&sources(source), key()).0.id, "anonymous", "{source}");
        let pseudonymised = source.replace('}', r#", "pseudonymize": true}"#);
        assert_eq!(identify(&sources(&pseudonymised), key()).0.id.len(), 16, "{source}");
    }
    let chain = r#"{"basic_user": true}, {"client_ip": true}"#;
    assert_eq!(identify(&sources(chain), key()).0.id, "192.0.2.7");
}

#[test]
fn a_masked_host_is_masked_wherever_it_is() {
    let text = r#"{"version": 1, "ingest": {"cluster": "c"}, "redact": {"headers": ["host"]},
                   "counters": {"host": true}}"#;
    let worker = Worker::start(&FakeGateway::starting_at(1), text);
    worker.finish(FakeStream::new("GET", "/", 200).header(":authority", "planted.example.com"));
    let sent = worker.deliver_after(Duration::from_secs(2));
    assert_eq!(otlp::records(&sent)[0]["server.address"], "[CLIENT_REDACTED]");
    let all: String =
        sent.iter().map(|sent| String::from_utf8_lossy(&otlp::inflated(sent)).into_owned()).collect();
    assert!(!all.contains("planted"), "{all}");
}

#[test]
fn another_key_keeps_the_counters_and_the_hash_of_the_configuration() {
    let plan = |key: &str| {
        let text = format!(
            r#"{{"sources": [{{"client_ip": true, "pseudonymize": true}}], "pseudonymize_key": "{key}"}}"#
        );
        Plan::read(&configuration(&text), &PluginIdentity::default()).unwrap()
    };
    let (one, other) = (plan("k3y-0451"), plan("k3y-0452"));
    assert_eq!(one.export.resource.config_hash, other.export.resource.config_hash);
    assert_eq!(one.export.counters, other.export.counters);
}

#[test]
fn a_name_is_sent_when_it_is_news() {
    let text =
        configuration(r#"{"name": {"header": "x-consumer-name"}, "directory": {"acme": {"group": "gold"}}}"#);
    let worker = Worker::start(&FakeGateway::starting_at(1_700_000_000_000_000_000), &text);
    let finish = |name: &str| worker.finish(request().header("x-consumer-name", name));
    finish("Acme");
    finish("Acme");
    finish("Acme Inc.");
    worker.gateway.wait(Duration::from_mins(11));
    finish("Acme Inc.");
    finish("Acme Inc.");
    let names: Vec<_> = logged(&worker)
        .iter()
        .map(|record| {
            [record.get("gatelens.consumer.name").cloned(), record.get("gatelens.consumer.group").cloned()]
        })
        .collect();
    let sent = |name: &str| [Some(name.to_owned()), Some("gold".to_owned())];
    assert_eq!(names, [sent("Acme"), [None, None], sent("Acme Inc."), sent("Acme Inc."), [None, None]]);
}

#[test]
fn the_examples_of_the_document_are_accepted() {
    let document = include_str!("../../../docs/consumers.md");
    let examples: Vec<&str> =
        document.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 8, "{}", examples.len());
    for example in examples {
        let plan = Plan::read(&configuration(example), &PluginIdentity::default());
        assert!(plan.is_ok(), "{example}: {:?}", plan.err());
    }
}

fn logged(worker: &Worker) -> Vec<otlp::Attributes> {
    otlp::records(&worker.deliver_after(Duration::from_secs(2)))
}
