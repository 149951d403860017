//! Conditions as permissions and principals.
//!
//! A rule is permissions and principals, both of which must hold: of a condition whose parts all must hold each goes to the
//! side that can say it. What neither side can say, or only both together below `not` and `any_of`, is put in place by all or
//! nothing, whichever opens nothing.

use super::super::matching;
use crate::decode::filters::JWT_FILTER;
use envoy_types::pb::envoy::config::rbac::v3::{
    Permission, Principal, SourcedMetadata, permission, permission::Rule, principal,
    principal::Authenticated, principal::Identifier,
};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};
use envoy_types::pb::envoy::r#type::matcher::v3::{
    ListMatcher, MetadataMatcher, OrMatcher, PathMatcher, StringMatcher, ValueMatcher, list_matcher,
    metadata_matcher, path_matcher, string_matcher::MatchPattern, value_matcher,
};
use envoy_types::pb::envoy::r#type::v3::Int32Range;
use outrigger_config::model::{
    ClaimMatch, Condition, Domain, PathMatch, SpiffeMatch, StringMatch, TemplateSegment,
};

/// A rule.
pub(super) struct Sided {
    pub(super) permission: Permission,
    pub(super) principal: Principal,
    /// It says the same.
    pub(super) exact: bool,
}

/// Nothing.
pub(super) fn never() -> Permission {
    negated(everything())
}

fn everything() -> Permission {
    Permission {
        rule: Some(Rule::Any(true)),
    }
}

fn negated(permission: Permission) -> Permission {
    Permission {
        rule: Some(Rule::NotRule(Box::new(permission))),
    }
}

/// Everybody.
pub(super) fn anybody() -> Principal {
    Principal {
        identifier: Some(Identifier::Any(true)),
    }
}

fn nobody() -> Principal {
    Principal {
        identifier: Some(Identifier::NotId(Box::new(anybody()))),
    }
}

/// A rule of a policy. `over`: what cannot be said is taken to hold, else not to.
pub(super) fn rule(condition: &Condition, over: bool) -> Sided {
    let mut saying = Saying { exact: true };
    let parts = match condition {
        Condition::All(all) => all.as_slice(),
        other => std::slice::from_ref(other),
    };
    let (mut permissions, mut principals) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Condition::Always => {}
            part if is_of_peer(part) => principals.push(saying.principal(part, over)),
            part => permissions.push(saying.permission(part, over)),
        }
    }
    Sided {
        permission: match permissions.len() {
            0 => everything(),
            1 => permissions.swap_remove(0),
            _ => and_permissions(permissions),
        },
        principal: match principals.len() {
            0 => anybody(),
            1 => principals.swap_remove(0),
            _ => and_principals(principals),
        },
        exact: saying.exact,
    }
}

fn and_permissions(rules: Vec<Permission>) -> Permission {
    Permission {
        rule: Some(Rule::AndRules(permission::Set { rules })),
    }
}

fn and_principals(ids: Vec<Principal>) -> Principal {
    Principal {
        identifier: Some(Identifier::AndIds(principal::Set { ids })),
    }
}

fn or_principals(ids: Vec<Principal>) -> Principal {
    Principal {
        identifier: Some(Identifier::OrIds(principal::Set { ids })),
    }
}

/// It asks about the peer somewhere, which permissions cannot.
fn is_of_peer(condition: &Condition) -> bool {
    match condition {
        Condition::All(all) | Condition::AnyOf(all) => all.iter().any(is_of_peer),
        Condition::Not(inner) => is_of_peer(inner),
        Condition::Identity(_)
        | Condition::Authenticated
        | Condition::PeerName(_)
        | Condition::RemoteAddress(_)
        | Condition::DirectAddress(_) => true,
        Condition::Always
        | Condition::DestinationAddress(_)
        | Condition::DestinationPort(_)
        | Condition::ServerName(_)
        | Condition::Method(_)
        | Condition::Path(_)
        | Condition::Host(_)
        | Condition::Header(_)
        | Condition::Query(_)
        | Condition::Claim(_) => false,
    }
}

struct Saying {
    exact: bool,
}

