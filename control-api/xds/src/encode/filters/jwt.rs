//! JWT authentication.

use super::super::{canonical, value};
use super::Carrying;
use crate::decode::CarriedKind;
use crate::decode::filters::carried_by;
use envoy_types::pb::envoy::config::core::v3::{HttpUri, http_uri::HttpUpstreamType};
use envoy_types::pb::envoy::config::route::v3::{RouteMatch, route_match::PathSpecifier};
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::{
    JwtAuthentication, JwtClaimToHeader, JwtHeader, JwtProvider as Message, JwtRequirement as Requirement,
    JwtRequirementAndList, JwtRequirementOrList, PerRouteConfig, RemoteJwks, RequirementRule,
    jwt_provider::JwksSourceSpecifier, jwt_requirement::RequiresType, per_route_config::RequirementSpecifier,
    requirement_rule::RequirementType,
};
use envoy_types::pb::google::protobuf::{Any, Empty};
use outrigger_config::model::{
    HttpOptions, JwksSource, JwtProvider, JwtRequirement, Name, Route, TokenLocation,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeSet, HashMap};

/// The cluster by which Envoy would fetch keys from a URL. Nobody makes it: that keys come by URL only ours obey.
const KEYS_CLUSTER: &str = "outrigger.keys";

/// The filter of a chain; none if no token is asked for.
pub(super) fn filter(carrying: &mut Carrying<'_>, http: &HttpOptions, routes: &[&Route]) -> Option<Any> {
    let of_routes = routes.iter().filter_map(|route| route.jwt().as_ref()?.as_ref());
    let of_routes: Vec<&JwtRequirement> = of_routes.collect();
    if http.jwt().is_none() && of_routes.is_empty() {
        return None;
    }
    let mut names = BTreeSet::new();
    for required in of_routes.iter().copied().chain(http.jwt()) {
        provider_names(required, &mut names);
    }
    let mut providers = HashMap::new();
    for name in names {
        let all = carrying.config.jwt_providers();
        if let Some(found) = all.iter().find(|provider| provider.name() == name) {
            providers.insert(name.as_str().to_owned(), provider(carrying, found));
        }
    }
    let mut requirement_map = HashMap::new();
    for required in of_routes {
        requirement_map.insert(requirement_name(required), requirement(required));
    }
    let rule = http.jwt().as_ref().map(|required| RequirementRule {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        requirement_type: Some(RequirementType::Requires(requirement(required))),
    });
    Some(canonical::any(&JwtAuthentication {
        providers,
        rules: rule.into_iter().collect(),
        requirement_map,
        ..JwtAuthentication::default()
    }))
}

fn provider_names<'r>(required: &'r JwtRequirement, names: &mut BTreeSet<&'r Name>) {
    match required {
        JwtRequirement::Provider(name) => {
            names.insert(name);
        }
        JwtRequirement::AnyOf(all) | JwtRequirement::AllOf(all) => {
            for one in all {
                provider_names(one, names);
            }
        }
        JwtRequirement::AllowMissing | JwtRequirement::AllowMissingOrFailed => {}
    }
}

fn requirement(required: &JwtRequirement) -> Requirement {
    let several = |all: &[JwtRequirement]| all.iter().map(requirement).collect();
    let requires = match required {
        JwtRequirement::Provider(name) => RequiresType::ProviderName(name.as_str().to_owned()),
        JwtRequirement::AnyOf(any) => RequiresType::RequiresAny(JwtRequirementOrList {
            requirements: several(any),
        }),
        JwtRequirement::AllOf(all) => RequiresType::RequiresAll(JwtRequirementAndList {
            requirements: several(all),
        }),
        JwtRequirement::AllowMissing => RequiresType::AllowMissing(Empty::default()),
        JwtRequirement::AllowMissingOrFailed => RequiresType::AllowMissingOrFailed(Empty::default()),
    };
    Requirement {
        requires_type: Some(requires),
    }
}

/// What a requirement is called: what it is, in the words of the document.
fn requirement_name(required: &JwtRequirement) -> String {
    fn written(required: &JwtRequirement) -> Json {
        let several = |all: &[JwtRequirement]| all.iter().map(written).collect::<Vec<_>>();
        match required {
            JwtRequirement::Provider(name) => json!({ "provider": name.as_str() }),
            JwtRequirement::AnyOf(any) => json!({ "any_of": several(any) }),
            JwtRequirement::AllOf(all) => json!({ "all_of": several(all) }),
            JwtRequirement::AllowMissing => json!({ "allow_missing": true }),
            JwtRequirement::AllowMissingOrFailed => json!({ "allow_missing_or_failed": true }),
        }
    }
    written(required).to_string()
}

pub(super) fn of_route(required: Option<&JwtRequirement>) -> Any {
    let specifier = match required {
        None => RequirementSpecifier::Disabled(true),
        Some(required) => RequirementSpecifier::RequirementName(requirement_name(required)),
    };
    canonical::any(&PerRouteConfig {
        requirement_specifier: Some(specifier),
    })
}

fn provider(carrying: &mut Carrying<'_>, provider: &JwtProvider) -> Message {
    let keys = match provider.keys() {
        JwksSource::File(file) => JwksSourceSpecifier::LocalJwks(value::file(file)),
        JwksSource::Inline(set) => JwksSourceSpecifier::LocalJwks(value::text(set)),
        JwksSource::Url(url) => {
            carrying.only_ours(CarriedKind::JwtProvider, provider.name());
            JwksSourceSpecifier::RemoteJwks(RemoteJwks {
                http_uri: Some(HttpUri {
                    uri: url.url().clone(),
                    timeout: Some(value::duration(url.timeout())),
                    http_upstream_type: Some(HttpUpstreamType::Cluster(KEYS_CLUSTER.to_owned())),
                }),
                cache_duration: Some(value::duration(url.refresh())),
                ..RemoteJwks::default()
            })
        }
    };
    let mut message = Message {
        issuer: provider.issuer().clone().unwrap_or_default(),
        audiences: provider.audiences().clone(),
        require_expiration: provider.expiration_required(),
        forward: provider.forward(),
        forward_payload_header: provider
            .payload_header()
            .as_ref()
            .map_or_else(String::new, |name| name.as_str().to_owned()),
        // Where policies look for claims.
        payload_in_metadata: provider.name().as_str().to_owned(),
        clock_skew_seconds: u32::try_from(provider.clock_skew().as_secs()).unwrap_or(u32::MAX),
        jwks_source_specifier: Some(keys),
        ..Message::default()
    };
    for location in provider.locations() {
        match location {
            TokenLocation::Header { name, prefix } => message.from_headers.push(JwtHeader {
                name: name.as_str().to_owned(),
                value_prefix: prefix.clone(),
            }),
            TokenLocation::Query(name) => message.from_params.push(name.clone()),
            TokenLocation::Cookie(name) => message.from_cookies.push(name.clone()),
        }
    }
    for header in provider.claim_headers() {
        message.claim_to_headers.push(JwtClaimToHeader {
            header_name: header.header().as_str().to_owned(),
            claim_name: header.path().join("."),
            ..JwtClaimToHeader::default()
        });
    }
    let name = provider.name().as_str();
    let alone = canonical::any(&JwtAuthentication {
        providers: HashMap::from([(name.to_owned(), message.clone())]),
        ..JwtAuthentication::default()
    });
    let said = carried_by(name, &alone);
    let same = said.is_some_and(|said| said.jwt_providers.iter().any(|said| **said == *provider));
    if !same {
        carrying.give(CarriedKind::JwtProvider, provider.name());
    }
    message
}
