//! Listeners for clients without a proxy: gRPC's own xDS clients ask for one by what they call.

use super::canonical;
use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, ConfigSource, config_source,
};
use envoy_types::pb::envoy::config::listener::v3::{ApiListener, Listener};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager::RouteSpecifier, http_filter::ConfigType,
};
use envoy_types::pb::google::protobuf::Any;
use prost::Name;

/// The listener of what is called `target` (`catalog.shop:80`), which goes by this route configuration.
pub fn api_listener(target: &str, route_configuration: &str) -> Vec<u8> {
    let source = ConfigSource {
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(
            AggregatedConfigSource {},
        )),
        resource_api_version: ApiVersion::V3 as i32,
        ..ConfigSource::default()
    };
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(&Router::default()))),
        ..HttpFilter::default()
    };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(source),
            route_config_name: route_configuration.to_owned(),
        })),
        http_filters: vec![router],
        ..HttpConnectionManager::default()
    };
    canonical::encode(&Listener {
        name: target.to_owned(),
        api_listener: Some(ApiListener {
            api_listener: Some(any(&manager)),
        }),
        ..Listener::default()
    })
}

fn any<T: prost::Message + Name>(message: &T) -> Any {
    Any {
        type_url: T::type_url(),
        value: canonical::encode(message),
    }
}