impl Saying {
    fn permission(&mut self, condition: &Condition, over: bool) -> Permission {
        let rule = match condition {
            Condition::Always => Rule::Any(true),
            Condition::All(all) => {
                let rules = all.iter().map(|one| self.permission(one, over)).collect();
                Rule::AndRules(permission::Set { rules })
            }
            Condition::AnyOf(any) => {
                let rules = any.iter().map(|one| self.permission(one, over)).collect();
                Rule::OrRules(permission::Set { rules })
            }
            Condition::Not(inner) => Rule::NotRule(Box::new(self.permission(inner, !over))),
            Condition::DestinationAddress(range) => Rule::DestinationIp(matching::prefix(range)),
            Condition::DestinationPort(ports) if ports.start() == ports.end() => {
                Rule::DestinationPort((*ports.start()).into())
            }
            Condition::DestinationPort(ports) => Rule::DestinationPortRange(Int32Range {
                start: (*ports.start()).into(),
                end: i32::from(*ports.end()) + 1,
            }),
            Condition::ServerName(name) => match matching::text(name) {
                Some(matcher) => Rule::RequestedServerName(matcher),
                None => return self.unsaid(over),
            },
            other => match of_request(other) {
                Some(OfRequest::Header(header)) => Rule::Header(header),
                Some(OfRequest::Path(paths)) => return any_path(paths),
                Some(OfRequest::Claim(sourced)) => Rule::SourcedMetadata(sourced),
                None => return self.unsaid(over),
            },
        };
        Permission { rule: Some(rule) }
    }

    fn unsaid(&mut self, over: bool) -> Permission {
        self.exact = false;
        if over { everything() } else { never() }
    }

    fn principal(&mut self, condition: &Condition, over: bool) -> Principal {
        let identifier = match condition {
            Condition::Always => Identifier::Any(true),
            Condition::All(all) => {
                return and_principals(all.iter().map(|one| self.principal(one, over)).collect());
            }
            Condition::AnyOf(any) => {
                return or_principals(any.iter().map(|one| self.principal(one, over)).collect());
            }
            Condition::Not(inner) => Identifier::NotId(Box::new(self.principal(inner, !over))),
            Condition::Authenticated | Condition::PeerName(StringMatch::Present) => {
                Identifier::Authenticated(Authenticated::default())
            }
            Condition::PeerName(name) => return authenticated(matching::text(name)),
            Condition::Identity(matcher) => return identity(matcher),
            Condition::RemoteAddress(range) => Identifier::RemoteIp(matching::prefix(range)),
            Condition::DirectAddress(range) => Identifier::DirectRemoteIp(matching::prefix(range)),
            other => match of_request(other) {
                Some(OfRequest::Header(header)) => Identifier::Header(header),
                Some(OfRequest::Path(paths)) => {
                    let ids = paths.into_iter().map(|path| Principal {
                        identifier: Some(Identifier::UrlPath(path)),
                    });
                    let mut ids: Vec<Principal> = ids.collect();
                    return match ids.len() {
                        1 => ids.swap_remove(0),
                        _ => or_principals(ids),
                    };
                }
                Some(OfRequest::Claim(sourced)) => Identifier::SourcedMetadata(sourced),
                None => {
                    self.exact = false;
                    return if over { anybody() } else { nobody() };
                }
            },
        };
        Principal {
            identifier: Some(identifier),
        }
    }
}

fn authenticated(name: Option<StringMatcher>) -> Principal {
    Principal {
        identifier: Some(Identifier::Authenticated(Authenticated { principal_name: name })),
    }
}

fn identity(matcher: &SpiffeMatch) -> Principal {
    let beginning = |text: String| authenticated(Some(matching::string(MatchPattern::Prefix(text))));
    match matcher {
        SpiffeMatch::Exact(id) => authenticated(Some(matching::exact(id.to_string()))),
        SpiffeMatch::Prefix(id) => {
            let itself = authenticated(Some(matching::exact(id.to_string())));
            or_principals(vec![itself, beginning(format!("{id}/"))])
        }
        SpiffeMatch::TrustDomain(domain) => beginning(format!("spiffe://{domain}/")),
    }
}

fn any_path(paths: Vec<PathMatcher>) -> Permission {
    let rules = paths.into_iter().map(|path| Permission {
        rule: Some(Rule::UrlPath(path)),
    });
    let mut rules: Vec<Permission> = rules.collect();
    match rules.len() {
        1 => rules.swap_remove(0),
        _ => Permission {
            rule: Some(Rule::OrRules(permission::Set { rules })),
        },
    }
}

