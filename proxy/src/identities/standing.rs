//! How a source of an identity stands: what it gave, when it is asked again, and what went wrong. Decided without a clock
//! or a random source.

use super::delivery::Delivery;
use super::failure::Failure;
use outrigger_identity::Credential;
use outrigger_identity::renewal::{Moment, Renewal};
use outrigger_telemetry::SourceFailure;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A Workload API that says for this long that the identity is not ours is obeyed, and what it gave before is not used any
/// more ("The SPIFFE Workload API", section 5.2.1). Not at once: an agent that has just started says so too, until it knows
/// its workloads. An authority that does not sign has taken nothing back: a token may have run out.
pub(crate) const DENIAL_GRACE: Duration = Duration::from_secs(30);

/// How a source stands.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) renewal: Renewal,
    pub(crate) delivery: Option<Arc<Delivery>>,
    /// When it gave what is held, or gave the same again.
    pub(crate) succeeded_at: Option<SystemTime>,
    /// The last failure, also after a success.
    pub(crate) failure: Option<(SystemTime, Failure)>,
    /// By the protocol it is not asked again.
    pub(crate) has_given_up: bool,
    /// What is denied for long is taken away.
    obeys_denial: bool,
    denied_since: Option<Instant>,
    /// Outcomes that were no success, since the last one.
    faults: u32,
}

/// What an outcome changes for those who use the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// The certificate is the one before; authorities and revocation lists may be others.
    Confirmed,
    /// There is something new.
    New,
    /// What was there is not to be used any more.
    Withdrawn,
}

impl Standing {
    /// Of a source that gives by itself, and says by itself that it gives no more.
    pub(crate) fn of_workload_api() -> Standing {
        Standing::new(Renewal::overdue(), true)
    }

    /// Of a source that signs when it is asked to.
    pub(crate) fn of_authority() -> Standing {
        Standing::new(Renewal::at_half(), false)
    }

    fn new(renewal: Renewal, obeys_denial: bool) -> Standing {
        Standing {
            obeys_denial,
            renewal,
            delivery: None,
            succeeded_at: None,
            failure: None,
            has_given_up: false,
            denied_since: None,
            faults: 0,
        }
    }

    /// The source gave something that is in order.
    pub(crate) fn accepted(&mut self, delivery: Delivery, now: Moment, random: u64) -> Change {
        self.renewal.succeeded(delivery.validity(), now, random);
        self.succeeded_at = Some(now.wall);
        self.denied_since = None;
        self.faults = 0;
        let before = self.delivery.replace(Arc::new(delivery));
        let now = self.delivery.as_ref();
        let is_same = before
            .zip(now)
            .is_some_and(|(before, now)| Arc::ptr_eq(&before.credential, &now.credential));
        match is_same {
            true => Change::Confirmed,
            false => Change::New,
        }
    }

    /// An attempt came to nothing.
    pub(crate) fn failed(&mut self, failure: Failure, now: Moment, random: u64) -> Change {
        self.renewal.failed(now, random);
        self.refused(failure, now)
    }

    /// A source that tells by itself what is new told something that cannot be used: it is not asked again for that.
    pub(crate) fn refused(&mut self, failure: Failure, now: Moment) -> Change {
        self.faults = self.faults.saturating_add(1);
        self.has_given_up |= failure.is_final;
        if matches!(failure.reason, SourceFailure::Denied | SourceFailure::NotGiven) {
            self.denied_since.get_or_insert(now.monotonic);
        }
        self.failure = Some((now.wall, failure));
        self.withdraw(now)
    }

    /// True if the outcome just noted is worth a line of the log: the first that is no success, the second, the fourth. One
    /// that goes on fills no log.
    pub(crate) fn is_notable(&self) -> bool {
        self.faults.is_power_of_two()
    }

    /// True while the source says that the identity is not ours.
    pub(crate) fn is_denied(&self) -> bool {
        self.denied_since.is_some()
    }

    /// Takes away what was denied for long enough.
    /// The certificate that may renew itself: what is held, while it holds. Every other attempt after a failure goes without,
    /// since an authority that believes it no more ends the handshake, and may sign for a token.
    pub(crate) fn renews_by(&self, now: SystemTime) -> Option<Arc<Credential>> {
        let credential = &self.delivery.as_ref()?.credential;
        let holds = !credential.facts().validity.left(now).is_zero();
        (holds && self.renewal.failures().is_multiple_of(2)).then(|| Arc::clone(credential))
    }

