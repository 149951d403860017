//! Authorization: what policies allow and deny, in the logic of Envoy's RBAC.
//!
//! A [`PolicySet`] is the policies of one *level*: a filter chain's, or a route's. A request has one or two levels, a
//! connection whose bytes are passed on one. At each level, what a DENY policy matches is denied; then, if the level has
//! ALLOW policies, what none of them matches. Every level must allow it: a route's policies can forbid what its chain's
//! allow, and never allow what they forbid. AUDIT policies decide nothing.
//!
//! **What is not known.** Conditions are true, false or unknown ([`Truth`]): what a request says is unknown where bytes
//! are passed on, and what can be read in two ways is unknown, too ([`reading`] says what that is). A DENY policy
//! matches unless it is certain not to, an ALLOW or AUDIT policy only if it is certain to. So nothing passes because
//! it could not be seen, or was spelled in another way.
//!
//! **Shadow policies** change nothing. What would be decided if they were in force, beside those that are, is the
//! [`Decision::shadow`].
//!
//! Sets are compiled once ([`PolicySet::compile`]), so that the time of a decision depends on what the request says and
//! on how many policies could match it, and hardly on how many there are. Nothing here does I/O or reads a clock.

mod condition;
mod explanation;
mod facts;
mod index;
mod networks;
mod past;
pub mod reading;
mod truth;

pub use explanation::{PolicyExplanation, RuleExplanation, explain};
pub use facts::{Claims, Facts, PeerFacts, RequestFacts};
pub use past::{PastFacts, explain_past};
pub use truth::Truth;

use condition::Scope;
use index::Index;
use outrigger_config::model::{AuthorizationAction, AuthorizationPolicy};
use reading::Question;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// The compiled policies of one level; immutable, shared by all workers.
#[derive(Debug)]
pub struct PolicySet {
    policies: Box<[Arc<AuthorizationPolicy>]>,
    requests: Indexes,
    /// What is asked of connections; made when it is first needed, since most sets are only asked about requests.
    connections: OnceLock<Indexes>,
    allows: Existence,
    has_shadow: bool,
    has_audit: bool,
}

/// Policies of one kind that are in force, and those that are shadows.
#[derive(Debug, Clone, Copy)]
struct Existence {
    in_force: bool,
    shadow: bool,
}

#[derive(Debug)]
struct Indexes {
    deny: Index,
    allow: Index,
    shadow_deny: Index,
    shadow_allow: Index,
    audit: Index,
}

impl Indexes {
    fn compile(policies: &[Arc<AuthorizationPolicy>], scope: Scope) -> Indexes {
        let of = |action: AuthorizationAction, shadow: bool| {
            Index::compile(policies, scope, move |policy| {
                policy.action() == action && policy.shadow() == shadow
            })
        };
        Indexes {
            deny: of(AuthorizationAction::Deny, false),
            allow: of(AuthorizationAction::Allow, false),
            shadow_deny: of(AuthorizationAction::Deny, true),
            shadow_allow: of(AuthorizationAction::Allow, true),
            audit: Index::compile(policies, scope, |policy| {
                policy.action() == AuthorizationAction::Audit
            }),
        }
    }
}

impl PolicySet {
    /// Compiles policies. Of several that match, the first is named.
    pub fn compile(policies: Vec<Arc<AuthorizationPolicy>>) -> PolicySet {
        let allow = |shadow: bool| {
            policies
                .iter()
                .any(|policy| policy.action() == AuthorizationAction::Allow && policy.shadow() == shadow)
        };
        let is_audit = |policy: &Arc<AuthorizationPolicy>| policy.action() == AuthorizationAction::Audit;
        PolicySet {
            requests: Indexes::compile(&policies, Scope::Request),
            connections: OnceLock::new(),
            allows: Existence {
                in_force: allow(false),
                shadow: allow(true),
            },
            has_shadow: policies.iter().any(|policy| policy.shadow() && !is_audit(policy)),
            has_audit: policies.iter().any(is_audit),
            policies: policies.into(),
        }
    }

    /// Compiles what connections without a request are asked, so that the first of them does not wait for it.
    pub fn prepare_for_connections(&self) {
        self.connections();
    }

    /// Its policies, in order.
    pub fn policies(&self) -> &[Arc<AuthorizationPolicy>] {
        &self.policies
    }

    /// True if it was compiled from just these policies, by pointer.
    pub fn is_of<'p>(&self, policies: impl ExactSizeIterator<Item = &'p Arc<AuthorizationPolicy>>) -> bool {
        policies.len() == self.policies.len()
            && self
                .policies
                .iter()
                .zip(policies)
                .all(|(mine, other)| Arc::ptr_eq(mine, other))
    }

    fn connections(&self) -> &Indexes {
        self.connections
            .get_or_init(|| Indexes::compile(&self.policies, Scope::Connection))
    }

    fn indexes(&self, facts: &Facts<'_>) -> &Indexes {
        match facts.request {
            Some(_) => &self.requests,
            None => self.connections(),
        }
    }
}

