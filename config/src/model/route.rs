//! Virtual hosts, routes and their actions.

use super::{
    Cors, ErrorPage, Fault, HashPolicy, HeaderEdits, HeaderMatch, Hsts, HttpsRedirect, JwtRequirement,
    Maintenance, Name, Origin, Pattern, QueryMatch, RetryPolicy, RouteExternalAuthorization, RoutePriority,
    RouteTracing, SpiffeMatch, model,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

model! {
    /// A named set of virtual hosts.
    pub struct RouteConfiguration {
        /// Unique among route configurations.
        by_ref name: Name,
        /// Virtual hosts; no domain stands twice.
        by_ref virtual_hosts: Vec<Arc<VirtualHost>>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

model! {
    /// Routes for a set of domains.
    pub struct VirtualHost {
        /// Unique in its route configuration.
        by_ref name: Name,
        /// Which hosts; never empty. Ports are ignored when matching.
        by_ref domains: Vec<Domain>,
        /// Routes; the first that matches is taken.
        by_ref routes: Vec<Route>,
        /// Edits of requests to upstreams, after the route's.
        by_ref request_headers: HeaderEdits,
        /// Edits of responses, after the route's.
        by_ref response_headers: HeaderEdits,
        /// Cross-origin requests, where the route does not say otherwise; none: passed on like any other.
        by_ref cors: Option<Cors>,
        /// Requests that did not come by HTTPS are redirected before any route is looked at; none: they are served.
        by_ref https_redirect: Option<HttpsRedirect>,
        /// `strict-transport-security`; none: not sent.
        by_ref hsts: Option<Hsts>,
        /// Every request is answered by a page; none: they are served.
        by_ref maintenance: Option<Maintenance>,
        /// Pages in place of local replies.
        by_ref error_pages: Vec<ErrorPage>,
        /// Rate limits that apply beside those of the chain; they exist.
        by_ref rate_limits: Vec<Name>,
        /// What is otherwise in the chain's tracing, where the route does not say otherwise; none: nothing.
        by_ref tracing: Option<RouteTracing>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// Which hosts a virtual host takes: exact before the longest suffix before the longest prefix before any. Lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Domain {
    /// This host.
    Exact(String),
    /// Ends with this (`*.example.com` is `.example.com`, `*-x.com` is `-x.com`), with at least one character before.
    Suffix(String),
    /// Begins with this (`api.*` is `api.`), with at least one character after.
    Prefix(String),
    /// Every host.
    Any,
}

model! {
    /// One route.
    pub struct Route {
        /// Unique in its virtual host; if not given, `VIRTUALHOST/INDEX`.
        by_ref name: Name,
        /// Which requests.
        by_ref matches: RouteMatch,
        /// What is done with them.
        by_ref action: RouteAction,
        /// Edits of the request to the upstream.
        by_ref request_headers: HeaderEdits,
        /// Edits of the response, local replies of this route included.
        by_ref response_headers: HeaderEdits,
        /// Bytes of request body at most (413); none: unlimited.
        copy request_body_bytes_max: Option<u64>,
        /// Bytes of response body at most: one that says it is longer is answered 502, one that turns out to be is cut;
        /// none: unlimited.
        copy response_body_bytes_max: Option<u64>,
        /// Overrides the virtual host's; `Some(None)`: no CORS.
        by_ref cors: Option<Option<Cors>>,
        /// Responses may be compressed if the filter chain compresses; true if not given.
        copy compression: bool,
        /// Authorization policies that apply here in addition to the filter chain's, and can only narrow what those allow;
        /// they exist.
        by_ref authorization: Vec<Name>,
        /// Overrides the filter chain's; `Some(None)`: no tokens are looked at.
        by_ref jwt: Option<Option<JwtRequirement>>,
        /// Changes the filter chain's.
        by_ref external_authorization: Option<RouteExternalAuthorization>,
        /// Rate limits that apply beside those of the chain and the virtual host; they exist.
        by_ref rate_limits: Vec<Name>,
        /// Overrides the filter chain's; `Some(None)`: no faults.
        by_ref fault: Option<Option<Arc<Fault>>>,
        /// Changes the filter chain's.
        by_ref tracing: Option<RouteTracing>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

model! {
    /// Which requests a route takes: all conditions must hold.
    pub struct RouteMatch {
        /// The path, normalized, without the query.
        by_ref path: PathMatch,
        /// Methods, upper case; empty: any.
        by_ref methods: Vec<String>,
        /// Header conditions.
        by_ref headers: Vec<HeaderMatch>,
        /// Query conditions.
        by_ref query: Vec<QueryMatch>,
        /// The peer's verified SPIFFE id is among one of these; empty: not looked at.
        by_ref source_identities: Vec<SpiffeMatch>,
        /// The request is gRPC (its `content-type` begins with `application/grpc`).
        copy grpc: bool,
        /// The route takes CONNECT requests (RFC 9110 section 9.3.6; not WebSockets over HTTP/2), which have no path, and
        /// nothing else. Without it a route never takes them. Its `path` is [`PathMatch::Prefix`] of `/`.
        copy connect: bool,
    }
}

/// How a path is matched.
#[derive(Debug, Clone, PartialEq)]
pub enum PathMatch {
    /// The whole path. A gRPC service with a method is `/service/method`.
    Exact(String),
    /// On segment borders: `/a` matches `/a`, `/a/` and `/a/b`, not `/ab`; `/a/` matches `/a/` and below, not `/a`.
    /// `/` matches everything. A gRPC service is `/service/`.
    Prefix(String),
    /// The path begins with this text, wherever a segment ends: `/a` matches `/a`, `/ab` and `/a/b`.
    StringPrefix(String),
    /// Segments, of which `{name}` takes exactly one segment, not empty.
    Template(PathTemplate),
    /// The whole path matches.
    Regex(Pattern),
}

model! {
    /// A path template, `/a/{id}/b`.
    pub struct PathTemplate {
        /// As it was written.
        by_ref source: String,
        /// Its segments.
        by_ref segments: Vec<TemplateSegment>,
    }
}

impl PathTemplate {
    /// The names of its variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            TemplateSegment::Literal(_) => None,
            TemplateSegment::Variable(name) => Some(name.as_str()),
        })
    }
}

/// A segment of a path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSegment {
    /// This text.
    Literal(String),
    /// Any one segment that is not empty. Names are unique in a template that is matched.
    Variable(String),
}

/// What is done with a request.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all routes forward: boxes would save nothing"
)]
pub enum RouteAction {
    /// Forwarded to a cluster.
    Forward(Forward),
    /// Answered with a redirect.
    Redirect(Redirect),
    /// Answered here.
    DirectResponse(DirectResponse),
}

