//! What is compared with what.

use std::process::Command;

use gatelens_bench_redact::paths;
use gatelens_testkit::paths::workspace_root;
use gatelens_testkit::{EnvoyConfig, Error, Result};
use serde_json::{Value, json};

use crate::alternatives::{json_access_log, lua, otlp_access_log};
use crate::gateway::{Gateway, with_batches_of, with_sample, with_sections, without_body_callbacks};
use crate::load::Load;
use crate::rounds::{Bench, Cost, measure};
use crate::table::{self, Comparison};
use crate::{latency, neighbours, profile, targets};

/// Bytes sent per variant and round in the table of sizes, where the number of requests allows.
const SIZE_BYTES: usize = 8_000_000;

/// The sizes that redaction is measured with outside of Envoy, too.
const SIZES: [(&str, usize); 5] =
    [("1 KB", 1_000), ("16 KB", 16_000), ("64 KB", 64_000), ("256 KB", 256_000), ("1 MB", 1_000_000)];

/// Requests without bodies: answers of Envoy's own, and answers of an upstream.
///
/// # Errors
/// Where an Envoy does not start, or a request fails.
pub(crate) fn requests(bench: &Bench<'_>, requests: usize) -> Result<Vec<Comparison>> {
    let filter = EnvoyConfig::http_filter()?;
    let logger = EnvoyConfig::access_logger()?;
    let mut variants = vec![
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("gatelens, HTTP filter", filter.clone()),
        ("… without callbacks for bodies", without_body_callbacks(filter.clone())?),
        ("gatelens, access logger", logger.clone()),
    ];
    if let Some(module) = bench.baseline {
        variants.push(("baseline module, HTTP filter", filter.wasm(module)));
        variants.push(("baseline module, access logger", logger.wasm(module)));
    }
    let mut gateways = start(bench, variants)?;
    let loads = [
        Load::get("direct response", "/direct/items/", requests),
        Load::get("proxied", "/v1/items/", requests),
    ];
    compare(bench, &mut gateways, &loads)
}

/// What gatelens costs by what it does, over both protocols, beside what Envoy offers for the same purpose.
///
/// # Errors
/// As [`requests`]; [`Error::Unexpected`] without h2load.
pub(crate) fn alternatives(bench: &Bench<'_>, requests: usize) -> Result<Vec<Comparison>> {
    let (filter, logger) = (EnvoyConfig::http_filter()?, EnvoyConfig::access_logger()?);
    let sampled = |config: &EnvoyConfig, rate: f64| with_sample(config, rate);
    let lines = std::env::temp_dir().join(format!("gatelens-bench-{}.json", std::process::id()));
    let variants = vec![
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("gatelens, access logger", logger.clone()),
        ("… one request in ten logged", sampled(&logger, 0.1)?),
        ("… counters only", sampled(&logger, 0.0)?),
        ("gatelens, HTTP filter", filter.clone()),
        ("… one request in ten logged", sampled(&filter, 0.1)?),
        ("… counters only", sampled(&filter, 0.0)?),
        ("Envoy's JSON access log", json_access_log(EnvoyConfig::plain()?, &lines)?),
        ("Envoy's OpenTelemetry access log", otlp_access_log(EnvoyConfig::plain()?)?),
        ("Envoy's Lua filter", lua(EnvoyConfig::plain()?)?),
    ];
    let mut gateways = start(bench, variants)?;
    let loads = [
        Load::get("HTTP/1.1, direct response", "/direct/items/", requests),
        Load::get(targets::PROXIED, "/v1/items/", requests),
        Load::http2("HTTP/2, direct response", "/direct/items/", requests),
        Load::http2("HTTP/2, proxied", "/v1/items/", requests),
    ];
    let compared = compare(bench, &mut gateways, &loads);
    drop(gateways);
    drop(std::fs::remove_file(&lines));
    compared
}

/// What the number of records in a batch does to the price of a request: fewer callouts with more records each.
///
/// # Errors
/// As [`requests`].
pub(crate) fn batches(bench: &Bench<'_>, requests: usize) -> Result<Vec<Comparison>> {
    let logger = EnvoyConfig::access_logger()?;
    let variants = vec![
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("gatelens, batches of 10 records", with_batches_of(&logger, 10)?),
        ("… 100", with_batches_of(&logger, 100)?),
        ("… 500, the default", with_batches_of(&logger, 500)?),
        ("… 5,000", with_batches_of(&logger, 5_000)?),
    ];
    let mut gateways = start(bench, variants)?;
    compare(bench, &mut gateways, &[Load::get("HTTP/1.1, direct response", "/direct/items/", requests)])
}

