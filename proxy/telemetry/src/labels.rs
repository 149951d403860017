//! The values of the fixed labels: every reason that a count can have.
//!
//! Adding a variant adds a series; nothing else has to change.

use crate::cell::labelled::Label;

/// Declares a label's values.
macro_rules! labels {
    ($($(#[$meta:meta])* pub enum $name:ident = $label:literal {
        $($(#[$variant_meta:meta])* $variant:ident = $value:literal,)*
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

            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}

mod balancing;
mod breakers;
mod deadline;
mod fault;
mod hedging;
mod overload;
mod rate_limit;
mod retry;

pub use balancing::ZoneRouting;
pub use breakers::Overflow;
pub use deadline::DeadlineWait;
pub use fault::{FaultInjected, FaultSkipped};
pub use hedging::{CancelledAttempt, HedgeDenied};
pub use overload::OverloadRefusal;
pub use rate_limit::{RateLimitFault, RateLimitKeyDrop, RateLimitOutcome};
pub use retry::{RetryDenied, RetryReason, RetryWait};
mod health;

pub use health::{CheckOutcome, EjectionEnd, EjectionPrevented, HealthChange, Outlier};

labels! {
    /// A response's status by its first digit.
    pub enum CodeClass = "code_class" {
        /// No status was ever sent or received: one side went away first.
        None = "none",
        /// 100 to 199.
        Informational = "1xx",
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399.
        Redirection = "3xx",
        /// 400 to 499.
        ClientError = "4xx",
        /// 500 and above.
        ServerError = "5xx",
    }

    /// Which HTTP version a connection speaks.
    pub enum HttpProtocol = "protocol" {
        /// HTTP/1.0 and HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
    }

    /// What a connection to an endpoint carries.
    pub enum ConnectionProtocol = "protocol" {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
        /// The bytes of one downstream connection.
        Tcp = "tcp",
    }

    /// What a connection of a filter chain that detects protocols turned out to be.
    pub enum Detected = "outcome" {
        /// The client began with an HTTP/1 request line.
        Http1 = "http1",
        /// The client began with HTTP/2's preface.
        Http2 = "http2",
        /// The client began with a TLS ClientHello, which is passed through.
        Tls = "tls",
        /// The client began with anything else: TCP.
        Tcp = "tcp",
        /// The server spoke first: TCP.
        ServerFirst = "server_first",
        /// The client said too little for too long: TCP.
        Silent = "silent",
        /// The client ended its side before it could be told: TCP.
        Ended = "ended",
        /// The client was gone before it could be told.
        Gone = "gone",
    }

    /// Why bytes of a long flow are copied through this process where the kernel could have moved them.
    pub enum SpliceFallback = "reason" {
        /// As many pipes as may be are in use.
        PipesMax = "pipes_max",
        /// The kernel gave no pipe.
        NoPipe = "no_pipe",
        /// The kernel cannot splice these sockets.
        Unsupported = "unsupported",
    }

    /// Why a downstream connection was closed at once.
    pub enum ConnectionRefusal = "reason" {
        /// The listener has as many connections as it may.
        Limit = "limit",
        /// More connections came than may in this time.
        Rate = "rate",
        /// The process has as many connections as it may.
        ProcessLimit = "process_limit",
        /// The process is near what it may have.
        Overload = "overload",
        /// No filter chain matches.
        NoFilterChain = "no_filter_chain",
        /// HTTP without TLS, where only TLS is served; answered 400.
        PlainHttp = "plain_http",
        /// The listener or the process drains.
        Drain = "drain",
        /// The first bytes, by which the filter chain is chosen, did not come in time.
        DetectionTimeout = "detection_timeout",
        /// The peer closed, or the socket failed, before a filter chain was chosen.
        Detection = "detection",
        /// A PROXY protocol header is required, and none came.
        ProxyProtocolMissing = "proxy_protocol_missing",
        /// The PROXY protocol header is wrong.
        ProxyProtocolMalformed = "proxy_protocol_malformed",
        /// The PROXY protocol header did not come in time.
        ProxyProtocolTimeout = "proxy_protocol_timeout",
        /// It is one that this proxy made itself: the rules that lead connections here do not let its own pass.
        Loop = "loop",
    }

    /// Why a TLS handshake failed, of either side.
    pub enum TlsFailure = "reason" {
        /// It took too long.
        Timeout = "timeout",
        /// The peer closed or reset the connection before its end.
        Closed = "closed",
        /// The peer sent an alert that says nothing of certificates.
        Alert = "alert",
        /// The peer sent an alert about certificates: it does not accept ours, or wants one.
        CertificateRefused = "certificate_refused",
        /// What came is not TLS, or breaks its rules.
        Protocol = "protocol",
        /// No version, suite or application protocol in common.
        NothingShared = "nothing_shared",
        /// The peer showed no certificate.
        CertificateMissing = "certificate_missing",
        /// The peer's certificate, or one that it is issued by, has expired.
        CertificateExpired = "certificate_expired",
        /// The peer's certificate, or one that it is issued by, is not valid yet.
        CertificateNotYetValid = "certificate_not_yet_valid",
        /// The peer's certificate leads to no authority that is believed.
        CertificateUnknownAuthority = "certificate_unknown_authority",
        /// The peer's certificate does not name who it must be, or names it in a way that is not allowed.
        CertificateName = "certificate_name",
        /// The peer's certificate, or one that it is issued by, is revoked.
        CertificateRevoked = "certificate_revoked",
        /// It cannot be known whether the peer's certificate is revoked: no list says so, or only an outdated one.
        CertificateRevocationUnknown = "certificate_revocation_unknown",
        /// The peer's identity is on a list of those that are denied.
        CertificateDenied = "certificate_denied",
        /// The peer's certificate cannot be used for anything else: broken, not for this purpose, against a constraint.
        CertificateInvalid = "certificate_invalid",
        /// Our own certificate has expired, or there is none yet.
        OwnCertificate = "own_certificate",
    }

    /// Whether a TLS handshake was made anew.
    pub enum TlsHandshake = "kind" {
        /// Certificates were shown and judged.
        Full = "full",
        /// An earlier session went on.
        Resumed = "resumed",
    }

    /// A version of TLS.
    pub enum TlsVersion = "version" {
        /// 1.2.
        Tls12 = "1.2",
        /// 1.3.
        Tls13 = "1.3",
    }

    /// Why a downstream connection ended.
    pub enum ConnectionClose = "reason" {
        /// No request for too long.
        Idle = "idle",
        /// It reached its greatest age.
        AgeMax = "age_max",
        /// It carried as many requests as it may.
        RequestsMax = "requests_max",
        /// The process is near what it may have, and ends connections that are free.
        Overload = "overload",
        /// The listener or the process drains.
        Drain = "drain",
        /// A socket error.
        Error = "error",
        /// The peer closed it.
        Peer = "peer",
        /// The endpoint that its bytes went to closed or failed, or none could be had.
        Upstream = "upstream",
        /// Authorization policies do not allow it.
        Unauthorized = "unauthorized",
        /// There were too many of its kind: a rate limit.
        RateLimited = "rate_limited",
        /// A message was refused, and what follows it cannot be read safely.
        Protocol = "protocol",
        /// One side asked with `Connection: close`, or HTTP/1.0 ended.
        Requested = "requested",
        /// It had become a tunnel, which ended.
        Tunnel = "tunnel",
        /// It lost its right to be here.
        RightLost = "right_lost",
    }

    /// What took a connection, a request or a tunnel its right to go on.
    pub enum RightLost = "reason" {
        /// The peer's certificate is on a revocation list, or its identity is denied.
        Revoked = "identity_revoked",
        /// Nobody who is still believed vouches for the peer's certificate, or it names nobody who may come.
        Untrusted = "identity_untrusted",
        /// The peer has shown no certificate, or speaks plain text, where it must not any more.
        Unidentified = "identity_missing",
        /// Authorization policies.
        Unauthorized = "authorization_revoked",
    }

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

    /// What a client asks its connection or stream to become.
    pub enum UpgradeProtocol = "protocol" {
        /// A WebSocket, over either version of HTTP.
        WebSocket = "websocket",
        /// CONNECT.
        Connect = "connect",
        /// Any other protocol.
        Other = "other",
    }

    /// Why a tunnel ended.
    pub enum TunnelEnd = "reason" {
        /// Both sides ended it in order.
        Closed = "closed",
        /// The downstream reset it, or its connection died.
        DownstreamReset = "downstream_reset",
        /// The upstream reset it, or its connection died.
        UpstreamReset = "upstream_reset",
        /// Nothing moved in either direction for too long.
        Idle = "idle",
        /// It reached its greatest age.
        Age = "age",
        /// Its filter chain left the configuration, and the drain's time is up.
        Drain = "drain",
        /// It lost its right, or the upstream did.
        RightLost = "right_lost",
    }

    /// What the proxy answered in place of a route, or of a local reply, because a virtual host's edge policy says so.
    pub enum EdgeAnswerKind = "answer" {
        /// A redirect to HTTPS.
        HttpsRedirect = "https_redirect",
        /// A refusal of what cannot be redirected to HTTPS.
        HttpsRequired = "https_required",
        /// The maintenance page.
        Maintenance = "maintenance",
        /// A page in place of a local reply.
        ErrorPage = "error_page",
    }

    /// The coding that a response was compressed by.
    pub enum Coding = "coding" {
        /// gzip.
        Gzip = "gzip",
        /// Brotli.
        Brotli = "br",
        /// Zstandard.
        Zstd = "zstd",
    }

    /// Why a response was not compressed on a filter chain that compresses.
    pub enum NotCompressed = "reason" {
        /// Its route turns compression off.
        Route = "route",
        /// Its status, or that of its request's method, is of no kind that is compressed; or it has no body.
        Status = "status",
        /// It is a part of something (206, or a content-range).
        Range = "range",
        /// It has a content coding already.
        ContentEncoding = "content_encoding",
        /// Its media type is not listed.
        ContentType = "content_type",
        /// It says that it must not be changed.
        NoTransform = "no_transform",
        /// It says its own digest.
        Digest = "digest",
        /// It is too short.
        TooShort = "too_short",
        /// The client speaks HTTP/1.0.
        Http10 = "http_1_0",
        /// The client accepts no coding that is configured, or likes none of them better.
        NotAccepted = "not_accepted",
        /// The worker has as many encoders as it may.
        Memory = "memory",
    }

    /// Why a connection to an endpoint could not be made.
    pub enum ConnectionFailure = "reason" {
        /// Refused by the endpoint.
        Refused = "refused",
        /// Not ready within `connect_timeout`.
        Timeout = "timeout",
        /// The TLS handshake failed.
        Tls = "tls",
        /// Any other error of the socket.
        Io = "io",
        /// The protocol's own greeting failed: HTTP/2 settings, or ALPN chose what we do not speak.
        Protocol = "protocol",
    }

    /// Why a connection to an endpoint ended.
    pub enum UpstreamClose = "reason" {
        /// Unused for too long.
        Idle = "idle",
        /// It reached its greatest age.
        AgeMax = "age_max",
        /// It carried as many requests as it may.
        RequestsMax = "requests_max",
        /// A socket error.
        Error = "error",
        /// The endpoint closed it.
        Peer = "peer",
        /// The endpoint sent GOAWAY.
        Goaway = "goaway",
        /// The endpoint sent bytes that nobody had asked for.
        UnsolicitedBytes = "unsolicited_bytes",
        /// The endpoint left the configuration, or the process drains.
        Drained = "drained",
        /// The endpoint broke its protocol.
        Protocol = "protocol",
        /// One side asked with `Connection: close`.
        Requested = "requested",
        /// The downstream connection whose bytes it carried ended.
        Downstream = "downstream",
        /// It was opened ahead, and the client then spoke another protocol.
        Unused = "unused",
        /// A request was given up halfway, and HTTP/1 has no other way to say so.
        Abandoned = "abandoned",
        /// It had become a tunnel, which ended.
        Tunnel = "tunnel",
        /// The endpoint's certificate is believed no more.
        RightLost = "right_lost",
        /// It was idle at the limit of connections, and others waited.
        GaveWay = "gave_way",
    }

    /// Why a connection is not forwarded where it was meant for.
    pub enum DestinationRefusal = "reason" {
        /// The cluster's list of allowed destinations does not hold it.
        NotAllowed = "not_allowed",
        /// The proxy listens there itself; so it is for connections that were not led here from elsewhere.
        Loop = "loop",
    }

    /// What became of a response that is longer than its route allows.
    pub enum TooLongResponse = "result" {
        /// It announced its length: 502 was sent instead.
        Refused = "refused",
        /// Its length showed while it streamed: it was cut.
        Cut = "cut",
    }

    /// Whether a cross-origin request's origin is allowed.
    pub enum CorsOrigin = "origin" {
        /// It is.
        Valid = "valid",
        /// It is not.
        Invalid = "invalid",
    }

    /// What became of a session cookie.
    pub enum SessionCookieUse = "result" {
        /// The endpoint that it names is there: the request went to it.
        Kept = "kept",
        /// There was none that could be read.
        New = "new",
        /// The endpoint that it names is not there any more: the request went to another.
        Moved = "moved",
        /// The same, and the route sends such requests nowhere else: 503.
        Refused = "refused",
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

    /// Why a copy of a request was dropped.
    pub enum MirrorDrop = "reason" {
        /// The worker had as many copies under way as it may.
        Limit = "limit",
        /// The request's body is longer than what is copied.
        BodyTooLong = "body_too_long",
        /// As many bytes as may be are kept.
        Memory = "memory",
        /// The mirror's cluster has as many requests as it may.
        Overflow = "overflow",
        /// The request ended before its body did.
        Incomplete = "incomplete",
        /// The mirror's cluster has no endpoint.
        NoEndpoint = "no_endpoint",
        /// No connection to the mirror could be made.
        Connect = "connect",
        /// The mirror broke off before the end of its answer.
        Failed = "failed",
        /// The mirror took too long.
        Timeout = "timeout",
        /// The mirror's answer is longer than what is read to be thrown away.
        AnswerTooLong = "answer_too_long",
        /// The process ended.
        Drain = "drain",
    }

    /// What came of a question to DNS.
    pub enum ResolutionOutcome = "outcome" {
        /// Records.
        Success = "success",
        /// There are none, said who ought to know.
        Empty = "empty",
        /// No resolver answered in time.
        Timeout = "timeout",
        /// SERVFAIL.
        ServerFailure = "server_failure",
        /// REFUSED.
        Refused = "refused",
        /// Another error code, or a referral to other servers.
        ErrorCode = "error_code",
        /// The resolver cannot be reached, or none is configured.
        Network = "network",
        /// The answer makes no sense.
        Protocol = "protocol",
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

    /// What became of an upgrade in place.
    pub enum UpgradeOutcome = "outcome" {
        /// This process took the sockets of another.
        TakenOver = "taken_over",
        /// Another process took this one's, which drains.
        HandedOver = "handed_over",
        /// Another process came and did not get ready: this one went on.
        Failed = "failed",
        /// Another process came and was turned away.
        Refused = "refused",
    }

    /// What came of an attempt to have a certificate anew.
    pub enum RenewalResult = "result" {
        /// A new one is in force, or the one that is has been confirmed.
        Success = "success",
        /// The one before stays in force.
        Failure = "failure",
    }

    /// Why certificates, authorities or revocation lists could not be had anew.
    pub enum SourceFailure = "reason" {
        /// Their source cannot be reached, or the connection broke.
        Unreachable = "unreachable",
        /// Their source took too long.
        Timeout = "timeout",
        /// Their source says that we may not have them.
        Denied = "denied",
        /// Their source answered with another error.
        Status = "status",
        /// What their source answered cannot be used, or is not what was asked for.
        Answer = "answer",
        /// Their source has identities for us, and not this one.
        NotGiven = "not_given",
        /// The token that shows who we are cannot be read.
        Token = "token",
        /// No key of our own could be made.
        Key = "key",
        /// A file cannot be read.
        Unreadable = "unreadable",
        /// A file's contents cannot be used.
        Contents = "contents",
        /// A certificate's file and its key's do not belong together.
        Mismatch = "mismatch",
    }
}

impl CodeClass {
    /// The class of a status; 0 is [`CodeClass::None`], and what is no class of HTTP counts as 5xx, as RFC 9110
    /// section 15 reads it.
    #[inline]
    pub const fn of(status: u16) -> CodeClass {
        match status / 100 {
            0 => CodeClass::None,
            1 => CodeClass::Informational,
            2 => CodeClass::Success,
            3 => CodeClass::Redirection,
            4 => CodeClass::ClientError,
            _ => CodeClass::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_class_of_its_first_digit() {
        let table = [
            (0, "none"),
            (100, "1xx"),
            (204, "2xx"),
            (399, "3xx"),
            (404, "4xx"),
            (503, "5xx"),
            (999, "5xx"),
        ];
        for (status, class) in table {
            assert_eq!(CodeClass::of(status).as_str(), class, "{status}");
        }
    }
}
