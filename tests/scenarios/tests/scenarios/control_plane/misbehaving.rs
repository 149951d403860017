//! A control plane that breaks the protocol, its messages and its connections: the proxy goes on, and does what it is told
//! as soon as that makes sense again.

use super::ads::{Follower, find, good, identity};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use outrigger_fixtures::Echo;
use outrigger_fixtures::ads::{Ads, Manner};

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// gRPC's.
const PERMISSION_DENIED: u16 = 7;
const UNAVAILABLE: u16 = 14;

/// What the server does wrong, and how it is brought to do it.
type Break = (&'static str, fn(&Ads));

/// Ends a stream that was not worth going on with.
const BREAKS: &[Break] = &[
    ("a message that is none", |ads| ads.send_message(&[0xff; 40])),
    ("half a message and the end", |ads| {
        ads.send_bytes(&[0, 0, 0, 1, 0, 10, 20]);
        ads.end(0);
    }),
    ("a message of 4 GiB", |ads| {
        ads.send_bytes(&[0, 0xff, 0xff, 0xff, 0xff, 1])
    }),
    ("compression that was not agreed on", |ads| {
        ads.send_bytes(&[1, 0, 0, 0, 1, 0])
    }),
    ("no nonce", |ads| {
        ads.answer(&DeltaDiscoveryResponse {
            type_url: CLUSTER.to_owned(),
            ..DeltaDiscoveryResponse::default()
        });
    }),
    ("an end in order", |ads| ads.end(0)),
    ("an end by an error", |ads| ads.end(UNAVAILABLE)),
    ("an end by a refusal", |ads| ads.end(PERMISSION_DENIED)),
    ("a reset", Ads::reset),
];

#[tokio::test]
async fn streams_that_break_are_opened_again_and_no_request_fails() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let identity = identity();
    let ads = Ads::start(good(&one, &identity, "1")).await;
    let proxy = Follower::start(&[ads.url()], "").await;
    for (number, (what, break_it)) in BREAKS.iter().enumerate() {
        let before = ads.streams();
        break_it(&ads);
        proxy
            .serves_until(what, async || (ads.streams() > before).then_some(()))
            .await;
        let ended = proxy
            .process
            .admin()
            .metric("outrigger_control_streams_ended_total")
            .await;
        assert!(ended > number as f64, "{what}: {ended}");
    }
    proxy.follows(&ads).await;
    ads.put(find(&good(&two, &identity, "2"), "ClusterLoadAssignment", "web"));
    proxy.reaches(&two).await;
}

#[tokio::test]
async fn responses_that_make_no_sense_are_refused_or_passed_over_and_the_stream_goes_on() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let identity = identity();
    let resources = good(&one, &identity, "1");
    let ads = Ads::start(resources.clone()).await;
    let proxy = Follower::start(&[ads.url()], "").await;
    let streams = ads.streams();
    let cluster = find(&resources, "Cluster", "web");
    let response = |type_url: &str, resources: Vec<_>, nonce: String| DeltaDiscoveryResponse {
        type_url: type_url.to_owned(),
        resources,
        nonce,
        ..DeltaDiscoveryResponse::default()
    };
    // A type that nobody knows, and one that nobody asked for.
    ads.answer(&response(
        "type.googleapis.com/example.Thing",
        Vec::new(),
        ads.nonce(),
    ));
    let scoped = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration";
    ads.answer(&response(scoped, Vec::new(), ads.nonce()));
    // A name twice.
    ads.answer(&response(
        CLUSTER,
        vec![cluster.clone(), cluster.clone()],
        ads.nonce(),
    ));
    proxy
        .serves_until("the refusal", async || {
            let refusals = ads.refusals();
            refusals
                .iter()
                .any(|said| said.contains("`web` more than once"))
                .then_some(())
        })
        .await;
    // The same nonce again, a removal of what is not there, a removal of what is in use.
    let nonce = ads.nonce();
    for _ in 0..3 {
        ads.answer(&response(CLUSTER, vec![cluster.clone()], nonce.clone()));
    }
    ads.answer(&DeltaDiscoveryResponse {
        removed_resources: vec!["nobody".to_owned(), "web".to_owned()],
        ..response(CLUSTER, Vec::new(), ads.nonce())
    });
    ads.put(cluster);
    ads.put(find(&good(&two, &identity, "2"), "ClusterLoadAssignment", "web"));
    proxy.reaches(&two).await;
    assert_eq!(ads.streams(), streams, "the stream is the same");
}

