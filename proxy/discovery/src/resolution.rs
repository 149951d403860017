//! One cluster's state: its questions, and the endpoints that their answers make.

use crate::question::{Answer, Question, RecordKind, Records, Service};
use crate::record_set::{RecordReport, RecordSet};
use outrigger_config::model::{DnsDiscovery, DnsFamily, DnsName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// Endpoints of one cluster at most; the highest addresses beyond it are left out and counted. A bound on what an answer
/// can make us hold, far above what one name resolves to in practice.
pub const ADDRESSES_MAX: usize = 1000;

/// SRV records of one name that are used at most, those of the lowest priority number first.
pub const SERVICE_TARGETS_MAX: usize = 256;

/// An address and its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub address: SocketAddr,
    /// At least 1.
    pub weight: u32,
}

/// The state of one cluster's discovery. It reads no clock and asks nobody: see [`Resolution::poll`].
#[derive(Debug)]
pub struct Resolution {
    settings: DnsDiscovery,
    sets: BTreeMap<Question, RecordSet>,
    endpoints: Arc<[Endpoint]>,
    /// Every question has had an outcome.
    settled: bool,
    warm: bool,
    answers_expired: u64,
    addresses_left_out: u64,
}

/// What the answers say of some names.
#[derive(Default)]
struct View {
    needed: BTreeSet<Question>,
    /// A question among them has had no outcome yet.
    unsettled: bool,
    endpoints: BTreeMap<SocketAddr, u32>,
    unusable: usize,
}

impl Resolution {
    /// The state before the first question.
    pub fn new(settings: DnsDiscovery, now: Instant) -> Resolution {
        let mut resolution = Resolution {
            settings,
            sets: BTreeMap::new(),
            endpoints: Arc::default(),
            settled: false,
            warm: false,
            answers_expired: 0,
            addresses_left_out: 0,
        };
        resolution.reconcile(now);
        resolution
    }

    /// The state after a change of settings: questions that are the same keep their answers until they are answered
    /// again, which they are asked for at once.
    pub fn succeed(&self, settings: DnsDiscovery, now: Instant) -> Resolution {
        let sets = self.sets.iter();
        let mut resolution = Resolution {
            sets: sets
                .map(|(question, set)| (question.clone(), set.adopted(now)))
                .collect(),
            ..Resolution::new(settings, now)
        };
        resolution.reconcile(now);
        resolution
    }

    /// The questions to ask now; each is then answered once, by [`Resolution::answer`]. Call it again at
    /// [`Resolution::wake_at`], and after each answer.
    pub fn poll(&mut self, now: Instant) -> Vec<Question> {
        for set in self.sets.values_mut() {
            self.answers_expired += u64::from(set.expire(now, self.settings.stale_max()));
        }
        self.reconcile(now);
        let settled = self.settled;
        let due = self
            .sets
            .iter_mut()
            .filter(|(question, set)| set.is_due(now) && !waits(question, set, settled));
        due.map(|(question, set)| {
            set.begin();
            question.clone()
        })
        .collect()
    }

    /// Takes what came of a question. `random` is any 64 bits, uniform.
    pub fn answer(&mut self, question: &Question, answer: Answer, now: Instant, random: u64) {
        // A question that is not needed any more is forgotten while it is being asked.
        if let Some(set) = self.sets.get_mut(question) {
            let answer = match answer {
                Answer::Found { records, ttl } => Answer::Found {
                    records: records.sorted(),
                    ttl,
                },
                other => other,
            };
            set.answer(answer, &self.settings, now, random);
        }
    }

    /// When to poll again if no answer comes before; none: only after an answer.
    pub fn wake_at(&self) -> Option<Instant> {
        let sets = self.sets.iter();
        sets.filter(|(question, set)| !waits(question, set, self.settled))
            .filter_map(|(_, set)| set.wake_at(self.settings.stale_max()))
            .min()
    }

    /// The endpoints in force, sorted by address; shared for as long as they do not change.
    pub fn endpoints(&self) -> &Arc<[Endpoint]> {
        &self.endpoints
    }

    /// True once every question has had an outcome.
    pub fn is_warm(&self) -> bool {
        self.warm
    }

    /// True if an answer in force is older than its TTL because later questions failed.
    pub fn is_stale(&self, now: Instant) -> bool {
        self.sets.values().any(|set| set.is_stale(now))
    }

    /// When the oldest of the answers in force came.
    pub fn oldest_answer(&self) -> Option<Instant> {
        self.sets.values().filter_map(RecordSet::received).min()
    }

    /// A failure since whose question no answer came, with the question.
    pub fn last_error(&self) -> Option<String> {
        let failed = |(question, set): (&Question, &RecordSet)| {
            let (failure, detail) = set.last_failure()?;
            Some(format!("{question}: {}: {detail}", failure.as_str()))
        };
        self.sets.iter().find_map(failed)
    }

