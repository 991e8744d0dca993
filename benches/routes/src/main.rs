//! How many requests to real APIs end under exactly their template.
//!
//! `make bench-routes` fetches the packages that ship the APIs' templates, makes traffic from them and sends it through
//! the code of the filter and of the ingest: inference, learning with reviews at the ingest's distances, patterns that
//! reach gateways late, and the fold of what was counted before. docs/routes.md states the generator and the figures.

mod api;
mod random;
mod run;
mod site;
mod speed;
mod values;

use std::path::PathBuf;

use api::{APIS, Role};
use run::Run;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let cache = std::env::var_os("BENCH_ROUTES_CACHE")
        .map_or_else(|| PathBuf::from("target/bench-routes"), PathBuf::from);
    std::fs::create_dir_all(&cache)?;
    let cache = cache.canonicalize()?;
    let only = std::env::args().nth(1).unwrap_or_default().to_lowercase();
    println!(
        "{} slots for routes\n\n| API | templates | exact at 5,000 | overflow | exact at 200,000 | overflow | routes | merged templates |",
        run::cap()
    );
    println!("|---|---|---|---|---|---|---|---|");
    for api in APIS.iter().filter(|api| api.name.to_lowercase().contains(&only)) {
        let operations = api.operations(&cache)?;
        let mark = if api.role == Role::HeldOut { " (held out)" } else { "" };
        let run = Run::of(operations, api.ids, random::hash(api.name));
        run.report(&format!("{}{mark}", api.name));
    }
    if "speed".contains(&only) {
        speed::report();
    }
    if "site".contains(&only) {
        site::report();
    }
    Ok(())
}
