//! Compiled policy on tokens: the JWT providers, and which of them a request needs.

use outrigger_config::model;
use outrigger_identity::jwt::{KeyCell, Verifier};
use outrigger_telemetry::TokenMetrics;
use std::sync::Arc;

/// Index of a JWT provider in a snapshot; stays the same across snapshots for as long as its name is there, so that
/// routes that did not change can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProviderSlot(pub(crate) u32);

/// All JWT providers.
#[derive(Debug, Default)]
pub(crate) struct TokenProviders {
    pub(crate) slots: Vec<Option<Arc<ProviderPolicy>>>,
    /// Headers that only this proxy writes: payloads and claims. Lower case, with `-` for `_`.
    pub(crate) reserved: Box<[Box<str>]>,
}

impl TokenProviders {
    /// The provider of a slot.
    pub(crate) fn provider(&self, slot: ProviderSlot) -> &Arc<ProviderPolicy> {
        self.slots[slot.0 as usize]
            .as_ref()
            .expect("a requirement's providers are in its snapshot")
    }

    /// The slots in use.
    pub(crate) fn all(&self) -> impl Iterator<Item = ProviderSlot> {
        let slots = self.slots.iter().zip(0..);
        slots.filter_map(|(provider, slot)| provider.as_ref().map(|_| ProviderSlot(slot)))
    }

    /// True if only this proxy may write a header of this name, which is in lower case. Servers that know headers as
    /// variables cannot tell `_` from `-`.
    pub(crate) fn is_reserved(&self, name: &[u8]) -> bool {
        let same = |reserved: &str| {
            reserved.len() == name.len()
                && name
                    .iter()
                    .map(|byte| if *byte == b'_' { b'-' } else { *byte })
                    .eq(reserved.bytes())
        };
        self.reserved.iter().any(|reserved| same(reserved))
    }
}

/// A JWT provider's compiled policy.
#[derive(Debug)]
pub(crate) struct ProviderPolicy {
    pub(crate) config: Arc<model::JwtProvider>,
    pub(crate) verifier: Verifier,
    pub(crate) keys: Arc<KeyCell>,
    pub(crate) metrics: Arc<TokenMetrics>,
    /// Tells verified tokens that are remembered apart; never used twice.
    pub(crate) id: u64,
}

/// What a filter chain asks for.
#[derive(Debug)]
pub(crate) struct TokenPolicy {
    /// What requests need whose route does not say otherwise.
    pub(crate) requirement: Option<TokenRequirement>,
}

/// Which tokens a request needs.
#[derive(Debug)]
pub(crate) enum TokenRequirement {
    /// One of this provider.
    Provider(ProviderSlot),
    /// All of these.
    AllOf(Box<[TokenRequirement]>),
    /// One of these, or what else will do.
    AnyOf(Box<[TokenRequirement]>, Leniency),
    /// One of any provider, or what else will do.
    AnyProvider(Leniency),
}

/// What will do where none of the alternatives holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leniency {
    /// Nothing.
    None,
    /// No token at all.
    Missing,
    /// Anything.
    MissingOrFailed,
}
