//! Version 1: one line of text.

use super::{Decoded, Header};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How it begins.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line with its end (`proxy-protocol.txt` section 2.1).
const LINE_BYTES_MAX: usize = 107;

/// Reads a line of which the signature is there as far as it is.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let searched = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = searched.iter().position(|&byte| byte == b'\n') else {
        return if bytes.len() >= LINE_BYTES_MAX {
            Decoded::Malformed("the line is too long")
        } else {
            Decoded::Partial
        };
    };
    let Some(line) = bytes[SIGNATURE.len()..end].strip_suffix(b"\r") else {
        return Decoded::Malformed("the line does not end with CR LF");
    };
    match addresses(line) {
        Ok(addresses) => Decoded::Header {
            bytes: end + 1,
            header: Header {
                addresses,
                tlvs: Vec::new(),
            },
        },
        Err(fault) => Decoded::Malformed(fault),
    }
}

fn addresses(line: &[u8]) -> Result<Option<(SocketAddr, SocketAddr)>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is not ASCII")?;
    let mut words = line.split(' ');
    let family = match words.next() {
        // What follows says nothing, and is not looked at.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => parse_v4 as fn(&str) -> Option<IpAddr>,
        Some("TCP6") => parse_v6,
        _ => return Err("the protocol is none of TCP4, TCP6 and UNKNOWN"),
    };
    let mut address = || words.next().and_then(family).ok_or("an address is wrong");
    let (source, destination) = (address()?, address()?);
    let mut port = || words.next().and_then(parse_port).ok_or("a port is wrong");
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err("more follows the ports");
    }
    Ok(Some((
        SocketAddr::new(source, source_port),
        SocketAddr::new(destination, destination_port),
    )))
}

fn parse_v4(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn parse_v6(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Digits only, no leading zero: `+80` and `080` are refused.
fn parse_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// A line for these addresses, which are of one family.
pub(super) fn encode(source: SocketAddr, destination: SocketAddr) -> Bytes {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let line = format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
    Bytes::from(line)
}
