//! Services that are asked over gRPC.

use super::{Refusals, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::{
    GrpcService, grpc_service::EnvoyGrpc, grpc_service::TargetSpecifier,
};
use outrigger_config::document::{Map, Path, Value};

/// What is read here.
pub(crate) const MESSAGES: &[&Message] = &[&GRPC_SERVICE, &ENVOY_GRPC];

message! {
    pub(super) GRPC_SERVICE, refuse_grpc_service: GrpcService as "envoy.config.core.v3.GrpcService" {
        used: timeout, target_specifier;
        refused: initial_metadata, retry_policy;
        ignored: ;
    }
}
message! {
    pub(super) ENVOY_GRPC, refuse_envoy_grpc: EnvoyGrpc as "envoy.config.core.v3.GrpcService.EnvoyGrpc" {
        used: cluster_name, authority;
        refused: retry_policy, max_receive_message_length;
        ignored: skip_envoy_headers = "few of Envoy's own headers are ever written";
    }
}

/// A service that is asked.
pub(crate) struct Asked {
    /// `cluster` and `authority`.
    pub(crate) fields: Map,
    /// How long one question may take.
    pub(crate) timeout: Option<Value>,
}

/// Reads which service is asked.
pub(crate) fn service(refusals: &mut Refusals, path: &Path, service: &GrpcService) -> Asked {
    refuse_grpc_service(refusals, path, service);
    let timeout = value::duration_value(refusals, &path.field("timeout"), service.timeout.as_ref());
    let mut fields = Map::new(path);
    match &service.target_specifier {
        Some(TargetSpecifier::EnvoyGrpc(target)) => {
            let path = path.field("envoy_grpc");
            refuse_envoy_grpc(refusals, &path, target);
            fields.put(
                "cluster",
                Value::text(&path.field("cluster_name"), target.cluster_name.as_str()),
            );
            if !target.authority.is_empty() {
                fields.put(
                    "authority",
                    Value::text(&path.field("authority"), target.authority.as_str()),
                );
            }
        }
        Some(TargetSpecifier::GoogleGrpc(_)) => {
            refusals.unsupported(&path.field("google_grpc"), "a service that is no cluster");
        }
        None => refusals.fault(path, "`envoy_grpc` is missing"),
    }
    Asked { fields, timeout }
}
