//! OTLP over HTTP/1.1, with bodies in protobuf.

use super::ANSWER_BYTES_MAX;
use crate::dial;
use crate::export::failure::Failure;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use outrigger_config::model::{Collector, CollectorCompression};
use outrigger_identity::Material;
use std::time::SystemTime;
use tokio::task::JoinSet;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));

pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// What drives it; dropped, and so ended, with it.
    _driver: JoinSet<Result<(), hyper::Error>>,
}

impl Connection {
    pub(super) async fn open(
        collector: &Collector,
        material: &Material,
        mark: Option<u32>,
    ) -> Result<Connection, Failure> {
        let identity = match collector.tls() {
            Some(tls) => {
                let identity = outrigger_identity::upstream(tls, &["http/1.1"], material);
                Some(identity.map_err(Failure::configuration)?)
            }
            None => None,
        };
        let endpoint = collector.endpoint();
        let stream = dial::open(endpoint.host(), endpoint.port(), mark, identity.as_ref()).await;
        let stream = stream.map_err(|error| Failure::connection(&error))?;
        let (requests, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::connection(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Connection {
            requests,
            _driver: driver,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    pub(super) async fn send(
        &mut self,
        collector: &Collector,
        path: &str,
        message: Bytes,
    ) -> Result<Bytes, Failure> {
        let request = request(collector, path, message)?;
        let broken = |error: hyper::Error| Failure::connection(&error);
        self.requests.ready().await.map_err(broken)?;
        let response = self.requests.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let after = head
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            let failure = Failure::of_http(head.status.as_u16(), after, SystemTime::now());
            // Read to its end, so that the connection goes on.
            let _ = read(body).await;
            return Err(failure);
        }
        // By its head it was taken; of an answer that breaks off nothing more is known.
        Ok(read(body).await.unwrap_or_default())
    }
}

fn request(collector: &Collector, path: &str, message: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
    let endpoint = collector.endpoint();
    let mut request = Request::new(Full::new(message));
    *request.method_mut() = Method::POST;
    let target = format!("{}{path}", endpoint.path());
    *request.uri_mut() = target.parse().map_err(Failure::configuration)?;
    let host = HeaderValue::try_from(endpoint.authority()).map_err(Failure::configuration)?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(CONTENT_TYPE, PROTOBUF);
    if collector.compression() == CollectorCompression::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(ACCEPT, PROTOBUF);
    headers.insert(USER_AGENT, AGENT);
    for (name, value) in collector.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        // Both were checked when the configuration was read.
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(value.expose())) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    Ok(request)
}

/// The body; none if it breaks off or is too long.
async fn read(body: Incoming) -> Option<Bytes> {
    let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await.ok()?;
    Some(whole.to_bytes())
}
