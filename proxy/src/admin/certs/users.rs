//! Who shows which certificates and believes which authorities.

use outrigger_config::MeshConfig;
use outrigger_config::model::{CertificateSource, IdentitySource, Roots};

/// A filter chain, a cluster, or an identity whose authority is believed by some roots.
pub(super) struct User {
    /// `listener L, filter chain C`, `cluster C` or `identity I`.
    pub(super) name: String,
    pub(super) credentials: Vec<CertificateSource>,
    pub(super) roots: Option<Roots>,
}

pub(super) fn users(config: &MeshConfig) -> Vec<User> {
    let mut users = Vec::new();
    for listener in config.listeners() {
        for chain in listener.filter_chains() {
            let Some(tls) = chain.tls() else { continue };
            let client = tls.client().as_ref();
            users.push(User {
                name: format!("listener {}, filter chain {}", listener.name(), chain.name()),
                credentials: tls.certificates().clone(),
                roots: client.map(|client| client.validation().roots().clone()),
            });
        }
    }
    for cluster in config.clusters() {
        let Some(tls) = cluster.tls() else { continue };
        users.push(User {
            name: format!("cluster {}", cluster.name()),
            credentials: tls.certificate().iter().cloned().collect(),
            roots: Some(tls.validation().roots().clone()),
        });
    }
    for identity in config.identities() {
        if let IdentitySource::Authority(authority) = identity.source() {
            users.push(User {
                name: format!("identity {}", identity.name()),
                credentials: Vec::new(),
                roots: Some(authority.roots().clone()),
            });
        }
    }
    users
}
