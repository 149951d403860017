//! Rules of one kind, found by what they ask for: of ten thousand, only those are looked at that may match.
//!
//! Every rule that can be is *anchored*: at some of the exact things that it asks for (an identity, a path, an address, a
//! header's value…), at least one of which it cannot match without. Of those that it could be anchored at, the ones are
//! taken that the fewest other rules ask for. What a request says is then looked up ([`Tables`]), and the rules that are
//! found there, with those that have no anchor, are asked in order.

mod anchor;
mod tables;

use super::condition::{Node, Scope};
use super::reading::Question;
use super::truth::Truth;
use crate::routing::{Candidate, Candidates};
use anchor::Popularity;
use outrigger_config::model::AuthorizationPolicy;
use std::sync::Arc;
use tables::Tables;

/// Lists of candidates that are merged as they are read, which takes as many steps for each candidate; more are sorted
/// ahead.
const LISTS_MERGED_MAX: usize = 16;

/// Compiled rules, in the order of their policies.
#[derive(Debug)]
pub(super) struct Index {
    rules: Box<[Rule]>,
    /// Rules that stand in no table.
    unanchored: Vec<Candidate>,
    tables: Tables,
}

#[derive(Debug)]
struct Rule {
    /// The policy's place in its set.
    policy: u32,
    condition: Node,
}

impl Index {
    /// Compiles the rules of those policies that are `wanted`.
    pub(super) fn compile(
        policies: &[Arc<AuthorizationPolicy>],
        scope: Scope,
        wanted: impl Fn(&AuthorizationPolicy) -> bool,
    ) -> Index {
        let mut rules = Vec::new();
        let mut sources = Vec::new();
        let mut has_unknown = false;
        for (place, policy) in policies.iter().enumerate().filter(|(_, policy)| wanted(policy)) {
            for source in policy.rules() {
                let condition = Node::compile(source, scope);
                match condition {
                    Node::Constant(Truth::False) => continue,
                    // Whoever asks for what may hold has it from the first.
                    Node::Constant(Truth::Unknown) if std::mem::replace(&mut has_unknown, true) => continue,
                    _ => {}
                }
                let policy = u32::try_from(place).expect("a set holds fewer than 2^32 policies");
                rules.push(Rule { policy, condition });
                sources.push(source);
            }
        }
        let popularity = Popularity::of(&sources, scope);
        let mut tables = tables::Builder::default();
        let mut unanchored = Vec::new();
        for (number, (rule, source)) in rules.iter().zip(&sources).enumerate() {
            let candidate = Candidate::conditional(number);
            match popularity.anchors(source) {
                Some(anchors) if !matches!(rule.condition, Node::Constant(_)) => {
                    tables.add(candidate, anchors);
                }
                _ => unanchored.push(candidate),
            }
        }
        Index {
            rules: rules.into(),
            unanchored,
            tables: tables.finish(),
        }
    }

    /// The first policy of which a rule is at least as true as `least`.
    pub(super) fn first(&self, question: &Question<'_>, least: Truth) -> Option<usize> {
        let mut found = None;
        self.visit(question, least, &mut |policy| {
            found = Some(policy);
            false
        });
        found
    }

    /// Calls `each` with every policy, once, of which a rule is at least as true as `least`.
    pub(super) fn every(&self, question: &Question<'_>, least: Truth, each: &mut dyn FnMut(usize)) {
        let mut last = None;
        self.visit(question, least, &mut |policy| {
            if last != Some(policy) {
                last = Some(policy);
                each(policy);
            }
            true
        });
    }

    /// Calls `each` with the policies of rules that are true enough, in order, until it says that it has enough.
    fn visit(&self, question: &Question<'_>, least: Truth, each: &mut dyn FnMut(usize) -> bool) {
        let rules = &*self.rules;
        if rules.is_empty() {
            return;
        }
        let mut go_on = |rule: &Rule| rule.condition.truth(question) < least || each(rule.policy as usize);
        if self.tables.asks_for_unknown(question.facts) {
            let _ = rules.iter().all(go_on);
            return;
        }
        let mut candidates = Candidates::new("");
        candidates.add(&self.unanchored);
        self.tables.collect(question, &mut candidates);
        let mut last = None;
        let mut ask = |candidate: Candidate| {
            let number = candidate.route();
            // A rule may stand in more tables than one.
            last.replace(number) == Some(number) || go_on(&rules[number])
        };
        // A peer decides how many there are.
        let _ = if candidates.list_count() > LISTS_MERGED_MAX {
            candidates.into_sorted().into_iter().all(ask)
        } else {
            candidates.into_iter().all(&mut ask)
        };
    }
}
