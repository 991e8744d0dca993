//! The labels of the counters, of which the reader chooses.

use super::super::dimension::Dimension;
use super::super::requests::Sender;
use crate::model::{RequestEvent, SeriesKey};
use gatelens_model::grpc;

/// A label: a dimension under the name that Prometheus gives its attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TrafficLabel(Dimension);

/// Names of labels, and whether they are there when the operator chooses none.
const LABELS: [(&str, Dimension, Usual); 11] = [
    ("http_request_method", Dimension::Method, Usual::Yes),
    ("http_route", Dimension::Route, Usual::Yes),
    ("http_response_status_code", Dimension::Status, Usual::Yes),
    ("error_type", Dimension::ErrorType, Usual::Yes),
    ("gatelens_consumer_id", Dimension::Consumer, Usual::No),
    ("service_name", Dimension::Service, Usual::Yes),
    ("deployment_environment_name", Dimension::Environment, Usual::Yes),
    ("service_version", Dimension::Version, Usual::No),
    ("server_address", Dimension::Host, Usual::No),
    ("gatelens_upstream_cluster", Dimension::UpstreamCluster, Usual::No),
    ("rpc_response_status_code", Dimension::GrpcStatus, Usual::No),
];

/// Whether a label is there without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usual {
    Yes,
    No,
}

/// There is no such label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no label {found:?}: expected one of {}", LABELS.map(|(name, ..)| name).join(", "))]
pub struct NotALabel {
    found: String,
}

impl std::str::FromStr for TrafficLabel {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let found = LABELS.iter().find(|(name, ..)| *name == text);
        found.map(|(_, dimension, _)| Self(*dimension)).ok_or_else(|| NotALabel { found: text.to_owned() })
    }
}

impl TryFrom<String> for TrafficLabel {
    type Error = NotALabel;

    fn try_from(text: String) -> Result<Self, NotALabel> {
        text.parse()
    }
}

impl TrafficLabel {
    /// The label of a dimension that has one.
    pub(super) fn new(dimension: Dimension) -> Self {
        Self(dimension)
    }

    pub(super) fn dimension(self) -> Dimension {
        self.0
    }

    /// Those that are there when nobody chooses.
    pub fn usual() -> Vec<Self> {
        let usual = LABELS.iter().filter(|(.., usual)| *usual == Usual::Yes);
        usual.map(|(_, dimension, _)| Self(*dimension)).collect()
    }

    /// The name.
    pub fn name(self) -> &'static str {
        LABELS.iter().find(|(_, dimension, _)| *dimension == self.0).map_or("", |(name, ..)| name)
    }

    pub(in crate::query) fn of_event(self, event: &RequestEvent, sender: &Sender) -> String {
        match self.0 {
            Dimension::Status if event.status > 0 => event.status.to_string(),
            Dimension::GrpcStatus => {
                rpc_status(event.grpc_status.and_then(|status| usize::try_from(status).ok()))
            }
            text => text.text_of_event(event, sender).unwrap_or_default().to_owned(),
        }
    }

    pub(super) fn of(self, series: &SeriesKey) -> String {
        match self.0 {
            Dimension::Status if series.status > 0 => series.status.to_string(),
            Dimension::GrpcStatus => rpc_status(series.grpc_status.map(usize::from)),
            text => text.text_of_series(series, "").unwrap_or_default().to_owned(),
        }
    }
}

/// The name of a gRPC status; empty without one.
fn rpc_status(status: Option<usize>) -> String {
    status.and_then(|status| grpc::NAMES.get(status)).copied().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_names_that_prometheus_gives_their_attributes() {
        use gatelens_model::attribute;
        for (name, attribute) in [
            ("http_request_method", attribute::METHOD),
            ("http_route", attribute::ROUTE),
            ("http_response_status_code", attribute::STATUS_CODE),
            ("error_type", attribute::ERROR_TYPE),
            ("gatelens_consumer_id", attribute::CONSUMER_ID),
            ("service_name", attribute::SERVICE_NAME),
            ("deployment_environment_name", attribute::ENVIRONMENT),
            ("service_version", attribute::SERVICE_VERSION),
            ("server_address", attribute::SERVER_ADDRESS),
            ("gatelens_upstream_cluster", attribute::UPSTREAM_CLUSTER),
            ("rpc_response_status_code", attribute::RPC_STATUS_CODE),
        ] {
            assert_eq!(attribute.replace('.', "_"), name);
            assert_eq!(name.parse::<TrafficLabel>().unwrap().name(), name);
        }
        let error = "route".parse::<TrafficLabel>().unwrap_err().to_string();
        assert!(error.contains("expected one of http_request_method, http_route"), "{error}");
    }
}
