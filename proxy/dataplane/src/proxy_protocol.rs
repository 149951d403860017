//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): what a load balancer in front says of the
//! connection that it relays, and what this proxy says of one to an upstream.
//!
//! The codec is pure: bytes in, a decision out. It never reads past a header's last byte, and a header that is not
//! exactly one is refused, never guessed at.

mod accept;
mod version1;
mod version2;

#[cfg(test)]
mod tests;

pub(crate) use accept::{Fault, receive};

use bytes::Bytes;
use outrigger_config::model::{PassTlvs, ProxyProtocolVersion, UpstreamProxyProtocol};
use std::net::SocketAddr;

/// Bytes of a header at most, its signature included. A larger one is legal; no proxy sends one, and each connection
/// might make this process hold it.
pub(crate) const HEADER_BYTES_MAX: usize = 4096;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Header {
    /// Source and destination of the relayed connection. None: the connection speaks for itself (`UNKNOWN`, `LOCAL`, or
    /// a transport other than TCP over IP).
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
    /// Type-length-value fields, those about the header itself (checksum, padding) left out.
    pub(crate) tlvs: Vec<Tlv>,
}

/// A type-length-value field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tlv {
    pub(crate) kind: u8,
    pub(crate) value: Bytes,
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// The beginning of a header; more must be seen.
    Partial,
    /// No header begins like this.
    Absent,
    /// A header of this many bytes.
    Header { bytes: usize, header: Header },
    /// A header begins, and it is wrong.
    Malformed(&'static str),
}

/// Reads the first bytes of a connection. What it says of bytes never changes when more come behind them, but for
/// [`Decoded::Partial`].
pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    if begins(bytes, version2::SIGNATURE) {
        return version2::decode(bytes);
    }
    if begins(bytes, version1::SIGNATURE) {
        return version1::decode(bytes);
    }
    Decoded::Absent
}

/// True if `bytes` begin with `signature`, or may yet do so.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let shared = bytes.len().min(signature.len());
    bytes[..shared] == signature[..shared]
}

/// The header that an upstream connection begins with.
///
/// Version 1 knows no fields, and says `UNKNOWN` where the families of the two addresses differ.
pub(crate) fn encode(
    settings: &UpstreamProxyProtocol,
    source: SocketAddr,
    destination: SocketAddr,
    tlvs: &[Tlv],
) -> Bytes {
    let (source, destination) = one_family(source, destination);
    match settings.version() {
        ProxyProtocolVersion::V1 => version1::encode(source, destination),
        ProxyProtocolVersion::V2 => {
            let passed = tlvs.iter().filter(|tlv| passes(settings.pass_tlvs(), tlv.kind));
            version2::encode(source, destination, passed)
        }
    }
}

/// True if policy keeps fields of this type.
pub(crate) fn passes(policy: &PassTlvs, kind: u8) -> bool {
    match policy {
        PassTlvs::None => false,
        PassTlvs::All => true,
        PassTlvs::Listed(kinds) => kinds.contains(&kind),
    }
}

/// IPv4 addresses in IPv6's clothes are undressed if both are, and a lone IPv4 address dressed otherwise, so that both
/// are of one family.
fn one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (plain(source), plain(destination));
    let mapped = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        v6 => v6,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}
