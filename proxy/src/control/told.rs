//! What is told of the control plane: for the admin endpoint, readiness and metrics.

use outrigger_config::model::Control;
use outrigger_telemetry::{ControlUpdate, LastGoodWrite, Metrics, ReportOutcome, StreamEnd};
use outrigger_xds::assembly::{ResourceStanding, Standing};
use outrigger_xds::resource::ResourceType;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Resources that are named in a dump at most; the others are counted. Those that are not as they should be come first.
const SHOWN_MAX: usize = 10_000;

/// Where what is in force came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing came yet: the local document alone.
    Nothing,
    /// The last good configuration on disk.
    Disk,
    /// A server.
    Server,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Source::Nothing => "local",
            Source::Disk => "disk",
            Source::Server => "control",
        }
    }
}

/// Whether there is something to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// It is waited for.
    Awaited,
    /// Nobody answers, and nothing is kept.
    Nothing,
    /// Everything that was asked for first is in force.
    Complete,
}

/// What the task, the control loop and the admin endpoint share.
pub(crate) struct Shared {
    node: String,
    servers: Vec<String>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    beginning: watch::Sender<Beginning>,
}

struct State {
    connected: Option<(String, SystemTime)>,
    last_error: Option<(String, SystemTime)>,
    source: Source,
    /// When what is in force was written, where it came from disk.
    written_at: Option<SystemTime>,
    last_response: Option<SystemTime>,
    resources: BTreeMap<(ResourceType, Arc<str>), ResourceStanding>,
    refused: i64,
    waiting: i64,
    /// What does not go together with the local document.
    stuck: Option<String>,
}

impl Shared {
    pub(super) fn new(control: &Control, metrics: Arc<Metrics>) -> Shared {
        let servers = i64::try_from(control.servers().len()).unwrap_or(i64::MAX);
        metrics.process().control_servers.set(servers);
        Shared {
            node: control.node().clone(),
            servers: control.servers().iter().map(|server| server.url()).collect(),
            metrics,
            beginning: watch::Sender::new(Beginning::Awaited),
            state: Mutex::new(State {
                connected: None,
                last_error: None,
                source: Source::Nothing,
                written_at: None,
                last_response: None,
                resources: BTreeMap::new(),
                refused: 0,
                waiting: 0,
                stuck: None,
            }),
        }
    }

    /// The first configuration is in force, whether a server or the disk gave it.
    pub(crate) fn is_complete(&self) -> bool {
        *self.beginning.borrow() == Beginning::Complete
    }

    /// Waits until the first configuration is in force, or it is known that there is none to begin with. Cancel safe.
    pub(crate) async fn begun(&self) {
        let mut beginning = self.beginning.subscribe();
        // The sender is here.
        let _ = beginning
            .wait_for(|beginning| *beginning != Beginning::Awaited)
            .await;
    }

    /// This server answers on the stream: a connection alone says nothing of what is at its other end.
    pub(super) fn answered(&self, server: &str) {
        self.metrics.process().control_connected.set(1);
        let mut state = self.state.lock();
        if state.connected.as_ref().is_some_and(|(of, _)| of == server) {
            return;
        }
        state.connected = Some((server.to_owned(), SystemTime::now()));
        state.last_error = None;
    }

    pub(super) fn ended(&self, why: StreamEnd, error: &str) {
        let process = self.metrics.process();
        process.control_connected.set(0);
        process.control_streams_ended[why].inc();
        let mut state = self.state.lock();
        state.connected = None;
        state.last_error = Some((error.to_owned(), SystemTime::now()));
    }

    pub(super) fn responded(&self, accepted: usize, refused: usize) {
        let process = self.metrics.process();
        process.control_updates[ControlUpdate::Accepted].add(accepted as u64);
        process.control_updates[ControlUpdate::Refused].add(refused as u64);
        let now = SystemTime::now();
        process.control_last_response.set(seconds(now));
        self.state.lock().last_response = Some(now);
    }

    pub(super) fn reported(&self, outcome: ReportOutcome) {
        self.metrics.process().control_reports[outcome].inc();
    }

    pub(super) fn kept(&self, outcome: LastGoodWrite) {
        self.metrics.process().control_last_good_writes[outcome].inc();
    }

    pub(super) fn superseded(&self) {
        self.metrics.process().control_pushes_superseded.inc();
    }

    pub(super) fn why_stuck(&self) -> Option<String> {
        self.state.lock().stuck.clone()
    }

