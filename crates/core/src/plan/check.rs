//! The rules that types alone do not express. The first that is broken refuses the configuration.

mod selection;

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::config::{CaptureConfig, Counters, Ingest, Limits, Problem, RequestsAs, Service, Step, bounds};
use crate::request::route::Templates;

pub(super) use selection::{exclude, sample};

pub(super) type Checked = Result<(), Problem>;

pub(super) fn version(version: u32) -> Checked {
    if bounds::VERSION.contains(&version) {
        return Ok(());
    }
    let known = bounds::VERSION.end();
    fail(["version"], format!("this filter does not know version {version}; write {known}"))
}

pub(super) fn service(service: &Service) -> Checked {
    length(["service", "name"], &service.name, bounds::SERVICE_NAME)?;
    length(["service", "version"], &service.version, bounds::SERVICE_VERSION)?;
    word(["service", "environment"], &service.environment, bounds::ENVIRONMENT, "_-")?;
    at_most(["service", "tags"], service.tags.len(), bounds::TAGS, "tags")?;
    for (key, value) in &service.tags {
        let at = ["service", "tags", key.as_str()];
        word(at, key, bounds::TAG_NAME, "_.-")?;
        length(at, value, bounds::TAG_VALUE)?;
    }
    Ok(())
}

pub(super) fn ingest(ingest: &Ingest) -> Checked {
    match &ingest.cluster {
        Some(cluster) => length(["ingest", "cluster"], cluster, bounds::CLUSTER)?,
        None if ingest.enabled => return Err(Problem::missing([Step::from("ingest")], "cluster")),
        None => {}
    }
    if let Some(authority) = &ingest.authority
        && (authority.is_empty() || !authority.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return fail(
            ["ingest", "authority"],
            "this is not an authority; write a host name with an optional port: `ingest.internal:4318`",
        );
    }
    let prefix = &ingest.path_prefix;
    let plain = prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    if !(prefix.is_empty() || prefix.starts_with('/') && !prefix.ends_with('/') && plain) {
        let corrected = format!("/{}", prefix.trim().trim_matches('/'));
        return fail(
            ["ingest", "path_prefix"],
            format!("a prefix must begin with a slash and must not end with one; write `{corrected}`"),
        );
    }
    range(["ingest", "timeout_ms"], ingest.timeout_ms, bounds::TIMEOUT_MS)?;
    if !ingest.metrics && ingest.requests_as == RequestsAs::None {
        return fail(["ingest", "metrics"], "nothing would be sent; remove this key, or `requests_as`");
    }
    for (name, value) in &ingest.headers {
        let at = ["ingest", "headers", name.as_str()];
        if !is_header_name(name) {
            return fail(at, NOT_A_HEADER);
        }
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-gatelens-")
            || matches!(lower.as_str(), "content-type" | "content-length" | "content-encoding" | "host")
        {
            return fail(at, "the filter sets this header itself; remove it");
        }
        if !value.expose().bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return fail(
                at,
                "the value has characters that a header cannot carry; use printable ASCII characters only",
            );
        }
    }
    Ok(())
}

/// The further receivers, beside the section `ingest`.
pub(super) fn destinations(ingest: &Ingest, destinations: &[Ingest]) -> Checked {
    at_most(["destinations"], destinations.len(), bounds::DESTINATIONS, "destinations")?;
    for (index, destination) in destinations.iter().enumerate() {
        let at = || [Step::from("destinations"), Step::from(index)];
        self::ingest(destination).map_err(|problem| problem.moved(at()))?;
        if !ingest.enabled || !destination.enabled {
            let message = "a destination cannot be disabled, and none stands beside an ingest that is; remove this entry";
            return Err(Problem::new(at(), message));
        }
        let before = std::iter::once(ingest).chain(destinations.iter().take(index));
        let is_same = |other: &Ingest| {
            (&other.cluster, other.authority()) == (&destination.cluster, destination.authority())
                && other.path_prefix == destination.path_prefix
        };
        if before.into_iter().any(is_same) {
            let message =
                "another section names the same receiver; name each one once, with all that it gets";
            return Err(Problem::new(at(), message));
        }
    }
    Ok(())
}

/// Bodies leave the gateway with requests only.
pub(super) fn capture(capture: &CaptureConfig, ingest: &Ingest, is_sent: bool) -> Checked {
    let switches = [("request_body", capture.request_body), ("response_body", capture.response_body)];
    for (key, _) in switches.into_iter().filter(|(_, is_on)| *is_on && !is_sent) {
        let other = if ingest.enabled { "requests_as" } else { "enabled" };
        fail(
            ["capture", key],
            format!("no requests are sent, so bodies would go nowhere; remove this key, or `ingest.{other}`"),
        )?;
    }
    Ok(())
}

