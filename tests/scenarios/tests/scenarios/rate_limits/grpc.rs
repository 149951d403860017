//! What gRPC clients get that come too often.

use super::{limit, limited};
use outrigger_fixtures::frames::{Frame, FrameConnection};

async fn statuses(more: &str) -> Vec<(String, String, String)> {
    let (_upstream, proxy) = limited(&[limit("one", 1, "", more)], "one").await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let mut seen = Vec::new();
    for stream in [1, 3] {
        let fields = [("content-type", "application/grpc"), ("te", "trailers")];
        let request = Frame::request(stream, "POST", "/a.B/C", &fields, true);
        connection.send(request).await.unwrap();
        let head = connection.next_headers().await.unwrap();
        let field = |name: &str| head.field(name).unwrap_or("none").to_owned();
        seen.push((
            field(":status"),
            field("grpc-status"),
            field("x-envoy-ratelimited"),
        ));
        if stream == 1 {
            connection.rest_of(&head).await.unwrap();
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_unavailable_or_that_a_resource_is_exhausted() {
    let refused = |status: &str| ("200".to_owned(), status.to_owned(), "true".to_owned());
    assert_eq!(statuses("").await[1], refused("14"));
    assert_eq!(statuses("grpc_status: resource_exhausted").await[1], refused("8"));
}
