//! What inference costs for each request, outside of Wasm.

use std::hint::black_box;
use std::time::Instant;

use gatelens_routes::{Patterns, infer};

const ROUNDS: u32 = 300_000;

/// Prints nanoseconds for each path: inference alone, and with learned places.
pub(crate) fn report() {
    let places = (0..1_000).map(|place| format!("\"/place{place}\": []"));
    let text = format!(
        "{{\"places\": {{\"/repos\": [], \"/repos/{{}}\": [], {}}}}}",
        places.collect::<Vec<_>>().join(", ")
    );
    let patterns = Patterns::read(&text).unwrap_or_default();
    println!("| path | inference, ns | with 1,002 learned places, ns |");
    println!("|---|---|---|");
    for path in [
        "/api/v1/customers/search",
        "/repos/acme/otter/issues/1234/comments",
        "/orders/3f2504e0-4f89-41d3-9a0c-0305e82c3301/items/42",
        "/v1/customers/cus_NffrFeUfNV2Hib",
    ] {
        let mut out = String::with_capacity(256);
        let inferred = time(|| infer(black_box(path.as_bytes()), &mut out));
        let mut out = String::with_capacity(256);
        let learned = time(|| patterns.route(black_box(path.as_bytes()), &mut out));
        println!("| `{path}` | {inferred:.0} | {learned:.0} |");
    }
}

/// The fastest of five runs, so that other load on the machine counts little.
fn time(mut run: impl FnMut()) -> f64 {
    let runs = (0..5).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| run());
        start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    });
    runs.fold(f64::INFINITY, f64::min)
}
