//! What is told of the material in force: metrics of each of its parts, and warnings before certificates run out.

use outrigger_config::model::Roots;
use outrigger_identity::{Material, MaterialPart, Validity};
use outrigger_telemetry::{
    CertificateMetrics, Metrics, RenewalResult, RevocationListMetrics, SourceFailure, TrustBundleMetrics,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A certificate is warned of when less than this share of its lifetime is left: it ought to have been renewed at half.
const LOW_SHARE: f64 = 0.2;
/// And again when less than this is left.
const CRITICAL_SHARE: f64 = 0.05;
/// Nothing is warned of earlier than so long before its end, however long its lifetime.
const LOW_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The same for the second warning.
const CRITICAL_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Thresholds are looked for at most so often.
const LOOK_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How near the end of a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Far,
    Low,
    Critical,
    Expired,
}

/// Tells of the parts of the material in force.
pub(super) struct Observer {
    metrics: Arc<Metrics>,
    // Held, because series vanish with the last holder.
    certificates: HashMap<String, Arc<CertificateMetrics>>,
    bundles: HashMap<String, Arc<TrustBundleMetrics>>,
    lists: HashMap<String, Arc<RevocationListMetrics>>,
    /// What was said last of a certificate, by its fingerprint.
    told: HashMap<String, Nearness>,
    /// Of every certificate that may run out.
    validities: Vec<Validity>,
}

impl Observer {
    pub(super) fn new(metrics: Arc<Metrics>) -> Observer {
        Observer {
            metrics,
            certificates: HashMap::new(),
            bundles: HashMap::new(),
            lists: HashMap::new(),
            told: HashMap::new(),
            validities: Vec::new(),
        }
    }

    /// Brings the metrics up to date, and warns of what is about to run out: once for each threshold.
    pub(super) fn observe(&mut self, material: &Material, now: SystemTime) {
        let told = std::mem::take(&mut self.told);
        self.validities.clear();
        let mut certificates = HashMap::new();
        for (source, credential) in material.credentials() {
            let name = MaterialPart::Credential(source.clone()).to_string();
            let cells = self.metrics.certificate(&name);
            let validities = credential.chain().iter().map(|facts| facts.validity);
            if let Some(first) = validities.min_by_key(|validity| validity.not_after) {
                cells.worker(0).expires_in.set(Some(first.not_after));
                cells.worker(0).validity.set(seconds(first.lifetime()));
            }
            for facts in credential.chain() {
                self.warn(&told, &name, &facts.fingerprint, facts.validity, now);
            }
            certificates.insert(name, cells);
        }
        let named = material
            .bundles()
            .iter()
            .map(|(name, set, _)| (name.to_string(), set));
        let sets = material
            .all_roots()
            .filter(|(roots, _)| matches!(roots, Roots::File(_)));
        let sets = sets.map(|(roots, set)| (MaterialPart::Roots(roots.clone()).to_string(), set));
        let mut bundles = HashMap::new();
        for (name, set) in named.chain(sets) {
            let cells = self.metrics.trust_bundle(&name);
            let validities = || set.authorities().iter().map(|facts| facts.validity);
            let first = validities().map(|validity| validity.not_after).min();
            cells.worker(0).first_expires_in.set(first);
            let last = validities().max_by_key(|validity| validity.not_after);
            cells
                .worker(0)
                .expires_in
                .set(last.map(|validity| validity.not_after));
            if let Some(last) = last {
                cells.worker(0).validity.set(seconds(last.lifetime()));
            }
            for facts in set.authorities() {
                self.warn(&told, &name, &facts.fingerprint, facts.validity, now);
            }
            bundles.insert(name, cells);
        }
        self.observe_lists(material, now, &told);
        self.certificates = certificates;
        self.bundles = bundles;
    }

    fn observe_lists(&mut self, material: &Material, now: SystemTime, told: &HashMap<String, Nearness>) {
        let mut lists = HashMap::new();
        let mut due: HashMap<String, SystemTime> = HashMap::new();
        for facts in material.revocations().facts() {
            let name = match (&facts.file, &facts.identity) {
                (Some(file), _) => file.display().to_string(),
                (None, Some(identity)) => identity.to_string(),
                (None, None) => "inline".to_owned(),
            };
            lists.insert(name.clone(), self.metrics.revocation_list(&name));
            let Some(next) = facts.next_update else { continue };
            let earliest = due.entry(name.clone()).or_insert(next);
            *earliest = next.min(*earliest);
            let (id, is_overdue) = (format!("{name} {}", facts.issuer), next < now);
            if is_overdue {
                if !told.contains_key(&id) {
                    tracing::warn!(
                        list = name,
                        issuer = facts.issuer,
                        "a revocation list is past its next update"
                    );
                }
                self.told.insert(id, Nearness::Expired);
            }
        }
        for (name, cells) in &lists {
            cells.worker(0).update_due_in.set(due.get(name).copied());
        }
        self.lists = lists;
    }

