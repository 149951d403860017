//! Reading what a configuration names, keeping what did not change.

use super::Material;
use crate::credential::Credential;
use crate::error::IdentityError;
use crate::revocations::Revocations;
use crate::roots::{RootSet, TrustBundles, TrustedBundle, system_roots};
use outrigger_config::MeshConfig;
use outrigger_config::model::{
    CertificateSource, DownstreamTls, Identity, IdentitySource, JwksSource, Name, Origin, RevocationList,
    Roots, TrustBundle, TrustSource, UpstreamTls,
};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// What was read, and what was wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// What is good: of a part at fault, what was there before, if there was something.
    pub material: Material,
    /// What is not: one for everyone who asks for it.
    pub faults: Vec<MaterialFault>,
}

/// A part of the material that is read by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MaterialPart {
    /// A certificate and its key.
    Credential(CertificateSource),
    /// Authorities of a file or of the system.
    Roots(Roots),
    /// A trust bundle.
    Bundle(Name),
    /// Revocation lists of a file; none: of the configuration itself.
    RevocationLists(Option<PathBuf>),
}

impl fmt::Display for MaterialPart {
    /// What it is known by: an identity's or bundle's name, or a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaterialPart::Credential(CertificateSource::Identity(name)) | MaterialPart::Bundle(name) => {
                name.fmt(f)
            }
            MaterialPart::Credential(CertificateSource::Files(files)) => {
                files.certificate_file().display().fmt(f)
            }
            MaterialPart::Roots(Roots::File(file)) | MaterialPart::RevocationLists(Some(file)) => {
                file.display().fmt(f)
            }
            MaterialPart::Roots(_) => f.write_str("system"),
            MaterialPart::RevocationLists(None) => f.write_str("inline"),
        }
    }
}

/// A part that cannot be used.
#[derive(Debug, Clone)]
pub struct MaterialFault {
    /// What cannot be used.
    pub part: MaterialPart,
    /// Where the policy was written that asks for it.
    pub origin: Origin,
    /// Who asks for it: "cluster `backend`".
    pub user: String,
    /// What is wrong.
    pub error: Arc<IdentityError>,
}

impl fmt::Display for MaterialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.user, self.error)
    }
}

impl Material {
    /// Reads every file and text that the configuration names for identities. Parts whose contents are those of `previous`
    /// are taken over as they are; so is what came over the network, if the configuration still asks for the same.
    ///
    /// A configuration that is new is to be refused if there are faults. Between configurations, when files change by
    /// themselves, what is good is to be put in force, and the faults reported.
    ///
    /// Blocking: not for a worker.
    pub fn load(config: &MeshConfig, previous: Option<&Material>) -> Loaded {
        let empty = Material::default();
        let mut loading = Loading {
            previous: previous.unwrap_or(&empty),
            next: Material::default(),
            failed: HashMap::new(),
            failed_roots: HashMap::new(),
            faults: Vec::new(),
        };
        for identity in config.identities() {
            loading.identity(identity);
        }
        loading.bundles(config.trust_bundles());
        loading.revocations(config);
        for listener in config.listeners() {
            for chain in listener.filter_chains() {
                if let Some(tls) = chain.tls() {
                    let user = || format!("listener `{}`, filter chain `{}`", listener.name(), chain.name());
                    loading.downstream(tls, chain.origin(), &user);
                }
            }
        }
        for cluster in config.clusters() {
            if let Some(tls) = cluster.tls() {
                loading.upstream(tls, cluster.origin(), &|| format!("cluster `{}`", cluster.name()));
            }
        }
        for collector in config.telemetry().collectors() {
            if let Some(tls) = collector.tls() {
                loading.upstream(tls, collector.origin(), &|| {
                    format!("collector `{}`", collector.name())
                });
            }
        }
        for provider in config.jwt_providers() {
            if let JwksSource::Url(url) = provider.keys()
                && url.url().starts_with("https:")
            {
                let user = || format!("JWT provider `{}`", provider.name());
                loading.roots(url.roots(), provider.origin(), &user);
            }
        }
        for warning in loading.next.warnings(previous, SystemTime::now()) {
            tracing::warn!(%warning, "TLS files want attention");
        }
        Loaded {
            material: loading.next,
            faults: loading.faults,
        }
    }
}

struct Loading<'a> {
    previous: &'a Material,
    next: Material,
    /// What failed already: read once, whoever asks.
    failed: HashMap<CertificateSource, Arc<IdentityError>>,
    failed_roots: HashMap<Roots, Arc<IdentityError>>,
    faults: Vec<MaterialFault>,
}

type User<'a> = &'a dyn Fn() -> String;

