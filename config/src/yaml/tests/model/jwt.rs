//! Tokens, external authorization and source identities.

use super::super::{valid, with_chain, with_route};
use crate::model::{
    AuthorizationService, HttpOptions, JwksSource, JwtAlgorithm, JwtProvider, JwtRequirement, Roots, Route,
    RouteExternalAuthorization, SpiffeMatch, StringMatch, TokenLocation, defaults,
};
use std::time::Duration;

const PROVIDERS: &str = "jwt_providers: [{name: p, keys: {file: k}}, {name: q, keys: {file: k}}]\n";

fn provider(fields: &str) -> JwtProvider {
    let text = format!("jwt_providers: [{{name: p, {fields}}}]\n");
    valid(&text).config.jwt_providers()[0].as_ref().clone()
}

fn http(fields: &str) -> HttpOptions {
    let text = with_chain(&format!("{{http: {{route_configuration: r, {fields}}}}}"))
        .replace("{name: backend}", "{name: backend, protocol: http2}");
    let config = valid(&(text + PROVIDERS)).config;
    config.listeners()[0].filter_chains()[0]
        .mode()
        .http()
        .unwrap()
        .clone()
}

fn route(matches: &str, fields: &str) -> Route {
    let text = with_route(&format!(
        "{{match: {{prefix: /{matches}}}, forward: {{cluster: a}}{fields}}}"
    ));
    let config = valid(&(text + PROVIDERS)).config;
    config.route_configurations()[0].virtual_hosts()[0].routes()[0].clone()
}

#[test]
fn providers_have_usual_values() {
    let plain = provider("keys: {url: 'https://a.example/keys'}");
    let JwksSource::Url(url) = plain.keys() else {
        panic!()
    };
    assert_eq!(
        (url.url().as_str(), url.roots()),
        ("https://a.example/keys", &Roots::System)
    );
    assert_eq!(
        (url.refresh(), url.timeout()),
        (defaults::JWKS_REFRESH, defaults::JWKS_TIMEOUT)
    );
    assert_eq!(plain.algorithms(), &defaults::JWT_ALGORITHMS);
    let [TokenLocation::Header { name, prefix }] = plain.locations().as_slice() else {
        panic!()
    };
    assert_eq!((name.as_str(), prefix.as_str()), ("authorization", "Bearer "));
    assert_eq!(plain.clock_skew(), defaults::JWT_CLOCK_SKEW);
    assert!(!plain.forward() && !plain.expiration_required());
    assert!(plain.issuer().is_none() && plain.audiences().is_empty() && plain.payload_header().is_none());
}

#[test]
fn providers_are_what_is_said() {
    let full = provider(
        "issuer: i, audiences: [a, b], keys: {inline: '{\"keys\": []}'}, algorithms: [EdDSA, PS512], forward: true, \
         locations: [{header: X-Token}, {query: t}, {cookie: c}], payload_header: X-P, expiration_required: true, \
         claim_headers: [{header: x-sub, claim: realm.sub}], clock_skew: 0s",
    );
    assert_eq!(full.keys(), &JwksSource::Inline("{\"keys\": []}".into()));
    assert_eq!(full.algorithms(), &[JwtAlgorithm::EdDsa, JwtAlgorithm::Ps512]);
    let TokenLocation::Header { name, prefix } = &full.locations()[0] else {
        panic!()
    };
    assert_eq!((name.as_str(), prefix.as_str()), ("x-token", ""));
    assert_eq!(
        full.locations()[1..],
        [
            TokenLocation::Query("t".into()),
            TokenLocation::Cookie("c".into())
        ]
    );
    assert_eq!(full.claim_headers()[0].path(), &["realm", "sub"]);
    assert_eq!(full.payload_header().as_ref().unwrap().as_str(), "x-p");
    assert_eq!(full.clock_skew(), Duration::ZERO);
    assert!(full.forward() && full.expiration_required());
}

