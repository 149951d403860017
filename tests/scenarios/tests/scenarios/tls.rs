//! TLS from files on both sides: certificates by name, ALPN, client certificates, and the filter chains that they pick.

use outrigger_fixtures::authority::Issued;
use outrigger_fixtures::{Authority, Echo, Scripted};
use outrigger_harness::{Client, Document, Proxy};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

fn chain(name: &str, matcher: &str, tls: &str) -> String {
    let matcher = if matcher.is_empty() {
        String::new()
    } else {
        format!("match: {{ {matcher} }}, ")
    };
    let tls = if tls.is_empty() {
        String::new()
    } else {
        format!("tls: {{ {tls} }}, ")
    };
    format!(
        "{{ name: {name}, {matcher}{tls}http: {{ route_configuration: main, server_header: {{ set: {name} }} }} }}"
    )
}

fn certificates(issued: &[&Issued]) -> String {
    let list: Vec<String> = issued.iter().map(|issued| issued.yaml()).collect();
    format!("certificates: [{}]", list.join(", "))
}

/// The listener `edge` with these chains; everything is answered 200.
fn listening(chains: &[String]) -> Document {
    Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
        .listener(&format!("filter_chains: [{}]", chains.join(", ")))
}

/// What the handshake gave: the server's certificate and the protocol.
async fn handshake(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<(Vec<u8>, Option<Vec<u8>>)> {
    let stream = TcpStream::connect(address).await?;
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().unwrap()[0].to_vec();
    Ok((certificate, session.alpn_protocol().map(<[u8]>::to_vec)))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_pass_through_tls_and_say_https() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let upstream = Scripted::ok().await;
    let document =
        Document::to(&[upstream.address()]).chain(&format!("tls: {{ {} }}", certificates(&[&server])));
    let proxy = Proxy::start(document).await;
    let config = authority.client_config(&["http/1.1"], None);
    let mut client = Client::connect_tls(proxy.address(), config, "a.example")
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(client.fetch("/", "").await.text(), "ok\n");
    }
    assert_eq!(
        upstream.last_request().head.field("x-forwarded-proto"),
        Some("https")
    );
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_tls_handshakes_total", 1.0)
        .await;
    // Strictness is the same behind TLS.
    client.send("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status(), 400);
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_name_picks_the_certificate_and_alpn_the_protocol() {
    let authority = Authority::new("root");
    let default = authority.issue("default", &["default.example"]);
    let named = authority.issue("named", &["a.example", "*.b.example"]);
    let tls = certificates(&[&default, &named]);
    let proxy = Proxy::start(listening(&[chain("all", "", &tls)])).await;
    for (name, expected) in [
        ("a.example", &named),
        ("x.b.example", &named),
        ("default.example", &default),
    ] {
        for (offered, agreed) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&["http/1.1", "h2"], Some("h2")),
            (&[], None),
        ] {
            let config = authority.client_config(offered, None);
            let (certificate, protocol) = handshake(proxy.address(), config, name).await.unwrap();
            assert_eq!(certificate, expected.chain()[0].to_vec(), "{name}");
            assert_eq!(
                protocol.as_deref(),
                agreed.map(str::as_bytes),
                "{name}, offering {offered:?}"
            );
        }
    }
    let nothing_shared = authority.client_config(&["spdy/3"], None);
    assert!(
        handshake(proxy.address(), nothing_shared, "a.example")
            .await
            .is_err()
    );
    let failures = "outrigger_listener_tls_handshake_failures_total{reason=\"nothing_shared\"}";
    proxy.admin().wait_for_metric(failures, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_required_where_it_is_configured() {
    let (authority, strangers) = (Authority::new("root"), Authority::new("strangers"));
    let server = authority.issue("server", &["a.example"]);
    let tls = format!(
        "{}, client: {{ca_file: {}}}",
        certificates(&[&server]),
        authority.root().display()
    );
    let proxy = Proxy::start(listening(&[chain("mutual", "", &tls)])).await;
    let ours = authority.issue("client", &["client.example"]);
    let theirs = strangers.issue("client", &["client.example"]);
    for (certificate, allowed) in [(Some(&ours), true), (Some(&theirs), false), (None, false)] {
        let config = authority.client_config(&["http/1.1"], certificate);
        // TLS 1.3's client is done before the server has judged: the refusal shows at the first read.
        let answer = match Client::connect_tls(proxy.address(), config, "a.example").await {
            Err(_) => None,
            Ok(mut client) => {
                client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                client.try_response_within().await.ok()
            }
        };
        assert_eq!(
            answer.map(|answer| answer.status()),
            allowed.then_some(200),
            "{certificate:?}"
        );
    }
    for reason in ["certificate_missing", "certificate_unknown_authority"] {
        let failures = format!("outrigger_listener_tls_handshake_failures_total{{reason=\"{reason}\"}}");
        proxy.admin().wait_for_metric(&failures, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filter_chains_are_picked_by_name_source_and_transport() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example", "*.b.example", "c.example"]);
    let tls = certificates(&[&server]);
    let chains = [
        chain("exact", "server_names: [a.example]", &tls),
        chain("wildcard", "server_names: ['*.b.example']", &tls),
        chain(
            "elsewhere",
            "server_names: [c.example], source_prefixes: [10.0.0.0/8]",
            &tls,
        ),
        chain(
            "here",
            "server_names: [c.example], source_prefixes: [127.0.0.0/8]",
            &tls,
        ),
        chain("any-tls", "transport: tls", &tls),
        chain("raw", "transport: raw", ""),
    ];
    let proxy = Proxy::start(listening(&chains)).await;
    let insecure = |name: &str| (name.to_owned(), authority.client_config(&["http/1.1"], None));
    for (name, expected) in [
        ("a.example", "exact"),
        ("x.b.example", "wildcard"),
        ("A.EXAMPLE", "exact"),
        ("c.example", "here"),
    ] {
        let (name, config) = insecure(name);
        let mut client = Client::connect_tls(proxy.address(), config, &name).await.unwrap();
        assert_eq!(
            client.fetch("/", "").await.field("server"),
            Some(expected),
            "{name}"
        );
    }
    let mut plain = Client::connect(proxy.address()).await;
    assert_eq!(
        plain.fetch("/", "").await.field("server"),
        Some("raw"),
        "plain text on the same port"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_no_chain_takes_is_closed_and_counted() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let proxy = Proxy::start(listening(&[chain(
        "one",
        "server_names: [a.example]",
        &certificates(&[&server]),
    )]))
    .await;
    let config = authority.client_config(&[], None);
    assert!(handshake(proxy.address(), config, "b.example").await.is_err());
    let refused = "outrigger_listener_connections_refused_total{reason=\"no_filter_chain\"}";
    proxy.admin().wait_for_metric(refused, 1.0).await;

    let mut plain = Client::connect(proxy.address()).await;
    plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = String::from_utf8_lossy(&plain.to_close().await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    assert!(
        answer.ends_with("this port speaks TLS; the request came in the clear"),
        "{answer:?}"
    );
    let refused = "outrigger_listener_connections_refused_total{reason=\"plain_http\"}";
    proxy.admin().wait_for_metric(refused, 1.0).await;

    // What is not HTTP is not answered in HTTP.
    let mut other = Client::connect(proxy.address()).await;
    other.send("EHLO a.example\r\n").await;
    let answer = other.to_close().await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_are_reached_by_tls_and_alpn() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["backend.example"]);
    for (offered, version) in [
        (&["h2", "http/1.1"][..], "2"),
        (&["http/1.1"], "1.1"),
        (&[], "1.1"),
    ] {
        let upstream = Echo::start_tls(server.server_config(offered)).await;
        let tls = format!(
            "tls: {{ ca_file: {}, server_name: backend.example }}",
            authority.root().display()
        );
        let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster(&tls)).await;
        let mut client = Client::connect(proxy.address()).await;
        let request = "POST /x HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nabc";
        let response = client.exchange(request).await;
        assert_eq!(
            (response.text().as_str(), response.field("x-version")),
            ("abc", Some(version)),
            "{offered:?}"
        );
        assert_eq!(
            response.field("x-authority"),
            Some("a.example"),
            "the server name is not the authority"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_who_it_should_be_gets_no_request() {
    let (authority, strangers) = (Authority::new("root"), Authority::new("strangers"));
    let right = authority.issue("right", &["backend.example"]);
    let wrong_name = authority.issue("wrong", &["other.example"]);
    let wrong_root = strangers.issue("right", &["backend.example"]);
    for (certificate, status) in [(&right, 200), (&wrong_name, 503), (&wrong_root, 503)] {
        let upstream = Echo::start_tls(certificate.server_config(&["http/1.1"])).await;
        let tls = format!(
            "tls: {{ ca_file: {}, server_name: backend.example }}",
            authority.root().display()
        );
        let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster(&tls)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!(response.status(), status, "{certificate:?}");
        assert_eq!(upstream.requests(), usize::from(status == 200));
        if status == 503 {
            let admin = proxy.admin();
            admin
                .wait_for_metric("outrigger_route_response_flags_total{flag=\"UF\"}", 1.0)
                .await;
            admin
                .wait_for(
                    "outrigger_cluster_connection_failures_total{reason=\"tls\"}",
                    |count| count >= 1.0,
                )
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_certificate_is_shown_to_upstreams_that_ask() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["backend.example"]);
    let client = authority.issue("client", &["client.example"]);
    let upstream = Echo::start_tls(server.mutual_server_config(&["h2"], &authority)).await;
    for (certificate, status) in [
        (format!(", certificate: {}", client.yaml()), 200),
        (String::new(), 503),
    ] {
        let tls = format!(
            "tls: {{ ca_file: {}, server_name: backend.example{certificate} }}",
            authority.root().display()
        );
        let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster(&tls)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!(response.status(), status, "{certificate}: {}", response.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tls_costs_no_more_than_its_connection() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let tls = format!("{}, handshake_timeout: 100ms", certificates(&[&server]));
    let proxy = Proxy::start(listening(&[chain("all", "", &tls)])).await;
    let mut garbage = Client::connect(proxy.address()).await;
    garbage
        .send(b"\x16\x03\x01\xff\xff garbage, and no ClientHello in it; GET / HTTP/1.1\r\n\r\n")
        .await;
    garbage.half_close().await;
    garbage.to_close().await;
    let failures = "outrigger_listener_tls_handshake_failures_total";
    proxy.admin().wait_for(failures, |count| count >= 1.0).await;
    let config = authority.client_config(&[], None);
    assert!(
        handshake(proxy.address(), config, "a.example").await.is_ok(),
        "the listener goes on"
    );
}
