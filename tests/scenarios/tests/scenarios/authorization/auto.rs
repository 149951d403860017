//! Where it is detected what is spoken: nothing is dialled for whom bytes are not passed on.

use super::*;

/// HTTP goes to `web`, bytes to `bytes`; what is said first is waited for as long as it takes.
fn detecting(web: &Scripted, bytes: &Scripted, items: &str, http: &str) -> Document {
    Document::to(&[])
        .with_cluster("web", &[web.address()], "")
        .with_cluster("bytes", &[bytes.address()], "")
        .with(&policies(items))
        .routes("{ match: { prefix: / }, forward: { cluster: web } }")
        .listener(&format!(
            "filter_chains: [{{ authorization: [a], detection_timeout: 1h, tcp: {{ cluster: bytes }}, \
             http: {{ route_configuration: main{http} }} }}]"
        ))
        .workers(1)
}

async fn greeting() -> Scripted {
    Scripted::start(|mut script| async move {
        script.send("220 ready\r\n").await?;
        script.until_closed().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nothing_is_allowed_is_closed_before_it_says_anything() {
    let (web, bytes) = (Scripted::ok().await, greeting().await);
    for items in [
        "{ name: a, action: deny, rules: [{ direct_addresses: [127.0.0.0/8] }] }",
        "{ name: a, action: allow, rules: [{ direct_addresses: [10.0.0.0/8], methods: [GET] }] }",
    ] {
        let proxy = Proxy::start(detecting(&web, &bytes, items, "")).await;
        // It says nothing, and is closed all the same.
        assert!(
            Client::connect(proxy.address()).await.is_closed().await,
            "{items}"
        );
        assert_decided(&proxy, "denied", 1.0).await;
    }
    assert_eq!((web.connections(), bytes.connections()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_http_may_be_allowed_nothing_is_dialled_ahead() {
    let (web, bytes) = (Scripted::ok().await, greeting().await);
    let items = "{ name: a, action: allow, rules: [{ methods: [GET] }] }";
    let proxy = Proxy::start(detecting(&web, &bytes, items, "")).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.text(), "ok\n");
    let put = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    assert_denied(&client.exchange(put).await);
    let mut other = Client::connect(proxy.address()).await;
    other.send("EHLO a\r\n").await;
    assert!(other.is_closed().await);
    assert_eq!((web.request_count(), bytes.connections()), (1, 0));
    assert_decided_by(&proxy, "a", "allowed", 1.0).await;
    assert_decided(&proxy, "denied", 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_bytes_are_allowed_is_served_as_without_policies() {
    let (web, bytes) = (Scripted::ok().await, greeting().await);
    let items = "{ name: a, action: allow, rules: [{ direct_addresses: [127.0.0.1] }] }";
    let proxy = Proxy::start(detecting(&web, &bytes, items, "")).await;
    assert_eq!(fetch(proxy.address(), "/", "").await.text(), "ok\n");
    assert_eq!(
        Client::connect(proxy.address()).await.take(11).await,
        b"220 ready\r\n"
    );
    assert_decided_by(&proxy, "a", "allowed", 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_a_proxy_in_front_may_name_is_waited_for() {
    let (web, bytes) = (Scripted::ok().await, greeting().await);
    let items = "{ name: a, action: allow, rules: [{ remote_addresses: [192.0.2.0/24] }] }";
    let proxy = Proxy::start(detecting(&web, &bytes, items, ", xff_num_trusted_hops: 1")).await;
    let from = "x-forwarded-for: 192.0.2.7\r\n";
    assert_eq!(fetch(proxy.address(), "/", from).await.status(), 200);
    assert_denied(&fetch(proxy.address(), "/", "x-forwarded-for: 10.0.0.1\r\n").await);
    assert_eq!(bytes.connections(), 0);
}
