//! Operators of Envoy's that do not exist here, and what to use instead: whoever brings a format finds out why, rather
//! than lines that say nothing.

/// Names, and why or what instead.
pub(in crate::access_log) const NOT_HERE: &[(&str, &str)] = &[
    (
        "CEL",
        "expressions are not implemented; operators name fields, and `filter` has conditions",
    ),
    ("CLUSTER_METADATA", METADATA),
    (
        "DOWNSTREAM_DETECTED_CLOSE_TYPE",
        "use %CONNECTION_TERMINATION_DETAILS% and %RESPONSE_FLAGS%",
    ),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", HEADER_BYTES),
    ("DOWNSTREAM_HEADER_BYTES_SENT", HEADER_BYTES),
    ("DOWNSTREAM_LOCAL_EMAIL_SAN", SAN),
    ("DOWNSTREAM_LOCAL_IP_SAN", SAN),
    ("DOWNSTREAM_LOCAL_OTHERNAME_SAN", SAN),
    (
        "DOWNSTREAM_PEER_CERT",
        "certificates are not printed; use %DOWNSTREAM_PEER_FINGERPRINT_256%",
    ),
    ("DOWNSTREAM_PEER_EMAIL_SAN", SAN),
    (
        "DOWNSTREAM_PEER_FINGERPRINT_1",
        "use %DOWNSTREAM_PEER_FINGERPRINT_256%",
    ),
    ("DOWNSTREAM_PEER_IP_SAN", SAN),
    ("DOWNSTREAM_PEER_OTHERNAME_SAN", SAN),
    (
        "DOWNSTREAM_TLS_SESSION_ID",
        "TLS 1.3 has none; use %CONNECTION_ID%",
    ),
    (
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "a connection whose handshake fails has no line; the metric outrigger_listener_tls_handshake_failures_total has its reason",
    ),
    (
        "DOWNSTREAM_WIRE_BYTES_RECEIVED",
        "bytes of bodies are counted, and all bytes of TCP: use %BYTES_RECEIVED%",
    ),
    (
        "DOWNSTREAM_WIRE_BYTES_SENT",
        "bytes of bodies are counted, and all bytes of TCP: use %BYTES_SENT%",
    ),
    ("DYNAMIC_METADATA", METADATA),
    ("EMIT_TIME_LOCAL", "times are in UTC: use %EMIT_TIME%"),
    ("FILTER_STATE", METADATA),
    (
        "LOCAL_REPLY_BODY",
        "bodies are never logged; use %RESPONSE_CODE_DETAILS%",
    ),
    ("METADATA", METADATA),
    ("REQUEST_TX_DURATION", "use %REQUEST_DURATION%"),
    ("ROUNDTRIP_DURATION", "there is no HTTP/3; use %DURATION%"),
    ("START_TIME_LOCAL", "times are in UTC: use %START_TIME%"),
    (
        "TLS_JA3_FINGERPRINT",
        "it is not computed; use %DOWNSTREAM_TLS_CIPHER%",
    ),
    (
        "TLS_JA4_FINGERPRINT",
        "it is not computed; use %DOWNSTREAM_TLS_CIPHER%",
    ),
    (
        "UNIQUE_ID",
        "use %STREAM_ID%, which is the same in every log of a request",
    ),
    (
        "UPSTREAM_CONNECTION_ID",
        "connections to endpoints have no number; use %UPSTREAM_LOCAL_ADDRESS%",
    ),
    (
        "UPSTREAM_CONNECTION_POOL_READY_DURATION",
        "use %RESPONSE_DURATION%",
    ),
    (
        "UPSTREAM_DETECTED_CLOSE_TYPE",
        "use %UPSTREAM_TRANSPORT_FAILURE_REASON% and %RESPONSE_FLAGS%",
    ),
    ("UPSTREAM_FILTER_STATE", METADATA),
    ("UPSTREAM_HEADER_BYTES_RECEIVED", HEADER_BYTES),
    ("UPSTREAM_HEADER_BYTES_SENT", HEADER_BYTES),
    ("UPSTREAM_METADATA", METADATA),
    (
        "UPSTREAM_PEER_CERT",
        "certificates are not printed; use %UPSTREAM_PEER_SUBJECT%",
    ),
    (
        "UPSTREAM_TLS_SESSION_ID",
        "TLS 1.3 has none; use %UPSTREAM_LOCAL_ADDRESS%",
    ),
    (
        "UPSTREAM_WIRE_BYTES_RECEIVED",
        "bytes of bodies are counted, and all bytes of TCP: use %BYTES_SENT%",
    ),
    (
        "UPSTREAM_WIRE_BYTES_SENT",
        "bytes of bodies are counted, and all bytes of TCP: use %BYTES_RECEIVED%",
    ),
    (
        "VIRTUAL_CLUSTER_NAME",
        "there are no virtual clusters: use %ROUTE_NAME%",
    ),
];

const METADATA: &str = "filters leave no metadata; what they decided is in %RESPONSE_CODE_DETAILS% and in headers, \
    %REQ(NAME)%";
const HEADER_BYTES: &str = "heads are not counted as they are on the wire; use %REQUEST_HEADERS_BYTES% and \
    %RESPONSE_HEADERS_BYTES%";
const SAN: &str = "only names of kind URI and DNS are printed: use …_URI_SAN and …_DNS_SAN";
