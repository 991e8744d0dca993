//! `gatelens query requests --all`: all requests that match, a request in each line, with progress on stderr.

use super::client::{Failure, Source};
use super::{Arguments, Format, PAGE, Question, parameters, print};
use serde_json::{Value, json};
use std::io::{IsTerminal, Read, Write};
use std::time::{Duration, Instant};

/// Time between two words about progress.
const INTERVAL: Duration = Duration::from_millis(500);
const PIECE_BYTES: usize = 64 << 10;

/// Writes all requests that match to stdout, the newest first.
pub(super) fn export(source: &Source, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.question != Question::Requests {
        return Err(Failure::Wrong("only requests can be exported (--all)".to_owned()));
    }
    let format = match arguments.format {
        Format::Csv => "csv",
        Format::Json => "ndjson",
        Format::Table => {
            return Err(Failure::Wrong(
                "all requests need --format csv or json: a table holds a page".to_owned(),
            ));
        }
    };
    let mut progress = Progress::default();
    let outcome = match source {
        Source::Service { .. } => {
            let question = format!("{}&format={format}", parameters(arguments, arguments.limit, None));
            copy(source, &question, arguments, &mut progress)
        }
        Source::Directory(_) => pages(source, arguments, &mut progress),
    };
    progress.end(outcome.is_ok());
    outcome
}

/// The file as the service writes it, with line feeds alone at the ends of its lines.
fn copy(
    source: &Source,
    question: &str,
    arguments: &Arguments,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let mut opened = source.open("requests/export", question.trim_start_matches('&'), None)?;
    let mut out = std::io::stdout().lock();
    let mut lines = Lines::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = opened.reader.read(&mut piece).map_err(|error| {
            Failure::Refused(format!(
                "the export ended early, after {} requests: {error}; try again, or choose a shorter range",
                progress.rows
            ))
        })?;
        if count == 0 {
            break;
        }
        let text = lines.take(&piece[..count], arguments.format);
        out.write_all(&text)?;
        let heading = u64::from(arguments.format == Format::Csv);
        progress.at(lines.ended.saturating_sub(heading));
    }
    out.flush()?;
    if arguments.limit.is_none() && opened.max_rows == Some(progress.rows) {
        progress.note = Some(format!(
            "the service exports {} requests at most, so that older ones may be left out: choose a shorter range",
            progress.rows
        ));
    }
    Ok(())
}

/// The lines of a file so far.
#[derive(Default)]
struct Lines {
    ended: u64,
    is_quoted: bool,
}

impl Lines {
    /// Counts the lines that end in a piece of the file, and takes the carriage returns off their ends. A quoted cell of CSV
    /// may have line ends of its own.
    fn take(&mut self, piece: &[u8], format: Format) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        for byte in piece {
            match byte {
                b'"' if format == Format::Csv => self.is_quoted = !self.is_quoted,
                b'\r' if format == Format::Csv && !self.is_quoted => continue,
                b'\n' if !self.is_quoted => self.ended += 1,
                _ => {}
            }
            out.push(*byte);
        }
        out
    }
}

/// The pages of the files of a directory.
fn pages(source: &Source, arguments: &Arguments, progress: &mut Progress) -> Result<(), Failure> {
    let mut cursor = None;
    loop {
        let left = arguments.limit.map_or(PAGE, |limit| limit.saturating_sub(progress.rows).min(PAGE));
        let answer = source.ask("requests", &parameters(arguments, Some(left), cursor.as_deref()))?;
        let rows: Vec<Value> = answer["rows"].as_array().cloned().unwrap_or_default();
        let page = json!({"rows": rows});
        let text = match cursor {
            None if arguments.format == Format::Csv => {
                print::render(arguments.question, arguments.format, &arguments.columns, &page)
            }
            _ => print::render_more(arguments.question, arguments.format, &arguments.columns, &page),
        };
        std::io::stdout().lock().write_all(text?.as_bytes())?;
        progress.at(progress.rows + rows.len() as u64);
        cursor = answer["next"].as_str().map(str::to_owned);
        if cursor.is_none() || arguments.limit.is_some_and(|limit| progress.rows >= limit) {
            return Ok(());
        }
    }
}

/// The requests that were written, on stderr: again and again on a terminal, and once at the end elsewhere.
#[derive(Default)]
struct Progress {
    rows: u64,
    shown: Option<Instant>,
    note: Option<String>,
}

impl Progress {
    fn at(&mut self, rows: u64) {
        self.rows = rows;
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL);
        if is_due && std::io::stderr().is_terminal() {
            self.shown = Some(Instant::now());
            eprint!("\rgatelens: {rows} requests");
        }
    }

    fn end(&self, is_whole: bool) {
        let lead = if self.shown.is_some() { "\r" } else { "" };
        if is_whole {
            eprintln!("{lead}gatelens: {} requests", self.rows);
        } else if self.shown.is_some() {
            eprintln!();
        }
        if let Some(note) = &self.note {
            eprintln!("gatelens: {note}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_across_pieces_and_quotes() {
        let check = |pieces: &[&str], format: Format, ended: u64, text: &str| {
            let mut lines = Lines::default();
            let out: Vec<u8> = pieces.iter().flat_map(|piece| lines.take(piece.as_bytes(), format)).collect();
            assert_eq!(
                (lines.ended, String::from_utf8(out).unwrap()),
                (ended, text.to_owned()),
                "{pieces:?}"
            );
        };
        check(&["a,b\r\n1,2\r\n"], Format::Csv, 2, "a,b\n1,2\n");
        check(&["a,b\r", "\n\"x\r\n", "y\"\"\",2\r\n"], Format::Csv, 2, "a,b\n\"x\r\ny\"\"\",2\n");
        check(&["{\"a\":1}\n{\"b", "\":2}\n"], Format::Json, 2, "{\"a\":1}\n{\"b\":2}\n");
        check(&[], Format::Csv, 0, "");
    }
}
