//! Following the servers: which one is asked, when another is, and what happens while there is none.

use super::incoming::Incoming;
use super::keeping::{Keeper, Step};
use super::last_good::{self, Earlier};
use super::reporting;
use super::stream::{Said, Stream, StreamError};
use super::taking::Taking;
use super::told::{Shared, Source};
use super::{Push, Words};
use crate::backoff::Backoff;
use crate::receipts;
use arc_swap::ArcSwap;
use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use outrigger_config::MeshConfig;
use outrigger_config::model::{Control, ControlServer, ControlTransport};
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_telemetry::{LastGoodWrite, StreamEnd};
use outrigger_xds::session::client::UNSETTLED_MAX;
use outrigger_xds::session::{Client, Response, Scope, Variant, Versions};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// The interval at which preferred servers are tried is doubled at most so often: 30 seconds to 16 minutes.
const RETURN_DOUBLINGS_MAX: u32 = 5;
/// The node's metadata under which a control plane finds the receipt of what is in force.
const RECEIPT: &str = "outrigger.receipt";
/// Responses that are taken together at most: as many as a session bears unanswered.
const TOGETHER_MAX: usize = UNSETTLED_MAX;
/// A server that has not answered a stream of a proxy that has nothing yet is no better than one that is away.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Follower {
    control: Control,
    published: Arc<ArcSwap<Snapshot>>,
    shared: Arc<Shared>,
    words: Words,
    taking: Taking,
    backoff: Backoff,
    keeper: Keeper,
    /// The server whose versions are held.
    known: Option<String>,
    /// Something of the stream at hand was taken.
    responded: bool,
    /// The stream does not know what is held: another one is to be opened.
    restored: bool,
    /// How often a preferred server took a stream and said nothing.
    disappointments: u32,
}

/// What is to be done besides the stream.
enum Due {
    Base,
    Receipt,
    LastGood,
    Look,
    Keep(Step),
}

/// Why following one stream ended.
enum End {
    Failed(StreamError),
    /// What is held came from disk meanwhile.
    Again,
    /// A preferred server answers again.
    Return(Box<Stream>, usize),
}

impl Follower {
    pub(super) fn new(
        control: Control,
        base: Arc<MeshConfig>,
        published: Arc<ArcSwap<Snapshot>>,
        shared: Arc<Shared>,
        pushes: mpsc::Sender<Push>,
        words: Words,
    ) -> Follower {
        let variant = match control.transport() {
            ControlTransport::Delta => Variant::Delta,
            ControlTransport::StateOfTheWorld => Variant::StateOfTheWorld,
        };
        let client = Client::new(variant, Scope::Aggregated, node(&control, &base));
        let earlier = Earlier::new(&control);
        Follower {
            taking: Taking::new(client, base, Arc::clone(&shared), pushes, earlier),
            control,
            published,
            shared,
            words,
            backoff: Backoff::default(),
            keeper: Keeper::default(),
            known: None,
            responded: false,
            restored: false,
            disappointments: 0,
        }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        let mut next = None;
        // Where to begin to look: behind a server that took a stream and said nothing.
        let mut first = 0;
        loop {
            let (stream, at) = match next.take() {
                Some(found) => found,
                None => self.find(first).await,
            };
            self.responded = false;
            match self.follow(stream, at).await {
                End::Return(stream, at) => {
                    self.shared
                        .ended(StreamEnd::Returned, "a preferred server answers again");
                    next = Some((*stream, at));
                }
                End::Again => first = 0,
                End::Failed(error) => {
                    let server = self.control.servers()[at].url();
                    tracing::warn!(server, %error, "the stream from the control plane has ended");
                    self.shared.ended(ended(&error), &error.to_string());
                    first = if self.responded { 0 } else { at + 1 };
                    if !self.responded && self.known.is_some() {
                        self.disappointments = self.disappointments.saturating_add(1);
                    }
                    self.taking.client.disconnected();
                    self.wait().await;
                }
            }
            self.taking.client.disconnected();
        }
    }

    /// Asks one server after the other until one takes a stream.
    async fn find(&mut self, first: usize) -> (Stream, usize) {
        let count = self.control.servers().len();
        loop {
            for at in (0..count).map(|index| (first + index) % count) {
                let server = self.control.servers()[at].clone();
                match self.open(&server).await {
                    Ok(stream) => return (stream, at),
                    Err(error) => {
                        tracing::warn!(server = server.url(), %error, "the control plane cannot be reached");
                        self.shared.ended(StreamEnd::Connect, &error.to_string());
                    }
                }
            }
            self.wait().await;
        }
    }

    /// Opens a stream, and hears what is said meanwhile.
    async fn open(&mut self, server: &ControlServer) -> Result<Stream, StreamError> {
        let (control, published) = (self.control.clone(), Arc::clone(&self.published));
        let server = server.clone();
        let mut opening = Box::pin(async move {
            let material = Arc::clone(published.load().material());
            Stream::open(&control, &server, &material).await
        });
        loop {
            let due = tokio::select! {
                opened = &mut opening => return opened,
                due = self.due() => due,
            };
            self.attend(due).await;
        }
    }

