//! What the authority tells of what it does: to the audit log, without which it issues nothing, and to metrics.

use super::rate;
use super::refusal::Refusal;
use super::rollover::{Evidence, Phase, Step};
use crate::access::printable;
use outrigger_config::model::SpiffeId;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a requester has shown who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By the join token of this name.
    JoinToken(String),
    /// By the token of a service account of Kubernetes.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// By a certificate of ours that holds, of this serial number: a renewal.
    Certificate(String),
    /// The server itself has it made, for what is named.
    Server(String),
}

impl Proof {
    /// Its kind, a label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Proof::JoinToken(_) => "join_token",
            Proof::ServiceAccount { .. } => "service_account",
            Proof::Certificate(_) => "certificate",
            Proof::Server(_) => "server",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::JoinToken(name) => write!(f, "join token `{}`", printable(name)),
            Proof::ServiceAccount { namespace, name } => write!(f, "service account {namespace}/{name}"),
            Proof::Certificate(serial) => write!(f, "certificate {serial}"),
            Proof::Server(what) => write!(f, "the server, for {}", printable(what)),
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A certificate was made; it is handed out once this is kept.
    Issued {
        /// Whose.
        id: SpiffeId,
        /// Its serial number: hexadecimal, lower case.
        serial: String,
        /// Until when it holds.
        not_after: SystemTime,
        /// How it was shown that it may be had. By a certificate: it is a renewal.
        proof: Proof,
    },
    /// A certificate was refused.
    Refused {
        /// Whose it would have been; none if that could not be read.
        id: Option<SpiffeId>,
        /// Why.
        reason: String,
    },
    /// A step of a root rollover; taken once this is kept.
    Rollover {
        /// Which.
        step: Step,
        /// How it is known that the step before has reached everybody.
        evidence: Evidence,
        /// Who took it.
        by: String,
    },
    /// A join token was made or taken back.
    JoinToken {
        /// Its name.
        name: String,
        /// True if it was made.
        made: bool,
        /// Who did.
        by: String,
    },
}

/// An entry for the audit log. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityEvent {
    /// When.
    pub at: SystemTime,
    /// Where it was asked from; none if it was the server itself.
    pub from: Option<SocketAddr>,
    /// What.
    pub happening: Happening,
}

/// The audit log.
#[tonic::async_trait]
pub trait Audit: Send + Sync {
    /// Keeps an event. It is there for good when this returns.
    ///
    /// # Errors
    /// If it cannot be kept, and why: what it tells of is not done then.
    async fn record(&self, event: &AuthorityEvent) -> Result<(), String>;
}

/// Metrics of the authority.
#[derive(Clone)]
pub struct AuthorityMetrics {
    certificates: IntCounterVec,
    refusals: IntCounterVec,
    unaudited: IntCounter,
    signer_expires: IntGauge,
    roots: IntGaugeVec,
}

impl AuthorityMetrics {
    /// Registers `outrigger_control_authority_certificates_total{proof}`, `…_refusals_total{reason}`,
    /// `…_unaudited_refusals_total`, `…_signer_expires_seconds` and `…_roots{phase}`.
    ///
    /// # Errors
    /// If they are there already.
    pub fn register(registry: &Registry) -> Result<AuthorityMetrics, prometheus::Error> {
        let name = |rest: &str| format!("outrigger_control_authority_{rest}");
        let metrics = AuthorityMetrics {
            certificates: IntCounterVec::new(
                Opts::new(
                    name("certificates_total"),
                    "Certificates issued, by how the requester has shown who it is.",
                ),
                &["proof"],
            )?,
            refusals: IntCounterVec::new(
                Opts::new(name("refusals_total"), "Certificates refused, by reason."),
                &["reason"],
            )?,
            unaudited: IntCounter::new(
                name("unaudited_refusals_total"),
                "Refusals that were too many for the audit log.",
            )?,
            signer_expires: IntGauge::new(
                name("signer_expires_seconds"),
                "When the signing certificate expires, in seconds since 1970.",
            )?,
            roots: IntGaugeVec::new(
                Opts::new(
                    name("roots"),
                    "Roots of the authority, by the phase of their rollover.",
                ),
                &["phase"],
            )?,
        };
        let collectors: [Box<dyn Collector>; 5] = [
            Box::new(metrics.certificates.clone()),
            Box::new(metrics.refusals.clone()),
            Box::new(metrics.unaudited.clone()),
            Box::new(metrics.signer_expires.clone()),
            Box::new(metrics.roots.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        for reason in Refusal::LABELS {
            metrics.refusals.with_label_values(&[*reason]);
        }
        Ok(metrics)
    }

    /// What signs, and what roots there are.
    pub(super) fn in_force(&self, signer_expires: SystemTime, phases: impl Iterator<Item = Phase>) {
        let seconds = signer_expires
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.signer_expires
            .set(i64::try_from(seconds).unwrap_or(i64::MAX));
        let phases: Vec<Phase> = phases.collect();
        for (phase, label) in [
            (Phase::Prepared, "prepared"),
            (Phase::Distributed, "distributed"),
            (Phase::Signing, "signing"),
            (Phase::Superseded, "superseded"),
        ] {
            let count = phases.iter().filter(|found| **found == phase).count();
            self.roots
                .with_label_values(&[label])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// Refusals that are written into the audit log at once; whoever floods us shall not flood it, too.
const AUDITED_REFUSALS_BURST: u32 = 100;
/// One more after so long.
const AUDITED_REFUSALS_REFILL: Duration = Duration::from_secs(1);

/// Audit log and metrics.
pub(super) struct Report {
    audit: Arc<dyn Audit>,
    metrics: AuthorityMetrics,
    /// When as many refusals as may be can be written again.
    refusals_full_at: parking_lot::Mutex<SystemTime>,
}

impl Report {
    pub(super) fn new(audit: Arc<dyn Audit>, metrics: AuthorityMetrics) -> Report {
        Report {
            audit,
            metrics,
            refusals_full_at: parking_lot::Mutex::new(UNIX_EPOCH),
        }
    }

    pub(super) fn metrics(&self) -> &AuthorityMetrics {
        &self.metrics
    }

    /// Keeps what is about to be done.
    pub(super) async fn record(&self, event: AuthorityEvent) -> Result<(), Refusal> {
        self.audit.record(&event).await.map_err(Refusal::Audit)?;
        if let Happening::Issued { proof, .. } = &event.happening {
            self.metrics
                .certificates
                .with_label_values(&[proof.as_str()])
                .inc();
        }
        Ok(())
    }

    /// Keeps a refusal, unless there are too many.
    pub(super) async fn refused(
        &self,
        refusal: &Refusal,
        id: Option<SpiffeId>,
        from: Option<SocketAddr>,
        now: SystemTime,
    ) {
        self.metrics.refusals.with_label_values(&[refusal.label()]).inc();
        let reason = refusal.to_string();
        tracing::debug!(?id, ?from, %reason, "refused a certificate");
        if !self.may_audit_refusal(now) {
            self.metrics.unaudited.inc();
            return;
        }
        let event = AuthorityEvent {
            at: now,
            from,
            happening: Happening::Refused { id, reason },
        };
        if let Err(error) = self.audit.record(&event).await {
            self.metrics.unaudited.inc();
            tracing::warn!(%error, "cannot keep a refusal in the audit log");
        }
    }

    fn may_audit_refusal(&self, now: SystemTime) -> bool {
        let mut full_at = self.refusals_full_at.lock();
        rate::take(&mut full_at, AUDITED_REFUSALS_REFILL, AUDITED_REFUSALS_BURST, now).is_ok()
    }
}
