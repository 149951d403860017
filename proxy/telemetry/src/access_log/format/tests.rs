use super::super::record::{CertificateRecord, HeaderLookup, HeaderName, TlsRecord};
use super::*;
use crate::access_log::operator::PLAIN;
use crate::flags::ResponseFlags;
use crate::trace::{AttributeValue, SpanId, TraceId};
use std::time::{Duration, UNIX_EPOCH};

mod attributes;
mod omitting;
mod rare;

/// The names that have numbers, where a test gives them.
const NUMBERED: [&str; 3] = ["server", "x-request-id", "cookie"];

pub(in crate::access_log) struct Headers(pub(in crate::access_log) &'static [(&'static str, &'static [u8])]);

impl HeaderLookup for Headers {
    fn lookup(&self, name: &HeaderName) -> Option<&[u8]> {
        let name = match name {
            HeaderName::Method => ":method",
            HeaderName::Path => ":path",
            HeaderName::Authority => ":authority",
            HeaderName::Scheme => ":scheme",
            HeaderName::Numbered(number) => NUMBERED[usize::from(*number)],
            HeaderName::Named(name) => name,
        };
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    fn joined<'a>(&'a self, name: &HeaderName, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let HeaderName::Named(name) = name else {
            return self.lookup(name);
        };
        let values: Vec<_> = self
            .0
            .iter()
            .filter(|(known, _)| *known == &**name)
            .map(|(_, value)| *value)
            .collect();
        *joined = values.join(&b',');
        (!values.is_empty()).then_some(&joined[..])
    }

    fn bytes(&self) -> u64 {
        self.0
            .iter()
            .map(|(name, value)| (name.len() + value.len()) as u64)
            .sum()
    }
}

const REQUEST: Headers = Headers(&[
    (":method", b"GET"),
    (":path", b"/cart?id=1"),
    (":authority", b"shop.example"),
    (":scheme", b"https"),
    ("user-agent", b"curl/8.5 (\"quoted\")"),
    ("x-request-id", b"d2a0"),
    ("x-evil", b"a\r\n[2024] \"GET / HTTP/1.1\" 200"),
    ("x-bytes", b"caf\xc3\xa9 \xff"),
    ("authorization", b"Bearer secret"),
    ("cookie", b"session=secret"),
]);
const RESPONSE: Headers = Headers(&[
    ("x-envoy-upstream-service-time", b"11"),
    ("set-cookie", b"session=secret"),
    ("server", b"outrigger"),
]);
const TRAILERS: Headers = Headers(&[("grpc-status", b"0")]);

const DOWNSTREAM_TLS: TlsRecord<'static> = TlsRecord {
    version: "TLSv1.3",
    cipher: Some("TLS_AES_128_GCM_SHA256"),
    peer: Some(certificate("CN=api,O=Example", Some("spiffe://example.org/api"))),
    local: Some(certificate("CN=edge", Some("spiffe://example.org/edge"))),
};

const UPSTREAM_TLS: TlsRecord<'static> = TlsRecord {
    version: "TLSv1.2",
    cipher: Some("ECDHE-RSA-AES128-GCM-SHA256"),
    peer: Some(certificate("CN=backend", None)),
    local: None,
};

const fn certificate(subject: &'static str, uri_names: Option<&'static str>) -> CertificateRecord<'static> {
    CertificateRecord {
        uri_names,
        dns_names: Some("a.example,b.example"),
        subject,
        issuer: "CN=root",
        serial: "0a1b",
        fingerprint_256: "c0ffee",
        not_before: UNIX_EPOCH,
        not_after: UNIX_EPOCH,
    }
}

