//! What policies said of a request that they let through. Only refusals are recorded: the rest is asked anew of the
//! configuration that was in force, by what the record holds. What it does not hold may have decided, and is named.

use super::scene::Scene;
use outrigger_config::model::{
    AuthorizationAction, AuthorizationPolicy, Name, RouteExternalAuthorization, SpiffeId,
};
use outrigger_telemetry::EventKind;
use outrigger_telemetry::recorder::{AUTHORITY_BYTES_MAX, METHOD_BYTES_MAX, PEER_BYTES_MAX, Recorded};
use outrigger_traffic::authorization::{PastFacts, PolicyExplanation, RuleExplanation, Truth, explain_past};

/// How far a request came, as far as that is certain: in the order of the phases that it went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Passed {
    Nothing,
    Authorization,
    ExternalAuthorization,
    RateLimits,
}

/// What let a request through, as far as it came.
pub(super) fn decisions(scene: &Scene<'_>) -> Vec<String> {
    let passed = passed(scene);
    let mut said = Vec::new();
    if passed >= Passed::Authorization {
        said.extend(authorization(scene));
    }
    if passed >= Passed::ExternalAuthorization {
        said.extend(external_authorization(scene));
    }
    if passed >= Passed::RateLimits {
        said.extend(rate_limits(scene));
    }
    said
}

fn passed(scene: &Scene<'_>) -> Passed {
    let told = scene.told;
    if scene.route.is_none() {
        return Passed::Nothing;
    }
    // The phases end with a cluster, or with an answer of the route's own.
    if told.cluster.is_some() || matches!(told.details.as_str(), "redirect" | "direct_response") {
        return Passed::RateLimits;
    }
    let by = |event: EventKind| scene.event(event).map(|event| event.detail.as_str());
    if by(EventKind::FaultDelay).or(by(EventKind::FaultAbort)).is_some() {
        Passed::RateLimits
    } else if by(EventKind::RateLimited)
        .or(by(EventKind::RateLimitUnknown))
        .is_some()
        || by(EventKind::DeadlinePassed) == Some("rate_limit")
    {
        Passed::ExternalAuthorization
    } else if by(EventKind::ExternallyAuthorized).is_some()
        || by(EventKind::DeadlinePassed) == Some("authorization")
    {
        Passed::Authorization
    } else {
        Passed::Nothing
    }
}

/// A level's policies: the filter chain's, or the route's.
struct Level<'a> {
    named: String,
    policies: Vec<&'a AuthorizationPolicy>,
}

fn authorization(scene: &Scene<'_>) -> Vec<String> {
    let policies_of = |names: &'_ [Name]| -> Vec<_> {
        let found = names
            .iter()
            .filter_map(|name| scene.authorization_policy(name.as_str()));
        found.collect()
    };
    let of_chain = scene.chain.map(|chain| Level {
        named: scene.chain_named(),
        policies: policies_of(chain.authorization()),
    });
    let of_route = scene.route.map(|route| Level {
        named: scene.route_named(),
        policies: policies_of(route.authorization()),
    });
    let levels: Vec<Level<'_>> = of_chain.into_iter().chain(of_route).collect();
    if levels.iter().all(|level| level.policies.is_empty()) {
        return vec!["No authorization policy stands on its filter chain or its route.".to_owned()];
    }
    let identity: Option<SpiffeId> = scene.told.peer_id.parse().ok();
    let policies: Vec<Vec<&AuthorizationPolicy>> =
        levels.iter().map(|level| level.policies.clone()).collect();
    let explained = explain_past(&policies, &facts(scene, identity.as_ref()));
    let mut said = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        let of_level: Vec<Stand<'_>> = explained
            .iter()
            .filter(|stand| stand.place.level == index)
            .map(|explained| Stand {
                policy: level.policies[explained.place.policy],
                explained,
            })
            .collect();
        said.extend(level_sentences(&level.named, &of_level));
    }
    let has_shadow = levels.iter().any(|level| {
        let policies = level.policies.iter();
        policies
            .filter(|policy| policy.action() != AuthorizationAction::Audit)
            .any(|policy| policy.shadow())
    });
    if has_shadow && scene.event(EventKind::ShadowDenied).is_none() {
        said.push("With its shadow policies in force, it would have passed as well.".to_owned());
    }
    said
}

/// What the record holds of what policies ask for; what may have been cut is left out.
fn facts<'f>(scene: &Scene<'f>, identity: Option<&'f SpiffeId>) -> PastFacts<'f> {
    let told: &'f Recorded = scene.told;
    let whole = |text: &'f str, bytes_max: usize| (text.len() < bytes_max).then_some(text);
    // A client that proxies in front tell of has no port.
    let is_told = told.peer.is_some_and(|peer| peer.port() == 0);
    let address = told.peer.map(|peer| peer.ip());
    let hops = scene.http().map_or(0, |http| http.xff_num_trusted_hops());
    PastFacts {
        method: whole(&told.method, METHOD_BYTES_MAX),
        authority: whole(&told.authority, AUTHORITY_BYTES_MAX),
        path: (!told.path_cut).then_some(&*told.path),
        identity: (told.peer_id.len() < PEER_BYTES_MAX).then_some(identity),
        remote: address.filter(|_| is_told || hops == 0),
        direct: address.filter(|_| !is_told),
    }
}

