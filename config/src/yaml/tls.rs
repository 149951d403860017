//! TLS of both sides: termination from downstream, origination to upstreams.

use super::chain::distinct;
use super::reader::{Fields, Part, Reader};
use super::shapes::{CERTIFICATE, CLIENT_VALIDATION, DOWNSTREAM_TLS, TLS_VERSIONS, UPSTREAM_TLS};
use super::tree::Node;
use super::{Unique, peers, scalar};
use crate::model::{
    CertificateFiles, CertificateSource, ClientValidation, DownstreamTls, PeerValidation, PostQuantum, Roots,
    TlsMode, TlsVersions, UpstreamTls, defaults,
};
use crate::receipt::Code;

/// Certificates of one filter chain at most; each is held in memory, and looked at when a client says no name.
const CERTIFICATES_MAX: usize = 10_000;

/// TLS termination of a chain that speaks `http`, or passes bytes on, or detects.
pub(super) fn downstream(reader: &mut Reader<'_>, node: &Node, mode: &str) -> Option<DownstreamTls> {
    let fields = reader.fields(node, &DOWNSTREAM_TLS)?;
    let modes = [("strict", TlsMode::Strict), ("permissive", TlsMode::Permissive)];
    let tls_mode = fields.choice(reader, "mode", &modes).unwrap_or(TlsMode::Strict);
    let nodes = fields.list(reader, "certificates");
    if nodes.len() > CERTIFICATES_MAX {
        let message = format!("more than {CERTIFICATES_MAX} certificates");
        reader.fault(fields.span_of("certificates"), message);
    }
    let certificates: Vec<CertificateSource> = nodes
        .iter()
        .take(CERTIFICATES_MAX)
        .filter_map(|node| certificate(reader, node, true))
        .collect();
    let application_protocols = application_protocols(reader, &fields, mode);
    let client = fields.node(reader, "client").map(|node| client(reader, node));
    let versions = versions(reader, &fields);
    let post_quantum = post_quantum(reader, &fields, versions);
    let session_resumption = fields.boolean(reader, "session_resumption").unwrap_or(true);
    let handshake_timeout = fields.duration(reader, "handshake_timeout");
    Some(DownstreamTls {
        mode: tls_mode,
        certificates,
        application_protocols,
        client: match client {
            Some(client) => Some(client?),
            None => None,
        },
        versions,
        post_quantum,
        session_resumption,
        handshake_timeout: handshake_timeout.unwrap_or(defaults::TLS_HANDSHAKE_TIMEOUT),
    })
}

fn client(reader: &mut Reader<'_>, node: &Node) -> Option<ClientValidation> {
    let fields = reader.fields(node, &CLIENT_VALIDATION)?;
    let words = [("required", true), ("optional", false)];
    let required = fields.choice(reader, "certificate", &words).unwrap_or(true);
    let roots = peers::roots(reader, &fields);
    let peers = peers::peers(reader, &fields, roots.as_ref());
    if roots == Some(Roots::System) && fields.entry("peers").is_none() {
        reader.warn(
            Code::PublicAuthority,
            fields.span_of("roots"),
            "whoever has a certificate of a public authority is let in",
            "say who is meant by `peers`, or believe an authority of your own by `ca_file`",
        );
    }
    Some(ClientValidation {
        required,
        validation: PeerValidation { roots: roots?, peers },
    })
}

/// The versions from `minimum_version` to `maximum_version`.
fn versions(reader: &mut Reader<'_>, fields: &Fields<'_>) -> TlsVersions {
    let words = [(TLS_VERSIONS[0], 2), (TLS_VERSIONS[1], 3)];
    let minimum = fields.choice(reader, "minimum_version", &words).unwrap_or(2);
    let maximum = fields.choice(reader, "maximum_version", &words).unwrap_or(3);
    match (minimum, maximum) {
        (3, 2) => {
            let message = "`minimum_version` is newer than `maximum_version`";
            reader.fault(fields.span_of("minimum_version"), message);
            TlsVersions::From12
        }
        (3, _) => TlsVersions::Only13,
        (_, 2) => TlsVersions::Only12,
        _ => TlsVersions::From12,
    }
}

fn post_quantum(reader: &mut Reader<'_>, fields: &Fields<'_>, versions: TlsVersions) -> PostQuantum {
    let words = [
        ("off", PostQuantum::Off),
        ("preferred", PostQuantum::Preferred),
        ("required", PostQuantum::Required),
    ];
    let chosen = fields.choice(reader, "post_quantum", &words);
    if chosen == Some(PostQuantum::Required) && versions != TlsVersions::Only13 {
        reader.fault_with_help(
            fields.span_of("post_quantum"),
            "`post_quantum: required` where TLS 1.2 is spoken, which has no such key exchange",
            format!("write `minimum_version: {}`", TLS_VERSIONS[1]),
        );
    }
    chosen.unwrap_or(PostQuantum::Preferred)
}

