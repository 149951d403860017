//! The next response of a type: chosen, written, and remembered as sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::protobuf::{self, Any};
use prost::{Message, Name};

use super::super::{Response, Variant, View};
use super::Features;
use super::conversation::{Conversation, Outstanding, Sent, Track};
use crate::resource::{Resource, ResourceType};

/// The most bytes of bodies in one response, if it can be divided and is more than one resource: gRPC's clients take
/// messages of 4 MiB unless told otherwise, and names and wrappers come on top.
pub const RESPONSE_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A lifetime is prolonged when this part of it is over, so that one late answer does not end it.
const BEATS_PER_TTL: u32 = 3;

/// What one response is to say.
#[derive(Debug, Default)]
pub(super) struct Push {
    resources: Vec<Resource>,
    /// Those that go without a body.
    beats: BTreeSet<Arc<str>>,
    /// No more, or never there.
    removed: Vec<Arc<str>>,
    /// When the oldest thing in it had come to be sent.
    since: Option<Instant>,
    /// Something in it was asked for, or is waited for by the client.
    is_forced: bool,
    /// The digest of the state that the client has after it.
    digest: u64,
    /// Endpoint sets that the client waits for after it, and since when their cluster had come to be sent.
    warmed: Vec<(String, Instant)>,
}

/// As much of a cluster as says where its endpoints are.
#[derive(Clone, PartialEq, prost::Message)]
struct ClusterEndpoints {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "3")]
    eds_cluster_config: Option<EndpointsName>,
}

/// As much of the configuration of discovered endpoints as names them.
#[derive(Clone, PartialEq, prost::Message)]
struct EndpointsName {
    #[prost(string, tag = "2")]
    service_name: String,
}

/// The version of a state whose digest is this.
pub(super) fn version_of(digest: u64) -> String {
    format!("{digest:016x}")
}

/// What may be said now.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    pub(super) may_put: bool,
    pub(super) may_remove: bool,
    /// What may be put is not these.
    pub(super) held_back: &'a BTreeSet<Arc<str>>,
}

impl Push {
    /// The endpoint sets to be sent again after this response.
    pub(super) fn warmed(&mut self) -> Vec<(String, Instant)> {
        std::mem::take(&mut self.warmed)
    }
}

impl Conversation {
    /// What is to be said now, if anything is and the latest response is answered.
    pub(super) fn push(
        &mut self,
        view: &View,
        variant: Variant,
        leave: &Leave<'_>,
        features: Features,
        now: Instant,
    ) -> Option<Push> {
        if !self.is_open() || self.outstanding.is_some() {
            return None;
        }
        let mut push = Push {
            digest: view.of(self.resource_type).digest(),
            ..Push::default()
        };
        let beats = if features.ttl {
            self.due_beats(now)
        } else {
            Vec::new()
        };
        let is_due = if variant == Variant::StateOfTheWorld && self.resource_type.is_full_state() {
            self.choose_all(&mut push, view, leave, !beats.is_empty(), now)
        } else {
            self.choose_changed(&mut push, view, variant, leave, beats);
            let is_due = leave.may_put && self.answer_due.is_some() && variant == Variant::Delta;
            is_due || !push.resources.is_empty() || !push.removed.is_empty()
        };
        if leave.may_put && (is_due || variant == Variant::StateOfTheWorld) {
            push.since = push.since.into_iter().chain(self.answer_due.take()).min();
        }
        is_due.then_some(push)
    }

