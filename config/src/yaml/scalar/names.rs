//! Names in certificates, SPIFFE ids, trust domains, DNS names; and base64.

use super::{Problem, is_host, problem, problem_with_help, shortened};
use crate::model::{ServerNameMatch, SpiffeFault, SpiffeId, TrustDomain};
use std::net::IpAddr;

pub(crate) fn spiffe_id(text: &str) -> Result<SpiffeId, Problem> {
    text.parse().map_err(|fault: SpiffeFault| Problem {
        message: format!("`{}` is not a SPIFFE id: {fault}", shortened(text)),
        help: Some("such as `spiffe://example.org/ns/prod/sa/api`".to_owned()),
    })
}

/// The id of a workload: by the X.509-SVID standard (section 4.1), one with a path.
pub(crate) fn workload_id(text: &str) -> Result<SpiffeId, Problem> {
    match spiffe_id(text)? {
        id if id.path().is_empty() => problem_with_help(
            format!("`{id}` names no workload: it has no path"),
            format!("write `trust_domain: {}` for all of them", id.trust_domain()),
        ),
        id => Ok(id),
    }
}

pub(crate) fn trust_domain(text: &str) -> Result<TrustDomain, Problem> {
    text.parse().map_err(|fault: SpiffeFault| {
        let message = format!("`{}` is not a trust domain: {fault}", shortened(text));
        let name = text.strip_prefix("spiffe://").unwrap_or(text);
        let name = name.split('/').next().unwrap_or_default().to_ascii_lowercase();
        let help = match name.parse::<TrustDomain>() {
            Ok(name) => format!("write `{name}`"),
            Err(_) => "such as `example.org`".to_owned(),
        };
        Problem {
            message,
            help: Some(help),
        }
    })
}

/// A DNS name that a certificate must hold.
pub(crate) fn dns_name_match(text: &str) -> Result<ServerNameMatch, Problem> {
    let lower = text.to_ascii_lowercase();
    let message = format!("`{}` is not a DNS name", shortened(text));
    if lower.parse::<IpAddr>().is_ok() || lower.starts_with('[') {
        return problem_with_help(message, "addresses in certificates are not matched");
    }
    match lower.strip_prefix("*.") {
        Some(rest) if is_host(rest) => Ok(ServerNameMatch::Suffix(lower[1..].to_owned())),
        None if is_host(&lower) => Ok(ServerNameMatch::Exact(lower)),
        _ => problem_with_help(message, "such as `a.example` or `*.a.example`"),
    }
}

/// Base64 of RFC 4648, section 4, with its padding; white space, which line breaks leave, is skipped.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>, Problem> {
    let refused = || problem("expected base64");
    let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let padding = letters.iter().rev().take_while(|byte| **byte == b'=').count();
    if letters.is_empty() || !letters.len().is_multiple_of(4) || padding > 2 {
        return refused();
    }
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3);
    let mut held = 0u32;
    for (index, letter) in letters[..letters.len() - padding].iter().enumerate() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return refused(),
        };
        held = (held << 6) | u32::from(value);
        // Every letter but the first of four ends a byte.
        if index % 4 > 0 {
            let rest = 6 - 2 * (index as u32 % 4);
            bytes.push((held >> rest) as u8);
        }
    }
    Ok(bytes)
}

/// Bytes in base64, with padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let held = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            match index <= chunk.len() {
                true => text.push(char::from(LETTERS[(held >> (18 - 6 * index)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}
