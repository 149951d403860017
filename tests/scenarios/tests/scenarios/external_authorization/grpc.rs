//! Over gRPC: what is told, what a yes changes, what a no says, who is asked.

use super::{QUESTIONS, Scene, allow, allow_with, deny_with, header, response};
use crate::programs::{Beside, peer, python};
use envoy_types::pb::envoy::config::core::v3::QueryParameter;
use envoy_types::pb::envoy::config::core::v3::{address, socket_address};
use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::authorization::{Authorization, Said};
use outrigger_fixtures::frames::{Frame, FrameConnection};
use outrigger_harness::{Client, Proxy, client};

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_told_what_envoy_tells() {
    let scene = Scene::new(", context: { a: b, c: d }", |_| allow()).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    let request =
        "PUT /a/./b?c=d HTTP/1.1\r\nhost: a.example:81\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 3\r\n\r\nabc";
    assert_eq!(client.exchange(request).await.text(), "ok\n");
    let check = scene.service.last_check();
    assert_eq!(check.headers["te"], "trailers");
    assert!(check.headers.contains_key("grpc-timeout"));
    let http = check.http();
    assert_eq!((http.method.as_str(), http.path.as_str()), ("PUT", "/a/b?c=d"));
    assert_eq!(
        (http.host.as_str(), http.scheme.as_str()),
        ("a.example:81", "http")
    );
    assert_eq!((http.protocol.as_str(), http.size), ("HTTP/1.1", 3));
    assert_eq!((http.body.as_str(), http.raw_body.as_slice()), ("", &b""[..]));
    assert_eq!(http.headers["x-a"], "1,2");
    assert_eq!(http.headers[":path"], "/a/b?c=d");
    assert_eq!(http.headers["x-request-id"], http.id);
    assert_eq!(
        scene.upstream.last_request().head.field("x-request-id"),
        Some(&*http.id)
    );
    let attributes = check.attributes();
    assert_eq!(attributes.context_extensions["a"], "b");
    assert!(attributes.request.as_ref().unwrap().time.is_some());
    let port = |peer: &Option<envoy_types::pb::envoy::service::auth::v3::attribute_context::Peer>| {
        let address = peer.as_ref().unwrap().address.as_ref().unwrap().address.clone();
        let Some(address::Address::SocketAddress(address)) = address else {
            panic!("{peer:?}")
        };
        let Some(socket_address::PortSpecifier::PortValue(port)) = address.port_specifier else {
            panic!("{address:?}")
        };
        (address.address, port)
    };
    let here = "127.0.0.1".to_owned();
    assert_eq!(
        port(&attributes.source),
        (here.clone(), client.local_address().port().into())
    );
    assert_eq!(
        port(&attributes.destination),
        (here, scene.proxy.address().port().into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_changes_request_and_response() {
    let ok = || OkHttpResponse {
        headers: vec![
            header("X-User", "alice", false),
            header("x-roles", "b", true),
            header("x-new", "n", true),
        ],
        headers_to_remove: vec!["authorization".into(), "host".into()],
        response_headers_to_add: vec![header("x-checked", "yes", true)],
        query_parameters_to_set: vec![QueryParameter {
            key: "user".into(),
            value: "alice".into(),
        }],
        query_parameters_to_remove: vec!["token".into()],
        ..OkHttpResponse::default()
    };
    let scene = Scene::new("", move |_| allow_with(ok())).await;
    let fields = "x-user: mallory\r\nx-roles: a\r\nauthorization: secret\r\n";
    let response = client::fetch(scene.proxy.address(), "/p?token=t&user=mallory&q=1", fields).await;
    assert_eq!(
        (response.status(), response.field("x-checked")),
        (200, Some("yes"))
    );
    let head = scene.upstream.last_request().head;
    assert_eq!(head.target(), "/p?user=alice&q=1");
    assert_eq!(head.all("x-user").collect::<Vec<_>>(), ["alice"]);
    assert_eq!(head.all("x-roles").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        (head.field("x-new"), head.field("authorization")),
        (Some("n"), None)
    );
    assert!(head.field("host").is_some());
    assert_eq!(scene.outcome("allowed").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_what_the_service_says() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().display().to_string();
    let answer = |check: &outrigger_fixtures::authorization::Check| match check.http().path.as_str() {
        "/bare" => response(7, None),
        _ => deny_with(
            401,
            vec![
                header("www-authenticate", "Basic", false),
                header("x y", "bad", false),
            ],
            "who are you?",
        ),
    };
    let scene = Scene::edited("", answer, |document| {
        document.http(&format!(
            "access_logs: [{{ path: {path}, format: {{ text: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%' }} }}]"
        ))
    })
    .await;
    let response = client::fetch(scene.proxy.address(), "/", "").await;
    assert_eq!(
        (response.status(), response.text().as_str()),
        (401, "who are you?")
    );
    assert_eq!(response.field("www-authenticate"), Some("Basic"));
    assert_eq!(response.field("content-type"), Some("text/plain"));
    let bare = client::fetch(scene.proxy.address(), "/bare", "").await;
    assert_eq!((bare.status(), bare.text().as_str()), (403, "access denied\n"));
    assert_eq!(scene.upstream.head_count(), 0);
    assert_eq!(scene.outcome("denied").await, 2.0);
    let lines = outrigger_harness::wait_until("two lines", async || {
        let text = std::fs::read_to_string(log.path()).unwrap();
        (text.lines().count() == 2).then_some(text)
    })
    .await;
    assert_eq!(lines, "401 UAEX ext_authz_denied\n403 UAEX ext_authz_denied\n");
    let flagged = "outrigger_route_response_flags_total{flag=\"UAEX\"}";
    assert_eq!(scene.proxy.admin().metric(flagged).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_grpc_gets_a_status_and_a_stream_is_asked_about_once() {
    let scene = Scene::edited(
        "",
        |check| match check.http().path.as_str() {
            "/a.B/Yes" => allow(),
            _ => deny_with(401, vec![header("x-why", "because", false)], "50% no\n"),
        },
        |document| document.cluster("protocol: http2"),
    )
    .await;
    let mut client = FrameConnection::connect(scene.proxy.address(), &[])
        .await
        .unwrap();
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    client
        .send(Frame::request(1, "POST", "/a.B/No", &fields, false))
        .await
        .unwrap();
    let denied = client.next_headers().await.unwrap();
    assert_eq!(denied.field(":status"), Some("200"));
    assert_eq!(denied.field("grpc-status"), Some("16"));
    assert_eq!(denied.field("grpc-message"), Some("50%25 no"));
    assert_eq!(denied.field("x-why"), Some("because"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bidirectional_stream_is_asked_about_once() {
    let upstream = outrigger_fixtures::frames::FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        let stream = connection.next_headers().await?.stream;
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        connection.send(Frame::headers(stream, &head, false)).await?;
        for _ in 0..3 {
            let data = connection
                .next_where(|frame| frame.kind == outrigger_fixtures::frames::FrameKind::Data)
                .await?;
            connection.send(Frame::data(stream, data.payload, false)).await?;
        }
        connection
            .send(Frame::headers(stream, &[("grpc-status", "0")], true))
            .await?;
        connection.read_to_end().await.map(drop)
    })
    .await
    .unwrap();
    let service = Authorization::start(|_| allow()).await;
    let document =
        super::asking_grpc(upstream.address(), &[service.address()], "").cluster("protocol: http2");
    let proxy = Proxy::start(document).await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    client
        .send(Frame::request(1, "POST", "/a.B/Yes", &fields, false))
        .await
        .unwrap();
    for _ in 0..3 {
        client
            .send(Frame::data(1, "\0\0\0\0\x02ab", false))
            .await
            .unwrap();
        let echoed = client
            .next_where(|frame| frame.kind == outrigger_fixtures::frames::FrameKind::Data)
            .await
            .unwrap();
        assert_eq!(&echoed.payload[..], b"\0\0\0\0\x02ab");
    }
    let end = client.next_headers().await.unwrap();
    assert_eq!(end.field("grpc-status"), Some("0"));
    assert_eq!(service.checks().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_turn_it_off_and_add_context() {
    let scene = Scene::edited(", context: { a: chain, b: chain }", |_| response(7, None), |document| {
        document.routes(
            "{ match: { path: /off }, forward: { cluster: upstream }, external_authorization: off }, \
             { match: { path: /moved }, redirect: { path: /off } }, \
             { match: { prefix: / }, forward: { cluster: upstream }, external_authorization: { context: { b: route, c: route } } }",
        )
    })
    .await;
    let address = scene.proxy.address();
    assert_eq!(client::fetch(address, "/off", "").await.status(), 200);
    assert!(scene.service.checks().is_empty());
    assert_eq!(
        client::fetch(address, "/moved", "").await.status(),
        403,
        "redirects are asked about too"
    );
    assert_eq!(client::fetch(address, "/on", "").await.status(), 403);
    let check = scene.service.last_check();
    let mut told: Vec<_> = check.attributes().context_extensions.iter().collect();
    told.sort();
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = [text("a", "chain"), text("b", "route"), text("c", "route")];
    assert_eq!(told, expected.iter().map(|(k, v)| (k, v)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_connect_are_asked_about() {
    let scene = Scene::edited(
        "",
        |_| response(7, None),
        |document| {
            document.routes(
                "{ match: { connect: true }, forward: { cluster: upstream } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
            )
        },
    )
    .await;
    let address = scene.proxy.address();
    let fields = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(client::fetch(address, "/chat", fields).await.status(), 403);
    let upgrade = scene.service.last_check();
    assert_eq!(upgrade.http().method, "GET");
    assert_eq!(upgrade.http().headers["upgrade"], "websocket");
    let mut client = Client::connect(address).await;
    client
        .send("CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.status(), 403);
    let connect = scene.service.last_check();
    assert_eq!(
        (connect.http().method.as_str(), connect.http().host.as_str()),
        ("CONNECT", "a.example:443")
    );
    assert_eq!(scene.upstream.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_are_repeated_do_not_ask_again() {
    // The first connection is closed as idle under the second request, which is sent again.
    let upstream = Scripted::start(async |mut script| {
        script.request().await?;
        script
            .send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
            .await?;
        if script.index() == 0 {
            script.request().await?;
            return script.reset();
        }
        Ok(())
    })
    .await;
    let service = Authorization::start(|_| {
        allow_with(OkHttpResponse {
            headers: vec![header("x-user", "alice", false)],
            ..OkHttpResponse::default()
        })
    })
    .await;
    let proxy =
        Proxy::start(super::asking_grpc(upstream.address(), &[service.address()], "").workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    assert_eq!(upstream.connections(), 2, "the second request was sent twice");
    assert_eq!(
        upstream.last_request().head.all("x-user").collect::<Vec<_>>(),
        ["alice"]
    );
    assert_eq!(service.checks().len(), 2);
    assert_eq!(proxy.admin().metric(QUESTIONS).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_question() {
    let scene = Scene::new("", |_| Said::Nothing).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let active = "outrigger_cluster_requests_active{cluster=\"authz\"}";
    let admin = scene.proxy.admin();
    admin.wait_for_metric(active, 1.0).await;
    drop(client);
    admin.wait_for_metric(active, 0.0).await;
    admin
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"DC\"}", 1.0)
        .await;
    assert_eq!(scene.upstream.head_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_grpcio_is_understood() {
    let Some(python) = python() else { return };
    let mut command = std::process::Command::new(python);
    command.arg(peer("authorization_server.py"));
    let (_service, address) = Beside::listening(command);
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(super::asking_grpc(upstream.address(), &[address], "")).await;
    for (token, status) in [("good", 200), ("bad", 403), ("broken", 403), ("good", 200)] {
        let fields = format!("authorization: token-{token}\r\n");
        let response = client::fetch(proxy.address(), "/", &fields).await;
        assert_eq!(response.status(), status, "{token}");
    }
    let admin = proxy.admin();
    for (outcome, count) in [("allowed", 2.0), ("denied", 1.0), ("failed", 1.0)] {
        let series = format!("{}{{outcome=\"{outcome}\"}}", super::OUTCOMES);
        assert_eq!(admin.metric(&series).await, count, "{outcome}");
    }
}
