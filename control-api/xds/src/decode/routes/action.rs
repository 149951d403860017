//! What is done with a request: forwarded, redirected, answered.

use super::path::{self as paths, Rewriting};
use super::route_match::Matched;
use super::virtual_host::Inherited;
use super::{Refusals, forward};
use crate::support::message;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::core::v3::{DataSource, SubstitutionFormatString};
use envoy_types::pb::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use envoy_types::pb::envoy::config::route::v3::{DirectResponseAction, RedirectAction, Route, route};
use outrigger_config::document::{Map, Path, Value};

message! {
    pub(super) REDIRECT, refuse_redirect: RedirectAction as "envoy.config.route.v3.RedirectAction" {
        used: host_redirect, port_redirect, response_code, strip_query, scheme_rewrite_specifier,
            path_rewrite_specifier;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) DIRECT_RESPONSE, refuse_direct_response:
        DirectResponseAction as "envoy.config.route.v3.DirectResponseAction" {
        used: status, body, body_format;
        refused: ;
        ignored: ;
    }
}

/// The body format by which Envoy leaves a body as it is; with it comes a media type.
pub(crate) const BODY_AS_IT_IS: &str = "%LOCAL_REPLY_BODY%";

/// Puts a route's action into it.
pub(super) fn action(
    refusals: &mut Refusals,
    map: &mut Map,
    path: &Path,
    message: &Route,
    matched: &mut Matched,
    inherited: &Inherited<'_>,
) {
    match &message.action {
        None => refusals.fault(path, "it does not say what is done with requests"),
        Some(route::Action::Route(action)) => {
            let path = path.field("route");
            let forward = forward::forward(refusals, &path, action, matched, inherited);
            map.put("forward", forward.into());
        }
        Some(route::Action::Redirect(action)) => {
            let path = path.field("redirect");
            map.put("redirect", redirect(refusals, &path, action, matched).into());
        }
        Some(route::Action::DirectResponse(action)) => {
            let path = path.field("direct_response");
            map.put("direct_response", direct_response(refusals, &path, action).into());
        }
        Some(route::Action::FilterAction(_)) => {
            refusals.unsupported(&path.field("filter_action"), "leaving requests to a filter");
        }
        Some(route::Action::NonForwardingAction(_)) => {
            refusals.unsupported(&path.field("non_forwarding_action"), "not forwarding requests");
        }
    }
}

/// Puts what Envoy writes in the place of what was matched.
pub(super) fn put_prefix_rewrite(map: &mut Map, matched: &mut Matched, path: &Path, replacement: &str) {
    match matched.prefix_rewrite(path, replacement) {
        Rewriting::Prefix(value) => map.put("prefix_rewrite", value),
        Rewriting::Text(value) => {
            matched.replace_text();
            map.put("prefix_rewrite", value);
        }
        Rewriting::Regex(rewrite) => map.put("regex_rewrite", rewrite.into()),
    }
}

fn redirect(refusals: &mut Refusals, path: &Path, message: &RedirectAction, matched: &mut Matched) -> Map {
    refuse_redirect(refusals, path, message);
    let mut map = Map::new(path);
    match &message.scheme_rewrite_specifier {
        None | Some(SchemeRewriteSpecifier::HttpsRedirect(false)) => {}
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => {
            map.put("scheme", Value::text(&path.field("https_redirect"), "https"));
        }
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => {
            let scheme = Value::text(&path.field("scheme_redirect"), scheme.as_str());
            map.put("scheme", scheme);
        }
    }
    if !message.host_redirect.is_empty() {
        map.put(
            "host",
            Value::text(&path.field("host_redirect"), message.host_redirect.as_str()),
        );
    }
    if message.port_redirect != 0 {
        map.put(
            "port",
            Value::plain(&path.field("port_redirect"), message.port_redirect),
        );
    }
    match &message.path_rewrite_specifier {
        None => {}
        Some(PathRewriteSpecifier::PathRedirect(to)) => {
            map.put("path", Value::text(&path.field("path_redirect"), to.as_str()));
        }
        Some(PathRewriteSpecifier::PrefixRewrite(to)) => {
            put_prefix_rewrite(&mut map, matched, &path.field("prefix_rewrite"), to);
        }
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            let rewrite = paths::regex_rewrite(refusals, &path.field("regex_rewrite"), rewrite);
            map.put("regex_rewrite", rewrite.into());
        }
        Some(PathRewriteSpecifier::PathRewrite(_)) => {
            refusals.unsupported(&path.field("path_rewrite"), "a path with operators");
        }
    }
    let code_at = path.field("response_code");
    let status = match RedirectResponseCode::try_from(message.response_code) {
        Ok(RedirectResponseCode::MovedPermanently) => 301,
        Ok(RedirectResponseCode::Found) => 302,
        Ok(RedirectResponseCode::SeeOther) => 303,
        Ok(RedirectResponseCode::TemporaryRedirect) => 307,
        Ok(RedirectResponseCode::PermanentRedirect) => 308,
        Err(_) => {
            refusals.fault(&code_at, format!("there is no code {}", message.response_code));
            return map;
        }
    };
    map.put("status", Value::plain(&code_at, status));
    if message.strip_query {
        map.put("strip_query", Value::plain(&path.field("strip_query"), true));
    }
    map
}

fn direct_response(refusals: &mut Refusals, path: &Path, message: &DirectResponseAction) -> Map {
    refuse_direct_response(refusals, path, message);
    let mut map = Map::new(path).with("status", Value::plain(&path.field("status"), message.status));
    if let Some(source) = &message.body
        && let Some(body) = inline_text(refusals, &path.field("body"), source)
    {
        map.put("body", Value::text(&path.field("body"), body));
    }
    if let Some(format) = &message.body_format {
        let path = path.field("body_format");
        match media_type(format) {
            Some(media_type) => map.put(
                "content_type",
                Value::text(&path.field("content_type"), media_type),
            ),
            None => {
                let message = "only a media type can be said here, for a body that stays as it is";
                let help =
                    format!("write `text_format_source: {{inline_string: \"{BODY_AS_IT_IS}\"}}` beside it");
                refusals.fault_with_help(&path, message, help);
            }
        }
    }
    map
}

fn media_type(format: &SubstitutionFormatString) -> Option<&str> {
    let SubstitutionFormatString {
        omit_empty_values: false,
        content_type,
        formatters,
        json_format_options: None,
        format:
            Some(Format::TextFormatSource(DataSource {
                watched_directory: None,
                specifier: Some(Specifier::InlineString(text)),
            })),
    } = format
    else {
        return None;
    };
    let is_as_it_is = formatters.is_empty() && text == BODY_AS_IT_IS && !content_type.is_empty();
    is_as_it_is.then_some(content_type)
}

fn inline_text(refusals: &mut Refusals, path: &Path, source: &DataSource) -> Option<String> {
    let DataSource {
        watched_directory,
        specifier,
    } = source;
    refusals.refuse_set(path, "watched_directory", watched_directory.is_some());
    match specifier.as_ref()? {
        Specifier::InlineString(text) => Some(text.clone()),
        Specifier::InlineBytes(bytes) => match String::from_utf8(bytes.clone()) {
            Ok(text) => Some(text),
            Err(_) => {
                refusals.fault(&path.field("inline_bytes"), "this is no text");
                None
            }
        },
        Specifier::Filename(_) => {
            refusals.unsupported(&path.field("filename"), "a body from a file");
            None
        }
        Specifier::EnvironmentVariable(_) => {
            refusals.unsupported(&path.field("environment_variable"), "a body from the environment");
            None
        }
    }
}