#[test]
fn tokens_are_required_where_it_is_said() {
    let name = |name: &str| JwtRequirement::Provider(crate::yaml::scalar::name(name).unwrap());
    assert_eq!(http("").jwt(), &None);
    assert_eq!(http("jwt: off").jwt(), &None);
    assert_eq!(http("jwt: {provider: p}").jwt(), &Some(name("p")));
    assert_eq!(
        http("jwt: {any_of: [{provider: p}, {all_of: [{provider: q}, {allow_missing_or_failed: true}]}, {allow_missing: true}]}").jwt(),
        &Some(JwtRequirement::AnyOf(vec![
            name("p"),
            JwtRequirement::AllOf(vec![name("q"), JwtRequirement::AllowMissingOrFailed]),
            JwtRequirement::AllowMissing
        ]))
    );
    assert_eq!(route("", "").jwt(), &None);
    assert_eq!(route("", ", jwt: off").jwt(), &Some(None));
    assert_eq!(route("", ", jwt: {provider: q}").jwt(), &Some(Some(name("q"))));
}

#[test]
fn services_are_asked_as_said() {
    assert!(
        http("external_authorization: off")
            .external_authorization()
            .is_none()
    );
    let asked = |fields: &str| {
        http(&format!("external_authorization: {{{fields}}}"))
            .external_authorization()
            .clone()
            .unwrap()
    };
    let plain = asked("grpc: {cluster: backend}");
    assert_eq!(plain.timeout(), defaults::EXTERNAL_AUTHORIZATION_TIMEOUT);
    assert_eq!(
        plain.error_status(),
        defaults::EXTERNAL_AUTHORIZATION_ERROR_STATUS
    );
    assert!(!plain.failure_allowed() && !plain.include_peer_certificate());
    assert_eq!(
        (plain.request_headers(), plain.body(), plain.cache()),
        (&None, &None, &None)
    );
    let full = asked(
        "http: {cluster: a, authority: 'b:1', path_prefix: /c, upstream_headers: [X-User, {prefix: X-}]}, timeout: 1s, \
         failure_allowed: true, error_status: 503, request_headers: [Cookie], include_peer_certificate: true, \
         body: {bytes_max: 1KiB, partial_allowed: true}, cache: {time_to_live: 1s, headers: [Authorization]}",
    );
    let AuthorizationService::Http(service) = full.service() else {
        panic!()
    };
    assert_eq!(
        (service.cluster().as_str(), service.path_prefix().as_str()),
        ("a", "/c")
    );
    assert_eq!(
        service.upstream_headers(),
        &[
            StringMatch::Exact("x-user".into()),
            StringMatch::Prefix("x-".into())
        ]
    );
    assert_eq!(
        full.request_headers().as_deref(),
        Some(&[StringMatch::Exact("cookie".into())][..])
    );
    assert_eq!(full.body().as_ref().unwrap().bytes_max(), 1024);
    let cache = full.cache().as_ref().unwrap();
    assert_eq!(cache.entries_max(), defaults::DECISION_CACHE_ENTRIES_MAX);
    assert_eq!(cache.headers()[0].as_str(), "authorization");
    assert!(full.failure_allowed() && full.error_status() == 503);

    assert_eq!(route("", "").external_authorization(), &None);
    let off = route("", ", external_authorization: off");
    assert_eq!(
        off.external_authorization(),
        &Some(RouteExternalAuthorization::Off)
    );
    let told = route("", ", external_authorization: {context: {a: b}}");
    let Some(RouteExternalAuthorization::Context(context)) = told.external_authorization() else {
        panic!()
    };
    assert_eq!(context["a"], "b");
}

#[test]
fn routes_are_for_some_identities() {
    let matched = route(
        ", source_identities: [{spiffe_id: 'spiffe://a/b'}, {trust_domain: b}]",
        "",
    );
    assert_eq!(
        matched.matches().source_identities(),
        &[
            SpiffeMatch::Exact("spiffe://a/b".parse().unwrap()),
            SpiffeMatch::TrustDomain("b".parse().unwrap())
        ]
    );
}