impl Loading<'_> {
    fn fault(&mut self, part: MaterialPart, origin: &Origin, user: String, error: Arc<IdentityError>) {
        self.faults.push(MaterialFault {
            part,
            origin: origin.clone(),
            user,
            error,
        });
    }

    fn identity(&mut self, identity: &Arc<Identity>) {
        let source = CertificateSource::Identity(identity.name().clone());
        let is_same = |before: &&Arc<Identity>| before.source() == identity.source();
        let previous = self.previous;
        let before = previous
            .identities
            .get(identity.name())
            .filter(is_same)
            .and_then(|_| previous.credentials.get(&source));
        let read = match identity.source() {
            IdentitySource::Files(files) => Some(Credential::read(files, before)),
            IdentitySource::Inline(inline) => Some(Credential::inline(inline, before)),
            IdentitySource::WorkloadApi(_) | IdentitySource::Authority(_) => before.cloned().map(Ok),
        };
        let credential = match read {
            Some(Ok(credential)) => Some(credential),
            Some(Err(error)) => {
                let user = format!("identity `{}`", identity.name());
                let part = MaterialPart::Credential(source.clone());
                self.fault(part, identity.origin(), user, Arc::new(error));
                before.cloned()
            }
            None => None,
        };
        if let Some(credential) = credential {
            self.next.credentials.insert(source, credential);
        }
        if let IdentitySource::Authority(authority) = identity.source() {
            let user = || format!("identity `{}`", identity.name());
            self.roots(authority.roots(), identity.origin(), &user);
        }
        let name = identity.name().clone();
        self.next.identities.insert(name, Arc::clone(identity));
    }

    fn bundles(&mut self, models: &[Arc<TrustBundle>]) {
        let previous = self.previous;
        let mut bundles = HashMap::new();
        for model in models {
            let before = previous
                .trust_bundles
                .get(model.name())
                .filter(|before| before.source() == model.source())
                .and_then(|_| previous.bundles.named(model.name()));
            let read = match model.source() {
                TrustSource::File(file) => Some(RootSet::read(file, before)),
                TrustSource::Inline(text) => Some(RootSet::inline(text, before)),
                // Kept only if the identity that it comes with is still the same.
                TrustSource::Identity(name) => {
                    let (old, new) = (previous.identities.get(name), self.next.identities.get(name));
                    let is_same = old
                        .zip(new)
                        .is_some_and(|(old, new)| old.source() == new.source());
                    before.filter(|_| is_same).cloned().map(Ok)
                }
            };
            let roots = match read {
                Some(Ok(roots)) => Some(roots),
                Some(Err(error)) => {
                    let user = format!("trust bundle `{}`", model.name());
                    let part = MaterialPart::Bundle(model.name().clone());
                    self.fault(part, model.origin(), user, Arc::new(error));
                    before.cloned()
                }
                None => None,
            };
            if let Some(roots) = roots {
                let trust_domain = model.trust_domain().clone();
                bundles.insert(model.name().clone(), TrustedBundle { roots, trust_domain });
            }
            self.next
                .trust_bundles
                .insert(model.name().clone(), Arc::clone(model));
        }
        let bundles = TrustBundles::new(bundles);
        self.next.bundles = match bundles.is_same(&previous.bundles) {
            true => Arc::clone(&previous.bundles),
            false => Arc::new(bundles),
        };
    }

    fn revocations(&mut self, config: &MeshConfig) {
        let mut faults = Vec::new();
        let previous = self.previous;
        let next = &self.next.identities;
        let keeps = |name: &Name| is_kept(previous.identities.get(name), next.get(name));
        let before = Some(&previous.revocations);
        self.next.revocations = Revocations::load(config.revocation(), before, &keeps, &mut faults);
        for (list, error) in faults {
            let file = match list {
                RevocationList::File(file) => Some(file),
                RevocationList::Inline(_) => None,
            };
            let (part, user) = (MaterialPart::RevocationLists(file), "revocation".to_owned());
            self.fault(part, config.revocation().origin(), user, Arc::new(error));
        }
    }

    fn downstream(&mut self, tls: &DownstreamTls, origin: &Origin, user: User<'_>) {
        for source in tls.certificates() {
            self.credential(source, origin, user);
        }
        if let Some(client) = tls.client() {
            self.roots(client.validation().roots(), origin, user);
        }
    }

    fn upstream(&mut self, tls: &UpstreamTls, origin: &Origin, user: User<'_>) {
        self.roots(tls.validation().roots(), origin, user);
        if let Some(source) = tls.certificate() {
            self.credential(source, origin, user);
        }
    }

    fn credential(&mut self, source: &CertificateSource, origin: &Origin, user: User<'_>) {
        let CertificateSource::Files(files) = source else {
            return;
        };
        let error = match self.failed.get(source) {
            Some(error) => Arc::clone(error),
            None if self.next.credentials.contains_key(source) => return,
            None => {
                let before = self.previous.credentials.get(source);
                match Credential::read(files, before) {
                    Ok(credential) => {
                        self.next.credentials.insert(source.clone(), credential);
                        return;
                    }
                    Err(error) => {
                        if let Some(before) = before {
                            self.next.credentials.insert(source.clone(), Arc::clone(before));
                        }
                        let error = Arc::new(error);
                        self.failed.insert(source.clone(), Arc::clone(&error));
                        error
                    }
                }
            }
        };
        self.fault(MaterialPart::Credential(source.clone()), origin, user(), error);
    }

    fn roots(&mut self, roots: &Roots, origin: &Origin, user: User<'_>) {
        let error = match self.failed_roots.get(roots) {
            Some(error) => Arc::clone(error),
            None if self.next.roots.contains_key(roots) => return,
            None => {
                let before = self.previous.roots.get(roots);
                let read = match roots {
                    Roots::File(file) => RootSet::read(file, before),
                    Roots::System => system_roots(),
                    Roots::Bundle(_) | Roots::Spiffe => return,
                };
                match read {
                    Ok(read) => {
                        self.next.roots.insert(roots.clone(), read);
                        return;
                    }
                    Err(error) => {
                        if let Some(before) = before {
                            self.next.roots.insert(roots.clone(), Arc::clone(before));
                        }
                        let error = Arc::new(error);
                        self.failed_roots.insert(roots.clone(), Arc::clone(&error));
                        error
                    }
                }
            }
        };
        self.fault(MaterialPart::Roots(roots.clone()), origin, user(), error);
    }
}

/// What comes over the network stays while the identity that it comes with means the same.
fn is_kept(before: Option<&Arc<Identity>>, now: Option<&Arc<Identity>>) -> bool {
    before
        .zip(now)
        .is_some_and(|(before, now)| before.source() == now.source())
}
