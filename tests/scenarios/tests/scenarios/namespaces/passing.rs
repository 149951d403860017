//! What passes through sidecars, what passes beside them, and what does not pass.

use super::mesh::{ELSEWHERE, Mesh, Namespace, possible};
use super::{PODS_ONLY, Pair, Server, Sidecar, url};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) const BACKENDS: [&str; 2] = ["nft", "iptables"];

#[tokio::test(flavor = "multi_thread")]
async fn curl_and_nginx_talk_through_their_sidecars() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        let rules =
            format!("--uid 0 --backend {backend} --exclude-inbound-ports 8081 --exclude-outbound-ports 8081");
        let pair = Pair::start(&rules).await;
        let mesh = &pair.mesh;
        for (from, to) in [(mesh.a.v4, mesh.b.v4), (mesh.a.v6, mesh.b.v6)] {
            let through = mesh.a.space.curl(&url(to, 8080)).await;
            assert_eq!(through, Ok(format!("out=a in=b from={to}")), "{backend}");
            let beside = mesh.a.space.curl(&url(to, 8081)).await;
            assert_eq!(beside, Ok(format!("out= in= from={from}")), "{backend}");
        }
        for to in ["10.77.0.3:8080", "[fd77::3]:8080"] {
            let line = format!("meant for {to}\n");
            outrigger_harness::wait_until("the access log", || async {
                pair.b.stdout().contains(&line).then_some(())
            })
            .await;
        }
        // What the application says to itself is no one else's.
        for to in [
            mesh.b.v4,
            mesh.b.v6,
            "127.0.0.1".parse().unwrap(),
            "::1".parse().unwrap(),
        ] {
            let own = mesh.b.space.curl(&url(to, 8080)).await;
            assert_eq!(own, Ok(format!("out= in= from={to}")), "{backend}");
        }
        // From the node only the sidecar of `b` is on the way.
        let probe = mesh.node.curl(&url(mesh.b.v4, 8080)).await;
        assert_eq!(probe, Ok(format!("out= in=b from={}", mesh.b.v4)), "{backend}");
        assert_eq!(
            mesh.a
                .space
                .metric("outrigger_cluster_destinations", "destinations"),
            2.0
        );
    }
}

/// Answers each connection with its peer's address and then what it says, until it is told to end.
fn echo(space: &Namespace, address: &str) -> (SocketAddr, JoinHandle<()>) {
    let listener = space.within(|| TcpListener::bind(address).unwrap());
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            stream.write_all(format!("{}\n", peer.ip()).as_bytes()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            if text == "end" {
                return;
            }
            stream.write_all(text.as_bytes()).unwrap();
        }
    });
    (address, thread)
}

