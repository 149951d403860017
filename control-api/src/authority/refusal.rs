//! Why no certificate is given.

use super::join_token::JoinTokensFault;
use super::request::RequestFault;
use super::signer::SignerFault;
use std::time::Duration;
use tonic::{Code, Status};

/// Why no certificate is given. Texts hold no secret and no control character.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The signing request does not hold.
    #[error("{0}")]
    Request(#[from] RequestFault),
    /// It was not shown who asks.
    #[error("{0}")]
    Unauthenticated(String),
    /// Whoever asks may not have this identity.
    #[error("{0}")]
    Forbidden(String),
    /// A token for one certificate has given it.
    #[error("join token `{0}` was used already; expected another, or the certificate that it gave")]
    Spent(String),
    /// The identity has had too many.
    #[error("too many certificates of this identity; expected another try after {} s", .0.as_secs().max(1))]
    RateLimited(Duration),
    /// The tokens cannot be looked at.
    #[error("{0}")]
    JoinTokens(#[from] JoinTokensFault),
    /// There is nothing to sign with.
    #[error("{0}")]
    Signer(#[from] SignerFault),
    /// It cannot be written down.
    #[error("cannot write the audit log, without which nothing is issued: {0}")]
    Audit(String),
}

impl Refusal {
    /// Every label.
    pub(super) const LABELS: &'static [&'static str] = &[
        "request",
        "unauthenticated",
        "forbidden",
        "spent",
        "rate_limited",
        "unavailable",
    ];

    /// What counts it.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::Request(_) => "request",
            Refusal::Unauthenticated(_) => "unauthenticated",
            Refusal::Forbidden(_) => "forbidden",
            Refusal::Spent(_) => "spent",
            Refusal::RateLimited(_) => "rate_limited",
            Refusal::JoinTokens(_) | Refusal::Signer(_) | Refusal::Audit(_) => "unavailable",
        }
    }

    fn code(&self) -> Code {
        match self {
            Refusal::Request(_) => Code::InvalidArgument,
            Refusal::Unauthenticated(_) | Refusal::Spent(_) => Code::Unauthenticated,
            Refusal::Forbidden(_) => Code::PermissionDenied,
            Refusal::RateLimited(_) => Code::ResourceExhausted,
            Refusal::JoinTokens(_) | Refusal::Signer(_) | Refusal::Audit(_) => Code::Unavailable,
        }
    }
}

impl From<Refusal> for Status {
    /// What is wrong inside is told to our log, not to who asks.
    fn from(refusal: Refusal) -> Status {
        let code = refusal.code();
        match refusal {
            Refusal::JoinTokens(_) | Refusal::Signer(_) | Refusal::Audit(_) => {
                tracing::warn!(error = %refusal, "cannot issue certificates");
                Status::new(
                    code,
                    "the authority cannot issue certificates now; its log says why",
                )
            }
            _ => Status::new(code, refusal.to_string()),
        }
    }
}
