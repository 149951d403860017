//! Secrets of nodes that make no keys of their own: Envoy is given its identity, and whom to believe, by SDS.

use crate::authority::{Authority, Bundle, WholeIdentity};
use crate::fleet::{NodeView, TRUST_BUNDLE};
use outrigger_config::document::{Map, Path, Value, assemble, read_parts};
use outrigger_config::model::SpiffeId;
use outrigger_xds::encode::{EncodeOptions, encode};
use outrigger_xds::resource::{Resource, ResourceType};
use outrigger_xds::session::View;
use outrigger_xds::session::view::Change;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The name of the identity in views.
const IDENTITY: &str = "default";
/// Nobody's identity is renewed more often than this.
const RENEWAL_MIN: Duration = Duration::from_secs(10);

/// What one node was given.
pub(super) struct Secrets {
    id: SpiffeId,
    identity: WholeIdentity,
    renewal: Instant,
}

impl Secrets {
    /// When the identity is due to be renewed: at half of its life.
    pub(super) fn renewal(&self) -> Instant {
        self.renewal
    }

    /// The view with the node's secrets: an identity that it has already, unless that is due, and the bundle of now.
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
        let is_good = |held: &Secrets| held.id == id && held.renewal > Instant::now();
        if !secrets.as_ref().is_some_and(is_good) {
            *secrets = Some(Secrets::make(authority, id, node).await?);
        }
        let held = secrets.as_ref().ok_or("there is no identity")?;
        let resources = held.resources(&authority.bundle(), made)?;
        let changes = resources.into_iter().map(Change::Put);
        Ok(Arc::new(made.view.next(made.view.revision(), changes)))
    }

    async fn make(authority: &Authority, id: SpiffeId, node: &str) -> Result<Secrets, String> {
        let now = SystemTime::now();
        let purpose = format!("the node {node}, by SDS");
        let identity = authority
            .make_identity(&id, (&[], &[]), None, &purpose, now)
            .await
            .map_err(|refusal| refusal.to_string())?;
        let end = identity.certificate.validity.not_after;
        let life = end.duration_since(now).unwrap_or_default();
        let renewal = Instant::now() + (life / 2).max(RENEWAL_MIN);
        Ok(Secrets {
            id,
            identity,
            renewal,
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
        let whole = assemble(&made.config, [&parts]).map_err(|faults| faults.to_string())?;
        let options = EncodeOptions {
            endpoints_apart: true,
            ..EncodeOptions::default()
        };
        let encoded = encode(&whole.config, &options);
        let resource = |(name, body): (String, Vec<u8>)| Resource::hashed(ResourceType::Secret, name, body);
        Ok(encoded.secrets.into_iter().map(resource).collect())
    }
}
