//! A request of either variant, read as far as a session needs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DiscoveryRequest, ResourceError,
};
use envoy_types::pb::google::rpc::Status;
use prost::{Message, Name};

use super::super::{Refusal, Scope, WILDCARD};
use super::Violation;
use crate::resource::{RESOURCE_NAME_BYTES_MAX, RESOURCES_MAX, ResourceType};

/// The most bytes kept of a reason that a client gives.
const REASON_BYTES_MAX: usize = 1_024;

/// The most bytes of a client's message that are searched for names.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// What a client asks and answers in one request.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) resource_type: ResourceType,
    /// Of the response that is answered; empty for none.
    pub(super) nonce: String,
    pub(super) error: Option<Refused>,
    pub(super) names: Names,
}

/// How the subscription is told.
#[derive(Debug)]
pub(super) enum Names {
    /// The whole list, and the version that the client had of the last stream if this is the first request.
    Whole { names: Vec<String>, version: String },
    /// What changed, and what the client has of the last stream if this is the first request.
    Changed {
        subscribe: Vec<String>,
        unsubscribe: Vec<String>,
        held: HashMap<String, String>,
    },
}

/// Why a response was refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    message: String,
    /// The resources that the client blames by name, if it does so in a form to be read.
    blamed: Vec<Refusal>,
}

impl Ask {
    /// Reads a request of the state of the world; none if its type is not spoken.
    pub(super) fn of_state(request: DiscoveryRequest, scope: Scope) -> Result<Option<Self>, Violation> {
        let DiscoveryRequest {
            version_info,
            node: _,
            resource_names,
            resource_locators,
            type_url,
            response_nonce,
            error_detail,
        } = request;
        let Some(resource_type) = scope.type_of(&type_url) else {
            return Ok(None);
        };
        if !resource_locators.is_empty() {
            return Err(Violation::NotImplemented(resource_type, "resource_locators"));
        }
        check(resource_type, resource_names.len(), resource_names.iter())?;
        let names = Names::Whole {
            names: resource_names,
            version: version_info,
        };
        Ok(Some(Self {
            resource_type,
            nonce: response_nonce,
            error: error_detail.map(Refused::of),
            names,
        }))
    }

    /// Reads a request of delta; none if its type is not spoken.
    pub(super) fn of_delta(request: DeltaDiscoveryRequest, scope: Scope) -> Result<Option<Self>, Violation> {
        let DeltaDiscoveryRequest {
            node: _,
            type_url,
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            resource_locators_subscribe,
            resource_locators_unsubscribe,
            initial_resource_versions: held,
            response_nonce,
            error_detail,
        } = request;
        let Some(resource_type) = scope.type_of(&type_url) else {
            return Ok(None);
        };
        if !resource_locators_subscribe.is_empty() {
            return Err(Violation::NotImplemented(
                resource_type,
                "resource_locators_subscribe",
            ));
        }
        if !resource_locators_unsubscribe.is_empty() {
            return Err(Violation::NotImplemented(
                resource_type,
                "resource_locators_unsubscribe",
            ));
        }
        check(resource_type, subscribe.len(), subscribe.iter())?;
        check(resource_type, held.len(), held.keys())?;
        let names = Names::Changed {
            subscribe,
            unsubscribe,
            held,
        };
        Ok(Some(Self {
            resource_type,
            nonce: response_nonce,
            error: error_detail.map(Refused::of),
            names,
        }))
    }
}

fn check<'a>(
    resource_type: ResourceType,
    count: usize,
    mut names: impl Iterator<Item = &'a String>,
) -> Result<(), Violation> {
    if count > RESOURCES_MAX {
        return Err(Violation::TooMany(resource_type, count));
    }
    match names.find(|name| !(1..=RESOURCE_NAME_BYTES_MAX).contains(&name.len())) {
        Some(name) => Err(Violation::Name(resource_type, name.len())),
        None => Ok(()),
    }
}

