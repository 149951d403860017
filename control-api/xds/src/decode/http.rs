//! HTTP connection managers: how HTTP is spoken.

mod header_values;
mod protocol;
mod tracing;

use super::carried::{Carried, CarriedKind};
use super::{Extras, Refusals, access_log, filters, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, Rds,
    http_connection_manager::{
        CodecType, PathWithEscapedSlashesAction as EscapedSlashes, RouteSpecifier, UpgradeConfig,
    },
};
use envoy_types::pb::google::protobuf::BoolValue;
use outrigger_config::document::{Map, Path, Value};

/// What is read here.
pub(crate) const MESSAGES: &[&[&Message]] = &[
    &[&MANAGER, &RDS, &UPGRADE_CONFIG],
    protocol::MESSAGES,
    header_values::MESSAGES,
    tracing::MESSAGES,
];

message! {
    pub(super) MANAGER, refuse_manager: HttpConnectionManager
        as "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" {
        used: codec_type, http_filters, common_http_protocol_options, http_protocol_options, http2_protocol_options,
            server_name, server_header_transformation, max_request_headers_kb, stream_idle_timeout, request_timeout,
            request_headers_timeout, access_log, xff_num_trusted_hops, via, generate_request_id,
            forward_client_cert_details, set_current_client_cert_details, upgrade_configs, normalize_path,
            merge_slashes, path_with_escaped_slashes_action, route_specifier, tracing;
        refused: add_user_agent, http3_protocol_options, scheme_header_transformation, stream_flush_timeout,
            drain_timeout, drain_timeout_jitter, delayed_close_timeout, access_log_flush_interval,
            flush_access_log_on_new_request, access_log_options, original_ip_detection_extensions,
            early_header_mutation_extensions, internal_address_config, skip_xff_append,
            preserve_external_request_id, always_set_request_id_in_response, forward_client_cert_matcher,
            proxy_100_continue, represent_ipv4_remote_address_as_ipv4_mapped_ipv6, request_id_extension,
            local_reply_config, strip_matching_host_port, stream_error_on_invalid_http_message,
            path_normalization_options, strip_trailing_host_dot, proxy_status_config, typed_header_validation_config,
            append_x_forwarded_port, append_local_overload, add_proxy_protocol_connection_state,
            forward_proto_config, strip_port_mode;
        ignored: stat_prefix = "metrics are labelled by listener and chain",
            http1_safe_max_connection_duration = "connections of HTTP/1 are always ended between two requests",
            use_remote_address = "the peer is always whom the connection comes from; `xff_num_trusted_hops` says who \
                                  before it is believed";
    }
}
message! {
    pub(super) RDS, refuse_rds: Rds
        as "envoy.extensions.filters.network.http_connection_manager.v3.Rds" {
        used: config_source, route_config_name;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) UPGRADE_CONFIG, refuse_upgrade: UpgradeConfig
        as "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig" {
        used: upgrade_type, enabled;
        refused: filters;
        ignored: ;
    }
}

/// What a connection manager says.
pub(super) struct Manager {
    /// The chain's `http`.
    pub(super) fields: Map,
    /// The names of policies that apply.
    pub(super) authorization: Vec<Value>,
}

/// Reads a connection manager. `given` is what the chain's metadata says of its `http`.
pub(super) fn manager(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    (chain, manager): (&str, &HttpConnectionManager),
    given: Extras,
) -> Manager {
    refuse_manager(refusals, path, manager);
    if manager.codec_type != CodecType::Auto as i32 {
        let help = "say AUTO: HTTP/1 and HTTP/2 are both spoken, as the client likes";
        refusals.fault_with_help(
            &path.field("codec_type"),
            "speaking one version only is not implemented",
            help,
        );
    }
    // Filters come first: routes inside refer to what these hold.
    let place = path.field("http_filters");
    let filters = filters::chain(refusals, carried, &place, &manager.http_filters, &given);
    let mut map = filters.http;
    put_routes(refusals, carried, &mut map, path, (chain, manager));
    protocol::put(refusals, &mut map, path, manager);
    put_timeouts(refusals, &mut map, path, manager);
    put_paths(refusals, &mut map, path, manager);
    header_values::put(refusals, &mut map, path, manager, &given);
    let upgrades = upgrades(refusals, &path.field("upgrade_configs"), &manager.upgrade_configs);
    map.put("upgrades", upgrades);
    if manager
        .generate_request_id
        .is_some_and(|generate| !generate.value)
    {
        refusals.unsupported(
            &path.field("generate_request_id"),
            "leaving requests without an id",
        );
    }
    if !(given.has("access_logs") && carried.is_shared()) {
        let logs = access_log::logs(refusals, &path.field("access_log"), &manager.access_log);
        map.put_some("access_logs", logs);
    }
    // Metadata says more of it.
    if let Some(tracing) = &manager.tracing
        && !given.has("tracing")
    {
        tracing::put(refusals, &mut map, &path.field("tracing"), tracing);
    }
    given.merge(refusals, &mut map);
    Manager {
        fields: map,
        authorization: filters.authorization,
    }
}

