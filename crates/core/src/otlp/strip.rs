//! Removes the bodies from encoded log records that must wait while there is no room.

use super::proto::{Field, Message, fields, find_bytes};
use super::requests::{CONTENT, OMITTED};
use gatelens_model::OmissionReason;

/// A request about the log without the bodies of its records, and how many there were of requests and of responses;
/// `None` for bytes that are not such a request. Everything else stays unchanged.
pub fn strip_bodies(request: &[u8]) -> Option<(Vec<u8>, [u64; 2])> {
    let mut out = Vec::with_capacity(request.len());
    let mut taken = [0; 2];
    in_request(request, &mut out, &mut taken)?;
    Some((out, taken))
}

fn in_request(request: &[u8], out: &mut Vec<u8>, taken: &mut [u64; 2]) -> Option<()> {
    descend(request, 1, out, |resource_logs, out| {
        descend(resource_logs, 2, out, |scope_logs, out| {
            descend(scope_logs, 2, out, |record, out| in_record(record, out, taken))
        })
    })
}

fn in_record(record: &[u8], out: &mut Vec<u8>, taken: &mut [u64; 2]) -> Option<()> {
    for field in fields(record) {
        let field = field?;
        // The attributes of a log record, or of a span. A trace ID, the field 9 of a log record, is shorter than these names.
        let key = matches!(field.number, 6 | 9).then(|| find_bytes(field.content, 1)).flatten();
        let body = CONTENT.iter().position(|content| key == Some(content.as_bytes()));
        match body.and_then(|body| Some((OMITTED.get(body)?, taken.get_mut(body)?))) {
            Some((omitted, taken)) => {
                let number = u32::try_from(field.number).ok()?;
                out.string_attribute(number, omitted, OmissionReason::QueueFull.name());
                *taken = taken.saturating_add(1);
            }
            None => out.extend_from_slice(field.whole),
        }
    }
    Some(())
}

/// Copies a message, except the submessages of one number, which `rewrite` replaces.
fn descend(
    message: &[u8],
    number: u64,
    out: &mut Vec<u8>,
    mut rewrite: impl FnMut(&[u8], &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    for field in fields(message) {
        let Field { number: found, content, whole } = field?;
        if found == number {
            let mut whole = Some(());
            out.nested(u32::try_from(number).ok()?, |out| whole = rewrite(content, out));
            whole?;
        } else {
            out.extend_from_slice(whole);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_holds_no_bodies_stays_as_it_is(keys in prop::collection::vec("[a-z.]{1,9}", 0..5)) {
            let mut request = Vec::new();
            request.nested(1, |out| {
                out.string(3, "url");
                out.nested(2, |out| {
                    out.nested(2, |out| keys.iter().for_each(|key| out.string_attribute(6, key, "v")));
                    out.fixed64(7, 1);
                });
            });
            prop_assert_eq!(strip_bodies(&request), Some((request, [0, 0])));
        }

        #[test]
        fn garbage_is_survived(bytes in any::<Vec<u8>>()) {
            strip_bodies(&bytes);
        }
    }
}
