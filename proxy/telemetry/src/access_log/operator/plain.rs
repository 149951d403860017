//! Operators without an argument: each reads one field of a record.

use super::Value;
use crate::access_log::record::RequestRecord;
use crate::access_log::timestamp::timestamp;
use crate::flags::ResponseFlags;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// What a plain operator reads from a record: one function for each type of value.
#[derive(Debug, Clone, Copy)]
pub(in crate::access_log) enum Read {
    Number(fn(&RequestRecord<'_>) -> u64),
    Milliseconds(fn(&RequestRecord<'_>) -> Option<Duration>),
    Port(ReadAddress),
    /// Bytes from anywhere: to be escaped.
    Text(for<'a> fn(&RequestRecord<'a>) -> Option<&'a str>),
    Time(ReadTime),
    Address(ReadAddress),
    /// An address without its port.
    Ip(ReadAddress),
    Flags(fn(&RequestRecord<'_>) -> ResponseFlags),
}

type ReadAddress = for<'r> fn(&'r RequestRecord<'_>) -> Option<&'r SocketAddr>;
pub(super) type ReadTime = fn(&RequestRecord<'_>) -> Option<SystemTime>;

impl Read {
    pub(super) fn is_number(self) -> bool {
        matches!(self, Read::Number(_) | Read::Milliseconds(_) | Read::Port(_))
    }

    /// What it is in JSON, for the page of operators.
    pub(in crate::access_log) fn kind(self) -> &'static str {
        if self.is_number() { "number" } else { "string" }
    }

    /// What it reads, for where that is not printed at once.
    pub(in crate::access_log) fn value<'a>(self, record: &RequestRecord<'a>) -> Value<'a> {
        let displayed = |text: Option<String>| Value::from(text.map(|text| Cow::Owned(text.into_bytes())));
        match self {
            Read::Number(read) => Value::Number(read(record)),
            Read::Milliseconds(read) => Value::of_number(read(record).map(milliseconds)),
            Read::Port(read) => Value::of_number(read(record).map(|address| address.port().into())),
            Read::Text(read) => Value::from(read(record).map(|text| Cow::Borrowed(text.as_bytes()))),
            Read::Time(read) => Value::from(read(record).map(|time| Cow::Owned(timestamp(time).to_vec()))),
            Read::Address(read) => displayed(read(record).map(SocketAddr::to_string)),
            Read::Ip(read) => displayed(read(record).map(|address| address.ip().to_string())),
            Read::Flags(read) => {
                let flags = read(record);
                displayed((!flags.is_empty()).then(|| flags.to_string()))
            }
        }
    }
}

#[inline(always)]
pub(in crate::access_log) fn milliseconds(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000);
    whole.saturating_add(duration.subsec_millis().into())
}

/// An operator without an argument.
pub(in crate::access_log) struct Plain {
    pub(in crate::access_log) name: &'static str,
    pub(in crate::access_log) read: Read,
    /// What it is, for the page of operators.
    pub(in crate::access_log) about: &'static str,
}

const fn plain(name: &'static str, read: Read, about: &'static str) -> Plain {
    Plain { name, read, about }
}

const TIMES: &[Plain] = &[
    plain(
        "START_TIME",
        Read::Time(|record| Some(record.start_time)),
        "when the request, or the TCP connection, began",
    ),
    plain(
        "DURATION",
        Read::Milliseconds(|record| Some(record.duration)),
        "milliseconds from the first byte of the request to the last of the response; of a TCP connection its age",
    ),
    plain(
        "REQUEST_DURATION",
        Read::Milliseconds(|record| record.request_duration),
        "milliseconds from the first byte of the request to its last",
    ),
    plain(
        "RESPONSE_DURATION",
        Read::Milliseconds(|record| record.response_duration),
        "milliseconds from the first byte of the request to the first of the upstream's answer",
    ),
    plain(
        "RESPONSE_TX_DURATION",
        Read::Milliseconds(|record| Some(record.duration.saturating_sub(record.response_duration?))),
        "milliseconds from the first byte of the upstream's answer to the last that was sent to the client",
    ),
];

const OUTCOME: &[Plain] = &[
    plain(
        "RESPONSE_CODE",
        Read::Number(|record| record.response_code.into()),
        "the status; 0 where none was sent, and for TCP",
    ),
    plain(
        "RESPONSE_CODE_DETAILS",
        Read::Text(|record| record.response_code_details),
        "why that status, in Envoy's words where it has some: `via_upstream`, `route_not_found`",
    ),
    plain(
        "RESPONSE_FLAGS",
        Read::Flags(|record| record.response_flags),
        "the short names of the [flags](#flags), joined by commas",
    ),
    plain(
        "CONNECTION_TERMINATION_DETAILS",
        Read::Text(|record| record.connection_termination_details),
        "why a [TCP](tcp.md) connection was ended, where it did not end by itself",
    ),
    plain(
        "BYTES_RECEIVED",
        Read::Number(|record| record.bytes_received),
        "body bytes of the request; all bytes from the client of a TCP connection",
    ),
    plain(
        "BYTES_SENT",
        Read::Number(|record| record.bytes_sent),
        "body bytes of the response; all bytes to the client of a TCP connection",
    ),
    plain(
        "PROTOCOL",
        Read::Text(|record| record.protocol),
        "`HTTP/1.0`, `HTTP/1.1`, `HTTP/2`; missing for TCP",
    ),
    plain(
        "ACCESS_LOG_TYPE",
        Read::Text(|record| {
            Some(if record.protocol.is_some() {
                "DownstreamEnd"
            } else {
                "TcpConnectionEnd"
            })
        }),
        "`DownstreamEnd` for requests, `TcpConnectionEnd` for TCP connections: lines are written at the end only",
    ),
];

const POLICY: &[Plain] = &[
    plain("ROUTE_NAME", Read::Text(|record| record.route_name), "the route"),
    plain(
        "VIRTUAL_HOST_NAME",
        Read::Text(|record| record.virtual_host),
        "the virtual host",
    ),
    plain(
        "FILTER_CHAIN_NAME",
        Read::Text(|record| record.filter_chain_name),
        "the filter chain",
    ),
    plain(
        "AUTHORIZATION_SHADOW_RESULT",
        Read::Text(|record| record.authorization_shadow_result),
        "what [policies](authorization.md) would decide with shadow policies in force: `denied[name]`",
    ),
    plain(
        "AUTHORIZATION_AUDITED",
        Read::Text(|record| record.authorization_audited),
        "AUDIT policies that match, joined by commas",
    ),
];

const DOWNSTREAM: &[Plain] = &[
    plain(
        "CONNECTION_ID",
        Read::Number(|record| record.connection_id),
        "a number for each downstream connection, unique in this process",
    ),
    plain(
        "DOWNSTREAM_REMOTE_ADDRESS",
        Read::Address(|record| record.downstream_remote_address.as_ref()),
        "the client, as trusted `x-forwarded-for` or the PROXY protocol tells it, or else the peer; port 0 where only the address is told",
    ),
    plain(
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.downstream_remote_address.as_ref()),
        "its address alone",
    ),
    plain(
        "DOWNSTREAM_REMOTE_PORT",
        Read::Port(|record| record.downstream_remote_address.as_ref()),
        "its port",
    ),
    plain(
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        Read::Address(|record| record.downstream_direct_remote_address.as_ref()),
        "the peer of the connection, and its port",
    ),
    plain(
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.downstream_direct_remote_address.as_ref()),
        "its address alone",
    ),
    plain(
        "DOWNSTREAM_DIRECT_REMOTE_PORT",
        Read::Port(|record| record.downstream_direct_remote_address.as_ref()),
        "its port",
    ),
    plain(
        "DOWNSTREAM_LOCAL_ADDRESS",
        Read::Address(|record| record.downstream_local_address.as_ref()),
        "where the connection was meant for, and the port",
    ),
    plain(
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.downstream_local_address.as_ref()),
        "that address alone",
    ),
    plain(
        "DOWNSTREAM_LOCAL_PORT",
        Read::Port(|record| record.downstream_local_address.as_ref()),
        "that port",
    ),
    plain(
        "REQUESTED_SERVER_NAME",
        Read::Text(|record| record.requested_server_name),
        "the server name that the client asked for (SNI)",
    ),
    plain(
        "DOWNSTREAM_TLS_VERSION",
        Read::Text(|record| Some(record.downstream_tls?.version)),
        "`TLSv1.2`, `TLSv1.3`",
    ),
    plain(
        "DOWNSTREAM_TLS_CIPHER",
        Read::Text(|record| record.downstream_tls?.cipher),
        "the cipher suite, as OpenSSL names it: `TLS_AES_128_GCM_SHA256`",
    ),
    plain(
        "DOWNSTREAM_PEER_URI_SAN",
        Read::Text(|record| record.downstream_tls?.peer?.uri_names),
        "its URI names, joined by commas: its SPIFFE id",
    ),
    plain(
        "DOWNSTREAM_PEER_DNS_SAN",
        Read::Text(|record| record.downstream_tls?.peer?.dns_names),
        "its DNS names, joined by commas",
    ),
    plain(
        "DOWNSTREAM_PEER_SUBJECT",
        Read::Text(|record| Some(record.downstream_tls?.peer?.subject)),
        "its subject, as RFC 2253 writes it",
    ),
    plain(
        "DOWNSTREAM_PEER_ISSUER",
        Read::Text(|record| Some(record.downstream_tls?.peer?.issuer)),
        "its issuer, as RFC 2253 writes it",
    ),
    plain(
        "DOWNSTREAM_PEER_SERIAL",
        Read::Text(|record| Some(record.downstream_tls?.peer?.serial)),
        "its serial number, hexadecimal",
    ),
    plain(
        "DOWNSTREAM_PEER_FINGERPRINT_256",
        Read::Text(|record| Some(record.downstream_tls?.peer?.fingerprint_256)),
        "the SHA-256 of its DER, hexadecimal",
    ),
    plain(
        "DOWNSTREAM_PEER_CERT_V_START",
        Read::Time(|record| Some(record.downstream_tls?.peer?.not_before)),
        "from when it holds",
    ),
    plain(
        "DOWNSTREAM_PEER_CERT_V_END",
        Read::Time(|record| Some(record.downstream_tls?.peer?.not_after)),
        "until when the client's verified certificate holds",
    ),
    plain(
        "DOWNSTREAM_LOCAL_URI_SAN",
        Read::Text(|record| record.downstream_tls?.local?.uri_names),
        "its URI names, joined by commas: its SPIFFE id",
    ),
    plain(
        "DOWNSTREAM_LOCAL_DNS_SAN",
        Read::Text(|record| record.downstream_tls?.local?.dns_names),
        "DNS names in the certificate that the client was shown, joined by commas",
    ),
    plain(
        "DOWNSTREAM_LOCAL_SUBJECT",
        Read::Text(|record| Some(record.downstream_tls?.local?.subject)),
        "its subject, as RFC 2253 writes it",
    ),
];

