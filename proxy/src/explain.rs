//! `outrigger explain`: which listener, filter chain, virtual host, route and cluster a request meets, and why no
//! other.

mod authorization;
mod edge;
mod policies;

use crate::cli::{BAD_CONFIGURATION, ExplainArguments, RUNTIME_FAILURE};
use crate::configuration::ConfigurationSource;
use authorization::Peer;
use outrigger_config::MeshConfig;
use outrigger_config::model::{
    FilterChain, Forward, Interception, Listener, RouteAction, ServerNameMatch, SpiffeId, Transport,
};
use outrigger_traffic::{Found, RequestView, RouteTable, path};
use std::fmt::Write;
use std::net::IpAddr;
use std::process::ExitCode;

/// Explains a request. Exit code 1 if no route takes it.
pub(crate) fn run(arguments: &ExplainArguments) -> ExitCode {
    let config = match ConfigurationSource::File(arguments.config.clone()).load() {
        Ok(loaded) => loaded.config,
        Err(faults) => {
            eprint!("{faults}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let request = Request::parse(&arguments.request, &arguments.headers)
        .and_then(|request| Ok((request, Peer::parse(arguments)?)));
    let (request, peer) = match request {
        Ok(request) => request,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match explain(&config, &request, &peer, arguments.listener.as_deref()) {
        Ok((text, true)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok((text, false)) => {
            print!("{text}");
            ExitCode::from(RUNTIME_FAILURE)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

/// A request as it is described on the command line.
#[derive(Debug)]
struct Request {
    method: String,
    tls: bool,
    authority: String,
    port: u16,
    target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn parse(request: &str, headers: &[String]) -> Result<Request, String> {
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

/// The explanation, and whether a route takes the request.
fn explain(
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
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_before_any_route_is_told() {
        let text = "listeners: [{name: l, address: 127.0.0.1:0, filter_chains: [{http: {route_configuration: main, \
                    xff_num_trusted_hops: 1}}]}]\nroute_configurations: [{name: main, virtual_hosts: [{name: all, \
                    domains: ['*'], https_redirect: true, maintenance: {page: {body: soon}, allow: [10.0.0.0/8]}}]}]\n";
        let source = outrigger_config::Source {
            name: "edge.yaml".into(),
            text: text.into(),
        };
        let config = outrigger_config::load(&source, &outrigger_config::Environment::empty())
            .unwrap()
            .config;
        let told = |request: &str, headers: &[&str]| {
            let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
            let request = Request::parse(request, &headers).unwrap();
            explain(&config, &request, &Peer::default(), None).unwrap()
        };
        let (text, answered) = told("GET http://a/x?y", &[]);
        assert!(
            answered && text.contains("redirect to HTTPS, 301, to `https://a/x?y`"),
            "{text}"
        );
        let grpc = ["content-type: application/grpc"];
        assert!(
            told("POST http://a/x", &grpc)
                .0
                .contains("gRPC status 9, details https_required")
        );
        let https = "x-forwarded-proto: https";
        let (text, _) = told("GET http://a/x", &[https]);
        assert!(
            text.contains(
                "answer: 503, details maintenance, before any route, but for clients in 10.0.0.0/8"
            )
        );
        let (text, answered) = told("GET http://a/x", &[https, "x-forwarded-for: 10.1.1.1"]);
        assert!(!answered && text.contains("404"), "{text}");
    }

    #[test]
    fn requests_are_read_or_refused_with_a_reason() {
        let request = Request::parse("GET https://a.example:8443/x?y=1", &["X-A: b".into()]).unwrap();
        assert_eq!(
            (request.host(), request.port, request.target.as_str()),
            ("a.example", 8443, "/x?y=1")
        );
        assert_eq!(request.headers, [("x-a".to_owned(), "b".to_owned())]);
        assert_eq!(Request::parse("GET http://a", &[]).unwrap().target, "/");
        for (request, fault) in [
            ("GET", "expected METHOD URL"),
            ("GET a/b", "has no scheme"),
            ("GET ftp://a/b", "expected http or https"),
            ("GET http:///b", "has no host"),
            ("GET http://a:b/", "is no port"),
        ] {
            let error = Request::parse(request, &[]).unwrap_err();
            assert!(error.contains(fault), "{request}: {error}");
        }
    }

    #[test]
    fn an_intercepting_listener_picks_its_chain_by_where_the_url_points() {
        let text = "listeners:
- name: out
  address: 127.0.0.1:15001
  interception: redirect
  filter_chains:
  - {name: pods, match: {destination_prefixes: [10.0.0.0/8]}, http: {route_configuration: r}}
  - {name: port, match: {destination_port: 81}, http: {route_configuration: r}}
  - {name: rest, http: {route_configuration: r}}
route_configurations:
- {name: r, virtual_hosts: [{name: v, domains: ['*'], routes: []}]}
";
        let source = outrigger_config::Source {
            name: "test".to_owned(),
            text: text.to_owned(),
        };
        let loaded = outrigger_config::load(&source, &outrigger_config::Environment::empty()).unwrap();
        let listener = &loaded.config.listeners()[0];
        for (url, wanted) in [
            ("http://10.1.2.3/", "pods"),
            ("http://10.1.2.3:81/", "port"),
            ("http://192.0.2.1/", "rest"),
            ("http://a.example/", "rest"),
            ("http://[fd00::1]/", "rest"),
        ] {
            let request = Request::parse(&format!("GET {url}"), &[]).unwrap();
            assert_eq!(
                pick_chain(listener, &request).unwrap().name().as_str(),
                wanted,
                "{url}"
            );
        }
    }
}
