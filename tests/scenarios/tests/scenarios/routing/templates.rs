//! What a path's variables become, in paths and in headers, and headers put together from other things of a request.

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn variables_move_to_another_path_as_they_stand() {
    let upstream = Scripted::ok().await;
    let routes = "{ match: { template: '/users/{id}/orders/{order}' }, \
          forward: { cluster: upstream, template_rewrite: '/v2/{order}/of/{id}' } }, \
        { match: { template: '/drop/{all}' }, forward: { cluster: upstream, template_rewrite: / } }, \
        { match: { template: '/twice/{it}' }, forward: { cluster: upstream, template_rewrite: '/{it}/{it}' } }, \
        { match: { template: '/go/{where}' }, redirect: { template_rewrite: '/gone/{where}/' } }";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(routes)).await;
    let mut client = Client::connect(proxy.address()).await;
    for (target, expected) in [
        ("/users/7/orders/8?q=%2F", "/v2/8/of/7?q=%2F"),
        ("/users/a%2Fb/orders/c%20d;e=f", "/v2/c%20d;e=f/of/a%2Fb"),
        ("/users/x/./y/../orders/z", "/v2/z/of/x"),
        ("/users/%252e%252e/orders/%252E", "/v2/%252E/of/%252e%252e"),
        ("/users/{order}/orders/{id}", "/v2/{id}/of/{order}"),
        ("/drop/x?y", "/?y"),
        ("/twice/a;b", "/a;b/a;b"),
    ] {
        assert_eq!(client.fetch(target, "").await.status(), 200, "{target}");
        let request = upstream.last_request();
        assert_eq!(request.head.target(), expected, "{target}");
        assert!(request.head.field("x-envoy-original-path").is_some());
    }
    for target in ["/users//orders/8", "/users/7/orders", "/users/7/orders/8/9"] {
        assert_eq!(client.fetch(target, "").await.status(), 404, "{target}");
    }
    let response = client.fetch("/go/a%3Fb?c", "").await;
    assert_eq!(response.field("location"), Some("http://test/gone/a%3Fb/?c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_put_together_from_the_request() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-set: theirs\r\n\r\n").await;
    let routes = "{ match: { template: '/users/{id}' }, forward: { cluster: upstream, template_rewrite: '/u' }, \
        request_headers: { set: { x-user: 'user-%PATH_VARIABLE(id)%', x-copy: '%REQ(x-user)%', x-token: '%REQ(authorization)%', \
          x-percent: '100%% of %REQ(host)%' }, append: { x-client: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% by %PROTOCOL%' }, \
          add: { x-a: '[%REQ(x-none)%]' } }, \
        response_headers: { set: { x-user: '%PATH_VARIABLE(id)%', x-set: '%REQ(x-none)%' }, \
          append: { x-from: '%REQ(x-none)% %UPSTREAM_HOST%', x-agent: '%REQ(user-agent)%' } } }";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(routes)).await;
    let mut client = Client::connect(proxy.address()).await;
    let response = client
        .fetch("/users/a%2Fb", "x-token: forged\r\nuser-agent: caf\u{e9}\r\n")
        .await;
    let request = upstream.last_request();
    for (name, expected) in [
        ("x-user", Some("user-a%2Fb")),
        ("x-copy", Some("user-a%2Fb")),
        ("x-token", None),
        ("x-percent", Some("100% of test")),
        ("x-client", Some("127.0.0.1 by HTTP/1.1")),
        ("x-a", Some("[]")),
    ] {
        assert_eq!(request.head.field(name), expected, "{name}");
    }
    let host = upstream.address().to_string();
    for (name, expected) in [
        ("x-user", Some("a%2Fb")),
        ("x-set", None),
        ("x-from", Some(host.as_str())),
    ] {
        assert_eq!(response.field(name), expected, "{name}");
    }
    assert!(
        response
            .field("x-agent")
            .is_some_and(|agent| agent.starts_with("caf"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_who_trusted_proxies_say() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .http("xff_num_trusted_hops: 1")
        .route("request_headers: { set: { x-client: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%' } }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .fetch("/", "x-forwarded-for: 192.0.2.1, 192.0.2.7\r\n")
        .await;
    assert_eq!(upstream.last_request().head.field("x-client"), Some("192.0.2.7"));
    client.fetch("/", "").await;
    assert_eq!(upstream.last_request().head.field("x-client"), Some("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn local_replies_have_no_upstream_to_name() {
    let document = Document::to(&[])
        .route("response_headers: { set: { x-from: '%UPSTREAM_HOST%', x-asked: '%REQ(x-id)%' } }");
    let proxy = Proxy::start(document).await;
    let response = Client::connect(proxy.address())
        .await
        .fetch("/", "x-id: 7\r\n")
        .await;
    assert_eq!(
        (
            response.status(),
            response.field("x-from"),
            response.field("x-asked")
        ),
        (503, None, Some("7"))
    );
}
