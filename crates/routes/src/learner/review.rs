//! Decisions about places that have grown.

use super::evidence::{Ends, Following, Place};
use super::trie::{Id, Node, ROOT, Trie, is_foldable, is_verb};
use super::vocabulary::{is_operation, is_plural};
use crate::patterns::VALUE;

/// Requests at a place before it is looked at.
const MIN_LOOKED: u32 = 4;
/// Requests at a place before it is a parameter on the evidence of the place alone.
const MIN_REQUESTS: u32 = 10;
/// What other places say about one with fewer, and the share of new words that it must have.
const TRANSFERRED: (f64, f64) = (1.5, 0.5);
/// Words at a place before they can be values.
const MIN_WORDS: usize = 3;
/// Score from which a place is a parameter.
const MIN_SCORE: f64 = 3.0;
/// Requests of a word that can be kept.
const MIN_KEPT: u32 = 5;
/// A word with so many times the requests of the next one carries traffic for itself. Values do not: by Zipf's law with
/// an exponent of 1 the first has twice the requests of the second.
const DOMINANT: u32 = 6;
/// A watched word with so many requests, which are at least this part of all at its place, carries traffic for itself.
const CARRYING: (u32, u32) = (20, 4);
/// Requests of a watched word before it is judged.
const MIN_CANDIDATE: u32 = 8;
/// Requests of a word behind which nothing stands, the part of all at its place that they must be, and how implausible
/// their methods must be for the values, so that it is an operation.
const OPERATION: (u32, u32, f64) = (8, 50, 20.0);
/// Requests to values from which their methods are known.
const MIN_VALUES: f64 = 16.0;
/// Requests of a word that stays behind the same word elsewhere.
const MIN_TRANSFERRED: u32 = 2;
/// Words behind which nothing stands, and which are watched on because they are frequent, and their requests at most.
const MAX_LEAVES: usize = 8;
const MAX_LEAF: u32 = 2_000;
/// Near the root a parameter needs so many requests or words.
const NEAR_ROOT: (u32, usize) = (6_000, 64);
/// Requests at a place that may become a parameter, after which what follows its words is looked at without it.
const MAX_OPEN: u32 = 3_000;
/// The same for a place behind the name of several things, whatever its score.
const MAX_YOUNG: u32 = 400;
/// Words and score from which a place may become a parameter soon.
const OPEN_WORDS: usize = 8;
const OPEN_SCORE: f64 = -2.0;
/// Requests and share of new words that show a parameter behind which nothing stands and which is only read.
const SILENT: [(u32, f64); 3] = [(30, 0.6), (50, 0.45), (100, 0.15)];
/// The same in traffic that also writes: an API has fewer words at a place than a web site has pages.
const SILENT_API: [(u32, f64); 3] = [(10, 0.7), (24, 0.45), (100, 0.1)];
/// Reviews of the whole tree in one call: a place that is learned changes what is known of those before it.
const MAX_ROUNDS: u32 = 12;

impl Trie {
    /// Looks at all places that have grown; true when one was learned or a word is kept.
    pub(super) fn review(&mut self) -> bool {
        let mut changed = false;
        for _ in 0..MAX_ROUNDS {
            let mut due: Vec<(u16, String, Id)> = self
                .ids()
                .filter_map(|id| Some((id, self.node(id)?)))
                .filter(|(_, node)| is_due(node))
                .map(|(id, node)| (node.depth, self.route(id), id))
                .collect();
            // What follows the values of a place is pooled before it is looked at.
            due.sort();
            let mut learned = false;
            for (_, route, id) in due {
                // An earlier decision may have moved it.
                if self.route(id) == route && self.node(id).is_some_and(is_due) && !self.is_below_open(id) {
                    learned |= self.look(id);
                }
            }
            changed |= learned;
            if !learned {
                break;
            }
        }
        changed
    }

    /// Whether a word stands before this place that may turn out to be a value: then its siblings know more, too.
    fn is_below_open(&self, id: Id) -> bool {
        let mut at = id;
        while let Some(node) = self.node(at).filter(|_| at != ROOT) {
            let Some(parent) = self.node(node.parent) else { return false };
            let is_watched = parent.is_place && !node.is_kept;
            let is_young =
                is_plural(&parent.label) && parent.words.len() >= MIN_WORDS && parent.count < MAX_YOUNG;
            let is_open = parent.is_open && parent.count < MAX_OPEN || is_young && !parent.is_place;
            if &*node.label != VALUE && (is_watched || is_open) {
                return true;
            }
            at = node.parent;
        }
        false
    }

