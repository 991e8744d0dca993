//! The tree of segments, bounded in size.

use std::collections::{BTreeMap, BTreeSet};

use gatelens_model::hash::{START, fnv1a};

use crate::patterns::{VALUE, verb};
use crate::shape::Form;

/// Maximum number of nodes; when there are more, the rarest words are forgotten.
pub(super) const MAX_NODES: usize = 8_000;
/// Nodes that are left after the rarest words are forgotten.
const PRUNED_NODES: usize = 6_000;
/// Maximum number of words beside a learned parameter that are watched at a time.
pub(super) const MAX_CANDIDATES: usize = 24;
/// Methods that are told apart; the last place counts all others.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// Bits of the filter of known values.
const KNOWN_BITS: usize = 1 << 16;

pub(super) type Id = u32;
pub(super) const ROOT: Id = 0;

/// A tree with one node for each beginning of a path.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    free: Vec<Id>,
    /// A Bloom filter of words that stood at learned places.
    known: Box<[u64]>,
    /// Words before learned places.
    labels: BTreeSet<Box<str>>,
    /// Words that stay, behind the word before their place.
    kept: BTreeSet<(Box<str>, Box<str>)>,
    /// Requests that read, and those that write.
    reads: u64,
    writes: u64,
}

/// One beginning of paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) parent: Id,
    pub(super) label: Box<str>,
    pub(super) depth: u16,
    /// What follows as a word.
    pub(super) words: BTreeMap<Box<str>, Id>,
    /// What follows a value.
    pub(super) value: Option<Id>,
    /// Requests through this node.
    pub(super) count: u32,
    /// Requests that end here, by method.
    pub(super) methods: [u32; 8],
    /// At a value: a bit for each hash of a distinct value.
    pub(super) sketch: u64,
    /// At a value: requests whose value had a kind that a word cannot be mistaken for, such as a number.
    pub(super) strict: u32,
    /// At a value: requests by two groups of other kinds, `{id}` and the rest.
    pub(super) loose: [u32; 2],
    /// Whether every word that follows is a parameter, except kept ones.
    pub(super) is_place: bool,
    /// Whether this word stays at its place.
    pub(super) is_kept: bool,
    /// Whether it may become such a place soon.
    pub(super) is_open: bool,
    /// At a word beside a learned parameter: requests at the place before it was watched.
    pub(super) born: u32,
    /// Words that were forgotten here.
    pub(super) pruned: u32,
    /// Count and number of words at the last review.
    pub(super) looked: (u32, u32),
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
            known: vec![0; KNOWN_BITS / 64].into(),
            labels: BTreeSet::new(),
            kept: BTreeSet::new(),
            reads: 0,
            writes: 0,
        }
    }
}

impl Trie {
    pub(super) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub(super) fn node_mut(&mut self, id: Id) -> Option<&mut Node> {
        self.nodes.get_mut(id as usize)
    }

