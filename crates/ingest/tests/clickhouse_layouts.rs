//! Tables on clusters: the statements that `gatelens store schema` prints are parsed by the engine, and those of shards are run
//! as far as one process can, which has neither a Keeper nor replicas.

use crate::clickhouse::{Chance, answers, assert_same, traffic};
use crate::clickhouse_log as requests;
use crate::spans::{TRACE, export, names, send, span, spans_of};
use crate::support::clickhouse::database_of;
use crate::support::{self, Service, database_at};
use gatelens_ingest::{ClickHouseConfig, Config, Layout, Limits, Server, store_schema};
use gatelens_testkit::{ClickHouse, ClickHouseOptions};

/// A cluster of one shard, which is this process.
pub(crate) const CLUSTER: &str = "<clickhouse>
<tcp_port>9000</tcp_port>
<remote_servers><one><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></one></remote_servers>
</clickhouse>";

fn run(server: &ClickHouse, statement: &str) -> Result<String, String> {
    let request = ureq::post(server.url()).config().http_status_as_error(false).build();
    let mut answer = request.send(statement.as_bytes()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    if answer.status() == 200 { Ok(text) } else { Err(text) }
}

#[test]
fn the_engine_understands_every_statement_of_every_layout() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let layouts = [
        Layout::Single,
        Layout::Replicated("c".to_owned()),
        Layout::Replicated("it's".to_owned()),
        Layout::Sharded("c".to_owned()),
    ];
    for layout in layouts {
        let statements = store_schema("gatelens", &layout);
        for statement in &statements {
            let parsed = run(&server, &format!("EXPLAIN AST {statement}")).unwrap();
            assert!(!parsed.is_empty(), "{statement}");
        }
        let on_cluster = statements.iter().filter(|statement| statement.contains(" ON CLUSTER ")).count();
        assert_eq!(on_cluster, if layout == Layout::Single { 0 } else { statements.len() });
    }
}

#[test]
fn a_replica_takes_the_tables_that_the_statements_make() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let database = database_of(&store);
    for _ in 0..2 {
        for statement in store_schema(&database, &Layout::Single) {
            run(&server, &statement).unwrap();
        }
    }
    let tables = || {
        let all = format!(
            "SELECT name, create_table_query FROM system.tables WHERE database = '{database}' ORDER BY name"
        );
        run(&server, &all).unwrap()
    };
    let printed = tables();
    drop(Service::on_store(store.clone()));
    assert_eq!(tables(), printed);
    // A replica makes the same tables by itself.
    let own = database_at(server.url());
    drop(Service::on_store(own.clone()));
    let other = database_of(&own);
    let all = format!(
        "SELECT name, create_table_query FROM system.tables WHERE database = '{other}' ORDER BY name"
    );
    assert_eq!(run(&server, &all).unwrap().replace(&other, &database), printed);
}

/// Makes the tables of shards, without what needs a Keeper.
pub(crate) fn make_shards(server: &ClickHouse, database: &str) {
    let place = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'";
    for statement in store_schema(database, &Layout::Sharded("one".to_owned())) {
        let plain = statement
            .replace(" ON CLUSTER 'one'", "")
            .replace("ENGINE = Replicated", "ENGINE = ")
            .replace(&format!("({place}, "), "(")
            .replace(&format!("({place})"), "")
            .replace("replicated_deduplication_window", "non_replicated_deduplication_window");
        run(server, &plain).unwrap();
    }
}

#[test]
fn tables_that_are_divided_answer_what_one_file_answers() {
    let config = Some(CLUSTER.to_owned());
    let options = ClickHouseOptions { config, ..ClickHouseOptions::default() };
    let Some(server) = ClickHouse::start_with(options).unwrap() else { return };
    let store = ClickHouseConfig {
        address: format!("clickhouse+{}/sharded", server.url()).parse().unwrap(),
        password: None,
        ca: None,
    };
    make_shards(&server, "sharded");
    let file = Service::on_files();
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store.clone())];
    for (place, batch) in traffic(&mut Chance(3), 600).iter().enumerate() {
        assert_eq!(batch.send(&file), 200);
        assert_eq!(batch.send(&replicas[place % 2]), 200);
        if place % 5 == 0 {
            assert_eq!(batch.send(&replicas[(place + 1) % 2]), 200);
        }
    }
    for (place, batch) in requests::traffic(&mut requests::Chance(11)).iter().enumerate() {
        assert_eq!(batch.send(&file), 200);
        assert_eq!(batch.send(&replicas[place % 2]), 200);
        assert_eq!(batch.send(&replicas[1 - place % 2]), 200);
    }
    let expected = answers(&file);
    assert_same(&replicas[0], &expected, "on shards");
    replicas[1].restart(|_| ());
    assert_same(&replicas[1], &expected, "after closing");
    for question in requests::questions() {
        let of = |service: &Service| requests::rows(service, &question, 1000);
        requests::assert_same(&of(&replicas[0]), &of(&file), &question);
    }
    for question in ["sort=duration", "sort=duration&status=5xx"] {
        let of = |service: &Service| {
            let mut rows = requests::rows(service, question, 1000);
            rows.retain(|row| !row["duration_ms"].is_null());
            rows
        };
        requests::assert_same(&of(&replicas[0]), &of(&file), question);
    }
    send(&replicas[0], &export("a", vec![span(1, 0, "a", 1, (0, 1))]));
    send(&replicas[1], &export("b", vec![span(2, 1, "b", 1, (1, 2))]));
    assert_eq!(names(&spans_of(&replicas[0], TRACE)), ["a", "b"]);
    for table in ["requests_local", "minutes_local", "half_hours_local", "states_local", "spans_local"] {
        let rows = run(&server, &format!("SELECT count() FROM sharded.{table}")).unwrap();
        assert_ne!(rows.trim(), "0", "{table}");
    }

    // A table of a later version must be made on all nodes, which a replica cannot do.
    run(&server, "TRUNCATE TABLE sharded.migrations_local").unwrap();
    run(&server, "DROP TABLE sharded.half_hours").unwrap();
    let files = tempfile::tempdir().unwrap();
    let config =
        Config { store: Some(store), ..support::config(files.path().join("data"), Limits::default()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(Server::bind(config)).err().unwrap().to_string();
    assert!(
        error.contains("has no table half_hours on its cluster: run what `gatelens store schema"),
        "{error}"
    );
}
