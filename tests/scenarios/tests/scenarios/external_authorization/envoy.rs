//! Envoy in front of the same service and upstream: what it tells and does, and what we do.

use super::{allow_with, asking_grpc, deny_with, header};
use crate::programs::envoy::{HTTP2, Setup};
use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authorization::{Authorization, Check};
use outrigger_harness::{Proxy, client};
use std::net::SocketAddr;

const FILTER: &str = "'@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, \
     transport_api_version: V3, grpc_service: { envoy_grpc: { cluster_name: authz }, timeout: 60s }";

/// What both see and do with a request: the status, its headers for the client, those for the upstream, what was told.
async fn seen(address: SocketAddr, path: &str, upstream: &Scripted, service: &Authorization) -> Vec<String> {
    let sent = "x-user: mallory\r\nx-roles: a\r\nx-gone: g\r\nx-two: 1\r\nx-two: 2\r\n";
    let response = client::fetch(address, path, sent).await;
    let mut seen = vec![format!("{} {:?}", response.status(), response.text())];
    for name in ["x-checked", "www-authenticate", "x-why", "content-type"] {
        seen.push(format!("client {name}: {:?}", response.field(name)));
    }
    let check: Check = service.last_check();
    let http = check.http();
    seen.push(format!(
        "told {} {} {} {}",
        http.method, http.path, http.query, http.protocol
    ));
    seen.push(format!(
        "told {} {} {:?}",
        http.scheme,
        http.size,
        http.headers.get("x-two")
    ));
    for name in [":method", ":path", ":scheme"] {
        seen.push(format!("told {name}: {:?}", http.headers.get(name)));
    }
    if response.status() == 200 {
        let head = upstream.last_request().head;
        for name in ["x-user", "x-roles", "x-gone", "x-twice"] {
            let values: Vec<&str> = head.all(name).flat_map(|value| value.split(',')).collect();
            seen.push(format!("upstream {name}: {values:?}"));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tell_and_do_the_same() {
    let upstream = Scripted::ok().await;
    let service = Authorization::start(|check| match check.http().path.as_str() {
        "/no" => deny_with(
            401,
            vec![
                header("www-authenticate", "Basic", false),
                header("x-why", "w", false),
            ],
            "who are you?",
        ),
        _ => allow_with(OkHttpResponse {
            headers: vec![
                header("x-user", "alice", false),
                header("x-roles", "b", true),
                header("x-twice", "1", false),
            ],
            headers_to_remove: vec!["x-gone".into(), "host".into()],
            response_headers_to_add: vec![header("x-checked", "yes", true)],
            ..OkHttpResponse::default()
        }),
    })
    .await;
    let setup = Setup::to(&[upstream.address()], "").filter(FILTER).with_cluster(
        "authz",
        &[service.address()],
        HTTP2,
    );
    let Some(envoy) = setup.start().await else { return };
    let envoys = envoy.address().await;
    let proxy = Proxy::start(asking_grpc(upstream.address(), &[service.address()], "")).await;
    for path in ["/yes?a=b", "/no"] {
        let theirs = seen(envoys, path, &upstream, &service).await;
        let ours = seen(proxy.address(), path, &upstream, &service).await;
        assert_eq!(ours, theirs, "{path}");
    }
}
