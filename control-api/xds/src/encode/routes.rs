//! Route configurations.

mod action;
mod forward;
mod header_edits;
mod path;
mod retry;
mod route_match;
mod session;
mod virtual_host;

use super::filters::Carrying;
use super::{Encoding, Remainder, canonical};
use envoy_types::pb::envoy::config::route::v3 as pb;
use outrigger_config::MeshConfig;
use outrigger_config::model::{JwtRequirement, Name, RouteConfiguration};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Puts all route configurations on the wire.
pub(super) fn encode(encoding: &mut Encoding<'_>) {
    let config = encoding.config;
    let route_configurations = std::mem::take(&mut encoding.route_configurations);
    for (index, part) in route_configurations.iter().enumerate() {
        let EncodedRoutes { message, only_ours } =
            route_configuration(config, part, &encoding.document, index);
        let name = part.name().to_string();
        encoding.note(
            &format!("route configuration {name}"),
            only_ours.iter().map(String::as_str),
        );
        let body = canonical::encode(&message);
        encoding.encoded.route_configurations.push((name, body));
    }
}

/// A route configuration of the wire, with what others do not obey in it.
#[derive(Debug, Clone)]
pub(crate) struct EncodedRoutes {
    pub(crate) message: pb::RouteConfiguration,
    /// Fields of the document: `virtual_hosts[0].routes[2].forward.session_cookie`.
    pub(crate) only_ours: Vec<String>,
}

/// The message of a route configuration. `document` is the whole configuration as JSON ([`outrigger_config::to_json`]),
/// which has this one at `index`.
pub(crate) fn route_configuration(
    config: &MeshConfig,
    part: &RouteConfiguration,
    document: &Json,
    index: usize,
) -> EncodedRoutes {
    let json = &document["route_configurations"][index];
    let mut carrying = Carrying::new(config, document);
    let mut only_ours = Vec::new();
    let hosts = part.virtual_hosts().iter().enumerate();
    let virtual_hosts = hosts
        .map(|(index, host)| {
            let mut ours = Vec::new();
            let json = &json["virtual_hosts"][index];
            let message = virtual_host::virtual_host(&mut carrying, host, json, &mut ours);
            only_ours.extend(
                ours.into_iter()
                    .map(|field| format!("virtual_hosts[{index}].{field}")),
            );
            message
        })
        .collect();
    only_ours.append(&mut carrying.only_ours);
    let mut rest = Remainder::of(json!({}));
    carrying.put(&mut rest);
    // Envoy has them in the listener alone.
    let providers = named(&document["jwt_providers"], &References::of(part).providers);
    if !providers.is_empty() {
        rest.put("jwt_providers", Json::Object(providers));
    }
    EncodedRoutes {
        message: pb::RouteConfiguration {
            name: part.name().to_string(),
            virtual_hosts,
            ignore_port_in_host_matching: true,
            metadata: rest.into_metadata(None),
            ..pb::RouteConfiguration::default()
        },
        only_ours,
    }
}

/// Parts of these names in a list of the document, by name and without it.
fn named(list: &Json, names: &BTreeSet<&Name>) -> serde_json::Map<String, Json> {
    let mut parts = serde_json::Map::new();
    for part in list.as_array().into_iter().flatten() {
        let Json::Object(fields) = part else {
            continue;
        };
        let mut fields = fields.clone();
        let Some(Json::String(name)) = fields.remove("name") else {
            continue;
        };
        if names.iter().any(|wanted| wanted.as_str() == name) {
            parts.insert(name, Json::Object(fields));
        }
    }
    parts
}

/// What routes refer to.
#[derive(Default)]
struct References<'m> {
    providers: BTreeSet<&'m Name>,
}

impl<'m> References<'m> {
    fn of(part: &'m RouteConfiguration) -> References<'m> {
        let mut found = References::default();
        for route in part.virtual_hosts().iter().flat_map(|host| host.routes()) {
            if let Some(Some(requirement)) = route.jwt() {
                found.require(requirement);
            }
        }
        found
    }

    fn require(&mut self, requirement: &'m JwtRequirement) {
        match requirement {
            JwtRequirement::Provider(name) => drop(self.providers.insert(name)),
            JwtRequirement::AnyOf(parts) | JwtRequirement::AllOf(parts) => {
                parts.iter().for_each(|part| self.require(part));
            }
            JwtRequirement::AllowMissing | JwtRequirement::AllowMissingOrFailed => {}
        }
    }
}

#[cfg(test)]
mod tests;
