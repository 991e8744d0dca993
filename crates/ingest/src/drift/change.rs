//! Changes of what requests look like, as they are stored and shown.

use crate::model::Scope;
use gatelens_model::Message;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChangeKind {
    /// A route carries traffic for the first time, or again.
    RouteNew,
    /// A route that had regular traffic has none any more.
    RouteVanished,
    /// Bodies have a field for the first time, or again.
    FieldNew,
    /// A field that most bodies had is in none any more.
    FieldVanished,
    /// A value has a type that no value of the field had.
    Type,
    /// A string has a format that no string of the field had.
    Format,
    /// A field that all bodies had is absent from some.
    Optional,
    /// A field that some bodies lacked is in all.
    Required,
}

impl ChangeKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::RouteNew,
        Self::RouteVanished,
        Self::FieldNew,
        Self::FieldVanished,
        Self::Type,
        Self::Format,
        Self::Optional,
        Self::Required,
    ];

    /// The name in the API and in the store.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RouteNew => "route_new",
            Self::RouteVanished => "route_vanished",
            Self::FieldNew => "field_new",
            Self::FieldVanished => "field_vanished",
            Self::Type => "type_changed",
            Self::Format => "format_changed",
            Self::Optional => "became_optional",
            Self::Required => "became_required",
        }
    }
}

/// A change of a field, without where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldChange {
    pub(crate) kind: ChangeKind,
    /// A JSON pointer (RFC 6901) in which `[]` stands for any item of an array and `{*}` for any value of a map.
    pub(crate) field: String,
    /// Empty where there was nothing.
    pub(crate) before: String,
    /// Empty where there is nothing.
    pub(crate) after: String,
}

/// A route as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RouteKey {
    pub(crate) scope: Scope,
    pub(crate) method: String,
    pub(crate) route: String,
}

/// The bodies that share a shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ShapeKey {
    pub(crate) route: RouteKey,
    pub(crate) message: Message,
    /// The hundreds of the status.
    pub(crate) class: u8,
}

/// The request that showed a change, as far as it can be named; empty texts otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Example {
    /// `service.version`.
    pub(crate) release: String,
    pub(crate) request_id: String,
    /// 32 hexadecimal digits.
    pub(crate) trace_id: String,
}

/// A change as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) kind: ChangeKind,
    pub(crate) route: RouteKey,
    /// `None` for changes of routes.
    pub(crate) body: Option<(Message, u8)>,
    pub(crate) field: String,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) example: Example,
}
