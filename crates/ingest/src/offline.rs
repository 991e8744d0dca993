//! The read API without a service: questions to the files of a data directory.

use crate::clock;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::query::{Files, Kind, Question};
use crate::store::metrics::is_elsewhere;
use crate::store::{DataDir, METRICS_FILE, open_read};
use std::path::Path;
use std::sync::Arc;

/// Answers a question such as `summary?from=0` out of a data directory, in which a service may be at work: the status
/// and the JSON that the path under `/api/v1/` would answer.
pub fn query_offline(data: &Path, question: &str) -> (u16, Vec<u8>) {
    answer(data, question).map_or_else(
        |error| {
            let (status, body) = error.described();
            (status.as_u16(), body)
        },
        |body| (200, body),
    )
}

fn answer(data: &Path, question: &str) -> Result<Vec<u8>, QueryError> {
    let (name, query) =
        question.split_once('?').map_or((question, None), |(name, query)| (name, Some(query)));
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        QueryError::NoPath { path: name.to_owned(), known }
    })?;
    let limits = Limits::default();
    let question = Question::parse(kind, query, &limits, clock::now())?;
    // What is left in the files would be a wrong answer.
    let is_counted = matches!(kind, Kind::Summary | Kind::Timeseries | Kind::Latencies | Kind::Requests);
    if is_counted
        && open_read(&data.join(METRICS_FILE))?.is_some_and(|file| is_elsewhere(&file).unwrap_or(false))
    {
        return Err(QueryError::Elsewhere);
    }
    let store = Files::new(Arc::new(DataDir::new(data.to_owned())), limits);
    Ok(serde_json::to_vec(&question.answer(&store)?).unwrap_or_default())
}
