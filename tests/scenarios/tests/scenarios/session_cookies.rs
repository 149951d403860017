//! Session cookies: a client stays with the endpoint that served it first.

use outrigger_fixtures::{Authority, Echo, Scripted};
use outrigger_harness::client::Response;
use outrigger_harness::{Client, Document, Proxy};
use std::net::SocketAddr;

const COOKIES: &str = "outrigger_route_session_cookies_total";

fn sticky(endpoints: &[SocketAddr], more: &str) -> Document {
    Document::to(endpoints).forward(&format!("session_cookie: {{ name: stay{more} }}"))
}

/// The cookie that a response sets, as a browser sends it back, and its attributes.
fn cookie(response: &Response) -> Option<(String, Vec<String>)> {
    let mut parts = response.field("set-cookie")?.split("; ").map(str::to_owned);
    Some((parts.next()?, parts.collect()))
}

async fn fetch_with(client: &mut Client, cookie: &str) -> Response {
    client
        .fetch("/", &format!("cookie: a=b; {cookie}; c=d\r\n"))
        .await
}

/// Three endpoints that say who they are.
async fn three() -> ([Echo; 3], Vec<SocketAddr>) {
    let endpoints = [
        Echo::start_named("one").await,
        Echo::start_named("two").await,
        Echo::start_named("three").await,
    ];
    let addresses = endpoints.iter().map(Echo::address).collect();
    (endpoints, addresses)
}

