//! The table of media types in `docs/redaction.md`, as Markdown.

use super::MEDIA_TYPES;
use crate::BodyKind;

const BEGIN: &str = "<!-- table: media-types -->\n";
const END: &str = "<!-- end -->\n";

/// The document with its table of captured media types written anew. `None` without the markers of the table.
pub fn update(document: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, &table(), END, after].concat())
}

fn table() -> String {
    let mut table = String::from("| redacted as | media types |\n|---|---|\n");
    for (kind, title) in [
        (BodyKind::Json, "JSON"),
        (BodyKind::JsonLines, "JSON by the line"),
        (BodyKind::Form, "a form"),
        (BodyKind::Text, "text"),
        (BodyKind::EventStream, "server-sent events"),
    ] {
        let of_kind = MEDIA_TYPES.iter().filter(|(_, other)| *other == kind);
        let names: Vec<_> = of_kind.map(|(pattern, _)| format!("`{pattern}`")).collect();
        table.push_str(&format!("| {title} | {} |\n", names.join(", ")));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_all_media_types() {
        assert_eq!(table().matches('`').count(), 2 * MEDIA_TYPES.len(), "a kind is missing:\n{}", table());
    }

    #[test]
    fn a_table_is_replaced_and_the_text_around_it_stays() {
        let document = format!("before\n{BEGIN}old\n{END}after\n");
        let updated = update(&document).unwrap();
        assert!(updated.starts_with(&format!("before\n{BEGIN}| redacted as")) && !updated.contains("old\n"));
        assert!(updated.ends_with(&format!("|\n{END}after\n")));
        assert_eq!(update("no table"), None);
    }
}
