//! OTLP metrics to [`MetricBatch`].

use super::budget::Budget;
use super::plausible::{self, Interval, Measure};
use super::resources::Resources;
use super::texts::Texts;
use super::walk::{self, Content};
use super::weight::{self, Kind};
use super::{Unreadable, attributes, sketch};
use crate::model::{
    ByBound, Gateway, Identity, MetricBatch, MetricPart, Point, Redaction, Rejection, Rejections, Report,
    Standing, Tally, Temporality, Timing, Values,
};
use gatelens_model::sketch::Sketch;
use gatelens_model::{metric, value};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, Gauge, HistogramDataPoint, Metric,
    NumberDataPoint, metric::Data, number_data_point,
};
use prost::Message;
use std::collections::HashMap;

/// Bit of a point's flags: nothing was recorded.
const NO_RECORDED_VALUE: u32 = 1;
/// Points of one metric of a sender's own report that are read: more than a gateway of ours has.
const MAX_REPORT_POINTS: usize = 10_000;
/// Points of one part. A resource with more of them has several parts.
const PART_POINTS: usize = 1_024;

/// Reads the metrics that are stored, point by point; no more than one of them is decoded at a time. Other metrics are
/// ignored. `now` (Unix nanoseconds) stands in for a missing time.
pub(crate) fn read_metrics(
    body: &[u8],
    identity: Option<Identity>,
    now: i64,
    budget: &mut Budget<'_>,
) -> Result<MetricBatch, Unreadable> {
    let mut batch = MetricBatch {
        identity,
        standing: Standing::default(),
        parts: Vec::new(),
        rejected: Rejections::default(),
    };
    let mut texts = Texts::default();
    let mut resources = Resources::default();
    for resource_metrics in walk::all(body, 1) {
        let resource_metrics = resource_metrics?;
        let resource = resources.read(resource_metrics, budget)?;
        let attributes = resource.as_ref().map_or(&[][..], |resource| resource.attributes.as_slice());
        let gateway = attributes::gateway(batch.identity.as_ref(), resource.as_ref().ok());
        if let (Some(identity), Ok(_)) = (&mut batch.identity, &resource) {
            identity.see(&gateway);
        }
        let mut reader = Reader {
            direction: attributes::direction(attributes),
            now,
            refused: resource.is_err().then_some(Rejection::TooManyResources),
            report: Report::default(),
            redaction: Redaction::default(),
            parts: vec![part(gateway)],
            places: HashMap::new(),
            texts: &mut texts,
            rejected: &mut batch.rejected,
            budget,
        };
        for scope in walk::all(resource_metrics, 2) {
            for metric in walk::all(scope?, 2) {
                reader.read(metric?)?;
            }
        }
        if reader.refused.is_none() {
            reader.finish(&mut batch.parts);
        }
    }
    Ok(batch)
}

