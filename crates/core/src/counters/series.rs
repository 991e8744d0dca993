//! The identity of a series.

use hashbrown::Equivalent;

use crate::outcome::{Ending, ErrorType, GrpcStatus, Method, Status};
use crate::request::route::RouteSource;
use crate::request::scheme::Scheme;

/// A dimension of a series whose values a client can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension<'a> {
    /// As it is.
    Value(&'a str),
    /// One of those beyond the dimension's cap.
    Overflow,
}

/// The identity of a series, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series<'a> {
    /// An ordinary one.
    Exact(Dimensions<'a>),
    /// What exceeds the cap of all series; `None` when even the statuses are too many.
    Overflow(Option<Status>),
}

/// The dimensions of an ordinary series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions<'a> {
    /// The consumer.
    pub consumer: Dimension<'a>,
    /// With which method.
    pub method: Method,
    /// With which scheme.
    pub scheme: Scheme,
    /// Which route.
    pub route: Dimension<'a>,
    /// Where the route comes from.
    pub route_source: RouteSource,
    /// How it ended.
    pub status: Status,
    /// How the call ended, if it was one of gRPC.
    pub grpc_status: Option<GrpcStatus>,
    /// Why, if it did not end as it should have.
    pub error: Option<ErrorType>,
    /// The host that the client asked for, normalised; `None` where hosts are not
    /// told apart, or where the request named none.
    pub host: Option<Dimension<'a>>,
    /// The cluster that the request went to; `None` where clusters are not told apart, or where it went to none.
    pub upstream_cluster: Option<Dimension<'a>>,
}

/// The identity of a series as bytes: what maps and shared data hold.
///
/// Layout: a byte that tells the kinds apart (0 exact, 1 overflow with a status, 2 without). An exact one has a byte of
/// flags (1, 2, 4, 8: the consumer, the route, the host, the upstream cluster overflows; 16, 32: source of the route;
/// 64, 128: scheme), status (two bytes), method, error, status of gRPC; then consumer, route, host and upstream cluster,
/// each behind its length (two bytes). An absent host or cluster is empty. An overflow with a status has the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeriesKey(Vec<u8>);

const CONSUMER_OVERFLOWS: u8 = 1;
const ROUTE_OVERFLOWS: u8 = 2;
const HOST_OVERFLOWS: u8 = 4;
const CLUSTER_OVERFLOWS: u8 = 8;
const ROUTE_SOURCE_SHIFT: u32 = 4;
const SCHEME_SHIFT: u32 = 6;

impl Equivalent<SeriesKey> for [u8] {
    fn equivalent(&self, key: &SeriesKey) -> bool {
        self == key.0
    }
}

impl<'a> Dimension<'a> {
    fn text(self) -> &'a str {
        match self {
            Dimension::Value(text) => text,
            Dimension::Overflow => "",
        }
    }

    fn new(text: &'a str, flags: u8, overflows: u8) -> Self {
        if flags & overflows == 0 { Dimension::Value(text) } else { Dimension::Overflow }
    }

    /// One that may be absent, which an empty text means.
    fn optional(text: &'a str, flags: u8, overflows: u8) -> Option<Self> {
        Some(Self::new(text, flags, overflows)).filter(|dimension| *dimension != Dimension::Value(""))
    }

    fn flag(self, overflows: u8) -> u8 {
        if self == Dimension::Overflow { overflows } else { 0 }
    }
}

impl<'a> Dimensions<'a> {
    /// Whether one of them is given up because of its cap.
    pub fn overflow(&self) -> bool {
        [Some(self.consumer), Some(self.route), self.host, self.upstream_cluster]
            .contains(&Some(Dimension::Overflow))
    }

    /// How its requests ended.
    pub fn ending(&self) -> Ending {
        Ending { status: self.status, grpc_status: self.grpc_status }
    }

    fn flags(&self) -> u8 {
        self.consumer.flag(CONSUMER_OVERFLOWS)
            | self.route.flag(ROUTE_OVERFLOWS)
            | self.host.map_or(0, |host| host.flag(HOST_OVERFLOWS))
            | self.upstream_cluster.map_or(0, |cluster| cluster.flag(CLUSTER_OVERFLOWS))
            | self.route_source.to_bits() << ROUTE_SOURCE_SHIFT
            | self.scheme.to_bits() << SCHEME_SHIFT
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend([0, self.flags()]);
        out.extend(self.status.0.to_le_bytes());
        let grpc = GrpcStatus::to_byte(self.grpc_status);
        out.extend([self.method.to_byte(), ErrorType::to_byte(self.error), grpc]);
        let optional = |dimension: Option<Dimension<'a>>| dimension.map_or("", Dimension::text);
        let texts =
            [self.consumer.text(), self.route.text(), optional(self.host), optional(self.upstream_cluster)];
        for text in texts {
            let length = text.floor_char_boundary(usize::from(u16::MAX));
            out.extend((length as u16).to_le_bytes());
            out.extend(text.as_bytes().get(..length).unwrap_or_default());
        }
    }

