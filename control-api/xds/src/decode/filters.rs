//! The HTTP filters of a connection manager, and what virtual hosts and routes change in them.
//!
//! The order in which our proxy asks is fixed (docs/authorization.md, docs/rate-limits.md): CORS, tokens, policies, external
//! authorization, rate limits, faults, router. Filters are taken in any order.

mod compressor;
mod cors;
mod ext_authz;
mod fault;
mod jwt;
mod local_rate_limit;
mod rate_limit;
mod rbac;
mod rbac_claim;
mod rbac_condition;
mod router;

pub(super) use compressor::is_enabled;
pub(crate) use ext_authz::NO_AUTHORITY;
pub(crate) use rate_limit::GLOBAL_LIMIT;
pub(super) use rate_limit::{bucket, per_second};
pub(super) use rbac::network as network_rbac;
pub(crate) use rbac::{OF_ROUTES, RULE_MARK};
pub(crate) use rbac_claim::JWT_FILTER;

use super::carried::Carried;
use super::{Extras, Refusals, extras, read_as, type_url};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::route::v3::FilterConfig;
use envoy_types::pb::envoy::extensions::filters::http::{
    compressor::v3 as compressor_pb, cors::v3 as cors_pb, ext_authz::v3 as ext_authz_pb,
    fault::v3 as fault_pb, jwt_authn::v3 as jwt_pb, local_ratelimit::v3 as local_pb,
    ratelimit::v3 as global_pb, rbac::v3 as rbac_pb, router::v3 as router_pb,
    stateful_session::v3 as session_pb,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter::ConfigType,
};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::{Map, Parts, Path, Value, read_parts};
use std::collections::{BTreeMap, HashMap};

/// What is read of filters.
pub(crate) const MESSAGES: &[&[&Message]] = &[
    &[&HTTP_FILTER, &FILTER_CONFIG],
    router::MESSAGES,
    rbac::MESSAGES,
    rbac_claim::MESSAGES,
    rbac_condition::MESSAGES,
    jwt::MESSAGES,
    ext_authz::MESSAGES,
    local_rate_limit::MESSAGES,
    rate_limit::MESSAGES,
    fault::MESSAGES,
    cors::MESSAGES,
    compressor::MESSAGES,
];

message! {
    pub(super) HTTP_FILTER, refuse_http_filter: HttpFilter
        as "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter" {
        used: name, is_optional, config_type;
        refused: disabled;
        ignored: ;
    }
}
message! {
    pub(super) FILTER_CONFIG, refuse_filter_config: FilterConfig as "envoy.config.route.v3.FilterConfig" {
        used: config, is_optional, disabled;
        refused: ;
        ignored: ;
    }
}

/// What filters say, in the document's words.
pub(crate) struct Gathered<'a> {
    /// What metadata says of the part: it stands in the place of what filters say.
    given: &'a Extras,
    fields: Map,
    authorization: Vec<Value>,
    rate_limits: Vec<Value>,
    compressors: compressor::Compressors,
}

impl Gathered<'_> {
    fn new<'a>(path: &Path, given: &'a Extras) -> Gathered<'a> {
        Gathered {
            given,
            fields: Map::new(path),
            authorization: Vec::new(),
            rate_limits: Vec::new(),
            compressors: compressor::Compressors::default(),
        }
    }

    /// A field that one filter says, unless metadata says it in a resource of our own.
    fn put(&mut self, refusals: &mut Refusals, carried: &Carried, name: &'static str, value: Value) {
        if self.given.has(name) && carried.is_shared() {
            return;
        }
        if self.fields.has(name) {
            refusals.fault(value.path(), "a second filter of this kind is not implemented");
            return;
        }
        self.fields.put(name, value);
    }

    /// A field that several filters say alike.
    fn put_again(&mut self, name: &'static str, value: Value) {
        if !self.given.has(name) && !self.fields.has(name) {
            self.fields.put(name, value);
        }
    }
}

