//! Which traces are kept.
//!
//! What is decided at a request's start is told to the next hops, so that a trace is whole or not there: by a believed
//! peer's wish, by whoever sent the request, or by a share of all traces, which follows from the trace id so that all
//! proxies agree. An id that came from somebody whose decision does not count decides nothing either: whoever picks it would
//! pick the decision. What turns out at a request's end ([`TailRule`]) keeps the spans of this proxy alone.

use super::ids::TraceId;
use super::propagation::Extracted;
use super::rate::TraceRate;
use crate::labels::{SamplingDecision, TailReason};
use std::sync::Arc;
use std::time::Duration;

/// The random bits of a trace id that a share looks at (W3C's random flag, OpenTelemetry's consistent sampling).
const RANDOM_BITS: u32 = 56;

/// A share of all traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Traces whose random bits are at least this are in it.
    threshold: u64,
}

impl Ratio {
    /// So many millionths, at most all.
    pub fn per_million(millionths: u32) -> Ratio {
        let left_out = 1_000_000 - u64::from(millionths.min(1_000_000));
        let threshold = (u128::from(left_out) << RANDOM_BITS) / 1_000_000;
        Ratio {
            threshold: threshold as u64,
        }
    }

    /// Whether a trace is in it. Every one that is in a smaller share is in a greater one, too.
    pub fn includes(self, trace_id: TraceId) -> bool {
        trace_id.low() & ((1 << RANDOM_BITS) - 1) >= self.threshold
    }
}

/// Whether the decision of whoever sent the request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentRule {
    /// Always.
    Follow,
    /// If it is a believed peer.
    FollowTrusted,
    /// Never.
    Ignore,
}

impl SamplingDecision {
    /// Whether the trace is kept.
    pub fn is_kept(self) -> bool {
        matches!(
            self,
            SamplingDecision::Forced | SamplingDecision::Parent | SamplingDecision::Share
        )
    }
}

/// Decides at a request's start.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// Whose decision counts.
    pub parent: ParentRule,
    /// The share of the other traces that is kept.
    pub ratio: Ratio,
    /// How many of that share are kept a second at most.
    pub rate: Option<Arc<TraceRate>>,
}

/// What a virtual host or a route changes of its chain's sampler; none: as there.
#[derive(Clone, Debug, Default)]
pub struct SamplerChange {
    /// Whose decision counts.
    pub parent: Option<ParentRule>,
    /// The share of the other traces that is kept.
    pub ratio: Option<Ratio>,
    /// How many of that share are kept a second at most.
    pub rate: Option<Option<Arc<TraceRate>>>,
}

impl SamplerChange {
    /// What both change together: of what this one leaves alone, what the `outer` one changes.
    #[must_use]
    pub fn or(self, outer: &SamplerChange) -> SamplerChange {
        SamplerChange {
            parent: self.parent.or(outer.parent),
            ratio: self.ratio.or(outer.ratio),
            rate: self.rate.or_else(|| outer.rate.clone()),
        }
    }

    /// The chain's sampler with what is changed of it.
    pub fn over(&self, chain: &Sampler) -> Sampler {
        Sampler {
            parent: self.parent.unwrap_or(chain.parent),
            ratio: self.ratio.unwrap_or(chain.ratio),
            rate: self.rate.as_ref().unwrap_or(&chain.rate).clone(),
        }
    }
}

impl Sampler {
    /// Whether it matters who sent a request.
    pub fn asks_for_trust(&self) -> bool {
        self.parent != ParentRule::Follow
    }

    /// Decides about a request of this trace, and takes out of what it says all that does not count. `is_forced`: a believed
    /// peer asks for it; `is_trusted`: whoever sent the request is believed; `now`: as [`TraceRate::take`] has it; `draw`: random
    /// bits, for a request whose sender may not decide by the id that it picks.
    pub fn decide(
        &self,
        extracted: &mut Extracted,
        trace_id: TraceId,
        (is_forced, is_trusted): (bool, bool),
        now: Duration,
        draw: impl FnOnce() -> u64,
    ) -> SamplingDecision {
        let follows = match self.parent {
            ParentRule::Follow => true,
            ParentRule::FollowTrusted => is_trusted,
            ParentRule::Ignore => false,
        };
        if !follows {
            extracted.forget_decision();
        }
        if is_forced {
            return SamplingDecision::Forced;
        }
        // Proxies that ignore each other's decisions agree all the same, if they believe each other.
        let is_picked_by_stranger = self.asks_for_trust() && !is_trusted && extracted.trace_id.is_some();
        let in_share = || match is_picked_by_stranger {
            true => self.ratio.includes(TraceId::random(0, draw())),
            false => self.ratio.includes(trace_id),
        };
        match extracted.sampled {
            Some(true) => SamplingDecision::Parent,
            Some(false) => SamplingDecision::ParentDropped,
            None if !in_share() => SamplingDecision::ShareDropped,
            None if self.rate.as_ref().is_some_and(|rate| !rate.take(now)) => SamplingDecision::RateLimited,
            None => SamplingDecision::Share,
        }
    }
}

