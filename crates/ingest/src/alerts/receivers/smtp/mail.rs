//! The e-mail of a message.
//!
//! Names of consumers, routes and hosts come from strangers. They must neither add a header nor markup, nor reorder a line.

use super::super::SendError;
use crate::alerts::file::Delivery;
use crate::alerts::message::Message;
use crate::text;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Characters of a subject.
const SUBJECT: usize = 200;
/// Characters of the value of a label.
const VALUE: usize = 500;

/// What an e-mail is made of.
pub(super) struct Mail<'a> {
    pub(super) message: &'a Message,
    pub(super) delivery: &'a Delivery,
    pub(super) from: &'a Mailbox,
    pub(super) to: &'a [Mailbox],
}

impl Mail<'_> {
    /// The bytes to send.
    pub(super) fn formatted(&self) -> Result<Vec<u8>, SendError> {
        let Self { message, delivery, from, to } = self;
        let created = Duration::from_nanos(u64::try_from(delivery.created_at).unwrap_or_default());
        let mut builder = lettre::Message::builder()
            .from((*from).clone())
            .date(SystemTime::UNIX_EPOCH + created)
            .subject(line(&message.title, SUBJECT))
            // RFC 3834: nobody's absence is reported back.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Gatelens-Delivery", &delivery.id.to_string()));
        for recipient in *to {
            builder = builder.to(recipient.clone());
        }
        let first = self.first_id();
        builder = match delivery.kind.as_str() {
            "firing" => builder.message_id(Some(first)),
            "repeat" | "resolved" => {
                builder.in_reply_to(first.clone()).references(first).message_id(Some(self.own_id()))
            }
            _ => builder.message_id(Some(self.own_id())),
        };
        let mail = builder.multipart(MultiPart::alternative_plain_html(self.text(), self.html()));
        let mail =
            mail.map_err(|error| SendError::never(None, format!("no e-mail can be made of it: {error}")))?;
        Ok(mail.formatted())
    }

    /// Identifies the e-mail about the beginning of the alert. Mail programs put those about its repetitions and its end
    /// below it.
    fn first_id(&self) -> String {
        format!("<{}.{}@{}>", self.message.alert, self.fired_at(), self.from.email.domain())
    }

    /// Identifies this e-mail. It is the same for each attempt.
    fn own_id(&self) -> String {
        let Self { message, delivery, from, .. } = self;
        format!("<{}.{}.{}@{}>", message.alert, self.fired_at(), delivery.id, from.email.domain())
    }

    fn fired_at(&self) -> String {
        self.message.fired_at.chars().filter(char::is_ascii_alphanumeric).collect()
    }

    fn text(&self) -> String {
        let Message { title, text, labels, view, .. } = self.message;
        let mut out = format!("{}\n\n{}\n", line(title, SUBJECT), lines(text).join("\n"));
        if !labels.is_empty() {
            out.push('\n');
        }
        for (name, value) in labels {
            let _ = writeln!(out, "{}: {}", line(name, VALUE), line(value, VALUE));
        }
        if is_link(view) {
            let _ = write!(out, "\n{view}\n");
        }
        out
    }

    fn html(&self) -> String {
        let Message { title, text, labels, view, severity, .. } = self.message;
        let colour = match (self.message.is_resolved(), severity.as_str()) {
            (true, _) => "#2e7d32",
            (false, "critical") => "#c62828",
            (false, "warning") => "#ef6c00",
            (false, _) => "#546e7a",
        };
        let title = text::html(&line(title, SUBJECT));
        let text = text::html(&lines(text).join("\n")).replace('\n', "<br>\n");
        let mut out = format!(
            "<!doctype html>\n<html><body style=\"font-family: sans-serif\">\n\
             <p style=\"border-left: 4px solid {colour}; padding-left: 8px\"><strong>{title}</strong></p>\n<p>{text}</p>\n"
        );
        if !labels.is_empty() {
            out.push_str("<table>\n");
            for (name, value) in labels {
                let (name, value) = (text::html(&line(name, VALUE)), text::html(&line(value, VALUE)));
                let _ = writeln!(out, "<tr><td>{name}</td><td>{value}</td></tr>");
            }
            out.push_str("</table>\n");
        }
        if is_link(view) {
            let _ = writeln!(out, "<p><a href=\"{}\">Show the traffic</a></p>", text::html(view));
        }
        out.push_str("</body></html>\n");
        out
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// A service that does not know its address has only a path, which is not a link.
fn is_link(view: &str) -> bool {
    view.starts_with("http") && !view.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// A text on one line, with the replacement character for what cannot be seen or changes the direction, and at most this
/// number of characters.
fn line(text: &str, most: usize) -> String {
    let seen = |c: char| if is_seen(c) { c } else { char::REPLACEMENT_CHARACTER };
    let mut line: String = text.chars().take(most).map(seen).collect();
    if text.chars().nth(most).is_some() {
        line.push('…');
    }
    line
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|text| line(text, usize::MAX)).collect()
}

/// Whether a character is neither a control character nor one that turns or hides other text.
fn is_seen(c: char) -> bool {
    !c.is_control() && !text::is_format(c)
}
