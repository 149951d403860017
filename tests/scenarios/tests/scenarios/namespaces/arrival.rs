//! What rules do when they arrive: to connections that are open, to those that the pod itself opens, and while no
//! sidecar listens.

use super::mesh::{Mesh, possible};
use super::passing::BACKENDS;
use super::{Pair, Server, Sidecar, url};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const MODES: [&str; 2] = ["redirect", "tproxy"];

/// Longer than a retransmission or two, so that what is lost is told from what is late.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection with both of its ends.
#[derive(Debug)]
struct Open {
    /// Seen from pod `b`, which has the rules.
    inbound: bool,
    server_first: bool,
    client: TcpStream,
    server: TcpStream,
}

impl Open {
    /// Between the pods, by the family of `at`, a server's address.
    fn new(mesh: &Mesh, inbound: bool, server_first: bool, at: IpAddr) -> Open {
        let (client, server) = if inbound {
            (&mesh.a, &mesh.b)
        } else {
            (&mesh.b, &mesh.a)
        };
        let (client, server) = (&client.space, &server.space);
        let listener = server.within(|| TcpListener::bind((at, 9000)).unwrap());
        let to = listener.local_addr().unwrap();
        let client = client.within(|| TcpStream::connect(to).unwrap());
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Open {
            inbound,
            server_first,
            client,
            server,
        }
    }

    /// Passes a byte each way, the client's first or the server's.
    fn passes(&self, when: &str) {
        let (first, second) = if self.server_first {
            (&self.server, &self.client)
        } else {
            (&self.client, &self.server)
        };
        for (mut from, mut to) in [(first, second), (second, first)] {
            let mut byte = [0];
            let passed = from.write_all(b"x").and_then(|()| to.read_exact(&mut byte));
            assert!(passed.is_ok(), "{self:?}, {when}: {passed:?}");
        }
    }
}

/// Connections of both directions, of both families, and of either end's turn to speak first.
fn open(mesh: &Mesh) -> Vec<Open> {
    let mut open = Vec::new();
    for server_first in [false, true] {
        for at in [mesh.b.v4, mesh.b.v6] {
            open.push(Open::new(mesh, true, server_first, at));
        }
        for at in [mesh.a.v4, mesh.a.v6] {
            open.push(Open::new(mesh, false, server_first, at));
        }
    }
    open
}

/// The kernel begins to track connections with the first rules that need it: those that are open are new to it.
#[test]
fn connections_that_are_open_stay_open() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        for mode in MODES {
            let mesh = Mesh::new();
            let open = open(&mesh);
            let apply = format!("apply --uid 4242 --backend {backend} --mode {mode}");
            for words in [apply.as_str(), apply.as_str(), "remove"] {
                mesh.b.space.intercepts(words);
                for connection in &open {
                    connection.passes(&format!("after {apply}, {words}"));
                }
            }
        }
    }
}

/// Rules are put in place of rules, and go, beneath connections that sidecars hold.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_taken_stay_taken() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        for mode in MODES {
            let marked = |name, inbound| Sidecar {
                inbound,
                runtime: "workers: 2, socket_mark: 77",
                ..Sidecar::new(name)
            };
            let a = format!("--mark 77 --backend {backend}");
            let b = format!("{a} --mode {mode}");
            let pair = Pair::with(marked("a", "redirect"), marked("b", mode), &a, &b).await;
            let open = open(&pair.mesh);
            let taken = "outrigger_listener_connections_accepted_total";
            assert_eq!(pair.mesh.b.space.metric(taken, ""), 8.0, "{b}");
            pair.mesh.b.space.intercepts(&format!("apply {b}"));
            for connection in &open {
                connection.passes(&format!("after apply {b}, twice"));
            }
            // What was redirected goes with the rules.
            pair.mesh.b.space.intercepts("remove");
            for connection in open.iter().filter(|open| open.inbound && mode == "tproxy") {
                connection.passes(&format!("after apply {b}, remove"));
            }
        }
    }
}

