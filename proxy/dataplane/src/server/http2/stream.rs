//! One stream of an HTTP/2 client: a request's side of its connection.

use crate::body::BodyFrame;
use crate::body::BodyLength;
use crate::error::DownstreamError;
use crate::head::response_to_http2;
use crate::http2::{Http2Receiver, Http2Sender};
use crate::rights;
use crate::timer::TimerSlot;
use bytes::Bytes;
use outrigger_http1::{Fields, ResponseHead};
use std::task::{Context, Poll};

/// One stream's halves.
pub(crate) struct ServerStream {
    pub(super) receiver: Http2Receiver,
    pub(super) expects_continue: bool,
    pub(super) respond: h2::server::SendResponse<Bytes>,
    pub(super) sender: Option<Http2Sender>,
    /// What an extended CONNECT asks for.
    pub(super) protocol: Option<h2::ext::Protocol>,
    pub(super) timer: TimerSlot,
}

impl ServerStream {
    #[inline]
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_ref().map(h2::ext::Protocol::as_str)
    }

    pub(crate) fn timer(&mut self) -> &mut TimerSlot {
        &mut self.timer
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame, DownstreamError>> {
        if std::mem::take(&mut self.expects_continue) && self.sender.is_none() {
            let mut head = ResponseHead::new();
            head.status = 100;
            self.send_informational(&head);
        }
        self.receiver.poll_body(cx).map_err(stream_error)
    }

    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        let reset = match &mut self.sender {
            Some(sender) => sender.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|_| DownstreamError::Gone)
    }

    pub(crate) fn send_informational(&mut self, head: &ResponseHead) {
        // Fails only if the stream is gone, which the next call tells.
        let _ = self.respond.send_informational(response_to_http2(head));
    }

    pub(crate) fn send_head(
        &mut self,
        head: &ResponseHead,
        length: BodyLength,
    ) -> Result<(), DownstreamError> {
        let end = length == BodyLength::None;
        let stream = self
            .respond
            .send_response(response_to_http2(head), end)
            .map_err(stream_error)?;
        self.sender = Some(Http2Sender::new(stream));
        Ok(())
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        match &mut self.sender {
            Some(sender) => sender.poll_room(cx).map_err(stream_error),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), DownstreamError> {
        match &mut self.sender {
            Some(sender) => sender.send_data(data, end).map_err(stream_error),
            None => Ok(()),
        }
    }

    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), DownstreamError> {
        match (&mut self.sender, trailers) {
            (Some(sender), Some(trailers)) => sender.send_trailers(trailers).map_err(stream_error),
            (Some(sender), None) => sender.finish().map_err(stream_error),
            (None, _) => Ok(()),
        }
    }

    pub(crate) fn end_early(&mut self, trailers: &Fields) -> bool {
        let sender = self.sender.as_mut().filter(|sender| !sender.is_waiting());
        sender.is_some_and(|sender| sender.send_trailers(trailers).is_ok())
    }

    pub(crate) fn abort(&mut self) {
        self.reset(h2::Reason::INTERNAL_ERROR);
    }

    pub(crate) fn cut(&mut self) {
        self.reset(rights::RESET_REASON);
    }

    fn reset(&mut self, reason: h2::Reason) {
        match &mut self.sender {
            Some(sender) => sender.reset(reason),
            None => self.respond.send_reset(reason),
        }
    }
}

fn stream_error(error: h2::Error) -> DownstreamError {
    if error.is_reset() && error.is_remote() || error.is_go_away() && error.is_remote() || error.is_io() {
        DownstreamError::Gone
    } else {
        DownstreamError::Http2(error)
    }
}
