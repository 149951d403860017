//! External authorization: another service is asked (Envoy's `ext_authz`, v3).

use super::{HeaderName, Name, StringMatch, model};
use std::collections::BTreeMap;
use std::time::Duration;

model! {
    /// How another service is asked whether a request may go on. It is asked last: for what tokens and policies allow.
    pub struct ExternalAuthorization {
        /// Whom.
        by_ref service: AuthorizationService,
        /// The whole question, retries included: [`super::defaults::EXTERNAL_AUTHORIZATION_TIMEOUT`].
        copy timeout: Duration,
        /// A request is let through where the service does not answer, or not in time; else it gets `error_status`.
        copy failure_allowed: bool,
        /// Status where the service fails and failure is not allowed: [`super::defaults::EXTERNAL_AUTHORIZATION_ERROR_STATUS`].
        copy error_status: u16,
        /// Names of request headers that the service is told of; none: all over gRPC, and over HTTP those that every question
        /// holds (method, path, host, `authorization`).
        by_ref request_headers: Option<Vec<StringMatch>>,
        /// The body is told too; none: it is not read.
        by_ref body: Option<AuthorizationBody>,
        /// The peer's certificate is told, as URL-encoded PEM.
        copy include_peer_certificate: bool,
        /// Told as context extensions (gRPC), for what this service is to know of where it is asked.
        by_ref context: BTreeMap<String, String>,
        /// Decisions are kept; none: each request is asked for.
        by_ref cache: Option<DecisionCache>,
    }
}

/// The service that is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthorizationService {
    /// `envoy.service.auth.v3.Authorization/Check`.
    Grpc(GrpcAuthorizationService),
    /// A request that is answered 200 if it may go on.
    Http(HttpAuthorizationService),
}

impl AuthorizationService {
    /// The cluster that is asked; it exists.
    pub fn cluster(&self) -> &Name {
        match self {
            AuthorizationService::Grpc(grpc) => &grpc.cluster,
            AuthorizationService::Http(http) => &http.cluster,
        }
    }
}

model! {
    /// A service that is asked over gRPC.
    pub struct GrpcAuthorizationService {
        /// It exists, and speaks HTTP/2.
        by_ref cluster: Name,
        /// `:authority`; none: the cluster's name.
        by_ref authority: Option<String>,
    }
}

model! {
    /// A service that is asked over HTTP: the request's method, path and headers, without its body unless that is told.
    pub struct HttpAuthorizationService {
        /// It exists.
        by_ref cluster: Name,
        /// `host`; none: the request's own, as in Envoy.
        by_ref authority: Option<String>,
        /// Stands before the request's path; empty or beginning with `/`.
        by_ref path_prefix: String,
        /// Names of the answer's headers that the upstream is told, in place of the client's.
        by_ref upstream_headers: Vec<StringMatch>,
        /// Names of the answer's headers that the client is told if it is denied; `www-authenticate`, `location`,
        /// `proxy-authenticate`, `set-cookie` always are.
        by_ref client_headers: Vec<StringMatch>,
    }
}

model! {
    /// How the body is told.
    pub struct AuthorizationBody {
        /// Bytes at most.
        copy bytes_max: usize,
        /// Of a longer body the beginning is told; else it is answered 413.
        copy partial_allowed: bool,
    }
}

model! {
    /// Decisions that are kept for requests that look alike: all that the service is told of them is the same. It is told
    /// less of them: of their headers those listed here, `authorization` and `cookie`, and those only if they would be told
    /// without. A request whose body is told is asked about each time.
    pub struct DecisionCache {
        /// How long.
        copy time_to_live: Duration,
        /// Decisions at most, for each worker; the least recently used goes.
        copy entries_max: usize,
        /// Headers that the service is told and that tell requests apart, beside `authorization` and `cookie`.
        by_ref headers: Vec<HeaderName>,
    }
}

/// What a route changes in its filter chain's external authorization.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteExternalAuthorization {
    /// The service is not asked.
    Off,
    /// These contexts are told in addition, in place of those of the same key.
    Context(BTreeMap<String, String>),
}
