//! The checks of one cluster: a task an endpoint, which asks, notes what it found, and waits for the next time.

use super::finding::Finding;
use super::target::Target;
use super::{Circumstances, key, probe};
use outrigger_config::model::{HealthCheck, Name};
use outrigger_dataplane::snapshot::ClusterPolicy;
use outrigger_telemetry::{ClusterMetrics, HealthChange, HealthMetrics};
use outrigger_traffic::health::{CheckChange, CheckResult, CheckSchedule, CheckState};
use outrigger_traffic::{EndpointHealth, HealthMark};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A checked endpoint. It outlives its tasks, and is another under other settings.
pub(super) struct CheckedEndpoint {
    pub(super) health: Arc<EndpointHealth>,
    /// Where it is asked, in this order.
    addresses: Mutex<Arc<[SocketAddr]>>,
    seen: Mutex<Seen>,
    checked: watch::Sender<bool>,
}

/// What its checks have found.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) state: CheckState,
    pub(super) last: Option<(Finding, Instant)>,
}

impl CheckedEndpoint {
    /// An endpoint that was not there before.
    pub(super) fn unknown(addresses: Vec<SocketAddr>, health: Arc<EndpointHealth>) -> Arc<CheckedEndpoint> {
        CheckedEndpoint::new(addresses.into(), health, CheckState::unknown(), None)
    }

    fn new(
        addresses: Arc<[SocketAddr]>,
        health: Arc<EndpointHealth>,
        state: CheckState,
        last: Option<(Finding, Instant)>,
    ) -> Arc<CheckedEndpoint> {
        Arc::new(CheckedEndpoint {
            health,
            addresses: Mutex::new(addresses),
            seen: Mutex::new(Seen { state, last }),
            checked: watch::Sender::new(state.is_checked()),
        })
    }

    /// The same endpoint under other settings.
    fn restarted(&self) -> Arc<CheckedEndpoint> {
        let Seen { state, last } = self.seen();
        let addresses = Arc::clone(&self.addresses.lock());
        CheckedEndpoint::new(addresses, Arc::clone(&self.health), state.restarted(), last)
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    fn name(&self) -> SocketAddr {
        self.addresses.lock()[0]
    }
}

/// A check that goes on; ends with it.
struct Running {
    endpoint: Arc<CheckedEndpoint>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the tasks of a cluster share.
struct Common {
    name: Name,
    target: Target,
    schedule: CheckSchedule,
    /// Written under the lock.
    metrics: Mutex<Arc<HealthMetrics>>,
    traffic: Arc<ClusterMetrics>,
    circumstances: Arc<Circumstances>,
}

/// All checks of a cluster.
pub(super) struct ClusterChecks {
    common: Arc<Common>,
    /// What they were made by; none: it is not in force yet.
    policy: Option<Arc<ClusterPolicy>>,
    running: HashMap<usize, Running>,
}

impl ClusterChecks {
    pub(super) fn new(name: &Name, target: Target, circumstances: &Arc<Circumstances>) -> ClusterChecks {
        let common = Common {
            name: name.clone(),
            schedule: CheckSchedule::from(&target.check),
            target,
            metrics: Mutex::new(circumstances.metrics.health(name.as_str())),
            traffic: circumstances.metrics.cluster(name.as_str()),
            circumstances: Arc::clone(circumstances),
        };
        ClusterChecks {
            common: Arc::new(common),
            policy: None,
            running: HashMap::new(),
        }
    }

    /// The checks of a cluster in force: those of `before` go on where nothing but endpoints and their health has changed,
    /// and begin anew where settings have. Endpoints that were checked ahead keep what was found.
    pub(super) fn follow(
        policy: &Arc<ClusterPolicy>,
        target: Target,
        before: Option<ClusterChecks>,
        ahead: &HashMap<usize, Arc<CheckedEndpoint>>,
        circumstances: &Arc<Circumstances>,
    ) -> ClusterChecks {
        let mut next = ClusterChecks::new(policy.config().name(), target, circumstances);
        next.policy = Some(Arc::clone(policy));
        let mut before_running = HashMap::new();
        let mut same_settings = false;
        if let Some(mut before) = before {
            same_settings = before.goes_on_under(policy);
            if same_settings {
                next.common = Arc::clone(&before.common);
            }
            before_running = std::mem::take(&mut before.running);
        }
        for endpoint in policy.endpoints() {
            let health = endpoint.health();
            let place = key(health);
            let addresses: Arc<[SocketAddr]> = endpoint.addresses().into();
            match before_running.remove(&place) {
                Some(running) if same_settings => {
                    *running.endpoint.addresses.lock() = addresses;
                    next.running.insert(place, running);
                }
                Some(running) => {
                    let restarted = running.endpoint.restarted();
                    *restarted.addresses.lock() = addresses;
                    next.start(restarted);
                }
                None => {
                    let known = ahead.get(&place).map(Arc::clone);
                    next.start(known.unwrap_or_else(|| {
                        let state = match health.has(HealthMark::FailedCheck) {
                            true => CheckState::unknown(),
                            // It has served without checks until now.
                            false => CheckState::serving(),
                        };
                        CheckedEndpoint::new(addresses, Arc::clone(health), state, None)
                    }));
                }
            }
        }
        next
    }

    /// True if nothing at all has changed.
    pub(super) fn is_of(&self, policy: &Arc<ClusterPolicy>) -> bool {
        self.policy
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, policy))
    }

