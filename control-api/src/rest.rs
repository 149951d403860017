//! REST for people and tools: documents, revisions, the audit log, nodes, join tokens, the authority.
//!
//! One table (`rest/routes.rs`) says of every call its path, parameters, bodies, answers and who may make it; the router, the
//! OpenAPI document and the page of the documentation are made from it, so that they cannot differ. A call goes one way
//! (`rest/serve.rs`): who calls, whether they may, the body within its bound, the handler. What is refused is counted, and told
//! to the audit log within a bound (`rest/refusals.rs`). Changes all go through `rest/change.rs`: nothing is accepted that was not
//! loaded as a mesh, and nothing without `If-Match`, a reason and the right to all that it touches.

mod audit_log;
mod authority;
mod call;
mod change;
mod documents;
mod effects;
mod explain;
mod fault;
mod health;
mod metrics;
mod nodes;
mod openapi;
mod refusals;
mod revisions;
mod rollouts;
mod routes;
mod scope;
mod shapes;
mod status;
mod text_diff;

#[cfg(test)]
pub(crate) mod tests;

use crate::access::{Action, Caller, Principal};
use crate::fleet::{MeshRevision, Unloadable};
use crate::server::Parts;
use crate::store::Revision;
use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use bytes::Bytes;
use call::Call;
use fault::Fault;
use metrics::RestMetrics;
use refusals::Refusals;
use routes::{Needs, ROUTES, Route};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// From the first byte of a call to its answer: a large mesh, every view of which is made, within it.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Meshes that are looked at at a time: each takes a core, and several times what it is long.
const HEAVY_CALLS_MAX: usize = 4;
/// Bodies that are read at a time, each of bounded length and time.
const BODIES_MAX: usize = 8;
/// From the head of a request to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a handler gives.
type Answered = Result<Response, Fault>;

/// What all calls work with.
struct Shared {
    parts: Parts,
    metrics: RestMetrics,
    refusals: Refusals,
    heavy: Arc<Semaphore>,
    /// One step of a rollover at a time: what is known of nodes is known of the root that is there.
    rolling: Arc<tokio::sync::Mutex<()>>,
    bodies: Semaphore,
}

/// All calls.
///
/// # Panics
/// If the registry has our metrics already: a server has one such router.
pub fn router(parts: Parts) -> Router {
    let metrics = RestMetrics::register(&parts.registry).expect("a registry serves one router");
    let shared = Arc::new(Shared {
        parts,
        metrics,
        refusals: Refusals::default(),
        heavy: Arc::new(Semaphore::new(HEAVY_CALLS_MAX)),
        rolling: Arc::default(),
        bodies: Semaphore::new(BODIES_MAX),
    });
    let mut router = Router::new();
    for route in ROUTES {
        let shared = Arc::clone(&shared);
        let handler = move |request: Request| serve(Arc::clone(&shared), route, request);
        router = router.route(route.path, on(route.method.filter(), handler));
    }
    router
        .fallback(|| async {
            Fault::not_found("there is no such call", "`GET /openapi.json` lists all").into_response()
        })
        .method_not_allowed_fallback(|| async { Fault::method_not_allowed().into_response() })
}

/// The OpenAPI document, as `GET /openapi.json` gives it.
pub fn openapi_document() -> serde_json::Value {
    openapi::document()
}

/// The table of all calls, as the documentation prints it.
pub fn routes_page() -> String {
    openapi::page()
}

async fn serve(shared: Arc<Shared>, route: &'static Route, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let now = SystemTime::now();
    let (principal, caller) = shared.admit(route, &parts, now);
    let from = parts
        .extensions
        .get::<Arc<crate::listen::Peer>>()
        .map(|peer| peer.address);
    let (who, is_known) = (principal.to_string(), principal != Principal::Anonymous);
    let asked = parts.uri.path().to_owned();
    let answering = async {
        let call = Call::read(&shared, route, parts, body, caller?, now).await?;
        (route.handler)(Arc::clone(&shared), call).await
    };
    let answered = timeout(CALL_TIMEOUT, answering).await;
    let answer = answered.unwrap_or_else(|_| Err(Fault::too_late(CALL_TIMEOUT)));
    if let Err(fault) = &answer {
        let refused = refusals::Refused {
            who: &who,
            is_known,
            from,
            route,
            asked: &asked,
            fault,
        };
        shared
            .refusals
            .tell(&*shared.parts.store, &shared.metrics, &refused, now)
            .await;
    }
    let response = answer.unwrap_or_else(IntoResponse::into_response);
    shared.metrics.answered(route.operation, response.status());
    response
}

