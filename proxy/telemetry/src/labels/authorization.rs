//! What is decided on who may do what: by policies, by services that are asked, by tokens.

use crate::cell::labelled::Label;

labels! {
    /// What authorization policies decided.
    pub enum AuthorizationOutcome = "outcome" {
        /// It may pass.
        Allowed = "allowed",
        /// It may not.
        Denied = "denied",
        /// It could pass if shadow policies were in force.
        ShadowAllowed = "shadow_allowed",
        /// It could not pass if shadow policies were in force.
        ShadowDenied = "shadow_denied",
        /// An AUDIT policy matches it.
        Audited = "audited",
    }

    /// What became of a request that an authorization service was to decide on.
    pub enum ExternalAuthorizationOutcome = "outcome" {
        /// The service, now or before, says yes.
        Allowed = "allowed",
        /// The service, now or before, says no.
        Denied = "denied",
        /// There is no decision: it was refused.
        Failed = "failed",
        /// There is no decision: it was let through.
        FailureAllowed = "failure_allowed",
        /// Its body is longer than what the service is told: 413.
        BodyTooLong = "body_too_long",
    }

    /// Why an authorization service has decided nothing.
    pub enum ExternalAuthorizationFault = "reason" {
        /// Its cluster has no endpoint.
        NoEndpoint = "no_endpoint",
        /// No connection could be made.
        Connect = "connect",
        /// It took too long.
        Timeout = "timeout",
        /// It broke off before the end of its answer.
        Broken = "broken",
        /// It answered 5xx, or with a status of gRPC other than OK.
        Status = "status",
        /// It says itself that it has failed.
        Declared = "declared",
        /// Its answer cannot be read.
        Unreadable = "unreadable",
        /// Its answer is too long.
        TooLong = "too_long",
        /// It wants a header or parameter that cannot be.
        InvalidChange = "invalid_change",
        /// The request cannot be asked about in its protocol.
        NotExpressible = "not_expressible",
        /// The worker holds as many bytes of bodies as it may.
        Memory = "memory",
    }

    /// Whether there was a decision that had been kept.
    pub enum DecisionCacheUse = "result" {
        /// There was.
        Hit = "hit",
        /// There was none.
        Miss = "miss",
    }

    /// Why a token was not accepted.
    pub enum TokenRefusal = "reason" {
        /// It is no token, or says what is not understood.
        Malformed = "malformed",
        /// It is longer than any token that is read.
        TooLong = "too_long",
        /// Different ones stand in one request.
        Multiple = "multiple",
        /// Its algorithm is not allowed.
        Algorithm = "algorithm",
        /// It is not its provider's.
        Issuer = "issuer",
        /// It is meant for others.
        Audience = "audience",
        /// Its time has passed, or it says none where it has to.
        Expired = "expired",
        /// Its time is still to come.
        NotYetValid = "not_yet_valid",
        /// No key is the one that it names.
        UnknownKey = "unknown_key",
        /// Its signature is by none of the keys.
        Signature = "signature",
        /// There are no keys yet.
        KeysUnavailable = "keys_unavailable",
    }

    /// What came of asking for a key set.
    pub enum KeySetFetch = "result" {
        /// A key set.
        Success = "success",
        /// Its server's name cannot be resolved, or it cannot be connected to, or the connection broke.
        Network = "network",
        /// No TLS with its server.
        Tls = "tls",
        /// No answer in time.
        Timeout = "timeout",
        /// Another status than 200; redirects are not followed.
        Status = "status",
        /// Longer than any key set.
        TooLong = "too_long",
        /// What came is no key set that could be used.
        Invalid = "invalid",
        /// The file cannot be read.
        Unreadable = "unreadable",
    }
}
