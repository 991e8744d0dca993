//! The value of an attribute, as it lies in a message.

use super::Unreadable;
use super::walk::{Content, Malformed, all, fields};
use gatelens_model::grpc;
use opentelemetry_proto::tonic::common::v1::any_value;

/// Longer strings are cut: no label of ours is longer, and a sender must not fill the store with one.
pub(super) const MAX_LABEL_BYTES: usize = 2048;
/// Longer ones are cut, too: bytes of a query.
const MAX_QUERY_BYTES: usize = 4096;

/// A value of one of the types that attributes of ours have.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// The bytes of an `ArrayValue`.
    Array(&'a [u8]),
    /// Of another type, or none.
    #[default]
    Other,
}

impl<'a> Value<'a> {
    /// A value that was decoded.
    pub(super) fn of(value: &'a any_value::Value) -> Self {
        match value {
            any_value::Value::StringValue(text) => Self::Text(text),
            any_value::Value::BoolValue(value) => Self::Bool(*value),
            any_value::Value::IntValue(number) => Self::Int(*number),
            any_value::Value::DoubleValue(number) => Self::Double(*number),
            _ => Self::Other,
        }
    }

    /// Reads an `AnyValue`.
    ///
    /// # Errors
    /// For bytes that are not protobuf, and for a text that is not UTF-8.
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Unreadable> {
        let mut found = Self::Other;
        for field in fields(message) {
            found = match field? {
                (1, Content::Bytes(text)) => {
                    Self::Text(std::str::from_utf8(text).map_err(|_| Unreadable::text())?)
                }
                (2, Content::Number(number)) => Self::Bool(number != 0),
                (3, Content::Number(number)) => Self::Int(number as i64),
                (4, Content::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Content::Bytes(array)) => Self::Array(array),
                (6..=8, _) => Self::Other,
                _ => found,
            };
        }
        Ok(found)
    }

    /// A text as long as it is, even empty.
    pub(super) fn whole_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that is not empty, cut where it is too long for a label.
    pub(super) fn label(self) -> Option<&'a str> {
        self.clipped(MAX_LABEL_BYTES)
    }

    /// A text that may be longer than a label, cut where it is too long for a query.
    pub(super) fn query(self) -> Option<&'a str> {
        self.clipped(MAX_QUERY_BYTES)
    }

    fn clipped(self, max_bytes: usize) -> Option<&'a str> {
        self.whole_text().filter(|text| !text.is_empty()).map(|text| clip(text, max_bytes))
    }

    /// A number that is not negative. Status codes come as strings from some senders.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(number).ok(),
            Self::Text(text) => text.parse().ok().filter(|number| *number <= i64::MAX as u64),
            _ => None,
        }
    }

    /// The weight of a record in a sample, as the bits of an `f64`; absent where it is 1, or no weight.
    pub(super) fn weight(self) -> Option<u64> {
        let weight = match self {
            Self::Double(weight) => weight,
            Self::Int(weight) => weight as f64,
            _ => return None,
        };
        (weight.is_finite() && weight > 1.0).then(|| weight.to_bits())
    }

    /// Whether it is `true`.
    pub(super) fn is_true(self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The status code; absent when there is none.
    pub(super) fn status(self) -> Option<u16> {
        self.number().and_then(|code| u16::try_from(code).ok()).filter(|code| *code < 1000)
    }

    /// The number of a gRPC status that is given by its name, or by the number as a text.
    pub(super) fn grpc_status(self) -> Option<u64> {
        self.label().and_then(grpc::number).or_else(|| self.number())
    }

    /// The texts of a list; a text is a list of one.
    pub(super) fn texts(self) -> impl Iterator<Item = Result<&'a str, Unreadable>> {
        let (one, array) = match self {
            Self::Text(text) => (Some(Ok(text)), &[][..]),
            Self::Array(array) => (None, array),
            _ => (None, &[][..]),
        };
        let text = |value: Result<&'a [u8], Malformed>| match value.map(Self::read) {
            Ok(Ok(value)) => value.whole_text().map(Ok),
            Ok(Err(error)) => Some(Err(error)),
            Err(malformed) => Some(Err(malformed.into())),
        };
        one.into_iter().chain(all(array, 1).filter_map(text))
    }
}

/// The beginning of a text: at most `max_bytes` of it, whole characters.
pub(super) fn clip(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}
