//! Sums of stretches of time that an earlier question has added up, kept in memory.
//!
//! A page asks the same questions every few seconds, and all but the last minutes of their answers are as before. The sums of
//! a stretch are used again while no batch has changed a half hour of it ([`Moments`]), and while the series that were known
//! then are in the same groups. Series are only appended, and a new one has no counts in a stretch that did not change.
//!
//! [`Moments`]: crate::store::moments::Moments

use super::rollup::{Groups, Sums};
use crate::error::QueryError;
use crate::store::moments::{Moment, Seen};
use crate::sync::lock;
use gatelens_model::varint;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes that a stretch takes beside its sums, roughly.
const STRETCH_BYTES: usize = 160;
/// The same for the sums of a group.
const GROUP_BYTES: usize = 24;

/// The sums of stretches, in a bounded memory. When it is full, those go that were not asked for the longest.
pub(crate) struct Kept {
    max_bytes: usize,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    /// By what tells questions apart, and by the first and the last minute of the stretch.
    questions: HashMap<String, HashMap<(i64, i64), Stretch>>,
    bytes: usize,
    /// Grows with each answer.
    answers: u64,
}

struct Stretch {
    sums: PackedSums,
    /// Before the snapshot that it was read from.
    moment: Moment,
    /// The series that were known then.
    series: usize,
    /// Of the groups of these series.
    grouping: u64,
    /// The last answer that used it.
    used: u64,
}

/// The sums of groups, by their places.
type PackedSums = Arc<[(usize, Box<[u8]>)]>;

/// The kept sums, for an answer out of a snapshot that was opened between two moments.
pub(crate) struct Memory<'a> {
    pub(crate) kept: &'a Kept,
    pub(crate) between: (Moment, Seen),
}

impl<'a> Memory<'a> {
    /// `question` must tell filters and groupings apart.
    pub(super) fn keeper(self, question: String, groups: &Groups) -> Keeper<'a> {
        self.kept.keeper(question, self.between, groups)
    }
}

/// What an answer takes from the kept sums, and adds to them.
pub(crate) struct Keeper<'a> {
    kept: &'a Kept,
    question: String,
    moment: Moment,
    seen: Seen,
    /// By number of series: a hash of the groups of the series before.
    groupings: Vec<u64>,
    answer: u64,
    /// Bytes that this answer has added.
    added: usize,
}

impl Kept {
    /// In at most these bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, content: Mutex::default() }
    }

    fn keeper(&self, question: String, (moment, seen): (Moment, Seen), groups: &Groups) -> Keeper<'_> {
        let mut content = self.content();
        content.answers += 1;
        let answer = content.answers;
        Keeper { kept: self, question, moment, seen, groupings: groupings(groups), answer, added: 0 }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.content)
    }
}

