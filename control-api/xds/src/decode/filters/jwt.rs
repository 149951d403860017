//! JWT authentication: providers, and what a chain or a route requires.

use super::super::carried::{Carried, CarriedKind};
use super::super::source::{self, Data};
use super::super::{Refusals, value};
use super::Gathered;
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::HttpUri;
use envoy_types::pb::envoy::config::route::v3::{RouteMatch, route_match::PathSpecifier};
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::{
    JwtAuthentication, JwtClaimToHeader, JwtHeader, JwtProvider, JwtRequirement, PerRouteConfig, RemoteJwks,
    RequirementRule, jwt_provider::JwksSourceSpecifier, jwt_requirement::RequiresType,
    per_route_config::RequirementSpecifier, requirement_rule::RequirementType,
};
use outrigger_config::document::{Map, Path, Value};
use prost::Message as _;
use std::collections::HashMap;

pub(super) const MESSAGES: &[&Message] = &[
    &AUTHENTICATION,
    &PROVIDER,
    &JWT_HEADER,
    &CLAIM_HEADER,
    &REMOTE_JWKS,
    &HTTP_URI,
    &RULE,
    &PER_ROUTE,
];

message! {
    pub(super) AUTHENTICATION, refuse_authentication: JwtAuthentication
        as "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" {
        used: providers, rules, requirement_map;
        refused: filter_state_rules, bypass_cors_preflight;
        ignored: strip_failure_response = "what is wrong with a token is told to logs, never to clients",
            stat_prefix = "metrics are labelled by the provider";
    }
}
message! {
    pub(super) PROVIDER, refuse_provider: JwtProvider as "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider" {
        used: issuer, audiences, require_expiration, forward, from_headers, from_params, from_cookies,
            forward_payload_header, payload_in_metadata, clock_skew_seconds, claim_to_headers, jwks_source_specifier;
        refused: subjects, max_lifetime, pad_forward_payload_header, normalize_payload_in_metadata,
            header_in_metadata, failed_status_in_metadata, clear_route_cache;
        ignored: jwt_cache_config = "what was verified is kept as memory allows";
    }
}
message! {
    pub(super) JWT_HEADER, refuse_header: JwtHeader as "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader" {
        used: name, value_prefix;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CLAIM_HEADER, refuse_claim_header: JwtClaimToHeader
        as "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader" {
        used: header_name, claim_name;
        refused: claim_path;
        ignored: ;
    }
}
message! {
    pub(super) REMOTE_JWKS, refuse_remote: RemoteJwks as "envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks" {
        used: http_uri, cache_duration;
        refused: ;
        ignored: async_fetch = "keys are always fetched in the background",
            retry_policy = "failed fetches are repeated with a backoff of their own";
    }
}
message! {
    pub(in crate::decode) HTTP_URI, refuse_http_uri: HttpUri as "envoy.config.core.v3.HttpUri" {
        used: uri, timeout, http_upstream_type;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) RULE, refuse_rule: RequirementRule
        as "envoy.extensions.filters.http.jwt_authn.v3.RequirementRule" {
        used: r#match, requirement_type;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) PER_ROUTE, refuse_per_route: PerRouteConfig
        as "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig" {
        used: requirement_specifier;
        refused: ;
        ignored: ;
    }
}

/// The names in the document of the providers of a filter.
type Providers = HashMap<String, String>;

pub(super) fn chain(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    filter: JwtAuthentication,
    gathered: &mut Gathered<'_>,
) {
    refuse_authentication(refusals, path, &filter);
    let mut providers = Providers::new();
    let mut sorted: Vec<_> = filter.providers.into_iter().collect();
    sorted.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, found) in sorted {
        let path = path.field("providers").key(&name);
        let key = (CarriedKind::JwtProvider, name.as_str());
        let own = carried.part(refusals, &path, key, found.encode_to_vec(), |refusals, _| {
            provider(refusals, &path, &found)
        });
        if !found.payload_in_metadata.is_empty() {
            carried.payloads.insert(found.payload_in_metadata, own.clone());
        }
        providers.insert(name, own);
    }
    let mut named: Vec<_> = filter.requirement_map.iter().collect();
    named.sort_by_key(|(name, _)| name.as_str());
    for (name, found) in named {
        let path = path.field("requirement_map").key(name);
        if let Some(value) = requirement(refusals, &providers, &path, found) {
            carried.requirements.insert(name.clone(), value);
        }
    }
    let path = path.field("rules");
    match filter.rules.as_slice() {
        [] => {}
        [only] => {
            if let Some(value) = rule(refusals, carried, &providers, &path.index(0), only) {
                gathered.put(refusals, carried, "jwt", value);
            }
        }
        _ => {
            let help = "let routes name requirements of `requirement_map`";
            refusals.fault_with_help(&path, "requirements by path are not implemented", help);
        }
    }
}

fn rule(
    refusals: &mut Refusals,
    carried: &Carried,
    providers: &Providers,
    path: &Path,
    rule: &RequirementRule,
) -> Option<Value> {
    refuse_rule(refusals, path, rule);
    let all = RouteMatch {
        path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
        ..RouteMatch::default()
    };
    if rule.r#match.as_ref() != Some(&all) {
        let help = "let routes name requirements of `requirement_map`";
        let message = "only a rule for all requests (`prefix: /`) is implemented";
        refusals.fault_with_help(&path.field("match"), message, help);
    }
    match &rule.requirement_type {
        Some(RequirementType::Requires(found)) => {
            requirement(refusals, providers, &path.field("requires"), found)
        }
        Some(RequirementType::RequirementName(name)) => {
            let found = carried.requirements.get(name).cloned();
            if found.is_none() {
                refusals.fault(
                    &path.field("requirement_name"),
                    format!("there is no requirement `{name}`"),
                );
            }
            found
        }
        None => None,
    }
}

