//! External authorization.

use super::chain::distinct;
use super::condition::{lower_case, strings};
use super::listener;
use super::reader::{Fields, Reader, is_off, scalar_of};
use super::scalar;
use super::shapes::{
    AUTHORIZATION_BODY, DECISION_CACHE, EXTERNAL_AUTHORIZATION, GRPC_AUTHORIZATION, HTTP_AUTHORIZATION,
    ROUTE_EXTERNAL_AUTHORIZATION,
};
use super::targets::cluster;
use super::tree::Node;
use crate::model::{
    AuthorizationBody, AuthorizationService, DecisionCache, ExternalAuthorization, GrpcAuthorizationService,
    HeaderName, HttpAuthorizationService, MeshConfig, RouteExternalAuthorization, StringMatch,
    UpstreamProtocol, defaults,
};
use crate::receipt::Code;
use std::collections::BTreeMap;

/// Entries of a context at most.
const CONTEXT_MAX: usize = 100;

/// The `external_authorization` of a filter chain's `http`; none: off.
pub(super) fn settings(reader: &mut Reader<'_>, http: &Fields<'_>) -> Option<ExternalAuthorization> {
    let node = listener::settings(reader, http, "external_authorization")?;
    let fields = reader.fields(node, &EXTERNAL_AUTHORIZATION)?;
    let grpc = fields.node(reader, "grpc").and_then(|node| grpc(reader, node));
    let http = fields
        .node(reader, "http")
        .and_then(|node| self::http(reader, node));
    let timeout = fields.duration(reader, "timeout");
    let failure_allowed = fields.boolean(reader, "failure_allowed").unwrap_or(false);
    let error_status = fields.integer(reader, "error_status");
    let request_headers = fields
        .entry("request_headers")
        .map(|_| header_names(reader, &fields, "request_headers"));
    let body = fields.node(reader, "body").map(|node| body(reader, node));
    let include_peer_certificate = fields
        .boolean(reader, "include_peer_certificate")
        .unwrap_or(false);
    let context = context(reader, &fields);
    let cache = fields.node(reader, "cache").map(|node| cache(reader, node));
    if fields.entry("http").is_some() && fields.entry("context").is_some() {
        let message = "`context` has no effect: over HTTP there is no place for it";
        reader.warn(
            Code::AuthorizationContextUnused,
            fields.key_span_of("context"),
            message,
            "ask over `grpc`, or remove it",
        );
    }
    Some(ExternalAuthorization {
        service: grpc.or(http)?,
        timeout: timeout.unwrap_or(defaults::EXTERNAL_AUTHORIZATION_TIMEOUT),
        failure_allowed,
        error_status: error_status
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(defaults::EXTERNAL_AUTHORIZATION_ERROR_STATUS),
        request_headers,
        body: match body {
            Some(body) => Some(body?),
            None => None,
        },
        include_peer_certificate,
        context,
        cache: match cache {
            Some(cache) => Some(cache?),
            None => None,
        },
    })
}

fn grpc(reader: &mut Reader<'_>, node: &Node) -> Option<AuthorizationService> {
    let fields = reader.fields(node, &GRPC_AUTHORIZATION)?;
    let cluster = fields
        .node(reader, "cluster")
        .and_then(|node| cluster(reader, node));
    let authority = fields.parsed(reader, "authority", scalar::authority);
    Some(AuthorizationService::Grpc(GrpcAuthorizationService {
        cluster: cluster?,
        authority,
    }))
}

fn http(reader: &mut Reader<'_>, node: &Node) -> Option<AuthorizationService> {
    let fields = reader.fields(node, &HTTP_AUTHORIZATION)?;
    let cluster = fields
        .node(reader, "cluster")
        .and_then(|node| cluster(reader, node));
    let authority = fields.parsed(reader, "authority", scalar::authority);
    let path_prefix = fields.parsed(reader, "path_prefix", scalar::path);
    let upstream_headers = header_names(reader, &fields, "upstream_headers");
    let client_headers = header_names(reader, &fields, "client_headers");
    Some(AuthorizationService::Http(HttpAuthorizationService {
        cluster: cluster?,
        authority,
        path_prefix: path_prefix.unwrap_or_default(),
        upstream_headers,
        client_headers,
    }))
}

