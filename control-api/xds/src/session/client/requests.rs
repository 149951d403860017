//! What this stream was told, and the requests that tell it the rest.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DiscoveryRequest, ResourceError, ResourceName,
};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc::Status;
use prost::{Message, Name};

use super::super::{Refusal, Request, Variant, WILDCARD};
use super::conversation::Conversation;
use super::{ERROR_DETAIL_BYTES_MAX, REASON_BYTES_MAX};

/// The gRPC code of a refusal: an invalid argument.
const INVALID_ARGUMENT: i32 = 3;

/// What one stream was told about one type.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The number of the stream.
    pub(super) stream: u64,
    /// A first request was sent.
    pub(super) is_open: bool,
    /// A request named something, so that an empty list no longer means everything.
    is_explicit: bool,
    /// Names that the stream has not heard of yet; the wildcard may be among them.
    subscribe: BTreeSet<Arc<str>>,
    /// Names that the stream still believes to be wanted.
    unsubscribe: BTreeSet<Arc<str>>,
    /// Of the latest response.
    nonce: String,
    /// Something came on this stream.
    pub(super) is_answered: bool,
    /// To be sent, in the order of the responses; at most `UNSETTLED_MAX`.
    pub(super) answers: VecDeque<Answer>,
}

/// An acknowledgement, or with an error a refusal.
#[derive(Debug)]
pub(super) struct Answer {
    nonce: String,
    error: Option<Status>,
}

impl Told {
    pub(super) fn of(stream: u64) -> Self {
        Self {
            stream,
            ..Self::default()
        }
    }

    pub(super) fn subscribe(&mut self, name: Arc<str>) {
        self.unsubscribe.remove(&name);
        self.subscribe.insert(name);
    }

    pub(super) fn unsubscribe(&mut self, name: Arc<str>) {
        self.subscribe.remove(&name);
        self.unsubscribe.insert(name);
    }

    pub(super) fn received(&mut self, nonce: &str) {
        nonce.clone_into(&mut self.nonce);
        self.is_answered = true;
    }

    pub(super) fn acknowledge(&mut self, nonce: String) {
        self.answers.push_back(Answer { nonce, error: None });
    }

    pub(super) fn refuse(&mut self, nonce: String, refusals: &[Refusal]) {
        self.answers.push_back(Answer {
            nonce,
            error: Some(error_detail(refusals)),
        });
    }

    /// Something came, and everything that came is answered.
    pub(super) fn is_settled(&self) -> bool {
        !self.nonce.is_empty() && self.answers.is_empty()
    }

    /// Answers the latest response once more.
    pub(super) fn answer_again(&mut self, refusals: &[Refusal]) {
        let nonce = self.nonce.clone();
        match refusals {
            [] => self.acknowledge(nonce),
            refusals => self.refuse(nonce, refusals),
        }
    }

    fn is_changed(&self) -> bool {
        !self.subscribe.is_empty() || !self.unsubscribe.is_empty()
    }

    fn take_changes(&mut self) -> (Vec<String>, Vec<String>) {
        let strings = |names: BTreeSet<Arc<str>>| names.iter().map(|name| name.to_string()).collect();
        (
            strings(std::mem::take(&mut self.subscribe)),
            strings(std::mem::take(&mut self.unsubscribe)),
        )
    }
}

impl Conversation {
    /// The first request of the stream, or one that tells a changed subscription.
    pub(super) fn subscription(&mut self, variant: Variant) -> Option<Request> {
        if !self.told.is_open {
            return (!self.interest.is_empty()).then(|| self.first(variant));
        }
        if !self.told.is_changed() || !self.told.answers.is_empty() {
            return None;
        }
        match variant {
            // It would bear the nonce of a response that is not decided yet, and be taken for its acknowledgement.
            Variant::StateOfTheWorld if self.is_undecided() => None,
            Variant::StateOfTheWorld => {
                self.told_subscription(variant);
                Some(self.state_request(self.told.nonce.clone(), None))
            }
            Variant::Delta => Some(self.delta_request(String::new(), None)),
        }
    }

    /// The next acknowledgement or refusal; a changed subscription goes with it.
    pub(super) fn answer(&mut self, variant: Variant) -> Option<Request> {
        let Answer { nonce, error } = self.told.answers.pop_front()?;
        Some(match variant {
            Variant::StateOfTheWorld => self.state_request(nonce, error),
            Variant::Delta => self.delta_request(nonce, error),
        })
    }

    /// A request that says nothing but who asks, as far as one may be sent now: its answer to the latest response must stay
    /// what it is.
    pub(super) fn nothing_new(&mut self, variant: Variant) -> Option<Request> {
        let is_quiet = self.told.is_open && self.told.answers.is_empty() && !self.is_undecided();
        match variant {
            _ if !is_quiet => None,
            Variant::Delta => Some(self.delta_request(String::new(), None)),
            Variant::StateOfTheWorld
                if !self.told.is_settled() || self.entries.values().any(|entry| entry.refused.is_some()) =>
            {
                None
            }
            Variant::StateOfTheWorld => Some(self.state_request(self.told.nonce.clone(), None)),
        }
    }

