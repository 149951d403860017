//! Policies that a resource carries inside its filters, which become parts of the resource.
//!
//! The filters of Envoy hold policies, JWT providers and rate limits themselves, where ours have names and are referred to.
//! A resource of our own control API says `shared: true` in its metadata: then the names are the mesh's own, equal in all
//! resources, and what the filters cannot say stands in the metadata in the document's words. The names of others are made
//! ours by the resource's name before them.

use super::{Extras, Refusals};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use outrigger_config::document::{Map, Path, Value};
use std::collections::{HashMap, HashSet};

/// Characters of a name at most: as the document's reader has it.
const NAME_CHARACTERS_MAX: usize = 253;

/// Kinds of parts that filters carry, by the document's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CarriedKind {
    AuthorizationPolicy,
    JwtProvider,
    RateLimit,
    RouteConfiguration,
}

impl CarriedKind {
    const ALL: [CarriedKind; 4] = [
        CarriedKind::AuthorizationPolicy,
        CarriedKind::JwtProvider,
        CarriedKind::RateLimit,
        CarriedKind::RouteConfiguration,
    ];
    /// Those that metadata may hold.
    const GIVEN: [CarriedKind; 3] = [
        CarriedKind::AuthorizationPolicy,
        CarriedKind::JwtProvider,
        CarriedKind::RateLimit,
    ];

    /// The top-level list in which the document has them.
    pub(crate) fn list(self) -> &'static str {
        match self {
            CarriedKind::AuthorizationPolicy => "authorization_policies",
            CarriedKind::JwtProvider => "jwt_providers",
            CarriedKind::RateLimit => "rate_limits",
            CarriedKind::RouteConfiguration => "route_configurations",
        }
    }
}

/// Of each name, the parts that were made so far with the names that they were given.
type Made = HashMap<(CarriedKind, String), Vec<(Vec<u8>, String)>>;

/// What one resource carries.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The resource's name, as a part of names; none: names are shared.
    prefix: Option<String>,
    parts: Vec<(CarriedKind, Value)>,
    /// Names that were given in metadata, in place of what filters say.
    given: HashSet<(CarriedKind, String)>,
    /// What was made of each name in filters: the message, and the name in the document.
    made: Made,
    /// Route configurations that stand in connection managers.
    routes: Vec<(RouteConfiguration, String)>,
    /// JWT requirements that the connection manager names, for its own routes.
    pub(crate) requirements: HashMap<String, Value>,
    /// Under which key of the metadata a JWT provider's claims are found.
    pub(crate) payloads: HashMap<String, String>,
    /// A filter with ALLOW policies has been read of this chain.
    pub(crate) allowing_filter: bool,
    /// RBAC filters without policies: what routes put there is added to nothing.
    pub(crate) empty_filters: HashSet<String>,
}

impl Carried {
    /// For a resource of this name; takes what concerns it out of the resource's own metadata.
    pub(crate) fn new(refusals: &mut Refusals, resource: &str, extras: &mut Extras) -> Carried {
        let shared = extras.take("shared");
        if let Some(value) = &shared
            && value.as_scalar() != Some("true")
        {
            refusals.fault(value.path(), "only `true` can be said here");
        }
        let mut carried = Carried {
            prefix: shared.is_none().then(|| spelled(resource)),
            ..Carried::shared()
        };
        for kind in CarriedKind::GIVEN {
            if let Some(value) = extras.take(kind.list()) {
                carried.give(refusals, kind, value);
            }
        }
        carried
    }

    /// Nothing yet, with names that are the mesh's own.
    pub(crate) fn shared() -> Carried {
        Carried {
            prefix: None,
            parts: Vec::new(),
            given: HashSet::new(),
            made: HashMap::new(),
            routes: Vec::new(),
            requirements: HashMap::new(),
            payloads: HashMap::new(),
            allowing_filter: false,
            empty_filters: HashSet::new(),
        }
    }

