//! Evaluates paths in a tree by the semantics of RFC 9535, within a bound of work.

use gatelens_model::OmissionReason;
use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::path::{Comparison, Filter, Operand, Origin, Path, Query, Reach, Selector, Step};
use super::tree::{NodeId, Tree, Value};

/// Nodes that a rule may visit, in addition to [`WORK_PER_NODE`] for each node of the body.
const WORK: u64 = 100_000;

/// See [`WORK`].
const WORK_PER_NODE: u64 = 32;

/// The nodes that a path selects, each once, in the order of the text.
///
/// # Errors
/// [`OmissionReason::RuleFailed`] when the bound of work does not suffice, [`OmissionReason::NumberBeyondF64`] when a comparison
/// depends on digits that a float cannot hold.
pub(super) fn select(path: &Path, tree: &Tree) -> Result<Vec<NodeId>, OmissionReason> {
    let work = WORK.saturating_add(WORK_PER_NODE.saturating_mul(tree.len() as u64));
    let run = Run { tree, left: Cell::new(work), stop: crate::interrupt::current() };
    run.steps(&path.steps, vec![0], Repeats::Drop)
}

struct Run<'t> {
    tree: &'t Tree,
    left: Cell<u64>,
    /// Set when nobody waits for the result any more.
    stop: Option<Arc<AtomicBool>>,
}

/// Whether a node that is selected twice counts twice, as it does for `count` and `value`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Keep,
    Drop,
}

/// An operand of a comparison.
#[derive(Clone, Copy)]
enum Compared<'a> {
    Node(NodeId),
    String(&'a str),
    Number(f64),
    Bool(bool),
    Null,
}

type Outcome<T> = Result<T, OmissionReason>;

impl<'t> Run<'t> {
    fn spend(&self, work: usize) -> Outcome<()> {
        super::work::add(work);
        let left = self.left.get().checked_sub(work as u64).ok_or(OmissionReason::RuleFailed)?;
        self.left.set(left);
        match &self.stop {
            Some(stop) if stop.load(Relaxed) => Err(OmissionReason::RuleFailed),
            _ => Ok(()),
        }
    }

    fn steps(&self, steps: &[Step], mut nodes: Vec<NodeId>, repeats: Repeats) -> Outcome<Vec<NodeId>> {
        for step in steps {
            let mut next = Vec::new();
            match step.reach {
                Reach::Children => {
                    for node in nodes {
                        self.children(node, &step.selectors, &mut next)?;
                    }
                }
                Reach::Descendants => {
                    // Nodes are in order, so the descendants of a visited node have been visited, too.
                    let mut visited = 0;
                    for node in nodes {
                        let end = self.tree.end(node);
                        let first = if repeats == Repeats::Drop { node.max(visited) } else { node };
                        for below in first..end {
                            self.children(below, &step.selectors, &mut next)?;
                        }
                        visited = visited.max(end);
                    }
                }
            }
            if repeats == Repeats::Drop {
                next.sort_unstable();
                next.dedup();
            }
            nodes = next;
        }
        Ok(nodes)
    }

    fn children(&self, node: NodeId, selectors: &[Selector], out: &mut Vec<NodeId>) -> Outcome<()> {
        self.spend(1)?;
        for selector in selectors {
            self.child(node, selector, out)?;
        }
        Ok(())
    }