    /// `None` if the bytes are not the dimensions of a series, or if only a newer version of the filter can read them.
    fn take(bytes: &'a [u8]) -> Option<Self> {
        let (&[flags, low, high, method, error, grpc], mut rest) = bytes.split_first_chunk::<6>()?;
        let mut text = || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (text, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            rest = after;
            std::str::from_utf8(text).ok()
        };
        let (consumer, route, host, cluster) = (text()?, text()?, text()?, text()?);
        let dimensions = Self {
            consumer: Dimension::new(consumer, flags, CONSUMER_OVERFLOWS),
            method: Method::from_byte(method)?,
            scheme: Scheme::from_bits(flags >> SCHEME_SHIFT),
            route: Dimension::new(route, flags, ROUTE_OVERFLOWS),
            route_source: RouteSource::from_bits(flags >> ROUTE_SOURCE_SHIFT & 3)?,
            status: Status(u16::from_le_bytes([low, high])),
            grpc_status: GrpcStatus::from_byte(grpc)?,
            error: ErrorType::from_byte(error)?,
            host: Dimension::optional(host, flags, HOST_OVERFLOWS),
            upstream_cluster: Dimension::optional(cluster, flags, CLUSTER_OVERFLOWS),
        };
        rest.is_empty().then_some(dimensions)
    }
}

impl SeriesKey {
    /// Writes a series into this key, whose memory is reused.
    pub fn set(&mut self, series: Series<'_>) {
        self.0.clear();
        match series {
            Series::Exact(dimensions) => dimensions.put(&mut self.0),
            Series::Overflow(Some(status)) => {
                self.0.push(1);
                self.0.extend(status.0.to_le_bytes());
            }
            Series::Overflow(None) => self.0.push(2),
        }
    }

    /// Reads the series back; `None` if the bytes are not a series key.
    pub fn series(&self) -> Option<Series<'_>> {
        let (kind, rest) = self.0.split_first()?;
        match kind {
            0 => Dimensions::take(rest).map(Series::Exact),
            1 => Some(Series::Overflow(Some(Status(u16::from_le_bytes(rest.try_into().ok()?))))),
            2 => Some(Series::Overflow(None)),
            _ => None,
        }
    }

    /// The key as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes for a key.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dimension<'a>(text: &'a str, overflows: bool) -> Dimension<'a> {
        if overflows { Dimension::Overflow } else { Dimension::Value(text) }
    }

    proptest! {
        #[test]
        fn a_series_is_read_back_from_its_key(
            texts in prop::array::uniform4(".{0,12}"),
            overflows in any::<[bool; 4]>(),
            status in any::<u16>(),
            method in 0u8..11,
            grpc in prop::option::of(0u64..17),
            (scheme, source) in (0u8..4, 0u8..3),
        ) {
            let [consumer, route, host, cluster] = &texts;
            let optional = |text, overflows| {
                Some(dimension(text, overflows)).filter(|found| *found != Dimension::Value(""))
            };
            let series = Series::Exact(Dimensions {
                consumer: dimension(consumer, overflows[0]),
                method: Method::from_byte(method).unwrap(),
                scheme: Scheme::from_bits(scheme),
                route: dimension(route, overflows[1]),
                route_source: RouteSource::from_bits(source).unwrap(),
                status: Status(status),
                grpc_status: grpc.map(GrpcStatus::new),
                error: None,
                host: optional(host, overflows[2]),
                upstream_cluster: optional(cluster, overflows[3]),
            });
            let mut key = SeriesKey::default();
            key.set(series);
            prop_assert_eq!(key.series(), Some(series));
        }

        #[test]
        fn garbage_is_survived(bytes in any::<Vec<u8>>()) {
            let _ = SeriesKey::from_bytes(&bytes).series();
        }
    }

    #[test]
    fn a_key_of_a_newer_version_is_not_read_as_another_one() {
        let key = |flags: u8, method: u8, error: u8, grpc: u8, rest: &[u8]| {
            let head = [0, flags, 200, 0, method, error, grpc];
            SeriesKey::from_bytes(&[&head[..], &[0, 0, 2, 0], b"/a", &[0, 0, 0, 0], rest].concat())
        };
        assert!(key(0, 1, 0, 0, b"").series().is_some());
        assert_eq!(key(0, 200, 0, 0, b"").series(), None, "a method");
        assert_eq!(key(0, 1, 200, 0, b"").series(), None, "a cause");
        assert_eq!(key(0, 1, 0, 18, b"").series(), None, "a status of gRPC");
        assert_eq!(key(3 << 4, 1, 0, 0, b"").series(), None, "a source of routes");
        assert_eq!(key(0, 1, 0, 0, b"\0").series(), None, "another dimension");
    }
}
