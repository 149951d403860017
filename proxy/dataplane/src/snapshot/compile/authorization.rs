//! Authorization policies: each list of names that a chain or route gives is compiled once, and again only when a policy
//! on it has changed.

use super::*;
use outrigger_config::model::AuthorizationPolicy;
use outrigger_traffic::authorization::PolicySet;
use std::cell::RefCell;

/// Policies while a configuration is compiled.
pub(super) struct Authorization<'c> {
    compiler: &'c Compiler,
    policies: HashMap<&'c Name, &'c Arc<AuthorizationPolicy>>,
    before: Option<&'c AuthorizationLevels>,
    levels: RefCell<HashMap<Box<[Name]>, Arc<AuthorizationLevel>>>,
}

impl<'c> Authorization<'c> {
    pub(super) fn new(
        compiler: &'c Compiler,
        config: &'c MeshConfig,
        previous: Option<&'c Snapshot>,
    ) -> Authorization<'c> {
        Authorization {
            compiler,
            policies: config
                .authorization_policies()
                .iter()
                .map(|policy| (policy.name(), policy))
                .collect(),
            before: previous.map(|previous| &previous.authorization),
            levels: RefCell::default(),
        }
    }

    /// The policies of these names, compiled; none if there are none.
    pub(super) fn level(&self, names: &[Name]) -> Option<Arc<AuthorizationLevel>> {
        if names.is_empty() {
            return None;
        }
        if let Some(level) = self.levels.borrow().get(names) {
            return Some(Arc::clone(level));
        }
        let policies: Vec<Arc<AuthorizationPolicy>> = names
            .iter()
            .map(|name| Arc::clone(self.policies.get(name).expect("policies that are named exist")))
            .collect();
        let before = self.before.and_then(|before| before.get(names));
        let level = match before.filter(|before| before.set.is_of(policies.iter())) {
            Some(before) => Arc::clone(before),
            None => self.compile(policies),
        };
        self.levels.borrow_mut().insert(names.into(), Arc::clone(&level));
        Some(level)
    }

    fn compile(&self, policies: Vec<Arc<AuthorizationPolicy>>) -> Arc<AuthorizationLevel> {
        let metrics = policies
            .iter()
            .map(|policy| self.compiler.metrics.policy(policy.name().as_str()))
            .collect();
        Arc::new(AuthorizationLevel {
            set: PolicySet::compile(policies),
            metrics,
        })
    }

    /// Whether a virtual host's routes have the policies that they had, by pointer.
    pub(super) fn is_unchanged(&self, host: &model::VirtualHost, before: &[RoutePolicy]) -> bool {
        host.routes().iter().zip(before).all(|(route, before)| {
            same_level(
                self.level(route.authorization()).as_ref(),
                before.authorization.as_ref(),
            )
        })
    }

    pub(super) fn finish(self) -> AuthorizationLevels {
        Arc::new(self.levels.into_inner())
    }
}

/// The same policies, by pointer.
pub(super) fn same_level(
    one: Option<&Arc<AuthorizationLevel>>,
    other: Option<&Arc<AuthorizationLevel>>,
) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
