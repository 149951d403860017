//! What a route's policies make of a request, beside where it goes: the path that is sent, mirrors, the session cookie,
//! cross-origin answers.

use super::{View, affinity, authorization, describe_fault, line, retries};
use outrigger_config::model::{
    FilterChain, Forward, Fraction, PathMatch, Route, RouteAction, SessionCookie, VirtualHost,
};
use outrigger_config::{MeshConfig, Timestamp};
use outrigger_traffic::rewrite::rewrite_path;
use outrigger_traffic::{CorsDecision, CorsPolicy, RequestView, SessionKey, SessionPolicy, template};

/// Describes the policies of the route that takes the request. False if one of them answers it, and the action does not.
pub(super) fn describe(
    text: &mut String,
    config: &MeshConfig,
    chain: &FilterChain,
    virtual_host: &VirtualHost,
    route: &Route,
    view: &View<'_>,
) -> bool {
    if let PathMatch::Template(matched) = route.matches().path() {
        for (name, taken) in template::variables(matched, view.path()) {
            line(text, format_args!("path variable `{name}` is `{taken}`"));
        }
    }
    if !describe_cors(text, virtual_host, route, view) {
        return false;
    }
    if !authorization::describe(text, config, chain, route, view) {
        return false;
    }
    describe_faults(text, chain, route);
    if let RouteAction::Forward(forward) = route.action() {
        describe_path(text, forward, route, view);
        retries::describe(text, forward, view);
        affinity::describe(text, forward, view);
        if let Some(cookie) = forward.session_cookie() {
            describe_session(text, config, forward, cookie, view);
        }
        for mirror in forward.mirrors() {
            let (cluster, share) = (mirror.cluster(), percent(mirror.fraction()));
            line(text, format_args!("copies to cluster `{cluster}`, {share} %"));
        }
    }
    true
}

fn describe_cors(text: &mut String, virtual_host: &VirtualHost, route: &Route, view: &View<'_>) -> bool {
    let (policy, whose) = match route.cors() {
        Some(own) => (own.as_ref(), "the route"),
        None => (virtual_host.cors().as_ref(), "the virtual host"),
    };
    let Some(policy) = policy.map(CorsPolicy::compile) else {
        return true;
    };
    let header = |name: &str| view.header(name, &mut Vec::new()).map(<[u8]>::to_vec);
    let origin = header("origin");
    let asks = header("access-control-request-method").is_some();
    let shown = String::from_utf8_lossy(origin.as_deref().unwrap_or_default());
    match policy.decide(view.method(), origin.as_deref(), asks) {
        CorsDecision::SameOrigin => line(text, format_args!("CORS of {whose}: the request names no origin")),
        CorsDecision::NotAllowed => line(
            text,
            format_args!(
                "CORS of {whose}: origin `{shown}` is not allowed, the request is passed on as it is"
            ),
        ),
        CorsDecision::Allowed => line(
            text,
            format_args!("CORS of {whose}: origin `{shown}` is allowed, the answer says so"),
        ),
        CorsDecision::Preflight => {
            line(
                text,
                format_args!("CORS of {whose}: origin `{shown}` is allowed\nanswer: preflight, 200"),
            );
            return false;
        }
    }
    true
}

fn describe_faults(text: &mut String, chain: &FilterChain, route: &Route) {
    let of_chain = || chain.mode().http().and_then(|options| options.fault().as_ref());
    let (fault, whose) = match route.fault() {
        Some(own) => (own.as_ref(), "the route"),
        None => (of_chain(), "the filter chain"),
    };
    if let Some(fault) = fault {
        let what = describe_fault(fault);
        let until = match fault.expires() {
            Some(moment) => format!("until {}", Timestamp(moment)),
            None => "with no end".to_owned(),
        };
        line(text, format_args!("fault of {whose}, {until}: {what}"));
    }
}

fn describe_path(text: &mut String, forward: &Forward, route: &Route, view: &View<'_>) {
    if let Some(rewrite) = forward.path_rewrite() {
        let sent = rewrite_path(rewrite, route.matches().path(), view.path());
        line(text, format_args!("path sent: `{sent}`"));
    }
    if let Some(host) = forward.host_rewrite() {
        line(text, format_args!("host sent: `{host}`"));
    }
}

fn describe_session(
    text: &mut String,
    config: &MeshConfig,
    forward: &Forward,
    cookie: &SessionCookie,
    view: &View<'_>,
) {
    let name = cookie.name();
    let mut joined = Vec::new();
    let sent = view.header("cookie", &mut joined);
    let Some(key) = SessionPolicy::compile(cookie).key_in(sent.into_iter()) else {
        return line(
            text,
            format_args!("session cookie `{name}`: there is none, the answer brings one"),
        );
    };
    for target in forward.clusters().iter().filter(|target| target.weight() > 0) {
        let cluster = config
            .cluster_index(target.cluster())
            .map(|index| &config.clusters()[index]);
        let endpoints = cluster.iter().flat_map(|cluster| cluster.endpoints());
        let named = endpoints
            .map(|endpoint| endpoint.address().to_string())
            .find(|address| SessionKey::of(target.cluster().as_str(), address) == key);
        if let Some(address) = named {
            let cluster = target.cluster();
            return line(
                text,
                format_args!("session cookie `{name}`: goes to {address} of cluster `{cluster}`"),
            );
        }
    }
    let instead = if cookie.strict() {
        "503, flag UH"
    } else {
        "goes to another, and the answer brings its cookie"
    };
    line(
        text,
        format_args!(
            "session cookie `{name}`: its endpoint is not written here; if it is not found either: {instead}"
        ),
    );
}

fn percent(fraction: Fraction) -> f64 {
    f64::from(fraction.parts_per_million()) / 10_000.0
}
