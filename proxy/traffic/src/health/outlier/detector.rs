//! The endpoints of one cluster beside each other: who is ejected, and who comes back.

use super::statistics::{self, Enough, Tally};
use super::{EjectionKind, OutlierDetection};
use crate::{EndpointHealth, HealthMark};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What an endpoint's ejections depend on, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierSettings {
    pub(super) base_ejection_time: Duration,
    pub(super) max_ejection_time: Duration,
    pub(super) max_ejection_time_jitter: Duration,
    pub(super) max_ejection_percent: u32,
    pub(super) always_eject_one: bool,
    /// Percent, in the order of [`EjectionKind::ALL`].
    pub(super) enforcing: [u32; 7],
    pub(super) splits_local_origin: bool,
    pub(super) success_rate: Enough,
    pub(super) success_rate_stdev_factor: u32,
    pub(super) failure_percentage: Enough,
    pub(super) failure_percentage_threshold: u32,
}

impl From<&OutlierDetection> for OutlierSettings {
    fn from(config: &OutlierDetection) -> OutlierSettings {
        OutlierSettings {
            base_ejection_time: config.base_ejection_time(),
            max_ejection_time: config.max_ejection_time(),
            max_ejection_time_jitter: config.max_ejection_time_jitter(),
            max_ejection_percent: config.max_ejection_percent(),
            always_eject_one: config.always_eject_one(),
            enforcing: EjectionKind::ALL.map(|kind| kind.enforcing(config)),
            splits_local_origin: config.split_external_local_origin_errors(),
            success_rate: Enough {
                hosts: config.success_rate_minimum_hosts(),
                requests: config.success_rate_request_volume(),
            },
            success_rate_stdev_factor: config.success_rate_stdev_factor(),
            failure_percentage: Enough {
                hosts: config.failure_percentage_minimum_hosts(),
                requests: config.failure_percentage_request_volume(),
            },
            failure_percentage_threshold: config.failure_percentage_threshold(),
        }
    }
}

/// An endpoint of the cluster, as it is now.
#[derive(Debug, Clone)]
pub struct Fellow {
    /// Where.
    pub address: SocketAddr,
    /// What was counted of it.
    pub health: Arc<EndpointHealth>,
    /// It would get requests if it were not ejected.
    pub serves: bool,
}

/// What became of an endpoint that was found to be an outlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is ejected for this long, at least: it comes back at the first look after that.
    Ejected(Duration),
    /// Chance says that this one is not.
    NotEnforced,
    /// Too many are, or no other would be left.
    TooMany,
}

/// An endpoint that was found to be an outlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected {
    /// Which.
    pub address: SocketAddr,
    /// Why.
    pub kind: EjectionKind,
    /// What became of it.
    pub verdict: Verdict,
}

/// An endpoint that is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unejected(pub SocketAddr);

/// How an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EjectionStanding {
    /// Why it is ejected, and how much longer at least; none: it is not.
    pub ejected: Option<(EjectionKind, Duration)>,
    /// How often it was, since it is known.
    pub times_ejected: u64,
    /// By how much its next ejection, or this one, is longer than the base.
    pub multiplier: u32,
    /// Successes of the last interval that had enough requests, percent.
    pub success_rate: Option<f64>,
}

#[derive(Debug, Default)]
struct Member {
    ejection: Option<Ejection>,
    multiplier: u32,
    times_ejected: u64,
    success_rate: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Ejection {
    kind: EjectionKind,
    at: Duration,
    jitter: Duration,
}

/// One cluster's outliers. Times are since an epoch that all calls share.
#[derive(Debug, Default)]
pub struct OutlierDetector {
    members: HashMap<SocketAddr, Member>,
}

impl OutlierDetector {
    /// Forgets endpoints that have left. One that is ejected here and not marked so has left and come back in between: it is
    /// another.
    pub fn retain(&mut self, fellows: &[Fellow]) {
        self.members.retain(|address, member| {
            let is_same = |fellow: &Fellow| {
                fellow.address == *address
                    && (member.ejection.is_none() || fellow.health.has(HealthMark::Ejected))
            };
            fellows.iter().any(is_same)
        });
    }

