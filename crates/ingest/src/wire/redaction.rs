//! Reads the redaction of a gateway: hits by rule, bodies by fate.

use super::attributes::{text, whole_text};
use super::report::{latest, points, whole};
use super::value::clip;
use crate::model::{Bodies, Redaction, Rule};
use gatelens_model::{Message, attribute, metric, value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use std::collections::HashMap;

/// Rules kept of a gateway: more than a gateway reports.
const MAX_RULES: usize = 5_000;
/// A longer name is cut: no rule of ours has one.
const MAX_RULE_BYTES: usize = 4_096;
/// Fates of bodies kept of each message.
const MAX_FATES: usize = 64;

impl Redaction {
    /// Whether a metric of this name is about redaction.
    pub(super) fn knows(name: &str) -> bool {
        [metric::REDACTION_HITS, metric::BODIES].contains(&name)
    }

    /// Reads a metric; `false` when it is not about redaction.
    pub(super) fn read(&mut self, metric: &Metric) -> bool {
        match metric.name.as_str() {
            metric::REDACTION_HITS => self.rules = Some(rules(metric)),
            metric::BODIES => self.bodies = Some(bodies(metric)),
            _ => return false,
        }
        self.time = self.time.max(latest(points(metric)));
        true
    }

    /// The same at `now` (Unix nanoseconds), where it has no time of its own.
    pub(super) fn timed(self, now: i64) -> Self {
        Self { time: if self.time == 0 { now } else { self.time }, ..self }
    }
}

fn rules(metric: &Metric) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for point in points(metric) {
        let name = whole_text(&point.attributes, attribute::REDACTION_RULE).filter(|name| !name.is_empty());
        let (Some(name), Some(hits)) = (name, whole(point)) else { continue };
        let name = clip(name, MAX_RULE_BYTES);
        let place = places.get(name).copied().unwrap_or(rules.len());
        if let Some(known) = rules.get_mut(place) {
            known.hits = known.hits.saturating_add(hits);
        } else if place < MAX_RULES {
            places.insert(name, place);
            rules.push(Rule { rule: name.to_owned(), hits });
        }
    }
    rules
}

fn bodies(metric: &Metric) -> Bodies {
    let mut bodies = Bodies::default();
    for point in points(metric) {
        let name = text(&point.attributes, attribute::BODY_MESSAGE);
        let fates = match Message::ALL.into_iter().find(|message| Some(message.name()) == name) {
            Some(Message::Request) => &mut bodies.request,
            Some(Message::Response) => &mut bodies.response,
            None => continue,
        };
        let (Some(fate), Some(count)) = (text(&point.attributes, attribute::BODY_FATE), whole(point)) else {
            continue;
        };
        if fate == value::BODY_CAPTURED {
            fates.captured = fates.captured.saturating_add(count);
        } else if let Some(known) = fates.omitted.get_mut(fate) {
            *known = known.saturating_add(count);
        } else if fates.omitted.len() < MAX_FATES {
            fates.omitted.insert(fate.to_owned(), count);
        }
    }
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint, Sum, metric::Data};
    use serde_json::json;

    fn point(attributes: &[(&str, &str)], value: Option<Value>) -> NumberDataPoint {
        let attribute = |(key, text): &(&str, &str)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue((*text).to_owned())) }),
            ..Default::default()
        };
        NumberDataPoint {
            attributes: attributes.iter().map(attribute).collect(),
            value,
            ..Default::default()
        }
    }

    fn read(name: &str, data_points: Vec<NumberDataPoint>) -> Redaction {
        let mut redaction = Redaction::default();
        let data = Some(Data::Sum(Sum { data_points, ..Default::default() }));
        assert!(redaction.read(&Metric { name: name.to_owned(), data, ..Default::default() }));
        redaction
    }

    fn count(value: i64) -> Option<Value> {
        Some(Value::AsInt(value))
    }

    #[test]
    fn rules_stay_in_their_order() {
        let check = |points: &[(&str, Option<Value>)], expected: &[(&str, u64)]| {
            let points =
                points.iter().map(|(rule, value)| point(&[(attribute::REDACTION_RULE, rule)], *value));
            let rules = read(metric::REDACTION_HITS, points.collect()).rules.unwrap();
            let found: Vec<_> = rules.iter().map(|rule| (rule.rule.as_str(), rule.hits)).collect();
            assert_eq!(found, expected);
        };
        check(&[], &[]);
        check(&[("b", count(0)), ("a", count(7))], &[("b", 0), ("a", 7)]);
        check(&[("a", count(1)), ("b", count(2)), ("a", count(i64::MAX))], &[("a", 1 << 63), ("b", 2)]);
        check(
            &[("a", count(-1)), ("b", None), ("", count(1)), ("c", Some(Value::AsDouble(2.4)))],
            &[("c", 2)],
        );
        let long = "é".repeat(MAX_RULE_BYTES);
        check(&[(&long, count(1)), (&long[..5000], count(1))], &[(&long[..MAX_RULE_BYTES], 2)]);
    }

    #[test]
    fn rules_and_fates_are_bounded() {
        let names: Vec<String> = (0..2 * MAX_RULES).map(|i| format!("keys:{i}")).collect();
        let points = names.iter().map(|name| point(&[(attribute::REDACTION_RULE, name)], count(1))).collect();
        assert_eq!(read(metric::REDACTION_HITS, points).rules.unwrap().len(), MAX_RULES);
        let points = names.iter().map(|name| {
            point(&[(attribute::BODY_MESSAGE, "request"), (attribute::BODY_FATE, name)], count(1))
        });
        assert_eq!(read(metric::BODIES, points.collect()).bodies.unwrap().request.omitted.len(), MAX_FATES);
    }

    #[test]
    fn bodies_are_counted_by_message_and_fate() {
        let body = |message, fate, value| {
            point(&[(attribute::BODY_MESSAGE, message), (attribute::BODY_FATE, fate)], count(value))
        };
        let points = vec![
            body("request", "captured", 3),
            body("request", "too_large", 1),
            body("request", "too_large", 1),
            body("response", "no_body", 5),
            body("response", "captured", -5),
            body("sideways", "captured", 9),
            body("response", "", 9),
            point(&[(attribute::BODY_FATE, "captured")], count(9)),
        ];
        let bodies = read(metric::BODIES, points).bodies;
        let expected = json!({"request": {"captured": 3, "omitted": {"too_large": 2}},
            "response": {"captured": 0, "omitted": {"no_body": 5}}});
        assert_eq!(serde_json::to_value(bodies).unwrap(), expected);
    }

    #[test]
    fn only_what_is_reported_is_known() {
        let mut redaction = Redaction::default();
        let data = Some(Data::Gauge(Gauge::default()));
        let metric = |name: &str| Metric { name: name.to_owned(), data: data.clone(), ..Default::default() };
        assert!(!redaction.read(&metric("gatelens.events")));
        assert!(redaction.read(&metric(metric::BODIES)));
        let timed = redaction.timed(7);
        assert_eq!((timed.time, timed.rules, timed.bodies), (7, None, Some(Bodies::default())));
    }
}
