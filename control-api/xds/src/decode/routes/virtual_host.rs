//! Virtual hosts and routes.

use super::header_edits::{self, Level};
use super::{Carried, Refusals, action, filters, retry, route_match, session};
use crate::decode::filters::PerFilter;
use crate::decode::{extras, type_url};
use crate::support::message;
use envoy_types::pb::envoy::config::route::v3::route_action::RequestMirrorPolicy;
use envoy_types::pb::envoy::config::route::v3::virtual_host::TlsRequirementType;
use envoy_types::pb::envoy::config::route::v3::{Route, VirtualHost};
use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
use envoy_types::pb::envoy::extensions::filters::http::ratelimit::v3::RateLimit;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::{Map, Path, Value};
use std::collections::{HashMap, HashSet};

message! {
    pub(super) VIRTUAL_HOST, refuse_virtual_host: VirtualHost as "envoy.config.route.v3.VirtualHost" {
        used: name, domains, routes, require_tls, request_headers_to_add, request_headers_to_remove,
            response_headers_to_add, response_headers_to_remove, typed_per_filter_config, retry_policy, hedge_policy,
            request_mirror_policies, metadata;
        refused: matcher, virtual_clusters, rate_limits, cors, include_attempt_count_in_response,
            retry_policy_typed_config, include_is_timeout_retry_header, per_request_buffer_limit_bytes,
            request_body_buffer_limit, route_specifiers;
        ignored: include_request_attempt_count = "attempts are not told to upstreams";
    }
}
message! {
    pub(super) ROUTE, refuse_route: Route as "envoy.config.route.v3.Route" {
        used: name, r#match, metadata, typed_per_filter_config, request_headers_to_add, request_headers_to_remove,
            response_headers_to_add, response_headers_to_remove, action;
        refused: tracing, per_request_buffer_limit_bytes, request_body_buffer_limit, route_specifiers;
        ignored: decorator = "spans are named by `span_name`, which travels in metadata",
            stat_prefix = "it names statistics of Envoy's own";
    }
}

/// What a route configuration says for its virtual hosts.
pub(super) struct Defaults<'m> {
    pub(super) request_headers: Level<'m>,
    pub(super) response_headers: Level<'m>,
    pub(super) mirrors: (Path, &'m [RequestMirrorPolicy]),
    pub(super) filters: PerFilter<'m>,
}

pub(super) fn virtual_host(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    message: &VirtualHost,
    defaults: &Defaults<'_>,
) -> Map {
    refuse_virtual_host(refusals, path, message);
    let mut map = Map::new(path).with("name", Value::text(&path.field("name"), message.name.as_str()));
    map.put(
        "domains",
        domains(refusals, &path.field("domains"), &message.domains),
    );
    require_tls(refusals, path, message, &mut map);
    let mut extras = extras(path, message.metadata.as_ref());
    let levels = [request_level(path, message), defaults.request_headers];
    header_edits::put(refusals, &mut map, "request_headers", &levels, &mut extras);
    let levels = [response_level(path, message), defaults.response_headers];
    header_edits::put(refusals, &mut map, "response_headers", &levels, &mut extras);
    let retry = retry::policy(
        refusals,
        path,
        message.retry_policy.as_ref(),
        message.hedge_policy.as_ref(),
    );
    map.put_some("retry", retry);
    let own_filters = PerFilter {
        path: path.field("typed_per_filter_config"),
        configs: &message.typed_per_filter_config,
    };
    let levels = [own_filters, defaults.filters.clone()];
    put_all(
        &mut map,
        filters::of_virtual_host(refusals, carried, &levels, &extras),
    );
    let inherited = Inherited {
        mirrors: match message.request_mirror_policies.is_empty() {
            true => (defaults.mirrors.0.clone(), defaults.mirrors.1),
            false => (
                path.field("request_mirror_policies"),
                &message.request_mirror_policies,
            ),
        },
        filters: levels,
    };
    let routes_at = path.field("routes");
    let mut names = HashSet::new();
    let mut routes = Vec::with_capacity(message.routes.len());
    for (index, route) in message.routes.iter().enumerate() {
        let path = routes_at.index(index);
        routes.push(self::route(refusals, carried, &path, route, &inherited, &mut names).into());
    }
    map.put("routes", Value::list(&routes_at, routes));
    extras.merge(refusals, &mut map);
    map
}

fn put_all(map: &mut Map, fields: Map) {
    for (name, value) in fields.into_fields() {
        map.put(name, value);
    }
}

fn request_level<'m>(path: &'m Path, message: &'m VirtualHost) -> Level<'m> {
    Level {
        path,
        fields: ("request_headers_to_add", "request_headers_to_remove"),
        add: &message.request_headers_to_add,
        remove: &message.request_headers_to_remove,
    }
}

fn response_level<'m>(path: &'m Path, message: &'m VirtualHost) -> Level<'m> {
    Level {
        path,
        fields: ("response_headers_to_add", "response_headers_to_remove"),
        add: &message.response_headers_to_add,
        remove: &message.response_headers_to_remove,
    }
}

