use super::*;
use crate::story::EventKind;

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
}

fn request() -> TracedRequest<'static> {
    TracedRequest {
        trace_id: TraceId::random(1, 2),
        span_id: SpanId::random(3),
        parent: SpanId::new(4),
        flags: 1,
        tracestate: Some(b"a=b"),
        start: start(),
        duration: Duration::from_millis(30),
        name: None,
        method: "GET",
        scheme: "http",
        target: "/cart/7?token=secret",
        authority: "shop.example:8080",
        sent: SentRequest {
            scheme: "http",
            target: "/cart/7?token=secret",
            authority: "shop.example:8080",
        },
        protocol_version: "1.1",
        client: IpAddr::from([10, 0, 0, 9]),
        peer: SocketAddr::from(([127, 0, 0, 1], 5000)),
        user_agent: Some(b"curl"),
        request_id: Some(b"id"),
        route: Some(TracedRoute {
            virtual_host: "shop",
            name: "cart",
            template: Some("/cart/*"),
        }),
        cluster: Some("carts"),
        status: 200,
        grpc: false,
        grpc_status: None,
        response_flags: ResponseFlags::NONE,
        details: "via_upstream",
        story: None,
        last_attempt: Some(attempt(1, AttemptOutcome::Answered(200))),
        attributes: &[],
    }
}

fn attempt(number: u32, outcome: AttemptOutcome) -> AttemptStory {
    AttemptStory {
        number,
        endpoint: SocketAddr::from(([10, 1, 1, 1], 80)),
        started: Duration::from_millis(number.into()),
        answered: matches!(outcome, AttemptOutcome::Answered(_)).then_some(Duration::from_millis(20)),
        ended: Duration::from_millis(25),
        outcome,
    }
}

/// All attributes, as texts.
fn told(span: &FinishedSpan) -> Vec<(String, String)> {
    let value = |value: &AttributeValue| match value {
        AttributeValue::Text(text) => text.to_string(),
        AttributeValue::Integer(number) => number.to_string(),
        AttributeValue::Bool(value) => value.to_string(),
    };
    let attributes = span.attributes.iter();
    attributes
        .map(|(name, said)| (name.to_string(), value(said)))
        .collect()
}

fn one(span: &FinishedSpan, name: &str) -> Option<String> {
    let found = told(span).into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}

