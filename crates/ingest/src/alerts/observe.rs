//! The value of each instance of a rule, from the answers of the store. Pure.

use super::rule::{Measure, Rule};
use super::state::Reading;
use crate::query::{Range, Sender, Sums, Window};
use std::collections::{BTreeMap, HashMap};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;
const WEEK: i64 = 7 * DAY;

/// A gateway that was silent for longer is no longer missed.
pub(crate) const FORGOTTEN: i64 = DAY;
/// A gateway that another one of its service follows within this time was replaced, and is not missed.
const REPLACED: i64 = 30 * MINUTE;

/// The values of the rule's `each`, in their order.
pub(crate) type Labels = Vec<(String, String)>;

/// What was found about one instance of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    pub(crate) labels: Labels,
    /// `None` where nothing was measured.
    pub(crate) value: Option<f64>,
    /// What the bound on instances keeps first.
    pub(crate) weight: u64,
    pub(crate) sample: Sample,
}

/// Whether a value means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Enough,
    /// Fewer requests or errors than the rule asks for.
    TooSmall,
    /// It cannot be known.
    Unknown,
}

impl Observation {
    /// What follows from it.
    pub(crate) fn reading(&self, rule: &Rule) -> Reading {
        let missing = rule.config.missing;
        match self.sample {
            Sample::Enough => Reading::of(self.value, &rule.threshold, missing),
            Sample::TooSmall => Reading::of(None, &rule.threshold, missing),
            Sample::Unknown => Reading::Unknown,
        }
    }
}

/// The stretches that a rule of counts needs at this end: the window, and what it is compared with.
pub(crate) fn stretches(rule: &Rule, end: i64) -> Vec<Range> {
    let window = Range { from: end - i64::from(rule.config.window_minutes) * MINUTE, to: end };
    let also = match rule.config.measure {
        Measure::RequestsChangePercent => Some(Range { from: window.from - WEEK, to: window.to - WEEK }),
        // An instance without requests is found by those of the day before.
        Measure::RequestsPerMinute if !rule.each.is_empty() => Some(Range { from: end - DAY, to: end }),
        _ => None,
    };
    std::iter::once(window).chain(also).collect()
}

/// The observations of a rule of counts, from the sums of its [`stretches`].
pub(crate) fn of_counts(rule: &Rule, windows: &[&Window]) -> Vec<Observation> {
    let Some((&window, rest)) = windows.split_first() else { return Vec::new() };
    let other = rest.first().copied();
    let mut groups: BTreeMap<&Vec<String>, [Option<&Sums>; 2]> = BTreeMap::new();
    let all = Vec::new();
    if rule.each.is_empty() {
        groups.insert(&all, [None; 2]);
    }
    for (place, window) in [Some(window), other].into_iter().enumerate() {
        for (texts, sums) in window.iter().flat_map(|window| &window.groups) {
            groups.entry(texts).or_default()[place] = Some(sums);
        }
    }
    let is_coarse = window.is_coarse || other.is_some_and(|other| other.is_coarse);
    let unknown = is_coarse && rule.config.measure.counts_requests();
    let observed = groups.into_iter().map(|(texts, [now, other])| {
        let labels = rule.config.each.iter().cloned().zip(texts.iter().cloned()).collect();
        let (value, sample) = measured(rule, now, other);
        let requests = |sums: Option<&Sums>| sums.map_or(0, |sums| sums.requests);
        Observation {
            labels,
            value,
            weight: requests(now).max(requests(other)),
            sample: if unknown { Sample::Unknown } else { sample },
        }
    });
    observed.collect()
}