/// A policy: which level's, and its index in [`PolicySet::policies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyPlace {
    /// Index in the levels that were asked.
    pub level: usize,
    /// Index in that level's set.
    pub policy: usize,
}

/// What becomes of a request or connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It may pass: by the ALLOW policy of the last level that has any; none: nothing forbids it.
    Allowed(Option<PolicyPlace>),
    /// A DENY policy matches it.
    Denied(PolicyPlace),
    /// This level has ALLOW policies, and none matches it.
    NotAllowed {
        /// Index in the levels that were asked.
        level: usize,
    },
}

impl Outcome {
    /// It may pass.
    pub fn is_allowed(self) -> bool {
        matches!(self, Outcome::Allowed(_))
    }

    /// The policy that decided, if one did.
    pub fn policy(self) -> Option<PolicyPlace> {
        match self {
            Outcome::Allowed(place) => place,
            Outcome::Denied(place) => Some(place),
            Outcome::NotAllowed { .. } => None,
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub outcome: Outcome,
    /// What would become of it if shadow policies were in force; none: there are none.
    pub shadow: Option<Outcome>,
    /// AUDIT policies that match it, in order.
    pub audited: SmallVec<[PolicyPlace; 2]>,
}

/// Which policies are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    InForce,
    WithShadow,
}

/// How certain a match must be.
#[derive(Debug, Clone, Copy)]
struct Certainty {
    deny: Truth,
    allow: Truth,
}

/// What counts is what could do harm: denied unless it is certain not to be, allowed only if it is certain to be.
const CAREFUL: Certainty = Certainty {
    deny: Truth::Unknown,
    allow: Truth::True,
};
/// What counts is what is decided already, whatever comes to be known.
const SETTLED: Certainty = Certainty {
    deny: Truth::True,
    allow: Truth::Unknown,
};

/// Decides. `levels`: the filter chain's set, then the route's; those that have no policies are left out. It is a
/// function of its arguments alone, so that a decision can be made again at any time ([`Facts`] says what must be kept
/// for that).
pub fn decide(levels: &[&PolicySet], facts: &Facts<'_>) -> Decision {
    let question = Question::new(facts);
    let mut audited = SmallVec::new();
    for (level, set) in levels.iter().enumerate().filter(|(_, set)| set.has_audit) {
        let audit = &set.indexes(facts).audit;
        audit.every(&question, Truth::True, &mut |policy| {
            audited.push(PolicyPlace { level, policy });
        });
    }
    let has_shadow = levels.iter().any(|set| set.has_shadow);
    Decision {
        outcome: outcome(levels, &question, Asked::InForce, CAREFUL),
        shadow: has_shadow.then(|| outcome(levels, &question, Asked::WithShadow, CAREFUL)),
        audited,
    }
}

/// The refusal that every request on a connection would meet, and its bytes, too, if they were passed on; none: something may
/// pass. For connections of which it is not known yet what they speak; `facts` are the connection's.
pub fn foresee_refusal(levels: &[&PolicySet], facts: &Facts<'_>) -> Option<Outcome> {
    let outcome = outcome(levels, &Question::new(facts), Asked::InForce, SETTLED);
    (!outcome.is_allowed()).then_some(outcome)
}

fn outcome(levels: &[&PolicySet], question: &Question<'_>, asked: Asked, certainty: Certainty) -> Outcome {
    let with_shadow = asked == Asked::WithShadow;
    for (level, set) in levels.iter().enumerate() {
        let indexes = set.indexes(question.facts);
        let first = |index: &Index| index.first(question, certainty.deny);
        let denied = first(&indexes.deny).or_else(|| with_shadow.then(|| first(&indexes.shadow_deny))?);
        if let Some(policy) = denied {
            return Outcome::Denied(PolicyPlace { level, policy });
        }
    }
    let mut by = None;
    for (level, set) in levels.iter().enumerate() {
        if !(set.allows.in_force || (with_shadow && set.allows.shadow)) {
            continue;
        }
        let indexes = set.indexes(question.facts);
        let first = |index: &Index| index.first(question, certainty.allow);
        let allowed = first(&indexes.allow).or_else(|| with_shadow.then(|| first(&indexes.shadow_allow))?);
        match allowed {
            Some(policy) => by = Some(PolicyPlace { level, policy }),
            None => return Outcome::NotAllowed { level },
        }
    }
    Outcome::Allowed(by)
}