/// Without HTTP nothing is known of what the endpoints speak: nothing is offered that was not asked for.
fn application_protocols(reader: &mut Reader<'_>, fields: &Fields<'_>, mode: &str) -> Vec<String> {
    let name = "application_protocols";
    if fields.entry(name).is_none() && mode != "tcp" {
        return defaults::APPLICATION_PROTOCOLS.map(str::to_owned).to_vec();
    }
    if mode != "http" {
        return distinct(reader, fields, name, scalar::application_protocol, String::clone);
    }
    let nodes = fields.list(reader, name);
    if nodes.is_empty() {
        reader.fault(fields.span_of(name), "this list may not be empty");
    }
    let words = defaults::APPLICATION_PROTOCOLS.map(|protocol| (protocol, protocol));
    let mut protocols = Vec::new();
    let mut seen = Unique::new("protocol");
    for node in nodes {
        if let Some(protocol) = reader.choose(node, &words) {
            seen.insert(reader, protocol, node.span);
            protocols.push(protocol.to_owned());
        }
    }
    protocols
}

pub(super) fn upstream(reader: &mut Reader<'_>, node: &Node) -> Option<UpstreamTls> {
    upstream_to(reader, node, None)
}

/// TLS to a server whose host is known: its certificate must hold that name if nothing else is said.
pub(super) fn upstream_to(reader: &mut Reader<'_>, node: &Node, host: Option<&str>) -> Option<UpstreamTls> {
    let fields = reader.fields(node, &UPSTREAM_TLS)?;
    let roots = peers::roots(reader, &fields);
    let peers = peers::peers(reader, &fields, roots.as_ref());
    let server_name = fields.parsed(reader, "server_name", scalar::upstream_server_name);
    let certificate = fields
        .node(reader, "certificate")
        .and_then(|node| certificate(reader, node, false));
    let versions = versions(reader, &fields);
    let post_quantum = post_quantum(reader, &fields, versions);
    let session_resumption = fields.boolean(reader, "session_resumption").unwrap_or(true);
    if fields.entry("peers").is_none() && server_name.is_some() && roots == Some(Roots::Spiffe) {
        peers::refuse_name_across_domains(reader, fields.span_of("server_name"));
    }
    let is_unnamed = fields.entry("server_name").is_none() && fields.entry("peers").is_none();
    let host = host.filter(|_| is_unnamed && roots != Some(Roots::Spiffe));
    let server_name = server_name.or_else(|| host.map(str::to_owned));
    if is_unnamed && host.is_none() {
        let (message, help) = match roots {
            Some(Roots::Spiffe) => (
                "every workload of a trust domain would be taken for the server",
                "say who it is by `peers`, or by `server_name`",
            ),
            _ => (
                "one of `server_name` and `peers` is missing in upstream tls",
                "else any certificate of the authority would be taken for the server's",
            ),
        };
        reader.fault_with_help(fields.span, message, help);
    }
    Some(UpstreamTls {
        validation: PeerValidation { roots: roots?, peers },
        server_name,
        certificate,
        versions,
        post_quantum,
        session_resumption,
    })
}

/// A certificate of ours; `served` to clients, or shown to servers.
fn certificate(reader: &mut Reader<'_>, node: &Node, served: bool) -> Option<CertificateSource> {
    let fields = reader.fields(node, &CERTIFICATE)?;
    let certificate_file = fields.file(reader, "certificate_file");
    let private_key_file = fields.file(reader, "private_key_file");
    let ocsp_staple_file = fields.file(reader, "ocsp_staple_file");
    let identity = reader.reference(&fields, "identity", Part::Identity);
    if fields.entry("certificate_file").is_some() {
        if fields.entry("private_key_file").is_none() {
            reader.fault(fields.span, "missing field `private_key_file` in certificate");
        }
    } else {
        for name in ["private_key_file", "ocsp_staple_file"] {
            if fields.entry(name).is_some() {
                let message = format!("`{name}` without `certificate_file`");
                reader.fault_with_help(fields.key_span_of(name), message, "an identity has its own");
            }
        }
    }
    if !served && fields.entry("ocsp_staple_file").is_some() {
        let message = "`ocsp_staple_file` of a certificate that is shown to servers";
        reader.fault_with_help(
            fields.key_span_of("ocsp_staple_file"),
            message,
            "only servers staple; remove it",
        );
    }
    if let Some(name) = identity {
        return Some(CertificateSource::Identity(name));
    }
    Some(CertificateSource::Files(CertificateFiles {
        certificate_file: certificate_file?,
        private_key_file: private_key_file?,
        ocsp_staple_file,
    }))
}