pub(in crate::access_log) fn record() -> RequestRecord<'static> {
    RequestRecord {
        start_time: UNIX_EPOCH + Duration::from_millis(1_709_164_800_001),
        protocol: Some("HTTP/1.1"),
        response_code: 200,
        response_code_details: Some("via_upstream"),
        connection_termination_details: None,
        authorization_shadow_result: None,
        authorization_audited: None,
        response_flags: ResponseFlags::NONE,
        bytes_received: 0,
        bytes_sent: 1_024,
        duration: Duration::from_micros(12_900),
        request_duration: Some(Duration::from_millis(2)),
        response_duration: None,
        upstream_host: Some("10.0.0.7:8080".parse().unwrap()),
        upstream_cluster: Some("backend"),
        upstream_local_address: Some("10.0.0.1:40000".parse().unwrap()),
        upstream_protocol: Some("HTTP/2"),
        upstream_transport_failure_reason: None,
        upstream_request_attempt_count: 2,
        trace_id: TraceId::new(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        span_id: SpanId::new(0x00f0_67aa_0ba9_02b7),
        trace_flags: 1,
        route_name: Some("cart"),
        virtual_host: Some("shop"),
        downstream_remote_address: Some("[2001:db8::1]:5000".parse().unwrap()),
        downstream_direct_remote_address: Some("192.0.2.1:6000".parse().unwrap()),
        downstream_local_address: Some("192.0.2.9:443".parse().unwrap()),
        requested_server_name: Some("shop.example"),
        downstream_tls: Some(&DOWNSTREAM_TLS),
        upstream_tls: Some(&UPSTREAM_TLS),
        connection_id: 77,
        filter_chain_name: Some("tls"),
        request: &REQUEST,
        response: &RESPONSE,
        trailers: Some(&TRAILERS),
    }
}

fn line(format: &AccessLogFormat, record: &RequestRecord<'_>) -> String {
    let mut out = Vec::new();
    format.write(record, &mut out);
    String::from_utf8(out).unwrap()
}

fn text(template: &str) -> Result<AccessLogFormat, FormatError> {
    AccessLogFormat::text(template, FormatOptions::default())
}

fn members(fields: &[(&str, &str)]) -> Vec<(String, JsonTemplate)> {
    let member = |(key, text): &(&str, &str)| ((*key).to_owned(), JsonTemplate::Text((*text).to_owned()));
    fields.iter().map(member).collect()
}

fn json(fields: &[(&str, &str)]) -> Result<AccessLogFormat, FormatError> {
    AccessLogFormat::json(&members(fields), FormatOptions::default())
}

