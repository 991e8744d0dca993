//! OTLP metrics to [`MetricBatch`].

use super::{attributes, sketch};
use crate::model::{
    Gateway, Identity, MetricBatch, MetricPart, Point, Redaction, Report, Tally, Temporality, Timing, Values,
};
use gatelens_model::sketch::Sketch;
use gatelens_model::{metric, value};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, metric::Data, number_data_point,
};
use std::collections::HashMap;

/// Bit of a point's flags: nothing was recorded.
const NO_RECORDED_VALUE: u32 = 1;

/// Reads the metrics that are stored. Other metrics are ignored. `now` (Unix nanoseconds)
/// stands in for a missing time.
pub(crate) fn read_metrics(
    request: ExportMetricsServiceRequest,
    identity: Option<Identity>,
    now: i64,
) -> MetricBatch {
    let parts = request
        .resource_metrics
        .into_iter()
        .map(|resource| read_part(resource, identity.as_ref(), now))
        .collect();
    MetricBatch { identity, parts }
}

fn read_part(resource: ResourceMetrics, identity: Option<&Identity>, now: i64) -> MetricPart {
    let attributes = resource.resource.as_ref().map_or(&[][..], |resource| resource.attributes.as_slice());
    let mut part = Part {
        gateway: attributes::gateway(identity, resource.resource.as_ref()),
        direction: attributes::direction(attributes),
        now,
        report: Report::default(),
        redaction: Redaction::default(),
        points: Vec::new(),
        places: HashMap::new(),
    };
    for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
        part.read(metric);
    }
    let report = (part.report != Report::default()).then(|| part.report.timed(now));
    MetricPart { gateway: part.gateway, report, redaction: part.redaction.timed(now), points: part.points }
}

#[derive(Clone, Copy)]
enum Instrument {
    Duration,
    Upstream,
    Gateway,
    RequestBytes,
    ResponseBytes,
    Attempts,
}

struct Part {
    gateway: Gateway,
    direction: Option<&'static str>,
    now: i64,
    report: Report,
    redaction: Redaction,
    points: Vec<Point>,
    places: HashMap<(i64, i64, i64, Temporality), usize>,
}

/// When a point was taken, and how it relates to the one before.
#[derive(Clone, Copy)]
struct When {
    start: u64,
    time: u64,
    temporality: Temporality,
}

impl Part {
    fn read(&mut self, metric: &Metric) {
        if metric.name == metric::SERIES {
            self.gateway.series = gauge(metric).or(self.gateway.series);
            return;
        }
        if self.report.read(metric) || self.redaction.read(metric) {
            return;
        }
        let Some((instrument, named_direction)) = instrument(&metric.name) else { return };
        let direction = self.direction.or(named_direction).unwrap_or(value::INBOUND).to_owned();
        match &metric.data {
            Some(Data::ExponentialHistogram(data)) => {
                let Some(temporality) = temporality(data.aggregation_temporality) else { return };
                for point in data.data_points.iter().filter(|p| p.flags & NO_RECORDED_VALUE == 0) {
                    let when =
                        When { start: point.start_time_unix_nano, time: point.time_unix_nano, temporality };
                    let values = self.values(&direction, &point.attributes, when);
                    put(values, instrument, || exponential(point), Tally::of(point.count, point.sum));
                }
            }
            Some(Data::Histogram(data)) => {
                let Some(temporality) = temporality(data.aggregation_temporality) else { return };
                for point in data.data_points.iter().filter(|p| p.flags & NO_RECORDED_VALUE == 0) {
                    let when =
                        When { start: point.start_time_unix_nano, time: point.time_unix_nano, temporality };
                    let values = self.values(&direction, &point.attributes, when);
                    put(values, instrument, || explicit(point), Tally::of(point.count, point.sum));
                }
            }
            Some(Data::Sum(data)) if data.is_monotonic => {
                let Some(temporality) = temporality(data.aggregation_temporality) else { return };
                for point in data.data_points.iter().filter(|p| p.flags & NO_RECORDED_VALUE == 0) {
                    let when =
                        When { start: point.start_time_unix_nano, time: point.time_unix_nano, temporality };
                    let count = number(point).unwrap_or(0);
                    let values = self.values(&direction, &point.attributes, when);
                    put(values, instrument, Sketch::default, Tally { count, sum: count });
                }
            }
            _ => {}
        }
    }

