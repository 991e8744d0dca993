//! The stand-in for a ClickHouse server, asked through the official client.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clickhouse::error::{Error, Result};
use clickhouse::{Client, Compression, Row};
use gatelens_testkit::client::Request;
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseOptions, ClickHouseTarget, client, wait};
use serde::{Deserialize, Serialize};

const TABLE: &str = "CREATE TABLE rows (day Date, key UInt64, text String) ENGINE = MergeTree PARTITION BY day ORDER BY key \
    SETTINGS non_replicated_deduplication_window = 100";

#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
struct Line {
    day: u16,
    key: u64,
    text: String,
}

fn connect(server: &ClickHouse) -> Client {
    Client::default().with_url(server.url()).with_setting("async_insert", "0")
}

/// On two days, so that an insert makes two parts.
fn lines(rows: u64) -> Vec<Line> {
    (0..rows)
        .map(|key| Line { day: if key % 2 == 0 { 20_000 } else { 20_001 }, key, text: format!("line {key}") })
        .collect()
}

async fn insert(client: &Client, token: &str, lines: &[Line]) -> Result<()> {
    let mut insert = client.insert::<Line>("rows").await?.with_setting("insert_deduplication_token", token);
    for line in lines {
        insert.write(line).await?;
    }
    insert.end().await
}

async fn count(client: &Client) -> Result<u64> {
    client.query("SELECT count() FROM rows").fetch_one().await
}

/// The code of the exception that an answer has.
fn code(error: &Error) -> Option<u32> {
    let Error::BadResponse(text) = error else { return None };
    text.strip_prefix("Code: ")?.split_once('.')?.0.parse().ok()
}

#[tokio::test]
async fn a_repeated_token_is_dropped_and_another_one_is_not() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let ping = client::get(server.address(), "/ping").unwrap();
    assert_eq!((ping.status, ping.text()), (200, "Ok.\n".into()));
    let client = connect(&server);
    client.query("CREATE DATABASE gate").execute().await.unwrap();
    let client = client.with_database("gate");
    client.query(TABLE).execute().await.unwrap();
    let lines = lines(10_000);
    for (compression, token, expected) in [
        (Compression::Lz4, "a", 10_000),
        (Compression::Lz4, "a", 10_000),
        (Compression::None, "b", 20_000),
        (Compression::None, "b", 20_000),
        (Compression::Lz4, "b", 20_000),
    ] {
        let client = client.clone().with_compression(compression);
        insert(&client, token, &lines).await.unwrap();
        assert_eq!(count(&client).await.unwrap(), expected, "{token}");
    }
    let read = client
        .query("SELECT ?fields FROM rows ORDER BY key LIMIT 1 BY key")
        .fetch_all::<Line>()
        .await
        .unwrap();
    assert_eq!(read, lines);
}

#[tokio::test]
async fn exceptions_have_the_codes_and_the_status_of_a_server() {
    let user = Some(("gatelens".to_owned(), "a secret".to_owned()));
    let options = ClickHouseOptions { user, ..ClickHouseOptions::default() };
    let Some(server) = ClickHouse::start_with(options).unwrap() else { return };
    let client = connect(&server).with_user("gatelens").with_password("a secret");
    client.query(TABLE).execute().await.unwrap();
    let refused = async |client: &Client, statement: &str| {
        let error = client.query(statement).execute().await.unwrap_err();
        (code(&error).unwrap(), error.to_string())
    };
    for (statement, expected, name) in [
        ("SELECT * FROM missing", 60, "(UNKNOWN_TABLE)"),
        ("SELECT missing FROM rows", 47, "(UNKNOWN_IDENTIFIER)"),
        ("SELEC 1", 62, "(SYNTAX_ERROR)"),
        ("SELECT 1; SELECT 2", 62, "Multi-statements are not allowed"),
        ("SELECT throwIf(1)", 395, "(version 26."),
        (
            "CREATE TABLE r (a UInt8) ENGINE = ReplicatedMergeTree('/r', 'r') ORDER BY a",
            225,
            "(NO_ZOOKEEPER)",
        ),
    ] {
        let (code, text) = refused(&client, statement).await;
        assert_eq!(code, expected, "{text}");
        assert!(text.contains(name), "{text}");
    }
    assert_eq!(refused(&client.clone().with_database("missing"), "SELECT 1").await.0, 81);
    assert_eq!(refused(&client.clone().with_setting("missing", "1"), "SELECT 1").await.0, 115);
    assert_eq!(refused(&client.clone().with_password("wrong"), "SELECT 1").await.0, 516);
    assert_eq!(refused(&connect(&server), "SELECT 1").await.0, 516);

    let status = |target: &str| {
        let answer = client::get(server.address(), target).unwrap();
        (answer.status, answer.header("x-clickhouse-exception-code").map(str::to_owned))
    };
    let to = |query: &str| format!("/?user=gatelens&password=a%20secret&query={query}");
    assert_eq!(status(&to("SELECT+1")), (200, None));
    assert_eq!(status(&to("SELECT+*+FROM+missing")), (404, Some("60".to_owned())));
    assert_eq!(status(&to("SELEC+1")), (400, Some("62".to_owned())));
    assert_eq!(status(&to("SELECT+throwIf(1)")), (500, Some("395".to_owned())));
    assert_eq!(status(&to("DROP+TABLE+rows")), (500, Some("164".to_owned())), "GET may only read");
    assert_eq!(status("/?query=SELECT+1"), (403, Some("516".to_owned())));
}

