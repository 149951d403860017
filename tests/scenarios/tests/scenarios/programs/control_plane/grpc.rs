//! gRPC's own xDS client as a node of the mesh: it needs no proxy to call by the mesh's names.

use super::super::{Beside, peer, python};
use super::{all_taken, change, endpoints};
use outrigger_harness::{Control, wait_until};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// The service by whose status the test tells the servers apart.
const SERVICE: &str = "peers.Catalog";

fn mesh(catalog: SocketAddr) -> String {
    format!(
        "\
services:
  - name: shop/catalog
    ports: [{{port: 80, protocol: grpc}}]
    endpoints: [{}]
  - name: shop/web
    ports: [{{port: 80, protocol: http}}]
    uses: [shop/catalog]
",
        endpoints(&[catalog])
    )
}

/// grpcio's health service, which says this status of [`SERVICE`].
fn server(python: &Path, status: &str) -> (Beside, SocketAddr) {
    let mut command = Command::new(python);
    command.arg(peer("grpc_health_server.py"));
    let (mut server, address) = Beside::listening(command);
    server.tell(&format!("{SERVICE} {status}"));
    assert_eq!(server.line(), format!("{SERVICE} {status}"));
    (server, address)
}

fn client(python: &Path, control: &Control, target: &str) -> Beside {
    let (address, bundle) = (control.grpc(), control.bundle());
    let bundle = bundle.display();
    let bootstrap = format!(
        r#"{{"xds_servers": [{{"server_uri": "{address}", "server_features": ["xds_v3"],
        "channel_creds": [{{"type": "tls", "config": {{"ca_certificate_file": "{bundle}"}}}}]}}],
        "node": {{"id": "client", "cluster": "shop/web"}}}}"#
    );
    let mut command = Command::new(python);
    command.arg(peer("grpc_xds_client.py")).arg(target);
    command.env("GRPC_XDS_BOOTSTRAP_CONFIG", bootstrap);
    Beside::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_finds_a_service_by_its_name_and_follows_its_endpoints() {
    let Some(python) = python() else { return };
    let (_one, serving) = server(&python, "SERVING");
    let (_two, other) = server(&python, "NOT_SERVING");
    let control = Control::start(&[("mesh.yaml", &mesh(serving))]).await;
    let mut client = client(&python, &control, "xds:///catalog.shop:80");
    client.tell(SERVICE);
    assert_eq!(client.line(), "SERVING");
    let taken = all_taken(&control, "client").await;
    assert_eq!((taken.agent, &*taken.service), ("grpc", "shop/web"));

    change(&control, "client", &mesh(other)).await;
    wait_until("calls go to the other server", async || {
        client.tell(SERVICE);
        let answer = client.line();
        assert!(["SERVING", "NOT_SERVING"].contains(&&*answer), "{answer}");
        (answer == "NOT_SERVING").then_some(())
    })
    .await;
    all_taken(&control, "client").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_not_told_of_what_its_service_does_not_use() {
    let Some(python) = python() else { return };
    let (_server, address) = server(&python, "SERVING");
    let unused = mesh(address).replace("    uses: [shop/catalog]\n", "");
    let control = Control::start(&[("mesh.yaml", &unused)]).await;
    let mut client = client(&python, &control, "xds:///catalog.shop:80");
    client.tell(SERVICE);
    let answer = client.line();
    assert!(answer.starts_with("UNAVAILABLE"), "{answer}");
}