async fn wait_for_use(proxy: &Proxy, result: &str, count: f64) {
    let series = format!("{COOKIES}{{result=\"{result}\"}}");
    proxy.admin().wait_for_metric(&series, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_where_it_was_served_first() {
    let (_endpoints, addresses) = three().await;
    let proxy = Proxy::start(sticky(&addresses, "")).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..6 {
        let first = client.fetch("/", "").await;
        let (value, attributes) = cookie(&first).expect("a new client gets a cookie");
        assert_eq!(attributes, ["Path=/", "HttpOnly"]);
        let served_by = first.field("x-upstream").unwrap().to_owned();
        for _ in 0..5 {
            let again = fetch_with(&mut client, &value).await;
            assert_eq!(again.field("x-upstream"), Some(served_by.as_str()));
            assert_eq!(again.field("set-cookie"), None, "it has its cookie");
            let sent: Vec<&str> = again.head.all("x-field").collect();
            let passed_on = format!("cookie=a=b; {value}; c=d");
            assert!(sent.contains(&passed_on.as_str()), "{sent:?}");
        }
        seen.insert(served_by);
    }
    assert_eq!(seen.len(), 3, "new clients are balanced as ever");
    wait_for_use(&proxy, "new", 6.0).await;
    wait_for_use(&proxy, "kept", 30.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_means_the_same_to_every_proxy_and_shows_no_address() {
    let (_endpoints, addresses) = three().await;
    let first = Proxy::start(sticky(&addresses, "")).await;
    let response = Client::connect(first.address()).await.fetch("/", "").await;
    let (value, _) = cookie(&response).unwrap();
    drop(first);
    let digits = value.strip_prefix("stay=").unwrap();
    assert!(
        digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{value}"
    );
    // Another order of endpoints, and a process that knows nothing of the first.
    let reversed: Vec<SocketAddr> = addresses.iter().rev().copied().collect();
    let second = Proxy::start(sticky(&reversed, "")).await;
    let mut client = Client::connect(second.address()).await;
    for _ in 0..6 {
        let again = fetch_with(&mut client, &value).await;
        assert_eq!(again.field("x-upstream"), response.field("x-upstream"));
        assert_eq!(again.field("set-cookie"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_as_written_and_secure_behind_tls() {
    let upstream = Scripted::ok().await;
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let tls = format!("tls: {{ certificates: [{}] }}", server.yaml());
    let more = ", path: /shop, max_age: 1h, same_site: lax";
    let proxy = Proxy::start(sticky(&[upstream.address()], more).chain(&tls)).await;
    let config = authority.client_config(&["http/1.1"], None);
    let mut client = Client::connect_tls(proxy.address(), config, "a.example")
        .await
        .unwrap();
    let (_, attributes) = cookie(&client.fetch("/", "").await).unwrap();
    assert_eq!(
        attributes,
        ["Path=/shop", "Max-Age=3600", "HttpOnly", "SameSite=Lax", "Secure"]
    );
    // SameSite=None is nothing without Secure.
    let proxy = Proxy::start(sticky(&[upstream.address()], ", same_site: none")).await;
    let mut client = Client::connect(proxy.address()).await;
    let (_, attributes) = cookie(&client.fetch("/", "").await).unwrap();
    assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=None", "Secure"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_endpoint_has_left_moves_or_is_told() {
    for (more, is_strict) in [("", false), (", strict: true", true)] {
        let (_endpoints, addresses) = three().await;
        let proxy = Proxy::start(sticky(&addresses[..1], more)).await;
        let mut client = Client::connect(proxy.address()).await;
        let (value, _) = cookie(&client.fetch("/", "").await).unwrap();
        proxy.reload(sticky(&addresses[1..], more)).await.unwrap();
        let response = fetch_with(&mut client, &value).await;
        if is_strict {
            assert_eq!(
                (response.status(), response.text().as_str()),
                (503, "no healthy upstream\n")
            );
            assert_eq!(response.field("set-cookie"), None);
            wait_for_use(&proxy, "refused", 1.0).await;
            let flag = "outrigger_route_response_flags_total{flag=\"UH\"}";
            proxy.admin().wait_for_metric(flag, 1.0).await;
        } else {
            assert_eq!(response.status(), 200);
            let (moved, _) = cookie(&response).expect("a new cookie");
            assert_ne!(moved, value);
            wait_for_use(&proxy, "moved", 1.0).await;
            let again = fetch_with(&mut client, &moved).await;
            assert_eq!(again.field("x-upstream"), response.field("x-upstream"));
        }
        // A strict route takes those who have no cookie.
        assert!(cookie(&client.fetch("/", "").await).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_elsewhere_brings_the_cookie_of_where_it_went() {
    for (more, is_strict) in [("", false), (", strict: true", true)] {
        let gone = Scripted::ok().await;
        let proxy = Proxy::start(sticky(&[gone.address()], more)).await;
        let mut client = Client::connect(proxy.address()).await;
        let (value, _) = cookie(&client.fetch("/", "").await).unwrap();
        let address = gone.address();
        drop(gone);
        let other = Scripted::ok().await;
        proxy
            .reload(sticky(&[address, other.address()], more))
            .await
            .unwrap();
        let response = fetch_with(&mut client, &value).await;
        if is_strict {
            assert_eq!(
                (response.status(), other.request_count()),
                (503, 0),
                "there and nowhere else"
            );
        } else {
            assert_eq!(response.text(), "ok\n");
            let (moved, _) = cookie(&response).expect("the cookie of the other");
            assert_ne!(moved, value);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_none_of_ours_are_no_cookies() {
    let (_endpoints, addresses) = three().await;
    let proxy = Proxy::start(sticky(&addresses, ", strict: true")).await;
    let mut client = Client::connect(proxy.address()).await;
    let upper = "stay=ABCDEF00112233445566778899AABBCC";
    let values = [
        "stay=",
        "stay=127.0.0.1:80",
        "stayed=00112233445566778899aabbccddeeff",
        upper,
        "other=1",
        "stay",
    ];
    for value in values {
        let response = fetch_with(&mut client, value).await;
        assert_eq!(
            (response.status(), cookie(&response).is_some()),
            (200, true),
            "{value}"
        );
    }
    wait_for_use(&proxy, "new", values.len() as f64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_in_its_cluster_too() {
    let (blue, green) = (Echo::start_named("blue").await, Echo::start_named("green").await);
    let clusters = |green: u32| {
        format!(
            "{{ match: {{ prefix: / }}, forward: {{ session_cookie: {{ name: stay }}, weighted_clusters: [\
             {{ cluster: upstream, weight: 1 }}, {{ cluster: green, weight: {green} }}] }} }}"
        )
    };
    let document = |weight| {
        Document::to(&[blue.address()])
            .with_cluster("green", &[green.address()], "")
            .routes(&clusters(weight))
    };
    let proxy = Proxy::start(document(1_000_000)).await;
    let mut client = Client::connect(proxy.address()).await;
    let first = client.fetch("/", "").await;
    assert_eq!(first.field("x-upstream"), Some("green"));
    let (value, _) = cookie(&first).unwrap();
    proxy.reload(document(1)).await.unwrap();
    for _ in 0..30 {
        assert_eq!(
            fetch_with(&mut client, &value).await.field("x-upstream"),
            Some("green")
        );
    }
    // A cluster that is to get nothing gets nothing.
    proxy.reload(document(0)).await.unwrap();
    let response = fetch_with(&mut client, &value).await;
    assert_eq!(
        (response.field("x-upstream"), cookie(&response).is_some()),
        (Some("blue"), true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_from_here_bring_no_cookie() {
    let proxy = Proxy::start(sticky(&[], "")).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!((response.status(), response.field("set-cookie")), (503, None));
}