impl Shared {
    /// Who calls, and, as a caller, if they may make this call at all; none where nobody is needed. What a change touches
    /// is known later.
    fn admit(
        &self,
        route: &Route,
        parts: &http::request::Parts,
        now: SystemTime,
    ) -> (Principal, Result<Option<Caller>, Fault>) {
        let action = match route.needs {
            Needs::Nothing => return (Principal::Anonymous, Ok(None)),
            Needs::Administering => Action::Administer,
            Needs::Reading | Needs::Changing => Action::Read,
        };
        let access = &self.parts.access;
        let caller = match access.identify(&parts.extensions, &parts.headers, now) {
            Ok(caller) => caller,
            Err(denied) => return (Principal::Anonymous, Err(Fault::denied(&denied))),
        };
        let may = access.may(&caller, &action);
        (
            caller.principal().clone(),
            may.map(|()| Some(caller))
                .map_err(|denied| Fault::denied(&denied)),
        )
    }

    /// One of the places for what is heavy. Waiting for it is bounded by the call's own time.
    async fn heavy(&self) -> OwnedSemaphorePermit {
        let acquiring = Arc::clone(&self.heavy).acquire_owned();
        acquiring.await.expect("it is never closed")
    }

    /// Does something heavy off the threads that serve. What was begun keeps its place until it ends, whoever waits.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let place = self.heavy().await;
        let working = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        working
            .await
            .map_err(|_| Fault::internal("the documents could not be looked at"))
    }

    /// A body within its bounds.
    async fn body(&self, body: axum::body::Body, bytes_max: usize) -> Result<Bytes, Fault> {
        use http_body_util::{BodyExt, LengthLimitError, Limited};
        let reading = async {
            let _place = self.bodies.acquire().await.expect("it is never closed");
            Limited::new(body, bytes_max).collect().await
        };
        match timeout(BODY_TIMEOUT, reading).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::too_large(bytes_max)),
            Ok(Err(_)) => Err(Fault::bad_request(
                "the body did not arrive whole",
                "the whole body",
            )),
            Err(_) => {
                let expected = format!("all of it within {} s", BODY_TIMEOUT.as_secs());
                Err(Fault::bad_request("the body did not arrive in time", expected))
            }
        }
    }

    /// The current revision, asked of the store itself.
    async fn current(&self) -> Result<Arc<Revision>, Fault> {
        let position = self.parts.store.position().await?;
        Ok(self.parts.store.revision(position.revision).await?)
    }

    /// A revision as a mesh; none if it cannot be loaded, which only other programs can have brought about.
    async fn mesh_of(&self, number: u64) -> Result<Option<Arc<MeshRevision>>, Fault> {
        if let Some(told) = self.parts.fleet.told(number) {
            return Ok(Some(told));
        }
        let _place = self.heavy().await;
        match self.parts.fleet.revision(&*self.parts.store, number).await {
            Ok(revision) => Ok(Some(revision)),
            Err(Unloadable::Faults(_)) => Ok(None),
            Err(Unloadable::Store(error)) => Err(error.into()),
        }
    }
}

/// The path's parameters, decoded.
async fn path_parameters(parts: &mut http::request::Parts) -> Result<Vec<(String, String)>, Fault> {
    let raw = RawPathParams::from_request_parts(parts, &()).await;
    let raw = raw.map_err(|error| Fault::bad_request(error.to_string(), "percent-encoded UTF-8"))?;
    Ok(raw
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// What is begun is done, though its caller goes away meanwhile.
async fn uncut<T: Send + 'static>(doing: impl Future<Output = T> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::spawn(doing).await;
    done.map_err(|_| Fault::internal("it was not done whole"))
}
