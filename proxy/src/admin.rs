//! The admin endpoint: readiness, metrics, dumps, and the few calls that change something, which need POST.
//!
//! It runs on the control runtime, so that a scrape never delays a request; it only reads what is published.

mod certs;
mod clusters;
pub(crate) mod endpoint;
mod explain;
mod jwks;
mod listener;
mod metrics;
mod rate_limits;
mod stats;

use crate::status::{Ask, Phase, Status};
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, serve as serve_router};
use certs::certs;
use clusters::clusters;
use listener::Listener;
pub(crate) use metrics::Scrapes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tower::ServiceExt;

const INDEX: &str = "\
GET  /ready          200 when requests should be sent here, 503 while starting or draining
GET  /live           200 while the process runs
GET  /metrics        metrics: Prometheus' text format, or OpenMetrics
GET  /stats          metrics for people, one to a line; filter=REGEX, usedonly
GET  /config_dump    the configuration in force, and the last one that was refused
GET  /clusters       clusters, endpoints and what they carry
GET  /jwks           keys of JWT providers, and how they stand
GET  /rate_limits    rate limits, what they count by, and what they have decided
GET  /explain?request-id=  why a request ended as it did; also trace-id=, last-error, route=, status=, cluster=, flag=,
                     limit=, format=json
GET  /listeners      listeners and the addresses they are bound to
GET  /certs          certificates, trust bundles and revocation lists: where from, until when, used by whom
GET  /server_info    version, phase, uptime, upgrades in place, overload
GET  /logging        the log filter
POST /logging?filter=debug
POST /reopen_logs    open the files of access logs anew
POST /drain          drain and exit
POST /quitquitquit   exit at once
";

/// Serves the endpoint until the task is aborted. While `routes` are not set the process starts, and is alive, not
/// ready.
pub(crate) async fn serve(listener: TcpListener, routes: Arc<OnceLock<Router>>) {
    let router = Router::new().fallback(move |request: Request| {
        let routes = routes.get().cloned();
        async move {
            match routes {
                Some(routes) => routes.oneshot(request).await.into_response(),
                None if request.uri().path() == "/live" => "live\n".into_response(),
                None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
            }
        }
    });
    if let Err(error) = serve_router(Listener(listener), router).await {
        tracing::error!(%error, "the admin endpoint ended");
    }
}

/// All calls, for a process that has started.
pub(crate) fn routes(status: Arc<Status>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/ready", get(ready))
        .route("/live", get(|| async { "live\n" }))
        .route("/metrics", get(metrics::metrics))
        .route("/stats", get(stats::stats))
        .route("/config_dump", get(config_dump))
        .route("/clusters", get(clusters))
        .route("/jwks", get(jwks::jwks))
        .route("/rate_limits", get(rate_limits::rate_limits))
        .route("/explain", get(explain::explain))
        .route("/listeners", get(listeners))
        .route("/certs", get(certs))
        .route("/server_info", get(server_info))
        .route("/logging", get(logging).post(set_logging))
        .route("/reopen_logs", post(reopen_logs))
        .route("/drain", post(|state| ask(state, Ask::Drain)))
        .route("/quitquitquit", post(|state| ask(state, Ask::Quit)))
        .with_state(status)
}

type Shared = State<Arc<Status>>;

async fn ready(State(status): Shared) -> (StatusCode, String) {
    match status.phase() {
        Phase::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
        Phase::Starting => {
            let what = match status.awaited() {
                Some(name) => format!(": identity `{name}` has not come"),
                None if status.awaits_control() => {
                    ": no configuration has come from the control plane".to_owned()
                }
                None => String::new(),
            };
            (StatusCode::SERVICE_UNAVAILABLE, format!("starting{what}\n"))
        }
    }
}

async fn config_dump(State(status): Shared) -> Response {
    let dumped = tokio::task::spawn_blocking(move || dump(&status)).await;
    match dumped {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn dump(status: &Status) -> anyhow::Result<Value> {
    let snapshot = status.published.load_full();
    // What is read was just written here: it needs no bounds, and its `off` is a word, not a boolean.
    let options = serde_saphyr::options! { strict_booleans: true, budget: None };
    let effective: Value =
        serde_saphyr::from_str_with_options(&outrigger_config::to_yaml(snapshot.config()), options)?;
    let rejection = status.rejection.lock().clone();
    Ok(json!({
        "generation": snapshot.generation(),
        "accepted_at_seconds": seconds(*status.accepted_at.lock()),
        "configuration": effective,
        "receipt": status.receipts.report(),
        "control": status.control.as_ref().map(|control| control.report()),
        "rejected": rejection.map(|rejection| json!({
            "at_seconds": seconds(rejection.at),
            "reason": rejection.reason,
        })),
    }))
}

async fn listeners(State(status): Shared) -> Json<Value> {
    let listeners: Vec<Value> = status
        .listeners
        .lock()
        .iter()
        .map(|listener| json!({ "name": listener.name, "address": listener.address }))
        .collect();
    Json(json!({ "listeners": listeners }))
}

async fn server_info(State(status): Shared) -> Json<Value> {
    let descent = *status.descent.lock();
    let uptime = status.started.elapsed().unwrap_or_default();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "phase": status.phase().as_str(),
        "uptime_seconds": uptime.as_secs(),
        "generation": status.published.load().generation(),
        "process": std::process::id(),
        "upgrade_epoch": descent.epoch,
        "sockets_inherited": descent.sockets_inherited,
        "overload": status.overload.report(),
    }))
}

async fn logging(State(status): Shared) -> String {
    status
        .logging
        .filter()
        .map_or_else(|| "not the proxy's\n".to_owned(), |filter| filter + "\n")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoggingQuery {
    filter: String,
}

async fn set_logging(State(status): Shared, Query(query): Query<LoggingQuery>) -> (StatusCode, String) {
    match status.logging.set_filter(&query.filter) {
        Ok(()) => (StatusCode::OK, format!("{}\n", query.filter)),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

async fn reopen_logs(State(status): Shared) -> (StatusCode, String) {
    let reopened = status.reopen_logs().await;
    let mut text = format!("{} files opened anew\n", reopened.files);
    for (path, fault) in &reopened.faults {
        text.push_str(&format!("{}: {fault}\n", path.display()));
    }
    match reopened.faults.is_empty() {
        true => (StatusCode::OK, text),
        false => (StatusCode::INTERNAL_SERVER_ERROR, text),
    }
}

async fn ask(State(status): Shared, ask: Ask) -> (StatusCode, &'static str) {
    match status.asks.try_send(ask) {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "asked too often\n"),
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
