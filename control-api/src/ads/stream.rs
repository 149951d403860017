//! One stream of one node.

use super::Ads;
use super::retry::Retry;
use super::secrets::Secrets;
use crate::access::{Action, Caller, Denied, DeniedKind, NodeClaim};
use crate::authority::Bundle;
use crate::fleet::{Agent, Freshness, NodeReceipt, Plan, Registration};
use envoy_types::pb::envoy::config::core::v3::{Node, node::UserAgentVersionType};
use outrigger_xds::session::{Heard, Request, Response, Scope, Server, Variant, View};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tonic::{Status, Streaming};

/// From the beginning of a stream to its first request, which says whose it is.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that does not read for so long is cut.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the clock is looked at until a token ends: it may be set meanwhile.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The messages of a variant.
pub(super) struct Kind<Q, R> {
    pub(super) take: fn(Q) -> Request,
    pub(super) give: fn(Response) -> Option<R>,
}

/// A stream, and who is at its other end.
pub(super) struct Stream<Q, R> {
    ads: Ads,
    caller: Caller,
    variant: Variant,
    kind: Kind<Q, R>,
    responses: mpsc::Sender<Result<R, Status>>,
}

/// A node that is known.
struct Known {
    claim: NodeClaim,
    agent: Agent,
    session: Server,
    registration: Registration,
    secrets: Option<Secrets>,
    fault: Option<String>,
    /// Views that could not be made.
    retry: Retry,
}

impl Known {
    /// When its view is to be made again: after a failure, or because its identity is due to be renewed.
    fn due(&self) -> Option<Instant> {
        let renewal = || self.secrets.as_ref().map(Secrets::renewal);
        self.retry.due().or_else(renewal)
    }
}

/// What the plan has for a node.
struct Looked {
    view: Arc<View>,
    /// Why there is nothing in it.
    fault: Option<String>,
}

/// Why a stream ends; none: the node ended it.
type End = Option<Status>;

impl<Q: Send + 'static, R: Send + 'static> Stream<Q, R> {
    pub(super) fn new(
        ads: Ads,
        caller: Caller,
        variant: Variant,
        kind: Kind<Q, R>,
        responses: mpsc::Sender<Result<R, Status>>,
    ) -> Stream<Q, R> {
        Stream {
            ads,
            caller,
            variant,
            kind,
            responses,
        }
    }

    pub(super) async fn run(self, incoming: Streaming<Q>) {
        let open = self.ads.metrics.stream();
        let ended = self.serve(incoming).await;
        open.ends(ended.as_ref().map_or(tonic::Code::Ok, Status::code));
        if let Some(status) = ended {
            tracing::info!(who = %self.caller.principal(), code = ?status.code(), reason = status.message(), "a node's stream ends");
            // Nobody may be there any more.
            let _ = timeout(SEND_TIMEOUT, self.responses.send(Err(status))).await;
        }
    }

    async fn serve(&self, mut incoming: Streaming<Q>) -> End {
        let first = match timeout(FIRST_REQUEST_TIMEOUT, incoming.message()).await {
            Ok(Ok(Some(request))) => (self.kind.take)(request),
            Ok(Ok(None)) => return None,
            Ok(Err(status)) => return Some(status),
            Err(_) => return Some(Status::deadline_exceeded("no request came")),
        };
        let mut plans = self.ads.fleet.plans();
        let mut bundles = self.ads.authority.as_ref().map(|one| one.watch_bundle());
        let mut drain = self.ads.drain.clone();
        let plan = Arc::clone(&plans.borrow_and_update());
        let mut known = match self.meet(&first, &plan).await {
            Ok(known) => known,
            Err(status) => return Some(status),
        };
        if let Err(status) = self.hear(&mut known, first).await {
            return Some(status);
        }
        loop {
            let wake = known.session.next_wake(Instant::now());
            tokio::select! {
                request = incoming.message() => match request {
                    Ok(Some(request)) => {
                        if let Err(status) = self.hear(&mut known, (self.kind.take)(request)).await {
                            return Some(status);
                        }
                    }
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                },
                changed = plans.changed() => {
                    if changed.is_err() {
                        return Some(Status::unavailable("this server is ending"));
                    }
                    let plan = Arc::clone(&plans.borrow_and_update());
                    if let Err(status) = self.still_may(&known.claim) {
                        return Some(status);
                    }
                    self.look_again(&mut known, &plan).await;
                }
                () = maybe(wake) => {}
                () = maybe(known.due()) => self.look_again(&mut known, &self.ads.fleet.plan()).await,
                () = other_bundle(&mut bundles), if known.secrets.is_some() => {
                    self.look_again(&mut known, &self.ads.fleet.plan()).await;
                }
                () = expired(self.caller.expires()) => {
                    let message = format!("{} has expired", self.caller.principal());
                    return Some(Status::unauthenticated(message));
                }
                () = drained(&mut drain) => {
                    return Some(Status::unavailable("this server is ending"));
                }
            }
            if let Err(status) = self.send(&mut known).await {
                return Some(status);
            }
        }
    }

