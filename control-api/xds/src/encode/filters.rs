//! HTTP filters of connection managers, and what virtual hosts and routes change in them.
//!
//! What Envoy has to know before routes are looked at stands in the chain: each filter that a route of its route
//! configuration changes is there, if only to be changed.

mod cors;
mod ext_authz;
mod fault;
mod jwt;
mod rate_limit;
mod rbac;
mod rbac_condition;

pub(super) use ext_authz::grpc_service;
pub(crate) use rate_limit::network as network_limits;
pub(crate) use rbac::network as network_rbac;

use super::remainder::ordered;
use super::{Remainder, canonical, value};
use crate::decode::CarriedKind;
use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::extensions::compression::{
    brotli::compressor::v3::Brotli, gzip::compressor::v3::Gzip, zstd::compressor::v3::Zstd,
};
use envoy_types::pb::envoy::extensions::filters::http::compressor::v3::{
    Compressor, CompressorPerRoute,
    compressor::{CommonDirectionConfig, ResponseDirectionConfig},
    compressor_per_route::Override,
};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::StatefulSession;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter::ConfigType,
};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::v3::{
    FractionalPercent, HttpStatus, StatusCode, fractional_percent::DenominatorType,
};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::MeshConfig;
use outrigger_config::model::{
    Compression, CompressionAlgorithm, FilterChain, HttpOptions, Name, RateLimitCounting, Route, RouteAction,
    RouteConfiguration, VirtualHost,
};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// What a resource carries of policies, providers and limits, beside what its filters say of them.
#[derive(Debug)]
pub(crate) struct Carrying<'c> {
    config: &'c MeshConfig,
    /// The document of the configuration.
    document: &'c Json,
    given: HashMap<CarriedKind, Map<String, Json>>,
    /// What only ours obey, by the document's field.
    pub(crate) only_ours: Vec<String>,
}

impl<'c> Carrying<'c> {
    pub(crate) fn new(config: &'c MeshConfig, document: &'c Json) -> Carrying<'c> {
        Carrying {
            config,
            document,
            given: HashMap::new(),
            only_ours: Vec::new(),
        }
    }

    /// A part is carried in the words of the document, since filters cannot say it exactly.
    fn give(&mut self, kind: CarriedKind, name: &Name) {
        let parts = self.document[kind.list()].as_array();
        let part = parts.and_then(|parts| parts.iter().find(|part| part["name"] == name.as_str()));
        let Some(Json::Object(part)) = part else { return };
        let mut part = part.clone();
        part.remove("name");
        if kind == CarriedKind::RateLimit {
            self.order_overrides(name, &mut part);
        }
        let of_kind = self.given.entry(kind).or_default();
        of_kind.insert(name.as_str().to_owned(), Json::Object(part));
    }

    fn order_overrides(&self, name: &Name, part: &mut Map<String, Json>) {
        let limit = self
            .config
            .rate_limits()
            .iter()
            .find(|limit| limit.name() == name);
        if let Some(RateLimitCounting::Local(counting)) = limit.map(|limit| limit.counting()) {
            for (index, one) in counting.overrides().iter().enumerate() {
                part["local"]["overrides"][index]["values"] = ordered(one.values());
            }
        }
    }

    /// A part is there for others only in part.
    fn only_ours(&mut self, kind: CarriedKind, name: &Name) {
        let noted = format!("{} {name}", kind.list());
        if !self.only_ours.contains(&noted) {
            self.only_ours.push(noted);
        }
    }

    /// Puts what is carried into the resource's own metadata, and that names are the mesh's.
    pub(crate) fn put(self, remainder: &mut Remainder) {
        remainder.put("shared", Json::Bool(true));
        for (kind, parts) in self.given {
            remainder.put(kind.list(), Json::Object(parts));
        }
    }
}

/// The usual names, by which routes change filters.
const CORS: &str = "envoy.filters.http.cors";
const JWT: &str = "envoy.filters.http.jwt_authn";
const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";
const FAULT: &str = "envoy.filters.http.fault";
const COMPRESSOR: &str = "envoy.filters.http.compressor";
const STATEFUL_SESSION: &str = "envoy.filters.http.stateful_session";
const ROUTER: &str = "envoy.filters.http.router";

