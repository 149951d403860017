//! The router filter, and the one that keeps sessions, whose settings stand on routes.

use super::super::Refusals;
use crate::support::{Message, message};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::StatefulSession;
use outrigger_config::document::Path;

pub(super) const MESSAGES: &[&Message] = &[&ROUTER, &SESSIONS];

message! {
    pub(super) ROUTER, refuse_router: Router as "envoy.extensions.filters.http.router.v3.Router" {
        used: dynamic_stats;
        refused: start_child_span, upstream_log, upstream_log_options, strict_check_headers,
            respect_expected_rq_timeout, upstream_http_filters, reject_connect_request_early_data;
        ignored: suppress_envoy_headers = "few of Envoy's own headers are ever written",
            suppress_grpc_request_failure_code_stats = "metrics have names of their own";
    }
}

pub(super) fn router(refusals: &mut Refusals, path: &Path, filter: &Router) {
    refuse_router(refusals, path, filter);
    if filter.dynamic_stats.is_some_and(|stats| !stats.value) {
        refusals.unsupported(&path.field("dynamic_stats"), "turning metrics off");
    }
}

message! {
    pub(super) SESSIONS, refuse_sessions: StatefulSession
        as "envoy.extensions.filters.http.stateful_session.v3.StatefulSession (of a chain)" {
        used: ;
        refused: session_state, strict, status_on_strict_destination_not_found;
        ignored: stat_prefix = "metrics have names of their own";
    }
}

/// Cookies stand on routes: the filter of a chain says nothing by itself.
pub(super) fn sessions(refusals: &mut Refusals, path: &Path, filter: &StatefulSession) {
    refuse_sessions(refusals, path, filter);
}
