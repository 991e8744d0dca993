//! Which requests of a chunk may match, found by single columns: a text is tested once for all requests that have it, and
//! no request is made of those that do not match.

use super::{COUNT, Opened, PATH, Part, Parts, ROUTE, TIME, UPSTREAM, first, numbers, texts};
use crate::model::RequestEvent;
use crate::model::request::{Access, FIELDS};

/// A test of fields of a request, each by itself.
pub(crate) struct FieldTest<'a> {
    /// Their names in the API.
    pub(crate) fields: Vec<&'static str>,
    pub(crate) needs: Needs,
    /// Whether a request may match. It has a value in one of these fields, and otherwise at most its direction.
    pub(crate) takes: Box<dyn FnMut(&mut RequestEvent) -> bool + 'a>,
}

/// How many of its fields must pass a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Any,
    All,
}

/// A test under way.
struct Tested<'a, 'b> {
    test: &'b mut FieldTest<'a>,
    passed: Vec<bool>,
    /// Fields that were not tested yet.
    left: Vec<&'static str>,
}

impl Opened<'_> {
    /// By request, whether it passes all tests; `None` when the chunk is damaged. A time upstream is not tested.
    pub(crate) fn rows_that(&self, tests: &mut [FieldTest<'_>]) -> Option<Vec<bool>> {
        let (parts, count) = match self {
            // There are few of them.
            Self::First(rest) => return Some(vec![true; first::decode(rest, |_| false)?.len()]),
            Self::Columns { columns, apart, count } => (Parts { columns, apart }, *count),
        };
        if tests.is_empty() {
            return Some(vec![true; count]);
        }
        let direction = direction(parts.clone(), count)?;
        tested(parts, count, tests, &RequestEvent { direction, ..RequestEvent::default() })
    }
}

impl Tested<'_, '_> {
    fn takes(&mut self, event: &mut RequestEvent) -> bool {
        (self.test.takes)(event)
    }

