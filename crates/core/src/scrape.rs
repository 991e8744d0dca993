//! The endpoint that Prometheus scrapes: a page of the shared counters in the text format, version 0.0.4.
//!
//! A root context with the section `scrape` counts nothing and keeps no state: each answer is read from shared data, so that any
//! worker may give it, and no number of scrapes changes a count. Workers merge their counts with their ticks; what they counted
//! since is on a later page.

use std::borrow::Cow;
use std::fmt::Display;
use std::rc::Rc;

use hashbrown::HashMap;

use crate::config::Direction;
use crate::counters::{Dimension, Dimensions, Series};
use crate::export::ExportConfig;
use crate::host::{HeaderMap, Host};
use crate::plan::Plan;
use crate::shared::series::each_slot;
use crate::shared::slot::{Slot, Sums};
use crate::shared::{SharedStore, epoch, heartbeat};
use gatelens_model::{attribute, metric, prometheus, value};

const NO_COUNTERS: &str = "No plugin of this gateway counts under this configuration. The endpoint needs the name, root_id, vm_id and \
    configuration of the plugin that counts, with the section `scrape` in addition.\n";

/// The section `scrape`, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapePlan {
    /// The path that is answered.
    pub path: String,
    /// The attributes of a series that are labels, and the names of those, in the order of [`prometheus::LABELS`].
    pub labels: Vec<(&'static str, String)>,
    /// The labels of the service, where they are chosen.
    pub of_service: String,
    /// Most series on a page.
    pub max_series: usize,
}

/// The endpoint of one root context.
#[derive(Debug)]
pub struct Scraper {
    plan: ScrapePlan,
    export: Rc<ExportConfig>,
    store: SharedStore,
}

/// A response to a scraper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// The series of the page, by their labels, in the order in which their slots were given out.
#[derive(Default)]
struct Page {
    series: Vec<(Rc<str>, Sums)>,
    places: HashMap<Rc<str>, usize>,
}

impl Scraper {
    /// The endpoint of a configuration; `None` where it has none.
    pub(crate) fn new(plan: &Plan) -> Option<Self> {
        let scrape = plan.scrape.clone()?;
        let store = SharedStore::new(plan.export.counters);
        Some(Self { plan: scrape, export: Rc::clone(&plan.export), store })
    }

    /// Answers the request whose headers arrive.
    pub fn reply(&self, host: &impl Host) -> Reply {
        let headers = host.request_headers();
        let header = |wanted: &[u8]| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let path = header(b":path").and_then(|path| path.split(|byte| *byte == b'?').next());
        let text = |status, body: &str| Reply { status, content_type: "text/plain", body: body.to_owned() };
        if path != Some(self.plan.path.as_bytes()) {
            return text(404, &format!("The counters are at {}.\n", self.plan.path));
        }
        if !matches!(header(b":method"), Some(b"GET" | b"HEAD")) {
            return text(405, "Ask with GET.\n");
        }
        if !epoch::is_open(host, &self.store) {
            return text(503, NO_COUNTERS);
        }
        Reply { status: 200, content_type: prometheus::TEXT_CONTENT_TYPE, body: self.page(host) }
    }

    fn page(&self, host: &impl Host) -> String {
        let mut page = Page::default();
        let mut labels = String::new();
        each_slot(host, &self.store, |value| {
            if let Some((key, sums)) = Slot::sums(value)
                && let Some(series) = key.series()
            {
                self.labels(&series, &mut labels);
                if page.series.len() >= self.plan.max_series && !page.places.contains_key(&*labels) {
                    self.labels(&Series::Overflow(None), &mut labels);
                }
                page.add(&labels, &sums);
            }
        });
        self.text(&page, heartbeat::active_requests(host, &self.store))
    }

    /// Writes the labels of a series. An attribute that it does not have is not a label.
    fn labels(&self, series: &Series<'_>, out: &mut String) {
        out.clear();
        for (attribute, label) in &self.plan.labels {
            if let Some(value) = value_of(attribute, series) {
                prometheus::put_label(out, label, &value);
            }
        }
        if !out.is_empty() && !self.plan.of_service.is_empty() {
            out.push(',');
        }
        out.push_str(&self.plan.of_service);
    }

