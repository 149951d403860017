//! Route configurations, virtual hosts and routes.

use super::action;
use super::forward::Around;
use super::reader::{Fields, Reader};
use super::rewrite::Matched;
use super::shapes::{ROUTE, ROUTE_CONFIGURATION, VIRTUAL_HOST};
use super::tree::Node;
use super::{
    Unique, authorization, cors, edge, external_authorization, fault, headers, jwt, rate_limit, retry,
    route_match, scalar, shadow, tracing,
};
use crate::model::{Domain, Name, RetryPolicy, Route, RouteConfiguration, VirtualHost};
use crate::receipt::Code;
use std::sync::Arc;

pub(super) fn route_configuration(
    reader: &mut Reader<'_>,
    node: &Node,
    names: &mut Unique<Name>,
) -> Option<RouteConfiguration> {
    let fields = reader.fields(node, &ROUTE_CONFIGURATION)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
    }
    let mut host_names = Unique::new("virtual host");
    let mut domains = Unique::new("virtual host with the domain");
    let mut virtual_hosts = Vec::new();
    for node in fields.list(reader, "virtual_hosts") {
        if let Some(host) = reader.within(|reader| virtual_host(reader, node, &mut host_names, &mut domains))
        {
            virtual_hosts.push(Arc::new(host));
        }
    }
    Some(RouteConfiguration {
        name: name?,
        virtual_hosts,
        origin: reader.origin(node.span),
    })
}

fn virtual_host(
    reader: &mut Reader<'_>,
    node: &Node,
    names: &mut Unique<Name>,
    domains: &mut Unique<String>,
) -> Option<VirtualHost> {
    let fields = reader.fields(node, &VIRTUAL_HOST)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("virtual host", name);
    }
    let mut own_domains = Vec::new();
    for node in fields.list(reader, "domains") {
        if let Some(domain) = reader.parse(node, "a domain", scalar::domain) {
            domains.insert(reader, domain_text(&domain), node.span);
            own_domains.push(domain);
        }
    }
    let request_headers = headers::edits(reader, &fields, "request_headers", None);
    let response_headers = headers::edits(reader, &fields, "response_headers", None);
    let cors = fields
        .node(reader, "cors")
        .and_then(|node| cors::cors(reader, node));
    let https_redirect = edge::https_redirect(reader, &fields);
    let hsts = edge::hsts(reader, &fields);
    let error_pages = edge::error_pages(reader, &fields);
    let maintenance = edge::maintenance(reader, &fields);
    let rate_limits = rate_limit::references(reader, &fields);
    let tracing = tracing::of_route(reader, &fields);
    let retry = retry::policy(reader, &fields).flatten();
    let faults_before = reader.fault_count();
    let routes = routes(reader, &fields, name.as_ref(), retry.as_ref());
    let answers_itself = https_redirect.is_some() || maintenance.is_some();
    if routes.is_empty() && !answers_itself && reader.fault_count() == faults_before {
        let shown = name.as_ref().map_or("", Name::as_str);
        let message = format!("the virtual host `{shown}` has no routes");
        let help = "its requests are answered 404; give it routes";
        reader.warn(Code::VirtualHostEmpty, node.span, message, help);
    }
    if retry.is_some_and(|policy| Arc::strong_count(&policy) == 1) {
        let message = "`retry` has no effect: no route forwards without saying otherwise";
        reader.warn(
            Code::RetryUnused,
            fields.key_span_of("retry"),
            message,
            "remove it",
        );
    }
    shadow::warn(reader, &routes);
    Some(VirtualHost {
        name: name?,
        domains: own_domains,
        routes,
        request_headers,
        response_headers,
        cors,
        https_redirect,
        hsts,
        maintenance,
        rate_limits,
        tracing,
        error_pages,
        origin: reader.origin(node.span),
    })
}

fn routes(
    reader: &mut Reader<'_>,
    host: &Fields<'_>,
    name: Option<&Name>,
    retry: Option<&Arc<RetryPolicy>>,
) -> Vec<Route> {
    let nodes = host.list(reader, "routes");
    let mut names = Unique::new("route");
    let mut routes = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        routes.extend(reader.within(|reader| route(reader, node, name, index, &mut names, retry)));
    }
    routes
}

/// A domain as it is written.
pub(super) fn domain_text(domain: &Domain) -> String {
    match domain {
        Domain::Exact(host) => host.clone(),
        Domain::Suffix(suffix) => format!("*{suffix}"),
        Domain::Prefix(prefix) => format!("{prefix}*"),
        Domain::Any => "*".to_owned(),
    }
}

fn route(
    reader: &mut Reader<'_>,
    node: &Node,
    host: Option<&Name>,
    index: usize,
    names: &mut Unique<Name>,
    retry: Option<&Arc<RetryPolicy>>,
) -> Option<Route> {
    let fields = reader.fields(node, &ROUTE)?;
    let name = route_name(reader, &fields, host, index);
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("route", name);
    }
    let matches = fields
        .node(reader, "match")
        .and_then(|node| route_match::route_match(reader, node));
    let matched = match &matches {
        Some(matches) => Matched::from(matches),
        None => Matched::Unknown,
    };
    let action = action::action(
        reader,
        &fields,
        Around {
            matched,
            matches: matches.as_ref(),
            retry,
        },
    );
    let request_headers = headers::edits(reader, &fields, "request_headers", Some(matched));
    let response_headers = headers::edits(reader, &fields, "response_headers", Some(matched));
    let request_body_bytes_max = fields.size(reader, "request_body_max");
    let response_body_bytes_max = fields.size(reader, "response_body_max");
    let cors = cors::of_route(reader, &fields);
    let authorization = authorization::references(reader, &fields);
    let jwt = jwt::requirement(reader, &fields);
    let rate_limits = rate_limit::references(reader, &fields);
    let fault = fault::fault(reader, &fields);
    let external_authorization = external_authorization::of_route(reader, &fields);
    let tracing = tracing::of_route(reader, &fields);
    let compression = fields.choice(reader, "compression", &[("on", true), ("off", false)]);
    Some(Route {
        authorization,
        jwt,
        external_authorization,
        name: name?,
        matches: matches?,
        action: action?,
        request_headers,
        response_headers,
        request_body_bytes_max,
        response_body_bytes_max,
        cors,
        compression: compression.unwrap_or(true),
        rate_limits,
        fault,
        tracing,
        origin: reader.origin(node.span),
    })
}

/// A route's name: its own, or that of its place.
fn route_name(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    host: Option<&Name>,
    index: usize,
) -> Option<Name> {
    match (fields.entry("name"), host) {
        (Some(_), _) => fields.name(reader, "name"),
        (None, Some(host)) => match scalar::name(&format!("{host}/{index}")) {
            Ok(name) => Some(name),
            Err(_) => {
                reader.fault(
                    fields.span,
                    "the virtual host's name is too long to name this route after it",
                );
                None
            }
        },
        (None, None) => None,
    }
}
