//! Remarks on certificates: what of a receipt needs the files, and the time.

use outrigger_config::MeshConfig;
use outrigger_config::model::{CertificateSource, Origin, PeerValidation, Roots};
use outrigger_config::receipt::{Code, Place, Receipt};
use outrigger_identity::{IdentityWarning, Material};
use std::collections::HashMap;
use std::time::SystemTime;

/// What kind of part names a file or an identity, the part's name, where it was written, and the field.
type User<'c> = (&'static str, &'c str, &'c Origin, &'static str);

/// Adds what certificates and keys in force want attention for as of `now`.
pub(crate) fn add(receipt: &mut Receipt, config: &MeshConfig, material: &Material, now: SystemTime) {
    let outlook = material.outlook(now);
    if outlook.is_empty() {
        return;
    }
    let users = users(config);
    let nowhere = Origin::default();
    for warning in outlook {
        let (code, place, help) = match &warning {
            IdentityWarning::Expired { place, .. } => (Code::CertificateExpired, place.clone(), "replace it"),
            IdentityWarning::ExpiresSoon { place, .. } => {
                let help = "replace it, or see why whoever renews it has not";
                (Code::CertificateExpiresSoon, place.clone(), help)
            }
            IdentityWarning::NotYetValid { place, .. } => (
                Code::CertificateNotYetValid,
                place.clone(),
                "check the clock, or wait",
            ),
            IdentityWarning::KeyOpenToOthers { file, .. } => (
                Code::PrivateKeyOpen,
                file.display().to_string(),
                "write `chmod 600`",
            ),
        };
        let (what, name, origin, field) =
            users
                .get(&place)
                .copied()
                .unwrap_or(("certificate", place.as_str(), &nowhere, ""));
        let place = Place {
            what,
            name,
            origin,
            field,
        };
        receipt.add(code, place, warning.to_string(), help);
    }
}

/// The first part that names each file or identity.
fn users(config: &MeshConfig) -> HashMap<String, User<'_>> {
    let mut users = HashMap::new();
    for identity in config.identities() {
        let user = ("identity", identity.name().as_str(), identity.origin(), "");
        users.insert(format!("identity `{}`", identity.name()), user);
    }
    for chain in config
        .listeners()
        .iter()
        .flat_map(|listener| listener.filter_chains())
    {
        let Some(tls) = chain.tls() else { continue };
        let user = |field| ("filter chain", chain.name().as_str(), chain.origin(), field);
        for certificate in tls.certificates() {
            files(&mut users, certificate, user("tls.certificates"));
        }
        if let Some(client) = tls.client() {
            roots(&mut users, client.validation(), user("tls.client"));
        }
    }
    for cluster in config.clusters() {
        let Some(tls) = cluster.tls() else { continue };
        let user = |field| ("cluster", cluster.name().as_str(), cluster.origin(), field);
        if let Some(certificate) = tls.certificate() {
            files(&mut users, certificate, user("tls.certificate"));
        }
        roots(&mut users, tls.validation(), user("tls"));
    }
    users
}

fn files<'c>(users: &mut HashMap<String, User<'c>>, source: &CertificateSource, user: User<'c>) {
    if let Some(files) = source.files() {
        users
            .entry(files.certificate_file().display().to_string())
            .or_insert(user);
        users
            .entry(files.private_key_file().display().to_string())
            .or_insert(user);
    }
}

fn roots<'c>(users: &mut HashMap<String, User<'c>>, validation: &PeerValidation, user: User<'c>) {
    if let Roots::File(file) = validation.roots() {
        users.entry(file.display().to_string()).or_insert(user);
    }
}
