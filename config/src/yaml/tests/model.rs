//! Values of a document arrive in the model.

mod access_logs;
mod authorization;
mod clusters;
mod control;
mod edge;
mod identities;
mod jwt;
mod listeners;
mod resilience;
mod routes;
mod telemetry;
mod tls;
mod tracing;

use super::{valid, with_http};
use crate::model::{HttpOptions, ProxyHeader, defaults};
use std::time::Duration;

fn http(fields: &str) -> HttpOptions {
    valid(&with_http(fields)).config.listeners()[0].filter_chains()[0]
        .mode()
        .http()
        .unwrap()
        .clone()
}

#[test]
fn an_empty_map_is_a_configuration_of_defaults() {
    let config = valid("{}\n").config;
    assert_eq!(config.admin().address(), defaults::ADMIN_ADDRESS);
    assert_eq!(config.runtime().workers(), None);
    assert_eq!(config.drain().grace(), defaults::DRAIN_GRACE);
    assert_eq!(config.drain().timeout(), defaults::DRAIN_TIMEOUT);
}

#[test]
fn http_defaults_are_the_named_constants() {
    let http = http("");
    assert_eq!(http.request_headers_bytes_max(), defaults::HEADERS_BYTES_MAX);
    assert_eq!(http.request_headers_count_max(), defaults::HEADERS_COUNT_MAX);
    assert_eq!(http.request_headers_timeout(), defaults::REQUEST_HEADERS_TIMEOUT);
    assert_eq!(http.idle_timeout(), defaults::IDLE_TIMEOUT);
    assert_eq!(http.stream_idle_timeout(), Some(defaults::STREAM_IDLE_TIMEOUT));
    assert_eq!(http.connection_age_max(), None);
    assert_eq!(http.requests_per_connection_max(), None);
    assert_eq!(
        http.server_header(),
        &ProxyHeader::Set(defaults::SERVER_NAME.into())
    );
    assert_eq!(http.via_header(), &ProxyHeader::Pass);
    assert_eq!(
        http.http2().stream_window_bytes(),
        defaults::HTTP2_STREAM_WINDOW_BYTES
    );
    assert_eq!(http.http2().keepalive_interval(), None);
    assert!(http.access_logs().is_empty());
}

#[test]
fn limits_may_be_turned_off() {
    let off = http("stream_idle_timeout: off, connection_age_max: 5m, requests_per_connection_max: 7");
    assert_eq!(off.stream_idle_timeout(), None);
    assert_eq!(off.connection_age_max(), Some(Duration::from_secs(300)));
    assert_eq!(off.requests_per_connection_max(), Some(7));
}
