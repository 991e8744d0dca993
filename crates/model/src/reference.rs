//! The tables of `docs/wire.md`, as Markdown.

use crate::table::Entry;
use crate::{attribute, metric};

/// The tables by the name of the marker that stands before each in `docs/wire.md`.
pub fn tables() -> [(&'static str, String); 5] {
    [
        ("resource", attributes(attribute::RESOURCE)),
        ("traffic-metrics", metrics(metric::TRAFFIC)),
        ("gateway-metrics", metrics(metric::GATEWAY)),
        ("series", attributes(attribute::SERIES)),
        ("log", attributes(attribute::LOG)),
    ]
}

/// Replaces each generated table of a document: the lines between `<!-- table: NAME -->` and `<!-- end -->`.
pub fn update(document: &str) -> String {
    let tables = tables();
    let mut out = String::with_capacity(document.len());
    let mut skipping = false;
    for line in document.lines() {
        skipping &= line != "<!-- end -->";
        if !skipping {
            out.push_str(line);
            out.push('\n');
        }
        let marker = line.strip_prefix("<!-- table: ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some((_, table)) = tables.iter().find(|(name, _)| Some(*name) == marker) {
            out.push_str(table);
            skipping = true;
        }
    }
    out
}

fn attributes(entries: &[Entry]) -> String {
    rows("| attribute | type | meaning |\n|---|---|---|\n", entries, |entry| {
        let placeholder = if entry.name.ends_with('.') { "<name>" } else { "" };
        format!("| `{}{placeholder}` | {} | {} |\n", entry.name, entry.kind, entry.meaning)
    })
}

fn metrics(entries: &[Entry]) -> String {
    rows("| metric | unit | data | meaning |\n|---|---|---|---|\n", entries, |entry| {
        format!("| `{}` | {} | {} | {} |\n", entry.name, entry.kind, entry.data, entry.meaning)
    })
}

fn rows(head: &str, entries: &[Entry], row: impl Fn(&Entry) -> String) -> String {
    entries.iter().fold(head.to_owned(), |table, entry| table + &row(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_and_the_text_around_it_stays() {
        let document = "before\n<!-- table: series -->\nold\nolder\n<!-- end -->\nafter\n";
        let updated = update(document);
        assert!(updated.starts_with("before\n<!-- table: series -->\n| attribute |"));
        assert!(updated.contains("`http.route`") && !updated.contains("old\n"));
        assert!(updated.ends_with("|\n<!-- end -->\nafter\n"));
        assert_eq!(update(&updated), updated);
    }

    #[test]
    fn no_name_is_listed_twice() {
        let lists = [
            attribute::RESOURCE,
            attribute::SERIES,
            attribute::POINT,
            attribute::LOG,
            metric::TRAFFIC,
            metric::GATEWAY,
        ];
        let mut names: Vec<&str> =
            lists.iter().flat_map(|list| list.iter().map(|entry| entry.name)).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