fn measured(rule: &Rule, now: Option<&Sums>, other: Option<&Sums>) -> (Option<f64>, Sample) {
    let config = &rule.config;
    let requests = now.map_or(0, |sums| sums.requests);
    let enough = |count: u64| if count >= config.min_requests { Sample::Enough } else { Sample::TooSmall };
    let percentile = |q| {
        let value = now.and_then(|sums| sums.duration.quantile(q)).map(|seconds| seconds * 1e3);
        (value, enough(requests))
    };
    match config.measure {
        Measure::P50Ms => percentile(0.5),
        Measure::P95Ms => percentile(0.95),
        Measure::P99Ms => percentile(0.99),
        Measure::UpstreamP95Ms => {
            let value = now.and_then(|sums| sums.upstream.quantile(0.95)).map(|seconds| seconds * 1e3);
            (value, enough(now.map_or(0, |sums| sums.upstream.count())))
        }
        Measure::ErrorPercent => {
            let errors = now.map_or(0, |sums| sums.errors);
            let value = (requests > 0).then(|| errors as f64 / requests as f64 * 100.0);
            // Few errors among few requests are a high rate, and no news.
            let few =
                errors < config.min_errors && value.is_some_and(|value| rule.threshold.is_breached(value));
            (value, if few { Sample::TooSmall } else { enough(requests) })
        }
        Measure::RequestsPerMinute => {
            (Some(requests as f64 / f64::from(config.window_minutes)), Sample::Enough)
        }
        Measure::RequestsChangePercent => {
            let then = other.map_or(0, |sums| sums.requests);
            let value = (then > 0).then(|| (requests as f64 / then as f64 - 1.0) * 100.0);
            (value, enough(then))
        }
        Measure::GatewaySilenceSeconds | Measure::DroppedRecords | Measure::DiskPercent => {
            (None, Sample::Unknown)
        }
    }
}

/// Service, environment and instance.
pub(crate) type GatewayKey = [String; 3];

/// The observations of a rule about gateways. `now` is in Unix nanoseconds; the service runs since `started`. `dropped`
/// has the records that each gateway dropped in the window.
pub(crate) fn of_gateways(
    rule: &Rule,
    senders: &[Sender],
    dropped: &HashMap<GatewayKey, u64>,
    now: i64,
    started: i64,
) -> Vec<Observation> {
    let mut gateways: BTreeMap<GatewayKey, Life> = BTreeMap::new();
    for sender in senders.iter().filter(|sender| takes(rule, sender)) {
        let key = [&sender.service, &sender.environment, &sender.instance].map(Clone::clone);
        gateways.entry(key).or_default().add(sender);
    }
    let mut groups: BTreeMap<Vec<String>, Option<f64>> = BTreeMap::new();
    if rule.config.each.is_empty() {
        groups.insert(Vec::new(), None);
    }
    for (key, life) in &gateways {
        if rule.config.measure == Measure::GatewaySilenceSeconds && life.is_replaced(key, &gateways) {
            continue;
        }
        let value = match rule.config.measure {
            // Nobody could report while the service was down.
            Measure::GatewaySilenceSeconds => {
                now.saturating_sub(life.last_seen.max(started)).max(0) as f64 / SECOND as f64
            }
            _ => dropped.get(key).copied().unwrap_or_default() as f64,
        };
        let texts = rule.config.each.iter().map(|name| label(key, name).to_owned()).collect();
        let group = groups.entry(texts).or_default();
        *group = Some(match (*group, rule.config.measure) {
            (None, _) => value,
            // A group is silent when all of it is.
            (Some(other), Measure::GatewaySilenceSeconds) => other.min(value),
            (Some(other), _) => other + value,
        });
    }
    let observed = groups.into_iter().map(|(texts, value)| Observation {
        labels: rule.config.each.iter().cloned().zip(texts).collect(),
        value,
        weight: value.unwrap_or_default() as u64,
        sample: Sample::Enough,
    });
    observed.collect()
}

/// When a gateway reported, over all its epochs; in Unix nanoseconds.
struct Life {
    first_seen: i64,
    last_seen: i64,
}

impl Default for Life {
    fn default() -> Self {
        Self { first_seen: i64::MAX, last_seen: i64::MIN }
    }
}

impl Life {
    fn add(&mut self, sender: &Sender) {
        self.first_seen = self.first_seen.min(sender.first_seen);
        self.last_seen = self.last_seen.max(sender.last_seen);
    }

