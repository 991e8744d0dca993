//! The bounds of all options, in one place: the schema contains them, the documents are generated from the schema, and
//! Compiling the plan checks every configuration against them.

use std::ops::RangeInclusive;

/// Versions of the configuration's format.
pub const VERSION: RangeInclusive<u32> = 1..=1;

/// Characters of `service.name`.
pub const SERVICE_NAME: RangeInclusive<usize> = 1..=255;
/// Characters of `service.version`.
pub const SERVICE_VERSION: RangeInclusive<usize> = 0..=64;
/// Characters of `service.environment`; [`ENVIRONMENT_PATTERN`] has the same number.
pub const ENVIRONMENT: RangeInclusive<usize> = 1..=32;
/// `service.environment` as a regular expression.
pub const ENVIRONMENT_PATTERN: &str = "^[A-Za-z0-9_-]{1,32}$";
/// Most entries of `service.tags`.
pub const TAGS: usize = 32;
/// Characters of a name in `service.tags`; [`TAG_PATTERN`] has the same number.
pub const TAG_NAME: RangeInclusive<usize> = 1..=64;
/// A name in `service.tags` as a regular expression.
pub const TAG_PATTERN: &str = "^[A-Za-z0-9_.-]{1,64}$";
/// Characters of a value in `service.tags`.
pub const TAG_VALUE: RangeInclusive<usize> = 0..=256;

/// Characters of `ingest.cluster`.
pub const CLUSTER: RangeInclusive<usize> = 1..=255;
/// Most entries of `destinations`.
pub const DESTINATIONS: usize = 3;
/// `ingest.timeout_ms`, milliseconds.
pub const TIMEOUT_MS: RangeInclusive<u32> = 1..=60_000;

/// Most entries of `consumer.sources`.
pub const SOURCES: usize = 32;
/// Names of a path into the dynamic metadata: the filter's, and at least one key.
pub const METADATA_PATH: RangeInclusive<usize> = 2..=16;
/// Characters of a name in such a path, of a claim, a cookie and a query parameter.
pub const SOURCE_NAME: RangeInclusive<usize> = 1..=256;
/// Characters of `consumer.pseudonymize_key`.
pub const PSEUDONYMIZE_KEY: RangeInclusive<usize> = 1..=1_024;
/// Characters that a pseudonym may keep.
pub const KEEP_PREFIX: RangeInclusive<u32> = 0..=16;
/// Most entries of `consumer.directory`.
pub const DIRECTORY: usize = 10_000;
/// Characters of a consumer's ID in `consumer.directory`.
pub const CONSUMER_ID: RangeInclusive<usize> = 1..=128;
/// Characters of a consumer's name and of its group.
pub const LABEL: RangeInclusive<usize> = 0..=64;
/// Most entries of `routes.templates`: as many as there may be routes.
pub const TEMPLATES: usize = 20_000;
/// Most nodes of the tree of templates that a request may visit.
pub const TEMPLATE_VISITS: usize = 1_000;

/// `counters.max_series`.
pub const SERIES: RangeInclusive<u32> = 1..=20_000;
/// `scrape.max_series`.
pub const SCRAPED_SERIES: RangeInclusive<u32> = 1..=10_000;
/// `counters.max_consumers`.
pub const CONSUMERS: RangeInclusive<u32> = 1..=20_000;
/// `counters.max_routes`.
pub const ROUTES: RangeInclusive<u32> = 1..=20_000;
/// `counters.max_hosts`.
pub const HOSTS: RangeInclusive<u32> = 1..=20_000;
/// `counters.max_upstreams`.
pub const UPSTREAMS: RangeInclusive<u32> = 1..=20_000;
/// Most entries of `counters.bounds_seconds`.
pub const DURATION_BOUNDS: usize = 64;
/// An entry of `counters.bounds_seconds`, seconds.
pub const DURATION_BOUND: RangeInclusive<f64> = 0.000_001..=1_000_000.0;

/// `limits.queue_bytes`.
pub const QUEUE_BYTES: RangeInclusive<u32> = 65_536..=67_108_864;
/// `limits.batch_events`.
pub const BATCH_EVENTS: RangeInclusive<u32> = 1..=10_000;
/// `limits.batch_bytes`.
pub const BATCH_BYTES: RangeInclusive<u32> = 4_096..=4_194_304;
/// `limits.flush_ms`, milliseconds.
pub const FLUSH_MS: RangeInclusive<u32> = 100..=60_000;
/// `limits.redaction_percent`, per cent.
pub const REDACTION_PERCENT: RangeInclusive<u32> = 1..=100;

/// Most entries of each list of `exclude`.
pub const EXCLUSIONS: usize = 256;
/// Bytes of an entry of a list of `exclude`.
pub const EXCLUSION: RangeInclusive<usize> = 1..=1_024;
/// `sample.rate`.
pub const SAMPLE_RATE: RangeInclusive<f64> = 0.0..=1.0;
/// `sample.keep_slower_than_ms`, milliseconds.
pub const KEEP_SLOWER_THAN_MS: RangeInclusive<u32> = 1..=86_400_000;
/// Most entries of `sample.keep_consumers`.
pub const KEEP_CONSUMERS: usize = 1_000;
