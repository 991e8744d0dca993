//! A configuration, compiled. Using a plan cannot fail.

use std::rc::Rc;
use std::time::Duration;

use crate::config::{Compression, Config, Counters, Direction, Ingest, Limits, Secret, Service};
use crate::consumer::Source;
use crate::counters::Caps;
use crate::hash::fnv1a;
use crate::host::Host;
use crate::otlp::{self, Resource};
use crate::route::{Template, Templates};
use crate::shared::CounterSetId;
use gatelens_redact::capture::Capture;
use gatelens_redact::{Redactor, SectionError};

/// What the filter does with each request, and where it sends what.
#[derive(Debug)]
pub struct Plan {
    /// Asked in order for the consumer.
    pub sources: Vec<Source>,
    /// Configured templates.
    pub templates: Templates,
    /// Whether Envoy's route name is used.
    pub use_route_name: bool,
    /// Whether routes are inferred.
    pub infer_routes: bool,
    /// Whether series tell consumers apart.
    pub count_consumers: bool,
    /// What the request log keeps.
    pub capture: Capture,
    /// What never leaves.
    pub redactor: Redactor,
    /// Whether what the filter does is written to the gateway's log.
    pub debug: bool,
    /// What the shared state of this plugin is, and where it goes.
    pub export: Rc<ExportConfig>,
}

/// All that a worker's counters and queue need to be delivered, whichever root context does it.
#[derive(Debug)]
pub struct ExportConfig {
    /// Which counters.
    pub counters: CounterSetId,
    /// Caps of the series.
    pub caps: Caps,
    /// Bounds at which durations are counted exactly, nanoseconds.
    pub bounds_ns: Vec<u64>,
    /// The same in seconds, as configured.
    pub bounds_seconds: Vec<f64>,
    /// Bounds of memory and time.
    pub limits: Limits,
    /// Which way the traffic goes.
    pub direction: Direction,
    /// The OTLP resource but for `service.instance.id`, which belongs to the epoch.
    pub resource: Resource,
    /// `service.instance.id`, if the gateway has a name of its own.
    pub instance: Option<String>,
    /// Cluster of the ingest.
    pub cluster: String,
    /// `:authority`.
    pub authority: String,
    /// Path of the metrics.
    pub metrics_path: String,
    /// Path of the logs.
    pub logs_path: String,
    /// Headers of the operator's own, names in lower case.
    pub headers: Vec<(String, Secret<String>)>,
    /// How bodies are compressed.
    pub compression: Compression,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Names of the configured rules of redaction: that one was never hit is news.
    pub rules: Vec<String>,
}

impl Plan {
    /// Compiles a configuration. The host knows which plugin this is.
    ///
    /// # Errors
    /// A rule that cannot be compiled, which [`Config::parse`] has refused before.
    pub fn new(config: Config, host: &impl Host) -> Result<Self, SectionError> {
        let templates = config.routes.templates.iter().filter_map(|text| Template::parse(text).ok());
        let sources = config.consumer.sources.iter();
        let redactor = Redactor::new(&config.redact)?;
        Ok(Self {
            capture: Capture::new(&config.capture)?,
            templates: Templates::new(templates),
            sources: sources
                .map(|source| Source {
                    header: source.header.to_ascii_lowercase().into(),
                    trusted: source.trusted,
                })
                .collect(),
            use_route_name: config.routes.use_route_name,
            infer_routes: config.routes.infer,
            count_consumers: config.counters.consumer,
            debug: config.debug,
            export: Rc::new(ExportConfig::new(config, host, redactor.configured_rules())),
            redactor,
        })
    }

    /// How often the root context wakes up: often enough for the batches' age, at least twice a second, because a count
    /// takes two ticks to be safe, one to be merged and one to be sent, and what is not is lost if the process is
    /// killed; and, as `random` says, up to a fifth more often, so that the workers of a fleet do not all send at the
    /// same moment.
    pub fn tick_period(&self, random: u64) -> Duration {
        let longest = u64::from(self.export.limits.flush_ms.min(500));
        let earlier = random.checked_rem((longest / 5).max(1)).unwrap_or(0);
        Duration::from_millis(longest.saturating_sub(earlier))
    }
}

impl ExportConfig {
    fn new(config: Config, host: &impl Host, rules: Vec<String>) -> Self {
        let named =
            |path: &[&str]| host.property(path).map(|name| String::from_utf8_lossy(&name).into_owned());
        let config_hash = fnv1a([&config.canonical()[..]]);
        let Config { service, ingest, counters, limits, .. } = config;
        let instance = [&["xds", "node", "id"][..], &["node", "id"]]
            .into_iter()
            .find_map(named)
            .filter(|id| !id.is_empty());

        let plugin = [named(&["plugin_name"]), named(&["plugin_root_id"])].map(Option::unwrap_or_default);
        let authority = ingest.authority.clone().unwrap_or_else(|| ingest.cluster.clone());
        let counter_set = counter_set_id(&plugin, &service, &ingest, &counters);
        let resource = otlp::Resource::new(&service, config_hash);
        Self {
            counters: counter_set,
            caps: Caps {
                series: counters.max_series,
                consumers: counters.max_consumers,
                routes: counters.max_routes,
            },
            bounds_ns: counters.bounds_seconds.iter().map(|bound| (bound * 1e9).round() as u64).collect(),
            bounds_seconds: counters.bounds_seconds,
            limits,
            direction: service.direction,
            resource,
            instance,
            cluster: ingest.cluster,
            authority,
            metrics_path: format!("{}/v1/metrics", ingest.path_prefix),
            logs_path: format!("{}/v1/logs", ingest.path_prefix),
            headers: ingest
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            compression: ingest.compression,
            timeout: Duration::from_millis(u64::from(ingest.timeout_ms)),
            rules,
        }
    }
}

/// Identifies a set of counters: two plugins that differ in any of these options never mix.
///
/// The values of `ingest.headers` are not among them. They are credentials, which this hash must not cover, and a rotated
/// credential must not begin new counters: the worker continues with its queue and uses the new value for its next request.
fn counter_set_id(
    plugin: &[String],
    service: &Service,
    ingest: &Ingest,
    counters: &Counters,
) -> CounterSetId {
    let mut parts: Vec<Vec<u8>> = plugin.iter().map(|name| name.clone().into_bytes()).collect();
    let mut add = |part: &str| parts.push(part.as_bytes().to_vec());
    [&service.name, &service.version, &service.environment].into_iter().for_each(|part| add(part));
    [&ingest.cluster, ingest.authority.as_ref().unwrap_or(&ingest.cluster), &ingest.path_prefix]
        .into_iter()
        .for_each(|part| add(part));
    for (key, value) in &service.tags {
        add(key);
        add(value);
    }
    ingest.headers.keys().for_each(|name| add(name));
    parts.push(vec![service.direction as u8]);
    parts.extend(counters.bounds_seconds.iter().map(|bound| bound.to_bits().to_le_bytes().to_vec()));
    CounterSetId(fnv1a(parts.iter().map(|part| &part[..])))
}