    /// All nodes that are in use, in no particular order of the tree.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        let free: BTreeSet<Id> = self.free.iter().copied().collect();
        let end = Id::try_from(self.nodes.len()).unwrap_or(Id::MAX);
        (0..end).filter(move |id| !free.contains(id))
    }

    /// Begins a path that so many requests had.
    pub(super) fn walk(&mut self, requests: u32) -> Walk<'_> {
        if self.nodes.len().saturating_sub(self.free.len()) >= MAX_NODES {
            self.prune();
        }
        self.count(ROOT, requests);
        Walk { trie: self, at: Some(ROOT), requests }
    }

    /// Makes a learned place, with the words that stay literal there.
    pub(super) fn plant<'a>(&mut self, before: &str, words: impl Iterator<Item = &'a str>) {
        let place = before.split('/').skip(1).fold(ROOT, |at, segment| self.child(at, segment));
        if let Some(node) = self.node_mut(place) {
            node.is_place = true;
            let label = node.label.clone();
            self.note_label(label);
        }
        for word in words {
            let kept = self.child(place, word);
            if let Some(node) = self.node_mut(kept) {
                node.is_kept = true;
            }
            self.note_kept(place, word);
        }
    }

    /// Remembers a word that stays at a place.
    pub(super) fn note_kept(&mut self, place: Id, word: &str) {
        let label = self.node(place).map(|node| node.label.clone()).filter(|label| &**label != VALUE);
        if let Some(label) = label.filter(|_| self.kept.len() < MAX_NODES) {
            self.kept.insert((label, word.into()));
        }
    }

    /// Whether a word stays behind the same word elsewhere: the `public-key` of `secrets`.
    pub(super) fn is_kept_elsewhere(&self, place: Id, word: &str) -> bool {
        self.node(place).is_some_and(|node| self.kept.contains(&(node.label.clone(), word.into())))
    }

    /// By the route before each learned place the words that stay literal there.
    pub(super) fn places(&self) -> BTreeMap<String, BTreeSet<String>> {
        let places = self.ids().filter_map(|id| Some((id, self.node(id)?))).filter(|(_, node)| node.is_place);
        places.map(|(id, node)| (self.route(id), self.kept(node))).collect()
    }

    fn kept(&self, node: &Node) -> BTreeSet<String> {
        let is_kept = |id: &Id| self.node(*id).is_some_and(|word| word.is_kept);
        node.words.iter().filter(|(_, id)| is_kept(id)).map(|(word, _)| word.to_string()).collect()
    }

    /// The route before what follows a node.
    pub(super) fn route(&self, id: Id) -> String {
        let mut labels = Vec::new();
        let mut at = id;
        while let Some(node) = self.node(at).filter(|_| at != ROOT) {
            labels.push(node.label.as_ref());
            at = node.parent;
        }
        let mut route = String::new();
        for label in labels.into_iter().rev() {
            if !is_verb(label) {
                route.push('/');
            }
            route.push_str(label);
        }
        route
    }

    /// The child of that label, made where there is none.
    pub(super) fn child(&mut self, parent: Id, label: &str) -> Id {
        let Some(node) = self.node(parent) else { return ROOT };
        let known = if label == VALUE { node.value } else { node.words.get(label).copied() };
        if let Some(id) = known {
            return id;
        }
        let made =
            Node { parent, label: label.into(), depth: node.depth.saturating_add(1), ..Node::default() };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(node) = self.node_mut(id) {
                    *node = made;
                }
                id
            }
            None => {
                let id = Id::try_from(self.nodes.len()).unwrap_or(Id::MAX);
                self.nodes.push(made);
                id
            }
        };
        if let Some(node) = self.node_mut(parent) {
            match label {
                VALUE => node.value = Some(id),
                word => {
                    node.words.insert(word.into(), id);
                }
            }
        }
        id
    }

    fn count(&mut self, id: Id, requests: u32) {
        if let Some(node) = self.node_mut(id) {
            node.count = node.count.saturating_add(requests);
        }
    }

    /// Whether clients write, which the readers of a web site do not.
    pub(super) fn is_written_to(&self) -> bool {
        self.writes.saturating_mul(20) >= self.reads.saturating_add(self.writes)
    }

    /// Whether a learned place stands behind that word somewhere.
    pub(super) fn is_label(&self, word: &str) -> bool {
        self.labels.contains(word)
    }

    /// Remembers the word before a learned place.
    pub(super) fn note_label(&mut self, word: Box<str>) {
        if &*word != VALUE && self.labels.len() < MAX_NODES {
            self.labels.insert(word);
        }
    }

    /// Whether a word stood at a learned place before.
    pub(super) fn is_known(&self, word: &str) -> bool {
        let hash = hash(word.as_bytes());
        [hash, hash >> 32].iter().all(|hash| {
            let (word, bit) = place_of(*hash);
            self.known.get(word).is_some_and(|bits| bits & bit != 0)
        })
    }

    /// Remembers a word that stands at a learned place.
    pub(super) fn know(&mut self, word: &str) {
        let hash = hash(word.as_bytes());
        for hash in [hash, hash >> 32] {
            let (word, bit) = place_of(hash);
            if let Some(bits) = self.known.get_mut(word) {
                *bits |= bit;
            }
        }
    }

    /// Moves a word's node with all that follows it under the value of the same place.
    pub(super) fn fold(&mut self, place: Id, word: &str) {
        let Some(id) = self.node_mut(place).and_then(|node| node.words.remove(word)) else { return };
        self.know(word);
        let value = self.child(place, VALUE);
        let bit = bit_of(word.as_bytes());
        if let Some(node) = self.node_mut(value) {
            node.sketch |= bit;
        }
        self.absorb(value, id);
    }

    /// Adds what is below and at `from` to `into`, and removes `from`.
    fn absorb(&mut self, into: Id, from: Id) {
        let Some(taken) = self.node_mut(from).map(std::mem::take) else { return };
        self.free.push(from);
        let Some(node) = self.node_mut(into) else { return };
        node.count = node.count.saturating_add(taken.count);
        node.looked = (0, 0);
        node.sketch |= taken.sketch;
        node.strict = node.strict.saturating_add(taken.strict);
        add(&mut node.loose, &taken.loose);
        add(&mut node.methods, &taken.methods);
        let becomes_place = taken.is_place && !node.is_place;
        node.is_place |= taken.is_place;
        let is_place = node.is_place;
        if becomes_place {
            // What stood at the place as words is not known to stay.
            let words: Vec<Box<str>> = node.words.keys().filter(|word| is_foldable(word)).cloned().collect();
            let kept = |trie: &Self, word: &str| {
                taken.words.get(word).and_then(|id| trie.node(*id)).is_some_and(|node| node.is_kept)
            };
            for word in words {
                if !kept(self, &word) {
                    self.fold(into, &word);
                }
            }
        }
        if let Some(from) = taken.value {
            let value = self.child(into, VALUE);
            self.absorb(value, from);
        }
        for (word, from) in taken.words {
            let is_kept = self.node(from).is_some_and(|node| node.is_kept);
            let stays = is_kept
                || !is_place
                || !is_foldable(&word)
                || self.node(into).is_some_and(|node| node.words.contains_key(&word));
            let target = if stays { self.child(into, &word) } else { self.child(into, VALUE) };
            if stays
                && is_kept
                && let Some(node) = self.node_mut(target)
            {
                node.is_kept = true;
            }
            if !stays {
                self.know(&word);
                let bit = bit_of(word.as_bytes());
                if let Some(node) = self.node_mut(target) {
                    node.sketch |= bit;
                }
            }
            self.absorb(target, from);
        }
    }

    /// Forgets words seen once, then twice, then four times, until there is room.
    fn prune(&mut self) {
        let mut rare: u32 = 1;
        while self.nodes.len().saturating_sub(self.free.len()) > PRUNED_NODES {
            for id in self.ids().collect::<Vec<_>>() {
                let Some(node) = self.node(id) else { continue };
                let is_rare = |child: &Id| {
                    self.node(*child)
                        .is_some_and(|node| node.count <= rare && !node.is_kept && !self.has_place(*child))
                };
                let words: Vec<_> = node
                    .words
                    .iter()
                    .filter(|(_, child)| is_rare(child))
                    .map(|(word, id)| (word.clone(), *id))
                    .collect();
                let value = node.value.filter(is_rare);
                if let Some(node) = self.node_mut(id) {
                    words.iter().for_each(|(word, _)| {
                        node.words.remove(word);
                    });
                    node.pruned = node.pruned.saturating_add(u32::try_from(words.len()).unwrap_or(u32::MAX));
                    if value.is_some() {
                        node.value = None;
                    }
                }
                words.iter().map(|(_, id)| *id).chain(value).for_each(|child| self.remove(child));
            }
            let Some(next) = rare.checked_mul(2) else { break };
            rare = next;
        }
    }

    fn has_place(&self, id: Id) -> bool {
        self.node(id).is_some_and(|node| {
            node.is_place || node.words.values().chain(node.value.iter()).any(|child| self.has_place(*child))
        })
    }

    fn remove(&mut self, id: Id) {
        let Some(node) = self.node_mut(id).map(std::mem::take) else { return };
        self.free.push(id);
        node.words.values().chain(node.value.iter()).for_each(|child| self.remove(*child));
    }
}