pub(super) fn counters(counters: &Counters) -> Checked {
    range(["counters", "max_series"], counters.max_series, bounds::SERIES)?;
    range(["counters", "max_consumers"], counters.max_consumers, bounds::CONSUMERS)?;
    range(["counters", "max_routes"], counters.max_routes, bounds::ROUTES)?;
    range(["counters", "max_hosts"], counters.max_hosts, bounds::HOSTS)?;
    range(["counters", "max_upstreams"], counters.max_upstreams, bounds::UPSTREAMS)?;
    let at = ["counters", "bounds_seconds"];
    let seconds = &counters.bounds_seconds;
    at_most(at, seconds.len(), bounds::DURATION_BOUNDS, "bounds")?;
    for bound in seconds {
        range(at, *bound, bounds::DURATION_BOUND)?;
    }
    if !seconds.is_sorted_by(|a, b| a < b) {
        return fail(at, "the bounds do not rise; write each one larger than the one before");
    }
    Ok(())
}

/// Each route of a template has a slot of its own.
pub(super) fn templates(templates: &Templates, counters: &Counters) -> Checked {
    let (routes, slots) = (templates.routes(), counters.max_routes);
    if u32::try_from(routes).is_ok_and(|routes| routes <= slots) {
        let visits = templates.most_visits();
        return if visits <= bounds::TEMPLATE_VISITS {
            Ok(())
        } else {
            let most = bounds::TEMPLATE_VISITS;
            fail(
                ["routes", "templates"],
                format!(
                    "a request could need {visits} steps to find its template, and {most} are the bound; fewer templates \
                     must have a parameter where others have a text"
                ),
            )
        };
    }
    fail(
        ["counters", "max_routes"],
        format!(
            "the templates have {routes} routes, and the bound is {slots}; set `counters.max_routes` to {routes} or more"
        ),
    )
}

pub(super) fn limits(limits: &Limits) -> Checked {
    range(["limits", "queue_bytes"], limits.queue_bytes, bounds::QUEUE_BYTES)?;
    range(["limits", "batch_events"], limits.batch_events, bounds::BATCH_EVENTS)?;
    range(["limits", "batch_bytes"], limits.batch_bytes, bounds::BATCH_BYTES)?;
    range(["limits", "flush_ms"], limits.flush_ms, bounds::FLUSH_MS)?;
    range(["limits", "redaction_percent"], limits.redaction_percent, bounds::REDACTION_PERCENT)?;
    if limits.batch_bytes > limits.queue_bytes {
        let (batch, queue) = (limits.batch_bytes, limits.queue_bytes);
        return fail(
            ["limits", "batch_bytes"],
            format!(
                "a batch of {batch} bytes does not fit into the queue; use at most `queue_bytes`, {queue}"
            ),
        );
    }
    Ok(())
}

/// More entries than a list or an object may have.
pub(super) fn at_most<const N: usize>(at: [&str; N], entries: usize, most: usize, what: &str) -> Checked {
    if entries <= most {
        return Ok(());
    }
    fail(at, format!("there are {entries} {what}; use at most {most}"))
}

pub(super) fn fail<const N: usize>(at: [&str; N], message: impl Into<String>) -> Checked {
    Err(Problem::new(at.map(Step::from), message))
}

pub(super) fn range<T: PartialOrd + Display>(
    at: impl IntoIterator<Item = impl Into<Step>>,
    value: T,
    allowed: RangeInclusive<T>,
) -> Checked {
    if allowed.contains(&value) {
        return Ok(());
    }
    let (least, most) = allowed.into_inner();
    let message = format!("{value} is out of range; use a number between {least} and {most}");
    Err(Problem::new(at.into_iter().map(Into::into), message))
}

pub(super) fn length<const N: usize>(at: [&str; N], value: &str, allowed: RangeInclusive<usize>) -> Checked {
    let length = value.chars().count();
    if !allowed.contains(&length) {
        let (least, most) = allowed.into_inner();
        return fail(at, format!("the text has {length} characters; use {least} to {most}"));
    }
    if value.chars().any(char::is_control) {
        return fail(at, "the text has control characters; remove them");
    }
    Ok(())
}

/// ASCII letters, digits and the characters in `also`.
fn word<const N: usize>(at: [&str; N], text: &str, allowed: RangeInclusive<usize>, also: &str) -> Checked {
    let known = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    if allowed.contains(&text.len()) && text.chars().all(known) {
        return Ok(());
    }
    let (least, most) = allowed.into_inner();
    let also: Vec<String> = also.chars().map(|c| format!("`{c}`")).collect();
    fail(at, format!("use {least} to {most} letters, digits or characters of {}", also.join(" ")))
}

pub(super) const NOT_A_HEADER: &str =
    "this is not a header name; use letters, digits and hyphens, as in `x-consumer-id`";

/// A token of RFC 9110.
pub(super) fn is_header_name(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
