//! Which filter chain takes a connection.

use super::{ChainSlot, ListenerPolicy, Snapshot};
use ipnet::IpNet;
use outrigger_config::model::{FilterChainMatch, ServerNameMatch, Transport};
use std::net::{IpAddr, SocketAddr};

/// What is known of a connection when its chain is picked.
#[derive(Debug)]
pub(crate) struct ConnectionFacts<'a> {
    /// Where the connection was meant for.
    pub(crate) destination: SocketAddr,
    pub(crate) source: IpAddr,
    pub(crate) transport: Transport,
    /// SNI, in lower case.
    pub(crate) server_name: Option<&'a str>,
    /// ALPN names that the client offers.
    pub(crate) application_protocols: &'a [Vec<u8>],
}

impl ListenerPolicy {
    /// The chain that takes this connection: of those that match, the most specific by destination port, then
    /// destination prefix, then server name, then transport, then ALPN, then source prefix (Envoy's order).
    pub(crate) fn select(&self, snapshot: &Snapshot, facts: &ConnectionFacts<'_>) -> Option<ChainSlot> {
        let mut best: Option<(Specificity, ChainSlot)> = None;
        for &slot in &self.chains {
            let Some(chain) = snapshot.chain(slot) else {
                continue;
            };
            let Some(specificity) = specificity(chain.config.matches(), facts) else {
                continue;
            };
            let takes = match facts.transport {
                Transport::Raw => chain.tls.is_none(),
                // Without TLS of its own, a chain that passes bytes on passes TLS on.
                Transport::Tls => chain.tls.is_some() || chain.tcp.is_some(),
            };
            if !takes {
                continue;
            }
            let specificity = Specificity {
                terminates: chain.tls.is_some(),
                ..specificity
            };
            if best.as_ref().is_none_or(|(other, _)| specificity > *other) {
                best = Some((specificity, slot));
            }
        }
        best.map(|(_, slot)| slot)
    }
}

/// Ordered by Envoy's precedence; larger is more specific.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    destination_port: bool,
    destination_prefix: u16,
    /// Length of the matched name; exact names count above any suffix.
    server_name: usize,
    transport: bool,
    application_protocol: bool,
    source_prefix: u16,
    /// The last word: of two that match alike, the one that terminates TLS takes a TLS connection.
    terminates: bool,
}

fn specificity(matches: &FilterChainMatch, facts: &ConnectionFacts<'_>) -> Option<Specificity> {
    let destination_port = match matches.destination_port() {
        Some(port) if port == facts.destination.port() => true,
        Some(_) => return None,
        None => false,
    };
    let destination_prefix = longest_prefix(matches.destination_prefixes(), facts.destination.ip())?;
    let server_name = match matches.server_names().as_slice() {
        [] => 0,
        names => names
            .iter()
            .filter_map(|name| server_name_length(name, facts.server_name?))
            .max()?,
    };
    let transport = match matches.transport() {
        Some(transport) if transport == facts.transport => true,
        Some(_) => return None,
        None => false,
    };
    let application_protocol = match matches.application_protocols().as_slice() {
        [] => false,
        names
            if names.iter().any(|name| {
                facts
                    .application_protocols
                    .iter()
                    .any(|offer| offer == name.as_bytes())
            }) =>
        {
            true
        }
        _ => return None,
    };
    let source_prefix = longest_prefix(matches.source_prefixes(), facts.source)?;
    Some(Specificity {
        destination_port,
        destination_prefix,
        server_name,
        transport,
        application_protocol,
        source_prefix,
        terminates: false,
    })
}

/// One more than the length of the longest prefix that holds the address; 0 if there are no prefixes, and none if none
/// of them does.
fn longest_prefix(prefixes: &[IpNet], address: IpAddr) -> Option<u16> {
    if prefixes.is_empty() {
        return Some(0);
    }
    prefixes
        .iter()
        .filter(|prefix| prefix.contains(&address))
        .map(|prefix| u16::from(prefix.prefix_len()) + 1)
        .max()
}

/// Above the length of any name, so that an exact match beats every suffix.
const EXACT_NAME: usize = 1 << 16;

fn server_name_length(matcher: &ServerNameMatch, name: &str) -> Option<usize> {
    match matcher {
        ServerNameMatch::Exact(exact) => (exact == name).then_some(EXACT_NAME + name.len()),
        ServerNameMatch::Suffix(suffix) => {
            (name.len() > suffix.len() && name.ends_with(suffix.as_str())).then_some(suffix.len())
        }
    }
}
