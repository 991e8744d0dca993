//! The rules that types alone do not state. The first that is broken refuses the configuration.

use super::error::Problem;
use super::locate::Step;
use super::{Config, Counters, Ingest, Limits, Routes, Service};
use crate::route::Template;
use gatelens_redact::capture::Capture;
use gatelens_redact::{Redactor, SectionError, is_credential_header};

type Checked = Result<(), Problem>;

pub(super) fn check(config: &Config) -> Checked {
    if config.version != 1 {
        return fail(
            ["version"],
            format!("version {} is unknown to this filter; it reads version 1", config.version),
        );
    }
    service(&config.service)?;
    ingest(&config.ingest)?;
    consumer(config)?;
    routes(&config.routes)?;
    Capture::new(&config.capture).map_err(|defect| in_section("capture", defect))?;
    Redactor::new(&config.redact).map_err(|defect| in_section("redact", defect))?;
    counters(&config.counters)?;
    limits(&config.limits)
}

fn service(service: &Service) -> Checked {
    length(["service", "name"], &service.name, 1, 255)?;
    length(["service", "version"], &service.version, 0, 64)?;
    if !is_word(&service.environment, 32, b"_-") {
        return fail(["service", "environment"], "an environment has 1 to 32 letters, digits, `_` and `-`");
    }
    if service.tags.len() > 32 {
        return fail(["service", "tags"], "at most 32 tags");
    }
    for (key, value) in &service.tags {
        let at = ["service", "tags", key.as_str()];
        if !is_word(key, 64, b"_.-") {
            return fail(at, "a tag's name has 1 to 64 letters, digits, `_`, `.` and `-`");
        }
        length(at, value, 0, 256)?;
    }
    Ok(())
}

fn ingest(ingest: &Ingest) -> Checked {
    length(["ingest", "cluster"], &ingest.cluster, 1, 255)?;
    if let Some(authority) = &ingest.authority
        && (authority.is_empty() || !authority.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return fail(
            ["ingest", "authority"],
            "an authority is a host name with an optional port: `ingest.internal:4318`",
        );
    }
    let prefix = &ingest.path_prefix;
    let plain = prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    if !(prefix.is_empty() || prefix.starts_with('/') && !prefix.ends_with('/') && plain) {
        let corrected = format!("/{}", prefix.trim().trim_matches('/'));
        return fail(
            ["ingest", "path_prefix"],
            format!("a prefix begins with a slash and does not end with one: `{corrected}`"),
        );
    }
    range(["ingest", "timeout_ms"], ingest.timeout_ms, 1, 60_000)?;
    for (name, value) in &ingest.headers {
        let at = ["ingest", "headers", name.as_str()];
        if !is_header_name(name) {
            return fail(at, "not a header name");
        }
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-gatelens-")
            || matches!(lower.as_str(), "content-type" | "content-length" | "content-encoding" | "host")
        {
            return fail(at, "the filter sets this header itself");
        }
        if !value.expose().bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return fail(at, "a header value has printable ASCII characters only");
        }
    }
    Ok(())
}

fn consumer(config: &Config) -> Checked {
    if config.consumer.sources.len() > 32 {
        return fail(["consumer", "sources"], "at most 32 sources");
    }
    for (index, source) in config.consumer.sources.iter().enumerate() {
        if !is_header_name(&source.header) {
            let at: [Step; 4] = ["consumer".into(), "sources".into(), index.into(), "header".into()];
            return Err(Problem::new(at, "not a header name"));
        }
        if is_credential_header(&source.header) {
            let at: [Step; 4] = ["consumer".into(), "sources".into(), index.into(), "header".into()];
            let name = &source.header;
            return Err(Problem::new(
                at,
                format!(
                    "`{name}` holds a credential, which cannot name a consumer in clear; use a header that the gateway sets"
                ),
            ));
        }
    }
    Ok(())
}

fn routes(routes: &Routes) -> Checked {
    if routes.templates.len() > 5_000 {
        return fail(["routes", "templates"], "at most 5,000 templates");
    }
    for (index, text) in routes.templates.iter().enumerate() {
        if let Err(error) = Template::parse(text) {
            let at: [Step; 3] = ["routes".into(), "templates".into(), index.into()];
            return Err(Problem::new(at, error.to_string()));
        }
    }
    Ok(())
}

fn in_section(section: &str, defect: SectionError) -> Problem {
    let steps = [Step::from(section), Step::from(defect.list)].into_iter();
    Problem::new(steps.chain(defect.index.map(Step::from)), defect.message)
}

fn counters(counters: &Counters) -> Checked {
    range(["counters", "max_series"], counters.max_series, 1, 20_000)?;
    range(["counters", "max_consumers"], counters.max_consumers, 1, 20_000)?;
    range(["counters", "max_routes"], counters.max_routes, 1, 20_000)?;
    let bounds = &counters.bounds_seconds;
    let at = ["counters", "bounds_seconds"];
    if bounds.len() > 64 {
        return fail(at, "at most 64 bounds");
    }
    if !bounds.iter().all(|bound| bound.is_finite() && *bound >= 1e-6 && *bound <= 1e6) {
        return fail(at, "a bound lies between 0.000001 and 1000000 seconds");
    }
    if !bounds.is_sorted_by(|a, b| a < b) {
        return fail(at, "bounds rise from one to the next");
    }
    Ok(())
}

fn limits(limits: &Limits) -> Checked {
    range(["limits", "queue_bytes"], limits.queue_bytes, 65_536, 67_108_864)?;
    range(["limits", "batch_events"], limits.batch_events, 1, 10_000)?;
    range(["limits", "batch_bytes"], limits.batch_bytes, 4_096, 4_194_304)?;
    range(["limits", "flush_ms"], limits.flush_ms, 100, 60_000)?;
    if limits.batch_bytes > limits.queue_bytes {
        return fail(["limits", "batch_bytes"], "a batch has to fit into the queue: at most `queue_bytes`");
    }
    Ok(())
}

fn fail<const N: usize>(at: [&str; N], message: impl Into<String>) -> Checked {
    Err(Problem::new(at.map(Step::from), message))
}

fn range<const N: usize>(at: [&str; N], value: u32, least: u32, most: u32) -> Checked {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        fail(at, format!("{value} is not between {least} and {most}"))
    }
}

fn length<const N: usize>(at: [&str; N], value: &str, least: usize, most: usize) -> Checked {
    if !(least..=most).contains(&value.chars().count()) {
        return fail(at, format!("{least} to {most} characters"));
    }
    if value.chars().any(char::is_control) {
        return fail(at, "no control characters");
    }
    Ok(())
}

fn is_word(text: &str, most: usize, also: &[u8]) -> bool {
    (1..=most).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
}

/// A token of RFC 9110.
fn is_header_name(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
