//! Requests as columns: the form in which they are stored, made without a request in between.

use super::RequestEvent;
use super::request::{Access, FIELDS};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// A column whose first texts are all different is taken for one of identifiers, in which a look for a repeat is lost time.
const FIRST_TEXTS: usize = 64;

/// Some requests, by field.
#[derive(Default, Clone, Debug)]
pub(crate) struct Columns {
    times: Vec<i64>,
    /// By the place of their field in [`FIELDS`]; shorter where the last fields were never set.
    fields: Vec<Column>,
    hasher: DefaultHashBuilder,
}

/// The values of one field. A column ends with the last row that has a value.
#[derive(Default, Clone, Debug)]
pub(crate) struct Column {
    /// By row: 0 without a value. Of a number, one more than it; of a text, one more than its place among `texts`.
    codes: Vec<u64>,
    texts: Texts,
}

/// The texts of a column in the order in which they came. A text may be there more than once.
#[derive(Default, Clone, Debug)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    places: HashTable<usize>,
    repeats: bool,
}

impl Columns {
    /// Requests as columns.
    pub(crate) fn of(events: &[RequestEvent]) -> Self {
        let mut columns = Self::default();
        events.iter().for_each(|event| columns.push_event(event));
        columns
    }

    /// Begins a request at a time in Unix nanoseconds; its values follow.
    pub(crate) fn begin(&mut self, time: i64) {
        self.times.push(time);
    }

    /// Gives the last request a text, in the field at this place of [`FIELDS`].
    pub(crate) fn set_text(&mut self, field: usize, text: &[u8]) {
        let row = self.times.len().saturating_sub(1);
        let column = column(&mut self.fields, field);
        let place = match column.codes.last() {
            // Most texts are those of the request before.
            Some(&last) if last > 0 && column.texts.get(last as usize - 1) == text => last as usize - 1,
            _ => column.texts.place(text, &self.hasher),
        };
        column.set(row, place as u64 + 1);
    }

    /// Gives the last request a number, in the field at this place of [`FIELDS`].
    pub(crate) fn set_number(&mut self, field: usize, number: u64) {
        let row = self.times.len().saturating_sub(1);
        column(&mut self.fields, field).set(row, number.saturating_add(1));
    }

    /// Adds a request.
    pub(crate) fn push_event(&mut self, event: &RequestEvent) {
        self.begin(event.time);
        for (place, field) in FIELDS.iter().enumerate() {
            match field.access {
                Access::Text(get, _) => get(event).into_iter().for_each(|text| self.set_text(place, text)),
                Access::Number(get, _) => {
                    get(event).into_iter().for_each(|number| self.set_number(place, number));
                }
            }
        }
    }

    /// Adds the requests of other columns.
    pub(crate) fn append(&mut self, other: &Self) {
        for (row, time) in other.times.iter().enumerate() {
            self.begin(*time);
            for (place, field) in FIELDS.iter().enumerate() {
                let Some(column) = other.field(place) else { continue };
                match field.access {
                    Access::Text(..) => {
                        column.text(row).into_iter().for_each(|text| self.set_text(place, text))
                    }
                    Access::Number(..) => {
                        column.number(row).into_iter().for_each(|number| self.set_number(place, number));
                    }
                }
            }
        }
    }

    /// Gives room back that no further request will need.
    pub(crate) fn shrink(&mut self) {
        self.times.shrink_to_fit();
        for Column { codes, texts } in &mut self.fields {
            codes.shrink_to_fit();
            texts.bytes.shrink_to_fit();
            texts.ends.shrink_to_fit();
            texts.places = HashTable::new();
        }
    }

    /// How many requests.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Starts of the requests, Unix nanoseconds.
    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    /// The column of the field at this place of [`FIELDS`]; `None` where no request has a value.
    pub(crate) fn field(&self, field: usize) -> Option<&Column> {
        self.fields.get(field).filter(|column| !column.codes.is_empty())
    }

    /// The column of the field with this name in the API; `None` where no request has a value.
    pub(crate) fn named(&self, name: &str) -> Option<&Column> {
        self.field(FIELDS.iter().position(|field| field.name == name)?)
    }
}

impl Column {
    /// By row, see [`Column::number`] and [`Column::text`]; as many as there are requests.
    pub(crate) fn codes(&self, requests: usize) -> impl ExactSizeIterator<Item = u64> + Clone {
        (0..requests).map(|row| self.codes.get(row).copied().unwrap_or_default())
    }

    /// The number of a request.
    pub(crate) fn number(&self, row: usize) -> Option<u64> {
        self.codes.get(row)?.checked_sub(1)
    }

