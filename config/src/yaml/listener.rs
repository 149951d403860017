//! Listeners and filter chains.

use super::reader::{Fields, Reader};
use super::shapes::{
    CERTIFICATE, DOWNSTREAM_TLS, FILTER_CHAIN, FILTER_CHAIN_MATCH, HTTP2, LISTENER, TCP_KEEPALIVE,
};
use super::tree::Node;
use super::{Unique, http, scalar};
use crate::diagnostic::Span;
use crate::model::{
    Admin, CertificateFiles, ChainMode, DownstreamProxyProtocol, DownstreamTls, FilterChain,
    FilterChainMatch, Http2Options, Interception, Listener, Name, PassTlvs, ProxyProtocolMode,
    ServerNameMatch, TcpKeepalive, Transport, defaults,
};
use ipnet::IpNet;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;

/// Chains of one listener at most; chains that could match alike are compared with each other.
const FILTER_CHAINS_MAX: usize = 10_000;

pub(super) fn listener(
    reader: &mut Reader<'_>,
    node: &Node,
    names: &mut Unique<Name>,
    addresses: &mut Unique<SocketAddr>,
    admin: &Admin,
) -> Option<Listener> {
    let fields = reader.fields(node, &LISTENER)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
    }
    let address = fields.address(reader, "address");
    if let Some(address) = address.filter(|address| address.port() != 0) {
        let span = fields.span_of("address");
        addresses.insert(reader, address, span);
        if address == admin.address {
            reader.fault_with_help(
                span,
                format!("the admin endpoint listens on {address}"),
                "choose another port",
            );
        }
    }
    let connections_max = fields
        .integer32(reader, "connections_max")
        .map(|number| number as usize);
    let backlog = fields.integer32(reader, "backlog");
    let tcp_keepalive = tcp_keepalive(reader, &fields);
    let tcp_user_timeout = fields.duration_or_off(reader, "tcp_user_timeout").flatten();
    let chains = fields.list(reader, "filter_chains");
    if chains.len() > FILTER_CHAINS_MAX {
        reader.fault(
            fields.span_of("filter_chains"),
            format!("more than {FILTER_CHAINS_MAX} filter chains"),
        );
        return None;
    }
    let mut chain_names = Unique::new("filter chain");
    let mut filter_chains = Vec::with_capacity(chains.len());
    for (index, node) in chains.iter().enumerate() {
        if let Some(chain) = filter_chain(reader, node, index, &mut chain_names) {
            filter_chains.push(chain);
        }
    }
    refuse_equal_matches(reader, &filter_chains);
    Some(Listener {
        name: name?,
        address: address?,
        connections_max: connections_max.unwrap_or(defaults::LISTENER_CONNECTIONS_MAX),
        backlog: backlog.unwrap_or(defaults::LISTENER_BACKLOG),
        connection_rate_max: None,
        proxy_protocol: DownstreamProxyProtocol {
            mode: ProxyProtocolMode::Off,
            pass_tlvs: PassTlvs::None,
            timeout: defaults::PROXY_PROTOCOL_TIMEOUT,
        },
        interception: Interception::Off,
        tcp_keepalive,
        tcp_user_timeout,
        filter_chains,
        origin: reader.origin(node.span),
    })
}

fn filter_chain(
    reader: &mut Reader<'_>,
    node: &Node,
    index: usize,
    names: &mut Unique<Name>,
) -> Option<FilterChain> {
    let fields = reader.fields(node, &FILTER_CHAIN)?;
    let name = match fields.entry("name") {
        None => Some(Name(format!("chain-{index}").into())),
        Some(_) => fields.name(reader, "name"),
    };
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
    }
    // Whether TLS is asked for, even if its settings are wrong: one fault should not cause another.
    let has_tls = fields.entry("tls").is_some();
    let matches = match fields.node(reader, "match") {
        Some(node) => chain_match(reader, node, has_tls),
        None => Some(any_connection()),
    };
    let tls = fields
        .node(reader, "tls")
        .map(|node| downstream_tls(reader, node));
    let http = fields
        .node(reader, "http")
        .and_then(|node| http::options(reader, node));
    Some(FilterChain {
        name: name?,
        matches: matches?,
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        mode: ChainMode::Http(Box::new(http?)),
        origin: reader.origin(node.span),
    })
}