    fn withdraw(&mut self, now: Moment) -> Change {
        let denied_for = |since| now.monotonic.saturating_duration_since(since);
        let is_over = self
            .denied_since
            .is_some_and(|since| denied_for(since) >= DENIAL_GRACE);
        if !is_over || !self.obeys_denial || self.delivery.take().is_none() {
            return Change::None;
        }
        self.renewal.withdrawn();
        Change::Withdrawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::delivery::Given;
    use outrigger_config::model::Name;
    use outrigger_config::{Environment, Source, load};
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

    struct Clock(Moment);

    impl Clock {
        fn new() -> Clock {
            Clock(Moment {
                wall: SystemTime::now(),
                monotonic: Instant::now(),
            })
        }

        fn pass(&mut self, seconds: u64) -> Moment {
            self.0.wall += Duration::from_secs(seconds);
            self.0.monotonic += Duration::from_secs(seconds);
            self.0
        }
    }

    /// Anything that can be delivered.
    fn delivery() -> Delivery {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("spiffe://a/b".try_into().unwrap())];
        let leaf = params.signed_by(&key, &root).unwrap();
        let given = Given {
            id: "spiffe://a/b".parse().unwrap(),
            chain: vec![leaf.der().clone()],
            key: rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der())
                .unwrap()
                .into(),
            bundles: vec![("a".parse().unwrap(), vec![root.der().clone()])],
            lists: Vec::new(),
        };
        Delivery::check(given, &name(), None, SystemTime::now()).unwrap()
    }

    fn name() -> Name {
        let text = "clusters: [{ name: own, endpoints: [] }]".to_owned();
        let source = Source {
            name: "test.yaml".to_owned(),
            text,
        };
        let loaded = load(&source, &Environment::empty()).unwrap();
        loaded.config.clusters()[0].name().clone()
    }

    fn failure(reason: SourceFailure) -> Failure {
        Failure::new(reason, "a reason")
    }

    #[test]
    fn what_was_given_is_kept_while_its_source_is_away() {
        let (mut standing, mut clock) = (Standing::of_workload_api(), Clock::new());
        assert_eq!(standing.accepted(delivery(), clock.pass(0), 0), Change::New);
        for _ in 0..100 {
            let change = standing.failed(failure(SourceFailure::Unreachable), clock.pass(60), 0);
            assert_eq!(change, Change::None);
        }
        assert!(standing.delivery.is_some());
        assert_eq!(standing.renewal.failures(), 100);
        assert!(standing.failure.is_some());
    }

    #[test]
    fn what_is_denied_for_long_is_withdrawn_once() {
        let (mut standing, mut clock) = (Standing::of_workload_api(), Clock::new());
        standing.accepted(delivery(), clock.pass(0), 0);
        let denied = || failure(SourceFailure::Denied);
        assert_eq!(standing.failed(denied(), clock.pass(1), 0), Change::None);
        assert_eq!(standing.failed(denied(), clock.pass(15), 0), Change::None);
        // That it cannot be reached for a while takes nothing back.
        let away = failure(SourceFailure::Unreachable);
        assert_eq!(standing.failed(away, clock.pass(10), 0), Change::None);
        assert_eq!(standing.failed(denied(), clock.pass(5), 0), Change::Withdrawn);
        assert!(standing.delivery.is_none() && standing.renewal.held().is_none());
        assert_eq!(standing.failed(denied(), clock.pass(5), 0), Change::None);
        assert_eq!(standing.accepted(delivery(), clock.pass(5), 0), Change::New);
    }

    #[test]
    fn an_authority_that_does_not_sign_takes_nothing_away() {
        let (mut standing, mut clock) = (Standing::of_authority(), Clock::new());
        standing.accepted(delivery(), clock.pass(0), 0);
        for _ in 0..100 {
            let change = standing.failed(failure(SourceFailure::Denied), clock.pass(60), 0);
            assert_eq!(change, Change::None);
        }
        assert!(standing.delivery.is_some() && standing.renewal.held().is_some());
        assert!(
            !standing.renewal.is_due(clock.pass(0)),
            "it is asked again, later"
        );
        assert!(standing.renewal.is_due(clock.pass(300)));
    }

    #[test]
    fn a_moment_of_denial_is_forgiven() {
        let (mut standing, mut clock) = (Standing::of_workload_api(), Clock::new());
        standing.accepted(delivery(), clock.pass(0), 0);
        for _ in 0..10 {
            standing.failed(failure(SourceFailure::NotGiven), clock.pass(10), 0);
            standing.failed(failure(SourceFailure::NotGiven), clock.pass(10), 0);
            standing.accepted(delivery(), clock.pass(1), 0);
        }
        assert!(standing.delivery.is_some());
    }

    #[test]
    fn what_is_final_is_not_asked_again() {
        let (mut standing, mut clock) = (Standing::of_workload_api(), Clock::new());
        standing.failed(failure(SourceFailure::Status).finally(), clock.pass(0), 0);
        assert!(standing.has_given_up);
    }

    #[test]
    fn a_certificate_renews_itself_while_it_holds_and_is_believed() {
        let (mut standing, mut clock) = (Standing::of_authority(), Clock::new());
        assert!(standing.renews_by(clock.0.wall).is_none());
        standing.accepted(delivery(), clock.pass(0), 0);
        for _ in 0..3 {
            assert!(standing.renews_by(clock.0.wall).is_some());
            standing.failed(failure(SourceFailure::Unreachable), clock.pass(1), 0);
            assert!(standing.renews_by(clock.0.wall).is_none());
            standing.failed(failure(SourceFailure::Denied), clock.pass(1), 0);
        }
        let end = standing.renewal.held().unwrap().not_after;
        assert!(standing.renews_by(end).is_none());
    }
}
