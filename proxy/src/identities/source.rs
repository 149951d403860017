//! One identity that comes over the network: the task that asks for it, and what it has given.

use super::delivery::{Delivery, Given};
use super::failure::Failure;
use super::standing::{Change, DENIAL_GRACE, Standing};
use super::workload_api::{self, Stream};
use super::{Shared, authority};
use outrigger_config::model::{Authority, Identity, IdentitySource, WorkloadApi};
use outrigger_identity::Material;
use outrigger_identity::renewal::{Moment, RETRY_DELAY_MAX};
use outrigger_telemetry::{CertificateMetrics, RenewalResult};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A source that is being asked. Dropping it ends that.
pub(crate) struct Running {
    source: Arc<Source>,
    task: JoinHandle<()>,
}

struct Source {
    identity: Arc<Identity>,
    standing: Mutex<Standing>,
    /// True once it has given something.
    arrived: watch::Sender<bool>,
    /// What connections to the source itself are verified by.
    material: Mutex<Arc<Material>>,
    metrics: Arc<CertificateMetrics>,
    shared: Arc<Shared>,
}

/// Why a stream of answers is followed no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamEnd {
    /// It broke, or its peer ended it.
    Failed,
    /// It should have told something new: another is to be asked at once.
    Overdue,
}

impl Running {
    /// Starts asking, if the identity comes over the network; `held` is what the same source has given before.
    pub(super) fn start(
        identity: &Arc<Identity>,
        material: Arc<Material>,
        metrics: Arc<CertificateMetrics>,
        shared: Arc<Shared>,
        held: Option<Arc<Delivery>>,
    ) -> Option<Running> {
        let mut standing = match identity.source() {
            IdentitySource::WorkloadApi(_) => Standing::of_workload_api(),
            IdentitySource::Authority(_) => Standing::of_authority(),
            IdentitySource::Files(_) | IdentitySource::Inline(_) => return None,
        };
        let arrived = watch::channel(held.is_some()).0;
        standing.delivery = held;
        let source = Arc::new(Source {
            identity: Arc::clone(identity),
            standing: Mutex::new(standing),
            arrived,
            material: Mutex::new(material),
            metrics,
            shared,
        });
        let task = tokio::spawn(Arc::clone(&source).run());
        Some(Running { source, task })
    }

    /// What it was started for.
    pub(super) fn identity(&self) -> &Arc<Identity> {
        &self.source.identity
    }