model! {
    /// Forwarding to clusters.
    pub struct Forward {
        /// Targets; their clusters exist, their weights sum to more than zero. Never empty.
        by_ref clusters: Vec<WeightedCluster>,
        /// The path that is sent.
        by_ref path_rewrite: Option<PathRewrite>,
        /// The authority that is sent; none: as it came.
        by_ref host_rewrite: Option<String>,
        /// From the end of the request to the end of the response; none: no limit. What is in force for a request that
        /// is gRPC: its `grpc-timeout`, else none, unless `timeout_explicit`.
        copy timeout: Option<Duration>,
        /// The timeout was written, not defaulted.
        copy timeout_explicit: bool,
        /// Overrides the filter chain's; `Some(None)`: never.
        copy stream_idle_timeout: Option<Option<Duration>>,
        /// Protocols that a client may upgrade to here, lower case, in place of the filter chain's.
        by_ref upgrades: Option<Vec<String>>,
        /// Overrides the filter chain's; `Some(None)`: never.
        copy upgrade_idle_timeout: Option<Option<Duration>>,
        /// What becomes of a CONNECT request; [`ConnectAction::Terminate`] if not given.
        copy connect: ConnectAction,
        /// Clusters that get copies of requests.
        by_ref mirrors: Vec<Mirror>,
        /// A cookie that keeps a client at the endpoint that served it first; none: no such cookie.
        by_ref session_cookie: Option<SessionCookie>,
        /// When a failed attempt is repeated: the route's own, else its virtual host's; none: as
        /// `outrigger_traffic::retry` does by default.
        by_ref retry: Option<Arc<RetryPolicy>>,
        /// What the hash of a request is made of; empty: clusters with consistent hashing pick at random.
        by_ref hash_policy: Vec<HashPolicy>,
        /// Which of the clusters' breakers are meant.
        copy priority: RoutePriority,
        /// A stream ends at this age, its answer whole or not; none: never.
        copy stream_duration_max: Option<Duration>,
        /// A `grpc-timeout`, or a deadline that a believed peer tells, is cut to this; none: to the timeout if that was
        /// written.
        copy client_timeout_max: Option<Duration>,
    }
}

