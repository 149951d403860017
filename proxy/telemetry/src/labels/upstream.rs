//! What connections to endpoints, and questions for their addresses, come to.

use crate::cell::labelled::Label;

labels! {
    /// What ended an attempt before there was the head of an answer.
    pub enum AttemptEnd = "reason" {
        /// There was no connection, it broke, or what came is no answer.
        Failed = "failed" from_zero,
        /// Time was up.
        TimedOut = "timed_out" from_zero,
        /// Its connection took no more requests, as it turned out: it is made again on another at once.
        Moved = "moved",
        /// A limit of the cluster left no connection for it.
        Overflow = "overflow" from_zero,
        /// Another attempt of the same request was answered first.
        Cancelled = "cancelled",
        /// The client left, or broke the protocol.
        Downstream = "downstream",
        /// The proxy would not go on: the request is too long, or has lost its right.
        Refused = "refused",
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
}
