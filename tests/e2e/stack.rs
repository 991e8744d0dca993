//! Upstream, ingest and Envoy together, and responses of the read API about them.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Launch, Listeners, Upstream, Version, artefacts};
use serde_json::{Value, json};

use super::report;

/// Far more than the slowest host needs; reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tests that run `$check(mode)`: a scenario must hold however the module is loaded, as Wasm and as a dynamic module.
macro_rules! in_both_modes {
    ($check:ident) => {
        #[test]
        fn filter() {
            $check(super::stack::Mode::Filter);
        }

        #[test]
        fn access_logger() {
            $check(super::stack::Mode::Logger);
        }

        #[test]
        fn module_filter() {
            $check(super::stack::Mode::ModuleFilter);
        }

        #[test]
        fn module_access_logger() {
            $check(super::stack::Mode::ModuleLogger);
        }
    };
}

pub(crate) use in_both_modes;

/// How the module is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Filter,
    Logger,
    Both,
    /// As a dynamic module.
    ModuleFilter,
    ModuleLogger,
    ModuleBoth,
}

impl Mode {
    /// Filter and logger, each by itself, on the edges that the Envoy under test has.
    pub(crate) fn each() -> Vec<Mode> {
        let has_module = Version::under_test().is_ok_and(|version| version >= Version::DYNAMIC_MODULE);
        let modules = [Mode::ModuleFilter, Mode::ModuleLogger].into_iter().filter(|_| has_module);
        [Mode::Filter, Mode::Logger].into_iter().chain(modules).collect()
    }

    pub(crate) fn config(self) -> EnvoyConfig {
        artefacts::or_skip();
        let config = match self {
            Mode::Filter => EnvoyConfig::http_filter(),
            Mode::Logger => EnvoyConfig::access_logger(),
            Mode::Both => EnvoyConfig::both(),
            Mode::ModuleFilter => EnvoyConfig::module_filter(),
            Mode::ModuleLogger => EnvoyConfig::module_logger(),
            Mode::ModuleBoth => EnvoyConfig::module(),
        };
        config.unwrap()
    }
}

pub(crate) struct Stack {
    pub(crate) upstream: Upstream,
    pub(crate) ingest: Ingest,
    pub(crate) envoy: Envoy,
    pub(crate) config: EnvoyConfig,
}

impl Stack {
    /// Starts all three, with the files' own plugin configuration.
    pub(crate) fn start(mode: Mode) -> Self {
        Self::launch(mode, Listeners::Static, |config| config)
    }

    pub(crate) fn launch(
        mode: Mode,
        listeners: Listeners,
        change: impl FnOnce(EnvoyConfig) -> EnvoyConfig,
    ) -> Self {
        artefacts::or_skip();
        let (upstream, ingest) = (Upstream::start().unwrap(), Ingest::start().unwrap());
        let config = mode.config().upstream(upstream.address()).unwrap().ingest(ingest.address()).unwrap();
        let config = change(config);
        let envoy = Envoy::launch(&config, &Launch { listeners, ..Launch::default() }).unwrap();
        Self { upstream, ingest, envoy, config }
    }

    /// Requests counted so far.
    pub(crate) fn counted(&self) -> u64 {
        report::counted(&self.ingest)
    }

    /// Waits until this many requests are counted, and a moment longer in case one is counted twice.
    pub(crate) fn wait_for_count(&self, requests: u64) {
        wait_for_count(&self.ingest, requests, || self.envoy.log());
    }

    /// The counts by consumer, method, route and status.
    pub(crate) fn summary(&self) -> BTreeMap<Key, Counts> {
        report::summary(&self.ingest)
    }

    /// The whole request log, newest first; waits until it has this many rows.
    pub(crate) fn wait_for_requests(&self, rows: usize) -> Vec<Value> {
        wait_for_rows(&self.ingest, rows)
    }
}

/// Waits until this many requests are counted, and a moment longer in case one is counted twice.
pub(crate) fn wait_for_count(ingest: &Ingest, requests: u64, log: impl Fn() -> String) {
    let start = Instant::now();
    while report::counted(ingest) < requests && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(100));
    }
    sleep(Duration::from_millis(2_500));
    assert_eq!(report::counted(ingest), requests, "{}", log());
}

/// The whole request log, newest first; waits until it has this many rows.
pub(crate) fn wait_for_rows(ingest: &Ingest, rows: usize) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let all = report::request_log(ingest);
        if all.len() >= rows || start.elapsed() > PATIENCE {
            assert_eq!(all.len(), rows);
            return all;
        }
        sleep(Duration::from_millis(200));
    }
}

/// Consumer, method, route, status.
pub(crate) type Key = (String, String, String, u16);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

/// A plugin configuration for the tests: one template, everything else inferred.
pub(crate) fn plugin() -> Value {
    json!({
        "version": 1,
        "service": {"name": "e2e"},
        "ingest": {"cluster": "gatelens_ingest"},
        "routes": {"templates": ["GET /users/{id}"]},
    })
}
