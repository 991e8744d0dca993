//! The counters as OTLP metrics.

use super::proto::Message;
use super::{Resource, SCHEMA_URL, encode_scope, route_attribute};
use crate::config::{Direction, Temporality};
use crate::counters::{Dimension, Dimensions, Series, SeriesKey, Values};
use crate::request::authority::Authority;
use crate::stats::{DeliveryStats, EventCounts, FleetStats, RedactionStats};
use gatelens_model::sketch::{SCALE, Sketch};
use gatelens_model::varint;
use gatelens_model::{attribute, metric, value};

const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;
const MONOTONIC: u64 = 1;
const NOT_MONOTONIC: u64 = 0;

/// Content of a metrics request.
#[derive(Clone, Copy, Debug)]
pub struct MetricsExport<'a> {
    /// The resource of the counters.
    pub resource: &'a Resource,
    /// `service.instance.id`.
    pub instance: &'a str,
    /// Direction of the traffic; selects the names of the metrics.
    pub direction: Direction,
    /// Start of the epoch, nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// When the counters were read.
    pub time_ns: u64,
    /// Bounds at which durations are counted exactly, seconds.
    pub bounds_seconds: &'a [f64],
    /// Time that the changes cover if it is more than a minute, nanoseconds.
    pub interval_ns: Option<u64>,
    /// Series in use.
    pub series_in_use: u32,
    /// Statistics of all workers.
    pub fleet: &'a FleetStats,
    /// The place of the destination that gets this.
    pub destination: usize,
    /// The deliveries to all destinations; empty where there is only one.
    pub deliveries: &'a [Delivery<'a>],
    /// Matches of rules and fates of bodies, when they are due.
    pub redaction: Option<&'a RedactionStats>,
    /// Temporality of the series; the metrics of the gateway itself are cumulative in any case.
    pub temporality: Temporality,
    /// Series and their values.
    pub series: &'a [ExportedSeries],
}

/// Writes a part of a message. It is called by reference, so that the code of the message around it exists once.
type Part<'a> = dyn Fn(&mut Vec<u8>) + 'a;

/// The delivery of requests to a destination.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// The destination's name.
    pub name: &'a str,
    /// The signals in which it gets requests.
    pub signals: Vec<&'static str>,
    /// What became of them.
    pub stats: DeliveryStats,
}

impl Delivery<'_> {
    /// The events by signal.
    fn events(&self) -> impl Iterator<Item = (&'static str, &EventCounts)> {
        self.signals.iter().copied().zip([&self.stats.events, &self.stats.spans])
    }
}

/// A series and its values since its start.
#[derive(Clone, Debug)]
pub struct ExportedSeries {
    /// The series.
    pub key: SeriesKey,
    /// Of changes, the time up to which earlier ones are acknowledged. Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Since then.
    pub values: Values,
}

