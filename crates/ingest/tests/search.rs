//! The search of the request log, from the query string to the rows.

use crate::support::Service;
use crate::support::otlp::{Frame, Made, NOON, SECOND, export_logs, log, made, record, text};
use gatelens_ingest::Limits;
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_ingest::upkeep::scrub;
use serde_json::Value;

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn ask(service: &Service, search: &str, more: &str) -> (u16, Value) {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("q", search).finish();
    let answer = service.get(&format!("/api/v1/requests?{DAY}&{query}{more}"));
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// The paths of the rows that a search finds, the earliest first.
fn paths(service: &Service, search: &str, more: &str) -> Vec<String> {
    let (status, answer) = ask(service, search, more);
    assert_eq!(status, 200, "{search}: {answer}");
    let rows = answer["rows"].as_array().unwrap().iter().rev();
    rows.map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

fn with_requests() -> Service {
    let service = Service::start();
    let made = [
        made("/users/{number}", 200, 0.05),
        made("/users/search", 429, 0.2),
        made("/orders/{number}", 503, 1.5),
    ];
    let paths = ["/users/42", "/users/search", "/orders/7"];
    let records = (0u64..).zip(made.iter().zip(paths)).map(|(number, (made, path))| {
        let mut record = record(NOON + number, made);
        record.attributes.retain(|attribute| attribute.key != "url.path");
        record.attributes.push(text("url.path", path));
        if number == 2 {
            record.attributes.push(text("gatelens.response.body.content", r#"{"error":"out of stock"}"#));
        }
        record
    });
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &export_logs(records.collect())).accepted();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &Frame::at(NOON).of(&made)).accepted();
    service
}

#[test]
fn a_search_finds_the_requests_that_match_all_of_its_terms() {
    let service = with_requests();
    let all = ["/users/42", "/users/search", "/orders/7"];
    for (search, expected) in [
        ("", &all[..]),
        ("status:4xx,503", &all[1..]),
        ("status:4xx,503 -status:429", &all[2..]),
        ("duration>100ms path:/users/*", &all[1..2]),
        ("users", &all[..2]),
        ("get acme", &[]),
        ("GET acme", &all[..]),
        ("body:\"out of stock\"", &all[2..]),
        // The route of a path, unless the path is a route.
        ("route:/users/99", &all[..1]),
        ("route:/users/search", &all[1..2]),
        ("route:/orders/8,/users/5", &[all[0], all[2]]),
        ("direction:outbound", &[]),
        ("errors:true gateway:edge-*", &all[2..]),
    ] {
        assert_eq!(paths(&service, search, ""), expected, "{search}");
    }
    let id = format!("request_id:id-{}", NOON + 1);
    assert_eq!(paths(&service, &id, ""), &all[1..2]);
    // Single parameters and the search must both hold.
    assert_eq!(paths(&service, "status:4xx,503", "&consumer=acme&status=!429"), &all[2..]);
    assert_eq!(paths(&service, "duration>100ms", "&sort=duration"), [all[1], all[2]]);
}

#[test]
fn a_search_for_outbound_calls_needs_no_parameter_beside_it() {
    let service = Service::start();
    let mut batch = log(&[(NOON, made("/", 200, 0.1))]);
    let resource = batch.resource_logs[0].resource.as_mut().unwrap();
    resource.attributes.retain(|attribute| attribute.key != "gatelens.direction");
    resource.attributes.push(text("gatelens.direction", "outbound"));
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &batch).accepted();
    assert_eq!(paths(&service, "", "").len(), 0);
    assert_eq!(paths(&service, "direction:outbound", "").len(), 1);
    assert_eq!(paths(&service, "direction:outbound", "&direction=inbound").len(), 0);
}

/// The file of the request log, while no service runs.
fn log_of(data: &std::path::Path) -> rusqlite::Connection {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("requests-") && name.ends_with(".db")
    };
    rusqlite::Connection::open(files.into_iter().find(is_log).unwrap()).unwrap()
}

/// A hundred chunks of a hundred requests, of which a page may read twenty.
fn with_chunks() -> Service {
    let service = Service::with(Limits { scanned: 2_000, ..Limits::default() });
    for batch in 0..100u64 {
        let records = (0..100u64).map(|number| {
            let at = batch * 100 + number;
            let mut record = record(NOON + at * SECOND, &made("/orders/{id}", 200, 0.1));
            record.trace_id = u128::from(at + 1).to_be_bytes().to_vec();
            record
                .attributes
                .retain(|attribute| !["url.path", "client.address"].contains(&attribute.key.as_str()));
            record.attributes.push(text("url.path", &format!("/orders/o-{at}/items")));
            record
                .attributes
                .push(text("client.address", if at == 150 { "203.0.113.9" } else { "192.0.2.7" }));
            record
        });
        service.send("/v1/logs", Some(("edge-1", 1, batch + 1)), &export_logs(records.collect())).accepted();
    }
    service
}

/// Questions for the request 150.
fn rare_questions() -> Vec<String> {
    let trace = format!("{:032x}", 151);
    let id = format!("id-{}", NOON + 150 * SECOND);
    vec![
        format!("q=request_id:{id}"),
        format!("q=trace_id:{trace}"),
        format!("q={trace}"),
        "q=client_address:203.0.113.9".to_owned(),
        "q=path:/orders/o-150/*".to_owned(),
        "q=path=/orders/o-150/items".to_owned(),
        format!("request_id={id}"),
        format!("trace_id={trace}"),
        "client_address=203.0.113.9".to_owned(),
        "path=*/o-150/items".to_owned(),
        format!("request_id={id}&sort=duration"),
    ]
}

