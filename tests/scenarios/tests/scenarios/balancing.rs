//! Balancing by keys, priorities, health that is said, and subsets: what clients and upstreams see of it.

use outrigger_fixtures::{Echo, Scripted};
use outrigger_harness::{Client, Proxy, within};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A configuration with one route to the cluster `upstream`.
struct Policy<'a> {
    /// Fields of the route's `forward`.
    forward: &'a str,
    /// Fields of the cluster.
    cluster: &'a str,
    /// Addresses, each with its fields.
    endpoints: &'a [(SocketAddr, &'a str)],
}

impl std::fmt::Display for Policy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "admin: {{ address: '127.0.0.1:0' }}")?;
        writeln!(f, "runtime: {{ workers: 2 }}")?;
        writeln!(
            f,
            "listeners: [{{ name: edge, address: '127.0.0.1:0', filter_chains: [{{ http: {{ route_configuration: main }} }}] }}]"
        )?;
        let route = format!("{{ match: {{ prefix: / }}, forward: {{ {} }} }}", self.forward);
        writeln!(
            f,
            "route_configurations: [{{ name: main, virtual_hosts: [{{ name: all, domains: ['*'], routes: [{route}] }}] }}]"
        )?;
        writeln!(f, "clusters:")?;
        writeln!(f, "- name: upstream")?;
        for field in self.cluster.split(';').filter(|field| !field.is_empty()) {
            writeln!(f, "  {}", field.trim())?;
        }
        writeln!(f, "  endpoints:")?;
        for (address, fields) in self.endpoints {
            let comma = if fields.is_empty() { "" } else { ", " };
            writeln!(f, "  - {{ address: '{address}'{comma}{fields} }}")?;
        }
        Ok(())
    }
}

