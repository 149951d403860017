//! What a rustls configuration is made of, so that it can be told whether another must be made.

use crate::credential::Credential;
use crate::material::Material;
use crate::revocations::Revocations;
use crate::roots::{RootSet, TrustBundles};
use outrigger_config::model::{DownstreamTls, PeerValidation, Roots, TrustDomain, UpstreamTls};
use std::sync::Arc;

/// What a configuration is made of beside its settings. Two are equal if every part is the same by pointer; then, with
/// the same settings, the configuration is as good as a new one, and sessions that were made under it may be resumed.
#[derive(Debug, Clone, PartialEq)]
pub struct Basis {
    credentials: Vec<Option<Part<Credential>>>,
    believed: Option<(Trust, Part<Revocations>)>,
}

/// A part that is compared by pointer.
#[derive(Debug)]
pub(crate) struct Part<T>(pub(crate) Arc<T>);

impl<T> Clone for Part<T> {
    fn clone(&self) -> Part<T> {
        Part(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Part<T> {
    fn eq(&self, other: &Part<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Who is believed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trust {
    /// These authorities; those of a bundle that speaks for a trust domain vouch for no id of another.
    Roots(Part<RootSet>, Option<TrustDomain>),
    /// By SPIFFE: the authorities of the trust domain that a certificate names.
    Spiffe(Part<TrustBundles>),
    /// Nobody yet.
    Nobody,
}

impl Basis {
    /// What the server side of a filter chain is made of.
    pub fn of_downstream(tls: &DownstreamTls, material: &Material) -> Basis {
        let sources = tls.certificates().iter();
        Basis {
            credentials: sources
                .map(|source| material.credential(source).cloned().map(Part))
                .collect(),
            believed: tls
                .client()
                .as_ref()
                .map(|client| believed(client.validation(), material)),
        }
    }

    /// What the client side of a cluster is made of.
    pub fn of_upstream(tls: &UpstreamTls, material: &Material) -> Basis {
        let sources = tls.certificate().iter();
        Basis {
            credentials: sources
                .map(|source| material.credential(source).cloned().map(Part))
                .collect(),
            believed: Some(believed(tls.validation(), material)),
        }
    }

    /// True if the other believes the same authorities and revocations, whoever we are ourselves.
    pub fn believes_as(&self, other: &Basis) -> bool {
        self.believed == other.believed
    }

    /// The credentials, in the order of the settings; none for one that is not there yet.
    pub fn credentials(&self) -> impl Iterator<Item = Option<&Arc<Credential>>> {
        self.credentials
            .iter()
            .map(|part| part.as_ref().map(|part| &part.0))
    }

    /// Who is believed, if the peer is asked for a certificate.
    pub(crate) fn believed(&self) -> Option<(&Trust, &Arc<Revocations>)> {
        let (trust, revocations) = self.believed.as_ref()?;
        Some((trust, &revocations.0))
    }
}

fn believed(validation: &PeerValidation, material: &Material) -> (Trust, Part<Revocations>) {
    let trust = match validation.roots() {
        Roots::Spiffe => Trust::Spiffe(Part(Arc::clone(material.bundles()))),
        Roots::Bundle(name) => match material.bundles().bundles().get(name) {
            Some(bundle) => Trust::Roots(Part(Arc::clone(&bundle.roots)), bundle.trust_domain.clone()),
            None => Trust::Nobody,
        },
        roots => match material.roots(roots) {
            Some(roots) => Trust::Roots(Part(Arc::clone(roots)), None),
            None => Trust::Nobody,
        },
    };
    (trust, Part(Arc::clone(material.revocations())))
}
