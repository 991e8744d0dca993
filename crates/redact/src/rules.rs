//! The rules of a configuration by number, and counts of their hits.

/// Number of a rule within its [`super::Redactor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub(super) u16);

/// All rules, each with a stable name.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleRegistry {
    names: Vec<String>,
}

impl RuleRegistry {
    /// The rule of that name. Adding the same name again returns the same rule.
    pub(super) fn add(&mut self, name: String) -> RuleId {
        let known = self.names.iter().position(|known| *known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len().saturating_sub(1)
        });
        // The lists are bounded so that numbers cannot run out.
        RuleId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

/// Hits of each rule since the last drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    by_rule: Vec<u64>,
}

impl Hits {
    /// Counts hits of a rule.
    pub(super) fn add(&mut self, rule: RuleId, times: u64) {
        if times == 0 {
            return;
        }
        let index = usize::from(rule.0);
        if self.by_rule.len() <= index {
            self.by_rule.resize(index.saturating_add(1), 0);
        }
        if let Some(count) = self.by_rule.get_mut(index) {
            *count = count.saturating_add(times);
        }
    }

    /// Adds the counts of another.
    pub(super) fn take(&mut self, other: Hits) {
        for (index, count) in other.by_rule.into_iter().enumerate() {
            self.add(RuleId(u16::try_from(index).unwrap_or(u16::MAX)), count);
        }
    }

    /// Returns the counts by index into [`super::Redactor::rules`] and resets them. Rules without hits are skipped.
    pub fn drain(&mut self) -> impl Iterator<Item = (usize, u64)> {
        std::mem::take(&mut self.by_rule).into_iter().enumerate().filter(|(_, count)| *count > 0)
    }

    /// Whether no rule was hit.
    pub fn is_empty(&self) -> bool {
        self.by_rule.iter().all(|count| *count == 0)
    }
}