/// A policy, and how it stands to the request.
struct Stand<'a> {
    policy: &'a AuthorizationPolicy,
    explained: &'a PolicyExplanation,
}

impl Stand<'_> {
    fn is_in_force(&self, action: AuthorizationAction) -> bool {
        self.policy.action() == action && !self.policy.shadow()
    }

    fn named(&self) -> String {
        format!(
            "authorization policy `{}` ({})",
            self.policy.name(),
            self.policy.origin()
        )
    }

    /// Its nearest rule, with what of that is certain and what is not.
    fn rule(&self) -> String {
        self.explained.nearest.as_ref().map_or_else(String::new, rule)
    }
}

fn rule(rule: &RuleExplanation) -> String {
    let words = |wanted: Truth| -> Vec<&str> {
        let conditions = rule.conditions.iter().filter(|(_, truth)| *truth == wanted);
        conditions.map(|(words, _)| words.as_str()).collect()
    };
    let (certain, unknown) = (words(Truth::True), words(Truth::Unknown));
    let mut said = format!(", by rule {}", rule.index + 1);
    if !certain.is_empty() {
        said.push_str(&format!(": {}", certain.join(", ")));
    }
    if !unknown.is_empty() {
        said.push_str(&format!("; what came is not kept: {}", unknown.join(", ")));
    }
    said
}

fn level_sentences(level: &str, stands: &[Stand<'_>]) -> Vec<String> {
    let mut said = Vec::new();
    let denying: Vec<String> = stands
        .iter()
        .filter(|stand| stand.is_in_force(AuthorizationAction::Deny))
        .map(|stand| format!("`{}` ({})", stand.policy.name(), stand.policy.origin()))
        .collect();
    if !denying.is_empty() {
        said.push(format!(
            "No DENY policy of {level} matched it: {}.",
            denying.join(", ")
        ));
    }
    let allowing: Vec<&Stand<'_>> = stands
        .iter()
        .filter(|stand| stand.is_in_force(AuthorizationAction::Allow))
        .collect();
    if !allowing.is_empty() {
        said.push(allowed(level, &allowing));
    }
    for stand in stands
        .iter()
        .filter(|stand| stand.policy.action() == AuthorizationAction::Audit)
    {
        match stand.explained.truth {
            Truth::True => said.push(format!("AUDIT {} matched it{}.", stand.named(), stand.rule())),
            Truth::Unknown => said.push(format!(
                "AUDIT {} may have matched it{}.",
                stand.named(),
                stand.rule()
            )),
            Truth::False => {}
        }
    }
    said
}

/// Which ALLOW policy of a level let it through: the first that matches.
fn allowed(level: &str, allowing: &[&Stand<'_>]) -> String {
    let may: Vec<&&Stand<'_>> = allowing
        .iter()
        .filter(|stand| stand.explained.truth != Truth::False)
        .collect();
    let certain = may.iter().position(|stand| stand.explained.truth == Truth::True);
    let list = |stands: &[&&Stand<'_>]| -> String {
        let each: Vec<String> = stands
            .iter()
            .map(|stand| format!("{}{}", stand.named(), stand.rule()))
            .collect();
        each.join("; or ")
    };
    match (certain, may.as_slice()) {
        (Some(0), [by, ..]) => format!(
            "Of the ALLOW policies of {level}, {}{} let it through.",
            by.named(),
            by.rule()
        ),
        (Some(at), may) => format!(
            "Of the ALLOW policies of {level}, {}{} matches it; it may have been let through before by: {}.",
            may[at].named(),
            may[at].rule(),
            list(&may[..at])
        ),
        (None, []) => format!("An ALLOW policy of {level} let it through; which one cannot be told."),
        (None, may) => format!("An ALLOW policy of {level} let it through: {}.", list(may)),
    }
}

fn external_authorization(scene: &Scene<'_>) -> Option<String> {
    let policy = scene.http()?.external_authorization().as_ref()?;
    if *scene.route?.external_authorization() == Some(RouteExternalAuthorization::Off) {
        return Some(format!(
            "{} has the authorization service not asked.",
            scene.route_named()
        ));
    }
    let failed = match policy.failure_allowed() {
        true => ", or could not be asked, and `failure_mode` lets requests through then",
        false => "",
    };
    Some(format!(
        "The authorization service in cluster `{}`, which {} asks, let it through, by an answer of then or one that was \
         remembered{failed}.",
        policy.service().cluster(),
        scene.chain_named()
    ))
}

fn rate_limits(scene: &Scene<'_>) -> Option<String> {
    let of_chain = scene.http().map(|http| http.rate_limits().as_slice());
    let of_host = scene.virtual_host.map(|host| host.rate_limits().as_slice());
    let of_route = scene.route.map(|route| route.rate_limits().as_slice());
    let mut names: Vec<&Name> = Vec::new();
    for name in [of_chain, of_host, of_route].into_iter().flatten().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return None;
    }
    let named: Vec<String> = names
        .iter()
        .map(|name| {
            let is_shadow = scene
                .rate_limit(name.as_str())
                .is_some_and(|limit| limit.shadow());
            let shadow = if is_shadow { ", a shadow" } else { "" };
            format!("{}{shadow}", scene.rate_limit_named(name.as_str()))
        })
        .collect();
    Some(format!(
        "Of the rate limits that stand for it none refused it: {}.",
        named.join(", ")
    ))
}
