use super::*;

/// A gRPC request with a query, and its answer.
const REQUEST: Headers = Headers(&[
    (
        ":path",
        b"/shop.Cart/Add?id=1&access_token=secret&empty=&flag&id=2#x",
    ),
    ("x-envoy-original-path", b"/old?a=b"),
    ("x-request-id", b"8f1c2f1e-6a52-4f0e-9a57-0d8f0a0c1b2d"),
    ("content-type", b"application/grpc+proto"),
    ("referer", b"https://shop.example/a?b=c"),
]);

fn record_of(request: &'static Headers) -> RequestRecord<'static> {
    RequestRecord {
        request,
        response_duration: Some(Duration::from_micros(2_500)),
        response_flags: ResponseFlags::UF | ResponseFlags::URX,
        ..record()
    }
}

#[test]
fn operators_that_compute_print_what_they_should() {
    let table = [
        (
            "%START_TIME(%Y/%m/%dT%H:%M:%S.%3f%z %s)%",
            "2024/02/29T00:00:00.001+0000 1709164800",
        ),
        ("%EMIT_TIME%", "2024-02-29T00:00:00.013Z"),
        ("%EMIT_TIME(%s.%6f)%", "1709164800.013900"),
        ("%DOWNSTREAM_PEER_CERT_V_END(%b %d %Y)%", "Jan 01 1970"),
        ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "12900"),
        ("%COMMON_DURATION(DS_RX_END:US_RX_BEG:ns)%", "500000"),
        ("%COMMON_DURATION(US_RX_BEG:DS_RX_END:ms)%", "-"),
        ("%RESPONSE_TX_DURATION%", "10"),
        ("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)%", "OK OK"),
        ("%GRPC_STATUS_NUMBER% %GRPC_STATUS(NUMBER)%", "0 0"),
        ("%QUERY_PARAM(id)% %QUERY_PARAM(empty)%.", "1 ."),
        ("%QUERY_PARAM(flag)%. %QUERY_PARAM(i)%", ". -"),
        ("%QUERY_PARAM(access_token)%", "[redacted]"),
        (
            "%REQ_WITHOUT_QUERY(REFERER)% %REQ_WITHOUT_QUERY(:PATH):5%",
            "https://shop.example/a /shop",
        ),
        (
            "%PATH% %PATH(NQ)% %PATH(NQ:PATH)%",
            "/old?a=b /old /shop.Cart/Add",
        ),
        ("%PATH(WQ:ORIG):4%", "/old"),
        (
            "%RESPONSE_FLAGS_LONG%",
            "UpstreamConnectionFailure,UpstreamRetryLimitExceeded",
        ),
        ("%STREAM_ID%", "8f1c2f1e-6a52-4f0e-9a57-0d8f0a0c1b2d"),
        ("%RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "70 12"),
        (
            "%TRACE_ID% %SPAN_ID%",
            "0af7651916cd43dd8448eb211c80319c 00f067aa0ba902b7",
        ),
        (
            "%ENVIRONMENT(CARGO_PKG_NAME)% %ENVIRONMENT(CARGO_PKG_NAME):4%",
            "outrigger-telemetry outr",
        ),
        ("%ENVIRONMENT(OUTRIGGER_IS_NOT_SET)%", "-"),
    ];
    for (template, expected) in table {
        let printed = line(&text(template).unwrap(), &record_of(&REQUEST));
        assert_eq!(printed, format!("{expected}\n"), "{template}");
    }
    let host = line(&text("%HOSTNAME%").unwrap(), &record());
    assert!(host.trim().len() > 1 || host.trim() != "-", "{host}");
}

#[test]
fn a_grpc_status_is_the_trailers_or_the_headers_or_http_stands_for_it() {
    const STATUS_5: Headers = Headers(&[("grpc-status", b"5")]);
    const STATUS_99: Headers = Headers(&[("grpc-status", b" 99")]);
    const STRANGE: Headers = Headers(&[("grpc-status", b"many")]);
    let format = text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%").unwrap();
    let of = |trailers: Option<&'static Headers>, response: &'static Headers, status| {
        let record = RequestRecord {
            trailers: trailers.map(|trailers| trailers as &dyn HeaderLookup),
            response,
            response_code: status,
            ..record_of(&REQUEST)
        };
        line(&format, &record)
    };
    assert_eq!(of(Some(&TRAILERS), &STATUS_5, 200), "OK OK 0\n");
    assert_eq!(of(None, &STATUS_5, 200), "NotFound NOT_FOUND 5\n");
    assert_eq!(of(None, &STATUS_99, 200), "99 99 99\n");
    assert_eq!(of(None, &STRANGE, 200), "- - -\n");
    for (status, expected) in [
        (503, "Unavailable UNAVAILABLE 14\n"),
        (401, "Unauthenticated UNAUTHENTICATED 16\n"),
        (200, "Unknown UNKNOWN 2\n"),
        (0, "- - -\n"),
    ] {
        assert_eq!(of(None, &RESPONSE, status), expected);
    }
    let plain = RequestRecord {
        request: &super::REQUEST,
        ..record()
    };
    assert_eq!(line(&format, &plain), "- - -\n", "no gRPC request");
}

#[test]
fn they_keep_their_types_in_json_and_make_room_for_what_follows() {
    let format = json(&[
        ("grpc", "%GRPC_STATUS(NUMBER)%"),
        ("span", "%COMMON_DURATION(US_RX_BEG:DS_RX_END:ms)%"),
        ("time", "%START_TIME(%s)%"),
        ("absent", "%QUERY_PARAM(absent)%"),
        ("flags", "%RESPONSE_FLAGS_LONG%"),
        ("in", "<%QUERY_PARAM(id)%>"),
        ("sent", "%BYTES_SENT%"),
    ])
    .unwrap();
    assert_eq!(
        line(&format, &record_of(&REQUEST)),
        "{\"grpc\":0,\"span\":null,\"time\":\"1709164800\",\"absent\":null,\
         \"flags\":\"UpstreamConnectionFailure,UpstreamRetryLimitExceeded\",\"in\":\"<1>\",\"sent\":1024}\n"
    );
}

#[test]
fn lists_and_objects_nest() {
    let inner = vec![
        (
            "list".to_owned(),
            JsonTemplate::List(vec![
                JsonTemplate::Text("%RESPONSE_CODE%".to_owned()),
                JsonTemplate::Text("a %PROTOCOL%".to_owned()),
                JsonTemplate::List(Vec::new()),
            ]),
        ),
        (
            "q\"".to_owned(),
            JsonTemplate::Object(members(&[("host", "%UPSTREAM_HOST%")])),
        ),
        ("none".to_owned(), JsonTemplate::Object(Vec::new())),
    ];
    let outer = [
        ("to".to_owned(), JsonTemplate::Object(inner)),
        (
            "code".to_owned(),
            JsonTemplate::Text("%RESPONSE_CODE%".to_owned()),
        ),
    ];
    let format = AccessLogFormat::json(&outer, FormatOptions::default()).unwrap();
    assert_eq!(
        line(&format, &record()),
        "{\"to\":{\"list\":[200,\"a HTTP/1.1\",[]],\"q\\\"\":{\"host\":\"10.0.0.7:8080\"},\"none\":{}},\"code\":200}\n"
    );
    let twice = vec![(
        "a".to_owned(),
        JsonTemplate::Object(members(&[("b", "x"), ("b", "y")])),
    )];
    let fault = AccessLogFormat::json(&twice, FormatOptions::default()).unwrap_err();
    assert_eq!(fault.to_string(), "key \"a\": key \"b\" occurs twice");
}
