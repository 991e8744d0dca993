//! The protobuf wire format, as far as OTLP needs it.

use gatelens_model::varint;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The tags of the fields 1, 2 and 5 where they are length-delimited.
const FIRST: u8 = 1 << 3 | LENGTH as u8;
const SECOND: u8 = 2 << 3 | LENGTH as u8;
const FIFTH: u8 = 5 << 3 | LENGTH as u8;

/// Appends fields to a message under construction.
pub(crate) trait Message {
    /// `uint64`, `int64`, `bool` and enums.
    fn varint(&mut self, field: u32, value: u64);
    /// `sint32`.
    fn sint(&mut self, field: u32, value: i32);
    /// `fixed64` and `sfixed64`.
    fn fixed64(&mut self, field: u32, value: u64);
    /// `double`.
    fn double(&mut self, field: u32, value: f64);
    /// `fixed32`.
    fn fixed32(&mut self, field: u32, value: u32);
    /// `bytes`, and every length-delimited field whose content is already encoded.
    fn bytes(&mut self, field: u32, value: &[u8]);
    /// `string`.
    fn string(&mut self, field: u32, value: &str);
    /// A message whose length is known after it is written.
    fn nested(&mut self, field: u32, write: impl FnOnce(&mut Vec<u8>));
    /// A `KeyValue` with a string.
    fn string_attribute(&mut self, field: u32, key: &str, value: &str);
    /// A `KeyValue` with an array of strings. Its key is `prefix` and `name`.
    fn strings_attribute<'v>(
        &mut self,
        field: u32,
        prefix: &str,
        name: &str,
        values: impl Iterator<Item = &'v str>,
    );
    /// A `KeyValue` with an integer.
    fn int_attribute(&mut self, field: u32, key: &str, value: u64);
    /// A `KeyValue` with a double.
    fn double_attribute(&mut self, field: u32, key: &str, value: f64);
    /// A `KeyValue` with `true`.
    fn flag_attribute(&mut self, field: u32, key: &str);
}

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u64) {
    varint::put(out, u64::from(field) << 3 | wire_type);
}

/// Size of a length-delimited field with a number below 16.
fn delimited_size(length: usize) -> usize {
    length.saturating_add(varint::size(length as u64)).saturating_add(1)
}

impl Message for Vec<u8> {
    fn varint(&mut self, field: u32, value: u64) {
        tag(self, field, VARINT);
        varint::put(self, value);
    }

    fn sint(&mut self, field: u32, value: i32) {
        tag(self, field, VARINT);
        varint::put_signed(self, i64::from(value));
    }

    fn fixed64(&mut self, field: u32, value: u64) {
        tag(self, field, FIXED64);
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        tag(self, field, FIXED32);
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, value: &[u8]) {
        tag(self, field, LENGTH);
        varint::put(self, value.len() as u64);
        self.extend_from_slice(value);
    }

    fn string(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    fn nested(&mut self, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
        tag(self, field, LENGTH);
        let start = self.len();
        write(self);
        let length = self.len().saturating_sub(start);
        // The length goes before the body: written behind it, then rotated to the front.
        varint::put(self, length as u64);
        if let Some(tail) = self.get_mut(start..) {
            tail.rotate_left(length);
        }
    }

    fn string_attribute(&mut self, field: u32, key: &str, value: &str) {
        let any_value = delimited_size(value.len());
        let length = delimited_size(key.len()).saturating_add(delimited_size(any_value));
        if length < 0x80 && field < 16 {
            // Each tag and each length is one byte: the form of nearly all attributes, written in four steps.
            let tag = (field << 3) as u8 | LENGTH as u8;
            self.reserve(length.saturating_add(2));
            self.extend_from_slice(&[tag, length as u8, FIRST, key.len() as u8]);
            self.extend_from_slice(key.as_bytes());
            self.extend_from_slice(&[SECOND, any_value as u8, FIRST, value.len() as u8]);
            self.extend_from_slice(value.as_bytes());
            return;
        }
        tag(self, field, LENGTH);
        varint::put(self, length as u64);
        self.string(1, key);
        tag(self, 2, LENGTH);
        varint::put(self, any_value as u64);
        self.string(1, value);
    }

    fn strings_attribute<'v>(
        &mut self,
        field: u32,
        prefix: &str,
        name: &str,
        mut values: impl Iterator<Item = &'v str>,
    ) {
        let (first, second) = (values.next(), values.next());
        if let (Some(value), None) = (first, second) {
            // The array, the value in it, and the attribute, of which each length is one byte: the form of nearly all.
            let array = value.len().saturating_add(4);
            let key = prefix.len().saturating_add(name.len());
            let length = key.saturating_add(array).saturating_add(6);
            if length < 0x80 && field < 16 {
                let tag = (field << 3) as u8 | LENGTH as u8;
                self.extend_from_slice(&[tag, length as u8, FIRST, key as u8]);
                self.extend_from_slice(prefix.as_bytes());
                self.extend_from_slice(name.as_bytes());
                let of_value = value.len() as u8;
                let of_array = array as u8;
                self.extend_from_slice(&[
                    SECOND,
                    of_array.wrapping_add(2),
                    FIFTH,
                    of_array,
                    FIRST,
                    of_value.wrapping_add(2),
                    FIRST,
                    of_value,
                ]);
                self.extend_from_slice(value.as_bytes());
                return;
            }
        }
        let values = first.into_iter().chain(second).chain(values);
        self.nested(field, |out| {
            out.nested(1, |out| {
                [prefix, name].into_iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            });
            out.nested(2, |out| {
                out.nested(5, |out| values.for_each(|value| out.nested(1, |out| out.string(1, value))));
            });
        });
    }

