//! The section `ingest` and the list `destinations`, compiled.

use std::time::Duration;

use crate::config::{Ingest, RequestsAs, Routes, Service};
use crate::export::{Destination, patterns};
use crate::otlp::requests::RecordForm;
use crate::request::TraceSampling;

/// Whoever gets something, the section `ingest` first.
pub(super) fn compile(
    ingest: Ingest,
    others: Vec<Ingest>,
    service: &Service,
    routes: &Routes,
) -> Vec<Destination> {
    if !ingest.enabled {
        return Vec::new();
    }
    let patterns_path = routes.infer.then(|| {
        patterns::path(&ingest.path_prefix, &service.name, &service.environment, service.direction.name())
    });
    let mut first = destination(ingest, "the ingest");
    first.patterns_path = patterns_path;
    let others = others.into_iter().map(|other| destination(other, "the destination"));
    let mut all: Vec<Destination> = std::iter::once(first).chain(others).collect();
    tell_apart(&mut all);
    all
}

/// Destinations that differ in their authority alone get it behind their name.
fn tell_apart(all: &mut [Destination]) {
    let names: Vec<String> = all.iter().map(|to| to.name.clone()).collect();
    for to in all {
        if names.iter().filter(|name| **name == to.name).count() > 1 {
            to.name = format!("{}[{}]", to.name, to.authority);
        }
    }
}

/// Whether the log leaves out requests whose trace is not sampled: no destination could get them.
pub(super) fn trace_sampling<'a>(all: impl Iterator<Item = &'a Ingest>) -> TraceSampling {
    let mut sampling = TraceSampling::Ignored;
    for ingest in all {
        match ingest.requests_as {
            RequestsAs::Logs | RequestsAs::Both => return TraceSampling::Ignored,
            RequestsAs::Spans => sampling = TraceSampling::Followed,
            RequestsAs::None => {}
        }
    }
    sampling
}

fn destination(ingest: Ingest, kind: &str) -> Destination {
    let authority = ingest.authority().to_owned();
    let cluster = ingest.cluster.unwrap_or_default();
    let prefix = &ingest.path_prefix;
    let forms: &[RecordForm] = match ingest.requests_as {
        RequestsAs::Logs => &[RecordForm::Log],
        RequestsAs::Spans => &[RecordForm::Span],
        RequestsAs::Both => &[RecordForm::Log, RecordForm::SpanBesideLog],
        RequestsAs::None => &[],
    };
    let path = |form: &RecordForm| match form {
        RecordForm::Log => format!("{prefix}/v1/logs"),
        RecordForm::Span | RecordForm::SpanBesideLog => format!("{prefix}/v1/traces"),
    };
    Destination {
        name: format!("{cluster}{prefix}"),
        title: format!("{kind} `{cluster}`"),
        metrics_path: ingest.metrics.then(|| format!("{prefix}/v1/metrics")),
        temporality: ingest.temporality,
        requests: forms.iter().map(|form| (*form, path(form))).collect(),
        patterns_path: None,
        authority,
        cluster,
        headers: ingest.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
        compression: ingest.compression,
        timeout: Duration::from_millis(u64::from(ingest.timeout_ms)),
    }
}
