//! Senders, and the identity of their requests.

use super::Scope;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which export a request of a sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Metrics,
    Logs,
    Traces,
}

impl Signal {
    /// The name on the path and in the metrics of the service.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Traces => "traces",
        }
    }
}

/// The permanent name of a request of a sender: a repeat carries the same bytes under the same identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `service.instance.id` of the sender.
    pub(crate) instance: String,
    /// 16 hex digits, new with each life of the sender's counters.
    pub(crate) epoch: String,
    /// `deployment.environment.name` of the first resource, as the body has it: the sender's token is for it, so that a
    /// sender of another environment cannot take its numbers. A gateway that changes it begins an epoch.
    pub(crate) environment: Arc<str>,
    /// From 1, without gaps per instance, epoch, environment and path.
    pub(crate) sequence: u64,
}

impl Identity {
    /// Takes the environment of a resource, if it is the first.
    pub(crate) fn see(&mut self, gateway: &Gateway) {
        if self.environment.is_empty() {
            self.environment = Arc::clone(&gateway.environment);
        }
    }
}

/// How sure it is that a sender is of the environment that it names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may name any environment.
    #[default]
    Claimed,
    /// Its token is for that environment alone.
    Proven,
}

/// A sender, as its resource describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Gateway {
    pub(crate) instance: String,
    pub(crate) epoch: String,
    pub(crate) service: Arc<str>,
    pub(crate) environment: Arc<str>,
    /// `inbound` or `outbound`.
    pub(crate) direction: String,
    /// Version of the filter, where the sender is one of ours.
    pub(crate) version: Option<String>,
    /// Version of the service behind it.
    pub(crate) service_version: Option<Arc<str>>,
    pub(crate) config_hash: Option<String>,
    /// Series in use there, where the sender reports it.
    pub(crate) series: Option<u64>,
    /// The configuration's tags, as far as they are kept.
    pub(crate) tags: BTreeMap<String, String>,
}

impl Gateway {
    /// The traffic that shares route patterns with this gateway's.
    pub(crate) fn scope(&self) -> Scope {
        Scope {
            service: self.service.to_string(),
            environment: self.environment.to_string(),
            direction: self.direction.clone(),
        }
    }

    /// Whether it is one of ours. The routes of other senders are templates of their frameworks.
    pub(crate) fn infers_routes(&self) -> bool {
        self.version.is_some()
    }
}