/// Answers to what the pod sends come from outside, to ports that no rule excludes.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_under_tproxy_opens_connections_of_its_own() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        let transparent = Sidecar {
            inbound: "tproxy",
            ..Sidecar::new("b")
        };
        let rules = format!("--uid 0 --backend {backend}");
        let tproxy = format!("{rules} --mode tproxy --exclude-outbound-ports 8081");
        let pair = Pair::with(Sidecar::new("a"), transparent, &rules, &tproxy).await;
        let mesh = &pair.mesh;
        let folder = tempfile::tempdir().unwrap();
        let _server = Server::start(&mesh.node, folder.path()).await;
        for (from, to) in [(mesh.b.v4, "10.77.0.1"), (mesh.b.v6, "fd77::1")] {
            let to = to.parse().unwrap();
            let through = mesh.b.space.curl(&url(to, 8080)).await;
            assert_eq!(through, Ok(format!("out=b in= from={from}")), "{backend}");
            let beside = mesh.b.space.curl(&url(to, 8081)).await;
            assert_eq!(beside, Ok(format!("out= in= from={from}")), "{backend}");
        }
    }
}

/// With SYN cookies, the end of a handshake finds no socket but the listener's.
#[tokio::test(flavor = "multi_thread")]
async fn tproxy_takes_connections_that_cookies_open() {
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
        mesh.b.space.says("sysctl -qw net.ipv4.tcp_syncookies=2");
        for to in [mesh.b.v4, mesh.b.v6] {
            let through = mesh.a.space.curl(&url(to, 8080)).await;
            assert_eq!(through, Ok(format!("out=a in=b from={to}")), "{backend}");
        }
    }
}

/// What the pod sends for others under its own address, it gets the answers to, and passes them on.
#[tokio::test(flavor = "multi_thread")]
async fn answers_to_what_is_forwarded_pass() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        let mesh = Mesh::new();
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&mesh.node, folder.path()).await;
        let router = &mesh.b.space;
        router.says("sysctl -qw net.ipv4.ip_forward=1");
        router.says("nft add table ip theirs");
        router.says("nft add chain ip theirs post { type nat hook postrouting priority 100 ; }");
        router.says("nft add rule ip theirs post ip saddr 10.77.0.2 masquerade");
        // From `a`, by way of `b`, to an address of the node.
        mesh.a.space.ip("route add 198.51.100.1/32 via 10.77.0.3");
        let (_proxy, _) = Sidecar {
            inbound: "tproxy",
            ..Sidecar::new("b")
        }
        .start(router, folder.path())
        .await;
        router.intercepts(&format!("apply --uid 0 --mode tproxy --backend {backend}"));
        let answer = mesh.a.space.curl("http://198.51.100.1:8080/").await;
        assert_eq!(answer, Ok(format!("out= in= from={}", mesh.b.v4)), "{backend}");
        drop(server);
    }
}

/// Whatever the sidecar would refuse, the application must not get past it.
#[test]
fn nothing_reaches_the_application_while_no_sidecar_listens() {
    if !possible(&[]) {
        return;
    }
    for backend in BACKENDS {
        for mode in MODES {
            for ports in ["", "--inbound-ports 1-65535"] {
                let mesh = Mesh::new();
                let space = &mesh.b.space;
                let application = space.within(|| TcpListener::bind("[::]:8080").unwrap());
                let reach = |at: IpAddr, limit| {
                    let to = SocketAddr::new(at, 8080);
                    mesh.a
                        .space
                        .within(|| TcpStream::connect_timeout(&to, limit))
                        .map(drop)
                        .map_err(|error| error.kind())
                };
                let apply = format!("apply --uid 4242 --backend {backend} --mode {mode} {ports}");
                space.intercepts(&apply);
                for at in [mesh.b.v4, mesh.b.v6] {
                    // TPROXY of iptables does not answer.
                    let (limit, wanted) = if (backend, mode) == ("iptables", "tproxy") {
                        (Duration::from_millis(300), std::io::ErrorKind::TimedOut)
                    } else {
                        (PATIENCE, std::io::ErrorKind::ConnectionRefused)
                    };
                    assert_eq!(reach(at, limit), Err(wanted), "{apply}, {at}");
                }
                application.set_nonblocking(true).unwrap();
                let nobody = application.accept().map(|(_, peer)| peer).unwrap_err();
                assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "{apply}");
                space.intercepts("remove");
                for at in [mesh.b.v4, mesh.b.v6] {
                    assert_eq!(reach(at, PATIENCE), Ok(()), "{apply}, removed, {at}");
                }
            }
        }
    }
}
