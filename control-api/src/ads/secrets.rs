//! Secrets of nodes that make no keys of their own: Envoy is given its identity, and whom to believe, by SDS.

use super::retry::Retry;
use crate::authority::{Authority, Bundle, WholeIdentity};
use crate::fleet::{NodeView, TRUST_BUNDLE};
use outrigger_config::document::{Map, Path, Value, assemble, read_parts};
use outrigger_config::model::SpiffeId;
use outrigger_xds::encode::{EncodeOptions, encode_secrets};
use outrigger_xds::resource::{Resource, ResourceType};
use outrigger_xds::session::view::Change;
use outrigger_xds::session::{Server, View};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The name of the identity in views.
const IDENTITY: &str = "default";
/// Nobody's identity is renewed more often than this.
const RENEWAL_MIN: Duration = Duration::from_secs(10);

/// Trust bundles that are remembered: a rollover has three, and a node lags by one.
const BUNDLES_MAX: usize = 4;

/// What one node was given.
pub(super) struct Secrets {
    id: SpiffeId,
    identity: WholeIdentity,
    renewal: Instant,
    /// Renewals that failed.
    retry: Retry,
    /// The trust bundles that were put into the node's views, the last one at the end: the version of each, and its roots.
    bundles: Vec<(Arc<str>, Vec<String>)>,
}

impl Secrets {
    /// When the identity is due to be renewed: at half of its life, or some time after that failed.
    pub(super) fn renewal(&self) -> Instant {
        self.retry.due().unwrap_or(self.renewal)
    }

    /// The view with the node's secrets: an identity that it has already, unless that is due, and the bundle of now. One
    /// that cannot be renewed stays as long as it holds, and another try is due later.
    pub(super) async fn add(
        secrets: &mut Option<Secrets>,
        authority: &Authority,
        identities: &[String],
        made: &NodeView,
        node: &str,
    ) -> Result<Arc<View>, String> {
        let Some(id) = identities.first() else {
            return Ok(Arc::clone(&made.view));
        };
        let id: SpiffeId = id.parse().map_err(|_| format!("{id} is no SPIFFE id"))?;
        let is_good = |held: &Secrets| held.id == id && held.renewal() > Instant::now();
        if !secrets.as_ref().is_some_and(is_good) {
            match (Secrets::make(authority, &id, node).await, secrets.as_mut()) {
                (Ok(made), _) => *secrets = Some(made),
                (Err(reason), Some(held)) if held.id == id && held.holds(SystemTime::now()) => {
                    tracing::warn!(node, reason, "a node's identity cannot be renewed yet");
                    held.retry.failed(Instant::now(), fastrand::f64());
                }
                (Err(reason), _) => return Err(reason),
            }
        }
        let held = secrets.as_mut().ok_or("there is no identity")?;
        let bundle = authority.bundle();
        let resources = held.resources(&bundle, made)?;
        held.note(&resources, &bundle);
        let changes = resources.into_iter().map(Change::Put);
        Ok(Arc::new(made.view.next(made.view.revision(), changes)))
    }

    /// Remembers which roots a version of the bundle has.
    fn note(&mut self, resources: &[Resource], bundle: &Bundle) {
        let given = resources
            .iter()
            .find(|resource| **resource.name() == *TRUST_BUNDLE);
        let Some(version) = given.map(|resource| Arc::clone(resource.version())) else {
            return;
        };
        self.bundles.retain(|(known, _)| *known != version);
        self.bundles.push((version, bundle.fingerprints().to_vec()));
        let many = self.bundles.len().saturating_sub(BUNDLES_MAX);
        self.bundles.drain(..many);
    }

    /// The roots of the bundle that the node has taken; none: it has taken none of those that are remembered.
    pub(super) fn believed(&self, session: &Server, now: Instant) -> Option<&[String]> {
        let mut statuses = session.statuses(ResourceType::Secret, now);
        let taken = statuses
            .find(|status| *status.name == *TRUST_BUNDLE)?
            .acknowledged?;
        let (_, roots) = self.bundles.iter().find(|(version, _)| **version == *taken)?;
        Some(roots)
    }

