//! The upstream side: one attempt's stream to an endpoint, in either version of HTTP.

pub(crate) mod connect;
pub(crate) mod dial;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod socket;

use crate::body::{BodyFrame, BodyLength};
use crate::error::AttemptError;
use crate::tls;
use crate::tunnel::Side;
use bytes::Bytes;
use outrigger_http1::{Fields, RequestHead, ResponseHead};
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// What came while waiting for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseStart {
    /// An interim response, in the head; another head follows.
    Informational,
    /// The response's head, and what is known of its body.
    Final(BodyLength),
    /// The response's head, which says that what was asked for is there: what follows is the tunnel's.
    Tunnel,
}

/// What a request asks the upstream to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// This protocol, in lower case; for HTTP/1 the head names it too.
    Protocol(&'a str),
    /// A tunnel, by CONNECT.
    Connect,
}

/// One attempt's stream. Dropping it before its end gives the attempt up: an HTTP/1 connection is closed, an HTTP/2
/// stream is reset.
pub(crate) enum Upstream {
    Http1(http1::Exchange),
    /// Boxed: it is several times the other, which every HTTP/1 request would move.
    Http2(Box<http2::Exchange>),
}

impl Upstream {
    /// TLS of the connection.
    pub(crate) fn tls(&self) -> Option<&tls::Session> {
        match self {
            Upstream::Http1(exchange) => exchange.tls(),
            Upstream::Http2(exchange) => exchange.tls(),
        }
    }

    /// Our address on the connection.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Upstream::Http1(exchange) => exchange.local_address(),
            Upstream::Http2(exchange) => exchange.local_address(),
        }
    }

    /// The endpoint's address on the connection, where the endpoint has several.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Upstream::Http1(exchange) => exchange.peer_address(),
            Upstream::Http2(exchange) => exchange.peer_address(),
        }
    }

    /// Sends the request's head. Nothing leaves before the first [`Upstream::poll_flush`] or [`Upstream::poll_room`].
    #[inline(always)]
    pub(crate) fn send_head(
        &mut self,
        head: &RequestHead,
        length: BodyLength,
        tls: bool,
    ) -> Result<(), AttemptError> {
        match self {
            Upstream::Http1(exchange) => {
                exchange.send_head(head, length);
                Ok(())
            }
            Upstream::Http2(exchange) => exchange.send_head(head, length, tls),
        }
    }

    /// Sends the head of a request that asks for a tunnel.
    pub(crate) fn send_head_for(
        &mut self,
        head: &RequestHead,
        wanted: Wanted<'_>,
        tls: bool,
    ) -> Result<(), AttemptError> {
        match self {
            Upstream::Http1(exchange) => {
                exchange.send_head(head, BodyLength::None);
                exchange.expect(wanted);
                Ok(())
            }
            Upstream::Http2(exchange) => exchange.send_head_for(head, wanted, tls),
        }
    }

    /// True if the connection speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Upstream::Http2(_))
    }

    /// True if upgrades can be asked for on the connection: the peer has said so, or it speaks HTTP/1.
    pub(crate) fn takes_protocols(&self) -> bool {
        match self {
            Upstream::Http1(_) => true,
            Upstream::Http2(exchange) => exchange.takes_protocols(),
        }
    }

    /// The tunnel's side, once [`ResponseStart::Tunnel`] came. An HTTP/1 connection is its own from here on.
    ///
    /// # Panics
    /// If no request was sent before.
    pub(crate) fn into_side(self) -> Side {
        match self {
            Upstream::Http1(exchange) => Side::Upstream(exchange.into_connection()),
            Upstream::Http2(exchange) => Side::Http2(Box::new(exchange.into_side())),
        }
    }

    /// Ready when the next piece of the request's body may be sent.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        match self {
            Upstream::Http1(exchange) => exchange.poll_room(cx),
            Upstream::Http2(exchange) => exchange.poll_room(cx),
        }
    }

    /// Sends a piece of the request's body.
    pub(crate) fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), AttemptError> {
        match self {
            Upstream::Http1(exchange) => exchange.send_data(data, end),
            Upstream::Http2(exchange) => exchange.send_data(data, end),
        }
    }

    /// Ends the request, with trailers if there are any.
    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), AttemptError> {
        match self {
            Upstream::Http1(exchange) => exchange.finish(trailers),
            Upstream::Http2(exchange) => exchange.finish(trailers),
        }
    }

    /// Ready when all that was sent has left (HTTP/1) or is the connection's to send (HTTP/2).
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        match self {
            Upstream::Http1(exchange) => exchange.poll_flush(cx),
            Upstream::Http2(exchange) => exchange.poll_room(cx),
        }
    }

    /// The next head of the response, into `head`.
    #[inline(always)]
    pub(crate) fn poll_head(
        &mut self,
        head: &mut ResponseHead,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseStart, AttemptError>> {
        match self {
            Upstream::Http1(exchange) => exchange.poll_head(head, cx),
            Upstream::Http2(exchange) => exchange.poll_head(head, cx),
        }
    }

    /// The next frame of the response's body.
    #[inline(always)]
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame, AttemptError>> {
        match self {
            Upstream::Http1(exchange) => exchange.poll_body(cx),
            Upstream::Http2(exchange) => exchange.poll_body(cx),
        }
    }

    /// Trailers that are there with the head, before any body. Nothing is waited for, and nothing is lost: they come as the
    /// next frame, too.
    pub(crate) fn peek_trailers(&mut self) -> Option<&Fields> {
        match self {
            Upstream::Http1(_) => None,
            Upstream::Http2(exchange) => exchange.peek_trailers(),
        }
    }

    /// The response was read to its end: the connection may serve another request if it can.
    #[inline(always)]
    pub(crate) fn complete(self) {
        match self {
            Upstream::Http1(exchange) => exchange.complete(),
            Upstream::Http2(exchange) => exchange.complete(),
        }
    }
}
