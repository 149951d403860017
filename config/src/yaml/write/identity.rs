//! Identities, trust bundles and revocation as YAML. No private key is written.

use super::emit::{Map, Out, list, text};
use super::tls::{certificate_files, put_roots, spiffe_match};
use super::{REDACTED, boolean, duration, path, word};
use crate::model::{
    Authority, Identity, IdentitySource, InlineCertificate, KeyKind, Revocation, RevocationList, TrustBundle,
    TrustSource, WorkloadApi,
};
use crate::yaml::scalar::to_base64;

pub(super) fn identity(identity: &Identity) -> Out {
    let map = Map::default().with("name", text(&identity.name));
    match &identity.source {
        IdentitySource::Files(files) => map.with("files", certificate_files(files)),
        IdentitySource::Inline(inline) => map.with("inline", inline_certificate(inline)),
        IdentitySource::WorkloadApi(api) => map.with("workload_api", workload_api(api)),
        IdentitySource::Authority(asked) => map.with("authority", authority(asked)),
    }
    .into()
}

fn inline_certificate(inline: &InlineCertificate) -> Map {
    let mut map = Map::default()
        .with("certificate_chain", text(&inline.certificate_chain))
        .with("private_key", text(REDACTED));
    if let Some(staple) = &inline.ocsp_staple {
        map.put("ocsp_staple", text(to_base64(staple)));
    }
    map
}

fn workload_api(api: &WorkloadApi) -> Map {
    let mut map = Map::default().with("socket", path(&api.socket));
    match &api.spiffe_id {
        Some(id) => map.put("spiffe_id", text(id)),
        None => map.comment("spiffe_id: that of the first identity that comes"),
    }
    map
}

fn authority(authority: &Authority) -> Map {
    let key = match authority.key {
        KeyKind::EcdsaP256 => "ecdsa_p256",
        KeyKind::EcdsaP384 => "ecdsa_p384",
        KeyKind::Ed25519 => "ed25519",
        KeyKind::Rsa2048 => "rsa_2048",
    };
    let mut map = Map::default().with("url", text(&authority.url));
    put_roots(&mut map, &authority.roots);
    match &authority.server_name {
        Some(name) => map.put("server_name", text(name)),
        None => map.comment("server_name: the URL's host"),
    }
    match &authority.token_file {
        Some(file) => map.put("token_file", path(file)),
        None => map.comment("token_file: no token is sent"),
    }
    map.with("spiffe_id", text(&authority.spiffe_id))
        .with("validity", duration(authority.validity))
        .with("key", word(key))
}

pub(super) fn trust_bundle(bundle: &TrustBundle) -> Out {
    let mut map = Map::default().with("name", text(&bundle.name));
    if let Some(domain) = &bundle.trust_domain {
        map.put("trust_domain", text(domain));
    }
    match &bundle.source {
        TrustSource::File(file) => map.put("file", path(file)),
        TrustSource::Inline(contents) => map.put("inline", text(contents)),
        TrustSource::Identity(name) => map.put("identity", text(name)),
    }
    map.into()
}

pub(super) fn revocation(revocation: &Revocation) -> Map {
    let one = |one: &RevocationList| match one {
        RevocationList::File(file) => Map::default().with("file", path(file)),
        RevocationList::Inline(contents) => Map::default().with("inline", text(contents)),
    };
    Map::default()
        .with("lists", list(revocation.lists.iter().map(one)))
        .with("list_required", boolean(revocation.list_required))
        .with("outdated_allowed", boolean(revocation.outdated_allowed))
        .with("denied", list(revocation.denied.iter().map(spiffe_match)))
}