    /// Learns from the first request whose stream it is, and whether it may be.
    async fn meet(&self, first: &Request, plan: &Plan) -> Result<Known, Status> {
        let node =
            node_of(first).ok_or_else(|| Status::invalid_argument("the first request says no node"))?;
        if node.id.is_empty() || node.cluster.is_empty() {
            let message = "a node has an id, and a cluster: the service or gateway whose node it is";
            return Err(Status::invalid_argument(message));
        }
        let claim = NodeClaim {
            node: node.id.clone(),
            service: node.cluster.clone(),
        };
        if plan.freshness == Freshness::Unread {
            // That there is nothing would be believed.
            return Err(Status::unavailable("no revision of the mesh could be loaded yet"));
        }
        self.still_may(&claim)?;
        let agent = Agent::of(&node.user_agent_name);
        let address = self.caller.peer().map(|peer| peer.address);
        let fleet = &self.ads.fleet;
        let register = fleet.register();
        let owner = self.caller.principal();
        let entered = register.enter(Arc::clone(fleet), &claim, owner, agent, &version(node), address);
        let mut registration = entered.map_err(|taken| Status::already_exists(taken.to_string()))?;
        tracing::info!(
            node = claim.node, service = claim.service, agent = agent.word(), who = %owner,
            "a node's stream begins"
        );
        let mut secrets = None;
        let looked = self.look(&claim, agent, &mut secrets, plan).await;
        let Looked { view, fault } = looked.map_err(|fault| {
            // Without a view there is nothing to keep: an answer would take away what the node has from before.
            tracing::error!(
                node = claim.node,
                fault,
                "a node's view cannot be made: it is turned away"
            );
            self.ads.metrics.view_failed();
            registration.fail(&fault);
            Status::unavailable("the node's view cannot be made now; the server's log says why")
        })?;
        Ok(Known {
            claim,
            agent,
            session: Server::new(self.variant, Scope::Aggregated, view),
            registration,
            secrets,
            fault,
            retry: Retry::default(),
        })
    }

    fn still_may(&self, claim: &NodeClaim) -> Result<(), Status> {
        let may = self.ads.access.may(&self.caller, &Action::Subscribe(claim));
        may.map_err(|reason| denied(&reason))
    }

    /// Brings the node to what the plan has for it. What cannot be made now is made later.
    async fn look_again(&self, known: &mut Known, plan: &Plan) {
        let looked = self.look(&known.claim, known.agent, &mut known.secrets, plan);
        match looked.await {
            Ok(Looked { view, fault }) => {
                known.fault = fault;
                known.retry.succeeded();
                known.session.update(view, Instant::now());
            }
            Err(fault) => {
                tracing::error!(
                    node = known.claim.node,
                    fault,
                    "a node's view cannot be made: it keeps what it has"
                );
                self.ads.metrics.view_failed();
                known.fault = Some(fault);
                known.retry.failed(Instant::now(), fastrand::f64());
            }
        }
    }

