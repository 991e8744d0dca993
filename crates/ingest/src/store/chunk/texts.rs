//! Texts of a column.
//!
//! A byte that says which requests have which text ([`Rows`]) and another for the form of the texts ([`Form`]); then a
//! varint for each request where [`Rows::Listed`] needs it: 0 without a text, else one more than the place of its text. A
//! place that no request before had is that of a new text. Then come the texts in the order of their places.

use super::shape::Shape;
use super::take_slice;
use crate::model::Column;
use gatelens_model::varint;
use std::net::Ipv4Addr;

/// Fewer texts of a form are not worth the description of the form.
const FEW: usize = 8;

/// Which requests have which text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// As listed.
    Listed = 0,
    /// Each has a text of its own.
    Own = 1,
    /// All have the same.
    Same = 2,
}

/// How the texts are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The lengths of all, then the bytes of all.
    Plain = 0,
    /// Alike except for noise, see [`Shape`].
    Shaped = 1,
    /// The same after each length is doubled. One more means that instead of the text there are only the segments in which
    /// a path differs from its route, with `/` between them.
    ByRoute = 2,
    /// IPv4 addresses: the first bytes of all, then the second ones, and so on.
    Addresses = 3,
}

/// What a column of texts is known to hold.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// Anything.
    Text,
    /// Identifiers in bytes.
    Bytes,
    /// Addresses of clients, mostly.
    Addresses,
    /// Paths of requests with these routes.
    Paths(&'a Column),
}

/// Appends the texts of a column to `out`, and noise to `apart`.
pub(super) fn put(out: &mut Vec<u8>, apart: &mut Vec<u8>, column: &Column, requests: usize, kind: Kind<'_>) {
    let texts = column.texts();
    let codes = column.codes(requests);
    let rows = if texts.len() == 1 && codes.clone().all(|code| code == 1) {
        Rows::Same
    } else if texts.len() == requests && codes.clone().all(|code| code > 0) {
        Rows::Own
    } else {
        Rows::Listed
    };
    out.push(rows as u8);
    let form = out.len();
    out.push(Form::Plain as u8);
    if rows == Rows::Listed {
        codes.for_each(|code| varint::put(out, code));
    }
    let many = texts.len() >= FEW;
    let found = match kind {
        Kind::Paths(routes) => {
            put_paths(out, column, routes, requests);
            Some(Form::ByRoute)
        }
        Kind::Addresses if many => put_addresses(out, texts.clone()).then_some(Form::Addresses),
        Kind::Text | Kind::Bytes if many => {
            let shape = Shape::of(texts.clone(), matches!(kind, Kind::Bytes));
            shape.map(|shape| {
                shape.put(out, apart, texts.clone());
                Form::Shaped
            })
        }
        Kind::Text | Kind::Bytes | Kind::Addresses => None,
    };
    match found {
        Some(found) => out[form] = found as u8,
        None => {
            texts.clone().for_each(|text| varint::put(out, text.len() as u64));
            texts.for_each(|text| out.extend_from_slice(text));
        }
    }
}

/// Takes the texts of a column, one for each request, and gives each to `set` with the place of its request; `None` when they
/// are damaged. The bytes of texts, each as often as it occurs, are taken off what is `left`. `route` is the route of the
/// request at a place.
pub(super) fn take<'a>(
    column: &[u8],
    apart: &mut &[u8],
    requests: usize,
    left: &mut usize,
    route: impl Fn(usize) -> &'a [u8],
    mut set: impl FnMut(usize, Vec<u8>),
) -> Option<()> {
    let (codes, texts) = read(column, apart, requests, route)?;
    for (row, code) in codes.into_iter().enumerate() {
        let Some(place) = code.checked_sub(1) else { continue };
        let text = texts.get(usize::try_from(place).ok()?)?;
        *left = left.checked_sub(text.len())?;
        set(row, text.clone());
    }
    Some(())
}

/// Reads the texts of a column, and for each request 0 without a text, or one more than the place of its text.
pub(super) fn read<'a>(
    mut column: &[u8],
    apart: &mut &[u8],
    requests: usize,
    route: impl Fn(usize) -> &'a [u8],
) -> Option<(Vec<u64>, Vec<Vec<u8>>)> {
    let [rows, form] = take_slice(&mut column, 2)? else { return None };
    let codes: Vec<u64> = match *rows {
        0 => (0..requests).map(|_| varint::take(&mut column)).collect::<Option<_>>()?,
        1 => (1..=requests as u64).collect(),
        2 => vec![1; requests],
        _ => return None,
    };
    // By place: the first request that has the text.
    let mut first = Vec::new();
    for (row, code) in codes.iter().enumerate() {
        match usize::try_from(*code).ok()? {
            code if code == first.len() + 1 => first.push(row),
            code if code > first.len() => return None,
            _ => {}
        }
    }
    let texts = match *form {
        0 => take_plain(column, first.len())?,
        1 => Shape::take(&mut column, apart, first.len())?,
        2 => take_paths(column, &first, route)?,
        3 => take_addresses(column, first.len())?,
        _ => return None,
    };
    Some((codes, texts))
}

