//! The two levels of a fingerprint: where and how a request failed, and the reason that its response names.

use super::reason::Reason;
use gatelens_model::hash::{START, fnv1a, mix};
use std::sync::Arc;

/// The kind of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Requests that count as errors.
    Error,
    /// Requests whose input was refused: 422, and 400 with a body that names fields.
    Validation,
    /// Requests with another status whose application reported an error.
    Reported,
}

/// The first level of a fingerprint: where and how a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) service: Arc<str>,
    pub(super) environment: Arc<str>,
    pub(super) direction: Arc<str>,
    pub(super) method: Arc<str>,
    pub(super) route: Arc<str>,
    pub(super) status: u16,
    pub(super) grpc_status: Option<u64>,
    /// Empty without a cause.
    pub(super) error_type: Arc<str>,
}

/// The ID of an issue: 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) String);

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Error, Self::Validation, Self::Reported];

    /// The name in the store and in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Validation => "validation",
            Self::Reported => "reported",
        }
    }
}

impl Failure {
    /// The ID of the issue of all such failures without a reason.
    pub(super) fn id(&self) -> Id {
        self.id_of(["", ""])
    }

    /// The ID of the issue with a reason. The message of a refused input differs with each input, so that only its class counts
    /// where fields are known.
    pub(super) fn id_with(&self, reason: &Reason) -> Id {
        let message = if reason.fields.is_empty() { &*reason.message } else { "" };
        self.id_of([&reason.class, message])
    }

    fn id_of(&self, reason: [&str; 2]) -> Id {
        let numbers = [Some(u64::from(self.status)), self.grpc_status].map(|number| format!("{number:?}"));
        let parts = [
            self.kind.name(),
            &self.service,
            &self.environment,
            &self.direction,
            &self.method,
            &self.route,
            &self.error_type,
            &numbers[0],
            &numbers[1],
            reason[0],
            reason[1],
        ];
        let hash = parts.into_iter().fold(START, |state, part| {
            // The length keeps the end of a part from moving into the next one.
            fnv1a(fnv1a(state, &part.len().to_le_bytes()), part.as_bytes())
        });
        Id(format!("{:016x}", mix(hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(change: impl FnOnce(&mut Failure)) -> Failure {
        let mut failure = Failure {
            kind: Kind::Error,
            service: "orders".into(),
            environment: "prod".into(),
            direction: "inbound".into(),
            method: "GET".into(),
            route: "/a".into(),
            status: 500,
            grpc_status: None,
            error_type: "500".into(),
        };
        change(&mut failure);
        failure
    }

    fn reason(class: &str, message: &str) -> Reason {
        Reason { class: class.to_owned(), message: message.to_owned(), fields: Vec::new() }
    }

    #[test]
    fn each_part_makes_another_issue() {
        let first = failure(|_| ());
        let ids = [
            first.id(),
            failure(|failure| failure.kind = Kind::Reported).id(),
            failure(|failure| failure.environment = "test".into()).id(),
            failure(|failure| failure.method = "GET/".into()).id(),
            failure(|failure| failure.route = "/b".into()).id(),
            failure(|failure| failure.status = 503).id(),
            failure(|failure| failure.grpc_status = Some(14)).id(),
            failure(|failure| failure.error_type = "upstream_timeout".into()).id(),
            first.id_with(&reason("KeyError", "")),
            first.id_with(&reason("", "KeyError")),
            first.id_with(&reason("KeyError", "x")),
        ];
        let apart: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(apart.len(), ids.len(), "{ids:?}");
        assert_eq!(first.id(), first.id_with(&reason("", "")));
    }

    #[test]
    fn the_message_of_a_refused_input_makes_no_issue_of_its_own() {
        let failure = failure(|failure| failure.kind = Kind::Validation);
        let refused = |message: &str| Reason { fields: vec![Default::default()], ..reason("type", message) };
        assert_eq!(failure.id_with(&refused("one")), failure.id_with(&refused("two")));
    }
}