    /// The text of a request.
    pub(crate) fn text(&self, row: usize) -> Option<&[u8]> {
        let place = self.codes.get(row)?.checked_sub(1)?;
        Some(self.texts.get(usize::try_from(place).ok()?))
    }

    /// The place of a request's text among [`Column::texts`].
    pub(crate) fn place(&self, row: usize) -> Option<u64> {
        self.codes.get(row)?.checked_sub(1)
    }

    /// The text of a request, where it is UTF-8.
    pub(crate) fn str(&self, row: usize) -> Option<&str> {
        std::str::from_utf8(self.text(row)?).ok()
    }

    /// All texts, in the order in which the rows have them first.
    pub(crate) fn texts(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.texts.ends.len()).map(|place| self.texts.get(place))
    }

    fn set(&mut self, row: usize, code: u64) {
        self.codes.resize(row, 0);
        self.codes.push(code);
    }
}

impl Texts {
    fn get(&self, place: usize) -> &[u8] {
        text_at(&self.bytes, &self.ends, place)
    }

    /// The place of a text, which is added where it is new.
    fn place(&mut self, text: &[u8], hasher: &DefaultHashBuilder) -> usize {
        let Self { bytes, ends, places, repeats } = self;
        let next = ends.len();
        if next < FIRST_TEXTS || *repeats {
            let same = |place: &usize| text_at(bytes, ends, *place) == text;
            let hash = |place: &usize| hasher.hash_one(text_at(bytes, ends, *place));
            match places.entry(hasher.hash_one(text), same, hash) {
                Entry::Occupied(known) => {
                    *repeats = true;
                    return *known.get();
                }
                Entry::Vacant(vacant) => drop(vacant.insert(next)),
            }
        }
        bytes.extend_from_slice(text);
        ends.push(bytes.len());
        next
    }
}

fn text_at<'a>(bytes: &'a [u8], ends: &[usize], place: usize) -> &'a [u8] {
    let start = place.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[start..ends[place]]
}

fn column(fields: &mut Vec<Column>, field: usize) -> &mut Column {
    if fields.len() <= field {
        fields.resize_with(field + 1, Column::default);
    }
    &mut fields[field]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(name: &str) -> usize {
        FIELDS.iter().position(|field| field.name == name).unwrap()
    }

    #[test]
    fn a_text_that_repeats_is_there_once() {
        let event = |route: &str| RequestEvent { route: route.to_owned(), ..RequestEvent::default() };
        let columns = Columns::of(&["/a", "/b", "/a", "/a"].map(event));
        let route = columns.field(place_of("route")).unwrap();
        assert_eq!(route.texts().collect::<Vec<_>>(), [b"/a", b"/b"]);
        assert_eq!(route.codes(4).collect::<Vec<_>>(), [1, 2, 1, 1]);
        assert_eq!([route.text(1), route.text(2), route.text(4)], [Some(&b"/b"[..]), Some(b"/a"), None]);
    }

    #[test]
    fn a_request_without_a_value_has_none_among_others_that_have_one() {
        let event = |port| RequestEvent { port, ..RequestEvent::default() };
        let columns = Columns::of(&[None, Some(8080), None].map(event));
        let port = columns.field(place_of("port")).unwrap();
        assert_eq!([port.number(0), port.number(1), port.number(2)], [None, Some(8080), None]);
        assert_eq!(port.codes(3).collect::<Vec<_>>(), [0, 8081, 0]);
        assert!(columns.field(place_of("query")).is_none());
    }

    #[test]
    fn requests_of_two_batches_become_those_of_one() {
        let event =
            |route: &str, port| RequestEvent { route: route.to_owned(), port, ..RequestEvent::default() };
        let (one, other) = ([event("/a", None)], [event("/b", Some(1)), event("/a", Some(2))]);
        let mut all = Columns::of(&one);
        all.append(&Columns::of(&other));
        let (route, port) = (all.named("route").unwrap(), all.named("port").unwrap());
        assert_eq!((all.len(), route.codes(3).collect::<Vec<_>>()), (3, vec![1, 2, 1]));
        assert_eq!([port.number(0), port.number(1), port.number(2)], [None, Some(1), Some(2)]);
    }

    #[test]
    fn identifiers_are_not_compared_for_ever() {
        let mut columns = Columns::default();
        let id = place_of("request_id");
        for number in (0..2 * FIRST_TEXTS).chain([0]) {
            columns.begin(0);
            columns.set_text(id, number.to_string().as_bytes());
        }
        let ids = columns.field(id).unwrap();
        assert_eq!(ids.texts().len(), 2 * FIRST_TEXTS + 1);
        assert_eq!(ids.text(2 * FIRST_TEXTS), Some(&b"0"[..]));
    }
}