impl Keeper<'_> {
    /// Adds the sums of a stretch of Unix minutes, which `read` adds up if they are not kept.
    pub(super) fn add(
        &mut self,
        minutes: (i64, i64),
        sums: &mut Vec<Option<Sums>>,
        read: impl FnOnce(&mut Self, &mut Vec<Option<Sums>>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let packed = match self.find(minutes) {
            Some(found) => found,
            None => {
                let mut own = Vec::new();
                read(self, &mut own)?;
                let own = own.iter().enumerate();
                let packed: PackedSums =
                    own.filter_map(|(place, sums)| Some((place, sums.as_ref()?.packed()))).collect();
                self.put(minutes, Arc::clone(&packed));
                packed
            }
        };
        for (place, packed) in &*packed {
            if sums.len() <= *place {
                sums.resize(place + 1, None);
            }
            if let Some(sum) = sums.get_mut(*place) {
                sum.get_or_insert_default().add_packed(packed);
            }
        }
        Ok(())
    }

    fn find(&self, minutes: (i64, i64)) -> Option<PackedSums> {
        let mut content = self.kept.content();
        let stretch = content.questions.get_mut(&self.question)?.get_mut(&minutes)?;
        let is_valid = self.groupings.get(stretch.series) == Some(&stretch.grouping)
            && self.seen.is_unchanged(minutes, stretch.moment);
        stretch.used = self.answer;
        is_valid.then(|| Arc::clone(&stretch.sums))
    }

    fn put(&mut self, minutes: (i64, i64), sums: PackedSums) {
        let bytes = bytes_with(&sums);
        // One answer must not push out those of all other questions.
        if self.added + bytes > self.kept.max_bytes / 2 {
            return;
        }
        self.added += bytes;
        let series = self.groupings.len().saturating_sub(1);
        let grouping = self.groupings.last().copied().unwrap_or_default();
        let stretch = Stretch { sums, moment: self.moment, series, grouping, used: self.answer };
        let mut content = self.kept.content();
        let before = content.questions.entry(self.question.clone()).or_default().insert(minutes, stretch);
        content.bytes += bytes;
        content.bytes -= before.map_or(0, |stretch| bytes_with(&stretch.sums));
        if content.bytes > self.kept.max_bytes {
            content.shrink(self.kept.max_bytes / 4 * 3);
        }
    }
}

impl Content {
    /// Lets go of what was not used the longest, until the rest takes no more than these bytes.
    fn shrink(&mut self, max_bytes: usize) {
        let stretches = self.questions.values().flat_map(HashMap::values);
        let mut by_use: Vec<(u64, usize)> =
            stretches.map(|stretch| (stretch.used, bytes_with(&stretch.sums))).collect();
        by_use.sort_unstable_by_key(|(used, _)| std::cmp::Reverse(*used));
        let mut left = 0;
        // The stretches of one answer go together.
        let last = by_use.into_iter().find(|(_, bytes)| {
            left += bytes;
            left > max_bytes
        });
        let Some((last, _)) = last else { return };
        for stretches in self.questions.values_mut() {
            stretches.retain(|_, stretch| stretch.used > last);
        }
        self.questions.retain(|_, stretches| !stretches.is_empty());
        let stretches = self.questions.values().flat_map(HashMap::values);
        self.bytes = stretches.map(|stretch| bytes_with(&stretch.sums)).sum();
    }
}

/// Bytes that a stretch takes with these sums.
fn bytes_with(sums: &PackedSums) -> usize {
    STRETCH_BYTES + sums.iter().map(|(_, packed)| GROUP_BYTES + packed.len()).sum::<usize>()
}

impl Sums {
    fn packed(&self) -> Box<[u8]> {
        let mut out = Vec::new();
        for number in [self.requests, self.errors, self.request_bytes, self.response_bytes, self.attempts] {
            varint::put(&mut out, number);
        }
        [&self.duration, &self.upstream, &self.gateway].into_iter().for_each(|sketch| sketch.pack(&mut out));
        out.into_boxed_slice()
    }

    /// Adds what [`packed`](Self::packed) wrote.
    fn add_packed(&mut self, mut packed: &[u8]) {
        let targets = [
            &mut self.requests,
            &mut self.errors,
            &mut self.request_bytes,
            &mut self.response_bytes,
            &mut self.attempts,
        ];
        for target in targets {
            *target = target.saturating_add(varint::take(&mut packed).unwrap_or_default());
        }
        for target in [&mut self.duration, &mut self.upstream, &mut self.gateway] {
            target.add_packed(&mut packed);
        }
    }
}

/// By number of series, a hash of the groups that the series before have.
fn groupings(groups: &Groups) -> Vec<u64> {
    let of_groups: Vec<u64> = groups.all.iter().map(hash).collect();
    let mut last = 0;
    let mut groupings = vec![last];
    for series in groups.of_series() {
        last = hash((last, series.map(|(place, is_error)| (place, of_groups.get(place), is_error))));
        groupings.push(last);
    }
    groupings
}

fn hash<T: Hash>(value: T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
