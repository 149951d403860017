//! The authority as those who ask it see it.

mod join_tokens;
mod keys;

use super::kubernetes::tests::{Issuer, claims};
use super::*;
use crate::listen::Peer;
use outrigger_config::model::KeyKind;
use outrigger_identity::{PeerIdentity, RootSet, SigningRequest};
use std::time::UNIX_EPOCH;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An audit log that can be read, and broken.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<AuthorityEvent>>,
    is_broken: std::sync::atomic::AtomicBool,
}

impl Log {
    fn last(&self) -> Happening {
        self.events.lock().last().unwrap().happening.clone()
    }

    fn break_down(&self) {
        self.is_broken.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Audit for Log {
    async fn record(&self, event: &AuthorityEvent) -> Result<(), String> {
        if self.is_broken.load(std::sync::atomic::Ordering::SeqCst) {
            return Err("the disk is full".to_owned());
        }
        self.events.lock().push(event.clone());
        Ok(())
    }
}

/// Keys that two servers share.
#[derive(Default)]
struct SharedKeys(Mutex<(Option<Vec<u8>>, u64)>);

#[tonic::async_trait]
impl KeyStore for SharedKeys {
    async fn load(&self) -> Result<Option<Kept>, KeyStoreError> {
        let kept = self.0.lock();
        Ok(kept.0.as_ref().map(|text| Kept {
            text: text.clone().into(),
            version: kept.1,
        }))
    }

    async fn save(&self, text: &[u8], replaces: Option<u64>) -> Result<u64, KeyStoreError> {
        let mut kept = self.0.lock();
        if kept.0.as_ref().map(|_| kept.1) != replaces {
            return Err(KeyStoreError::Conflict);
        }
        *kept = (Some(text.to_vec()), kept.1 + 1);
        Ok(kept.1)
    }
}

struct World {
    authority: Authority,
    log: Arc<Log>,
    registry: prometheus::Registry,
    now: SystemTime,
}

async fn world_with(key: KeySource, kubernetes: Option<Arc<Kubernetes>>) -> World {
    let (log, registry) = (Arc::new(Log::default()), prometheus::Registry::new());
    let now = SystemTime::now();
    let fixed = JoinToken {
        name: "fixed".to_owned(),
        digest: crate::access::TokenDigest::of("fixed-secret"),
        allows: SpiffeMatch::Prefix(id("vm")),
        expires: Some(now + DAY),
        reusable: true,
    };
    let parts = AuthorityParts {
        trust_domain: "mesh".parse().unwrap(),
        validity_max: DAY,
        key,
        fixed_tokens: vec![fixed],
        join_tokens: Arc::new(MemoryJoinTokens::default()),
        kubernetes,
        audit: log.clone(),
        metrics: AuthorityMetrics::register(&registry).unwrap(),
    };
    World {
        authority: Authority::open(parts, now).await.unwrap(),
        log,
        registry,
        now,
    }
}

async fn world() -> World {
    world_with(KeySource::Kept(Arc::new(SharedKeys::default())), None).await
}

fn id(path: &str) -> SpiffeId {
    format!("spiffe://mesh/{path}").parse().unwrap()
}

fn request(id: &SpiffeId) -> String {
    SigningRequest::new(KeyKind::EcdsaP256, id)
        .unwrap()
        .pem()
        .to_owned()
}

/// A connection with this certificate, which the listener has verified.
fn peer(certificate: &Certificate) -> Peer {
    Peer {
        address: "192.0.2.1:4000".parse().unwrap(),
        local_address: "192.0.2.2:18000".parse().unwrap(),
        encrypted: true,
        identity: PeerIdentity::of(&certificate.chain),
        certificates: certificate.chain.clone(),
    }
}

impl World {
    async fn ask(
        &self,
        id: &SpiffeId,
        bearer: Option<&str>,
        peer: Option<&Peer>,
    ) -> Result<Certificate, Refusal> {
        self.ask_at(id, bearer, peer, self.now).await
    }

    async fn ask_at(
        &self,
        id: &SpiffeId,
        bearer: Option<&str>,
        peer: Option<&Peer>,
        now: SystemTime,
    ) -> Result<Certificate, Refusal> {
        let request = request(id);
        let call = CertificateCall {
            request: &request,
            validity: None,
            peer,
            bearer,
        };
        Ok(self.authority.certify(call, now).await?.0)
    }

    async fn token(&self, name: &str, allows: SpiffeMatch, reusable: bool) -> Secret {
        let by = ("ann", self.now);
        let made = self.authority.make_join_token(name, allows, HOUR, reusable, by);
        made.await.unwrap()
    }

    async fn roll(
        &self,
        step: Step,
        evidence: Evidence,
        now: SystemTime,
    ) -> Result<Arc<Bundle>, AuthorityError> {
        self.authority.roll(step, evidence, None, ("ann", now)).await
    }

    fn count(&self, family: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|found| found.name().ends_with(family))
            .unwrap();
        let is_it = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().any(|found| found.value() == label)
        };
        let found = family.get_metric().iter().find(is_it);
        found.map_or(0, |metric| metric.get_counter().get_value() as u64)
    }
}

/// What a peer says to a chain, who believes this bundle.
fn believed(bundle: &Bundle, identity: &WholeIdentity, now: SystemTime) -> bool {
    let roots = Arc::new(RootSet::new(bundle.roots().to_vec()).unwrap());
    let credential = identity.credential().unwrap();
    credential
        .verify(&roots, Some(&"mesh".parse().unwrap()), now)
        .is_ok()
}

