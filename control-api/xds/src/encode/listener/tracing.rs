//! Tracing, as far as a connection manager can say it. The whole of it stands in the chain's metadata, too.

use crate::encode::{canonical, filters, value};
use envoy_types::pb::envoy::config::trace::v3::OpenTelemetryConfig;
use envoy_types::pb::envoy::config::trace::v3::tracing::{Http as Provider, http::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager;
use envoy_types::pb::envoy::r#type::tracing::v3::{
    CustomTag,
    custom_tag::{Header, Literal, Type},
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use outrigger_config::model::{HeaderValue, HeaderValuePart, Tracing, defaults};

/// The message. A collector is the cluster of its name to Envoy.
pub(super) fn message(tracing: &Tracing) -> http_connection_manager::Tracing {
    let collector = tracing.collector().as_str();
    let service = filters::grpc_service(collector, None, defaults::COLLECTOR_TIMEOUT);
    let provider = OpenTelemetryConfig {
        grpc_service: Some(service),
        ..OpenTelemetryConfig::default()
    };
    let parts = tracing.sampling().fraction().parts_per_million();
    http_connection_manager::Tracing {
        random_sampling: Some(Percent {
            value: f64::from(parts) / 10_000.0,
        }),
        custom_tags: tracing.attributes().iter().filter_map(tag).collect(),
        provider: Some(Provider {
            name: "envoy.tracers.opentelemetry".to_owned(),
            config_type: Some(ConfigType::TypedConfig(canonical::any(&provider))),
        }),
        spawn_upstream_span: Some(value::boolean(true)),
        ..http_connection_manager::Tracing::default()
    }
}

/// A tag; none where Envoy has no word for it.
fn tag((key, value): (&String, &HeaderValue)) -> Option<CustomTag> {
    let told = match value {
        HeaderValue::Text(text) => Type::Literal(Literal { value: text.clone() }),
        HeaderValue::Parts(parts) => match &parts[..] {
            [HeaderValuePart::RequestHeader(name)] => Type::RequestHeader(Header {
                name: name.as_str().to_owned(),
                default_value: String::new(),
            }),
            _ => return None,
        },
    };
    Some(CustomTag {
        tag: key.clone(),
        r#type: Some(told),
    })
}
