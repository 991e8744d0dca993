//! Changes of the directory of consumers, for admins.

use super::State;
use super::access::{Subject, name_of};
use super::alerts::changed;
use super::api::reading;
use super::body::Held;
use super::question::{self, Question};
use crate::auth::Principal;
use crate::directory::csv::{Mistake, Table};
use crate::directory::{Change, Details, DirectoryError, Outcome, checked};
use crate::error::{QueryError, ReceiveError, json};
use crate::query::params::none;
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post, put};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of a file with its frame.
const FILE_BYTES: usize = 4 << 20;
/// Changes that a preview lists; all are counted.
const MAX_LISTED: usize = 200;
/// The last part of the path of an import, which may also be the ID of a consumer.
const IMPORT: &str = "import";

/// The paths.
pub(super) fn changes() -> Vec<(&'static str, MethodRouter<Arc<State>>)> {
    let here = || Path(IMPORT.to_owned());
    let put_here = move |state, who, question| put_entry(state, here(), who, question);
    let remove_here = move |state, query| remove_entry(state, here(), query);
    vec![
        ("/api/v1/consumers/{id}", put(put_entry).delete(remove_entry)),
        ("/api/v1/consumers/import", post(import).put(put_here).delete(remove_here)),
    ]
}

async fn put_entry(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    Question { content: details, .. }: Question<Details>,
) -> Response {
    changed(async {
        let entry = checked(&id, &details)?;
        apply(&state, Change::Put { entries: vec![entry], by: name_of(&who) }, &id).await
    })
    .await
}

async fn remove_entry(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    changed(async {
        none(query.as_deref())?;
        apply(&state, Change::Remove { id: id.clone() }, &id).await
    })
    .await
}

/// A file to import.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    csv: String,
    /// Without it, the answer shows what would change.
    #[serde(default)]
    apply: bool,
}

/// The changes that a file makes.
#[derive(Default, Serialize)]
struct Imported {
    applied: bool,
    added: usize,
    changed: usize,
    unchanged: usize,
    /// The first ones.
    changes: Vec<Changed>,
    errors: Vec<Mistake>,
    errors_total: usize,
}

#[derive(Serialize)]
struct Changed {
    line: u64,
    id: String,
    /// `None` for a new entry.
    before: Option<Details>,
    after: Details,
}

async fn import(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Principal>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match import_file(&state, &who, query.as_deref(), &headers, body).await {
        Ok(imported) => {
            let Imported { applied, added, changed, .. } = &imported;
            let deed = if *applied { "" } else { "preview of " };
            let subject = Subject(format!("{deed}{added} entries added, {changed} changed"));
            (Extension(subject), json(StatusCode::OK, &imported)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

async fn import_file(
    state: &Arc<State>,
    who: &Principal,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Imported, QueryError> {
    let (held, packing) = question::receive(state, query, headers, body, FILE_BYTES).await?;
    let read = move |state: &State| compared(state, &held.unpack(packing)?);
    let (table, mut imported, is_applied) = reading(state, read).await?;
    if is_applied {
        let entries = table.whole()?;
        apply(state, Change::Put { entries, by: name_of(who) }, "").await?;
        imported.applied = true;
    }
    Ok(imported)
}

/// Reads a file, and compares it with the directory; whether to apply it comes last.
fn compared(state: &State, held: &Held) -> Result<(Table, Imported, bool), QueryError> {
    let text = std::str::from_utf8(&held.bytes)
        .map_err(|_| ReceiveError::Malformed("the body is not UTF-8".to_owned()))?;
    let File { csv, apply } = gatelens_core::config::read(text)?;
    let table = Table::read(&csv);
    let ids: Vec<String> = table.entries.iter().map(|(_, (id, _))| id.clone()).collect();
    let mut known = state.store.details(&ids)?;
    let mut imported = Imported {
        errors: table.mistakes.clone(),
        errors_total: table.mistakes_total,
        ..Imported::default()
    };
    for (line, (id, after)) in &table.entries {
        let before = known.remove(id);
        match &before {
            None => imported.added += 1,
            Some(before) if before == after => {
                imported.unchanged += 1;
                continue;
            }
            Some(_) => imported.changed += 1,
        }
        if imported.changes.len() < MAX_LISTED {
            imported.changes.push(Changed { line: *line, id: id.clone(), before, after: after.clone() });
        }
    }
    Ok((table, imported, apply))
}

async fn apply(state: &State, change: Change, id: &str) -> Result<(), QueryError> {
    match state.writers.directory(change).await.map_err(DirectoryError::from)? {
        Outcome::Done => Ok(()),
        Outcome::Unknown => Err(DirectoryError::Unknown(id.to_owned()).into()),
        Outcome::Full => Err(DirectoryError::Full.into()),
    }
}
