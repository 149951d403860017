//! REST for people and tools.

use crate::server::Parts;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::TextEncoder;

/// All calls.
pub fn router(parts: Parts) -> Router {
    let registry = parts.registry.clone();
    let metrics = move || {
        let registry = registry.clone();
        async move { rendered(&registry) }
    };
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/metrics", get(metrics))
}

fn rendered(registry: &prometheus::Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