    /// Whether another gateway of the same service began about when this one ended: a deployment, not a loss.
    fn is_replaced(&self, own: &GatewayKey, all: &BTreeMap<GatewayKey, Self>) -> bool {
        all.iter().any(|(key, other)| {
            key[..2] == own[..2]
                && key != own
                && (other.first_seen - self.last_seen).abs() <= REPLACED
                && other.last_seen.saturating_sub(self.last_seen) > REPORT_DUE
        })
    }
}

/// A gateway at work has reported again after this time.
const REPORT_DUE: i64 = 90 * SECOND;

fn takes(rule: &Rule, sender: &Sender) -> bool {
    rule.filter.takes_sender(&sender.service, &sender.environment, &sender.instance)
}

fn label<'a>(key: &'a GatewayKey, name: &str) -> &'a str {
    match name {
        "service" => &key[0],
        "environment" => &key[1],
        _ => &key[2],
    }
}

/// The observation of a rule about the disk.
pub(crate) fn of_disk(used_percent: Option<f64>) -> Vec<Observation> {
    let sample = if used_percent.is_some() { Sample::Enough } else { Sample::Unknown };
    vec![Observation { labels: Vec::new(), value: used_percent, weight: 0, sample }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::rule::{RuleConfig, built_in};

    fn rule(change: impl FnOnce(&mut RuleConfig)) -> Rule {
        let mut config = RuleConfig { name: "r".to_owned(), above: Some(1.0), ..RuleConfig::default() };
        change(&mut config);
        Rule::compile(config).unwrap()
    }

    fn sums(requests: u64, errors: u64) -> Sums {
        Sums { requests, errors, ..Sums::default() }
    }

    fn window(groups: &[(&[&str], Sums)]) -> Window {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Window {
            groups: groups.iter().map(|(group, sums)| (texts(group), sums.clone())).collect(),
            ..Window::default()
        }
    }

    fn reading(rule: &Rule, windows: &[Window]) -> (Option<f64>, Reading) {
        let found = of_counts(rule, &windows.iter().collect::<Vec<_>>());
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].value, found[0].reading(rule))
    }

    #[test]
    fn few_requests_and_few_errors_are_no_news() {
        let rule = rule(|rule| rule.measure = Measure::ErrorPercent);
        let check = |requests, errors, expected: Reading| {
            let (_, found) = reading(&rule, &[window(&[(&[], sums(requests, errors))])]);
            assert_eq!(found, expected, "{errors} of {requests}");
        };
        check(99, 99, Reading::Back);
        check(100, 9, Reading::Back);
        check(100, 10, Reading::Beyond);
        check(10_000, 100, Reading::Between);
        check(10_000, 101, Reading::Beyond);
        check(10_000, 90, Reading::Back);
        assert_eq!(reading(&rule, &[window(&[])]), (None, Reading::Back));
    }

    #[test]
    fn too_few_requests_are_found_where_there_are_none_left() {
        let rule = rule(|rule| {
            (rule.measure, rule.above, rule.below) = (Measure::RequestsPerMinute, None, Some(1.0));
            rule.each = vec!["route".to_owned()];
        });
        let found = of_counts(&rule, &[&window(&[]), &window(&[(&["/a"], sums(500, 0))])]);
        assert_eq!(found[0].labels, [("route".to_owned(), "/a".to_owned())]);
        assert_eq!((found[0].value, found[0].reading(&rule)), (Some(0.0), Reading::Beyond));
        assert_eq!(stretches(&rule, DAY).last().unwrap(), &Range { from: 0, to: DAY });
    }

    #[test]
    fn requests_are_compared_with_last_week() {
        let rule = rule(|rule| {
            (rule.measure, rule.above, rule.below) = (Measure::RequestsChangePercent, None, Some(-50.0));
        });
        let check = |now, then, expected| {
            let windows = [window(&[(&[], sums(now, 0))]), window(&[(&[], sums(then, 0))])];
            assert_eq!(reading(&rule, &windows), expected, "{now} after {then}");
        };
        check(40, 100, (Some(-60.0), Reading::Beyond));
        check(0, 100, (Some(-100.0), Reading::Beyond));
        check(50, 100, (Some(-50.0), Reading::Between));
        check(100, 100, (Some(0.0), Reading::Back));
        check(0, 99, (Some(-100.0), Reading::Back));
        check(40, 0, (None, Reading::Back));
        let coarse = Window { is_coarse: true, ..window(&[(&[], sums(0, 0))]) };
        assert_eq!(reading(&rule, &[coarse, window(&[(&[], sums(100, 0))])]).1, Reading::Unknown);
        let [now, then] = [stretches(&rule, WEEK)[0], stretches(&rule, WEEK)[1]];
        assert_eq!((now.from - then.from, now.to), (WEEK, WEEK));
    }

    fn sender(instance: &str, first_seen: i64, last_seen: i64) -> Sender {
        Sender {
            instance: instance.to_owned(),
            epoch: String::new(),
            service: "orders".to_owned(),
            environment: String::new(),
            first_seen,
            last_seen,
            dropped: 0,
        }
    }

    #[test]
    fn a_silent_gateway_is_missed_unless_another_one_took_its_place() {
        let lost = Rule::compile(built_in().pop().unwrap()).unwrap();
        let check = |senders: &[Sender], started: i64, expected: &[(&str, f64)]| {
            let found = of_gateways(&lost, senders, &HashMap::new(), 100 * MINUTE, started);
            let found: Vec<_> =
                found.iter().map(|found| (found.labels[2].1.as_str(), found.value.unwrap())).collect();
            assert_eq!(found, expected);
        };
        let silent = sender("edge-1", 0, 90 * MINUTE);
        check(std::slice::from_ref(&silent), 0, &[("edge-1", 600.0)]);
        check(std::slice::from_ref(&silent), 95 * MINUTE, &[("edge-1", 300.0)]);
        // Two epochs are one gateway.
        check(&[silent.clone(), sender("edge-1", 91 * MINUTE, 99 * MINUTE)], 0, &[("edge-1", 60.0)]);
        let neighbour = sender("edge-2", 0, 100 * MINUTE);
        check(&[silent.clone(), neighbour], 0, &[("edge-1", 600.0), ("edge-2", 0.0)]);
        let successor = sender("edge-2", 89 * MINUTE, 100 * MINUTE);
        check(&[silent.clone(), successor], 0, &[("edge-2", 0.0)]);
        // Both are lost.
        let gone = sender("edge-2", 89 * MINUTE, 90 * MINUTE);
        check(&[silent, gone], 0, &[("edge-1", 600.0), ("edge-2", 600.0)]);
    }

    #[test]
    fn a_group_of_gateways_is_silent_when_all_are_and_drops_what_all_drop() {
        let senders = [sender("edge-1", 0, 90 * MINUTE), sender("edge-2", 0, 99 * MINUTE)];
        let silence = rule(|rule| rule.measure = Measure::GatewaySilenceSeconds);
        let found = of_gateways(&silence, &senders, &HashMap::new(), 100 * MINUTE, 0);
        assert_eq!(found[0].value, Some(60.0));
        let drops = rule(|rule| rule.measure = Measure::DroppedRecords);
        let dropped = senders
            .iter()
            .map(|sender| ([sender.service.clone(), sender.environment.clone(), sender.instance.clone()], 3));
        let found = of_gateways(&drops, &senders, &dropped.collect(), 100 * MINUTE, 0);
        assert_eq!(found[0].value, Some(6.0));
        let one = rule(|rule| {
            rule.measure = Measure::DroppedRecords;
            rule.scope.insert("gateway".to_owned(), "edge-2".to_owned());
            rule.each = vec!["gateway".to_owned()];
        });
        let found = of_gateways(&one, &senders, &HashMap::new(), 100 * MINUTE, 0);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels, [("gateway".to_owned(), "edge-2".to_owned())]);
    }
}