/// Endpoints that say who they are, and their addresses.
async fn named(names: &[&'static str]) -> (Vec<Echo>, Vec<SocketAddr>) {
    let mut endpoints = Vec::new();
    for name in names {
        endpoints.push(Echo::start_named(name).await);
    }
    let addresses = endpoints.iter().map(Echo::address).collect();
    (endpoints, addresses)
}

/// Who serves a request with these fields.
async fn served_by(client: &mut Client, path: &str, fields: &str) -> String {
    let response = client.fetch(path, fields).await;
    assert_eq!(response.status(), 200, "{}", response.text());
    response
        .field("x-upstream")
        .expect("the endpoint's name")
        .to_owned()
}

/// Who serves each of so many keys.
async fn owners(proxy: &Proxy, keys: usize) -> Vec<String> {
    let mut client = Client::connect(proxy.address()).await;
    let mut owners = Vec::new();
    for key in 0..keys {
        owners.push(served_by(&mut client, "/", &format!("x-key: key-{key}\r\n")).await);
    }
    owners
}

const BY_HEADER: &str = "cluster: upstream, hash_policy: [{ header: x-key }]";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stays_and_an_endpoint_that_fails_moves_its_own_alone() {
    let (_endpoints, addresses) = named(&["one", "two", "three", "four"]).await;
    for policy in ["load_balancing: ring_hash", "load_balancing: maglev"] {
        let mut endpoints: Vec<(SocketAddr, &str)> = addresses.iter().map(|&address| (address, "")).collect();
        let document = |endpoints: &[(SocketAddr, &str)]| {
            Policy {
                forward: BY_HEADER,
                cluster: policy,
                endpoints,
            }
            .to_string()
        };
        let proxy = Proxy::start(document(&endpoints)).await;
        let before = owners(&proxy, 60).await;
        assert_eq!(
            before,
            owners(&proxy, 60).await,
            "the same keys, on other connections and workers"
        );
        assert_eq!(before.iter().collect::<HashSet<_>>().len(), 4, "all have keys");
        for status in ["status: unhealthy", "status: draining"] {
            endpoints[1].1 = status;
            proxy.reload(document(&endpoints)).await.unwrap();
            for (was, is) in before.iter().zip(owners(&proxy, 60).await) {
                assert_ne!(is, "two");
                assert!(
                    *was == is || was == "two",
                    "{policy}: a key went from {was} to {is}"
                );
            }
        }
        endpoints[1].1 = "";
        proxy.reload(document(&endpoints)).await.unwrap();
        assert_eq!(before, owners(&proxy, 60).await, "they come back");
        // Another process, and another order.
        endpoints.reverse();
        let other = Proxy::start(document(&endpoints)).await;
        assert_eq!(before, owners(&other, 60).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_of_queries_and_clients_too_and_a_terminal_one_ends_the_search() {
    let (_endpoints, addresses) = named(&["one", "two", "three", "four"]).await;
    let endpoints: Vec<(SocketAddr, &str)> = addresses.iter().map(|&address| (address, "")).collect();
    let forward =
        "cluster: upstream, hash_policy: [{ query: key, terminal: true }, { source_address: true }]";
    let proxy = Proxy::start(Policy {
        forward,
        cluster: "load_balancing: maglev",
        endpoints: &endpoints,
    })
    .await;
    let mut client = Client::connect(proxy.address()).await;
    let by_client = served_by(&mut client, "/", "").await;
    let mut seen = HashSet::new();
    for key in 0..20 {
        let path = format!("/?key={key}");
        let owner = served_by(&mut client, &path, "").await;
        assert_eq!(owner, served_by(&mut client, &path, "").await);
        seen.insert(owner);
        assert_eq!(by_client, served_by(&mut client, "/", "").await);
    }
    assert!(seen.len() > 1, "queries tell apart what clients do not");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_a_key_is_whom_trusted_proxies_name() {
    let (_endpoints, addresses) = named(&["one", "two", "three", "four"]).await;
    let endpoints: Vec<(SocketAddr, &str)> = addresses.iter().map(|&address| (address, "")).collect();
    let document = Policy {
        forward: "cluster: upstream, hash_policy: [{ source_address: true }]",
        cluster: "load_balancing: maglev",
        endpoints: &endpoints,
    };
    let trusting = document.to_string().replace(
        "route_configuration: main }",
        "route_configuration: main, xff_num_trusted_hops: 1 }",
    );
    let proxy = Proxy::start(trusting).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut seen = HashSet::new();
    for host in 1..=20 {
        let fields = format!("x-forwarded-for: 192.0.2.{host}\r\n");
        let owner = served_by(&mut client, "/", &fields).await;
        assert_eq!(owner, served_by(&mut client, "/", &fields).await);
        seen.insert(owner);
    }
    assert!(seen.len() > 1, "clients behind a proxy are told apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_the_cookie_is_given_one_by_which_it_stays() {
    let (_endpoints, addresses) = named(&["one", "two", "three", "four"]).await;
    let endpoints: Vec<(SocketAddr, &str)> = addresses.iter().map(|&address| (address, "")).collect();
    let forward = "cluster: upstream, hash_policy: [{ cookie: { name: key, ttl: 90s, path: /shop } }]";
    let proxy = Proxy::start(Policy {
        forward,
        cluster: "load_balancing: ring_hash",
        endpoints: &endpoints,
    })
    .await;
    let mut seen = HashSet::new();
    for _ in 0..12 {
        let mut client = Client::connect(proxy.address()).await;
        let first = client.fetch("/", "").await;
        let given = first.field("set-cookie").expect("a cookie").to_owned();
        let (pair, attributes) = given.split_once("; ").unwrap();
        assert_eq!(attributes, "Max-Age=90; Path=/shop; HttpOnly");
        let owner = first.field("x-upstream").unwrap().to_owned();
        for _ in 0..3 {
            let again = client.fetch("/", &format!("cookie: a=b; {pair}\r\n")).await;
            assert_eq!(again.field("x-upstream"), Some(owner.as_str()));
            assert_eq!(again.field("set-cookie"), None, "it has its cookie");
        }
        seen.insert(owner);
    }
    assert!(seen.len() > 1, "clients are told apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_connections_of_one_client_go_to_one_endpoint() {
    let said = |words: &'static str| {
        Scripted::start(move |mut script| async move {
            script.send(words).await?;
            script.until_closed().await
        })
    };
    let upstreams = [said("1").await, said("2").await, said("3").await];
    let endpoints: String = upstreams
        .iter()
        .map(|upstream| format!("{{ address: '{}' }}, ", upstream.address()))
        .collect();
    let document = |more: &str| {
        format!(
            "admin: {{ address: '127.0.0.1:0' }}\n\
             listeners: [{{ name: edge, address: '127.0.0.1:0', filter_chains: [{{ name: bytes, tcp: {{ cluster: upstream{more} }} }}] }}]\n\
             clusters: [{{ name: upstream, load_balancing: maglev, endpoints: [{endpoints}] }}]\n"
        )
    };
    for (more, wanted) in [(", hash_source_address: true", 1), ("", 3)] {
        let proxy = Proxy::start(document(more)).await;
        let mut seen = HashSet::new();
        for _ in 0..60 {
            let mut stream = within("a connection", TcpStream::connect(proxy.address()))
                .await
                .unwrap();
            let mut byte = [0];
            within("a word", stream.read_exact(&mut byte)).await.unwrap();
            stream.shutdown().await.unwrap();
            seen.insert(byte[0]);
        }
        assert_eq!(seen.len(), wanted, "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_fail_over_to_the_next_priority_and_come_back_without_a_failure() {
    let (_endpoints, addresses) = named(&["first", "second"]).await;
    let proxy_with = |status: &'static str| {
        Policy {
            forward: "cluster: upstream",
            cluster: "",
            endpoints: &[(addresses[0], status), (addresses[1], "priority: 1")],
        }
        .to_string()
    };
    let proxy = Proxy::start(proxy_with("")).await;
    let mut client = Client::connect(proxy.address()).await;
    for (status, wanted) in [
        ("", "first"),
        ("status: unhealthy", "second"),
        ("status: healthy", "first"),
        ("status: draining", "second"),
        ("", "first"),
    ] {
        proxy.reload(proxy_with(status)).await.unwrap();
        for _ in 0..10 {
            assert_eq!(served_by(&mut client, "/", "").await, wanted, "{status}");
        }
    }
    let clusters = proxy.admin().json("/clusters").await;
    let shown = &clusters["clusters"][0]["priorities"];
    assert_eq!(
        (
            shown[0]["load_percent"].as_u64(),
            shown[1]["load_percent"].as_u64()
        ),
        (Some(100), Some(0)),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn degraded_endpoints_serve_only_when_they_must() {
    let (_endpoints, addresses) = named(&["good", "tired"]).await;
    let with = |status: &'static str| {
        Policy {
            forward: "cluster: upstream",
            cluster: "",
            endpoints: &[(addresses[0], status), (addresses[1], "status: degraded")],
        }
        .to_string()
    };
    // Of two, one is healthy: with overprovisioning it takes 70 %.
    let proxy = Proxy::start(with("")).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut seen = HashSet::new();
    for _ in 0..60 {
        seen.insert(served_by(&mut client, "/", "").await);
    }
    assert_eq!(seen.len(), 2);
    proxy.reload(with("status: unhealthy")).await.unwrap();
    for _ in 0..20 {
        assert_eq!(served_by(&mut client, "/", "").await, "tired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_panic_all_are_tried_or_none() {
    let (_endpoints, addresses) = named(&["one", "two"]).await;
    let with = |cluster: &'static str| {
        let endpoints = [
            (addresses[0], "status: unhealthy"),
            (addresses[1], "status: unhealthy"),
        ];
        Policy {
            forward: "cluster: upstream",
            cluster,
            endpoints: &endpoints,
        }
        .to_string()
    };
    let proxy = Proxy::start(with("")).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut seen = HashSet::new();
    for _ in 0..10 {
        seen.insert(served_by(&mut client, "/", "").await);
    }
    assert_eq!(seen.len(), 2, "health is not looked at");
    let panics = "outrigger_cluster_panic_picks_total{cluster=\"upstream\"}";
    proxy.admin().wait_for_metric(panics, 10.0).await;
    proxy.reload(with("fails_in_panic: true")).await.unwrap();
    let refused = client.fetch("/", "").await;
    assert_eq!(
        (refused.status(), refused.text().as_str()),
        (503, "no healthy upstream\n")
    );
    proxy.admin().wait_for_metric(panics, 11.0).await;
    // Never in panic: nobody healthy is nobody.
    proxy.reload(with("panic_threshold: 0")).await.unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 503);
    proxy.admin().wait_for_metric(panics, 11.0).await;
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_endpoints_excluded{cluster=\"upstream\"}", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_drains_ends_what_it_has_and_gets_nothing_new() {
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let slow = Scripted::start(move |mut script| {
        let released = Arc::clone(&released);
        async move {
            script.request().await?;
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf-")
                .await?;
            released.notified().await;
            script.send("whole").await?;
            script.until_closed().await
        }
    })
    .await;
    let (_endpoints, addresses) = named(&["other"]).await;
    let with = |slow_status: &'static str, other_status: &'static str| {
        let endpoints = [(slow.address(), slow_status), (addresses[0], other_status)];
        Policy {
            forward: "cluster: upstream",
            cluster: "",
            endpoints: &endpoints,
        }
        .to_string()
    };
    let proxy = Proxy::start(with("", "status: draining")).await;
    let mut waiting = Client::connect(proxy.address()).await;
    waiting.send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    let head = waiting.head().await;
    proxy.reload(with("status: draining", "")).await.unwrap();
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..10 {
        assert_eq!(served_by(&mut client, "/", "").await, "other");
    }
    release.notify_one();
    let body = waiting.body(&head).await.unwrap();
    assert_eq!(body.bytes, b"half-whole");
    // All of them drain: there is nobody for new work, and that is no panic.
    proxy
        .reload(with("status: draining", "status: draining"))
        .await
        .unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 503);
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_cluster_panic_picks_total{cluster=\"upstream\"}")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_stay_with_endpoints_that_drain_and_leave_those_that_are_unhealthy() {
    let (_endpoints, addresses) = named(&["one", "two"]).await;
    let with = |first: &'static str| {
        let endpoints = [(addresses[0], first), (addresses[1], "")];
        let forward = "cluster: upstream, session_cookie: { name: stay }";
        Policy {
            forward,
            cluster: "",
            endpoints: &endpoints,
        }
        .to_string()
    };
    let proxy = Proxy::start(with("")).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut cookie = None;
    while cookie.is_none() {
        let response = client.fetch("/", "").await;
        if response.field("x-upstream") == Some("one") {
            let given = response.field("set-cookie").unwrap();
            cookie = Some(format!("cookie: {}\r\n", given.split(';').next().unwrap()));
        }
    }
    let cookie = cookie.unwrap();
    for (status, wanted) in [
        ("status: draining", "one"),
        ("status: unhealthy", "two"),
        ("", "one"),
    ] {
        proxy.reload(with(status)).await.unwrap();
        for _ in 0..4 {
            assert_eq!(served_by(&mut client, "/", &cookie).await, wanted, "{status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subsets_are_found_by_metadata_and_fall_back_as_they_say() {
    let (_endpoints, addresses) = named(&["old", "new"]).await;
    let endpoints = [
        (addresses[0], "metadata: { version: v1 }"),
        (addresses[1], "metadata: { version: v2 }"),
    ];
    let document = |fallback: &str, version: &str| {
        let forward = format!(
            "weighted_clusters: [{{ cluster: upstream, weight: 1, subset: {{ version: {version} }} }}]"
        );
        let cluster = format!("subsets: {{ selectors: [[version]]{fallback} }}");
        Policy {
            forward: &forward,
            cluster: &cluster,
            endpoints: &endpoints,
        }
        .to_string()
    };
    let proxy = Proxy::start(document("", "v2")).await;
    let mut client = Client::connect(proxy.address()).await;
    for (fallback, version, wanted) in [
        ("", "v2", Some("new")),
        ("", "v1", Some("old")),
        ("", "v3", None),
        (", fallback: { default: { version: v1 } }", "v3", Some("old")),
    ] {
        proxy.reload(document(fallback, version)).await.unwrap();
        for _ in 0..6 {
            match wanted {
                Some(wanted) => assert_eq!(
                    served_by(&mut client, "/", "").await,
                    wanted,
                    "{fallback} {version}"
                ),
                None => assert_eq!(client.fetch("/", "").await.status(), 503),
            }
        }
    }
    proxy.reload(document(", fallback: any", "v3")).await.unwrap();
    let mut seen = HashSet::new();
    for _ in 0..10 {
        seen.insert(served_by(&mut client, "/", "").await);
    }
    assert_eq!(seen.len(), 2);
    let fallbacks = "outrigger_cluster_subset_fallbacks_total{cluster=\"upstream\"}";
    proxy.admin().wait_for_metric(fallbacks, 22.0).await;
}