#[test]
fn every_operator_prints_its_field() {
    let table = [
        ("%START_TIME%", "2024-02-29T00:00:00.001Z"),
        ("%PROTOCOL%", "HTTP/1.1"),
        ("%RESPONSE_CODE%", "200"),
        ("%RESPONSE_CODE_DETAILS%", "via_upstream"),
        ("%RESPONSE_FLAGS%", "-"),
        ("%BYTES_RECEIVED%", "0"),
        ("%BYTES_SENT%", "1024"),
        ("%DURATION%", "12"),
        ("%REQUEST_DURATION%", "2"),
        ("%RESPONSE_DURATION%", "-"),
        ("%UPSTREAM_HOST%", "10.0.0.7:8080"),
        ("%UPSTREAM_CLUSTER%", "backend"),
        ("%UPSTREAM_LOCAL_ADDRESS%", "10.0.0.1:40000"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2"),
        ("%ROUTE_NAME%", "cart"),
        ("%VIRTUAL_HOST_NAME%", "shop"),
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "[2001:db8::1]:5000"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "2001:db8::1"),
        ("%DOWNSTREAM_REMOTE_PORT%", "5000"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "192.0.2.1:6000"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "192.0.2.1"),
        ("%DOWNSTREAM_LOCAL_ADDRESS%", "192.0.2.9:443"),
        ("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "192.0.2.9"),
        ("%DOWNSTREAM_LOCAL_PORT%", "443"),
        ("%REQUESTED_SERVER_NAME%", "shop.example"),
        ("%CONNECTION_ID%", "77"),
        ("%ACCESS_LOG_TYPE%", "DownstreamEnd"),
        ("%DOWNSTREAM_DIRECT_REMOTE_PORT%", "6000"),
        ("%RESPONSE_TX_DURATION%", "-"),
        ("%UPSTREAM_CLUSTER_RAW%", "backend"),
        ("%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.0.0.1"),
        ("%UPSTREAM_LOCAL_PORT%", "40000"),
        ("%UPSTREAM_REMOTE_ADDRESS%", "10.0.0.7:8080"),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.7"),
        ("%UPSTREAM_REMOTE_PORT%", "8080"),
        ("%UPSTREAM_PROTOCOL%", "HTTP/2"),
        ("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-"),
        ("%UPSTREAM_PEER_CERT_V_START%", "1970-01-01T00:00:00.000Z"),
        ("%UPSTREAM_PEER_CERT_V_END%", "1970-01-01T00:00:00.000Z"),
        ("%FILTER_CHAIN_NAME%", "tls"),
        ("%DOWNSTREAM_TLS_VERSION%", "TLSv1.3"),
        ("%DOWNSTREAM_TLS_CIPHER%", "TLS_AES_128_GCM_SHA256"),
        ("%DOWNSTREAM_PEER_URI_SAN%", "spiffe://example.org/api"),
        ("%DOWNSTREAM_PEER_DNS_SAN%", "a.example,b.example"),
        ("%DOWNSTREAM_PEER_SUBJECT%", "CN=api,O=Example"),
        ("%DOWNSTREAM_PEER_ISSUER%", "CN=root"),
        ("%DOWNSTREAM_PEER_SERIAL%", "0a1b"),
        ("%DOWNSTREAM_PEER_FINGERPRINT_256%", "c0ffee"),
        ("%DOWNSTREAM_PEER_CERT_V_START%", "1970-01-01T00:00:00.000Z"),
        ("%DOWNSTREAM_PEER_CERT_V_END%", "1970-01-01T00:00:00.000Z"),
        ("%DOWNSTREAM_LOCAL_URI_SAN%", "spiffe://example.org/edge"),
        ("%DOWNSTREAM_LOCAL_DNS_SAN%", "a.example,b.example"),
        ("%DOWNSTREAM_LOCAL_SUBJECT%", "CN=edge"),
        ("%UPSTREAM_TLS_VERSION%", "TLSv1.2"),
        ("%UPSTREAM_TLS_CIPHER%", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("%UPSTREAM_PEER_SUBJECT%", "CN=backend"),
        ("%UPSTREAM_PEER_ISSUER%", "CN=root"),
        ("%UPSTREAM_PEER_URI_SAN%", "-"),
        ("%UPSTREAM_PEER_DNS_SAN%", "a.example,b.example"),
        (
            "%REQ(:METHOD)% %REQ(:authority)% %REQ(:Scheme)%",
            "GET shop.example https",
        ),
        ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/cart?id=1"),
        ("%REQ(:PATH?X-REQUEST-ID)%", "/cart?id=1"),
        ("%REQ(:PATH):5%", "/cart"),
        ("%REQ(ABSENT)% %REQ(ABSENT?MISSING)%", "- -"),
        ("%RESP(SERVER)%", "outrigger"),
        ("%TRAILER(grpc-status)%", "0"),
        ("100%% %%PROTOCOL%%", "100% %PROTOCOL%"),
        ("", ""),
    ];
    for (template, expected) in table {
        let printed = line(&text(template).unwrap(), &record());
        assert_eq!(printed, format!("{expected}\n"), "{template}");
    }
}

#[test]
fn flags_and_missing_values_print_as_envoy_does() {
    let nothing = RequestRecord {
        response_flags: ResponseFlags::UF | ResponseFlags::URX,
        upstream_host: None,
        trailers: None,
        request: &(),
        downstream_tls: None,
        ..record()
    };
    let text =
        text("%RESPONSE_FLAGS% %UPSTREAM_HOST% %TRAILER(A)% %REQ(:PATH)% %DOWNSTREAM_PEER_CERT_V_END%\n")
            .unwrap();
    assert_eq!(line(&text, &nothing), "UF,URX - - - -\n");
    let fields = [
        ("flags", "%RESPONSE_FLAGS%"),
        ("host", "%UPSTREAM_HOST%"),
        ("in", "to %UPSTREAM_HOST%"),
    ];
    assert_eq!(
        line(&json(&fields).unwrap(), &nothing),
        "{\"flags\":\"UF,URX\",\"host\":null,\"in\":\"to -\"}\n"
    );
}

#[test]
fn the_default_text_is_envoys() {
    assert_eq!(
        line(
            &AccessLogFormat::default_text(FormatOptions::default()),
            &record()
        ),
        "[2024-02-29T00:00:00.001Z] \"GET /cart?id=1 HTTP/1.1\" 200 - 0 1024 12 11 \"-\" \
         \"curl/8.5 (\\\"quoted\\\")\" \"d2a0\" \"shop.example\" \"10.0.0.7:8080\"\n"
    );
}

#[test]
fn the_default_json_is_one_object_with_numbers_and_nulls() {
    let printed = line(
        &AccessLogFormat::default_json(FormatOptions::default()),
        &record(),
    );
    assert!(
        printed.starts_with("{\"start_time\":\"2024-02-29T00:00:00.001Z\",\"method\":\"GET\","),
        "{printed}"
    );
    assert!(printed.contains("\"response_code\":200,"), "{printed}");
    assert!(
        printed.contains("\"response_duration\":null,\"x_forwarded_for\":null,"),
        "{printed}"
    );
    assert!(
        printed.contains("\"user_agent\":\"curl/8.5 (\\\"quoted\\\")\""),
        "{printed}"
    );
    assert!(printed.ends_with("\"connection_id\":77}\n"), "{printed}");
}

#[test]
fn json_keeps_the_order_of_keys_and_escapes_keys_literals_and_values() {
    let format = json(&[
        ("z\"", "tab\t"),
        ("a", "%REQ(X-BYTES)%"),
        ("m", "<%REQ(X-EVIL)%> %%"),
    ])
    .unwrap();
    assert_eq!(
        line(&format, &record()),
        "{\"z\\\"\":\"tab\\t\",\"a\":\"caf\u{e9} \\ufffd\",\
         \"m\":\"<a\\r\\n[2024] \\\"GET / HTTP/1.1\\\" 200> %\"}\n"
    );
    assert_eq!(line(&json(&[]).unwrap(), &record()), "{}\n");
}

#[test]
fn no_value_can_forge_a_line_or_leave_its_quotes() {
    for format in [
        text("\"%REQ(X-EVIL)%\"").unwrap(),
        json(&[("v", "%REQ(X-EVIL)%")]).unwrap(),
    ] {
        let printed = line(&format, &record());
        assert_eq!(printed.matches('\n').count(), 1, "{printed}");
        assert!(printed.ends_with('\n') && !printed.contains('\r'), "{printed}");
        assert!(printed.contains("\\\"GET / HTTP/1.1\\\""), "{printed}");
    }
}

#[test]
fn credentials_print_only_where_they_are_allowed_by_name() {
    let template =
        "%REQ(AUTHORIZATION)% %REQ(X-ABSENT?Cookie)% %RESP(set-cookie)% %REQ(PROXY-AUTHORIZATION)%";
    let printed = line(&text(template).unwrap(), &record());
    assert_eq!(printed, "[redacted] [redacted] [redacted] -\n");
    let allowed = ["Cookie".to_owned()];
    let options = FormatOptions {
        headers_allowed: &allowed,
        ..FormatOptions::default()
    };
    let format = AccessLogFormat::text(template, options).unwrap();
    assert_eq!(
        line(&format, &record()),
        "[redacted] session=secret [redacted] -\n"
    );
}

#[test]
fn what_is_printed_at_leisure_is_what_is_printed_at_once() {
    for plain in PLAIN.iter().flat_map(|(_, operators)| operators.iter()) {
        let template = format!("%{}%", plain.name);
        let at_once = line(&json(&[("a", &template)]).unwrap(), &record());
        let mut at_leisure = br#"{"a":"#.to_vec();
        match plain.read.value(&record()) {
            Value::Number(number) => push_number(number, &mut at_leisure),
            Value::Missing => at_leisure.extend_from_slice(b"null"),
            Value::Text(text) => {
                at_leisure.push(b'"');
                push_json(&text, &mut at_leisure);
                at_leisure.push(b'"');
            }
        }
        at_leisure.extend_from_slice(b"}\n");
        let at_leisure = String::from_utf8(at_leisure).unwrap();
        match plain.name {
            // No flag is a dash, and yet left out where what is missing is.
            "RESPONSE_FLAGS" => assert_eq!(
                (at_once.as_str(), at_leisure.as_str()),
                ("{\"a\":\"-\"}\n", "{\"a\":null}\n")
            ),
            _ => assert_eq!(at_once, at_leisure, "{template}"),
        }
    }
}

#[test]
fn numbered_names_are_looked_up_by_number_and_stay_credentials() {
    struct ByNumber;
    impl HeaderLookup for ByNumber {
        fn lookup(&self, name: &HeaderName) -> Option<&[u8]> {
            match name {
                HeaderName::Numbered(number) => Some(NUMBERED[usize::from(*number)].as_bytes()),
                _ => None,
            }
        }
        fn joined<'a>(&'a self, name: &HeaderName, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
            self.lookup(name)
        }
        fn bytes(&self) -> u64 {
            0
        }
    }
    let template = "%REQ(SERVER)% %REQ(X-Request-Id):3% %REQ(X-OTHER?COOKIE)% %REQ(USER-AGENT)% %REQ(:PATH)%";
    let format = text(template).unwrap().number_names(|name| {
        let number = NUMBERED.iter().position(|known| *known == name)?;
        u8::try_from(number).ok()
    });
    let by_number = RequestRecord {
        request: &ByNumber,
        ..record()
    };
    assert_eq!(line(&format, &by_number), "server x-r [redacted] - -\n");
    assert_eq!(
        line(&format, &record()),
        "- d2a [redacted] curl/8.5 (\\\"quoted\\\") /cart?id=1\n"
    );
}

#[test]
fn values_longer_than_expected_leave_room_for_what_follows() {
    struct Long(Vec<u8>);
    impl HeaderLookup for Long {
        fn lookup(&self, _: &HeaderName) -> Option<&[u8]> {
            Some(&self.0)
        }
        fn joined<'a>(&'a self, name: &HeaderName, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
            self.lookup(name)
        }
        fn bytes(&self) -> u64 {
            self.0.len() as u64
        }
    }
    let fields = [
        ("first", "%REQ(LONG)%"),
        ("host", "%UPSTREAM_HOST%"),
        ("second", "%REQ(LONG)%"),
        ("sent", "%BYTES_SENT%"),
    ];
    let (format, text) = (
        json(&fields).unwrap(),
        text("<%REQ(LONG)%> %UPSTREAM_HOST%").unwrap(),
    );
    for bytes in 0..400 {
        let value = "v".repeat(bytes);
        let request = Long(value.clone().into_bytes());
        let long = RequestRecord {
            request: &request,
            ..record()
        };
        assert_eq!(
            line(&format, &long),
            format!(
                "{{\"first\":\"{value}\",\"host\":\"10.0.0.7:8080\",\"second\":\"{value}\",\"sent\":1024}}\n"
            )
        );
        assert_eq!(line(&text, &long), format!("<{value}> 10.0.0.7:8080\n"));
    }
}

#[test]
fn json_faults_name_their_key() {
    let unknown = json(&[("ok", "%PROTOCOL%"), ("bad", "x %DURATIN%")]).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "key \"bad\": unknown operator %DURATIN% at byte 2; did you mean %DURATION%?"
    );
    let twice = json(&[("a", ""), ("a", "")]).unwrap_err();
    assert_eq!(twice.to_string(), "key \"a\" occurs twice");
}