    fn holds(&self, now: SystemTime) -> bool {
        now < self.identity.certificate.validity.not_after
    }

    async fn make(authority: &Authority, id: &SpiffeId, node: &str) -> Result<Secrets, String> {
        let now = SystemTime::now();
        let purpose = format!("the node {node}, by SDS");
        let identity = authority
            .make_identity(id, (&[], &[]), None, &purpose, now)
            .await
            .map_err(|refusal| refusal.to_string())?;
        let end = identity.certificate.validity.not_after;
        let life = end.duration_since(now).unwrap_or_default();
        let renewal = Instant::now() + (life / 2).max(RENEWAL_MIN);
        Ok(Secrets {
            id: id.clone(),
            identity,
            renewal,
            retry: Retry::default(),
            bundles: Vec::new(),
        })
    }

    fn resources(&self, bundle: &Bundle, made: &NodeView) -> Result<Vec<Resource>, String> {
        let path = Path::root();
        let text = |text: &str| Value::text(&path, text);
        let chain = self.identity.chain_pem();
        let key = self.identity.private_key_pem();
        let inline = Map::new(&path)
            .with("certificate_chain", text(&chain))
            .with("private_key", text(&key));
        let identity = Map::new(&path)
            .with("name", text(IDENTITY))
            .with("inline", inline.into());
        let trusted = Map::new(&path)
            .with("name", text(TRUST_BUNDLE))
            .with("trust_domain", text(self.id.trust_domain()))
            .with("inline", text(bundle.pem()));
        let document = Map::new(&path)
            .with("identities", Value::list(&path, [identity.into()]))
            .with("trust_bundles", Value::list(&path, [trusted.into()]));
        let parts = read_parts("secrets", document.into()).map_err(|faults| faults.to_string())?;
        let whole = assemble(&made.told.config, [&parts]).map_err(|faults| faults.to_string())?;
        let options = EncodeOptions {
            endpoints_apart: true,
            ..EncodeOptions::default()
        };
        let secrets = encode_secrets(&whole.config, &options);
        let resource = |(name, body): (String, Vec<u8>)| Resource::hashed(ResourceType::Secret, name, body);
        Ok(secrets.into_iter().map(resource).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ads::tests::{BreakableAudit, authority};
    use crate::fleet::{Agent, revision_of};

    #[tokio::test]
    async fn an_identity_that_cannot_be_renewed_stays_and_is_tried_later() {
        let audit = BreakableAudit::default();
        let authority = authority(&audit).await;
        let revision = revision_of(1, crate::ads::tests::MESH);
        let role = revision.role("shop/web", "web-1", Agent::Envoy).unwrap();
        let made = revision.view(&role).unwrap();
        let identities = revision.mesh().identities_of("shop/web");
        let mut secrets = None;
        let first = Secrets::add(&mut secrets, &authority, &identities, &made, "web-1")
            .await
            .unwrap();
        let held = secrets.as_mut().unwrap();
        let now = Instant::now();
        held.renewal = now;
        audit.set_broken(true);
        let second = Secrets::add(&mut secrets, &authority, &identities, &made, "web-1")
            .await
            .unwrap();
        assert!(first.differing(&second, ResourceType::Secret).is_empty());
        assert!(
            secrets.as_ref().unwrap().renewal() > now,
            "nobody is woken at once, again and again"
        );
        // Once it can be renewed, it is.
        audit.set_broken(false);
        secrets.as_mut().unwrap().retry.succeeded();
        let third = Secrets::add(&mut secrets, &authority, &identities, &made, "web-1")
            .await
            .unwrap();
        assert_eq!(second.differing(&third, ResourceType::Secret).len(), 1);
        // What holds no longer is not given out.
        audit.set_broken(true);
        let held = secrets.as_mut().unwrap();
        held.renewal = now;
        held.identity.certificate.validity.not_after = SystemTime::UNIX_EPOCH;
        let ended = Secrets::add(&mut secrets, &authority, &identities, &made, "web-1").await;
        assert!(ended.unwrap_err().contains("audit"));
    }
}