fn requirement(
    refusals: &mut Refusals,
    providers: &Providers,
    path: &Path,
    found: &JwtRequirement,
) -> Option<Value> {
    let mut several = |field: &'static str, name: &'static str, found: &[JwtRequirement]| {
        let path = path.field(field).field("requirements");
        let mut values = Vec::with_capacity(found.len());
        for (index, one) in found.iter().enumerate() {
            values.extend(requirement(refusals, providers, &path.index(index), one));
        }
        Some(Map::new(&path).with(name, Value::list(&path, values)).into())
    };
    let flag = |field: &'static str| {
        let path = path.field(field);
        Some(Map::new(&path).with(field, Value::plain(&path, true)).into())
    };
    match &found.requires_type {
        Some(RequiresType::ProviderName(name)) => {
            let path = path.field("provider_name");
            let own = providers.get(name).unwrap_or(name);
            Some(
                Map::new(&path)
                    .with("provider", Value::text(&path, own.as_str()))
                    .into(),
            )
        }
        Some(RequiresType::RequiresAny(any)) => several("requires_any", "any_of", &any.requirements),
        Some(RequiresType::RequiresAll(all)) => several("requires_all", "all_of", &all.requirements),
        Some(RequiresType::AllowMissing(_)) => flag("allow_missing"),
        Some(RequiresType::AllowMissingOrFailed(_)) => flag("allow_missing_or_failed"),
        Some(RequiresType::ProviderAndAudiences(_)) => {
            refusals.unsupported(
                &path.field("provider_and_audiences"),
                "another audience for a provider",
            );
            None
        }
        Some(RequiresType::ExtractOnlyWithoutValidation(_)) => {
            let path = path.field("extract_only_without_validation");
            refusals.unsupported(&path, "using tokens that nobody verified");
            None
        }
        None => Some(Value::plain(path, "off")),
    }
}

/// What a route requires; none if that cannot be told, or is told by its metadata.
pub(super) fn route(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    config: &PerRouteConfig,
    is_given: bool,
) -> Option<Value> {
    refuse_per_route(refusals, path, config);
    if is_given && carried.is_shared() {
        return None;
    }
    match &config.requirement_specifier {
        Some(RequirementSpecifier::Disabled(true)) => Some(Value::plain(&path.field("disabled"), "off")),
        Some(RequirementSpecifier::RequirementName(name)) => {
            let path = path.field("requirement_name");
            if let Some(found) = carried.requirements.get(name) {
                return Some(found.clone());
            }
            // Our own control API names a requirement by what it is.
            match serde_json::from_str(name) {
                Ok(serde_json::Value::Object(fields)) => Some(value::json_map(&path, &fields).into()),
                _ => {
                    let message = format!("what `{name}` requires is not known here");
                    let help = "put the routes into the listener that has its `requirement_map`, or name the \
                                requirement by its JSON, such as {\"provider\":\"name\"}";
                    refusals.fault_with_help(&path, message, help);
                    None
                }
            }
        }
        Some(RequirementSpecifier::Disabled(false)) | None => None,
    }
}