    /// Waits before servers are asked again.
    async fn wait(&mut self) {
        let until = tokio::time::Instant::now() + self.backoff.next(fastrand::u64(..));
        loop {
            let due = tokio::select! {
                () = sleep_until(until) => return,
                due = self.due() => due,
            };
            self.attend(due).await;
        }
    }

    /// The next thing that is due besides the stream. Cancel safe.
    async fn due(&mut self) -> Due {
        let look = self.taking.next_look().map(tokio::time::Instant::from_std);
        tokio::select! {
            Ok(()) = self.words.base.changed() => Due::Base,
            Ok(()) = self.words.receipts.changed() => Due::Receipt,
            () = self.words.use_last_good.notified() => Due::LastGood,
            () = maybe(look) => Due::Look,
            step = self.keeper.step() => Due::Keep(step),
        }
    }

    /// Does it. To be run to its end.
    async fn attend(&mut self, due: Due) {
        match due {
            Due::Base => {
                let base = Arc::clone(&self.words.base.borrow_and_update());
                self.taking.rebase(base).await;
            }
            Due::Receipt => {
                let made = Arc::clone(&self.words.receipts.borrow_and_update());
                let is_odd = !made.receipt.is_empty();
                let told = is_odd.then(|| receipts::told(made.generation, &made.receipt));
                self.taking.client.tell(RECEIPT, told);
            }
            Due::LastGood => self.use_last_good().await,
            Due::Look => drop(self.taking.look().await),
            Due::Keep(step) => self.keep(step),
        }
        self.note_change();
    }

    fn note_change(&mut self) {
        // Not before all is there: a part of it would take the place of a whole.
        let is_due = self.shared.is_complete() && self.taking.is_changed();
        if self.control.last_good().is_some() && is_due {
            self.keeper.changed(Instant::now());
        }
    }

    /// Takes what a stream brings until it ends.
    async fn follow(&mut self, mut stream: Stream, at: usize) -> End {
        let server = self.control.servers()[at].url();
        let versions = match self.known.as_ref() {
            Some(known) if *known == server => Versions::Known,
            // Whose versions are on disk is not known.
            Some(_) | None => Versions::Unknown,
        };
        self.restored = false;
        self.taking.client.connected(versions, Instant::now());
        tracing::info!(server, node = self.control.node(), "following the control plane");
        let answer_by = Instant::now() + FIRST_RESPONSE_TIMEOUT;
        let mut preferred = Preferred::new(at, self.control.return_interval(), self.disappointments);
        let (control, published) = (self.control.clone(), Arc::clone(&self.published));
        let (channel, shown) = stream.connection();
        let _reporting = reporting::begin(channel, shown, &control, &published, &self.shared);
        loop {
            while let Some(request) = self.taking.client.poll() {
                if !stream.send(request) {
                    return End::Failed(StreamError::Ended);
                }
            }
            // A server that gave out what is held may have nothing to say.
            let must_answer = !self.responded && (self.taking.is_new() || versions == Versions::Unknown);
            let overdue = must_answer.then(|| tokio::time::Instant::from_std(answer_by));
            let (responses, failed) = tokio::select! {
                said = stream.next() => match said {
                    Ok(Said::Response(response)) => together(response, &mut stream).await,
                    Ok(Said::Taken) => {
                        // Where nothing is due, nothing more may ever be said.
                        if !must_answer {
                            self.shared.answered(&server);
                        }
                        continue;
                    }
                    Err(error) => return End::Failed(error),
                },
                () = maybe(overdue) => return End::Failed(StreamError::Timeout(FIRST_RESPONSE_TIMEOUT)),
                found = preferred.found(&control, &published) => {
                    let (stream, at) = found;
                    return End::Return(Box::new(stream), at);
                }
                due = self.due() => {
                    self.attend(due).await;
                    if self.restored {
                        return End::Again;
                    }
                    continue;
                }
            };
            self.backoff.reset();
            self.shared.answered(&server);
            self.responded = true;
            self.disappointments = 0;
            self.known = Some(server.clone());
            let mut incoming = match failed {
                Some(_) => Incoming::nothing(),
                None => {
                    let room = TOGETHER_MAX.saturating_sub(responses.len());
                    Incoming::of(&mut stream, room)
                }
            };
            let taken = self.taking.take(responses, &mut incoming).await;
            let failed = failed.or(incoming.into_failed());
            if let Err(error) = taken {
                tracing::error!(server, %error, "the control plane does not keep to the protocol");
                return End::Failed(StreamError::Protocol(error));
            }
            self.note_change();
            if let Some(error) = failed {
                return End::Failed(error);
            }
        }
    }

