//! Filter chains: which connections they take, and what is spoken on them.

use super::reader::{Fields, Reader};
use super::shapes::{FILTER_CHAIN, FILTER_CHAIN_MATCH, MODES};
use super::tree::Node;
use super::{Unique, authorization, http, scalar, tcp, tls};
use crate::model::{
    AutoMode, ChainMode, FilterChain, FilterChainMatch, Name, ServerNameMatch, TlsMode, Transport, defaults,
};
use crate::receipt::Code;
use ipnet::IpNet;
use std::hash::Hash;

pub(super) fn filter_chain(
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
        reader.enter("filter chain", name);
    }
    let spoken = Spoken::of(&fields);
    let matches = match fields.node(reader, "match") {
        Some(node) => chain_match(reader, node, spoken),
        None => Some(any_connection()),
    };
    let tls = fields
        .node(reader, "tls")
        .map(|node| tls::downstream(reader, node, spoken.mode()));
    if let (Some(Some(tls)), Some(matches)) = (&tls, &matches)
        && tls.mode == TlsMode::Permissive
        && matches.transport == Some(Transport::Tls)
    {
        reader.warn(Code::PermissiveUnused,
            fields.key_span_of("match"),
            "`mode: permissive` has no effect: this filter chain takes only TLS connections",
            "remove `transport: tls`, `server_names` and `application_protocols` from its `match`, or the mode",
        );
    }
    let mode = mode(reader, &fields, spoken);
    let authorization = authorization::references(reader, &fields);
    Some(FilterChain {
        name: name?,
        matches: matches?,
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        mode: mode?,
        authorization,
        origin: reader.origin(node.span),
    })
}

/// What a chain asks for, even if its settings are wrong: one fault should not cause another.
#[derive(Clone, Copy)]
struct Spoken {
    tls: bool,
    http: bool,
    tcp: bool,
}

impl Spoken {
    fn of(fields: &Fields<'_>) -> Spoken {
        let given = |name| fields.entry(name).is_some();
        Spoken {
            tls: given("tls"),
            http: given("http"),
            tcp: given("tcp"),
        }
    }

    /// The mode that what is given makes, as it is written.
    fn mode(self) -> &'static str {
        match (self.http, self.tcp) {
            (true, true) => "auto",
            (false, true) => "tcp",
            (_, false) => "http",
        }
    }
}

fn mode(reader: &mut Reader<'_>, fields: &Fields<'_>, spoken: Spoken) -> Option<ChainMode> {
    let http = fields
        .node(reader, "http")
        .and_then(|node| http::options(reader, node));
    let tcp = fields
        .node(reader, "tcp")
        .and_then(|node| tcp::proxy(reader, node));
    let written = fields.choice(reader, "mode", &MODES.map(|mode| (mode, mode)));
    if let Some(written) = written.filter(|written| *written != spoken.mode() && (spoken.http || spoken.tcp))
    {
        refuse_mode(reader, fields, written, spoken);
    }
    let detection_timeout = fields.duration(reader, "detection_timeout");
    if fields.entry("detection_timeout").is_some() && spoken.mode() != "auto" {
        reader.fault_with_help(
            fields.key_span_of("detection_timeout"),
            "`detection_timeout` on a filter chain that detects nothing",
            "only one with both `http` and `tcp` does",
        );
    }
    match (http, tcp) {
        (Some(http), None) => Some(ChainMode::Http(Box::new(http))),
        (None, Some(tcp)) => Some(ChainMode::Tcp(Box::new(tcp))),
        (Some(http), Some(tcp)) => Some(ChainMode::Auto(Box::new(AutoMode {
            http,
            tcp,
            detection_timeout: detection_timeout.unwrap_or(defaults::DETECTION_TIMEOUT),
        }))),
        (None, None) => None,
    }
}