    fn child(&self, node: NodeId, selector: &Selector, out: &mut Vec<NodeId>) -> Outcome<()> {
        let tree = self.tree;
        match selector {
            Selector::Name(name) if tree.is_object(node) => {
                for child in tree.children(node) {
                    self.spend(1)?;
                    if tree.name(child) == &**name {
                        out.push(child);
                    }
                }
            }
            Selector::Wildcard => {
                for child in tree.children(node) {
                    self.spend(1)?;
                    out.push(child);
                }
            }
            Selector::Filter(filter) => {
                for child in tree.children(node) {
                    self.spend(1)?;
                    if self.holds(filter, child)? {
                        out.push(child);
                    }
                }
            }
            Selector::Index(index) if tree.is_array(node) => {
                let elements = self.elements(node)?;
                out.extend(usize::try_from(*index).ok().and_then(|index| elements.get(index)));
            }
            Selector::IndexFromEnd(back) if tree.is_array(node) => {
                let elements = self.elements(node)?;
                let back = usize::try_from(*back).unwrap_or(usize::MAX);
                out.extend(elements.len().checked_sub(back).and_then(|index| elements.get(index)));
            }
            Selector::Slice(slice) if tree.is_array(node) => {
                let elements = self.elements(node)?;
                out.extend(slice.indices(elements.len()).filter_map(|index| elements.get(index)));
            }
            _ => {}
        }
        Ok(())
    }

    fn elements(&self, node: NodeId) -> Outcome<Vec<NodeId>> {
        let elements: Vec<_> = self.tree.children(node).collect();
        self.spend(elements.len())?;
        Ok(elements)
    }

