//! Session persistence by a cookie, which Envoy has in a filter.

use super::Refusals;
use crate::decode::{type_url, unpack, value};
use crate::support::message;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::stateful_session_per_route::Override;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::{
    StatefulSession, StatefulSessionPerRoute,
};
use envoy_types::pb::envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
use envoy_types::pb::envoy::r#type::http::v3::{Cookie, CookieAttribute};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::{Map, Path, Value};
use std::collections::HashMap;

message! {
    pub(super) STATEFUL_SESSION_PER_ROUTE, refuse_stateful_session_per_route:
        StatefulSessionPerRoute as "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute" {
        used: r#override;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) STATEFUL_SESSION, refuse_stateful_session:
        StatefulSession as "envoy.extensions.filters.http.stateful_session.v3.StatefulSession" {
        used: session_state, strict;
        refused: status_on_strict_destination_not_found;
        ignored: stat_prefix = "it names statistics of Envoy's own";
    }
}
message! {
    pub(super) COOKIE_SESSION_STATE, refuse_cookie_session_state:
        CookieBasedSessionState as "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState" {
        used: cookie;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) COOKIE, refuse_cookie: Cookie as "envoy.type.http.v3.Cookie" {
        used: name, ttl, path, attributes;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) COOKIE_ATTRIBUTE, refuse_cookie_attribute: CookieAttribute as "envoy.type.http.v3.CookieAttribute" {
        used: name, value;
        refused: ;
        ignored: ;
    }
}

/// Takes the configuration of session cookies out of a route's filters: the document's `session_cookie`.
pub(super) fn take(refusals: &mut Refusals, path: &Path, filters: &mut HashMap<String, Any>) -> Option<Map> {
    let wanted = type_url::<StatefulSessionPerRoute>();
    let name = filters
        .iter()
        .find(|(_, config)| config.type_url == wanted)?
        .0
        .clone();
    let config = filters.remove(&name)?;
    let path = path.key(&name);
    let message: StatefulSessionPerRoute = unpack(refusals, &path, &config, &wanted)?;
    refuse_stateful_session_per_route(refusals, &path, &message);
    match &message.r#override {
        // There is no other place where it could be on.
        None | Some(Override::Disabled(_)) => None,
        Some(Override::StatefulSession(session)) => {
            self::session(refusals, &path.field("stateful_session"), session)
        }
    }
}

fn session(refusals: &mut Refusals, path: &Path, message: &StatefulSession) -> Option<Map> {
    refuse_stateful_session(refusals, path, message);
    let state_at = path.field("session_state").field("typed_config");
    let config = message.session_state.clone()?.typed_config.unwrap_or_default();
    let wanted = type_url::<CookieBasedSessionState>();
    let state: CookieBasedSessionState = unpack(refusals, &state_at, &config, &wanted)?;
    refuse_cookie_session_state(refusals, &state_at, &state);
    let cookie_at = state_at.field("cookie");
    let Some(cookie) = &state.cookie else {
        refusals.fault(&cookie_at, "a cookie is missing");
        return None;
    };
    let mut map = self::cookie(refusals, &cookie_at, cookie);
    if message.strict {
        map.put("strict", Value::plain(&path.field("strict"), true));
    }
    Some(map)
}

fn cookie(refusals: &mut Refusals, path: &Path, cookie: &Cookie) -> Map {
    refuse_cookie(refusals, path, cookie);
    let mut map = Map::new(path).with("name", Value::text(&path.field("name"), cookie.name.as_str()));
    let ttl = value::duration_value(refusals, &path.field("ttl"), cookie.ttl.as_ref());
    map.put_some("max_age", ttl.filter(|ttl| ttl.as_scalar() != Some("0s")));
    if !cookie.path.is_empty() {
        map.put("path", Value::text(&path.field("path"), cookie.path.as_str()));
    }
    for (index, attribute) in cookie.attributes.iter().enumerate() {
        let path = path.field("attributes").index(index);
        refuse_cookie_attribute(refusals, &path, attribute);
        let value = attribute.value.to_ascii_lowercase();
        match attribute.name.eq_ignore_ascii_case("samesite") {
            true => map.put("same_site", Value::plain(&path.field("value"), value)),
            // What comes with that of `None`.
            false if attribute.name.eq_ignore_ascii_case("secure") => {}
            false => refusals.unsupported(&path, format_args!("the attribute `{}`", attribute.name)),
        }
    }
    map
}

/// Puts it into a route's forward, if it forwards.
pub(super) fn put(refusals: &mut Refusals, map: &mut Map, cookie: Map) {
    match map.take("forward").map(Value::into_map) {
        Some(Ok(mut forward)) => {
            forward.put("session_cookie", cookie.into());
            map.put("forward", forward.into());
        }
        _ => refusals.fault(
            Value::from(cookie).path(),
            "a session cookie on a route that does not forward",
        ),
    }
}
