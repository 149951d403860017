//! Resources that are wrong, through the real proxy: those that only the proxy itself can find wrong among them.

use super::ads::{Follower, find, good, identity, inline};
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use outrigger_fixtures::{Ads, Authority, Echo};
use outrigger_harness::policy;
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
                (shown["standing"] == "refused").then_some(shown)
            })
            .await;
        assert_eq!(shown["version"], "1", "{shown}");
        assert!(shown["age_seconds"].is_u64(), "{shown}");
        // What could not be read at all has the version of the response, and this server gives it none.
        let shown_version = if wrong.kind == "Cluster" { "" } else { &version };
        assert_eq!(shown["refused"]["version"], shown_version, "{shown}");
        let reason = shown["refused"]["reason"].as_str().unwrap();
        assert!(reason.contains(wrong.says), "{shown}");
        let refused = admin
            .metric("outrigger_control_updates_total{outcome=\"refused\"}")
            .await;
        assert_eq!(refused, (number + 1) as f64);
    }
    assert!(admin.metric("outrigger_control_resources_refused").await >= 4.0);
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

/// A listener at a port, and a route configuration that sends everything to the cluster `web`.
fn more(port: u16, version: &str) -> Vec<Resource> {
    let document = format!(
        "\
listeners: [{{name: more, address: '127.0.0.1:{port}', filter_chains: [{{http: {{route_configuration: routes}}}}]}}]
route_configurations:
  - {{name: routes, virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, forward: {{cluster: \
web}}}}]}}]}}
clusters: [{{name: web}}]
"
    );
    policy::resources(&document, version)
}

#[tokio::test]
async fn what_turns_out_wrong_later_is_told_and_taken_when_nothing_is_in_its_way_any_more() {
    let echo = Echo::start().await;
    let resources = good(&echo, &identity(), "1");
    let ads = Ads::start(resources.clone()).await;
    let proxy = Follower::start(&[ads.url()], "").await;
    let admin = proxy.process.admin();
    // A listener that waits for its routes is as good as any.
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = occupied.local_addr().unwrap().port();
    let another = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = another.local_addr().unwrap().port();
    let more = more(port, "1");
    ads.put(find(&more, "Listener", "more"));
    proxy
        .serves_until("the listener is asked after", async || {
            let waiting = admin.metric("outrigger_control_resources_waiting").await;
            (waiting == 1.0).then_some(())
        })
        .await;
    assert!(ads.refusals().is_empty(), "it is acknowledged");
    // With them it turns out that its port is taken.
    ads.put(find(&more, "RouteConfiguration", "routes"));
    let said = proxy
        .serves_until("the refusal", async || ads.refusals().pop())
        .await;
    assert!(said.starts_with("more: ") && said.contains("in use"), "{said}");
    assert_eq!(admin.metric("outrigger_control_resources_refused").await, 1.0);
    // When the port is free, any change brings it.
    drop((occupied, another));
    let told = ads.requests().len();
    ads.put(at(&find(&resources, "Listener", "secure"), free));
    proxy
        .serves_until("the listener", async || {
            let dump = proxy.control().await;
            (resource(&dump, "Listener", "more")?["standing"] == "in_force").then_some(())
        })
        .await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(
        outrigger_harness::client::fetch(address, "/", "").await.status(),
        200
    );
    assert_eq!(admin.metric("outrigger_control_resources_refused").await, 0.0);
    proxy
        .serves_until("the server hears of it", async || {
            let requests = ads.requests();
            let answers: Vec<_> = requests[told..]
                .iter()
                .filter(|one| one.type_url.ends_with("Listener") && !one.response_nonce.is_empty())
                .collect();
            let last = answers.last()?;
            (answers.len() > 1 && last.error_detail.is_none()).then_some(())
        })
        .await;
    assert_eq!(ads.streams(), 1);
}

#[tokio::test]
async fn a_proxy_that_restarts_goes_on_with_what_was_good_when_the_new_version_is_not() {
    let echo = Echo::start().await;
    let resources = good(&echo, &identity(), "1");
    let ads = Ads::start(resources.clone()).await;
    let state = tempfile::tempdir().unwrap();
    let state = state.path().join("state");
    let more = format!(", last_good: '{}'", state.display());
    // It cannot be written at first, and is tried again though nothing changes.
    std::fs::write(&state, "in the way").unwrap();
    let mut proxy = Follower::start(&[ads.url()], &more).await;
    let written = "outrigger_control_last_good_writes_total";
    let admin = proxy.process.admin();
    admin
        .wait_for_metric(&format!("{written}{{outcome=\"failed\"}}"), 1.0)
        .await;
    std::fs::remove_file(&state).unwrap();
    admin
        .wait_for_metric(&format!("{written}{{outcome=\"written\"}}"), 1.0)
        .await;
    proxy.process.signal(rustix::process::Signal::TERM);
    assert_eq!(proxy.process.exit_code().await, 0);
    // Meanwhile the control plane has something else, which is no good; the rest of it is.
    let cluster = find(&resources, "Cluster", "web");
    let unreadable = body(&cluster, b"\xff\xff");
    ads.put(Resource {
        version: "2".to_owned(),
        ..unreadable
    });
    let routes = find(&resources, "RouteConfiguration", "shop");
    ads.put(Resource {
        version: "2".to_owned(),
        ..body(&routes, b"\x0a\x04shop\x12\x05\x0a\x03all")
    });
    let proxy = Follower::start(&[ads.url()], &more).await;
    proxy.serves().await;
    let dump = proxy.control().await;
    assert_eq!(dump["source"], "control");
    for (kind, name) in [("Cluster", "web"), ("RouteConfiguration", "shop")] {
        let shown = resource(&dump, kind, name).unwrap();
        assert_eq!(
            (&shown["version"], &shown["standing"]),
            (&"1".into(), &"refused".into()),
            "{shown}"
        );
    }
    // What is put right is taken.
    let other = Echo::start().await;
    for one in good(&other, &identity(), "3") {
        ads.put(one);
    }
    proxy.reaches(&other).await;
}
