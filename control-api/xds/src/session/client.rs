//! The client's end: what a proxy wants, what it was given, and what it took.
//!
//! The owner says what it wants, feeds responses in and gets what changed ([`Received`]); when it knows which resources
//! it took it says so ([`Client::settle`]), and only then is the response acknowledged or refused. Good resources of a
//! response with bad ones count as taken, the bad ones keep their last good version. What was taken outlives the
//! stream: a new one is told the versions. The client checks names, types, sizes and that a body is a message at all;
//! what a message means is its owner's business.

mod amends;
mod conversation;
mod lapsed;
mod offer;
mod requests;
mod settlement;
mod status;

use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{Value, value::Kind};

pub use self::status::{ABSENT_AFTER, Presence, Refused, ResourceState, TypeState};

use self::conversation::Conversation;
use self::offer::Offer;
use super::{FEATURE_TTL, FEATURE_WRAPPED, Refusal, Request, Response, Scope, Variant};
use crate::resource::{RESOURCES_MAX, Resource, ResourceType};

/// The most responses of one type that are received and not yet settled. A server waits for the answer to one before
/// the next, so more than a few are a fault of the server.
pub const UNSETTLED_MAX: usize = 8;

/// The most bytes of the message of an error detail; the reasons beyond it are counted instead.
pub const ERROR_DETAIL_BYTES_MAX: usize = 32 * 1024;

/// The most bytes of one reason in an error detail.
pub const REASON_BYTES_MAX: usize = 1_024;

/// Whether the server of a new stream gave out the versions that the client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// It did, or a replica of it: what is held in these versions need not be sent again.
    Known,
    /// It is another server, whose version of the same text may be something else (xDS protocol, "ACK/NACK and resource
    /// type instance version": versions belong to the server).
    Unknown,
}

/// What a response brought, to be settled with [`Client::settle`].
#[derive(Debug)]
pub struct Received {
    /// The type of all of it.
    pub resource_type: ResourceType,
    /// The version of the response as a whole, for logs.
    pub version: Arc<str>,
    /// Resources that are new or changed.
    pub upserts: Vec<Resource>,
    /// Names that are no more, or that the server says it does not have.
    pub removed: Vec<Arc<str>>,
    /// Resources that could not be read at all; they are refused without the owner's doing.
    pub malformed: Vec<Refusal>,
    /// How many were held already just like this, or came without a body to prolong their lifetime.
    pub unchanged: usize,
    /// How many were not asked for (xDS protocol: "the client will silently ignore" them).
    pub unasked: usize,
    /// What settles it.
    pub token: Token,
}

/// One response that is still to be settled.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a response that is never settled is never acknowledged"]
pub struct Token {
    resource_type: ResourceType,
    sequence: u64,
}

impl Token {
    /// The type of the response.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }
}

/// What came of a settlement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Resources taken.
    pub accepted: usize,
    /// Resources refused, those that could not be read among them.
    pub refused: usize,
}

/// Why a response is not received. Nothing of it is applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// There is no stream that it could have come from.
    #[error("a response came while disconnected")]
    Disconnected,
    /// The message is of the other variant.
    #[error("a response of the other variant of the protocol came")]
    OtherVariant,
    /// The type is not spoken, or not on this stream. It is passed over.
    #[error("a response of a type that is not spoken came: `{0}`")]
    UnknownType(String),
    /// Nothing of this type was asked for. It is passed over.
    #[error("a response of {0} came, of which nothing was asked for")]
    Unasked(ResourceType),
    /// Without a nonce no answer is possible: the stream should be ended.
    #[error("a response of {0} came without a nonce")]
    NoNonce(ResourceType),
    /// A name stands in it twice (xDS protocol, "Duplicate Resource Names"). It is refused as a whole.
    #[error("a response of {0} names `{1}` more than once")]
    Duplicate(ResourceType, String),
    /// It holds more than [`RESOURCES_MAX`]. It is refused as a whole.
    #[error("a response of {0} holds {1} resources, more than {max}", max = RESOURCES_MAX)]
    TooMany(ResourceType, usize),
    /// More than [`UNSETTLED_MAX`] are unsettled: the stream should be ended, or read from later.
    #[error("more than {max} responses of {0} are unanswered", max = UNSETTLED_MAX)]
    Overrun(ResourceType),
}

/// Why a token does not settle anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// An earlier response of the same type is still to be settled.
    #[error("an earlier response of {0} is to be settled first")]
    OutOfOrder(ResourceType),
    /// The token is of another client.
    #[error("there is no such response of {0} to settle")]
    Unknown(ResourceType),
}

/// The client's end of one conversation, over any number of streams one after the other.
#[derive(Debug)]
pub struct Client {
    variant: Variant,
    scope: Scope,
    node: Node,
    stream: Option<Stream>,
    streams: u64,
    sequence: u64,
    conversations: [Conversation; ResourceType::ALL.len()],
}