    /// How it stands; not to be held across an await.
    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.source.standing.lock()
    }

    /// What it has given.
    pub(super) fn delivery(&self) -> Option<Arc<Delivery>> {
        self.standing().delivery.clone()
    }

    /// What connections to the source are verified by from now on.
    pub(super) fn set_material(&self, material: &Arc<Material>) {
        *self.source.material.lock() = Arc::clone(material);
    }

    /// Waits until it has given something. Cancel safe.
    pub(super) fn arrived(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut arrived = self.source.arrived.subscribe();
        async move {
            // If the source is gone, nobody waits for it any more.
            let _ = arrived.wait_for(|arrived| *arrived).await;
        }
    }

    /// True once it has given something, whatever became of that.
    pub(super) fn has_arrived(&self) -> bool {
        *self.source.arrived.borrow()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    async fn run(self: Arc<Source>) {
        match self.identity.source() {
            IdentitySource::WorkloadApi(api) => self.follow(api).await,
            IdentitySource::Authority(authority) => self.renew(authority).await,
            IdentitySource::Files(_) | IdentitySource::Inline(_) => {}
        }
    }

    /// Follows a stream of answers, and opens another when it ends, or when it is overdue: a stream may be dead and not show
    /// it.
    async fn follow(&self, api: &WorkloadApi) {
        while !self.standing.lock().has_given_up {
            match Stream::open(api.socket()).await {
                Ok((stream, first)) => {
                    let given = workload_api::given(&first, api.spiffe_id().as_ref());
                    drop(first);
                    self.take(given);
                    if self.take_stream(api, stream).await == StreamEnd::Overdue {
                        // It has waited for longer than anybody is asked again.
                        continue;
                    }
                }
                Err(failure) => self.failed(failure),
            }
            self.due().await;
        }
    }

    async fn take_stream(&self, api: &WorkloadApi, mut stream: Stream) -> StreamEnd {
        loop {
            tokio::select! {
                answer = stream.next() => match answer {
                    Ok(answer) => {
                        let given = workload_api::given(&answer, api.spiffe_id().as_ref());
                        match self.check(given) {
                            Ok(delivery) => self.accepted(delivery),
                            Err(failure) => self.refused(failure),
                        }
                    }
                    Err(failure) => {
                        self.failed(failure);
                        return StreamEnd::Failed;
                    }
                },
                () = self.overdue() => return StreamEnd::Overdue,
            }
        }
    }

    /// Waits until an open stream should have told something new. Cancel safe.
    async fn overdue(&self) {
        let (is_good, is_denied) = {
            let standing = self.standing.lock();
            let is_held = standing.renewal.held().is_some();
            (is_held && standing.renewal.failures() == 0, standing.is_denied())
        };
        if is_denied {
            tokio::time::sleep(DENIAL_GRACE).await;
        } else if is_good {
            self.due().await;
        } else {
            // What it told last cannot be used: there is nothing to ask for before it tells something else.
            tokio::time::sleep(RETRY_DELAY_MAX).await;
        }
    }

    /// Has a new key certified whenever that is due.
    async fn renew(&self, authority: &Authority) {
        loop {
            self.due().await;
            let material = Arc::clone(&self.material.lock());
            let renews_by = self.standing.lock().renews_by(SystemTime::now());
            let asked = match renews_by {
                Some(credential) => {
                    let name = self.identity.name();
                    let material = Material::clone(&material).with_identity(name, credential);
                    authority::ask(authority, &authority.tls_showing(name), &material).await
                }
                None => authority::ask(authority, &authority.tls(), &material).await,
            };
            self.take(asked);
        }
    }

    /// Waits until the source is to be asked. Cancel safe.
    async fn due(&self) {
        loop {
            let wait = self.standing.lock().renewal.wake_in(now());
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn take(&self, given: Result<Given, Failure>) {
        match self.check(given) {
            Ok(delivery) => self.accepted(delivery),
            Err(failure) => self.failed(failure),
        }
    }

    fn check(&self, given: Result<Given, Failure>) -> Result<Delivery, Failure> {
        let before = self.standing.lock().delivery.clone();
        Delivery::check(given?, self.identity.name(), before.as_deref(), SystemTime::now())
    }

    fn accepted(&self, delivery: Delivery) {
        let change = {
            let mut standing = self.standing.lock();
            let failures = standing.renewal.failures();
            if failures > 0 {
                tracing::info!(identity = %self.identity.name(), failures, "the identity can be had again");
            }
            standing.accepted(delivery, now(), fastrand::u64(..))
        };
        self.metrics.worker(0).renewals[RenewalResult::Success].inc();
        self.metrics.worker(0).renewal_failing.set(0);
        self.tell(change);
        self.arrived.send_replace(true);
    }

    fn failed(&self, failure: Failure) {
        self.note(failure, |standing, failure| {
            standing.failed(failure, now(), fastrand::u64(..))
        });
    }

    /// As [`Source::failed`], of an answer that came unasked.
    fn refused(&self, failure: Failure) {
        self.note(failure, |standing, failure| standing.refused(failure, now()));
    }

    fn note(&self, failure: Failure, outcome: impl FnOnce(&mut Standing, Failure) -> Change) {
        let (identity, reason, text) = (self.identity.name(), failure.reason, failure.to_string());
        let cells = self.metrics.worker(0);
        cells.renewals[RenewalResult::Failure].inc();
        cells.renewal_failing.set(1);
        cells.renewal_failures[reason].inc();
        let (change, is_notable, is_held) = {
            let mut standing = self.standing.lock();
            let change = outcome(&mut standing, failure);
            (change, standing.is_notable(), standing.delivery.is_some())
        };
        if is_notable {
            tracing::warn!(%identity, reason = reason.as_str(), is_held, "the identity cannot be had: {text}");
        }
        self.tell(change);
    }

    fn tell(&self, change: Change) {
        match change {
            Change::None => return,
            Change::Confirmed => {}
            Change::New => tracing::debug!(identity = %self.identity.name(), "the identity is renewed"),
            Change::Withdrawn => {
                tracing::warn!(identity = %self.identity.name(), "the identity is withdrawn by its source");
            }
        }
        self.shared.note_given();
    }
}

/// Now, by both clocks.
pub(crate) fn now() -> Moment {
    Moment {
        wall: SystemTime::now(),
        monotonic: Instant::now(),
    }
}
