//! TLS of both sides: termination from downstream, origination to upstreams.

use super::chain::distinct;
use super::reader::{Fields, Reader};
use super::shapes::{CERTIFICATE, DOWNSTREAM_TLS, UPSTREAM_TLS};
use super::tree::Node;
use super::{Unique, scalar};
use crate::model::{
    CertificateFiles, CertificateSource, ClientValidation, DownstreamTls, PeerValidation, PostQuantum, Roots,
    TlsMode, TlsVersions, UpstreamTls, defaults,
};

/// TLS termination of a chain that speaks `http`, or passes bytes on, or detects.
pub(super) fn downstream(reader: &mut Reader<'_>, node: &Node, mode: &str) -> Option<DownstreamTls> {
    let fields = reader.fields(node, &DOWNSTREAM_TLS)?;
    let nodes = fields.list(reader, "certificates");
    let certificates: Vec<CertificateSource> = nodes
        .iter()
        .filter_map(|node| certificate(reader, node))
        .collect();
    let application_protocols = application_protocols(reader, &fields, mode);
    let client = fields
        .file(reader, "client_ca_file")
        .map(|file| ClientValidation {
            required: true,
            validation: PeerValidation {
                roots: Roots::File(file),
                peers: Vec::new(),
            },
        });
    Some(DownstreamTls {
        mode: TlsMode::Strict,
        certificates,
        application_protocols,
        client,
        versions: TlsVersions::From12,
        post_quantum: PostQuantum::Preferred,
        session_resumption: true,
        handshake_timeout: fields
            .duration(reader, "handshake_timeout")
            .unwrap_or(defaults::TLS_HANDSHAKE_TIMEOUT),
    })
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
    let fields = reader.fields(node, &UPSTREAM_TLS)?;
    let ca_file = fields.file(reader, "ca_file");
    let server_name = fields.parsed(reader, "server_name", scalar::upstream_server_name);
    let certificate = fields
        .node(reader, "certificate")
        .and_then(|node| certificate(reader, node));
    Some(UpstreamTls {
        validation: PeerValidation {
            roots: Roots::File(ca_file?),
            peers: Vec::new(),
        },
        server_name: Some(server_name?),
        certificate,
        versions: TlsVersions::From12,
        post_quantum: PostQuantum::Preferred,
        session_resumption: true,
    })
}

fn certificate(reader: &mut Reader<'_>, node: &Node) -> Option<CertificateSource> {
    let fields = reader.fields(node, &CERTIFICATE)?;
    let certificate_file = fields.file(reader, "certificate_file");
    let private_key_file = fields.file(reader, "private_key_file");
    Some(CertificateSource::Files(CertificateFiles {
        certificate_file: certificate_file?,
        private_key_file: private_key_file?,
        ocsp_staple_file: None,
    }))
}
