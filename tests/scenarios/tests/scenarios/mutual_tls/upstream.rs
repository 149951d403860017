//! Endpoints that are not who they should be, and endpoints that refuse us.

use super::*;
use outrigger_fixtures::Echo;
use outrigger_fixtures::authority::{expired, not_yet_valid};

/// A cluster's `tls`, and where requests are logged.
fn document(mesh: &Mesh, endpoints: &[SocketAddr], tls: &str, log: &Path) -> Document {
    Document::to(endpoints)
        .cluster(&format!(
            "tls: {{ ca_file: {}, server_name: {NAME}{tls} }}",
            mesh.authority.root().display()
        ))
        .http(&format!(
            "access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_CODE% %RESPONSE_FLAGS% \
             %RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_PEER_URI_SAN% %UPSTREAM_TLS_VERSION%\\n\" }} }}]",
            log.display()
        ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_the_wrong_endpoint_is_answered_503_and_says_what_was_wrong() {
    let (mesh, strangers) = (Mesh::new(), Authority::new("strangers"));
    let log = mesh.authority.path("access.log");
    let table = [
        (
            mesh.authority.issue_with("old", &[NAME], expired),
            "certificate_expired",
        ),
        (
            mesh.authority.issue_with("new", &[NAME], not_yet_valid),
            "certificate_not_yet_valid",
        ),
        (
            strangers.issue("stranger", &[NAME]),
            "certificate_unknown_authority",
        ),
        (mesh.authority.issue("other", &["b.example"]), "certificate_name"),
    ];
    for (count, (certificate, reason)) in table.iter().enumerate() {
        let upstream = Echo::start_tls(certificate.server_config(&["http/1.1"])).await;
        let proxy = Proxy::start(document(&mesh, &[upstream.address()], "", &log)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!(response.status(), 503, "{reason}");
        assert_eq!(upstream.requests(), 0, "{reason}");
        assert_eq!(
            line(&log, count + 1).await,
            format!("503 UF,URX tls_{reason} 2 - -")
        );
        let admin = proxy.admin();
        admin.wait_for_metric(&failures("cluster", reason), 2.0).await;
        let failed = "outrigger_cluster_connection_failures_total{reason=\"tls\"}";
        admin.wait_for_metric(failed, 2.0).await;
    }
    let upstream = Echo::start_tls(mesh.server.server_config(&["http/1.1"])).await;
    let proxy = Proxy::start(document(&mesh, &[upstream.address()], "", &log)).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        line(&log, table.len() + 1).await,
        format!("200 - via_upstream 1 {SERVER} TLSv1.3")
    );
    let full = "outrigger_cluster_tls_handshakes_total{kind=\"full\"}";
    proxy.admin().wait_for_metric(full, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_refuses_our_certificate_has_run_nothing() {
    let (mesh, strangers) = (Mesh::new(), Authority::new("strangers"));
    let log = mesh.authority.path("access.log");
    let ours = |issued: &Issued| format!(", certificate: {}", issued.yaml());
    let theirs = strangers.issue("ours", &["client.example"]);
    let old = mesh.authority.issue_with("old", &["client.example"], expired);
    let mut lines = 0;
    for protocol in ["http/1.1", "h2"] {
        let server = mesh.server.mutual_server_config(&[protocol], &mesh.authority);
        for (tls, reason) in [
            (ours(&theirs), "certificate_refused"),
            (String::new(), "certificate_refused"),
            (ours(&old), "own_certificate"),
        ] {
            let upstream = Echo::start_tls(Arc::clone(&server)).await;
            let proxy = Proxy::start(document(&mesh, &[upstream.address()], &tls, &log)).await;
            let mut client = Client::connect(proxy.address()).await;
            let request = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nabc";
            let response = client.exchange(request).await;
            lines += 1;
            assert_eq!(response.status(), 503, "{protocol}, {reason}");
            assert_eq!(upstream.requests(), 0, "{protocol}, {reason}");
            // It never ran, and so it was tried once more.
            assert_eq!(
                line(&log, lines).await,
                format!("503 UF,URX tls_{reason} 2 {}", known(protocol)),
                "{protocol}"
            );
            proxy
                .admin()
                .wait_for_metric(&failures("cluster", reason), 2.0)
                .await;
        }
    }
}

/// Over HTTP/1 there was a connection when the refusal came; HTTP/2 is not ready before the server has spoken.
fn known(protocol: &str) -> String {
    match protocol {
        "h2" => "- -".to_owned(),
        _ => format!("{SERVER} TLSv1.3"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_endpoint_runs_once_what_the_first_refused() {
    let (mesh, strangers) = (Mesh::new(), Authority::new("strangers"));
    let log = mesh.authority.path("access.log");
    let ours = mesh.authority.issue("ours", &["client.example"]);
    let tls = format!(", certificate: {}", ours.yaml());
    for protocol in ["http/1.1", "h2"] {
        let refusing = Echo::start_tls(mesh.server.mutual_server_config(&[protocol], &strangers)).await;
        let accepting = Echo::start_tls(mesh.server.mutual_server_config(&[protocol], &mesh.authority)).await;
        let endpoints = [refusing.address(), accepting.address()];
        let proxy = Proxy::start(document(&mesh, &endpoints, &tls, &log)).await;
        let mut client = Client::connect(proxy.address()).await;
        for sent in 1..=6 {
            let request = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nabc";
            let response = client.exchange(request).await;
            assert_eq!((response.status(), response.text().as_str()), (200, "abc"));
            assert_eq!(accepting.requests(), sent, "{protocol}");
        }
        assert_eq!(refusing.requests(), 0);
        proxy
            .admin()
            .wait_for(&failures("cluster", "certificate_refused"), |count| count >= 1.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_an_endpoint_does_not_outlive_its_certificate() {
    let mesh = Mesh::new();
    let log = mesh.authority.path("access.log");
    let brief = mesh.authority.issue_with("brief", &[NAME], |params| {
        params.not_after = (std::time::SystemTime::now() + std::time::Duration::from_secs(3)).into();
    });
    let upstream = Echo::start_tls(brief.server_config(&["http/1.1"])).await;
    let document =
        document(&mesh, &[upstream.address()], "", &log).cluster("pool: { requests_per_connection_max: 1 }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    // Sessions go on until it has expired, and then none does.
    let last = outrigger_harness::within("the certificate's end", async {
        loop {
            let response = client.fetch("/", "").await;
            if response.status() != 200 {
                break response.status();
            }
        }
    })
    .await;
    assert_eq!(last, 503);
    let admin = proxy.admin();
    let resumed = "outrigger_cluster_tls_handshakes_total{kind=\"resumed\"}";
    assert!(admin.metric(resumed).await >= 1.0, "sessions are resumed at all");
    admin
        .wait_for(&failures("cluster", "certificate_expired"), |count| count >= 1.0)
        .await;
}
