//! Evidence for and against a parameter at a place.

use std::collections::BTreeMap;

use super::trie::{Id, Node, ROOT, Trie, is_foldable};
use super::vocabulary::{is_base, is_plural, is_version};
use crate::patterns::VALUE;

/// Depth to which what follows siblings is compared.
const MAX_DEPTH: usize = 4;
/// Distinct values of a segment that is the version of an API.
const MAX_VERSIONS: u32 = 3;
/// Coincidences that must be expected before their number says anything.
const MIN_EXPECTED: f64 = 5.0;

/// The words and the value that stand at a place.
pub(super) struct Place<'a> {
    pub(super) trie: &'a Trie,
    pub(super) id: Id,
    pub(super) node: &'a Node,
    /// Words that may be values, with their nodes.
    pub(super) words: Vec<(&'a str, Id, &'a Node)>,
    pub(super) value: Option<(Id, &'a Node)>,
}

/// What follows words, and the value beside them.
pub(super) struct Following<'a> {
    of: BTreeMap<Id, Continuations<'a>>,
    /// For each depth the segments, with the number of siblings before them.
    siblings: Continuations<'a>,
}

impl<'a> Place<'a> {
    pub(super) fn of(trie: &'a Trie, id: Id) -> Option<Self> {
        let node = trie.node(id)?;
        let words = node.words.iter().filter(|(word, _)| is_foldable(word));
        let words = words.filter_map(|(word, id)| Some((word.as_ref(), *id, trie.node(*id)?)));
        let value = node.value.and_then(|id| Some((id, trie.node(id)?)));
        Some(Self { trie, id, node, words: words.collect(), value })
    }

    /// Requests with a word here.
    pub(super) fn word_requests(&self) -> u32 {
        self.words.iter().fold(0, |sum, (_, _, node)| sum.saturating_add(node.count))
    }

    /// Whether many values with a shape stand here.
    pub(super) fn is_by_shape(&self) -> bool {
        self.value.is_some_and(|(_, value)| value.count >= 20 && value.sketch.count_ones() >= 6)
    }

    /// Whether words could be values, too: the values have a shape that some of their kind lack.
    pub(super) fn is_loose(&self) -> bool {
        self.value.is_some_and(|(_, value)| value.strict < value.count / 2)
    }

    /// Whether the values have several kinds, of which one at least cannot be told from others with certainty.
    pub(super) fn is_mixed(&self) -> bool {
        let Some((_, value)) = self.value.filter(|_| self.is_by_shape()) else { return false };
        let [prefixed, other] = value.loose;
        let has_share = |count: u32| count >= 3 && count >= value.count / 50;
        [prefixed, other, value.strict].into_iter().filter(|count| has_share(*count)).count() >= 2
    }

    /// Whether the paths of a whole API begin here: behind a version, behind words such as `api`, and behind a value that is
    /// almost always the same, such as the date of a version.
    pub(super) fn is_near_root(&self) -> bool {
        let is_constant = |node: &Node| &*node.label == VALUE && node.sketch.count_ones() <= MAX_VERSIONS;
        let mut at = self.id;
        if is_version(&self.node.label) {
            return true;
        }
        loop {
            if at == ROOT {
                return true;
            }
            let base = self.trie.node(at).filter(|node| is_base(&node.label) || is_constant(node));
            let Some(node) = base else { return false };
            at = node.parent;
        }
    }

    /// Whether a value stands before this place.
    pub(super) fn is_behind_value(&self) -> bool {
        &*self.node.label == VALUE
    }

    /// Whether this place stands behind a word that is itself behind the name of several things, and so may be a value.
    fn is_behind_plural(&self) -> bool {
        self.trie
            .node(self.node.parent)
            .is_some_and(|parent| self.node.parent != ROOT && is_plural(&parent.label))
    }

    /// What stands before the place.
    pub(super) fn position(&self) -> f64 {
        if self.is_near_root() {
            -5.0
        } else if self.is_behind_value() {
            -3.0
        } else {
            match (self.is_behind_plural(), is_plural(&self.node.label)) {
                (false, true) => 2.0,
                (true, false) => -3.0,
                (true, true) | (false, false) => -1.0,
            }
        }
    }

    /// How many words there are, and how many were seen once.
    pub(super) fn growth(&self) -> f64 {
        let number = count(self.words.len()).saturating_add(self.node.pruned);
        let requests = self.word_requests();
        let new = match self.unseen() {
            _ if requests < 50 => 0.0,
            share if share >= 0.3 => 1.5,
            share if share >= 0.1 => 0.75,
            share if share < 0.002 && requests / 20 >= number && self.position() < -2.0 => -3.0,
            share if share < 0.02 => -1.0,
            _ => 0.0,
        };
        (f64::from(number) / 8.0).log2().clamp(-1.5, 4.0) + new
    }

    /// Whether the words are versions of an API.
    pub(super) fn has_versions(&self) -> bool {
        let versions = self.words.iter().filter(|(word, _, _)| is_version(word)).count();
        versions.saturating_mul(2) >= self.words.len()
    }