    /// Names are the mesh's own.
    pub(crate) fn is_shared(&self) -> bool {
        self.prefix.is_none()
    }

    fn give(&mut self, refusals: &mut Refusals, kind: CarriedKind, value: Value) {
        if !self.is_shared() {
            let message = format!("`{}` can be given here only with `shared: true`", kind.list());
            return refusals.fault(value.path(), message);
        }
        let path = value.path().clone();
        let Ok(by_name) = value.into_map() else {
            return refusals.fault(&path, "expected a map of names");
        };
        for (name, part) in by_name.into_fields() {
            let place = part.path().clone();
            let Ok(mut part) = part.into_map() else {
                refusals.fault(&place, "expected a map");
                continue;
            };
            part.put("name", Value::text(&place, name.as_str()));
            self.parts.push((kind, part.into()));
            self.given.insert((kind, name));
        }
    }

    /// The name in the document of what filters call `name` and `message` says; `part` makes it, unless it is there.
    pub(crate) fn part(
        &mut self,
        refusals: &mut Refusals,
        path: &Path,
        (kind, name): (CarriedKind, &str),
        message: Vec<u8>,
        part: impl FnOnce(&mut Refusals, &Carried) -> Option<Map>,
    ) -> String {
        let key = (kind, name.to_owned());
        if self.given.contains(&key) {
            return name.to_owned();
        }
        let made = self.made.entry(key).or_default();
        if let Some((_, there)) = made.iter().find(|(same, _)| *same == message) {
            return there.clone();
        }
        let own = match &self.prefix {
            None if !made.is_empty() => {
                refusals.fault(
                    path,
                    format!("`{name}` is another here than elsewhere in this resource"),
                );
                name.to_owned()
            }
            None => name.to_owned(),
            Some(prefix) => {
                let mut own = format!("{prefix}/{}", spelled(name));
                own.truncate(NAME_CHARACTERS_MAX - 8);
                match made.len() {
                    0 => own,
                    others => format!("{own}.{}", others + 1),
                }
            }
        };
        made.push((message, own.clone()));
        if let Some(mut part) = part(refusals, self) {
            part.put("name", Value::text(path, own.as_str()));
            self.parts.push((kind, part.into()));
        }
        own
    }

    /// The name in the document of what is defined elsewhere under `name`.
    pub(crate) fn named(&self, name: &str) -> String {
        match &self.prefix {
            None => name.to_owned(),
            Some(prefix) => format!("{prefix}/{}", spelled(name)),
        }
    }

    /// The name of a route configuration that stands here, and whether it has to be read.
    pub(crate) fn routes(&mut self, name: &str, message: &RouteConfiguration) -> (String, bool) {
        if let Some((_, name)) = self.routes.iter().find(|(same, _)| same == message) {
            return (name.clone(), false);
        }
        let mut own = self.named(name);
        if self.routes.iter().any(|(_, there)| *there == own) {
            own = format!("{own}.{}", self.routes.len() + 1);
        }
        self.routes.push((message.clone(), own.clone()));
        (own, true)
    }

    /// A part that was read.
    pub(crate) fn push(&mut self, kind: CarriedKind, part: Value) {
        self.parts.push((kind, part));
    }

    /// Puts the parts into the resource's document.
    pub(crate) fn put(self, document: &mut Map, path: &Path) {
        let mut lists: HashMap<CarriedKind, Vec<Value>> = HashMap::new();
        for (kind, part) in self.parts {
            lists.entry(kind).or_default().push(part);
        }
        for kind in CarriedKind::ALL {
            if let Some(parts) = lists.remove(&kind) {
                document.put(kind.list(), Value::list(path, parts));
            }
        }
    }
}

/// `name` with only the characters that names may have.
fn spelled(name: &str) -> String {
    let allowed = |character: char| match character {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | ':' | '/' | '-' | '|' | '*' | '~' => character,
        _ => '-',
    };
    name.chars().map(allowed).collect()
}
