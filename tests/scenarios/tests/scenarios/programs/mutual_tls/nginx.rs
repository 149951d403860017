//! nginx as the server that wants to see our certificate, and as the client that shows its own.

use super::super::installed;
use super::super::upstreams::nginx;
use super::{Mesh, file};
use outrigger_fixtures::Scripted;
use outrigger_harness::client::fetch;
use outrigger_harness::{Document, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn nginx_as_upstream_sees_our_certificate() {
    if !installed(&["nginx"]) {
        return;
    }
    let mesh = Mesh::new();
    let folder = tempfile::tempdir().unwrap();
    let server = format!(
        " ssl; ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; ssl_verify_client on; \
         location / {{ return 200 \"$ssl_client_verify $ssl_protocol $ssl_server_name\"; }}",
        file(&mesh.server.certificate),
        file(&mesh.server.key),
        mesh.root()
    );
    let (_nginx, address) = nginx(folder.path(), &server).await;
    let proxy = Proxy::start(Document::to(&[address]).cluster(&mesh.upstream(&mesh.client))).await;
    let answer = fetch(proxy.address(), "/", "").await;
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (200, "SUCCESS TLSv1.3 server.example")
    );
    // One that nginx does not believe, and a server that is not who it should be.
    let strangers = Mesh::new();
    let proxy = Proxy::start(Document::to(&[address]).cluster(&mesh.upstream(&strangers.client))).await;
    assert_eq!(
        fetch(proxy.address(), "/", "").await.status(),
        400,
        "nginx answers it itself"
    );
    let proxy = Proxy::start(Document::to(&[address]).cluster(&strangers.upstream(&mesh.client))).await;
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_as_client_shows_its_certificate() {
    if !installed(&["nginx"]) {
        return;
    }
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).chain(&mesh.downstream())).await;
    for (issued, status) in [(&mesh.client, 200), (&mesh.other, 502)] {
        let folder = tempfile::tempdir().unwrap();
        let server = format!(
            "; location / {{ proxy_pass https://{}; proxy_http_version 1.1; proxy_ssl_certificate {}; proxy_ssl_certificate_key {}; \
             proxy_ssl_trusted_certificate {}; proxy_ssl_verify on; proxy_ssl_name server.example; \
             proxy_ssl_server_name on; }}",
            proxy.address(),
            file(&issued.certificate),
            file(&issued.key),
            mesh.root()
        );
        let (_nginx, address) = nginx(folder.path(), &server).await;
        for _ in 0..3 {
            assert_eq!(fetch(address, "/", "").await.status(), status);
        }
    }
    assert_eq!(upstream.requests().len(), 3);
}
