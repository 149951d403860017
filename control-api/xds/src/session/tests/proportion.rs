//! The work of a change is in proportion to the change: one endpoint set among 10,000 clusters, 1,000 nodes on one view.

use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;

use super::super::view::Change;
use super::super::{Client, Response, Scope, Server, Variant, Versions, View};
use super::{cluster_of, resource, texts};
use crate::resource::ResourceType;

use ResourceType::{Cluster, ClusterLoadAssignment};

const CLUSTERS: usize = 10_000;

fn name(number: usize) -> String {
    format!("cluster-{number}")
}

fn large_view() -> View {
    let resources = (0..CLUSTERS).flat_map(|number| {
        let name = name(number);
        [
            cluster_of(&name, "", "1"),
            resource(ClusterLoadAssignment, &name, "1"),
        ]
    });
    View::new(1, resources)
}

/// Carries everything both ways until nothing is left, and counts the resources sent.
fn settle(client: &mut Client, server: &mut Server, now: Instant) -> usize {
    let mut sent = 0;
    loop {
        while let Some(request) = client.poll() {
            server
                .receive(request, now)
                .expect("a client that keeps the rules");
        }
        let Some(response) = server.poll(now) else {
            return sent;
        };
        if let Response::Delta(response) = &response {
            sent += response.resources.len();
        }
        let received = client
            .receive(response, now)
            .expect("a server that keeps the rules");
        if received.resource_type == Cluster {
            let names = texts(received.upserts.iter().map(|cluster| cluster.name()));
            let refused = client.subscribe(ClusterLoadAssignment, names.iter().map(String::as_str), now);
            assert!(refused.is_empty());
        }
        client
            .settle(received.token, Vec::new(), now)
            .expect("the earliest");
    }
}

#[test]
fn one_endpoint_set_among_ten_thousand_clusters_is_one_resource() {
    let now = Instant::now();
    let view = Arc::new(large_view());
    let mut server = Server::new(Variant::Delta, Scope::Aggregated, Arc::clone(&view));
    let mut client = Client::new(Variant::Delta, Scope::Aggregated, Node::default());
    client.subscribe_all(Cluster);
    client.connected(Versions::Known, now);
    assert_eq!(settle(&mut client, &mut server, now), 2 * CLUSTERS);

    let next = Arc::new(view.next(2, [Change::Put(resource(ClusterLoadAssignment, &name(77), "2"))]));
    let kept = |resource_type: ResourceType| {
        let shared = next.of(resource_type).iter().filter(|resource| {
            let before = view.of(resource_type).find(resource.name());
            before.is_some_and(|before| before.is_shared_with(resource))
        });
        shared.count()
    };
    assert_eq!(
        (kept(Cluster), kept(ClusterLoadAssignment)),
        (CLUSTERS, CLUSTERS - 1)
    );
    assert_eq!(texts(&next.differing(&view, ClusterLoadAssignment)), [name(77)]);
    server.update(Arc::clone(&next), now);
    assert_eq!(settle(&mut client, &mut server, now), 1);
    assert!(server.progress().is_settled());
}

/// A node that comes back with what it held costs nothing but what has changed meanwhile.
#[test]
fn a_node_that_comes_back_is_sent_the_difference() {
    let now = Instant::now();
    let view = Arc::new(large_view());
    let mut client = Client::new(Variant::Delta, Scope::Aggregated, Node::default());
    client.subscribe_all(Cluster);
    client.connected(Versions::Known, now);
    let mut server = Server::new(Variant::Delta, Scope::Aggregated, Arc::clone(&view));
    settle(&mut client, &mut server, now);

    client.disconnected();
    let next = Arc::new(view.next(2, [Change::Put(resource(Cluster, &name(77), "2"))]));
    let mut server = Server::new(Variant::Delta, Scope::Aggregated, next);
    client.connected(Versions::Known, now);
    // A cluster without discovered endpoints now, so that nothing hangs on it.
    assert_eq!(settle(&mut client, &mut server, now), 1);
}

/// Nodes share what their views share.
#[test]
fn a_thousand_nodes_are_each_sent_one_resource() {
    let now = Instant::now();
    let names: Vec<String> = (0..20).map(name).collect();
    let all = names
        .iter()
        .map(|name| resource(ClusterLoadAssignment, name, "1"));
    let mut view = Arc::new(View::new(1, all));
    let mut nodes: Vec<(Client, Server)> = (0..1_000)
        .map(|_| {
            let mut client = Client::new(Variant::Delta, Scope::Aggregated, Node::default());
            let refused = client.subscribe(ClusterLoadAssignment, names.iter().map(String::as_str), now);
            assert!(refused.is_empty());
            client.connected(Versions::Known, now);
            (
                client,
                Server::new(Variant::Delta, Scope::Aggregated, Arc::clone(&view)),
            )
        })
        .collect();
    let mut sent = 0;
    for (client, server) in &mut nodes {
        sent += settle(client, server, now);
    }
    assert_eq!(sent, 20_000);
    view = Arc::new(view.next(2, [Change::Put(resource(ClusterLoadAssignment, &names[7], "2"))]));
    sent = 0;
    for (client, server) in &mut nodes {
        server.update(Arc::clone(&view), now);
        sent += settle(client, server, now);
        assert!(server.progress().is_settled());
    }
    assert_eq!(sent, 1_000);
}
