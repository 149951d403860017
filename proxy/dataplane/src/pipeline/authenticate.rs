//! Tokens: whose a request brings, whether they hold, and what goes upstream of them.
//!
//! Nothing here waits: keys are fetched elsewhere, and a request whose keys are not there is refused. Whatever becomes of
//! the request, tokens that were looked for are taken off it, unless they hold and are to be passed on; and headers that
//! tell upstreams of tokens are never the client's.

mod locations;
mod told;

pub(super) use locations::with_query;

use super::{Request, RequestContext, Taken};
use crate::snapshot::tokens::{
    Leniency, ProviderPolicy, ProviderSlot, TokenPolicy, TokenProviders, TokenRequirement,
};
use outrigger_http1::{Fields, KnownName, RequestHead};
use outrigger_identity::jwt::{JwtFault, TokenDigest, VerifiedToken};
use outrigger_telemetry::TokenRefusal;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A token that holds, and whose it is.
struct Accepted {
    provider: Arc<ProviderPolicy>,
    token: Rc<VerifiedToken>,
}

/// Takes off what only this proxy may say of tokens: before a route is looked for, which may ask for it.
pub(super) fn take_off_claims(context: &RequestContext<'_>, head: &mut RequestHead) {
    told::take_off(&context.snapshot.tokens, head);
}

/// Looks at a request's tokens, and prepares its head for upstream.
///
/// # Errors
/// Why it is refused.
pub(super) fn authenticate(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &TokenPolicy,
) -> Result<(), JwtFault> {
    let providers = &*context.snapshot.tokens;
    let requirement = match &taken.policy.tokens {
        Some(own) => own.as_ref(),
        None => policy.requirement.as_ref(),
    };
    let Some(requirement) = requirement else {
        return Ok(());
    };
    let mut check = Check {
        providers,
        context,
        head: request.head,
        now: now(),
        outcomes: Vec::new(),
        accepted: Vec::new(),
        forwarded: Vec::new(),
    };
    let outcome = check.requirement(requirement);
    let Check {
        accepted, forwarded, ..
    } = check;
    for_each_provider(requirement, providers, &mut |provider| {
        for location in provider.config.locations() {
            locations::take_off(location, request.head, &forwarded);
        }
    });
    request
        .record
        .hide_parameters(request.head, |name| is_parameter(requirement, providers, name));
    if let Err(fault) = outcome {
        context.listener().unauthenticated_requests.inc();
        return Err(fault);
    }
    for Accepted { provider, token } in accepted {
        told::tell(&provider.config, &token, &mut request.head.fields);
        let claims = request.claims.get_or_insert_default();
        claims.add(provider.config.name().clone(), Arc::clone(token.claims()));
    }
    Ok(())
}

/// Says how to do better (RFC 6750 section 3). The realm is where the client asked.
pub(super) fn challenge(fault: JwtFault, head: &RequestHead, fields: &mut Fields) {
    let scheme = head.scheme().unwrap_or("http");
    let mut value = format!("Bearer realm=\"{scheme}://{}\"", head.authority());
    if fault.is_of_a_token() {
        value.push_str(", error=\"invalid_token\"");
    }
    fields.set_known(KnownName::WwwAuthenticate, value.as_bytes());
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Calls `each` for every provider whose tokens may be looked for.
fn for_each_provider(
    requirement: &TokenRequirement,
    providers: &TokenProviders,
    each: &mut dyn FnMut(&ProviderPolicy),
) {
    match requirement {
        TokenRequirement::Provider(slot) => each(providers.provider(*slot)),
        TokenRequirement::AllOf(list) | TokenRequirement::AnyOf(list, _) => {
            for one in list {
                for_each_provider(one, providers, each);
            }
        }
        TokenRequirement::AnyProvider(_) => providers.slots.iter().flatten().for_each(|one| each(one)),
    }
}

fn is_parameter(requirement: &TokenRequirement, providers: &TokenProviders, name: &str) -> bool {
    let mut found = false;
    for_each_provider(requirement, providers, &mut |provider| {
        found = found || locations::is_parameter(provider.config.locations(), name);
    });
    found
}

/// One look at a request's tokens.
struct Check<'c> {
    providers: &'c TokenProviders,
    context: &'c RequestContext<'c>,
    head: &'c RequestHead,
    now: u64,
    /// What came of each provider that was asked.
    outcomes: Vec<(ProviderSlot, Result<(), JwtFault>)>,
    accepted: Vec<Accepted>,
    /// Tokens that hold and are passed on.
    forwarded: Vec<Vec<u8>>,
}

