//! The values of the fixed labels: every reason that a count can have.
//!
//! Adding a variant adds a series; nothing else has to change.

/// Declares a label's values. Those that are marked `from_zero` are shown before they have counted anything, in the
/// families that do so: rules for alerts look at how they grow, and what a series begins with is no growth.
macro_rules! labels {
    (@from_zero) => { false };
    (@from_zero from_zero) => { true };
    ($($(#[$meta:meta])* pub enum $name:ident = $label:literal {
        $($(#[$variant_meta:meta])* $variant:ident = $value:literal $($from_zero:ident)?,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// How many values there are.
            pub const COUNT: usize = <$name as Label>::VALUES.len();

            /// The label's value.
            pub const fn as_str(self) -> &'static str {
                <$name as Label>::VALUES[self as usize]
            }
        }

        impl Label for $name {
            const NAME: &'static str = $label;
            const VALUES: &'static [&'static str] = &[$($value),*];
            const FROM_ZERO: &'static [bool] = &[$(labels!(@from_zero $($from_zero)?)),*];

            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}

mod authorization;
mod balancing;
mod breakers;
mod connections;
mod control;
mod deadline;
mod export;
mod fault;
mod health;
mod hedging;
mod overload;
mod process;
mod rate_limit;
mod requests;
mod retry;
mod tls;
mod tracing;
mod upstream;

pub use authorization::{
    AuthorizationOutcome, DecisionCacheUse, ExternalAuthorizationFault, ExternalAuthorizationOutcome,
    KeySetFetch, TokenRefusal,
};
pub use balancing::ZoneRouting;
pub use breakers::Overflow;
pub use connections::{
    ConnectionClose, ConnectionRefusal, Detected, HttpProtocol, RightLost, SpliceFallback, TunnelEnd,
    UpgradeProtocol,
};
pub use control::{ControlUpdate, LastGoodWrite, ReportOutcome, StreamEnd};
pub use deadline::DeadlineWait;
pub use export::{ExportDrop, ExportFailure};
pub use fault::{FaultInjected, FaultSkipped};
pub use health::{CheckOutcome, EjectionEnd, EjectionPrevented, HealthChange, Outlier};
pub use hedging::{CancelledAttempt, HedgeDenied};
pub use overload::OverloadRefusal;
pub use process::{RenewalResult, ScrapeOutcome, SourceFailure, UpgradeOutcome};
pub use rate_limit::{RateLimitFault, RateLimitKeyDrop, RateLimitOutcome};
pub use requests::{
    CodeClass, Coding, CorsOrigin, EdgeAnswerKind, MirrorDrop, NotCompressed, SessionCookieUse,
    TooLongResponse,
};
pub use retry::{RetryDenied, RetryReason, RetryWait};
pub use tls::{TlsFailure, TlsHandshake, TlsVersion};
pub use tracing::{SamplingDecision, TailReason};
pub use upstream::{
    AttemptEnd, ConnectionFailure, ConnectionProtocol, DestinationRefusal, ResolutionOutcome, UpstreamClose,
};
