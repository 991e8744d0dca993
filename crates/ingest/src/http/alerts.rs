//! `/api/v1/alerts`: what fires, the rules, the receivers, and their changes.
//!
//! Reading and changing are apart, because different people may do them.

use super::State;
use super::access::Subject;
use super::api::reading;
use super::question::Question;
use crate::alerts::{Alerts, AlertsError, Past, ReceiverConfig, RuleConfig, Trial};
use crate::clock;
use crate::error::{QueryError, json};
use crate::query::Range;
use crate::query::params::{Params, none};
use axum::extract::{self, Path, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

type Shared = extract::State<Arc<State>>;

/// Of a page of messages or incidents.
const DEFAULT_ROWS: u64 = 100;
const MAX_ROWS: u64 = 1000;

/// Paths that read. Whoever may see counts may see alerts.
pub(super) fn reads() -> Vec<(&'static str, MethodRouter<Arc<State>>)> {
    vec![
        ("/api/v1/alerts", get(alerts)),
        ("/api/v1/alerts/deliveries", get(deliveries)),
        ("/api/v1/alerts/history", get(history)),
        ("/api/v1/alerts/try", post(try_rule)),
    ]
}

/// Paths for admins: they change something, have something sent, or show what is changed.
pub(super) fn changes() -> Vec<(&'static str, MethodRouter<Arc<State>>)> {
    vec![
        ("/api/v1/alerts/rules", post(add_rule)),
        ("/api/v1/alerts/rules/{name}", put(change_rule).delete(remove_rule)),
        ("/api/v1/alerts/rules/{name}/mute", post(mute)),
        ("/api/v1/alerts/rules/{name}/unmute", post(unmute)),
        ("/api/v1/alerts/receivers", post(put_receiver)),
        ("/api/v1/alerts/receivers/{name}", get(receiver).put(change_receiver).delete(remove_receiver)),
        ("/api/v1/alerts/receivers/{name}/test", post(test_receiver)),
    ]
}

async fn alerts(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    answered(async {
        none(query.as_deref())?;
        ask(&state, |alerts| Ok(alerts.answer(clock::now())?)).await
    })
    .await
}

async fn deliveries(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    answered(async {
        let params = Params::parse(query.as_deref(), &["limit", "cursor"])?;
        let (before, limit) = page(&params)?;
        ask(&state, move |alerts| Ok(alerts.deliveries(before, limit)?)).await
    })
    .await
}

async fn history(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    answered(async {
        let params = Params::parse(query.as_deref(), &["rule", "from", "to", "limit", "cursor"])?;
        let rule = params.one("rule")?.map(str::to_owned);
        let Range { from, to } = Range::read_any(&params, clock::now())?;
        let (before, limit) = page(&params)?;
        let ask_for = move |alerts: &Alerts| {
            let past = Past { rule: rule.as_deref(), from, to, before, limit };
            Ok(alerts.history(&past, clock::now())?)
        };
        ask(&state, ask_for).await
    })
    .await
}

/// The row before which a page begins, and the number of rows in it.
fn page(params: &Params) -> Result<(i64, u32), QueryError> {
    let limit = params.number("limit", 1..=MAX_ROWS, DEFAULT_ROWS)?;
    let before = params.one("cursor")?.map(|text| {
        text.parse::<i64>()
            .map_err(|_| QueryError::parameter("cursor", "cursor must be `next` of an earlier answer"))
    });
    Ok((before.transpose()?.unwrap_or(i64::MAX), u32::try_from(limit).unwrap_or(u32::MAX)))
}

async fn try_rule(
    extract::State(state): Shared,
    Question { content: trial, .. }: Question<Trial>,
) -> Response {
    answered(async { ask(&state, move |alerts| Ok(alerts.try_rule(trial, clock::now()))).await? }).await
}

async fn add_rule(
    extract::State(state): Shared,
    Question { content: rule, .. }: Question<RuleConfig>,
) -> Response {
    named(async {
        let subject = Subject(format!("rule {:?}", rule.name));
        ask(&state, move |alerts| alerts.put_rule(rule, None, clock::now())).await?;
        Ok(subject)
    })
    .await
}

async fn change_rule(
    extract::State(state): Shared,
    Path(name): Path<String>,
    Question { content: rule, .. }: Question<RuleConfig>,
) -> Response {
    changed(ask(&state, move |alerts| alerts.put_rule(rule, Some(&name), clock::now()))).await
}

async fn remove_rule(
    extract::State(state): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    changed(async {
        none(query.as_deref())?;
        ask(&state, move |alerts| alerts.remove_rule(&name)).await
    })
    .await
}

async fn mute(
    extract::State(state): Shared,
    Path(name): Path<String>,
    Question { content: Until { until }, .. }: Question<Until>,
) -> Response {
    named(async {
        let subject = Subject(format!("until {until}"));
        ask(&state, move |alerts| alerts.mute_until(&name, &until, clock::now())).await?;
        Ok(subject)
    })
    .await
}

async fn unmute(extract::State(state): Shared, Path(name): Path<String>, _: Question<Empty>) -> Response {
    changed(ask(&state, move |alerts| alerts.unmute(&name))).await
}

async fn put_receiver(
    extract::State(state): Shared,
    Question { content: receiver, text }: Question<ReceiverConfig>,
) -> Response {
    named(async {
        let subject = Subject(format!("receiver {:?}", receiver.name));
        ask(&state, move |alerts| alerts.put_receiver(&receiver, &text, clock::now())).await?;
        Ok(subject)
    })
    .await
}

async fn receiver(
    extract::State(state): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    answered(async {
        none(query.as_deref())?;
        ask(&state, move |alerts| alerts.receiver(&name)).await
    })
    .await
}

async fn change_receiver(
    extract::State(state): Shared,
    Path(name): Path<String>,
    Question { text, .. }: Question<ReceiverConfig>,
) -> Response {
    changed(ask(&state, move |alerts| alerts.change_receiver(&name, &text, clock::now()))).await
}

async fn remove_receiver(
    extract::State(state): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    changed(async {
        none(query.as_deref())?;
        ask(&state, move |alerts| alerts.remove_receiver(&name)).await
    })
    .await
}

async fn test_receiver(
    extract::State(state): Shared,
    Path(name): Path<String>,
    _: Question<Empty>,
) -> Response {
    #[derive(Serialize)]
    struct Queued {
        delivery: i64,
    }
    answered(ask(&state, move |alerts| Ok(Queued { delivery: alerts.test_receiver(&name, clock::now())? })))
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Until {
    until: String,
}

/// The body `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// Asks on a thread that may block.
async fn ask<T: Send + 'static>(
    state: &Arc<State>,
    question: impl FnOnce(&Alerts) -> Result<T, AlertsError> + Send + 'static,
) -> Result<T, QueryError> {
    reading(state, move |state| Ok(question(&state.alerts)?)).await
}

async fn answered<T: Serialize>(answer: impl Future<Output = Result<T, QueryError>>) -> Response {
    answer.await.map_or_else(IntoResponse::into_response, |answer| json(StatusCode::OK, &answer))
}

pub(super) async fn changed(change: impl Future<Output = Result<(), QueryError>>) -> Response {
    #[derive(Serialize)]
    struct Done {}
    answered(async { change.await.map(|()| Done {}) }).await
}

/// The response to a change whose path does not have all that the audit log must have.
async fn named(change: impl Future<Output = Result<Subject, QueryError>>) -> Response {
    match change.await {
        Ok(subject) => (extract::Extension(subject), changed(async { Ok(()) }).await).into_response(),
        Err(error) => error.into_response(),
    }
}