impl Check<'_> {
    fn requirement(&mut self, requirement: &TokenRequirement) -> Result<(), JwtFault> {
        match requirement {
            TokenRequirement::Provider(slot) => self.provider(*slot),
            TokenRequirement::AllOf(all) => all.iter().try_for_each(|one| self.requirement(one)),
            TokenRequirement::AnyOf(any, leniency) => {
                let outcomes = any.iter().map(|one| self.requirement(one));
                first_that_holds(outcomes, *leniency)
            }
            TokenRequirement::AnyProvider(leniency) => {
                let providers = self.providers;
                let outcomes = providers.all().map(|slot| self.provider(slot));
                first_that_holds(outcomes, *leniency)
            }
        }
    }

    /// Asks a provider, once.
    fn provider(&mut self, slot: ProviderSlot) -> Result<(), JwtFault> {
        if let Some((_, outcome)) = self.outcomes.iter().find(|(asked, _)| *asked == slot) {
            return *outcome;
        }
        let provider = self.providers.provider(slot);
        let outcome = self.verify(provider);
        let cells = provider.metrics.worker(self.context.worker().index);
        match outcome {
            Ok(()) => cells.verified.inc(),
            // Nothing was brought that could have been refused.
            Err(JwtFault::Missing) => {}
            Err(fault) => cells.refused[reason(fault)].inc(),
        }
        self.outcomes.push((slot, outcome));
        outcome
    }

    fn verify(&mut self, provider: &Arc<ProviderPolicy>) -> Result<(), JwtFault> {
        let mut found = locations::find(provider.config.locations(), self.head);
        let token = found.pop().ok_or(JwtFault::Missing)?;
        // The same in two places is one.
        if found.iter().any(|other| *other != token) {
            return Err(JwtFault::MultipleTokens);
        }
        let verified = self.verify_one(provider, &token)?;
        self.accepted.push(Accepted {
            provider: Arc::clone(provider),
            token: verified,
        });
        if provider.config.forward() {
            self.forwarded.push(token.into_owned());
        }
        Ok(())
    }

    fn verify_one(&self, provider: &ProviderPolicy, token: &[u8]) -> Result<Rc<VerifiedToken>, JwtFault> {
        let worker = self.context.worker();
        let keys = provider.keys.keys();
        let keys = keys.as_deref();
        let digest = keys.and_then(|keys| TokenDigest::of(token, provider.id, keys.version()));
        if let Some(digest) = &digest
            && let Some(remembered) = worker.tokens.find(digest)
        {
            remembered
                .check_times(self.now)
                .inspect_err(|_| worker.tokens.forget(digest))?;
            provider.metrics.worker(worker.index).remembered.inc();
            return Ok(remembered);
        }
        match provider.verifier.verify(token, keys, self.now) {
            Ok(verified) => {
                let verified = Rc::new(verified);
                if let Some(digest) = digest {
                    worker.tokens.remember(digest, &verified);
                }
                Ok(verified)
            }
            Err(fault) => {
                if fault == JwtFault::KeyNotFound {
                    provider.keys.want_newer();
                }
                Err(fault)
            }
        }
    }
}

/// Success with the first that holds. Else the fault that says most: that of a token which is some alternative's, before
/// that of one which is none's, before that there is none.
fn first_that_holds(
    outcomes: impl Iterator<Item = Result<(), JwtFault>>,
    leniency: Leniency,
) -> Result<(), JwtFault> {
    let weight = |fault: JwtFault| match fault {
        JwtFault::Missing => 0,
        JwtFault::UnknownIssuer => 1,
        _ => 2,
    };
    let mut worst = JwtFault::Missing;
    for outcome in outcomes {
        match outcome {
            Ok(()) => return Ok(()),
            Err(fault) if weight(fault) >= weight(worst) => worst = fault,
            Err(_) => {}
        }
    }
    match leniency {
        Leniency::MissingOrFailed => Ok(()),
        Leniency::Missing if worst == JwtFault::Missing => Ok(()),
        _ => Err(worst),
    }
}

fn reason(fault: JwtFault) -> TokenRefusal {
    match fault {
        JwtFault::TooLong => TokenRefusal::TooLong,
        JwtFault::MultipleTokens => TokenRefusal::Multiple,
        JwtFault::AlgorithmNotSupported => TokenRefusal::Algorithm,
        JwtFault::UnknownIssuer => TokenRefusal::Issuer,
        JwtFault::AudienceNotAllowed => TokenRefusal::Audience,
        JwtFault::Expired | JwtFault::ExpirationMissing => TokenRefusal::Expired,
        JwtFault::NotYetValid => TokenRefusal::NotYetValid,
        JwtFault::KeyNotFound => TokenRefusal::UnknownKey,
        JwtFault::VerificationFails => TokenRefusal::Signature,
        JwtFault::KeysUnavailable => TokenRefusal::KeysUnavailable,
        _ => TokenRefusal::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_that_says_most_is_told() {
        use JwtFault::{Expired, Missing, UnknownIssuer};
        let of = |faults: &[JwtFault], leniency| {
            first_that_holds(faults.iter().map(|fault| Err(*fault)), leniency)
        };
        let strict = Leniency::None;
        assert_eq!(of(&[Missing, UnknownIssuer, Missing], strict), Err(UnknownIssuer));
        assert_eq!(of(&[Expired, UnknownIssuer], strict), Err(Expired));
        assert_eq!(of(&[UnknownIssuer, Expired], strict), Err(Expired));
        assert_eq!(of(&[Missing], strict), Err(Missing));
        assert_eq!(of(&[Missing], Leniency::Missing), Ok(()));
        assert_eq!(
            of(&[Missing, UnknownIssuer], Leniency::Missing),
            Err(UnknownIssuer)
        );
        assert_eq!(of(&[Expired], Leniency::MissingOrFailed), Ok(()));
        assert_eq!(
            first_that_holds([Err(Expired), Ok(())].into_iter(), strict),
            Ok(())
        );
    }
}