/// What both sides can say.
enum OfRequest {
    Header(HeaderMatcher),
    /// One of these.
    Path(Vec<PathMatcher>),
    Claim(SourcedMetadata),
}

fn of_request(condition: &Condition) -> Option<OfRequest> {
    let header = |name: &str, matcher: StringMatcher| {
        OfRequest::Header(HeaderMatcher {
            name: name.to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
            ..HeaderMatcher::default()
        })
    };
    Some(match condition {
        Condition::Method(method) => header(":method", matching::exact(method.as_str())),
        Condition::Host(domain) => header(":authority", host(domain)),
        Condition::Header(condition) => OfRequest::Header(matching::header(condition)),
        Condition::Path(path) => OfRequest::Path(paths(path)),
        Condition::Claim(claim) => OfRequest::Claim(self::claim(claim)?),
        _ => return None,
    })
}

/// A host in any case, with or without a port.
fn host(domain: &Domain) -> StringMatcher {
    let escaped = |text: &str| crate::decode::escape(text);
    let pattern = match domain {
        Domain::Exact(host) => escaped(host),
        Domain::Suffix(suffix) => format!("[^:]+{}", escaped(suffix)),
        Domain::Prefix(prefix) => format!("{}[^:]+", escaped(prefix)),
        Domain::Any => ".*".to_owned(),
    };
    matching::regex(format!("(?i){pattern}\\.?(:[0-9]+)?"))
}

fn paths(path: &PathMatch) -> Vec<PathMatcher> {
    let matchers = match path {
        PathMatch::Exact(path) => vec![matching::exact(path.as_str())],
        PathMatch::Prefix(prefix) if prefix.ends_with('/') => {
            vec![matching::string(MatchPattern::Prefix(prefix.clone()))]
        }
        PathMatch::Prefix(prefix) => vec![
            matching::exact(prefix.as_str()),
            matching::string(MatchPattern::Prefix(format!("{prefix}/"))),
        ],
        PathMatch::StringPrefix(prefix) => vec![matching::string(MatchPattern::Prefix(prefix.clone()))],
        PathMatch::Template(template) => {
            let segments = template.segments().iter().map(|segment| match segment {
                TemplateSegment::Literal(text) => crate::decode::escape(text),
                TemplateSegment::Variable(_) => "[^/]+".to_owned(),
            });
            let segments: Vec<String> = segments.collect();
            vec![matching::regex(format!("/{}", segments.join("/")))]
        }
        PathMatch::Regex(pattern) => vec![matching::regex(pattern.source())],
    };
    let path = |matcher| PathMatcher {
        rule: Some(path_matcher::Rule::Path(matcher)),
    };
    matchers.into_iter().map(path).collect()
}

/// None without a provider: in metadata each provider's claims stand apart.
fn claim(claim: &ClaimMatch) -> Option<SourcedMetadata> {
    let provider = claim.provider().as_ref()?;
    let keys = std::iter::once(provider.as_str()).chain(claim.path().iter().map(String::as_str));
    let segment = |key: &str| metadata_matcher::PathSegment {
        segment: Some(metadata_matcher::path_segment::Segment::Key(key.to_owned())),
    };
    let one = |pattern| ValueMatcher {
        match_pattern: Some(pattern),
    };
    let value = match matching::text(claim.value()) {
        None => one(value_matcher::MatchPattern::PresentMatch(true)),
        Some(matcher) => {
            let itself = one(value_matcher::MatchPattern::StringMatch(matcher));
            let element = ListMatcher {
                match_pattern: Some(list_matcher::MatchPattern::OneOf(Box::new(itself.clone()))),
            };
            let element = one(value_matcher::MatchPattern::ListMatch(Box::new(element)));
            one(value_matcher::MatchPattern::OrMatch(OrMatcher {
                value_matchers: vec![itself, element],
            }))
        }
    };
    Some(SourcedMetadata {
        metadata_matcher: Some(MetadataMatcher {
            filter: JWT_FILTER.to_owned(),
            path: keys.map(segment).collect(),
            value: Some(value),
            invert: false,
        }),
        metadata_source: 0,
    })
}
