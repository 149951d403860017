//! Permissions and principals of RBAC policies as conditions.

use super::super::carried::Carried;
use super::super::{Refusals, matching, type_url, unpack};
use super::rbac::text_item;
use super::rbac_claim::{claim, sourced};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::rbac::v3::{
    Permission, Principal, permission::Rule, principal::Authenticated, principal::Identifier,
};
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, path_matcher, string_matcher::MatchPattern};
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&AUTHENTICATED, &URI_TEMPLATE, &PATH_MATCHER];

message! {
    pub(super) AUTHENTICATED, refuse_authenticated: Authenticated
        as "envoy.config.rbac.v3.Principal.Authenticated" {
        used: principal_name;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) URI_TEMPLATE, refuse_uri_template: UriTemplateMatchConfig
        as "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig" {
        used: path_template;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) PATH_MATCHER, refuse_path_matcher: PathMatcher as "envoy.type.matcher.v3.PathMatcher" {
        used: rule;
        refused: ;
        ignored: ;
    }
}

/// These match nothing: how a rule is written that never holds.
pub(super) fn is_never(permissions: &[Permission]) -> bool {
    let [
        Permission {
            rule: Some(Rule::NotRule(inner)),
        },
    ] = permissions
    else {
        return false;
    };
    matches!(inner.rule, Some(Rule::Any(true)))
}

pub(super) fn field_of(path: &Path, field: &'static str, value: Value) -> Value {
    Map::new(path).with(field, value).into()
}

pub(super) fn one(path: &Path, field: &'static str, value: Value) -> Value {
    field_of(path, field, Value::list(path, [value]))
}

fn always(path: &Path) -> Value {
    field_of(path, "always", Value::plain(path, true))
}

/// Of which one must hold; none if that is always so.
pub(super) fn permissions(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    permissions: &[Permission],
) -> Option<Value> {
    if permissions.is_empty() {
        refusals.fault(path, "permissions are missing");
    }
    if permissions
        .iter()
        .any(|one| matches!(one.rule, Some(Rule::Any(true))))
    {
        return None;
    }
    let mut values = Vec::with_capacity(permissions.len());
    for (index, permission) in permissions.iter().enumerate() {
        values.extend(self::permission(
            refusals,
            carried,
            &path.index(index),
            permission,
        ));
    }
    match values.len() {
        1 => values.pop(),
        _ => Some(field_of(path, "any_of", Value::list(path, values))),
    }
}

/// As [`permissions`].
pub(super) fn principals(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    principals: &[Principal],
) -> Option<Value> {
    if principals.is_empty() {
        refusals.fault(path, "principals are missing");
    }
    if principals
        .iter()
        .any(|one| matches!(one.identifier, Some(Identifier::Any(true))))
    {
        return None;
    }
    let mut values = Vec::with_capacity(principals.len());
    for (index, principal) in principals.iter().enumerate() {
        values.extend(self::principal(refusals, carried, &path.index(index), principal));
    }
    match values.len() {
        1 => values.pop(),
        _ => Some(field_of(path, "any_of", Value::list(path, values))),
    }
}

fn permission(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    permission: &Permission,
) -> Option<Value> {
    let Some(rule) = &permission.rule else {
        refusals.fault(path, "this permission says nothing");
        return None;
    };
    let mut all = |field: &'static str, name: &'static str, rules: &[Permission]| {
        let path = path.field(field).field("rules");
        let mut values = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            values.extend(self::permission(refusals, carried, &path.index(index), rule));
        }
        Some(field_of(&path, name, Value::list(&path, values)))
    };
    #[allow(deprecated, reason = "older control planes still say it like this")]
    match rule {
        Rule::AndRules(set) => all("and_rules", "all_of", &set.rules),
        Rule::OrRules(set) => match segment_prefix(path, &set.rules) {
            Some(value) => Some(value),
            None => all("or_rules", "any_of", &set.rules),
        },
        Rule::Any(true) => Some(always(&path.field("any"))),
        Rule::Any(false) => {
            refusals.fault(&path.field("any"), "only `true` can be said here");
            None
        }
        Rule::NotRule(inner) => {
            let path = path.field("not_rule");
            let inner = self::permission(refusals, carried, &path, inner)?;
            Some(field_of(&path, "not", inner))
        }
        Rule::Header(header) => self::header(refusals, &path.field("header"), header),
        Rule::UrlPath(found) => url_path(refusals, &path.field("url_path"), found),
        Rule::UriTemplate(template) => uri_template(refusals, &path.field("uri_template"), template),
        Rule::DestinationIp(range) => {
            let path = path.field("destination_ip");
            let range = matching::prefix(refusals, &path, range);
            Some(one(&path, "destination_addresses", range))
        }
        Rule::DestinationPort(port) => {
            let path = path.field("destination_port");
            Some(one(&path, "destination_ports", Value::plain(&path, port)))
        }
        Rule::DestinationPortRange(range) => {
            let path = path.field("destination_port_range");
            // The end is not in it.
            let range = Value::text(&path, format!("{}-{}", range.start, range.end.saturating_sub(1)));
            Some(one(&path, "destination_ports", range))
        }
        Rule::RequestedServerName(matcher) => {
            let path = path.field("requested_server_name");
            let name = text_item(refusals, &path, matcher)?;
            Some(one(&path, "server_names", name))
        }
        Rule::Metadata(matcher) => claim(refusals, carried, &path.field("metadata"), matcher),
        Rule::SourcedMetadata(found) => sourced(refusals, carried, path, found),
        Rule::Matcher(_) => {
            refusals.unsupported(&path.field("matcher"), "a matcher of another kind");
            None
        }
    }
}

