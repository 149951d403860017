//! Which listener, filter chain, virtual host, route and cluster a request meets by a configuration, which policies on the
//! way, and why no other: told in words, for `outrigger explain` and for the control API.
//!
//! Everything is decided by `outrigger-traffic`, as the data plane decides it; nothing here decides anything. It never does
//! I/O, and what happens meanwhile (health, load, what limits have counted) is not known to it.

mod affinity;
mod authorization;
mod edge;
mod fault;
mod policies;
mod rate_limits;
mod retries;

pub use authorization::{Peer, PeerDescription};
pub use fault::describe_fault;

use outrigger_config::MeshConfig;
use outrigger_config::model::{
    FilterChain, Forward, Interception, Listener, RouteAction, ServerNameMatch, SpiffeId, Transport,
};
use outrigger_traffic::{Found, RequestView, RouteTable, path};
use std::fmt::Write;
use std::net::IpAddr;

/// What was asked cannot be explained: it is not understood, or does not tell enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExplainError(String);

/// What is told of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Lines for people, each with its end.
    pub text: String,
    /// Something takes the request: a route, or what is answered before any; or its bytes are passed on.
    pub is_taken: bool,
}

/// A request as it is described.
#[derive(Debug)]
pub struct Request {
    method: String,
    tls: bool,
    authority: String,
    port: u16,
    target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A request by its method and URL, as in `GET https://host/path`, and headers, as in `x-user: ann`.
    ///
    /// # Errors
    /// What of it is not understood, and what is expected.
    pub fn parse(request: &str, headers: &[String]) -> Result<Request, ExplainError> {
        Self::read(request, headers).map_err(ExplainError)
    }

    fn read(request: &str, headers: &[String]) -> Result<Request, String> {
        let expected = "expected METHOD URL, as in 'GET https://host/path'";
        let (method, url) = request
            .split_once(' ')
            .ok_or_else(|| format!("`{request}`: {expected}"))?;
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| format!("`{url}` has no scheme: {expected}"))?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            other => return Err(format!("scheme `{other}`: expected http or https")),
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        if authority.is_empty() {
            return Err(format!("`{url}` has no host"));
        }
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        let headers = headers
            .iter()
            .map(|header| {
                let (name, value) = header
                    .split_once(':')
                    .ok_or_else(|| format!("header `{header}`: expected 'name: value'"))?;
                Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Result<_, String>>()?;
        let (_, port) = split_port(authority);
        let port = match port {
            Some(port) => port.parse().map_err(|_| format!("`{port}` is no port"))?,
            None if tls => 443,
            None => 80,
        };
        Ok(Request {
            method: method.to_owned(),
            tls,
            authority: authority.to_owned(),
            port,
            target,
            headers,
        })
    }

    fn host(&self) -> &str {
        split_port(&self.authority).0
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes()[at] == b':' => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

/// A request with its path normalized, as routes see it.
struct View<'r> {
    request: &'r Request,
    peer: &'r Peer,
    path: &'r str,
    query: Option<&'r str>,
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        &self.request.method
    }
    fn source_identity(&self) -> Option<&SpiffeId> {
        self.peer.id.as_ref()
    }
    fn host(&self) -> &str {
        self.request.host()
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        self.query
    }
    fn header<'a>(&'a self, name: &str, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let mut values = self
            .request
            .headers
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_bytes());
        joined.extend_from_slice(values.next()?);
        for value in values {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        Some(joined)
    }
}

/// Explains a request by `peer` to the listener of this name; none: to the one that takes the URL's port, or the only one.
///
/// # Errors
/// If there is no such listener, or it cannot be told which one is meant.
pub fn explain(
    config: &MeshConfig,
    request: &Request,
    peer: &Peer,
    listener: Option<&str>,
) -> Result<Explanation, ExplainError> {
    let explained = follow(config, request, peer, listener);
    explained
        .map(|(text, is_taken)| Explanation { text, is_taken })
        .map_err(ExplainError)
}

/// The text, and whether something takes the request.
fn follow(
    config: &MeshConfig,
    request: &Request,
    peer: &Peer,
    listener: Option<&str>,
) -> Result<(String, bool), String> {
    let mut text = String::new();
    let listener = pick_listener(config, request, listener)?;
    line(
        &mut text,
        format_args!(
            "listener `{}` ({}) on {}",
            listener.name(),
            listener.origin(),
            listener.address()
        ),
    );
    let Some(chain) = pick_chain(listener, request) else {
        let transport = if request.tls { "TLS" } else { "plain text" };
        line(
            &mut text,
            format_args!("no filter chain takes {transport} for `{}`", request.host()),
        );
        return Ok((text, false));
    };
    line(
        &mut text,
        format_args!("filter chain `{}` ({})", chain.name(), chain.origin()),
    );
    let Some(options) = chain.mode().http() else {
        let passes = authorization::describe_bytes(&mut text, config, chain, request, peer);
        if passes {
            let limits = chain.mode().tcp().map(|options| options.rate_limits());
            rate_limits::describe(&mut text, config, limits.into_iter().flatten(), None);
            line(&mut text, format_args!("its bytes are passed on as they are"));
        }
        return Ok((text, passes));
    };
    let normal = match path::normalize(
        &request.target,
        options.escaped_slashes(),
        options.repeated_slashes(),
    ) {
        Ok(normal) => normal,
        Err(fault) => {
            line(&mut text, format_args!("refused with 400: {fault}"));
            return Ok((text, false));
        }
    };
    if normal.is_rewritten() {
        line(
            &mut text,
            format_args!("normalized to `{}`", normal.path_and_query()),
        );
    }
    let name = options.route_configuration();
    let index = config
        .route_configuration_index(name)
        .ok_or_else(|| format!("no route configuration `{name}`"))?;
    let routes = &config.route_configurations()[index];
    line(
        &mut text,
        format_args!("route configuration `{name}` ({})", routes.origin()),
    );
    let view = View {
        request,
        peer,
        path: normal.path(),
        query: normal.query(),
    };
    let explanation = RouteTable::compile(routes).explain(&view);
    line(&mut text, format_args!("{explanation}"));
    if let Some(taken) = &explanation.virtual_host
        && edge::describe(&mut text, options, &routes.virtual_hosts()[taken.index], request)
    {
        return Ok((text, true));
    }
    let Found::Route { virtual_host, route } = explanation.found else {
        line(
            &mut text,
            format_args!("answer: 404, flag NR, details route_not_found"),
        );
        return Ok((text, false));
    };
    let virtual_host = &routes.virtual_hosts()[virtual_host];
    let route = &virtual_host.routes()[route];
    if policies::describe(&mut text, config, chain, virtual_host, route, &view) {
        let limits = options.rate_limits().iter();
        let limits = limits
            .chain(virtual_host.rate_limits())
            .chain(route.rate_limits());
        rate_limits::describe(&mut text, config, limits, Some((virtual_host, route, &view)));
        describe(&mut text, config, route.action());
    }
    Ok((text, true))
}