    fn warn(
        &mut self,
        told: &HashMap<String, Nearness>,
        name: &str,
        fingerprint: &str,
        validity: Validity,
        now: SystemTime,
    ) {
        let nearness = nearness(validity, now);
        let id = format!("{name} {fingerprint}");
        let before = told.get(&id).copied().unwrap_or(Nearness::Far);
        if nearness > before {
            let seconds = validity.left(now).as_secs();
            match nearness {
                Nearness::Expired => tracing::error!(name, "a certificate has expired: peers refuse it"),
                _ => tracing::warn!(
                    name,
                    seconds_to_expiry = seconds,
                    "a certificate is about to expire"
                ),
            }
        }
        self.told.insert(id, nearness);
        self.validities.push(validity);
    }

    /// How long until there is something to warn of that there is not now.
    pub(super) fn next_threshold(&self, now: SystemTime) -> Option<Duration> {
        let next = |validity: &Validity| {
            let left = validity.left(now);
            thresholds(*validity)
                .into_iter()
                .filter(|threshold| *threshold < left)
                .map(|threshold| left - threshold)
                .min()
        };
        let soonest = self.validities.iter().filter_map(next).min();
        soonest.map(|soonest| soonest.max(LOOK_INTERVAL_MIN))
    }

    /// Counts certificates in files that have been put in force; those of sources count themselves.
    pub(super) fn count_changes(&mut self, old: &Material, new: &Material) {
        for (source, credential) in new.credentials() {
            let before = old.credential(source);
            let is_same = before.is_some_and(|before| Arc::ptr_eq(before, credential));
            if is_same || !credential.is_from_files() {
                continue;
            }
            let cells = self.certificate(&MaterialPart::Credential(source.clone()));
            cells.worker(0).renewals[RenewalResult::Success].inc();
        }
    }

    /// Counts a part whose files cannot be used.
    pub(super) fn count_fault(&mut self, part: &MaterialPart, reason: SourceFailure) {
        match part {
            MaterialPart::Credential(_) => {
                let cells = self.certificate(part);
                cells.worker(0).renewals[RenewalResult::Failure].inc();
                cells.worker(0).renewal_failing.set(1);
                cells.worker(0).renewal_failures[reason].inc();
            }
            MaterialPart::Roots(_) | MaterialPart::Bundle(_) => {
                let name = part.to_string();
                let cells = self.metrics.trust_bundle(&name);
                cells.worker(0).failures[reason].inc();
                self.bundles.insert(name, cells);
            }
            MaterialPart::RevocationLists(_) => {
                let name = part.to_string();
                let cells = self.metrics.revocation_list(&name);
                cells.worker(0).failures[reason].inc();
                self.lists.insert(name, cells);
            }
        }
    }

    /// The files of a part that was at fault are in order.
    pub(super) fn mended(&mut self, part: &MaterialPart) {
        if let MaterialPart::Credential(_) = part {
            self.certificate(part).worker(0).renewal_failing.set(0);
        }
    }

    fn certificate(&mut self, part: &MaterialPart) -> Arc<CertificateMetrics> {
        let name = part.to_string();
        let cells = self.metrics.certificate(&name);
        self.certificates.insert(name, Arc::clone(&cells));
        cells
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// How much is left of a lifetime at each threshold.
fn thresholds(validity: Validity) -> [Duration; 3] {
    let lifetime = validity.lifetime();
    [
        lifetime.mul_f64(LOW_SHARE).min(LOW_MAX),
        lifetime.mul_f64(CRITICAL_SHARE).min(CRITICAL_MAX),
        Duration::ZERO,
    ]
}

fn nearness(validity: Validity, now: SystemTime) -> Nearness {
    let left = validity.left(now);
    let [low, critical, over] = thresholds(validity);
    if left <= over {
        Nearness::Expired
    } else if left <= critical {
        Nearness::Critical
    } else if left <= low {
        Nearness::Low
    } else {
        Nearness::Far
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_end_nears_by_share_and_by_days() {
        for (lifetime, left, expected) in [
            (DAY, DAY / 2, Nearness::Far),
            (DAY, DAY / 6, Nearness::Low),
            (DAY, DAY / 24, Nearness::Critical),
            (DAY, Duration::ZERO, Nearness::Expired),
            (3_650 * DAY, 40 * DAY, Nearness::Far),
            (3_650 * DAY, 29 * DAY, Nearness::Low),
            (3_650 * DAY, 6 * DAY, Nearness::Critical),
        ] {
            let now = UNIX_EPOCH + 10_000 * DAY;
            let validity = Validity {
                not_before: now + left - lifetime,
                not_after: now + left,
            };
            assert_eq!(nearness(validity, now), expected, "{left:?} of {lifetime:?}");
        }
    }

    #[test]
    fn the_next_threshold_is_looked_for_when_it_comes() {
        let now = UNIX_EPOCH + 10_000 * DAY;
        let mut observer = Observer::new(Metrics::new(1, &[]));
        assert_eq!(observer.next_threshold(now), None);
        observer.validities = vec![Validity {
            not_before: now,
            not_after: now + DAY,
        }];
        let [low, critical, _] = thresholds(observer.validities[0]);
        assert_eq!(observer.next_threshold(now), Some(DAY - low));
        assert_eq!(observer.next_threshold(now + DAY - low), Some(low - critical));
        assert_eq!(observer.next_threshold(now + DAY - critical), Some(critical));
        assert_eq!(observer.next_threshold(now + DAY), None);
    }
}
