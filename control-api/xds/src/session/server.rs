//! The server's end: what a node is to have, what it was sent, and what it took.
//!
//! One session lives as long as its stream. The owner hands in requests and, whenever it changes, the node's whole
//! [`View`]; the session works out what to send, in an order that makes before it breaks (see `server/order.rs`), with at most
//! one unacknowledged response of a type. It keeps nothing beyond the stream: a client that comes back says what it has.

mod ask;
mod conversation;
mod order;
mod responses;
mod status;
mod verdict;

use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;

pub use self::order::ACK_WAIT_MAX;
pub use self::responses::RESPONSE_BYTES_MAX;
pub use self::status::{Progress, Refused, ResourceStatus, TypeStatus};

use self::ask::Ask;
use self::conversation::Conversation;
use self::order::Silence;
use self::responses::Leave;
use super::{FEATURE_TTL, FEATURE_WRAPPED, Refusal, Request, Response, Scope, Variant, View};
use crate::resource::{RESOURCE_NAME_BYTES_MAX, RESOURCES_MAX, ResourceType};

/// What a request said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Of which type; none if it is not spoken, and the request is passed over.
    pub resource_type: Option<ResourceType>,
    /// How many resources it took.
    pub acknowledged: usize,
    /// The resources that it refused.
    pub refused: Vec<Refusal>,
    /// How many names it asked for, the wildcard among them.
    pub asked: usize,
    /// How many names it wants no longer.
    pub dropped: usize,
    /// It answers a response that is no longer the latest, or that never was.
    pub is_stale: bool,
}

/// Why a request ends the stream: the client does what no client may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The message is of the other variant.
    #[error("a request of the other variant of the protocol came")]
    OtherVariant,
    /// The stream is one node's.
    #[error("a stream began as node {0:?} and goes on as node {1:?}")]
    OtherNode(String, String),
    /// More than [`RESOURCES_MAX`] are wanted by name, or told as held.
    #[error("a request of {0} names {1} resources, more than {max}", max = RESOURCES_MAX)]
    TooMany(ResourceType, usize),
    /// A name is empty, or longer than [`RESOURCE_NAME_BYTES_MAX`].
    #[error("a request of {0} has a name of {1} bytes; names have 1 to {max}", max = RESOURCE_NAME_BYTES_MAX)]
    Name(ResourceType, usize),
    /// A field that is not implemented is set.
    #[error("a request of {0} sets `{1}`, which is not implemented")]
    NotImplemented(ResourceType, &'static str),
}

/// The server's end of one stream.
#[derive(Debug)]
pub struct Server {
    variant: Variant,
    scope: Scope,
    view: Arc<View>,
    node: Option<Node>,
    features: Features,
    /// When the first request came.
    began: Option<Instant>,
    nonces: u64,
    conversations: [Conversation; ResourceType::ALL.len()],
}

/// What the client says that it understands.
#[derive(Clone, Copy, Debug, Default)]
struct Features {
    ttl: bool,
    wrapped: bool,
}

impl Server {
    /// The session of a stream that has just begun.
    #[must_use]
    pub fn new(variant: Variant, scope: Scope, view: Arc<View>) -> Self {
        let conversations = ResourceType::ALL.map(Conversation::new);
        Self {
            variant,
            scope,
            view,
            node: None,
            features: Features::default(),
            began: None,
            nonces: 0,
            conversations,
        }
    }

    /// The node, once the first request has told it.
    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// The view that the node is brought to.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Brings the node to another view. The work is in proportion to the difference if the views share their resources.
    pub fn update(&mut self, view: Arc<View>, now: Instant) {
        let previous = std::mem::replace(&mut self.view, view);
        for conversation in self
            .conversations
            .iter_mut()
            .filter(|conversation| conversation.is_open())
        {
            for name in self.view.differing(&previous, conversation.resource_type()) {
                conversation.view_changed(&self.view, name, now);
            }
        }
    }