    /// The place where one stream's values of one moment meet.
    fn values(&mut self, direction: &str, attributes: &[KeyValue], when: When) -> &mut Values {
        let start = match when.temporality {
            Temporality::Cumulative => unix_nanos(when.start),
            Temporality::Delta => 0,
        };
        let time = if when.time == 0 { self.now } else { unix_nanos(when.time) };
        let stream = attributes::hash(attributes) ^ i64::from(direction == value::OUTBOUND);
        let Self { gateway, points, places, .. } = self;
        let place = *places.entry((stream, start, time, when.temporality)).or_insert_with(|| {
            let series = attributes::series(gateway, direction, attributes);
            let temporality = when.temporality;
            points.push(Point { series, stream, start, time, temporality, values: Values::default() });
            points.len() - 1
        });
        &mut points[place].values
    }
}

impl Tally {
    fn of(count: u64, sum: Option<f64>) -> Self {
        // A cast saturates, and NaN becomes 0.
        Self { count, sum: sum.unwrap_or(0.0).round() as u64 }
    }
}

fn put(values: &mut Values, instrument: Instrument, sketch: impl FnOnce() -> Sketch, tally: Tally) {
    let timing = match instrument {
        Instrument::RequestBytes => return values.request_bytes.add(tally),
        Instrument::ResponseBytes => return values.response_bytes.add(tally),
        Instrument::Attempts => return values.attempts.add(tally),
        Instrument::Duration => &mut values.duration,
        Instrument::Upstream => &mut values.upstream,
        Instrument::Gateway => &mut values.gateway,
    };
    timing.add(&Timing { count: tally.count, sketch: sketch() });
}

fn exponential(point: &ExponentialHistogramDataPoint) -> Sketch {
    let negative = point.negative.iter().flat_map(|buckets| &buckets.bucket_counts);
    let zero = negative.fold(point.zero_count, |sum, count| sum.saturating_add(*count));
    let (offset, counts) =
        point.positive.as_ref().map_or((0, &[][..]), |b| (b.offset, b.bucket_counts.as_slice()));
    sketch::from_exponential(point.scale, zero, offset, counts, point.sum.unwrap_or(0.0))
}

fn explicit(point: &HistogramDataPoint) -> Sketch {
    sketch::from_explicit(&point.explicit_bounds, &point.bucket_counts, point.sum.unwrap_or(0.0))
}

/// The instrument of a metric's name, and the direction in the name.
fn instrument(name: &str) -> Option<(Instrument, Option<&'static str>)> {
    match name {
        metric::UPSTREAM_DURATION => return Some((Instrument::Upstream, None)),
        metric::GATEWAY_DURATION => return Some((Instrument::Gateway, None)),
        metric::UPSTREAM_ATTEMPTS => return Some((Instrument::Attempts, None)),
        _ => {}
    }
    let (rest, direction) = match name.strip_prefix(metric::SERVER) {
        Some(rest) => (rest, value::INBOUND),
        None => (name.strip_prefix(metric::CLIENT)?, value::OUTBOUND),
    };
    let instrument = match rest {
        metric::REQUEST_DURATION => Instrument::Duration,
        metric::REQUEST_BODY_SIZE => Instrument::RequestBytes,
        metric::RESPONSE_BODY_SIZE => Instrument::ResponseBytes,
        _ => return None,
    };
    Some((instrument, Some(direction)))
}

fn gauge(metric: &Metric) -> Option<u64> {
    let Some(Data::Gauge(gauge)) = &metric.data else { return None };
    number(gauge.data_points.last()?)
}

fn number(point: &NumberDataPoint) -> Option<u64> {
    match point.value? {
        number_data_point::Value::AsInt(value) => u64::try_from(value).ok(),
        number_data_point::Value::AsDouble(value) => Some(value as u64),
    }
}

fn temporality(value: i32) -> Option<Temporality> {
    match AggregationTemporality::try_from(value).ok()? {
        AggregationTemporality::Cumulative => Some(Temporality::Cumulative),
        AggregationTemporality::Delta => Some(Temporality::Delta),
        AggregationTemporality::Unspecified => None,
    }
}

fn unix_nanos(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