    fn look(&mut self, id: Id) -> bool {
        let Some(place) = Place::of(self, id) else { return false };
        let looked = (place.node.count, u32::try_from(place.words.len()).unwrap_or(u32::MAX));
        let is_place = place.node.is_place;
        let decision = if is_place { judge(&place) } else { decide(&place) };
        if let Some(node) = self.node_mut(id) {
            node.looked = looked;
            node.is_place |= decision.is_place;
            if node.is_place && !is_place {
                let label = node.label.clone();
                self.note_label(label);
            }
        }
        if let Some(node) = self.node_mut(id) {
            node.is_open = decision.is_open;
        }
        for word in &decision.kept {
            let kept = self.child(id, word);
            if let Some(node) = self.node_mut(kept) {
                node.is_kept = true;
            }
            self.note_kept(id, word);
        }
        for word in &decision.folded {
            self.fold(id, word);
        }
        if let Some(node) = self.node_mut(id).filter(|node| node.is_place) {
            node.looked.1 = u32::try_from(node.words.len()).unwrap_or(u32::MAX);
        }
        decision.is_place && !is_place || !decision.kept.is_empty()
    }
}

#[derive(Default)]
struct Decision {
    is_place: bool,
    /// It may become a parameter soon.
    is_open: bool,
    kept: Vec<Box<str>>,
    folded: Vec<Box<str>>,
}

fn is_due(node: &Node) -> bool {
    let words = u32::try_from(node.words.len()).unwrap_or(u32::MAX);
    (!node.words.is_empty() || node.value.is_some() && !node.is_place)
        && !is_verb(&node.label)
        && node.count >= MIN_LOOKED
        && (node.count >= node.looked.0.saturating_add(node.looked.0 / 2)
            || words >= node.looked.1.saturating_add(if node.is_place { 12 } else { 4 }))
}

/// Whether a place becomes a parameter, and which of its words stay.
fn decide(place: &Place<'_>) -> Decision {
    let by_shape = place.is_by_shape();
    let words = place.words.len();
    if place.words.is_empty() {
        // Identifiers of several kinds are one parameter with one row.
        return Decision { is_place: place.is_mixed(), ..Decision::default() };
    }
    let (requests, unseen) = (place.word_requests(), place.unseen());
    let transferred = place.familiarity() + place.precedent();
    let is_transferred = transferred >= TRANSFERRED.0 && unseen >= TRANSFERRED.1;
    if words < MIN_WORDS || requests < MIN_REQUESTS && !by_shape && !is_transferred {
        return Decision::default();
    }
    if place.is_near_root() && place.node.count < NEAR_ROOT.0 && words < NEAR_ROOT.1 {
        return Decision::default();
    }
    let value = place.value.filter(|_| by_shape).map(|(id, _)| id);
    let all: Vec<Id> = place.words.iter().map(|(_, id, _)| *id).chain(value).collect();
    let following = place.following(&all);
    let dominant = dominant(place);
    let (kept, rest): (Vec<_>, Vec<_>) = place
        .words
        .iter()
        .partition(|(word, id, node)| Some(*id) == dominant || is_kept(&following, word, *id, node));
    let siblings: Vec<Id> = rest.iter().map(|(_, id, _)| *id).chain(value).collect();
    let mut score = place.position() + place.growth() + place.oddness() + transferred;
    let continuation = following.coincidence(&siblings);
    score += match continuation {
        Some(ratio) if ratio > 0.6 => 3.0,
        Some(ratio) if ratio > 0.4 => 1.0,
        Some(ratio) if ratio > 0.25 => -1.0,
        Some(_) => -4.0,
        None => 0.0,
    };
    let methods = place.methods(&siblings);
    score += match methods {
        Some(ratio) if ratio > 0.8 => 1.0,
        Some(ratio) if ratio < 0.5 => -2.0,
        _ => 0.0,
    };
    score += match by_shape {
        true if place.is_loose() => 2.0,
        true => -2.0,
        false => 0.0,
    };
    // Words that each have something of their own behind them are an API's words.
    let distinct: usize = kept.iter().filter(|(_, _, node)| node.count >= MIN_KEPT).count();
    let tested = place.words.iter().filter(|(_, _, node)| node.count >= MIN_KEPT).count();
    if distinct >= 3 && distinct.saturating_mul(2) > tested {
        score -= 4.0;
    }
    let is_silent = continuation.is_none() && methods.is_none();
    let silent = if place.trie.is_written_to() { SILENT_API } else { SILENT };
    let is_growing =
        is_transferred || silent.iter().any(|(least, share)| requests >= *least && unseen >= *share);
    let is_open = words >= OPEN_WORDS && !place.is_near_root() && score > OPEN_SCORE;
    if score < MIN_SCORE || is_silent && !is_growing || rest.len() < MIN_WORDS || place.has_versions() {
        return Decision { is_open, ..Decision::default() };
    }
    let ends = place.ends(&siblings);
    let is_operation = |word: &str, node: &Node| {
        place.trie.is_kept_elsewhere(place.id, word) && node.count >= MIN_TRANSFERRED
            || is_operation_of_its_own(node, &ends.without(node), place.node.count)
    };
    let (operations, rest): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|(word, _, node)| is_operation(word, node));
    Decision {
        is_place: true,
        is_open: false,
        kept: kept.iter().chain(&operations).map(|(word, _, _)| Box::from(*word)).collect(),
        folded: rest.iter().map(|(word, _, _)| Box::from(*word)).collect(),
    }
}

