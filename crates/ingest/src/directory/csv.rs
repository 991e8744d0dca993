//! Entries of the directory as a table: CSV (RFC 4180) with a line of column names.

use super::{Details, DirectoryError, Entry, checked};
use crate::text::FORMULA;
use std::collections::HashMap;

/// Columns; `id` must be there.
const COLUMNS: [&str; 4] = ["id", "name", "group", "note"];
/// Most entries of a file.
pub(crate) const MAX_ROWS: usize = 10_000;
/// Mistakes that are listed; all are counted.
const MAX_LISTED: usize = 100;

/// A file that was read.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The entries that are right, each with its line.
    pub(crate) entries: Vec<(u64, Entry)>,
    /// The first lines that are wrong.
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) mistakes_total: usize,
}

/// A line that is wrong, from 1, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Mistake {
    pub(crate) line: u64,
    pub(crate) message: String,
}

impl Table {
    /// Reads a file.
    pub(crate) fn read(text: &str) -> Self {
        let mut table = Self::default();
        // Spreadsheets begin UTF-8 with a mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let first = text.lines().next().unwrap_or_default();
        let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
        let places = match reader.headers().map(places) {
            Ok(Ok(places)) => places,
            Ok(Err(message)) => {
                table.refuse(1, message);
                return table;
            }
            Err(error) => {
                table.refuse(1, error.to_string());
                return table;
            }
        };
        let mut lines: HashMap<String, u64> = HashMap::new();
        let mut numbers = LineNumbers { text: text.as_bytes(), place: 0, line: 1 };
        for row in reader.records() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    let line = numbers.of(error.position());
                    table.refuse(line, "it is not CSV in UTF-8: save the table as CSV UTF-8".to_owned());
                    continue;
                }
            };
            let line = numbers.of(row.position());
            if row.iter().all(|field| field.trim().is_empty()) {
                continue;
            }
            if table.entries.len() + table.mistakes_total >= MAX_ROWS {
                table.refuse(line, format!("the file has more than {MAX_ROWS} rows: divide it"));
                return table;
            }
            if row.len() != places.len() {
                let message =
                    format!("it has {} fields, and the first line names {}", row.len(), places.len());
                table.refuse(line, message);
                continue;
            }
            match entry(&places, &row) {
                Err(error) => table.refuse(line, error.to_string()),
                Ok((id, details)) => match lines.get(&id) {
                    Some(earlier) => {
                        table.refuse(line, format!("{id:?} is on line {earlier} already: keep one of them"));
                    }
                    None => {
                        lines.insert(id.clone(), line);
                        table.entries.push((line, (id, details)));
                    }
                },
            }
        }
        table
    }

    /// The entries without their lines.
    ///
    /// # Errors
    /// When a line is wrong.
    pub(crate) fn whole(self) -> Result<Vec<Entry>, DirectoryError> {
        match self.mistakes.into_iter().next() {
            Some(Mistake { line, message }) => {
                let wrong = match self.mistakes_total {
                    1 => "a line is wrong".to_owned(),
                    number => format!("{number} lines are wrong"),
                };
                Err(DirectoryError::Csv { line, message, wrong })
            }
            None => Ok(self.entries.into_iter().map(|(_, entry)| entry).collect()),
        }
    }

    fn refuse(&mut self, line: u64, message: String) {
        self.mistakes_total += 1;
        if self.mistakes.len() < MAX_LISTED {
            self.mistakes.push(Mistake { line, message });
        }
    }
}

/// The numbers of lines in a text, in its order. The reader's own are those of the line end before a row, which may be
/// of two characters, or followed by empty lines.
struct LineNumbers<'a> {
    text: &'a [u8],
    /// The bytes that were looked at, and the line behind them.
    place: usize,
    line: u64,
}

impl LineNumbers<'_> {
    /// The line of the first character of a row.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.place);
        let rest = self.text.get(self.place..).unwrap_or_default();
        let before = start.saturating_sub(self.place);
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let ends = rest.iter().skip(before).take_while(|byte| is_end(byte)).count();
        let passed = rest.iter().take(before + ends);
        self.line += passed.filter(|byte| **byte == b'\n').count() as u64;
        self.place += before + ends;
        self.line
    }
}

