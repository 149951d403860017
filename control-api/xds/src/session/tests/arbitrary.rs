//! Messages that nobody would send, in any order: neither end panics, and what is bounded stays bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::protobuf::{self, Any};
use envoy_types::pb::google::rpc::Status;
use fastrand::Rng;
use proptest::prelude::*;
use prost::{Message, Name};

use super::super::client::UNSETTLED_MAX;
use super::super::view::Change;
use super::super::{
    Client, FEATURE_TTL, FEATURE_WRAPPED, Refusal, Request, Response, Scope, Server, Token, Variant,
    Versions, View,
};
use super::{cluster_of, resource};
use crate::resource::ResourceType;

const NAMES: [&str; 7] = ["a", "b", "c", "*", "", "ö", "#0"];

fn name(rng: &mut Rng) -> String {
    if rng.u8(..40) == 0 {
        "x".repeat(rng.usize(..5_000))
    } else {
        NAMES[rng.usize(..NAMES.len())].to_owned()
    }
}

fn some<T>(rng: &mut Rng, mut of: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..rng.usize(..4)).map(|_| of(rng)).collect()
}

fn type_url(rng: &mut Rng) -> String {
    match rng.usize(..10) {
        place @ 0..6 => ResourceType::ALL[place].type_url().to_owned(),
        6 => String::new(),
        7 => discovery::Resource::type_url(),
        _ => ResourceType::Cluster.type_url().to_owned(),
    }
}

fn nonce(rng: &mut Rng) -> String {
    if rng.u8(..5) == 0 {
        String::new()
    } else {
        rng.u8(..12).to_string()
    }
}

fn version(rng: &mut Rng) -> String {
    ["", "1", "2", "ff"][rng.usize(..4)].to_owned()
}

fn any(rng: &mut Rng) -> Any {
    let resource_type = ResourceType::ALL[rng.usize(..6)];
    let content = rng.u8(..3).to_string();
    match rng.u8(..6) {
        0 => Any {
            type_url: type_url(rng),
            value: (0..rng.usize(..20)).map(|_| rng.u8(..)).collect(),
        },
        1 => Any {
            type_url: discovery::Resource::type_url(),
            value: wrapped(rng).encode_to_vec(),
        },
        2 => cluster_of(&name(rng), &name(rng), &content).to_any(),
        _ => resource(resource_type, &name(rng), &content).to_any(),
    }
}

fn wrapped(rng: &mut Rng) -> discovery::Resource {
    let ttl = protobuf::Duration {
        seconds: rng.i64(-1..5),
        nanos: rng.i32(-1..2),
    };
    let ttl = if rng.u8(..20) == 0 {
        protobuf::Duration {
            seconds: i64::MAX,
            nanos: i32::MAX,
        }
    } else {
        ttl
    };
    discovery::Resource {
        name: name(rng),
        version: version(rng),
        resource: (rng.u8(..4) != 0).then(|| any(rng)),
        ttl: rng.bool().then_some(ttl),
        aliases: if rng.u8(..20) == 0 {
            some(rng, name)
        } else {
            Vec::new()
        },
        resource_name: (rng.u8(..20) == 0).then(|| discovery::ResourceName {
            name: name(rng),
            ..Default::default()
        }),
        ..discovery::Resource::default()
    }
}

fn error(rng: &mut Rng) -> Option<Status> {
    let detail = |rng: &mut Rng| {
        let resource_name = Some(discovery::ResourceName {
            name: name(rng),
            ..Default::default()
        });
        let error = discovery::ResourceError {
            resource_name,
            error_detail: rng.bool().then(Status::default),
        };
        Any {
            type_url: discovery::ResourceError::type_url(),
            value: error.encode_to_vec(),
        }
    };
    (rng.u8(..3) == 0).then(|| Status {
        code: rng.i32(..),
        message: name(rng),
        details: some(rng, detail),
    })
}

fn request(rng: &mut Rng) -> Request {
    let features = || [FEATURE_TTL, FEATURE_WRAPPED].map(str::to_owned).to_vec();
    let node = (rng.u8(..4) == 0).then(|| Node {
        client_features: features(),
        ..Node::default()
    });
    if rng.bool() {
        Request::StateOfTheWorld(discovery::DiscoveryRequest {
            version_info: version(rng),
            node,
            resource_names: some(rng, name),
            type_url: type_url(rng),
            response_nonce: nonce(rng),
            error_detail: error(rng),
            ..discovery::DiscoveryRequest::default()
        })
    } else {
        Request::Delta(discovery::DeltaDiscoveryRequest {
            node,
            type_url: type_url(rng),
            resource_names_subscribe: some(rng, name),
            resource_names_unsubscribe: some(rng, name),
            initial_resource_versions: some(rng, |rng| (name(rng), version(rng))).into_iter().collect(),
            response_nonce: nonce(rng),
            error_detail: error(rng),
            ..discovery::DeltaDiscoveryRequest::default()
        })
    }
}

