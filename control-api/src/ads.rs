//! Nodes' streams: the Aggregated Discovery Service, state of the world and delta.
//!
//! Each stream is one task: it reads requests, hands them to the session of its node, and sends what the session wants
//! sent. What the node is to have is the [`Fleet`]'s to say; who may be which node, [`Access`]'s.

mod metrics;
mod retry;
mod secrets;
mod stream;

#[cfg(test)]
mod tests;

pub use metrics::AdsMetrics;

use crate::access::Access;
use crate::authority::Authority;
use crate::fleet::Fleet;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use http::HeaderMap;
use outrigger_xds::session::{Request, Response, Variant};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// A request at most: 100,000 names of 100 bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A response at most: as what our proxy reads.
const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Responses that wait to be written; the session sends one a type and waits for its answer.
const RESPONSES_MAX: usize = 8;

/// Serves nodes.
#[derive(Clone)]
pub struct Ads {
    fleet: Arc<Fleet>,
    access: Arc<Access>,
    authority: Option<Arc<Authority>>,
    drain: watch::Receiver<bool>,
    metrics: AdsMetrics,
}

impl Ads {
    /// A service for these nodes; streams end when `drain` turns true. With an authority, nodes that make no key of their
    /// own are given identities.
    pub fn new(
        fleet: Arc<Fleet>,
        access: Arc<Access>,
        authority: Option<Arc<Authority>>,
        drain: watch::Receiver<bool>,
        metrics: AdsMetrics,
    ) -> Ads {
        Ads {
            fleet,
            access,
            authority,
            drain,
            metrics,
        }
    }

    /// The gRPC service.
    pub fn service(self) -> AggregatedDiscoveryServiceServer<Ads> {
        AggregatedDiscoveryServiceServer::new(self)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX)
    }

    fn start<Q, R>(
        &self,
        request: tonic::Request<tonic::Streaming<Q>>,
        variant: Variant,
        kind: stream::Kind<Q, R>,
    ) -> Result<Responses<R>, Status>
    where
        Q: Send + 'static,
        R: Send + 'static,
    {
        let (metadata, extensions, incoming) = request.into_parts();
        let headers: HeaderMap = metadata.into_headers();
        let caller = self
            .access
            .identify(&to_http(&extensions), &headers, SystemTime::now())
            .map_err(|denied| stream::denied(&denied))?;
        // Nothing is read of whom nobody knows.
        let known = self.access.known(&caller);
        known.map_err(|denied| stream::denied(&denied))?;
        let (sender, responses) = mpsc::channel(RESPONSES_MAX);
        let stream = stream::Stream::new(self.clone(), caller, variant, kind, sender);
        tokio::spawn(stream.run(incoming));
        Ok(tonic::Response::new(ReceiverStream::new(responses)))
    }
}

type Responses<R> = tonic::Response<ReceiverStream<Result<R, Status>>>;

/// The connection's other end, which [`crate::listen`] put among the request's extensions.
fn to_http(extensions: &tonic::Extensions) -> http::Extensions {
    let mut found = http::Extensions::new();
    if let Some(peer) = extensions.get::<Arc<crate::listen::Peer>>() {
        found.insert(Arc::clone(peer));
    }
    found
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        request: tonic::Request<tonic::Streaming<DiscoveryRequest>>,
    ) -> Result<Responses<DiscoveryResponse>, Status> {
        let kind = stream::Kind {
            take: Request::StateOfTheWorld,
            give: |response| match response {
                Response::StateOfTheWorld(response) => Some(response),
                Response::Delta(_) => None,
            },
        };
        self.start(request, Variant::StateOfTheWorld, kind)
    }

    async fn delta_aggregated_resources(
        &self,
        request: tonic::Request<tonic::Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Responses<DeltaDiscoveryResponse>, Status> {
        let kind = stream::Kind {
            take: Request::Delta,
            give: |response| match response {
                Response::Delta(response) => Some(response),
                Response::StateOfTheWorld(_) => None,
            },
        };
        self.start(request, Variant::Delta, kind)
    }
}
