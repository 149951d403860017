//! Redirects and direct responses.

use super::path::{self, Fields, Rewriting};
use super::virtual_host::Nearly;
use crate::decode::routes::BODY_AS_IT_IS;
use crate::encode::Remainder;
use crate::encode::value;
use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use outrigger_config::model::{DirectResponse, PathMatch, Redirect, RedirectPath, defaults};

const REWRITES: Fields = Fields {
    prefix: "redirect.prefix_rewrite",
    regex: "redirect.regex_rewrite",
    template: "redirect.template_rewrite",
    has_templates: false,
};

pub(super) fn redirect(
    redirect: &Redirect,
    matched: &PathMatch,
    rest: &mut Remainder,
    nearly: &mut Nearly,
) -> pb::RedirectAction {
    for field in ["scheme", "host", "port", "status", "strip_query"] {
        rest.said(&format!("redirect.{field}"));
    }
    let path = redirect.path().as_ref().and_then(|path| match path {
        RedirectPath::Full(path) => {
            rest.said("redirect.path");
            Some(PathRewriteSpecifier::PathRedirect(path.clone()))
        }
        RedirectPath::Rewrite(rewrite) => match path::rewriting(rewrite, matched, &REWRITES, rest, nearly) {
            Rewriting::Prefix(to) => Some(PathRewriteSpecifier::PrefixRewrite(to)),
            Rewriting::Regex(rewrite) => Some(PathRewriteSpecifier::RegexRewrite(rewrite)),
            Rewriting::Template(_) | Rewriting::Unknown => None,
        },
    });
    let code = match redirect.status() {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    };
    pb::RedirectAction {
        scheme_rewrite_specifier: redirect
            .scheme()
            .clone()
            .map(SchemeRewriteSpecifier::SchemeRedirect),
        host_redirect: redirect.host().clone().unwrap_or_default(),
        port_redirect: redirect.port().map_or(0, u32::from),
        path_rewrite_specifier: path,
        response_code: code.into(),
        strip_query: redirect.strip_query(),
    }
}

pub(super) fn direct_response(response: &DirectResponse, rest: &mut Remainder) -> pb::DirectResponseAction {
    rest.said("direct_response");
    let has_default_type = response.content_type() == defaults::DIRECT_RESPONSE_CONTENT_TYPE;
    pb::DirectResponseAction {
        status: response.status().into(),
        body: (!response.body().is_empty()).then(|| value::text(response.body())),
        body_format: (!has_default_type).then(|| SubstitutionFormatString {
            content_type: response.content_type().clone(),
            format: Some(Format::TextFormatSource(value::text(BODY_AS_IT_IS))),
            ..SubstitutionFormatString::default()
        }),
    }
}