fn part(gateway: Gateway) -> MetricPart {
    MetricPart { gateway, report: None, redaction: Redaction::default(), points: Vec::new() }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Instrument {
    Duration,
    Upstream,
    Gateway,
    RequestBytes,
    ResponseBytes,
    Attempts,
    /// The duration again, at bounds.
    ByBound,
}

/// Reads the metrics of one resource.
struct Reader<'a, 'b> {
    direction: Option<&'static str>,
    now: i64,
    /// Why none of its points is stored.
    refused: Option<Rejection>,
    report: Report,
    redaction: Redaction,
    /// Never empty; the last one takes new points.
    parts: Vec<MetricPart>,
    /// The part and the place of a stream's values of one moment.
    places: HashMap<Stream, (u32, u32)>,
    texts: &'a mut Texts,
    rejected: &'a mut Rejections,
    budget: &'a mut Budget<'b>,
}

/// When a point was taken, and how it relates to the one before.
#[derive(Clone, Copy)]
struct When {
    /// Unix nanoseconds; 0 where the sender names none.
    start: i64,
    time: i64,
    temporality: Temporality,
}

/// A stream at one moment: the hash of its attributes, start, time and temporality.
type Stream = (i64, i64, i64, Temporality);

/// The measurement of one point.
struct Measured {
    attributes: Vec<KeyValue>,
    when: When,
    tally: Tally,
    sketch: Sketch,
    by_bound: ByBound,
}

impl Measured {
    fn stream(&self, direction: &str) -> Stream {
        let When { start, time, temporality } = self.when;
        let start = if temporality == Temporality::Cumulative { start } else { 0 };
        let hash = attributes::hash(&self.attributes) ^ i64::from(direction == value::OUTBOUND);
        (hash, start, time, temporality)
    }
}

impl Reader<'_, '_> {
    fn read(&mut self, metric: &[u8]) -> Result<(), Unreadable> {
        let mut name: &[u8] = &[];
        let mut data = None;
        for field in walk::fields(metric) {
            match field? {
                (1, Content::Bytes(found)) => name = found,
                (kind @ (5 | 7 | 9 | 10 | 11), Content::Bytes(_)) => data = Some(kind),
                _ => {}
            }
        }
        let name = std::str::from_utf8(name).map_err(|_| Unreadable::text())?;
        let Some(kind) = data else { return Ok(()) };
        // Of a resource that is refused, its points are counted.
        if name == metric::SERIES || Report::knows(name) || Redaction::knows(name) {
            return if self.refused.is_some() { Ok(()) } else { self.read_report(name, metric, kind) };
        }
        let Some((instrument, named_direction)) = instrument(name) else { return Ok(()) };
        let direction = self.direction.or(named_direction).unwrap_or(value::INBOUND);
        for data in walk::all(metric, kind) {
            match kind {
                7 => self.read_sum(data?, instrument, direction)?,
                9 => self.read_histogram(data?, instrument, direction)?,
                10 => self.read_exponential(data?, instrument, direction)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a metric that the sender reports of itself, of which the points are few.
    fn read_report(&mut self, name: &str, metric: &[u8], kind: u64) -> Result<(), Unreadable> {
        let mut data_points = Vec::new();
        let mut passing = 0usize;
        for data in walk::all(metric, kind).filter(|_| matches!(kind, 5 | 7)) {
            for point in walk::all(data?, 1) {
                let point = point?;
                match weight::passing(Kind::NumberPoint, point)? {
                    Ok(bytes) if data_points.len() < MAX_REPORT_POINTS => {
                        passing = passing.saturating_add(bytes + 4 * size_of::<NumberDataPoint>());
                        self.budget.pass(passing)?;
                        data_points.push(NumberDataPoint::decode(point)?);
                    }
                    Ok(_) => self.rejected.add(Rejection::TooLarge, 1),
                    Err(reason) => self.rejected.add(reason, 1),
                }
            }
        }
        self.budget.keep(passing)?;
        let data = Some(Data::Gauge(Gauge { data_points }));
        let metric = Metric { name: name.to_owned(), data, ..Default::default() };
        if name == metric::SERIES {
            let series = gauge(&metric);
            for part in &mut self.parts {
                part.gateway.series = series.or(part.gateway.series);
            }
        } else if !self.report.read(&metric) {
            self.redaction.read(&metric);
        }
        Ok(())
    }

    fn read_histogram(
        &mut self,
        data: &[u8],
        instrument: Instrument,
        direction: &str,
    ) -> Result<(), Unreadable> {
        let Some(temporality) = temporality(data)? else { return Ok(()) };
        self.each(data, Kind::HistogramPoint, direction, instrument, |point, now| {
            let point = HistogramDataPoint::decode(point)?;
            if point.flags & NO_RECORDED_VALUE != 0 {
                return Ok(Ok(None));
            }
            let when = When::of(point.start_time_unix_nano, point.time_unix_nano, temporality, now);
            let checked = when.check(point.count, now).and_then(|()| {
                let HistogramDataPoint { count, sum, explicit_bounds, bucket_counts, .. } = &point;
                let largest = plausible::explicit(*count, explicit_bounds, bucket_counts)?;
                plausible::sum(*sum, *count, instrument.measure(), largest)
            });
            Ok(checked.map(|()| {
                let sketch = if instrument.has_sketch() { explicit(&point) } else { Sketch::default() };
                let tally = Tally::of(point.count, point.sum);
                let by_bound = match instrument {
                    Instrument::Duration | Instrument::ByBound => {
                        ByBound::at_seconds(&point.explicit_bounds, point.bucket_counts)
                    }
                    _ => ByBound::default(),
                };
                Some(Measured { attributes: point.attributes, when, tally, sketch, by_bound })
            }))
        })
    }

    fn read_exponential(
        &mut self,
        data: &[u8],
        instrument: Instrument,
        direction: &str,
    ) -> Result<(), Unreadable> {
        let Some(temporality) = temporality(data)? else { return Ok(()) };
        self.each(data, Kind::ExponentialPoint, direction, instrument, |point, now| {
            let point = ExponentialHistogramDataPoint::decode(point)?;
            if point.flags & NO_RECORDED_VALUE != 0 {
                return Ok(Ok(None));
            }
            let when = When::of(point.start_time_unix_nano, point.time_unix_nano, temporality, now);
            let checked = when.check(point.count, now).and_then(|()| {
                let zeros = (point.zero_count, point.zero_threshold);
                let negative = point.negative.as_ref().map_or(&[][..], |b| b.bucket_counts.as_slice());
                let (offset, counts) = positive(&point);
                let buckets = (point.scale, offset, counts);
                let largest = plausible::exponential(point.count, zeros, negative, buckets)?;
                plausible::sum(point.sum, point.count, instrument.measure(), largest)
            });
            Ok(checked.map(|()| {
                let sketch = if instrument.has_sketch() { exponential(&point) } else { Sketch::default() };
                let tally = Tally::of(point.count, point.sum);
                let by_bound = ByBound::default();
                Some(Measured { attributes: point.attributes, when, tally, sketch, by_bound })
            }))
        })
    }

    fn read_sum(&mut self, data: &[u8], instrument: Instrument, direction: &str) -> Result<(), Unreadable> {
        let mut is_monotonic = false;
        for field in walk::fields(data) {
            if let (3, Content::Number(found)) = field? {
                is_monotonic = found != 0;
            }
        }
        let Some(temporality) = temporality(data)?.filter(|_| is_monotonic) else { return Ok(()) };
        self.each(data, Kind::NumberPoint, direction, instrument, |point, now| {
            let point = NumberDataPoint::decode(point)?;
            if point.flags & NO_RECORDED_VALUE != 0 {
                return Ok(Ok(None));
            }
            let when = When::of(point.start_time_unix_nano, point.time_unix_nano, temporality, now);
            let count = number(&point).unwrap_or(0);
            Ok(when.check(count, now).map(|()| {
                let tally = Tally { count, sum: count };
                let (sketch, by_bound) = (Sketch::default(), ByBound::default());
                Some(Measured { attributes: point.attributes, when, tally, sketch, by_bound })
            }))
        })
    }

    /// Reads the points of a metric, one after the other: those that fit and are plausible.
    fn each(
        &mut self,
        data: &[u8],
        kind: Kind,
        direction: &str,
        instrument: Instrument,
        read: impl Fn(&[u8], i64) -> Result<Result<Option<Measured>, Rejection>, Unreadable>,
    ) -> Result<(), Unreadable> {
        for point in walk::all(data, 1) {
            let point = point?;
            let measured = match (self.refused, weight::passing_and_buckets(kind, point)?) {
                (Some(reason), _) | (None, Err(reason)) => Err(reason),
                (None, Ok((passing, buckets))) => {
                    self.budget.pass(passing)?;
                    self.budget.keep(buckets)?;
                    read(point, self.now)?
                }
            };
            match measured {
                Ok(Some(measured)) => {
                    let stream = measured.stream(direction);
                    if !self.places.contains_key(&stream) {
                        self.budget.keep(weight::kept_point(kind, point)?)?;
                    }
                    self.put(measured, stream, instrument, direction);
                }
                Ok(None) => {}
                Err(reason) => self.rejected.add(reason, 1),
            }
        }
        Ok(())
    }

    fn put(&mut self, measured: Measured, stream: Stream, instrument: Instrument, direction: &str) {
        let Measured { attributes, tally, sketch, by_bound, .. } = measured;
        let values = self.values(stream, direction, &attributes);
        values.by_bound.add(&by_bound);
        let timing = match instrument {
            Instrument::RequestBytes => return values.request_bytes.add(tally),
            Instrument::ResponseBytes => return values.response_bytes.add(tally),
            Instrument::Attempts => return values.attempts.add(tally),
            Instrument::ByBound => return,
            Instrument::Duration => &mut values.duration,
            Instrument::Upstream => &mut values.upstream,
            Instrument::Gateway => &mut values.gateway,
        };
        match timing.count {
            0 => *timing = Timing { count: tally.count, sketch },
            _ => timing.add(&Timing { count: tally.count, sketch }),
        }
    }

    /// The place where one stream's values of one moment meet.
    fn values(&mut self, stream: Stream, direction: &str, attributes: &[KeyValue]) -> &mut Values {
        let Self { parts, places, texts, .. } = self;
        let (part, place) = *places.entry(stream).or_insert_with(|| {
            let (stream, start, time, temporality) = stream;
            if parts.last().is_none_or(|part| part.points.len() >= PART_POINTS) {
                let gateway = parts.last().map(|part| part.gateway.clone()).unwrap_or_default();
                parts.push(self::part(gateway));
            }
            let last = parts.len() - 1;
            let MetricPart { gateway, points, .. } = &mut parts[last];
            let series = attributes::series(gateway, direction, attributes, texts);
            points.push(Point { series, stream, start, time, temporality, values: Values::default() });
            (last as u32, points.len() as u32 - 1)
        });
        &mut parts[part as usize].points[place as usize].values
    }

    /// Hands on the parts. The first has what the sender reports of itself.
    fn finish(self, all: &mut Vec<MetricPart>) {
        let Self { report, redaction, mut parts, now, .. } = self;
        if let Some(first) = parts.first_mut() {
            first.report = (report != Report::default()).then(|| report.timed(now));
            first.redaction = redaction.timed(now);
        }
        for part in &mut parts {
            part.points.shrink_to_fit();
        }
        all.append(&mut parts);
    }
}

impl When {
    fn of(start: u64, time: u64, temporality: Temporality, now: i64) -> Self {
        let time = if time == 0 { now } else { unix_nanos(time) };
        Self { start: unix_nanos(start), time, temporality }
    }

    fn check(self, count: u64, now: i64) -> Result<(), Rejection> {
        plausible::time(self.time, now)?;
        plausible::count(count, Interval { start: self.start, time: self.time })
    }
}

impl Instrument {
    fn measure(self) -> Measure {
        match self {
            Self::RequestBytes | Self::ResponseBytes => Measure::Sizes,
            Self::Duration | Self::Upstream | Self::Gateway | Self::Attempts | Self::ByBound => {
                Measure::Durations
            }
        }
    }

    fn has_sketch(self) -> bool {
        matches!(self, Self::Duration | Self::Upstream | Self::Gateway)
    }
}

impl Tally {
    fn of(count: u64, sum: Option<f64>) -> Self {
        // A cast saturates, and NaN becomes 0.
        Self { count, sum: sum.unwrap_or(0.0).round() as u64 }
    }
}

/// Offset and counts of the positive buckets.
fn positive(point: &ExponentialHistogramDataPoint) -> (i32, &[u64]) {
    point.positive.as_ref().map_or((0, &[][..]), |buckets| (buckets.offset, buckets.bucket_counts.as_slice()))
}

fn exponential(point: &ExponentialHistogramDataPoint) -> Sketch {
    let negative = point.negative.iter().flat_map(|buckets| &buckets.bucket_counts);
    let zero = negative.fold(point.zero_count, |sum, count| sum.saturating_add(*count));
    let (offset, counts) = positive(point);
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
        metric::DURATION_BY_BOUND => return Some((Instrument::ByBound, None)),
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

/// The temporality of a histogram or a sum, which is the field of the same number in all of them.
fn temporality(data: &[u8]) -> Result<Option<Temporality>, Unreadable> {
    let mut value = 0;
    for field in walk::fields(data) {
        if let (2, Content::Number(found)) = field? {
            value = found as i32;
        }
    }
    Ok(match AggregationTemporality::try_from(value) {
        Ok(AggregationTemporality::Cumulative) => Some(Temporality::Cumulative),
        Ok(AggregationTemporality::Delta) => Some(Temporality::Delta),
        Ok(AggregationTemporality::Unspecified) | Err(_) => None,
    })
}

fn unix_nanos(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