fn any_connection() -> FilterChainMatch {
    FilterChainMatch {
        destination_port: None,
        destination_prefixes: Vec::new(),
        source_prefixes: Vec::new(),
        server_names: Vec::new(),
        application_protocols: Vec::new(),
        transport: None,
    }
}

fn chain_match(reader: &mut Reader<'_>, node: &Node, has_tls: bool) -> Option<FilterChainMatch> {
    let fields = reader.fields(node, &FILTER_CHAIN_MATCH)?;
    let destination_port = fields
        .integer(reader, "destination_port")
        .and_then(|port| u16::try_from(port).ok());
    let source_prefixes = distinct(
        reader,
        &fields,
        "source_prefixes",
        scalar::prefix,
        IpNet::to_string,
    );
    let server_names = distinct(
        reader,
        &fields,
        "server_names",
        scalar::server_name_match,
        |name: &ServerNameMatch| match name {
            ServerNameMatch::Exact(name) => name.clone(),
            ServerNameMatch::Suffix(suffix) => format!("*{suffix}"),
        },
    );
    let protocol = |text: &str| match text.len() {
        1..=255 => Ok(text.to_owned()),
        _ => scalar::problem("an ALPN name has 1 to 255 bytes"),
    };
    let application_protocols = distinct(reader, &fields, "application_protocols", protocol, String::clone);
    let mut transport = fields.choice(
        reader,
        "transport",
        &[("raw", Transport::Raw), ("tls", Transport::Tls)],
    );
    match transport {
        Some(Transport::Raw) if has_tls => {
            let message = "`transport: raw` on a filter chain that terminates TLS";
            reader.fault_with_help(fields.span_of("transport"), message, "remove it, or remove `tls`");
        }
        Some(Transport::Tls) if !has_tls => {
            let message = "`transport: tls` on a filter chain without `tls`";
            let help = "give the chain `tls`; passing TLS through is not implemented";
            reader.fault_with_help(fields.span_of("transport"), message, help);
        }
        _ => {}
    }
    for name in ["server_names", "application_protocols"] {
        if fields.entry(name).is_some() && !has_tls {
            let message = format!("`{name}` on a filter chain without `tls` never matches");
            reader.fault_with_help(
                fields.key_span_of(name),
                message,
                "only TLS connections send them",
            );
        }
    }
    // Only a TLS connection has these, so that saying so changes nothing, and chains that match alike are seen.
    if transport.is_none() && !(server_names.is_empty() && application_protocols.is_empty()) {
        transport = Some(Transport::Tls);
    }
    Some(FilterChainMatch {
        destination_port,
        destination_prefixes: Vec::new(),
        source_prefixes,
        server_names,
        application_protocols,
        transport,
    })
}

/// The values of a list of texts, of which none stands twice.
fn distinct<T: Clone + Eq + Hash>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, scalar::Problem>,
    show: impl Fn(&T) -> String,
) -> Vec<T> {
    let mut values = Vec::new();
    let mut seen = Unique::new("value");
    for node in fields.list(reader, name) {
        if let Some(value) = reader.parse(node, "a text", &parse) {
            seen.insert(reader, show(&value), node.span);
            values.push(value);
        }
    }
    values
}

fn downstream_tls(reader: &mut Reader<'_>, node: &Node) -> Option<DownstreamTls> {
    let fields = reader.fields(node, &DOWNSTREAM_TLS)?;
    let nodes = fields.list(reader, "certificates");
    let certificates: Vec<CertificateFiles> = nodes
        .iter()
        .filter_map(|node| certificate(reader, node))
        .collect();
    let mut application_protocols = Vec::new();
    let mut seen = Unique::new("protocol");
    for node in fields.list(reader, "application_protocols") {
        let words = defaults::APPLICATION_PROTOCOLS.map(|protocol| (protocol, protocol));
        if let Some(protocol) = reader.choose(node, &words) {
            seen.insert(reader, protocol, node.span);
            application_protocols.push(protocol.to_owned());
        }
    }
    if fields.entry("application_protocols").is_none() {
        application_protocols.extend(defaults::APPLICATION_PROTOCOLS.map(str::to_owned));
    }
    Some(DownstreamTls {
        certificates,
        application_protocols,
        client_ca_file: fields.file(reader, "client_ca_file"),
        handshake_timeout: fields
            .duration(reader, "handshake_timeout")
            .unwrap_or(defaults::TLS_HANDSHAKE_TIMEOUT),
    })
}