    /// Takes a request in.
    ///
    /// # Errors
    ///
    /// If the stream is to be ended because of it. A type that is not spoken is no error: clients ask for more than any
    /// server has.
    pub fn receive(&mut self, request: Request, now: Instant) -> Result<Heard, Violation> {
        let (node, ask) = match (request, self.variant) {
            (Request::StateOfTheWorld(mut request), Variant::StateOfTheWorld) => {
                (request.node.take(), Ask::of_state(request, self.scope)?)
            }
            (Request::Delta(mut request), Variant::Delta) => {
                (request.node.take(), Ask::of_delta(request, self.scope)?)
            }
            _ => return Err(Violation::OtherVariant),
        };
        if let Some(node) = node {
            self.meet(node)?;
        }
        self.began.get_or_insert(now);
        match ask {
            Some(ask) => self.conversations[ask.resource_type.index()].receive(ask, &self.view, now),
            None => Ok(Heard::default()),
        }
    }

    /// The next response to send, until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Response> {
        let silence = self.silence(now);
        for resource_type in ResourceType::ALL {
            let (may_put, may_remove) = order::allowed(&self.conversations, resource_type, silence, now);
            let held_back = order::held_back(&self.conversations, resource_type);
            let leave = Leave {
                may_put,
                may_remove,
                held_back: &held_back,
            };
            let conversation = &mut self.conversations[resource_type.index()];
            let Some(mut push) = conversation.push(&self.view, self.variant, &leave, self.features, now)
            else {
                continue;
            };
            self.nonces += 1;
            let warmed = push.warmed();
            let response = conversation.send(push, self.nonces, self.variant, self.features, now);
            let endpoints = &mut self.conversations[ResourceType::ClusterLoadAssignment.index()];
            for (name, since) in warmed {
                endpoints.send_again(&self.view, &name, since);
            }
            return Some(response);
        }
        None
    }

    /// When after `now` [`Server::poll`] may have something to send without anything having come in.
    #[must_use]
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let beats = self
            .conversations
            .iter()
            .filter_map(|conversation| conversation.next_beat(self.features));
        let silence = self
            .silence_ends()
            .filter(|_| order::is_silence_awaited(&self.conversations));
        let waits = beats
            .chain(order::next_release(&self.conversations))
            .chain(silence);
        waits.filter(|at| *at > now).min()
    }

    /// How far the node is on its way to the view.
    #[must_use]
    pub fn progress(&self) -> Progress {
        status::progress(&self.conversations)
    }

    /// What is known of every resource of a type that is wanted or was sent, by name.
    pub fn statuses(
        &self,
        resource_type: ResourceType,
        now: Instant,
    ) -> impl Iterator<Item = ResourceStatus> + '_ {
        self.conversations[resource_type.index()].statuses(&self.view, now)
    }

    /// What is known of one resource.
    #[must_use]
    pub fn status(&self, resource_type: ResourceType, name: &str, now: Instant) -> Option<ResourceStatus> {
        self.conversations[resource_type.index()].status(&self.view, name, now)
    }

    /// A type in numbers; nothing if the client never asked for it.
    #[must_use]
    pub fn type_status(&self, resource_type: ResourceType, now: Instant) -> Option<TypeStatus> {
        let conversation = &self.conversations[resource_type.index()];
        conversation.is_open().then(|| conversation.type_status(now))
    }

    /// When a type that was never asked for is taken for one that the client holds nothing of.
    fn silence_ends(&self) -> Option<Instant> {
        self.began
            .filter(|_| self.scope == Scope::Aggregated)?
            .checked_add(ACK_WAIT_MAX)
    }

    fn silence(&self, now: Instant) -> Silence {
        if self.silence_ends().is_some_and(|ends| now < ends) {
            Silence::MayEnd
        } else {
            Silence::IsFinal
        }
    }

    fn meet(&mut self, node: Node) -> Result<(), Violation> {
        if let Some(known) = &self.node {
            return if known.id == node.id {
                Ok(())
            } else {
                Err(Violation::OtherNode(known.id.clone(), node.id))
            };
        }
        let has = |feature: &str| node.client_features.iter().any(|known| known == feature);
        self.features = Features {
            ttl: has(FEATURE_TTL),
            wrapped: has(FEATURE_WRAPPED),
        };
        self.node = Some(node);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
