//! Simulated nodes: real streams over connections of their own, with sessions that take everything.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use outrigger_xds::resource::ResourceType;
use outrigger_xds::session::{Client, Received, Request, Response, Scope, Variant, Versions};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::mesh::{self, MOVING};

/// Requests of one node that wait to be sent.
const REQUESTS_MAX: usize = 64;
/// The largest response that is taken.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Many nodes that follow a server. Dropping them ends their streams.
pub(super) struct Nodes {
    tasks: JoinSet<Result<()>>,
    told: mpsc::UnboundedReceiver<()>,
    count: usize,
}

impl Nodes {
    /// Connects them, evenly of so many services.
    pub(super) fn start(server: SocketAddr, count: u32, services: u32) -> Nodes {
        let (tell, told) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for index in 0..count {
            let service = format!("bench/{}", mesh::name(index % services.max(1)));
            tasks.spawn(follow(server, format!("node-{index}"), service, tell.clone()));
        }
        Nodes {
            tasks,
            told,
            count: count as usize,
        }
    }

    /// Waits until each has acknowledged the endpoints that change once more.
    pub(super) async fn all_told(&mut self, patience: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + patience;
        for told in 0..self.count {
            tokio::select! {
                Some(()) = self.told.recv() => {}
                Some(ended) = self.tasks.join_next() => {
                    ended.context("a node panicked")??;
                    bail!("a node's stream ended");
                }
                () = tokio::time::sleep_until(deadline) => {
                    bail!("{told} of {} nodes have acknowledged", self.count)
                }
            }
        }
        Ok(())
    }
}

async fn follow(
    server: SocketAddr,
    id: String,
    service: String,
    told: mpsc::UnboundedSender<()>,
) -> Result<()> {
    let node = Node {
        id,
        cluster: service,
        user_agent_name: "outrigger".to_owned(),
        ..Node::default()
    };
    let mut session = Client::new(Variant::Delta, Scope::Aggregated, node);
    session.subscribe_all(ResourceType::Cluster);
    session.subscribe_all(ResourceType::Listener);
    session.connected(Versions::Unknown, Instant::now());
    let channel = Endpoint::from_shared(format!("http://{server}"))?
        .connect_timeout(Duration::from_secs(60))
        .connect()
        .await
        .context("connecting")?;
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
    send(&mut session, &requests).await?;
    let answer = client.delta_aggregated_resources(ReceiverStream::new(receiver));
    let mut responses = answer.await.context("asking")?.into_inner();
    while let Some(response) = responses.message().await.context("listening")? {
        let now = Instant::now();
        let received = session.receive(Response::Delta(response), now)?;
        let moved = take(&mut session, &received, now)?;
        session.settle(received.token, Vec::new(), now)?;
        send(&mut session, &requests).await?;
        if moved {
            // The measurement may be over.
            let _ = told.send(());
        }
    }
    bail!("the server ended the stream")
}

/// Asks for the endpoints of clusters; says whether the endpoints that change are among what came.
fn take(session: &mut Client, received: &Received, now: Instant) -> Result<bool> {
    let mut moved = false;
    for resource in &received.upserts {
        match resource.resource_type() {
            ResourceType::Cluster => {
                let cluster = Cluster::decode(&resource.body()[..]).context("reading a cluster")?;
                let Some(apart) = cluster.eds_cluster_config else {
                    continue;
                };
                let name = match apart.service_name.is_empty() {
                    true => cluster.name,
                    false => apart.service_name,
                };
                let unfit = session.subscribe(ResourceType::ClusterLoadAssignment, [name.as_str()], now);
                ensure!(unfit.is_empty(), "{name} cannot be asked for");
            }
            ResourceType::ClusterLoadAssignment => moved |= resource.name().contains(MOVING),
            _ => {}
        }
    }
    Ok(moved)
}

async fn send(session: &mut Client, requests: &mpsc::Sender<DeltaDiscoveryRequest>) -> Result<()> {
    while let Some(request) = session.poll() {
        let Request::Delta(request) = request else {
            bail!("the session speaks another variant");
        };
        let sent = timeout(Duration::from_secs(60), requests.send(request)).await;
        sent.context("the server does not read")?
            .context("the stream has ended")?;
    }
    Ok(())
}