#[test]
fn a_rare_value_is_found_without_reading_what_does_not_hold_it() {
    let mut service = with_chunks();
    let first_page = |service: &Service, question: &str| {
        let answer = service.json(&format!("/api/v1/requests?{DAY}&{question}"));
        let rows = answer["rows"].as_array().unwrap();
        let paths: Vec<_> = rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect();
        (paths, answer["next"].is_null())
    };
    for question in rare_questions() {
        let found = first_page(&service, &question);
        assert_eq!(found, (vec!["/orders/o-150/items".to_owned()], true), "{question}");
    }
    for question in ["q=consumer:nobody", "status=418", "host=a.example", "route=/other", "error_type=x"] {
        assert_eq!(first_page(&service, question), (vec![], true), "{question}");
    }
    // Without filters, or with damaged ones, chunks are read.
    let question = rare_questions().remove(0);
    for change in [
        "UPDATE chunk_blooms SET filter = x'01'",
        "UPDATE chunk_blooms SET n = 99",
        "DELETE FROM chunk_blooms",
    ] {
        service.restart(|data| assert_eq!(log_of(data).execute(change, []).unwrap(), 100));
        assert_eq!(first_page(&service, &question), (vec![], false), "{change}");
        let mut next = String::new();
        let found = loop {
            let answer = service.json(&format!("/api/v1/requests?{DAY}&{question}{next}"));
            if !answer["rows"].as_array().unwrap().is_empty() {
                break answer["rows"][0]["path"].clone();
            }
            next = format!("&cursor={}", answer["next"].as_str().unwrap());
        };
        assert_eq!(found, "/orders/o-150/items", "{change}");
    }
}

#[test]
fn a_scrub_makes_a_damaged_filter_anew() {
    let mut service = with_chunks();
    let question = rare_questions().remove(0);
    let sound = "SELECT filter FROM chunk_blooms WHERE chunk_id = 7";
    let filter =
        |data: &std::path::Path| -> Vec<u8> { log_of(data).query_row(sound, [], |row| row.get(0)).unwrap() };
    service.restart(|data| {
        let before = filter(data);
        let damage = "UPDATE chunk_blooms SET filter = x'0100000000ff' WHERE chunk_id = 7";
        assert_eq!(log_of(data).execute(damage, []).unwrap(), 1);
        let scrubbed = scrub::scrub(data, scrub::Deed::SetAside).unwrap();
        let found: Vec<_> =
            scrubbed.damage.iter().map(|damage| (damage.table.as_deref(), damage.lost)).collect();
        assert_eq!(found, [(Some("chunk_blooms"), 0)]);
        assert_eq!(filter(data), before);
    });
    assert_eq!(paths(&service, question.trim_start_matches("q="), ""), ["/orders/o-150/items"]);
}

#[test]
fn filters_go_with_their_chunks() {
    let mut service = Service::start();
    for batch in 0..3u64 {
        let consumers = ["acme", "globex"].map(|consumer| Made { consumer, ..made("/", 200, 0.1) });
        let requests: Vec<_> = consumers.into_iter().map(|made| (NOON + batch, made)).collect();
        service.send("/v1/logs", Some(("edge-1", 1, batch + 1)), &log(&requests)).accepted();
    }
    let counts = |data: &std::path::Path| {
        let count = "SELECT (SELECT count(*) FROM chunks), (SELECT count(*) FROM chunk_blooms),
                     (SELECT count(*) FROM chunks JOIN chunk_blooms b ON b.chunk_id = id AND b.n = chunks.n)";
        let counts = |row: &rusqlite::Row<'_>| Ok([0, 1, 2].map(|column| row.get_unwrap::<_, i64>(column)));
        log_of(data).query_row(count, [], counts).unwrap()
    };
    let remove = |data: &std::path::Path, consumer: Option<&str>, instance: Option<&str>| {
        let [consumer, instance] = [consumer, instance].map(|text| text.map(str::to_owned));
        let selection = Selection { consumer, instance, environment: None };
        forget(data, &selection, Deed::Remove).unwrap();
    };
    service.restart(|data| {
        assert_eq!(counts(data), [3, 3, 3]);
        remove(data, Some("acme"), None);
        assert_eq!(counts(data), [3, 3, 3]);
    });
    assert_eq!(paths(&service, "consumer:acme", "").len(), 0);
    assert_eq!(paths(&service, "consumer:globex", "").len(), 3);
    service.restart(|data| {
        remove(data, None, Some("edge-1"));
        assert_eq!(counts(data), [0, 0, 0]);
    });
}

#[test]
fn a_mistake_is_answered_with_its_place() {
    let service = Service::start();
    let (status, answer) = ask(&service, "acme statsu:5xx", "");
    assert_eq!(status, 400);
    let error = &answer["error"];
    assert_eq!(
        (&error["code"], &error["field"], &error["column"]),
        (&"invalid_parameter".into(), &"q".into(), &6.into())
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("at character 6 of the search: there is no key \"statsu\": did you mean status?"),
        "{message}"
    );
    let twice = service.get(&format!("/api/v1/requests?{DAY}&q=a&q=b"));
    assert_eq!(twice.status, 400);
}

#[test]
fn an_age_is_a_time() {
    let service = Service::start();
    let answer = service.json("/api/v1/requests?from=-10m");
    let time = |key: &str| answer[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("to").duration_since(time("from")).as_secs(), 600);
}