#[test]
fn a_request_is_told_by_the_conventions() {
    let spans = request().spans();
    let [server, client] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(
        (server.kind, server.name.as_str()),
        (SpanKind::Server, "GET /cart/*")
    );
    assert_eq!((server.parent, server.parent_is_remote), (SpanId::new(4), true));
    assert_eq!(
        (server.start, server.end),
        (start(), start() + Duration::from_millis(30))
    );
    assert_eq!((server.flags, server.tracestate.as_str()), (1, "a=b"));
    assert_eq!(server.status, SpanStatus::Unset);
    let expected = [
        ("http.request.method", "GET"),
        ("url.path", "/cart/7"),
        ("url.query", "token=REDACTED"),
        ("url.scheme", "http"),
        ("server.address", "shop.example"),
        ("server.port", "8080"),
        ("client.address", "10.0.0.9"),
        ("network.peer.address", "127.0.0.1"),
        ("network.peer.port", "5000"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl"),
        ("outrigger.request_id", "id"),
        ("http.route", "/cart/*"),
        ("outrigger.virtual_host", "shop"),
        ("outrigger.route", "cart"),
        ("outrigger.cluster", "carts"),
        ("http.response.status_code", "200"),
        ("outrigger.response_code_details", "via_upstream"),
    ];
    assert_eq!(
        told(server),
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );

    assert_eq!((client.kind, client.name.as_str()), (SpanKind::Client, "GET"));
    assert_eq!(
        (client.parent, client.parent_is_remote),
        (Some(server.span_id), false)
    );
    assert_eq!(client.span_id, server.span_id.of_attempt(1));
    assert_eq!(client.trace_id, server.trace_id);
    assert_eq!(
        (client.start, client.end),
        (
            start() + Duration::from_millis(1),
            start() + Duration::from_millis(25)
        )
    );
    let expected = [
        ("http.request.method", "GET"),
        ("url.full", "http://shop.example:8080/cart/7?token=REDACTED"),
        ("server.address", "shop.example"),
        ("server.port", "8080"),
        ("network.peer.address", "10.1.1.1"),
        ("network.peer.port", "80"),
        ("outrigger.cluster", "carts"),
        ("http.response.status_code", "200"),
    ];
    assert_eq!(
        told(client),
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(client.events[0].at, start() + Duration::from_millis(20));
}

#[test]
fn attempts_stand_in_order_and_tell_why_they_failed() {
    let mut story = Story::default();
    story.end_attempt(attempt(2, AttemptOutcome::Cancelled));
    story.end_attempt(attempt(1, AttemptOutcome::Failed("connection_refused")));
    story.note(Event {
        at: Duration::from_millis(7),
        kind: EventKind::Retry,
        subject: "carts".into(),
        detail: "connect_failure",
        value: 25,
    });
    let spans = TracedRequest {
        story: Some(&story),
        last_attempt: Some(attempt(3, AttemptOutcome::Answered(404))),
        status: 404,
        ..request()
    }
    .spans();
    assert_eq!(spans.len(), 4);
    // What the client did wrong is no error of the server's, but one of the call's.
    assert_eq!(spans[0].status, SpanStatus::Unset);
    assert_eq!(spans[1].status, SpanStatus::Error("connection_refused".into()));
    assert_eq!(
        one(&spans[1], "error.type").as_deref(),
        Some("connection_refused")
    );
    assert_eq!(one(&spans[1], "http.request.resend_count"), None);
    assert_eq!(
        (&spans[2].status, one(&spans[2], "outrigger.cancelled").as_deref()),
        (&SpanStatus::Unset, Some("true"))
    );
    assert_eq!(one(&spans[2], "http.request.resend_count").as_deref(), Some("1"));
    assert_eq!(spans[3].status, SpanStatus::Error("".into()));
    assert_eq!(one(&spans[3], "error.type").as_deref(), Some("404"));
    let event = &spans[0].events[0];
    assert_eq!(
        (event.name.as_ref(), event.at),
        ("retry", start() + Duration::from_millis(7))
    );
    assert_eq!(event.attributes.len(), 3);
}

#[test]
fn errors_are_what_the_conventions_call_so() {
    let status_of = |request: TracedRequest<'_>| {
        let spans = request.spans();
        (spans[0].status.clone(), one(&spans[0], "error.type"))
    };
    let plain = |status| TracedRequest { status, ..request() };
    for status in [101, 200, 304, 400, 429, 499] {
        assert_eq!(status_of(plain(status)), (SpanStatus::Unset, None), "{status}");
        assert!(!is_error(status, None, ResponseFlags::NONE));
    }
    assert_eq!(
        status_of(plain(503)),
        (SpanStatus::Error("".into()), Some("503".into()))
    );
    let cut = TracedRequest {
        response_flags: ResponseFlags::UC,
        details: "upstream_reset",
        ..request()
    };
    assert_eq!(
        status_of(cut),
        (
            SpanStatus::Error("upstream_reset".into()),
            Some("upstream_reset".into())
        )
    );
    assert_eq!(cut.spans()[1].status, SpanStatus::Error("".into()));
    let gone = TracedRequest {
        status: 0,
        response_flags: ResponseFlags::DC,
        ..request()
    };
    assert_eq!(status_of(gone), (SpanStatus::Unset, None));
    assert_eq!(one(&gone.spans()[0], "http.response.status_code"), None);
}

#[test]
fn grpc_is_told_by_the_conventions_for_rpc() {
    let call = |grpc_status| TracedRequest {
        method: "POST",
        target: "/shop.v1.Cart/Add",
        sent: SentRequest {
            target: "/shop.v1.Cart/Add",
            ..request().sent
        },
        grpc: true,
        grpc_status: Some(grpc_status),
        protocol_version: "2",
        ..request()
    };
    let fine = call(0).spans();
    assert_eq!(
        (fine[0].name.as_str(), fine[1].name.as_str()),
        ("shop.v1.Cart/Add", "shop.v1.Cart/Add")
    );
    for span in &fine {
        let rpc = ["rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"]
            .map(|name| one(span, name).unwrap());
        assert_eq!(rpc, ["grpc", "shop.v1.Cart", "Add", "0"]);
        assert_eq!(span.status, SpanStatus::Unset);
    }
    let not_found = call(5).spans();
    assert_eq!(not_found[0].status, SpanStatus::Unset);
    assert_eq!(one(&not_found[1], "error.type").as_deref(), Some("NOT_FOUND"));
    let unavailable = call(14).spans();
    for span in &unavailable {
        assert_eq!(one(span, "error.type").as_deref(), Some("UNAVAILABLE"));
        assert!(matches!(span.status, SpanStatus::Error(_)));
    }
    assert!(is_error(200, Some(14), ResponseFlags::NONE) && !is_error(200, Some(5), ResponseFlags::NONE));
}

#[test]
fn names_have_few_values() {
    let name = |request: TracedRequest<'_>| request.spans()[0].name.clone();
    let route = |template| {
        Some(TracedRoute {
            virtual_host: "v",
            name: "r",
            template,
        })
    };
    assert_eq!(
        name(TracedRequest {
            route: None,
            ..request()
        }),
        "GET"
    );
    assert_eq!(
        name(TracedRequest {
            route: route(None),
            ..request()
        }),
        "GET"
    );
    let odd = TracedRequest {
        method: "BREW",
        route: None,
        ..request()
    };
    assert_eq!(name(odd), "HTTP");
    assert_eq!(
        one(&odd.spans()[0], "http.request.method").as_deref(),
        Some("_OTHER")
    );
    assert_eq!(
        one(&odd.spans()[1], "http.request.method_original").as_deref(),
        Some("BREW")
    );
    let own = [("tenant".to_owned(), "a".to_owned())];
    let named = TracedRequest {
        name: Some("checkout"),
        attributes: &own,
        ..request()
    };
    assert_eq!(name(named), "checkout");
    assert_eq!(one(&named.spans()[0], "tenant").as_deref(), Some("a"));
}

#[test]
fn what_the_configuration_says_stands_in_place_of_what_is_said_anyway() {
    let own = [("url.path", "/hidden"), ("error.type", "ours"), ("tenant", "a")];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let spans = TracedRequest {
        status: 503,
        attributes: &own,
        ..request()
    }
    .spans();
    for (key, value) in &own {
        assert_eq!(one(&spans[0], key).as_ref(), Some(value), "{key}");
    }
    let mut keys: Vec<_> = spans[0].attributes.iter().map(|(key, _)| key.clone()).collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "a key stands once: {keys:?}");
}

