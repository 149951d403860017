//! The same bytes for the same message, always.
//!
//! Maps of the generated types have an order of their own each time; here their entries are sorted by key. Only what this
//! crate writes is known: where maps stand in which messages.

use envoy_types::pb::google::protobuf::Any;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use prost::{Message, Name};

/// Where maps stand within a message.
#[derive(Debug)]
struct Shape {
    /// Fields that are maps, with the shape of their values.
    maps: &'static [(u32, &'static Shape)],
    /// Fields that are messages with maps in them.
    messages: &'static [(u32, &'static Shape)],
}

/// A message without maps.
static LEAF: Shape = Shape {
    maps: &[],
    messages: &[],
};
/// `google.protobuf.Any`: what is in it was put there in order.
static ANY: Shape = Shape {
    maps: &[],
    messages: &[],
};
static STRUCT: Shape = Shape {
    maps: &[(1, &VALUE)],
    messages: &[],
};
static VALUE: Shape = Shape {
    maps: &[],
    messages: &[(5, &STRUCT), (6, &LIST)],
};
static LIST: Shape = Shape {
    maps: &[],
    messages: &[(1, &VALUE)],
};
static METADATA: Shape = Shape {
    maps: &[(1, &STRUCT), (2, &ANY)],
    messages: &[],
};
static RUNTIME: Shape = Shape {
    maps: &[],
    messages: &[(2, &STRUCT)],
};
static ENDPOINTS: Shape = Shape {
    maps: &[],
    messages: &[(2, &LOCALITY)],
};
static LOCALITY: Shape = Shape {
    maps: &[],
    messages: &[(2, &ENDPOINT), (9, &METADATA)],
};
static ENDPOINT: Shape = Shape {
    maps: &[],
    messages: &[(3, &METADATA)],
};
static CLUSTER: Shape = Shape {
    maps: &[(36, &ANY)],
    messages: &[(22, &SUBSETS), (25, &METADATA), (33, &ENDPOINTS)],
};
static SUBSETS: Shape = Shape {
    maps: &[],
    messages: &[(2, &STRUCT)],
};

static ROUTE_CONFIGURATION: Shape = Shape {
    maps: &[(16, &ANY)],
    messages: &[(2, &VIRTUAL_HOST), (17, &METADATA)],
};
static VIRTUAL_HOST: Shape = Shape {
    maps: &[(15, &ANY)],
    messages: &[(3, &ROUTE), (24, &METADATA)],
};
static ROUTE: Shape = Shape {
    maps: &[(13, &ANY)],
    messages: &[(2, &ROUTE_ACTION), (4, &METADATA)],
};
static ROUTE_ACTION: Shape = Shape {
    maps: &[],
    messages: &[(3, &WEIGHTED_CLUSTERS), (4, &METADATA)],
};
static WEIGHTED_CLUSTERS: Shape = Shape {
    maps: &[],
    messages: &[(1, &CLUSTER_WEIGHT)],
};
static CLUSTER_WEIGHT: Shape = Shape {
    maps: &[(10, &ANY)],
    messages: &[(3, &METADATA)],
};
static LISTENER: Shape = Shape {
    maps: &[],
    messages: &[(3, &FILTER_CHAIN), (6, &METADATA), (25, &FILTER_CHAIN)],
};
static FILTER_CHAIN: Shape = Shape {
    maps: &[],
    messages: &[(5, &METADATA)],
};
/// `envoy.config.rbac.v3.RBAC`.
static RULES: Shape = Shape {
    maps: &[(2, &LEAF)],
    messages: &[],
};
/// The filters of requests and of connections.
static RBAC: Shape = Shape {
    maps: &[],
    messages: &[(1, &RULES), (2, &RULES)],
};
static RBAC_PER_ROUTE: Shape = Shape {
    maps: &[],
    messages: &[(2, &RBAC)],
};
static JWT_AUTHENTICATION: Shape = Shape {
    maps: &[(1, &LEAF), (5, &LEAF)],
    messages: &[],
};
static EXT_AUTHZ_PER_ROUTE: Shape = Shape {
    maps: &[],
    messages: &[(2, &CHECK_SETTINGS)],
};
static CHECK_SETTINGS: Shape = Shape {
    maps: &[(1, &LEAF)],
    messages: &[],
};
static TCP_PROXY: Shape = Shape {
    maps: &[],
    messages: &[(9, &METADATA), (10, &WEIGHTED)],
};
static WEIGHTED: Shape = Shape {
    maps: &[],
    messages: &[(1, &WEIGHT)],
};
static WEIGHT: Shape = Shape {
    maps: &[],
    messages: &[(3, &METADATA)],
};
static FILE_ACCESS_LOG: Shape = Shape {
    maps: &[],
    messages: &[(5, &LOG_FORMAT)],
};
static STREAM_ACCESS_LOG: Shape = Shape {
    maps: &[],
    messages: &[(1, &LOG_FORMAT)],
};
static LOG_FORMAT: Shape = Shape {
    maps: &[],
    messages: &[(2, &STRUCT)],
};

