//! Consumers: who they are, and what they are called.

use super::{Column, Gateway, RequestBatch, SeriesKey};
use gatelens_model::value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest name and longest group, in characters, as in the filter.
const MAX_LABEL_CHARS: usize = 64;

/// A consumer of one service in one environment and direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConsumerKey {
    pub(crate) service: Arc<str>,
    pub(crate) environment: Arc<str>,
    pub(crate) direction: Arc<str>,
    pub(crate) id: Arc<str>,
}

/// The name and the group of a consumer; empty where they are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConsumerLabel {
    pub(crate) name: String,
    pub(crate) group: String,
}

impl ConsumerLabel {
    /// Takes from another label what is not known.
    pub(crate) fn complete(&mut self, other: &Self) {
        for (own, other) in [(&mut self.name, &other.name), (&mut self.group, &other.group)] {
            if own.is_empty() {
                own.clone_from(other);
            }
        }
    }
}

/// Names and groups, each with the time of the request that brought it (Unix nanoseconds).
pub(crate) type Labelled = BTreeMap<ConsumerKey, (i64, ConsumerLabel)>;

impl ConsumerKey {
    /// The consumer of a series, if it is one: nobody and the overflow are none.
    pub(crate) fn of_series(series: &SeriesKey) -> Option<Self> {
        let SeriesKey { service, environment, direction, consumer, .. } = series;
        Self::of(service, environment, Arc::clone(direction), Arc::clone(consumer))
    }

    fn of(
        service: &Arc<str>,
        environment: &Arc<str>,
        direction: impl Into<Arc<str>>,
        id: impl AsRef<str> + Into<Arc<str>>,
    ) -> Option<Self> {
        let is_one = ![value::ANONYMOUS, value::OVERFLOW].contains(&id.as_ref());
        is_one.then(|| Self {
            service: Arc::clone(service),
            environment: Arc::clone(environment),
            direction: direction.into(),
            id: id.into(),
        })
    }
}

/// The names and groups that a batch brings, the latest of each consumer.
pub(crate) fn labelled(batch: &RequestBatch) -> Labelled {
    let mut found = Labelled::new();
    for part in &batch.parts {
        let [names, groups, consumers, directions] =
            ["consumer_name", "consumer_group", "consumer", "direction"].map(|name| part.events.named(name));
        if names.is_none() && groups.is_none() {
            continue;
        }
        let Gateway { service, environment, .. } = &part.gateway;
        for (row, at) in part.events.times().iter().enumerate() {
            let text = |column: Option<&Column>| {
                column.and_then(|column| column.str(row)).unwrap_or_default().to_owned()
            };
            let cut = |column| text(column).trim().chars().take(MAX_LABEL_CHARS).collect::<String>();
            let label = ConsumerLabel { name: cut(names), group: cut(groups) };
            if label == ConsumerLabel::default() {
                continue;
            }
            let direction = Some(text(directions)).filter(|direction| !direction.is_empty());
            let direction = direction.unwrap_or_else(|| value::INBOUND.to_owned());
            let Some(key) = ConsumerKey::of(service, environment, direction, text(consumers)) else {
                continue;
            };
            let (time, known) = found.entry(key).or_default();
            if at >= time {
                (*time, *known) = (*at, label);
            }
        }
    }
    found
}
