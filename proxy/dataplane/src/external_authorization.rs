//! What is said between the data plane and an authorization service, before it becomes protobuf or HTTP: the question,
//! and the verdict. Who speaks protobuf implements [`AuthorizationCodec`].
//!
//! Nothing here asks anybody; that is `pipeline::external_authorization`.

use bytes::Bytes;
use std::net::SocketAddr;
use std::time::SystemTime;

/// Puts questions and verdicts of Envoy's `envoy.service.auth.v3.Authorization` into protobuf and back.
pub trait AuthorizationCodec: std::fmt::Debug + Send + Sync {
    /// A `CheckRequest`.
    fn encode_check(&self, question: &Question<'_>) -> Bytes;

    /// What a `CheckResponse` says. Names and values of headers are as they came: the data plane judges them.
    fn decode_check(&self, answer: &[u8]) -> Result<Answer, AnswerFault>;
}

/// Why an answer says nothing that could be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// It is not a `CheckResponse`.
    #[error("not a CheckResponse")]
    Malformed,
    /// It says neither yes nor no.
    #[error("no status")]
    NoStatus,
}

/// What a service is told of a request.
#[derive(Debug)]
pub struct Question<'q> {
    /// The client: the peer of the connection, or whom trusted proxies in front name, with port 0 then.
    pub source: SocketAddr,
    /// Who the client has proved to be: a SPIFFE id, another URI, a DNS name or a subject.
    pub principal: Option<&'q str>,
    /// The client's certificate, URL-encoded PEM.
    pub certificate: Option<&'q str>,
    /// Where the connection was meant for.
    pub destination: SocketAddr,
    /// Who this proxy has proved to be, likewise.
    pub destination_principal: Option<&'q str>,
    /// SNI.
    pub server_name: Option<&'q str>,
    /// When the request came.
    pub time: SystemTime,
    /// `x-request-id`.
    pub id: &'q str,
    /// The method.
    pub method: &'q str,
    /// `http` or `https`.
    pub scheme: &'q str,
    /// Host, with its port if the client named one.
    pub authority: &'q str,
    /// Path and query, normalized; empty for CONNECT.
    pub target: &'q str,
    /// `HTTP/1.1`, for example.
    pub protocol: &'q str,
    /// Names in lower case and values, in order. Several fields of one name are one, joined by `,`.
    pub headers: Vec<(&'q str, Vec<u8>)>,
    /// Bytes of the request's body, where that is known and told.
    pub size: Option<u64>,
    /// The body, or its beginning, where that is told.
    pub body: Option<&'q [u8]>,
    /// Keys and values from the configuration.
    pub context: Vec<(&'q str, &'q str)>,
}

/// An answer that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub verdict: Verdict,
    /// It brought metadata for other filters, which do not exist here.
    pub has_metadata: bool,
}

/// What a service says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on, changed like this.
    Allowed(Box<Allowance>),
    /// It may not.
    Denied(Box<Denial>),
    /// The service could not tell. The answer is for the client if the failure is not let through.
    Failed(Box<Denial>),
}

/// What becomes of a request that may go on. Headers are written in order, then those to be removed are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Headers of the request.
    pub request_headers: Vec<HeaderChange>,
    /// Names of headers that the upstream does not get.
    pub request_headers_removed: Vec<String>,
    /// Headers of the response.
    pub response_headers: Vec<HeaderChange>,
    /// Query parameters that get this value.
    pub query_set: Vec<(String, String)>,
    /// Query parameters that go.
    pub query_removed: Vec<String>,
}

/// What a client is told that may not go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Denial {
    /// None: that of the configuration, or 403.
    pub status: Option<u16>,
    /// Headers.
    pub headers: Vec<HeaderChange>,
    /// The body.
    pub body: Bytes,
}

/// A header that a service writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderChange {
    /// What becomes of fields of that name that are there.
    pub kind: HeaderChangeKind,
    /// The name.
    pub name: String,
    /// The value.
    pub value: Vec<u8>,
}

/// What becomes of fields that a change meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderChangeKind {
    /// They stay, and the new one stands behind them.
    Append,
    /// They stay, and there is no new one.
    AddIfAbsent,
    /// They go.
    Set,
    /// They go; without any there is no new one.
    SetIfPresent,
}