/// What the HTTP filters of a chain say.
pub(crate) struct ChainFilters {
    /// Fields of the chain's `http`.
    pub(crate) http: Map,
    /// Names of policies that apply.
    pub(crate) authorization: Vec<Value>,
}

/// Reads the filters of a connection manager. `given` is what the chain's metadata says of its `http`.
pub(crate) fn chain(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    filters: &[HttpFilter],
    given: &Extras,
) -> ChainFilters {
    let mut gathered = Gathered::new(path, given);
    for (index, filter) in filters.iter().enumerate() {
        let path = path.index(index);
        refuse_http_filter(refusals, &path, filter);
        let config = match &filter.config_type {
            Some(ConfigType::TypedConfig(config)) => config,
            Some(ConfigType::ConfigDiscovery(_)) => {
                refusals.unsupported(&path.field("config_discovery"), "configuring a filter by ECDS");
                continue;
            }
            None => {
                refusals.fault(&path, "`typed_config` is missing");
                continue;
            }
        };
        let last = index + 1 == filters.len();
        let path = path.field("typed_config");
        if of_chain(
            refusals,
            carried,
            &path,
            (&filter.name, last),
            config,
            &mut gathered,
        )
        .is_none()
            && !filter.is_optional
        {
            unknown(refusals, &path, config);
        }
    }
    if filters.is_empty() {
        refusals.fault(path, "a router filter is missing");
    }
    let Gathered {
        mut fields,
        authorization,
        rate_limits,
        compressors,
        ..
    } = gathered;
    if !(given.has("compression") && carried.is_shared()) {
        fields.put_some("compression", compressors.into_value(refusals, path));
    }
    if !rate_limits.is_empty() && !given.has("rate_limits") {
        fields.put("rate_limits", Value::list(path, rate_limits));
    }
    ChainFilters {
        http: fields,
        authorization,
    }
}

fn unknown(refusals: &mut Refusals, path: &Path, config: &Any) {
    let help = "of a filter that may be missing, `is_optional` says so";
    refusals.fault_with_help(path, format!("{} is not implemented", config.type_url), help);
}

macro_rules! messages_by_type {
    ($refusals:expr, $path:expr, $any:expr; $($message:ty => |$found:ident| $then:expr,)*) => {{
        let url = $any.type_url.as_str();
        $(if url == type_url::<$message>() {
            if let Some($found) = read_as::<$message>($refusals, $path, &$any.value) {
                $then;
            }
            return Some(());
        })*
        None
    }};
}

/// None: nobody knows the filter.
fn of_chain(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    (name, last): (&str, bool),
    any: &Any,
    gathered: &mut Gathered<'_>,
) -> Option<()> {
    if any.type_url == type_url::<router_pb::Router>() && !last {
        refusals.fault(path, "the router is the last filter");
    } else if any.type_url != type_url::<router_pb::Router>() && last {
        refusals.fault(path, "the last filter is a router");
    }
    messages_by_type! { refusals, path, any;
        router_pb::Router => |filter| router::router(refusals, path, &filter),
        rbac_pb::Rbac => |filter| {
            let names = rbac::http(refusals, carried, path, name, &filter);
            gathered.authorization.extend(names);
        },
        jwt_pb::JwtAuthentication => |filter| jwt::chain(refusals, carried, path, filter, gathered),
        ext_authz_pb::ExtAuthz => |filter| ext_authz::chain(refusals, carried, path, &filter, gathered),
        local_pb::LocalRateLimit => |filter| {
            let named = local_rate_limit::limit(refusals, carried, path, &filter);
            gathered.rate_limits.extend(named);
        },
        global_pb::RateLimit => |filter| {
            let named = rate_limit::limit(refusals, carried, path, &filter);
            gathered.rate_limits.extend(named);
        },
        fault_pb::HttpFault => |filter| {
            let fault = fault::fault(refusals, path, &filter);
            fault.into_iter().for_each(|fault| gathered.put(refusals, carried, "fault", fault));
        },
        session_pb::StatefulSession => |filter| router::sessions(refusals, path, &filter),
        cors_pb::Cors => |filter| cors::filter(refusals, path, &filter),
        compressor_pb::Compressor => |filter| gathered.compressors.add(refusals, path, filter),
    }
}