    pub(super) fn is_undecided(&self) -> bool {
        self.unsettled
            .iter()
            .any(|unsettled| unsettled.stream == self.told.stream && !unsettled.nonce.is_empty())
    }

    fn first(&mut self, variant: Variant) -> Request {
        self.told.is_open = true;
        if variant == Variant::StateOfTheWorld {
            return self.state_request(String::new(), None);
        }
        self.told.subscribe = self.interest.names.clone();
        self.told.unsubscribe.clear();
        // An empty first request means everything, and servers that know no `*` understand it too.
        if self.interest.wildcard && !(self.interest.names.is_empty() && self.resource_type.is_full_state()) {
            self.told.subscribe.insert(WILDCARD.into());
        }
        let mut request = self.delta_request(String::new(), None);
        if let Request::Delta(request) = &mut request {
            request.initial_resource_versions = self.initial_versions();
        }
        request
    }

    /// The versions that need not be sent again. What was refused is left out, and so is what another server gave out,
    /// what is undecided and what has a lifetime, so that the server sends it again; but what only a wildcard holds is
    /// told with an empty version, since of what it is not told the server would not say that it was removed meanwhile.
    fn initial_versions(&self) -> HashMap<String, String> {
        let versions = self.entries.iter().filter_map(|(name, entry)| {
            let certain = entry.accepted.as_ref().filter(|_| entry.is_certain());
            let version = match certain {
                Some(accepted) => accepted.version().to_string(),
                None if entry.accepted.is_none() && entry.offered.is_none() => return None,
                None if self.interest.names.contains(name) => return None,
                None => String::new(),
            };
            Some((name.to_string(), version))
        });
        versions.collect()
    }

    /// A request of the state of the world always tells the whole subscription.
    fn state_request(&mut self, response_nonce: String, error_detail: Option<Status>) -> Request {
        let mut resource_names: Vec<String> =
            self.interest.names.iter().map(|name| name.to_string()).collect();
        let is_legacy =
            resource_names.is_empty() && !self.told.is_explicit && self.resource_type.is_full_state();
        // An empty list would go on to mean everything as long as nothing was named: so everything is named once.
        let is_parting = is_legacy && !self.interest.wildcard;
        if is_parting || (self.interest.wildcard && !is_legacy) {
            resource_names.push(WILDCARD.to_owned());
        }
        if !is_parting {
            self.told.subscribe.clear();
            self.told.unsubscribe.clear();
        }
        self.told.is_explicit |= !resource_names.is_empty();
        // A version stands for all that is held: not if more was taken since, is undecided, or has a lifetime.
        let is_uncertain = response_nonce.is_empty()
            && (self.is_beyond_version || !self.unsettled.is_empty() || !self.expiries.is_empty());
        let version_info = if is_uncertain {
            String::new()
        } else {
            self.version.to_string()
        };
        Request::StateOfTheWorld(DiscoveryRequest {
            version_info,
            resource_names,
            type_url: self.resource_type.type_url().to_owned(),
            response_nonce,
            error_detail,
            ..DiscoveryRequest::default()
        })
    }

    fn delta_request(&mut self, response_nonce: String, error_detail: Option<Status>) -> Request {
        let (resource_names_subscribe, resource_names_unsubscribe) = self.told.take_changes();
        Request::Delta(DeltaDiscoveryRequest {
            type_url: self.resource_type.type_url().to_owned(),
            resource_names_subscribe,
            resource_names_unsubscribe,
            response_nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        })
    }
}

/// What is refused, for people in the message and for servers that read them in the details.
fn error_detail(refusals: &[Refusal]) -> Status {
    let mut message = String::new();
    let mut details = Vec::new();
    let mut told = 0;
    for Refusal { name, reason } in refusals {
        let reason = cut(reason, REASON_BYTES_MAX);
        let line = if name.is_empty() {
            reason.to_owned()
        } else {
            format!("{name}: {reason}")
        };
        if message.len() + line.len() > ERROR_DETAIL_BYTES_MAX && told > 0 {
            break;
        }
        if told > 0 {
            message.push('\n');
        }
        message.push_str(&line);
        told += 1;
        if !name.is_empty() {
            details.push(resource_error(name, reason));
        }
    }
    if told < refusals.len() {
        message.push_str(&format!("\nand {} more", refusals.len() - told));
    }
    Status {
        code: INVALID_ARGUMENT,
        message,
        details,
    }
}

fn resource_error(name: &str, reason: &str) -> Any {
    let error = ResourceError {
        resource_name: Some(ResourceName {
            name: name.to_owned(),
            dynamic_parameter_constraints: None,
        }),
        error_detail: Some(Status {
            code: INVALID_ARGUMENT,
            message: reason.to_owned(),
            details: Vec::new(),
        }),
    };
    Any {
        type_url: ResourceError::type_url(),
        value: error.encode_to_vec(),
    }
}

/// As much of a text as fits, ending between characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
