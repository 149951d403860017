//! Policies that change: a request in flight ends if an equal one would be denied now, and only then.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_harness::wait_until;

fn policy(name: &str, rest: &str) -> String {
    format!("authorization_policies: [{{ name: {name}, {rest} }}]")
}

/// Everything goes to one upstream in HTTP/2, under the policy `p` of the chain.
fn under(mesh: &Mesh, upstream: SocketAddr, rest: &str) -> Document {
    mesh.document(upstream)
        .chain("authorization: [p]")
        .with(&policy("p", rest))
}

const NOTHING: &str = "action: deny, rules: []";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_cuts_the_streams_that_it_denies_and_no_other_of_their_connection() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let proxy = Proxy::start(under(&mesh, upstream.address(), NOTHING)).await;
    let mut streams = Streams::open(proxy.address(), mesh.client("one"), "/kept", 10).await;
    streams.add("/calls", GRPC, 10).await;
    streams.add("/pages", &[], 10).await;
    let ids = std::mem::take(&mut streams.ids);
    streams.ids = ids[..10].to_vec();
    let other = Streams::open(proxy.address(), mesh.client("two"), "/calls", 10).await;
    let deny = "action: deny, rules: [{ paths: [{ prefix: /calls }, { path: /pages }], spiffe_ids: ['spiffe://example.org/one'] }]";
    proxy
        .reload(under(&mesh, upstream.address(), deny))
        .await
        .unwrap();
    for _ in 0..20 {
        let frame = streams
            .connection
            .next_where(|frame| frame.kind == FrameKind::RstStream || frame.ends_stream())
            .await
            .unwrap();
        let place = ids.iter().position(|id| *id == frame.stream).unwrap();
        if (10..20).contains(&place) {
            // gRPC's status comes at its end.
            assert_eq!(frame.field("grpc-status"), Some("7"), "{frame:?}");
        } else {
            assert!((20..30).contains(&place), "{frame:?}");
            assert_eq!(frame.error_code(), Some(code::INADEQUATE_SECURITY), "{frame:?}");
        }
    }
    streams.go_on().await;
    other.go_on().await;
    let admin = proxy.admin();
    let cut = "outrigger_listener_requests_cut_total{reason=\"authorization_revoked\"}";
    admin.wait_for_metric(cut, 20.0).await;
    assert_eq!(
        admin.metric("outrigger_listener_connections_cut_total").await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_a_route_and_an_allow_that_shrinks_cut_as_well() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let document = |rest: &str| {
        mesh.document(upstream.address())
            .routes(
                "{ match: { prefix: /guarded }, authorization: [p], forward: { cluster: upstream } }, \
                 { match: { prefix: / }, forward: { cluster: upstream } }",
            )
            .with(&policy("p", rest))
    };
    let allow = |names: &str| format!("action: allow, rules: [{{ spiffe_ids: [{names}] }}]");
    let both = allow("'spiffe://example.org/one', 'spiffe://example.org/two'");
    let proxy = Proxy::start(document(&both)).await;
    let open = async |name: &str, path: &str| {
        let mut streams = Streams::open(proxy.address(), mesh.client(name), "/elsewhere", 1).await;
        streams.add(path, &[], 5).await;
        streams
    };
    let mut cut = open("one", "/guarded").await;
    let kept = open("two", "/guarded").await;
    proxy
        .reload(document(&allow("'spiffe://example.org/two'")))
        .await
        .unwrap();
    for _ in 0..5 {
        let reset = cut
            .connection
            .next_where(|frame| frame.kind == FrameKind::RstStream)
            .await
            .unwrap();
        assert_ne!(reset.stream, 1);
    }
    cut.ids.truncate(1);
    cut.go_on().await;
    kept.go_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_judged_as_it_came_whatever_its_route_made_of_it() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let document = |rest: &str| {
        mesh.document(upstream.address())
            .routes(
                "{ match: { prefix: / }, request_headers: { remove: [x-team], set: { x-team: none } }, \
                 forward: { cluster: upstream, prefix_rewrite: /inside, host_rewrite: other.example } }",
            )
            .chain("authorization: [p]")
            .with(&policy("p", rest))
    };
    let proxy = Proxy::start(document(NOTHING)).await;
    let mut streams = Streams::open(proxy.address(), mesh.client("one"), "/a", 1).await;
    streams.add("/a", &[("x-team", "red")], 1).await;
    // None of this can be said of the request as it went upstream, nor the first of the other.
    let red = "action: deny, rules: [{ paths: [{ path: /a }], headers: [{ name: x-team, exact: red }] }]";
    proxy.reload(document(red)).await.unwrap();
    let reset = streams.connection.next().await.unwrap().unwrap();
    assert_eq!((reset.kind, reset.stream), (FrameKind::RstStream, streams.ids[1]));
    // What it became is nobody's to deny.
    let inside = "action: deny, rules: [{ paths: [{ prefix: /inside }] }, { hosts: [other.example] }]";
    proxy.reload(document(inside)).await.unwrap();
    streams.ids.truncate(1);
    streams.go_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_been_answered_gets_the_answer_of_the_denied() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(head) = script.head().await? {
            script.ran(head, Default::default());
            script.until_closed().await?;
        }
        Ok(())
    })
    .await;
    let document = |rest: &str| {
        Document::to(&[upstream.address()])
            .chain("authorization: [p]")
            .with(&policy("p", rest))
    };
    let proxy = Proxy::start(document(NOTHING)).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET /a HTTP/1.1\r\nhost: test\r\n\r\n").await;
    wait_until("the request is under way", async || {
        (upstream.head_count() == 1).then_some(())
    })
    .await;
    proxy
        .reload(document("action: deny, rules: [{ methods: [GET] }]"))
        .await
        .unwrap();
    let answer = client.response("GET").await;
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (403, "RBAC: access denied\n")
    );
    // The connection is not at fault.
    let next = client.exchange("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(next.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn shadows_and_audits_cut_nobody() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let proxy = Proxy::start(under(&mesh, upstream.address(), NOTHING)).await;
    let streams = Streams::open(proxy.address(), mesh.client("one"), "/", 10).await;
    for rest in [
        "action: deny, shadow: true, rules: [{ always: true }]",
        "action: allow, shadow: true, rules: []",
        "action: audit, rules: [{ always: true }]",
        "action: allow, rules: [{ spiffe_ids: ['spiffe://example.org/one'] }]",
    ] {
        proxy
            .reload(under(&mesh, upstream.address(), rest))
            .await
            .unwrap();
    }
    streams.go_on().await;
    let cut = "outrigger_listener_requests_cut_total";
    assert_eq!(proxy.admin().metric(cut).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_and_a_relayed_connection_are_judged_by_what_they_were() {
    let upstream = super::relays::echoing(true).await;
    let bytes = super::relays::echoing(false).await;
    let document = |rest: &str| {
        Document::to(&[upstream.address()])
            .with_cluster("bytes", &[bytes.address()], "")
            .http("upgrades: [websocket]")
            .forward("prefix_rewrite: /inside")
            .chain("authorization: [p]")
            .with_listener_text(
                "- { name: bytes, address: '127.0.0.1:0', filter_chains: [{ name: bytes, authorization: [p], tcp: { cluster: bytes } }] }\n",
            )
            .with(&policy("p", rest))
    };
    let proxy = Proxy::start(document(NOTHING)).await;
    let mut websocket = Client::connect(proxy.address()).await;
    super::relays::upgrade(&mut websocket).await;
    let mut relayed = Client::connect(proxy.address_of("bytes")).await;
    super::relays::say(&mut relayed, "hello").await;
    // What a policy asks of requests cannot be known of bytes, and a DENY holds then.
    let chat = "action: deny, rules: [{ destination_ports: [1], paths: [{ prefix: /chat }] }]";
    proxy.reload(document(chat)).await.unwrap();
    super::relays::say(&mut websocket, "still here").await;
    super::relays::say(&mut relayed, "still here").await;
    let chat = "action: deny, rules: [{ paths: [{ prefix: /chat }] }]";
    proxy.reload(document(chat)).await.unwrap();
    super::relays::is_reset(&mut websocket).await;
    super::relays::is_reset(&mut relayed).await;
    let admin = proxy.admin();
    let of_connections = "outrigger_listener_connections_cut_total{reason=\"authorization_revoked\"}";
    admin.wait_for_metric(of_connections, 1.0).await;
    let of_requests = "outrigger_listener_requests_cut_total{reason=\"authorization_revoked\"}";
    admin.wait_for_metric(of_requests, 1.0).await;
}
