//! Session persistence by a cookie, which Envoy has in a filter.

use crate::encode::value::{any, duration, extension};
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::stateful_session_per_route::Override;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::{
    StatefulSession, StatefulSessionPerRoute,
};
use envoy_types::pb::envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
use envoy_types::pb::envoy::r#type::http::v3::{Cookie, CookieAttribute};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::model::{SameSite, SessionCookie};

/// The filter's name in a chain.
pub(crate) const STATEFUL_SESSION: &str = "envoy.filters.http.stateful_session";

/// What a route says to the filter, and the filter's name.
pub(super) fn cookie(cookie: &SessionCookie) -> (String, Any) {
    let state = CookieBasedSessionState {
        cookie: Some(Cookie {
            name: cookie.name().clone(),
            ttl: cookie.max_age().map(duration),
            path: cookie.path().clone(),
            attributes: attributes(cookie.same_site()),
        }),
    };
    let session = StatefulSession {
        session_state: Some(extension("envoy.http.stateful_session.cookie", &state)),
        strict: cookie.strict(),
        ..StatefulSession::default()
    };
    let config = StatefulSessionPerRoute {
        r#override: Some(Override::StatefulSession(session)),
    };
    (STATEFUL_SESSION.to_owned(), any(&config))
}

fn attributes(same_site: Option<SameSite>) -> Vec<CookieAttribute> {
    let attribute = |name: &str, value: &str| CookieAttribute {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    match same_site {
        None => Vec::new(),
        Some(SameSite::Strict) => vec![attribute("SameSite", "Strict")],
        Some(SameSite::Lax) => vec![attribute("SameSite", "Lax")],
        Some(SameSite::None) => vec![attribute("SameSite", "None"), attribute("Secure", "")],
    }
}
