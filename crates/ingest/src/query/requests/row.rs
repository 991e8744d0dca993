//! A request as the answer shows it.

use super::withheld::{Disclosure, has_captured};
use crate::model::RequestEvent;
use crate::model::request::{Access, FIELDS, Field, Shown};
use crate::query::range::rfc3339;
use data_encoding::HEXLOWER;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::io;
use std::sync::Arc;

const NANOS_PER_MS: f64 = 1e6;

/// A request and its sender; JSON by the table of fields.
pub(super) struct Row {
    event: RequestEvent,
    sender: Sender,
    disclosure: Disclosure,
}

/// Who reported a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sender {
    pub(crate) gateway: Arc<str>,
    pub(crate) service: Arc<str>,
    pub(crate) environment: Arc<str>,
}

impl Row {
    pub(super) fn of(event: RequestEvent, sender: Sender) -> Self {
        Self { event, sender, disclosure: Disclosure::Full }
    }

    pub(super) fn request(&self) -> (&RequestEvent, &Sender) {
        (&self.event, &self.sender)
    }

    /// The same row for a reader who may see less.
    pub(super) fn seen_with(self, disclosure: Disclosure) -> Self {
        Self { disclosure, ..self }
    }

    /// Whether it shows a body or headers.
    pub(super) fn shows_captured(&self) -> bool {
        self.disclosure == Disclosure::Full && has_captured(&self.event)
    }

    /// Bytes that it takes in the answer.
    pub(super) fn json_bytes(&self) -> usize {
        let mut counted = Counted(0);
        // A row that cannot be written fails with the answer.
        let _ = serde_json::to_writer(&mut counted, self);
        counted.0
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event, sender, disclosure } = self;
        let mut row = serializer.serialize_map(None)?;
        row.serialize_entry("time", &rfc3339(event.time))?;
        for field in FIELDS.iter().filter(|field| disclosure.shows(field.name)) {
            serialize_field(&mut row, field, event)?;
        }
        row.serialize_entry("gateway", &*sender.gateway)?;
        row.serialize_entry("service", &*sender.service)?;
        row.serialize_entry("environment", &*sender.environment)?;
        if *disclosure == Disclosure::Reduced {
            row.serialize_entry("withheld", &disclosure.withheld(event))?;
        }
        row.end()
    }
}

fn serialize_field<M: SerializeMap>(
    row: &mut M,
    field: &Field,
    event: &RequestEvent,
) -> Result<(), M::Error> {
    match field.access {
        Access::Number(get, _) => match field.shown {
            Shown::Milliseconds => {
                row.serialize_entry(field.name, &get(event).map(|nanos| nanos as f64 / NANOS_PER_MS))
            }
            Shown::Weight => row.serialize_entry(field.name, &get(event).map_or(1.0, f64::from_bits)),
            _ => row.serialize_entry(field.name, &get(event)),
        },
        Access::Text(get, _) => {
            let text = || get(event).map(String::from_utf8_lossy);
            match field.shown {
                Shown::Flag => row.serialize_entry(field.name, &get(event).is_some()),
                Shown::Hex => {
                    row.serialize_entry(field.name, &get(event).map(|bytes| HEXLOWER.encode(bytes)))
                }
                // JSON that cannot be read is damaged, and is shown as if it had not been captured.
                Shown::Json => {
                    let json = text().and_then(|text| RawValue::from_string(text.into_owned()).ok());
                    row.serialize_entry(field.name, &json)
                }
                Shown::Or(absent) => row.serialize_entry(field.name, &text().unwrap_or(absent.into())),
                Shown::Plain | Shown::Milliseconds | Shown::Weight => {
                    row.serialize_entry(field.name, &text())
                }
            }
        }
    }
}

/// Bytes written, and not kept.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
