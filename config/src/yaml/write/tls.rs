//! TLS of both sides as YAML.

use super::emit::{Map, Out, list, text};
use super::{boolean, duration, path, word};
use crate::model::{
    CertificateFiles, CertificateSource, ClientValidation, DownstreamTls, PeerMatch, PeerValidation,
    PostQuantum, Roots, ServerNameMatch, SpiffeMatch, TlsMode, TlsVersions, UpstreamTls,
};

pub(super) fn downstream(tls: &DownstreamTls) -> Map {
    let mode = match tls.mode {
        TlsMode::Strict => "strict",
        TlsMode::Permissive => "permissive",
    };
    let mut map = Map::default()
        .with("mode", word(mode))
        .with("certificates", list(tls.certificates.iter().map(certificate)))
        .with(
            "application_protocols",
            list(tls.application_protocols.iter().map(text)),
        );
    match &tls.client {
        Some(validation) => map.put("client", client(validation)),
        None => map.comment("client: no certificate is asked for"),
    }
    put_spoken(&mut map, tls.versions, tls.post_quantum, tls.session_resumption);
    map.with("handshake_timeout", duration(tls.handshake_timeout))
}

fn client(client: &ClientValidation) -> Map {
    let certificate = if client.required { "required" } else { "optional" };
    let mut map = Map::default().with("certificate", word(certificate));
    put_validation(&mut map, &client.validation);
    map
}

pub(super) fn upstream(tls: &UpstreamTls) -> Map {
    let mut map = Map::default();
    put_validation(&mut map, &tls.validation);
    match &tls.server_name {
        Some(name) => map.put("server_name", text(name)),
        None => map.comment("server_name: none is sent"),
    }
    if let Some(source) = &tls.certificate {
        map.put("certificate", certificate(source));
    }
    put_spoken(&mut map, tls.versions, tls.post_quantum, tls.session_resumption);
    map
}

fn put_validation(map: &mut Map, validation: &PeerValidation) {
    put_roots(map, &validation.roots);
    if !validation.peers.is_empty() {
        map.put("peers", list(validation.peers.iter().map(peer)));
    }
}

pub(super) fn put_roots(map: &mut Map, roots: &Roots) {
    match roots {
        Roots::File(file) => map.put("ca_file", path(file)),
        Roots::System => map.put("roots", word("system")),
        Roots::Spiffe => map.put("roots", word("spiffe")),
        Roots::Bundle(name) => map.put("trust_bundle", text(name)),
    }
}

fn peer(peer: &PeerMatch) -> Map {
    match peer {
        PeerMatch::Spiffe(spiffe) => spiffe_match(spiffe),
        PeerMatch::Dns(ServerNameMatch::Exact(name)) => Map::default().with("dns", text(name)),
        PeerMatch::Dns(ServerNameMatch::Suffix(suffix)) => {
            Map::default().with("dns", text(format!("*{suffix}")))
        }
    }
}

pub(super) fn spiffe_match(spiffe: &SpiffeMatch) -> Map {
    let map = Map::default();
    match spiffe {
        SpiffeMatch::Exact(id) => map.with("spiffe_id", text(id)),
        SpiffeMatch::Prefix(id) => map.with("spiffe_prefix", text(id)),
        SpiffeMatch::TrustDomain(domain) => map.with("trust_domain", text(domain)),
    }
}

fn put_spoken(map: &mut Map, versions: TlsVersions, post_quantum: PostQuantum, session_resumption: bool) {
    let (minimum, maximum) = match versions {
        TlsVersions::From12 => ("TLSv1.2", "TLSv1.3"),
        TlsVersions::Only13 => ("TLSv1.3", "TLSv1.3"),
        TlsVersions::Only12 => ("TLSv1.2", "TLSv1.2"),
    };
    let post_quantum = match post_quantum {
        PostQuantum::Off => "off",
        PostQuantum::Preferred => "preferred",
        PostQuantum::Required => "required",
    };
    map.put("minimum_version", word(minimum));
    map.put("maximum_version", word(maximum));
    map.put("post_quantum", word(post_quantum));
    map.put("session_resumption", boolean(session_resumption));
}

fn certificate(source: &CertificateSource) -> Out {
    match source {
        CertificateSource::Files(files) => certificate_files(files).into(),
        CertificateSource::Identity(name) => Map::default().with("identity", text(name)).into(),
    }
}

pub(super) fn certificate_files(files: &CertificateFiles) -> Map {
    let mut map = Map::default()
        .with("certificate_file", path(&files.certificate_file))
        .with("private_key_file", path(&files.private_key_file));
    if let Some(file) = &files.ocsp_staple_file {
        map.put("ocsp_staple_file", path(file));
    }
    map
}
