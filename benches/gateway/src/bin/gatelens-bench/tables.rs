//! What is compared with what.

use gatelens_bench_redact::paths;
use gatelens_testkit::{EnvoyConfig, Error, Result};
use serde_json::{Value, json};

use crate::gateway::{Gateway, with_sections, without_body_callbacks};
use crate::load::Load;
use crate::rounds::{Bench, Cost, measure};
use crate::table;

/// Bytes sent per variant and round in the table of sizes, where the number of requests allows.
const SIZE_BYTES: usize = 8_000_000;

/// The sizes that redaction is measured with outside of Envoy, too.
const SIZES: [(&str, usize); 5] =
    [("1 KB", 1_000), ("16 KB", 16_000), ("64 KB", 64_000), ("256 KB", 256_000), ("1 MB", 1_000_000)];

/// Requests without bodies: answers of Envoy's own, and answers of an upstream.
///
/// # Errors
/// Where an Envoy does not start, or a request fails.
pub(crate) fn requests(bench: &Bench<'_>, requests: usize) -> Result<String> {
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
    let costs = measure(bench, &mut gateways, &loads)?;
    let names = names(&gateways);
    let text = |(load, costs): (&Load, &Vec<Cost>)| table::render(&load.name, &names, costs);
    Ok(loads.iter().zip(&costs).map(text).collect::<Vec<_>>().join("\n"))
}

/// Orders of 4 KB, answered with 2 KB: what it costs to see bodies, to capture and to redact them.
///
/// # Errors
/// As [`requests`].
pub(crate) fn bodies(bench: &Bench<'_>, requests: usize) -> Result<String> {
    let filter = EnvoyConfig::http_filter()?;
    let capture = json!({"request_body": true, "response_body": true});
    let answered = [
        "$.orders[*].customer.email",
        "$..iban",
        "$.orders[*].shipping.street",
        "$.orders[0].links.self",
        "$.orders[0:2].total",
    ];
    let redact = json!({"request_body": paths(5), "response_body": answered});
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
    let loads = [Load::post("POST of 4 KB, answered 2 KB", "/v1/orders?sleep=0", 4_000, requests)?];
    let costs = measure(bench, &mut gateways, &loads)?;
    let names = names(&gateways);
    let text = |(load, costs): (&Load, &Vec<Cost>)| table::render(&load.name, &names, costs);
    Ok(loads.iter().zip(&costs).map(text).collect())
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
    let costs = measure(bench, &mut gateways, &[load])?;
    let names = names(&gateways);
    let pairs = costs.iter().flat_map(|costs| costs.chunks(2)).zip(names.chunks(2));
    Ok(pairs.map(|(costs, names)| table::render_pair(names[0], costs)).collect())
}

fn start(bench: &Bench<'_>, variants: Vec<(&str, EnvoyConfig)>) -> Result<Vec<Gateway>> {
    variants.into_iter().map(|(name, config)| Gateway::start(name, config, bench)).collect()
}

fn names(gateways: &[Gateway]) -> Vec<&str> {
    gateways.iter().map(|gateway| gateway.name.as_str()).collect()
}
