//! How a route's path is matched, and what is made of it.
//!
//! Envoy's prefixes are texts, ours end on borders of segments; Envoy replaces the text of what was matched, ours keeps
//! one slash at the border. What is said here means what it means to Envoy.

use super::Refusals;
use crate::decode::{matching, type_url, unpack};
use crate::support::message;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy_types::pb::envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) URI_TEMPLATE_MATCH, refuse_uri_template_match:
        UriTemplateMatchConfig as "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig" {
        used: path_template;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) URI_TEMPLATE_REWRITE, refuse_uri_template_rewrite:
        UriTemplateRewriteConfig as "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig" {
        used: path_template_rewrite;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) REGEX_REWRITE, refuse_regex_rewrite:
        RegexMatchAndSubstitute as "envoy.type.matcher.v3.RegexMatchAndSubstitute" {
        used: pattern, substitution;
        refused: ;
        ignored: ;
    }
}

/// What a path is compared with; texts as they are in the message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Specifier {
    /// The path begins with this text.
    Text(String),
    /// The same, in the document's words: the text ends with `/`.
    Below(String),
    /// This path and what is below it.
    Separated(String),
    Whole(String),
    Regex(String),
    Template(String),
    Connect(()),
    /// A gRPC service, or one of its methods.
    Grpc(String, Option<String>),
    /// It is refused.
    Unknown,
}

/// What is to be said where Envoy writes a text in the place of what was matched.
pub(super) enum Rewriting {
    /// The document's `prefix_rewrite`.
    Prefix(Value),
    /// That, of a text: [`super::route_match::Matched::replace_text`].
    Text(Value),
    /// The document's `regex_rewrite`.
    Regex(Map),
}

pub(super) fn specifier(refusals: &mut Refusals, path: &Path, given: Option<&PathSpecifier>) -> Specifier {
    match given {
        None => {
            refusals.fault(path, "it does not say which paths");
            Specifier::Unknown
        }
        // Either takes everything.
        Some(PathSpecifier::Prefix(text)) if text.is_empty() => Specifier::Below("/".to_owned()),
        Some(PathSpecifier::Prefix(text)) if text.ends_with('/') => Specifier::Below(text.clone()),
        Some(PathSpecifier::Prefix(text)) => Specifier::Text(text.clone()),
        Some(PathSpecifier::PathSeparatedPrefix(text)) => Specifier::Separated(text.clone()),
        Some(PathSpecifier::Path(text)) => Specifier::Whole(text.clone()),
        Some(PathSpecifier::SafeRegex(regex)) => {
            matching::regex_text(refusals, &path.field("safe_regex"), regex);
            Specifier::Regex(regex.regex.clone())
        }
        Some(PathSpecifier::ConnectMatcher(_)) => Specifier::Connect(()),
        Some(PathSpecifier::PathMatchPolicy(policy)) => {
            template(refusals, &path.field("path_match_policy"), policy)
                .map_or(Specifier::Unknown, Specifier::Template)
        }
    }
}

fn template(refusals: &mut Refusals, path: &Path, policy: &TypedExtensionConfig) -> Option<String> {
    let path = path.field("typed_config");
    let config = policy.typed_config.clone().unwrap_or_default();
    let message: UriTemplateMatchConfig =
        unpack(refusals, &path, &config, &type_url::<UriTemplateMatchConfig>())?;
    refuse_uri_template_match(refusals, &path, &message);
    let path = path.field("path_template");
    is_template(refusals, &path, &message.path_template).then_some(message.path_template)
}

/// Envoy's templates know `*`, `**` and variables of several segments, too.
fn is_template(refusals: &mut Refusals, path: &Path, text: &str) -> bool {
    let wide = text.contains('*') || text.split('{').skip(1).any(|variable| variable.contains('='));
    if wide {
        refusals.unsupported(
            path,
            "a template with `*`, or with variables that are not one segment,",
        );
    }
    !wide
}

/// The document's `template_rewrite`.
pub(super) fn template_rewrite(
    refusals: &mut Refusals,
    path: &Path,
    policy: &TypedExtensionConfig,
) -> Option<Value> {
    let path = path.field("typed_config");
    let config = policy.typed_config.clone().unwrap_or_default();
    let message: UriTemplateRewriteConfig =
        unpack(refusals, &path, &config, &type_url::<UriTemplateRewriteConfig>())?;
    refuse_uri_template_rewrite(refusals, &path, &message);
    let path = path.field("path_template_rewrite");
    Some(Value::text(&path, message.path_template_rewrite))
}

