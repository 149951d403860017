//! From settings to an authority, and what it needs done while it runs.

use super::kubernetes::{Kubernetes, keep_keys};
use super::{
    Audit, Authority, AuthorityError, AuthorityMetrics, AuthorityParts, JoinTokens, KeyFile, KeySource,
    KeyStore, SignerPem,
};
use crate::files;
use crate::settings::{AuthoritySettings, SignerSettings};
use outrigger_config::model::TrustDomain;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;
use zeroize::Zeroizing;

/// How often the keys are looked at again: what another server has done with them is in force here after so long.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// What the rest of the server gives to its authority.
pub struct AuthoritySurroundings {
    /// Keeps a generated key, where servers share one; none: the file of the settings does.
    pub key_store: Option<Arc<dyn KeyStore>>,
    /// Keeps join tokens.
    pub join_tokens: Arc<dyn JoinTokens>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// Metrics.
    pub metrics: AuthorityMetrics,
}

/// The authority cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the signer cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be opened.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl Authority {
    /// Opens the authority that the settings describe. Who starts it runs [`Authority::keep`] for as long.
    ///
    /// # Errors
    /// If its files cannot be read, or its key cannot be used.
    pub async fn start(
        settings: &AuthoritySettings,
        trust_domain: TrustDomain,
        surroundings: AuthoritySurroundings,
        now: SystemTime,
    ) -> Result<Authority, StartError> {
        let key = match (&settings.signer, surroundings.key_store) {
            (SignerSettings::Generated(_), Some(store)) => KeySource::Kept(store),
            (SignerSettings::Generated(file), None) => KeySource::Kept(Arc::new(KeyFile::new(file))),
            (SignerSettings::Files { signer, roots_file }, _) => KeySource::Given {
                signer: SignerPem {
                    chain: read(&signer.certificate_file).await?.to_string(),
                    private_key: read(&signer.private_key_file).await?,
                },
                further_roots: match roots_file {
                    Some(file) => read(file).await?.to_string(),
                    None => String::new(),
                },
            },
        };
        let kubernetes = settings.kubernetes.as_ref().map(|kubernetes| {
            let (issuer, audiences) = (kubernetes.issuer.clone(), kubernetes.audiences.clone());
            Arc::new(Kubernetes::new(issuer, audiences))
        });
        let parts = AuthorityParts {
            trust_domain,
            validity_max: settings.certificate_validity_max,
            key,
            fixed_tokens: settings.join_tokens.clone(),
            join_tokens: surroundings.join_tokens,
            kubernetes,
            audit: surroundings.audit,
            metrics: surroundings.metrics,
        };
        Ok(Authority::open(parts, now).await?)
    }

    /// Keeps the issuer's keys fresh, the signing keys in step with other servers, and the bundle's file up to date, until
    /// it is dropped. Does not end by itself.
    pub async fn keep(self: Arc<Self>, settings: AuthoritySettings) {
        let keys = async {
            match (&self.requesters.kubernetes, settings.kubernetes) {
                (Some(kubernetes), Some(settings)) => {
                    keep_keys(Arc::clone(kubernetes), settings.keys, settings.refresh).await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::join!(
            keys,
            self.keep_in_step(),
            self.keep_bundle_file(settings.bundle_file)
        );
    }

    async fn keep_in_step(&self) {
        let mut failed = false;
        loop {
            sleep(REFRESH_INTERVAL).await;
            match self.refresh(SystemTime::now()).await {
                Ok(()) => failed = false,
                Err(error) => {
                    // Once for each outage, not every few seconds.
                    if !std::mem::replace(&mut failed, true) {
                        tracing::warn!(%error, "cannot look at the authority's keys; those in force stay so");
                    }
                }
            }
        }
    }

    async fn keep_bundle_file(&self, file: Option<PathBuf>) {
        let Some(file) = file else {
            return std::future::pending().await;
        };
        let mut bundles = self.watch_bundle();
        loop {
            let pem = bundles.borrow_and_update().pem().to_owned();
            if let Err(error) = files::replace(&file, pem.as_bytes()) {
                tracing::warn!(%error, file = %file.display(), "cannot write the trust bundle");
                sleep(REFRESH_INTERVAL).await;
                continue;
            }
            if bundles.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn read(file: &Path) -> Result<Zeroizing<String>, StartError> {
    files::read_text(file).await.map_err(|source| StartError::File {
        file: file.to_owned(),
        source,
    })
}
