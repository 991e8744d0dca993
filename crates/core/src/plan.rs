//! A configuration, compiled. Using a plan cannot fail.

mod check;
mod consumer;
mod destinations;
mod report;
mod scrape;

use std::rc::Rc;
use std::time::Duration;

use crate::config::{
    Compression, Config, ConfigError, Counters, Direction, Ingest, Problem, RequestsAs, Routes, Sample,
    Service, Step, Temporality, bounds, defects,
};
use crate::counters::Caps;
use crate::export::ExportConfig;
use crate::hash::fnv1a;
use crate::host::PluginIdentity;
use crate::otlp::Resource;
use crate::request::route::{Conflict, Template, Templates};
use crate::request::{Foresight, RequestPlan, Selection};
use crate::scrape::ScrapePlan;
use crate::shared::CounterSetId;
use gatelens_model::Message;
use gatelens_redact::capture::Capture;
use gatelens_redact::{Redactor, SectionError};

/// A compiled configuration.
#[derive(Debug)]
pub struct Plan {
    /// The way of each request.
    pub request: RequestPlan,
    /// The counters and the receiver.
    pub export: Rc<ExportConfig>,
    /// Whether each event is also written to the gateway's log.
    pub access_log: bool,
    /// What the plugin answers to Prometheus, if it is the endpoint and counts nothing.
    pub scrape: Option<ScrapePlan>,
    /// Whether the filter writes its own steps to the gateway's log.
    pub debug: bool,
}

impl Plan {
    /// Reads and compiles a configuration.
    ///
    /// # Errors
    /// The first defect, with its JSON path, line and column, and what to do.
    pub fn read(text: &str, identity: &PluginIdentity) -> Result<Self, ConfigError> {
        let config = Config::parse(text)?;
        Self::compile(config, identity).map_err(|problem| problem.locate(text))
    }

    /// All defects that [`Plan::read`] would name one after the other, in the order of their places; at most 100. A text
    /// that is not JSON has one.
    #[must_use]
    pub fn defects(text: &str, identity: &PluginIdentity) -> Vec<ConfigError> {
        defects::all(text, |text| Self::read(text, identity))
    }

    /// Checks every value of a configuration and compiles it, section by section.
    fn compile(config: Config, identity: &PluginIdentity) -> Result<Self, Problem> {
        let config_hash = fnv1a([&config.canonical()[..]]);
        let Config {
            version,
            service,
            ingest,
            destinations,
            consumer,
            routes,
            report,
            exclude,
            sample,
            capture,
            redact,
            counters,
            limits,
            access_log,
            scrape,
            debug,
        } = config;
        check::version(version)?;
        check::service(&service)?;
        check::ingest(&ingest)?;
        check::destinations(&ingest, &destinations)?;
        let templates = compile_templates(&routes, &counters)?;
        let all = || std::iter::once(&ingest).chain(&destinations);
        let is_sent = ingest.enabled && all().any(|to| to.requests_as != RequestsAs::None);
        check::capture(&capture, &ingest, is_sent)?;
        let capture = Capture::new(&capture).map_err(|defect| in_section("capture", defect))?;
        let masked = consumer::masked(&consumer, &redact);
        let redactor = Redactor::new(&masked).map_err(|defect| in_section("redact", defect))?;
        let (consumer, response_headers) = consumer::compile(&consumer, &redact)?;
        let (report, response_headers) = report::compile(report, response_headers)?;
        check::exclude(&exclude)?;
        check::sample(&sample)?;
        check::counters(&counters)?;
        check::limits(&limits)?;
        let scrape = scrape.map(|scrape| scrape::compile(&scrape, &service)).transpose()?;
        // An event that is not sent and not in the gateway's log would reach nobody.
        let sample = if is_sent || access_log { sample } else { nothing() };
        let traces = destinations::trace_sampling(all());
        let selection = Selection::new(&exclude, &sample, traces);
        // What is never logged needs no header.
        let only_response_header =
            capture.only_header(Message::Response).filter(|_| selection.foresight() != Foresight::Always);
        let counters_id = counter_set_id(identity, &service, (&ingest, &destinations), &counters);
        Ok(Self {
            access_log,
            scrape,
            debug,
            export: Rc::new(ExportConfig {
                counters: counters_id,
                caps: Caps {
                    series: counters.max_series,
                    consumers: counters.max_consumers,
                    routes: counters.max_routes,
                    hosts: counters.max_hosts,
                    upstream_clusters: counters.max_upstreams,
                    templates: u32::try_from(templates.routes()).unwrap_or(u32::MAX),
                },
                bounds_ns: counters.bounds_seconds.iter().map(|bound| (bound * 1e9).round() as u64).collect(),
                bounds_seconds: counters.bounds_seconds,
                limits,
                direction: service.direction,
                resource: Resource::new(&service, config_hash),
                instance: Some(identity.node_id.clone()).filter(|id| !id.is_empty()),
                destinations: destinations::compile(ingest, destinations, &service, &routes),
                rules: redactor.configured_rules(),
            }),
            request: RequestPlan {
                direction: service.direction,
                consumer,
                templates,
                use_route_name: routes.use_route_name,
                infer_routes: routes.infer,
                count_consumers: counters.consumer,
                count_hosts: counters.host.unwrap_or(service.direction == Direction::Outbound),
                count_upstreams: counters.upstream,
                selection,
                only_response_header,
                response_headers,
                report,
                capture,
                redactor,
            },
        })
    }

