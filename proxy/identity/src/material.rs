//! Everything that identities are made of, resolved: what rustls configurations are made from.

mod load;

pub use load::{Loaded, MaterialFault, MaterialPart};

use crate::credential::Credential;
use crate::revocations::{RevocationLists, Revocations};
use crate::roots::{RootSet, TrustBundles, TrustedBundle};
use outrigger_config::model::{CertificateSource, Identity, Name, Roots, TrustBundle};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Everything that identities are made of, at one moment: certificates with their keys, authorities, trust bundles,
/// revocations. Immutable; its parts are shared by `Arc`, and a part that did not change is the same by pointer, so that
/// what is made of it need not be made again.
///
/// Two things may be missing: what comes over the network and is not there yet, and files that were at fault when there
/// was nothing to keep. What is made of missing parts refuses.
#[derive(Debug, Clone, Default)]
pub struct Material {
    credentials: HashMap<CertificateSource, Arc<Credential>>,
    roots: HashMap<Roots, Arc<RootSet>>,
    bundles: Arc<TrustBundles>,
    revocations: Arc<Revocations>,
    /// The models that `credentials` and `bundles` were loaded for: what is known by a name is kept only if the name
    /// still means the same.
    identities: HashMap<Name, Arc<Identity>>,
    trust_bundles: HashMap<Name, Arc<TrustBundle>>,
}

impl Material {
    /// The credential of a source; none if it is not there yet.
    pub fn credential(&self, source: &CertificateSource) -> Option<&Arc<Credential>> {
        self.credentials.get(source)
    }

    /// All credentials, in no order.
    pub fn credentials(&self) -> impl Iterator<Item = (&CertificateSource, &Arc<Credential>)> {
        self.credentials.iter()
    }

    /// The authorities of a file or of the system. Those of bundles are in [`Material::bundles`].
    pub fn roots(&self, roots: &Roots) -> Option<&Arc<RootSet>> {
        self.roots.get(roots)
    }

    /// All authorities of files and of the system, in no order.
    pub fn all_roots(&self) -> impl Iterator<Item = (&Roots, &Arc<RootSet>)> {
        self.roots.iter()
    }

    /// The trust bundles.
    pub fn bundles(&self) -> &Arc<TrustBundles> {
        &self.bundles
    }

    /// Whom is believed no more.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// The same with the credential of an identity that comes over the network; as it is if that one is there already,
    /// made anew or not. A name that the configuration does not hold is ignored: it was taken away meanwhile.
    pub fn with_identity(mut self, name: &Name, credential: Arc<Credential>) -> Material {
        let source = CertificateSource::Identity(name.clone());
        let is_there = |before: &Arc<Credential>| before.is_made_of_the_same(&credential);
        if self.identities.contains_key(name) && !self.credentials.get(&source).is_some_and(is_there) {
            self.credentials.insert(source, credential);
        }
        self
    }

    /// The same with the authorities of a trust bundle that comes over the network; as it is if they are there already,
    /// made anew or not. A name that the configuration does not hold is ignored: it was taken away meanwhile.
    pub fn with_bundle(mut self, name: &Name, roots: Arc<RootSet>) -> Material {
        let Some(model) = self.trust_bundles.get(name) else {
            return self;
        };
        let is_there = |before: &Arc<RootSet>| before.is_made_of_the_same(&roots);
        if self.bundles.named(name).is_some_and(is_there) {
            return self;
        }
        let trust_domain = model.trust_domain().clone();
        self.edit_bundles(|bundles| {
            bundles.insert(name.clone(), TrustedBundle { roots, trust_domain });
        });
        self
    }

    /// The same without the credential of an identity, which its source has withdrawn.
    pub fn without_identity(mut self, name: &Name) -> Material {
        self.credentials
            .remove(&CertificateSource::Identity(name.clone()));
        self
    }

    /// The same without the authorities of a trust bundle, which its source has withdrawn.
    pub fn without_bundle(mut self, name: &Name) -> Material {
        self.edit_bundles(|bundles| {
            bundles.remove(name);
        });
        self
    }

    /// The same with the revocation lists that came with an identity, in place of those that came with it before.
    pub fn with_revocation_lists(
        mut self,
        identity: &Name,
        lists: Option<&Arc<RevocationLists>>,
    ) -> Material {
        self.revocations = self.revocations.with_given(identity, lists);
        self
    }

    /// True if nothing differs from the other, part by part.
    pub fn is_same(&self, other: &Material) -> bool {
        is_same_by_key(&self.credentials, &other.credentials)
            && is_same_by_key(&self.roots, &other.roots)
            && Arc::ptr_eq(&self.bundles, &other.bundles)
            && Arc::ptr_eq(&self.revocations, &other.revocations)
    }

    fn edit_bundles(&mut self, edit: impl FnOnce(&mut HashMap<Name, TrustedBundle>)) {
        let mut bundles = self.bundles.bundles().clone();
        edit(&mut bundles);
        let bundles = TrustBundles::new(bundles);
        if !bundles.is_same(&self.bundles) {
            self.bundles = Arc::new(bundles);
        }
    }
}

fn is_same_by_key<K: Eq + Hash, V>(one: &HashMap<K, Arc<V>>, other: &HashMap<K, Arc<V>>) -> bool {
    let is_there =
        |(key, value): (&K, &Arc<V>)| other.get(key).is_some_and(|other| Arc::ptr_eq(value, other));
    one.len() == other.len() && one.iter().all(is_there)
}
