//! The source of an answer: a running ingest, or its files.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than the service lets a query run.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// The source of an answer.
pub(crate) enum Source {
    /// A running service at a URL without a slash at its end, the token to read with, and the client.
    Service { url: String, token: Option<String>, agent: ureq::Agent },
    /// The files themselves.
    Directory(PathBuf),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "no ingest answers at {url}: {reason}; start one with `gatelens serve`, or give the address of another"
    )]
    Unreachable { url: String, reason: String },
    #[error("{0}")]
    Wrong(String),
    #[error("the ingest cannot answer: {0}")]
    Refused(String),
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
    #[error("the server at {url} is not a gatelens ingest: {reason}; correct the address")]
    Strange { url: String, reason: String },
}

impl Source {
    /// A running service. Its certificate must be of an authority of the file, or of one of Mozilla's.
    pub(crate) fn service(url: &str, token: Option<String>, ca_file: Option<&Path>) -> Result<Self, String> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .tls_config(gatelens_ingest::trusting(ca_file)?)
            .build();
        Ok(Self::Service { url: url.trim_end_matches('/').to_owned(), token, agent: config.new_agent() })
    }

    /// Asks a question of the read API.
    pub(crate) fn ask(&self, question: &str, parameters: &str) -> Result<Value, Failure> {
        let question = format!("{question}?{parameters}");
        let (place, (status, body)) = match self {
            Self::Directory(data) => {
                (data.display().to_string(), gatelens_ingest::query_offline(data, &question))
            }
            Self::Service { url, token, agent } => {
                (url.clone(), get(agent, url, token.as_deref(), &question)?)
            }
        };
        understand(place, status, &body)
    }

    /// Opens an answer of a running service that is read piece by piece. Each piece has the time that an answer has.
    /// `last_event` is the ID of the last event that was read of a stream.
    pub(crate) fn open(
        &self,
        question: &str,
        parameters: &str,
        last_event: Option<&str>,
    ) -> Result<Opened, Failure> {
        let Self::Service { url, token, agent } = self else {
            return Err(Failure::Wrong(
                "only a running service has this: give --url instead of --data".to_owned(),
            ));
        };
        let request = agent.get(format!("{url}/api/v1/{question}?{parameters}")).config();
        let mut request = request.timeout_global(None).timeout_recv_response(Some(TIMEOUT)).build();
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        let mut answer = call(request, url, token.as_deref())?;
        let status = answer.status().as_u16();
        if status == 200 {
            let most = answer.headers().get("x-gatelens-max-rows");
            let max_rows = most.and_then(|most| most.to_str().ok()?.parse().ok());
            return Ok(Opened {
                reader: Box::new(BufReader::new(answer.into_body().into_reader())),
                max_rows,
            });
        }
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().unwrap_or_default();
        match understand(url.clone(), status, &body) {
            Ok(_) => Err(Failure::Strange { url: url.clone(), reason: format!("status {status}") }),
            Err(failure) => Err(failure),
        }
    }
}

/// An answer that is read piece by piece.
pub(crate) struct Opened {
    pub(crate) reader: Box<dyn BufRead>,
    /// The most rows that an export has.
    pub(crate) max_rows: Option<u64>,
}

/// The answer, or why there is none.
fn understand(place: String, status: u16, body: &[u8]) -> Result<Value, Failure> {
    let strange = |reason| Failure::Strange { url: place.clone(), reason };
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| strange(format!("status {status} without JSON")))?;
    if status == 200 {
        return Ok(answer);
    }
    let error = &answer["error"];
    let message = error["message"].as_str().ok_or_else(|| strange(format!("status {status}")))?;
    Err(match error["field"].as_str() {
        _ if status == 401 => Failure::Refused(
            "it asks who you are: give a token with --token-file or in GATELENS_TOKEN; `gatelens token new \
             --role viewer` makes one"
                .to_owned(),
        ),
        Some(field) if status == 400 => Failure::Wrong(format!("{message} (--{})", field.replace('_', "-"))),
        _ => Failure::Refused(message.to_owned()),
    })
}

/// Adds the rows of the next page to an answer, and takes its cursor over.
pub(crate) fn append(answer: &mut Value, page: &mut Value) {
    if let (Some(rows), Some(more)) = (answer["rows"].as_array_mut(), page["rows"].as_array_mut()) {
        rows.append(more);
    }
    for key in ["next", "more"] {
        match page.as_object_mut().and_then(|page| page.remove(key)) {
            Some(value) => answer[key] = value,
            None => {
                answer.as_object_mut().map(|answer| answer.remove(key));
            }
        }
    }
}

/// The token to read with, never from the command line, which other users of the machine see.
pub(crate) fn token(file: Option<&Path>) -> Result<Option<String>, String> {
    let token = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            Some(text.map_err(|error| format!("cannot read the token in {}: {error}", file.display()))?)
        }
        None => std::env::var("GATELENS_TOKEN").ok(),
    };
    Ok(token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()))
}

fn get(
    agent: &ureq::Agent,
    url: &str,
    token: Option<&str>,
    question: &str,
) -> Result<(u16, Vec<u8>), Failure> {
    let unreachable =
        |error: ureq::Error| Failure::Unreachable { url: url.to_owned(), reason: error.to_string() };
    let mut answer = call(agent.get(format!("{url}/api/v1/{question}")), url, token)?;
    let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(unreachable)?;
    Ok((answer.status().as_u16(), body))
}

fn call(
    mut request: ureq::RequestBuilder<ureq::typestate::WithoutBody>,
    url: &str,
    token: Option<&str>,
) -> Result<ureq::http::Response<ureq::Body>, Failure> {
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.call().map_err(|error| Failure::Unreachable { url: url.to_owned(), reason: error.to_string() })
}
