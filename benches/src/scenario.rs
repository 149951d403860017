//! What is measured: each scenario's protocols, load and names.

use std::net::SocketAddr;

use clap::ValueEnum;
use serde::Serialize;

use crate::certificate::Certificate;
use crate::load::tools::{ClosedLoop, Tool};
use crate::upstream::Addresses;

/// Connections of HTTP/1 loads.
const HTTP1_CONNECTIONS: u32 = 64;
/// HTTP/2 loads keep as many requests in flight as HTTP/1 ones, on fewer connections.
const HTTP2_CONNECTIONS: u32 = 4;
const HTTP2_STREAMS: u32 = 16;
const LARGE_BODY_CONNECTIONS: u32 = 16;
/// Connections that are made at once where each serves one request.
const HANDSHAKE_CONNECTIONS: u32 = 8;

/// One row of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// HTTP/1.1 on both sides, 1 KiB.
    Http1,
    /// As `http1`, with an access log of JSON lines.
    AccessLog,
    /// As `http1`, with 1,000 authorization policies; they are asked of ours alone.
    Authorization,
    /// As `http1`, without the flight recorder, which ours alone has.
    RecorderOff,
    /// As `http1`, where one of a hundred requests is traced and told to a collector; asked of ours alone.
    #[value(name = "tracing-1")]
    #[serde(rename = "tracing-1")]
    Tracing1,
    /// As `tracing-1`, where all are.
    #[value(name = "tracing-100")]
    #[serde(rename = "tracing-100")]
    Tracing100,
    /// HTTP/2 in, HTTP/1.1 out, 1 KiB.
    #[value(name = "h2-h1")]
    #[serde(rename = "h2-h1")]
    H2H1,
    /// HTTP/2 on both sides, 1 KiB.
    #[value(name = "h2-h2")]
    #[serde(rename = "h2-h2")]
    H2H2,
    /// TLS 1.3 with HTTP/1.1 in, HTTP/1.1 out, 1 KiB.
    TlsH1,
    /// As `tls-h1`, 16 MiB at a time.
    TlsBulk,
    /// HTTP/1.1 in, mutual TLS 1.3 between two hops of one product in one process, HTTP/1.1 out, 1 KiB.
    MtlsPair,
    /// A connection with a full handshake of mutual TLS 1.3 for each request.
    HandshakeFull,
    /// As `handshake-full`, with sessions resumed.
    HandshakeResumed,
    /// HTTP/1.1 on both sides, 64 KiB.
    #[value(name = "body-64k")]
    #[serde(rename = "body-64k")]
    Body64k,
    /// HTTP/1.1 on both sides, 1 MiB.
    #[value(name = "body-1m")]
    #[serde(rename = "body-1m")]
    Body1m,
    /// TCP, 1 KiB there and back, on 64 connections.
    #[value(name = "tcp-1k")]
    #[serde(rename = "tcp-1k")]
    Tcp1k,
    /// TCP, 16 MiB at a time; a request is one of them.
    TcpBulk,
    /// Messages of 1 KiB in WebSockets over HTTP/1.1, there and back.
    #[value(name = "websocket")]
    #[serde(rename = "websocket")]
    WebSocket,
    /// How long a client waits for the banner of a server that speaks first; ours detects the protocol meanwhile.
    Banner,
    /// Resident memory: at start, and for each idle connection.
    Memory,
    /// Latency at 4,000 requests a second, HTTP/1.1, 1 KiB.
    Latency,
}

/// A protocol of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/2 in the clear, by prior knowledge.
    Http2,
    /// HTTP/1.1 over TLS 1.3; downstream only.
    TlsHttp1,
    /// HTTP/1.1 over TLS 1.3 with certificates of both sides; downstream only.
    MutualTlsHttp1,
    /// Bytes.
    Tcp,
    /// Whatever comes: HTTP, or bytes of which the server may send the first; downstream only. A product that must be
    /// told is told that it is bytes.
    Detected,
    /// WebSockets over HTTP/1.1 in the clear.
    WebSocket,
}

