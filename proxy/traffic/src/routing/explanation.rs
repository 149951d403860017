//! Why a request meets the route it meets, in plain words: for `outrigger explain` and the admin endpoint.
//!
//! It reads the model line by line and shares only the checks of single conditions with the compiled tables. It never
//! decides anything.

use super::conditions::{self, Failed};
use super::{Found, RequestView};
use outrigger_config::model::{
    Domain, Name, Origin, PathMatch, RouteMatch, SpiffeMatch, StringMatch, TemplateSegment, VirtualHost,
};
use std::fmt;

/// Routes that were not taken and are named, at most; of more, the nearest are.
const REFUSED_ROUTES_MAX: usize = 16;
/// Domains that are named where none takes the host.
const NEAREST_DOMAINS_MAX: usize = 5;

/// What was found for a request and why the nearest others were not.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What [`super::RouteTable::find`] found.
    pub found: Found,
    /// The host that was looked for, in lower case.
    pub host: String,
    /// The virtual host that takes the host.
    pub virtual_host: Option<TakenVirtualHost>,
    /// Where no virtual host takes the host: the domains most like it, the nearest first.
    pub nearest_domains: Vec<String>,
    /// The route that takes the request.
    pub route: Option<TakenRoute>,
    /// Routes that stand before the one found (all, if none was) and do not match: the nearest 16, in order.
    pub refused: Vec<RefusedRoute>,
    /// How many more there are.
    pub refused_more: usize,
}

/// The virtual host that takes a request's host.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenVirtualHost {
    /// Its index in the route configuration.
    pub index: usize,
    /// Its name.
    pub name: Name,
    /// Which of its domains took the host.
    pub domain: Domain,
    /// Where it was written.
    pub origin: Origin,
}

/// The route that takes a request.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenRoute {
    /// Its index in the virtual host.
    pub index: usize,
    /// Its name.
    pub name: Name,
    /// Its path condition in words.
    pub path: String,
    /// Where it was written.
    pub origin: Origin,
}

/// A route that does not take a request.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedRoute {
    /// Its index in the virtual host.
    pub index: usize,
    /// Its name.
    pub name: Name,
    /// The first of its conditions that fails.
    pub mismatch: Mismatch,
    /// Where it was written.
    pub origin: Origin,
}

/// A condition that a request does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The path is another.
    Path {
        /// What the route wants, in words.
        wanted: String,
        /// The request's path.
        came: String,
    },
    /// The method is none of the route's.
    Method {
        /// The route's methods.
        wanted: Vec<String>,
        /// The request's method.
        came: String,
    },
    /// The route takes CONNECT requests and nothing else, or the request is one and the route does not say so.
    Connect {
        /// The route takes CONNECT requests.
        wanted: bool,
    },
    /// The route wants gRPC.
    NotGrpc {
        /// The request's `content-type`.
        came: Option<String>,
    },
    /// The peer's verified SPIFFE id is none of the route's.
    Identity {
        /// What the route wants, in words.
        wanted: String,
        /// The peer's id.
        came: Option<String>,
    },
    /// A header is not as the route wants it.
    Header {
        /// The header's name.
        name: String,
        /// What the route wants, in words.
        wanted: String,
        /// The request's value.
        came: Option<String>,
    },
    /// Some of these conditions did not hold, of a request that is over and whose headers and query were not kept.
    Forgotten {
        /// Conditions on headers and query parameters, in words.
        wanted: Vec<String>,
    },
    /// A query parameter is not as the route wants it.
    Query {
        /// The parameter's name.
        name: String,
        /// What the route wants, in words.
        wanted: String,
        /// The request's value, decoded.
        came: Option<String>,
    },
}

/// Explains what was found among these virtual hosts.
pub(super) fn explain(
    found: Found,
    virtual_hosts: &[&VirtualHost],
    request: &(impl RequestView + ?Sized),
) -> Explanation {
    explain_by(found, virtual_hosts, request, &|matches| {
        conditions::first_failed(matches, request).map(|failed| mismatch(&failed, matches, request))
    })
}

