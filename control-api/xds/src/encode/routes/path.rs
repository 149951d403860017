//! How a route's path is matched, and what is made of it.
//!
//! Envoy replaces the text of what was matched, ours keep one slash at the border of a prefix: where that differs, a
//! regular expression says to Envoy what is meant, or, for the path at the very border, nearly so.

use super::route_match::regex;
use super::virtual_host::Nearly;
use crate::decode::routes::escaped;
use crate::encode::Remainder;
use crate::encode::value::extension;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::route::v3::route_match::{ConnectMatcher, PathSpecifier};
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy_types::pb::envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use outrigger_config::model::{
    PathMatch, PathRewrite, PathTemplate, RegexRewrite, RouteMatch, TemplateSegment,
};

/// Variables of a template of Envoy's at most, and characters of their names.
const VARIABLES_MAX: usize = 5;
const VARIABLE_CHARACTERS_MAX: usize = 16;
/// Groups of a regular expression that a substitution can name.
const GROUPS_MAX: usize = 9;

pub(super) fn specifier(matches: &RouteMatch, rest: &mut Remainder, nearly: &mut Nearly) -> PathSpecifier {
    if matches.connect() {
        rest.said("match.connect");
        return PathSpecifier::ConnectMatcher(ConnectMatcher {});
    }
    let said = match matches.path() {
        _ if matches.grpc() => "match.grpc",
        PathMatch::Exact(_) => "match.path",
        PathMatch::Prefix(_) => "match.prefix",
        PathMatch::StringPrefix(prefix) if prefix.ends_with('/') => {
            nearly.add(&["match.prefix", "match.string_prefix"], "match.string_prefix");
            ""
        }
        PathMatch::StringPrefix(_) => "match.string_prefix",
        PathMatch::Template(template) if is_envoys(template) => "match.template",
        PathMatch::Template(_) => {
            nearly.add(&["match.regex"], "match.template");
            ""
        }
        PathMatch::Regex(_) => "match.regex",
    };
    rest.said(said);
    match matches.path() {
        PathMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        PathMatch::Prefix(prefix) if prefix.ends_with('/') => PathSpecifier::Prefix(prefix.clone()),
        PathMatch::Prefix(prefix) => PathSpecifier::PathSeparatedPrefix(prefix.clone()),
        PathMatch::StringPrefix(prefix) => PathSpecifier::Prefix(prefix.clone()),
        PathMatch::Template(template) if is_envoys(template) => {
            let config = UriTemplateMatchConfig {
                path_template: template.source().clone(),
            };
            PathSpecifier::PathMatchPolicy(extension(
                "envoy.path.match.uri_template.uri_template_matcher",
                &config,
            ))
        }
        PathMatch::Template(template) => PathSpecifier::SafeRegex(regex(expression(template, "[^/]+"))),
        PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern.source())),
    }
}

/// A template that Envoy takes.
fn is_envoys(template: &PathTemplate) -> bool {
    let is_name = |name: &str| {
        name.len() <= VARIABLE_CHARACTERS_MAX && name.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    template.variables().count() <= VARIABLES_MAX
        && template.segments().iter().all(|segment| match segment {
            TemplateSegment::Literal(text) => !text.is_empty() && text.bytes().all(is_literal),
            TemplateSegment::Variable(name) => is_name(name),
        })
}

fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&byte)
}

/// The paths of a template as a regular expression.
fn expression(template: &PathTemplate, variable: &str) -> String {
    let segments = template.segments().iter().map(|segment| match segment {
        TemplateSegment::Literal(text) => format!("/{}", escaped(text)),
        TemplateSegment::Variable(_) => format!("/{variable}"),
    });
    segments.collect()
}

/// What an action writes in the place of a path.
pub(super) enum Rewriting {
    /// In the place of what was matched.
    Prefix(String),
    Regex(RegexMatchAndSubstitute),
    Template(TypedExtensionConfig),
    /// Nothing that Envoy knows.
    Unknown,
}

