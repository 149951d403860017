//! How texts, headers and addresses are compared, as messages.

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};
use envoy_types::pb::envoy::r#type::matcher::v3::{
    RegexMatcher, StringMatcher, string_matcher::MatchPattern,
};
use ipnet::IpNet;
use outrigger_config::model::{HeaderMatch, StringMatch};

/// A pattern as a matcher.
pub(crate) fn string(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(pattern),
        ignore_case: false,
    }
}

/// This text and no other.
pub(crate) fn exact(text: impl Into<String>) -> StringMatcher {
    string(MatchPattern::Exact(text.into()))
}

/// A regular expression, which matches the whole.
pub(crate) fn regex(regex: impl Into<String>) -> StringMatcher {
    string(MatchPattern::SafeRegex(regex_matcher(regex)))
}

/// A regular expression by itself.
pub(crate) fn regex_matcher(regex: impl Into<String>) -> RegexMatcher {
    RegexMatcher {
        regex: regex.into(),
        ..RegexMatcher::default()
    }
}

/// How a text is compared; none for one that is only there.
pub(crate) fn text(value: &StringMatch) -> Option<StringMatcher> {
    Some(match value {
        StringMatch::Exact(text) => exact(text.as_str()),
        StringMatch::Prefix(text) => string(MatchPattern::Prefix(text.clone())),
        StringMatch::Suffix(text) => string(MatchPattern::Suffix(text.clone())),
        StringMatch::Contains(text) => string(MatchPattern::Contains(text.clone())),
        StringMatch::Regex(pattern) => regex(pattern.source()),
        StringMatch::Present => return None,
    })
}

/// A condition on a header. What is missing matches nothing, and so what is inverted: Envoy is told so where it can be.
pub(crate) fn header(condition: &HeaderMatch) -> HeaderMatcher {
    let matcher = text(condition.value());
    let treat_missing = condition.invert()
        && match condition.value() {
            StringMatch::Exact(text)
            | StringMatch::Prefix(text)
            | StringMatch::Suffix(text)
            | StringMatch::Contains(text) => !text.is_empty(),
            StringMatch::Regex(_) | StringMatch::Present => false,
        };
    HeaderMatcher {
        name: condition.name().as_str().to_owned(),
        invert_match: condition.invert(),
        treat_missing_header_as_empty: treat_missing,
        header_match_specifier: Some(match matcher {
            Some(matcher) => HeaderMatchSpecifier::StringMatch(matcher),
            None => HeaderMatchSpecifier::PresentMatch(true),
        }),
    }
}

/// A prefix of addresses.
pub(crate) fn prefix(prefix: &IpNet) -> CidrRange {
    CidrRange {
        address_prefix: prefix.addr().to_string(),
        prefix_len: Some(super::value::number(prefix.prefix_len().into())),
    }
}