/// The document's `regex_rewrite`.
pub(super) fn regex_rewrite(refusals: &mut Refusals, path: &Path, rewrite: &RegexMatchAndSubstitute) -> Map {
    refuse_regex_rewrite(refusals, path, rewrite);
    let pattern = rewrite.pattern.clone().unwrap_or_default();
    Map::new(path)
        .with(
            "pattern",
            matching::regex_text(refusals, &path.field("pattern"), &pattern),
        )
        .with(
            "substitution",
            Value::text(&path.field("substitution"), rewrite.substitution.as_str()),
        )
}

/// A regular expression that is this text.
pub(crate) fn escaped(text: &str) -> String {
    let mut expression = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            expression.push('\\');
        }
        expression.push(character);
    }
    expression
}

impl Specifier {
    /// Makes it one of gRPC; false: the document has no word for that.
    pub(super) fn make_grpc(&mut self) -> bool {
        let is_name = |text: &str, also: &str| {
            let legal =
                |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || also.contains(letter);
            !text.is_empty() && text.chars().all(legal)
        };
        let found = match self {
            Specifier::Below(prefix) => {
                let service = prefix.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
                service.map(|service| (service.to_owned(), None))
            }
            Specifier::Whole(path) => {
                let parts = path.strip_prefix('/').and_then(|rest| rest.split_once('/'));
                parts.map(|(service, method)| (service.to_owned(), Some(method.to_owned())))
            }
            _ => None,
        };
        let found = found.filter(|(service, method)| {
            is_name(service, ".") && method.as_ref().is_none_or(|method| is_name(method, ""))
        });
        match found {
            Some((service, method)) => *self = Specifier::Grpc(service, method),
            None => return false,
        }
        true
    }

    pub(super) fn make_text(&mut self) {
        if let Specifier::Below(text) = self {
            *self = Specifier::Text(std::mem::take(text));
        }
    }

    pub(super) fn prefix_rewrite(&self, path: &Path, replacement: &str) -> Rewriting {
        let text = || Value::text(path, replacement);
        let whole = |pattern: String| {
            let substitution = replacement.replace('\\', "\\\\");
            Rewriting::Regex(
                Map::new(path)
                    .with("pattern", Value::text(path, pattern))
                    .with("substitution", Value::text(path, substitution)),
            )
        };
        match self {
            Specifier::Below(_) if !replacement.ends_with('/') => Rewriting::Text(text()),
            Specifier::Separated(prefix) if replacement.ends_with('/') => {
                whole(format!("^{}", escaped(prefix)))
            }
            Specifier::Grpc(service, None) if !replacement.ends_with('/') => {
                whole(format!("^/{}/", escaped(service)))
            }
            // There is no prefix: Envoy replaces the whole path.
            Specifier::Regex(_) => whole("^.*$".to_owned()),
            _ => Rewriting::Prefix(text()),
        }
    }

    /// Puts it into a match.
    pub(super) fn put(self, path: &Path, map: &mut Map) {
        let text = |field, text: String| Value::text(&path.field(field), text);
        match self {
            Specifier::Text(prefix) => map.put("string_prefix", text("prefix", prefix)),
            Specifier::Below(prefix) => map.put("prefix", text("prefix", prefix)),
            Specifier::Separated(prefix) => map.put("prefix", text("path_separated_prefix", prefix)),
            Specifier::Whole(whole) => map.put("path", text("path", whole)),
            Specifier::Regex(regex) => {
                let at = path.field("safe_regex").field("regex");
                map.put("regex", Value::text(&at, regex));
            }
            Specifier::Template(template) => map.put("template", text("path_match_policy", template)),
            Specifier::Connect(()) => map.put("connect", Value::plain(&path.field("connect_matcher"), true)),
            Specifier::Grpc(service, method) => {
                let mut grpc = Map::new(&path.field("grpc")).with("service", text("grpc", service));
                if let Some(method) = method {
                    grpc.put("method", text("path", method));
                }
                map.put("grpc", grpc.into());
            }
            Specifier::Unknown => {}
        }
    }
}