#[test]
fn of_two_attempts_that_raced_the_one_that_answered_is_the_last() {
    let mut story = Story::default();
    story.end_attempt(attempt(2, AttemptOutcome::Cancelled));
    let spans = TracedRequest {
        story: Some(&story),
        last_attempt: Some(attempt(1, AttemptOutcome::Answered(200))),
        grpc: true,
        grpc_status: Some(14),
        ..request()
    }
    .spans();
    assert_eq!(one(&spans[1], "error.type").as_deref(), Some("UNAVAILABLE"));
    assert_eq!(one(&spans[2], "error.type"), None);
    assert_eq!(one(&spans[2], "outrigger.cancelled").as_deref(), Some("true"));
}

#[test]
fn texts_that_clients_make_up_are_cut() {
    let long = "\u{e9}".repeat(3_000);
    let target = format!("/{long}?{long}=1");
    let state = vec![format!("k={}", "v".repeat(250)); 30].join(",");
    let own = [("own".to_owned(), long.clone())];
    let spans = TracedRequest {
        target: &target,
        authority: &long,
        sent: SentRequest {
            scheme: "https",
            target: &target,
            authority: &long,
        },
        user_agent: Some(long.as_bytes()),
        tracestate: Some(state.as_bytes()),
        name: Some(&long),
        attributes: &own,
        ..request()
    }
    .spans();
    for span in &spans {
        assert!(span.name.len() <= 4_096);
        assert_eq!(span.tracestate.len(), 16 * 253 - 1);
        assert!(span.tracestate.ends_with('v'));
        assert!(told(span).iter().all(|(_, value)| value.len() <= 4_096));
    }
    for name in [
        "url.path",
        "url.query",
        "server.address",
        "user_agent.original",
        "own",
    ] {
        assert!(one(&spans[0], name).unwrap().len() >= 4_095, "{name}");
    }
}

#[test]
fn client_spans_tell_what_was_sent() {
    let spans = TracedRequest {
        sent: SentRequest {
            scheme: "https",
            target: "/v2/7?token=secret",
            authority: "carts.internal",
        },
        ..request()
    }
    .spans();
    assert_eq!(one(&spans[0], "url.path").as_deref(), Some("/cart/7"));
    assert_eq!(one(&spans[0], "server.address").as_deref(), Some("shop.example"));
    let told = ["url.full", "server.address", "server.port"].map(|name| one(&spans[1], name).unwrap());
    assert_eq!(
        told,
        [
            "https://carts.internal/v2/7?token=REDACTED",
            "carts.internal",
            "443"
        ]
    );
}
