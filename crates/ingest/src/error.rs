//! Errors of the API, with their status and body.

use crate::alerts::AlertsError;
use crate::directory::DirectoryError;
use crate::query::DocumentError;
use crate::query::search::SearchError;
use crate::store::{Refused, StoreError, sketch};
use crate::wire::{Encoding, Unreadable};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gatelens_core::config::ConfigError;
use prost::Message;
use serde::Serialize;

/// Seconds after which a sender may try again when the service was busy.
const RETRY_BUSY_SECONDS: u32 = 1;
/// Seconds after which a sender may try again when the store failed: someone may have to make room.
const RETRY_STORE_SECONDS: u32 = 5;

/// Why a body was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    Malformed(String),
    #[error("the body is larger than {limit} bytes, as sent or after decompression")]
    TooLarge { limit: usize },
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    #[error("the body did not arrive in time")]
    Slow,
    #[error("the body ended early")]
    Broken,
    #[error("the service is receiving too much: try again")]
    Busy,
    #[error(
        "no valid token came with the request: send `authorization: Bearer TOKEN`, which is `ingest.headers` in the \
         plugin's configuration; `gatelens token new` makes a token"
    )]
    NoSender,
    #[error(
        "the token of {name:?} is for the environment {allowed:?}, and the batch is of {environment:?}: send it with a token of that environment, or correct `service.environment`"
    )]
    OtherEnvironment { name: String, allowed: String, environment: String },
    #[error("{0}")]
    Refused(#[from] Refused),
}

impl ReceiveError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(_) | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Unreadable(Unreadable::Malformed { .. }) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } | Self::Unreadable(Unreadable::TooMany { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::NoSender => StatusCode::UNAUTHORIZED,
            Self::OtherEnvironment { .. } => StatusCode::FORBIDDEN,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::Refused(Refused::Busy) | Self::Unreadable(Unreadable::NoRoom) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Refused(Refused::Stopped | Refused::Failed(_)) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// As the API's errors and the metrics have it.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported_media_type",
            Self::Malformed(_) | Self::Broken | Self::Unreadable(Unreadable::Malformed { .. }) => "malformed",
            Self::TooLarge { .. } | Self::Unreadable(Unreadable::TooMany { .. }) => "too_large",
            Self::NoSender => "no_sender_token",
            Self::OtherEnvironment { .. } => "other_environment",
            Self::Slow => "timeout",
            Self::Busy | Self::Refused(Refused::Busy) | Self::Unreadable(Unreadable::NoRoom) => "busy",
            Self::Refused(Refused::Stopped) => "stopped",
            Self::Refused(Refused::Failed(_)) => "store",
        }
    }

    /// The answer to a sender. Of all these, the OTLP specification has a sender repeat 429 and 503 only.
    pub(crate) fn into_response(self, encoding: Encoding) -> Response {
        let status = self.status();
        if let Self::Refused(Refused::Failed(error)) = &self {
            tracing::error!(%error, "a batch could not be stored");
        }
        let retry = match status {
            StatusCode::TOO_MANY_REQUESTS => Some(RETRY_BUSY_SECONDS),
            StatusCode::SERVICE_UNAVAILABLE => Some(RETRY_STORE_SECONDS),
            _ => None,
        };
        otlp_status(status, self.to_string(), encoding, retry)
    }
}

/// A refusal as the OTLP specification has it, with the seconds after which the sender may try again.
pub(crate) fn otlp_status(
    status: StatusCode,
    message: String,
    encoding: Encoding,
    retry_after: Option<u32>,
) -> Response {
    let body = Status { code: grpc_code(status), message };
    let (kind, bytes) = match encoding {
        Encoding::Protobuf => ("application/x-protobuf", body.encode_to_vec()),
        Encoding::Json => ("application/json", serde_json::to_vec(&body).unwrap_or_default()),
    };
    let mut response = (status, [(header::CONTENT_TYPE, kind)], bytes).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    challenge(&mut response);
    response
}

/// Names the way to prove who one is, which RFC 9110 (15.5.2) demands of every 401.
fn challenge(response: &mut Response) {
    if response.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer realm=\"gatelens\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
}

/// `google.rpc.Status`, the body of every refusal in OTLP.
#[derive(Clone, PartialEq, Message, Serialize)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn grpc_code(status: StatusCode) -> i32 {
    match status {
        StatusCode::REQUEST_TIMEOUT => 4,      // DEADLINE_EXCEEDED
        StatusCode::PAYLOAD_TOO_LARGE => 8,    // RESOURCE_EXHAUSTED
        StatusCode::TOO_MANY_REQUESTS => 8,    // RESOURCE_EXHAUSTED
        StatusCode::SERVICE_UNAVAILABLE => 14, // UNAVAILABLE
        StatusCode::UNAUTHORIZED => 16,        // UNAUTHENTICATED
        StatusCode::FORBIDDEN => 7,            // PERMISSION_DENIED
        _ => 3,                                // INVALID_ARGUMENT
    }
}