    fn text(&self, page: &Page, active_requests: u64) -> String {
        let prefix = match self.export.direction {
            Direction::Inbound => metric::SERVER,
            Direction::Outbound => metric::CLIENT,
        };
        let mut out = String::new();
        let name = begin(&mut out, &[prefix, metric::REQUEST_DURATION].concat(), "s", "histogram");
        for (labels, sums) in &page.series {
            let mut requests = 0u64;
            for (bound, more) in self.export.bounds_seconds.iter().zip(&sums.by_bound) {
                requests = requests.saturating_add(*more);
                bucket(&mut out, &name, labels, &prometheus::bound(*bound), requests);
            }
            end_histogram(&mut out, &name, labels, &(sums.duration_ns as f64 / 1e9), sums.requests);
        }
        sizes(&mut out, &[prefix, metric::REQUEST_BODY_SIZE].concat(), page, |sums| sums.request_bytes);
        sizes(&mut out, &[prefix, metric::RESPONSE_BODY_SIZE].concat(), page, |sums| sums.response_bytes);
        let name = begin(&mut out, &[prefix, metric::ACTIVE_REQUESTS].concat(), "{request}", "gauge");
        prometheus::put_sample(&mut out, (&name, ""), &self.plan.of_service, None, &active_requests);
        out
    }
}

impl Page {
    fn add(&mut self, labels: &str, sums: &Sums) {
        let next = self.series.len();
        let place = self.places.get(labels).copied().unwrap_or(next);
        if place == next {
            let labels: Rc<str> = labels.into();
            self.places.insert(Rc::clone(&labels), next);
            self.series.push((labels, Sums::default()));
        }
        if let Some((_, total)) = self.series.get_mut(place) {
            total.add(sums);
        }
    }
}

/// A histogram of sizes, of which only the sum and the number are counted.
fn sizes(out: &mut String, name: &str, page: &Page, bytes: impl Fn(&Sums) -> u64) {
    let name = begin(out, name, "By", "histogram");
    for (labels, sums) in &page.series {
        end_histogram(out, &name, labels, &bytes(sums), sums.requests);
    }
}

/// The value of an attribute of a series, if it has one.
fn value_of<'s>(attribute: &str, series: &Series<'s>) -> Option<Cow<'s, str>> {
    let text = |dimension| match dimension {
        Dimension::Value(text) => text,
        Dimension::Overflow => value::OVERFLOW,
    };
    Some(match (attribute, series) {
        (attribute::METHOD, Series::Exact(dimensions)) => dimensions.method.name().into(),
        (attribute::ROUTE, Series::Exact(dimensions)) => text(dimensions.route).into(),
        (attribute::CONSUMER_ID, Series::Exact(dimensions)) => text(dimensions.consumer).into(),
        (attribute::METHOD | attribute::ROUTE | attribute::CONSUMER_ID, Series::Overflow(_)) => {
            value::OVERFLOW.into()
        }
        (
            attribute::STATUS_CODE,
            Series::Exact(Dimensions { status, .. }) | Series::Overflow(Some(status)),
        ) => status.code()?.to_string().into(),
        (attribute::ERROR_TYPE, Series::Exact(dimensions)) => dimensions.error?.name(dimensions.ending()),
        _ => return None,
    })
}

/// Begins a family. Returns its name.
fn begin(out: &mut String, name: &str, unit: &str, kind: &str) -> String {
    let help = metric::description(name);
    let name = prometheus::metric(name, unit);
    prometheus::put_head(out, &name, help, kind);
    name
}

/// Requests of at most this duration.
fn bucket(out: &mut String, name: &str, labels: &str, bound: &str, requests: u64) {
    prometheus::put_sample(out, (name, "_bucket"), labels, Some(bound), &requests);
}

/// The last bucket, the sum and the count.
fn end_histogram(out: &mut String, name: &str, labels: &str, sum: &dyn Display, requests: u64) {
    bucket(out, name, labels, "+Inf", requests);
    prometheus::put_sample(out, (name, "_sum"), labels, None, sum);
    prometheus::put_sample(out, (name, "_count"), labels, None, &requests);
}
