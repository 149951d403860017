//! What believed peers ask for in their requests' headers.

use super::*;
use outrigger_fixtures::Authority;

/// Every hint, as a proxy in front would send them.
const HINTS: &str = "x-envoy-retry-on: 5xx\r\nx-envoy-retry-grpc-on: unavailable\r\nx-envoy-max-retries: 2\r\n\
     x-envoy-retriable-status-codes: 418\r\nx-envoy-retriable-header-names: x-again\r\n\
     x-envoy-upstream-rq-timeout-ms: 60000\r\nx-envoy-upstream-rq-per-try-timeout-ms: 50000\r\n";

const BELIEVED: &str = "hint_peers: { addresses: [127.0.0.0/8] }";
/// `x-envoy-*` of such a proxy are not taken off; hints are, all the same.
const TRUSTED: &str = "xff_num_trusted_hops: 1";

/// What of hints has reached an upstream.
fn leaked(upstream: &Scripted) -> Vec<String> {
    let requests = upstream.requests();
    let fields = requests.iter().flat_map(|request| request.head.fields.iter());
    let names = fields.map(|(name, _)| name.to_ascii_lowercase());
    names.filter(|name| HINTS.contains(&format!("{name}:"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_of_believed_peers_are_followed_and_never_go_upstream() {
    for http in [BELIEVED.to_owned(), format!("{BELIEVED}, {TRUSTED}")] {
        let upstream = failing(2, &answer(503, "")).await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1).http(&http)).await;
        let mut client = Client::connect(proxy.address()).await;
        let response = client.fetch("/", HINTS).await;
        assert_eq!(
            (response.text().as_str(), upstream.request_count()),
            ("ok", 3),
            "{http}"
        );
        assert_eq!(leaked(&upstream), Vec::<String>::new(), "{http}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_of_others_are_taken_off() {
    for http in ["", TRUSTED, "hint_peers: { addresses: [10.0.0.0/8] }"] {
        let upstream = failing(2, &answer(503, "")).await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1).http(http)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", HINTS).await;
        assert_eq!(
            (response.text().as_str(), upstream.request_count()),
            ("fail", 1),
            "{http}"
        );
        assert_eq!(leaked(&upstream), Vec::<String>::new(), "{http}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hint_sends_twice_what_may_have_run_and_is_not_idempotent() {
    let upstream = failing(2, &answer(503, "")).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1).http(BELIEVED)).await;
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n{HINTS}\r\nabc");
    let response = Client::connect(proxy.address()).await.exchange(request).await;
    assert_eq!((response.text().as_str(), upstream.request_count()), ("fail", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_add_to_a_route_s_policy_and_change_its_numbers() {
    let upstream = failing(1, &answer(418, "")).await;
    let document = document(&upstream, &format!("retry_on: [connect-failure], {QUICK}")).http(BELIEVED);
    let proxy = Proxy::start(document).await;
    let fields = "x-envoy-retry-on: retriable-status-codes\r\nx-envoy-retriable-status-codes: 418\r\n";
    let response = Client::connect(proxy.address()).await.fetch("/", fields).await;
    assert_eq!((response.text().as_str(), upstream.request_count()), ("ok", 2));
    let upstream = failing(9, &answer(503, "")).await;
    let document =
        super::document(&upstream, &format!("retry_on: [5xx], retries_max: 5, {QUICK}")).http(BELIEVED);
    let proxy = Proxy::start(document).await;
    let response = Client::connect(proxy.address())
        .await
        .fetch("/", "x-envoy-max-retries: 0\r\n")
        .await;
    assert_eq!((response.text().as_str(), upstream.request_count()), ("fail", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_believed_peer_shortens_the_time_and_lengthens_it_to_what_the_route_allows() {
    let silent = Scripted::start(|mut script| async move {
        script.request().await?;
        script.until_closed().await
    })
    .await;
    // A timeout that was written is the most that a peer can ask for.
    for (forward, asked) in [
        ("timeout: 60s", 50),
        ("timeout: 50ms", 60_000),
        ("timeout: 50ms", 0),
    ] {
        let document = Document::to(&[silent.address()])
            .workers(1)
            .http(BELIEVED)
            .forward(forward);
        let proxy = Proxy::start(document).await;
        let fields = format!("x-envoy-upstream-rq-timeout-ms: {asked}\r\n");
        let response = Client::connect(proxy.address()).await.fetch("/", &fields).await;
        assert_eq!(response.status(), 504, "{forward}, {asked}");
    }
    let document = Document::to(&[silent.address()])
        .workers(1)
        .http(BELIEVED)
        .forward("timeout: off");
    let proxy = Proxy::start(document).await;
    let fields = "x-envoy-upstream-rq-per-try-timeout-ms: 50\r\n";
    let response = Client::connect(proxy.address()).await.fetch("/", fields).await;
    assert_eq!(response.status(), 504, "without a policy, too");
}

/// By default whoever shows a verified SPIFFE id is believed; ids can be listed instead.
#[tokio::test(flavor = "multi_thread")]
async fn peers_are_believed_by_their_identities() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example", "localhost"]);
    let friend = authority.issue_svid("friend", "spiffe://example.org/ns/shop/sa/friend");
    let nobody = authority.issue("nobody", &["client.example"]);
    let listed = "hint_peers: { authenticated: false, identities: [{ spiffe_id: 'spiffe://example.org/ns/shop/sa/friend' }] }";
    let other = "hint_peers: { authenticated: false, identities: [{ spiffe_id: 'spiffe://example.org/ns/other/sa/x' }] }";
    for (http, client, believed) in [
        ("", &friend, true),
        ("", &nobody, false),
        (listed, &friend, true),
        (other, &friend, false),
        ("hint_peers: { authenticated: false }", &friend, false),
    ] {
        let upstream = failing(1, &answer(503, "")).await;
        let tls = format!(
            "tls: {{ certificates: [{}], client: {{ ca_file: {} }} }}",
            server.yaml(),
            authority.root().display()
        );
        let document = Document::to(&[upstream.address()])
            .workers(1)
            .http(http)
            .chain(&tls);
        let proxy = Proxy::start(document).await;
        let config = authority.client_config(&["http/1.1"], Some(client));
        let mut client = Client::connect_tls(proxy.address(), config, "a.example")
            .await
            .unwrap();
        let response = client.fetch("/", "x-envoy-retry-on: 5xx\r\n").await;
        let expected = if believed { ("ok", 2) } else { ("fail", 1) };
        assert_eq!(
            (response.text().as_str(), upstream.request_count()),
            expected,
            "{http}"
        );
    }
}