    fn holds(&self, filter: &Filter, current: NodeId) -> Outcome<bool> {
        self.spend(1)?;
        match filter {
            Filter::Or(filters) => {
                for filter in filters {
                    if self.holds(filter, current)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Filter::And(filters) => {
                for filter in filters {
                    if !self.holds(filter, current)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Filter::Not(filter) => Ok(!self.holds(filter, current)?),
            Filter::Exists(query) => Ok(!self.query(query, current, Repeats::Drop)?.is_empty()),
            Filter::Compare(comparison, left, right) => {
                let left = self.operand(left, current)?;
                let right = self.operand(right, current)?;
                self.compare(*comparison, left, right)
            }
            Filter::Matches(subject, pattern) => {
                let Some(text) = self.operand(subject, current)?.and_then(|subject| self.text(subject))
                else {
                    return Ok(false);
                };
                self.spend(text.len())?;
                Ok(pattern.is_match(text))
            }
        }
    }

    fn query(&self, query: &Query, current: NodeId, repeats: Repeats) -> Outcome<Vec<NodeId>> {
        let from = match query.from {
            Origin::Root => 0,
            Origin::Current => current,
        };
        self.steps(&query.steps, vec![from], repeats)
    }

    fn operand<'a>(&'a self, operand: &'a Operand, current: NodeId) -> Outcome<Option<Compared<'a>>> {
        Ok(match operand {
            Operand::String(text) => Some(Compared::String(text)),
            Operand::Number(value) => Some(Compared::Number(*value)),
            Operand::Bool(value) => Some(Compared::Bool(*value)),
            Operand::Null => Some(Compared::Null),
            Operand::Singular(query) => {
                self.query(query, current, Repeats::Drop)?.first().copied().map(Compared::Node)
            }
            Operand::Count(query) => {
                Some(Compared::Number(self.query(query, current, Repeats::Keep)?.len() as f64))
            }
            Operand::Value(query) => match self.query(query, current, Repeats::Keep)?[..] {
                [node] => Some(Compared::Node(node)),
                _ => None,
            },
            Operand::Length(operand) => match self.operand(operand, current)? {
                Some(subject) => self.length(subject)?.map(|length| Compared::Number(length as f64)),
                None => None,
            },
        })
    }

    fn length(&self, subject: Compared<'_>) -> Outcome<Option<usize>> {
        if let Some(text) = self.text(subject) {
            self.spend(text.len())?;
            return Ok(Some(text.chars().count()));
        }
        match subject {
            Compared::Node(node) if matches!(self.tree.value(node), Value::Object | Value::Array) => {
                let length = self.tree.children(node).count();
                self.spend(length)?;
                Ok(Some(length))
            }
            _ => Ok(None),
        }
    }

    fn text<'a>(&'a self, subject: Compared<'a>) -> Option<&'a str> {
        match subject {
            Compared::String(text) => Some(text),
            Compared::Node(node) => match self.tree.value(node) {
                Value::String(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// An empty result equals an empty result, and is neither less nor greater than anything (RFC 9535, section 2.3.5.2.2).
    fn compare(
        &self,
        comparison: Comparison,
        left: Option<Compared<'_>>,
        right: Option<Compared<'_>>,
    ) -> Outcome<bool> {
        let equal = || match (left, right) {
            (None, None) => Ok(true),
            (Some(left), Some(right)) => self.equal(left, right),
            _ => Ok(false),
        };
        let ordered = |wanted: Ordering| match (left, right) {
            (Some(left), Some(right)) => Ok(self.order(left, right)? == Some(wanted)),
            _ => Ok(false),
        };
        match comparison {
            Comparison::Equal => equal(),
            Comparison::NotEqual => Ok(!equal()?),
            Comparison::Less => ordered(Ordering::Less),
            Comparison::Greater => ordered(Ordering::Greater),
            Comparison::LessOrEqual => Ok(equal()? || ordered(Ordering::Less)?),
            Comparison::GreaterOrEqual => Ok(equal()? || ordered(Ordering::Greater)?),
        }
    }

    fn order(&self, left: Compared<'_>, right: Compared<'_>) -> Outcome<Option<Ordering>> {
        if let (Some(left), Some(right)) = (self.number(left), self.number(right)) {
            return numbers(left, right);
        }
        if let (Some(left), Some(right)) = (self.text(left), self.text(right)) {
            self.spend(left.len().min(right.len()))?;
            return Ok(Some(left.cmp(right)));
        }
        Ok(None)
    }

    fn equal(&self, left: Compared<'_>, right: Compared<'_>) -> Outcome<bool> {
        self.spend(1)?;
        if let Some(order) = self.order(left, right)? {
            return Ok(order == Ordering::Equal);
        }
        if let (Compared::Node(left), Compared::Node(right)) = (left, right)
            && let kind @ (Value::Object | Value::Array) = self.tree.value(left)
        {
            return Ok(kind == self.tree.value(right) && self.same_children(left, right)?);
        }
        Ok(match (self.plain(left), self.plain(right)) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        })
    }

    /// Whether two arrays or two objects are equal. Recurses as deep as the body nests, which is bounded.
    fn same_children(&self, left: NodeId, right: NodeId) -> Outcome<bool> {
        let (mine, theirs) = (self.elements(left)?, self.elements(right)?);
        if mine.len() != theirs.len() {
            return Ok(false);
        }
        let by_name = self.tree.is_object(left);
        for (index, child) in mine.iter().enumerate() {
            let other = if by_name {
                self.spend(theirs.len())?;
                theirs.iter().find(|other| self.tree.name(**other) == self.tree.name(*child))
            } else {
                theirs.get(index)
            };
            let Some(other) = other else { return Ok(false) };
            if !self.equal(Compared::Node(*child), Compared::Node(*other))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A number, and whether it is exact.
    fn number(&self, subject: Compared<'_>) -> Option<(f64, bool)> {
        match subject {
            Compared::Number(value) => Some((value, true)),
            Compared::Node(node) => match self.tree.value(node) {
                Value::Number { value, exact } => Some((value, exact)),
                _ => None,
            },
            _ => None,
        }
    }

    /// A boolean as `Some`, null as `None`. Other values are compared elsewhere.
    fn plain(&self, subject: Compared<'_>) -> Option<Option<bool>> {
        match subject {
            Compared::Bool(value) => Some(Some(value)),
            Compared::Null => Some(None),
            Compared::Node(node) => match self.tree.value(node) {
                Value::Bool(value) => Some(Some(value)),
                Value::Null => Some(None),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Rounding keeps the order, so only numbers that round to the same value can be ordered wrongly.
fn numbers((left, left_exact): (f64, bool), (right, right_exact): (f64, bool)) -> Outcome<Option<Ordering>> {
    let order = left.partial_cmp(&right);
    if order == Some(Ordering::Equal) && !(left_exact && right_exact) {
        return Err(OmissionReason::NumberBeyondF64);
    }
    Ok(order)
}

#[cfg(test)]
mod tests;
