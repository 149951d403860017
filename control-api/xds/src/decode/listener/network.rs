//! Network filters that come before the one that ends a chain: policies and limits of connections.

use crate::decode::carried::{Carried, CarriedKind};
use crate::decode::filters::{self, bucket, per_second};
use crate::decode::{Refusals, read_as, type_url};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::RuntimeFeatureFlag;
use envoy_types::pb::envoy::extensions::filters::network::{
    connection_limit::v3::ConnectionLimit, local_ratelimit::v3::LocalRateLimit, rbac::v3::Rbac,
};
use envoy_types::pb::envoy::r#type::v3::TokenBucket;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::{Map, Path, Value};
use prost::Message as _;

pub(super) const MESSAGES: &[&Message] = &[&CONNECTION_LIMIT, &RATE_LIMIT];

message! {
    pub(super) CONNECTION_LIMIT, refuse_connection_limit: ConnectionLimit
        as "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit" {
        used: max_connections, runtime_enabled;
        refused: delay;
        ignored: stat_prefix = "metrics are labelled by the listener's name";
    }
}
message! {
    pub(super) RATE_LIMIT, refuse_rate_limit: LocalRateLimit
        as "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit" {
        used: stat_prefix, token_bucket, runtime_enabled, share_key;
        refused: ;
        ignored: ;
    }
}

/// The share key of the limit that is the listener's.
pub(crate) const OF_LISTENER: &str = "outrigger.connection_rate";

/// Policies and limits of a chain, by name.
#[derive(Default)]
pub(super) struct Names {
    pub(super) authorization: Vec<Value>,
    pub(super) rate_limits: Vec<Value>,
    pub(super) ends_in_http: bool,
}

/// What a chain's filters say that is the listener's here.
#[derive(Default)]
pub(super) struct Limits {
    connections: Option<(Path, u64)>,
    rate: Option<(Path, LocalRateLimit)>,
}

/// Reads a filter that does not end the chain.
pub(super) fn filter(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    any: &Any,
    (names, limits): (&mut Names, &mut Limits),
) {
    let url = any.type_url.as_str();
    if url == type_url::<Rbac>() {
        if let Some(filter) = read_as::<Rbac>(refusals, path, &any.value) {
            names
                .authorization
                .extend(filters::network_rbac(refusals, carried, path, &filter));
        }
    } else if url == type_url::<ConnectionLimit>() {
        let Some(filter) = read_as::<ConnectionLimit>(refusals, path, &any.value) else {
            return;
        };
        refuse_connection_limit(refusals, path, &filter);
        if is_enabled(refusals, path, filter.runtime_enabled.as_ref()) {
            let most = filter.max_connections.map_or(0, |most| most.value);
            limits.connections = Some((path.field("max_connections"), most));
        }
    } else if url == type_url::<LocalRateLimit>() {
        let Some(filter) = read_as::<LocalRateLimit>(refusals, path, &any.value) else {
            return;
        };
        refuse_rate_limit(refusals, path, &filter);
        if !is_enabled(refusals, path, filter.runtime_enabled.as_ref()) {
            return;
        }
        if filter.share_key == OF_LISTENER {
            limits.rate = Some((path.clone(), filter));
        } else {
            names
                .rate_limits
                .extend(connections(refusals, carried, path, &filter));
        }
    } else {
        refusals.fault(path, format!("{url} is not implemented"));
    }
}

fn is_enabled(refusals: &mut Refusals, path: &Path, flag: Option<&RuntimeFeatureFlag>) -> bool {
    flag.is_none_or(|flag| filters::is_enabled(refusals, &path.field("runtime_enabled"), flag))
}

/// The name of the rate limit that a filter is.
fn connections(
    refusals: &mut Refusals,
    carried: &mut Carried,
    path: &Path,
    filter: &LocalRateLimit,
) -> Option<Value> {
    let place = path.field("stat_prefix");
    let key = (CarriedKind::RateLimit, filter.stat_prefix.as_str());
    let name = carried.part(refusals, &place, key, filter.encode_to_vec(), |refusals, _| {
        let path = path.field("token_bucket");
        let Some(found) = &filter.token_bucket else {
            refusals.fault(&path, "it is missing");
            return None;
        };
        let limit = bucket(refusals, &path, found)?;
        let local = Map::new(&path).with("limit", limit.into());
        Some(Map::new(&path).with("local", local.into()))
    });
    Some(Value::text(&place, name))
}

/// Puts what all chains say alike into the listener.
pub(super) fn put_limits(refusals: &mut Refusals, map: &mut Map, chains: Vec<Limits>) {
    let several = chains.len() > 1;
    let mut rates: Vec<(Path, LocalRateLimit)> = Vec::new();
    let count = chains.len();
    for chain in chains {
        if let Some((path, most)) = chain.connections {
            match several {
                false => map.put("connections_max", Value::plain(&path, most)),
                true => {
                    let message = "a limit on the connections of one chain of several is not implemented";
                    refusals.fault(&path, message);
                }
            }
        }
        rates.extend(chain.rate);
    }
    let Some((path, first)) = rates.first() else {
        return;
    };
    if rates.len() != count || rates.iter().any(|(_, other)| other != first) {
        refusals.fault(path, "the listener's rate has to be the same in all chains");
    }
    let none = TokenBucket::default();
    let found = first.token_bucket.as_ref().unwrap_or(&none);
    let rate = per_second(refusals, &path.field("token_bucket"), found);
    map.put_some("connection_rate_max", rate.map(Value::from));
}
