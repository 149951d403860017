//! Warns of routes that an earlier one shadows: every request that they take, it takes before.
//!
//! Paths are compared where that is certain: all kinds by what they begin with, exact ones with patterns and templates,
//! templates with each other; whether one pattern contains another is not asked. The work grows with the number of routes
//! and the depth of their paths, not with its square: what cannot be looked up is compared with a bounded number of routes.

use super::reader::Reader;
use crate::model::{HeaderMatch, Origin, PathMatch, QueryMatch, Route, SpiffeMatch, TemplateSegment};
use crate::receipt::Code;
use crate::receipt::implication;
use std::collections::HashMap;

/// Earlier routes with conditions beside the path that a route is compared with, for each path that could contain its.
const CONDITIONAL_MAX: usize = 64;
/// Earlier routes that cannot be looked up by their path (patterns, templates, texts that paths begin with), with which a
/// route is compared.
const OTHERS_MAX: usize = 64;

pub(super) fn warn(reader: &mut Reader<'_>, routes: &[Route]) {
    // CONNECT requests have no path: their routes take nothing of the others', nor the others theirs.
    let mut earlier: HashMap<(bool, PathKey), Bucket<'_>> = HashMap::new();
    let mut others: Vec<&Route> = Vec::new();
    for route in routes {
        let found = containing(&route.matches.path)
            .into_iter()
            .filter_map(|key| earlier.get(&(route.matches.connect, key))?.shadowing(route));
        let unlisted = others.iter().copied();
        let unlisted = unlisted
            .filter(|other| contains(&other.matches.path, &route.matches.path) && asks_less(other, route));
        let shadowing = found.chain(unlisted).min_by_key(|other| place(&other.origin));
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
        let is_other = !matches!(route.matches.path, PathMatch::Exact(_) | PathMatch::Prefix(_));
        if is_other && others.len() < OTHERS_MAX {
            others.push(route);
        }
    }
}

/// By which the first of several is found.
fn place(origin: &Origin) -> (u32, u32) {
    (origin.line, origin.column)
}

/// `other` takes every path that `path` takes, where that cannot be looked up.
fn contains(other: &PathMatch, path: &PathMatch) -> bool {
    match (other, path) {
        (PathMatch::Regex(pattern), PathMatch::Exact(path)) => pattern.anchored().is_match(path),
        (PathMatch::StringPrefix(text), path) => lead(path).starts_with(text.as_str()),
        (PathMatch::Template(template), PathMatch::Exact(path)) => {
            let segments: Vec<&str> = path.split('/').skip(1).collect();
            let takes = |(own, segment): (&TemplateSegment, &&str)| match own {
                TemplateSegment::Literal(text) => text == segment,
                TemplateSegment::Variable(_) => !segment.is_empty(),
            };
            segments.len() == template.segments.len() && template.segments.iter().zip(&segments).all(takes)
        }
        (PathMatch::Template(template), PathMatch::Template(other)) => {
            let takes = |(own, other): (&TemplateSegment, &TemplateSegment)| match (own, other) {
                (TemplateSegment::Variable(_), _) => true,
                (own, other) => own == other,
            };
            template.segments.len() == other.segments.len()
                && template.segments.iter().zip(&other.segments).all(takes)
        }
        _ => false,
    }
}

/// What every path that is taken begins with.
fn lead(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::StringPrefix(path) => path.clone(),
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
            lead
        }
        PathMatch::Regex(pattern) => literal(pattern.source()),
    }
}

/// The literal text that every match of a pattern begins with, as far as that is plain.
fn literal(pattern: &str) -> String {
    if pattern.contains('|') {
        return String::new();
    }
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || "/-_~%,;=:@!&' ".contains(*letter);
    let mut lead: String = pattern.chars().take_while(plain).collect();
    // What is repeated may be missing.
    if pattern[lead.len()..].starts_with(['?', '*', '{']) {
        lead.pop();
    }
    lead
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
        PathMatch::Template(_) => keys.extend(prefixes(&lead(path))),
        PathMatch::Regex(pattern) => {
            keys.push(PathKey::Prefix("/".to_owned()));
            keys.extend(prefixes(&literal(pattern.source())));
        }
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
    let among = |one: &SpiffeMatch| {
        less.source_identities
            .iter()
            .any(|other| implication::identity(one, other))
    };
    let identities = less.source_identities.is_empty()
        || (!more.source_identities.is_empty() && more.source_identities.iter().all(among));
    less.connect == more.connect
        && methods
        && identities
        && (more.grpc || !less.grpc)
        && less.headers.iter().all(|less| {
            let is_more = |one: &HeaderMatch| one == less || header(one, less);
            more.headers.iter().any(is_more)
        })
        && less.query.iter().all(|less| {
            let is_more = |one: &QueryMatch| one == less || query(one, less);
            more.query.iter().any(is_more)
        })
}

fn header(one: &HeaderMatch, other: &HeaderMatch) -> bool {
    let plain = !one.invert && !other.invert;
    one.name == other.name && plain && implication::text(&one.value, &other.value)
}

fn query(one: &QueryMatch, other: &QueryMatch) -> bool {
    let plain = !one.invert && !other.invert;
    one.name == other.name && plain && implication::text(&one.value, &other.value)
}