    /// Words with capitals, digits or dots, which authors of an API use less than its users.
    pub(super) fn oddness(&self) -> f64 {
        let is_odd =
            |word: &str| word.bytes().any(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'~');
        let odd = self.words.iter().filter(|(word, _, _)| is_odd(word)).count();
        1.5 * share(odd, self.words.len())
    }

    /// Words that stood at places which are parameters.
    pub(super) fn familiarity(&self) -> f64 {
        let known = self.words.iter().filter(|(word, _, _)| self.trie.is_known(word)).count();
        match share(known, self.words.len()) {
            share if share >= 0.6 => 2.0,
            share if share >= 0.3 => 1.0,
            _ => 0.0,
        }
    }

    /// Whether a parameter stands behind the same word elsewhere: behind the `namespaces` of another group.
    pub(super) fn precedent(&self) -> f64 {
        if self.trie.is_label(&self.node.label) { 1.5 } else { 0.0 }
    }

    /// What follows these words or values.
    pub(super) fn following(&self, siblings: &[Id]) -> Following<'a> {
        let nodes = siblings.iter().filter_map(|id| Some((*id, self.trie.node(*id)?)));
        let of: BTreeMap<Id, Continuations<'a>> = nodes.map(|(id, node)| (id, self.follow(node))).collect();
        let mut siblings: Continuations<'a> = vec![BTreeMap::new(); MAX_DEPTH];
        for followed in of.values() {
            for (at_depth, labels) in siblings.iter_mut().zip(followed) {
                for label in labels.keys() {
                    let number: &mut u32 = at_depth.entry(label).or_default();
                    *number = number.saturating_add(1);
                }
            }
        }
        Following { of, siblings }
    }

    /// The segments behind a node by depth, with their requests.
    fn follow(&self, node: &'a Node) -> Continuations<'a> {
        let mut depths = vec![BTreeMap::new(); MAX_DEPTH];
        self.follow_to(node, 0, &mut depths);
        depths
    }

    /// Whether a word behind a word here is a value, because it is one behind the values here: the repository of an owner.
    fn is_value_behind(&self, word: &str) -> bool {
        let behind = self.value.map(|(_, value)| value).filter(|value| value.is_place && is_foldable(word));
        let is_kept = |value: &Node| {
            value.words.get(word).and_then(|id| self.trie.node(*id)).is_some_and(|word| word.is_kept)
        };
        behind.is_some_and(|value| !is_kept(value))
    }

    fn follow_to(&self, node: &'a Node, depth: usize, depths: &mut Continuations<'a>) {
        for child in node.words.values().chain(node.value.iter()).filter_map(|id| self.trie.node(*id)) {
            let Some(labels) = depths.get_mut(depth) else { return };
            let label = if depth == 0 && self.is_value_behind(&child.label) { VALUE } else { &child.label };
            let count: &mut u32 = labels.entry(label).or_default();
            *count = count.saturating_add(child.count);
            self.follow_to(child, depth.saturating_add(1), depths);
        }
    }

    /// The share of the next requests that have a word never seen here, by Good and Turing.
    pub(super) fn unseen(&self) -> f64 {
        let once = count(self.words.iter().filter(|(_, _, node)| node.count == 1).count());
        let requests = self.word_requests().saturating_add(self.node.pruned).max(1);
        f64::from(once.saturating_add(self.node.pruned)) / f64::from(requests)
    }

    /// Requests that end at these siblings, by method.
    pub(super) fn ends(&self, siblings: &[Id]) -> Ends {
        let nodes = siblings.iter().filter_map(|id| self.trie.node(*id));
        nodes.fold(Ends::default(), |all, node| all.and(&Ends::of(node)))
    }

    /// The same as [`Following::coincidence`] for the methods of requests that end at these siblings. `None` where one
    /// method alone is used: all the pages of a site are read.
    pub(super) fn methods(&self, siblings: &[Id]) -> Option<f64> {
        let nodes: Vec<&Node> = siblings.iter().filter_map(|id| self.trie.node(*id)).collect();
        let of = |method: usize| nodes.iter().map(move |node| node.methods.get(method).copied().unwrap_or(0));
        let ends = |node: &&Node| node.methods.iter().fold(0_u32, |sum, count| sum.saturating_add(*count));
        let all = Pairs::of(nodes.iter().map(ends));
        let requests = nodes.iter().map(ends).fold(0_u32, u32::saturating_add);
        let most = (0..8).map(|method| of(method).fold(0, u32::saturating_add)).max().unwrap_or(0);
        if most >= requests.saturating_sub(requests / 20) {
            return None;
        }
        let mut same = Pairs::default();
        (0..8).for_each(|method| same.add(&Pairs::of(of(method))));
        same.over(&all)
    }
}

