//! Which requests a route takes.

use super::path::{Rewriting, Specifier};
use super::{Refusals, path as paths};
use crate::decode::matching;
use crate::support::message;
use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, Route, RouteMatch};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) ROUTE_MATCH, refuse_route_match: RouteMatch as "envoy.config.route.v3.RouteMatch" {
        used: path_specifier, case_sensitive, headers, query_parameters, grpc, runtime_fraction;
        refused: cookies, tls_context, dynamic_metadata, filter_state;
        ignored: ;
    }
}
message! {
    pub(super) QUERY_PARAMETER_MATCHER, refuse_query_parameter_matcher:
        QueryParameterMatcher as "envoy.config.route.v3.QueryParameterMatcher" {
        used: name, query_parameter_match_specifier;
        refused: ;
        ignored: ;
    }
}

/// A route's match, whose path is still to be said: what an action does with it decides how.
pub(super) struct Matched {
    path: Path,
    specifier: Specifier,
    map: Map,
}

impl Matched {
    pub(super) fn of(refusals: &mut Refusals, route_path: &Path, route: &Route) -> Matched {
        let path = route_path.field("match");
        let Some(message) = &route.r#match else {
            refusals.fault(&path, "a match is missing");
            return Matched {
                map: Map::new(&path),
                specifier: Specifier::Unknown,
                path,
            };
        };
        refuse_route_match(refusals, &path, message);
        if message.case_sensitive.is_some_and(|sensitive| !sensitive.value) {
            refusals.unsupported(&path.field("case_sensitive"), "matching paths in any case");
        }
        fraction(
            refusals,
            &path.field("runtime_fraction"),
            route,
            message.runtime_fraction.as_ref(),
        );
        let mut map = Map::new(&path);
        let mut headers = Vec::new();
        let headers_at = path.field("headers");
        for (index, header) in message.headers.iter().enumerate() {
            condition(refusals, &headers_at.index(index), header, &mut map, &mut headers);
        }
        let mut specifier = paths::specifier(refusals, &path, message.path_specifier.as_ref());
        if message.grpc.is_some() && !specifier.make_grpc() {
            let at = path.field("grpc");
            let of_grpc = Map::new(&at)
                .with("name", Value::text(&at, "content-type"))
                .with("prefix", Value::text(&at, "application/grpc"));
            headers.push(of_grpc.into());
        }
        if !headers.is_empty() {
            map.put("headers", Value::list(&headers_at, headers));
        }
        query(
            refusals,
            &path.field("query_parameters"),
            &message.query_parameters,
            &mut map,
        );
        Matched { path, specifier, map }
    }

    /// What becomes of a path that Envoy writes `replacement` to, in the place of what is matched.
    pub(super) fn prefix_rewrite(&self, path: &Path, replacement: &str) -> Rewriting {
        self.specifier.prefix_rewrite(path, replacement)
    }

    /// The route takes CONNECT requests.
    pub(super) fn is_connect(&self) -> bool {
        matches!(self.specifier, Specifier::Connect(_))
    }

    /// What is matched is replaced as it stands, whatever segments it ends in.
    pub(super) fn replace_text(&mut self) {
        self.specifier.make_text();
    }

    pub(super) fn into_map(self) -> Map {
        let Matched {
            path,
            specifier,
            mut map,
        } = self;
        specifier.put(&path, &mut map);
        map
    }
}

/// A share of requests is refused, but for one: an encoder of ours takes a route from Envoy that has conditions which
/// Envoy does not know, by giving it no request.
fn fraction(
    refusals: &mut Refusals,
    path: &Path,
    route: &Route,
    fraction: Option<&RuntimeFractionalPercent>,
) {
    let Some(fraction) = fraction else {
        return;
    };
    let is_nothing = fraction.runtime_key.is_empty()
        && fraction
            .default_value
            .as_ref()
            .is_some_and(|share| share.numerator == 0);
    let metadata = route.metadata.as_ref();
    let ours = metadata.and_then(|metadata| metadata.filter_metadata.get(crate::decode::NAMESPACE));
    if !is_nothing || !ours.is_some_and(|fields| fields.fields.contains_key("match")) {
        refusals.unsupported(path, "taking a share of the requests");
    }
}

fn condition(
    refusals: &mut Refusals,
    path: &Path,
    matcher: &HeaderMatcher,
    map: &mut Map,
    headers: &mut Vec<Value>,
) {
    if matcher.name != ":method" {
        headers.extend(matching::header_conditions(refusals, path, matcher));
        return;
    }
    match methods(matcher) {
        Some(methods) if !map.has("methods") => {
            let methods = methods.into_iter().map(|method| Value::text(path, method));
            map.put("methods", Value::list(path, methods));
        }
        Some(_) => refusals.unsupported(path, "a second condition on the method"),
        None => refusals.unsupported(path, "matching methods otherwise than by `GET` or `GET|HEAD`"),
    }
}

/// The methods of a condition that lists them.
pub(super) fn methods(matcher: &HeaderMatcher) -> Option<Vec<String>> {
    if matcher.invert_match {
        return None;
    }
    #[allow(deprecated, reason = "older control planes still say it like this")]
    let listed = match matcher.header_match_specifier.as_ref()? {
        HeaderMatchSpecifier::ExactMatch(method) => return Some(vec![method.clone()]),
        HeaderMatchSpecifier::SafeRegexMatch(regex) => &regex.regex,
        HeaderMatchSpecifier::StringMatch(matcher) if !matcher.ignore_case => match &matcher.match_pattern {
            Some(MatchPattern::Exact(method)) => return Some(vec![method.clone()]),
            Some(MatchPattern::SafeRegex(regex)) => &regex.regex,
            _ => return None,
        },
        _ => return None,
    };
    let bare = listed
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(listed);
    let is_method = |method: &&str| {
        !method.is_empty()
            && method
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let methods: Vec<&str> = bare.split('|').collect();
    let are_methods = methods.iter().all(is_method);
    are_methods.then(|| methods.into_iter().map(str::to_owned).collect())
}

fn query(refusals: &mut Refusals, path: &Path, matchers: &[QueryParameterMatcher], map: &mut Map) {
    let mut conditions = Vec::with_capacity(matchers.len());
    for (index, matcher) in matchers.iter().enumerate() {
        let path = path.index(index);
        refuse_query_parameter_matcher(refusals, &path, matcher);
        let name = Value::text(&path.field("name"), matcher.name.as_str());
        let condition = Map::new(&path).with("name", name);
        let present = |path: &Path| ("present", Value::plain(path, true));
        let (field, value) = match &matcher.query_parameter_match_specifier {
            None | Some(QueryParameterMatchSpecifier::PresentMatch(true)) => present(&path),
            Some(QueryParameterMatchSpecifier::PresentMatch(false)) => {
                let (field, value) = present(&path.field("present_match"));
                let condition = condition
                    .with("invert", Value::plain(&path, true))
                    .with(field, value);
                conditions.push(condition.into());
                continue;
            }
            Some(QueryParameterMatchSpecifier::StringMatch(matcher)) => {
                match matching::text(refusals, &path.field("string_match"), matcher) {
                    Some(compared) => compared,
                    None => continue,
                }
            }
        };
        conditions.push(condition.with(field, value).into());
    }
    if !conditions.is_empty() {
        map.put("query", Value::list(path, conditions));
    }
}
