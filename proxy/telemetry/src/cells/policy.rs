//! What is counted of who asks and what they may: identities, authorization, rate limits and tokens.

use super::{Cells, Family};
use crate::cell::histogram::Histogram;
use crate::cell::labelled::CounterBy;
use crate::cell::{Counter, Series, SharedGauge, Terms};
use crate::exposition::Heading;
use crate::labels::{
    AuthorizationOutcome, CodeClass, KeySetFetch, RateLimitFault, RateLimitKeyDrop, RateLimitOutcome,
    TokenRefusal,
};

cells! {
    /// What one worker counts for clients of one identity.
    pub struct SourceCells ["source_identity"] {
        /// Requests by mutual TLS, by who made them and the class of the status sent; other: identities beyond the limit.
        requests: CounterBy<CodeClass, { CodeClass::COUNT }> = "outrigger_downstream_identity_requests_total",
    }

    /// What one worker counts for a filter chain's decisions by authorization policies, those of its routes included.
    pub struct AuthorizationCells ["listener", "filter_chain"] {
        /// Requests and TCP connections that policies were asked about, once more where there are shadow or AUDIT policies.
        decisions: CounterBy<AuthorizationOutcome, { AuthorizationOutcome::COUNT }> =
            "outrigger_authorization_decisions_total",
    }

    /// What one worker counts for an authorization policy.
    pub struct PolicyCells ["policy"] {
        /// Decisions that this policy made; what is denied because no ALLOW policy matches is no policy's.
        decisions: CounterBy<AuthorizationOutcome, { AuthorizationOutcome::COUNT }> =
            "outrigger_authorization_policy_decisions_total",
    }

    /// What one worker counts for a rate limit.
    pub struct RateLimitCells ["rate_limit"] {
        /// What the limit said of requests and connections, by what became of them.
        decisions: CounterBy<RateLimitOutcome, { RateLimitOutcome::COUNT }> =
            "outrigger_rate_limit_decisions_total",
        /// Values of its descriptor that are counted now.
        keys: SharedGauge = "outrigger_rate_limit_keys",
        /// Values of its descriptor that were forgotten because there were too many, by whether their bucket was full.
        keys_dropped: CounterBy<RateLimitKeyDrop, { RateLimitKeyDrop::COUNT }> =
            "outrigger_rate_limit_keys_dropped_total",
        /// From a question to its service to the end of the answer.
        service_duration: Histogram = "outrigger_rate_limit_service_duration_seconds",
        /// Times that its service could not tell, by reason; also headers of its refusals that could not be sent.
        service_faults: CounterBy<RateLimitFault, { RateLimitFault::COUNT }> =
            "outrigger_rate_limit_service_faults_total",
    }

    /// What one worker counts for a JWT provider.
    pub struct TokenCells ["provider"] {
        /// Tokens accepted.
        verified: Counter = "outrigger_jwt_tokens_verified_total",
        /// Tokens accepted without looking at their signature again.
        remembered: Counter = "outrigger_jwt_tokens_remembered_total",
        /// Tokens that were not accepted, by reason. A request may be served all the same, for the sake of another.
        refused: CounterBy<TokenRefusal, { TokenRefusal::COUNT }> = "outrigger_jwt_tokens_refused_total",
    }

    /// What is counted for the keys of a JWT provider. One task writes at a time.
    pub struct KeySetCells ["provider"] {
        /// Times that the key set was read or fetched, by what came of it.
        fetches: CounterBy<KeySetFetch, { KeySetFetch::COUNT }> = "outrigger_jwks_fetches_total",
        /// Keys in force.
        keys: SharedGauge = "outrigger_jwks_keys",
        /// Keys of the set in force that are not used: not for signatures, or of a kind that is not supported.
        keys_left_out: SharedGauge = "outrigger_jwks_keys_left_out",
        /// When the key set in force was last read or fetched, in seconds since 1970; 0 while there is none.
        fetch_time: SharedGauge = "outrigger_jwks_fetch_timestamp_seconds",
        /// 1 while the key set could not be read or fetched the last time.
        failing: SharedGauge = "outrigger_jwks_failing",
    }
}
