//! All plain paths of a configuration as one automaton that walks along while a text is read.
//!
//! A state is a step of a path that is to be taken next. Which states a value is in follows from those of the array or
//! object around it; most values are in none.

use super::path::{Path, Reach, Selector, Step};
use super::rules::RuleId;

/// The plain paths, compiled.
#[derive(Clone, Debug, Default)]
pub(super) struct Automaton {
    /// The steps of all paths, one path after the other.
    steps: Vec<(Step, After)>,
    /// The first step of each path.
    first: Vec<State>,
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

/// How a value is reached from the one around it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge<'a> {
    Name(&'a str),
    Index(u64),
}

/// Where the automaton is: the states of every open array and object, and of the value at hand.
#[derive(Debug)]
pub(super) struct Walk<'p> {
    automaton: &'p Automaton,
    states: Vec<State>,
    /// Where the states of each open array or object begin; they end where the next begin.
    open: Vec<usize>,
    /// Where the states of the value at hand begin.
    current: usize,
    /// In which round a state was last put down, so that it is put down once.
    seen: Vec<u32>,
    round: u32,
}

impl Automaton {
    /// Without paths.
    pub(super) const fn none() -> Self {
        Self { steps: Vec::new(), first: Vec::new(), whole: Vec::new() }
    }

    /// Adds a path, which has to be plain. The lists of a configuration are bounded so that states do not run out.
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
        match State::try_from(start) {
            Ok(first) if count > 0 => self.first.push(first),
            _ => self.whole.push(rule),
        }
    }
}

impl<'p> Walk<'p> {
    /// Stands at the root. `selected` is told the rules that select it.
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

    /// Goes from the innermost open array or object to a value in it. `selected` is told the rules that select it.
    pub(super) fn step(&mut self, edge: Edge<'_>, mut selected: impl FnMut(RuleId)) {
        let Some(start) = self.open.last().copied() else { return };
        self.states.truncate(self.current);
        self.round = self.round.wrapping_add(1);
        for index in start..self.current {
            let Some(state) = self.states.get(index).copied() else { break };
            let Some((step, after)) = self.automaton.steps.get(usize::from(state)) else { break };
            if step.reach == Reach::Descendants {
                self.put(state);
            }
            if step.selectors.iter().any(|selector| matches(selector, edge)) {
                match after {
                    After::Step(next) => self.put(*next),
                    After::Selected(rule) => selected(*rule),
                }
            }
        }
    }

    /// Opens the value at hand.
    pub(super) fn open(&mut self) {
        self.open.push(self.current);
        self.current = self.states.len();
    }

    /// Closes the innermost open array or object.
    pub(super) fn close(&mut self) {
        if let Some(start) = self.open.pop() {
            self.states.truncate(self.current);
            self.current = start;
        }
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

fn matches(selector: &Selector, edge: Edge<'_>) -> bool {
    match (selector, edge) {
        (Selector::Wildcard, _) => true,
        (Selector::Name(wanted), Edge::Name(name)) => **wanted == *name,
        (Selector::Index(wanted), Edge::Index(index)) => *wanted == index,
        (Selector::Slice(slice), Edge::Index(index)) => slice.has(index),
        _ => false,
    }
}