/// What a filter by itself carries, if it is understood: by this encoders see what they have said. `name` is the filter's.
pub(crate) fn carried_by(name: &str, filter: &Any) -> Option<Parts> {
    let mut refusals = Refusals::default();
    let path = Path::root();
    let mut carried = Carried::shared();
    let given = extras(&path, None);
    let mut gathered = Gathered::new(&path, &given);
    of_chain(
        &mut refusals,
        &mut carried,
        &path,
        (name, false),
        filter,
        &mut gathered,
    )?;
    let mut document = Map::new(&path);
    carried.put(&mut document, &path);
    if !refusals.is_empty() {
        return None;
    }
    read_parts(name, document.into()).ok()
}

/// The `typed_per_filter_config` of one level: a route, its virtual host, its route configuration.
#[derive(Debug, Clone)]
pub(crate) struct PerFilter<'m> {
    /// Its place.
    pub(crate) path: Path,
    /// By the filters' names.
    pub(crate) configs: &'m HashMap<String, Any>,
}

/// What a virtual host says itself: `cors` and `rate_limits`. `levels` are its own and the one around it, in this order: of
/// a filter that both name, the first counts. The rest is said by its routes ([`of_route`]). `given` is what the part's own
/// metadata says, which the caller merges after this.
pub(crate) fn of_virtual_host(
    refusals: &mut Refusals,
    carried: &mut Carried,
    levels: &[PerFilter<'_>],
    given: &Extras,
) -> Map {
    let found = effective(levels)
        .into_iter()
        .filter(|(_, _, config, _)| of_hosts(refusals, config));
    let found: Vec<_> = found.collect();
    per_route(refusals, carried, levels, found, given)
}

/// What a route says. `levels` are its own, its virtual host's and its route configuration's, in this order.
pub(crate) fn of_route(
    refusals: &mut Refusals,
    carried: &mut Carried,
    levels: &[PerFilter<'_>],
    given: &Extras,
) -> Map {
    let mut found = effective(levels);
    found.retain(|(level, _, config, _)| *level == 0 || !of_hosts(refusals, config));
    per_route(refusals, carried, levels, found, given)
}

/// The level, the filter's name, its settings and their place.
type Found<'m> = (usize, &'m str, &'m Any, Path);

/// Of each filter's name the innermost settings, by name.
fn effective<'m>(levels: &[PerFilter<'m>]) -> Vec<Found<'m>> {
    let mut by_name: BTreeMap<&str, Found<'m>> = BTreeMap::new();
    for (index, level) in levels.iter().enumerate() {
        for (name, config) in level.configs {
            let place = || (index, name.as_str(), config, level.path.key(name));
            by_name.entry(name).or_insert_with(place);
        }
    }
    by_name.into_values().collect()
}

/// Settings that a virtual host has itself.
fn of_hosts(refusals: &mut Refusals, config: &Any) -> bool {
    let types = [
        type_url::<cors_pb::CorsPolicy>(),
        type_url::<local_pb::LocalRateLimit>(),
        type_url::<global_pb::RateLimitPerRoute>(),
    ];
    if config.type_url != type_url::<FilterConfig>() {
        return types.contains(&config.type_url);
    }
    let wrapped = read_as::<FilterConfig>(refusals, &Path::root(), &config.value);
    let inner = wrapped.and_then(|wrapped| wrapped.config);
    inner.is_some_and(|inner| types.contains(&inner.type_url))
}