impl Refused {
    fn of(status: Status) -> Self {
        let blamed = status
            .details
            .iter()
            .filter(|detail| detail.type_url == ResourceError::type_url());
        let blamed = blamed.filter_map(|detail| {
            let error = ResourceError::decode(&*detail.value).ok()?;
            Some(Refusal {
                name: error.resource_name?.name,
                reason: cut(error.error_detail?.message, REASON_BYTES_MAX),
            })
        });
        Self {
            blamed: blamed.take(RESOURCES_MAX).collect(),
            message: cut(status.message, MESSAGE_BYTES_MAX),
        }
    }

    /// Which of the resources sent are refused, and why. A client that does not name them in a form to be read is
    /// searched for their names, since Envoy writes those into its message; if there is none, all are refused.
    pub(super) fn blame(&self, sent: &[Arc<str>]) -> BTreeMap<Arc<str>, Arc<str>> {
        let known: BTreeSet<&Arc<str>> = sent.iter().collect();
        let place = |name: &str| sent.get(name.strip_prefix('#')?.parse::<usize>().ok()?);
        let blamed = self.blamed.iter().filter_map(|refusal| {
            let name = known
                .get(&Arc::from(refusal.name.as_str()))
                .copied()
                .or_else(|| place(&refusal.name))?;
            Some((Arc::clone(name), Arc::from(refusal.reason.as_str())))
        });
        let blamed: BTreeMap<Arc<str>, Arc<str>> = blamed.collect();
        if !blamed.is_empty() {
            return blamed;
        }
        let reason: Arc<str> = cut(self.message.clone(), REASON_BYTES_MAX).into();
        let all = || sent.iter().map(|name| (Arc::clone(name), Arc::clone(&reason)));
        let named: BTreeMap<Arc<str>, Arc<str>> =
            all().filter(|(name, _)| names(&self.message, name)).collect();
        if named.is_empty() { all().collect() } else { named }
    }
}

impl Refused {
    /// The resources that the client blames in a form to be read.
    pub(super) fn into_named(self) -> BTreeMap<Arc<str>, Arc<str>> {
        let blamed = self.blamed.into_iter();
        blamed
            .map(|refusal| (refusal.name.into(), refusal.reason.into()))
            .collect()
    }
}

/// Whether a text holds a name, and not as a part of a longer one.
fn names(text: &str, name: &str) -> bool {
    let is_of_name =
        |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '/' | '|');
    name != WILDCARD
        && text.match_indices(name).any(|(start, _)| {
            // A sentence's end is no part of a name.
            let after = text[start + name.len()..].trim_start_matches('.').chars().next();
            !text[..start].ends_with(is_of_name) && !after.is_some_and(is_of_name)
        })
}

fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_searched_for_whole_names() {
        let text = "Error adding/updating cluster(s) shop-v2: bad, cart.";
        assert!(names(text, "shop-v2"));
        assert!(names(text, "cart"));
        assert!(!names(text, "shop"));
        assert!(!names(text, "v2"));
    }

    #[test]
    fn a_message_that_names_nothing_blames_everything() {
        let sent: [Arc<str>; 2] = ["a".into(), "b".into()];
        let refused = Refused {
            message: "no memory".into(),
            blamed: Vec::new(),
        };
        assert_eq!(refused.blame(&sent).len(), 2);
        let refused = Refused {
            message: "b is wrong".into(),
            blamed: Vec::new(),
        };
        assert_eq!(
            refused.blame(&sent),
            BTreeMap::from([("b".into(), "b is wrong".into())])
        );
    }

    #[test]
    fn details_name_resources_or_their_places() {
        let sent: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        let blamed = ["a", "#1", "#9", "other"].map(|name| Refusal {
            name: name.into(),
            reason: "wrong".into(),
        });
        let refused = Refused {
            message: "c".into(),
            blamed: blamed.to_vec(),
        };
        assert_eq!(
            refused
                .blame(&sent)
                .keys()
                .map(|name| &**name)
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
    }
}
