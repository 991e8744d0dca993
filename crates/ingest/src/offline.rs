//! The read API without a service: questions to the files of a data directory.

use crate::clock;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::query::params::none;
use crate::query::{counts, gateways, requests};
use crate::store::Directory;
use serde::Serialize;
use std::path::Path;

/// Answers a question such as `summary?from=0` out of a data directory, in which a service may be at work: the status
/// and the JSON that the path under `/api/v1/` would answer.
pub fn ask(data: &Path, question: &str) -> (u16, Vec<u8>) {
    let answered = answer(&Directory::new(data.to_owned()), question, &Limits::default(), clock::now());
    answered.unwrap_or_else(|error| {
        let (status, body) = error.described();
        (status.as_u16(), body)
    })
}

fn answer(
    directory: &Directory,
    question: &str,
    limits: &Limits,
    now: i64,
) -> Result<(u16, Vec<u8>), QueryError> {
    let (name, query) =
        question.split_once('?').map_or((question, None), |(name, query)| (name, Some(query)));
    match name {
        "summary" => ok(&counts::Summary::parse(query, now)?.answer(directory, limits)?),
        "timeseries" => ok(&counts::Timeseries::parse(query, now, limits)?.answer(directory, limits)?),
        "requests" => ok(&requests::Query::parse(query, now, limits)?.answer(directory, limits)?),
        "gateways" => {
            none(query)?;
            ok(&gateways::answer(directory, limits, now)?)
        }
        _ => {
            let known = "summary, timeseries, requests, gateways".to_owned();
            Err(QueryError::NoPath { path: name.to_owned(), known })
        }
    }
}

fn ok(answer: &impl Serialize) -> Result<(u16, Vec<u8>), QueryError> {
    Ok((200, serde_json::to_vec(answer).unwrap_or_default()))
}
