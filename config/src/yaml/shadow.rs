//! Warns of routes that an earlier one shadows: every request that they take, it takes before.
//!
//! Paths are compared where that is certain (exact, prefix, the same template or pattern); whether one pattern contains
//! another is not asked. The work grows with the number of routes and the depth of their paths, not with its square.

use super::reader::Reader;
use crate::model::{PathMatch, Route, TemplateSegment};
use crate::receipt::Code;
use std::collections::HashMap;

/// Earlier routes with conditions beside the path that a route is compared with, for each path that could contain its.
const CONDITIONAL_MAX: usize = 64;

pub(super) fn warn(reader: &mut Reader<'_>, routes: &[Route]) {
    // CONNECT requests have no path: their routes take nothing of the others', nor the others theirs.
    let mut earlier: HashMap<(bool, PathKey), Bucket<'_>> = HashMap::new();
    for route in routes {
        let shadowing = containing(&route.matches.path)
            .into_iter()
            .filter_map(|key| earlier.get(&(route.matches.connect, key))?.shadowing(route))
            .min_by_key(|other| other.origin.line);
        if let Some(other) = shadowing {
            let message = format!(
                "the route `{}` is never taken: `{}` takes its requests before",
                route.name, other.name
            );
            let help = match other.origin.path() {
                None => format!(
                    "`{}` stands at {}:{}; put it after",
                    other.name, other.origin.line, other.origin.column
                ),
                Some(path) => format!("`{}` stands at {path}; put it after", other.name),
            };
            reader.warn_of(
                Code::RouteShadowed,
                ("route", &route.name),
                &route.origin,
                message,
                help,
            );
        }
        let key = (route.matches.connect, key(&route.matches.path));
        earlier.entry(key).or_default().insert(route);
    }
}

/// A path match that can be looked up.
#[derive(PartialEq, Eq, Hash)]
enum PathKey {
    Exact(String),
    Prefix(String),
    /// Variables are `None`: their names do not matter.
    Template(Vec<Option<String>>),
    StringPrefix(String),
    Regex(String),
}

/// Earlier routes with the same path match.
#[derive(Default)]
struct Bucket<'a> {
    unconditional: Option<&'a Route>,
    conditional: Vec<&'a Route>,
}

impl<'a> Bucket<'a> {
    fn insert(&mut self, route: &'a Route) {
        let matches = &route.matches;
        let free = matches.methods.is_empty()
            && matches.headers.is_empty()
            && matches.query.is_empty()
            && matches.source_identities.is_empty();
        if free && !matches.grpc {
            self.unconditional = self.unconditional.or(Some(route));
        } else if self.conditional.len() < CONDITIONAL_MAX {
            self.conditional.push(route);
        }
    }

    fn shadowing(&self, route: &Route) -> Option<&'a Route> {
        self.unconditional.or_else(|| {
            self.conditional
                .iter()
                .copied()
                .find(|other| asks_less(other, route))
        })
    }
}

fn key(path: &PathMatch) -> PathKey {
    match path {
        PathMatch::Exact(path) => PathKey::Exact(path.clone()),
        PathMatch::Prefix(path) => PathKey::Prefix(path.clone()),
        PathMatch::StringPrefix(path) => PathKey::StringPrefix(path.clone()),
        PathMatch::Regex(pattern) => PathKey::Regex(pattern.source().to_owned()),
        PathMatch::Template(template) => PathKey::Template(
            template
                .segments
                .iter()
                .map(|segment| match segment {
                    TemplateSegment::Literal(text) => Some(text.clone()),
                    TemplateSegment::Variable(_) => None,
                })
                .collect(),
        ),
    }
}

/// The path matches that take every path that this one takes.
fn containing(path: &PathMatch) -> Vec<PathKey> {
    let mut keys = vec![key(path)];
    match path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) => {
            keys.extend(prefixes(path));
            // `/a` takes the exact path `/a` too.
            keys.push(PathKey::Prefix(path.clone()));
        }
        PathMatch::StringPrefix(path) => keys.extend(prefixes(path)),
        PathMatch::Template(template) => {
            let literal = template.segments.iter().map_while(|segment| match segment {
                TemplateSegment::Literal(text) => Some(text.as_str()),
                TemplateSegment::Variable(_) => None,
            });
            let mut lead = "/".to_owned();
            for text in literal {
                lead.push_str(text);
                lead.push('/');
            }
            keys.extend(prefixes(&lead));
        }
        PathMatch::Regex(_) => keys.push(PathKey::Prefix("/".to_owned())),
    }
    keys
}

/// The prefixes, with and without the last slash, whose border lies at a slash of `path`.
fn prefixes(path: &str) -> Vec<PathKey> {
    let mut keys = Vec::new();
    for (at, _) in path.match_indices('/') {
        if at > 0 {
            keys.push(PathKey::Prefix(path[..at].to_owned()));
        }
        keys.push(PathKey::Prefix(path[..=at].to_owned()));
    }
    keys
}

/// All that `other` asks of a request beside its path, `route` asks too.
fn asks_less(other: &Route, route: &Route) -> bool {
    let (less, more) = (&other.matches, &route.matches);
    let methods = less.methods.is_empty()
        || (!more.methods.is_empty() && more.methods.iter().all(|method| less.methods.contains(method)));
    let among = |one| less.source_identities.contains(one);
    let identities = less.source_identities.is_empty()
        || (!more.source_identities.is_empty() && more.source_identities.iter().all(among));
    methods
        && identities
        && (more.grpc || !less.grpc)
        && less
            .headers
            .iter()
            .all(|condition| more.headers.contains(condition))
        && less.query.iter().all(|condition| more.query.contains(condition))
}
