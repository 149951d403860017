//! Fault injection: which requests are delayed, refused or slowed down on purpose (Envoy's `fault` filter).
//!
//! The configuration, the request, a random source and the time come in; what is done comes out. What all workers count
//! of a policy is [`FaultState`]: how many of the last thousand requests were touched ([`AffectedWindow`]), and how many
//! are now.

mod asked;
mod window;

pub use asked::{AskedFaults, FAULT_HEADERS};
pub use window::{AFFECTED_WINDOW, AffectedWindow};

use crate::balancing::falls_within_parts;
use crate::places::{Place, Places};
use crate::routing::{RequestView, header_holds};
use outrigger_config::model::{Fault, FaultAbortKind, Fraction};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What the process counts of a policy's requests. It outlives reloads.
#[derive(Debug, Default)]
pub struct FaultState {
    affected: AffectedWindow,
    active: Arc<Places>,
}

impl FaultState {
    /// How many requests are touched now.
    pub fn active(&self) -> u64 {
        self.active.taken()
    }
}

/// What is done to a request.
#[derive(Debug)]
pub struct Injection {
    /// It is held for so long first.
    pub delay: Option<Duration>,
    /// It is not passed on then.
    pub abort: Option<FaultAbortKind>,
    /// Its answer's body goes at so many bytes a second.
    pub response_bytes_per_second: Option<u64>,
    /// Counts it as touched now, until it is dropped.
    pub place: Place,
}

/// Why a request that was to be touched is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// As many of the last requests as may be have been.
    Share,
    /// As many as may be are touched now.
    Active,
    /// The policy's time is over.
    Expired,
}

/// What becomes of a request under a policy.
#[derive(Debug)]
pub enum Decision {
    /// Nothing.
    Untouched,
    /// Nothing, though the policy would have it.
    Skipped(Skip),
    /// This.
    Inject(Injection),
}

/// Decides on one request, and counts it. `asked`: what it asks for by headers, if its peer is believed. `random` gives a number for
/// each part of the policy, so that delays and aborts fall independently, as Envoy's do.
pub fn decide(
    fault: &Fault,
    state: &FaultState,
    request: &(impl RequestView + ?Sized),
    asked: Option<&AskedFaults>,
    mut random: impl FnMut() -> u64,
    now: SystemTime,
) -> Decision {
    let expired = fault.expires().is_some_and(|moment| now >= moment);
    let wanted = if concerns(fault, request) {
        let nothing = AskedFaults::default();
        let asked = asked.filter(|_| fault.by_header()).unwrap_or(&nothing);
        Wanted::draw(fault, asked, &mut random)
    } else {
        Wanted::default()
    };
    if expired {
        return match wanted.any() {
            true => Decision::Skipped(Skip::Expired),
            false => Decision::Untouched,
        };
    }
    if !wanted.any() {
        state.affected.pass();
        return Decision::Untouched;
    }
    let Some(place) = state.active.take(fault.active_max().map(u64::from)) else {
        state.affected.pass();
        return Decision::Skipped(Skip::Active);
    };
    if !state.affected.admit(fault.affected_max().parts_per_million()) {
        return Decision::Skipped(Skip::Share);
    }
    Decision::Inject(Injection {
        delay: wanted.delay,
        abort: wanted.abort,
        response_bytes_per_second: wanted.response_bytes_per_second,
        place,
    })
}

/// True if the policy is about such requests.
fn concerns(fault: &Fault, request: &(impl RequestView + ?Sized)) -> bool {
    let identities = fault.identities();
    let is_meant = identities.is_empty()
        || request
            .source_identity()
            .is_some_and(|id| identities.iter().any(|wanted| wanted.matches(id)));
    is_meant && fault.headers().iter().all(|header| header_holds(header, request))
}

/// What the fractions say, before any limit.
#[derive(Debug, Default)]
struct Wanted {
    delay: Option<Duration>,
    abort: Option<FaultAbortKind>,
    response_bytes_per_second: Option<u64>,
}

impl Wanted {
    fn any(&self) -> bool {
        self.delay.is_some() || self.abort.is_some() || self.response_bytes_per_second.is_some()
    }

    /// What a header asks for takes the place of what is configured; of two shares the smaller holds, as in Envoy.
    fn draw(fault: &Fault, asked: &AskedFaults, random: &mut impl FnMut() -> u64) -> Wanted {
        let mut falls = |configured: Option<Fraction>, asked_percent: Option<u32>| {
            let configured = configured.unwrap_or(Fraction::ALL).parts_per_million();
            let asked = asked_percent.map_or(Fraction::ALL.parts_per_million(), |percent| percent * 10_000);
            falls_within_parts(configured.min(asked), random())
        };
        let mut wanted = Wanted::default();
        let delay = fault.delay();
        if let Some(duration) = asked.delay.or(delay.map(|delay| delay.duration()))
            && falls(delay.map(|delay| delay.fraction()), asked.delay_percent)
        {
            wanted.delay = Some(duration);
        }
        let abort = fault.abort();
        if let Some(kind) = asked.abort().or(abort.map(|abort| abort.kind()))
            && falls(abort.map(|abort| abort.fraction()), asked.abort_percent)
        {
            wanted.abort = Some(kind);
        }
        let rate = fault.response_rate();
        if let Some(bytes) = asked
            .response_bytes_per_second
            .or(rate.map(|rate| rate.bytes_per_second()))
            && falls(rate.map(|rate| rate.fraction()), asked.response_percent)
        {
            wanted.response_bytes_per_second = Some(bytes);
        }
        wanted
    }
}

#[cfg(test)]
mod tests;
