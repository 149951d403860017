//! What the process may hold.

use super::reader::{Fields, Reader, is_off, scalar_of};
use super::scalar;
use super::shapes::OVERLOAD;
use crate::model::{MemoryLimit, Overload};

/// Limits of bytes below this would be reached at once.
const BYTES_MIN: u64 = 1024 * 1024;

/// The document's `overload`.
pub(super) fn overload(reader: &mut Reader<'_>, document: &Fields<'_>) -> Overload {
    let mut overload = Overload::default();
    let node = document.node(reader, "overload");
    let Some(fields) = node.and_then(|node| reader.fields(node, &OVERLOAD)) else {
        return overload;
    };
    overload.connections_max = fields.integer32_or_off(reader, "connections_max").map(u64::from);
    overload.requests_max = fields.integer32_or_off(reader, "requests_max").map(u64::from);
    overload.buffered_bytes_max = bytes(reader, &fields, "buffered_bytes_max", "a size or `off`");
    overload.memory_max = memory_max(reader, &fields);
    overload.interval = fields.duration(reader, "interval").unwrap_or(overload.interval);
    for (name, pressure) in [
        ("stop_keepalive", &mut overload.stop_keepalive),
        ("refuse_requests", &mut overload.refuse_requests),
        ("refuse_all", &mut overload.refuse_all),
        ("refuse_connections", &mut overload.refuse_connections),
    ] {
        *pressure = fields.integer32(reader, name).unwrap_or(*pressure);
    }
    let order = [
        ("stop_keepalive", overload.stop_keepalive),
        ("refuse_requests", overload.refuse_requests),
        ("refuse_all", overload.refuse_all),
    ];
    for pair in order.windows(2) {
        let ((first, lower), (second, higher)) = (pair[0], pair[1]);
        if lower > higher {
            let message = format!("`{first}` is {lower}, above `{second}`, {higher}");
            let name = if fields.entry(first).is_some() {
                first
            } else {
                second
            };
            reader.fault(fields.span_of(name), message);
        }
    }
    overload
}

fn memory_max(reader: &mut Reader<'_>, fields: &Fields<'_>) -> MemoryLimit {
    let is_cgroup = fields
        .entry("memory_max")
        .is_none_or(|entry| scalar_of(&entry.value).is_some_and(|scalar| scalar.text == "cgroup"));
    if is_cgroup {
        return MemoryLimit::Cgroup;
    }
    let limit = bytes(reader, fields, "memory_max", "a size, `cgroup` or `off`");
    limit.map_or(MemoryLimit::Off, MemoryLimit::Bytes)
}

/// None: off, or not given.
fn bytes(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, expected: &str) -> Option<u64> {
    let node = fields.node(reader, name).filter(|node| !is_off(node))?;
    reader.parse(node, expected, |text| match scalar::size(text)? {
        bytes if (BYTES_MIN..=i64::MAX as u64).contains(&bytes) => Ok(bytes),
        _ => scalar::problem("expected 1MiB or more"),
    })
}
