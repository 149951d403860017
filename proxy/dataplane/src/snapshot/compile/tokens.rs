//! JWT providers: slots by name, and requirements that point at slots.

use super::*;
use crate::snapshot::tokens::{
    Leniency, ProviderPolicy, ProviderSlot, TokenPolicy, TokenProviders, TokenRequirement,
};
use outrigger_config::model::{JwtProvider, JwtRequirement};
use outrigger_identity::jwt::Verifier;

/// Where the providers of a configuration are.
pub(super) type ProviderSlots<'c> = HashMap<&'c Name, ProviderSlot>;

impl Compiler {
    /// The providers. Those that did not change are taken over, with what is remembered of their tokens.
    pub(super) fn token_providers(
        &self,
        config: &MeshConfig,
        previous: Option<&Snapshot>,
    ) -> Arc<TokenProviders> {
        let before = previous.map(|previous| &previous.tokens);
        let old = before.map_or(&[][..], |before| &before.slots[..]);
        let mut slots: Vec<Option<Arc<ProviderPolicy>>> = vec![None; old.len()];
        let mut fresh = Vec::new();
        for provider in config.jwt_providers() {
            let same_name = |before: &Option<Arc<ProviderPolicy>>| {
                before
                    .as_ref()
                    .is_some_and(|before| before.config.name() == provider.name())
            };
            match old.iter().position(same_name) {
                Some(slot) => slots[slot] = Some(self.token_provider(provider, old[slot].as_ref())),
                None => fresh.push(self.token_provider(provider, None)),
            }
        }
        for provider in fresh {
            let is_free = |slot: &usize| slots[*slot].is_none() && old.get(*slot).is_none_or(Option::is_none);
            match (0..slots.len()).find(is_free) {
                Some(slot) => slots[slot] = Some(provider),
                None => slots.push(Some(provider)),
            }
        }
        let same = |(before, now): (&Option<Arc<_>>, &Option<Arc<_>>)| match (before, now) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        match before {
            Some(before) if old.len() == slots.len() && old.iter().zip(&slots).all(same) => {
                Arc::clone(before)
            }
            _ => Arc::new(TokenProviders {
                reserved: reserved(config.jwt_providers()),
                slots,
            }),
        }
    }

    fn token_provider(
        &self,
        config: &Arc<JwtProvider>,
        before: Option<&Arc<ProviderPolicy>>,
    ) -> Arc<ProviderPolicy> {
        let keys = self.keys.cell(config);
        if let Some(before) = before
            && before.config == *config
            && Arc::ptr_eq(&before.keys, &keys)
        {
            return Arc::clone(before);
        }
        Arc::new(ProviderPolicy {
            verifier: Verifier::new(config),
            keys,
            metrics: self.metrics.tokens(config.name().as_str()),
            id: self.next_provider_id.fetch_add(1, Ordering::Relaxed),
            config: Arc::clone(config),
        })
    }
}

/// What a filter chain asks for; none if neither it nor a route of it asks for anything.
pub(super) fn policy(
    options: &model::HttpOptions,
    routes: &RoutesPolicy,
    slots: &ProviderSlots<'_>,
) -> Option<Arc<TokenPolicy>> {
    let requirement = options.jwt().as_ref();
    (requirement.is_some() || routes.asks_for_tokens).then(|| {
        Arc::new(TokenPolicy {
            requirement: requirement.map(|requirement| compile(requirement, slots)),
        })
    })
}

/// A requirement. What holds without a token stands for itself in no list of alternatives, but says what will do
/// beside them; alone it means any provider.
pub(super) fn compile(requirement: &JwtRequirement, slots: &ProviderSlots<'_>) -> TokenRequirement {
    match requirement {
        JwtRequirement::Provider(name) => TokenRequirement::Provider(slots[name]),
        JwtRequirement::AllOf(all) => {
            TokenRequirement::AllOf(all.iter().map(|one| compile(one, slots)).collect())
        }
        JwtRequirement::AnyOf(any) => {
            let leniency = any.iter().map(leniency).max().unwrap_or(Leniency::None);
            let strict = any.iter().filter(|one| self::leniency(one) == Leniency::None);
            let alternatives: Box<[_]> = strict.map(|one| compile(one, slots)).collect();
            if alternatives.is_empty() {
                TokenRequirement::AnyProvider(leniency)
            } else {
                TokenRequirement::AnyOf(alternatives, leniency)
            }
        }
        lenient => TokenRequirement::AnyProvider(leniency(lenient)),
    }
}

fn leniency(requirement: &JwtRequirement) -> Leniency {
    match requirement {
        JwtRequirement::AllowMissing => Leniency::Missing,
        JwtRequirement::AllowMissingOrFailed => Leniency::MissingOrFailed,
        _ => Leniency::None,
    }
}

fn reserved(providers: &[Arc<JwtProvider>]) -> Box<[Box<str>]> {
    let mut names: Vec<Box<str>> = providers
        .iter()
        .flat_map(|provider| {
            let claims = provider.claim_headers().iter().map(|claim| claim.header());
            provider.payload_header().iter().chain(claims)
        })
        .map(|name| name.as_str().replace('_', "-").into())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}
