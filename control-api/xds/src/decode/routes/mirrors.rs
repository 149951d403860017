//! Copies of requests.

use super::Refusals;
use crate::decode::value;
use crate::support::message;
use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3::route_action::RequestMirrorPolicy;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) REQUEST_MIRROR_POLICY, refuse_request_mirror_policy:
        RequestMirrorPolicy as "envoy.config.route.v3.RouteAction.RequestMirrorPolicy" {
        used: cluster, runtime_fraction;
        refused: cluster_header, trace_sampled, disable_shadow_host_suffix_append, request_headers_mutations,
            host_rewrite_literal;
        ignored: ;
    }
}
message! {
    pub(super) RUNTIME_FRACTIONAL_PERCENT, refuse_runtime_fractional_percent:
        RuntimeFractionalPercent as "envoy.config.core.v3.RuntimeFractionalPercent" {
        used: default_value;
        refused: ;
        ignored: runtime_key = "there is no runtime that overrides shares";
    }
}

pub(super) fn mirrors(
    refusals: &mut Refusals,
    path: &Path,
    policies: &[RequestMirrorPolicy],
) -> Option<Value> {
    let mut mirrors = Vec::with_capacity(policies.len());
    for (index, policy) in policies.iter().enumerate() {
        let path = path.index(index);
        refuse_request_mirror_policy(refusals, &path, policy);
        let cluster = Value::text(&path.field("cluster"), policy.cluster.as_str());
        let mut mirror = Map::new(&path).with("cluster", cluster);
        if let Some(fraction) = &policy.runtime_fraction {
            let path = path.field("runtime_fraction");
            mirror.put_some("percent", percent(refusals, &path, fraction));
        }
        mirrors.push(mirror.into());
    }
    (!mirrors.is_empty()).then(|| Value::list(path, mirrors))
}

/// A share as the document has it, of a hundred.
pub(crate) fn percent(
    refusals: &mut Refusals,
    path: &Path,
    fraction: &RuntimeFractionalPercent,
) -> Option<Value> {
    refuse_runtime_fractional_percent(refusals, path, fraction);
    let path = path.field("default_value");
    let Some(share) = &fraction.default_value else {
        refusals.fault(&path, "a share is missing");
        return None;
    };
    let millionths = value::millionths(refusals, &path, share)?;
    let text = format!("{}.{:04}", millionths / 10_000, millionths % 10_000);
    Some(Value::plain(
        &path,
        text.trim_end_matches('0').trim_end_matches('.'),
    ))
}
