//! The dimensions of requests: what counts are grouped by, and what both counts and the log are filtered by.

use super::requests::Sender;
use crate::clickhouse::{Condition, quoted};
use crate::error::QueryError;
use crate::model::{RequestEvent, SeriesKey};
use crate::store::bloom::{Column, Key};
use gatelens_model::value;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Requests with routes that may be folded, in SQL.
pub(super) const INFERRED: &str = "route_source = ''";

/// A dimension of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Consumer,
    /// The consumer's group, which is not a part of a series.
    ConsumerGroup,
    Method,
    Route,
    Status,
    GrpcStatus,
    ErrorType,
    Host,
    UpstreamCluster,
    Service,
    Environment,
    Version,
    Direction,
    /// The instance of the gateway, which is not a part of a series.
    Gateway,
}

/// The value of a dimension. A text that is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Text(String),
    Number(Option<u64>),
}

impl Dimension {
    /// All, by the names that parameters and answers have.
    pub(crate) const ALL: [(&str, Self); 14] = [
        ("consumer", Self::Consumer),
        ("group", Self::ConsumerGroup),
        ("method", Self::Method),
        ("route", Self::Route),
        ("status", Self::Status),
        ("grpc_status", Self::GrpcStatus),
        ("error_type", Self::ErrorType),
        ("host", Self::Host),
        ("upstream_cluster", Self::UpstreamCluster),
        ("service", Self::Service),
        ("environment", Self::Environment),
        ("version", Self::Version),
        ("direction", Self::Direction),
        ("gateway", Self::Gateway),
    ];

    /// Reads a name as `group_by` has it.
    pub(crate) fn parse(name: &str) -> Result<Self, QueryError> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, dimension)| *dimension).ok_or_else(|| {
            let known = Self::ALL.map(|(name, _)| name).join(", ");
            QueryError::parameter("group_by", format!("cannot group by {name:?}: expected one of {known}"))
        })
    }

    /// The name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, dimension)| *dimension == self).map_or("", |(name, _)| name)
    }

    /// The name of the field of a logged request.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::ConsumerGroup => "consumer_group",
            other => other.name(),
        }
    }

    /// The key by which chunks of the log that hold a value are known; `None` where a request may have the value although
    /// its chunk does not: groups are those that consumers have now, and routes may be folded.
    pub(crate) fn key(self, value: &str) -> Option<Key> {
        let column = match self {
            Self::Consumer => Column::Consumer,
            Self::Route if value.starts_with('/') && !value.contains('{') => Column::Route,
            Self::ErrorType => Column::ErrorType,
            Self::Host => Column::Host,
            Self::UpstreamCluster => Column::UpstreamCluster,
            Self::Version => Column::Version,
            _ => return None,
        };
        Some(Key::of_text(column, value))
    }

    /// The logged requests with a value, in SQL. Groups are those that consumers have now, and a route may be folded.
    pub(crate) fn condition(self, value: &str) -> Condition {
        match self {
            Self::ConsumerGroup => Condition::undecided(),
            Self::Route if !value.starts_with('/') => Condition::one_of("route", [value]),
            Self::Route => {
                let is = Condition::one_of("route", [value]).exact_if(false);
                let Some((literal, _)) = value.split_once('{') else { return is };
                // Folding keeps the segments before the first parameter.
                let before = literal.rsplit_once('/').map_or("", |(before, _)| before);
                let folded = format!("({INFERRED} AND startsWith(route, {}))", quoted(&format!("{before}/")));
                Condition::any([is, Condition::rough(folded)])
            }
            Self::Direction if value == value::INBOUND => Condition::one_of("direction", ["", value]),
            other => Condition::one_of(other.field(), [value]),
        }
    }

    /// Whether each logged request has a value of its own in a stored field. A sender is of one service and direction.
    pub(crate) fn is_stored(self) -> bool {
        !matches!(
            self,
            Self::ConsumerGroup | Self::Service | Self::Environment | Self::Direction | Self::Gateway
        )
    }

    /// Whether its values are texts.
    pub(crate) fn is_text(self) -> bool {
        !matches!(self, Self::Status | Self::GrpcStatus)
    }

    /// The value of a series, whose consumer is in this group. Its gateways are not a part of it.
    pub(crate) fn of_series(self, series: &SeriesKey, group: &str) -> Value {
        match self {
            Self::Status => Value::Number(Some(u64::from(series.status))),
            Self::GrpcStatus => Value::Number(series.grpc_status.map(u64::from)),
            text => Value::Text(text.text_of_series(series, group).unwrap_or_default().to_owned()),
        }
    }

    /// The text of a series, whose consumer is in this group; `None` for a number, and for the gateway.
    pub(crate) fn text_of_series<'a>(self, series: &'a SeriesKey, group: &'a str) -> Option<&'a str> {
        Some(match self {
            Self::Consumer => &series.consumer,
            Self::ConsumerGroup => group,
            Self::Method => &series.method,
            Self::Route => &series.route,
            Self::Status | Self::GrpcStatus | Self::Gateway => return None,
            Self::ErrorType => &series.error_type,
            Self::Host => &series.host,
            Self::UpstreamCluster => &series.upstream_cluster,
            Self::Service => &series.service,
            Self::Environment => &series.environment,
            Self::Version => &series.version,
            Self::Direction => &series.direction,
        })
    }

    /// The text of a logged request; `None` for a number.
    pub(crate) fn text_of_event<'a>(self, event: &'a RequestEvent, sender: &'a Sender) -> Option<&'a str> {
        Some(match self {
            Self::Consumer => &event.consumer,
            Self::ConsumerGroup => event.consumer_group.as_deref().unwrap_or_default(),
            Self::Method => &event.method,
            Self::Route => &event.route,
            Self::Status | Self::GrpcStatus => return None,
            Self::ErrorType => event.error_type.as_deref().unwrap_or_default(),
            Self::Host => event.host.as_deref().unwrap_or_default(),
            Self::UpstreamCluster => event.upstream_cluster.as_deref().unwrap_or_default(),
            Self::Service => &sender.service,
            Self::Environment => &sender.environment,
            Self::Version => event.version.as_deref().unwrap_or_default(),
            Self::Direction => event.direction(),
            Self::Gateway => &sender.gateway,
        })
    }
}

/// The dimensions grouped by, with their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Group(Vec<(&'static str, Value)>);

impl Group {
    /// The group of a series, whose consumer is in this group of consumers.
    pub(crate) fn of(series: &SeriesKey, consumer_group: &str, by: &[Dimension]) -> Self {
        let value = |dimension: &Dimension| (dimension.name(), dimension.of_series(series, consumer_group));
        Self(by.iter().map(value).collect())
    }

    /// The values as texts; that of a number that is not known is empty.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |(_, value): &(&str, Value)| match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        };
        self.0.iter().map(text).collect()
    }

    /// The same group at a gateway.
    pub(crate) fn at_gateway(&self, instance: &str) -> Self {
        let name = Dimension::Gateway.name();
        let at = |(key, value): &(&'static str, Value)| {
            let value = if *key == name { Value::Text(instance.to_owned()) } else { value.clone() };
            (*key, value)
        };
        Self(self.0.iter().map(at).collect())
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Value::Text(text) => map.serialize_entry(name, text)?,
                Value::Number(number) => map.serialize_entry(name, number)?,
            }
        }
        map.end()
    }
}