/// What is known of the stream at hand.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// The node is told as it is now.
    node_told: bool,
    /// The node is another than was told: if nothing else is to be said, that is.
    has_news: bool,
}

impl Client {
    /// A client that wants nothing yet. The features of [`FEATURE_TTL`] and [`FEATURE_WRAPPED`] are added to the node.
    #[must_use]
    pub fn new(variant: Variant, scope: Scope, mut node: Node) -> Self {
        for feature in [FEATURE_TTL, FEATURE_WRAPPED] {
            if !node.client_features.iter().any(|known| known == feature) {
                node.client_features.push(feature.to_owned());
            }
        }
        let conversations = ResourceType::ALL.map(|resource_type| Conversation::new(resource_type, variant));
        Self {
            variant,
            scope,
            node,
            stream: None,
            streams: 0,
            sequence: 0,
            conversations,
        }
    }

    /// A stream begins: its first requests tell what is wanted, and what is held if `versions` are known there.
    pub fn connected(&mut self, versions: Versions, now: Instant) {
        self.streams += 1;
        self.stream = Some(Stream {
            node_told: false,
            has_news: false,
        });
        for conversation in &mut self.conversations {
            conversation.stream_began(self.streams, versions, now);
        }
    }

    /// The stream ended. What was taken stays; what is unsettled may still be settled, and is not answered.
    pub fn disconnected(&mut self) {
        self.stream = None;
    }

    /// Whether there is a stream.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// Wants everything of a type that the server has for this node.
    pub fn subscribe_all(&mut self, resource_type: ResourceType) {
        self.of(resource_type).subscribe_all();
    }

    /// No longer wants everything of a type; what is not wanted by name is forgotten.
    pub fn unsubscribe_all(&mut self, resource_type: ResourceType) {
        self.of(resource_type).unsubscribe_all();
    }

