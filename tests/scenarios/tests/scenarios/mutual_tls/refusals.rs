//! Clients whose certificates do not hold: each is refused, and counted for its fault.

use super::*;
use outrigger_fixtures::authority::{expired, not_yet_valid, rcgen, uri};
use outrigger_harness::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_clients_certificate_has_its_reason() {
    let (mesh, strangers) = (Mesh::new(), Authority::new("strangers"));
    let upstream = Scripted::ok().await;
    let issue = |name: &str, edit: &dyn Fn(&mut rcgen::CertificateParams)| {
        mesh.authority.issue_with(name, &[], |params| {
            params.subject_alt_names.push(uri(CLIENT));
            edit(params);
        })
    };
    let intermediate = mesh.authority.intermediate("no authority", |params| {
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
    });
    let table = [
        (None, "certificate_missing"),
        (Some(issue("old", &expired)), "certificate_expired"),
        (Some(issue("new", &not_yet_valid)), "certificate_not_yet_valid"),
        (
            Some(strangers.issue_svid("stranger", CLIENT)),
            "certificate_unknown_authority",
        ),
        (
            Some(
                mesh.authority
                    .issue_svid("another", "spiffe://example.org/ns/shop/sa/another"),
            ),
            "certificate_name",
        ),
        (
            Some(mesh.authority.issue("dns", &["client.example"])),
            "certificate_name",
        ),
        (
            Some(issue("two", &|params| {
                params.subject_alt_names.push(uri("spiffe://example.org/ns/b"));
            })),
            "certificate_name",
        ),
        (
            Some(issue("server-only", &|params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            })),
            "certificate_invalid",
        ),
        (
            Some(intermediate.issue_svid("self-issued", CLIENT)),
            "certificate_unknown_authority",
        ),
    ];
    let mut served = 0;
    for version in ["TLSv1.2", "TLSv1.3"] {
        let tls = format!(
            "tls: {{ certificates: [{}], maximum_version: {version}, client: {{ ca_file: {}, peers: [{{ spiffe_id: '{CLIENT}' }}] }} }}",
            mesh.server.yaml(),
            mesh.authority.root().display()
        );
        let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&tls)).await;
        let admin = proxy.admin();
        for (certificate, reason) in &table {
            let config = mesh.authority.client_config(&["http/1.1"], certificate.as_ref());
            let before = admin.metric(&failures("listener", reason)).await;
            assert!(
                fetch_by(proxy.address(), config).await.is_none(),
                "{version}: {reason}"
            );
            admin
                .wait_for_metric(&failures("listener", reason), before + 1.0)
                .await;
        }
        assert_eq!(upstream.request_count(), served, "{version}");
        let short = version.trim_start_matches("TLSv");
        assert!(fetch_by(proxy.address(), mesh.known()).await.is_some());
        let by_version = format!("outrigger_listener_tls_connections_total{{version=\"{short}\"}}");
        admin.wait_for_metric(&by_version, 1.0).await;
        served += 1;
        assert_eq!(
            upstream.request_count(),
            served,
            "{version}: the right one is served"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_or_denied_is_refused_for_that() {
    let mesh = Mesh::new();
    let denied = mesh
        .authority
        .issue_svid("denied", "spiffe://example.org/ns/shop/sa/denied");
    let revoked = mesh.authority.issue_svid("revoked", CLIENT);
    let list = mesh.authority.revoke("list.pem", &[&revoked]);
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200 } }")
        .chain(&format!("tls: {{ {} }}", mesh.mutual()))
        .with(&format!(
            "revocation: {{ lists: [{{ file: {} }}], denied: [{{ spiffe_id: spiffe://example.org/ns/shop/sa/denied }}] }}",
            list.display()
        ));
    let proxy = Proxy::start(document).await;
    for (certificate, reason) in [(&revoked, "certificate_revoked"), (&denied, "certificate_denied")] {
        let config = mesh.authority.client_config(&["http/1.1"], Some(certificate));
        assert!(fetch_by(proxy.address(), config).await.is_none(), "{reason}");
        proxy
            .admin()
            .wait_for_metric(&failures("listener", reason), 1.0)
            .await;
    }
    assert!(fetch_by(proxy.address(), mesh.known()).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_outlive_its_certificate() {
    let mesh = Mesh::new();
    let mutual = format!("tls: {{ {} }}", mesh.mutual());
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200 } }")
        .chain(&mutual);
    let proxy = Proxy::start(document).await;
    let brief = mesh.authority.issue_with("brief", &[], |params| {
        params.subject_alt_names.push(uri(CLIENT));
        params.not_after = (std::time::SystemTime::now() + std::time::Duration::from_secs(3)).into();
    });
    let config = mesh.authority.client_config(&["http/1.1"], Some(&brief));
    let (mut resumed, address) = (false, proxy.address());
    // Until it has expired sessions go on, and then none does.
    let refused = async {
        loop {
            match once(address, &config).await {
                Some((kind, true)) => resumed |= kind == rustls::HandshakeKind::Resumed,
                Some((kind, false)) => break kind,
                None => break rustls::HandshakeKind::Full,
            }
            tokio::task::yield_now().await;
        }
    };
    let kind = within("the certificate's end", refused).await;
    assert!(resumed, "sessions are resumed at all");
    assert_eq!(
        kind,
        rustls::HandshakeKind::Resumed,
        "the session was offered and taken"
    );
    proxy
        .admin()
        .wait_for(&failures("listener", "certificate_expired"), |count| count >= 1.0)
        .await;
    let resumptions = "outrigger_listener_tls_handshakes_total{kind=\"resumed\"}";
    assert!(proxy.admin().metric(resumptions).await >= 1.0);
}

/// A request: how the handshake went, and whether there was an answer.
async fn once(address: SocketAddr, config: &Arc<ClientConfig>) -> Option<(rustls::HandshakeKind, bool)> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let mut stream = TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
        .ok()?;
    let kind = stream.get_ref().1.handshake_kind()?;
    let request = format!("GET / HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let answered = stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_end(&mut answer).await.is_ok()
        && !answer.is_empty();
    Some((kind, answered))
}
