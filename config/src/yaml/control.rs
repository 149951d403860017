//! The control plane that policy comes from.

use super::reader::{Fields, Part, Reader};
use super::scalar::{self, Problem, problem_with_help};
use super::shapes::CONTROL;
use super::{Unique, peers, targets};
use crate::model::{Control, ControlServer, ControlTransport, Roots, defaults};
use crate::receipt::Code;

/// The document's `control`.
pub(super) fn control(reader: &mut Reader<'_>, document: &Fields<'_>) -> Option<Control> {
    let node = document.node(reader, "control")?;
    let fields = reader.fields(node, &CONTROL)?;
    let servers = servers(reader, &fields);
    let node = fields.parsed(reader, "node", word);
    let service = fields.parsed(reader, "service", word);
    let metadata = targets::pairs(reader, &fields, "metadata");
    let roots = peers::roots_without_spiffe(reader, &fields);
    let server_name = fields.parsed(reader, "server_name", scalar::upstream_server_name);
    let identity = reader.reference(&fields, "identity", Part::Identity);
    let token_file = fields.file(reader, "token_file");
    let transports = [
        ("delta", ControlTransport::Delta),
        ("state_of_the_world", ControlTransport::StateOfTheWorld),
    ];
    let transport = fields.choice(reader, "transport", &transports);
    let last_good = fields.file(reader, "last_good");
    let first_wait = fields.duration(reader, "first_wait");
    let return_interval = fields.duration(reader, "return_interval");
    check(reader, &fields, &servers, roots.as_ref());
    Some(Control {
        servers,
        node: node?,
        service,
        metadata,
        roots,
        server_name,
        identity,
        token_file,
        transport: transport.unwrap_or(defaults::CONTROL_TRANSPORT),
        last_good,
        first_wait: first_wait.unwrap_or(defaults::CONTROL_FIRST_WAIT),
        return_interval: return_interval.unwrap_or(defaults::CONTROL_RETURN_INTERVAL),
    })
}

fn servers(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<ControlServer> {
    let mut seen = Unique::new("server");
    let mut servers = Vec::new();
    for node in fields.list(reader, "servers") {
        if let Some(server) = reader.parse(node, "a URL", server) {
            seen.insert(reader, server.url(), node.span);
            servers.push(server);
        }
    }
    servers
}

/// What a name that others keep us by may be: printable, no spaces, not long.
fn word(text: &str) -> Result<String, Problem> {
    match text.len() <= 253 && !text.is_empty() && text.chars().all(|one| one.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => problem_with_help(
            format!("`{}` is not a name", scalar::shortened(text)),
            "1 to 253 printable ASCII characters without spaces",
        ),
    }
}

fn server(text: &str) -> Result<ControlServer, Problem> {
    let shown = scalar::shortened(text);
    let help = "such as `https://control.example:15010`";
    let schemes = [
        ("https://", true),
        ("grpcs://", true),
        ("http://", false),
        ("grpc://", false),
    ];
    let found = schemes
        .iter()
        .find_map(|(scheme, tls)| Some((text.strip_prefix(scheme)?, *tls)));
    let Some((authority, tls)) = found else {
        return problem_with_help(
            format!("`{shown}` does not begin with `https://` or `http://`"),
            help,
        );
    };
    match authority.trim_end_matches('/').rsplit_once(':') {
        Some((host, port)) if scalar::is_host(host) => match port.parse() {
            Ok(port @ 1..) => Ok(ControlServer {
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port,
                tls,
            }),
            _ => problem_with_help(format!("`{shown}` has no port"), help),
        },
        _ => problem_with_help(format!("`{shown}` is not `https://HOST:PORT`"), help),
    }
}

/// Holds TLS and what needs it together.
fn check(reader: &mut Reader<'_>, fields: &Fields<'_>, servers: &[ControlServer], roots: Option<&Roots>) {
    let is_local = |server: &ControlServer| match server.host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => server.host == "localhost",
    };
    if roots.is_none() && servers.iter().any(|server| server.tls) {
        let help = "one of `ca_file`, `roots` and `trust_bundle`";
        reader.fault_with_help(
            fields.span,
            "a server with TLS, and nothing says whose certificate is believed",
            help,
        );
    }
    let plain = servers.iter().find(|server| !server.tls);
    if let Some(plain) = plain.filter(|server| !is_local(server)) {
        let url = plain.url();
        for field in ["token_file", "identity"] {
            if fields.entry(field).is_some() {
                let message = format!("`{field}`, and {url} is spoken to in plain text");
                reader.fault_with_help(fields.key_span_of(field), message, "write `https://`");
            }
        }
    }
    if servers.iter().all(|server| !server.tls) {
        for field in ["ca_file", "roots", "trust_bundle", "server_name", "identity"] {
            if fields.entry(field).is_some() {
                let message = format!("`{field}` has no effect: no server has TLS");
                reader.warn(
                    Code::ControlTlsUnused,
                    fields.key_span_of(field),
                    message,
                    "write `https://`, or remove it",
                );
            }
        }
    }
}
