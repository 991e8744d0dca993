//! All templates of a configuration, as a tree over their segments.
//!
//! Which template a request gets is decided segment by segment from the left: a text goes before a text with values in
//! it, that before a parameter, a parameter before the rest of a path. Of two texts with values the one with the longer
//! text before its first value goes first, then the one with the longer text after its last value, then the one with
//! more text between. At the end a template with a method goes before one without. Two templates that are equal in all
//! of this and match the same request are a [`Conflict`], so that no request has two routes.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

use gatelens_model::percent::decoded;
use hashbrown::{HashMap, HashSet};

use super::segment::{Middle, Mixed, Segment, separates};
use super::template::{Least, MAX_TEMPLATE_BYTES, Rest, Template};
use crate::outcome::Method;

/// All templates of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    root: Node,
    routes: HashSet<Rc<str>>,
    templates: usize,
}

/// Two templates match the same requests, and nothing decides between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it matches requests that template {with} matches too, and neither is more literal")]
pub struct Conflict {
    /// The earlier of the two, by its index among the templates that were inserted.
    pub with: usize,
}

impl Templates {
    /// Adds a template. Its index is the number of templates before it.
    ///
    /// # Errors
    /// [`Conflict`]; the template is not added then, and has no index.
    pub fn insert(&mut self, template: Template) -> Result<(), Conflict> {
        let Template { method, segments, rest, path } = template;
        if let Some(with) = self.root.conflict(method, &segments, rest.as_ref()) {
            return Err(Conflict { with });
        }
        let route = Rc::clone(self.routes.get_or_insert_with(&*path, |path| Rc::from(path)));
        self.root.insert(&segments, rest, End { method, route, template: self.templates });
        self.templates = self.templates.saturating_add(1);
        Ok(())
    }

    /// The route of a request: the template that matches it, as it was written.
    ///
    /// A path is compared without percent-encoding, a slash in it excepted. [`Templates::most_visits`] bounds the work.
    pub fn find(&self, method: Method, path: &[u8]) -> Option<&str> {
        if self.routes.is_empty() {
            return None;
        }
        self.root.find(method, path.strip_prefix(b"/")?)
    }

    /// Number of distinct routes: templates that differ only in the method share one.
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// No request visits more nodes of the tree. Each costs one look-up by hash, and one more for each length of the texts
    /// around values there.
    ///
    /// The number of templates does not matter: only parameters beside texts add to it, at the same place.
    pub fn most_visits(&self) -> usize {
        self.root.most_visits()
    }
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Boxed, because the map has room for more than it holds.
    literals: HashMap<Box<[u8]>, Box<Node>>,
    mixed: Option<Box<ByLength<ByLength<Separated>>>>,
    parameter: Option<Box<Node>>,
    /// Templates that end here.
    ends: Vec<End>,
    /// Templates that take the rest of the path, by verb.
    rests: HashMap<Box<[u8]>, Vec<(Least, End)>>,
}

/// The end of a template.
#[derive(Clone, Debug)]
struct End {
    method: Option<Method>,
    route: Rc<str>,
    template: usize,
}

/// Texts with values that have the same text before and after them, those with more text between first.
type Separated = BTreeMap<(Reverse<usize>, Middle), Node>;

/// Values by a text that begins or ends another one: one look-up for each length of such a text.
#[derive(Clone, Debug)]
struct ByLength<T> {
    by_text: HashMap<Box<[u8]>, T>,
    /// Falling.
    lengths: Vec<usize>,
}

impl<T> Default for ByLength<T> {
    fn default() -> Self {
        Self { by_text: HashMap::new(), lengths: Vec::new() }
    }
}

impl<T: Default> ByLength<T> {
    fn entry(&mut self, text: &[u8]) -> &mut T {
        if let Err(at) = self.lengths.binary_search_by(|known| text.len().cmp(known)) {
            self.lengths.insert(at, text.len());
        }
        self.by_text.entry(text.into()).or_default()
    }

    fn map<U>(&self, of: impl Fn(&T) -> U) -> ByLength<U> {
        let by_text = self.by_text.iter().map(|(text, value)| (text.clone(), of(value))).collect();
        ByLength { by_text, lengths: self.lengths.clone() }
    }

    /// The values whose text begins this one, the longest first, with its length.
    fn beginning<'t>(&'t self, text: &[u8]) -> impl Iterator<Item = (usize, &'t T)> {
        self.lengths.iter().filter_map(|length| Some((*length, self.by_text.get(text.get(..*length)?)?)))
    }

    /// The values whose text ends this one, the longest first, with its length.
    fn ending<'t>(&'t self, text: &[u8]) -> impl Iterator<Item = (usize, &'t T)> {
        self.lengths.iter().filter_map(|length| {
            let start = text.len().checked_sub(*length)?;
            Some((*length, self.by_text.get(text.get(start..)?)?))
        })
    }
}

