//! Forwarding.

use super::path::{self, Fields, Rewriting};
use super::virtual_host::Nearly;
use super::{retry, session};
use crate::decode::SUBSETS_NAMESPACE;
use crate::encode::Remainder;
use crate::encode::value::{boolean, duration, number};
use envoy_types::pb::envoy::config::core::v3::{Metadata, RoutingPriority, RuntimeFractionalPercent};
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{
    ConnectionProperties, Cookie, Header, PolicySpecifier, QueryParameter,
};
use envoy_types::pb::envoy::config::route::v3::route_action::upgrade_config::ConnectConfig;
use envoy_types::pb::envoy::config::route::v3::route_action::{
    ClusterSpecifier, HashPolicy as HashPolicyMessage, HostRewriteSpecifier, MaxStreamDuration,
    RequestMirrorPolicy, UpgradeConfig,
};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value::Kind};
use outrigger_config::model::{
    ConnectAction, Forward, HashPolicy, HashSource, Mirror, RouteMatch, RoutePriority, WeightedCluster,
};
use std::collections::BTreeMap;
use std::time::Duration;

const REWRITES: Fields = Fields {
    prefix: "forward.prefix_rewrite",
    regex: "forward.regex_rewrite",
    template: "forward.template_rewrite",
    has_templates: true,
};

/// The action, and the configuration of filters that goes with it.
pub(super) fn forward(
    forward: &Forward,
    matches: &RouteMatch,
    rest: &mut Remainder,
    nearly: &mut Nearly,
) -> (pb::RouteAction, Option<(String, Any)>) {
    let mut message = pb::RouteAction::default();
    targets(forward.clusters(), rest, &mut message);
    if let Some(rewrite) = forward.path_rewrite() {
        match path::rewriting(rewrite, matches.path(), &REWRITES, rest, nearly) {
            Rewriting::Prefix(to) => message.prefix_rewrite = to,
            Rewriting::Regex(rewrite) => message.regex_rewrite = Some(rewrite),
            Rewriting::Template(policy) => message.path_rewrite_policy = Some(policy),
            Rewriting::Unknown => {}
        }
    }
    if let Some(host) = forward.host_rewrite() {
        rest.said("forward.host_rewrite");
        message.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(host.clone()));
    }
    timeouts(forward, rest, &mut message);
    if let Some(timeout) = forward.stream_idle_timeout() {
        rest.said("forward.stream_idle_timeout");
        message.idle_timeout = Some(duration(timeout.unwrap_or_default()));
    }
    upgrades(forward, matches, rest, &mut message);
    rest.said("forward.mirrors");
    message.request_mirror_policies = forward.mirrors().iter().map(mirror).collect();
    rest.said("forward.hash_policy");
    message.hash_policy = forward.hash_policy().iter().map(hash_policy).collect();
    rest.said("forward.priority");
    let priority = match forward.priority() {
        RoutePriority::Default => RoutingPriority::Default,
        RoutePriority::High => RoutingPriority::High,
    };
    message.priority = priority.into();
    if let Some(policy) = forward.retry() {
        message.retry_policy = Some(retry::policy(policy, rest, nearly));
        message.hedge_policy = retry::hedging(policy, rest);
    }
    let cookie = forward.session_cookie().as_ref();
    let cookie = cookie.map(|cookie| {
        rest.said("forward.session_cookie");
        session::cookie(cookie)
    });
    (message, cookie)
}

fn targets(clusters: &[WeightedCluster], rest: &mut Remainder, message: &mut pb::RouteAction) {
    for field in ["cluster", "subset", "weighted_clusters"] {
        rest.said(&format!("forward.{field}"));
    }
    if let [one] = clusters
        && one.weight() == 1
    {
        message.cluster_specifier = Some(ClusterSpecifier::Cluster(one.cluster().to_string()));
        message.metadata_match = subset(one.subset());
        return;
    }
    let weights = clusters.iter().map(|one| ClusterWeight {
        name: one.cluster().to_string(),
        weight: Some(number(one.weight())),
        metadata_match: subset(one.subset()),
        ..ClusterWeight::default()
    });
    message.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
        clusters: weights.collect(),
        ..pb::WeightedCluster::default()
    }));
}