#[tokio::test]
async fn a_certificate_renews_its_own_id_alone() {
    let world = world().await;
    let web = id("web");
    let secret = world.token("once", SpiffeMatch::Exact(web.clone()), false).await;
    let first = world.ask(&web, Some(secret.expose()), None).await.unwrap();
    let shown = peer(&first);
    // The token that it came by is used up, and is sent still.
    let second = world
        .ask(&web, Some(secret.expose()), Some(&shown))
        .await
        .unwrap();
    assert_ne!(second.serial, first.serial);
    let Happening::Issued { proof, .. } = world.log.last() else {
        panic!("{:?}", world.log.last());
    };
    assert_eq!(proof, Proof::Certificate(first.serial.clone()));
    assert_eq!(world.log.events.lock().last().unwrap().from, Some(shown.address));
    let other = world.ask(&id("db"), None, Some(&shown)).await.unwrap_err();
    assert_eq!(
        other.to_string(),
        "the certificate shown is for spiffe://mesh/web; it renews that id alone"
    );
    let late = world
        .ask_at(&web, None, Some(&shown), world.now + DAY + HOUR)
        .await;
    assert!(matches!(late, Err(Refusal::Unauthenticated(_))), "{late:?}");
}

#[tokio::test]
async fn anothers_authority_vouches_for_none_of_our_ids() {
    let (ours, theirs) = (world().await, world().await);
    let web = id("web");
    let secret = theirs.token("once", SpiffeMatch::Exact(web.clone()), false).await;
    let foreign = theirs.ask(&web, Some(secret.expose()), None).await.unwrap();
    let refused = ours.ask(&web, None, Some(&peer(&foreign))).await.unwrap_err();
    assert!(refused.to_string().contains("not of this authority"), "{refused}");
}

#[tokio::test]
async fn a_service_account_gets_its_own_id() {
    let issuer = Issuer::new("one");
    let keys = KeySource::Kept(Arc::new(SharedKeys::default()));
    let world = world_with(keys, Some(Arc::new(issuer.kubernetes()))).await;
    let now = world.now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = issuer.token(&claims(now));
    world
        .ask(&id("ns/shop/sa/web"), Some(&token), None)
        .await
        .unwrap();
    let Happening::Issued { proof, .. } = world.log.last() else {
        panic!("{:?}", world.log.last());
    };
    assert_eq!(proof.to_string(), "service account shop/web");
    let other = world
        .ask(&id("ns/shop/sa/db"), Some(&token), None)
        .await
        .unwrap_err();
    assert_eq!(
        other.to_string(),
        "service account shop/web is not spiffe://mesh/ns/shop/sa/db; expected spiffe://mesh/ns/shop/sa/web"
    );
}

#[tokio::test]
async fn an_identity_gets_so_many_certificates_and_no_more() {
    let world = world().await;
    let secret = world.token("many", SpiffeMatch::Prefix(id("vm")), true).await;
    let token = Some(secret.expose());
    for _ in 0..BURST {
        world.ask(&id("vm/one"), token, None).await.unwrap();
    }
    let limited = world.ask(&id("vm/one"), token, None).await;
    assert!(
        matches!(limited, Err(Refusal::RateLimited(wait)) if wait == REFILL),
        "{limited:?}"
    );
    assert_eq!(world.count("refusals_total", "rate_limited"), 1);
    world.ask(&id("vm/two"), token, None).await.unwrap();
    world
        .ask_at(&id("vm/one"), token, None, world.now + REFILL)
        .await
        .unwrap();
    // Whoever cannot show who it is takes nothing from anybody.
    for _ in 0..2 * BURST {
        world.ask(&id("vm/three"), Some("guess"), None).await.unwrap_err();
    }
    world.ask(&id("vm/three"), token, None).await.unwrap();
}

#[tokio::test]
async fn validity_is_cut_to_the_maximum() {
    let world = world().await;
    let secret = world.token("many", SpiffeMatch::Prefix(id("vm")), true).await;
    let request = request(&id("vm/one"));
    for (asked, given) in [
        (None, DAY),
        (Some(Duration::ZERO), DAY),
        (Some(HOUR), HOUR),
        (Some(DAY * 400), DAY),
        (Some(Duration::MAX), DAY),
    ] {
        let call = CertificateCall {
            request: &request,
            validity: asked,
            peer: None,
            bearer: Some(secret.expose()),
        };
        let (certificate, _) = world.authority.certify(call, world.now).await.unwrap();
        assert_eq!(
            certificate.validity.lifetime().as_secs(),
            (given + BACKDATE).as_secs(),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_issued_that_cannot_be_written_down() {
    let world = world().await;
    let secret = world.token("many", SpiffeMatch::Prefix(id("vm")), true).await;
    world.log.break_down();
    let asked = world.ask(&id("vm/one"), Some(secret.expose()), None).await;
    assert!(matches!(asked, Err(Refusal::Audit(_))), "{asked:?}");
    let status = tonic::Status::from(asked.unwrap_err());
    assert!(!status.message().contains("disk"), "{status}");
    let made = world
        .authority
        .make_identity(&id("a"), (&[], &[]), None, "a test", world.now)
        .await;
    assert!(matches!(made, Err(Refusal::Audit(_))));
    assert!(
        world
            .roll(Step::Prepare, Evidence::Time, world.now)
            .await
            .is_err()
    );
    assert_eq!(world.authority.roots().len(), 1);
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_flood_the_audit_log() {
    let world = world().await;
    for _ in 0..250 {
        world.ask(&id("vm/one"), Some("guess"), None).await.unwrap_err();
    }
    assert_eq!(world.log.events.lock().len(), 100);
    assert_eq!(world.count("refusals_total", "unauthenticated"), 250);
    world
        .ask(&id("vm/one"), Some("fixed-secret"), None)
        .await
        .unwrap();
    assert!(matches!(world.log.last(), Happening::Issued { .. }));
}
