//! What the fault suite on the real Envoy has found, as small as it gets on a gateway without Envoy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::host::CalloutAnswer;
use gatelens_core::lifecycle::{Plugin, Registry};
use gatelens_testkit::fake::{FakeExchange, FakeGateway, FakeHost, Sent};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
use prost::Message;

const START: u64 = 1_700_000_000_000_000_000;
const SMALLEST: &str = r#"{"version": 1, "ingest": {"cluster": "c"}}"#;

/// A virtual machine with the root context in force.
struct Machine {
    host: FakeHost,
    plugin: Plugin,
    registry: Rc<Registry>,
}

impl Machine {
    fn start(gateway: &FakeGateway) -> Self {
        let registry = Rc::<Registry>::default();
        let (host, mut plugin) = (gateway.worker(SMALLEST), Plugin::new(Rc::clone(&registry)));
        assert!(plugin.configure(&host));
        Self { host, plugin, registry }
    }

    fn request(&self) {
        self.host.finish(FakeExchange::new("GET", "/a", 200));
        self.plugin.log(&self.host);
    }

    /// Replaces the root context, as a configuration update does.
    fn update(&mut self, configuration: &str) {
        let mut new = Plugin::new(Rc::clone(&self.registry));
        self.host.set_configuration(configuration);
        assert!(new.configure(&self.host));
        let mut old = std::mem::replace(&mut self.plugin, new);
        let _ = old.done(&self.host);
        while let [request, ..] = &self.host.take_sent()[..] {
            self.host.answer_with(CalloutAnswer { status: Some(503), ..CalloutAnswer::default() });
            let _ = old.answered(&self.host, request.id);
        }
        old.gone(&self.host);
    }

    fn tick_answering(&self, status: u16) -> Vec<Sent> {
        self.plugin.tick(&self.host);
        let mut all = Vec::new();
        loop {
            let sent = self.host.take_sent();
            if sent.is_empty() {
                return all;
            }
            for request in &sent {
                self.host.answer_with(CalloutAnswer { status: Some(status), ..CalloutAnswer::default() });
                let _ = self.plugin.answered(&self.host, request.id);
            }
            all.extend(sent);
        }
    }
}

fn is_gzip(request: &Sent) -> bool {
    request.body.starts_with(b"\x1f\x8b")
}

fn says_gzip(request: &Sent) -> bool {
    request.headers.iter().any(|(name, value)| name == "content-encoding" && value == "gzip")
}

fn plain(request: &Sent) -> Vec<u8> {
    let mut body = Vec::new();
    match is_gzip(request) {
        true => flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut body).unwrap(),
        false => return request.body.clone(),
    };
    body
}

#[test]
fn a_batch_is_declared_as_it_was_compressed_whatever_the_configuration_says_by_now() {
    let plain_text = r#"{"version": 1, "ingest": {"cluster": "c", "compression": "none"}}"#;
    let gateway = FakeGateway::starting_at(START);
    let mut machine = Machine::start(&gateway);
    let mut sent = Vec::new();
    for configuration in [plain_text, SMALLEST, plain_text] {
        machine.request();
        gateway.wait(Duration::from_secs(1));
        sent.extend(machine.tick_answering(503));
        machine.update(configuration);
        machine.request();
    }
    for _ in 0..60 {
        gateway.wait(Duration::from_secs(1));
        sent.extend(machine.tick_answering(200));
    }
    assert!(sent.iter().any(is_gzip) && !sent.iter().all(is_gzip));
    for request in &sent {
        assert_eq!(says_gzip(request), is_gzip(request), "{} {:?}", request.header(":path"), request.body);
    }
    let logs = sent.iter().filter(|request| request.header(":path") == "/v1/logs");
    assert!(logs.clone().all(|request| ExportLogsServiceRequest::decode(&plain(request)[..]).is_ok()));
}

#[test]
fn counters_that_are_given_up_have_the_last_word_on_their_events() {
    let gateway = FakeGateway::starting_at(START);
    let mut machines = [(); 3].map(|()| Machine::start(&gateway));
    let mut sent = Vec::new();
    for _ in 0..3 {
        machines.iter().for_each(Machine::request);
        gateway.wait(Duration::from_secs(1));
        sent.extend(machines.iter().flat_map(|machine| machine.tick_answering(200)));
    }
    machines.iter().for_each(Machine::request);
    let old = sent.first().unwrap().header("x-gatelens-epoch").to_owned();
    for machine in &mut machines {
        machine.update(r#"{"version": 1, "service": {"name": "other"}, "ingest": {"cluster": "c"}}"#);
    }
    for second in 0..60 {
        gateway.wait(Duration::from_secs(1));
        // Not all of them hear of an ingest that is back at once.
        let status = |n| if second < 10 * n { 503 } else { 200 };
        let answered = machines.iter().enumerate().flat_map(|(n, machine)| machine.tick_answering(status(n)));
        sent.extend(answered);
    }
    sent.retain(|request| request.header("x-gatelens-epoch") == old);
    let (counted, numbers) = last_word(&sent);
    assert_eq!(counted, 12);
    assert_eq!((numbers["gatelens.events.captured"], numbers["sent"]), (12, 12));
    assert_eq!((numbers["gatelens.queue.size"], numbers["gatelens.workers"]), (0, 0));
    assert_eq!(numbers["gatelens.workers.lost"], 0);

    // And then they are silent.
    gateway.wait(Duration::from_secs(30));
    let later = machines.iter().flat_map(|machine| machine.tick_answering(200));
    assert_eq!(later.filter(|request| request.header("x-gatelens-epoch") == old).count(), 0);
}

/// The newest count of the one series, and the newest of each single number.
fn last_word(sent: &[Sent]) -> (u64, BTreeMap<String, i64>) {
    let (mut counted, mut numbers) = (0, BTreeMap::new());
    let frames = sent.iter().filter(|request| request.header(":path") == "/v1/metrics");
    let frames = frames.map(|request| ExportMetricsServiceRequest::decode(&plain(request)[..]).unwrap());
    let mut metrics: Vec<_> = frames
        .flat_map(|f| f.resource_metrics)
        .flat_map(|r| r.scope_metrics)
        .flat_map(|s| s.metrics)
        .collect();
    metrics.sort_by_key(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points[0].time_unix_nano,
        Some(Data::Gauge(gauge)) => gauge.data_points[0].time_unix_nano,
        _ => 0,
    });
    for metric in metrics {
        let points = match metric.data {
            Some(Data::ExponentialHistogram(data)) if metric.name == "http.server.request.duration" => {
                counted = data.data_points.iter().map(|point| point.count).fold(counted, u64::max);
                continue;
            }
            Some(Data::Sum(sum)) => sum.data_points,
            Some(Data::Gauge(gauge)) => gauge.data_points,
            _ => continue,
        };
        for point in points {
            let fate = point.attributes.iter().find(|attribute| attribute.key == "gatelens.event.fate");
            let name = fate.map_or(metric.name.clone(), |fate| {
                use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
                match fate.value.clone().and_then(|value| value.value) {
                    Some(StringValue(text)) => text,
                    other => panic!("{other:?}"),
                }
            });
            let value = match point.value.unwrap() {
                Value::AsInt(value) => value,
                Value::AsDouble(value) => value as i64,
            };
            numbers.insert(name, value);
        }
    }
    (counted, numbers)
}
