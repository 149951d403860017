//! `/explain`: why requests ended as they did, by the flight recorder.

use super::Shared;
use crate::why::{self, Format, WhyQuery};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};

/// Answers 404 if nothing that is recorded is meant, and 400 if it is not understood what is.
pub(super) async fn explain(
    State(status): Shared,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return (StatusCode::BAD_REQUEST, format!("{rejection}\n")).into_response(),
    };
    if let Err(why) = query.check() {
        return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
    }
    let format = query.format.unwrap_or_default();
    // Rings of megabytes are copied and taken apart.
    let answered = tokio::task::spawn_blocking(move || {
        let in_force = status.published.load();
        why::answer(&status.recorder, &status.legends, &in_force, &query)
    })
    .await;
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    };
    let code = match answer.is_empty {
        true => StatusCode::NOT_FOUND,
        false => StatusCode::OK,
    };
    match format {
        Format::Json => (code, Json(answer.json)).into_response(),
        Format::Text => (code, answer.text).into_response(),
    }
}