    /// True if endpoints are asked the same in the same way. What was checked ahead was so by what is in force now.
    fn goes_on_under(&self, policy: &Arc<ClusterPolicy>) -> bool {
        let Some(before) = &self.policy else { return true };
        let (old, new) = (before.config(), policy.config());
        let same_identity = match (before.identity(), policy.identity()) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        same_identity
            && old.health_check() == new.health_check()
            && old.protocol() == new.protocol()
            && old.proxy_protocol() == new.proxy_protocol()
    }

    pub(super) fn start(&mut self, endpoint: Arc<CheckedEndpoint>) {
        let task = tokio::spawn(run(Arc::clone(&self.common), Arc::clone(&endpoint)));
        self.running
            .insert(key(&endpoint.health), Running { endpoint, task });
    }

    pub(super) fn name(&self) -> &Name {
        &self.common.name
    }

    pub(super) fn check(&self) -> &HealthCheck {
        &self.common.target.check
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<CheckedEndpoint>> {
        self.running.values().map(|running| &running.endpoint)
    }

    pub(super) fn endpoint(&self, health: &Arc<EndpointHealth>) -> Option<&Arc<CheckedEndpoint>> {
        self.running.get(&key(health)).map(|running| &running.endpoint)
    }

    /// Waits until every endpoint has been checked once.
    pub(super) async fn checked(&self) {
        for endpoint in self.endpoints() {
            // The sender is the endpoint's, which is here.
            let _ = endpoint.checked.subscribe().wait_for(|checked| *checked).await;
        }
    }

    /// Endpoints that have not been checked yet.
    pub(super) fn unchecked(&self) -> usize {
        self.endpoints()
            .filter(|endpoint| !endpoint.seen().state.is_checked())
            .count()
    }

    /// The cluster has no checks any more: what they said is forgotten. Always false, for whoever lets go of it.
    pub(super) fn forget(&mut self) -> bool {
        let mut changed = false;
        for running in self.running.values() {
            for mark in [
                HealthMark::FailedCheck,
                HealthMark::Unchecked,
                HealthMark::Degraded,
            ] {
                changed |= running.endpoint.health.clear(mark);
            }
        }
        if changed {
            self.common.circumstances.rebalancing.note(&self.common.name);
        }
        false
    }
}

/// Checks an endpoint for as long as it is polled.
async fn run(common: Arc<Common>, endpoint: Arc<CheckedEndpoint>) {
    let mut kept = None;
    tokio::time::sleep(common.schedule.first_delay(fastrand::u64(..))).await;
    let mut attempts_before = common.attempts();
    loop {
        let finding = {
            let permit = common.circumstances.permits.acquire().await;
            let _permit = permit.expect("the semaphore is never closed");
            let addresses = Arc::clone(&endpoint.addresses.lock());
            probe::probe(&common.target, &addresses, &mut kept).await
        };
        let attempts = common.attempts();
        let has_traffic = std::mem::replace(&mut attempts_before, attempts) != attempts;
        let delay = common.note(&endpoint, finding, has_traffic);
        tokio::time::sleep(delay).await;
    }
}

impl Common {
    /// Attempts that were made at the cluster, so far.
    fn attempts(&self) -> u64 {
        let workers = self.traffic.workers().iter();
        workers.map(|cells| cells.attempts.value()).sum()
    }

    /// Takes a finding in; gives the time to the next check.
    fn note(&self, endpoint: &CheckedEndpoint, finding: Finding, has_traffic: bool) -> Duration {
        let (step, state, is_first) = {
            let mut seen = endpoint.seen.lock();
            let is_first = !seen.state.is_checked();
            let random = fastrand::u64(..);
            let step = seen
                .state
                .apply(finding.result(), &self.schedule, has_traffic, random);
            seen.last = Some((finding.clone(), Instant::now()));
            (step, seen.state, is_first)
        };
        let address = endpoint.name();
        let (cluster, health) = (&self.name, &endpoint.health);
        {
            let metrics = self.metrics.lock();
            let cells = metrics.worker(0);
            cells.checks[finding.outcome()].inc();
            match step.change {
                Some(CheckChange::Healthy) => cells.transitions[HealthChange::Healthy].inc(),
                Some(CheckChange::Unhealthy) => cells.transitions[HealthChange::Unhealthy].inc(),
                None => {}
            }
        }
        match step.change {
            Some(CheckChange::Healthy) => {
                tracing::info!(%cluster, endpoint = %address, "an endpoint is healthy by its checks");
                health.clear(HealthMark::FailedCheck);
            }
            Some(CheckChange::Unhealthy) => {
                tracing::info!(%cluster, endpoint = %address, reason = %finding, failures = state.failed_in_row(), "an endpoint is unhealthy by its checks");
                health.mark(HealthMark::FailedCheck);
            }
            None if is_first && !state.is_healthy() => {
                tracing::info!(%cluster, endpoint = %address, reason = %finding, "an endpoint fails its first check");
            }
            None => tracing::debug!(%cluster, endpoint = %address, %finding, "checked"),
        }
        let is_known_now = health.clear(HealthMark::Unchecked);
        let passed = finding.result() == CheckResult::Passed;
        // What it said when it last passed holds for as long as it fails.
        let says_another = match &finding {
            Finding::Degraded => health.mark(HealthMark::Degraded),
            _ => passed && health.clear(HealthMark::Degraded),
        };
        if step.change.is_some() || is_known_now || says_another {
            self.circumstances.rebalancing.note(cluster);
        }
        if passed && state.is_healthy() && health.has(HealthMark::Ejected) {
            // One that does not fit is told with the next check.
            let _ = self.circumstances.passed.try_send((cluster.clone(), address));
        }
        // Whoever waits for the first check goes on when what it said is marked.
        endpoint.checked.send_replace(true);
        step.delay
    }
}
