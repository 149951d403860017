//! `/certs`: certificates, authorities and revocation lists: where they come from, until when they hold, who uses them, and
//! what is wrong. No key is in it.

mod users;

use super::{Shared, seconds};
use crate::identities::{self, FileFaults, Running};
use axum::extract::State;
use axum::response::Json;
use outrigger_config::MeshConfig;
use outrigger_config::model::{CertificateFiles, CertificateSource, IdentitySource, Roots, TrustSource};
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_identity::renewal::Moment;
use outrigger_identity::{CertificateFacts, Credential, MaterialPart, RevocationListFacts, RootSet};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};
use users::{User, users};

pub(super) async fn certs(State(status): Shared) -> Json<Value> {
    let snapshot = status.published.load_full();
    let now = identities::now();
    let config = snapshot.config();
    let users = users(config);
    let faults = status.identities.file_faults();
    let page = Page {
        snapshot: &snapshot,
        faults: &faults,
        users: &users,
        now,
    };
    let identities = config.identities().iter().map(|identity| {
        let source = CertificateSource::Identity(identity.name().clone());
        let mut value = page.certificate(&source, source_of(identity.source()));
        if let Some(running) = status.identities.source(identity.name()) {
            value["renewal"] = renewal(&running, now);
        }
        value
    });
    let files = files_of(config)
        .into_iter()
        .map(|source| page.certificate(&source, files_source(source.files())));
    let certificates: Vec<Value> = identities.chain(files).collect();
    Json(json!({
        "generation": snapshot.generation(),
        "material_generation": status.metrics.process().material_generation.value(),
        "material_changed_at_seconds": status.identities.changed_at().map(seconds),
        "certificates": certificates,
        "trust_bundles": page.bundles(config),
        "revocation_lists": page.lists(config),
    }))
}

/// What is told of at one moment.
struct Page<'a> {
    snapshot: &'a Snapshot,
    faults: &'a FileFaults,
    users: &'a [User],
    now: Moment,
}

