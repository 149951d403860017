//! A connection to a collector.

mod grpc;
mod http;

use super::compression::gzip;
use super::failure::Failure;
use super::signal::Signal;
use bytes::Bytes;
use outrigger_config::model::{Collector, CollectorCompression, CollectorProtocol};
use outrigger_identity::{Basis, Material};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an answer at most: a count and a few words.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A connection that requests are sent on, one after the other.
pub(super) struct Connection {
    collector: Arc<Collector>,
    /// What its TLS was made of.
    basis: Option<Basis>,
    transport: Transport,
}

enum Transport {
    Grpc(grpc::Connection),
    Http(http::Connection),
}

impl Connection {
    /// Connects, with TLS if the collector has it. Without a time limit of its own; may be dropped at any time.
    pub(super) async fn open(
        collector: &Arc<Collector>,
        material: &Material,
        mark: Option<u32>,
    ) -> Result<Connection, Failure> {
        let transport = match collector.protocol() {
            CollectorProtocol::Grpc => {
                Transport::Grpc(grpc::Connection::open(collector, material, mark).await?)
            }
            CollectorProtocol::Http => {
                Transport::Http(http::Connection::open(collector, material, mark).await?)
            }
        };
        Ok(Connection {
            collector: Arc::clone(collector),
            basis: basis(collector, material),
            transport,
        })
    }

    /// It leads to this collector, and its TLS is what would be spoken now; and it is open, as far as is known.
    pub(super) fn is_for(&self, collector: &Collector, material: &Material) -> bool {
        let is_open = match &self.transport {
            Transport::Grpc(_) => true,
            Transport::Http(http) => http.is_open(),
        };
        is_open && *self.collector == *collector && self.basis == basis(collector, material)
    }

    /// Sends a request and gives the answer's message. Dropped before it is done, the connection is not to be used again.
    pub(super) async fn send<S: Signal>(
        &mut self,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Failure> {
        let message = match self.collector.compression() {
            CollectorCompression::None => message,
            CollectorCompression::Gzip => gzip(&message).await,
        };
        match &mut self.transport {
            Transport::Grpc(grpc) => grpc.send(&self.collector, S::METHOD, message, timeout).await,
            Transport::Http(http) => http.send(&self.collector, S::PATH, message).await,
        }
    }
}

fn basis(collector: &Collector, material: &Material) -> Option<Basis> {
    let tls = collector.tls().as_ref();
    tls.map(|tls| Basis::of_upstream(tls, material))
}
