//! Taking responses: what is held, what comes of it, and what the server is answered.
//!
//! The session knows the conversation, the assembly what resources mean and which are in force. Here they meet: responses
//! are offered to the assembly, its proposal is pushed, and what was refused, wherever, goes into the answers.

mod amends;

use super::incoming::{Incoming, ahead};
use super::last_good::{Earlier, Key};
use super::told::{Shared, Source};
use super::{Applied, NotApplied, Push};
use outrigger_config::MeshConfig;
use outrigger_xds::assembly::{Assembly, Next, Proposal};
use outrigger_xds::decode;
use outrigger_xds::resource::{Resource, ResourceType};
use outrigger_xds::session::client::ReceiveError;
use outrigger_xds::session::{Client, Received, Refusal, Response};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Types that the server is asked for as a whole.
const WHOLE: [ResourceType; 2] = [ResourceType::Cluster, ResourceType::Listener];
/// Before what could not be put in force for a reason of this place is tried again.
const BLOCKED_PAUSE: Duration = Duration::from_secs(5);
/// The name of the resource that holds process-wide sections.
const PROCESS: &str = "outrigger";

/// Resources that are refused, and why.
type Refused = Vec<(Resource, decode::Refusal)>;

/// What came of putting in force what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// It is, as far as it can be.
    InForce,
    /// That has to wait for something of this place.
    Blocked,
    /// Something else came meanwhile, and is to be offered before it is proposed again.
    Superseded,
}

/// What is held, and what was asked for.
pub(super) struct Taking {
    pub(super) client: Client,
    assembly: Assembly,
    shared: Arc<Shared>,
    pushes: mpsc::Sender<Push>,
    /// Types of [`WHOLE`] of which a response came.
    answered: HashSet<ResourceType>,
    /// After something could not be put in force that is not the control plane's fault: not before then again.
    blocked: Option<Instant>,
    /// Good resources changed since they were last kept.
    changed: bool,
    /// What was kept in an earlier life.
    earlier: Option<Earlier>,
}

impl Taking {
    pub(super) fn new(
        mut client: Client,
        base: Arc<MeshConfig>,
        shared: Arc<Shared>,
        pushes: mpsc::Sender<Push>,
        earlier: Option<Earlier>,
    ) -> Taking {
        for resource_type in WHOLE {
            client.subscribe_all(resource_type);
        }
        // One name cannot be too many.
        let _ = client.subscribe(ResourceType::Runtime, [PROCESS], Instant::now());
        Taking {
            client,
            assembly: Assembly::new(base),
            shared,
            pushes,
            answered: HashSet::new(),
            blocked: None,
            changed: false,
            earlier,
        }
    }

