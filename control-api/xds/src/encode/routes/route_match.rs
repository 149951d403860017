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
    message.headers.extend(matches.headers().iter().map(header));
    rest.said("match.headers");
    let is_inverted = |condition: &&QueryMatch| condition.invert();
    let known = matches.query().iter().filter(|condition| !is_inverted(condition));
    message.query_parameters = known.map(query).collect();
    let has_unknown = matches.query().iter().any(|condition| condition.invert());
    match has_unknown {
        true => nearly.made.push("match.query"),
        false => drop(rest.said("match.query")),
    }
    if has_unknown || !matches.source_identities().is_empty() {
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
    Some(header_matcher(
        ":method",
        HeaderMatchSpecifier::StringMatch(string_matcher(pattern)),
        false,
    ))
}

fn header_matcher(name: &str, specifier: HeaderMatchSpecifier, inverted: bool) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: name.to_owned(),
        invert_match: inverted,
        treat_missing_header_as_empty: false,
        header_match_specifier: Some(specifier),
    }
}

/// A condition on a header.
pub(crate) fn header(condition: &HeaderMatch) -> pb::HeaderMatcher {
    let specifier = match pattern(condition.value()) {
        Some(pattern) => HeaderMatchSpecifier::StringMatch(string_matcher(pattern)),
        None => HeaderMatchSpecifier::PresentMatch(true),
    };
    header_matcher(condition.name().as_str(), specifier, condition.invert())
}

fn query(condition: &QueryMatch) -> pb::QueryParameterMatcher {
    let specifier = match pattern(condition.value()) {
        Some(pattern) => QueryParameterMatchSpecifier::StringMatch(string_matcher(pattern)),
        None => QueryParameterMatchSpecifier::PresentMatch(true),
    };
    pb::QueryParameterMatcher {
        name: condition.name().clone(),
        query_parameter_match_specifier: Some(specifier),
    }
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