impl Scenario {
    /// The name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::AccessLog => "access-log",
            Self::Authorization => "authorization",
            Self::RecorderOff => "recorder-off",
            Self::Tracing1 => "tracing-1",
            Self::Tracing100 => "tracing-100",
            Self::H2H1 => "h2-h1",
            Self::H2H2 => "h2-h2",
            Self::TlsH1 => "tls-h1",
            Self::TlsBulk => "tls-bulk",
            Self::MtlsPair => "mtls-pair",
            Self::HandshakeFull => "handshake-full",
            Self::HandshakeResumed => "handshake-resumed",
            Self::Body64k => "body-64k",
            Self::Body1m => "body-1m",
            Self::Tcp1k => "tcp-1k",
            Self::TcpBulk => "tcp-bulk",
            Self::WebSocket => "websocket",
            Self::Banner => "banner",
            Self::Memory => "memory",
            Self::Latency => "latency",
        }
    }

    /// What the proxy accepts.
    pub(crate) fn downstream(self) -> Protocol {
        match self {
            Self::H2H1 | Self::H2H2 => Protocol::Http2,
            Self::TlsH1 | Self::TlsBulk => Protocol::TlsHttp1,
            Self::HandshakeFull | Self::HandshakeResumed => Protocol::MutualTlsHttp1,
            Self::Tcp1k | Self::TcpBulk => Protocol::Tcp,
            Self::WebSocket => Protocol::WebSocket,
            Self::Banner => Protocol::Detected,
            _ => Protocol::Http1,
        }
    }

    /// What the proxy speaks to the upstream.
    pub(crate) fn upstream(self) -> Protocol {
        match self {
            Self::H2H2 => Protocol::Http2,
            Self::Tcp1k | Self::TcpBulk | Self::Banner => Protocol::Tcp,
            Self::WebSocket => Protocol::WebSocket,
            _ => Protocol::Http1,
        }
    }

    /// Which of the upstream's addresses serves this.
    pub(crate) fn target(self, upstream: Addresses) -> SocketAddr {
        match self {
            Self::H2H2 => upstream.http2,
            Self::Tcp1k | Self::WebSocket => upstream.echo,
            Self::Banner => upstream.banner,
            _ => upstream.http1,
        }
    }

    /// Whether a second hop of the same product stands between the first and the upstream.
    pub(crate) fn has_two_hops(self) -> bool {
        self == Self::MtlsPair
    }

    /// Whether an access log is written.
    pub(crate) fn has_access_log(self) -> bool {
        self == Self::AccessLog
    }

    /// Whether what is over is recorded, as it is by default.
    pub(crate) fn records(self) -> bool {
        self != Self::RecorderOff
    }

    /// How many of a hundred requests are traced; none: nothing is said of traces.
    pub(crate) fn traced_percent(self) -> Option<u8> {
        match self {
            Self::Tracing1 => Some(1),
            Self::Tracing100 => Some(100),
            _ => None,
        }
    }

    /// How many authorization policies are asked.
    pub(crate) fn policies(self) -> usize {
        if self == Self::Authorization { 1_000 } else { 0 }
    }

    /// The load for time: as fast as the proxy answers.
    pub(crate) fn closed_loop(self, address: SocketAddr, certificate: &Certificate) -> ClosedLoop {
        let (tool, connections, streams) = self.senders();
        let (path, connections) = match self {
            Self::Body64k => ("/64k", LARGE_BODY_CONNECTIONS),
            Self::Body1m => ("/1m", LARGE_BODY_CONNECTIONS),
            Self::TcpBulk | Self::TlsBulk => ("/16m", LARGE_BODY_CONNECTIONS),
            _ => ("/1k", connections),
        };
        ClosedLoop {
            tool,
            address,
            tls: self.downstream() == Protocol::TlsHttp1,
            path,
            connections,
            streams,
            certificates: certificate.directory.clone(),
        }
    }

    /// What sends the load.
    pub(crate) fn tool(self) -> Tool {
        self.senders().0
    }

    fn senders(self) -> (Tool, u32, u32) {
        match self.downstream() {
            Protocol::WebSocket => (Tool::EchoWebSocket, HTTP1_CONNECTIONS, 1),
            Protocol::Tcp if self == Self::Tcp1k => (Tool::Echo, HTTP1_CONNECTIONS, 1),
            Protocol::Http1 | Protocol::Tcp | Protocol::Detected => (Tool::Wrk, HTTP1_CONNECTIONS, 1),
            Protocol::TlsHttp1 => (Tool::H2loadHttp1, HTTP1_CONNECTIONS, 1),
            Protocol::MutualTlsHttp1 if self == Self::HandshakeFull => {
                (Tool::Handshake, HANDSHAKE_CONNECTIONS, 1)
            }
            Protocol::MutualTlsHttp1 => (Tool::HandshakeResumed, HANDSHAKE_CONNECTIONS, 1),
            Protocol::Http2 => (Tool::H2loadHttp2, HTTP2_CONNECTIONS, HTTP2_STREAMS),
        }
    }

    /// The same load where requests are counted: `h2load` always, because it can send an exact number.
    pub(crate) fn counted_loop(self, address: SocketAddr, certificate: &Certificate) -> ClosedLoop {
        let mut load = self.closed_loop(address, certificate);
        if load.tool == Tool::Wrk {
            load.tool = Tool::H2loadHttp1;
        }
        load
    }

    /// Requests of one counted load; twice as many are sent as well, and the difference counts.
    pub(crate) fn counted_requests(self) -> u64 {
        match self {
            Self::TcpBulk | Self::TlsBulk => 32,
            Self::HandshakeFull | Self::HandshakeResumed => 800,
            Self::Body1m => 320,
            Self::Body64k => 1_600,
            _ => 6_400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line_and_of_json() {
        for scenario in Scenario::value_variants() {
            let value = scenario.to_possible_value().unwrap();
            assert_eq!(value.get_name(), scenario.name());
            assert_eq!(serde_json::to_value(scenario).unwrap(), scenario.name());
        }
    }
}