fn shape_of(full_name: &str) -> &'static Shape {
    match full_name {
        "google.protobuf.Struct" => &STRUCT,
        "envoy.config.core.v3.Metadata" => &METADATA,
        "envoy.config.cluster.v3.Cluster" => &CLUSTER,
        "envoy.config.route.v3.RouteConfiguration" => &ROUTE_CONFIGURATION,
        "envoy.config.endpoint.v3.ClusterLoadAssignment" => &ENDPOINTS,
        "envoy.service.runtime.v3.Runtime" => &RUNTIME,
        "envoy.config.listener.v3.Listener" => &LISTENER,
        "envoy.extensions.filters.http.rbac.v3.RBAC" | "envoy.extensions.filters.network.rbac.v3.RBAC" => {
            &RBAC
        }
        "envoy.extensions.filters.http.rbac.v3.RBACPerRoute" => &RBAC_PER_ROUTE,
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" => &JWT_AUTHENTICATION,
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute" => &EXT_AUTHZ_PER_ROUTE,
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => &TCP_PROXY,
        "envoy.extensions.access_loggers.file.v3.FileAccessLog" => &FILE_ACCESS_LOG,
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
        | "envoy.extensions.access_loggers.stream.v3.StderrAccessLog" => &STREAM_ACCESS_LOG,
        _ => &LEAF,
    }
}

/// The bytes of a message, its maps in order.
pub(crate) fn encode<T: Message + Name>(message: &T) -> Vec<u8> {
    sorted(&message.encode_to_vec(), shape_of(&T::full_name()))
}

/// A message with its type, its maps in order.
pub(crate) fn any<T: Message + Name>(message: &T) -> Any {
    Any {
        type_url: crate::decode::type_url::<T>(),
        value: encode(message),
    }
}

fn sorted(bytes: &[u8], shape: &Shape) -> Vec<u8> {
    if shape.maps.is_empty() && shape.messages.is_empty() {
        return bytes.to_vec();
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut entries: Vec<(u32, Vec<u8>, Vec<u8>)> = Vec::new();
    for (tag, field) in fields(bytes) {
        let of = |shapes: &'static [(u32, &'static Shape)]| {
            shapes
                .iter()
                .find(|(number, _)| *number == tag)
                .map(|(_, shape)| *shape)
        };
        if let Some(inner) = of(shape.maps) {
            let entry = payload(field);
            let key = fields(entry)
                .find(|(tag, _)| *tag == 1)
                .map(|(_, key)| key.to_vec());
            entries.push((tag, key.unwrap_or_default(), map_entry(entry, inner)));
        } else if let Some(inner) = of(shape.messages) {
            put(&mut out, tag, &sorted(payload(field), inner));
        } else {
            out.extend_from_slice(field);
        }
    }
    entries.sort();
    for (tag, _, entry) in entries {
        put(&mut out, tag, &entry);
    }
    out
}

/// A map's entry, its value in order.
fn map_entry(entry: &[u8], value: &Shape) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry.len());
    for (tag, field) in fields(entry) {
        match tag {
            2 => put(&mut out, tag, &sorted(payload(field), value)),
            _ => out.extend_from_slice(field),
        }
    }
    out
}

fn put(out: &mut Vec<u8>, tag: u32, payload: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// The fields of a message: number, and bytes with the key.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let whole = bytes;
        let (tag, wire) = decode_key(&mut bytes).ok()?;
        skip_field(wire, tag, &mut bytes, DecodeContext::default()).ok()?;
        Some((tag, &whole[..whole.len() - bytes.len()]))
    })
}

/// What is in a field of a length.
fn payload(mut field: &[u8]) -> &[u8] {
    let read = decode_key(&mut field).and_then(|_| decode_varint(&mut field));
    debug_assert!(read.is_ok(), "the field was read before");
    field
}

#[cfg(test)]
mod tests;
