//! Differences between the versions of Envoy: each row of the table in docs/envoy-versions.md has a test.
//!
//! The tests run on the Envoy that `ENVOY` names, as all others here do. `make envoy-versions` runs them, and those
//! that count requests and compare responses, on every version of the table.

use std::fs;
use std::process::Command;

use gatelens_testkit::{EnvoyConfig, Version, paths};
use serde_json::json;

use super::stack::Mode;

/// Envoy's verdict about a configuration.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It accepts it and warns of these deprecated fields.
    Accepted(Vec<&'static str>),
    /// It refuses it, with this text among others.
    Refused(&'static str),
}

use Verdict::{Accepted, Refused};

const UNKNOWN_FIELD: &str = "'capability_restriction_config') has unknown fields";
const NOT_BOTH: &str = "only one of fail_open or failure_policy can be set";

#[test]
fn the_shipped_files_are_accepted_and_the_access_logger_has_no_warning() {
    check(Mode::Filter.config(), &Accepted(vec!["fail_open"]));
    check(Mode::Logger.config(), &Accepted(vec![]));
}

#[test]
fn the_allow_list_moves_under_vm_config_with_1_40() {
    let moved = Version::under_test().unwrap() >= Version::ALLOW_LIST_MOVES;
    let under = if moved { Accepted(vec![]) } else { Refused(UNKNOWN_FIELD) };
    check(Mode::Logger.config().allow_list_in_vm(), &under);
    let deprecated = if moved { vec!["capability_restriction_config"] } else { vec![] };
    check(Mode::Logger.config().allow_list_beside_vm(), &Accepted(deprecated));
}

#[test]
fn every_failure_policy_is_known_and_excludes_fail_open() {
    for policy in ["FAIL_OPEN", "FAIL_RELOAD", "FAIL_CLOSED"] {
        let with_policy = |config: EnvoyConfig| {
            config.entry(|plugin| {
                plugin.insert("failure_policy".to_owned(), json!(policy));
            })
        };
        check(with_policy(Mode::Logger.config()), &Accepted(vec![]));
        check(with_policy(Mode::Filter.config()), &Refused(NOT_BOTH));
    }
}

/// The smallest module that Envoy loads: memory, an allocator that returns 0, the mark of the ABI. Envoy compiles it at
/// once, and the tests here are about configurations.
fn smallest_module() -> Vec<u8> {
    let mut exports = vec![3];
    for (name, kind, index) in
        [("memory", 2, 0), ("proxy_abi_version_0_2_1", 0, 0), ("proxy_on_memory_allocate", 0, 1)]
    {
        exports.push(name.len() as u8);
        exports.extend_from_slice(name.as_bytes());
        exports.extend_from_slice(&[kind, index]);
    }
    let sections: [(u8, &[u8]); 5] = [
        // Two types: () and i32 → i32.
        (1, &[2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f]),
        (3, &[2, 0, 1]),
        // One memory of one page.
        (5, &[1, 0, 1]),
        (7, &exports),
        // Two bodies: nothing, and `i32.const 0`.
        (10, &[2, 2, 0, 0x0b, 4, 0, 0x41, 0, 0x0b]),
    ];
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in sections {
        module.extend_from_slice(&[id, content.len() as u8]);
        module.extend_from_slice(content);
    }
    module
}

fn check(config: EnvoyConfig, expected: &Verdict) {
    let version = Version::under_test().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (file, module) = (directory.path().join("envoy.json"), directory.path().join("smallest.wasm"));
    fs::write(&module, smallest_module()).unwrap();
    let config = config.wasm(&module);
    fs::write(&file, config.bootstrap().to_string()).unwrap();
    let mut envoy = Command::new(paths::envoy().unwrap());
    envoy.args(["--mode", "validate", "--use-dynamic-base-id", "-c"]).arg(&file);
    let output = envoy.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    match expected {
        Accepted(warned) => {
            assert!(output.status.success(), "{version:?}: {log}");
            let deprecated: Vec<&str> = ["fail_open", "capability_restriction_config"]
                .into_iter()
                .filter(|field| {
                    log.contains(&format!(
                        "deprecated option 'envoy.extensions.wasm.v3.PluginConfig.{field}'"
                    ))
                })
                .collect();
            assert_eq!(deprecated, *warned, "{version:?}");
            let options = log.matches("Using deprecated option").count();
            assert_eq!(options == 0, warned.is_empty(), "{version:?}: {log}");
        }
        Refused(why) => {
            assert!(!output.status.success(), "{version:?}: {log}");
            assert!(log.contains(why), "{version:?}: {log}");
        }
    }
}