fn provider(refusals: &mut Refusals, path: &Path, provider: &JwtProvider) -> Option<Map> {
    refuse_provider(refusals, path, provider);
    let mut map = Map::new(path);
    if !provider.issuer.is_empty() {
        map.put(
            "issuer",
            Value::text(&path.field("issuer"), provider.issuer.as_str()),
        );
    }
    if !provider.audiences.is_empty() {
        let place = path.field("audiences");
        let audiences = provider
            .audiences
            .iter()
            .map(|one| Value::text(&place, one.as_str()));
        map.put("audiences", Value::list(&place, audiences));
    }
    map.put("keys", keys(refusals, path, provider)?);
    put_locations(refusals, &mut map, path, provider);
    map.put("forward", Value::plain(&path.field("forward"), provider.forward));
    if !provider.forward_payload_header.is_empty() {
        let place = path.field("forward_payload_header");
        map.put(
            "payload_header",
            Value::text(&place, provider.forward_payload_header.as_str()),
        );
    }
    if !provider.claim_to_headers.is_empty() {
        let place = path.field("claim_to_headers");
        let mut headers = Vec::new();
        for (index, header) in provider.claim_to_headers.iter().enumerate() {
            let path = place.index(index);
            refuse_claim_header(refusals, &path, header);
            let name = Value::text(&path.field("header_name"), header.header_name.as_str());
            let claim = Value::text(&path.field("claim_name"), header.claim_name.as_str());
            headers.push(Map::new(&path).with("header", name).with("claim", claim).into());
        }
        map.put("claim_headers", Value::list(&place, headers));
    }
    if provider.clock_skew_seconds > 0 {
        let place = path.field("clock_skew_seconds");
        let skew = format!("{}s", provider.clock_skew_seconds);
        map.put("clock_skew", Value::plain(&place, skew));
    }
    if provider.require_expiration {
        let place = path.field("require_expiration");
        map.put("expiration_required", Value::plain(&place, true));
    }
    Some(map)
}

fn put_locations(refusals: &mut Refusals, map: &mut Map, path: &Path, provider: &JwtProvider) {
    let mut locations: Vec<Value> = Vec::new();
    for (index, header) in provider.from_headers.iter().enumerate() {
        let path = path.field("from_headers").index(index);
        refuse_header(refusals, &path, header);
        let name = Value::text(&path.field("name"), header.name.as_str());
        let prefix = Value::text(&path.field("value_prefix"), header.value_prefix.as_str());
        locations.push(Map::new(&path).with("header", name).with("prefix", prefix).into());
    }
    for (field, name, texts) in [
        ("from_params", "query", &provider.from_params),
        ("from_cookies", "cookie", &provider.from_cookies),
    ] {
        for (index, text) in texts.iter().enumerate() {
            let path = path.field(field).index(index);
            let value = Value::text(&path, text.as_str());
            locations.push(Map::new(&path).with(name, value).into());
        }
    }
    if !locations.is_empty() {
        map.put("locations", Value::list(path, locations));
    } else if path_has_default(provider) {
        // Envoy looks for `access_token` too, where nothing is said.
        let place = path.field("from_headers");
        let header = Map::new(&place).with("header", Value::text(&place, "authorization"));
        let query = Map::new(&place).with("query", Value::text(&place, "access_token"));
        map.put("locations", Value::list(&place, [header.into(), query.into()]));
    }
}

fn path_has_default(provider: &JwtProvider) -> bool {
    provider.from_headers.is_empty() && provider.from_params.is_empty() && provider.from_cookies.is_empty()
}

fn keys(refusals: &mut Refusals, path: &Path, provider: &JwtProvider) -> Option<Value> {
    match &provider.jwks_source_specifier {
        Some(JwksSourceSpecifier::LocalJwks(source)) => {
            let path = path.field("local_jwks");
            let (field, value) = match source::data(refusals, &path, source)? {
                Data::File(file) => ("file", Value::text(&path.field("filename"), file)),
                inline @ Data::Inline(_) => {
                    let text = inline.text(refusals, &path)?;
                    ("inline", Value::text(&path.field("inline_string"), text))
                }
            };
            Some(Map::new(&path).with(field, value).into())
        }
        Some(JwksSourceSpecifier::RemoteJwks(remote)) => {
            let path = path.field("remote_jwks");
            refuse_remote(refusals, &path, remote);
            let Some(uri) = &remote.http_uri else {
                refusals.fault(&path, "`http_uri` is missing");
                return None;
            };
            let place = path.field("http_uri");
            // The cluster is Envoy's way: keys are fetched from the URL itself.
            refuse_http_uri(refusals, &place, uri);
            let mut map = Map::new(&path).with("url", Value::text(&place.field("uri"), uri.uri.as_str()));
            map.put_some(
                "timeout",
                value::duration_value(refusals, &place.field("timeout"), uri.timeout.as_ref()),
            );
            let refresh = path.field("cache_duration");
            map.put_some(
                "refresh",
                value::duration_value(refusals, &refresh, remote.cache_duration.as_ref()),
            );
            Some(map.into())
        }
        None => {
            refusals.fault(path, "`remote_jwks` or `local_jwks` is missing");
            None
        }
    }
}