    /// The endpoints that are ejected.
    pub fn ejected(&self) -> impl Iterator<Item = SocketAddr> {
        let members = self.members.iter();
        members
            .filter(|(_, member)| member.ejection.is_some())
            .map(|(address, _)| *address)
    }

    /// How an endpoint stands.
    pub fn standing(
        &self,
        address: SocketAddr,
        settings: &OutlierSettings,
        now: Duration,
    ) -> EjectionStanding {
        let Some(member) = self.members.get(&address) else {
            return EjectionStanding::default();
        };
        EjectionStanding {
            ejected: member
                .ejection
                .map(|ejection| (ejection.kind, member.end(ejection, settings).saturating_sub(now))),
            times_ejected: member.times_ejected,
            multiplier: member.multiplier,
            success_rate: member.success_rate,
        }
    }

    /// A run has reached its threshold; none if the endpoint has left or is ejected already.
    pub fn crossed(
        &mut self,
        address: SocketAddr,
        kind: EjectionKind,
        fellows: &[Fellow],
        settings: &OutlierSettings,
        now: Duration,
        random: &mut dyn FnMut() -> u64,
    ) -> Option<Detected> {
        let fellow = fellows.iter().find(|fellow| fellow.address == address)?;
        let detected = self.detected(fellow.address, kind, fellows, settings, now, random);
        fellow.health.outlier_counts().heard(kind);
        detected
    }

    /// A look at what is there, once an interval: who comes back, and who is ejected for what was counted since the last
    /// one.
    pub fn tick(
        &mut self,
        fellows: &[Fellow],
        settings: &OutlierSettings,
        now: Duration,
        random: &mut dyn FnMut() -> u64,
    ) -> (Vec<Unejected>, Vec<Detected>) {
        let mut back = Vec::new();
        for fellow in fellows {
            let member = self.members.entry(fellow.address).or_default();
            match member.ejection {
                // It was well for an interval: its next ejection is shorter.
                None => member.multiplier = member.multiplier.saturating_sub(1),
                Some(ejection) if member.end(ejection, settings) <= now => {
                    back.extend(self.uneject(fellow));
                }
                Some(_) => {}
            }
        }
        let mut found = Vec::new();
        let answers: Vec<Tally> = fellows
            .iter()
            .map(|fellow| fellow.health.outlier_counts().take_answers())
            .collect();
        let kinds = (EjectionKind::SuccessRate, EjectionKind::FailurePercentage);
        self.compare(&answers, kinds, fellows, settings, now, random, &mut found);
        let connections: Vec<Tally> = fellows
            .iter()
            .map(|fellow| fellow.health.outlier_counts().take_connections())
            .collect();
        if settings.splits_local_origin {
            let kinds = (
                EjectionKind::LocalOriginSuccessRate,
                EjectionKind::LocalOriginFailurePercentage,
            );
            self.compare(&connections, kinds, fellows, settings, now, random, &mut found);
        }
        (back, found)
    }

    /// The endpoint comes back before its time: a check has found it healthy. None if it is not ejected.
    pub fn passed_check(&mut self, address: SocketAddr, fellows: &[Fellow]) -> Option<Unejected> {
        let fellow = fellows.iter().find(|fellow| fellow.address == address)?;
        self.uneject(fellow)
    }

    /// All come back: ejection is off.
    pub fn clear(&mut self, fellows: &[Fellow]) -> Vec<Unejected> {
        fellows.iter().filter_map(|fellow| self.uneject(fellow)).collect()
    }

    fn uneject(&mut self, fellow: &Fellow) -> Option<Unejected> {
        let member = self.members.get_mut(&fellow.address)?;
        member.ejection.take()?;
        fellow.health.outlier_counts().reset_runs();
        Some(Unejected(fellow.address))
    }

