//! Resources that are wrong, through the real proxy: those that only the proxy itself can find wrong among them.

use super::ads::{Follower, find, good, identity, inline};
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use outrigger_fixtures::{Ads, Authority, Echo};
use prost::Message;
use serde_json::Value;

struct Wrong {
    resource: Resource,
    kind: &'static str,
    /// What the NACK and `/config_dump` have to say.
    says: &'static str,
}

/// A listener at another port.
fn at(resource: &Resource, port: u16) -> Resource {
    let mut resource = resource.clone();
    let any = resource.resource.as_mut().unwrap();
    let mut listener = Listener::decode(any.value.as_slice()).unwrap();
    let address = listener
        .address
        .as_mut()
        .and_then(|address| address.address.as_mut());
    let Some(Kind::SocketAddress(socket)) = address else {
        panic!("it has an address")
    };
    socket.port_specifier = Some(PortSpecifier::PortValue(port.into()));
    any.value = listener.encode_to_vec();
    resource
}

fn body(resource: &Resource, value: &[u8]) -> Resource {
    let mut resource = resource.clone();
    resource.resource.as_mut().unwrap().value = value.to_vec();
    resource
}

fn wrongs(resources: &[Resource], upstream: &Echo, taken: u16) -> Vec<Wrong> {
    let of = |kind, name| find(resources, kind, name);
    let unfit = inline(&Authority::new("ca"), "own", "other");
    let unfit = find(&good(upstream, &unfit, "1"), "Secret", "own");
    let wrong = |resource: Resource, kind, says| Wrong { resource, kind, says };
    vec![
        wrong(
            body(&of("Cluster", "web"), b"\xff\xff"),
            "Cluster",
            "not a message",
        ),
        wrong(at(&of("Listener", "edge"), taken), "Listener", "in use"),
        wrong(
            body(
                &of("RouteConfiguration", "shop"),
                b"\x0a\x04shop\x12\x05\x0a\x03all",
            ),
            "RouteConfiguration",
            "virtual_hosts[0].domains",
        ),
        wrong(unfit, "Secret", "key"),
    ]
}

fn resource<'d>(dump: &'d Value, kind: &str, name: &str) -> Option<&'d Value> {
    let resources = dump["resources"].as_array()?;
    resources
        .iter()
        .find(|one| one["type"] == kind && one["name"] == name)
}

#[tokio::test]
async fn each_is_named_in_the_answer_and_in_the_dump_and_the_last_good_version_serves() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let identity = identity();
    let resources = good(&one, &identity, "1");
    let ads = Ads::start(resources.clone()).await;
    let proxy = Follower::start(&[ads.url()], "").await;
    let admin = proxy.process.admin();
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wrongs = wrongs(&resources, &one, occupied.local_addr().unwrap().port());
    for (number, wrong) in wrongs.iter().enumerate() {
        let name = wrong.resource.name.as_str();
        let version = format!("wrong-{number}");
        ads.put(Resource {
            version: version.clone(),
            ..wrong.resource.clone()
        });
        let said = proxy
            .serves_until(wrong.says, async || ads.refusals().get(number).cloned())
            .await;
        assert!(
            said.starts_with(&format!("{name}: ")) && said.contains(wrong.says),
            "{said}"
        );
        let shown = proxy
            .serves_until("the dump", async || {
                let dump = proxy.control().await;
                let shown = resource(&dump, wrong.kind, name)?.clone();
                (shown["standing"] == "refused" || wrong.kind == "Cluster").then_some(shown)
            })
            .await;
        assert_eq!(shown["version"], "1", "{shown}");
        assert!(shown["age_seconds"].is_u64(), "{shown}");
        if shown["standing"] == "refused" {
            assert_eq!(shown["refused"]["version"], version, "{shown}");
            assert!(
                shown["refused"]["reason"].as_str().unwrap().contains(wrong.says),
                "{shown}"
            );
        }
        let refused = admin
            .metric("outrigger_control_updates_total{outcome=\"refused\"}")
            .await;
        assert_eq!(refused, (number + 1) as f64);
    }
    assert!(admin.metric("outrigger_control_resources_refused").await >= 3.0);
    assert_eq!(ads.streams(), 1, "no refusal costs the stream");
    // What was good before is good again, and nothing is refused any more.
    for resource in &resources {
        ads.put(resource.clone());
    }
    proxy
        .serves_until("nothing is refused", async || {
            let refused = admin.metric("outrigger_control_resources_refused").await;
            (refused == 0.0).then_some(())
        })
        .await;
    ads.put(find(&good(&two, &identity, "2"), "ClusterLoadAssignment", "web"));
    proxy.reaches(&two).await;
}
