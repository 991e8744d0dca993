//! Precision and recall of the built-in redaction on the fields of real APIs.
//!
//! `gatelens-redact-quality DIR` reads the packages below DIR, which `scripts/redact-quality.sh` fetches, and the labels
//! of this crate. Every field is put into a body with a value of its type, redacted with the default rules, and compared
//! with its label. `--misses` lists what was judged wrongly, `--names` all fields for labelling.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod field;
mod openapi;
mod typescript;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use api::{APIS, Api, Labels};
use field::{Field, Kind};
use gatelens_model::Message;
use gatelens_redact::{BodyKind, Hits, RedactConfig, Redactor};

/// Smallest precision and recall of an API, as a share.
const TARGET: f64 = 0.95;

/// How a field was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    RightlyMasked,
    MaskedInVain,
    /// Harmless here, but its name ends as plain secrets do, which are masked whatever they hold.
    MaskedAsPlain,
    Missed,
    RightlyKept,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, directories): (Vec<_>, Vec<_>) = arguments.iter().partition(|text| text.starts_with("--"));
    let has = |option: &str| options.iter().any(|text| *text == option);
    let Some(directory) = directories.first() else {
        eprintln!("usage: gatelens-redact-quality DIR [--misses] [--names]");
        return ExitCode::FAILURE;
    };
    let redactor = Redactor::new(&RedactConfig::default()).expect("the default configuration compiles");
    println!(
        "{:<12} {:>7} {:>7} {:>7} {:>7} {:>10} {:>8} {:>8} {:>8}",
        "API", "fields", "secret", "right", "missed", "in vain", "plain", "precision", "recall"
    );
    let mut good = true;
    for api in APIS {
        let fields = match api.fields(Path::new(directory)) {
            Ok(fields) => fields,
            Err(error) => {
                eprintln!("{}: {error}; run scripts/redact-quality.sh", api.name);
                return ExitCode::FAILURE;
            }
        };
        if has("--names") {
            fields
                .iter()
                .for_each(|field| println!("{} {}.{} {:?}", api.name, field.around, field.name, field.kind));
            continue;
        }
        good &= report(api, &fields, &redactor, has("--misses"));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints one line for an API. Whether both shares reach the target.
fn report(api: &Api, fields: &std::collections::BTreeSet<Field>, redactor: &Redactor, misses: bool) -> bool {
    let labels = Labels::read(api.labels);
    // A name counts once for each way in which it was judged, however often the API has it.
    let mut judged: BTreeMap<(Verdict, &str, Kind), &Field> = BTreeMap::new();
    for field in fields {
        // What is within a masked object is masked with it. Whether that is right is judged by the object.
        if !labels.is_secret(field) && is_object_masked(redactor, &field.around) {
            continue;
        }
        let verdict = match (is_masked(redactor, field), labels.is_secret(field)) {
            (true, true) => Verdict::RightlyMasked,
            (true, false) if is_plain(&field.name) => Verdict::MaskedAsPlain,
            (true, false) => Verdict::MaskedInVain,
            (false, true) => Verdict::Missed,
            (false, false) => Verdict::RightlyKept,
        };
        judged.entry((verdict, &field.name, field.kind)).or_insert(field);
    }
    let count = |wanted: Verdict| judged.keys().filter(|(verdict, ..)| *verdict == wanted).count();
    let (right, in_vain, missed) =
        (count(Verdict::RightlyMasked), count(Verdict::MaskedInVain), count(Verdict::Missed));
    let plain = count(Verdict::MaskedAsPlain);
    let share = |part: usize, all: usize| if all == 0 { 1.0 } else { part as f64 / all as f64 };
    let (precision, recall) = (share(right, right + in_vain), share(right, right + missed));
    println!(
        "{:<12} {:>7} {:>7} {right:>7} {missed:>7} {in_vain:>10} {plain:>8} {:>7.1} % {:>6.1} %{}",
        api.name,
        judged.len(),
        right + missed,
        precision * 100.0,
        recall * 100.0,
        if api.held_out { "  held out" } else { "" },
    );
    if misses {
        let wrong = [Verdict::MaskedInVain, Verdict::MaskedAsPlain, Verdict::Missed];
        for ((verdict, name, kind), field) in
            judged.iter().filter(|((verdict, ..), _)| wrong.contains(verdict))
        {
            println!("    {verdict:?}: {}.{name} ({kind:?})", field.around);
        }
    }
    precision >= TARGET && recall >= TARGET
}

/// Whether the value of a field is masked in a JSON body.
fn is_masked(redactor: &Redactor, field: &Field) -> bool {
    let value = match field.kind {
        Kind::Text => "\"Zq7w4kM2x9\"",
        Kind::Number => "8675309",
        Kind::Boolean => "true",
        Kind::Enumeration => "\"pass\"",
        Kind::Object => "{\"zq7\":\"Zq7w4kM2x9\"}",
    };
    let value = if field.list { format!("[{value}]") } else { value.to_owned() };
    let member = format!("{{{:?}:{value}}}", field.name);
    let body = if field.around.is_empty() { member } else { format!("{{{:?}:{member}}}", field.around) };
    let left = redactor.body(Message::Response, BodyKind::Json, &body, &mut Hits::default());
    left != Ok(body)
}

/// Whether a name ends as the plain secrets do that were masked from the beginning and stay so with every value.
fn is_plain(name: &str) -> bool {
    let name = api::snake(name);
    let endings = [
        "password",
        "passwd",
        "pwd",
        "secret",
        "secrets",
        "token",
        "jwt",
        "api_key",
        "access_key",
        "private_key",
        "credential",
        "credentials",
        "credential_id",
        "assertion",
        "authorization",
        "session_id",
        "cookie",
        "card_number",
        "cvv",
        "cvc",
        "ssn",
    ];
    endings.iter().any(|ending| name == *ending || name.ends_with(&format!("_{ending}")))
}

/// Whether an object of that name is masked as a whole.
fn is_object_masked(redactor: &Redactor, name: &str) -> bool {
    let body = format!("{{{name:?}:{{\"zq7\":1}}}}");
    redactor.body(Message::Response, BodyKind::Json, &body, &mut Hits::default()) != Ok(body)
}
