//! Certificate revocation lists: from files, from the configuration, and what sessions are good for afterwards.

use super::*;
use std::fs;

fn inline(list: &str) -> String {
    format!(
        "revocation:\n  lists:\n  - inline: |\n      {}\n",
        list.trim_end().replace('\n', "\n      ")
    )
}

/// True if a client is served.
async fn is_served(proxy: &Proxy, config: &Arc<ClientConfig>) -> bool {
    let connected = FrameConnection::connect_tls(proxy.address(), Arc::clone(config), NAME, &[]).await;
    let Ok(mut connection) = connected else {
        return false;
    };
    let request = Frame::request(1, "GET", "/", &[], true);
    connection.send(request).await.is_ok() && connection.next_headers().await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_number_is_revoked_by_a_list_in_the_configuration() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let document = mesh.document(upstream.address());
    let proxy = Proxy::start(&document).await;
    let (one, two) = (mesh.issue("one"), mesh.issue("two"));
    let config = |issued| mesh.authority.client_config(&["h2"], Some(issued));
    let (one_config, two_config) = (config(&one), config(&two));
    let cut = Streams::open(proxy.address(), Arc::clone(&one_config), "/", 10).await;
    let kept = Streams::open(proxy.address(), Arc::clone(&two_config), "/", 10).await;
    // A list that names nobody takes nothing.
    let nobody = fs::read_to_string(mesh.authority.revoke("nobody.pem", &[])).unwrap();
    proxy
        .reload(document.clone().with(&inline(&nobody)))
        .await
        .unwrap();
    assert!(is_served(&proxy, &one_config).await);
    let list = fs::read_to_string(mesh.authority.revoke("some.pem", &[&one])).unwrap();
    proxy.reload(document.clone().with(&inline(&list))).await.unwrap();
    cut.are_cut().await;
    kept.go_on().await;
    // The client's session is of before: it is not resumed. Nor is a handshake made.
    assert!(!is_served(&proxy, &one_config).await);
    assert!(!is_served(&proxy, &config(&one)).await);
    assert!(is_served(&proxy, &two_config).await);
    // What is taken back is good again.
    proxy.reload(&document).await.unwrap();
    assert!(is_served(&proxy, &one_config).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_file_that_changes_is_noticed_without_a_reload() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let list = mesh.authority.revoke("list.pem", &[]);
    let document = mesh.document(upstream.address()).with(&format!(
        "revocation: {{ lists: [{{ file: {} }}] }}",
        list.display()
    ));
    let proxy = Proxy::start(&document).await;
    let one = mesh.issue("one");
    let config = mesh.authority.client_config(&["h2"], Some(&one));
    let cut = Streams::open(proxy.address(), config, "/", 10).await;
    let kept = Streams::open(proxy.address(), mesh.client("two"), "/", 10).await;
    mesh.authority.revoke("list.pem", &[&one]);
    cut.are_cut().await;
    kept.go_on().await;
}