/// Names of headers, which are compared in lower case.
fn header_names(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Vec<StringMatch> {
    let whole = |text: &str| Ok(StringMatch::Exact(scalar::header_name(text)?.as_str().to_owned()));
    let names = strings(reader, fields, name, whole);
    names.into_iter().map(lower_case).collect()
}

fn body(reader: &mut Reader<'_>, node: &Node) -> Option<AuthorizationBody> {
    let fields = reader.fields(node, &AUTHORIZATION_BODY)?;
    let bytes_max = fields.size(reader, "bytes_max");
    let partial_allowed = fields.boolean(reader, "partial_allowed").unwrap_or(false);
    Some(AuthorizationBody {
        bytes_max: usize::try_from(bytes_max?).ok()?,
        partial_allowed,
    })
}

fn cache(reader: &mut Reader<'_>, node: &Node) -> Option<DecisionCache> {
    let fields = reader.fields(node, &DECISION_CACHE)?;
    let time_to_live = fields.duration(reader, "time_to_live");
    let entries_max = fields.integer(reader, "entries_max");
    let shown = |name: &HeaderName| name.as_str().to_owned();
    let headers = distinct(reader, &fields, "headers", scalar::header_name, shown);
    Some(DecisionCache {
        time_to_live: time_to_live?,
        entries_max: entries_max.map_or(defaults::DECISION_CACHE_ENTRIES_MAX, |entries| entries as usize),
        headers,
    })
}

fn context(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let entries = fields.map(reader, "context");
    if entries.len() > CONTEXT_MAX {
        let message = format!(
            "`context` has {} entries; at most {CONTEXT_MAX} are allowed",
            entries.len()
        );
        reader.fault(fields.span_of("context"), message);
    }
    let mut context = BTreeMap::new();
    for entry in entries.iter().take(CONTEXT_MAX) {
        if let Some(value) = reader.text(&entry.value, "a text") {
            context.insert(entry.key.clone(), value);
        }
    }
    context
}

/// The `external_authorization` of a route.
pub(super) fn of_route(reader: &mut Reader<'_>, route: &Fields<'_>) -> Option<RouteExternalAuthorization> {
    let node = route.node(reader, "external_authorization")?;
    if is_off(node) {
        return Some(RouteExternalAuthorization::Off);
    }
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map (route external authorization)");
        return None;
    }
    let fields = reader.fields(node, &ROUTE_EXTERNAL_AUTHORIZATION)?;
    Some(RouteExternalAuthorization::Context(context(reader, &fields)))
}

/// Refuses services that are asked over gRPC behind clusters that speak HTTP/1.
pub(super) fn check(reader: &mut Reader<'_>, config: &MeshConfig) {
    let chains = config
        .listeners
        .iter()
        .flat_map(|listener| &listener.filter_chains);
    for chain in chains {
        let asked = chain
            .mode
            .http()
            .and_then(|http| http.external_authorization.as_ref());
        let Some(AuthorizationService::Grpc(grpc)) = asked.map(|asked| &asked.service) else {
            continue;
        };
        let cluster = config
            .clusters
            .iter()
            .find(|cluster| cluster.name == grpc.cluster);
        if cluster.is_some_and(|cluster| cluster.protocol == UpstreamProtocol::Http1) {
            let message = format!(
                "the filter chain `{}` asks the cluster `{}` over gRPC, which speaks HTTP/1",
                chain.name, grpc.cluster
            );
            let at = reader.place(&chain.origin);
            reader.fault_with_help(at, message, "give the cluster `protocol: http2`");
        }
    }
}
