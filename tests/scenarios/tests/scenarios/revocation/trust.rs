//! Other authorities: one that goes cuts those for whom nobody else vouches, one that comes cuts nobody.

use super::*;

/// Clients are believed by a bundle of these authorities.
fn bundle(mesh: &Mesh, upstream: SocketAddr, authorities: &[&Authority]) -> Document {
    let roots: String = authorities.iter().map(|authority| authority.pem()).collect();
    let roots = roots.trim_end().replace('\n', "\n      ");
    Document::to(&[upstream])
        .cluster("protocol: http2")
        .chain(&mesh.tls_of("trust_bundle: roots"))
        .with(&format!(
            "trust_bundles:\n- name: roots\n  inline: |\n      {roots}\n"
        ))
}

fn client(mesh: &Mesh, authority: &Authority, name: &str) -> Arc<ClientConfig> {
    let issued = authority.issue_svid(name, &id(name));
    mesh.authority.client_config(&["h2"], Some(&issued))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_goes_takes_its_clients_with_it() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    // Roots of one name, as they are in a rollover, and of another.
    let (old, new, other) = (
        Authority::new("root"),
        Authority::new("root"),
        Authority::new("else"),
    );
    let proxy = Proxy::start(bundle(&mesh, upstream.address(), &[&old])).await;
    let cut = Streams::open(proxy.address(), client(&mesh, &old, "one"), "/", 10).await;
    // What comes takes nothing from anybody.
    let all = bundle(&mesh, upstream.address(), &[&old, &new, &other]);
    proxy.reload(&all).await.unwrap();
    let kept = Streams::open(proxy.address(), client(&mesh, &new, "one"), "/", 10).await;
    let elsewhere = Streams::open(proxy.address(), client(&mesh, &other, "two"), "/", 10).await;
    let cuts = "outrigger_listener_connections_cut_total";
    assert_eq!(proxy.admin().metric(cuts).await, 0.0);
    let rolled = bundle(&mesh, upstream.address(), &[&new, &other]);
    proxy.reload(&rolled).await.unwrap();
    cut.are_cut().await;
    kept.go_on().await;
    elsewhere.go_on().await;
    let metrics = proxy.admin().metrics().await;
    assert_eq!(
        metrics.sum(&format!("{cuts}{{reason=\"identity_untrusted\"}}")),
        1.0
    );
    assert_eq!(metrics.sum(cuts), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_whose_names_are_not_accepted_any_more_are_cut() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let accepting = |peers: &str| {
        let root = mesh.authority.root();
        let client = format!("ca_file: {}, peers: [{peers}]", root.display());
        Document::to(&[upstream.address()])
            .cluster("protocol: http2")
            .chain(&mesh.tls_of(&client))
    };
    let both = "{ spiffe_id: 'spiffe://example.org/one' }, { spiffe_id: 'spiffe://example.org/two' }";
    let proxy = Proxy::start(accepting(both)).await;
    let cut = Streams::open(proxy.address(), mesh.client("one"), "/", 10).await;
    let kept = Streams::open(proxy.address(), mesh.client("two"), "/", 10).await;
    let only = "{ spiffe_id: 'spiffe://example.org/two' }";
    proxy.reload(accepting(only)).await.unwrap();
    cut.are_cut().await;
    kept.go_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_required_from_now_on_is_missing_at_once() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let root = mesh.authority.root();
    let asking = |certificate: &str| {
        let client = format!("ca_file: {}, certificate: {certificate}", root.display());
        Document::to(&[upstream.address()])
            .cluster("protocol: http2")
            .chain(&mesh.tls_of(&client))
    };
    let proxy = Proxy::start(asking("optional")).await;
    let nobody = mesh.authority.client_config(&["h2"], None);
    let cut = Streams::open(proxy.address(), nobody, "/", 10).await;
    let kept = Streams::open(proxy.address(), mesh.client("one"), "/", 10).await;
    proxy.reload(asking("required")).await.unwrap();
    cut.are_cut().await;
    kept.go_on().await;
    let cuts = "outrigger_listener_connections_cut_total{reason=\"identity_missing\"}";
    proxy.admin().wait_for_metric(cuts, 1.0).await;
}