/// The dynamic module beside the Wasm filter.
///
/// # Errors
/// As [`requests`].
pub(crate) fn edges(bench: &Bench<'_>, requests: usize) -> Result<Vec<Comparison>> {
    let (filter, logger) = (EnvoyConfig::module_filter()?, EnvoyConfig::module_logger()?);
    let variants = vec![
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("Wasm, access logger", EnvoyConfig::access_logger()?),
        ("Wasm, HTTP filter", EnvoyConfig::http_filter()?),
        ("module, access logger", logger.clone()),
        ("… counters only", with_sample(&logger, 0.0)?),
        ("module, HTTP filter", filter.clone()),
        ("… counters only", with_sample(&filter, 0.0)?),
    ];
    let mut gateways = start(bench, variants)?;
    compare(bench, &mut gateways, &[Load::get(targets::PROXIED, "/v1/items/", requests)])
}

/// The same with bodies.
///
/// # Errors
/// As [`requests`].
pub(crate) fn edges_with_bodies(bench: &Bench<'_>, requests: usize) -> Result<Vec<Comparison>> {
    let (wasm, module) = (EnvoyConfig::http_filter()?, EnvoyConfig::module_filter()?);
    let with_paths = |config: &EnvoyConfig| {
        let (capture, redact) = captured_with_paths();
        with_sections(config, &capture, &redact)
    };
    let variants = vec![
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("Wasm, both bodies, and 5 paths each", with_paths(&wasm)?),
        ("module, nothing captured", module.clone()),
        ("… both bodies, and 5 paths each", with_paths(&module)?),
    ];
    let mut gateways = start(bench, variants)?;
    compare(bench, &mut gateways, &[Load::post(targets::BODIES, "/v1/orders?sleep=0", 4_000, requests)?])
}

/// Throughput at saturation and latency at half of it.
///
/// # Errors
/// As [`alternatives`].
pub(crate) fn latency(bench: &Bench<'_>) -> Result<String> {
    latency::measure(bench, &start(bench, plain_and_ours()?)?)
}

/// How long small requests take beside uploads whose bodies are as large as `capture.max_body_bytes` allows.
///
/// # Errors
/// As [`requests`].
pub(crate) fn neighbours(bench: &Bench<'_>) -> Result<String> {
    let filter = EnvoyConfig::http_filter()?;
    let capture = json!({"request_body": true, "max_body_bytes": 1_048_576});
    let captured = with_sections(&filter, &capture, &json!({}))?;
    let mut variants = vec![
        ("no filter", EnvoyConfig::plain()?),
        ("gatelens, nothing captured", filter),
        ("… request bodies captured", captured.clone()),
    ];
    if let Some(module) = bench.baseline {
        variants.push(("baseline module, captured", captured.wasm(module)));
    }
    neighbours::measure(bench, &start(bench, variants)?)
}