fn principal(
    refusals: &mut Refusals,
    carried: &Carried,
    path: &Path,
    principal: &Principal,
) -> Option<Value> {
    let Some(identifier) = &principal.identifier else {
        refusals.fault(path, "this principal says nothing");
        return None;
    };
    let mut all = |field: &'static str, name: &'static str, ids: &[Principal]| {
        let path = path.field(field).field("ids");
        let mut values = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            values.extend(self::principal(refusals, carried, &path.index(index), id));
        }
        Some(field_of(&path, name, Value::list(&path, values)))
    };
    #[allow(deprecated, reason = "older control planes still say it like this")]
    match identifier {
        Identifier::AndIds(set) => all("and_ids", "all_of", &set.ids),
        Identifier::OrIds(set) => match identity_prefix(path, &set.ids) {
            Some(value) => Some(value),
            None => all("or_ids", "any_of", &set.ids),
        },
        Identifier::Any(true) => Some(always(&path.field("any"))),
        Identifier::Any(false) => {
            refusals.fault(&path.field("any"), "only `true` can be said here");
            None
        }
        Identifier::NotId(inner) => {
            let path = path.field("not_id");
            let inner = self::principal(refusals, carried, &path, inner)?;
            Some(field_of(&path, "not", inner))
        }
        Identifier::Authenticated(who) => authenticated(refusals, &path.field("authenticated"), who),
        Identifier::SourceIp(range) | Identifier::RemoteIp(range) => {
            let path = path.field("remote_ip");
            let range = matching::prefix(refusals, &path, range);
            Some(one(&path, "remote_addresses", range))
        }
        Identifier::DirectRemoteIp(range) => {
            let path = path.field("direct_remote_ip");
            let range = matching::prefix(refusals, &path, range);
            Some(one(&path, "direct_addresses", range))
        }
        Identifier::Header(header) => self::header(refusals, &path.field("header"), header),
        Identifier::UrlPath(found) => url_path(refusals, &path.field("url_path"), found),
        Identifier::Metadata(matcher) => claim(refusals, carried, &path.field("metadata"), matcher),
        Identifier::SourcedMetadata(found) => sourced(refusals, carried, path, found),
        Identifier::FilterState(_) => {
            refusals.unsupported(&path.field("filter_state"), "looking at filter state");
            None
        }
        Identifier::Custom(_) => {
            refusals.unsupported(&path.field("custom"), "a principal of another kind");
            None
        }
    }
}

/// `/a` or what begins with `/a/`: what is meant by a prefix on segment borders.
fn segment_prefix(path: &Path, rules: &[Permission]) -> Option<Value> {
    let pattern = |rule: &Permission| match &rule.rule {
        Some(Rule::UrlPath(PathMatcher {
            rule: Some(path_matcher::Rule::Path(matcher)),
        })) if !matcher.ignore_case => matcher.match_pattern.clone(),
        _ => None,
    };
    let [exact, below] = rules else { return None };
    let prefix = one_and_below(pattern(exact)?, &pattern(below)?)?;
    let path = path.field("or_rules");
    let value = field_of(&path, "prefix", Value::text(&path, prefix));
    Some(one(&path, "paths", value))
}

fn identity_prefix(path: &Path, ids: &[Principal]) -> Option<Value> {
    let pattern = |id: &Principal| match &id.identifier {
        Some(Identifier::Authenticated(Authenticated {
            principal_name: Some(matcher),
        })) if !matcher.ignore_case => matcher.match_pattern.clone(),
        _ => None,
    };
    let [exact, below] = ids else { return None };
    let prefix = one_and_below(pattern(exact)?, &pattern(below)?)?;
    let path = path.field("or_ids");
    prefix
        .starts_with("spiffe://")
        .then(|| one(&path, "spiffe_prefixes", Value::text(&path, prefix)))
}

fn one_and_below(exact: MatchPattern, below: &MatchPattern) -> Option<String> {
    let (MatchPattern::Exact(exact), MatchPattern::Prefix(below)) = (exact, below) else {
        return None;
    };
    (below.strip_suffix('/') == Some(exact.as_str())).then_some(exact)
}