impl MetricsExport<'_> {
    /// Makes an `ExportMetricsServiceRequest`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.nested(1, |out| {
            self.resource.encode(self.instance, out);
            out.nested(2, |out| {
                encode_scope(out);
                self.metrics(out);
                out.string(3, SCHEMA_URL);
            });
            out.string(3, SCHEMA_URL);
        });
        out
    }

    fn metrics(&self, out: &mut Vec<u8>) {
        let prefix = match self.direction {
            Direction::Inbound => metric::SERVER,
            Direction::Outbound => metric::CLIENT,
        };
        if !self.series.is_empty() {
            self.sketches(out, &format!("{prefix}{}", metric::REQUEST_DURATION), |values| &values.duration);
            self.sketches(out, metric::UPSTREAM_DURATION, |values| &values.upstream);
            self.sketches(out, metric::GATEWAY_DURATION, |values| &values.gateway);
            self.histograms(out, metric::DURATION_BY_BOUND, "s", &|values, out| {
                out.double(5, seconds(values.duration.sum_ns));
                packed(out, 6, values.by_bound.iter().copied());
                packed(out, 7, self.bounds_seconds.iter().map(|bound| bound.to_bits()));
            });
            self.histograms(out, &format!("{prefix}{}", metric::REQUEST_BODY_SIZE), "By", &|values, out| {
                out.double(5, values.request_bytes as f64);
            });
            self.histograms(out, &format!("{prefix}{}", metric::RESPONSE_BODY_SIZE), "By", &|values, out| {
                out.double(5, values.response_bytes as f64);
            });
        }
        if !self.series.is_empty() {
            put_metric(out, metric::UPSTREAM_ATTEMPTS, "{attempt}", &|out| {
                self.sum_of(out, self.of_series(), MONOTONIC, &|out| {
                    for ExportedSeries { key, start_ns, values } in self.series {
                        self.number_since(out, *start_ns, values.attempts, &|out| {
                            attributes(out, 7, self.direction, key)
                        });
                    }
                });
            });
        }
        self.of_the_gateway(out, prefix);
    }

    fn of_the_gateway(&self, out: &mut Vec<u8>, prefix: &str) {
        let FleetStats { stats, workers, workers_lost } = self.fleet;
        let own = stats.deliveries.get(self.destination).copied().unwrap_or_default();
        let events = &own.events;
        self.gauge(out, metric::SERIES, "{series}", u64::from(self.series_in_use));
        put_metric(out, &format!("{prefix}{}", metric::ACTIVE_REQUESTS), "{request}", &|out| {
            self.sum(out, NOT_MONOTONIC, &|out| self.number(out, stats.active_requests, &|_| {}));
        });
        self.counter(out, metric::EVENTS_CAPTURED, "{event}", events.captured);
        put_metric(out, metric::EVENTS, "{event}", &|out| {
            self.sum(out, MONOTONIC, &|out| {
                for (fate, count) in events.fates() {
                    self.number(out, count, &|out| {
                        out.string_attribute(7, attribute::EVENT_FATE, fate.name())
                    });
                }
            });
        });
        self.gauge(out, metric::QUEUE_SIZE, "By", own.queue_bytes);
        self.counter(out, metric::EXPORT_FAILURES, "{attempt}", own.export_failures);
        self.gauge(out, metric::WORKERS, "{worker}", u64::from(*workers));
        self.counter(out, metric::WORKERS_LOST, "{worker}", *workers_lost);
        self.counter(out, metric::UNCOUNTED, "{request}", stats.uncounted);
        put_metric(out, metric::NOT_LOGGED, "{request}", &|out| {
            self.sum(out, MONOTONIC, &|out| {
                for (reason, requests) in stats.not_logged.reasons() {
                    self.number(out, requests, &|out| {
                        out.string_attribute(7, attribute::NOT_LOGGED_REASON, reason.name());
                    });
                }
            });
        });
        self.counter(out, metric::EXCLUDED_FROM_COUNTERS, "{request}", stats.excluded_from_counters);
        put_metric(out, metric::BUSY_TIME, "s", &|out| {
            self.sum(out, MONOTONIC, &|out| {
                out.nested(1, |out| {
                    out.fixed64(2, self.start_ns);
                    out.fixed64(3, self.time_ns);
                    out.double(4, seconds(stats.busy_ns));
                });
            });
        });
        if !self.deliveries.is_empty() {
            self.of_deliveries(out);
        }
        if let Some(redaction) = self.redaction {
            self.of_redaction(out, redaction);
        }
        if let Some(interval_ns) = self.interval_ns {
            self.gauge(out, metric::INTERVAL, "s", interval_ns / 1_000_000_000);
        }
    }

    fn of_deliveries(&self, out: &mut Vec<u8>) {
        put_metric(out, metric::DELIVERY_CAPTURED, "{event}", &|out| {
            self.sum(out, MONOTONIC, &|out| {
                for delivery in self.deliveries {
                    for (signal, events) in delivery.events() {
                        self.number(out, events.captured, &|out| of_delivery(out, delivery, signal));
                    }
                }
            });
        });
        put_metric(out, metric::DELIVERY_EVENTS, "{event}", &|out| {
            self.sum(out, MONOTONIC, &|out| {
                for delivery in self.deliveries {
                    for (signal, events) in delivery.events() {
                        for (fate, count) in events.fates() {
                            self.number(out, count, &|out| {
                                of_delivery(out, delivery, signal);
                                out.string_attribute(7, attribute::EVENT_FATE, fate.name());
                            });
                        }
                    }
                }
            });
        });
        put_metric(out, metric::DELIVERY_QUEUE_SIZE, "By", &|out| {
            out.nested(5, |out| {
                for Delivery { name, stats, .. } in self.deliveries {
                    self.number(out, stats.queue_bytes, &|out| {
                        out.string_attribute(7, attribute::DESTINATION, name);
                    });
                }
            });
        });
        put_metric(out, metric::DELIVERY_FAILURES, "{attempt}", &|out| {
            self.sum(out, MONOTONIC, &|out| {
                for Delivery { name, stats, .. } in self.deliveries {
                    self.number(out, stats.export_failures, &|out| {
                        out.string_attribute(7, attribute::DESTINATION, name);
                    });
                }
            });
        });
    }

    fn of_redaction(&self, out: &mut Vec<u8>, redaction: &RedactionStats) {
        if redaction.rules().next().is_some() {
            put_metric(out, metric::REDACTION_HITS, "{hit}", &|out| {
                self.sum(out, MONOTONIC, &|out| {
                    for (rule, hits) in redaction.rules() {
                        self.number(out, hits, &|out| {
                            out.string_attribute(7, attribute::REDACTION_RULE, rule);
                        });
                    }
                });
            });
        }
        if redaction.bodies().next().is_some() {
            put_metric(out, metric::BODIES, "{body}", &|out| {
                self.sum(out, MONOTONIC, &|out| {
                    for (message, fate, bodies) in redaction.bodies() {
                        self.number(out, bodies, &|out| {
                            out.string_attribute(7, attribute::BODY_MESSAGE, message);
                            out.string_attribute(7, attribute::BODY_FATE, fate);
                        });
                    }
                });
            });
        }
    }

    #[inline(never)]
    fn gauge(&self, out: &mut Vec<u8>, name: &str, unit: &str, value: u64) {
        put_metric(out, name, unit, &|out| out.nested(5, |out| self.number(out, value, &|_| {})));
    }

    #[inline(never)]
    fn counter(&self, out: &mut Vec<u8>, name: &str, unit: &str, value: u64) {
        put_metric(out, name, unit, &|out| self.sum(out, MONOTONIC, &|out| self.number(out, value, &|_| {})));
    }

    /// A cumulative `Sum` of the points that `points` writes.
    fn sum(&self, out: &mut Vec<u8>, monotonic: u64, points: &Part<'_>) {
        self.sum_of(out, CUMULATIVE, monotonic, points);
    }

    #[inline(never)]
    fn sum_of(&self, out: &mut Vec<u8>, temporality: u64, monotonic: u64, points: &Part<'_>) {
        out.nested(7, |out| {
            points(out);
            out.varint(2, temporality);
            out.varint(3, monotonic);
        });
    }

    fn of_series(&self) -> u64 {
        match self.temporality {
            Temporality::Cumulative => CUMULATIVE,
            Temporality::Delta => DELTA,
        }
    }

    /// A `NumberDataPoint`.
    fn number(&self, out: &mut Vec<u8>, value: u64, attributes: &Part<'_>) {
        self.number_since(out, self.start_ns, value, attributes);
    }

    #[inline(never)]
    fn number_since(&self, out: &mut Vec<u8>, start_ns: u64, value: u64, attributes: &Part<'_>) {
        out.nested(1, |out| {
            out.fixed64(2, start_ns);
            out.fixed64(3, self.time_ns);
            out.fixed64(6, value);
            attributes(out);
        });
    }

    #[inline(never)]
    fn sketches(&self, out: &mut Vec<u8>, name: &str, sketch: fn(&Values) -> &Sketch) {
        if self.series.iter().all(|series| sketch(&series.values).count == 0) {
            return;
        }
        put_metric(out, name, "s", &|out| {
            out.nested(10, |out| {
                for ExportedSeries { key, start_ns, values } in self.series {
                    let sketch = sketch(values);
                    if sketch.count == 0 {
                        continue;
                    }
                    out.nested(1, |out| {
                        attributes(out, 1, self.direction, key);
                        out.fixed64(2, *start_ns);
                        out.fixed64(3, self.time_ns);
                        out.fixed64(4, sketch.count);
                        out.double(5, seconds(sketch.sum_ns));
                        out.sint(6, SCALE);
                        out.fixed64(7, sketch.zeros);
                        out.nested(8, |out| buckets(out, sketch));
                    });
                }
                out.varint(2, self.of_series());
            });
        });
    }

    #[inline(never)]
    fn histograms(&self, out: &mut Vec<u8>, name: &str, unit: &str, rest: &dyn Fn(&Values, &mut Vec<u8>)) {
        put_metric(out, name, unit, &|out| {
            out.nested(9, |out| {
                for ExportedSeries { key, start_ns, values } in self.series {
                    out.nested(1, |out| {
                        out.fixed64(2, *start_ns);
                        out.fixed64(3, self.time_ns);
                        out.fixed64(4, values.duration.count);
                        rest(values, out);
                        attributes(out, 9, self.direction, key);
                    });
                }
                out.varint(2, self.of_series());
            });
        });
    }
}