/// The column of each field.
fn places(headers: &csv::StringRecord) -> Result<Vec<&'static str>, String> {
    let mut places = Vec::new();
    for header in headers {
        let name = header.trim().to_lowercase();
        let Some(column) = COLUMNS.into_iter().find(|column| *column == name) else {
            return Err(format!("there is no column {header:?}: expected {}", COLUMNS.join(", ")));
        };
        if places.contains(&column) {
            return Err(format!("the column {column} is there twice: remove one"));
        }
        places.push(column);
    }
    if places.contains(&"id") { Ok(places) } else { Err("the column id is missing: add it".to_owned()) }
}

fn entry(places: &[&'static str], row: &csv::StringRecord) -> Result<Entry, DirectoryError> {
    let of = |column: &str| {
        let place = places.iter().position(|name| *name == column);
        unquoted(place.and_then(|place| row.get(place)).unwrap_or_default())
    };
    let details = Details { name: of("name"), group: of("group"), note: of("note") };
    checked(&of("id"), &details)
}

/// The text of a field that an export may have led by an apostrophe.
fn unquoted(field: &str) -> String {
    match field.strip_prefix('\'') {
        Some(rest) if rest.starts_with(FORMULA) => rest.to_owned(),
        _ => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, entries: &[(u64, &str, &str, &str, &str)], mistakes: &[(u64, &str)]) {
        let table = Table::read(text);
        let found = table
            .entries
            .iter()
            .map(|(line, (id, details))| (*line, &**id, &*details.name, &*details.group, &*details.note));
        assert_eq!(found.collect::<Vec<_>>(), entries, "{text}");
        assert_eq!(table.mistakes.len(), mistakes.len(), "{:?}", table.mistakes);
        for (found, (line, message)) in table.mistakes.iter().zip(mistakes) {
            assert_eq!(found.line, *line, "{found:?}");
            assert!(found.message.contains(message), "{found:?}");
        }
    }

    #[test]
    fn tables_of_spreadsheets_are_read() {
        check(
            "\u{feff}id,name,group,note\nacme,\"Acme, \"\"Inc.\"\"\",gold,\r\n\nglobex,Globex,,calls at night\n",
            &[(2, "acme", "Acme, \"Inc.\"", "gold", ""), (4, "globex", "Globex", "", "calls at night")],
            &[],
        );
        check("Group; ID\ngold;acme\n", &[(2, "acme", "", "gold", "")], &[]);
        // As an export writes them.
        check(
            "id,name\n'=acme,'+1\n'',x\nO'Hara,'tis\n",
            &[(2, "=acme", "+1", "", ""), (3, "'", "x", "", ""), (4, "O'Hara", "'tis", "", "")],
            &[],
        );
    }

    #[test]
    fn mistakes_have_their_lines() {
        check("", &[], &[(1, "id is missing")]);
        check(
            "id,nmae\nacme,A\n",
            &[],
            &[(1, "there is no column \"nmae\": expected id, name, group, note")],
        );
        check("id,id\n", &[], &[(1, "twice")]);
        check(
            "id,name\nacme,A\n\"a\nb\",B\nacme,C\nglobex\n,D\nanonymous,E\n",
            &[(2, "acme", "A", "", "")],
            &[
                (3, "control character"),
                (5, "line 2 already"),
                (6, "1 fields"),
                (7, "id is empty"),
                (8, "no consumer"),
            ],
        );
        let error = Table::read("id\nacme\n\nx\n").whole().unwrap_err().to_string();
        assert!(error.starts_with("2 lines are wrong, the first: line 2: the entry is empty"), "{error}");
    }

    #[test]
    fn files_are_bounded() {
        let text =
            |rows: usize| (0..rows).fold("id,name\n".to_owned(), |text, row| text + &format!("c{row},N\n"));
        assert_eq!(Table::read(&text(MAX_ROWS)).entries.len(), MAX_ROWS);
        let table = Table::read(&text(MAX_ROWS + 5));
        assert_eq!((table.mistakes.len(), table.mistakes[0].line), (1, MAX_ROWS as u64 + 2));
        let wrong = Table::read(&text(500).replace(",N", ","));
        assert_eq!((wrong.mistakes.len(), wrong.mistakes_total), (100, 500));
    }
}