pub(super) fn certificate(reader: &mut Reader<'_>, node: &Node) -> Option<CertificateFiles> {
    let fields = reader.fields(node, &CERTIFICATE)?;
    let certificate_file = fields.file(reader, "certificate_file");
    let private_key_file = fields.file(reader, "private_key_file");
    Some(CertificateFiles {
        certificate_file: certificate_file?,
        private_key_file: private_key_file?,
    })
}

/// The `tcp_keepalive` of a listener or a cluster; none: off.
pub(super) fn tcp_keepalive(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<TcpKeepalive> {
    let node = fields
        .node(reader, "tcp_keepalive")
        .filter(|node| !super::reader::is_off(node))?;
    if super::reader::scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map");
        return None;
    }
    let fields = reader.fields(node, &TCP_KEEPALIVE)?;
    Some(TcpKeepalive {
        time: fields
            .duration(reader, "time")
            .unwrap_or(defaults::TCP_KEEPALIVE_TIME),
        interval: fields
            .duration(reader, "interval")
            .unwrap_or(defaults::TCP_KEEPALIVE_INTERVAL),
        probes: fields
            .integer32(reader, "probes")
            .unwrap_or(defaults::TCP_KEEPALIVE_PROBES),
    })
}

/// The `http2` of a filter chain or a cluster.
pub(super) fn http2(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Http2Options {
    let mut options = Http2Options::default();
    let Some(fields) = fields
        .node(reader, "http2")
        .and_then(|node| reader.fields(node, &HTTP2))
    else {
        return options;
    };
    if let Some(streams) = fields.integer32(reader, "concurrent_streams_max") {
        options.concurrent_streams_max = streams;
    }
    let window = |reader: &mut Reader<'_>, name| {
        fields
            .size(reader, name)
            .and_then(|size| u32::try_from(size).ok())
    };
    if let Some(bytes) = window(reader, "stream_window") {
        options.stream_window_bytes = bytes;
    }
    if let Some(bytes) = window(reader, "connection_window") {
        options.connection_window_bytes = bytes;
    }
    options.keepalive_interval = fields.duration_or_off(reader, "keepalive_interval").flatten();
    if let Some(timeout) = fields.duration(reader, "keepalive_timeout") {
        options.keepalive_timeout = timeout;
    }
    options
}

/// Refuses chains of which a connection could not tell which is meant: some combination of conditions is the same.
fn refuse_equal_matches(reader: &mut Reader<'_>, chains: &[FilterChain]) {
    let mut groups: HashMap<_, Vec<&FilterChain>> = HashMap::new();
    for chain in chains {
        let matches = &chain.matches;
        let names: Vec<Option<&ServerNameMatch>> = or_none(&matches.server_names);
        let mut equal = None;
        for name in names {
            let group = groups
                .entry((matches.destination_port, matches.transport, name))
                .or_default();
            equal = equal.or_else(|| {
                group
                    .iter()
                    .copied()
                    .find(|other| !std::ptr::eq(*other, chain) && overlap(&other.matches, matches))
            });
            group.push(chain);
        }
        if let Some(other) = equal {
            let span = Span {
                line: chain.origin.line,
                column: chain.origin.column,
                length: 1,
            };
            let message = format!(
                "the filter chains `{}` and `{}` match alike",
                other.name, chain.name
            );
            let help = if other.tls.is_some() == chain.tls.is_some() {
                "give one of them a `match` of its own"
            } else {
                "give the one with `tls` the match `transport: tls`"
            };
            reader.fault_with_help(span, message, help);
        }
    }
}

fn overlap(one: &FilterChainMatch, other: &FilterChainMatch) -> bool {
    fn share<T: PartialEq>(one: &[T], other: &[T]) -> bool {
        (one.is_empty() && other.is_empty()) || one.iter().any(|value| other.contains(value))
    }
    share(&one.application_protocols, &other.application_protocols)
        && share(&one.source_prefixes, &other.source_prefixes)
}

fn or_none<T>(values: &[T]) -> Vec<Option<&T>> {
    if values.is_empty() {
        vec![None]
    } else {
        values.iter().map(Some).collect()
    }
}