impl Following<'_> {
    /// The coincidences of what follows these siblings over what is expected if they are values of one parameter: the
    /// highest ratio of the segments at one depth, because names may stand between. `None` where too little follows.
    ///
    /// This ratio is 1 for values of one parameter however few requests there are; the overlap of sets is not.
    pub(super) fn coincidence(&self, siblings: &[Id]) -> Option<f64> {
        let followed: Vec<_> = siblings.iter().filter_map(|id| self.of.get(id)).collect();
        let ratios = (0..MAX_DEPTH).filter_map(|depth| {
            let at_depth: Vec<_> = followed.iter().filter_map(|followed| followed.get(depth)).collect();
            let all = Pairs::of(at_depth.iter().map(|labels| total(labels)));
            let mut by_label: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            for (label, count) in at_depth.iter().flat_map(|labels| labels.iter()) {
                by_label.entry(label).or_default().push(*count);
            }
            // That a value follows is no news: most words of an API have one behind them.
            by_label.remove(VALUE);
            let mut same = Pairs::default();
            by_label.values().for_each(|counts| same.add(&Pairs::of(counts.iter().copied())));
            same.over(&all)
        });
        ratios.reduce(f64::max)
    }

    /// The share of what follows a word that follows none of the others, and the number of requests that it is taken
    /// from: the smallest share at any depth, because names of its own may follow a value, too.
    pub(super) fn own(&self, word: Id) -> (f64, u32) {
        let Some(followed) = self.of.get(&word) else { return (0.0, 0) };
        let first = followed.first().map_or(0, total);
        let shares = followed.iter().zip(&self.siblings).filter_map(|(labels, siblings)| {
            let is_own = |label: &str| siblings.get(label) == Some(&1);
            // That a value follows the others, too, says nothing.
            let telling = || labels.iter().filter(|(label, _)| **label != VALUE || is_own(label));
            let all = telling().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
            let own = telling().filter(|(label, _)| is_own(label));
            let own = own.fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
            (all > 0 && all.saturating_mul(4) >= first).then(|| (f64::from(own) / f64::from(all), all))
        });
        shares.reduce(|least, next| if next.0 < least.0 { next } else { least }).unwrap_or((0.0, 0))
    }
}

/// Requests at a word or value: those that end there by method, and those that continue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    kinds: [f64; 9],
}

impl Ends {
    pub(super) fn of(node: &Node) -> Self {
        let mut kinds = [0.0; 9];
        let ends = node.methods.iter().fold(0_u32, |sum, count| sum.saturating_add(*count));
        let counts = node.methods.into_iter().chain([node.count.saturating_sub(ends)]);
        kinds.iter_mut().zip(counts).for_each(|(kind, count)| *kind = f64::from(count));
        Self { kinds }
    }

    fn and(&self, other: &Self) -> Self {
        let mut kinds = self.kinds;
        kinds.iter_mut().zip(other.kinds).for_each(|(kind, more)| *kind += more);
        Self { kinds }
    }

    /// Those that are not at one of the nodes.
    pub(super) fn without(&self, node: &Node) -> Self {
        let mut kinds = self.kinds;
        kinds.iter_mut().zip(Self::of(node).kinds).for_each(|(kind, less)| *kind -= less);
        Self { kinds }
    }

    /// How implausible it is that these are requests to one of those values: twice the logarithm of the ratio of
    /// likelihoods (a G-test), with half a request of each kind added to those of the values.
    pub(super) fn against(&self, values: &Self) -> f64 {
        let requests: f64 = self.kinds.iter().sum();
        let of_values: f64 = values.kinds.iter().map(|kind| kind + 0.5).sum();
        let terms = self.kinds.iter().zip(values.kinds).filter(|(own, _)| **own > 0.0);
        2.0 * terms.map(|(own, of)| own * (own / requests * of_values / (of + 0.5)).ln()).sum::<f64>()
    }

    /// All requests.
    pub(super) fn requests(&self) -> f64 {
        self.kinds.iter().sum()
    }
}

/// Segments with their requests.
type Labels<'a> = BTreeMap<&'a str, u32>;

/// For each depth the segments with their requests.
type Continuations<'a> = Vec<Labels<'a>>;

/// Pairs of requests: of the same sibling, and of different ones.
#[derive(Clone, Copy, Debug, Default)]
struct Pairs {
    within: f64,
    across: f64,
}

impl Pairs {
    fn of(counts: impl Iterator<Item = u32>) -> Self {
        let (mut sum, mut squares) = (0.0, 0.0);
        for count in counts.map(f64::from) {
            sum += count;
            squares += count * count;
        }
        Self { within: (squares - sum) / 2.0, across: (sum * sum - squares) / 2.0 }
    }

    fn add(&mut self, other: &Self) {
        self.within += other.within;
        self.across += other.across;
    }

    /// Coincidences across siblings over those expected from the coincidences within each.
    fn over(&self, all: &Self) -> Option<f64> {
        if all.within <= 0.0 || all.across <= 0.0 {
            return None;
        }
        let expected = self.within * all.across / all.within;
        (expected >= MIN_EXPECTED && self.within >= 3.0).then(|| self.across / expected)
    }
}

fn total(labels: &Labels<'_>) -> u32 {
    labels.values().fold(0, |sum, count| sum.saturating_add(*count))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn share(part: usize, whole: usize) -> f64 {
    f64::from(count(part)) / f64::from(count(whole).max(1))
}
