//! `/api/v1/issues/{id}`: one error issue, and what people decide about it.

use super::State;
use super::access::{Subject, name_of};
use super::api::{disclosure_of, reading};
use super::question::Question;
use crate::auth::Principal;
use crate::clock;
use crate::error::{QueryError, json};
use crate::issues::{Regresses, Standing};
use crate::query::params::none;
use crate::query::{Disclosure, IssueDetail, IssueQuery};
use axum::extract::{self, Path, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

type Shared = extract::State<Arc<State>>;
type Who = extract::Extension<Principal>;

/// A decision about an issue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    state: Wanted,
    /// A resolved issue regresses only in another version of the service.
    #[serde(default)]
    in_next_release: bool,
}

/// The states that a person can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Ongoing,
    Resolved,
    Ignored,
}

/// One issue with all that is known of it.
pub(super) async fn issue(
    extract::State(state): Shared,
    who: Who,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let answer = match none(query.as_deref()) {
        Ok(()) => find(&state, id, disclosure_of(&who)).await,
        Err(error) => Err(error),
    };
    answer.map_or_else(IntoResponse::into_response, |issue| json(StatusCode::OK, &issue))
}

/// Changes the state of an issue, and answers with the issue.
pub(super) async fn decide(
    extract::State(state): Shared,
    who: Who,
    Path(id): Path<String>,
    Question { content, .. }: Question<Change>,
) -> Response {
    match change(&state, &who, id, &content).await {
        Ok((subject, issue)) => (extract::Extension(subject), json(StatusCode::OK, &issue)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn change(
    state: &Arc<State>,
    who: &Principal,
    id: String,
    change: &Change,
) -> Result<(Subject, IssueDetail), QueryError> {
    let regresses = match (change.in_next_release, change.state) {
        (false, _) => Regresses::WhenSeen,
        (true, Wanted::Resolved) => {
            let found = find(state, id.clone(), disclosure_of(who)).await?;
            if !found.names_a_version() {
                return Err(QueryError::parameter(
                    "in_next_release",
                    "the requests of this issue name no version of the service, so that no release can be told from another: set \
                     service.version in the plugin's configuration, or resolve it at once",
                ));
            }
            Regresses::InAnotherVersion
        }
        (true, _) => {
            return Err(QueryError::parameter(
                "in_next_release",
                "in_next_release belongs to the state resolved",
            ));
        }
    };
    let (standing, name) = match change.state {
        Wanted::Ongoing => (Standing::Open, "ongoing"),
        Wanted::Resolved => (Standing::Resolved, "resolved"),
        Wanted::Ignored => (Standing::Ignored, "ignored"),
    };
    if !state.writers.decide(id.clone(), standing, regresses, name_of(who)).await? {
        return Err(QueryError::NoIssue { id });
    }
    let release = if regresses == Regresses::InAnotherVersion { " in the next release" } else { "" };
    Ok((Subject(format!("{name}{release}")), find(state, id, disclosure_of(who)).await?))
}

async fn find(state: &Arc<State>, id: String, disclosure: Disclosure) -> Result<IssueDetail, QueryError> {
    reading(state, move |state| state.store.issue(&IssueQuery { id, disclosure, now: clock::now() })).await
}
