//! The server's own certificate: of its authority, renewed at half of its life, or out of files, read again when they
//! change. A new one is in force from the next handshake on; what fails leaves the last one as it is.

use super::{ClientCertificates, ServerTls, ServerTlsError};
use crate::authority::{Authority, Bundle, Refusal};
use crate::settings::{ServerCertificate, TlsSettings};
use outrigger_config::model::{SpiffeId, TrustDomain};
use outrigger_identity::renewal::{Moment, Renewal};
use outrigger_identity::{Credential, IdentityError, RootSet};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::time::sleep;
use zeroize::Zeroizing;

/// How often files are looked at.
const FILES_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// The server has no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum ServerIdentityError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was read cannot be used.
    #[error("the server's certificate cannot be used: {0}")]
    Identity(#[from] IdentityError),
    /// The authority gives none.
    #[error("the authority gives the server no certificate: {0}")]
    Refused(#[from] Refusal),
    /// The certificate was to be the authority's, and there is none.
    #[error("the server's certificate is to be its authority's, which is not enabled")]
    NoAuthority,
    /// It cannot be served.
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
}

/// Where the server's certificate comes from, and whose clients it believes.
pub struct ServerIdentity {
    settings: TlsSettings,
    authority: Option<Arc<Authority>>,
    id: SpiffeId,
    check_interval: Duration,
    /// Has seen what was the bundle when this was made.
    bundles: Option<watch::Receiver<Arc<Bundle>>>,
    last: Mutex<Option<Arc<Shown>>>,
}

/// What is shown and believed.
struct Shown {
    credential: Credential,
    client_roots: Option<RootSet>,
}

/// The contents of all files, to see whether they have changed.
type Contents = Vec<Option<Zeroizing<Vec<u8>>>>;

impl ServerIdentity {
    /// The identity of a server of this trust domain: `spiffe://DOMAIN/outrigger/control` where it is the authority's.
    pub fn new(
        settings: TlsSettings,
        authority: Option<Arc<Authority>>,
        trust_domain: &TrustDomain,
    ) -> ServerIdentity {
        let id = format!("spiffe://{trust_domain}/outrigger/control");
        ServerIdentity {
            bundles: authority.as_ref().map(|authority| authority.watch_bundle()),
            last: Mutex::new(None),
            settings,
            authority,
            id: id.parse().expect("a path below a trust domain is an id"),
            check_interval: FILES_CHECK_INTERVAL,
        }
    }

    /// The TLS of a listener. Listeners that are made one after the other show the same certificate.
    ///
    /// # Errors
    /// If there is none, or it cannot be served.
    pub async fn tls(&self, clients: ClientCertificates) -> Result<Arc<ServerTls>, ServerIdentityError> {
        let last = self.last.lock().clone();
        let shown = match last {
            Some(shown) => shown,
            None => self.obtain(SystemTime::now()).await?,
        };
        let domain = self
            .id
            .trust_domain()
            .parse()
            .expect("an id's trust domain is one");
        let tls = ServerTls::new(
            &shown.credential,
            shown.client_roots.as_ref(),
            clients,
            Some(domain),
        )?;
        Ok(Arc::new(tls))
    }

    /// Keeps the certificates of these listeners fresh until it is dropped. Does not end by itself.
    pub async fn keep(&self, listeners: Vec<Arc<ServerTls>>) {
        let mut bundles = self.bundles.clone();
        let mut renewal = Renewal::at_half();
        if let Some(shown) = &*self.last.lock() {
            let validity = shown.credential.facts().validity;
            renewal.succeeded(validity, moment(), fastrand::u64(..));
        }
        // Files may have changed since they were read for the listeners: nothing is known of them yet.
        let mut contents: Contents = self.files().iter().map(|_| None).collect();
        loop {
            // Each ends when something has changed.
            let due = async {
                while !renewal.is_due(moment()) {
                    sleep(renewal.wake_in(moment())).await;
                }
            };
            let bundle = async {
                match &mut bundles {
                    Some(bundles) => bundles.changed().await.is_ok(),
                    None => false,
                }
            };
            tokio::select! {
                () = due => {}
                true = bundle => {}
                changed = self.files_changed(&contents) => contents = changed,
            }
            match self.renew(&listeners).await {
                Ok(validity) => renewal.succeeded(validity, moment(), fastrand::u64(..)),
                Err(error) => {
                    tracing::warn!(%error, "cannot renew the server's certificate; the last one stays in force");
                    renewal.failed(moment(), fastrand::u64(..));
                }
            }
        }
    }

    async fn renew(
        &self,
        listeners: &[Arc<ServerTls>],
    ) -> Result<outrigger_identity::Validity, ServerIdentityError> {
        let shown = self.obtain(SystemTime::now()).await?;
        for tls in listeners {
            tls.replace(&shown.credential, shown.client_roots.as_ref())?;
        }
        Ok(shown.credential.facts().validity)
    }

    async fn obtain(&self, now: SystemTime) -> Result<Arc<Shown>, ServerIdentityError> {
        let credential = match &self.settings.certificate {
            ServerCertificate::Files(files) => {
                let chain = read(&files.certificate_file).await?;
                let key = read(&files.private_key_file).await?;
                Credential::from_pem(&chain, &key, None)?
            }
            ServerCertificate::Authority { dns_names, addresses } => {
                let authority = self.authority.as_ref().ok_or(ServerIdentityError::NoAuthority)?;
                let purpose = "its own listeners";
                let made = authority.make_identity(&self.id, (dns_names, addresses), None, purpose, now);
                made.await?.credential()?
            }
        };
        let mut roots = String::new();
        if let Some(authority) = &self.authority {
            roots.push_str(authority.bundle().pem());
        }
        if let Some(file) = &self.settings.client_roots_file {
            roots.push_str(&String::from_utf8_lossy(&read(file).await?));
        }
        let client_roots = match roots.is_empty() {
            true => None,
            false => Some(RootSet::from_text(roots.as_bytes())?),
        };
        let shown = Arc::new(Shown {
            credential,
            client_roots,
        });
        *self.last.lock() = Some(Arc::clone(&shown));
        Ok(shown)
    }

    /// The files that are read, in order.
    fn files(&self) -> Vec<&Path> {
        let mut files: Vec<&Path> = Vec::new();
        if let ServerCertificate::Files(named) = &self.settings.certificate {
            files.extend([named.certificate_file.as_path(), named.private_key_file.as_path()]);
        }
        files.extend(self.settings.client_roots_file.as_deref());
        files
    }

    /// What the files hold now; a file that cannot be read holds nothing.
    async fn contents(&self) -> Contents {
        let files = self.files();
        let mut contents = Vec::with_capacity(files.len());
        for file in files {
            contents.push(crate::files::read(file).await.ok());
        }
        contents
    }

    /// Waits until the files hold something else, and says what. Never, where there are no files. Cancel safe.
    async fn files_changed(&self, before: &Contents) -> Contents {
        if before.is_empty() {
            return std::future::pending().await;
        }
        loop {
            sleep(self.check_interval).await;
            let contents = self.contents().await;
            if contents != *before {
                return contents;
            }
        }
    }
}

async fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, ServerIdentityError> {
    crate::files::read(file)
        .await
        .map_err(|source| ServerIdentityError::File {
            file: file.to_owned(),
            source,
        })
}

fn moment() -> Moment {
    Moment {
        wall: SystemTime::now(),
        monotonic: Instant::now(),
    }
}

#[cfg(test)]
mod tests;
