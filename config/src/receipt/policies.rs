//! Authorization policies that can never apply, and such that contradict each other.

use super::Code;
use super::findings::{COMPARED_MAX, Findings, knows_identities, place, providers};
use super::implication::implies_one;
use crate::model::{
    AuthorizationAction, AuthorizationPolicy, Condition, DescriptorPart, DescriptorSource, JwtRequirement,
    Name,
};
use std::collections::{HashMap, HashSet};

/// What is ever known of the requests that something applies to.
#[derive(Default, Clone)]
struct Known<'c> {
    identities: bool,
    /// Of more places, or more providers, than are looked at, everything is taken to be known.
    places: usize,
    tokens: HashSet<&'c Name>,
}

impl<'c> Known<'c> {
    fn knows_token(&self, provider: Option<&Name>) -> bool {
        match provider {
            _ if self.places > COMPARED_MAX || self.tokens.len() > COMPARED_MAX => true,
            Some(provider) => self.tokens.contains(provider),
            None => !self.tokens.is_empty(),
        }
    }

    fn add(&mut self, identities: bool, tokens: impl IntoIterator<Item = &'c Name>) {
        self.places += 1;
        self.identities |= identities;
        if self.places <= COMPARED_MAX {
            self.tokens.extend(tokens.into_iter().take(COMPARED_MAX + 1));
        }
    }

    /// Everything is taken to be known.
    fn add_all(&mut self) {
        self.identities = true;
        self.places = COMPARED_MAX + 1;
    }

    /// The condition may hold for some request.
    fn may_hold(&self, condition: &Condition, identities: bool) -> bool {
        match condition {
            Condition::All(all) => all.iter().all(|one| self.may_hold(one, identities)),
            Condition::AnyOf(any) => any.iter().any(|one| self.may_hold(one, identities)),
            Condition::Identity(_) | Condition::Authenticated | Condition::PeerName(_) => identities,
            Condition::Claim(claim) => self.knows_token(claim.provider.as_ref()),
            _ => true,
        }
    }

    fn may_count(&self, part: &DescriptorPart) -> bool {
        match &part.source {
            DescriptorSource::SourceIdentity => self.identities,
            DescriptorSource::Claim { provider, .. } => self.knows_token(provider.as_ref()),
            _ => true,
        }
    }
}

/// Where policies and rate limits apply, and what is known there.
#[derive(Default)]
struct Applied<'c> {
    policies: HashMap<&'c Name, Known<'c>>,
    limits: HashMap<&'c Name, Known<'c>>,
}

fn applied<'c>(findings: &mut Findings<'c>) -> Applied<'c> {
    let mut applied = Applied::default();
    let mut of_routes: HashMap<&Name, HashSet<&Name>> = HashMap::new();
    for placed in findings.routes() {
        findings.step();
        let own = tokens(placed.route.jwt.as_ref().and_then(Option::as_ref));
        of_routes
            .entry(&placed.configuration.name)
            .or_default()
            .extend(&own);
        let Some(around) = findings.around(placed.configuration) else {
            // Nobody uses it: nothing is certain, and that is said elsewhere.
            for name in &placed.route.authorization {
                applied.policies.entry(name).or_default().add_all();
            }
            for name in &placed.route.rate_limits {
                applied.limits.entry(name).or_default().add_all();
            }
            continue;
        };
        let identities = around.identities;
        let tokens = match placed.route.jwt {
            Some(_) => &own,
            None => &around.providers,
        };
        for name in &placed.route.authorization {
            applied
                .policies
                .entry(name)
                .or_default()
                .add(identities, tokens.iter().copied());
        }
        for name in &placed.route.rate_limits {
            applied
                .limits
                .entry(name)
                .or_default()
                .add(identities, tokens.iter().copied());
        }
    }
    of_hosts(findings, &mut applied);
    for (_, chain) in findings.chains() {
        findings.step();
        let identities = knows_identities(chain);
        let http = chain.mode.http();
        let mut tokens = tokens(http.and_then(|http| http.jwt.as_ref()));
        tokens.extend(
            http.and_then(|http| of_routes.get(&http.route_configuration))
                .into_iter()
                .flatten()
                .take(COMPARED_MAX + 1),
        );
        for name in &chain.authorization {
            applied
                .policies
                .entry(name)
                .or_default()
                .add(identities, tokens.iter().copied());
        }
        for name in http.map(|http| http.rate_limits.as_slice()).unwrap_or_default() {
            applied
                .limits
                .entry(name)
                .or_default()
                .add(identities, tokens.iter().copied());
        }
        for name in chain
            .mode
            .tcp()
            .map(|tcp| tcp.rate_limits.as_slice())
            .unwrap_or_default()
        {
            applied.limits.entry(name).or_default().add(identities, []);
        }
    }
    applied
}

/// Rate limits of virtual hosts apply to each of their routes; more routes than are looked at say nothing more.
fn of_hosts<'c>(findings: &mut Findings<'c>, applied: &mut Applied<'c>) {
    for (configuration, host) in findings.hosts() {
        for route in host.routes.iter().take(COMPARED_MAX + 1) {
            let own = tokens(route.jwt.as_ref().and_then(Option::as_ref));
            for name in &host.rate_limits {
                findings.step();
                let known = applied.limits.entry(name).or_default();
                match findings.around(configuration) {
                    None => known.add_all(),
                    Some(around) => {
                        let tokens = match route.jwt {
                            Some(_) => &own,
                            None => &around.providers,
                        };
                        known.add(around.identities, tokens.iter().copied());
                    }
                }
            }
        }
    }
}

fn tokens(requirement: Option<&JwtRequirement>) -> HashSet<&Name> {
    let mut named = HashSet::new();
    if let Some(requirement) = requirement {
        providers(requirement, &mut named);
    }
    named
}