/// Says something, half-closes, and gives all that is said back.
fn say(space: &Namespace, to: SocketAddr, text: &str) -> String {
    space.within(|| {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
}

/// The rules know the proxies by the mark of their sockets: everything here runs as root.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_through_sidecars_that_are_known_by_their_mark() {
    if !possible(&[]) {
        return;
    }
    let marked = |name| Sidecar {
        runtime: "workers: 2, socket_mark: 77",
        ..Sidecar::new(name)
    };
    let pair = Pair::with(marked("a"), marked("b"), "--mark 77", "--mark 77").await;
    let mesh = &pair.mesh;
    for (listen, to) in [("0.0.0.0:9000", mesh.b.v4), ("[::]:9000", mesh.b.v6)] {
        let (address, thread) = echo(&mesh.b.space, listen);
        let to_port = SocketAddr::new(to, address.port());
        let answer = say(&mesh.a.space, to_port, "hello");
        // The server sees its own sidecar.
        assert_eq!(answer, format!("{to}\nhello"));
        say(&mesh.a.space, to_port, "end");
        thread.join().unwrap();
    }
    let connections = "outrigger_listener_connections_accepted_total";
    assert_eq!(mesh.a.space.metric(connections, "outbound-"), 4.0);
    assert_eq!(mesh.b.space.metric(connections, "inbound-"), 4.0);
    assert_eq!(mesh.b.space.metric(connections, "outbound-"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transparent_listener_sees_where_a_connection_was_meant_for() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        let transparent = Sidecar {
            inbound: "tproxy",
            ..Sidecar::new("b")
        };
        let rules = format!("--uid 0 --backend {backend}");
        let tproxy = format!("{rules} --mode tproxy");
        let pair = Pair::with(Sidecar::new("a"), transparent, &rules, &tproxy).await;
        let mesh = &pair.mesh;
        for to in [mesh.b.v4, mesh.b.v6] {
            for port in [8080, 8081] {
                let through = mesh.a.space.curl(&url(to, port)).await;
                assert_eq!(through, Ok(format!("out=a in=b from={to}")), "{backend}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_sees_the_client_where_sources_are_kept() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        let keeping = Sidecar {
            inbound: "tproxy",
            destinations: ", keep_source: true",
            ..Sidecar::new("b")
        };
        let rules = format!("--uid 0 --backend {backend}");
        let tproxy = format!("{rules} --mode tproxy");
        let pair = Pair::with(Sidecar::new("a"), keeping, &rules, &tproxy).await;
        let mesh = &pair.mesh;
        for (client, to) in [(mesh.a.v4, mesh.b.v4), (mesh.a.v6, mesh.b.v6)] {
            for _ in 0..3 {
                let through = mesh.a.space.curl(&url(to, 8080)).await;
                assert_eq!(through, Ok(format!("out=a in=b from={client}")), "{backend}");
            }
        }
        let node = mesh.node.curl(&url(mesh.b.v4, 8080)).await;
        assert_eq!(node, Ok("out= in=b from=10.77.0.1".to_owned()), "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_destinations_pass_or_are_blocked() {
    if !possible(&[]) {
        return;
    }
    let mesh = Mesh::new();
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(&mesh.node, folder.path()).await;
    mesh.a.space.intercepts("apply --uid 0");
    let elsewhere: IpAddr = ELSEWHERE.parse().unwrap();
    let node: IpAddr = "10.77.0.1".parse().unwrap();
    {
        let (_proxy, _) = Sidecar::new("a").start(&mesh.a.space, folder.path()).await;
        let passed = mesh.a.space.curl(&url(elsewhere, 8080)).await;
        assert_eq!(passed, Ok(format!("out=a in= from={}", mesh.a.v4)));
    }
    {
        let guarded = Sidecar {
            outbound: PODS_ONLY,
            ..Sidecar::new("a")
        };
        let (_proxy, _) = guarded.start(&mesh.a.space, folder.path()).await;
        let passed = mesh.a.space.curl(&url(node, 8080)).await;
        assert_eq!(passed, Ok(format!("out=a in= from={}", mesh.a.v4)));
        let blocked = mesh.a.space.curl(&url(elsewhere, 8080)).await;
        assert!(blocked.is_err(), "{blocked:?}");
        let refused = "outrigger_listener_connections_refused_total";
        assert_eq!(mesh.a.space.metric(refused, "outbound-v4&no_filter_chain"), 1.0);
    }
    {
        let listed = Sidecar {
            destinations: ", allow: [10.77.0.0/24]",
            ..Sidecar::new("a")
        };
        let (_proxy, _) = listed.start(&mesh.a.space, folder.path()).await;
        let passed = mesh.a.space.curl(&url(node, 8080)).await;
        assert_eq!(passed, Ok(format!("out=a in= from={}", mesh.a.v4)));
        let blocked = mesh.a.space.curl(&url(elsewhere, 8080)).await;
        assert_eq!(blocked, Ok("no healthy upstream\n".to_owned()));
        let refused = "outrigger_cluster_destinations_refused_total";
        assert_eq!(mesh.a.space.metric(refused, "not_allowed"), 1.0);
    }
}

/// Rules that do not let the proxy pass lead what it sends back to it.
#[tokio::test(flavor = "multi_thread")]
async fn circles_are_refused() {
    if !possible(&[]) {
        return;
    }
    let pair = Pair::with(Sidecar::new("a"), Sidecar::new("b"), "--uid 4242", "--uid 0").await;
    let mesh = &pair.mesh;
    for (listener, to) in [("outbound-v4", mesh.b.v4), ("outbound-v6", mesh.b.v6)] {
        let answer = mesh.a.space.curl(&url(to, 8080)).await;
        assert!(
            answer.as_ref().is_ok_and(|body| !body.contains("from=")),
            "{answer:?}"
        );
        let refused = mesh.a.space.metric(
            "outrigger_listener_connections_refused_total",
            &format!("{listener}&\"loop\""),
        );
        assert!(refused >= 1.0);
        let accepted = mesh
            .a
            .space
            .metric("outrigger_listener_connections_accepted_total", listener);
        assert!(accepted < 10.0, "{accepted} connections of one");
    }
    // A connection to a listener itself was meant for nowhere else.
    let answer = mesh.node.curl(&url(mesh.b.v4, 15006)).await;
    assert_eq!(answer, Ok("no healthy upstream\n".to_owned()));
    let refused = "outrigger_cluster_destinations_refused_total";
    assert_eq!(mesh.b.space.metric(refused, "\"loop\""), 1.0);
}
