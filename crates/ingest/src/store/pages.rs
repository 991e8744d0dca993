//! The pages of a database file, read without SQLite: what a damaged file still has.
//!
//! SQLite ends at the first page that is not what it should be; the pages beyond are still good. This walks the trees of a
//! file page by page and cell by cell, passes over what it cannot read, and finds the leaves that no tree leads to any
//! more. It follows the file format as documented at <https://www.sqlite.org/fileformat2.html>. Nothing in the file is
//! trusted: each offset and each number is checked, and no page is read twice.

use super::schema::{METRICS_PAGE, REQUESTS_PAGE};
use rusqlite::types::Value;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// Of files whose header cannot be read: the sizes that files of ours have.
const OUR_PAGE_SIZES: [usize; 2] = [REQUESTS_PAGE as usize, METRICS_PAGE as usize];
/// Pages that are looked at to tell which of them a file has.
const PAGES_OF_A_SAMPLE: u64 = 256;
const TABLE_LEAF: u8 = 0x0d;
const TABLE_INTERIOR: u8 = 0x05;
const INDEX_LEAF: u8 = 0x0a;
const INDEX_INTERIOR: u8 = 0x02;
/// Levels of a tree. Each page of a tree has two children at least.
const MAX_DEPTH: usize = 20;
/// Columns of a record of ours.
const MAX_COLUMNS: usize = 64;
/// Bytes of a record of ours.
const MAX_RECORD: usize = 256 << 20;

/// A file as pages.
pub(super) struct Image {
    file: File,
    page_size: usize,
    /// Bytes of a page that the format uses.
    usable: usize,
    pages: u32,
    /// Whether the header can be read.
    header: Option<Header>,
    /// By page: whether a tree or the free list has it.
    seen: Vec<bool>,
}

/// The part of the header that a copy needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) user_version: u32,
    pub(super) application_id: u32,
    first_free: u32,
    free: u32,
}

/// A part of a tree, in the order of its keys.
pub(super) enum Item {
    /// A row of a table, with its rowid; or a record of an index or of a table without rowids.
    Record(Option<i64>, Vec<Value>),
    /// A page or some cells that cannot be read.
    Lost,
}

/// A page of a tree.
struct Node {
    kind: u8,
    page: Vec<u8>,
    /// Offsets of the cells.
    cells: Vec<usize>,
    /// The last child of an inner page.
    last: u32,
}