impl Node {
    /// `path` begins after the slash that leads to this node's children.
    fn find(&self, method: Method, path: &[u8]) -> Option<&str> {
        let (raw, rest) = match path.iter().position(|byte| *byte == b'/') {
            Some(slash) => (path.get(..slash)?, path.get(slash.saturating_add(1)..)),
            None => (path, None),
        };
        if !self.literals.is_empty() || self.mixed.is_some() {
            // No text of a template is longer, encoded or not.
            let short = raw.len() <= MAX_TEMPLATE_BYTES.saturating_mul(3);
            let segment = if short { decoded(raw) } else { Cow::Borrowed(raw) };
            let literal = self.literals.get(&*segment).filter(|_| short);
            let found = literal.and_then(|node| node.end_or_deeper(method, rest));
            if found.is_some() {
                return found;
            }
            let mut mixed = self.mixed.iter().flat_map(|mixed| separated(mixed, &segment));
            let found = mixed.find_map(|node| node.end_or_deeper(method, rest));
            if found.is_some() {
                return found;
            }
        }
        let parameter = self.parameter.as_deref().filter(|_| !raw.is_empty());
        let found = parameter.and_then(|node| node.end_or_deeper(method, rest));
        found.or_else(|| self.rest(method, if path.is_empty() { Least::Slash } else { Least::Byte }, path))
    }

    fn end_or_deeper(&self, method: Method, rest: Option<&[u8]>) -> Option<&str> {
        match rest {
            Some(rest) => self.find(method, rest),
            None => best(method, self.ends.iter()).or_else(|| self.rest(method, Least::Nothing, b"")),
        }
    }

    /// The template that takes the rest of the path, of which there is this much.
    fn rest(&self, method: Method, there: Least, path: &[u8]) -> Option<&str> {
        if self.rests.is_empty() {
            return None;
        }
        let find = |verb: &[u8]| {
            let rests = self.rests.get(verb)?.iter();
            best(method, rests.filter(|(least, _)| *least <= there).map(|(_, end)| end))
        };
        let colon = path
            .iter()
            .rposition(|byte| matches!(byte, b':' | b'/'))
            .filter(|at| path.get(*at) == Some(&b':'));
        let verb = colon
            .filter(|at| *at > 0)
            .and_then(|at| path.get(at..))
            .filter(|verb| verb.len() <= MAX_TEMPLATE_BYTES);
        verb.and_then(find).or_else(|| find(b""))
    }

    fn insert(&mut self, segments: &[Segment], rest: Option<Rest>, end: End) {
        match (segments.split_first(), rest) {
            (Some((segment, deeper)), rest) => self.child(segment).insert(deeper, rest, end),
            (None, Some(Rest { least, verb })) => self.rests.entry(verb).or_default().push((least, end)),
            (None, None) => self.ends.push(end),
        }
    }

    fn child(&mut self, segment: &Segment) -> &mut Node {
        match segment {
            Segment::Literal(text) => self.literals.entry(text.clone()).or_default(),
            Segment::Parameter => self.parameter.get_or_insert_default(),
            Segment::Mixed(mixed) => {
                let by_suffix = self.mixed.get_or_insert_default().entry(&mixed.prefix);
                by_suffix.entry(&mixed.suffix).entry(order(&mixed.middle)).or_default()
            }
        }
    }

    /// A template that matches requests of another one, where nothing decides between the two.
    fn conflict(&self, method: Option<Method>, segments: &[Segment], rest: Option<&Rest>) -> Option<usize> {
        let same_method = |end: &&End| end.method == method;
        let Some((segment, deeper)) = segments.split_first() else {
            let end = match rest {
                None => self.ends.iter().find(same_method),
                Some(rest) => self.rests.get(&*rest.verb)?.iter().map(|(_, end)| end).find(same_method),
            };
            return end.map(|end| end.template);
        };
        match segment {
            Segment::Literal(text) => self.literals.get(text)?.conflict(method, deeper, rest),
            Segment::Parameter => self.parameter.as_deref()?.conflict(method, deeper, rest),
            Segment::Mixed(Mixed { prefix, middle, suffix }) => {
                let own = order(middle);
                let same = self.mixed.as_deref()?.by_text.get(prefix)?.by_text.get(suffix)?.iter();
                same.filter(|(other, _)| other.0 == own.0).find_map(|(other, node)| {
                    if *other == own {
                        node.conflict(method, deeper, rest)
                    } else {
                        node.meeting(method, deeper, rest)
                    }
                })
            }
        }
    }

