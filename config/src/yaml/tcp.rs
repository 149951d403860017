//! How a filter chain passes bytes on.

use super::reader::Reader;
use super::shapes::TCP;
use super::tree::Node;
use super::{access_log, rate_limit, targets};
use crate::model::{TcpProxy, defaults};

pub(super) fn proxy(reader: &mut Reader<'_>, node: &Node) -> Option<TcpProxy> {
    let fields = reader.fields(node, &TCP)?;
    Some(TcpProxy {
        clusters: targets::targets(reader, &fields),
        idle_timeout: fields
            .duration_or_off(reader, "idle_timeout")
            .unwrap_or(Some(defaults::TCP_IDLE_TIMEOUT)),
        connection_duration_max: fields
            .duration_or_off(reader, "connection_duration_max")
            .flatten(),
        connect_attempts_max: fields
            .integer32(reader, "connect_attempts_max")
            .unwrap_or(defaults::TCP_CONNECT_ATTEMPTS_MAX),
        access_logs: access_log::access_logs(reader, &fields),
        rate_limits: rate_limit::references(reader, &fields),
        hash_source_address: fields.boolean(reader, "hash_source_address").unwrap_or(false),
    })
}
