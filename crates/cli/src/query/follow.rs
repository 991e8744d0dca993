//! `gatelens query requests --follow`: requests as they come.

use super::client::{Failure, Source};
use super::{Arguments, Format, Question, ask_pages, print};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::time::Duration;

/// Time between two questions.
const INTERVAL: Duration = Duration::from_secs(1);
/// How far each question looks back: gateways send in batches, and some batches again.
const WINDOW: &str = "-60s";
/// Requests of a window that are read; of more, the earliest are passed over, which is reported.
const MAX_ROWS: u64 = 10_000;

/// Prints requests, the earliest first, until the output is closed. A request that arrives more than a minute after it began
/// is not among them.
pub(super) fn follow(source: &Source, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.question != Question::Requests {
        return Err(Failure::Wrong("only requests can be followed (--follow)".to_owned()));
    }
    let mut arguments = arguments.clone();
    arguments.from.get_or_insert_with(|| WINDOW.to_owned());
    let mut seen = HashSet::new();
    let mut is_first = true;
    loop {
        let mut answer = ask_pages(source, &arguments, MAX_ROWS)?;
        if answer["next"].is_string() {
            eprintln!(
                "gatelens: more than {MAX_ROWS} requests match: the earliest are not shown; narrow the search"
            );
        }
        let fresh = take_fresh(&mut answer, &mut seen);
        let answer = json!({"rows": fresh});
        let text = if is_first && arguments.format != Format::Json {
            print::render(arguments.question, arguments.format, &arguments.columns, &answer)
        } else {
            print::render_more(arguments.question, arguments.format, &arguments.columns, &answer)
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text?.as_bytes())?;
        out.flush()?;
        drop(out);
        is_first = false;
        arguments.from = Some(WINDOW.to_owned());
        std::thread::sleep(INTERVAL);
    }
}

/// The rows that the answer before did not have, the earliest first. What has been seen is then what this answer has.
fn take_fresh(answer: &mut Value, seen: &mut HashSet<u64>) -> Vec<Value> {
    let rows = answer["rows"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let key = |row: &Value| {
        let mut hasher = DefaultHasher::new();
        row.to_string().hash(&mut hasher);
        hasher.finish()
    };
    let keys: Vec<u64> = rows.iter().map(key).collect();
    let fresh = rows.into_iter().zip(&keys).filter(|(_, key)| !seen.contains(key)).map(|(row, _)| row);
    let mut fresh: Vec<Value> = fresh.collect();
    fresh.reverse();
    *seen = keys.into_iter().collect();
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_printed_once() {
        let mut seen = HashSet::new();
        let mut check = |rows: &[u32], expected: &[u32]| {
            let fresh = take_fresh(&mut json!({"rows": rows}), &mut seen);
            assert_eq!(fresh, expected.iter().map(|row| json!(row)).collect::<Vec<_>>(), "{rows:?}");
        };
        check(&[3, 2, 1], &[1, 2, 3]);
        check(&[5, 3, 4, 2], &[4, 5]);
        check(&[5, 4], &[]);
        check(&[], &[]);
    }
}
