//! The ingest asks senders for a token: one gateway has the right one, and others have none, an unknown one, or that of
//! another environment.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Launch, Upstream, client, paths, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::report;
use super::stack::Mode;

/// Requests to each gateway in a wave.
const WAVE: u64 = 5;

/// A token, and its line for the file.
pub(super) struct Token {
    pub(super) token: String,
    pub(super) line: String,
}

impl Token {
    pub(super) fn make(name: &str, environment: &str) -> Self {
        let mut command = Command::new(paths::gatelens().unwrap());
        command.args(["token", "new", "--name", name, "--environment", environment]);
        let made = command.output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let (token, said) =
            (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
        let line = said.lines().find(|line| line.starts_with("- {")).unwrap();
        Self { token: token.trim().to_owned(), line: format!("{line}\n") }
    }
}

/// A gateway of the environment `prod`, named by its service.
struct Gateway {
    service: &'static str,
    envoy: Envoy,
}

impl Gateway {
    fn start(config: &EnvoyConfig, service: &'static str, token: Option<&Token>) -> Self {
        let mut plugin = json!({
            "version": 1,
            "service": {"name": service, "environment": "prod"},
            "ingest": {"cluster": "gatelens_ingest"},
        });
        if let Some(Token { token, .. }) = token {
            plugin["ingest"]["headers"] = json!({"authorization": format!("Bearer {token}")});
        }
        let config = config.clone().node_id(service).plugin(&plugin);
        Self {
            service,
            envoy: Envoy::launch(&config, &Launch { concurrency: 1, ..Launch::default() }).unwrap(),
        }
    }

    /// Every client gets the whole answer of the upstream.
    fn wave(&self, target: &str) {
        for _ in 0..WAVE {
            let answer = client::get(self.envoy.address(), target).unwrap();
            assert_eq!((answer.status, answer.body.len()), (200, 9), "{}", self.service);
        }
    }

    /// Waits until both the counts and the log of this gateway were refused with this status.
    fn wait_for_refusals(&self, status: u16) {
        let refused = |signal: &str| format!("answered {status} and refused a part of the {signal}");
        let expected = ["counters", "request log"].map(refused);
        wait::eventually("refusals of the counters and the request log", || {
            let log = self.envoy.log();
            Ok(expected.iter().all(|line| log.contains(line)).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{}: {error}\n{}", self.service, self.envoy.log()));
    }

    /// Waits until all these requests are counted.
    fn wait_for_count(&self, ingest: &Ingest, requests: u64) {
        let counted = wait::eventually("the counts of a gateway", || {
            let counted = counted(ingest, self.service);
            Ok((counted >= requests).then_some(counted))
        });
        let counted =
            counted.unwrap_or_else(|error| panic!("{}: {error}\n{}", self.service, self.envoy.log()));
        assert_eq!(counted, requests, "{}", self.service);
    }

    /// Waits until each of the records has an end, and returns this gateway's row.
    fn wait_for_fates(&self, ingest: &Ingest, records: u64) -> Value {
        wait::eventually("an end of every record", || {
            let rows = report::gateways(ingest);
            let own = rows.into_iter().find(|row| row["service"] == self.service);
            Ok(own.filter(|row| row["captured"] == records && row["held"] == 0))
        })
        .unwrap_or_else(|error| panic!("{}: {error}\n{}", self.service, self.envoy.log()))
    }
}

fn counted(ingest: &Ingest, service: &str) -> u64 {
    let summary = ingest.get_json(&format!("/api/v1/summary?service={service}")).unwrap();
    summary["rows"].as_array().unwrap().iter().map(|row| row["requests"].as_u64().unwrap()).sum()
}

fn logged(ingest: &Ingest, service: &str, path: &str) -> u64 {
    let log = report::request_log(ingest);
    log.iter().filter(|row| row["service"] == service && row["path"] == path).count() as u64
}

fn serve(directory: &Path, tokens: &Path) -> Ingest {
    let mut command = Command::new(paths::gatelens().unwrap());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(directory.join("data"));
    command.arg("--sender-tokens").arg(tokens);
    Ingest::run(command).unwrap()
}

#[test]
fn only_a_gateway_with_a_token_delivers_and_a_new_line_lets_another_in() {
    let config = Mode::Filter.config();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("tokens.yaml");
    let [known, unknown] = ["known", "unknown"].map(|name| Token::make(name, "prod"));
    let other = Token::make("other", "test");
    fs::write(&file, format!("{}{}", known.line, other.line)).unwrap();
    let mut ingest = serve(directory.path(), &file);
    let upstream = Upstream::start().unwrap();
    let config = config.upstream(upstream.address()).unwrap().ingest(ingest.address()).unwrap();

    let with = Gateway::start(&config, "with", Some(&known));
    let without = Gateway::start(&config, "without", None);
    let wrong = Gateway::start(&config, "wrong", Some(&unknown));
    let elsewhere = Gateway::start(&config, "elsewhere", Some(&other));
    for gateway in [&with, &without, &wrong, &elsewhere] {
        gateway.wave("/bytes/9?before");
    }
    without.wait_for_refusals(401);
    wrong.wait_for_refusals(401);
    elsewhere.wait_for_refusals(403);
    with.wait_for_count(&ingest, WAVE);
    let fates = with.wait_for_fates(&ingest, WAVE);
    assert_eq!((&fates["stored"], &fates["dropped"]["rejected"]), (&json!(WAVE), &json!(0)), "{fates:#}");
    assert_eq!(report::counted(&ingest), WAVE);
    assert_eq!(report::request_log(&ingest).len() as u64, WAVE);
    assert_eq!(report::gateways(&ingest).len(), 1);

    let mut tokens = OpenOptions::new().append(true).open(&file).unwrap();
    tokens.write_all(unknown.line.as_bytes()).unwrap();
    let in_force = "the changed file is in force";
    ingest
        .process()
        .wait_until(in_force, |process| Ok(process.log().contains(in_force).then_some(())))
        .unwrap();
    for gateway in [&with, &without, &wrong, &elsewhere] {
        gateway.wave("/bytes/9");
    }
    // Counts are cumulative, and the first accepted export makes them complete. The refused records are gone.
    wrong.wait_for_count(&ingest, 2 * WAVE);
    let fates = wrong.wait_for_fates(&ingest, 2 * WAVE);
    let number = |value: &Value| value.as_u64().unwrap();
    let (stored, rejected) = (number(&fates["stored"]), number(&fates["dropped"]["rejected"]));
    assert!(rejected > 0, "{fates:#}");
    assert_eq!(stored + rejected, 2 * WAVE, "{fates:#}");
    assert_eq!(logged(&ingest, "wrong", "/bytes/9"), stored);
    with.wait_for_count(&ingest, 2 * WAVE);
    assert_eq!(counted(&ingest, "without") + counted(&ingest, "elsewhere"), 0);
    assert_eq!(report::gateways(&ingest).len(), 2);
    for gateway in [&with, &without, &wrong, &elsewhere] {
        let log = gateway.envoy.log();
        assert!(
            [&known, &unknown, &other].iter().all(|token| !log.contains(&token.token)),
            "{}",
            gateway.service
        );
    }
}
