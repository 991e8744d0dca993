//! All plain paths of a configuration as one automaton, which advances while a text is read.
//!
//! A state is the next step of a path. The states of a value follow from the states of the array or object around it;
//! most values have none. A path such as `$..name` has the same state everywhere, so it is looked up by name instead.

use hashbrown::HashMap;

use super::path::{Path, Reach, Selector, Step};
use super::rules::RuleId;
use super::work;
use gatelens_model::order;

/// The plain paths, compiled.
#[derive(Clone, Debug, Default)]
pub(super) struct Automaton {
    /// The steps of all paths, one path after the other.
    steps: Vec<(Step, After)>,
    /// The first step of each path that is not among `anywhere`.
    first: Vec<State>,
    /// What follows the first step of the paths that begin with names at any depth, by name.
    anywhere: Option<HashMap<Box<str>, Vec<After>>>,
    /// The rules that select the whole value: `$`.
    whole: Vec<RuleId>,
}

type State = u16;

/// What follows a step.
#[derive(Clone, Copy, Debug)]
enum After {
    Step(State),
    Selected(RuleId),
}

/// How a value is reached from its parent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge<'a> {
    Name(&'a str),
    /// A name that [`Automaton::is_anywhere`] is not true for.
    NameInPlace(&'a str),
    Index(u64),
}

/// The states of every open array and object, and of the current value.
#[derive(Debug)]
pub(super) struct Walk<'p> {
    automaton: &'p Automaton,
    states: Vec<State>,
    /// Where the states of each open array or object begin. They end where the next ones begin.
    open: Vec<usize>,
    /// Where the states of the current value begin.
    current: usize,
    /// The round in which each state was last added, so that it is added once.
    seen: Vec<u32>,
    round: u32,
}

/// Where a walk stands between two values.
#[derive(Debug)]
pub(super) struct Place {
    states: Vec<State>,
    open: Vec<usize>,
    current: usize,
    seen: Vec<u32>,
    round: u32,
}

impl Automaton {
    /// Without paths.
    pub(super) const fn none() -> Self {
        Self { steps: Vec::new(), first: Vec::new(), anywhere: None, whole: Vec::new() }
    }

    /// Whether there are no paths.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.whole.is_empty()
    }

    /// Whether a path begins with this name at any depth.
    pub(super) fn is_anywhere(&self, name: &str) -> bool {
        self.anywhere.as_ref().is_some_and(|anywhere| anywhere.contains_key(name))
    }

    /// Adds a path, which must be plain. The lists of a configuration are bounded so that states do not run out.
    pub(super) fn add(&mut self, path: Path, rule: RuleId) {
        let start = self.steps.len();
        let count = path.steps.len();
        for (index, step) in path.steps.into_iter().enumerate() {
            let next = index.saturating_add(1);
            let after = match State::try_from(start.saturating_add(next)) {
                Ok(state) if next < count => After::Step(state),
                _ => After::Selected(rule),
            };
            self.steps.push((step, after));
        }
        match (State::try_from(start), self.steps.get(start)) {
            (Ok(first), Some((step, after))) => match names_anywhere(step) {
                Some(names) => {
                    let anywhere = self.anywhere.get_or_insert_default();
                    names.into_iter().for_each(|name| anywhere.entry(name).or_default().push(*after));
                }
                None => self.first.push(first),
            },
            _ => self.whole.push(rule),
        }
    }
}

impl<'p> Walk<'p> {
    /// Begins at the root. Calls `selected` with each rule that selects the root.
    pub(super) fn new(automaton: &'p Automaton, selected: impl FnMut(RuleId)) -> Self {
        automaton.whole.iter().copied().for_each(selected);
        Self {
            automaton,
            states: automaton.first.clone(),
            open: Vec::new(),
            current: 0,
            seen: vec![0; automaton.steps.len()],
            round: 0,
        }
    }

    /// Continues where another walk of the same automaton stood.
    pub(super) fn resume(automaton: &'p Automaton, place: Place) -> Self {
        let Place { states, open, current, seen, round } = place;
        Self { automaton, states, open, current, seen, round }
    }

    /// Where it stands.
    pub(super) fn place(self) -> Place {
        let Self { states, open, current, seen, round, .. } = self;
        Place { states, open, current, seen, round }
    }

    /// Moves to a value whose name [`Automaton::is_anywhere`] is not true for. False where a path can lead to it nevertheless: then
    /// [`step`](Self::step) must follow.
    #[inline]
    pub(super) fn pass_by(&mut self) -> bool {
        self.states.truncate(self.current);
        self.open.last().is_none_or(|start| *start == self.current)
    }

    /// Moves to a value of the innermost open array or object. Calls `selected` with each rule that selects the value.
    pub(super) fn step(&mut self, edge: Edge<'_>, mut selected: impl FnMut(RuleId)) {
        let Some(start) = self.open.last().copied() else { return };
        self.states.truncate(self.current);
        if self.is_idle(start) {
            return;
        }
        self.round = self.round.wrapping_add(1);
        if let (Some(anywhere), Edge::Name(name)) = (&self.automaton.anywhere, edge)
            && let Some(steps) = anywhere.get(name)
        {
            steps.iter().for_each(|after| self.go(*after, &mut selected));
        }
        work::add(self.current.saturating_sub(start));
        for index in start..self.current {
            let Some(state) = self.states.get(index).copied() else { break };
            let Some((step, after)) = self.automaton.steps.get(usize::from(state)) else { break };
            if step.reach == Reach::Descendants {
                self.put(state);
            }
            if step.selectors.iter().any(|selector| matches(selector, edge)) {
                self.go(*after, &mut selected);
            }
        }
    }

    /// Enters the current value.
    pub(super) fn open(&mut self) {
        self.open.push(self.current);
        self.current = self.states.len();
    }

    /// Leaves the innermost open array or object.
    pub(super) fn close(&mut self) {
        if let Some(start) = self.open.pop() {
            self.states.truncate(self.current);
            self.current = start;
        }
    }

    fn go(&mut self, after: After, selected: &mut impl FnMut(RuleId)) {
        match after {
            After::Step(next) => self.put(next),
            After::Selected(rule) => selected(rule),
        }
    }

    /// Whether no path leads into the array or object whose states begin at `start`.
    fn is_idle(&self, start: usize) -> bool {
        start == self.current && self.automaton.anywhere.is_none()
    }

    fn put(&mut self, state: State) {
        if let Some(seen) = self.seen.get_mut(usize::from(state))
            && *seen != self.round
        {
            *seen = self.round;
            self.states.push(state);
        }
    }
}

/// The names that a step selects at any depth, each once. `None` when it selects anything else.
fn names_anywhere(step: &Step) -> Option<Vec<Box<str>>> {
    let mut names = Vec::new();
    for selector in &step.selectors {
        match selector {
            Selector::Name(name) if step.reach == Reach::Descendants => names.push(name.clone()),
            _ => return None,
        }
    }
    order::sort_by(&mut names, Ord::cmp);
    names.dedup();
    Some(names)
}

fn matches(selector: &Selector, edge: Edge<'_>) -> bool {
    match (selector, edge) {
        (Selector::Wildcard, _) => true,
        (Selector::Name(wanted), Edge::Name(name) | Edge::NameInPlace(name)) => **wanted == *name,
        (Selector::Index(wanted), Edge::Index(index)) => *wanted == index,
        (Selector::Slice(slice), Edge::Index(index)) => slice.has(index),
        _ => false,
    }
}