#[inline(never)]
fn put_metric(out: &mut Vec<u8>, name: &str, unit: &str, data: &Part<'_>) {
    out.nested(2, |out| {
        out.string(1, name);
        out.string(2, metric::description(name));
        out.string(3, unit);
        data(out);
    });
}

/// Attributes of a point about one signal of a delivery.
fn of_delivery(out: &mut Vec<u8>, delivery: &Delivery<'_>, signal: &str) {
    out.string_attribute(7, attribute::DESTINATION, delivery.name);
    out.string_attribute(7, attribute::SIGNAL, signal);
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Packed `fixed64` or `double`.
fn packed(out: &mut Vec<u8>, field: u32, values: impl Iterator<Item = u64>) {
    out.nested(field, |out| values.for_each(|value| out.extend_from_slice(&value.to_le_bytes())));
}

/// `Buckets`: the counts from the first occupied bucket to the last, empty ones between included.
fn buckets(out: &mut Vec<u8>, sketch: &Sketch) {
    let Some((first, _)) = sketch.buckets().first() else { return };
    out.sint(1, i32::from(*first));
    out.nested(2, |out| {
        let mut expected = *first;
        for (index, count) in sketch.buckets() {
            let empty = usize::try_from(index.saturating_sub(expected)).unwrap_or(0);
            out.extend(std::iter::repeat_n(0, empty));
            varint::put(out, *count);
            expected = index.saturating_add(1);
        }
    });
}

fn attributes(out: &mut Vec<u8>, field: u32, direction: Direction, key: &SeriesKey) {
    match key.series() {
        Some(Series::Exact(dimensions)) => dimension_attributes(out, field, direction, &dimensions),
        Some(Series::Overflow(status)) => {
            out.flag_attribute(field, attribute::OVERFLOW);
            if let Some(code) = status.and_then(|status| status.code()) {
                out.int_attribute(field, attribute::STATUS_CODE, u64::from(code));
            }
        }
        None => {}
    }
}

fn dimension_attributes(out: &mut Vec<u8>, field: u32, direction: Direction, dimensions: &Dimensions<'_>) {
    let Dimensions { consumer, method, scheme, route, route_source, status, .. } = *dimensions;
    if dimensions.overflow() {
        out.flag_attribute(field, attribute::OVERFLOW);
    }
    if let Dimension::Value(consumer) = consumer {
        out.string_attribute(field, attribute::CONSUMER_ID, consumer);
    }
    out.string_attribute(field, attribute::METHOD, method.name());
    if let Some(scheme) = scheme.name() {
        out.string_attribute(field, attribute::URL_SCHEME, scheme);
    }
    if let Dimension::Value(route) = route {
        out.string_attribute(field, route_attribute(direction), route);
    }
    match dimensions.host {
        Some(Dimension::Value(host)) => {
            let (host, port) = Authority::split_series(host, scheme);
            out.string_attribute(field, attribute::SERVER_ADDRESS, host);
            let is_needed = direction == Direction::Outbound || port != scheme.default_port();
            if let Some(port) = port.filter(|_| is_needed) {
                out.int_attribute(field, attribute::SERVER_PORT, u64::from(port));
            }
        }
        Some(Dimension::Overflow) => out.string_attribute(field, attribute::SERVER_ADDRESS, value::OVERFLOW),
        None => {}
    }
    match dimensions.upstream_cluster {
        Some(Dimension::Value(cluster)) => out.string_attribute(field, attribute::UPSTREAM_CLUSTER, cluster),
        Some(Dimension::Overflow) => {
            out.string_attribute(field, attribute::UPSTREAM_CLUSTER, value::OVERFLOW);
        }
        None => {}
    }
    if let Some(source) = route_source.name() {
        out.string_attribute(field, attribute::ROUTE_SOURCE, source);
    }
    if let Some(code) = status.code() {
        out.int_attribute(field, attribute::STATUS_CODE, u64::from(code));
    }
    if let Some(status) = dimensions.grpc_status {
        out.string_attribute(field, attribute::RPC_STATUS_CODE, status.name());
    }
    if let Some(error) = dimensions.error {
        out.string_attribute(field, attribute::ERROR_TYPE, &error.name(dimensions.ending()));
    }
}
