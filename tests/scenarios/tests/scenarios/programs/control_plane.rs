//! The control API drives programs that are not ours, and a control plane that is not ours drives the proxy.

pub(crate) mod envoy;
mod foreign;
mod grpc;

use outrigger_harness::{Control, wait_until};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a node took.
struct Taken {
    /// What it runs.
    agent: &'static str,
    /// The service or gateway whose node it is.
    service: String,
    /// How many resources it has of each type.
    of_types: BTreeMap<&'static str, usize>,
}

/// Writes the mesh, and waits until the node took all of what it became.
async fn change(control: &Control, node: &str, mesh: &str) {
    let before = control.settled(node).await;
    control.write("mesh.yaml", mesh);
    wait_until("the node takes the change", async || {
        let status = control.parts().fleet.register().find(node)?;
        assert_eq!(status.refusals, [], "it refuses nothing");
        (status.in_force? > before).then_some(())
    })
    .await;
}

/// What a node has, once it has everything and refuses nothing.
async fn all_taken(control: &Control, node: &str) -> Taken {
    control.settled(node).await;
    let status = control.parts().fleet.register().find(node);
    let status = status.expect("a node that is settled is known");
    assert_eq!(status.progress, "settled");
    assert_eq!(status.refusals, []);
    assert_eq!(status.fault, None);
    let mut of_types = BTreeMap::new();
    for one in &status.types {
        assert_eq!(
            (one.sent, one.refused, one.outstanding),
            (one.acknowledged, 0, 0),
            "{one:?}"
        );
        of_types.insert(one.resource_type, one.acknowledged);
    }
    Taken {
        agent: status.agent,
        service: status.service.clone(),
        of_types,
    }
}

/// Endpoints as a mesh has them.
fn endpoints(addresses: &[SocketAddr]) -> String {
    let of = |address: &SocketAddr| format!("{{address: '{address}'}}");
    let all: Vec<String> = addresses.iter().map(of).collect();
    all.join(", ")
}