/// What is kept by how it ended, although it was decided otherwise at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailRule {
    /// Requests that ended in an error.
    pub errors: bool,
    /// Requests that took at least so long.
    pub slow: Option<Duration>,
}

impl TailRule {
    /// Whether anything is kept by it.
    pub fn is_some(&self) -> bool {
        self.errors || self.slow.is_some()
    }

    /// Why a request is kept that ended so; None: it is not.
    pub fn keeps(&self, is_error: bool, duration: Duration) -> Option<TailReason> {
        if self.errors && is_error {
            return Some(TailReason::Error);
        }
        let slow = self.slow.is_some_and(|slow| duration >= slow);
        slow.then_some(TailReason::Slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(low: u64) -> TraceId {
        TraceId::random(1, low)
    }

    fn sampler(parent: ParentRule, millionths: u32) -> Sampler {
        Sampler {
            parent,
            ratio: Ratio::per_million(millionths),
            rate: None,
        }
    }

    #[test]
    fn a_share_follows_from_the_random_bits_alone() {
        let (none, all) = (Ratio::per_million(0), Ratio::per_million(1_000_000));
        let half = Ratio::per_million(500_000);
        for low in [1, 1 << 55, (1 << 55) - 1, (1 << 56) - 1, u64::MAX, 0xff << 56] {
            assert!(all.includes(trace(low)));
            assert!(!none.includes(trace(low)));
            assert_eq!(
                half.includes(trace(low)),
                low & ((1 << 56) - 1) >= 1 << 55,
                "{low:x}"
            );
        }
        assert_eq!(Ratio::per_million(u32::MAX), all);
    }

    #[test]
    fn shares_are_as_great_as_they_say_and_hold_each_other() {
        let (one, ten) = (Ratio::per_million(10_000), Ratio::per_million(100_000));
        let step = (1u64 << 56) / 100_000;
        let count = |ratio: Ratio| {
            (0..100_000)
                .filter(|i| ratio.includes(trace(i * step + 1)))
                .count()
        };
        assert!((999..=1_001).contains(&count(one)), "{}", count(one));
        assert!((9_999..=10_001).contains(&count(ten)), "{}", count(ten));
        assert!(
            (0..100_000).all(|i| !one.includes(trace(i * step + 1)) || ten.includes(trace(i * step + 1)))
        );
    }

    #[test]
    fn decisions_go_by_rank() {
        use SamplingDecision::{Forced, Parent, ParentDropped, ShareDropped};
        let told = |sampled| Extracted {
            sampled,
            ..Extracted::default()
        };
        let decide = |rule, millionths, sampled, forced, trusted| {
            let sampler = sampler(rule, millionths);
            let trust = (forced, trusted);
            sampler.decide(&mut told(sampled), trace(9), trust, Duration::ZERO, || 9)
        };
        let all = 1_000_000;
        assert_eq!(decide(ParentRule::Follow, 0, Some(false), true, true), Forced);
        assert_eq!(decide(ParentRule::Follow, 0, Some(true), false, false), Parent);
        assert_eq!(
            decide(ParentRule::Follow, all, Some(false), false, false),
            ParentDropped
        );
        assert_eq!(
            decide(ParentRule::Follow, all, None, false, false),
            SamplingDecision::Share
        );
        assert_eq!(decide(ParentRule::Follow, 0, None, false, false), ShareDropped);
        assert_eq!(
            decide(ParentRule::Ignore, 0, Some(true), false, true),
            ShareDropped
        );
        assert_eq!(
            decide(ParentRule::Ignore, all, Some(false), false, true),
            SamplingDecision::Share
        );
        assert_eq!(
            decide(ParentRule::FollowTrusted, 0, Some(true), false, false),
            ShareDropped
        );
        assert_eq!(
            decide(ParentRule::FollowTrusted, 0, Some(true), false, true),
            Parent
        );
        for decision in [Forced, Parent, SamplingDecision::Share] {
            assert!(decision.is_kept());
        }
        for decision in [ParentDropped, ShareDropped, SamplingDecision::RateLimited] {
            assert!(!decision.is_kept());
        }
    }

    #[test]
    fn who_is_not_followed_neither_forces_nor_evades() {
        use ParentRule::{Follow, FollowTrusted, Ignore};
        let (lowest, highest) = (trace(1), trace((1 << 56) - 1));
        let decide = |rule, trace_id: Option<TraceId>, trusted, drawn: u64| {
            let mut extracted = Extracted {
                trace_id,
                ..Extracted::default()
            };
            let id = trace_id.unwrap_or(highest);
            let sampler = sampler(rule, 500_000);
            let decision = sampler.decide(&mut extracted, id, (false, trusted), Duration::ZERO, || drawn);
            decision.is_kept()
        };
        let (in_it, out_of_it) = (highest.low(), 1);
        for rule in [FollowTrusted, Ignore] {
            assert!(!decide(rule, Some(highest), false, out_of_it), "{rule:?}");
            assert!(decide(rule, Some(lowest), false, in_it), "{rule:?}");
            // Ids of believed peers, and those that were made here, agree with what others decide.
            assert!(decide(rule, Some(highest), true, out_of_it), "{rule:?}");
            assert!(!decide(rule, Some(lowest), true, in_it), "{rule:?}");
            assert!(decide(rule, None, false, out_of_it), "{rule:?}");
        }
        assert!(decide(Follow, Some(highest), false, out_of_it));
    }

    #[test]
    fn nothing_of_a_decision_goes_on_that_does_not_count() {
        let told = Extracted {
            trace_id: Some(trace(9)),
            sampled: Some(true),
            debug: true,
            priority: Some(2),
            ..Extracted::default()
        };
        let left = |rule, is_forced, is_trusted| {
            let mut left = told;
            let sampler = sampler(rule, 1_000_000);
            sampler.decide(&mut left, trace(9), (is_forced, is_trusted), Duration::ZERO, || 9);
            left
        };
        let without = Extracted {
            sampled: None,
            debug: false,
            priority: None,
            ..told
        };
        assert_eq!(left(ParentRule::Follow, false, false), told);
        assert_eq!(left(ParentRule::FollowTrusted, false, true), told);
        assert_eq!(left(ParentRule::FollowTrusted, false, false), without);
        assert_eq!(left(ParentRule::Ignore, false, true), without);
        assert_eq!(left(ParentRule::Ignore, true, true), without);
    }

    #[test]
    fn the_rate_limits_what_is_begun_here() {
        let mut sampler = sampler(ParentRule::Follow, 1_000_000);
        sampler.rate = Some(Arc::new(TraceRate::per_second(1)));
        let told = Extracted::default();
        let parent = Extracted {
            sampled: Some(true),
            ..told
        };
        let decide = |told: &Extracted, forced| {
            let (mut told, now) = (*told, Duration::from_secs(5));
            sampler.decide(&mut told, trace(9), (forced, true), now, || 9)
        };
        assert_eq!(decide(&told, false), SamplingDecision::Share);
        assert_eq!(decide(&told, false), SamplingDecision::RateLimited);
        // Others count on these.
        assert_eq!(decide(&parent, false), SamplingDecision::Parent);
        assert_eq!(decide(&told, true), SamplingDecision::Forced);
    }

    #[test]
    fn a_route_changes_what_it_says_alone() {
        let mut chain = sampler(ParentRule::Ignore, 500_000);
        chain.rate = Some(Arc::new(TraceRate::per_second(1)));
        let share = SamplerChange {
            ratio: Some(Ratio::per_million(0)),
            ..SamplerChange::default()
        };
        let changed = share.over(&chain);
        assert_eq!(
            (changed.parent, changed.ratio, changed.rate.is_some()),
            (ParentRule::Ignore, Ratio::per_million(0), true)
        );
        let rule = SamplerChange {
            parent: Some(ParentRule::Follow),
            rate: Some(None),
            ..SamplerChange::default()
        };
        let changed = rule.over(&chain);
        assert_eq!(
            (changed.parent, changed.ratio, changed.rate.is_some()),
            (ParentRule::Follow, chain.ratio, false)
        );
    }

    #[test]
    fn errors_and_slow_ones_are_kept_where_asked() {
        let second = Duration::from_secs(1);
        let (errors, slow) = (
            TailRule {
                errors: true,
                slow: None,
            },
            TailRule {
                errors: false,
                slow: Some(second),
            },
        );
        assert!(!TailRule::default().is_some() && errors.is_some() && slow.is_some());
        assert_eq!(errors.keeps(true, Duration::ZERO), Some(TailReason::Error));
        assert_eq!(errors.keeps(false, 9 * second), None);
        assert_eq!(slow.keeps(false, second), Some(TailReason::Slow));
        assert_eq!(slow.keeps(true, second / 2), None);
        assert_eq!(TailRule::default().keeps(true, 9 * second), None);
    }
}
