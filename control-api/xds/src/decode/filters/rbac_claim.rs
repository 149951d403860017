//! Claims of tokens, which Envoy's policies find in metadata.

use super::super::carried::Carried;
use super::super::{Refusals, matching};
use super::rbac_condition::{field_of, one};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::rbac::v3::SourcedMetadata;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    MetadataMatcher, ValueMatcher, list_matcher, metadata_matcher, value_matcher,
};
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&METADATA_MATCHER, &SOURCED_METADATA];

message! {
    pub(super) METADATA_MATCHER, refuse_metadata_matcher: MetadataMatcher
        as "envoy.type.matcher.v3.MetadataMatcher" {
        used: filter, path, value, invert;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) SOURCED_METADATA, refuse_sourced_metadata: SourcedMetadata
        as "envoy.config.rbac.v3.SourcedMetadata" {
        used: metadata_matcher, metadata_source;
        refused: ;
        ignored: ;
    }
}
/// The filter in whose metadata claims are found.
pub(crate) const JWT_FILTER: &str = "envoy.filters.http.jwt_authn";

pub(super) fn sourced(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    sourced: &SourcedMetadata,
) -> Option<Value> {
    let path = path.field("sourced_metadata");
    refuse_sourced_metadata(refusals, &path, sourced);
    if sourced.metadata_source != 0 {
        refusals.unsupported(
            &path.field("metadata_source"),
            "metadata other than that of the request",
        );
        return None;
    }
    let Some(matcher) = &sourced.metadata_matcher else {
        refusals.fault(&path, "`metadata_matcher` is missing");
        return None;
    };
    claim(refusals, carried, &path.field("metadata_matcher"), matcher)
}

/// Metadata is read where a token's claims stand in it.
pub(super) fn claim(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    matcher: &MetadataMatcher,
) -> Option<Value> {
    refuse_metadata_matcher(refusals, path, matcher);
    if matcher.filter != JWT_FILTER {
        let message = format!("only metadata of `{JWT_FILTER}` is implemented");
        refusals.fault(&path.field("filter"), message);
        return None;
    }
    let place = path.field("path");
    let mut keys = Vec::with_capacity(matcher.path.len());
    for segment in &matcher.path {
        let Some(metadata_matcher::path_segment::Segment::Key(key)) = &segment.segment else {
            refusals.fault(&place, "a segment is no key");
            return None;
        };
        keys.push(key.as_str());
    }
    let [payload, claims @ ..] = keys.as_slice() else {
        refusals.fault(&place, "it is empty");
        return None;
    };
    let provider = match carried.payloads.get(*payload) {
        Some(provider) => provider.clone(),
        None => carried.named(payload),
    };
    let (field, value) = claim_value(refusals, &path.field("value"), matcher.value.as_ref())?;
    let claims = claims.iter().map(|key| Value::text(&place, *key));
    let map = Map::new(path)
        .with("provider", Value::text(&place, provider))
        .with("path", Value::list(&place, claims))
        .with(field, value);
    let condition = one(path, "claims", map.into());
    Some(match matcher.invert {
        true => field_of(path, "not", condition),
        false => condition,
    })
}

/// A text, or a text in a list, or one of the two: here these are the same.
fn claim_value(
    refusals: &mut Refusals,
    path: &Path,
    value: Option<&ValueMatcher>,
) -> Option<(&'static str, Value)> {
    use value_matcher::MatchPattern as Pattern;
    match value.and_then(|value| value.match_pattern.as_ref()) {
        Some(Pattern::StringMatch(matcher)) => matching::text(refusals, &path.field("string_match"), matcher),
        Some(Pattern::BoolMatch(truth)) => {
            let path = path.field("bool_match");
            Some(("exact", Value::text(&path, truth.to_string())))
        }
        Some(Pattern::PresentMatch(true)) => {
            Some(("present", Value::plain(&path.field("present_match"), true)))
        }
        Some(Pattern::ListMatch(list)) => {
            let path = path.field("list_match");
            let list_matcher::MatchPattern::OneOf(inner) = list.match_pattern.as_ref()?;
            claim_value(refusals, &path.field("one_of"), Some(inner))
        }
        Some(Pattern::OrMatch(or)) if or.value_matchers.len() == 2 => {
            let path = path.field("or_match").field("value_matchers");
            let first = claim_value(refusals, &path.index(0), or.value_matchers.first())?;
            let second = claim_value(refusals, &path.index(1), or.value_matchers.last())?;
            if first.0 != second.0 || first.1.as_scalar() != second.1.as_scalar() {
                refusals.unsupported(&path, "comparing a claim in two ways");
                return None;
            }
            Some(first)
        }
        _ => {
            refusals.unsupported(path, "comparing a claim like this");
            None
        }
    }
}
