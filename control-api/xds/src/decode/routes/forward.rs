//! Forwarding: where to, as what, and for how long.

use super::path as paths;
use super::route_match::Matched;
use super::virtual_host::Inherited;
use super::{Refusals, action, hash_policy, mirrors, retry, targets};
use crate::decode::value;
use crate::support::message;
use envoy_types::pb::envoy::config::core::v3::RoutingPriority;
use envoy_types::pb::envoy::config::route::v3::RouteAction;
use envoy_types::pb::envoy::config::route::v3::route_action::upgrade_config::ConnectConfig;
use envoy_types::pb::envoy::config::route::v3::route_action::{
    HostRewriteSpecifier, MaxStreamDuration, UpgradeConfig,
};
use outrigger_config::document::{Map, Path, Value};
use outrigger_config::model::defaults;
use std::time::Duration;

message! {
    pub(super) ROUTE_ACTION, refuse_route_action: RouteAction as "envoy.config.route.v3.RouteAction" {
        used: cluster_specifier, metadata_match, prefix_rewrite, regex_rewrite, path_rewrite_policy,
            host_rewrite_specifier, timeout, idle_timeout, max_grpc_timeout, max_stream_duration, retry_policy,
            hedge_policy, request_mirror_policies, priority, hash_policy, upgrade_configs;
        refused: path_rewrite, append_x_forwarded_host, flush_timeout, early_data_policy, retry_policy_typed_config,
            rate_limits, include_vh_rate_limits, cors, grpc_timeout_offset, internal_redirect_policy,
            internal_redirect_action, max_internal_redirects;
        ignored: cluster_not_found_response_code = "routes are not in force before their clusters are";
    }
}
message! {
    pub(super) MAX_STREAM_DURATION, refuse_max_stream_duration:
        MaxStreamDuration as "envoy.config.route.v3.RouteAction.MaxStreamDuration" {
        used: max_stream_duration, grpc_timeout_header_max;
        refused: grpc_timeout_header_offset;
        ignored: ;
    }
}
message! {
    pub(super) UPGRADE_CONFIG, refuse_upgrade_config:
        UpgradeConfig as "envoy.config.route.v3.RouteAction.UpgradeConfig" {
        used: upgrade_type, enabled, connect_config;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CONNECT_CONFIG, refuse_connect_config:
        ConnectConfig as "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig" {
        used: ;
        refused: proxy_protocol_config, allow_post;
        ignored: ;
    }
}

pub(super) fn forward(
    refusals: &mut Refusals,
    path: &Path,
    message: &RouteAction,
    matched: &mut Matched,
    inherited: &Inherited<'_>,
) -> Map {
    refuse_route_action(refusals, path, message);
    let mut map = Map::new(path);
    targets::put(refusals, path, message, &mut map);
    rewrites(refusals, path, message, matched, &mut map);
    timeouts(refusals, path, message, &mut map);
    let idle = value::duration_value(
        refusals,
        &path.field("idle_timeout"),
        message.idle_timeout.as_ref(),
    );
    map.put_some("stream_idle_timeout", idle.map(zero_is_off));
    let retry = retry::policy(
        refusals,
        path,
        message.retry_policy.as_ref(),
        message.hedge_policy.as_ref(),
    );
    map.put_some("retry", retry);
    let (mirrors_at, mirrors) = match message.request_mirror_policies.is_empty() {
        true => inherited.mirrors.clone(),
        false => (
            path.field("request_mirror_policies"),
            message.request_mirror_policies.as_slice(),
        ),
    };
    map.put_some("mirrors", mirrors::mirrors(refusals, &mirrors_at, mirrors));
    let hash_policy = hash_policy::policies(refusals, &path.field("hash_policy"), &message.hash_policy);
    map.put_some("hash_policy", hash_policy);
    match RoutingPriority::try_from(message.priority) {
        Ok(RoutingPriority::Default) => {}
        Ok(RoutingPriority::High) => map.put("priority", Value::plain(&path.field("priority"), "high")),
        Err(_) => {
            let what = format!("there is no priority {}", message.priority);
            refusals.fault(&path.field("priority"), what);
        }
    }
    upgrades(
        refusals,
        &path.field("upgrade_configs"),
        &message.upgrade_configs,
        matched,
        &mut map,
    );
    map
}

/// In the document `0s` is no idle timeout.
fn zero_is_off(value: Value) -> Value {
    match value.as_scalar() {
        Some("0s") => Value::plain(value.path(), "off"),
        _ => value,
    }
}

fn rewrites(
    refusals: &mut Refusals,
    path: &Path,
    message: &RouteAction,
    matched: &mut Matched,
    map: &mut Map,
) {
    if !message.prefix_rewrite.is_empty() {
        let at = path.field("prefix_rewrite");
        action::put_prefix_rewrite(map, matched, &at, &message.prefix_rewrite);
    }
    if let Some(rewrite) = &message.regex_rewrite {
        let rewrite = paths::regex_rewrite(refusals, &path.field("regex_rewrite"), rewrite);
        map.put("regex_rewrite", rewrite.into());
    }
    if let Some(policy) = &message.path_rewrite_policy {
        let rewrite = paths::template_rewrite(refusals, &path.field("path_rewrite_policy"), policy);
        map.put_some("template_rewrite", rewrite);
    }
    match &message.host_rewrite_specifier {
        None => {}
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
            map.put(
                "host_rewrite",
                Value::text(&path.field("host_rewrite_literal"), host.as_str()),
            );
        }
        Some(HostRewriteSpecifier::AutoHostRewrite(rewrites)) => {
            refusals.refuse_set(path, "auto_host_rewrite", rewrites.value);
        }
        Some(HostRewriteSpecifier::HostRewriteHeader(_)) => {
            refusals.unsupported(&path.field("host_rewrite_header"), "a host from a header");
        }
        Some(HostRewriteSpecifier::HostRewritePathRegex(_)) => {
            refusals.unsupported(&path.field("host_rewrite_path_regex"), "a host from the path");
        }
        Some(HostRewriteSpecifier::HostRewrite(_)) => {
            refusals.unsupported(&path.field("host_rewrite"), "a host with operators");
        }
    }
}

