//! Server-sent events (HTML, section 9.2). Each event is redacted separately; one that cannot be redacted is omitted.

use super::{BodyRedactor, prose};
use crate::rules::Hits;

/// Replaces an omitted event or line. In this format it is a comment.
const LEFT_OUT: &str = ": left out: ";

/// Redacts a stream of events. The last one may lack the blank line after it.
pub(super) fn redact(rules: &BodyRedactor<'_>, text: &str, hits: &mut Hits) -> String {
    let mut out = String::with_capacity(text.len());
    let mut data: Option<String> = None;
    for line in lines(text) {
        if line.is_empty() {
            flush(rules, data.take(), &mut out, hits);
            out.push('\n');
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        match field.trim_start_matches('\u{feff}') {
            "data" => {
                let data = data.get_or_insert_default();
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value.strip_prefix(' ').unwrap_or(value));
            }
            "" | "event" | "id" | "retry" => {
                let masked = prose::redact(rules, line, hits);
                out.push_str(&rules.detectors.redact(&masked, hits));
                out.push('\n');
            }
            // Readers skip unknown fields, so their content can be anything.
            _ => left_out("unknown field", &mut out),
        }
    }
    flush(rules, data, &mut out, hits);
    out
}

fn flush(rules: &BodyRedactor<'_>, data: Option<String>, out: &mut String, hits: &mut Hits) {
    let Some(data) = data else { return };
    match rules.text(&data, hits) {
        Ok(redacted) => {
            for line in redacted.split('\n') {
                out.push_str("data: ");
                out.push_str(line.trim_end_matches('\r'));
                out.push('\n');
            }
        }
        Err(reason) => left_out(reason.name(), out),
    }
}

fn left_out(why: &str, out: &mut String) {
    out.push_str(LEFT_OUT);
    out.push_str(why);
    out.push('\n');
}

/// Lines that end with CR LF, LF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
    // An empty rest after the last line end is not a line.
    let count = lines.clone().count();
    let ends = text.ends_with(['\n', '\r']) || text.is_empty();
    lines.take(if ends { count.saturating_sub(1) } else { count })
}
