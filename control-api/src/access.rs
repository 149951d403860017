//! Who may do what: a pure decision over who calls and what is to be done. It is closed by default: what no role allows is
//! refused, with the reason and what would be right.
//!
//! [`Access::identify`] says who calls, by a token, a verified client certificate or the loopback default, and
//! [`Access::may`] whether that caller may do a thing. This module serves nothing and reads neither a clock nor a file:
//! whoever serves asks it for every call, and writes [`Principal`] into the audit log. A node needs no role: what it may
//! subscribe to is what its own SPIFFE id is for, by the rule of [`Access::set_node_rule`].

mod caller;
mod token;

pub(crate) use caller::bearer;
pub use caller::{Caller, Principal};
pub use token::{Secret, TokenDigest, TokenFault};

use arc_swap::ArcSwap;
use outrigger_config::model::{SpiffeId, SpiffeMatch};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// What a caller may do, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Reads documents, revisions, the audit log, status and views; changes nothing.
    Reader,
    /// Reads, and changes documents of these namespaces.
    Editor(BTreeSet<String>),
    /// Everything but to be a node.
    Administrator,
    /// Subscribes as a node of one of these services, whoever the documents say has their identity: for nodes that have a
    /// token and no certificate.
    Node(BTreeSet<String>),
}

/// What a change touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Documents of these namespaces alone.
    Namespaces(BTreeSet<String>),
    /// The mesh itself, or more than can be said.
    Mesh,
}

/// Whom a client says that it is when it subscribes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeClaim {
    /// The node's id, unique among nodes.
    pub node: String,
    /// The service that it is a node of: the name of a service or a gateway in the mesh's documents.
    pub service: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// To read documents, revisions, differences, the audit log, status, and views without their private keys; to try a
    /// change without making it.
    Read,
    /// To change documents, or to go back to earlier ones.
    Write(&'a Scope),
    /// To hold, advance or roll back the release of a revision that touches this.
    Release(&'a Scope),
    /// To make and take back join tokens, and to roll over the authority's root.
    Administer,
    /// To receive the view of a node with its secrets, and to report that node's status and health.
    Subscribe(&'a NodeClaim),
}

/// Which claims an identity may make; the reason if not. It is asked under no lock and must not block.
pub type NodeRule = Arc<dyn Fn(&SpiffeId, &NodeClaim) -> Result<(), String> + Send + Sync>;

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// Its name, by which the audit log knows it.
    pub name: String,
    /// SHA-256 of it.
    pub digest: TokenDigest,
    /// From when on it is refused; none: never.
    pub expires: Option<SystemTime>,
    /// What it allows.
    pub roles: Vec<Role>,
}

/// What a verified identity is allowed beside being a node of its own service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityGrant {
    /// Whose.
    pub identity: SpiffeMatch,
    /// What it allows.
    pub roles: Vec<Role>,
}

/// All that is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// By token.
    pub tokens: Vec<TokenGrant>,
    /// By client certificate.
    pub identities: Vec<IdentityGrant>,
    /// Whoever calls from this machine, at an address that only this machine reaches, is an administrator and may be any
    /// node. Whoever turns it on says so aloud.
    pub loopback: bool,
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    kind: DeniedKind,
    reason: String,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeniedKind {
    /// It is not known who calls, or what was shown does not hold: 401.
    Unauthenticated,
    /// It is known, and may not: 403.
    Forbidden,
}

impl Denied {
    /// Nobody who is known.
    pub fn unauthenticated(reason: impl Into<String>) -> Denied {
        Denied {
            kind: DeniedKind::Unauthenticated,
            reason: reason.into(),
        }
    }

    /// Somebody who may not.
    pub fn forbidden(reason: impl Into<String>) -> Denied {
        Denied {
            kind: DeniedKind::Forbidden,
            reason: reason.into(),
        }
    }

    /// Which of the two.
    pub fn kind(&self) -> DeniedKind {
        self.kind
    }

    /// Why, and what would be right. It holds no secret, and no control character.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The answer's status over HTTP.
    pub fn status(&self) -> http::StatusCode {
        match self.kind {
            DeniedKind::Unauthenticated => http::StatusCode::UNAUTHORIZED,
            DeniedKind::Forbidden => http::StatusCode::FORBIDDEN,
        }
    }
}

impl From<Denied> for tonic::Status {
    fn from(denied: Denied) -> tonic::Status {
        match denied.kind {
            DeniedKind::Unauthenticated => tonic::Status::unauthenticated(denied.reason),
            DeniedKind::Forbidden => tonic::Status::permission_denied(denied.reason),
        }
    }
}

/// The rules in force. Shared by `Arc`; grants stay as they are, the node rule follows the mesh's documents.
pub struct Access {
    tokens: HashMap<TokenDigest, TokenGrant>,
    identities: Vec<IdentityGrant>,
    loopback: bool,
    node_rule: ArcSwap<NodeRule>,
}