#[tokio::test]
async fn an_insert_that_the_table_refuses_is_refused() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    client.query(TABLE).execute().await.unwrap();
    client.query("ALTER TABLE rows ADD CONSTRAINT small CHECK key < 1000").execute().await.unwrap();
    let error = insert(&client, "a", &lines(1_001)).await.unwrap_err();
    assert_eq!(code(&error), Some(469), "{error}");
    insert(&client, "b", &lines(1_000)).await.unwrap();
    assert_eq!(count(&client).await.unwrap(), 1_000);
}

#[tokio::test]
async fn the_data_of_an_insert_begins_where_the_engine_would_find_it() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    client.query("CREATE TABLE format (format UInt8) ENGINE = Memory").execute().await.unwrap();
    for (number, statement, body) in [
        (1, "", "INSERT INTO format (`format`) VALUES (1);"),
        (2, "INSERT INTO format FORMAT TSV", "2\n"),
        (
            3,
            "",
            "/* FORMAT x; */ insert into table format\n-- it's\nSETTINGS async_insert = 0 FORMAT JSONEachRow {\"format\":3}",
        ),
        (4, "INSERT INTO", "default.format SELECT 4 FORMAT Null"),
        (5, "INSERT INTO format(format) FORMAT CSV", "5"),
        (6, "INSERT INTO format WITH 6 AS x SELECT x -- ;", ""),
    ] {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", statement).finish();
        let answer = client::send(server.address(), &Request::post(format!("/?{query}"), body)).unwrap();
        assert_eq!((answer.status, answer.text()), (200, "".into()), "{statement} {body}");
        let last = client.query("SELECT max(format) FROM format").fetch_one::<u8>().await.unwrap();
        assert_eq!(last, number, "{statement} {body}");
    }
    assert_eq!(client.query("SELECT count() FROM format").fetch_one::<u64>().await.unwrap(), 6);
}

#[tokio::test]
async fn parameters_of_a_statement_reach_the_engine_as_they_are() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    for text in ["plain", "it's", "tab\tline\nback\\slash", "ünï", "{x:String}", ""] {
        let read =
            client.query("SELECT {text:String}").param("text", text).fetch_one::<String>().await.unwrap();
        assert_eq!(read, text);
    }
    let number =
        client.query("SELECT {n:UInt64} + 1").param("n", u64::MAX - 1).fetch_one::<u64>().await.unwrap();
    assert_eq!(number, u64::MAX);
    let joined =
        client.query("SELECT arrayStringConcat({list:Array(String)}, '|')").param("list", vec!["a'b", "c"]);
    assert_eq!(joined.fetch_one::<String>().await.unwrap(), "a'b|c");
    let error = client.query("SELECT {missing:String}").execute().await.unwrap_err();
    assert_eq!(code(&error), Some(456));
    let setting = client.query("SELECT toString(getSetting('max_block_size'))");
    let of_one = setting.clone().with_setting("max_block_size", "1234").fetch_one::<String>().await.unwrap();
    assert_eq!(of_one, "1234");
    assert_ne!(setting.fetch_one::<String>().await.unwrap(), "1234", "the setting was of one statement");
}

#[tokio::test]
async fn a_million_rows_are_streamed() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    for compression in [Compression::Lz4, Compression::None] {
        let client = connect(&server).with_compression(compression);
        let query = client.query("SELECT number, toString(number) FROM numbers(1000000)");
        let (mut cursor, mut sum, mut rows) = (query.fetch::<(u64, String)>().unwrap(), 0, 0);
        while let Some((number, text)) = cursor.next().await.unwrap() {
            sum += number + text.len() as u64;
            rows += 1;
        }
        assert_eq!((rows, sum), (1_000_000, 499_999_500_000 + 5_888_890));
        assert_eq!(cursor.summary().and_then(|summary| summary.result_rows()), Some(1_000_000));
    }
}

