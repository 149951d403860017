//! What downstream connections come to.

use crate::cell::labelled::Label;

labels! {
    /// Which HTTP version a connection speaks.
    pub enum HttpProtocol = "protocol" {
        /// HTTP/1.0 and HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
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
}