    /// How often the root context wakes up: often enough for the batches' age, and at least twice a second: a count takes
    /// two ticks to leave the process, one to be merged and one to be sent, and a killed process loses the rest. `random`
    /// makes it up to a fifth more often, so that the workers of a fleet do not all send at the same moment.
    pub fn tick_period(&self, random: u64) -> Duration {
        let longest = u64::from(self.export.limits.flush_ms.min(500));
        let earlier = random.checked_rem((longest / 5).max(1)).unwrap_or(0);
        Duration::from_millis(longest.saturating_sub(earlier))
    }
}

fn compile_templates(routes: &Routes, counters: &Counters) -> Result<Templates, Problem> {
    check::at_most(["routes", "templates"], routes.templates.len(), bounds::TEMPLATES, "templates")?;
    let mut templates = Templates::default();
    for (index, text) in routes.templates.iter().enumerate() {
        let problem = |message: String| {
            let at: [Step; 3] = ["routes".into(), "templates".into(), index.into()];
            Problem::new(at, message)
        };
        let template = Template::parse(text).map_err(|error| problem(error.to_string()))?;
        templates.insert(template).map_err(|Conflict { with }| {
            let other = routes.templates.get(with).map(String::as_str).unwrap_or_default();
            problem(format!(
                "`{text}` matches requests that `{other}` (routes.templates[{with}]) matches too, and neither is more \
                 literal; remove one of them"
            ))
        })?;
    }
    check::templates(&templates, counters)?;
    Ok(templates)
}

/// A sample without any request.
fn nothing() -> Sample {
    Sample { rate: 0.0, keep_errors: false, keep_slower_than_ms: None, keep_consumers: Vec::new() }
}

fn in_section(section: &str, defect: SectionError) -> Problem {
    let steps = [Step::from(section), Step::from(defect.list)].into_iter();
    Problem::new(steps.chain(defect.index.map(Step::from)), defect.message)
}

/// Identifies a set of counters: two plugins that differ in any of these options never mix.
///
/// The values of `ingest.headers` are not among them. They are credentials, which this hash must not cover, and a rotated
/// credential must not begin new counters: the worker continues with its queue and uses the new value for its next request.
fn counter_set_id(
    plugin: &PluginIdentity,
    service: &Service,
    (ingest, destinations): (&Ingest, &[Ingest]),
    counters: &Counters,
) -> CounterSetId {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut add = |part: &str| parts.push(part.as_bytes().to_vec());
    [&plugin.name, &plugin.root_id].into_iter().for_each(|part| add(part));
    [&service.name, &service.version, &service.environment].into_iter().for_each(|part| add(part));
    let cluster = ingest.cluster.as_deref().unwrap_or_default();
    [cluster, ingest.authority(), &ingest.path_prefix].into_iter().for_each(&mut add);
    for (key, value) in &service.tags {
        add(key);
        add(value);
    }
    ingest.headers.keys().for_each(|name| add(name));
    // A worker has the same forms of records for its whole life, also for those that wait for their bodies.
    match ingest.requests_as {
        RequestsAs::Logs => {}
        RequestsAs::Spans => add("spans"),
        RequestsAs::Both => add("both"),
        RequestsAs::None => add("none"),
    }
    if !ingest.metrics {
        add("no metrics");
    }
    if ingest.temporality == Temporality::Delta {
        add("delta");
    }
    parts.push(vec![service.direction as u8]);
    if !ingest.enabled {
        // A worker has an ingest for its whole life, or none.
        parts.push(Vec::new());
    }
    for destination in destinations {
        // Without the values of its headers, and with its compression: batches are shared by destinations of the same.
        parts.push(destination.canonical());
    }
    if !destinations.is_empty() && ingest.compression == Compression::None {
        parts.push(b"uncompressed".to_vec());
    }
    parts.extend(counters.bounds_seconds.iter().map(|bound| bound.to_bits().to_le_bytes().to_vec()));
    CounterSetId(fnv1a(parts.iter().map(|part| &part[..])))
}

#[cfg(test)]
mod config_tests;
#[cfg(test)]
mod defects_tests;