/// One path on its way through the tree.
pub(super) struct Walk<'a> {
    trie: &'a mut Trie,
    at: Option<Id>,
    requests: u32,
}

/// What is known of a segment beside the form in which it stands in a route.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    /// The segment as it was sent.
    Sent(&'a [u8]),
    /// A route alone: behind its placeholder stood one value or another.
    Route,
}

impl Walk<'_> {
    /// Follows a segment as it is written in a route.
    pub(super) fn step(&mut self, written: &str, form: Form, seen: Seen<'_>) {
        let verb = verb(written);
        let base = written.get(..written.len().saturating_sub(verb.map_or(0, str::len))).unwrap_or(written);
        let is_value =
            form == Form::Value || form == Form::Compound && base.starts_with('{') && base.ends_with('}');
        let Some(at) = self.at else { return };
        let Some(here) = self.trie.node(at) else { return };
        let born = here.count;
        let as_value = is_value || here.is_place && is_foldable(base) && !self.watches(here, base);
        let label = if as_value { VALUE } else { base };
        if as_value && !is_value {
            self.trie.know(base);
        }
        let next = self.trie.child(at, label);
        let requests = self.requests;
        if let Some(node) = self.trie.node_mut(next).filter(|node| node.count == 0) {
            node.born = born.saturating_sub(requests).saturating_add(1);
        }
        self.trie.count(next, requests);
        if as_value && let Some(node) = self.trie.node_mut(next) {
            node.sketch |= match seen {
                Seen::Sent(raw) => bit_of(raw),
                Seen::Route if is_value => bits_behind(base, node.count, requests),
                Seen::Route => bit_of(base.as_bytes()),
            };
            if is_value {
                match base {
                    "{number}" | "{uuid}" | "{date}" | "{email}" | "{ulid}" => {
                        node.strict = node.strict.saturating_add(requests)
                    }
                    "{id}" => add(&mut node.loose, &[requests, 0]),
                    _ => add(&mut node.loose, &[0, requests]),
                }
            }
        }
        self.at = Some(next);
        if let Some(verb) = verb {
            let next = self.trie.child(next, verb);
            self.trie.count(next, requests);
            self.at = Some(next);
        }
    }

    /// Ends the path.
    pub(super) fn end(self, method: &str) {
        let requests = u64::from(self.requests);
        match method {
            "GET" | "HEAD" | "OPTIONS" => self.trie.reads = self.trie.reads.saturating_add(requests),
            _ => self.trie.writes = self.trie.writes.saturating_add(requests),
        }
        let known = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len());
        let node = self.at.and_then(|at| self.trie.node_mut(at));
        if let Some(count) = node.and_then(|node| node.methods.get_mut(known)) {
            *count = count.saturating_add(self.requests);
        }
    }

    /// Whether a word at a learned place has a node of its own: it is kept, or watched.
    fn watches(&self, place: &Node, word: &str) -> bool {
        place.words.contains_key(word)
            || place
                .words
                .values()
                .filter(|id| self.trie.node(**id).is_some_and(|node| !node.is_kept))
                .count()
                < MAX_CANDIDATES
    }
}