    pub(super) fn stuck(&self, why: Option<String>) {
        let is_conflicting = i64::from(why.is_some());
        self.metrics.process().control_conflicting.set(is_conflicting);
        self.state.lock().stuck = why;
    }

    pub(super) fn source_is(&self, source: Source, written_at: Option<SystemTime>) {
        let mut state = self.state.lock();
        state.source = source;
        state.written_at = written_at;
        let from_disk = i64::from(source == Source::Disk);
        self.metrics.process().control_from_disk.set(from_disk);
    }

    pub(super) fn complete(&self) {
        self.beginning.send_replace(Beginning::Complete);
    }

    /// Nobody answers, and nothing is kept on disk.
    pub(super) fn has_nothing(&self) {
        self.beginning.send_if_modified(|beginning| {
            let awaited = *beginning == Beginning::Awaited;
            if awaited {
                *beginning = Beginning::Nothing;
            }
            awaited
        });
    }

    /// How all resources stand now.
    pub(super) fn standing(&self, resources: impl Iterator<Item = ResourceStanding>) {
        let mut state = self.state.lock();
        state.resources.clear();
        (state.refused, state.waiting) = (0, 0);
        for one in resources {
            state.put(one);
        }
        self.count(&state);
    }

    /// How one resource stands now; none: nothing is held of it any more.
    pub(super) fn standing_of(
        &self,
        resource_type: ResourceType,
        name: &Arc<str>,
        standing: Option<ResourceStanding>,
    ) {
        let mut state = self.state.lock();
        state.take(&(resource_type, Arc::clone(name)));
        if let Some(one) = standing {
            state.put(one);
        }
        self.count(&state);
    }

    fn count(&self, state: &State) {
        let process = self.metrics.process();
        process.control_resources_refused.set(state.refused);
        process.control_resources_waiting.set(state.waiting);
    }

    /// For `/config_dump`.
    pub(crate) fn report(&self) -> Value {
        let state = self.state.lock();
        let now = Instant::now();
        let mut shown: Vec<&ResourceStanding> = state.resources.values().collect();
        shown.sort_by_key(|one| one.standing == Standing::InForce);
        let since = |time: SystemTime| seconds(time);
        json!({
            "node": self.node,
            "servers": self.servers,
            "connected_to": state.connected.as_ref().map(|(server, _)| server),
            "connected_at_seconds": state.connected.as_ref().map(|(_, at)| since(*at)),
            "last_error": state.last_error.as_ref().map(|(error, _)| error),
            "last_response_at_seconds": state.last_response.map(since),
            "source": state.source.word(),
            "written_at_seconds": state.written_at.map(since),
            "complete": self.is_complete(),
            "does_not_go_together": state.stuck,
            "resource_count": state.resources.len(),
            "resources": shown.into_iter().take(SHOWN_MAX).map(|one| resource(one, now)).collect::<Vec<_>>(),
        })
    }
}

impl State {
    fn put(&mut self, one: ResourceStanding) {
        self.tally(&one.standing, 1);
        self.resources
            .insert((one.resource_type, Arc::clone(&one.name)), one);
    }

    fn take(&mut self, key: &(ResourceType, Arc<str>)) {
        if let Some(before) = self.resources.remove(key) {
            self.tally(&before.standing, -1);
        }
    }

    fn tally(&mut self, standing: &Standing, by: i64) {
        match standing {
            Standing::Refused { .. } => self.refused += by,
            Standing::Waiting(_) => self.waiting += by,
            Standing::InForce | Standing::Leaving => {}
        }
    }
}

fn resource(one: &ResourceStanding, now: Instant) -> Value {
    let age = |since: Instant| now.saturating_duration_since(since).as_secs();
    let (standing, refused, waits_for) = match &one.standing {
        Standing::InForce => ("in_force", None, None),
        Standing::Waiting(missing) => ("waiting", None, Some(missing)),
        Standing::Leaving => ("leaving", None, None),
        Standing::Refused {
            version,
            refusal,
            since,
        } => {
            let refused = json!({
                "version": &**version,
                "reason": refusal.to_string(),
                "age_seconds": age(*since),
            });
            ("refused", Some(refused), None)
        }
    };
    json!({
        "type": one.resource_type.name(),
        "name": &*one.name,
        "version": one.in_force.as_ref().map(|(version, _)| &**version),
        "age_seconds": one.in_force.as_ref().map(|(_, since)| age(*since)),
        "standing": standing,
        "refused": refused,
        "waits_for": waits_for,
    })
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}
