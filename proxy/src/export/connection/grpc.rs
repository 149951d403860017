//! OTLP over gRPC. Messages are bytes here: they were encoded once, for however many attempts.

mod framed;

use super::ANSWER_BYTES_MAX;
use crate::export::failure::Failure;
use crate::grpc::{self, ChannelError};
use bytes::{Buf, BufMut, Bytes};
use framed::Framed;
use outrigger_config::model::Collector;
use outrigger_identity::Material;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::{Request, Status};

pub(super) struct Connection(Grpc<Framed>);

impl Connection {
    pub(super) async fn open(
        collector: &Collector,
        material: &Material,
        mark: Option<u32>,
    ) -> Result<Connection, Failure> {
        let endpoint = collector.endpoint();
        let tls = collector.tls().as_ref();
        let channel = grpc::connect_marked(endpoint.host(), endpoint.port(), mark, tls, material).await;
        let channel = channel.map_err(|error| match &error {
            ChannelError::Configuration { .. } => Failure::configuration(&error),
            ChannelError::Unreachable(cause) => Failure::connection(cause),
        })?;
        Ok(Connection(
            Grpc::new(Framed::new(channel, collector.compression()))
                .max_decoding_message_size(ANSWER_BYTES_MAX),
        ))
    }

    pub(super) async fn send(
        &mut self,
        collector: &Collector,
        method: &'static str,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Failure> {
        self.0
            .ready()
            .await
            .map_err(|error| Failure::connection(&error))?;
        let mut request = Request::new(message);
        request.set_timeout(timeout);
        for (name, value) in collector.headers() {
            let key = MetadataKey::<Ascii>::from_bytes(name.as_str().as_bytes());
            let value = MetadataValue::<Ascii>::try_from(value.expose());
            // Both were checked when the configuration was read.
            if let (Ok(key), Ok(mut value)) = (key, value) {
                value.set_sensitive(true);
                request.metadata_mut().insert(key, value);
            }
        }
        let path = PathAndQuery::from_static(method);
        let answered = self.0.unary(request, path, Whole).await;
        let answer = answered.map_err(|status| Failure::of_status(&status))?;
        Ok(answer.into_inner())
    }
}

/// Messages as their bytes.
#[derive(Clone, Copy)]
struct Whole;

impl Codec for Whole {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Whole;
    type Decoder = Whole;

    fn encoder(&mut self) -> Whole {
        Whole
    }
    fn decoder(&mut self) -> Whole {
        Whole
    }
}

impl Encoder for Whole {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Whole {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