fn per_route(
    refusals: &mut Refusals,
    carried: &mut Carried,
    levels: &[PerFilter<'_>],
    found: Vec<Found<'_>>,
    given: &Extras,
) -> Map {
    let root = levels.first().map(|level| level.path.clone()).unwrap_or_default();
    let mut gathered = Gathered::new(&root, given);
    for (_, name, config, path) in found {
        let (config, is_optional) = if config.type_url == type_url::<FilterConfig>() {
            let Some(wrapped) = read_as::<FilterConfig>(refusals, &path, &config.value) else {
                continue;
            };
            refuse_filter_config(refusals, &path, &wrapped);
            if wrapped.disabled {
                disabled(refusals, carried, &path, name, &mut gathered);
                continue;
            }
            match wrapped.config {
                Some(config) => (config, wrapped.is_optional),
                None => continue,
            }
        } else {
            (config.clone(), false)
        };
        let known = settings(refusals, carried, &path, name, &config, &mut gathered);
        if known.is_none() && !is_optional {
            unknown(refusals, &path, &config);
        }
    }
    let mut part = gathered.fields;
    if !gathered.authorization.is_empty() && !given.has("authorization") {
        part.put("authorization", Value::list(&root, gathered.authorization));
    }
    if !gathered.rate_limits.is_empty() && !given.has("rate_limits") {
        part.put("rate_limits", Value::list(&root, gathered.rate_limits));
    }
    part
}

/// None: nobody knows the filter.
fn settings(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    name: &str,
    any: &Any,
    gathered: &mut Gathered<'_>,
) -> Option<()> {
    messages_by_type! { refusals, path, any;
        rbac_pb::RbacPerRoute => |config| {
            let names = rbac::route(refusals, carried, path, name, &config);
            gathered.authorization.extend(names);
        },
        jwt_pb::PerRouteConfig => |config| {
            let jwt = jwt::route(refusals, carried, path, &config, gathered.given.has("jwt"));
            jwt.into_iter().for_each(|jwt| gathered.put(refusals, carried, "jwt", jwt));
        },
        ext_authz_pb::ExtAuthzPerRoute => |config| {
            let settings = ext_authz::route(refusals, path, &config);
            settings.into_iter().for_each(|one| gathered.put(refusals, carried, "external_authorization", one));
        },
        local_pb::LocalRateLimit => |config| {
            let named = local_rate_limit::limit(refusals, carried, path, &config);
            gathered.rate_limits.extend(named);
        },
        global_pb::RateLimitPerRoute => |config| {
            let is_given = gathered.given.has("rate_limits") && carried.is_shared();
            rate_limit::of_route(refusals, path, name, &config, is_given);
        },
        fault_pb::HttpFault => |config| {
            let fault = fault::fault(refusals, path, &config);
            let fault = fault.unwrap_or_else(|| Value::plain(path, "off"));
            gathered.put(refusals, carried, "fault", fault);
        },
        cors_pb::CorsPolicy => |config| {
            let cors = cors::policy(refusals, path, &config);
            gathered.put(refusals, carried, "cors", cors);
        },
        compressor_pb::CompressorPerRoute => |config| {
            let value = compressor::route(refusals, path, &config);
            value.into_iter().for_each(|one| gathered.put_again("compression", one));
        },
    }
}

/// A filter that is turned off, known by its usual name: settings do not say which it is.
fn disabled(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    name: &str,
    gathered: &mut Gathered<'_>,
) {
    let field = match name {
        "envoy.filters.http.jwt_authn" => "jwt",
        "envoy.filters.http.ext_authz" => "external_authorization",
        "envoy.filters.http.fault" => "fault",
        "envoy.filters.http.compressor" => "compression",
        "envoy.filters.http.cors" => "cors",
        _ => {
            refusals.unsupported(&path.field("disabled"), "turning this filter off");
            return;
        }
    };
    gathered.put(
        refusals,
        carried,
        field,
        Value::plain(&path.field("disabled"), "off"),
    );
}
