//! External authorization.

use super::super::carried::Carried;
use super::super::{Refusals, grpc, matching, value};
use super::Gathered;
use super::cors::all_or_none;
use super::jwt::refuse_http_uri;
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::{
    AuthorizationRequest, AuthorizationResponse, BufferSettings, CheckSettings, ExtAuthz, ExtAuthzPerRoute,
    HttpService, ext_authz::Services, ext_authz_per_route::Override,
};
use envoy_types::pb::envoy::r#type::matcher::v3::ListStringMatcher;
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[
    &EXT_AUTHZ,
    &HTTP_SERVICE,
    &REQUEST,
    &RESPONSE,
    &BUFFER,
    &PER_ROUTE,
    &CHECK_SETTINGS,
];

message! {
    pub(super) EXT_AUTHZ, refuse_ext_authz: ExtAuthz as "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz" {
        used: transport_api_version, failure_mode_allow, with_request_body, status_on_error, filter_enabled,
            include_peer_certificate, allowed_headers, services;
        refused: failure_mode_allow_header_add, clear_route_cache, metadata_context_namespaces,
            typed_metadata_context_namespaces, route_metadata_context_namespaces,
            route_typed_metadata_context_namespaces, filter_enabled_metadata, deny_at_disable,
            bootstrap_metadata_labels_key, disallowed_headers, include_tls_session, encode_raw_headers,
            decoder_header_mutation_rules, enable_dynamic_metadata_ingestion, filter_metadata,
            max_denied_response_body_bytes, shadow_mode;
        ignored: validate_mutations = "what the service would write is always checked",
            stat_prefix = "metrics have names of their own",
            charge_cluster_response_stats = "metrics have names of their own",
            emit_filter_state_stats = "metrics have names of their own",
            enforce_response_header_limits = "limits always hold",
            emit_client_span = "there are no spans of questions";
    }
}
message! {
    pub(super) HTTP_SERVICE, refuse_http_service: HttpService
        as "envoy.extensions.filters.http.ext_authz.v3.HttpService" {
        used: server_uri, path_prefix, authorization_request, authorization_response;
        refused: path_override, retry_policy;
        ignored: ;
    }
}
message! {
    pub(super) REQUEST, refuse_request: AuthorizationRequest
        as "envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest" {
        used: allowed_headers;
        refused: headers_to_add;
        ignored: ;
    }
}
message! {
    pub(super) RESPONSE, refuse_response: AuthorizationResponse
        as "envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse" {
        used: allowed_upstream_headers, allowed_client_headers;
        refused: allowed_upstream_headers_to_append, allowed_client_headers_on_success,
            dynamic_metadata_from_headers;
        ignored: ;
    }
}
message! {
    pub(super) BUFFER, refuse_buffer: BufferSettings
        as "envoy.extensions.filters.http.ext_authz.v3.BufferSettings" {
        used: max_request_bytes, allow_partial_message;
        refused: ;
        ignored: pack_as_bytes = "a body that is no text is told as bytes";
    }
}
message! {
    pub(super) PER_ROUTE, refuse_per_route: ExtAuthzPerRoute
        as "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute" {
        used: r#override;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CHECK_SETTINGS, refuse_check_settings: CheckSettings
        as "envoy.extensions.filters.http.ext_authz.v3.CheckSettings" {
        used: context_extensions;
        refused: disable_request_body_buffering, with_request_body, service_override;
        ignored: emit_client_span = "there are no spans of questions";
    }
}

pub(super) fn chain(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    filter: &ExtAuthz,
    gathered: &mut Gathered<'_>,
) {
    refuse_ext_authz(refusals, path, filter);
    let enabled = path.field("filter_enabled");
    if !all_or_none(refusals, &enabled, filter.filter_enabled.as_ref(), true) {
        return;
    }
    let mut map = Map::new(path);
    if filter.transport_api_version == 1 {
        refusals.unsupported(&path.field("transport_api_version"), "version 2");
    }
    match &filter.services {
        Some(Services::GrpcService(service)) => {
            let path = path.field("grpc_service");
            let asked = grpc::service(refusals, &path, service);
            map.put_some("timeout", asked.timeout);
            map.put("grpc", asked.fields.into());
        }
        Some(Services::HttpService(service)) => {
            put_http(refusals, &mut map, &path.field("http_service"), service);
        }
        None => refusals.fault(path, "`grpc_service` or `http_service` is missing"),
    }
    if filter.failure_mode_allow {
        map.put(
            "failure_allowed",
            Value::plain(&path.field("failure_mode_allow"), true),
        );
    }
    if let Some(status) = &filter.status_on_error {
        map.put(
            "error_status",
            Value::plain(&path.field("status_on_error"), status.code),
        );
    }
    if let Some(headers) = &filter.allowed_headers {
        let value = names(refusals, &path.field("allowed_headers"), headers);
        map.put("request_headers", value);
    }
    if let Some(body) = &filter.with_request_body {
        let path = path.field("with_request_body");
        refuse_buffer(refusals, &path, body);
        let most = Value::plain(&path.field("max_request_bytes"), body.max_request_bytes);
        let partial = Value::plain(&path.field("allow_partial_message"), body.allow_partial_message);
        let told = Map::new(&path)
            .with("bytes_max", most)
            .with("partial_allowed", partial);
        map.put("body", told.into());
    }
    if filter.include_peer_certificate {
        let path = path.field("include_peer_certificate");
        map.put("include_peer_certificate", Value::plain(&path, true));
    }
    gathered.put(refusals, carried, "external_authorization", map.into());
}

fn put_http(refusals: &mut Refusals, map: &mut Map, path: &Path, service: &HttpService) {
    refuse_http_service(refusals, path, service);
    let mut asked = Map::new(path);
    match &service.server_uri {
        Some(uri) => {
            let path = path.field("server_uri");
            refuse_http_uri(refusals, &path, uri);
            if let Some(HttpUpstreamType::Cluster(cluster)) = &uri.http_upstream_type {
                asked.put("cluster", Value::text(&path.field("cluster"), cluster.as_str()));
            }
            let timeout = value::duration_value(refusals, &path.field("timeout"), uri.timeout.as_ref());
            map.put_some("timeout", timeout);
            if let Some(authority) = authority(&uri.uri) {
                asked.put("authority", Value::text(&path.field("uri"), authority));
            }
        }
        None => refusals.fault(path, "`server_uri` is missing"),
    }
    if !service.path_prefix.is_empty() {
        let path = path.field("path_prefix");
        asked.put("path_prefix", Value::text(&path, service.path_prefix.as_str()));
    }
    if let Some(request) = &service.authorization_request {
        let path = path.field("authorization_request");
        refuse_request(refusals, &path, request);
        #[allow(deprecated, reason = "older control planes still say it like this")]
        if let Some(headers) = &request.allowed_headers {
            let value = names(refusals, &path.field("allowed_headers"), headers);
            map.put("request_headers", value);
        }
    }
    if let Some(response) = &service.authorization_response {
        let path = path.field("authorization_response");
        refuse_response(refusals, &path, response);
        let told = [
            (
                "allowed_upstream_headers",
                "upstream_headers",
                &response.allowed_upstream_headers,
            ),
            (
                "allowed_client_headers",
                "client_headers",
                &response.allowed_client_headers,
            ),
        ];
        for (field, name, headers) in told {
            if let Some(headers) = headers {
                asked.put(name, names(refusals, &path.field(field), headers));
            }
        }
    }
    map.put("http", asked.into());
}

/// Stands in a URL for no authority of its own: Envoy wants one.
pub(crate) const NO_AUTHORITY: &str = "the-requests-own.invalid";

/// The authority of a URL; none if it is only there because one has to be ([`NO_AUTHORITY`]).
fn authority(uri: &str) -> Option<&str> {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    (!authority.is_empty() && authority != NO_AUTHORITY).then_some(authority)
}

fn names(refusals: &mut Refusals, path: &Path, list: &ListStringMatcher) -> Value {
    let path = path.field("patterns");
    let mut values = Vec::with_capacity(list.patterns.len());
    for (index, pattern) in list.patterns.iter().enumerate() {
        values.extend(matching::text_or_map(refusals, &path.index(index), pattern));
    }
    Value::list(&path, values)
}

/// What a route changes; none if nothing.
pub(super) fn route(refusals: &mut Refusals, path: &Path, config: &ExtAuthzPerRoute) -> Option<Value> {
    refuse_per_route(refusals, path, config);
    match &config.r#override {
        Some(Override::Disabled(true)) => Some(Value::plain(&path.field("disabled"), "off")),
        Some(Override::CheckSettings(settings)) => {
            let path = path.field("check_settings");
            refuse_check_settings(refusals, &path, settings);
            let place = path.field("context_extensions");
            let mut context = Map::new(&place);
            let mut sorted: Vec<_> = settings.context_extensions.iter().collect();
            sorted.sort();
            for (key, text) in sorted {
                context.put(key.as_str(), Value::text(&place.key(key), text.as_str()));
            }
            (!context.is_empty()).then(|| Map::new(&path).with("context", context.into()).into())
        }
        Some(Override::Disabled(false)) | None => None,
    }
}