    /// Takes responses in, which came together, has what comes of them put in force, and answers each. An error: the
    /// stream is not worth going on with.
    /// What comes while it waits to be in force is taken with it.
    pub(super) async fn take(
        &mut self,
        responses: Vec<Response>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ReceiveError> {
        let now = Instant::now();
        let mut fatal = None;
        let all = self.receive(responses, &mut fatal, now);
        if !all.is_empty() {
            self.shared.source_is(Source::Server, None);
        }
        self.bring_in(all, incoming, &mut fatal).await;
        // What was given up and is wanted again comes from the client itself.
        let again: Vec<Received> = std::iter::from_fn(|| self.client.replay()).collect();
        if !again.is_empty() {
            self.bring_in(again, &mut Incoming::nothing(), &mut fatal).await;
        }
        self.recall(now).await;
        self.note_complete();
        fatal.map_or(Ok(()), Err)
    }

    /// What of these responses is to be dealt with; in `fatal` why the stream is not worth going on with.
    fn receive(
        &mut self,
        responses: Vec<Response>,
        fatal: &mut Option<ReceiveError>,
        now: Instant,
    ) -> Vec<Received> {
        let mut all = Vec::new();
        for response in responses {
            match self.client.receive(response, now) {
                Ok(received) => all.push(received),
                Err(error @ (ReceiveError::UnknownType(_) | ReceiveError::Unasked(_))) => {
                    tracing::warn!(%error, "a response of the control plane is passed over");
                }
                Err(error @ (ReceiveError::Duplicate(..) | ReceiveError::TooMany(..))) => {
                    tracing::error!(%error, "a response of the control plane is refused");
                }
                Err(error) => *fatal = Some(error),
            }
        }
        all
    }

    async fn bring_in(
        &mut self,
        mut all: Vec<Received>,
        incoming: &mut Incoming<'_>,
        fatal: &mut Option<ReceiveError>,
    ) {
        let mut now = Instant::now();
        let mut refused = Vec::new();
        self.offer(&all, &mut refused, now);
        loop {
            let settled = self.settle_down(&mut refused, incoming, now).await;
            let more = incoming.take();
            if more.is_empty() {
                break;
            }
            now = Instant::now();
            let more = self.receive(more, fatal, now);
            self.offer(&more, &mut refused, now);
            all.extend(more);
            if settled == Settled::Superseded {
                self.put_ahead(&mut refused, now).await;
            }
        }
        let upserts = all.iter().flat_map(|received| &received.upserts);
        let own: HashSet<Key> = upserts.map(key).collect();
        self.answer(all, &refused, now);
        self.tell(now);
        refused.retain(|(resource, _)| !own.contains(&key(resource)));
        self.refuse_late(&refused, now);
        self.reconsider(now).await;
    }

    fn offer(&mut self, all: &[Received], refused: &mut Refused, now: Instant) {
        for received in all {
            self.answered.insert(received.resource_type);
            let removed: Vec<_> = received
                .removed
                .iter()
                .map(|name| (received.resource_type, Arc::clone(name)))
                .collect();
            refused.extend(self.assembly.offer(&received.upserts, &removed, now));
        }
    }

    /// Endpoints of clusters in force do not wait with what the rest waits for.
    async fn put_ahead(&mut self, refused: &mut Refused, now: Instant) {
        let Some(proposal) = self.assembly.propose_ahead() else {
            return;
        };
        let warm_until = Some(ahead(tokio::time::Instant::now()));
        match self.push(&proposal, warm_until, &mut Incoming::nothing()).await {
            Ok(_) => {
                self.assembly.commit(&proposal);
                self.changed = true;
            }
            Err(not_applied) => {
                refused.extend(self.assembly.withdraw(&proposal, &not_applied.reason, None, now));
            }
        }
    }

    fn answer(&mut self, all: Vec<Received>, refused: &Refused, now: Instant) {
        for received in all {
            let of_type = received.resource_type;
            let upserts = received.upserts.iter();
            let own: HashMap<&Arc<str>, &Resource> = upserts.map(|one| (one.name(), one)).collect();
            // Another response may have brought another version.
            let of_response = refused.iter().filter(|(resource, _)| {
                let own = own.get(resource.name());
                resource.resource_type() == of_type && own.is_some_and(|own| own.body() == resource.body())
            });
            let refusals: Vec<Refusal> = of_response
                .map(|(resource, refusal)| Refusal {
                    name: resource.name().to_string(),
                    reason: reason(refusal),
                })
                .collect();
            self.assembly
                .refuse_unread(of_type, &received.version, &received.malformed, now);
            for refusal in refusals.iter().chain(&received.malformed) {
                tracing::error!(
                    resource_type = %of_type, name = refusal.name, reason = refusal.reason,
                    "a resource of the control plane is refused"
                );
            }
            match self.client.settle(received.token, refusals, now) {
                Ok(settled) => {
                    self.shared.responded(settled.accepted, settled.refused);
                    let client = &self.client;
                    self.assembly.forgive(of_type, |name| {
                        let state = client.state(of_type, name, now);
                        state.is_some_and(|state| state.refused.is_none())
                    });
                }
                Err(error) => tracing::error!(%error, "a response cannot be answered"),
            }
        }
    }

    /// Proposes until what is held is in force as far as it can be; what could not be is added to `refused`. What is put in
    /// force gives way to what comes meanwhile.
    async fn settle_down(
        &mut self,
        refused: &mut Refused,
        incoming: &mut Incoming<'_>,
        now: Instant,
    ) -> Settled {
        loop {
            match self.assembly.propose(now, refused) {
                Next::InForce => break,
                Next::Stuck(faults) => {
                    tracing::error!(
                        "what the control plane sent does not go together with the local document:\n{faults}"
                    );
                    self.block(now, faults.to_string());
                    return Settled::Blocked;
                }
                Next::Put(proposal) => {
                    let warm_until = incoming.warm_until(tokio::time::Instant::now());
                    match self.push(&proposal, warm_until, incoming).await {
                        Ok(Applied::InForce) => {
                            self.assembly.commit(&proposal);
                            self.changed = true;
                        }
                        Ok(Applied::Superseded) => {
                            self.shared.superseded();
                            incoming.superseded();
                            return Settled::Superseded;
                        }
                        Err(not_applied) => {
                            let taken_back = self.take_back(&proposal, &not_applied, now);
                            if taken_back.is_empty() {
                                self.block(now, not_applied.reason);
                                return Settled::Blocked;
                            }
                            refused.extend(taken_back);
                        }
                    }
                }
            }
        }
        self.blocked = None;
        self.shared.stuck(None);
        self.tell(now);
        Settled::InForce
    }

    /// Withdraws what is at fault for a proposal that was not put in force.
    fn take_back(&mut self, proposal: &Proposal, not_applied: &NotApplied, now: Instant) -> Refused {
        let of = match &not_applied.listener {
            // A key that does not fit its certificate is found where files are: if secrets are new, they are it.
            _ if not_applied.transient => Some((ResourceType::Secret, None)),
            Some(listener) => Some((ResourceType::Listener, Some(listener.as_str()))),
            None => None,
        };
        self.assembly.withdraw(proposal, &not_applied.reason, of, now)
    }

    /// Whether everything that was asked for first is in force.
    fn note_complete(&self) {
        let answered = WHOLE
            .iter()
            .all(|resource_type| self.answered.contains(resource_type));
        if answered && self.blocked.is_none() && !self.assembly.is_waiting() {
            self.shared.complete();
        }
    }

    /// Asks for what is referred to now, and tells how what changed stands.
    fn tell(&mut self, now: Instant) {
        let touched = self.assembly.take_touched();
        if touched.whole {
            self.want(now);
            self.shared.standing(self.assembly.standings());
            return;
        }
        // There may be very many resources, and endpoints change often: only theirs are looked at.
        for name in &touched.endpoints {
            let standing = self.assembly.standing(ResourceType::ClusterLoadAssignment, name);
            self.shared
                .standing_of(ResourceType::ClusterLoadAssignment, name, standing);
        }
    }

    /// Nothing can be put in force now; it is tried again later.
    fn block(&mut self, now: Instant, why: String) {
        tracing::error!("what the control plane sent cannot be put in force:\n{why}");
        self.shared.stuck(Some(why));
        self.blocked = Some(now + BLOCKED_PAUSE);
        self.want(now);
    }

    async fn push(
        &self,
        proposal: &Proposal,
        warm_until: Option<tokio::time::Instant>,
        incoming: &mut Incoming<'_>,
    ) -> Result<Applied, NotApplied> {
        let (answer, mut answered) = oneshot::channel();
        let (supersede, superseded) = oneshot::channel();
        let push = Push {
            config: Arc::clone(&proposal.config),
            only_endpoints: proposal.only_endpoints,
            warm_until,
            superseded,
            answer,
        };
        incoming.pushing(tokio::time::Instant::now());
        let sent = self.pushes.send(push).await;
        let answer = tokio::select! {
            biased;
            answer = &mut answered => answer,
            () = incoming.more() => {
                // Too late, if it is being put in force: then what came is taken after it.
                let _ = supersede.send(());
                answered.await
            }
        };
        match (sent, answer) {
            (Ok(()), Ok(answer)) => answer,
            // The proxy is ending: nothing is wrong with what was pushed, and nobody is told so.
            _ => std::future::pending().await,
        }
    }

    /// Subscribes to what is referred to now, and to nothing else.
    fn want(&mut self, now: Instant) {
        let wanted = self.assembly.wanted();
        for (resource_type, names) in [
            (ResourceType::RouteConfiguration, wanted.route_configurations),
            (ResourceType::ClusterLoadAssignment, wanted.endpoints),
            (ResourceType::Secret, wanted.secrets),
        ] {
            let before: BTreeSet<String> = self
                .client
                .named(resource_type)
                .map(ToString::to_string)
                .collect();
            let more = names.difference(&before).map(String::as_str);
            for name in self.client.subscribe(resource_type, more, now) {
                tracing::error!(%resource_type, name, "a resource cannot be asked for: its name is too long");
            }
            let gone: Vec<Arc<str>> = before
                .difference(&names)
                .map(|name| Arc::from(name.as_str()))
                .collect();
            self.client
                .unsubscribe(resource_type, gone.iter().map(|name| &**name));
            let gone: Vec<_> = gone.into_iter().map(|name| (resource_type, name)).collect();
            self.assembly.offer(&[], &gone, now);
        }
    }

    /// The local document is another.
    pub(super) async fn rebase(&mut self, base: Arc<MeshConfig>) {
        let before = self.assembly.rebase(base);
        if !self.look().await {
            // As any document that cannot be put in force, it changes nothing.
            let why = self.shared.why_stuck();
            self.assembly.rebase(before);
            if self.look().await {
                self.shared
                    .stuck(why.map(|why| format!("the local document is refused: {why}")));
            }
        }
    }

    /// Waiting may have ended, and lifetimes. False if what is held cannot be put in force now.
    pub(super) async fn look(&mut self) -> bool {
        let now = Instant::now();
        let expired = self.client.expire(now);
        self.assembly.offer(&[], &expired, now);
        let mut refused = Vec::new();
        let settled = self
            .settle_down(&mut refused, &mut Incoming::nothing(), now)
            .await
            == Settled::InForce;
        self.refuse_late(&refused, now);
        self.reconsider(now).await;
        self.note_complete();
        settled
    }

    /// When [`Taking::look`] is due.
    pub(super) fn next_look(&self) -> Option<Instant> {
        if self.blocked.is_some() {
            return self.blocked;
        }
        let looks = [self.assembly.next_look(), self.client.next_expiry()];
        looks.into_iter().flatten().min()
    }

    /// Begins with resources of an earlier life.
    pub(super) async fn restore(&mut self, resources: Vec<Resource>) {
        let now = Instant::now();
        let mut refused = self.assembly.offer(&resources, &[], now);
        let settled = self
            .settle_down(&mut refused, &mut Incoming::nothing(), now)
            .await
            == Settled::InForce;
        for (resource, refusal) in &refused {
            tracing::error!(?resource, %refusal, "a resource on disk is refused");
        }
        let bad: HashSet<_> = refused
            .iter()
            .map(|(resource, _)| (resource.resource_type(), Arc::clone(resource.name())))
            .collect();
        let good = resources
            .into_iter()
            .filter(|one| !bad.contains(&(one.resource_type(), Arc::clone(one.name()))));
        self.client.restore(good, now);
        if settled && refused.is_empty() && !self.assembly.is_waiting() {
            self.shared.complete();
        }
    }

    /// Nothing came of any server yet.
    pub(super) fn is_new(&self) -> bool {
        self.answered.is_empty()
    }

    /// Others are good than when they were last kept.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// The good resources, if others were kept last.
    pub(super) fn keepable(&mut self) -> Option<Vec<Resource>> {
        std::mem::take(&mut self.changed).then(|| self.assembly.keepable())
    }

    /// They could not be kept.
    pub(super) fn not_kept(&mut self) {
        self.changed = true;
    }
}

fn key(resource: &Resource) -> Key {
    (resource.resource_type(), Arc::clone(resource.name()))
}

/// A refusal without the name, which stands beside it.
fn reason(refusal: &decode::Refusal) -> String {
    let faults: Vec<String> = refusal.faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}
