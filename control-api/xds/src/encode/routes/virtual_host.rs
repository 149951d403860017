//! Virtual hosts and routes.

use super::{action, header_edits, route_match};
use crate::encode::Remainder;
use crate::encode::filters::{self, Carrying};
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::virtual_host::TlsRequirementType;
use outrigger_config::model::{Domain, Route, RouteAction, VirtualHost};
use serde_json::{Value as Json, json};

pub(super) fn virtual_host(
    carrying: &mut Carrying<'_>,
    host: &VirtualHost,
    json: &Json,
    only_ours: &mut Vec<String>,
) -> pb::VirtualHost {
    let mut rest = Remainder::of(json.clone());
    let mut message = pb::VirtualHost {
        name: host.name().to_string(),
        domains: host.domains().iter().map(domain).collect(),
        ..pb::VirtualHost::default()
    };
    rest.said("name");
    rest.said("domains");
    rest.said("routes");
    let mut nearly = Vec::new();
    if let Some(redirect) = host.https_redirect() {
        message.require_tls = TlsRequirementType::All.into();
        match redirect.port().is_none() && redirect.status() == 301 {
            true => drop(rest.said("https_redirect")),
            false => nearly.push("https_redirect"),
        }
    }
    for field in ["https_redirect", "hsts"] {
        rest.unless(field, false);
    }
    let written = header_edits::edits(&mut rest, "request_headers", host.request_headers());
    message.request_headers_to_add = written.add;
    message.request_headers_to_remove = written.remove;
    let written = header_edits::edits(&mut rest, "response_headers", host.response_headers());
    message.response_headers_to_add = written.add;
    message.response_headers_to_remove = written.remove;
    message.typed_per_filter_config = filters::of_virtual_host(carrying, host, &mut rest);
    let of_host = rest
        .names_within(&["request_headers", "response_headers"])
        .into_iter();
    only_ours.extend(of_host.filter(|field| !nearly.contains(&field.as_str())));
    for (index, route) in host.routes().iter().enumerate() {
        let mut ours = Vec::new();
        message
            .routes
            .push(self::route(carrying, route, &json["routes"][index], &mut ours));
        only_ours.extend(ours.into_iter().map(|field| format!("routes[{index}].{field}")));
    }
    put_nearly(&mut rest, &nearly);
    message.metadata = rest.into_metadata(None);
    message
}

fn domain(domain: &Domain) -> String {
    match domain {
        Domain::Exact(host) => host.clone(),
        Domain::Suffix(suffix) => format!("*{suffix}"),
        Domain::Prefix(prefix) => format!("{prefix}*"),
        Domain::Any => "*".to_owned(),
    }
}

fn put_nearly(rest: &mut Remainder, nearly: &[&'static str]) {
    if !nearly.is_empty() {
        rest.put(crate::decode::NEARLY, json!(nearly));
    }
}

/// What of a route the message says nearly, and what says it exactly.
#[derive(Debug, Default)]
pub(super) struct Nearly {
    /// Fields that a decoder makes of the message, to be left out.
    pub(super) made: Vec<&'static str>,
    /// Fields that the metadata has in their place.
    pub(super) meant: Vec<&'static str>,
}

impl Nearly {
    pub(super) fn add(&mut self, made: &[&'static str], meant: &'static str) {
        self.made.extend(made);
        self.meant.push(meant);
    }
}

fn route(carrying: &mut Carrying<'_>, route: &Route, json: &Json, only_ours: &mut Vec<String>) -> pb::Route {
    let mut rest = Remainder::of(json.clone());
    let mut nearly = Nearly::default();
    let mut message = pb::Route {
        name: route.name().to_string(),
        ..pb::Route::default()
    };
    rest.said("name");
    message.r#match = Some(route_match::route_match(route.matches(), &mut rest, &mut nearly));
    let path = route.matches().path();
    message.action = Some(match route.action() {
        RouteAction::Forward(forward) => {
            let (action, per_filter) =
                super::forward::forward(forward, route.matches(), &mut rest, &mut nearly);
            message.typed_per_filter_config.extend(per_filter);
            pb::route::Action::Route(action)
        }
        RouteAction::Redirect(redirect) => {
            pb::route::Action::Redirect(action::redirect(redirect, path, &mut rest, &mut nearly))
        }
        RouteAction::DirectResponse(response) => {
            pb::route::Action::DirectResponse(action::direct_response(response, &mut rest))
        }
    });
    let written = header_edits::edits(&mut rest, "request_headers", route.request_headers());
    message.request_headers_to_add = written.add;
    message.request_headers_to_remove = written.remove;
    let written = header_edits::edits(&mut rest, "response_headers", route.response_headers());
    message.response_headers_to_add = written.add;
    message.response_headers_to_remove = written.remove;
    let per_filter = filters::of_route(carrying, route, &mut rest);
    message.typed_per_filter_config.extend(per_filter);
    let opened = [
        "match",
        "forward",
        "forward.retry",
        "redirect",
        "request_headers",
        "response_headers",
    ];
    // Whatever may be sent twice without harm may be by others, too.
    nearly.meant.push("forward.retry.idempotent");
    let left = rest.names_within(&opened).into_iter();
    only_ours.extend(left.filter(|field| !nearly.meant.contains(&field.as_str())));
    put_nearly(&mut rest, &nearly.made);
    message.metadata = rest.into_metadata(None);
    message
}