    /// Answers that were dropped because nothing but failures came for too long.
    pub fn answers_expired(&self) -> u64 {
        self.answers_expired
    }

    /// Addresses that were left out: beyond [`ADDRESSES_MAX`], or of no host (unspecified, multicast, broadcast).
    /// Counted when the endpoints change.
    pub fn addresses_left_out(&self) -> u64 {
        self.addresses_left_out
    }

    /// The state of each question.
    pub fn report(&self, now: Instant) -> Vec<RecordReport> {
        let sets = self.sets.iter();
        sets.map(|(question, set)| set.report(question, now)).collect()
    }

    /// Brings questions and endpoints in line with the answers.
    fn reconcile(&mut self, now: Instant) {
        let mut view = View::default();
        for name in self.settings.names() {
            self.view_name(name, &mut view);
        }
        self.sets.retain(|question, _| view.needed.contains(question));
        for question in view.needed {
            self.sets.entry(question).or_insert_with(|| RecordSet::new(now));
        }
        self.settled = !view.unsettled;
        if view.unsettled {
            return;
        }
        self.warm = true;
        let beyond = view.endpoints.len().saturating_sub(ADDRESSES_MAX);
        let endpoints: Vec<Endpoint> = view
            .endpoints
            .into_iter()
            .take(ADDRESSES_MAX)
            .map(|(address, weight)| Endpoint { address, weight })
            .collect();
        if *self.endpoints != *endpoints {
            self.endpoints = endpoints.into();
            self.addresses_left_out += (beyond + view.unusable) as u64;
        }
    }

    fn view_name(&self, name: &DnsName, view: &mut View) {
        if let Some(port) = name.port() {
            self.view_host(name.host(), port, name.weight(), view);
            return;
        }
        let question = Question {
            host: name.host().clone(),
            kind: RecordKind::Srv,
        };
        let set = self.sets.get(&question);
        let services = match set.and_then(RecordSet::records) {
            Some(Records::Services(services)) => services.as_slice(),
            _ => &[],
        };
        view.unsettled |= !set.is_some_and(RecordSet::is_settled);
        view.needed.insert(question);
        let used = &services[..services.len().min(SERVICE_TARGETS_MAX)];
        for group in used.chunk_by(|one, other| one.priority == other.priority) {
            if self.view_services(group, name.weight(), view) != Found::Nothing {
                break;
            }
        }
    }

    /// Services of one priority.
    fn view_services(&self, services: &[Service], weight: u32, view: &mut View) -> Found {
        let mut found = Found::Nothing;
        for service in services.iter().filter(|service| !service.target.is_empty()) {
            // A weight of 0 has "a very small chance" in RFC 2782; here it is the smallest weight.
            let weight = weight.saturating_mul(u32::from(service.weight.max(1)));
            found = found.max(self.view_host(&service.target, service.port, weight, view));
        }
        found
    }

    /// The addresses of one host.
    fn view_host(&self, host: &str, port: u16, weight: u32, view: &mut View) -> Found {
        use RecordKind::{A, Aaaa};
        let mut found = |kind| self.view_addresses(host, kind, port, weight, view);
        match self.settings.family() {
            DnsFamily::V4 => found(A),
            DnsFamily::V6 => found(Aaaa),
            DnsFamily::Both => found(Aaaa).max(found(A)),
            DnsFamily::V4Preferred => match found(A) {
                Found::Nothing => found(Aaaa),
                some => some,
            },
            DnsFamily::V6Preferred => match found(Aaaa) {
                Found::Nothing => found(A),
                some => some,
            },
        }
    }

    fn view_addresses(&self, host: &str, kind: RecordKind, port: u16, weight: u32, view: &mut View) -> Found {
        let question = Question {
            host: host.to_owned(),
            kind,
        };
        let set = self.sets.get(&question);
        view.needed.insert(question);
        let Some(set) = set.filter(|set| set.is_settled()) else {
            view.unsettled = true;
            return Found::Pending;
        };
        let mut found = Found::Nothing;
        for &address in set.addresses() {
            if is_usable(address) {
                let share = view.endpoints.entry(SocketAddr::new(address, port)).or_default();
                *share = share.saturating_add(weight);
                found = Found::Some;
            } else {
                view.unusable += 1;
            }
        }
        found
    }
}

/// What the answers in force say of a host or a group of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// It has no address.
    Nothing,
    /// A question has had no outcome yet.
    Pending,
    /// It has addresses.
    Some,
}

/// True if a question whose time has come is held back: a service is asked for again only when its targets are
/// resolved, so that one that changes with every answer cannot keep endpoints from being put in force.
fn waits(question: &Question, set: &RecordSet, settled: bool) -> bool {
    question.kind == RecordKind::Srv && set.is_settled() && !settled
}

/// False for what names no host. Connecting to an unspecified address reaches this very host, which is not what the
/// name's owner may decide.
fn is_usable(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || broadcast)
}

#[cfg(test)]
mod tests;
