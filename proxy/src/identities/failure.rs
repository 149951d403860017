//! Why a source of identities gave nothing, in words and as a label.

use crate::failure_text::{printable, with_causes};
use outrigger_telemetry::SourceFailure;
use std::error::Error;
use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};

/// Why an attempt came to nothing. Holds no key and no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: SourceFailure,
    text: String,
    /// By the protocol it is of no use to ask again.
    pub(crate) is_final: bool,
}

impl Failure {
    pub(crate) fn new(reason: SourceFailure, text: impl Into<String>) -> Failure {
        Failure {
            reason,
            text: text.into(),
            is_final: false,
        }
    }

    /// What was answered cannot be used.
    pub(super) fn answer(text: impl fmt::Display) -> Failure {
        Failure::new(
            SourceFailure::Answer,
            format!("the answer cannot be used: {text}"),
        )
    }

    /// Nobody was reached, or the connection broke.
    pub(super) fn unreachable(error: &(dyn Error + 'static)) -> Failure {
        Failure::new(SourceFailure::Unreachable, with_causes(error))
    }

    /// Nothing was answered in time.
    pub(super) fn timeout(after: Duration) -> Failure {
        Failure::new(SourceFailure::Timeout, format!("no answer within {after:?}"))
    }

    /// The answer of gRPC is an error.
    pub(super) fn status(status: &Status) -> Failure {
        if let Some(cause) = status.source() {
            // Made here, of a connection that broke, and not by the peer.
            return Failure::unreachable(cause);
        }
        let reason = match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => SourceFailure::Denied,
            Code::Unavailable => SourceFailure::Unreachable,
            Code::DeadlineExceeded => SourceFailure::Timeout,
            // So says this side's decoder.
            Code::Internal if status.message().contains("decode Protobuf") => SourceFailure::Answer,
            _ => SourceFailure::Status,
        };
        let text = format!("{:?}: {}", status.code(), printable(status.message()));
        Failure::new(reason, text)
    }

    /// As it is, of what must not be asked again.
    pub(super) fn finally(mut self) -> Failure {
        self.is_final = true;
        self
    }

    /// Without a secret that the peer may have repeated.
    pub(super) fn without(mut self, secret: &str) -> Failure {
        if !secret.is_empty() {
            self.text = self.text.replace(secret, "[redacted]");
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_cut_and_cleaned() {
        let failure = Failure::status(&Status::internal("a\nb".to_owned() + &"c".repeat(1000)));
        assert_eq!(failure.reason, SourceFailure::Status);
        let text = failure.to_string();
        assert!(text.starts_with("Internal: a bccc") && text.len() < 220, "{text}");
    }

    #[test]
    fn a_token_that_is_repeated_is_not_kept() {
        let failure = Failure::status(&Status::unauthenticated("bad token eyJhbGciOi")).without("eyJhbGciOi");
        assert_eq!(failure.to_string(), "Unauthenticated: bad token [redacted]");
        assert_eq!(failure.reason, SourceFailure::Denied);
    }
}