    fn due_beats(&self, now: Instant) -> Vec<Arc<str>> {
        self.beats
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, name)| Arc::clone(name))
            .collect()
    }

    pub(super) fn next_beat(&self, features: Features) -> Option<Instant> {
        self.beats
            .first()
            .filter(|_| features.ttl && self.outstanding.is_none())
            .map(|(at, _)| *at)
    }

    /// The full state: everything wanted, and what may not be removed yet. Lifetimes are prolonged by the whole state
    /// too: Envoy would take a response of nothing but prolonged lifetimes for the state of the world.
    fn choose_all(
        &mut self,
        push: &mut Push,
        view: &View,
        leave: &Leave<'_>,
        is_beat: bool,
        now: Instant,
    ) -> bool {
        let is_put = leave.may_put && (!self.puts.is_empty() || self.answer_due.is_some() || is_beat);
        let is_removal = leave.may_remove && !self.leaving.is_empty();
        if !is_put && !is_removal {
            return false;
        }
        let set = view.of(self.resource_type);
        push.resources = if self.interest.wildcard {
            set.iter().cloned().collect()
        } else {
            self.interest
                .names
                .iter()
                .filter_map(|name| set.find(name).cloned())
                .collect()
        };
        push.since = self
            .puts
            .values()
            .map(|wanted| wanted.since)
            .chain(self.leaving.values().copied())
            .min();
        let changed: BTreeMap<Arc<str>, Instant> = std::mem::take(&mut self.puts)
            .into_iter()
            .map(|(name, wanted)| (name, wanted.since))
            .collect();
        for resource in &push.resources {
            if let Some(since) = changed.get(resource.name()) {
                self.note_warmed(resource, *since, &mut push.warmed);
            }
        }
        if leave.may_remove {
            push.removed = std::mem::take(&mut self.leaving).into_keys().collect();
        } else {
            let staying = self
                .leaving
                .keys()
                .filter_map(|name| self.tracks.get(name)?.sent.as_ref()?.resource.clone());
            for resource in staying {
                push.digest = push.digest.wrapping_add(resource.digest());
                push.resources.push(resource);
            }
        }
        push.since = push.since.or(Some(now));
        true
    }

    /// What changed, as far as it fits.
    fn choose_changed(
        &mut self,
        push: &mut Push,
        view: &View,
        variant: Variant,
        leave: &Leave<'_>,
        beats: Vec<Arc<str>>,
    ) {
        let mut bytes = 0;
        let mut said: Vec<Arc<str>> = Vec::new();
        for (name, wanted) in self
            .puts
            .iter()
            .filter(|(name, _)| leave.may_put && !leave.held_back.contains(*name))
        {
            match view.of(self.resource_type).find(name) {
                Some(resource) => {
                    bytes += resource.body().len();
                    if bytes > RESPONSE_BYTES_MAX && !push.resources.is_empty() {
                        break;
                    }
                    push.resources.push(resource.clone());
                    self.note_warmed(resource, wanted.since, &mut push.warmed);
                }
                // A state of the world cannot say that there is none.
                None if variant == Variant::StateOfTheWorld => {}
                None => push.removed.push(Arc::clone(name)),
            }
            push.since = push.since.into_iter().chain([wanted.since]).min();
            push.is_forced |= wanted.is_forced;
            said.push(Arc::clone(name));
        }
        for name in said {
            self.puts.remove(&name);
        }
        if leave.may_remove {
            for (name, since) in std::mem::take(&mut self.leaving) {
                if variant == Variant::StateOfTheWorld {
                    self.forget(&name);
                } else {
                    push.since = push.since.into_iter().chain([since]).min();
                    push.removed.push(name);
                }
            }
        }
        let said: BTreeSet<&Arc<str>> = push
            .resources
            .iter()
            .map(Resource::name)
            .chain(&push.removed)
            .collect();
        let prolonged = beats.iter().filter(|name| !said.contains(name));
        let prolonged = prolonged.filter_map(|name| self.tracks.get(name)?.sent.as_ref()?.resource.clone());
        let prolonged: Vec<Resource> = prolonged.collect();
        push.beats = prolonged
            .iter()
            .map(|resource| Arc::clone(resource.name()))
            .collect();
        push.resources.extend(prolonged);
    }

    /// Notes the endpoints of a cluster that the client has in another version.
    fn note_warmed(&self, resource: &Resource, since: Instant, warmed: &mut Vec<(String, Instant)>) {
        let is_update = || {
            self.tracks
                .get(resource.name())
                .is_some_and(|track| track.sent.is_some())
        };
        if self.resource_type == ResourceType::Cluster
            && is_update()
            && let Ok(cluster) = ClusterEndpoints::decode(&**resource.body())
            && let Some(EndpointsName { service_name }) = cluster.eds_cluster_config
        {
            warmed.push((
                if service_name.is_empty() {
                    cluster.name
                } else {
                    service_name
                },
                since,
            ));
        }
    }

    /// Writes a response, and remembers it as sent.
    pub(super) fn send(
        &mut self,
        push: Push,
        nonce: u64,
        variant: Variant,
        features: Features,
        now: Instant,
    ) -> Response {
        let Push {
            resources,
            beats,
            removed,
            since,
            is_forced,
            digest,
            warmed: _,
        } = push;
        let since = since.unwrap_or(now);
        self.nonce = nonce.to_string();
        for name in &removed {
            self.forget(name);
        }
        for resource in &resources {
            self.sent(resource, beats.contains(resource.name()), since, features, now);
        }
        let names = resources
            .iter()
            .map(|resource| Arc::clone(resource.name()))
            .collect();
        let response = match variant {
            Variant::StateOfTheWorld => Response::StateOfTheWorld(discovery::DiscoveryResponse {
                version_info: version_of(digest),
                resources: resources
                    .iter()
                    .map(|resource| state_any(resource, &beats, features))
                    .collect(),
                type_url: self.resource_type.type_url().to_owned(),
                nonce: self.nonce.clone(),
                ..discovery::DiscoveryResponse::default()
            }),
            Variant::Delta => Response::Delta(discovery::DeltaDiscoveryResponse {
                system_version_info: version_of(digest),
                resources: resources
                    .iter()
                    .map(|resource| wrapped(resource, &beats, features))
                    .collect(),
                type_url: self.resource_type.type_url().to_owned(),
                removed_resources: removed.iter().map(|name| name.to_string()).collect(),
                nonce: self.nonce.clone(),
                ..discovery::DeltaDiscoveryResponse::default()
            }),
        };
        self.outstanding = Some(Outstanding {
            since,
            is_forced,
            names,
            beats,
        });
        response
    }

    fn sent(&mut self, resource: &Resource, is_beat: bool, since: Instant, features: Features, now: Instant) {
        let track: &mut Track = self.tracks.entry(Arc::clone(resource.name())).or_default();
        if !is_beat {
            let version = Arc::clone(resource.version());
            track.sent = Some(Sent {
                version,
                resource: Some(resource.clone()),
                at: now,
                since,
            });
        }
        let next = resource
            .ttl()
            .filter(|_| features.ttl)
            .and_then(|ttl| now.checked_add(ttl / BEATS_PER_TTL));
        self.beat_at(resource.name(), next);
    }
}

/// A resource as a state of the world carries it: wrapped only if it has a lifetime and the client reads that.
fn state_any(resource: &Resource, beats: &BTreeSet<Arc<str>>, features: Features) -> Any {
    if resource.ttl().is_none() || !features.ttl || !features.wrapped {
        return resource.to_any();
    }
    let wrapped = wrapped(resource, beats, features);
    Any {
        type_url: discovery::Resource::type_url(),
        value: wrapped.encode_to_vec(),
    }
}

fn wrapped(resource: &Resource, beats: &BTreeSet<Arc<str>>, features: Features) -> discovery::Resource {
    discovery::Resource {
        name: resource.name().to_string(),
        version: resource.version().to_string(),
        resource: (!beats.contains(resource.name())).then(|| resource.to_any()),
        ttl: resource.ttl().filter(|_| features.ttl).map(duration),
        ..discovery::Resource::default()
    }
}

fn duration(ttl: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(ttl.subsec_nanos()).unwrap_or(0),
    }
}