    async fn use_last_good(&mut self) {
        let Some(directory) = self.control.last_good().clone() else {
            tracing::warn!("no control plane answers, and no last good configuration is kept");
            return self.shared.has_nothing();
        };
        if self.shared.is_complete() {
            return;
        }
        match last_good::load(directory, self.control.node().clone()).await {
            Ok(Some(found)) => {
                let (count, age) = (
                    found.resources.len(),
                    found.written_at.elapsed().unwrap_or_default(),
                );
                tracing::warn!(
                    resources = count,
                    ?age,
                    "no control plane answers: beginning with the last good configuration"
                );
                self.shared.source_is(Source::Disk, Some(found.written_at));
                self.taking.restore(found.resources).await;
                self.restored = true;
            }
            Ok(None) => tracing::warn!("no control plane answers, and there is no last good configuration"),
            Err(error) => tracing::error!(%error, "the last good configuration cannot be used"),
        }
        self.shared.has_nothing();
    }

    /// Writes the good resources, and sees to it that they are written.
    fn keep(&mut self, step: Step) {
        let is_written = match step {
            Step::Write => {
                let (directory, resources) = (self.control.last_good().clone(), self.taking.keepable());
                if let (Some(directory), Some(resources)) = (directory, resources) {
                    self.keeper
                        .write(directory, self.control.node().clone(), resources);
                }
                return;
            }
            Step::Written => true,
            Step::Failed => false,
        };
        self.shared.kept(match is_written {
            true => LastGoodWrite::Written,
            false => LastGoodWrite::Failed,
        });
        if is_written {
            self.taking.forget_earlier();
        } else {
            self.taking.not_kept();
        }
        self.keeper.ended(is_written, Instant::now(), fastrand::u64(..));
    }
}

/// Whether a server that is preferred to the one that is followed takes streams again.
struct Preferred {
    below: usize,
    interval: Duration,
    next: tokio::time::Instant,
    /// The one that is being tried: it goes on being tried while other things happen.
    opening: Option<(usize, Opening)>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Stream, StreamError>> + Send>>;

impl Preferred {
    /// The more often such a server took a stream and said nothing, the longer it is left alone.
    fn new(below: usize, interval: Duration, disappointments: u32) -> Preferred {
        let interval = interval.saturating_mul(2_u32.pow(disappointments.min(RETURN_DOUBLINGS_MAX)));
        Preferred {
            below,
            interval,
            next: tokio::time::Instant::now() + interval,
            opening: None,
        }
    }

    /// A stream to one. Cancel safe; never ends where none is preferred.
    async fn found(&mut self, control: &Control, published: &ArcSwap<Snapshot>) -> (Stream, usize) {
        if self.below == 0 {
            return std::future::pending().await;
        }
        loop {
            let (at, opening) = match &mut self.opening {
                Some(opening) => opening,
                None => {
                    sleep_until(self.next).await;
                    self.opening.insert(open_at(0, control, published))
                }
            };
            let (at, opened) = (*at, opening.as_mut().await);
            self.opening = None;
            match opened {
                Ok(stream) => return (stream, at),
                Err(_) if at + 1 < self.below => self.opening = Some(open_at(at + 1, control, published)),
                Err(_) => self.next = tokio::time::Instant::now() + self.interval,
            }
        }
    }
}

fn open_at(at: usize, control: &Control, published: &ArcSwap<Snapshot>) -> (usize, Opening) {
    let material = Arc::clone(published.load().material());
    let control = control.clone();
    let opening = async move { Stream::open(&control, &control.servers()[at], &material).await };
    (at, Box::pin(opening))
}

/// A response with those that are here already: what came together is put in force together.
async fn together(first: Response, stream: &mut Stream) -> (Vec<Response>, Option<StreamError>) {
    let mut responses = vec![first];
    while responses.len() < TOGETHER_MAX {
        tokio::select! {
            biased;
            next = stream.next() => match next {
                Ok(Said::Response(next)) => responses.push(next),
                // It was said before the first response.
                Ok(Said::Taken) => {}
                Err(error) => return (responses, Some(error)),
            },
            () = std::future::ready(()) => break,
        }
    }
    (responses, None)
}

async fn maybe(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn ended(error: &StreamError) -> StreamEnd {
    match error {
        StreamError::Connect(_) | StreamError::Token(_) => StreamEnd::Connect,
        StreamError::Timeout(_) => StreamEnd::Timeout,
        StreamError::Status(_) => StreamEnd::Status,
        StreamError::Ended => StreamEnd::Ended,
        StreamError::Protocol(_) => StreamEnd::Protocol,
    }
}

/// Who asks.
fn node(control: &Control, base: &MeshConfig) -> Node {
    let text = |text: &str| Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    let metadata = (!control.metadata().is_empty()).then(|| Struct {
        fields: control
            .metadata()
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
    });
    let locality = base.runtime().locality().as_ref().map(|locality| Locality {
        region: locality.region().to_string(),
        zone: locality.zone().to_string(),
        sub_zone: locality.sub_zone().to_string(),
    });
    Node {
        id: control.node().clone(),
        cluster: control.service().clone().unwrap_or_default(),
        metadata,
        locality,
        user_agent_name: "outrigger".to_owned(),
        ..Node::default()
    }
}
