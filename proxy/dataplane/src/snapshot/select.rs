//! Which filter chain takes a connection.

use super::{ChainPolicy, ChainSlot, Detection, ListenerPolicy, Snapshot};
use ipnet::IpNet;
use outrigger_config::model::{ChainMode, FilterChainMatch, ServerNameMatch, Transport, defaults};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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
    /// How long the first bytes are waited for before a chain is picked; none: they are not needed.
    ///
    /// What the listener asks of them does not matter to a connection whose destination singles out chains that take
    /// bytes of any kind. Else the shortest `detection_timeout` of the chains that it may come to says how long a
    /// client may be silent that waits for its server.
    pub(crate) fn patience(&self, snapshot: &Snapshot, destination: SocketAddr) -> Option<Duration> {
        if self.detection == Detection::Nothing {
            return None;
        }
        let mut nearest = (false, 0);
        let mut asks_nothing = true;
        let mut patience = defaults::TLS_HANDSHAKE_TIMEOUT;
        for chain in self.chains.iter().filter_map(|&slot| snapshot.chain(slot)) {
            let Some(near) = nearness(chain.config.matches(), destination) else {
                continue;
            };
            if let ChainMode::Auto(auto) = chain.config.mode() {
                patience = patience.min(auto.detection_timeout());
            }
            // Its client may wait for its server; one that would speak TLS has no longer.
            if let Some(tls) = chain.tls.as_ref().filter(|_| chain.is_permissive()) {
                patience = patience.min(tls.settings.handshake_timeout());
            }
            if near < nearest {
                continue;
            }
            asks_nothing = (near > nearest || asks_nothing) && takes_anything(chain);
            nearest = near;
        }
        (nearest == (false, 0) || !asks_nothing).then_some(patience)
    }

    /// How long a ClientHello may take that is read before a chain is picked: the longest that one of them allows. None
    /// if no chain terminates TLS.
    pub(crate) fn hello_timeout(&self, snapshot: &Snapshot) -> Option<Duration> {
        let chains = self.chains.iter().filter_map(|&slot| snapshot.chain(slot));
        chains
            .filter_map(|chain| Some(chain.tls.as_ref()?.settings.handshake_timeout()))
            .max()
    }

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
                Transport::Raw => chain.tls.is_none() || chain.is_permissive(),
                // Without TLS of its own, a chain that passes bytes on passes TLS on.
                Transport::Tls => chain.tls.is_some() || chain.tcp.is_some(),
            };
            if !takes {
                continue;
            }
            let specificity = Specificity {
                own: chain.tls.is_some() == (facts.transport == Transport::Tls),
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
    /// The last word: of two that match alike, the one that terminates TLS takes a TLS connection, and the one without
    /// any takes plain text.
    own: bool,
}

/// True if the chain takes every connection to its destination, whatever its first bytes say.
fn takes_anything(chain: &ChainPolicy) -> bool {
    let matches = chain.config.matches();
    chain.tls.is_none()
        && chain.tcp.is_some()
        && matches.transport().is_none()
        && matches.server_names().is_empty()
        && matches.application_protocols().is_empty()
        && matches.source_prefixes().is_empty()
}

/// How closely a chain's destination is the connection's: by port, then by prefix; none if it is another.
fn nearness(matches: &FilterChainMatch, destination: SocketAddr) -> Option<(bool, u16)> {
    let destination_port = match matches.destination_port() {
        Some(port) if port == destination.port() => true,
        Some(_) => return None,
        None => false,
    };
    let prefix = longest_prefix(matches.destination_prefixes(), destination.ip())?;
    Some((destination_port, prefix))
}

fn specificity(matches: &FilterChainMatch, facts: &ConnectionFacts<'_>) -> Option<Specificity> {
    let (destination_port, destination_prefix) = nearness(matches, facts.destination)?;
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
        own: false,
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

#[cfg(test)]
mod tests;
