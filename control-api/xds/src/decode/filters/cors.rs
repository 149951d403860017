//! Cross-origin requests: the filter, and the policies of virtual hosts and routes.

use super::super::{Refusals, matching};
use crate::decode::value;
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::{Cors, CorsPolicy};
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&CORS, &CORS_POLICY, &RUNTIME_PERCENT];

message! {
    pub(super) CORS, refuse_cors: Cors as "envoy.extensions.filters.http.cors.v3.Cors" {
        used: ;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CORS_POLICY, refuse_cors_policy: CorsPolicy as "envoy.extensions.filters.http.cors.v3.CorsPolicy" {
        used: allow_origin_string_match, allow_methods, allow_headers, expose_headers, max_age, allow_credentials,
            filter_enabled;
        refused: shadow_enabled, allow_private_network_access, forward_not_matching_preflights;
        ignored: ;
    }
}
message! {
    pub(in crate::decode) RUNTIME_PERCENT, refuse_runtime_percent: RuntimeFractionalPercent
        as "envoy.config.core.v3.RuntimeFractionalPercent" {
        used: default_value;
        refused: ;
        ignored: runtime_key = "there is no runtime beside the resources: the default value holds";
    }
}

pub(super) fn filter(refusals: &mut Refusals, path: &Path, filter: &Cors) {
    refuse_cors(refusals, path, filter);
}

/// The share of requests that a filter looks at: all of them (true) or none; a share of them is refused.
pub(super) fn all_or_none(
    refusals: &mut Refusals,
    path: &Path,
    percent: Option<&RuntimeFractionalPercent>,
    absent: bool,
) -> bool {
    let Some(percent) = percent else {
        return absent;
    };
    refuse_runtime_percent(refusals, path, percent);
    let Some(share) = &percent.default_value else {
        return absent;
    };
    match value::millionths(refusals, &path.field("default_value"), share) {
        Some(0) => false,
        Some(1_000_000) | None => true,
        Some(_) => {
            refusals.unsupported(path, "a share of requests other than all or none");
            true
        }
    }
}

/// A virtual host's or a route's policy.
pub(super) fn policy(refusals: &mut Refusals, path: &Path, policy: &CorsPolicy) -> Value {
    refuse_cors_policy(refusals, path, policy);
    let enabled = all_or_none(
        refusals,
        &path.field("filter_enabled"),
        policy.filter_enabled.as_ref(),
        true,
    );
    if !enabled || policy.allow_origin_string_match.is_empty() {
        return Value::plain(&path.field("filter_enabled"), "off");
    }
    let mut map = Map::new(path);
    let origins = path.field("allow_origin_string_match");
    map.put(
        "allow_origins",
        allow_origins(refusals, &origins, &policy.allow_origin_string_match),
    );
    for (field, list) in [
        ("allow_methods", &policy.allow_methods),
        ("allow_headers", &policy.allow_headers),
        ("expose_headers", &policy.expose_headers),
    ] {
        let place = path.field(field);
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let items: Vec<Value> = items.map(|item| Value::text(&place, item)).collect();
        if !items.is_empty() {
            map.put(field, Value::list(&place, items));
        }
    }
    if !policy.max_age.is_empty() {
        let place = path.field("max_age");
        map.put(
            "max_age",
            Value::plain(&place, format_args!("{}s", policy.max_age)),
        );
    }
    if let Some(allowed) = &policy.allow_credentials {
        let place = path.field("allow_credentials");
        map.put("allow_credentials", Value::plain(&place, allowed.value));
    }
    map.into()
}

fn allow_origins(refusals: &mut Refusals, path: &Path, origins: &[StringMatcher]) -> Value {
    let every = |origin: &StringMatcher| matches!(&origin.match_pattern, Some(MatchPattern::Exact(text)) if text == "*");
    if let Some(index) = origins.iter().position(every) {
        return Value::plain(&path.index(index), "*");
    }
    let mut values = Vec::with_capacity(origins.len());
    for (index, origin) in origins.iter().enumerate() {
        values.extend(matching::text_or_map(refusals, &path.index(index), origin));
    }
    Value::list(path, values)
}
