//! Version 2: binary, with type-length-value fields.

use super::{Decoded, HEADER_BYTES_MAX, Header, Tlv};
use bytes::{BufMut, Bytes, BytesMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How it begins.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED_BYTES: usize = 16;

/// A checksum of the whole header, itself taken as zero (`PP2_TYPE_CRC32C`).
const CRC32C: u8 = 0x03;

/// Padding (`PP2_TYPE_NOOP`).
const NOOP: u8 = 0x04;

const VERSION_AND_LOCAL: u8 = 0x20;
const VERSION_AND_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Bytes of the two addresses and ports.
const IPV4_BYTES: usize = 12;
const IPV6_BYTES: usize = 36;
/// Those of two Unix addresses.
const UNIX_BYTES: usize = 216;

/// Reads a header of which the signature is there as far as it is.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    if let Some(&command) = bytes.get(12)
        && !matches!(command, VERSION_AND_LOCAL | VERSION_AND_PROXY)
    {
        return Decoded::Malformed("the version is not 2, or the command is unknown");
    }
    if let Some(&family) = bytes.get(13)
        && (family >> 4 > 3 || family & 0xf > 2)
    {
        return Decoded::Malformed("the address family or transport is unknown");
    }
    if bytes.len() < FIXED_BYTES {
        return Decoded::Partial;
    }
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let total = FIXED_BYTES + length;
    if total > HEADER_BYTES_MAX {
        return Decoded::Malformed("the header is too long");
    }
    if bytes.len() < total {
        return Decoded::Partial;
    }
    match header(&bytes[..total]) {
        Ok(header) => Decoded::Header { bytes: total, header },
        Err(fault) => Decoded::Malformed(fault),
    }
}

fn header(bytes: &[u8]) -> Result<Header, &'static str> {
    let is_local = bytes[12] == VERSION_AND_LOCAL;
    let body = &bytes[FIXED_BYTES..];
    let address_bytes = match bytes[13] >> 4 {
        0 => 0,
        1 => IPV4_BYTES,
        2 => IPV6_BYTES,
        _ => UNIX_BYTES,
    };
    let Some((addresses, fields)) = body.split_at_checked(address_bytes) else {
        // A health check of the sender's own need not say anything.
        return match is_local {
            true => Ok(Header::default()),
            false => Err("the addresses are cut off"),
        };
    };
    let addresses = match bytes[13] {
        _ if is_local => None,
        TCP_OVER_IPV4 => Some(ipv4(addresses)),
        TCP_OVER_IPV6 => Some(ipv6(addresses)),
        _ => None,
    };
    let tlvs = tlvs(fields, fields.as_ptr() as usize - bytes.as_ptr() as usize, bytes)?;
    Ok(Header { addresses, tlvs })
}

fn ipv4(bytes: &[u8]) -> (SocketAddr, SocketAddr) {
    let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    (
        SocketAddr::new(IpAddr::V4(address(0)), port(8)),
        SocketAddr::new(IpAddr::V4(address(4)), port(10)),
    )
}

fn ipv6(bytes: &[u8]) -> (SocketAddr, SocketAddr) {
    let address = |at: usize| {
        let octets: [u8; 16] = bytes[at..at + 16].try_into().expect("16 bytes are 16 bytes");
        Ipv6Addr::from(octets)
    };
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    (
        SocketAddr::new(IpAddr::V6(address(0)), port(32)),
        SocketAddr::new(IpAddr::V6(address(16)), port(34)),
    )
}

/// The fields, which begin at `offset` in the whole header. A checksum is verified here.
fn tlvs(mut fields: &[u8], mut offset: usize, whole: &[u8]) -> Result<Vec<Tlv>, &'static str> {
    let mut tlvs = Vec::new();
    while !fields.is_empty() {
        let &[kind, high, low, ref rest @ ..] = fields else {
            return Err("a field is cut off");
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((value, rest)) = rest.split_at_checked(length) else {
            return Err("a field is cut off");
        };
        match kind {
            CRC32C => {
                let sent = <[u8; 4]>::try_from(value).map_err(|_| "the checksum has not four bytes")?;
                let at = offset + 3;
                let zeroed = [&whole[..at], &[0; 4], &whole[at + 4..]].concat();
                if u32::from_be_bytes(sent) != crc32c(&zeroed) {
                    return Err("the checksum does not fit");
                }
            }
            NOOP => {}
            _ => tlvs.push(Tlv {
                kind,
                value: Bytes::copy_from_slice(value),
            }),
        }
        fields = rest;
        offset += 3 + length;
    }
    Ok(tlvs)
}

/// CRC-32C (Castagnoli, RFC 3720 section 12.1), bit by bit: headers are short, and few carry one.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut sum = u32::MAX;
    for &byte in bytes {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    !sum
}

/// A header for these addresses, which are of one family. Fields for which there is no room are left out.
pub(super) fn encode<'t>(
    source: SocketAddr,
    destination: SocketAddr,
    tlvs: impl Iterator<Item = &'t Tlv>,
) -> Bytes {
    let mut body = BytesMut::with_capacity(64);
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            body.put_slice(&source.octets());
            body.put_slice(&destination.octets());
            TCP_OVER_IPV4
        }
        (source, destination) => {
            body.put_slice(&as_ipv6(source).octets());
            body.put_slice(&as_ipv6(destination).octets());
            TCP_OVER_IPV6
        }
    };
    body.put_u16(source.port());
    body.put_u16(destination.port());
    for tlv in tlvs {
        if FIXED_BYTES + body.len() + 3 + tlv.value.len() > HEADER_BYTES_MAX {
            tracing::debug!(kind = tlv.kind, "no room for a field in a PROXY protocol header");
            continue;
        }
        body.put_u8(tlv.kind);
        body.put_u16(u16::try_from(tlv.value.len()).expect("a header is less than 64 KiB"));
        body.put_slice(&tlv.value);
    }
    let mut header = BytesMut::with_capacity(FIXED_BYTES + body.len());
    header.put_slice(SIGNATURE);
    header.put_u8(VERSION_AND_PROXY);
    header.put_u8(family);
    header.put_u16(u16::try_from(body.len()).expect("a header is less than 64 KiB"));
    header.put_slice(&body);
    header.freeze()
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}