/// The same where `judge` says which condition of a route, its path aside, fails.
pub(super) fn explain_by(
    found: Found,
    virtual_hosts: &[&VirtualHost],
    request: &(impl RequestView + ?Sized),
    judge: &dyn Fn(&RouteMatch) -> Option<Mismatch>,
) -> Explanation {
    let host = request.host().to_ascii_lowercase();
    let (virtual_host, route) = match found {
        Found::NoVirtualHost => (None, None),
        Found::NoRoute { virtual_host } => (Some(virtual_host), None),
        Found::Route { virtual_host, route } => (Some(virtual_host), Some(route)),
    };
    let nearest_domains = if virtual_host.is_none() {
        nearest_domains(virtual_hosts, &host)
    } else {
        Vec::new()
    };
    let mut explanation = Explanation {
        found,
        virtual_host: virtual_host.and_then(|index| taken_virtual_host(index, virtual_hosts[index], &host)),
        host,
        nearest_domains,
        route: None,
        refused: Vec::new(),
        refused_more: 0,
    };
    let Some(model) = virtual_host.map(|index| virtual_hosts[index]) else {
        return explanation;
    };
    explanation.route = route.map(|index| {
        let taken = &model.routes()[index];
        TakenRoute {
            index,
            name: taken.name().clone(),
            path: path_in_words(taken.matches().path()),
            origin: taken.origin().clone(),
        }
    });
    let mut refused = refused_routes(model, route.unwrap_or(model.routes().len()), request, judge);
    refused.sort_by_key(|(nearness, route)| (std::cmp::Reverse(*nearness), route.index));
    explanation.refused_more = refused.len().saturating_sub(REFUSED_ROUTES_MAX);
    refused.truncate(REFUSED_ROUTES_MAX);
    explanation.refused = refused.into_iter().map(|(_, route)| route).collect();
    explanation.refused.sort_by_key(|route| route.index);
    explanation
}

fn taken_virtual_host(index: usize, model: &VirtualHost, host: &str) -> Option<TakenVirtualHost> {
    let takes = |domain: &&Domain| match domain {
        Domain::Exact(name) => name == host,
        Domain::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        Domain::Prefix(prefix) => host.len() > prefix.len() && host.starts_with(prefix.as_str()),
        Domain::Any => true,
    };
    let rank = |domain: &&Domain| match domain {
        Domain::Exact(name) => (3, name.len()),
        Domain::Suffix(suffix) => (2, suffix.len()),
        Domain::Prefix(prefix) => (1, prefix.len()),
        Domain::Any => (0, 0),
    };
    let domain = model.domains().iter().filter(takes).max_by_key(rank)?;
    let (name, origin) = (model.name().clone(), model.origin().clone());
    Some(TakenVirtualHost {
        index,
        name,
        domain: domain.clone(),
        origin,
    })
}

fn nearest_domains(virtual_hosts: &[&VirtualHost], host: &str) -> Vec<String> {
    let likeness = |domain: &Domain| match domain {
        Domain::Exact(name) | Domain::Suffix(name) => common(name.bytes().rev(), host.bytes().rev()),
        Domain::Prefix(name) => common(name.bytes(), host.bytes()),
        Domain::Any => 0,
    };
    let mut domains: Vec<&Domain> = virtual_hosts.iter().flat_map(|model| model.domains()).collect();
    domains.sort_by_key(|domain| std::cmp::Reverse(likeness(domain)));
    domains.truncate(NEAREST_DOMAINS_MAX);
    domains.into_iter().map(domain_text).collect()
}

/// How many bytes two texts begin with in common.
fn common(left: impl Iterator<Item = u8>, right: impl Iterator<Item = u8>) -> usize {
    left.zip(right).take_while(|(left, right)| left == right).count()
}

