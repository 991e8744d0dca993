//! Learned places as a tree of segments.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::VALUE;

/// A tree with a node for each place, for what stands before it, and for each kept word.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    nodes: Vec<Node>,
}

/// One position in paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    words: HashMap<Box<str>, u32>,
    value: Option<u32>,
    is_place: bool,
}

impl Index {
    /// Of places in their canonical form.
    pub(super) fn of(places: &BTreeMap<String, BTreeSet<String>>) -> Self {
        let mut index = Self { nodes: vec![Node::default()] };
        for (before, words) in places {
            let place = before.split('/').skip(1).fold(0, |node, segment| index.step(node, segment));
            words.iter().for_each(|word| {
                index.step(place, word);
            });
            if let Some(node) = index.nodes.get_mut(place as usize) {
                node.is_place = true;
            }
        }
        index
    }

    /// Where paths begin.
    pub(super) fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// A node by its position.
    pub(super) fn node(&self, position: u32) -> Option<&Node> {
        self.nodes.get(position as usize)
    }

    fn step(&mut self, from: u32, segment: &str) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let Some(node) = self.nodes.get_mut(from as usize) else { return next };
        let step = match segment {
            VALUE => *node.value.get_or_insert(next),
            word => *node.words.entry(word.into()).or_insert(next),
        };
        if step == next {
            self.nodes.push(Node::default());
        }
        step
    }
}

impl Node {
    /// Whether every segment here is a parameter, except kept words.
    pub(super) fn is_place(&self) -> bool {
        self.is_place
    }

    /// Whether a word stays literal here.
    pub(super) fn keeps(&self, word: &str) -> bool {
        self.words.contains_key(word)
    }

    /// What follows a word.
    pub(super) fn word(&self, word: &str) -> Option<u32> {
        self.words.get(word).copied()
    }

    /// What follows a value.
    pub(super) fn value(&self) -> Option<u32> {
        self.value
    }
}
