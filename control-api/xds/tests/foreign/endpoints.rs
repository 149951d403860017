//! Endpoints.

use super::samples::{assignment, endpoint, fault, faults, group, number, take};
use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Locality};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints, cluster_load_assignment::Policy,
    cluster_load_assignment::policy::DropOverload,
};
use outrigger_config::document::EndpointSet;
use outrigger_xds::decode::Decoded;

fn set(message: &ClusterLoadAssignment) -> EndpointSet {
    match take("service", message) {
        Ok(Decoded::Endpoints(set)) => set,
        Ok(_) => panic!("of another type"),
        Err(refusal) => panic!("{refusal}"),
    }
}

fn zone(name: &str, weight: Option<u32>) -> LocalityLbEndpoints {
    LocalityLbEndpoints {
        locality: Some(Locality {
            zone: name.to_owned(),
            ..Locality::default()
        }),
        load_balancing_weight: weight.and_then(number),
        ..group(vec![endpoint(&format!("192.0.2.{}", name.len()), 80)])
    }
}

#[test]
fn localities_have_shares() {
    // One that says none has none, where others say one; 1 is as if nothing were said.
    let shares = set(&assignment(vec![
        zone("a", Some(1)),
        zone("bb", Some(7)),
        zone("ccc", None),
    ]));
    let weights: Vec<_> = shares
        .locality_weights()
        .iter()
        .map(|share| (share.locality().zone().to_owned(), share.weight()))
        .collect();
    assert_eq!(weights, [("bb".to_owned(), 7), ("ccc".to_owned(), 0)]);
    let silent = set(&assignment(vec![zone("a", None), zone("bb", None)]));
    assert!(silent.locality_weights().is_empty());
}

#[test]
fn what_is_said_of_health() {
    let with = |status: HealthStatus, port| LbEndpoint {
        health_status: status as i32,
        ..endpoint("192.0.2.1", port)
    };
    let set = set(&assignment(vec![group(vec![
        with(HealthStatus::Unknown, 1),
        with(HealthStatus::Healthy, 2),
        with(HealthStatus::Timeout, 3),
        with(HealthStatus::Draining, 4),
        with(HealthStatus::Degraded, 5),
    ])]));
    let statuses: Vec<String> = set
        .endpoints()
        .iter()
        .map(|endpoint| format!("{:?}", endpoint.status()))
        .collect();
    assert_eq!(
        statuses,
        ["Healthy", "Healthy", "Unhealthy", "Draining", "Degraded"]
    );
}

#[test]
fn policy_of_endpoints() {
    let mut message = assignment(vec![group(vec![endpoint("::1", 80)])]);
    message.policy = Some(Policy {
        overprovisioning_factor: number(200),
        ..Policy::default()
    });
    let taken = set(&message);
    assert_eq!(taken.overprovisioning_factor(), Some(200));
    assert_eq!(taken.endpoints()[0].address().to_string(), "[::1]:80");
    message.policy.as_mut().unwrap().drop_overloads = vec![DropOverload::default()];
    let (path, said) = fault("service", &message);
    assert_eq!(
        (path.as_str(), said.as_str()),
        ("policy.drop_overloads", "this field is not implemented")
    );
}

#[test]
fn faults_stand_where_the_endpoint_does() {
    let at = "endpoints[0].lb_endpoints[1].endpoint.address.socket_address";
    let names = assignment(vec![group(vec![
        endpoint("192.0.2.1", 80),
        endpoint("a.example", 80),
    ])]);
    assert_eq!(fault("service", &names).0, at);
    let twice = assignment(vec![group(vec![
        endpoint("192.0.2.1", 80),
        endpoint("192.0.2.1", 80),
    ])]);
    assert_eq!(fault("service", &twice).0, at);
    let mut nothing = assignment(vec![group(vec![LbEndpoint::default()])]);
    assert_eq!(
        fault("service", &nothing).0,
        "endpoints[0].lb_endpoints[0].endpoint"
    );
    nothing.cluster_name = "other".to_owned();
    let paths: Vec<_> = faults("service", &nothing)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(paths, ["cluster_name", "endpoints[0].lb_endpoints[0].endpoint"]);
}