/// Routes before `end` that do not take the request. A nearer one has a greater number: a path in common, then more.
fn refused_routes(
    model: &VirtualHost,
    end: usize,
    request: &(impl RequestView + ?Sized),
    judge: &dyn Fn(&RouteMatch) -> Option<Mismatch>,
) -> Vec<(usize, RefusedRoute)> {
    let mut refused = Vec::new();
    for (index, route) in model.routes().iter().take(end).enumerate() {
        let matches = route.matches();
        let (nearness, mismatch) = if request.is_connect() || path_matches(matches.path(), request.path()) {
            let Some(mismatch) = judge(matches) else { continue };
            (usize::MAX, mismatch)
        } else {
            let wanted = path_in_words(matches.path());
            let nearness = common(path_text(matches.path()).bytes(), request.path().bytes());
            (
                nearness,
                Mismatch::Path {
                    wanted,
                    came: request.path().to_owned(),
                },
            )
        };
        let (name, origin) = (route.name().clone(), route.origin().clone());
        refused.push((
            nearness,
            RefusedRoute {
                index,
                name,
                mismatch,
                origin,
            },
        ));
    }
    refused
}

/// True if a path condition takes the path.
pub(crate) fn path_matches(wanted: &PathMatch, path: &str) -> bool {
    match wanted {
        PathMatch::Exact(exact) => path == exact,
        PathMatch::Prefix(prefix) if prefix == "/" => true,
        PathMatch::Prefix(prefix) => path
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')),
        PathMatch::StringPrefix(prefix) => path.starts_with(prefix.as_str()),
        PathMatch::Template(template) => path.strip_prefix('/').is_some_and(|path| {
            let segments = template.segments();
            path.split('/').count() == segments.len()
                && path.split('/').zip(segments).all(|(came, wanted)| match wanted {
                    TemplateSegment::Literal(literal) => came == literal,
                    TemplateSegment::Variable(_) => !came.is_empty(),
                })
        }),
        PathMatch::Regex(pattern) => pattern.anchored().is_match(path),
    }
}

pub(super) fn mismatch(
    failed: &Failed<'_>,
    matches: &RouteMatch,
    request: &(impl RequestView + ?Sized),
) -> Mismatch {
    let header = |name: &str| {
        let mut joined = Vec::new();
        request
            .header(name, &mut joined)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    };
    match failed {
        Failed::Method => Mismatch::Method {
            wanted: matches.methods().clone(),
            came: request.method().to_owned(),
        },
        Failed::Connect => Mismatch::Connect {
            wanted: !request.is_connect(),
        },
        Failed::Grpc => Mismatch::NotGrpc {
            came: header("content-type"),
        },
        Failed::Identity => {
            let wanted: Vec<String> = matches
                .source_identities()
                .iter()
                .map(identity_in_words)
                .collect();
            Mismatch::Identity {
                wanted: wanted.join(" or "),
                came: request.source_identity().map(ToString::to_string),
            }
        }
        Failed::Header(condition) => {
            let name = condition.name().as_str().to_owned();
            let came = header(&name);
            Mismatch::Header {
                name,
                wanted: value_in_words(condition.value(), condition.invert()),
                came,
            }
        }
        Failed::Query(condition) => {
            let mut decoded = Vec::new();
            let value = request
                .query()
                .and_then(|query| conditions::parameter(query, condition.name(), &mut decoded));
            Mismatch::Query {
                name: condition.name().clone(),
                wanted: value_in_words(condition.value(), condition.invert()),
                came: value.map(|value| String::from_utf8_lossy(value).into_owned()),
            }
        }
    }
}

fn path_text(path: &PathMatch) -> &str {
    match path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::StringPrefix(path) => path,
        PathMatch::Template(template) => template.source(),
        PathMatch::Regex(pattern) => pattern.source(),
    }
}

pub(crate) fn path_in_words(path: &PathMatch) -> String {
    let kind = match path {
        PathMatch::Exact(_) => "path",
        PathMatch::Prefix(_) => "prefix",
        PathMatch::StringPrefix(_) => "string_prefix",
        PathMatch::Template(_) => "template",
        PathMatch::Regex(_) => "regex",
    };
    format!("{kind} `{}`", path_text(path))
}

/// Which SPIFFE ids are meant, in words.
pub(crate) fn identity_in_words(wanted: &SpiffeMatch) -> String {
    match wanted {
        SpiffeMatch::Exact(id) => format!("`{id}`"),
        SpiffeMatch::Prefix(id) => format!("`{id}` or below"),
        SpiffeMatch::TrustDomain(domain) => format!("of trust domain `{domain}`"),
    }
}

