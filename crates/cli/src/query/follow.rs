//! `gatelens query requests --follow`: requests as they come.

use super::client::{Failure, Source};
use super::{Arguments, Format, Question, ask_pages, parameters, print};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

/// Time between two questions to files.
const INTERVAL: Duration = Duration::from_secs(1);
/// How far the first question looks back. With files, so does each: gateways send in batches, and some batches again.
const WINDOW: &str = "-60s";
/// Requests of a window that are read; of more, the earliest are passed over, which is reported.
const MAX_ROWS: u64 = 10_000;
/// Time for which requests of the first question may come again in the stream.
const OVERLAP: Duration = Duration::from_secs(60);

/// Prints requests, the earliest first, until the output is closed.
pub(super) fn follow(source: &Source, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.question != Question::Requests {
        return Err(Failure::Wrong("only requests can be followed (--follow)".to_owned()));
    }
    let mut printer = Printer { arguments: arguments.clone(), is_first: true };
    printer.arguments.from.get_or_insert_with(|| WINDOW.to_owned());
    match source {
        Source::Service { .. } => stream(source, &mut printer),
        Source::Directory(_) => poll(source, &mut printer),
    }
}

/// The stream of a service. What came before it was opened is asked for.
fn stream(source: &Source, printer: &mut Printer) -> Result<(), Failure> {
    let own = Arguments { from: None, to: None, limit: None, ..printer.arguments.clone() };
    let question = parameters(&own, None, None);
    let open = |last: Option<&str>| source.open("requests/stream", &question, last);
    let mut opened = open(None)?;
    let mut seen = HashSet::new();
    let mut answer = ask_pages(source, &printer.arguments, MAX_ROWS)?;
    printer.print(take_fresh(&mut answer, &mut seen), answer["next"].is_string())?;
    let begun = Instant::now();
    let mut last = None;
    loop {
        while let Some(event) = next_event(&mut opened.reader) {
            last = event.id.or(last);
            if event.data.is_empty() {
                continue;
            }
            let mut part: Value = serde_json::from_str(&event.data).unwrap_or_default();
            let skipped = part["skipped"].as_u64().unwrap_or_default();
            if skipped > 0 {
                eprintln!(
                    "gatelens: {skipped} requests are not shown, because there are too many: narrow the search"
                );
            }
            let mut rows = part["rows"].as_array_mut().map(std::mem::take).unwrap_or_default();
            if begun.elapsed() < OVERLAP {
                rows.retain(|row| !seen.contains(&key(row)));
            } else {
                seen.clear();
            }
            printer.print(rows, false)?;
        }
        // The service ends a stream after some minutes.
        opened = open(last.as_deref())?;
    }
}

/// A server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    /// Empty where no request of a batch matched.
    data: String,
}

/// The next event with an ID or data; `None` at the end of the stream, also where the connection is lost.
fn next_event(stream: &mut impl BufRead) -> Option<Event> {
    let (mut event, mut line) = (Event::default(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if let Some(id) = line.strip_prefix("id: ") {
            event.id = Some(id.to_owned());
        } else if let Some(data) = line.strip_prefix("data: ") {
            event.data = data.to_owned();
        } else if line.is_empty() && event != Event::default() {
            return Some(event);
        }
    }
}

/// Files, which are asked again and again. A request that arrives more than a minute after it began is not found.
fn poll(source: &Source, printer: &mut Printer) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    loop {
        let mut answer = ask_pages(source, &printer.arguments, MAX_ROWS)?;
        printer.print(take_fresh(&mut answer, &mut seen), answer["next"].is_string())?;
        printer.arguments.from = Some(WINDOW.to_owned());
        std::thread::sleep(INTERVAL);
    }
}

/// What is asked and how it is printed.
struct Printer {
    arguments: Arguments,
    is_first: bool,
}

impl Printer {
    /// Prints rows; `is_cut` when there were earlier ones.
    fn print(&mut self, rows: Vec<Value>, is_cut: bool) -> Result<(), Failure> {
        if is_cut {
            eprintln!(
                "gatelens: more than {MAX_ROWS} requests match: the earliest are not shown; narrow the search"
            );
        }
        let Arguments { question, format, columns, .. } = &self.arguments;
        let answer = json!({"rows": rows});
        let text = if self.is_first && *format != Format::Json {
            print::render(*question, *format, columns, &answer)
        } else {
            print::render_more(*question, *format, columns, &answer)
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text?.as_bytes())?;
        out.flush()?;
        self.is_first = false;
        Ok(())
    }
}

/// The rows that the answer before did not have, the earliest first. What has been seen is then what this answer has.
fn take_fresh(answer: &mut Value, seen: &mut HashSet<u64>) -> Vec<Value> {
    let rows = answer["rows"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let keys: Vec<u64> = rows.iter().map(key).collect();
    let fresh = rows.into_iter().zip(&keys).filter(|(_, key)| !seen.contains(key)).map(|(row, _)| row);
    let mut fresh: Vec<Value> = fresh.collect();
    fresh.reverse();
    *seen = keys.into_iter().collect();
    fresh
}

fn key(row: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_requests_is_an_event_too() {
        let mut stream = &b"retry: 1000\n: requests\n\nid: 1-5\n\n: nothing new\n\nid: 1-7\nevent: requests\ndata: {}\n\nid: 1-9\n"[..];
        let event = |id: &str, data: &str| Some(Event { id: Some(id.to_owned()), data: data.to_owned() });
        assert_eq!(next_event(&mut stream), event("1-5", ""));
        assert_eq!(next_event(&mut stream), event("1-7", "{}"));
        assert_eq!(next_event(&mut stream), None, "an event that is cut off is none");
    }

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