/// The fields of the document that an action has for rewrites.
pub(super) struct Fields {
    pub(super) prefix: &'static str,
    pub(super) regex: &'static str,
    pub(super) template: &'static str,
    /// The action has rewrites by template on the wire, too.
    pub(super) has_templates: bool,
}

pub(super) fn rewriting(
    rewrite: &PathRewrite,
    matched: &PathMatch,
    fields: &Fields,
    rest: &mut Remainder,
    nearly: &mut Nearly,
) -> Rewriting {
    match rewrite {
        PathRewrite::Prefix(to) => prefix(to, matched, fields, rest, nearly),
        PathRewrite::Regex(rewrite) => {
            rest.said(fields.regex);
            Rewriting::Regex(substitute(rewrite.source(), written_substitution(rewrite)))
        }
        PathRewrite::Template(to) => {
            let PathMatch::Template(from) = matched else {
                return Rewriting::Unknown;
            };
            if fields.has_templates && is_envoys(from) && is_envoys(to) {
                rest.said(fields.template);
                let config = UriTemplateRewriteConfig {
                    path_template_rewrite: to.source().clone(),
                };
                return Rewriting::Template(extension(
                    "envoy.path.rewrite.uri_template.uri_template_rewriter",
                    &config,
                ));
            }
            if from.variables().count() > GROUPS_MAX {
                return Rewriting::Unknown;
            }
            nearly.add(&[fields.regex], fields.template);
            Rewriting::Regex(substitute(
                &format!("^{}$", expression(from, "([^/]+)")),
                filled(from, to),
            ))
        }
    }
}

fn prefix(
    to: &str,
    matched: &PathMatch,
    fields: &Fields,
    rest: &mut Remainder,
    nearly: &mut Nearly,
) -> Rewriting {
    match matched {
        // The slash behind what was matched is that of the replacement.
        PathMatch::Prefix(from) if !from.ends_with('/') && to.ends_with('/') => {
            nearly.add(&[fields.regex], fields.prefix);
            Rewriting::Regex(substitute(
                &format!("^{}/?", escaped(from)),
                to.replace('\\', "\\\\"),
            ))
        }
        // But for the path that is the prefix itself, which is then `to` without a slash.
        PathMatch::Prefix(from) if from.ends_with('/') && !to.ends_with('/') => {
            nearly.add(&[fields.prefix], fields.prefix);
            Rewriting::Prefix(format!("{to}/"))
        }
        _ => {
            rest.said(fields.prefix);
            Rewriting::Prefix(to.to_owned())
        }
    }
}

fn substitute(pattern: &str, substitution: String) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(regex(pattern)),
        substitution,
    }
}

/// A template to be written, with the groups of [`expression`] for its variables.
fn filled(from: &PathTemplate, to: &PathTemplate) -> String {
    let segments = to.segments().iter().map(|segment| match segment {
        TemplateSegment::Literal(text) => format!("/{}", text.replace('\\', "\\\\")),
        TemplateSegment::Variable(name) => {
            let group = from
                .variables()
                .position(|variable| variable == name)
                .map_or(0, |at| at + 1);
            format!("/\\{group}")
        }
    });
    segments.collect()
}

/// From the regex crate's syntax to that of the document and of Envoy: `${1}` is `\1`, `$$` is `$`.
fn written_substitution(rewrite: &RegexRewrite) -> String {
    let mut written = String::with_capacity(rewrite.substitution().len());
    let mut rest = rewrite.substitution();
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$$") {
            written.push('$');
            rest = after;
        } else if let Some((group, after)) = rest.strip_prefix("${").and_then(|inner| inner.split_once('}')) {
            written.push('\\');
            written.push_str(group);
            rest = after;
        } else {
            if letter == '\\' {
                written.push('\\');
            }
            written.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    written
}