    /// Notes by request whether it passes by one field.
    fn note(&mut self, field: &str, verdicts: impl Iterator<Item = bool>) {
        self.left.retain(|left| *left != field);
        for (passed, verdict) in self.passed.iter_mut().zip(verdicts) {
            match self.test.needs {
                Needs::Any => *passed |= verdict,
                Needs::All => *passed &= verdict,
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
            return Some(text_of(&codes, &texts, 0).and_then(|text| String::from_utf8(text.to_vec()).ok()));
        }
    }
    Some(None)
}

fn tested(
    mut parts: Parts<'_>,
    count: usize,
    tests: &mut [FieldTest<'_>],
    blank: &RequestEvent,
) -> Option<Vec<bool>> {
    let mut all: Vec<Tested<'_, '_>> = tests
        .iter_mut()
        .map(|test| Tested { passed: vec![test.needs == Needs::All; count], left: test.fields.clone(), test })
        .collect();
    let mut routes = (Vec::new(), Vec::new());
    while let Some(Part { number, mut content, mut noise }) = parts.next()? {
        let field = FIELDS.iter().find(|field| field.column == number);
        let Some(field) = field.filter(|_| ![COUNT, TIME].contains(&number)) else { continue };
        let mut asked: Vec<_> = all.iter_mut().filter(|test| test.left.contains(&field.name)).collect();
        if asked.is_empty() && number != ROUTE {
            continue;
        }
        let mut event = blank.clone();
        match field.access {
            Access::Text(_, set) => {
                // The route has come before the path, which may be the difference to it.
                let route = |row| match number {
                    PATH => text_of(&routes.0, &routes.1, row).unwrap_or_default(),
                    _ => &[],
                };
                let (codes, texts) = texts::read(content, &mut noise, count, route)?;
                for test in &mut asked {
                    let mut verdicts = vec![test.takes(&mut blank.clone())];
                    for text in &texts {
                        set(&mut event, text.clone());
                        verdicts.push(test.takes(&mut event));
                    }
                    let verdict = |code: &u64| {
                        usize::try_from(*code).is_ok_and(|code| verdicts.get(code) == Some(&true))
                    };
                    test.note(field.name, codes.iter().map(verdict));
                }
                if number == ROUTE {
                    routes = (codes, texts);
                }
            }
            // It is stored by its distance to the duration.
            Access::Number(..) if number == UPSTREAM => {
                asked.iter_mut().for_each(|test| test.note(field.name, std::iter::repeat(true)));
            }
            Access::Number(_, set) => {
                let numbers = numbers::take(&mut content, &mut noise, count)?;
                for test in &mut asked {
                    let without = test.takes(&mut blank.clone());
                    let mut verdicts = Vec::with_capacity(count);
                    for number in &numbers {
                        verdicts.push(number.map_or(without, |number| {
                            set(&mut event, number);
                            test.takes(&mut event)
                        }));
                    }
                    test.note(field.name, verdicts.into_iter());
                }
            }
        }
    }
    let mut passed = vec![true; count];
    for mut test in all {
        // No request has a value in these fields.
        let without = !test.left.is_empty() && test.takes(&mut blank.clone());
        for field in std::mem::take(&mut test.left) {
            test.note(field, std::iter::repeat(without));
        }
        passed.iter_mut().zip(test.passed).for_each(|(passed, own)| *passed &= own);
    }
    Some(passed)
}

/// The text of a request.
fn text_of<'a>(codes: &[u64], texts: &'a [Vec<u8>], row: usize) -> Option<&'a [u8]> {
    let place = codes.get(row)?.checked_sub(1)?;
    texts.get(usize::try_from(place).ok()?).map(Vec::as_slice)
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
                path: Some(format!("/{time}")),
                route: "/{id}".to_owned(),
                ..RequestEvent::default()
            })
    }

    type Takes = fn(&mut RequestEvent) -> bool;
    const TESTS: [(&str, Takes); 7] = [
        ("path", |event| event.path.as_deref() > Some("/4")),
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
            let chosen: Vec<(&'static str, Takes)> = chosen.into_iter().map(|place| TESTS[place]).collect();
            let test = |(field, takes): &(&'static str, Takes)| {
                FieldTest { fields: vec![field], needs: Needs::All, takes: Box::new(*takes) }
            };
            let mut tests: Vec<FieldTest<'_>> = chosen.iter().map(test).collect();
            let found = open(&blob).unwrap().rows_that(&mut tests).unwrap();
            let expected = events.iter().map(|event| chosen.iter().all(|(_, takes)| takes(&mut event.clone())));
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_field_that_no_request_has_is_tested_once_for_all() {
        let blob = encode(&Columns::of(&[RequestEvent::default(), RequestEvent::default()])).unwrap();
        let takes: Takes = |event| event.host.is_some();
        let mut tests = [FieldTest { fields: vec!["host"], needs: Needs::All, takes: Box::new(takes) }];
        assert_eq!(open(&blob).unwrap().rows_that(&mut tests), Some(vec![false, false]));
    }

    #[test]
    fn any_or_all_of_some_fields_must_pass() {
        let event = |consumer: &str, host: Option<&str>| RequestEvent {
            consumer: consumer.to_owned(),
            host: host.map(str::to_owned),
            ..RequestEvent::default()
        };
        let events = [event("x", None), event("y", Some("x")), event("y", Some("y")), event("x", Some("x"))];
        let blob = encode(&Columns::of(&events)).unwrap();
        let is_x: Takes = |event| event.consumer == "x" || event.host.as_deref() == Some("x");
        let is_not_x: Takes = |event| event.consumer != "x" && event.host.as_deref() != Some("x");
        for (needs, takes, expected) in [
            (Needs::Any, is_x, [true, true, false, true]),
            (Needs::All, is_not_x, [false, false, true, false]),
        ] {
            let fields = vec!["consumer", "host", "request_id"];
            let mut tests = [FieldTest { fields, needs, takes: Box::new(takes) }];
            assert_eq!(open(&blob).unwrap().rows_that(&mut tests).unwrap(), expected);
        }
    }
}
