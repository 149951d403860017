//! Outliers of one cluster: the decisions of `OutlierDetector`, told to the log, the metrics and the data plane.

use super::{Circumstances, Shared};
use outrigger_config::model::{self, EndpointStatus, Name, OutlierDetection};
use outrigger_dataplane::OutlierAlarm;
use outrigger_dataplane::snapshot::ClusterPolicy;
use outrigger_telemetry::{EjectionEnd, EjectionPrevented, HealthMetrics, Outlier};
use outrigger_traffic::HealthMark;
use outrigger_traffic::health::{
    Detected, EjectionKind, EjectionStanding, Fellow, OutlierDetector, OutlierSettings, Unejected, Verdict,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is known of a cluster's outliers.
pub(super) struct ClusterOutliers {
    policy: Arc<ClusterPolicy>,
    config: OutlierDetection,
    settings: OutlierSettings,
    detector: OutlierDetector,
    metrics: Arc<HealthMetrics>,
    circumstances: Arc<Circumstances>,
    epoch: Instant,
    next_tick: Instant,
}

impl ClusterOutliers {
    pub(super) fn new(
        policy: &Arc<ClusterPolicy>,
        config: &OutlierDetection,
        circumstances: &Arc<Circumstances>,
        epoch: Instant,
    ) -> ClusterOutliers {
        ClusterOutliers {
            policy: Arc::clone(policy),
            config: config.clone(),
            settings: OutlierSettings::from(config),
            detector: OutlierDetector::default(),
            metrics: circumstances.metrics.health(policy.config().name().as_str()),
            circumstances: Arc::clone(circumstances),
            epoch,
            next_tick: Instant::now() + config.interval(),
        }
    }

    /// Goes over to what is in force now. Ejections stay, under the settings of now.
    pub(super) fn follow(&mut self, policy: &Arc<ClusterPolicy>, config: &OutlierDetection) {
        if Arc::ptr_eq(&self.policy, policy) {
            return;
        }
        self.policy = Arc::clone(policy);
        if self.config != *config {
            self.config = config.clone();
            self.settings = OutlierSettings::from(config);
            self.next_tick = self.next_tick.min(Instant::now() + config.interval());
        }
        let fellows = self.fellows();
        self.detector.retain(&fellows);
        self.gauge();
    }

    /// Nobody looks for outliers any more: all come back. Always false, for whoever lets go of it.
    pub(super) fn forget(&mut self) -> bool {
        let back = self.detector.clear(&self.fellows());
        self.let_back(&back, EjectionEnd::TurnedOff);
        false
    }

    pub(super) fn next_tick(&self) -> Instant {
        self.next_tick
    }

    /// How an endpoint stands.
    pub(super) fn standing(&self, address: SocketAddr) -> EjectionStanding {
        self.detector.standing(address, &self.settings, self.now())
    }

    fn name(&self) -> &Name {
        self.policy.config().name()
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn fellows(&self) -> Vec<Fellow> {
        let endpoints = self.policy.endpoints().iter().enumerate();
        endpoints
            .map(|(place, endpoint)| {
                let status = self.policy.member(place).map(model::Endpoint::status);
                let is_used = matches!(
                    status,
                    None | Some(EndpointStatus::Healthy | EndpointStatus::Degraded)
                );
                Fellow {
                    address: endpoint.address(),
                    health: Arc::clone(endpoint.health()),
                    serves: is_used && !endpoint.health().has(HealthMark::FailedCheck),
                }
            })
            .collect()
    }

    /// False if the endpoint is not among those that are known here: workers may be ahead by a publish.
    fn judge(&mut self, alarm: &OutlierAlarm) -> bool {
        let (fellows, now) = (self.fellows(), self.now());
        let is_known = |fellow: &Fellow| Arc::ptr_eq(&fellow.health, &alarm.health);
        if !fellows.iter().any(is_known) {
            return false;
        }
        let settings = &self.settings;
        let mut found = Vec::new();
        for kind in alarm.crossings.kinds() {
            let random = &mut || fastrand::u64(..);
            let detected = self
                .detector
                .crossed(alarm.address, kind, &fellows, settings, now, random);
            found.extend(detected);
        }
        self.note(&found);
        true
    }

    fn tick(&mut self) {
        // From now: ticks that were missed are not made up for.
        self.next_tick = Instant::now() + self.config.interval();
        let (fellows, now) = (self.fellows(), self.now());
        let (back, found) = self
            .detector
            .tick(&fellows, &self.settings, now, &mut || fastrand::u64(..));
        self.let_back(&back, EjectionEnd::Time);
        self.note(&found);
    }

    fn passed_check(&mut self, address: SocketAddr) {
        if !self.config.successful_active_health_check_uneject_host() {
            return;
        }
        let back = self.detector.passed_check(address, &self.fellows());
        self.let_back(back.as_slice(), EjectionEnd::Check);
    }

    fn note(&mut self, found: &[Detected]) {
        let cells = self.metrics.worker(0);
        for detected in found {
            let (cluster, endpoint, kind) = (self.name(), detected.address, detected.kind.as_str());
            cells.outliers_detected[label(detected.kind)].inc();
            match detected.verdict {
                Verdict::Ejected(time) => {
                    cells.ejections[label(detected.kind)].inc();
                    tracing::info!(%cluster, %endpoint, reason = kind, ?time, "an endpoint is ejected");
                    self.set_mark(endpoint, true);
                }
                Verdict::NotEnforced => {
                    cells.ejections_prevented[EjectionPrevented::NotEnforced].inc();
                    tracing::debug!(%cluster, %endpoint, reason = kind, "an outlier is not ejected, by chance");
                }
                Verdict::TooMany => {
                    cells.ejections_prevented[EjectionPrevented::TooMany].inc();
                    tracing::debug!(%cluster, %endpoint, reason = kind, "an outlier is not ejected: too many are");
                }
            }
        }
        self.gauge();
    }

    fn let_back(&mut self, back: &[Unejected], why: EjectionEnd) {
        for Unejected(endpoint) in back {
            self.metrics.worker(0).ejections_ended[why].inc();
            tracing::info!(cluster = %self.name(), %endpoint, reason = why.as_str(), "an endpoint is not ejected any more");
            self.set_mark(*endpoint, false);
        }
        self.gauge();
    }

    fn set_mark(&self, address: SocketAddr, ejected: bool) {
        let mut endpoints = self.policy.endpoints().iter();
        let Some(endpoint) = endpoints.find(|endpoint| endpoint.address() == address) else {
            return;
        };
        if ejected {
            endpoint.health().mark(HealthMark::Ejected);
        } else {
            endpoint.health().clear(HealthMark::Ejected);
        }
        self.circumstances.rebalancing.note(self.name());
    }

    fn gauge(&self) {
        let ejected = i64::try_from(self.detector.ejected().count()).unwrap_or(i64::MAX);
        self.metrics.worker(0).ejections_active.set(ejected);
    }
}

fn label(kind: EjectionKind) -> Outlier {
    match kind {
        EjectionKind::Consecutive5xx => Outlier::Consecutive5xx,
        EjectionKind::ConsecutiveGatewayFailure => Outlier::ConsecutiveGatewayFailure,
        EjectionKind::ConsecutiveLocalOriginFailure => Outlier::ConsecutiveLocalOriginFailure,
        EjectionKind::SuccessRate => Outlier::SuccessRate,
        EjectionKind::LocalOriginSuccessRate => Outlier::LocalOriginSuccessRate,
        EjectionKind::FailurePercentage => Outlier::FailurePercentage,
        EjectionKind::LocalOriginFailurePercentage => Outlier::LocalOriginFailurePercentage,
    }
}

impl Shared {
    /// When the next look at outliers is due; none: nobody looks.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let outliers = self.outliers.lock();
        outliers.values().map(ClusterOutliers::next_tick).min()
    }

    pub(super) fn tick(&self) {
        let now = Instant::now();
        let mut outliers = self.outliers.lock();
        let due = outliers.values_mut().filter(|watched| watched.next_tick <= now);
        due.for_each(ClusterOutliers::tick);
    }

    pub(super) fn judge(&self, alarm: &OutlierAlarm) {
        let mut outliers = self.outliers.lock();
        let watched = outliers.get_mut(&alarm.cluster);
        if !watched.is_some_and(|watched| watched.judge(alarm)) {
            alarm.untold();
        }
    }

    pub(super) fn passed_check(&self, cluster: &Name, address: SocketAddr) {
        if let Some(watched) = self.outliers.lock().get_mut(cluster) {
            watched.passed_check(address);
        }
    }
}