pub(crate) fn value_in_words(value: &StringMatch, invert: bool) -> String {
    let (verb, text) = match value {
        StringMatch::Exact(text) => ("be", text.as_str()),
        StringMatch::Prefix(text) => ("begin with", text.as_str()),
        StringMatch::Suffix(text) => ("end with", text.as_str()),
        StringMatch::Contains(text) => ("contain", text.as_str()),
        StringMatch::Regex(pattern) => ("match regex", pattern.source()),
        StringMatch::Present => return (if invert { "must be absent" } else { "must be there" }).to_owned(),
    };
    format!("{} {verb} `{text}`", if invert { "must not" } else { "must" })
}

pub(crate) fn domain_text(domain: &Domain) -> String {
    match domain {
        Domain::Exact(name) => name.clone(),
        Domain::Suffix(suffix) => format!("*{suffix}"),
        Domain::Prefix(prefix) => format!("{prefix}*"),
        Domain::Any => "*".to_owned(),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            |f: &mut fmt::Formatter<'_>, kind: &str, name: &str, wanted: &str, came: &Option<String>| {
                write!(f, "{kind} `{name}` {wanted}, ")?;
                match came {
                    Some(came) => write!(f, "it is `{came}`"),
                    None => f.write_str("it is absent"),
                }
            };
        match self {
            Mismatch::Path { wanted, came } => write!(f, "{wanted} does not match `{came}`"),
            Mismatch::Method { wanted, came } => {
                write!(f, "method must be {}, it is `{came}`", wanted.join(" or "))
            }
            Mismatch::Connect { wanted: true } => f.write_str("it takes CONNECT requests only"),
            Mismatch::Connect { wanted: false } => f.write_str("it takes no CONNECT requests"),
            Mismatch::NotGrpc { came } => named(
                f,
                "header",
                "content-type",
                "must begin with `application/grpc`",
                came,
            ),
            Mismatch::Identity {
                wanted,
                came: Some(came),
            } => write!(f, "the peer's identity must be {wanted}, it is `{came}`"),
            Mismatch::Identity { wanted, came: None } => {
                write!(f, "the peer's identity must be {wanted}, it has none")
            }
            Mismatch::Header { name, wanted, came } => named(f, "header", name, wanted, came),
            Mismatch::Forgotten { wanted } => write!(
                f,
                "one of its other conditions did not hold; what came is not kept: {}",
                wanted.join("; ")
            ),
            Mismatch::Query { name, wanted, came } => named(f, "query parameter", name, wanted, came),
        }
    }
}

impl fmt::Display for Explanation {
    /// Several lines, without a line end after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(virtual_host) = &self.virtual_host else {
            write!(f, "no virtual host takes `{}`", self.host)?;
            let nearest = self.nearest_domains.join("`, `");
            return if nearest.is_empty() {
                Ok(())
            } else {
                write!(f, "; the nearest domains are `{nearest}`")
            };
        };
        let domain = domain_text(&virtual_host.domain);
        write!(
            f,
            "virtual host `{}` ({}): ",
            virtual_host.name, virtual_host.origin
        )?;
        match virtual_host.domain {
            Domain::Exact(_) => write!(f, "its domain `{domain}` is the host")?,
            Domain::Suffix(_) => write!(f, "`{domain}` is the longest suffix of `{}`", self.host)?,
            Domain::Prefix(_) => write!(f, "`{domain}` is the longest prefix of `{}`", self.host)?,
            Domain::Any => write!(
                f,
                "its domain `*` takes what no other domain does, here `{}`",
                self.host
            )?,
        }
        match &self.route {
            Some(route) => {
                write!(f, "\nroute `{}` ({}): {}", route.name, route.origin, route.path)?;
                f.write_str(" and all other conditions match")?;
            }
            None => f.write_str("\nno route matches")?,
        }
        for refused in &self.refused {
            write!(
                f,
                "\nnot route `{}` ({}): {}",
                refused.name, refused.origin, refused.mismatch
            )?;
        }
        match self.refused_more {
            0 => Ok(()),
            more => write!(f, "\nnor {more} more routes that are further off"),
        }
    }
}