const UPSTREAM: &[Plain] = &[
    plain(
        "UPSTREAM_CLUSTER",
        Read::Text(|record| record.upstream_cluster),
        "the cluster",
    ),
    plain(
        "UPSTREAM_CLUSTER_RAW",
        Read::Text(|record| record.upstream_cluster),
        "the same as `%UPSTREAM_CLUSTER%`",
    ),
    plain(
        "UPSTREAM_HOST",
        Read::Address(|record| record.upstream_host.as_ref()),
        "the endpoint of the last attempt: the address that its connection went to",
    ),
    plain(
        "UPSTREAM_REMOTE_ADDRESS",
        Read::Address(|record| record.upstream_host.as_ref()),
        "the same as `%UPSTREAM_HOST%`",
    ),
    plain(
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.upstream_host.as_ref()),
        "that address alone",
    ),
    plain(
        "UPSTREAM_REMOTE_PORT",
        Read::Port(|record| record.upstream_host.as_ref()),
        "that port",
    ),
    plain(
        "UPSTREAM_LOCAL_ADDRESS",
        Read::Address(|record| record.upstream_local_address.as_ref()),
        "our address on the last attempt's connection, and the port",
    ),
    plain(
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        Read::Ip(|record| record.upstream_local_address.as_ref()),
        "that address alone",
    ),
    plain(
        "UPSTREAM_LOCAL_PORT",
        Read::Port(|record| record.upstream_local_address.as_ref()),
        "that port",
    ),
    plain(
        "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        Read::Number(|record| record.upstream_request_attempt_count.into()),
        "attempts; 0 where none was made",
    ),
    plain(
        "UPSTREAM_PROTOCOL",
        Read::Text(|record| record.upstream_protocol),
        "the last attempt's protocol: `HTTP/1.1`, `HTTP/2`",
    ),
    plain(
        "UPSTREAM_TRANSPORT_FAILURE_REASON",
        Read::Text(|record| record.upstream_transport_failure_reason),
        "why the last attempt got no connection, or lost it",
    ),
    plain(
        "UPSTREAM_TLS_VERSION",
        Read::Text(|record| Some(record.upstream_tls?.version)),
        "its version of TLS",
    ),
    plain(
        "UPSTREAM_TLS_CIPHER",
        Read::Text(|record| record.upstream_tls?.cipher),
        "the cipher suite of the last attempt's connection",
    ),
    plain(
        "UPSTREAM_PEER_URI_SAN",
        Read::Text(|record| record.upstream_tls?.peer?.uri_names),
        "its URI names, joined by commas: its SPIFFE id",
    ),
    plain(
        "UPSTREAM_PEER_DNS_SAN",
        Read::Text(|record| record.upstream_tls?.peer?.dns_names),
        "DNS names in the endpoint's verified certificate, joined by commas",
    ),
    plain(
        "UPSTREAM_PEER_SUBJECT",
        Read::Text(|record| Some(record.upstream_tls?.peer?.subject)),
        "its subject",
    ),
    plain(
        "UPSTREAM_PEER_ISSUER",
        Read::Text(|record| Some(record.upstream_tls?.peer?.issuer)),
        "its issuer",
    ),
    plain(
        "UPSTREAM_PEER_CERT_V_START",
        Read::Time(|record| Some(record.upstream_tls?.peer?.not_before)),
        "from when the endpoint's verified certificate holds",
    ),
    plain(
        "UPSTREAM_PEER_CERT_V_END",
        Read::Time(|record| Some(record.upstream_tls?.peer?.not_after)),
        "until when it holds",
    ),
];

/// All of them, in the order of the page of operators.
pub(in crate::access_log) const PLAIN: &[(&str, &[Plain])] = &[
    ("Times", TIMES),
    ("Outcome", OUTCOME),
    ("Policy", POLICY),
    ("Downstream", DOWNSTREAM),
    ("Upstream", UPSTREAM),
];

pub(super) fn all() -> impl Iterator<Item = &'static Plain> {
    PLAIN.iter().flat_map(|(_, operators)| operators.iter())
}