/// What `make bench-growth` prints.
///
/// # Errors
/// [`Error::Unexpected`] where it cannot be built or run.
pub(crate) fn growth() -> Result<String> {
    let run =
        ["run", "--quiet", "--release", "-p", "gatelens-bench-request", "--bin", "gatelens-bench-growth"];
    let output = Command::new("cargo").args(run).current_dir(workspace_root()).output();
    let output = output.map_err(|error| Error::Unexpected(format!("cargo: {error}")))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Error::Unexpected(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

/// Where the CPU time of a request goes.
///
/// # Errors
/// As [`requests`]; [`Error::Unexpected`] without perf.
pub(crate) fn profile(bench: &Bench<'_>, requests: usize) -> Result<String> {
    let mut gateways = start(bench, plain_and_ours()?)?;
    profile::measure(bench, &mut gateways, &Load::get("proxied", "/v1/items/", requests))
}

fn plain_and_ours() -> Result<Vec<(&'static str, EnvoyConfig)>> {
    Ok(vec![
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("gatelens, access logger", EnvoyConfig::access_logger()?),
        ("gatelens, HTTP filter", EnvoyConfig::http_filter()?),
    ])
}

/// Orders of 4 KB, answered with 2 KB: what it costs to see bodies, to capture and to redact them.
///
/// # Errors
/// As [`requests`].
pub(crate) fn bodies(bench: &Bench<'_>, requests: usize) -> Result<Vec<Comparison>> {
    let filter = EnvoyConfig::http_filter()?;
    let (capture, redact) = captured_with_paths();
    let with_paths = with_sections(&filter, &capture, &redact)?;
    let mut variants = vec![
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("gatelens, no callbacks for bodies", without_body_callbacks(filter.clone())?),
        ("gatelens, nothing captured", filter.clone()),
        ("… both bodies, built-in names", with_sections(&filter, &capture, &json!({}))?),
        ("… both bodies, and 5 paths each", with_paths.clone()),
    ];
    if let Some(module) = bench.baseline {
        variants.push(("baseline module, nothing captured", filter.wasm(module)));
        variants.push(("baseline module, 5 paths each", with_paths.wasm(module)));
    }
    let mut gateways = start(bench, variants)?;
    let loads = [Load::post(targets::BODIES, "/v1/orders?sleep=0", 4_000, requests)?];
    compare(bench, &mut gateways, &loads)
}

/// The sections `capture` and `redact` for both bodies and five paths in each.
fn captured_with_paths() -> (Value, Value) {
    let answered = [
        "$.orders[*].customer.email",
        "$..iban",
        "$.orders[*].shipping.street",
        "$.orders[0].links.self",
        "$.orders[0:2].total",
    ];
    let capture = json!({"request_body": true, "response_body": true});
    (capture, json!({"request_body": paths(5), "response_body": answered}))
}

/// Request bodies by size: what capture and redaction add to a gateway that captures nothing.
///
/// # Errors
/// As [`requests`].
pub(crate) fn sizes(bench: &Bench<'_>, requests: usize) -> Result<String> {
    let filter = EnvoyConfig::http_filter()?;
    let capture = json!({"request_body": true, "max_body_bytes": 1_048_576});
    let captured = |redact: Value| with_sections(&filter, &capture, &redact);
    let mut gateways = start(
        bench,
        vec![
            ("no filter", EnvoyConfig::plain()?),
            ("SDK no-op filter", EnvoyConfig::noop()?),
            ("gatelens, nothing captured", filter.clone()),
            ("… captured, no rules", captured(json!({"defaults": false}))?),
            ("… built-in names, 5 paths", captured(json!({"request_body": paths(5)}))?),
            ("… built-in names, 50 paths", captured(json!({"request_body": paths(50)}))?),
        ],
    )?;
    let loads = SIZES
        .iter()
        .map(|(name, bytes)| {
            let requests = (SIZE_BYTES / bytes).min(requests);
            Load::post(&format!("request body of {name}"), "/status/200", *bytes, requests)
        })
        .collect::<Result<Vec<_>>>()?;
    let costs = measure(bench, &mut gateways, &loads)?;
    let names = names(&gateways);
    let text = |(load, costs): (&Load, &Vec<Cost>)| {
        table::render_speeds(&load.name, &names, costs, load.body_bytes())
    };
    let tables: Vec<String> = loads.iter().zip(&costs).map(text).collect();
    // Some milliseconds a round, whatever passes: shared by eight requests of 1 MB they look like a price by the byte.
    let legend = "Rows that capture are compared with gatelens that captures nothing, whose ticks and exports weigh \
                  the more the fewer requests share them.\n";
    Ok(tables.join("\n") + "\n" + legend)
}

/// This module against another in both modes, on Envoy's own answers: what a gateway without a filter adds to both is the
/// least there.
///
/// # Errors
/// As [`requests`], and without a baseline.
pub(crate) fn modules(bench: &Bench<'_>, requests: usize) -> Result<String> {
    let Some(module) = bench.baseline else {
        return Err(Error::Unexpected("the table `modules` needs BASELINE, another module".to_owned()));
    };
    let (logger, filter) = (EnvoyConfig::access_logger()?, EnvoyConfig::http_filter()?);
    let variants = vec![
        ("access logger", logger.clone()),
        ("… baseline", logger.wasm(module)),
        ("HTTP filter", filter.clone()),
        ("… baseline", filter.wasm(module)),
    ];
    let mut gateways = start(bench, variants)?;
    let load = Load::get("direct response", "/direct/items/", requests);
    // The no-op filter is not measured here, so no ratio decides when the rounds end.
    let fixed = Bench { most_rounds: bench.rounds, ..*bench };
    let costs = measure(&fixed, &mut gateways, &[load])?;
    let names = names(&gateways);
    let pairs = costs.iter().flat_map(|costs| costs.chunks(2)).zip(names.chunks(2));
    Ok(pairs.map(|(costs, names)| table::render_pair(names[0], costs)).collect())
}

fn compare(bench: &Bench<'_>, gateways: &mut [Gateway], loads: &[Load]) -> Result<Vec<Comparison>> {
    let costs = measure(bench, gateways, loads)?;
    let names = names(gateways);
    Ok(loads.iter().zip(&costs).map(|(load, costs)| Comparison::new(&load.name, &names, costs)).collect())
}

fn start(bench: &Bench<'_>, variants: Vec<(&str, EnvoyConfig)>) -> Result<Vec<Gateway>> {
    variants.into_iter().map(|(name, config)| Gateway::start(name, config, bench)).collect()
}

fn names(gateways: &[Gateway]) -> Vec<&str> {
    gateways.iter().map(|gateway| gateway.name.as_str()).collect()
}