    /// Wants resources by name; see [`Client::replay`] too. Names beyond [`RESOURCES_MAX`], or longer than a name may be, are returned: they can
    /// never be had.
    #[must_use = "names that are returned are not subscribed to"]
    pub fn subscribe<'a>(
        &mut self,
        resource_type: ResourceType,
        names: impl IntoIterator<Item = &'a str>,
        now: Instant,
    ) -> Vec<&'a str> {
        let conversation = self.of(resource_type);
        names
            .into_iter()
            .filter(|name| !conversation.subscribe(name, now))
            .collect()
    }

    /// No longer wants resources by name; unless a wildcard holds them they are forgotten at once.
    pub fn unsubscribe<'a>(&mut self, resource_type: ResourceType, names: impl IntoIterator<Item = &'a str>) {
        let conversation = self.of(resource_type);
        for name in names {
            conversation.unsubscribe(name);
        }
    }

    /// The names of a type that are wanted by name.
    pub fn named(&self, resource_type: ResourceType) -> impl Iterator<Item = &Arc<str>> {
        self.conversations[resource_type.index()].interest.names.iter()
    }

    /// Holds resources that were taken in an earlier life, as if they had been accepted: their versions are told to the
    /// server, so that it need not send them again. Those that are not wanted are passed over.
    pub fn restore(&mut self, resources: impl IntoIterator<Item = Resource>, now: Instant) {
        for resource in resources {
            self.of(resource.resource_type()).restore(resource, now);
        }
    }

    /// Takes a response in.
    ///
    /// # Errors
    ///
    /// If nothing of the response can be applied; one that must be answered is refused by this client itself.
    pub fn receive(&mut self, response: Response, now: Instant) -> Result<Received, ReceiveError> {
        if self.stream.is_none() {
            return Err(ReceiveError::Disconnected);
        }
        let offer = match (response, self.variant) {
            (Response::StateOfTheWorld(response), Variant::StateOfTheWorld) => {
                Offer::of_state(response, self.scope).map_err(ReceiveError::UnknownType)?
            }
            (Response::Delta(response), Variant::Delta) => {
                Offer::of_delta(response, self.scope).map_err(ReceiveError::UnknownType)?
            }
            _ => return Err(ReceiveError::OtherVariant),
        };
        self.sequence += 1;
        let sequence = self.sequence;
        self.of(offer.resource_type).receive(offer, sequence, now)
    }

    /// What was subscribed to again in the state of the world and is handed out once more, because the server may not
    /// have noticed that it was given up: to be asked for after [`Client::subscribe`], until there is none, and to be
    /// treated like a response. In delta there is never any.
    pub fn replay(&mut self) -> Option<Received> {
        self.sequence += 1;
        let sequence = self.sequence;
        self.conversations
            .iter_mut()
            .find_map(|conversation| conversation.replay(sequence))
    }

    /// Says what became of a response: everything of it is taken but what is refused. The answer is then polled.
    /// Responses of one type are settled in the order in which they came.
    ///
    /// # Errors
    ///
    /// If the token is not of the earliest unsettled response of its type.
    pub fn settle(
        &mut self,
        token: Token,
        refused: Vec<Refusal>,
        now: Instant,
    ) -> Result<Settled, SettleError> {
        self.of(token.resource_type).settle(token.sequence, refused, now)
    }

    /// Says that a resource that was taken is refused after all, since it does not go together with what came later;
    /// `good` is in force in its place, if anything is. The server is told by another answer to its latest response.
    pub fn refuse_late(&mut self, refused: &Resource, reason: &str, good: Option<Resource>, now: Instant) {
        self.of(refused.resource_type())
            .refuse_late(refused, reason, good, now);
    }

    /// Says that a resource that was refused is taken after all, as [`Client::refuse_late`] tells the opposite. False if it
    /// was not refused in just this version.
    pub fn accept_late(&mut self, taken: &Resource, now: Instant) -> bool {
        self.of(taken.resource_type()).accept_late(taken, now)
    }

    /// The resources that are refused and could be read: they may be taken later.
    pub fn rejected(&self) -> impl Iterator<Item = (ResourceType, &Arc<str>)> {
        self.conversations.iter().flat_map(|conversation| {
            let resource_type = conversation.resource_type();
            conversation.rejected().map(move |name| (resource_type, name))
        })
    }

    /// Says something new of the node, in its metadata; none: nothing any more. The server is told with the next request, or
    /// with one that says nothing else: servers that look at the node of a stream's first request only ignore it.
    pub fn tell(&mut self, key: &str, value: Option<String>) {
        let fields = &mut self.node.metadata.get_or_insert_default().fields;
        let is_new = match value {
            Some(text) => {
                let value = Value {
                    kind: Some(Kind::StringValue(text)),
                };
                fields.insert(key.to_owned(), value.clone()) != Some(value)
            }
            None => fields.remove(key).is_some(),
        };
        if let Some(stream) = self.stream.as_mut().filter(|_| is_new) {
            // The first request tells it in any case.
            stream.has_news |= stream.node_told;
            stream.node_told = false;
        }
    }

    /// The next request to send, until there is none. Changed subscriptions go before answers, so that a server knows
    /// what hangs on a resource before it hears that the resource was taken.
    pub fn poll(&mut self) -> Option<Request> {
        let stream = self.stream.as_mut()?;
        let (variant, scope) = (self.variant, self.scope);
        let covered = |conversation: &&mut Conversation| scope.covers(conversation.resource_type());
        let mut request = self
            .conversations
            .iter_mut()
            .filter(covered)
            .find_map(|conversation| conversation.subscription(variant));
        if request.is_none() {
            request = self
                .conversations
                .iter_mut()
                .filter(covered)
                .find_map(|conversation| conversation.answer(variant));
        }
        if request.is_none() {
            request = self
                .conversations
                .iter_mut()
                .filter(covered)
                .find_map(|conversation| conversation.amend(variant));
        }
        if request.is_none() && stream.has_news {
            request = self
                .conversations
                .iter_mut()
                .filter(covered)
                .find_map(|conversation| conversation.nothing_new(variant));
        }
        let node = (!stream.node_told).then(|| self.node.clone());
        match request.as_mut()? {
            Request::StateOfTheWorld(request) => request.node = node,
            Request::Delta(request) => request.node = node,
        }
        stream.node_told = true;
        stream.has_news = false;
        request
    }

    /// Drops the resources whose lifetime is over (xDS protocol, "TTL") and names them.
    #[must_use = "the owner must drop them too"]
    pub fn expire(&mut self, now: Instant) -> Vec<(ResourceType, Arc<str>)> {
        let expired = self.conversations.iter_mut().flat_map(|conversation| {
            let resource_type = conversation.resource_type();
            conversation
                .expire(now)
                .into_iter()
                .map(move |name| (resource_type, name))
        });
        expired.collect()
    }

    /// When [`Client::expire`] has something to do next.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.conversations
            .iter()
            .filter_map(Conversation::next_expiry)
            .min()
    }

    /// The resources of a type that are taken: the last good version of each.
    pub fn accepted(&self, resource_type: ResourceType) -> impl Iterator<Item = &Resource> {
        self.conversations[resource_type.index()].accepted()
    }

    /// What is known of one resource; nothing if it is neither wanted nor held.
    #[must_use]
    pub fn state(&self, resource_type: ResourceType, name: &str, now: Instant) -> Option<ResourceState> {
        self.conversations[resource_type.index()].state(name, now)
    }

    /// What is known of every resource of a type, by name.
    pub fn states(
        &self,
        resource_type: ResourceType,
        now: Instant,
    ) -> impl Iterator<Item = ResourceState> + '_ {
        self.conversations[resource_type.index()].states(now)
    }

    /// A type in numbers.
    #[must_use]
    pub fn type_state(&self, resource_type: ResourceType, now: Instant) -> TypeState {
        self.conversations[resource_type.index()].type_state(now)
    }

    fn of(&mut self, resource_type: ResourceType) -> &mut Conversation {
        &mut self.conversations[resource_type.index()]
    }
}

#[cfg(test)]
mod tests;