impl Page<'_> {
    fn certificate(&self, source: &CertificateSource, from: Value) -> Value {
        let part = MaterialPart::Credential(source.clone());
        let credential = self.snapshot.material().credential(source);
        json!({
            "name": part.to_string(),
            "source": from,
            "certificate": credential.map(|credential| self.facts(credential.facts())),
            "intermediates": credential.map(|credential| self.intermediates(credential)),
            "fault": self.fault(&part),
            "used_by": self.used_by(|user| user.credentials.contains(source)),
        })
    }

    fn intermediates(&self, credential: &Credential) -> Vec<Value> {
        let others = credential.chain().iter().skip(1);
        others.map(|facts| self.facts(facts)).collect()
    }

    fn bundles(&self, config: &MeshConfig) -> Vec<Value> {
        let bundles = self.snapshot.material().bundles();
        let named = config.trust_bundles().iter().map(|bundle| {
            let uses = |user: &User| match &user.roots {
                Some(Roots::Bundle(name)) => name == bundle.name(),
                Some(Roots::Spiffe) => bundle.trust_domain().is_some(),
                _ => false,
            };
            let source = match bundle.source() {
                TrustSource::File(file) => json!({ "kind": "file", "file": file }),
                TrustSource::Inline(_) => json!({ "kind": "inline" }),
                TrustSource::Identity(name) => json!({ "kind": "identity", "identity": name.as_str() }),
            };
            let part = MaterialPart::Bundle(bundle.name().clone());
            let mut value = self.root_set(&part, bundles.named(bundle.name()), source, uses);
            value["trust_domain"] = json!(bundle.trust_domain().as_ref().map(|domain| domain.as_str()));
            value
        });
        let files: BTreeSet<_> = self
            .snapshot
            .material()
            .all_roots()
            .filter_map(|(roots, _)| match roots {
                Roots::File(file) => Some(file),
                _ => None,
            })
            .collect();
        let files = files.into_iter().map(|file| {
            let roots = Roots::File(file.clone());
            let set = self.snapshot.material().roots(&roots);
            let source = json!({ "kind": "file", "file": file });
            let part = MaterialPart::Roots(roots.clone());
            self.root_set(&part, set, source, |user| user.roots.as_ref() == Some(&roots))
        });
        named.chain(files).collect()
    }

    fn root_set(
        &self,
        part: &MaterialPart,
        set: Option<&std::sync::Arc<RootSet>>,
        source: Value,
        uses: impl Fn(&User) -> bool,
    ) -> Value {
        let authorities = set.map(|set| set.authorities().iter().map(|facts| self.facts(facts)).collect());
        let authorities: Option<Vec<Value>> = authorities;
        json!({
            "name": part.to_string(),
            "source": source,
            "authorities": authorities,
            "sequence": set.and_then(|set| set.sequence()),
            "fault": self.fault(part),
            "used_by": self.used_by(uses),
        })
    }

    fn lists(&self, config: &MeshConfig) -> Vec<Value> {
        let list = |facts: &RevocationListFacts| {
            let part = MaterialPart::RevocationLists(facts.file.clone());
            let name = match &facts.identity {
                Some(identity) => identity.to_string(),
                None => part.to_string(),
            };
            json!({
                "name": name,
                "issuer": facts.issuer,
                "revoked": facts.revoked,
                "this_update_seconds": seconds(facts.this_update),
                "next_update_seconds": facts.next_update.map(seconds),
                "seconds_to_next_update": facts.next_update.map(|next| self.seconds_to(next)),
                "fault": facts.identity.is_none().then(|| self.fault(&part)).flatten(),
            })
        };
        let revocations = self.snapshot.material().revocations();
        let mut lists: Vec<Value> = revocations.facts().map(list).collect();
        // One that never could be read says nothing of itself.
        for source in config.revocation().lists() {
            let outrigger_config::model::RevocationList::File(file) = source else {
                continue;
            };
            let is_there = revocations.facts().any(|facts| facts.file.as_ref() == Some(file));
            let fault = self.fault(&MaterialPart::RevocationLists(Some(file.clone())));
            if !is_there && fault.is_some() {
                lists.push(json!({ "name": file, "fault": fault }));
            }
        }
        lists
    }

    fn facts(&self, facts: &CertificateFacts) -> Value {
        json!({
            "spiffe_id": facts.spiffe_id.as_ref().map(|id| id.as_str()),
            "subject": facts.subject,
            "issuer": facts.issuer,
            "serial": facts.serial,
            "names": facts.names,
            "fingerprint": facts.fingerprint,
            "key": facts.key_kind,
            "not_before_seconds": seconds(facts.validity.not_before),
            "not_after_seconds": seconds(facts.validity.not_after),
            "seconds_to_expiry": self.seconds_to(facts.validity.not_after),
        })
    }

    fn seconds_to(&self, moment: SystemTime) -> i64 {
        let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match moment.duration_since(self.now.wall) {
            Ok(left) => whole(left),
            Err(over) => -whole(over.duration()),
        }
    }

    fn fault(&self, part: &MaterialPart) -> Option<Value> {
        let fault = self.faults.of(part)?;
        Some(json!({
            "since_seconds": seconds(fault.at),
            "reason": fault.reason.as_str(),
            "text": fault.text,
        }))
    }

    fn used_by(&self, uses: impl Fn(&User) -> bool) -> Vec<&str> {
        let users = self.users.iter().filter(|user| uses(user));
        users.map(|user| user.name.as_str()).collect()
    }
}

fn renewal(running: &Running, now: Moment) -> Value {
    let standing = running.standing();
    let next = standing.renewal.due_in(now).as_secs_f64();
    json!({
        "next_attempt_in_seconds": (!standing.has_given_up).then_some(next),
        "has_given_up": standing.has_given_up,
        "failures": standing.renewal.failures(),
        "last_success_seconds": standing.succeeded_at.map(seconds),
        "last_failure": standing.failure.as_ref().map(|(at, failure)| json!({
            "at_seconds": seconds(*at),
            "reason": failure.reason.as_str(),
            "text": failure.to_string(),
        })),
    })
}

fn source_of(source: &IdentitySource) -> Value {
    match source {
        IdentitySource::Files(files) => files_source(Some(files)),
        IdentitySource::Inline(_) => json!({ "kind": "inline" }),
        IdentitySource::WorkloadApi(api) => json!({
            "kind": "workload_api",
            "socket": api.socket(),
            "spiffe_id": api.spiffe_id().as_ref().map(|id| id.as_str()),
        }),
        IdentitySource::Authority(authority) => json!({
            "kind": "authority",
            "url": authority.url(),
            "spiffe_id": authority.spiffe_id().as_str(),
        }),
    }
}

fn files_source(files: Option<&CertificateFiles>) -> Value {
    json!({
        "kind": "files",
        "certificate_file": files.map(CertificateFiles::certificate_file),
        "private_key_file": files.map(CertificateFiles::private_key_file),
    })
}

/// Certificates in files that chains and clusters name themselves, each once.
fn files_of(config: &MeshConfig) -> Vec<CertificateSource> {
    let mut found: Vec<CertificateSource> = Vec::new();
    for user in users(config) {
        for source in user.credentials {
            if source.files().is_some() && !found.contains(&source) {
                found.push(source);
            }
        }
    }
    found
}