#[tokio::test]
async fn a_server_that_takes_streams_and_says_nothing_or_ends_them_is_passed_over() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let identity = identity();
    for manner in [Manner::Ending(UNAVAILABLE), Manner::Silent] {
        let first = Ads::start(good(&one, &identity, "1")).await;
        first.behave(manner);
        let second = Ads::start(good(&two, &identity, "1")).await;
        let proxy = Follower::start(&[first.url(), second.url()], "").await;
        assert!(first.streams() > 0, "it was asked first");
        assert_eq!(proxy.control().await["connected_to"], second.url());
        proxy.reaches(&two).await;
    }
}

#[tokio::test]
async fn a_server_that_has_said_nothing_yet_is_not_connected_to() {
    let echo = Echo::start().await;
    let ads = Ads::start(good(&echo, &identity(), "1")).await;
    let address = ads.address();
    let proxy = Follower::start(&[ads.url()], "").await;
    let admin = proxy.process.admin();
    assert_eq!(admin.metric("outrigger_control_connected").await, 1.0);
    drop(ads);
    admin.wait_for_metric("outrigger_control_connected", 0.0).await;
    // It takes connections, and that is all: as a listener whose process hangs.
    let hanging = tokio::net::TcpListener::bind(address).await.unwrap();
    let (connection, _) = hanging.accept().await.unwrap();
    let mut connection = h2::server::handshake(connection).await.unwrap();
    let asked = connection.accept().await.unwrap().unwrap();
    let driving = tokio::spawn(async move { connection.accept().await });
    assert_eq!(
        admin.metric("outrigger_control_connected").await,
        0.0,
        "it has not answered"
    );
    assert_eq!(proxy.control().await["connected_to"], serde_json::Value::Null);
    proxy.serves().await;
    // An answer without a word is one: there may be nothing to say.
    let (_request, mut respond) = asked;
    let head = http::Response::builder().header("content-type", "application/grpc");
    let _sending = respond.send_response(head.body(()).unwrap(), false).unwrap();
    admin.wait_for_metric("outrigger_control_connected", 1.0).await;
    driving.abort();
}

#[tokio::test]
async fn the_preferred_server_is_returned_to_and_versions_of_another_mean_nothing() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let identity = identity();
    let first = Ads::start(good(&one, &identity, "1")).await;
    let address = first.address();
    let second = Ads::start(good(&two, &identity, "1")).await;
    let proxy = Follower::start(&[first.url(), second.url()], ", return_interval: 100ms").await;
    proxy.reaches(&one).await;
    let admin = proxy.process.admin();
    let returned = "outrigger_control_streams_ended_total{reason=\"returned\"}";
    drop(first);
    proxy.follows(&second).await;
    // In the same versions it says something else.
    proxy.reaches(&two).await;
    assert_eq!(admin.metric(returned).await, 0.0);
    let first = Ads::start_at(address, good(&one, &identity, "1")).await;
    proxy.follows(&first).await;
    assert_eq!(admin.metric(returned).await, 1.0);
    proxy.reaches(&one).await;
}

#[tokio::test]
async fn a_server_that_was_replaced_by_one_with_another_history_is_believed() {
    let (one, two) = (Echo::start().await, Echo::start().await);
    let identity = identity();
    let first = Ads::start(good(&one, &identity, "7")).await;
    let address = first.address();
    let proxy = Follower::start(&[first.url()], "").await;
    proxy.reaches(&one).await;
    drop(first);
    proxy
        .process
        .admin()
        .wait_for_metric("outrigger_control_connected", 0.0)
        .await;
    proxy.serves().await;
    // It counts its versions anew, and comes to the same number with something else.
    let _second = Ads::start_at(address, good(&two, &identity, "7")).await;
    proxy.reaches(&two).await;
    assert_eq!(
        proxy
            .process
            .admin()
            .metric("outrigger_control_updates_total{outcome=\"refused\"}")
            .await,
        0.0
    );
}
