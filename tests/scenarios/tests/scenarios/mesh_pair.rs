//! Two proxies with mutual TLS between them, around clients and a server that speak in the clear: what a mesh is.

use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Document, Proxy};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::TempDir;

const CLIENT_ID: &str = "spiffe://example.org/client";
const SERVER_ID: &str = "spiffe://example.org/server";
const STRANGER_ID: &str = "spiffe://example.org/stranger";

/// The files of one proxy: `bundle.pem`, `own.pem`, `own.key`.
struct Files(TempDir);

impl Files {
    fn new(authority: &Authority, spiffe_id: &str) -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        files.trust(&[authority]);
        files.renew(authority, spiffe_id);
        files
    }

    /// Replaces the bundle.
    fn trust(&self, authorities: &[&Authority]) {
        let roots: String = authorities.iter().map(|authority| authority.pem()).collect();
        self.put("bundle.pem", roots.as_bytes());
    }

    /// Replaces certificate and key, one after the other.
    fn renew(&self, authority: &Authority, spiffe_id: &str) {
        let issued = authority.issue_svid(spiffe_id.rsplit('/').next().unwrap(), spiffe_id);
        self.put("own.pem", &fs::read(&issued.certificate).unwrap());
        self.put("own.key", &fs::read(&issued.key).unwrap());
    }

    /// Whoever reads sees the old contents or the new.
    fn put(&self, name: &str, contents: &[u8]) {
        let new = self.path().join("new");
        fs::write(&new, contents).unwrap();
        fs::rename(new, self.path().join(name)).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The top-level blocks that name the files.
    fn blocks(&self) -> String {
        let path = self.path().display();
        format!(
            "identities: [{{ name: own, files: {{ certificate_file: {path}/own.pem, private_key_file: {path}/own.key }} }}]\n\
             trust_bundles: [{{ name: mesh, trust_domain: example.org, file: {path}/bundle.pem }}]"
        )
    }
}

/// The proxy beside the server, which lets the client read and nobody else.
fn inbound(files: &Files, server: SocketAddr) -> Document {
    Document::to(&[server])
        .chain(
            "tls: { certificates: [{ identity: own }], client: { roots: spiffe } }, authorization: [client-reads]",
        )
        .with(&files.blocks())
        .with(&format!(
            "authorization_policies: [{{ name: client-reads, action: allow, \
             rules: [{{ spiffe_ids: ['{CLIENT_ID}'], methods: [GET] }}] }}]"
        ))
}

/// The proxy beside a client.
fn outbound(files: &Files, inbound: SocketAddr, protocol: &str) -> Document {
    Document::to(&[inbound])
        .cluster(&format!(
            "protocol: {protocol}, tls: {{ roots: spiffe, peers: [{{ spiffe_id: '{SERVER_ID}' }}], \
             certificate: {{ identity: own }} }}"
        ))
        .with(&files.blocks())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_authorized_by_identity() {
    let authority = Authority::new("mesh");
    let upstream = Scripted::ok().await;
    let server_files = Files::new(&authority, SERVER_ID);
    let server = Proxy::start(inbound(&server_files, upstream.address())).await;
    let client_files = Files::new(&authority, CLIENT_ID);
    let stranger_files = Files::new(&authority, STRANGER_ID);
    for protocol in ["http1", "http2"] {
        let client = Proxy::start(outbound(&client_files, server.address(), protocol)).await;
        let stranger = Proxy::start(outbound(&stranger_files, server.address(), protocol)).await;
        for _ in 0..3 {
            assert_eq!(fetch(client.address(), "/", "").await.status(), 200);
            assert_eq!(fetch(stranger.address(), "/", "").await.status(), 403);
        }
        let mut writing = Client::connect(client.address()).await;
        let request = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\nx";
        assert_eq!(writing.exchange(request).await.status(), 403, "it may only read");
    }
    assert_eq!(upstream.request_count(), 6);
}

/// Asks again and again until it is told to stop; counts the answers, all of which must be 200.
async fn ask(address: SocketAddr, stop: Arc<AtomicBool>, answers: Arc<AtomicUsize>) {
    let mut client = Client::connect(address).await;
    while !stop.load(Ordering::Relaxed) {
        let response = client.fetch("/", "").await;
        assert_eq!(response.status(), 200, "{}", response.text());
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Changes the files of some proxies, and waits until what they hold is in force and more requests were answered under
/// it.
async fn change(proxies: &[&Proxy], answers: &AtomicUsize, how: impl FnOnce()) {
    let generation = "outrigger_identity_material_generation";
    let mut before = Vec::new();
    for proxy in proxies {
        before.push(proxy.admin().metric(generation).await);
    }
    how();
    for (proxy, before) in proxies.iter().zip(before) {
        proxy.admin().wait_for(generation, |now| now > before).await;
    }
    let seen = answers.load(Ordering::Relaxed);
    outrigger_harness::wait_until("more answers", async || {
        (answers.load(Ordering::Relaxed) > seen + 20).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_rolled_over_twice_and_no_request_fails() {
    let authorities = ["first", "second", "third"].map(Authority::new);
    let upstream = Scripted::ok().await;
    let server_files = Files::new(&authorities[0], SERVER_ID);
    let client_files = Files::new(&authorities[0], CLIENT_ID);
    let server = Proxy::start(inbound(&server_files, upstream.address())).await;
    let clients = [
        Proxy::start(outbound(&client_files, server.address(), "http1")).await,
        Proxy::start(outbound(&client_files, server.address(), "http2")).await,
    ];
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let asking: Vec<_> = clients
        .iter()
        .flat_map(|client| [client.address(); 4])
        .map(|address| tokio::spawn(ask(address, Arc::clone(&stop), Arc::clone(&answers))))
        .collect();
    let both = [&clients[0], &clients[1]];
    for pair in authorities.windows(2) {
        let [old, new] = pair else { unreachable!() };
        change(&[&server], &answers, || server_files.trust(&[old, new])).await;
        change(&both, &answers, || client_files.trust(&[old, new])).await;
        change(&[&server], &answers, || server_files.renew(new, SERVER_ID)).await;
        change(&both, &answers, || client_files.renew(new, CLIENT_ID)).await;
        change(&[&server], &answers, || server_files.trust(&[new])).await;
        change(&both, &answers, || client_files.trust(&[new])).await;
    }
    stop.store(true, Ordering::Relaxed);
    for asking in asking {
        asking.await.expect("every request was answered 200");
    }
    assert_eq!(
        upstream.request_count(),
        answers.load(Ordering::Relaxed),
        "none was sent twice"
    );
    // Who was left behind with the first authority is believed no more.
    let left_behind = Files::new(&authorities[0], CLIENT_ID);
    left_behind.trust(&[&authorities[2]]);
    let proxy = Proxy::start(outbound(&left_behind, server.address(), "http1")).await;
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 503);
}