fn put_routes(
    refusals: &mut Refusals,
    carried: &mut Carried,
    map: &mut Map,
    path: &Path,
    (chain, manager): (&str, &HttpConnectionManager),
) {
    match &manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            let path = path.field("rds");
            refuse_rds(refusals, &path, rds);
            match &rds.config_source {
                Some(source) => super::source::config_source(refusals, &path.field("config_source"), source),
                None => refusals.fault(&path, "`config_source` is missing"),
            }
            let name = path.field("route_config_name");
            map.put(
                "route_configuration",
                Value::text(&name, rds.route_config_name.as_str()),
            );
        }
        Some(RouteSpecifier::RouteConfig(routes)) => {
            let path = path.field("route_config");
            let own = match routes.name.is_empty() {
                true => chain,
                false => routes.name.as_str(),
            };
            let (name, is_new) = carried.routes(own, routes);
            if is_new {
                let extras = super::extras(&path, routes.metadata.as_ref());
                let part =
                    super::routes::route_configuration(refusals, carried, &path, &name, routes, extras);
                carried.push(CarriedKind::RouteConfiguration, part.into());
            }
            map.put("route_configuration", Value::text(&path.field("name"), name));
        }
        Some(RouteSpecifier::ScopedRoutes(_)) => {
            refusals.unsupported(&path.field("scoped_routes"), "choosing routes by scopes");
        }
        None => refusals.fault(path, "`rds` or `route_config` is missing"),
    }
}

fn put_timeouts(refusals: &mut Refusals, map: &mut Map, path: &Path, manager: &HttpConnectionManager) {
    for (field, duration) in [
        ("stream_idle_timeout", &manager.stream_idle_timeout),
        ("request_timeout", &manager.request_timeout),
    ] {
        let place = path.field(field);
        map.put_some(field, value::duration_or_off(refusals, &place, duration.as_ref()));
    }
    let place = path.field("request_headers_timeout");
    let timeout = value::duration_value(refusals, &place, manager.request_headers_timeout.as_ref());
    map.put_some("request_headers_timeout", timeout);
}

fn put_paths(refusals: &mut Refusals, map: &mut Map, path: &Path, manager: &HttpConnectionManager) {
    let is_false = |flag: &Option<BoolValue>| flag.is_some_and(|flag| !flag.value);
    if is_false(&manager.normalize_path) {
        refusals.unsupported(&path.field("normalize_path"), "leaving paths as they come");
    }
    if manager.merge_slashes {
        map.put(
            "repeated_slashes",
            Value::plain(&path.field("merge_slashes"), "merge"),
        );
    }
    let place = path.field("path_with_escaped_slashes_action");
    match EscapedSlashes::try_from(manager.path_with_escaped_slashes_action) {
        Ok(EscapedSlashes::ImplementationSpecificDefault) => {}
        Ok(EscapedSlashes::KeepUnchanged) => map.put("escaped_slashes", Value::plain(&place, "keep")),
        Ok(EscapedSlashes::RejectRequest) => map.put("escaped_slashes", Value::plain(&place, "refuse")),
        Ok(EscapedSlashes::UnescapeAndForward) => {
            map.put("escaped_slashes", Value::plain(&place, "unescape"));
        }
        Ok(EscapedSlashes::UnescapeAndRedirect) | Err(_) => {
            refusals.unsupported(&place, "redirecting to the unescaped path");
        }
    }
    if let Some(kibibytes) = &manager.max_request_headers_kb {
        let place = path.field("max_request_headers_kb");
        let bytes = u64::from(kibibytes.value) * 1024;
        map.put("request_headers_bytes_max", Value::plain(&place, bytes));
    }
}

/// The protocols that a client may upgrade to: none where none is named, as Envoy has it. Which CONNECT requests are
/// taken is said by routes.
fn upgrades(refusals: &mut Refusals, path: &Path, configs: &[UpgradeConfig]) -> Value {
    let mut names = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let path = path.index(index);
        refuse_upgrade(refusals, &path, config);
        let enabled = config.enabled.is_none_or(|enabled| enabled.value);
        if enabled && !config.upgrade_type.eq_ignore_ascii_case("CONNECT") {
            names.push(Value::text(
                &path.field("upgrade_type"),
                config.upgrade_type.to_ascii_lowercase(),
            ));
        }
    }
    Value::list(path, names)
}
