//! What a client and an upstream see of a whole proxy: one behaviour per module.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod architecture;
mod backpressure;
mod compression;
mod cors;
mod detection;
mod dns;
mod edge_https;
mod edges;
mod grpc;
mod http1;
mod http2_cold_start;
mod http2_combinations;
mod http2_floods;
mod http2_pool;
mod http2_requests;
mod http2_streams;
mod http2_upstream;
mod http2_windows;
mod lifecycle;
mod mirroring;
mod namespaces;
mod pages;
mod programs;
mod proxy_protocol;
mod reload;
mod retries;
mod routing;
mod session_cookies;
mod strictness_requests;
mod strictness_responses;
mod tcp;
mod tls;
mod trusted_proxies;
mod upgrade_in_place;
mod upgrades;