/// Ports of hosts are never looked at here, so that a domain with a port means no more than the same without.
fn domains(refusals: &mut Refusals, path: &Path, domains: &[String]) -> Value {
    let bare: HashSet<String> = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
    let mut values = Vec::with_capacity(domains.len());
    for (index, domain) in domains.iter().enumerate() {
        let path = path.index(index);
        match without_port(domain) {
            None => values.push(Value::text(&path, domain.as_str())),
            Some(host) if bare.contains(&host.to_ascii_lowercase()) => {}
            Some(host) => {
                let message = format!("`{domain}` has a port, and ports of hosts are not looked at");
                let help = format!("list `{host}`, too: it takes that host with every port");
                refusals.fault_with_help(&path, message, help);
            }
        }
    }
    Value::list(path, values)
}

fn without_port(domain: &str) -> Option<&str> {
    let (host, port) = domain.rsplit_once(':')?;
    let is_port = port == "*" || port.parse::<u16>().is_ok();
    let is_bare_v6 = host.contains(':') && !host.ends_with(']');
    (is_port && !is_bare_v6).then_some(host)
}

fn require_tls(refusals: &mut Refusals, path: &Path, message: &VirtualHost, map: &mut Map) {
    let path = path.field("require_tls");
    match TlsRequirementType::try_from(message.require_tls) {
        Ok(TlsRequirementType::None) => {}
        Ok(TlsRequirementType::All) => map.put("https_redirect", Value::plain(&path, true)),
        Ok(TlsRequirementType::ExternalOnly) => refusals.unsupported(&path, "EXTERNAL_ONLY"),
        Err(_) => refusals.fault(&path, format!("there is no requirement {}", message.require_tls)),
    }
}

/// What a virtual host and its route configuration say for its routes.
pub(super) struct Inherited<'m> {
    pub(super) mirrors: (Path, &'m [RequestMirrorPolicy]),
    /// What is said of filters around routes, the innermost first.
    pub(super) filters: [PerFilter<'m>; 2],
}

fn route(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    message: &Route,
    inherited: &Inherited<'_>,
    names: &mut HashSet<String>,
) -> Map {
    refuse_route(refusals, path, message);
    let mut map = Map::new(path);
    // To Envoy a name is a remark: it may be anything, and stand twice. Such a route is called by its place.
    if is_name(&message.name) && names.insert(message.name.clone()) {
        map.put("name", Value::text(&path.field("name"), message.name.as_str()));
    }
    let mut extras = extras(path, message.metadata.as_ref());
    let mut matched = route_match::Matched::of(refusals, path, message);
    let mut per_filter = message.typed_per_filter_config.clone();
    let filters_at = path.field("typed_per_filter_config");
    let cookie = session::take(refusals, &filters_at, &mut per_filter);
    let own_filters = PerFilter {
        path: filters_at.clone(),
        configs: &per_filter,
    };
    let [of_host, around] = &inherited.filters;
    let levels = [own_filters, of_host.clone(), around.clone()];
    put_all(&mut map, filters::of_route(refusals, carried, &levels, &extras));
    let around = [of_host, around];
    limits_are_added(refusals, &filters_at, &per_filter, &around);
    action::action(refusals, &mut map, path, message, &mut matched, inherited);
    if let Some(cookie) = cookie {
        session::put(refusals, &mut map, cookie);
    }
    map.put("match", matched.into_map().into());
    let request = Level {
        path,
        fields: ("request_headers_to_add", "request_headers_to_remove"),
        add: &message.request_headers_to_add,
        remove: &message.request_headers_to_remove,
    };
    header_edits::put(refusals, &mut map, "request_headers", &[request], &mut extras);
    let response = Level {
        path,
        fields: ("response_headers_to_add", "response_headers_to_remove"),
        add: &message.response_headers_to_add,
        remove: &message.response_headers_to_remove,
    };
    header_edits::put(refusals, &mut map, "response_headers", &[response], &mut extras);
    extras.merge(refusals, &mut map);
    map
}

/// A name that the document can have.
fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-|*~".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(legal)
}

/// Of a filter of rates that is named here and around, Envoy takes what is said here; ours are added.
fn limits_are_added(
    refusals: &mut Refusals,
    path: &Path,
    configs: &HashMap<String, Any>,
    around: &[&PerFilter<'_>],
) {
    let limits_rates = |config: &Any| {
        config.type_url == type_url::<LocalRateLimit>() || config.type_url == type_url::<RateLimit>()
    };
    for (name, config) in configs.iter().filter(|(_, config)| limits_rates(config)) {
        let mut others = around.iter().filter_map(|level| level.configs.get(name));
        if others.any(|other| other != config) {
            let what = "limiting rates otherwise than around the route, by a filter of this name,";
            refusals.unsupported(&path.key(name), what);
        }
    }
}