impl Image {
    /// Opens a file, whose header may have the mark of an application. Journals beside it are not looked at.
    pub(super) fn open(path: &Path, application_id: u32) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut head = [0; 100];
        let is_read = file.read_exact_at(&mut head, 0).is_ok();
        // One of the marks may be what is damaged.
        let is_ours = u32_at(&head, 68) == Some(application_id);
        let has_head = is_read && (head.starts_with(MAGIC) || is_ours);
        let size = match u16_at(&head, 16) {
            Some(1) => 65_536,
            size => usize::from(size.unwrap_or_default()),
        };
        let is_size = size.is_power_of_two() && (512..=65_536).contains(&size);
        let page_size = if has_head && is_size { size } else { likely_page_size(&file) };
        let reserved = if has_head { usize::from(head[20]).min(32) } else { 0 };
        let number = |at| u32_at(&head, at).unwrap_or_default();
        let header = has_head.then(|| Header {
            user_version: number(60),
            application_id: number(68),
            first_free: number(32),
            free: number(36),
        });
        let pages = u32::try_from(file.metadata()?.len() / page_size as u64).unwrap_or(u32::MAX - 1);
        let seen = vec![false; pages as usize + 1];
        Ok(Self { file, page_size, usable: page_size - reserved, pages, header, seen })
    }

    pub(super) fn header(&self) -> Option<Header> {
        self.header
    }

    /// Walks a tree, and hands out all that is in it.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn walk<E>(
        &mut self,
        root: u32,
        take: &mut impl FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk_below(root, None, 0, take)
    }

    fn walk_below<E>(
        &mut self,
        number: u32,
        is_table: Option<bool>,
        depth: usize,
        take: &mut impl FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        let node = self.claim(number).then(|| self.node(number)).flatten();
        let wanted = |node: &Node| is_table.is_none_or(|is_table| is_table == node.is_table());
        let Some(node) = node.filter(|node| wanted(node) && depth < MAX_DEPTH) else {
            return take(Item::Lost);
        };
        let is_table = node.is_table();
        for &at in &node.cells {
            if node.is_leaf() {
                self.take_cell(&node, at, take)?;
                continue;
            }
            match u32_at(&node.page, at) {
                Some(child) => self.walk_below(child, Some(is_table), depth + 1, take)?,
                None => take(Item::Lost)?,
            }
            if !is_table {
                self.take_cell(&node, at + 4, take)?;
            }
        }
        if node.is_leaf() { Ok(()) } else { self.walk_below(node.last, Some(is_table), depth + 1, take) }
    }

    fn take_cell<E>(
        &mut self,
        node: &Node,
        at: usize,
        take: &mut impl FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        take(match self.cell(node, at) {
            Some((rowid, values)) => Item::Record(rowid, values),
            None => Item::Lost,
        })
    }

    /// Marks the pages of the free list. False if the list is damaged: then a page that no tree leads to may be an old
    /// copy.
    pub(super) fn walk_free(&mut self) -> bool {
        let Some(Header { first_free, free, .. }) = self.header else { return false };
        let (mut next, mut found) = (first_free, 0u32);
        while next != 0 {
            let Some(trunk) = self.claim(next).then(|| self.page(next)).flatten() else { return false };
            let count = u32_at(&trunk, 4).unwrap_or(u32::MAX) as usize;
            if count > self.usable / 4 {
                return false;
            }
            let leaves: Vec<u32> = (0..count).filter_map(|index| u32_at(&trunk, 8 + 4 * index)).collect();
            if leaves.len() != count || !leaves.iter().all(|leaf| self.claim(*leaf)) {
                return false;
            }
            found = found.saturating_add(1 + count as u32);
            next = u32_at(&trunk, 0).unwrap_or_default();
        }
        found == free
    }

    /// Hands out the records of the pages that neither a tree nor the free list has. Call it after both were walked.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn orphans<E>(&mut self, take: &mut impl FnMut(Item) -> Result<(), E>) -> Result<(), E> {
        for number in 2..=self.pages {
            if self.seen.get(number as usize) != Some(&false) {
                continue;
            }
            // Inner pages of a table have no rows, those of an index have.
            let Some(node) = self.node(number).filter(|node| node.kind != TABLE_INTERIOR) else { continue };
            for at in node.cells.iter().map(|at| if node.is_leaf() { *at } else { *at + 4 }) {
                if let Some((rowid, values)) = self.cell(&node, at) {
                    take(Item::Record(rowid, values))?;
                }
            }
        }
        Ok(())
    }

    /// Marks a page as one that belongs somewhere. False if it does already, or is none.
    fn claim(&mut self, number: u32) -> bool {
        match self.seen.get_mut(number as usize) {
            Some(seen) if number > 0 => !std::mem::replace(seen, true),
            _ => false,
        }
    }

    fn page(&self, number: u32) -> Option<Vec<u8>> {
        let mut page = vec![0; self.page_size];
        let offset = u64::from(number.checked_sub(1)?) * self.page_size as u64;
        self.file.read_exact_at(&mut page, offset).ok()?;
        page.truncate(self.usable);
        Some(page)
    }

    fn node(&self, number: u32) -> Option<Node> {
        let page = self.page(number)?;
        let begin = if number == 1 { 100 } else { 0 };
        let kind = *page.get(begin)?;
        let head = match kind {
            TABLE_LEAF | INDEX_LEAF => 8,
            TABLE_INTERIOR | INDEX_INTERIOR => 12,
            _ => return None,
        };
        let count = usize::from(u16_at(&page, begin + 3)?);
        let pointers = begin + head;
        let end = pointers + 2 * count;
        let last = if head == 12 { u32_at(&page, begin + 8)? } else { 0 };
        // A pointer that leads nowhere is a cell that cannot be read.
        let cells = (0..count)
            .map(|index| u16_at(&page, pointers + 2 * index).map(usize::from))
            .map(|at| at.map(|at| if at < end { page.len() } else { at }))
            .collect::<Option<Vec<_>>>()?;
        Some(Node { kind, page, cells, last })
    }

    /// A record on a page and, where it is long, on further ones.
    fn cell(&mut self, node: &Node, at: usize) -> Option<(Option<i64>, Vec<Value>)> {
        let mut rest = node.page.get(at..)?;
        let length = usize::try_from(varint(&mut rest)?).ok().filter(|length| *length <= MAX_RECORD)?;
        let rowid = if node.is_table() { Some(varint(&mut rest)?) } else { None };
        let usable = self.usable;
        let most = if node.is_table() { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
        if length <= most {
            return Some((rowid, record(rest.get(..length)?)?));
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (usable - 4);
        let local = if fitting <= most { fitting } else { least };
        let mut payload = rest.get(..local)?.to_vec();
        let mut next = u32_at(rest, local)?;
        while payload.len() < length {
            if !self.claim(next) {
                return None;
            }
            let page = self.page(next)?;
            let part = page.get(4..)?;
            payload.extend_from_slice(part.get(..part.len().min(length - payload.len()))?);
            next = u32_at(&page, 0)?;
        }
        if next == 0 { Some((rowid, record(&payload)?)) } else { None }
    }
}

impl Node {
    fn is_leaf(&self) -> bool {
        matches!(self.kind, TABLE_LEAF | INDEX_LEAF)
    }

    fn is_table(&self) -> bool {
        matches!(self.kind, TABLE_LEAF | TABLE_INTERIOR)
    }
}

/// The size by which most of a file looks like pages with cells.
fn likely_page_size(file: &File) -> usize {
    let pages = |size: usize| {
        let mut page = vec![0; size];
        let is_page =
            |number: &u64| file.read_exact_at(&mut page, number * size as u64).is_ok() && has_cells(&page);
        let sample = (1..PAGES_OF_A_SAMPLE).filter(is_page).count();
        (sample * size, size)
    };
    OUR_PAGE_SIZES.map(pages).into_iter().max().map_or(0, |(_, size)| size)
}

/// Whether bytes look like a page with cells, all of them within it.
fn has_cells(page: &[u8]) -> bool {
    let head = match page.first() {
        Some(&(TABLE_LEAF | INDEX_LEAF)) => 8,
        Some(&(TABLE_INTERIOR | INDEX_INTERIOR)) => 12,
        _ => return false,
    };
    let count = u16_at(page, 3).map_or(0, usize::from);
    let end = head + 2 * count;
    let cell = |index: usize| {
        u16_at(page, head + 2 * index).is_some_and(|at| (end..page.len()).contains(&usize::from(at)))
    };
    count > 0 && (0..count).all(cell)
}

/// The values of a record; `None` unless it ends where its header says.
fn record(payload: &[u8]) -> Option<Vec<Value>> {
    let mut rest = payload;
    let head = usize::try_from(varint(&mut rest)?).ok()?;
    let begin = payload.len() - rest.len();
    let mut types = payload.get(begin..head)?;
    let mut body = payload.get(head..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        if values.len() >= MAX_COLUMNS {
            return None;
        }
        let mut take = |length: usize| -> Option<&[u8]> {
            let (value, after) = body.split_at_checked(length)?;
            body = after;
            Some(value)
        };
        values.push(match kind {
            0 => Value::Null,
            1..=4 => Value::Integer(signed(take(kind as usize)?)),
            5 => Value::Integer(signed(take(6)?)),
            6 => Value::Integer(signed(take(8)?)),
            7 => Value::Real(f64::from_be_bytes(take(8)?.try_into().ok()?)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            kind if kind >= 12 => {
                let bytes = take(usize::try_from((kind - 12) / 2).ok()?)?.to_vec();
                if kind % 2 == 0 { Value::Blob(bytes) } else { Value::Text(String::from_utf8(bytes).ok()?) }
            }
            _ => return None,
        });
    }
    body.is_empty().then_some(values)
}

/// A big-endian number of up to 8 bytes, with its sign.
fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| (value << 8) | i64::from(*byte))
}

/// A number of SQLite: up to 9 bytes, the most significant first.
fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for index in 0..9 {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        if index == 8 {
            return Some(((value << 8) | u64::from(byte)) as i64);
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(value as i64)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