    fn int_attribute(&mut self, field: u32, key: &str, value: u64) {
        let any_value = varint::size(value).saturating_add(1);
        tag(self, field, LENGTH);
        varint::put(self, delimited_size(key.len()).saturating_add(delimited_size(any_value)) as u64);
        self.string(1, key);
        tag(self, 2, LENGTH);
        varint::put(self, any_value as u64);
        self.varint(3, value);
    }

    fn double_attribute(&mut self, field: u32, key: &str, value: f64) {
        self.nested(field, |out| {
            out.string(1, key);
            out.nested(2, |out| out.double(4, value));
        });
    }

    fn flag_attribute(&mut self, field: u32, key: &str) {
        self.nested(field, |out| {
            out.string(1, key);
            out.nested(2, |out| out.varint(2, 1));
        });
    }
}

/// The first length-delimited field of that number; `None` if there is none before the end or a defect.
pub(crate) fn find_bytes(message: &[u8], field: u32) -> Option<&[u8]> {
    find(message, u64::from(field) << 3 | LENGTH).map(|(bytes, _)| bytes)
}

/// The first varint field of that number.
pub(crate) fn find_varint(message: &[u8], field: u32) -> Option<u64> {
    find(message, u64::from(field) << 3 | VARINT).map(|(_, value)| value)
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'m> {
    pub(crate) number: u64,
    /// Of a length-delimited field.
    pub(crate) content: &'m [u8],
    /// With its tag.
    pub(crate) whole: &'m [u8],
}

/// The fields of a message up to its end or a defect, which is a last `None`.
pub(crate) fn fields(mut message: &[u8]) -> impl Iterator<Item = Option<Field<'_>>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let before = message;
        let field = take_field(&mut message).and_then(|(tag, content, _)| {
            let length = before.len().saturating_sub(message.len());
            Some(Field { number: tag >> 3, content, whole: before.get(..length)? })
        });
        if field.is_none() {
            message = &[];
        }
        Some(field)
    })
}

fn find(mut message: &[u8], wanted: u64) -> Option<(&[u8], u64)> {
    loop {
        let (tag, bytes, value) = take_field(&mut message)?;
        if tag == wanted {
            return Some((bytes, value));
        }
    }
}

/// Tag, content of a length-delimited field, value of a varint.
fn take_field<'m>(message: &mut &'m [u8]) -> Option<(u64, &'m [u8], u64)> {
    let tag = varint::take(message)?;
    let (bytes, value): (&[u8], u64) = match tag & 7 {
        VARINT => (&[], varint::take(message)?),
        FIXED64 => (message.split_off(..8)?, 0),
        LENGTH => {
            let length = usize::try_from(varint::take(message)?).ok()?;
            (message.split_off(..length)?, 0)
        }
        FIXED32 => (message.split_off(..4)?, 0),
        _ => return None,
    };
    // A field that is not length-delimited has no content.
    Some((tag, if tag & 7 == LENGTH { bytes } else { &[] }, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same attribute, field by field.
    fn nested(field: u32, prefix: &str, name: &str, values: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        out.nested(field, |out| {
            out.string(1, &format!("{prefix}{name}"));
            out.nested(2, |out| {
                out.nested(5, |out| {
                    values.iter().for_each(|value| out.nested(1, |out| out.string(1, value)))
                });
            });
        });
        out
    }

    proptest! {
        #[test]
        fn an_attribute_with_strings_is_the_same_in_its_usual_form(
            field in 1u32..40,
            name in "[a-zé-]{0,90}",
            values in prop::collection::vec("[a-zé]{0,60}|[a-z]{90,130}", 0..3),
        ) {
            let mut out = Vec::new();
            out.strings_attribute(field, "http.request.header.", &name, values.iter().map(String::as_str));
            prop_assert_eq!(out, nested(field, "http.request.header.", &name, &values));
        }
    }
}