fn refuse_mode(reader: &mut Reader<'_>, fields: &Fields<'_>, written: &str, spoken: Spoken) {
    let right = spoken.mode();
    let given = match right {
        "auto" => "both `http` and `tcp`",
        "tcp" => "`tcp` alone",
        _ => "`http` alone",
    };
    let other = if right == "http" { "tcp" } else { "http" };
    let help = match (written, right) {
        ("auto", _) => format!("write `{right}`, or give it `{other}` too"),
        (_, "auto") => format!(
            "write `auto`, or remove `{}`",
            if written == "http" { "tcp" } else { "http" }
        ),
        _ => format!("write `{right}`, or give it `{written}` in place of `{right}`"),
    };
    let message = format!("`mode: {written}` on a filter chain with {given}");
    reader.fault_with_help(fields.span_of("mode"), message, help);
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

fn chain_match(reader: &mut Reader<'_>, node: &Node, spoken: Spoken) -> Option<FilterChainMatch> {
    let fields = reader.fields(node, &FILTER_CHAIN_MATCH)?;
    let destination_port = fields
        .integer(reader, "destination_port")
        .and_then(|port| u16::try_from(port).ok());
    let prefixes =
        |reader: &mut Reader<'_>, name| distinct(reader, &fields, name, scalar::prefix, IpNet::to_string);
    let destination_prefixes = prefixes(reader, "destination_prefixes");
    let source_prefixes = prefixes(reader, "source_prefixes");
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
    let application_protocols = distinct(
        reader,
        &fields,
        "application_protocols",
        scalar::application_protocol,
        String::clone,
    );
    let mut transport = fields.choice(
        reader,
        "transport",
        &[("raw", Transport::Raw), ("tls", Transport::Tls)],
    );
    refuse_what_never_matches(reader, &fields, transport, spoken);
    // Only a TLS connection has these, so that saying so changes nothing, and chains that match alike are seen.
    if transport.is_none() && !(server_names.is_empty() && application_protocols.is_empty()) {
        transport = Some(Transport::Tls);
    }
    if transport == Some(Transport::Tls) && !spoken.tls && spoken.http && spoken.tcp {
        reader.warn(
            Code::HttpBehindTls,
            node.span,
            "`http` has no effect: every connection of this filter chain is TLS, which `tcp` passes on",
            "give the chain `tls`, or remove `http`",
        );
    }
    Some(FilterChainMatch {
        destination_port,
        destination_prefixes,
        source_prefixes,
        server_names,
        application_protocols,
        transport,
    })
}

/// A chain without `tls` that speaks only HTTP never sees what only a TLS connection says.
fn refuse_what_never_matches(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    transport: Option<Transport>,
    spoken: Spoken,
) {
    let passes_tls_on = spoken.tcp && !spoken.tls;
    match transport {
        Some(Transport::Raw) if spoken.tls => {
            let message = "`transport: raw` on a filter chain that terminates TLS";
            reader.fault_with_help(fields.span_of("transport"), message, "remove it, or remove `tls`");
        }
        Some(Transport::Tls) if !spoken.tls && !passes_tls_on => {
            let message = "`transport: tls` on a filter chain without `tls`";
            let help = "give the chain `tls`, or `tcp` to pass TLS through";
            reader.fault_with_help(fields.span_of("transport"), message, help);
        }
        _ => {}
    }
    for name in ["server_names", "application_protocols"] {
        if fields.entry(name).is_none() || spoken.tls {
            continue;
        }
        if transport == Some(Transport::Raw) {
            let message = format!("`{name}` with `transport: raw` never matches");
            reader.fault_with_help(
                fields.key_span_of(name),
                message,
                "only TLS connections send them",
            );
        } else if !passes_tls_on {
            let message = format!("`{name}` on a filter chain without `tls` never matches");
            let help = "only TLS connections send them; give the chain `tls`, or `tcp` to pass TLS through";
            reader.fault_with_help(fields.key_span_of(name), message, help);
        }
    }
}

/// The values of a list of texts, of which none stands twice.
pub(super) fn distinct<T: Clone + Eq + Hash>(
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
