//! The cluster of a simulated proxy: what the data plane keeps of endpoints, and what its control side does.

use crate::server::Server;
use outrigger_config::model::{Cluster, EndpointStatus, MeshConfig};
use outrigger_traffic::adaptive::AdaptiveLimit;
use outrigger_traffic::breakers::Breaker;
use outrigger_traffic::health::{
    Detected, EjectionKind, Fellow, Outcome, OutlierDetector, OutlierRules, OutlierSettings, Verdict,
};
use outrigger_traffic::retry::{Allowance, RequestCounts, RetryBudget};
use outrigger_traffic::{Balancer, EndpointHealth, EndpointLoad, HealthMark, Member, PickContext, Plan};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A cluster, with its state.
pub(super) struct SimulatedCluster {
    config: Arc<Cluster>,
    endpoints: Vec<Endpoint>,
    /// Places of the endpoints that are known; the balancer picks among these.
    known: RefCell<Vec<usize>>,
    balancer: RefCell<Balancer>,
    outliers: Option<Outliers>,
    budget: RetryBudget,
    requests: Breaker,
    adaptive: Option<AdaptiveLimit>,
    begun: Cell<u32>,
    random: RefCell<fastrand::Rng>,
    start: Instant,
}

struct Endpoint {
    address: SocketAddr,
    server: Rc<Server>,
    load: Arc<EndpointLoad>,
    health: Arc<EndpointHealth>,
}

struct Outliers {
    settings: OutlierSettings,
    interval: Duration,
    detector: RefCell<OutlierDetector>,
}

/// A request that is counted: at the breaker to its end, at the adaptive limit until it has its answer.
pub(super) struct Active<'a> {
    cluster: &'a SimulatedCluster,
    began: Duration,
    measured: Cell<bool>,
}

impl Active<'_> {
    /// It has its answer, or time is up. One whose client has left says nothing.
    pub(super) fn answered(&self) {
        if let Some(adaptive) = &self.cluster.adaptive
            && self.measured.replace(false)
        {
            adaptive.answered(self.began, self.cluster.now(), self.cluster.random());
            adaptive.end();
        }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.cluster.requests.end();
        if let Some(adaptive) = &self.cluster.adaptive
            && self.measured.get()
        {
            adaptive.end();
        }
    }
}

/// A retry that is counted.
pub(super) struct Retry<'a>(&'a RetryBudget);

