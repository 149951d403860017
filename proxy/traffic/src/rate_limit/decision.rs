//! Several local limits at once: all that are enforced must allow, and then a token is taken of each; or of none.

use super::descriptor::DescriptorFacts;
use super::local::{Dropped, LimitToken, LocalLimit, Whose};
use smallvec::SmallVec;
use std::time::Duration;

/// How a limit stands for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Tokens at most.
    pub limit: u32,
    /// Whole tokens that are left.
    pub left: u32,
    /// How long until there is one; zero while there is.
    pub wait: Duration,
}

/// What a limit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A part of its descriptor is lacking: it does not count this.
    NotCounted,
    /// A token was taken.
    Allowed(Reading, Option<Dropped>),
    /// There was none, and it is only watched what it would do.
    ShadowRefused(Reading),
}

/// What several limits say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// All allow: what each says, in their order.
    Allowed(SmallVec<[Outcome; 4]>),
    /// This one, by its place, refuses. Nothing was taken of any, unless somebody else took of one in the same moment: then
    /// its token stays taken.
    Refused(usize, Reading),
}

/// Asks limits, each with whether it is only watched (a shadow). Limits are looked at first, and taken of only if all that
/// are enforced have a token: what one refuses costs nothing at the others.
pub fn decide(limits: &[(&LocalLimit, bool)], facts: &DescriptorFacts<'_>, now: Duration) -> Decision {
    let whose: SmallVec<[Option<Whose>; 4]> = limits.iter().map(|(limit, _)| limit.whose(facts)).collect();
    let enforced = limits.iter().filter(|(_, is_shadow)| !is_shadow).count();
    if enforced > 1 {
        // Else taking is all there is to it.
        for (index, ((limit, is_shadow), whose)) in limits.iter().zip(&whose).enumerate() {
            if let (false, Some(whose)) = (is_shadow, whose)
                && let Err(reading) = limit.look(whose, now)
            {
                return Decision::Refused(index, reading);
            }
        }
    }
    let mut taken: SmallVec<[Option<LimitToken>; 4]> = SmallVec::from_elem(None, limits.len());
    for (index, (limit, is_shadow)) in limits.iter().enumerate() {
        let (false, Some(asked)) = (is_shadow, &whose[index]) else {
            continue;
        };
        match limit.take(asked, now) {
            Ok(token) => taken[index] = Some(token),
            Err(reading) => {
                give_back(limits, &whose, &taken);
                return Decision::Refused(index, reading);
            }
        }
    }
    let outcomes = limits.iter().zip(&whose).zip(taken);
    Decision::Allowed(
        outcomes
            .map(|(((limit, _), whose), taken)| match (whose, taken) {
                (None, _) => Outcome::NotCounted,
                (Some(_), Some(taken)) => Outcome::Allowed(taken.reading, taken.dropped),
                // Shadows are asked about what goes on, as they would be if they were enforced after all others.
                (Some(whose), None) => match limit.take(whose, now) {
                    Ok(taken) => Outcome::Allowed(taken.reading, taken.dropped),
                    Err(reading) => Outcome::ShadowRefused(reading),
                },
            })
            .collect(),
    )
}

/// In a race of several takers one limit may be empty although it was not a moment ago.
#[cold]
fn give_back(limits: &[(&LocalLimit, bool)], whose: &[Option<Whose>], taken: &[Option<LimitToken>]) {
    for (((limit, _), whose), taken) in limits.iter().zip(whose).zip(taken).rev() {
        if let (Some(whose), Some(taken)) = (whose, taken) {
            limit.give_back(whose, *taken);
        }
    }
}

#[cfg(test)]
mod tests;
