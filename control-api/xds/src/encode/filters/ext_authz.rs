//! External authorization.

use super::super::{canonical, matching, value};
use crate::decode::filters::NO_AUTHORITY;
use envoy_types::pb::envoy::config::core::v3::{
    ApiVersion, GrpcService, HttpUri, grpc_service::EnvoyGrpc, grpc_service::TargetSpecifier,
    http_uri::HttpUpstreamType,
};
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::{
    AuthorizationResponse, BufferSettings, CheckSettings, ExtAuthz, ExtAuthzPerRoute, HttpService,
    ext_authz::Services, ext_authz_per_route::Override,
};
use envoy_types::pb::envoy::r#type::matcher::v3::ListStringMatcher;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::model::{
    AuthorizationService, ExternalAuthorization, RouteExternalAuthorization, StringMatch,
};
use std::time::Duration;

/// The filter, and whether it says all.
pub(super) fn filter(settings: &ExternalAuthorization) -> (Any, bool) {
    let mut exact = settings.cache().is_none() && settings.context().is_empty();
    let services = match settings.service() {
        AuthorizationService::Grpc(service) => Services::GrpcService(grpc_service(
            service.cluster().as_str(),
            service.authority().as_deref(),
            settings.timeout(),
        )),
        AuthorizationService::Http(service) => {
            let authority = service.authority().as_deref().unwrap_or(NO_AUTHORITY);
            Services::HttpService(HttpService {
                server_uri: Some(HttpUri {
                    uri: format!("http://{authority}"),
                    timeout: Some(value::duration(settings.timeout())),
                    http_upstream_type: Some(HttpUpstreamType::Cluster(
                        service.cluster().as_str().to_owned(),
                    )),
                }),
                path_prefix: service.path_prefix().clone(),
                authorization_response: Some(AuthorizationResponse {
                    allowed_upstream_headers: names(service.upstream_headers()),
                    allowed_client_headers: names(service.client_headers()),
                    ..AuthorizationResponse::default()
                }),
                ..HttpService::default()
            })
        }
    };
    let body = settings.body().as_ref().map(|body| {
        let bytes = u32::try_from(body.bytes_max());
        exact &= bytes.is_ok();
        BufferSettings {
            max_request_bytes: bytes.unwrap_or(u32::MAX),
            allow_partial_message: body.partial_allowed(),
            ..BufferSettings::default()
        }
    });
    let status = super::status(settings.error_status());
    exact &= status.is_some();
    let present = |names: &Vec<StringMatch>| names.iter().any(|name| matches!(name, StringMatch::Present));
    exact &= !settings.request_headers().as_ref().is_some_and(present);
    let filter = ExtAuthz {
        transport_api_version: ApiVersion::V3.into(),
        failure_mode_allow: settings.failure_allowed(),
        with_request_body: body,
        status_on_error: status,
        include_peer_certificate: settings.include_peer_certificate(),
        allowed_headers: settings.request_headers().as_deref().and_then(names),
        services: Some(services),
        ..ExtAuthz::default()
    };
    (canonical::any(&filter), exact)
}

/// A service that is asked over gRPC.
pub(in crate::encode) fn grpc_service(
    cluster: &str,
    authority: Option<&str>,
    timeout: Duration,
) -> GrpcService {
    GrpcService {
        timeout: Some(value::duration(timeout)),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            authority: authority.unwrap_or_default().to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    }
}

fn names(names: &[StringMatch]) -> Option<ListStringMatcher> {
    let patterns: Vec<_> = names.iter().filter_map(matching::text).collect();
    (!patterns.is_empty()).then_some(ListStringMatcher { patterns })
}

pub(super) fn of_route(settings: &RouteExternalAuthorization) -> Any {
    let r#override = match settings {
        RouteExternalAuthorization::Off => Override::Disabled(true),
        RouteExternalAuthorization::Context(told) => Override::CheckSettings(CheckSettings {
            context_extensions: told
                .iter()
                .map(|(key, text)| (key.clone(), text.clone()))
                .collect(),
            ..CheckSettings::default()
        }),
    };
    canonical::any(&ExtAuthzPerRoute {
        r#override: Some(r#override),
    })
}