/// What becomes of a CONNECT request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectAction {
    /// It ends here: what the client sends after it goes to an endpoint as plain bytes.
    Terminate,
    /// The endpoint is itself a proxy: the request is passed on.
    Pass,
}

model! {
    /// A cluster that gets copies of a share of the requests. Copies never slow or fail the original: they are sent once,
    /// their answers are thrown away, and one for which there is no room at once is dropped and counted.
    pub struct Mirror {
        /// The cluster's name; it exists.
        by_ref cluster: Name,
        /// The share that is copied.
        copy fraction: Fraction,
    }
}

/// A share of requests, in parts of a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fraction(pub(crate) u32);

impl Fraction {
    /// Everything.
    pub const ALL: Fraction = Fraction(1_000_000);

    /// Parts of a million; at most 1,000,000.
    pub fn parts_per_million(self) -> u32 {
        self.0
    }
}

model! {
    /// Session persistence by a cookie (Envoy's stateful session). Its value says which endpoint, and not its address.
    pub struct SessionCookie {
        /// The cookie's name, a token of RFC 6265.
        by_ref name: String,
        /// Its `Max-Age`; none: for the browser's session.
        copy max_age: Option<Duration>,
        /// Its `Path`, which begins with `/`: `/` if not given.
        by_ref path: String,
        /// A request whose endpoint is not there any more is answered 503 (flag `UH`) rather than sent to another.
        copy strict: bool,
        /// `SameSite`; none: not sent.
        copy same_site: Option<SameSite>,
    }
}

/// The `SameSite` attribute of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// `Strict`.
    Strict,
    /// `Lax`.
    Lax,
    /// `None`; the cookie is then `Secure`.
    None,
}

model! {
    /// A cluster with its share.
    pub struct WeightedCluster {
        /// The cluster's name; it exists.
        by_ref cluster: Name,
        /// Its share of the sum of weights; 0: none.
        copy weight: u32,
        /// Only endpoints of the cluster with this metadata; empty: all.
        by_ref subset: BTreeMap<String, String>,
    }
}

/// How a path is rewritten; the query is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum PathRewrite {
    /// The matched prefix (or exact path) is replaced by this: one on a border of segments so that one `/` stands there,
    /// one that is a text as it stands.
    Prefix(String),
    /// Every match of the pattern (not anchored) is replaced; `\1` stands for a group.
    Regex(RegexRewrite),
    /// This path, in which `{name}` stands for what a variable of the matched template took. Its variables are among
    /// those of the route's [`PathMatch::Template`].
    Template(PathTemplate),
}

/// A regular expression and what its matches become.
#[derive(Debug, Clone)]
pub struct RegexRewrite {
    pub(crate) source: String,
    pub(crate) regex: regex::Regex,
    pub(crate) substitution: String,
}

impl RegexRewrite {
    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// The compiled expression, not anchored.
    pub fn regex(&self) -> &regex::Regex {
        &self.regex
    }
    /// The substitution in the `regex` crate's syntax (`${1}`).
    pub fn substitution(&self) -> &str {
        &self.substitution
    }
}

impl PartialEq for RegexRewrite {
    fn eq(&self, other: &RegexRewrite) -> bool {
        self.source == other.source && self.substitution == other.substitution
    }
}

model! {
    /// A redirect; what is not given stays as it came.
    pub struct Redirect {
        /// `http` or `https`.
        by_ref scheme: Option<String>,
        /// The host.
        by_ref host: Option<String>,
        /// The port.
        copy port: Option<u16>,
        /// The path.
        by_ref path: Option<RedirectPath>,
        /// 301, 302, 303, 307 or 308.
        copy status: u16,
        /// The query is dropped.
        copy strip_query: bool,
    }
}

/// The path of a redirect.
#[derive(Debug, Clone, PartialEq)]
pub enum RedirectPath {
    /// This path.
    Full(String),
    /// As a rewrite.
    Rewrite(PathRewrite),
}

model! {
    /// An answer given here.
    pub struct DirectResponse {
        /// 200 to 599.
        copy status: u16,
        /// The body; may be empty.
        by_ref body: String,
        /// Its media type: `text/plain` if not given.
        by_ref content_type: String,
    }
}