/// Why the API did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("{message}")]
    Parameter { field: String, message: String },
    /// The character is a field of its own, too.
    #[error("{0}")]
    Search(#[from] SearchError),
    #[error("{message}")]
    TooMuch { field: &'static str, message: String },
    #[error("there is no path {path}: expected one of {known}")]
    NoPath { path: String, known: String },
    #[error(
        "there is no issue {id:?}: it may be gone, because it was not seen for long; take an ID from /api/v1/issues"
    )]
    NoIssue { id: String },
    #[error(
        "the role viewer does not see {field}, and cannot search for it: ask an admin for the role analyst"
    )]
    Withheld { field: String },
    #[error("the query took too long: ask for a shorter range")]
    TooSlow,
    #[error(
        "the rules took longer than {seconds} s on this body: preview a shorter body, or write paths with fewer filters"
    )]
    SlowRules { seconds: f64 },
    #[error("the document took longer than {seconds} s: compare a smaller one, or a part of it")]
    SlowDocument { seconds: f64 },
    /// Line and column are fields of their own.
    #[error("{0}")]
    Document(#[from] DocumentError),
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The files of a replica were asked for what is on its server.
    #[error("the counters and the log of this directory are on a ClickHouse: ask the running service")]
    Elsewhere,
    #[error("the service is stopping")]
    Stopped,
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("{0}")]
    Alerts(#[from] AlertsError),
    #[error("{0}")]
    Directory(#[from] DirectoryError),
    #[error("{0}")]
    Received(#[from] ReceiveError),
    /// Line and column are fields of their own.
    #[error("{}{}{}", .0.path, if .0.path.is_empty() { "" } else { ": " }, .0.message)]
    Configuration(#[from] ConfigError),
}

impl QueryError {
    /// A refused parameter.
    pub(crate) fn parameter(field: &str, message: impl Into<String>) -> Self {
        Self::Parameter { field: field.to_owned(), message: message.into() }
    }
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::TooSlow,
            _ => Self::Store(error.into()),
        }
    }
}

impl From<sketch::Unreadable> for QueryError {
    fn from(error: sketch::Unreadable) -> Self {
        Self::Store(error.into())
    }
}

impl QueryError {
    /// The status and the body of the answer.
    pub(crate) fn described(&self) -> (StatusCode, Vec<u8>) {
        #[derive(Serialize)]
        struct Body<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'static str,
            message: String,
            field: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            line: Option<usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            column: Option<usize>,
        }
        let (status, code, field) = match self {
            Self::Parameter { field, .. } => {
                (StatusCode::BAD_REQUEST, "invalid_parameter", Some(field.as_str()))
            }
            Self::Search(_) => (StatusCode::BAD_REQUEST, "invalid_parameter", Some("q")),
            Self::TooMuch { field, .. } => (StatusCode::BAD_REQUEST, "too_much", Some(*field)),
            Self::NoPath { .. } | Self::NoIssue { .. } => (StatusCode::NOT_FOUND, "not_found", None),
            Self::Withheld { field } => (StatusCode::FORBIDDEN, "role", Some(field.as_str())),
            Self::TooSlow => (StatusCode::SERVICE_UNAVAILABLE, "too_slow", None),
            Self::Elsewhere => (StatusCode::NOT_IMPLEMENTED, "not_shared", None),
            // The same question would take as long again.
            Self::SlowRules { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "too_slow", Some("config")),
            Self::SlowDocument { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "too_slow", None),
            Self::Document(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_document", None),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store", None),
            Self::Stopped | Self::Refused(Refused::Stopped) => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopped", None)
            }
            Self::Refused(Refused::Busy) => (StatusCode::TOO_MANY_REQUESTS, "busy", None),
            Self::Refused(Refused::Failed(_)) => (StatusCode::SERVICE_UNAVAILABLE, "store", None),
            Self::Alerts(AlertsError::Rule(error)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_rule", Some(error.path.as_str()))
            }
            Self::Alerts(AlertsError::Unknown(_)) => (StatusCode::NOT_FOUND, "not_found", None),
            Self::Alerts(AlertsError::Conflict(_)) => (StatusCode::CONFLICT, "conflict", None),
            Self::Alerts(AlertsError::Store(_)) => (StatusCode::SERVICE_UNAVAILABLE, "store", None),
            Self::Directory(DirectoryError::Entry { field, .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_entry", Some(*field))
            }
            Self::Directory(DirectoryError::Csv { .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_csv", Some("csv"))
            }
            Self::Directory(DirectoryError::Unknown(_)) => (StatusCode::NOT_FOUND, "not_found", None),
            Self::Directory(DirectoryError::Full) => (StatusCode::CONFLICT, "conflict", None),
            Self::Directory(DirectoryError::Refused(Refused::Busy)) => {
                (StatusCode::TOO_MANY_REQUESTS, "busy", None)
            }
            Self::Directory(DirectoryError::Refused(_)) => (StatusCode::SERVICE_UNAVAILABLE, "store", None),
            Self::Received(error) => (error.status(), error.code(), None),
            Self::Configuration(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_configuration", Some("config"))
            }
        };
        let (line, column) = match self {
            // Nothing at all is wrong at its beginning.
            Self::Configuration(error) => (Some(error.line.max(1)), Some(error.column.max(1))),
            Self::Search(error) => (None, Some(error.column)),
            Self::Document(error) => (Some(error.place.line), Some(error.place.column)),
            Self::Directory(DirectoryError::Csv { line, .. }) => (usize::try_from(*line).ok(), None),
            _ => (None, None),
        };
        let body = Body { error: Inner { code, message: self.to_string(), field, line, column } };
        (status, serde_json::to_vec(&body).unwrap_or_default())
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        let (status, body) = self.described();
        let mut response = (status, json_headers(), body).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_BUSY_SECONDS));
        }
        challenge(&mut response);
        response
    }
}

/// A JSON answer that no cache keeps.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, json_headers(), bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn json_headers() -> [(header::HeaderName, &'static str); 2] {
    [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")]
}