fn subset(subset: &BTreeMap<String, String>) -> Option<Metadata> {
    let text = |text: &String| Value {
        kind: Some(Kind::StringValue(text.clone())),
    };
    let fields = subset
        .iter()
        .map(|(key, value)| (key.clone(), text(value)))
        .collect();
    (!subset.is_empty()).then(|| Metadata {
        filter_metadata: [(SUBSETS_NAMESPACE.to_owned(), Struct { fields })].into(),
        ..Metadata::default()
    })
}

/// Where Envoy's `max_stream_duration` is said, its `timeout` is not looked at: both can be said only if there is none.
/// `max_grpc_timeout` is what gives gRPC its own deadlines there, as here.
fn timeouts(forward: &Forward, rest: &mut Remainder, message: &mut pb::RouteAction) {
    rest.said("forward.timeout");
    rest.unless("forward.stream_duration_max", "off");
    let limits = forward.stream_duration_max().or(forward.client_timeout_max());
    let is_off = forward.timeout_explicit() && forward.timeout().is_none();
    if is_off && limits.is_some() {
        rest.said("forward.stream_duration_max");
        rest.said("forward.client_timeout_max");
        message.max_stream_duration = Some(MaxStreamDuration {
            max_stream_duration: forward.stream_duration_max().map(duration),
            grpc_timeout_header_max: Some(duration(forward.client_timeout_max().unwrap_or_default())),
            grpc_timeout_header_offset: None,
        });
        return;
    }
    let written = forward
        .timeout_explicit()
        .then(|| forward.timeout().unwrap_or_default());
    message.timeout = written.map(duration);
    #[allow(deprecated, reason = "what took its place turns `timeout` off")]
    {
        message.max_grpc_timeout = Some(duration(written.unwrap_or(Duration::ZERO)));
    }
}

fn upgrades(forward: &Forward, matches: &RouteMatch, rest: &mut Remainder, message: &mut pb::RouteAction) {
    let upgrade = |protocol: &str, is_enabled: bool| UpgradeConfig {
        upgrade_type: protocol.to_owned(),
        enabled: Some(boolean(is_enabled)),
        connect_config: None,
    };
    rest.said("forward.connect");
    if matches.connect() {
        let terminates = forward.connect() == ConnectAction::Terminate;
        message.upgrade_configs.push(UpgradeConfig {
            connect_config: terminates.then(ConnectConfig::default),
            ..upgrade("CONNECT", true)
        });
        return;
    }
    let Some(protocols) = forward.upgrades() else {
        return;
    };
    rest.said("forward.upgrades");
    message
        .upgrade_configs
        .extend(protocols.iter().map(|protocol| upgrade(protocol, true)));
    // Of others Envoy keeps what the chain says.
    if !protocols.iter().any(|protocol| protocol == "websocket") {
        message.upgrade_configs.push(upgrade("websocket", false));
    }
}

fn mirror(mirror: &Mirror) -> RequestMirrorPolicy {
    RequestMirrorPolicy {
        cluster: mirror.cluster().to_string(),
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(FractionalPercent {
                numerator: mirror.fraction().parts_per_million(),
                denominator: DenominatorType::Million.into(),
            }),
            runtime_key: String::new(),
        }),
        ..RequestMirrorPolicy::default()
    }
}

fn hash_policy(policy: &HashPolicy) -> HashPolicyMessage {
    let specifier = match policy.source() {
        HashSource::Header(name) => PolicySpecifier::Header(Header {
            header_name: name.as_str().to_owned(),
            regex_rewrite: None,
        }),
        HashSource::Cookie { name, ttl, path } => PolicySpecifier::Cookie(Cookie {
            name: name.clone(),
            ttl: ttl.map(duration),
            path: path.clone(),
            attributes: Vec::new(),
        }),
        HashSource::SourceAddress => {
            PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
        }
        HashSource::Query(name) => PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() }),
    };
    HashPolicyMessage {
        terminal: policy.terminal(),
        policy_specifier: Some(specifier),
    }
}