#[tokio::test]
async fn columns_of_a_store_pass_both_ways() {
    #[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
    struct Mixed {
        time: i64,
        route: String,
        maybe: Option<u32>,
        buckets: HashMap<i16, u64>,
        sums: (Vec<i16>, Vec<u64>),
        most: u64,
        list: Vec<String>,
    }
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    let table = "CREATE TABLE mixed (time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD), route LowCardinality(String), \
        maybe Nullable(UInt32), buckets Map(Int16, UInt64), \
        sums SimpleAggregateFunction(sumMap, Tuple(Array(Int16), Array(UInt64))), \
        most SimpleAggregateFunction(max, UInt64), list Array(LowCardinality(String)), twice UInt64 MATERIALIZED most * 2) \
        ENGINE = AggregatingMergeTree ORDER BY (route, time) SETTINGS allow_dimensions_outside_sorting_key = 1";
    client.query(table).execute().await.unwrap();
    let row = |most: u64| Mixed {
        time: 1_763_000_000_123_456,
        route: "/users/{id}".to_owned(),
        maybe: (most > 1).then_some(7),
        buckets: HashMap::from([(-3, most), (12, 5)]),
        sums: (vec![1, 2], vec![most, 10]),
        most,
        list: vec!["a".to_owned(), String::new()],
    };
    for most in [1, 2] {
        let mut insert = client.insert::<Mixed>("mixed").await.unwrap();
        insert.write(&row(most)).await.unwrap();
        insert.end().await.unwrap();
    }
    let read = client.query("SELECT ?fields FROM mixed ORDER BY most").fetch_all::<Mixed>().await.unwrap();
    assert_eq!(read, [row(1), row(2)]);
    client.query("OPTIMIZE TABLE mixed FINAL").execute().await.unwrap();
    let merged =
        client.query("SELECT toString((sums.2, most)) FROM mixed").fetch_one::<String>().await.unwrap();
    assert_eq!(merged, "([3,20],2)");
}

#[tokio::test]
async fn acknowledged_rows_survive_kills_and_nothing_counts_twice() {
    let Some(mut server) = ClickHouse::start().unwrap() else { return };
    let mut client = connect(&server);
    client.query(TABLE).execute().await.unwrap();
    let faults = [
        None,
        Some(ClickHouseFault::DieBefore),
        Some(ClickHouseFault::DieDuring(Duration::from_millis(1))),
        Some(ClickHouseFault::DieDuring(Duration::from_millis(4))),
        Some(ClickHouseFault::DieAfter),
        Some(ClickHouseFault::Halve),
    ];
    let lines = lines(50_000);
    for (place, fault) in faults.into_iter().enumerate() {
        let (token, kills) = (format!("batch {place}"), fault.is_some());
        if let Some(fault) = fault {
            server.fault(fault, &ClickHouseTarget::inserts(1)).unwrap();
        }
        let first = insert(&client, &token, &lines).await;
        if kills {
            // A late kill may come after the answer.
            server.wait_for_death().unwrap();
            server.restart().unwrap();
            // Without the connections of the dead process.
            client = connect(&server);
        }
        let before = place as u64 * 50_000;
        let found = count(&client).await.unwrap() - before;
        assert!([0, 25_000, 50_000].contains(&found), "parts are whole: {found}");
        assert!(first.is_err() || found == 50_000, "acknowledged");
        assert!(place != 5 || found == 25_000, "one of two parts");
        insert(&client, &token, &lines).await.unwrap();
        assert_eq!(count(&client).await.unwrap(), before + 50_000, "batch {place}");
    }
}

