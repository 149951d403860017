//! A proxy in front of a cluster of servers: decisions are `outrigger-traffic`'s, in the data plane's order.

mod cluster;

use crate::server::{Served, Server};
use cluster::SimulatedCluster;
use outrigger_config::model::{Forward, MeshConfig, RouteAction};
use outrigger_config::{Environment, Source};
use outrigger_traffic::health::Outcome as OutlierOutcome;
use outrigger_traffic::retry::{AnswerView, AttemptFailure, Decision, RetryRules, Standing};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// A proxy, and its cluster of servers.
pub struct Hop {
    cluster: SimulatedCluster,
    rules: Option<RetryRules>,
    timeout: Option<Duration>,
    random: RefCell<fastrand::Rng>,
}

/// What became of an attempt.
enum Attempt {
    Answered(u16),
    Failed(AttemptFailure),
}

impl Attempt {
    /// What the client is told if nothing better comes.
    fn status(&self) -> u16 {
        match self {
            Attempt::Answered(status) => *status,
            Attempt::Failed(AttemptFailure::TimedOut) => 504,
            Attempt::Failed(_) => 503,
        }
    }

    fn was_sent(&self) -> bool {
        !matches!(self, Attempt::Failed(failure) if !failure.was_sent())
    }

    fn outcome(&self) -> OutlierOutcome {
        match self {
            Attempt::Answered(status) => OutlierOutcome::Answered(*status),
            Attempt::Failed(AttemptFailure::TimedOut) => OutlierOutcome::TimedOut,
            Attempt::Failed(_) => OutlierOutcome::Failed,
        }
    }
}

/// An answer is a status.
struct Status(u16);

impl AnswerView for Status {
    fn status(&self) -> u16 {
        self.0
    }
    fn field<'a>(&'a self, _: &str, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        None
    }
    fn grpc_status(&self) -> Option<u8> {
        None
    }
}

impl Hop {
    /// A proxy with one route to one cluster of these servers; `route` and `cluster` are fields as in a document. Its task
    /// that looks after outliers ends with the runtime.
    pub fn new(route: &str, cluster: &str, servers: Vec<Rc<Server>>, seed: u64) -> Rc<Hop> {
        let config = document(route, cluster, servers.len());
        let RouteAction::Forward(forward) =
            config.route_configurations()[0].virtual_hosts()[0].routes()[0].action()
        else {
            panic!("the document forwards");
        };
        let forward: &Forward = forward;
        let hop = Rc::new(Hop {
            rules: forward.retry().as_ref().map(RetryRules::compile),
            timeout: forward.timeout(),
            cluster: SimulatedCluster::new(&config, servers, seed),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
        });
        let looking = Rc::clone(&hop);
        tokio::task::spawn_local(async move { looking.cluster.look_after_outliers().await });
        hop
    }

    /// From now on only these of its servers are known.
    pub fn discover(&self, known: impl Fn(usize) -> bool) {
        self.cluster.discover(known);
    }

    /// A request, idempotent and without a body; gives the status that the client is told.
    pub async fn ask(self: Rc<Hop>) -> u16 {
        let Some(active) = self.cluster.begin() else {
            return 503;
        };
        let deadline = self.timeout.map(|limit| Instant::now() + limit);
        let status = match deadline {
            Some(deadline) => timeout_at(deadline, self.attempts(Some(deadline)))
                .await
                .unwrap_or(504),
            None => self.attempts(None).await,
        };
        active.answered();
        status
    }

    async fn attempts(&self, deadline: Option<Instant>) -> u16 {
        let mut tried = Vec::new();
        let mut budgeted = None;
        loop {
            let Some(place) = self.cluster.pick(&tried, self.random()) else {
                return 503;
            };
            tried.push(place);
            let attempt = self.attempt(place, deadline).await;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return 504;
            }
            let standing = Standing {
                idempotent: true,
                replayable: true,
                attempts_made: tried.len() as u32,
            };
            let Some(rules) = &self.rules else {
                return attempt.status();
            };
            let decision = match &attempt {
                Attempt::Answered(status) => rules.judge_answer(&Status(*status), standing).decision,
                Attempt::Failed(failure) => rules.judge_failure(*failure, standing),
            };
            if decision != Decision::Retry {
                return attempt.status();
            }
            // One retry of a request is counted at a time, its backoff included.
            drop(budgeted.take());
            budgeted = self.cluster.begin_retry(attempt.was_sent());
            if budgeted.is_none() {
                return attempt.status();
            }
            sleep(rules.backoff(tried.len() as u32, self.random())).await;
        }
    }

    /// One attempt, which ends with the request's time, so that it is known what became of it.
    async fn attempt(&self, place: usize, deadline: Option<Instant>) -> Attempt {
        let begun = Instant::now();
        let (server, _load) = self.cluster.send(place);
        let limit = self.rules.as_ref().and_then(RetryRules::per_try_timeout);
        let end = limit.map(|limit| begun + limit).into_iter().chain(deadline).min();
        let served = match end {
            Some(end) => timeout_at(end, server.serve()).await.ok(),
            None => Some(server.serve().await),
        };
        let attempt = match served {
            None => Attempt::Failed(AttemptFailure::TimedOut),
            Some(Served::Refused) => Attempt::Failed(AttemptFailure::ConnectFailed),
            Some(Served::Status(status)) => Attempt::Answered(status),
        };
        self.cluster.record(place, attempt.outcome(), begun.elapsed());
        attempt
    }

    fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }
}

fn document(route: &str, cluster: &str, servers: usize) -> MeshConfig {
    let further = |fields: &str| {
        if fields.is_empty() {
            String::new()
        } else {
            format!(", {fields}")
        }
    };
    let endpoints: Vec<String> = (0..servers)
        .map(|place| format!("{{address: 10.0.0.{}:80}}", place + 1))
        .collect();
    let text = format!(
        "route_configurations: [{{name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, \
         forward: {{cluster: c{}}}}}]}}]}}]\nclusters: [{{name: c, endpoints: [{}]{}}}]\n",
        further(route),
        endpoints.join(", "),
        further(cluster),
    );
    let source = Source {
        name: "simulation".to_owned(),
        text: text.clone(),
    };
    match outrigger_config::load(&source, &Environment::empty()) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("{text}\n{faults}"),
    }
}
