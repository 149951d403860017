//! Says of messages that they are compressed (gRPC's `PROTOCOL-HTTP2.md`, "Length-Prefixed-Message"). What does it in `tonic`
//! compresses by itself, and is a feature that everything else would be built with.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use outrigger_config::model::CollectorCompression;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

/// The first byte of a message that is compressed.
const COMPRESSED: u8 = 1;

/// A channel to which each request has one message, compressed as it says.
#[derive(Clone)]
pub(super) struct Framed {
    channel: Channel,
    compression: CollectorCompression,
}

impl Framed {
    pub(super) fn new(channel: Channel, compression: CollectorCompression) -> Framed {
        Framed { channel, compression }
    }
}

impl Service<Request<Body>> for Framed {
    type Response = Response<Body>;
    type Error = <Channel as Service<Request<Body>>>::Error;
    type Future = <Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.compression {
            CollectorCompression::None => self.channel.call(request),
            CollectorCompression::Gzip => self.channel.call(compressed(request)),
        }
    }
}

fn compressed(request: Request<Body>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    let gzip = HeaderValue::from_static("gzip");
    head.headers.insert("grpc-encoding", gzip);
    let mut is_marked = false;
    let body = body.map_frame(move |frame| match frame.into_data() {
        Ok(data) if !is_marked && !data.is_empty() => {
            is_marked = true;
            Frame::data(marked(data))
        }
        Ok(data) => Frame::data(data),
        Err(frame) => frame,
    });
    Request::from_parts(head, Body::new(body))
}

/// The beginning of a message, which says from now on that it is compressed.
fn marked(data: Bytes) -> Bytes {
    let mut data = BytesMut::from(data);
    if let Some(first) = data.first_mut() {
        *first = COMPRESSED;
    }
    data.freeze()
}
