//! Streams as nodes see them, over the gRPC service itself but without sockets.

use super::*;
use crate::access::{Grants, Role, TokenDigest, TokenGrant};
use crate::authority::{
    Audit, AuthorityEvent, AuthorityMetrics, AuthorityParts, Evidence, KeySource, MemoryJoinTokens, Phase,
    Step, StoredAuthority,
};
use crate::fleet::{Freshness, NodeStatus, Plan, RETURN_WITHIN, revision_of};
use crate::store::{Store, embedded};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Code, Streaming};

pub(super) const MESH: &str = "
defaults: { trust_domain: example.org, mutual_tls: strict, sidecar: { interception: 'off' } }
services:
  - name: shop/web
    ports: [{ port: 80, protocol: http, application_port: 9001 }]
    endpoints: [{ address: 127.0.0.1:15106 }]
    sidecar: { inbound: 127.0.0.1:15106, outbound: 127.0.0.1:15101 }
";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An audit log that can be broken.
#[derive(Default, Clone)]
pub(super) struct BreakableAudit(Arc<AtomicBool>);

impl BreakableAudit {
    pub(super) fn set_broken(&self, is_broken: bool) {
        self.0.store(is_broken, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Audit for BreakableAudit {
    async fn record(&self, _: &AuthorityEvent) -> Result<(), String> {
        match self.0.load(Ordering::SeqCst) {
            true => Err("the disk is full".to_owned()),
            false => Ok(()),
        }
    }
}

pub(super) async fn authority(audit: &BreakableAudit) -> Authority {
    let store: Arc<dyn Store> = Arc::new(embedded::in_memory(100).await.unwrap());
    let parts = AuthorityParts {
        trust_domain: "example.org".parse().unwrap(),
        validity_max: Duration::from_secs(3600),
        key: KeySource::Kept(Arc::new(StoredAuthority::new(store))),
        fixed_tokens: Vec::new(),
        join_tokens: Arc::new(MemoryJoinTokens::default()),
        kubernetes: None,
        audit: Arc::new(audit.clone()),
        metrics: AuthorityMetrics::register(&prometheus::Registry::new()).unwrap(),
    };
    Authority::open(parts, SystemTime::now()).await.unwrap()
}

/// A server of a mesh, and its nodes.
struct World {
    fleet: Arc<Fleet>,
    audit: BreakableAudit,
    ads: Ads,
    registry: prometheus::Registry,
    _drain: watch::Sender<bool>,
}

/// A node's stream.
struct Conversation {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

impl World {
    async fn start(freshness: Freshness) -> World {
        World::with_expiry(freshness, None).await
    }

    /// The token `ending` holds until then.
    async fn with_expiry(freshness: Freshness, ending: Option<SystemTime>) -> World {
        let fleet = Arc::new(Fleet::new());
        release(&fleet, 1, freshness);
        let token = |name: &str, expires| TokenGrant {
            name: name.to_owned(),
            digest: TokenDigest::of(name),
            expires,
            roles: vec![Role::Node(["shop/web", "shop/new"].map(str::to_owned).into())],
        };
        let grants = Grants {
            tokens: vec![token("node", None), token("other", None), token("ending", ending)],
            ..Grants::default()
        };
        let audit = BreakableAudit::default();
        let authority = Some(Arc::new(authority(&audit).await));
        let (drain, draining) = watch::channel(false);
        let access = Arc::new(Access::new(grants));
        let registry = prometheus::Registry::new();
        let metrics = AdsMetrics::register(&registry).unwrap();
        World {
            registry,
            ads: Ads::new(Arc::clone(&fleet), access, authority, draining, metrics),
            fleet,
            audit,
            _drain: drain,
        }
    }

    async fn connect(&self, token: Option<&str>) -> Result<Conversation, Status> {
        let (requests, incoming) = mpsc::channel(8);
        let mut request = tonic::Request::new(ReceiverStream::new(incoming));
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let mut client = AggregatedDiscoveryServiceClient::new(self.ads.clone().service());
        let answered = timeout(PATIENCE, client.stream_aggregated_resources(request)).await;
        Ok(Conversation {
            requests,
            responses: answered.expect("an answer comes")?.into_inner(),
        })
    }

    /// A stream that has asked for these as a node of a service.
    async fn ask(&self, token: &str, service: &str, wanted: (&str, &[&str])) -> Conversation {
        self.try_ask(token, service, wanted).await.unwrap()
    }

    async fn try_ask(
        &self,
        token: &str,
        service: &str,
        (type_url, names): (&str, &[&str]),
    ) -> Result<Conversation, Status> {
        let conversation = self.connect(Some(token)).await?;
        let request = DiscoveryRequest {
            node: Some(Node {
                id: "node-1".to_owned(),
                cluster: service.to_owned(),
                user_agent_name: "envoy".to_owned(),
                ..Node::default()
            }),
            type_url: type_url.to_owned(),
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..DiscoveryRequest::default()
        };
        conversation.requests.send(request).await.unwrap();
        Ok(conversation)
    }
}

impl Conversation {
    async fn next(&mut self) -> Result<DiscoveryResponse, Status> {
        let message = timeout(PATIENCE, self.responses.message())
            .await
            .expect("an answer comes");
        message.map(|response| response.expect("the stream is not ended without a reason"))
    }

    async fn acknowledge(&self, response: &DiscoveryResponse, names: &[&str]) {
        let request = DiscoveryRequest {
            version_info: response.version_info.clone(),
            response_nonce: response.nonce.clone(),
            type_url: response.type_url.clone(),
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..DiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }
}

/// The mesh becomes everybody's, under another number.
fn release(fleet: &Fleet, number: u64, freshness: Freshness) {
    let stable = Arc::new(revision_of(number, MESH));
    fleet.replan(|_| Plan {
        stable,
        release: None,
        freshness,
    });
}

#[tokio::test]
async fn whom_nobody_knows_is_refused_before_anything_is_read() {
    let world = World::start(Freshness::Current).await;
    // Nothing was sent, and the stream is open: the answer does not wait for it.
    let refused = world.connect(None).await.err().expect("nobody is known");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(world.connect(Some("node")).await.is_ok());
}

#[tokio::test]
async fn until_a_revision_is_loaded_nobody_is_told_that_there_is_nothing() {
    let world = World::start(Freshness::Unread).await;
    let mut early = world.ask("node", "shop/web", (CLUSTER, &[])).await;
    assert_eq!(early.next().await.unwrap_err().code(), Code::Unavailable);
    release(&world.fleet, 1, Freshness::Current);
    let mut later = world.ask("node", "shop/web", (CLUSTER, &[])).await;
    assert!(!later.next().await.unwrap().resources.is_empty());
}

#[tokio::test]
async fn what_an_earlier_revision_has_not_may_be_in_the_one_that_cannot_be_loaded() {
    let world = World::start(Freshness::Earlier).await;
    let mut known = world.ask("node", "shop/web", (CLUSTER, &[])).await;
    assert!(!known.next().await.unwrap().resources.is_empty());
    drop(known);
    let mut reports = world.fleet.register().reports();
    let mut gone = async || {
        while timeout(PATIENCE, reports.recv())
            .await
            .unwrap()
            .unwrap()
            .connected
        {}
    };
    gone().await;
    let mut new = world.ask("node", "shop/new", (CLUSTER, &[])).await;
    assert_eq!(new.next().await.unwrap_err().code(), Code::Unavailable);
    gone().await;
    let fault = world.fleet.register().find("node-1").unwrap().fault.clone();
    assert!(fault.unwrap().contains("a newer one cannot be loaded"));
}

#[tokio::test]
async fn a_service_that_the_mesh_has_not_is_told_of_at_every_revision() {
    let world = World::start(Freshness::Current).await;
    let mut reports = world.fleet.register().reports();
    let _stream = world.ask("node", "shop/new", (CLUSTER, &[])).await;
    let mut told = async |revision| loop {
        let status: Arc<NodeStatus> = timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
        if status.revision == revision {
            return status.fault.clone();
        }
    };
    let fault = Some("the mesh has no service or gateway `shop/new`".to_owned());
    assert_eq!(told(1).await, fault);
    release(&world.fleet, 2, Freshness::Current);
    assert_eq!(told(2).await, fault);
}

#[tokio::test]
async fn a_first_view_that_cannot_be_made_turns_the_node_away() {
    let world = World::start(Freshness::Current).await;
    world.audit.set_broken(true);
    let mut turned_away = world.ask("node", "shop/web", (CLUSTER, &[])).await;
    assert_eq!(turned_away.next().await.unwrap_err().code(), Code::Unavailable);
    world.audit.set_broken(false);
    let mut served = world.ask("node", "shop/web", (CLUSTER, &[])).await;
    assert!(!served.next().await.unwrap().resources.is_empty());
}

#[tokio::test]
async fn a_new_root_reaches_who_has_the_bundle_by_sds() {
    let world = World::start(Freshness::Current).await;
    let mut stream = world.ask("node", "shop/web", (SECRET, &["mesh"])).await;
    let first = stream.next().await.unwrap();
    stream.acknowledge(&first, &["mesh"]).await;
    let authority = world.ads.authority.as_ref().unwrap();
    for step in [Step::Prepare, Step::Distribute] {
        let by = ("a test", SystemTime::now());
        authority
            .roll(step, Evidence::Acknowledged, None, by)
            .await
            .unwrap();
    }
    let second = stream.next().await.unwrap();
    assert_eq!(second.resources.len(), 1);
    assert!(
        second.resources[0].value.len() > first.resources[0].value.len(),
        "two roots"
    );
    let roots = authority.roots();
    let new = roots
        .iter()
        .find(|root| root.phase == Phase::Distributed)
        .unwrap();
    let later = std::time::Instant::now() + RETURN_WITHIN;
    let belief = || world.fleet.belief(&new.facts.fingerprint, later);
    assert!(!belief().is_evidence(), "it is sent, and not taken");
    let mut reports = world.fleet.register().reports();
    stream.acknowledge(&second, &["mesh"]).await;
    while !belief().is_evidence() {
        timeout(PATIENCE, reports.recv())
            .await
            .expect("that it is taken is noted")
            .unwrap();
    }
    let text = prometheus::TextEncoder::new();
    let text = text.encode_to_string(&world.registry.gather()).unwrap();
    for line in [
        "outrigger_control_streams 1",
        "outrigger_control_pushes_total{type=\"Secret\"} 2",
        "outrigger_control_resources_acknowledged_total{type=\"Secret\"} 2",
        "outrigger_control_resources_refused_total{type=\"Secret\"} 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let soon = SystemTime::now() + Duration::from_secs(2);
    let world = World::with_expiry(Freshness::Current, Some(soon)).await;
    let ended = match world.try_ask("ending", "shop/web", (CLUSTER, &[])).await {
        Ok(mut stream) => loop {
            if let Err(status) = stream.next().await {
                break status;
            }
        },
        // A machine so slow that the token had ended before.
        Err(status) => status,
    };
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert_eq!(ended.message(), "token `ending` has expired");
}

#[tokio::test]
async fn nobody_takes_the_id_of_a_node_that_is_there() {
    let world = World::start(Freshness::Current).await;
    let mut first = world.ask("node", "shop/web", (CLUSTER, &[])).await;
    first.next().await.unwrap();
    for (token, service) in [("other", "shop/web"), ("node", "shop/new")] {
        let mut second = world.ask(token, service, (CLUSTER, &[])).await;
        assert_eq!(second.next().await.unwrap_err().code(), Code::AlreadyExists);
    }
    let status = world.fleet.register().find("node-1").unwrap();
    assert_eq!((status.service.as_str(), status.connected), ("shop/web", true));
}