fn authenticated(refusals: &mut Refusals, path: &Path, who: &Authenticated) -> Option<Value> {
    refuse_authenticated(refusals, path, who);
    let Some(matcher) = &who.principal_name else {
        return Some(field_of(path, "authenticated", Value::plain(path, true)));
    };
    let path = path.field("principal_name");
    let (field, value) = matching::text(refusals, &path, matcher)?;
    let text = value.as_scalar().unwrap_or_default();
    if field == "exact" && text.starts_with("spiffe://") {
        return Some(one(&path, "spiffe_ids", value));
    }
    if field == "prefix"
        && let Some(domain) = text
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_suffix('/'))
        && !domain.contains('/')
    {
        return Some(one(&path, "trust_domains", Value::text(&path, domain)));
    }
    Some(one(&path, "peer_names", field_of(&path, field, value)))
}

/// A header; the pseudo-headers are other conditions here.
fn header(refusals: &mut Refusals, path: &Path, header: &HeaderMatcher) -> Option<Value> {
    if !header.name.starts_with(':') {
        let conditions = matching::header_conditions(refusals, path, header);
        let conditions = Value::list(path, conditions);
        return Some(field_of(path, "headers", conditions));
    }
    let (field, value, inverted) = matching::header_value(refusals, path, header)?;
    let text = value.as_scalar().unwrap_or_default();
    let condition = match (header.name.as_str(), field) {
        (":method", "exact") => one(path, "methods", value),
        (":authority", "exact") if !text.contains([':', '*']) => one(path, "hosts", value),
        (":authority", "suffix") if !text.contains([':', '*']) => {
            one(path, "hosts", Value::text(path, format!("*{text}")))
        }
        (":path", "exact") if !text.contains('?') => one(path, "paths", field_of(path, "path", value)),
        _ => {
            let name = &header.name;
            refusals.fault(
                path,
                format!("comparing `{name}` by `{field}` like this is not implemented"),
            );
            return None;
        }
    };
    Some(match inverted {
        true => field_of(path, "not", condition),
        false => condition,
    })
}

fn url_path(refusals: &mut Refusals, path: &Path, matcher: &PathMatcher) -> Option<Value> {
    refuse_path_matcher(refusals, path, matcher);
    let Some(path_matcher::Rule::Path(matcher)) = &matcher.rule else {
        refusals.fault(path, "a path is missing");
        return None;
    };
    let path = path.field("path");
    let ignore_case = matcher.ignore_case;
    let (field, value) = matching::text(refusals, &path, matcher)?;
    let text = value.as_scalar().unwrap_or_default();
    // Of the other ways there are only regular expressions.
    let value = match field {
        "exact" => field_of(&path, "path", value),
        "prefix" if text.ends_with('/') => field_of(&path, "prefix", value),
        "prefix" => field_of(&path, "string_prefix", value),
        "regex" => field_of(&path, "regex", value),
        _ => {
            let regex = matching::as_regex(field, text, ignore_case);
            field_of(&path, "regex", Value::text(&path, regex))
        }
    };
    Some(one(&path, "paths", value))
}

fn uri_template(refusals: &mut Refusals, path: &Path, config: &TypedExtensionConfig) -> Option<Value> {
    let path = path.field("typed_config");
    let Some(any) = &config.typed_config else {
        refusals.fault(&path, "it is missing");
        return None;
    };
    let url = type_url::<UriTemplateMatchConfig>();
    let template: UriTemplateMatchConfig = unpack(refusals, &path, any, &url)?;
    refuse_uri_template(refusals, &path, &template);
    let path = path.field("path_template");
    if template.path_template.contains(['*', '=']) {
        refusals.unsupported(&path, "a template with `*` or patterns of variables");
        return None;
    }
    let value = field_of(&path, "template", Value::text(&path, template.path_template));
    Some(one(&path, "paths", value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;

    /// To Envoy a request without the header does not meet it: a policy that allows by it must not be wider here.
    #[test]
    fn the_opposite_of_a_condition_on_a_header_needs_the_header() {
        let mut refusals = Refusals::default();
        let mut matcher = HeaderMatcher {
            name: "x".into(),
            invert_match: true,
            header_match_specifier: Some(HeaderMatchSpecifier::PrefixMatch("v".into())),
            ..HeaderMatcher::default()
        };
        let mut conditions = |matcher: &HeaderMatcher| {
            let condition = header(&mut refusals, &Path::root(), matcher).unwrap();
            let headers = condition.into_map().unwrap().take("headers").unwrap();
            headers.into_list().unwrap()
        };
        let both = conditions(&matcher);
        assert_eq!(both.len(), 2);
        assert!(both[1].clone().into_map().unwrap().has("present"));
        matcher.treat_missing_header_as_empty = true;
        assert_eq!(conditions(&matcher).len(), 1);
    }
}