    async fn look(
        &self,
        NodeClaim { node, service }: &NodeClaim,
        agent: Agent,
        secrets: &mut Option<Secrets>,
        plan: &Plan,
    ) -> Result<Looked, String> {
        let revision = Arc::clone(plan.of(node, service));
        let Some(role) = revision.role(service, node, agent) else {
            let fault = format!("the mesh has no service or gateway `{service}`");
            if plan.freshness != Freshness::Current {
                return Err(format!(
                    "{fault} in revision {}, and a newer one cannot be loaded",
                    revision.number()
                ));
            }
            // The service may still be declared: until then there is nothing to tell.
            return Ok(Looked {
                view: Arc::new(View::new(revision.number(), [])),
                fault: Some(fault),
            });
        };
        let made = revision.view_in_turn(&role).await?;
        let view = match (&self.ads.authority, agent) {
            (Some(authority), Agent::Envoy | Agent::Other) => {
                let identities = revision.mesh().identities_of(service);
                Secrets::add(secrets, authority, &identities, &made, node).await?
            }
            _ => Arc::clone(&made.view),
        };
        Ok(Looked { view, fault: None })
    }

    async fn hear(&self, known: &mut Known, request: Request) -> Result<(), Status> {
        let now = Instant::now();
        let told = node_of(&request).map(NodeReceipt::of);
        let heard = known.session.receive(request, now);
        let heard = heard.map_err(|violation| Status::invalid_argument(violation.to_string()))?;
        self.ads.metrics.heard(&heard);
        let Heard {
            refused,
            resource_type,
            ..
        } = heard;
        // A request that does not say who asks says nothing of it.
        if let Some(receipt) = told {
            known.registration.receipt(receipt);
        }
        for refusal in refused {
            tracing::warn!(
                node = known.claim.node,
                resource_type = resource_type.map(|one| one.name()),
                name = refusal.name,
                reason = refusal.reason,
                "a node refuses a resource"
            );
        }
        self.send(known).await
    }

    /// Sends what there is to send.
    async fn send(&self, known: &mut Known) -> Result<(), Status> {
        while let Some(response) = known.session.poll(Instant::now()) {
            self.ads.metrics.sent(&response);
            let Some(response) = (self.kind.give)(response) else {
                return Err(Status::internal("a response of the other variant was made"));
            };
            match timeout(SEND_TIMEOUT, self.responses.send(Ok(response))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Status::cancelled("the node has gone")),
                Err(_) => return Err(Status::deadline_exceeded("the node does not read")),
            }
        }
        let Known {
            registration,
            session,
            fault,
            secrets,
            ..
        } = known;
        let now = Instant::now();
        registration.note(session, fault.as_deref(), now);
        if let Some(roots) = secrets
            .as_ref()
            .and_then(|secrets| secrets.believed(session, now))
        {
            registration.believe(roots);
        }
        Ok(())
    }
}

/// A refusal as gRPC has it.
pub(super) fn denied(denied: &Denied) -> Status {
    match denied.kind() {
        DeniedKind::Unauthenticated => Status::unauthenticated(denied.reason()),
        _ => Status::permission_denied(denied.reason()),
    }
}

/// Who asks, where a request says so.
fn node_of(request: &Request) -> Option<&Node> {
    match request {
        Request::StateOfTheWorld(request) => request.node.as_ref(),
        Request::Delta(request) => request.node.as_ref(),
    }
}

fn version(node: &Node) -> String {
    match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let version = build.version.as_ref();
            version.map_or(String::new(), |one| {
                format!("{}.{}.{}", one.major_number, one.minor_number, one.patch)
            })
        }
        None => String::new(),
    }
}

/// The server is ending.
async fn drained(drain: &mut watch::Receiver<bool>) {
    // A sender that has gone has ended, too.
    let _ = drain.wait_for(|draining| *draining).await;
}

/// The authority believes in other roots.
async fn other_bundle(bundles: &mut Option<watch::Receiver<Arc<Bundle>>>) {
    let has_changed = match bundles {
        Some(bundles) => bundles.changed().await.is_ok(),
        None => false,
    };
    if !has_changed {
        std::future::pending::<()>().await;
    }
}

/// What the caller showed does not hold any more.
async fn expired(expires: Option<SystemTime>) {
    let Some(expires) = expires else {
        return std::future::pending().await;
    };
    while let Ok(left) = expires.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        sleep(left.min(EXPIRY_CHECK_INTERVAL)).await;
    }
}

async fn maybe(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