    /// A template below this node that perhaps matches a request of another one. Two texts with values count as if some
    /// segment matched both.
    fn meeting(&self, method: Option<Method>, segments: &[Segment], rest: Option<&Rest>) -> Option<usize> {
        let meets = |end: &&End| method.is_none() || end.method.is_none() || end.method == method;
        let rests = || self.rests.values().flatten().map(|(_, end)| end);
        let Some((segment, deeper)) = segments.split_first() else {
            let at_end = |end: &&End| meets(end) && rest.is_none_or(Rest::takes_nothing);
            let here = self.ends.iter().find(at_end).map(|end| end.template);
            return match rest {
                None => here.or_else(|| self.also_nothing().find(meets).map(|end| end.template)),
                Some(_) => here.or_else(|| rests().find(meets).map(|end| end.template)).or_else(|| {
                    let anything = Rest { least: Least::Nothing, verb: Box::default() };
                    self.children().find_map(|node| node.meeting(method, &[], Some(&anything)))
                }),
            };
        };
        let matching = |node: &Node| node.meeting(method, deeper, rest);
        let literal = match segment {
            Segment::Literal(text) => self.literals.get(text).map(Box::as_ref).and_then(matching),
            Segment::Mixed(mixed) => self
                .literals
                .iter()
                .filter(|(text, _)| mixed.matches(text))
                .find_map(|(_, node)| matching(node)),
            Segment::Parameter => self.literals.values().map(Box::as_ref).find_map(matching),
        };
        let mixed = || match segment {
            Segment::Literal(text) => separated(self.mixed.as_deref()?, text).find_map(matching),
            Segment::Mixed(_) | Segment::Parameter => self.mixed_children().find_map(matching),
        };
        let parameter = || self.parameter.as_deref().and_then(matching);
        let rest = || rests().find(meets).map(|end| end.template);
        literal.or_else(mixed).or_else(parameter).or_else(rest)
    }

    /// The ends of templates that take the rest of the path, also where nothing is left.
    fn also_nothing(&self) -> impl Iterator<Item = &End> {
        let rests = self.rests.get(&b""[..]).into_iter().flatten();
        rests.filter(|(least, _)| *least == Least::Nothing).map(|(_, end)| end)
    }

    fn children(&self) -> impl Iterator<Item = &Node> {
        self.literals.values().map(Box::as_ref).chain(self.mixed_children()).chain(self.parameter.as_deref())
    }

    fn mixed_children(&self) -> impl Iterator<Item = &Node> {
        let by_suffix = self.mixed.iter().flat_map(|mixed| mixed.by_text.values());
        by_suffix.flat_map(|by_suffix| by_suffix.by_text.values()).flat_map(BTreeMap::values)
    }

    fn most_visits(&self) -> usize {
        let literal = self.literals.values().map(|node| node.most_visits()).max().unwrap_or(0);
        let parameter = self.parameter.as_deref().map_or(0, Node::most_visits);
        let mixed = self.mixed.as_deref().map_or(0, |mixed| {
            let by_prefix = mixed.map(|by_suffix| {
                let by_suffix = by_suffix.map(|same| sum(same.values().map(Node::most_visits)));
                let with_others = |text: &[u8]| sum(by_suffix.ending(text).map(|(_, visits)| *visits));
                by_suffix.by_text.keys().map(|text| with_others(text)).max().unwrap_or(0)
            });
            let with_others = |text: &[u8]| sum(by_prefix.beginning(text).map(|(_, visits)| *visits));
            by_prefix.by_text.keys().map(|text| with_others(text)).max().unwrap_or(0)
        });
        sum([1, literal, parameter, mixed].into_iter())
    }
}

/// The nodes of texts with values that a segment matches, the most literal first.
fn separated<'t>(mixed: &'t ByLength<ByLength<Separated>>, segment: &[u8]) -> impl Iterator<Item = &'t Node> {
    mixed.beginning(segment).flat_map(move |(prefix, by_suffix)| {
        let rest = segment.get(prefix..).unwrap_or_default();
        by_suffix.ending(rest).flat_map(move |(suffix, same)| {
            let between = rest.get(..rest.len().saturating_sub(suffix)).unwrap_or_default();
            same.iter().filter(move |((_, middle), _)| separates(middle, between)).map(|(_, node)| node)
        })
    })
}

fn order(middle: &Middle) -> (Reverse<usize>, Middle) {
    (Reverse(middle.iter().map(|text| text.len()).sum()), middle.clone())
}

/// The route of the template for this method, else of the one for any.
fn best<'t>(method: Method, ends: impl Iterator<Item = &'t End>) -> Option<&'t str> {
    let mut any = None;
    for end in ends {
        match end.method {
            Some(known) if known == method => return Some(&end.route),
            None => any = Some(&*end.route),
            Some(_) => {}
        }
    }
    any
}

fn sum(numbers: impl Iterator<Item = usize>) -> usize {
    numbers.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests;
