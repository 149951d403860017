//! Sessions that must not be resumed: a ticket is worth no more than the certificate that it was given for.

use super::{Gallery, NAME, PEER_ID, guarded};
use outrigger_harness::{Document, Proxy};
use rustls::{ClientConfig, HandshakeKind};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One request on a connection of its own: how the handshake went, and whether there was an answer of 200.
async fn visit(address: SocketAddr, config: &Arc<ClientConfig>) -> (Option<HandshakeKind>, bool) {
    let plain = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let Ok(mut stream) = TlsConnector::from(Arc::clone(config)).connect(name, plain).await else {
        return (None, false);
    };
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    // A refusal may have come already.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let kind = stream.get_ref().1.handshake_kind();
    (kind, answer.starts_with(b"HTTP/1.1 200 "))
}

const FULL: Option<HandshakeKind> = Some(HandshakeKind::Full);
const RESUMED: Option<HandshakeKind> = Some(HandshakeKind::Resumed);

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_while_nothing_changed_and_not_after_a_revocation() {
    let gallery = Gallery::new();
    let document = |more: &str| guarded(&gallery, &gallery.good, "").with(more);
    let proxy = Proxy::start(document("")).await;
    let config = gallery
        .authority
        .client_config(&["http/1.1"], Some(&gallery.good));
    assert_eq!(visit(proxy.address(), &config).await, (FULL, true));
    assert_eq!(visit(proxy.address(), &config).await, (RESUMED, true));
    proxy.reload(document("drain: { timeout: 9s }")).await.unwrap();
    assert_eq!(
        visit(proxy.address(), &config).await,
        (RESUMED, true),
        "a change of something else"
    );
    let denied = format!("revocation: {{ denied: [{{ spiffe_id: '{PEER_ID}' }}] }}");
    proxy.reload(document(&denied)).await.unwrap();
    let (kind, answered) = visit(proxy.address(), &config).await;
    assert!(kind != RESUMED && !answered, "{kind:?}");
    proxy.reload(document("")).await.unwrap();
    assert_eq!(
        visit(proxy.address(), &config).await,
        (FULL, true),
        "allowed again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_listener_is_nothing_to_another() {
    let gallery = Gallery::new();
    let open = format!(
        "- {{ name: open, address: 127.0.0.1:0, filter_chains: [{{ tls: {{ certificates: [{}], client: {{ ca_file: {} }} }}, \
         http: {{ route_configuration: main }} }}] }}\n",
        gallery.good.yaml(),
        gallery.root()
    );
    let document: Document = guarded(&gallery, &gallery.good, "").with_listener_text(&open);
    let proxy = Proxy::start(document).await;
    let open = proxy.address_of("open");
    // One whom the open listener takes and the guarded one does not.
    let other = gallery
        .authority
        .issue_svid("other", "spiffe://example.org/other");
    let config = gallery.authority.client_config(&["http/1.1"], Some(&other));
    assert_eq!(visit(open, &config).await, (FULL, true));
    assert_eq!(visit(open, &config).await, (RESUMED, true));
    let (kind, answered) = visit(proxy.address(), &config).await;
    assert!(kind != RESUMED && !answered, "{kind:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_resumed_where_that_is_off() {
    let gallery = Gallery::new();
    let proxy = Proxy::start(guarded(&gallery, &gallery.good, ", session_resumption: false")).await;
    let config = gallery
        .authority
        .client_config(&["http/1.1"], Some(&gallery.good));
    for _ in 0..3 {
        assert_eq!(visit(proxy.address(), &config).await, (FULL, true));
    }
}
