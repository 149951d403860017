//! Errors of the data path: where they came from, and what is known of the request.

use crate::compression::EncodeError;
use crate::upstream::connect::ConnectFault;
use outrigger_telemetry::Overflow;
use outrigger_traffic::retry::AttemptFailure;
use std::io;

/// Why the downstream side of a request ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownstreamError {
    /// The client closed or reset its connection or stream.
    #[error("the downstream went away")]
    Gone,
    /// The client takes nothing of what was sent for too long.
    #[error("the downstream does not read")]
    Stalled,
    /// Writing or reading failed.
    #[error("downstream I/O: {0}")]
    Io(#[from] io::Error),
    /// What the client sent cannot be a message.
    #[error("malformed request: {0}")]
    Malformed(#[from] outrigger_http1::RequestError),
    /// The client broke HTTP/2's rules for this stream.
    #[error("HTTP/2 stream: {0}")]
    Http2(h2::Error),
}

/// Why one attempt failed, and what that says of the request.
#[derive(Debug)]
pub(crate) struct AttemptError {
    /// What happened, in the words of retry policy.
    pub(crate) failure: AttemptFailure,
    /// For `response_code_details`: snake case, no user values.
    pub(crate) detail: &'static str,
    /// Which limit was reached, if that is what happened.
    pub(crate) limit: Option<Overflow>,
    /// The cause, for the debug log.
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl From<ConnectFault> for AttemptError {
    fn from(fault: ConnectFault) -> AttemptError {
        AttemptError::new(fault.failure, fault.detail)
    }
}

impl From<EncodeError> for AttemptError {
    fn from(error: EncodeError) -> AttemptError {
        // The answer has begun: nothing is tried again.
        AttemptError::because(AttemptFailure::DiedAfterAnswer, "compression_failed", error)
    }
}

impl AttemptError {
    /// An error without a cause to show.
    pub(crate) fn new(failure: AttemptFailure, detail: &'static str) -> AttemptError {
        AttemptError {
            failure,
            detail,
            limit: None,
            source: None,
        }
    }

    /// With its cause.
    pub(crate) fn because(
        failure: AttemptFailure,
        detail: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> AttemptError {
        AttemptError {
            failure,
            detail,
            limit: None,
            source: Some(source.into()),
        }
    }
}