fn filter(name: impl Into<String>, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.into(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

/// The filters of a chain. What they say is taken out of `remainder`, the chain's.
pub(crate) fn chain(
    carrying: &mut Carrying<'_>,
    chain: &FilterChain,
    http: &HttpOptions,
    remainder: &mut Remainder,
) -> Vec<HttpFilter> {
    let config = carrying.config;
    let index = config.route_configuration_index(http.route_configuration());
    let routes = index.map(|index| &*config.route_configurations()[index]);
    let used = Used::of(routes);
    let mut filters = Vec::new();
    compressors(http, remainder, &mut filters);
    if used.cors {
        filters.push(filter(CORS, cors::filter()));
    }
    if let Some(config) = jwt::filter(carrying, http, &used.routes) {
        filters.push(filter(JWT, config));
    }
    remainder.said("http.jwt");
    let policies = rbac::filters(carrying, chain.authorization());
    if policies.in_order {
        remainder.said("authorization");
    }
    filters.extend(
        policies
            .filters
            .into_iter()
            .map(|(name, config)| filter(name, config)),
    );
    if used.routes.iter().any(|route| !route.authorization().is_empty()) {
        filters.extend(rbac::of_routes().map(|(name, config)| filter(name, config)));
    }
    if let Some(settings) = http.external_authorization() {
        let (config, exact) = ext_authz::filter(settings);
        filters.push(filter(EXT_AUTHZ, config));
        if exact {
            remainder.said("http.external_authorization");
        }
    } else {
        remainder.said("http.external_authorization");
    }
    let limits = rate_limit::filters(carrying, http.rate_limits(), &used.rate_limits);
    if limits.exact {
        remainder.said("http.rate_limits");
    }
    filters.extend(
        limits
            .filters
            .into_iter()
            .map(|(name, config)| filter(name, config)),
    );
    let said = fault::filter(http.fault().as_deref());
    if said.exact {
        remainder.said("http.fault");
    }
    if http.fault().is_some() || used.fault {
        filters.push(filter(FAULT, said.config));
    }
    if used.session {
        filters.push(filter(
            STATEFUL_SESSION,
            canonical::any(&StatefulSession::default()),
        ));
    }
    filters.push(filter(ROUTER, canonical::any(&Router::default())));
    filters
}

/// What of filters the routes of a chain need.
#[derive(Default)]
struct Used<'c> {
    routes: Vec<&'c Route>,
    cors: bool,
    fault: bool,
    session: bool,
    rate_limits: Vec<&'c Name>,
}

impl<'c> Used<'c> {
    fn of(routes: Option<&'c RouteConfiguration>) -> Used<'c> {
        let mut used = Used::default();
        for host in routes.into_iter().flat_map(|routes| routes.virtual_hosts()) {
            used.cors |= host.cors().is_some();
            used.rate_limits.extend(host.rate_limits());
            for route in host.routes() {
                used.cors |= route.cors().is_some();
                used.fault |= route.fault().is_some();
                used.rate_limits.extend(route.rate_limits());
                if let RouteAction::Forward(forward) = route.action() {
                    used.session |= forward.session_cookie().is_some();
                }
                used.routes.push(route);
            }
        }
        used.rate_limits.sort();
        used.rate_limits.dedup();
        used
    }
}

fn compressors(http: &HttpOptions, remainder: &mut Remainder, filters: &mut Vec<HttpFilter>) {
    let Some(compression) = http.compression() else {
        remainder.said("http.compression");
        return;
    };
    for (index, algorithm) in compression.algorithms().iter().enumerate() {
        let name = compressor_name(index);
        filters.push(filter(name, canonical::any(&compressor(compression, *algorithm))));
    }
    let expressible = |kind: &String| match kind.split_once('*') {
        None => true,
        Some((before, after)) => before.ends_with('/') && after.is_empty(),
    };
    if compression.content_types().iter().all(expressible) && u32::try_from(compression.bytes_min()).is_ok() {
        remainder.said("http.compression");
    }
}

fn compressor_name(index: usize) -> String {
    match index {
        0 => COMPRESSOR.to_owned(),
        index => format!("{COMPRESSOR}.{index}"),
    }
}

fn compressor(compression: &Compression, algorithm: CompressionAlgorithm) -> Compressor {
    let library = match algorithm {
        CompressionAlgorithm::Gzip(level) => {
            let gzip = Gzip {
                compression_level: i32::try_from(level).unwrap_or_default(),
                ..Gzip::default()
            };
            value::extension("envoy.compression.gzip.compressor", &gzip)
        }
        CompressionAlgorithm::Brotli(level) => {
            let brotli = Brotli {
                quality: Some(value::number(level)),
                ..Brotli::default()
            };
            value::extension("envoy.compression.brotli.compressor", &brotli)
        }
        CompressionAlgorithm::Zstd(level) => {
            let zstd = Zstd {
                compression_level: Some(value::number(level)),
                ..Zstd::default()
            };
            value::extension("envoy.compression.zstd.compressor", &zstd)
        }
    };
    let types = compression
        .content_types()
        .iter()
        .map(|kind| match kind.strip_suffix('*') {
            Some(prefix) => super::matching::string(MatchPattern::Prefix(prefix.to_owned())),
            None => super::matching::exact(kind.as_str()),
        });
    let bytes_min = u32::try_from(compression.bytes_min()).unwrap_or(u32::MAX);
    Compressor {
        compressor_library: Some(library),
        response_direction_config: Some(ResponseDirectionConfig {
            common_config: Some(CommonDirectionConfig {
                min_content_length: Some(value::number(bytes_min)),
                content_type_matcher: types.collect(),
                ..CommonDirectionConfig::default()
            }),
            weaken_etag_on_compress: true,
            ..ResponseDirectionConfig::default()
        }),
        ..Compressor::default()
    }
}

/// `typed_per_filter_config` of a virtual host. What it says is taken out of `remainder`, the virtual host's.
pub(crate) fn of_virtual_host(
    carrying: &mut Carrying<'_>,
    host: &VirtualHost,
    remainder: &mut Remainder,
) -> HashMap<String, Any> {
    let mut configs = HashMap::new();
    if let Some(policy) = host.cors() {
        configs.insert(CORS.to_owned(), cors::policy(Some(policy)));
    }
    remainder.said("cors");
    let limits = rate_limit::of_routes(carrying, host.rate_limits());
    if limits.exact {
        remainder.said("rate_limits");
    }
    configs.extend(limits.filters);
    configs
}

/// `typed_per_filter_config` of a route. What it says is taken out of `remainder`, the route's.
pub(crate) fn of_route(
    carrying: &mut Carrying<'_>,
    route: &Route,
    remainder: &mut Remainder,
) -> HashMap<String, Any> {
    let mut configs = HashMap::new();
    if let Some(policy) = route.cors() {
        configs.insert(CORS.to_owned(), cors::policy(policy.as_ref()));
    }
    remainder.said("cors");
    if !route.compression() {
        let off = canonical::any(&CompressorPerRoute {
            r#override: Some(Override::Disabled(true)),
        });
        // Of codings there are as many filters: those that a chain has not are not looked at.
        configs.extend((0..CODINGS).map(|index| (compressor_name(index), off.clone())));
    }
    remainder.said("compression");
    if let Some(required) = route.jwt() {
        configs.insert(JWT.to_owned(), jwt::of_route(required.as_ref()));
    }
    remainder.said("jwt");
    let policies = rbac::on_route(carrying, route.authorization());
    if policies.in_order {
        remainder.said("authorization");
    }
    configs.extend(policies.filters);
    if let Some(settings) = route.external_authorization() {
        configs.insert(EXT_AUTHZ.to_owned(), ext_authz::of_route(settings));
    }
    remainder.said("external_authorization");
    let limits = rate_limit::of_routes(carrying, route.rate_limits());
    if limits.exact {
        remainder.said("rate_limits");
    }
    configs.extend(limits.filters);
    if let Some(fault) = route.fault() {
        let said = fault::filter(fault.as_deref());
        if said.exact {
            remainder.said("fault");
        }
        configs.insert(FAULT.to_owned(), said.config);
    }
    configs
}

/// A route of the chain takes CONNECT requests.
pub(crate) fn takes_connect(carrying: &Carrying<'_>, http: &HttpOptions) -> bool {
    let config = carrying.config;
    let index = config.route_configuration_index(http.route_configuration());
    let routes = index.map(|index| &*config.route_configurations()[index]);
    let hosts = routes.into_iter().flat_map(|routes| routes.virtual_hosts());
    hosts
        .flat_map(|host| host.routes())
        .any(|route| route.matches().connect())
}

/// Codings that there are: gzip, br, zstd.
const CODINGS: usize = 3;

/// A share of requests.
pub(super) fn millionths(millionths: u32) -> FractionalPercent {
    match millionths % 10_000 {
        0 => FractionalPercent {
            numerator: millionths / 10_000,
            denominator: DenominatorType::Hundred.into(),
        },
        _ => FractionalPercent {
            numerator: millionths,
            denominator: DenominatorType::Million.into(),
        },
    }
}

/// A status, if it is one that Envoy knows by number.
pub(super) fn status(status: u16) -> Option<HttpStatus> {
    let code = i32::from(status);
    StatusCode::try_from(code).is_ok().then_some(HttpStatus { code })
}

/// All requests, or none.
pub(super) fn share(all: bool) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent {
        default_value: Some(millionths(if all { 1_000_000 } else { 0 })),
        ..RuntimeFractionalPercent::default()
    }
}

/// A setting as a message, and whether it says all.
pub(super) struct Said {
    pub(super) config: Any,
    pub(super) exact: bool,
}

/// Filters by name, and whether they say all.
pub(crate) struct SaidLimits {
    pub(crate) filters: Vec<(String, Any)>,
    pub(crate) exact: bool,
}