/// Envoy's timeouts: where `max_stream_duration` is there, `timeout` is not looked at; where `max_grpc_timeout` is, gRPC
/// has its own deadlines.
fn timeouts(refusals: &mut Refusals, path: &Path, message: &RouteAction, map: &mut Map) {
    let timeout_at = path.field("timeout");
    let given = message.timeout.as_ref();
    let timeout = given.and_then(|timeout| value::duration(refusals, &timeout_at, timeout));
    #[allow(deprecated, reason = "what took its place turns `timeout` off")]
    let grpc = message.max_grpc_timeout.as_ref();
    if let Some(limits) = &message.max_stream_duration {
        let path = path.field("max_stream_duration");
        if grpc.is_some() {
            refusals.unsupported(&path, "this beside `max_grpc_timeout`");
        }
        map.put("timeout", Value::plain(&path, "off"));
        return durations(refusals, &path, limits, map);
    }
    let grpc_at = path.field("max_grpc_timeout");
    let grpc = grpc.and_then(|grpc| value::duration(refusals, &grpc_at, grpc));
    match (timeout, grpc) {
        // As the document has it without one.
        (None | Some(defaults::ROUTE_TIMEOUT), Some(Duration::ZERO)) => {}
        (None, None) => {}
        (Some(timeout), None) => map.put("timeout", Value::duration(&timeout_at, timeout)),
        (Some(timeout), Some(grpc)) if timeout == grpc => {
            map.put("timeout", Value::duration(&timeout_at, timeout));
        }
        (_, Some(_)) => refusals.unsupported(&grpc_at, "limiting gRPC otherwise than `timeout`"),
    }
}

fn durations(refusals: &mut Refusals, path: &Path, message: &MaxStreamDuration, map: &mut Map) {
    refuse_max_stream_duration(refusals, path, message);
    let whole_at = path.field("max_stream_duration");
    let whole = value::duration_value(refusals, &whole_at, message.max_stream_duration.as_ref());
    map.put_some("stream_duration_max", whole.map(zero_is_off));
    let grpc_at = path.field("grpc_timeout_header_max");
    let grpc = value::duration_value(refusals, &grpc_at, message.grpc_timeout_header_max.as_ref());
    // None at all is none here, too.
    map.put_some(
        "client_timeout_max",
        grpc.filter(|grpc| grpc.as_scalar() != Some("0s")),
    );
}

fn upgrades(
    refusals: &mut Refusals,
    path: &Path,
    configs: &[UpgradeConfig],
    matched: &Matched,
    map: &mut Map,
) {
    let mut protocols = Vec::new();
    let mut terminates = false;
    for (index, config) in configs.iter().enumerate() {
        let path = path.index(index);
        refuse_upgrade_config(refusals, &path, config);
        let is_enabled = config.enabled.is_none_or(|enabled| enabled.value);
        if let Some(connect) = &config.connect_config {
            refuse_connect_config(refusals, &path.field("connect_config"), connect);
        }
        if config.upgrade_type.eq_ignore_ascii_case("CONNECT") {
            if !matched.is_connect() || !is_enabled {
                refusals.unsupported(
                    &path,
                    "CONNECT without `match: {connect_matcher: {}}`, or turned off,",
                );
            }
            terminates = config.connect_config.is_some();
        } else if is_enabled {
            protocols.push(Value::text(
                &path.field("upgrade_type"),
                config.upgrade_type.as_str(),
            ));
        }
    }
    if matched.is_connect() {
        let word = if terminates { "terminate" } else { "pass" };
        map.put("connect", Value::plain(path, word));
    } else if !configs.is_empty() {
        map.put("upgrades", Value::list(path, protocols));
    }
}
