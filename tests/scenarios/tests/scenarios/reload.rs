//! Configurations that change while requests pass: what is unchanged notices nothing, what is refused changes nothing.

mod files;
mod storm;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};

/// Everything is answered with this text.
fn says(text: &str) -> Document {
    Document::to(&[]).routes(&format!(
        "{{ match: {{ prefix: / }}, direct_response: {{ status: 200, body: {text} }} }}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_by_the_configuration_of_each_request() {
    let proxy = Proxy::start(says("one")).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.text(), "one");
    let address = proxy.address();
    assert_eq!(proxy.reload(says("two")).await, Ok(2));
    let response = client.fetch("/", "").await;
    assert_eq!(
        (response.text().as_str(), response.field("connection")),
        ("two", None),
        "the same connection"
    );
    assert_eq!(proxy.address(), address, "port 0 is not picked anew");
    let admin = proxy.admin();
    assert_eq!(admin.metric("outrigger_configuration_generation").await, 2.0);
    assert_eq!(
        admin
            .metric("outrigger_configuration_updates_accepted_total")
            .await,
        2.0
    );
    assert_eq!(admin.config_dump().await["generation"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_under_the_configuration_that_it_began_under() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            script.request().await?;
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nold")
                .await?;
            let _ = gone.wait_for(|go| *go).await;
            script.send("old").await
        }
    })
    .await;
    let proxy =
        Proxy::start(Document::to(&[upstream.address()]).route("response_headers: { set: { x: old } }"))
            .await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    proxy.reload(says("new")).await.unwrap();
    go.send(true).unwrap();
    assert_eq!(
        (
            head.field("x"),
            client.body(&head).await.unwrap().bytes.as_slice()
        ),
        (Some("old"), &b"oldold"[..])
    );
    assert_eq!(client.fetch("/", "").await.text(), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_survive_what_does_not_concern_them() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster("pool: { idle_timeout: 1h }");
    let proxy = Proxy::start(&document).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    let other = Scripted::ok().await;
    for changed in [
        document.clone().with_cluster("other", &[other.address()], ""),
        document
            .clone()
            .forward("timeout: 3s")
            .http("via_header: { set: x }"),
        document.clone().with_listener("more"),
    ] {
        proxy.reload(changed).await.unwrap();
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    assert_eq!((upstream.connections(), upstream.request_count()), (1, 4));
    // An endpoint that leaves loses its idle connections.
    proxy
        .reload(Document::to(&[other.address()]).workers(1))
        .await
        .unwrap();
    wait_until("the endpoint's connections to end", async || {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!((upstream.request_count(), other.request_count()), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go_without_touching_the_others() {
    let proxy = Proxy::start(says("a")).await;
    let mut stays = Client::connect(proxy.address()).await;
    assert_eq!(stays.fetch("/", "").await.text(), "a");

    proxy.reload(says("b").with_listener("more")).await.unwrap();
    let more = proxy.address_of("more");
    let mut leaves = Client::connect(more).await;
    assert_eq!(leaves.fetch("/", "").await.text(), "b");
    assert_eq!(stays.fetch("/", "").await.text(), "b");

    proxy.reload(says("c")).await.unwrap();
    // An idle keep-alive connection of a listener that has left is closed; nobody new is let in.
    assert!(leaves.is_closed().await);
    wait_until("the port to be left", async || {
        tokio::net::TcpStream::connect(more).await.is_err().then_some(())
    })
    .await;
    assert_eq!(
        stays.fetch("/", "").await.text(),
        "c",
        "the other listener's connection is the same"
    );
    let listeners = proxy.admin().json("/listeners").await;
    assert_eq!(listeners["listeners"].as_array().unwrap().len(), 1, "{listeners}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_ends_whole_on_a_listener_that_leaves() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            script.request().await?;
            let _ = gone.wait_for(|go| *go).await;
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
        }
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).with_listener("more")).await;
    let mut client = Client::connect(proxy.address_of("more")).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wait_until("the request upstream", async || {
        (upstream.request_count() == 1).then_some(())
    })
    .await;
    proxy.reload(Document::to(&[upstream.address()])).await.unwrap();
    go.send(true).unwrap();
    let response = client.response("GET").await;
    assert_eq!(
        (response.text().as_str(), response.field("connection")),
        ("ok", Some("close"))
    );
    assert!(client.is_closed().await);
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_connections_active", 0.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_changes_keeps_its_port() {
    let proxy = Proxy::start(says("a").http("server_header: { set: one }")).await;
    let mut old = Client::connect(proxy.address()).await;
    assert_eq!(old.fetch("/", "").await.field("server"), Some("one"));
    let address = proxy.address();
    proxy
        .reload(says("b").http("server_header: { set: two }, idle_timeout: 5s"))
        .await
        .unwrap();
    assert_eq!(proxy.address(), address);
    let mut new = Client::connect(address).await;
    assert_eq!(new.fetch("/", "").await.field("server"), Some("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_change_at_once() {
    let (blue, green) = (Scripted::ok().await, Scripted::ok().await);
    let document = |blue_weight: u32, green_weight: u32| {
        Document::to(&[blue.address()]).with_cluster("green", &[green.address()], "").routes(&format!(
            "{{ match: {{ prefix: / }}, forward: {{ weighted_clusters: [{{ cluster: upstream, weight: {blue_weight} }}, \
             {{ cluster: green, weight: {green_weight} }}] }} }}"
        ))
    };
    let proxy = Proxy::start(document(1, 0)).await;
    let mut client = Client::connect(proxy.address()).await;
    for (weights, expected) in [((1, 0), (20, 0)), ((0, 1), (20, 20)), ((1, 0), (40, 20))] {
        proxy.reload(document(weights.0, weights.1)).await.unwrap();
        for _ in 0..20 {
            assert_eq!(client.fetch("/", "").await.status(), 200);
        }
        assert_eq!(
            (blue.request_count(), green.request_count()),
            expected,
            "{weights:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_changes_nothing_and_is_explained() {
    let proxy = Proxy::start(says("good")).await;
    let mut client = Client::connect(proxy.address()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bad = [
        ("an unknown field", says("bad").http("no_such_field: 1").to_string(), "no_such_field"),
        ("no YAML", "listeners: [".to_owned(), "test.yaml"),
        ("a cluster that is not there", says("bad").to_string().replace("direct_response: { status: 200, body: bad }", "forward: { cluster: nobody }"), "nobody"),
        (
            "a file that is not there",
            says("bad").chain("tls: { certificates: [{ certificate_file: /no/such.pem, private_key_file: /no/such.key }] }").to_string(),
            "/no/such.pem",
        ),
        (
            "an address that is taken",
            says("bad")
                .with_listener_text(&format!(
                    "- {{ name: taken, address: '{}', filter_chains: [{{ http: {{ route_configuration: main }} }}] }}\n",
                    taken.local_addr().unwrap()
                ))
                .to_string(),
            "taken",
        ),
    ];
    for (index, (what, document, named)) in bad.into_iter().enumerate() {
        let reason = proxy.reload(document).await.expect_err(what);
        assert!(reason.contains(named), "{what}: {reason}");
        let response = client.fetch("/", "").await;
        assert_eq!(
            (response.text().as_str(), response.field("connection")),
            ("good", None),
            "{what}"
        );
        assert_eq!(
            Client::connect(proxy.address()).await.fetch("/", "").await.text(),
            "good",
            "{what}"
        );
        let admin = proxy.admin();
        let rejected = admin
            .metric("outrigger_configuration_updates_rejected_total")
            .await;
        assert_eq!(rejected, (index + 1) as f64, "{what}");
        assert_eq!(
            admin.metric("outrigger_configuration_generation").await,
            1.0,
            "{what}"
        );
        let dump = admin.config_dump().await;
        assert!(
            dump["rejected"]["reason"].as_str().unwrap().contains(named),
            "{what}: {dump}"
        );
    }
    proxy.reload(says("better")).await.unwrap();
    assert_eq!(client.fetch("/", "").await.text(), "better");
    assert!(
        proxy.admin().config_dump().await["rejected"].is_null(),
        "what is mended is forgotten"
    );
}