    #[expect(clippy::too_many_arguments, reason = "all of one look's circumstances")]
    fn compare(
        &mut self,
        tallies: &[Tally],
        (by_rate, by_percentage): (EjectionKind, EjectionKind),
        fellows: &[Fellow],
        settings: &OutlierSettings,
        now: Duration,
        random: &mut dyn FnMut() -> u64,
        found: &mut Vec<Detected>,
    ) {
        // Endpoints that are ejected are not compared: what they did is not what the others do.
        let (places, tallies): (Vec<usize>, Vec<Tally>) = tallies
            .iter()
            .enumerate()
            .filter(|(place, _)| !self.is_ejected(fellows[*place].address))
            .map(|(place, tally)| (place, *tally))
            .unzip();
        if by_rate == EjectionKind::SuccessRate {
            let least = settings
                .success_rate
                .requests
                .min(settings.failure_percentage.requests);
            for (place, tally) in places.iter().zip(&tallies) {
                let rate = tally.success_rate().filter(|_| tally.all >= u64::from(least));
                self.members
                    .entry(fellows[*place].address)
                    .or_default()
                    .success_rate = rate;
            }
        }
        let slow = statistics::below_the_others(
            &tallies,
            settings.success_rate,
            settings.success_rate_stdev_factor,
        );
        let failing = statistics::failing(
            &tallies,
            settings.failure_percentage,
            settings.failure_percentage_threshold,
        );
        let slow = slow.into_iter().map(|place| (place, by_rate));
        for (place, kind) in slow.chain(failing.into_iter().map(|place| (place, by_percentage))) {
            let address = fellows[places[place]].address;
            found.extend(self.detected(address, kind, fellows, settings, now, random));
        }
    }

    fn is_ejected(&self, address: SocketAddr) -> bool {
        self.members
            .get(&address)
            .is_some_and(|member| member.ejection.is_some())
    }

    fn detected(
        &mut self,
        address: SocketAddr,
        kind: EjectionKind,
        fellows: &[Fellow],
        settings: &OutlierSettings,
        now: Duration,
        random: &mut dyn FnMut() -> u64,
    ) -> Option<Detected> {
        if self.is_ejected(address) {
            return None;
        }
        let verdict = if !self.has_room(address, fellows, settings) {
            Verdict::TooMany
        } else if random() % 100 >= u64::from(settings.enforcing[kind as usize]) {
            Verdict::NotEnforced
        } else {
            let member = self.members.entry(address).or_default();
            Verdict::Ejected(member.eject(kind, settings, now, random()))
        };
        Some(Detected {
            address,
            kind,
            verdict,
        })
    }

    /// Whether one more may be ejected.
    fn has_room(&self, address: SocketAddr, fellows: &[Fellow], settings: &OutlierSettings) -> bool {
        let serves = |fellow: &&Fellow| fellow.serves && !self.is_ejected(fellow.address);
        let another_serves = fellows
            .iter()
            .filter(serves)
            .any(|fellow| fellow.address != address);
        let ejected = fellows
            .iter()
            .filter(|fellow| self.is_ejected(fellow.address))
            .count() as u64;
        let percent_max = u64::from(settings.max_ejection_percent.min(100));
        let is_within = 100 * (ejected + 1) <= percent_max * fellows.len() as u64;
        another_serves && (is_within || settings.always_eject_one && ejected == 0)
    }
}

impl Member {
    fn eject(
        &mut self,
        kind: EjectionKind,
        settings: &OutlierSettings,
        now: Duration,
        random: u64,
    ) -> Duration {
        let jitter_max = settings.max_ejection_time_jitter.as_millis();
        let jitter = u128::from(random) % (jitter_max + 1);
        let ejection = Ejection {
            kind,
            at: now,
            jitter: Duration::from_millis(u64::try_from(jitter).unwrap_or(u64::MAX)),
        };
        self.ejection = Some(ejection);
        self.times_ejected += 1;
        // Beyond what makes a difference it does not grow, so that it is back at one in as many good intervals.
        let longest = settings.max_ejection_time + settings.base_ejection_time;
        if settings.base_ejection_time.saturating_mul(self.multiplier) < longest {
            self.multiplier += 1;
        }
        self.end(ejection, settings).saturating_sub(now)
    }

    fn end(&self, ejection: Ejection, settings: &OutlierSettings) -> Duration {
        let longest = settings.max_ejection_time.max(settings.base_ejection_time);
        let time = settings.base_ejection_time.saturating_mul(self.multiplier);
        ejection.at + time.min(longest) + ejection.jitter
    }
}