fn take_plain(mut column: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    let lengths: Vec<u64> = (0..count).map(|_| varint::take(&mut column)).collect::<Option<_>>()?;
    lengths.into_iter().map(|length| Some(take_slice(&mut column, length)?.to_vec())).collect()
}

fn put_paths(out: &mut Vec<u8>, paths: &Column, routes: &Column, requests: usize) {
    let mut bytes = Vec::new();
    let mut known = 0;
    for (row, code) in paths.codes(requests).enumerate() {
        let Some(path) = paths.text(row).filter(|_| code > known) else { continue };
        known = code;
        let before = bytes.len();
        let is_by_route = routes.text(row).is_some_and(|route| put_differences(&mut bytes, route, path));
        if !is_by_route {
            bytes.truncate(before);
            bytes.extend_from_slice(path);
        }
        varint::put(out, ((bytes.len() - before) as u64) << 1 | u64::from(is_by_route));
    }
    out.append(&mut bytes);
}

fn take_paths<'a>(
    mut column: &[u8],
    first: &[usize],
    route: impl Fn(usize) -> &'a [u8],
) -> Option<Vec<Vec<u8>>> {
    let heads: Vec<u64> = first.iter().map(|_| varint::take(&mut column)).collect::<Option<_>>()?;
    let mut paths = Vec::with_capacity(first.len());
    for (head, row) in heads.into_iter().zip(first) {
        let bytes = take_slice(&mut column, head >> 1)?;
        paths.push(if head & 1 == 0 { bytes.to_vec() } else { with_differences(route(*row), bytes)? });
    }
    Some(paths)
}

/// Appends the segments in which a path differs from its route. False if it differs elsewhere, too.
fn put_differences(out: &mut Vec<u8>, route: &[u8], path: &[u8]) -> bool {
    let mut segments = path.split(is_slash);
    let mut is_first = true;
    for part in route.split(is_slash) {
        match segments.next() {
            Some(segment) if is_parameter(part) => {
                if !std::mem::take(&mut is_first) {
                    out.push(b'/');
                }
                out.extend_from_slice(segment);
            }
            Some(segment) if segment == part => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// The path that [`put_differences`] was given.
fn with_differences(route: &[u8], differences: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(route.len() + differences.len());
    let mut differences = differences.split(is_slash);
    for (place, part) in route.split(is_slash).enumerate() {
        if place > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(if is_parameter(part) { differences.next()? } else { part });
    }
    Some(path)
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn is_parameter(segment: &[u8]) -> bool {
    segment.starts_with(b"{") && segment.ends_with(b"}")
}

/// Appends texts as addresses. False, and nothing is appended, if one of them is none.
fn put_addresses<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a [u8]>) -> bool {
    let parse = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<Ipv4Addr>().ok();
    let Some(addresses) = texts.map(parse).collect::<Option<Vec<_>>>() else { return false };
    for byte in 0..4 {
        out.extend(addresses.iter().map(|address| address.octets()[byte]));
    }
    true
}

fn take_addresses(column: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    let address = |place| {
        let byte = |index: usize| column.get(index * count + place).copied();
        Some(Ipv4Addr::new(byte(0)?, byte(1)?, byte(2)?, byte(3)?).to_string().into_bytes())
    };
    (0..count).map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::{put_differences, with_differences};

    #[test]
    fn a_path_follows_from_its_route_and_where_it_differs() {
        let check = |route: &str, path: &str, expected: Option<&str>| {
            let mut out = Vec::new();
            let found = put_differences(&mut out, route.as_bytes(), path.as_bytes());
            assert_eq!(found.then_some(out.as_slice()), expected.map(str::as_bytes), "{route} {path}");
            if found {
                assert_eq!(with_differences(route.as_bytes(), &out).as_deref(), Some(path.as_bytes()));
            }
        };
        check("/a", "/a", Some(""));
        check("/users/{id}", "/users/7", Some("7"));
        check("/users/{id}/items/{item}", "/users/7/items/", Some("7/"));
        check("/{a}/{b}", "//", Some("/"));
        check("{a}", "", Some(""));
        check("", "", Some(""));
        check("/users/{id}", "/users/7/", None);
        check("/users/{id}/", "/users/7", None);
        check("/users/{id}", "/user/7", None);
        check("__unmatched__", "/a", None);
        check("/a/*", "/a/b", None);
    }
}
