//! An answer to a request that does not reach its handler.

use super::otlp::{JSON, media_type};
use crate::error::otlp_status;
use crate::wire::Encoding;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request was refused before anybody looked at it, in the form of the API's errors.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A constant, which also counts the refusal in the metrics.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The header that is wrong.
    pub(super) field: Option<&'static str>,
    /// Seconds after which the client may try again.
    pub(super) retry_after: Option<u32>,
}

impl Refusal {
    /// In the form that the OTLP specification gives refusals, in the encoding of the request.
    pub(super) fn into_otlp(self, headers: &HeaderMap) -> Response {
        let encoding = match media_type(headers).as_deref() {
            Some(JSON) => Encoding::Json,
            _ => Encoding::Protobuf,
        };
        otlp_status(self.status, self.message, encoding, self.retry_after)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: Error,
        }
        #[derive(Serialize)]
        struct Error {
            code: &'static str,
            message: String,
            field: Option<&'static str>,
        }
        let Self { status, code, message, field, retry_after } = self;
        let mut response = crate::error::json(status, &Body { error: Error { code, message, field } });
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
