//! Which requests a route takes.
//!
//! A route with a condition that Envoy does not know takes no request there: better none than one that it must not.

use super::path;
use super::virtual_host::Nearly;
use crate::encode::Remainder;
use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use outrigger_config::model::{HeaderMatch, QueryMatch, RouteMatch, StringMatch};

pub(super) fn route_match(matches: &RouteMatch, rest: &mut Remainder, nearly: &mut Nearly) -> pb::RouteMatch {
    let mut message = pb::RouteMatch {
        path_specifier: Some(path::specifier(matches, rest, nearly)),
        grpc: matches.grpc().then(Default::default),
        ..pb::RouteMatch::default()
    };
    message.headers.extend(methods(matches.methods()));
    rest.said("match.methods");
    let headers: Vec<_> = matches.headers().iter().filter_map(header).collect();
    let knows_headers = headers.len() == matches.headers().len();
    message.headers.extend(headers);
    message.query_parameters = matches.query().iter().filter_map(query).collect();
    let knows_query = message.query_parameters.len() == matches.query().len();
    for (field, is_known) in [("match.headers", knows_headers), ("match.query", knows_query)] {
        match is_known {
            true => drop(rest.said(field)),
            false => nearly.made.push(field),
        }
    }
    if !knows_headers || !knows_query || !matches.source_identities().is_empty() {
        message.runtime_fraction = Some(RuntimeFractionalPercent {
            default_value: Some(FractionalPercent::default()),
            runtime_key: String::new(),
        });
    }
    message
}

fn methods(methods: &[String]) -> Option<pb::HeaderMatcher> {
    let pattern = match methods {
        [] => return None,
        [method] => MatchPattern::Exact(method.clone()),
        several => MatchPattern::SafeRegex(regex(several.join("|"))),
    };
    Some(pb::HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(string_matcher(pattern))),
        ..pb::HeaderMatcher::default()
    })
}

/// A condition on a header; none: Envoy cannot be told. To it a header that is missing does not meet the opposite of a
/// condition, unless it is taken for an empty one: which is as good, if what is empty does not meet the condition.
pub(super) fn header(condition: &HeaderMatch) -> Option<pb::HeaderMatcher> {
    let is_as_empty = match condition.value() {
        StringMatch::Exact(text)
        | StringMatch::Prefix(text)
        | StringMatch::Suffix(text)
        | StringMatch::Contains(text) => !text.is_empty(),
        StringMatch::Regex(_) => false,
        StringMatch::Present => true,
    };
    let inverted = condition.invert();
    if inverted && !is_as_empty {
        return None;
    }
    let (specifier, has_value) = match pattern(condition.value()) {
        Some(pattern) => (HeaderMatchSpecifier::StringMatch(string_matcher(pattern)), true),
        None => (HeaderMatchSpecifier::PresentMatch(true), false),
    };
    Some(pb::HeaderMatcher {
        name: condition.name().as_str().to_owned(),
        invert_match: inverted,
        treat_missing_header_as_empty: inverted && has_value,
        header_match_specifier: Some(specifier),
    })
}

/// A condition on a query parameter; none: Envoy cannot be told.
fn query(condition: &QueryMatch) -> Option<pb::QueryParameterMatcher> {
    let specifier = match (pattern(condition.value()), condition.invert()) {
        (Some(pattern), false) => QueryParameterMatchSpecifier::StringMatch(string_matcher(pattern)),
        (None, inverted) => QueryParameterMatchSpecifier::PresentMatch(!inverted),
        (Some(_), true) => return None,
    };
    Some(pb::QueryParameterMatcher {
        name: condition.name().clone(),
        query_parameter_match_specifier: Some(specifier),
    })
}

/// None: it is only asked whether there is a value.
fn pattern(value: &StringMatch) -> Option<MatchPattern> {
    Some(match value {
        StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        StringMatch::Prefix(text) => MatchPattern::Prefix(text.clone()),
        StringMatch::Suffix(text) => MatchPattern::Suffix(text.clone()),
        StringMatch::Contains(text) => MatchPattern::Contains(text.clone()),
        StringMatch::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern.source())),
        StringMatch::Present => return None,
    })
}

fn string_matcher(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        ignore_case: false,
        match_pattern: Some(pattern),
    }
}

/// A regular expression.
pub(super) fn regex(source: impl Into<String>) -> RegexMatcher {
    RegexMatcher {
        regex: source.into(),
        engine_type: None,
    }
}
