//! Checks by gRPC's health protocol.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameServer};

const HEALTHY: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

/// A server that answers each call with this message and status; counts of what came are not kept, but the last call is.
async fn answering(
    message: &'static [u8],
    status: &'static str,
) -> (FrameServer, Arc<Mutex<Option<(Frame, Vec<u8>)>>>) {
    let last = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&last);
    let server = FrameServer::start(move |mut connection, _| {
        let seen = Arc::clone(&seen);
        async move {
            connection.greet(&[]).await?;
            loop {
                let head = connection.next_headers().await?;
                let (body, _) = connection.rest_of(&head).await?;
                let stream = head.stream;
                *seen.lock().unwrap() = Some((head, body));
                let grpc = [(":status", "200"), ("content-type", "application/grpc")];
                connection.send(Frame::headers(stream, &grpc, false)).await?;
                connection.send(Frame::data(stream, message, false)).await?;
                connection
                    .send(Frame::headers(stream, &[("grpc-status", status)], true))
                    .await?;
            }
        }
    })
    .await
    .unwrap();
    (server, last)
}

fn asking(address: SocketAddr, more: &str) -> Document {
    checking(
        &[address],
        &format!("grpc: {{ {more} }}, unhealthy_threshold: 100"),
    )
    .cluster("protocol: http2")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_service_that_serves_is_healthy() {
    let cases: [(&[u8], &str, &str); 6] = [
        (HEALTHY, "0", "passed"),
        (&[0, 0, 0, 0, 2, 8, 2], "0", "not serving"),
        (&[0, 0, 0, 0, 2, 8, 3], "0", "the service is not known"),
        (b"", "5", "the service is not known"),
        (b"", "12", "the server does not speak of health"),
        (b"", "14", "gRPC status 14"),
    ];
    for (message, status, expected) in cases {
        let (server, _) = answering(message, status).await;
        let proxy = Proxy::start(asking(server.address(), "")).await;
        let shown = endpoint(&proxy, server.address()).await;
        assert_eq!(shown["health_check"]["last_result"], expected);
        assert_eq!(
            shown["health_check"]["healthy"],
            expected == "passed",
            "{expected}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_and_the_authority_are_as_asked() {
    let (server, last) = answering(HEALTHY, "0").await;
    let proxy = Proxy::start(asking(
        server.address(),
        "service: shop.Cart, authority: cart.example",
    ))
    .await;
    wait_for_healthy(&proxy, 1).await;
    let (head, body) = last.lock().unwrap().clone().unwrap();
    assert_eq!(head.field(":path"), Some("/grpc.health.v1.Health/Check"));
    assert_eq!(head.field(":authority"), Some("cart.example"));
    assert_eq!(head.field("content-type"), Some("application/grpc"));
    assert_eq!(head.field("te"), Some("trailers"));
    assert_eq!(body, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_grpc_and_what_does_not_answer_fail() {
    let (broken, _) = answering(b"\0\0\0\0\x09\x08\x01", "0").await;
    let silent = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        connection.read_to_end().await.map(drop)
    })
    .await
    .unwrap();
    let resetting = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        loop {
            let head = connection.next_headers().await?;
            connection.send(Frame::reset(head.stream, 2)).await?;
        }
    })
    .await
    .unwrap();
    let plain = Scripted::ok().await;
    for (address, expected) in [
        (broken.address(), "protocol"),
        (silent.address(), "no answer in time"),
        (resetting.address(), "protocol"),
        (plain.address(), ""),
    ] {
        let proxy = Proxy::start(asking(address, "")).await;
        let shown = endpoint(&proxy, address).await;
        assert_eq!(shown["health_check"]["healthy"], false, "{shown}");
        let found = shown["health_check"]["last_result"].as_str().unwrap();
        assert!(found.starts_with(expected), "{found}");
    }
}