impl Drop for Retry<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A request that an endpoint works on.
pub(super) struct Sent(Arc<EndpointLoad>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl SimulatedCluster {
    pub(super) fn new(config: &MeshConfig, servers: Vec<Rc<Server>>, seed: u64) -> SimulatedCluster {
        let config = Arc::clone(&config.clusters()[0]);
        let start = Instant::now();
        let endpoints: Vec<Endpoint> = config
            .endpoints()
            .iter()
            .zip(servers)
            .map(|(endpoint, server)| Endpoint {
                address: endpoint.address(),
                server,
                load: Arc::new(EndpointLoad::new()),
                health: Arc::default(),
            })
            .collect();
        let known: Vec<usize> = (0..endpoints.len()).collect();
        SimulatedCluster {
            balancer: RefCell::new(balancer(&config, &endpoints, &known, start, None)),
            outliers: config.outlier_detection().as_ref().map(|detection| Outliers {
                settings: detection.into(),
                interval: detection.interval(),
                detector: RefCell::default(),
            }),
            budget: RetryBudget::new(),
            requests: Breaker::new(config.circuit_breakers().default_priority().requests_max()),
            adaptive: config
                .adaptive_concurrency()
                .as_ref()
                .map(|settings| AdaptiveLimit::new(settings.into(), Duration::ZERO)),
            begun: Cell::new(0),
            random: RefCell::new(fastrand::Rng::with_seed(seed ^ 0xc1)),
            known: RefCell::new(known),
            endpoints,
            config,
            start,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// From now on only these are known; what was learnt of endpoints that come back is lost, as in the proxy.
    pub(super) fn discover(&self, known: impl Fn(usize) -> bool) {
        let known: Vec<usize> = (0..self.endpoints.len()).filter(|place| known(*place)).collect();
        *self.known.borrow_mut() = known;
        if let Some(outliers) = &self.outliers {
            outliers.detector.borrow_mut().retain(&self.fellows());
        }
        self.publish();
    }

    /// A balancer over what is known now.
    fn publish(&self) {
        let known = self.known.borrow();
        let previous = self.balancer.borrow();
        let next = balancer(&self.config, &self.endpoints, &known, self.start, Some(&previous));
        drop(previous);
        *self.balancer.borrow_mut() = next;
    }

    /// A request begins; none if the breaker, or the limit that follows response times, refuses it.
    pub(super) fn begin(&self) -> Option<Active<'_>> {
        if !self.requests.try_begin() {
            return None;
        }
        if let Some(adaptive) = &self.adaptive
            && !adaptive.try_begin(self.now(), self.random())
        {
            self.requests.end();
            return None;
        }
        self.begun.set(self.begun.get().wrapping_add(1));
        if self.begun.get().is_multiple_of(RetryBudget::OBSERVED_EVERY) {
            self.budget.observe(self.begun.get(), self.now());
        }
        Some(Active {
            cluster: self,
            began: self.now(),
            measured: Cell::new(true),
        })
    }

    /// A retry begins; none if the budget does not allow it.
    pub(super) fn begin_retry(&self, was_sent: bool) -> Option<Retry<'_>> {
        let requests = RequestCounts {
            active: self.requests.active(),
            begun: self.begun.get(),
        };
        let allowance = Allowance {
            was_sent,
            ..self.config.retry_budget().into()
        };
        self.budget.try_begin(allowance, requests, self.now()).ok()?;
        Some(Retry(&self.budget))
    }

    /// The place of an endpoint for an attempt.
    pub(super) fn pick(&self, tried: &[usize], random: u64) -> Option<usize> {
        let known = self.known.borrow();
        let avoid: Vec<usize> = known
            .iter()
            .enumerate()
            .filter(|(_, place)| tried.contains(place))
            .map(|(index, _)| index)
            .collect();
        let context = PickContext {
            random,
            hash: None,
            avoid: &avoid,
            subset: None,
            requests_active: self.requests.active(),
            now: Instant::now().into_std(),
        };
        let picked = self.balancer.borrow().pick(&context).endpoint?;
        Some(known[picked])
    }

    /// The server of a place, which has one more request from now on.
    pub(super) fn send(&self, place: usize) -> (&Rc<Server>, Sent) {
        let endpoint = &self.endpoints[place];
        endpoint.load.begin();
        (&endpoint.server, Sent(Arc::clone(&endpoint.load)))
    }

    /// What an attempt came to.
    pub(super) fn record(&self, place: usize, outcome: Outcome, took: Duration) {
        let endpoint = &self.endpoints[place];
        if let Some(ewma) = self.balancer.borrow().observes() {
            let now = Instant::now().into_std();
            match outcome {
                Outcome::Answered(_) | Outcome::Connected => ewma.answered(&endpoint.load, now, took),
                Outcome::Failed | Outcome::TimedOut => ewma.failed(&endpoint.load, now, took),
            }
        }
        let (Some(outliers), Some(detection)) = (&self.outliers, self.config.outlier_detection()) else {
            return;
        };
        let rules = OutlierRules::new(detection, self.known.borrow().len());
        let Some(crossings) = endpoint.health.outlier_counts().record(outcome, &rules) else {
            return;
        };
        for kind in crossings.kinds() {
            self.crossed(outliers, endpoint.address, kind);
        }
    }

    fn crossed(&self, outliers: &Outliers, address: SocketAddr, kind: EjectionKind) {
        let detected = outliers.detector.borrow_mut().crossed(
            address,
            kind,
            &self.fellows(),
            &outliers.settings,
            self.now(),
            &mut || self.random(),
        );
        self.eject(detected.into_iter());
    }

    fn eject(&self, detected: impl Iterator<Item = Detected>) {
        for detected in detected {
            if let Verdict::Ejected(_) = detected.verdict {
                self.endpoint(detected.address).health.mark(HealthMark::Ejected);
            }
        }
        self.publish();
    }

    fn endpoint(&self, address: SocketAddr) -> &Endpoint {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.address == address)
            .expect("only endpoints are ejected")
    }

    fn fellows(&self) -> Vec<Fellow> {
        let known = self.known.borrow();
        known
            .iter()
            .map(|place| &self.endpoints[*place])
            .map(|endpoint| Fellow {
                address: endpoint.address,
                health: Arc::clone(&endpoint.health),
                serves: true,
            })
            .collect()
    }

    /// Looks at statistics, and at who may come back, each interval, for ever; at nothing without outlier detection.
    pub(super) async fn look_after_outliers(&self) {
        let Some(outliers) = &self.outliers else {
            return;
        };
        loop {
            tokio::time::sleep(outliers.interval).await;
            let (back, detected) = outliers.detector.borrow_mut().tick(
                &self.fellows(),
                &outliers.settings,
                self.now(),
                &mut || self.random(),
            );
            for unejected in back {
                self.endpoint(unejected.0).health.clear(HealthMark::Ejected);
            }
            self.eject(detected.into_iter());
        }
    }
}

fn balancer(
    config: &Cluster,
    endpoints: &[Endpoint],
    known: &[usize],
    start: Instant,
    previous: Option<&Balancer>,
) -> Balancer {
    let keys: Vec<String> = known
        .iter()
        .map(|place| endpoints[*place].address.to_string())
        .collect();
    let members: Vec<Member<'_>> = known
        .iter()
        .zip(&keys)
        .map(|(place, key)| Member {
            key,
            weight: 1,
            priority: 0,
            locality: None,
            metadata: None,
            standing: endpoints[*place].health.standing(EndpointStatus::Healthy),
            keeps: true,
            since: Duration::ZERO,
            load: &endpoints[*place].load,
        })
        .collect();
    let plan = Plan {
        policy: config.load_balancing(),
        options: config.balancing(),
        locality_weights: &[],
        zones: None,
        subsets: &[],
        now: start.elapsed(),
        epoch: start.into_std(),
    };
    Balancer::new(&plan, &members, previous)
}
