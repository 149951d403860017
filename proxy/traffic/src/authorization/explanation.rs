//! Why policies decide as they do, in plain words: for `outrigger explain`.
//!
//! It reads policies one by one, as they are written, and shares with the compiled sets only how a single condition is
//! asked. It never decides anything.

use super::condition::{Node, Scope};
use super::facts::Facts;
use super::reading::Question;
use super::{PolicyPlace, PolicySet, Truth};
use crate::routing::{domain_text, identity_in_words, path_in_words, value_in_words};
use outrigger_config::model::{AuthorizationPolicy, Condition, StringMatch};

/// Alternatives that are told; of more, how many.
const ALTERNATIVES_MAX: usize = 4;

/// How a policy stands to what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyExplanation {
    /// Which policy.
    pub place: PolicyPlace,
    /// Whether it matches.
    pub truth: Truth,
    /// The rule that comes nearest to matching: the one that matches, if one does. None: it has no rule.
    pub nearest: Option<RuleExplanation>,
}

/// How a rule stands to what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleExplanation {
    /// Its index in the policy.
    pub index: usize,
    /// Its conditions in words, each with whether it holds.
    pub conditions: Vec<(String, Truth)>,
}

impl RuleExplanation {
    /// Conditions that are not certain to hold.
    pub fn unmet(&self) -> impl Iterator<Item = (&str, Truth)> {
        let unmet = |(_, truth): &&(String, Truth)| *truth != Truth::True;
        self.conditions
            .iter()
            .filter(unmet)
            .map(|(words, truth)| (words.as_str(), *truth))
    }

    /// Conditions that hold.
    pub fn met(&self) -> usize {
        self.conditions.len() - self.unmet().count()
    }
}

/// How every policy of these levels stands to the facts, in order. Takes time in proportion to the policies.
pub fn explain(levels: &[&PolicySet], facts: &Facts<'_>) -> Vec<PolicyExplanation> {
    let question = Question::new(facts);
    let scope = match facts.request {
        Some(_) => Scope::Request,
        None => Scope::Connection,
    };
    let truth = |condition: &Condition| Node::compile(condition, scope).truth(&question);
    let policies = levels.iter().enumerate().flat_map(|(level, set)| {
        let policies = set.policies().iter().enumerate();
        policies.map(move |(policy, model)| (PolicyPlace { level, policy }, &**model))
    });
    explain_by(policies, &truth)
}

/// How these policies stand, by whether a condition holds.
pub(super) fn explain_by<'p>(
    policies: impl Iterator<Item = (PolicyPlace, &'p AuthorizationPolicy)>,
    truth: &dyn Fn(&Condition) -> Truth,
) -> Vec<PolicyExplanation> {
    let explained = policies.map(|(place, policy)| {
        let rules = policy.rules().iter().enumerate();
        let rules = rules.map(|(index, rule)| (truth(rule), rule_explanation(index, rule, truth)));
        // Of rules that are as near, the first.
        let nearest = rules.rev().max_by_key(|(truth, rule)| {
            let unmet = rule.unmet().count();
            (*truth, std::cmp::Reverse(unmet), rule.met())
        });
        PolicyExplanation {
            place,
            truth: nearest.as_ref().map_or(Truth::False, |(truth, _)| *truth),
            nearest: nearest.map(|(_, rule)| rule),
        }
    });
    explained.collect()
}

fn rule_explanation(index: usize, rule: &Condition, truth: &dyn Fn(&Condition) -> Truth) -> RuleExplanation {
    let parts = match rule {
        Condition::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    RuleExplanation {
        index,
        conditions: parts.iter().map(|part| (in_words(part), truth(part))).collect(),
    }
}

/// A condition in words, to follow `it needs`.
fn in_words(condition: &Condition) -> String {
    match condition {
        Condition::Always => "nothing".to_owned(),
        Condition::All(parts) => joined(parts, " and "),
        Condition::AnyOf(parts) => joined(parts, " or "),
        Condition::Not(part) => format!("not ({})", in_words(part)),
        Condition::Identity(id) => format!("identity {}", identity_in_words(id)),
        Condition::Authenticated => "a verified certificate".to_owned(),
        Condition::PeerName(name) => format!("a certificate's name that {}", text_in_words(name)),
        Condition::RemoteAddress(net) => format!("client in {net}"),
        Condition::DirectAddress(net) => format!("peer in {net}"),
        Condition::DestinationAddress(net) => format!("destination in {net}"),
        Condition::DestinationPort(ports) if ports.start() == ports.end() => {
            format!("destination port {}", ports.start())
        }
        Condition::DestinationPort(ports) => format!("destination port {}-{}", ports.start(), ports.end()),
        Condition::ServerName(name) => format!("server name that {}", text_in_words(name)),
        Condition::Method(method) => format!("method `{method}`"),
        Condition::Path(path) => path_in_words(path),
        Condition::Host(domain) => format!("host `{}`", domain_text(domain)),
        Condition::Header(header) => {
            let words = value_in_words(header.value(), header.invert());
            format!("header `{}` that {words}", header.name().as_str())
        }
        Condition::Query(query) => {
            let words = value_in_words(query.value(), query.invert());
            format!("query parameter `{}` that {words}", query.name())
        }
        Condition::Claim(claim) => {
            let of = claim
                .provider()
                .as_ref()
                .map_or(String::new(), |name| format!(" of `{name}`"));
            let path = claim.path().join(".");
            format!("claim `{path}`{of} that {}", text_in_words(claim.value()))
        }
    }
}

fn text_in_words(text: &StringMatch) -> String {
    value_in_words(text, false)
}

fn joined(parts: &[Condition], joint: &str) -> String {
    let mut told: Vec<String> = parts.iter().take(ALTERNATIVES_MAX).map(in_words).collect();
    if parts.len() > ALTERNATIVES_MAX {
        told.push(format!("{} more", parts.len() - ALTERNATIVES_MAX));
    }
    match told.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", told.join(joint)),
    }
}