fn describe(text: &mut String, config: &MeshConfig, action: &RouteAction) {
    match action {
        RouteAction::Forward(forward) => describe_forward(text, config, forward),
        RouteAction::Redirect(redirect) => {
            line(text, format_args!("answer: redirect, {}", redirect.status()))
        }
        RouteAction::DirectResponse(direct) => {
            line(text, format_args!("answer: direct response, {}", direct.status()))
        }
    }
}

fn describe_forward(text: &mut String, config: &MeshConfig, forward: &Forward) {
    let sum: u64 = forward
        .clusters()
        .iter()
        .map(|target| u64::from(target.weight()))
        .sum();
    for target in forward.clusters() {
        let Some(index) = config.cluster_index(target.cluster()) else {
            continue;
        };
        let cluster = &config.clusters()[index];
        let share = f64::from(target.weight()) * 100.0 / sum as f64;
        let endpoints: Vec<String> = cluster
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.address().to_string())
            .collect();
        let endpoints = if endpoints.is_empty() {
            "no endpoint: 503, flag UH".to_owned()
        } else {
            endpoints.join(", ")
        };
        line(
            text,
            format_args!(
                "cluster `{}` ({}), {share:.0} %: {endpoints}",
                cluster.name(),
                cluster.origin()
            ),
        );
    }
    match forward.timeout() {
        Some(timeout) => line(
            text,
            format_args!("timeout {timeout:?} from the end of the request"),
        ),
        None => line(text, format_args!("no timeout")),
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

fn pick_listener<'c>(
    config: &'c MeshConfig,
    request: &Request,
    name: Option<&str>,
) -> Result<&'c Listener, String> {
    let listeners = config.listeners();
    let names = || {
        listeners
            .iter()
            .map(|listener| format!("`{}`", listener.name()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(name) = name {
        let found = listeners.iter().find(|listener| listener.name().as_str() == name);
        return found
            .map(AsRef::as_ref)
            .ok_or_else(|| format!("no listener `{name}`; there are {}", names()));
    }
    let on_port: Vec<_> = listeners
        .iter()
        .filter(|listener| listener.address().port() == request.port)
        .collect();
    match (on_port.as_slice(), listeners.as_slice()) {
        ([one], _) => Ok(one),
        (_, [one]) => Ok(one),
        _ => Err(format!(
            "port {} does not tell which listener: use --listener with one of {}",
            request.port,
            names()
        )),
    }
}

/// The first chain that may take the request, as far as a URL tells: by TLS, SNI, destination port and
/// destination address.
fn pick_chain<'l>(listener: &'l Listener, request: &Request) -> Option<&'l FilterChain> {
    let host = request.host().to_ascii_lowercase();
    let score = |chain: &FilterChain| {
        let matches = chain.matches();
        if chain.tls().is_some() != request.tls {
            return None;
        }
        let transport = if request.tls {
            Transport::Tls
        } else {
            Transport::Raw
        };
        if matches.transport().is_some_and(|wanted| wanted != transport) {
            return None;
        }
        // Where connections were meant for elsewhere, the URL tells where; of a name it does not tell the address.
        let (address, port) = if listener.interception() == Interception::Off {
            (Some(listener.address().ip()), listener.address().port())
        } else {
            (host.trim_matches(['[', ']']).parse().ok(), request.port)
        };
        if matches.destination_port().is_some_and(|wanted| wanted != port) {
            return None;
        }
        let prefix = match matches.destination_prefixes().as_slice() {
            [] => 0,
            prefixes => prefixes
                .iter()
                .filter(|prefix| address.is_some_and(|address: IpAddr| prefix.contains(&address)))
                .map(|prefix| u16::from(prefix.prefix_len()) + 1)
                .max()?,
        };
        let name = match matches.server_names().as_slice() {
            [] => 0,
            names => names
                .iter()
                .filter_map(|name| match name {
                    ServerNameMatch::Exact(name) => (*name == host).then_some(usize::MAX),
                    ServerNameMatch::Suffix(suffix) => {
                        host.ends_with(suffix.as_str()).then_some(suffix.len())
                    }
                })
                .max()?,
        };
        Some((matches.destination_port().is_some(), prefix, name))
    };
    listener
        .filter_chains()
        .iter()
        .filter_map(|chain| Some((score(chain)?, chain)))
        .max_by_key(|(score, _)| *score)
        .map(|(_, chain)| chain)
}

#[cfg(test)]
mod tests;
