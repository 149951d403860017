//! Listeners and filter chains: what no connection ever comes to.

use super::Code;
use super::findings::{Findings, knows_identities, place};
use crate::model::{
    FilterChain, ForwardClientCertificateMode, Interception, Listener, Name, ProxyProtocolMode, TlsMode,
    defaults,
};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

/// Listeners on all addresses beside listeners on one, which the kernel prefers.
pub(super) fn covered(findings: &mut Findings<'_>) {
    let mut specific: HashMap<(u16, bool), (&Listener, usize)> = HashMap::new();
    for listener in &findings.config.listeners {
        findings.step();
        if listener.address.port() != 0 && !listener.address.ip().is_unspecified() {
            let of = (listener.address.port(), listener.address.is_ipv6());
            specific.entry(of).or_insert((listener, 0)).1 += 1;
        }
    }
    for listener in &findings.config.listeners {
        findings.step();
        let of = (listener.address.port(), listener.address.is_ipv6());
        if listener.address.ip().is_unspecified()
            && let Some((other, count)) = specific.get(&of)
        {
            let others = match count {
                1 => String::new(),
                more => format!(" (and {} more listeners take their addresses)", more - 1),
            };
            findings.remark(
                Code::ListenerCovered,
                place("listener", &listener.name, &listener.origin, "address"),
                format!(
                    "connections to {} come to the listener `{}`, not to this one{others}",
                    other.address, other.name
                ),
                "give one of them another port, or one listener filter chains with `destination_prefixes`",
            );
        }
    }
}

/// Limits of listeners above that of the process.
pub(super) fn limits(findings: &mut Findings<'_>) {
    let Some(process) = findings.config.overload.connections_max else {
        return;
    };
    for listener in &findings.config.listeners {
        findings.step();
        let own = listener.connections_max;
        if own != defaults::LISTENER_CONNECTIONS_MAX && own as u64 > process {
            findings.remark(
                Code::ListenerLimitNeverReached,
                place("listener", &listener.name, &listener.origin, "connections_max"),
                format!(
                    "{own} connections are never reached: the process takes {process} at most (`overload`)"
                ),
                "make it smaller than the limit of `overload`, or remove it",
            );
        }
    }
}

/// Filter chains that take no connection of their listener.
pub(super) fn chains(findings: &mut Findings<'_>) {
    for listener in &findings.config.listeners {
        if !takes_its_own(listener) {
            continue;
        }
        let (port, ip) = (listener.address.port(), listener.address.ip());
        let of_port = listener
            .filter_chains
            .iter()
            .find(|chain| takes_port(chain, port));
        for chain in &listener.filter_chains {
            findings.step();
            let never = never_matches(chain, port, ip).or_else(|| {
                let other = of_port.filter(|other| shadows(other, chain))?;
                Some((
                    "match",
                    format!(
                        "`{}`, which asks for the port, is more specific and takes every connection",
                        other.name
                    ),
                ))
            });
            if let Some((field, why)) = never {
                findings.remark(
                    Code::ChainNeverMatches,
                    place("filter chain", &chain.name, &chain.origin, field),
                    format!("the filter chain `{}` of the listener `{}` takes no connection: {why}", chain.name, listener.name),
                    "change its `match`, or say by `interception` how connections for other destinations come here",
                );
            }
        }
    }
}

/// What a connection was meant for is told neither by the kernel nor by a header: it is this listener.
fn takes_its_own(listener: &Listener) -> bool {
    listener.interception == Interception::Off
        && listener.proxy_protocol.mode == ProxyProtocolMode::Off
        && listener.address.port() != 0
}

fn never_matches(chain: &FilterChain, port: u16, ip: IpAddr) -> Option<(&'static str, String)> {
    let matches = &chain.matches;
    let reached = |prefix: &IpNet| match ip.is_unspecified() {
        true => same_family(prefix, ip),
        false => prefix.contains(&ip),
    };
    if let Some(other) = matches.destination_port.filter(|other| *other != port) {
        Some((
            "match.destination_port",
            format!("it asks for the port {other}, and the listener has {port}"),
        ))
    } else if !matches.destination_prefixes.is_empty() && !matches.destination_prefixes.iter().any(reached) {
        Some((
            "match.destination_prefixes",
            format!("the listener's address {ip} is in none of its prefixes"),
        ))
    } else if !matches.source_prefixes.is_empty()
        && !matches
            .source_prefixes
            .iter()
            .any(|prefix| same_family(prefix, ip))
    {
        Some((
            "match.source_prefixes",
            format!("clients of {ip} have addresses of the other family"),
        ))
    } else {
        None
    }
}

fn same_family(prefix: &IpNet, ip: IpAddr) -> bool {
    matches!(
        (prefix, ip),
        (IpNet::V4(_), IpAddr::V4(_)) | (IpNet::V6(_), IpAddr::V6(_))
    )
}

/// Asks for the listener's port and for nothing else.
fn takes_port(chain: &FilterChain, port: u16) -> bool {
    let matches = &chain.matches;
    matches.destination_port == Some(port)
        && matches.destination_prefixes.is_empty()
        && matches.source_prefixes.is_empty()
        && matches.server_names.is_empty()
        && matches.application_protocols.is_empty()
        && matches.transport.is_none()
}

/// `other` asks for the port, this one does not, and `other` takes all transports that this one takes.
fn shadows(other: &FilterChain, chain: &FilterChain) -> bool {
    let raw = |chain: &FilterChain| {
        chain
            .tls
            .as_ref()
            .is_none_or(|tls| tls.mode == TlsMode::Permissive)
    };
    let tls = |chain: &FilterChain| chain.tls.is_some() || chain.mode.tcp().is_some();
    chain.matches.destination_port.is_none() && (raw(other) || !raw(chain)) && (tls(other) || !tls(chain))
}

/// What asks for the verified identity of clients where nobody asks for a certificate.
pub(super) fn certificates(findings: &mut Findings<'_>) {
    use ForwardClientCertificateMode as Mode;
    for (_, chain) in findings.chains() {
        findings.step();
        let Some(http) = chain.mode.http().filter(|_| !knows_identities(chain)) else {
            continue;
        };
        if matches!(
            http.forward_client_certificate.mode,
            Mode::ForwardOnly | Mode::AppendForward | Mode::SanitizeSet
        ) {
            findings.remark(
                Code::ClientCertificateNeverKnown,
                place(
                    "filter chain",
                    &chain.name,
                    &chain.origin,
                    "http.forward_client_certificate",
                ),
                "`x-forwarded-client-cert` is always taken off: clients are not asked for a certificate"
                    .to_owned(),
                "give the chain `tls: {client: …}`, or remove it",
            );
        }
        let hints = !http.hint_peers.authenticated && !http.hint_peers.identities.is_empty();
        let fault = http
            .fault
            .as_ref()
            .is_some_and(|fault| !fault.identities.is_empty());
        for (_, field, what) in [
            (
                hints,
                "http.hint_peers.identities",
                "no peer is believed by its identity",
            ),
            (fault, "http.fault.identities", "this fault touches no request"),
        ]
        .into_iter()
        .filter(|(asked, ..)| *asked)
        {
            findings.remark(
                Code::IdentityNeverKnown,
                identity_place(&chain.name, chain, field),
                format!("{what}: clients are not asked for a certificate"),
                "give the chain `tls: {client: …}`, or remove the condition",
            );
        }
    }
}

fn identity_place<'p>(name: &'p Name, chain: &'p FilterChain, field: &'p str) -> super::Place<'p> {
    place("filter chain", name, &chain.origin, field)
}