/// Policies and rate limits by identities or claims that are never known where they apply.
pub(super) fn known(findings: &mut Findings<'_>) {
    let applied = applied(findings);
    for policy in &findings.config.authorization_policies {
        findings.step();
        if let Some(known) = applied
            .policies
            .get(&policy.name)
            .filter(|_| !policy.rules.is_empty())
        {
            never(findings, policy, known);
        }
    }
    for limit in &findings.config.rate_limits {
        findings.step();
        let Some(known) = applied.limits.get(&limit.name) else {
            continue;
        };
        let lacking = |list: &Vec<DescriptorPart>| list.iter().any(|part| !known.may_count(part));
        if !limit.descriptors.is_empty() && limit.descriptors.iter().all(lacking) {
            findings.remark(
                Code::RateLimitNeverCounts,
                place("rate limit", &limit.name, &limit.origin, "descriptors"),
                format!("the rate limit `{}` counts nothing: the identities or claims that it asks for are known nowhere that it applies", limit.name),
                "ask clients for certificates (`tls: {client: …}`) or tokens (`jwt`) there, or count by something else",
            );
        }
    }
}

fn never(findings: &mut Findings<'_>, policy: &AuthorizationPolicy, known: &Known<'_>) {
    let holds = |identities| policy.rules.iter().any(|rule| known.may_hold(rule, identities));
    if holds(known.identities) {
        return;
    }
    let what = match policy.action {
        AuthorizationAction::Allow => "allows nothing",
        AuthorizationAction::Deny => "denies nothing",
        AuthorizationAction::Audit => "notes nothing",
    };
    let (code, why, help) = match holds(true) {
        true => (
            Code::IdentityNeverKnown,
            "it asks who the client is, and no filter chain that it applies to asks for a certificate",
            "give the chain `tls: {client: …}`, or ask for something else",
        ),
        false => (
            Code::ClaimNeverKnown,
            "it asks for claims of tokens, and none of that provider are required where it applies",
            "require the provider by `jwt` there, or ask for something else",
        ),
    };
    findings.remark(
        code,
        place("authorization policy", &policy.name, &policy.origin, "rules"),
        format!("the policy `{}` {what}: {why}", policy.name),
        help,
    );
}

/// ALLOW policies that others of the same list leave nothing to do.
pub(super) fn contradictions(findings: &mut Findings<'_>) {
    let mut said: HashSet<&Name> = HashSet::new();
    let mut compared: HashMap<(&Name, &Name), bool> = HashMap::new();
    let mut lists: Vec<(String, &[Name], &[Name])> = Vec::new();
    for (_, chain) in findings.chains() {
        lists.push((
            format!("filter chain `{}`", chain.name),
            &chain.authorization,
            &[],
        ));
    }
    for placed in findings.routes() {
        let chains = findings.around(placed.configuration);
        // Of one chain alone it is certain that its policies apply.
        let outer = chains
            .filter(|around| around.count == 1)
            .map(|around| around.authorization)
            .unwrap_or_default();
        if !placed.route.authorization.is_empty() {
            lists.push((
                format!("route `{}`", placed.route.name),
                &placed.route.authorization,
                outer,
            ));
        }
    }
    for (owner, own, outer) in lists {
        findings.step();
        if own.len() + outer.len() > COMPARED_MAX {
            continue;
        }
        let with = |action, names: &[Name]| -> Vec<_> {
            let found = names
                .iter()
                .filter_map(|name| findings.policies.get(name).copied());
            found
                .filter(|policy| policy.action == action && !policy.shadow)
                .collect()
        };
        let allows = with(AuthorizationAction::Allow, own);
        let mut denies = with(AuthorizationAction::Deny, own);
        denies.extend(with(AuthorizationAction::Deny, outer));
        let everything = allows
            .iter()
            .find(|policy| policy.rules.contains(&Condition::Always))
            .copied();
        for allow in allows.iter().filter(|policy| !policy.rules.is_empty()) {
            if said.contains(&allow.name) {
                continue;
            }
            let covering = denies.iter().find(|deny| {
                *compared
                    .entry((&allow.name, &deny.name))
                    .or_insert_with(|| covers(findings, allow, deny))
            });
            if let Some(deny) = covering {
                said.insert(&allow.name);
                findings.remark(
                    Code::AllowAlwaysDenied,
                    place("authorization policy", &allow.name, &allow.origin, "rules"),
                    format!(
                        "the policy `{}` allows nothing on the {owner}: `{}` denies all that it allows",
                        allow.name, deny.name
                    ),
                    "narrow the rules of the one that denies, or remove this one",
                );
            } else if let Some(other) = everything.filter(|other| !std::ptr::eq(*other, *allow)) {
                said.insert(&allow.name);
                findings.remark(
                    Code::AllowAddsNothing,
                    place("authorization policy", &allow.name, &allow.origin, "rules"),
                    format!(
                        "the policy `{}` adds nothing on the {owner}: `{}` allows everything there",
                        allow.name, other.name
                    ),
                    "remove it, or narrow the rules of the other one",
                );
            }
        }
    }
}

/// All that `allow` allows, `deny` denies, as far as that can be told by the comparisons that are left.
fn covers(findings: &mut Findings<'_>, allow: &AuthorizationPolicy, deny: &AuthorizationPolicy) -> bool {
    let Findings {
        comparisons_left,
        steps,
        ..
    } = findings;
    let mut left = *comparisons_left;
    let mut rules = allow.rules.iter();
    let covered = rules.all(|rule| implies_one(rule, &deny.rules, &mut left));
    *steps += u64::from(*comparisons_left - left);
    *comparisons_left = left;
    covered
}
