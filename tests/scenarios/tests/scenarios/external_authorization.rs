//! External authorization: what the service is told, what client and upstream see of what it says, and what becomes of
//! requests when it says nothing.

mod bodies;
mod cache;
mod envoy;
mod failures;
mod grpc;
mod http;
mod identity;
mod rights;

use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::pb::google::rpc::Status;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authorization::{Authorization, Said};
use outrigger_harness::{Document, Proxy};
use std::net::SocketAddr;

const OUTCOMES: &str = "outrigger_listener_external_authorizations_total";
const FAULTS: &str = "outrigger_listener_external_authorization_faults_total";
const QUESTIONS: &str = "outrigger_listener_external_authorization_questions_total";

/// The status in a `CheckResponse`, and what goes with it.
fn response(code: i32, http_response: Option<HttpResponse>) -> Said {
    Said::Response(Box::new(CheckResponse {
        status: Some(Status {
            code,
            ..Status::default()
        }),
        http_response,
        ..CheckResponse::default()
    }))
}

fn allow() -> Said {
    response(0, None)
}

fn allow_with(ok: OkHttpResponse) -> Said {
    response(0, Some(HttpResponse::OkResponse(ok)))
}

fn deny_with(status: i32, headers: Vec<HeaderValueOption>, body: &str) -> Said {
    response(
        7,
        Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: status }),
            headers,
            body: body.into(),
        })),
    )
}

#[expect(deprecated, reason = "it is what services of this protocol use")]
fn header(name: &str, value: &str, append: bool) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.into(),
            value: value.into(),
            ..HeaderValue::default()
        }),
        append: append.then_some(BoolValue { value: true }),
        ..HeaderValueOption::default()
    }
}

/// Everything goes to `upstream`, and is asked about over gRPC. `fields` are more of `external_authorization`. Time is
/// plenty: what is tested is never how long it took.
fn asking_grpc(upstream: SocketAddr, service: &[SocketAddr], fields: &str) -> Document {
    let timeout = if fields.contains("timeout:") {
        ""
    } else {
        ", timeout: 1h"
    };
    Document::to(&[upstream])
        .with_cluster("authz", service, "protocol: http2")
        .http(&format!(
            "external_authorization: {{ grpc: {{ cluster: authz }}{timeout}{fields} }}"
        ))
}

/// The same over HTTP; `service_fields` are more of `http`.
fn asking_http(upstream: SocketAddr, service: &[SocketAddr], service_fields: &str, fields: &str) -> Document {
    let timeout = if fields.contains("timeout:") {
        ""
    } else {
        ", timeout: 1h"
    };
    Document::to(&[upstream])
        .with_cluster("authz", service, "")
        .http(&format!(
            "external_authorization: {{ http: {{ cluster: authz{service_fields} }}{timeout}{fields} }}"
        ))
}

/// A proxy in front of an upstream that answers `ok`, whose requests a service decides on over gRPC.
struct Scene {
    upstream: Scripted,
    service: Authorization,
    proxy: Proxy,
}

impl Scene {
    async fn new(
        fields: &str,
        answer: impl Fn(&outrigger_fixtures::authorization::Check) -> Said + Send + Sync + 'static,
    ) -> Scene {
        Scene::edited(fields, answer, |document| document).await
    }

    async fn edited(
        fields: &str,
        answer: impl Fn(&outrigger_fixtures::authorization::Check) -> Said + Send + Sync + 'static,
        edit: impl FnOnce(Document) -> Document,
    ) -> Scene {
        let upstream = Scripted::ok().await;
        let service = Authorization::start(answer).await;
        let document = asking_grpc(upstream.address(), &[service.address()], fields);
        let proxy = Proxy::start(edit(document)).await;
        Scene {
            upstream,
            service,
            proxy,
        }
    }

    async fn outcome(&self, outcome: &str) -> f64 {
        self.proxy
            .admin()
            .metric(&format!("{OUTCOMES}{{outcome=\"{outcome}\"}}"))
            .await
    }
}