impl Access {
    /// Rules out of what is granted. No identity is a node of anything until [`Access::set_node_rule`].
    pub fn new(grants: Grants) -> Access {
        let Grants {
            tokens,
            identities,
            loopback,
        } = grants;
        let nobody: NodeRule = Arc::new(|id, _| Err(format!("no service has the identity {id}")));
        Access {
            tokens: tokens.into_iter().map(|grant| (grant.digest, grant)).collect(),
            identities,
            loopback,
            node_rule: ArcSwap::from_pointee(nobody),
        }
    }

    /// Which identities are nodes of which services from now on: the mesh's documents say so.
    pub fn set_node_rule(&self, rule: NodeRule) {
        self.node_rule.store(Arc::new(rule));
    }

    /// Whether it is known who calls, before what they want has been read.
    ///
    /// # Errors
    /// If it is not, and what would be right.
    pub fn known(&self, caller: &Caller) -> Result<(), Denied> {
        match caller.principal() {
            Principal::Anonymous => Err(nobody()),
            _ => Ok(()),
        }
    }

    /// Whether this caller may do this.
    ///
    /// # Errors
    /// Why not, and what would be right.
    pub fn may(&self, caller: &Caller, action: &Action<'_>) -> Result<(), Denied> {
        self.known(caller)?;
        if let Action::Subscribe(claim) = action {
            return self.may_subscribe(caller, claim);
        }
        if caller.roles().iter().any(|role| role.allows(action)) {
            return Ok(());
        }
        Err(Denied::forbidden(format!(
            "{} may not {action}; expected {}",
            caller.principal(),
            action.expected()
        )))
    }

    fn may_subscribe(&self, caller: &Caller, claim: &NodeClaim) -> Result<(), Denied> {
        let refused = |reason: String| {
            let action = Action::Subscribe(claim);
            Err(Denied::forbidden(format!(
                "{} may not {action}: {reason}",
                caller.principal()
            )))
        };
        let is_node = |role: &Role| matches!(role, Role::Node(services) if services.contains(&claim.service));
        let is_granted = caller.roles().iter().any(is_node);
        match caller.principal() {
            Principal::Anonymous => Err(nobody()),
            Principal::Loopback => Ok(()),
            Principal::Identity(_) | Principal::Token(_) if is_granted => Ok(()),
            Principal::Identity(id) => {
                let rule = self.node_rule.load_full();
                rule(id, claim).or_else(|reason| refused(printable(&reason)))
            }
            Principal::Token(_) => {
                refused("expected a token with the role `node` for this service".to_owned())
            }
        }
    }
}

fn nobody() -> Denied {
    Denied::unauthenticated(
        "nobody is known to call; expected a token (`authorization: Bearer TOKEN`) or a client certificate",
    )
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("tokens", &self.tokens.len())
            .field("identities", &self.identities)
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

impl Role {
    /// Whether the role allows this. To be a node is no matter of these roles alone.
    fn allows(&self, action: &Action<'_>) -> bool {
        match (self, action) {
            (_, Action::Subscribe(_)) | (Role::Node(_), _) => false,
            (Role::Administrator, _) => true,
            (Role::Reader | Role::Editor(_), Action::Read) => true,
            (Role::Reader, _) => false,
            (Role::Editor(own), Action::Write(scope) | Action::Release(scope)) => match scope {
                Scope::Namespaces(touched) => !touched.is_empty() && touched.is_subset(own),
                Scope::Mesh => false,
            },
            (Role::Editor(_), Action::Administer) => false,
        }
    }
}

impl Action<'_> {
    /// Which role it would take.
    fn expected(&self) -> &'static str {
        match self {
            Action::Read => "the role `reader`, `editor` or `administrator`",
            Action::Write(_) | Action::Release(_) => {
                "the role `administrator`, or `editor` of every namespace that it touches"
            }
            Action::Administer => "the role `administrator`",
            Action::Subscribe(_) => "a node of this service",
        }
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Read => f.write_str("read"),
            Action::Write(scope) => write!(f, "change {scope}"),
            Action::Release(scope) => write!(f, "release changes of {scope}"),
            Action::Administer => f.write_str("administer"),
            Action::Subscribe(NodeClaim { node, service }) => {
                let (node, service) = (printable(node), printable(service));
                write!(f, "be node `{node}` of `{service}`")
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Mesh => f.write_str("the mesh"),
            Scope::Namespaces(names) if names.len() == 1 => {
                let name = names.first().expect("it has one");
                write!(f, "namespace `{}`", printable(name))
            }
            Scope::Namespaces(names) => {
                let names: Vec<String> = names
                    .iter()
                    .map(|name| format!("`{}`", printable(name)))
                    .collect();
                write!(f, "namespaces {}", names.join(", "))
            }
        }
    }
}

/// What a client wrote, fit for a header and a log: printable ASCII, bounded.
pub(crate) fn printable(text: &str) -> String {
    /// Characters of it that are shown.
    const SHOWN_MAX: usize = 256;
    let shown = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    text.chars().take(SHOWN_MAX).map(shown).collect()
}

#[cfg(test)]
mod tests;
