//! A response of either variant, read as far as a conversation needs it.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::protobuf::{self, Any};
use prost::{Message, Name};

use super::super::{Refusal, Scope};
use crate::resource::{RESOURCE_BYTES_MAX, RESOURCE_NAME_BYTES_MAX, ResourceType};

/// What a server offers in one response.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) resource_type: ResourceType,
    pub(super) nonce: String,
    pub(super) version: Arc<str>,
    pub(super) items: Vec<Item>,
    pub(super) malformed: Vec<Refusal>,
    /// A malformed resource has no name that could be read, so that nobody knows which one it is.
    pub(super) is_unsure: bool,
    pub(super) removed: Vec<String>,
    /// What is absent is removed.
    pub(super) is_full_state: bool,
}

/// One resource of an offer.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) ttl: Option<Duration>,
    /// None for one that only prolongs its lifetime (xDS protocol, "TTL").
    pub(super) body: Option<Vec<u8>>,
}

/// The field in which every type that is spoken has its name; all others are passed over. That they are well formed is
/// checked on the way.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

impl Offer {
    /// Reads a response of the state of the world; an unknown type URL is handed back.
    pub(super) fn of_state(response: discovery::DiscoveryResponse, scope: Scope) -> Result<Self, String> {
        let Some(resource_type) = scope.type_of(&response.type_url) else {
            return Err(response.type_url);
        };
        let version: Arc<str> = response.version_info.into();
        let mut offer = Self::empty(resource_type, response.nonce, Arc::clone(&version));
        let only_heartbeats =
            |items: &[Item]| !items.is_empty() && items.iter().all(|item| item.body.is_none());
        for (place, any) in response.resources.into_iter().enumerate() {
            let resource = if any.type_url == discovery::Resource::type_url() {
                discovery::Resource::decode(&*any.value).map_err(|error| error.to_string())
            } else {
                Ok(discovery::Resource {
                    resource: Some(any),
                    ..discovery::Resource::default()
                })
            };
            match resource {
                Ok(resource) => offer.read(place, resource),
                Err(reason) => offer.refuse(place, None, format!("the wrapper is not a message: {reason}")),
            }
        }
        // Nothing but prolonged lifetimes is no state of the world.
        offer.is_full_state =
            resource_type.is_full_state() && !(offer.malformed.is_empty() && only_heartbeats(&offer.items));
        Ok(offer)
    }

    /// Reads a response of delta; an unknown type URL is handed back.
    pub(super) fn of_delta(
        response: discovery::DeltaDiscoveryResponse,
        scope: Scope,
    ) -> Result<Self, String> {
        let Some(resource_type) = scope.type_of(&response.type_url) else {
            return Err(response.type_url);
        };
        let mut offer = Self::empty(resource_type, response.nonce, response.system_version_info.into());
        for (place, resource) in response.resources.into_iter().enumerate() {
            offer.read(place, resource);
        }
        offer.removed = response.removed_resources;
        offer
            .removed
            .extend(response.removed_resource_names.into_iter().map(|name| name.name));
        Ok(offer)
    }

    fn empty(resource_type: ResourceType, nonce: String, version: Arc<str>) -> Self {
        Self {
            resource_type,
            nonce,
            version,
            items: Vec::new(),
            malformed: Vec::new(),
            is_unsure: false,
            removed: Vec::new(),
            is_full_state: false,
        }
    }

    /// How many resources and removals there are.
    pub(super) fn len(&self) -> usize {
        self.items.len() + self.malformed.len() + self.removed.len()
    }

    /// The first name that stands in it twice.
    pub(super) fn duplicate(&self) -> Option<String> {
        let items = self.items.iter().map(|item| &*item.name);
        let malformed = self.malformed.iter().map(|refusal| refusal.name.as_str());
        let mut names: Vec<&str> = items
            .chain(malformed)
            .chain(self.removed.iter().map(String::as_str))
            .collect();
        names.sort_unstable();
        names
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0].to_owned())
    }

    fn read(&mut self, place: usize, resource: discovery::Resource) {
        match self.item(resource) {
            Ok(item) => self.items.push(item),
            Err((name, reason)) => self.refuse(place, name, reason),
        }
    }

    fn refuse(&mut self, place: usize, name: Option<String>, reason: String) {
        self.is_unsure |= name.is_none();
        self.malformed.push(Refusal {
            name: name.unwrap_or_else(|| format!("#{place}")),
            reason,
        });
    }

    fn item(&self, resource: discovery::Resource) -> Result<Item, (Option<String>, String)> {
        // `cache_control` speaks to relays between server and client, `metadata` to people.
        let discovery::Resource {
            name,
            resource_name,
            aliases,
            version,
            resource,
            ttl,
            cache_control: _,
            metadata: _,
        } = resource;
        let told = if name.is_empty() {
            resource_name
                .as_ref()
                .map(|name| name.name.clone())
                .unwrap_or_default()
        } else {
            name
        };
        let known = |name: &str| readable(name).then(|| name.to_owned());
        if resource_name.is_some_and(|name| name.dynamic_parameter_constraints.is_some()) {
            return Err((
                known(&told),
                "`resource_name.dynamic_parameter_constraints` is not implemented".into(),
            ));
        }
        if !aliases.is_empty() {
            return Err((known(&told), "`aliases` is not implemented".into()));
        }
        let (own, body) = match resource {
            Some(any) => self.body(any).map(|(name, body)| (Some(name), Some(body))),
            None => Ok((None, None)),
        }
        .map_err(|reason| (known(&told), reason))?;
        let name = match own {
            Some(own) if told.is_empty() || told == own => own,
            Some(own) => {
                return Err((
                    known(&told),
                    format!("it calls itself {own:?}; both names must be the same"),
                ));
            }
            None => told,
        };
        if !readable(&name) {
            let reason = format!(
                "a name has 1 to {RESOURCE_NAME_BYTES_MAX} bytes, this one has {}",
                name.len()
            );
            return Err((None, reason));
        }
        let ttl = ttl
            .map(duration)
            .transpose()
            .map_err(|reason| (known(&name), reason.to_owned()))?;
        let version = if version.is_empty() {
            Arc::clone(&self.version)
        } else {
            version.into()
        };
        Ok(Item {
            name: name.into(),
            version,
            ttl,
            body,
        })
    }

    /// The name that a resource gives itself, and its body.
    fn body(&self, any: Any) -> Result<(String, Vec<u8>), String> {
        let expected = self.resource_type.type_url();
        if any.type_url != expected {
            return Err(format!("its type is {:?}, expected {expected:?}", any.type_url));
        }
        if any.value.len() > RESOURCE_BYTES_MAX {
            return Err(format!(
                "it has {} bytes, more than {RESOURCE_BYTES_MAX}",
                any.value.len()
            ));
        }
        let named = Named::decode(&*any.value).map_err(|error| format!("it is not a message: {error}"))?;
        Ok((named.name, any.value))
    }
}

fn readable(name: &str) -> bool {
    (1..=RESOURCE_NAME_BYTES_MAX).contains(&name.len())
}

fn duration(ttl: protobuf::Duration) -> Result<Duration, &'static str> {
    let seconds = u64::try_from(ttl.seconds).ok();
    let nanos = u32::try_from(ttl.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000);
    match (seconds, nanos) {
        (Some(seconds), Some(nanos)) if seconds > 0 || nanos > 0 => Ok(Duration::new(seconds, nanos)),
        _ => Err("`ttl` must be longer than nothing"),
    }
}
