//! How a call of gRPC ended, for metrics, traces and the flight recorder; access logs read it by rules of their own.

use super::Record;
use outrigger_http1::{Fields, KnownName, ResponseHead};
use outrigger_telemetry::{GrpcOutcome, RouteCells, grpc_status};

/// What is known of a request that is a call of gRPC.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct GrpcCall {
    /// The status in the head of its answer.
    status: Option<u16>,
}

impl Record {
    /// It is a call of gRPC, and none that asks for a tunnel.
    #[inline]
    pub(in super::super) fn is_grpc(&self) -> bool {
        self.grpc.is_some()
    }

    /// Notes what the head of an answer says of a call: it may be all of the answer.
    #[inline(never)]
    pub(super) fn note_grpc_status(&mut self, head: &ResponseHead) {
        self.grpc = Some(GrpcCall {
            status: status_in(&head.fields),
        });
        // The recorder keeps its status with its story.
        self.story();
    }

    /// The status that the client was told: the trailers', or else the head's.
    pub(super) fn grpc_status(&self) -> Option<u16> {
        let trailers = self.trailers.as_deref().and_then(status_in);
        trailers.or(self.grpc?.status)
    }

    /// Counts the call by its status. An answer that has none is what gRPC's clients take it for, if it came to its end.
    #[inline(never)]
    pub(super) fn count_call(&self, route: &RouteCells) {
        let outcome = match self.grpc_end() {
            Some(status) => u32::from(status).into(),
            None => GrpcOutcome::NONE,
        };
        route.grpc_requests.inc(outcome);
    }

    /// The status that a call ended with: what its client was told or, of an answer that came to its end without any, what
    /// gRPC's clients take that for. None: it was cut off, or is no call.
    pub(super) fn grpc_end(&self) -> Option<u16> {
        self.grpc?;
        let was_cut = self.status == 0 || (self.status == 200 && !self.flags.is_empty());
        self.grpc_status()
            .or_else(|| (!was_cut).then(|| grpc_status::of_http(self.status).into()))
    }
}

fn status_in(fields: &Fields) -> Option<u16> {
    std::str::from_utf8(fields.get(KnownName::GrpcStatus)?)
        .ok()?
        .parse()
        .ok()
}
