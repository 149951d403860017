//! Tracing: which requests are traced, and which collector is told.

use crate::decode::any::{type_url, unpack};
use crate::decode::{Refusals, grpc};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::trace::v3::tracing::{Http as Provider, http::ConfigType};
use envoy_types::pb::envoy::config::trace::v3::OpenTelemetryConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing;
use envoy_types::pb::envoy::r#type::tracing::v3::{
    CustomTag,
    custom_tag::{Header, Literal, Type},
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&TRACING, &PROVIDER, &OPEN_TELEMETRY, &TAG, &LITERAL, &HEADER];

message! {
    pub(super) TRACING, refuse_tracing: Tracing
        as "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing" {
        used: random_sampling, overall_sampling, custom_tags, provider, operation;
        refused: verbose, upstream_operation, no_context_propagation;
        ignored: client_sampling = "`x-client-trace-id` is not looked at",
            max_path_tag_length = "paths are told whole, within the limit of a request's head",
            spawn_upstream_span = "there always is a span for each attempt";
    }
}
message! {
    pub(super) PROVIDER, refuse_provider: Provider as "envoy.config.trace.v3.Tracing.Http" {
        used: config_type;
        refused: ;
        ignored: name = "the type says what it is";
    }
}
message! {
    pub(super) OPEN_TELEMETRY, refuse_open_telemetry: OpenTelemetryConfig
        as "envoy.config.trace.v3.OpenTelemetryConfig" {
        used: grpc_service;
        refused: http_service, exporter, resource_detectors, sampler;
        ignored: service_name = "`telemetry` says once who the process is",
            max_cache_size = "a collector's `queue_max` says how much may wait",
            set_telemetry_sdk_resource_attributes = "the resource is `telemetry`'s",
            set_service_name_resource_attribute = "the resource is `telemetry`'s",
            set_instrumentation_scope = "the scope always says what made the spans";
    }
}
message! {
    pub(super) TAG, refuse_tag: CustomTag as "envoy.type.tracing.v3.CustomTag" {
        used: tag, r#type;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) LITERAL, refuse_literal: Literal as "envoy.type.tracing.v3.CustomTag.Literal" {
        used: value;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) HEADER, refuse_header: Header as "envoy.type.tracing.v3.CustomTag.Header" {
        used: name;
        refused: default_value;
        ignored: ;
    }
}

/// Puts what a connection manager says of tracing.
pub(super) fn put(refusals: &mut Refusals, map: &mut Map, path: &Path, tracing: &Tracing) {
    refuse_tracing(refusals, path, tracing);
    let mut fields = Map::new(path);
    match &tracing.provider {
        Some(named) => provider(refusals, &mut fields, &path.field("provider"), named),
        None => refusals.fault(path, "`provider` is missing"),
    }
    let overall = path.field("overall_sampling");
    if tracing
        .overall_sampling
        .is_some_and(|percent| percent.value < 100.0)
    {
        let help = "say `random_sampling`: what others have decided to keep is kept here, too";
        refusals.fault_with_help(
            &overall,
            "keeping less than what others keep is not implemented",
            help,
        );
    }
    if let Some(percent) = &tracing.random_sampling {
        let path = path.field("random_sampling");
        let mut sampling = Map::new(&path);
        sampling.put("percent", Value::plain(&path, shown(percent)));
        fields.put("sampling", sampling.into());
    }
    if !tracing.custom_tags.is_empty() {
        let path = path.field("custom_tags");
        let mut attributes = Map::new(&path);
        for (index, tag) in tracing.custom_tags.iter().enumerate() {
            attribute(refusals, &mut attributes, &path.index(index), tag);
        }
        fields.put("attributes", attributes.into());
    }
    if !tracing.operation.is_empty() {
        let path = path.field("operation");
        fields.put("span_name", Value::text(&path, tracing.operation.as_str()));
    }
    map.put("tracing", fields.into());
}

/// A percentage with as many digits as there may be.
fn shown(percent: &Percent) -> String {
    let text = format!("{:.4}", percent.value.clamp(0.0, 100.0));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn provider(refusals: &mut Refusals, fields: &mut Map, path: &Path, provider: &Provider) {
    refuse_provider(refusals, path, provider);
    let Some(ConfigType::TypedConfig(any)) = &provider.config_type else {
        refusals.fault(path, "`typed_config` is missing");
        return;
    };
    let path = path.field("typed_config");
    let url = type_url::<OpenTelemetryConfig>();
    let Some(config) = unpack::<OpenTelemetryConfig>(refusals, &path, any, &url) else {
        return;
    };
    refuse_open_telemetry(refusals, &path, &config);
    match &config.grpc_service {
        Some(service) => {
            let asked = grpc::service(refusals, &path.field("grpc_service"), service);
            // Envoy names a cluster, and a collector goes by its name.
            let named = |(name, value): (String, Value)| (name == "cluster").then_some(value);
            if let Some(collector) = asked.fields.into_fields().into_iter().find_map(named) {
                fields.put("collector", collector);
            }
        }
        None => refusals.fault(&path, "`grpc_service` is missing"),
    }
}

fn attribute(refusals: &mut Refusals, attributes: &mut Map, path: &Path, tag: &CustomTag) {
    refuse_tag(refusals, path, tag);
    let value = match &tag.r#type {
        Some(Type::Literal(literal)) => {
            let path = path.field("literal");
            refuse_literal(refusals, &path, literal);
            Value::text(&path.field("value"), literal.value.replace('%', "%%"))
        }
        Some(Type::RequestHeader(header)) => {
            let path = path.field("request_header");
            refuse_header(refusals, &path, header);
            Value::text(&path.field("name"), format!("%REQ({})%", header.name))
        }
        Some(_) => return refusals.unsupported(path, "a tag that is no literal and no request header"),
        None => return refusals.fault(path, "it says nothing"),
    };
    attributes.put(tag.tag.as_str(), value);
}