fn response(rng: &mut Rng) -> Response {
    if rng.bool() {
        Response::StateOfTheWorld(discovery::DiscoveryResponse {
            version_info: version(rng),
            resources: some(rng, any),
            type_url: type_url(rng),
            nonce: nonce(rng),
            ..discovery::DiscoveryResponse::default()
        })
    } else {
        Response::Delta(discovery::DeltaDiscoveryResponse {
            system_version_info: version(rng),
            resources: some(rng, wrapped),
            type_url: type_url(rng),
            removed_resources: some(rng, name),
            nonce: nonce(rng),
            ..discovery::DeltaDiscoveryResponse::default()
        })
    }
}

fn variant_and_scope(rng: &mut Rng) -> (Variant, Scope) {
    let variant = if rng.bool() {
        Variant::Delta
    } else {
        Variant::StateOfTheWorld
    };
    let scope = if rng.u8(..3) == 0 {
        Scope::Only(ResourceType::ALL[rng.usize(..6)])
    } else {
        Scope::Aggregated
    };
    (variant, scope)
}

fn torment_client(rng: &mut Rng, steps: usize) {
    let (variant, scope) = variant_and_scope(rng);
    let mut now = Instant::now();
    let mut client = Client::new(variant, scope, Node::default());
    let mut tokens: Vec<Token> = Vec::new();
    for _ in 0..steps {
        let resource_type = ResourceType::ALL[rng.usize(..6)];
        let (one, other) = (name(rng), name(rng));
        match rng.u8(..16) {
            0 => client.connected(
                if rng.bool() {
                    Versions::Known
                } else {
                    Versions::Unknown
                },
                now,
            ),
            1 if rng.u8(..4) == 0 => client.disconnected(),
            2 => client.subscribe_all(resource_type),
            3 if rng.bool() => client.unsubscribe_all(resource_type),
            4 => assert!(client.subscribe(resource_type, [&*one, &*other], now).len() <= 2),
            5 => client.unsubscribe(resource_type, [&*one, &*other]),
            6 => now += Duration::from_secs(rng.u64(..3)),
            7 => assert!(client.expire(now).len() <= 100),
            8 => client.restore([resource(resource_type, &one, "1")], now),
            9 | 10 if !tokens.is_empty() => {
                let token = tokens.remove(rng.usize(..tokens.len()));
                let refused = some(rng, |rng| Refusal {
                    name: name(rng),
                    reason: name(rng),
                });
                let _ = client.settle(token, refused, now);
            }
            11 => while client.poll().is_some() {},
            _ => tokens.extend(client.receive(response(rng), now).map(|received| received.token)),
        }
        let state = client.type_state(resource_type, now);
        assert!(state.unsettled <= UNSETTLED_MAX);
        assert_eq!(state.held, client.accepted(resource_type).count());
        assert!(client.states(resource_type, now).count() >= state.held);
        assert!(
            client
                .next_expiry()
                .is_none_or(|at| at + Duration::from_secs(3_600) > now)
        );
    }
}

fn torment_server(rng: &mut Rng, steps: usize) {
    let (variant, scope) = variant_and_scope(rng);
    let mut now = Instant::now();
    let mut view = Arc::new(View::default());
    let mut server = Server::new(variant, scope, Arc::clone(&view));
    for _ in 0..steps {
        match rng.u8(..8) {
            0 => {
                let resource_type = ResourceType::ALL[rng.usize(..6)];
                let put = resource(resource_type, NAMES[rng.usize(..3)], &rng.u8(..3).to_string());
                let ttl = rng.bool().then(|| Duration::from_secs(rng.u64(..3)));
                let changes = if rng.bool() {
                    Change::Put(put.with_ttl(ttl))
                } else {
                    Change::Remove(resource_type, NAMES[rng.usize(..3)].into())
                };
                view = Arc::new(view.next(view.revision() + 1, [changes]));
                server.update(Arc::clone(&view), now);
            }
            1 => now += Duration::from_secs(rng.u64(..10)),
            2 => {
                // One of each type at most is unanswered, so this ends.
                let sent = std::iter::from_fn(|| server.poll(now)).count();
                assert!(sent <= ResourceType::ALL.len());
            }
            _ => drop(server.receive(request(rng), now)),
        }
        assert!(server.next_wake(now).is_none_or(|at| at > now));
        let _ = server.progress();
        for resource_type in ResourceType::ALL {
            assert!(server.statuses(resource_type, now).count() < 10_000);
            let _ = server.type_status(resource_type, now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_client_bears_anything(seed: u64, steps in 0..400_usize) {
        torment_client(&mut Rng::with_seed(seed), steps);
    }

    #[test]
    fn a_server_bears_anything(seed: u64, steps in 0..400_usize) {
        torment_server(&mut Rng::with_seed(seed), steps);
    }
}