#[tokio::test]
async fn faults_happen_as_often_as_they_are_asked_for() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    client.query(TABLE).execute().await.unwrap();
    let lines = lines(10);

    server.fault(ClickHouseFault::Refuse(252, "TOO_MANY_PARTS"), &ClickHouseTarget::inserts(2)).unwrap();
    for expected in [Some(252), Some(252), None] {
        let outcome = insert(&client, "a", &lines).await;
        assert_eq!(outcome.err().and_then(|error| code(&error)), expected);
    }
    assert_eq!(count(&client).await.unwrap(), 10);

    server.fault(ClickHouseFault::LoseAnswer, &ClickHouseTarget::inserts(1)).unwrap();
    let lost = insert(&client, "b", &lines).await.unwrap_err();
    assert!(matches!(lost, Error::Network(_)), "{lost}");
    assert_eq!(count(&client).await.unwrap(), 20, "inserted");
    insert(&client, "b", &lines).await.unwrap();
    assert_eq!(count(&client).await.unwrap(), 20, "and not again");

    server
        .fault(ClickHouseFault::DelayAnswer(Duration::from_secs(60)), &ClickHouseTarget::inserts(1))
        .unwrap();
    let late = {
        let (client, lines) = (client.clone(), lines.clone());
        tokio::spawn(async move { insert(&client, "late", &lines).await })
    };
    while count(&client).await.unwrap() < 30 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!late.is_finished(), "inserted and not answered");
    late.abort();
    insert(&client, "late", &lines).await.unwrap();
    assert_eq!(count(&client).await.unwrap(), 30, "both, and once");

    let target = ClickHouseTarget::containing("numbers(100000)", 1);
    let numbers = async || client.query("SELECT number FROM numbers(100000)").fetch_all::<u64>().await;
    server.fault(ClickHouseFault::CutAnswer, &target).unwrap();
    assert!(numbers().await.is_err());
    server.fault(ClickHouseFault::FailInAnswer(241, "MEMORY_LIMIT_EXCEEDED"), &target).unwrap();
    assert_eq!(code(&numbers().await.unwrap_err()), Some(241));
    assert_eq!(numbers().await.unwrap().len(), 100_000);

    server.shut().unwrap();
    assert!(insert(&client, "c", &lines).await.is_err());
    server.open().unwrap();
    insert(&client, "c", &lines).await.unwrap();
    assert_eq!(count(&client).await.unwrap(), 40);
    let statements = server.statements().unwrap();
    let tokens = statements.iter().filter(|line| line["settings"]["insert_deduplication_token"] == "b");
    assert_eq!(tokens.map(|line| line["written_rows"].as_u64().unwrap()).collect::<Vec<_>>(), [10, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_holds_up_nobody_else() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    server
        .fault(ClickHouseFault::Delay(Duration::from_millis(500)), &ClickHouseTarget::containing("slow", 1))
        .unwrap();
    let start = Instant::now();
    let slow = {
        let query =
            client.query("SELECT 'slow', sleepEachRow(0.25) FROM numbers(2) SETTINGS max_block_size = 1");
        tokio::spawn(query.execute())
    };
    wait::eventually("the slow statement", || Ok((server.in_flight()? == 1).then_some(()))).unwrap();
    assert_eq!(client::get(server.address(), "/ping").unwrap().status, 200);
    assert_eq!(client.query("SELECT 1").fetch_one::<u8>().await.unwrap(), 1);
    assert!(!slow.is_finished());
    slow.await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_session_keeps_its_tables_and_settings_to_itself() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    let session = client.clone().with_setting("session_id", "one");
    session.query("CREATE TEMPORARY TABLE held (a UInt8)").execute().await.unwrap();
    session.query("INSERT INTO held VALUES (1), (2)").execute().await.unwrap();
    assert_eq!(session.query("SELECT count() FROM held").fetch_one::<u64>().await.unwrap(), 2);
    assert_eq!(code(&client.query("SELECT * FROM held").execute().await.unwrap_err()), Some(60));
    let limited = session.query("SELECT a FROM held").with_setting("max_result_rows", "1");
    assert_eq!(code(&limited.execute().await.unwrap_err()), Some(396));
    let all = session.query("SELECT a FROM held ORDER BY a").fetch_all::<u8>().await.unwrap();
    assert_eq!(all, [1, 2], "the setting was of one statement");
    let unknown = client.with_setting("session_id", "two").with_setting("session_check", "1");
    assert_eq!(code(&unknown.query("SELECT 1").execute().await.unwrap_err()), Some(372));
}

#[tokio::test]
async fn layouts_with_replicas_can_be_parsed() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let client = connect(&server);
    let layout = "CREATE TABLE rows ON CLUSTER '{cluster}' (day Date, key UInt64) \
        ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/rows', '{replica}') ORDER BY key";
    let parsed: String = client.query_raw(&format!("EXPLAIN AST {layout}")).fetch_one().await.unwrap();
    assert!(parsed.starts_with("CreateQuery rows"), "{parsed}");
    let broken = format!("EXPLAIN AST {}", layout.replace("ENGINE =", "ENGIN ="));
    assert_eq!(code(&client.query_raw(&broken).execute().await.unwrap_err()), Some(62));
}
