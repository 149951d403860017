//! A proxy without a proxy: session and assembly, driven as the control client drives them.

use super::good::Good;
use envoy_types::pb::envoy::config::core::v3::Node as Identity;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
pub(crate) use envoy_types::pb::envoy::service::discovery::v3::Resource;
use outrigger_config::model::Listener;
use outrigger_config::{Environment, MeshConfig, Source, load};
use outrigger_xds::assembly::{Assembly, Next};
use outrigger_xds::decode;
use outrigger_xds::resource::ResourceType;
use outrigger_xds::session::client::Received;
use outrigger_xds::session::{Client, Refusal, Request, Response, Scope, Variant, Versions};
use std::sync::Arc;
use std::time::Instant;

pub(crate) struct Node {
    client: Client,
    pub(crate) assembly: Assembly,
    pub(crate) now: Instant,
    nonce: u32,
}

/// What was put in force first, and when.
pub(crate) struct First(Instant);

impl First {
    pub(crate) fn since(&self) -> Instant {
        self.0
    }

    /// What must not change of a configuration: all but what stands beside.
    pub(crate) fn of(&self, config: &MeshConfig) -> String {
        let written = outrigger_config::to_json(config);
        let lists = ["listeners", "route_configurations", "clusters", "identities"];
        let mine = |list: &&str| {
            let parts = written[*list].as_array().cloned().unwrap_or_default();
            parts
                .into_iter()
                .filter(|part| part["name"] != super::good::BESIDE)
                .collect::<Vec<_>>()
        };
        format!("{:?}", lists.iter().map(mine).collect::<Vec<_>>())
    }
}

fn base() -> Arc<MeshConfig> {
    let source = Source {
        name: "local.yaml".into(),
        text: "admin: {address: '127.0.0.1:0'}\n".into(),
    };
    Arc::new(load(&source, &Environment::empty()).unwrap().config)
}

impl Node {
    pub(crate) fn new() -> Node {
        let identity = Identity {
            id: "node".to_owned(),
            ..Identity::default()
        };
        let mut client = Client::new(Variant::Delta, Scope::Aggregated, identity);
        let now = Instant::now();
        client.subscribe_all(ResourceType::Cluster);
        client.subscribe_all(ResourceType::Listener);
        client.connected(Versions::Known, now);
        Node {
            client,
            assembly: Assembly::new(base()),
            now,
            nonce: 0,
        }
    }

    /// Takes everything good.
    pub(crate) fn begin(&mut self, good: &Good) -> First {
        assert_eq!(self.put_all(good, "first"), Vec::<String>::new());
        let config = self.assembly.in_force();
        let names = config
            .listeners()
            .iter()
            .map(|one: &Arc<Listener>| one.name().to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["beside", "edge"]);
        assert_eq!(config.route_configurations().len(), 2);
        First(self.now)
    }

    /// Puts all of it in this version; what is said of refusals.
    pub(crate) fn put_all(&mut self, good: &Good, version: &str) -> Vec<String> {
        let order = [
            ResourceType::Cluster,
            ResourceType::ClusterLoadAssignment,
            ResourceType::Listener,
            ResourceType::Secret,
            ResourceType::RouteConfiguration,
        ];
        let mut said = Vec::new();
        for resource_type in order {
            said.extend(self.put(resource_type, good.all(resource_type, version)));
        }
        said
    }

    /// Takes a response; what the error detail of its NACK says.
    pub(crate) fn put(&mut self, resource_type: ResourceType, resources: Vec<Resource>) -> Option<String> {
        while self.client.poll().is_some() {}
        self.nonce += 1;
        let response = DeltaDiscoveryResponse {
            type_url: resource_type.type_url().to_owned(),
            nonce: self.nonce.to_string(),
            resources,
            ..DeltaDiscoveryResponse::default()
        };
        if let Ok(received) = self.client.receive(Response::Delta(response), self.now) {
            self.bring_in(received);
        }
        let mut detail = None;
        while let Some(Request::Delta(request)) = self.client.poll() {
            if request.response_nonce == self.nonce.to_string() {
                detail = Some(request.error_detail.map(|error| error.message));
            }
        }
        detail.expect("each response is answered")
    }

    fn bring_in(&mut self, received: Received) {
        let mut refused = self.assembly.offer(&received.upserts, &[], self.now);
        loop {
            match self.assembly.propose(self.now, &mut refused) {
                Next::InForce => break,
                Next::Stuck(faults) => panic!("{faults}"),
                Next::Put(proposal) => self.assembly.commit(&proposal),
            }
        }
        let wanted = self.assembly.wanted();
        for (resource_type, names) in [
            (ResourceType::RouteConfiguration, wanted.route_configurations),
            (ResourceType::ClusterLoadAssignment, wanted.endpoints),
            (ResourceType::Secret, wanted.secrets),
        ] {
            let names = names.iter().map(String::as_str);
            assert!(self.client.subscribe(resource_type, names, self.now).is_empty());
        }
        let refusals = refused.iter().map(|(resource, refusal)| Refusal {
            name: resource.name().to_string(),
            reason: reason(refusal),
        });
        let refusals = refusals.collect();
        let of_type = received.resource_type;
        self.client.settle(received.token, refusals, self.now).unwrap();
        let (client, now) = (&self.client, self.now);
        self.assembly.forgive(of_type, |name| {
            let state = client.state(of_type, name, now);
            state.is_some_and(|state| state.refused.is_none())
        });
    }
}

fn reason(refusal: &decode::Refusal) -> String {
    let faults: Vec<String> = refusal.faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}