/// Whether a label is a verb behind a segment.
pub(super) fn is_verb(label: &str) -> bool {
    label.starts_with(':')
}

/// Whether a word can be a value: an empty segment and a verb cannot.
pub(super) fn is_foldable(label: &str) -> bool {
    !label.is_empty() && !is_verb(label)
}

fn add<const N: usize>(into: &mut [u32; N], from: &[u32; N]) {
    for (into, from) in into.iter_mut().zip(from) {
        *into = into.saturating_add(*from);
    }
}

fn bit_of(value: &[u8]) -> u64 {
    1_u64.wrapping_shl(u32::try_from(hash(value) >> 58).unwrap_or(0))
}

/// The sketch of the values behind a placeholder, which are not known. Dates, versions and locales near the root of an API
/// are mostly the same in every request; identifiers are mostly different ones.
fn bits_behind(placeholder: &str, count: u32, requests: u32) -> u64 {
    match placeholder {
        "{date}" | "{version}" | "{locale}" => bit_of(placeholder.as_bytes()),
        _ => u64::MAX.checked_shl(requests).map_or(u64::MAX, |rest| !rest).rotate_left(count % 64),
    }
}

fn place_of(hash: u64) -> (usize, u64) {
    let bit = usize::try_from(hash & 0xffff).unwrap_or(0) % KNOWN_BITS;
    (bit / 64, 1_u64.wrapping_shl(u32::try_from(bit % 64).unwrap_or(0)))
}

/// FNV-1a with a final mixing: the same on all platforms.
fn hash(bytes: &[u8]) -> u64 {
    let hash = fnv1a(START, bytes);
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