/// Whether a word behind which nothing stands is another operation than the values beside it, by the methods of its requests.
fn is_operation_of_its_own(word: &Node, values: &Ends, all: u32) -> bool {
    let (least, part, implausible) = OPERATION;
    is_leaf(word)
        && word.count >= least
        && word.count.saturating_mul(part) >= all
        && values.requests() >= MIN_VALUES
        && Ends::of(word).against(values) >= implausible
}

fn is_leaf(word: &Node) -> bool {
    word.words.is_empty() && word.value.is_none()
}

/// The word that carries so much traffic for itself that it is worth its own row.
fn dominant(place: &Place<'_>) -> Option<Id> {
    let mut counts: Vec<(u32, Id)> = place.words.iter().map(|(_, id, node)| (node.count, *id)).collect();
    counts.sort_unstable();
    let (most, id) = counts.pop()?;
    let next = counts.last().map_or(0, |(count, _)| *count);
    (most >= MIN_KEPT && most / DOMINANT >= next).then_some(id)
}

/// Whether a word beside a parameter stays literal.
fn is_kept(following: &Following<'_>, word: &str, id: Id, node: &Node) -> bool {
    if node.is_kept {
        return true;
    }
    if node.count < MIN_KEPT {
        return false;
    }
    if is_operation(word) {
        return true;
    }
    let (own, continued) = following.own(id);
    continued >= MIN_KEPT && continued.saturating_mul(4) >= node.count && own > 0.5
}

/// Which of the watched words at a learned place stay, and which are values. The most frequent ones behind which nothing
/// stands are watched on.
fn judge(place: &Place<'_>) -> Decision {
    let mut decision = Decision::default();
    let Some((value, values)) = place.value else { return decision };
    let ends = Ends::of(values);
    let mut leaves = Vec::new();
    for (word, id, node) in place.words.iter().filter(|(word, _, node)| !node.is_kept && is_foldable(word)) {
        let since = place.node.count.saturating_sub(node.born);
        let carries = node.count >= CARRYING.0 && node.count.saturating_mul(CARRYING.1) >= since;
        let is_known = node.count >= MIN_TRANSFERRED && place.trie.is_kept_elsewhere(place.id, word);
        let proven = || {
            let is_judged = node.count >= MIN_CANDIDATE && values.count >= node.count;
            is_judged && is_kept(&place.following(&[*id, value]), word, *id, node)
        };
        if carries || is_known || is_operation_of_its_own(node, &ends, since) || proven() {
            decision.kept.push(Box::from(*word));
        } else if is_leaf(node) && (2..MAX_LEAF).contains(&node.count) {
            leaves.push((node.count, *word));
        } else {
            decision.folded.push(Box::from(*word));
        }
    }
    leaves.sort_unstable_by(|left, right| right.cmp(left));
    decision.folded.extend(leaves.into_iter().skip(MAX_LEAVES).map(|(_, word)| Box::from(word)));
    decision
}
