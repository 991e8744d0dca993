//! Which requests of a chunk may match, found by single columns: a text is tested once for all requests that have it, and
//! no request is made of those that do not match.

use super::{COUNT, Opened, PATH, Part, Parts, TIME, UPSTREAM, first, numbers, texts};
use crate::model::RequestEvent;
use crate::model::request::{Access, FIELDS};

/// A test of one field of a request.
pub(crate) struct FieldTest<'a> {
    /// Its name in the API.
    pub(crate) field: &'static str,
    /// Whether a request may match. It has a value in this field, and otherwise at most its direction.
    pub(crate) takes: Box<dyn FnMut(&mut RequestEvent) -> bool + 'a>,
}

impl Opened<'_> {
    /// By request, whether it passes all tests; `None` when the chunk is damaged. A field that is stored by its distance to
    /// another is not tested.
    pub(crate) fn rows_that(&self, tests: &mut [FieldTest<'_>]) -> Option<Vec<bool>> {
        match self {
            Self::First(rest) => {
                let is_tested = |name: &str| tests.iter().any(|test| test.field == name);
                let mut events = first::decode(rest, |name| name == "direction" || is_tested(name))?;
                let passes = |event: &mut RequestEvent| tests.iter_mut().all(|test| (test.takes)(event));
                Some(events.iter_mut().map(passes).collect())
            }
            Self::Columns { count, .. } if tests.is_empty() => Some(vec![true; *count]),
            Self::Columns { columns, apart, count } => {
                let direction = direction(Parts { columns, apart }, *count)?;
                tested(Parts { columns, apart }, *count, tests, direction)
            }
        }
    }
}

/// The direction of the first request, which is that of all.
fn direction(mut parts: Parts<'_>, count: usize) -> Option<Option<String>> {
    let number = FIELDS.iter().find(|field| field.name == "direction")?.column;
    while let Some(Part { number: found, content, mut noise }) = parts.next()? {
        if found == number {
            let (codes, texts) = texts::read(content, &mut noise, count, |_| &[])?;
            let text = codes.first().and_then(|code| texts.get(usize::try_from(code.checked_sub(1)?).ok()?));
            return Some(text.and_then(|text| String::from_utf8(text.clone()).ok()));
        }
    }
    Some(None)
}

fn tested(
    mut parts: Parts<'_>,
    count: usize,
    tests: &mut [FieldTest<'_>],
    direction: Option<String>,
) -> Option<Vec<bool>> {
    let blank = RequestEvent { direction, ..RequestEvent::default() };
    let mut passed = vec![true; count];
    let mut untested: Vec<&mut FieldTest<'_>> = tests.iter_mut().collect();
    while let Some(Part { number, mut content, mut noise }) = parts.next()? {
        if [COUNT, TIME].contains(&number) || untested.is_empty() {
            continue;
        }
        let Some(field) = FIELDS.iter().find(|field| field.column == number) else { continue };
        let (mut own, others): (Vec<_>, Vec<_>) =
            untested.into_iter().partition(|test| test.field == field.name);
        untested = others;
        if own.is_empty() || [PATH, UPSTREAM].contains(&number) {
            continue;
        }
        let mut passes = |event: &mut RequestEvent| own.iter_mut().all(|test| (test.takes)(event));
        match field.access {
            Access::Text(_, set) => {
                let (codes, texts) = texts::read(content, &mut noise, count, |_| &[])?;
                let mut verdicts = vec![passes(&mut blank.clone())];
                for text in texts {
                    let mut event = blank.clone();
                    set(&mut event, text);
                    verdicts.push(passes(&mut event));
                }
                for (passed, code) in passed.iter_mut().zip(codes) {
                    *passed &= verdicts.get(usize::try_from(code).ok()?)?;
                }
            }
            Access::Number(_, set) => {
                let mut last = None;
                let mut event = blank.clone();
                for (passed, number) in passed.iter_mut().zip(numbers::take(&mut content, &mut noise, count)?)
                {
                    let verdict = match (last, number) {
                        (Some((known, verdict)), _) if known == number => verdict,
                        (_, None) => passes(&mut blank.clone()),
                        (_, Some(number)) => {
                            set(&mut event, number);
                            passes(&mut event)
                        }
                    };
                    last = Some((number, verdict));
                    *passed &= verdict;
                }
            }
        }
    }
    // No request has a value.
    let passes_without = untested.into_iter().all(|test| (test.takes)(&mut blank.clone()));
    Some(if passes_without { passed } else { vec![false; count] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Columns;
    use crate::store::chunk::{encode, open};
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = RequestEvent> {
        (0i64..9, "[a-c]{0,1}", prop::option::of("[a-c]{0,1}"), 199u16..202, prop::option::of(0u64..3))
            .prop_map(|(time, consumer, host, status, duration_ns)| RequestEvent {
                time,
                consumer,
                host,
                status,
                duration_ns,
                upstream_ns: duration_ns,
                path: Some("/a".to_owned()),
                ..RequestEvent::default()
            })
    }

    type Takes = fn(&mut RequestEvent) -> bool;
    const TESTS: [(&str, Takes); 6] = [
        ("consumer", |event| event.consumer == "a" || event.consumer.is_empty()),
        ("host", |event| event.host.as_deref() != Some("b")),
        ("host", |event| event.host.is_some()),
        ("status", |event| event.status == 200),
        ("duration_ms", |event| event.duration_ns.is_none_or(|ns| ns > 0)),
        ("error_type", |event| event.error_type.is_none()),
    ];

    proptest! {
        #[test]
        fn the_rows_are_those_that_pass_as_requests(
            events in prop::collection::vec(event(), 0..40),
            chosen in prop::collection::vec(0..TESTS.len(), 0..4),
        ) {
            let blob = encode(&Columns::of(&events)).unwrap();
            let chosen: Vec<(&str, Takes)> = chosen.into_iter().map(|place| TESTS[place]).collect();
            let mut tests: Vec<FieldTest<'_>> =
                chosen.iter().map(|(field, takes)| FieldTest { field, takes: Box::new(takes) }).collect();
            let found = open(&blob).unwrap().rows_that(&mut tests).unwrap();
            let expected = events.iter().map(|event| chosen.iter().all(|(_, takes)| takes(&mut event.clone())));
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_field_that_no_request_has_is_tested_once_for_all() {
        let blob = encode(&Columns::of(&[RequestEvent::default(), RequestEvent::default()])).unwrap();
        let takes: Takes = |event| event.host.is_some();
        let mut tests = [FieldTest { field: "host", takes: Box::new(takes) }];
        assert_eq!(open(&blob).unwrap().rows_that(&mut tests), Some(vec![false, false]));
    }
}
