//! Cross-origin requests (the Fetch standard, "CORS protocol"): whether an origin is allowed, and what its answers say.
//!
//! It decides and words the answer's headers; it does not send them. As in Envoy, an origin that is not allowed is not
//! refused here: its requests are passed on, and its browser refuses to show the answers.

use crate::routing::value_matches;
use outrigger_config::model::{Cors, HeaderName, StringMatch};

/// One policy, with the values of its headers made once.
#[derive(Debug)]
pub struct CorsPolicy {
    origins: Vec<StringMatch>,
    /// Any origin is allowed.
    any: bool,
    allow_credentials: bool,
    /// `access-control-allow-methods`; none: what the preflight asks for.
    pub allow_methods: Option<Box<str>>,
    /// `access-control-allow-headers`; none: what the preflight asks for.
    pub allow_headers: Option<Box<str>>,
    /// `access-control-expose-headers`; none: not sent.
    pub expose_headers: Option<Box<str>>,
    /// `access-control-max-age`; none: not sent.
    pub max_age: Option<Box<str>>,
}

/// What a request is to a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorsDecision {
    /// It names no origin: it is no cross-origin request.
    SameOrigin,
    /// Its origin is not allowed.
    NotAllowed,
    /// Its origin is allowed: its answer says so.
    Allowed,
    /// A preflight whose origin is allowed: it is answered here.
    Preflight,
}

impl CorsPolicy {
    /// Compiles a policy.
    pub fn compile(cors: &Cors) -> CorsPolicy {
        let joined = |values: &[&str]| (!values.is_empty()).then(|| values.join(", ").into());
        let methods: Vec<&str> = cors.allow_methods().iter().map(String::as_str).collect();
        let names = |names: &[HeaderName]| {
            let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
            joined(&names)
        };
        CorsPolicy {
            origins: cors.allow_origins().clone(),
            any: cors.allow_origins().contains(&StringMatch::Present),
            allow_credentials: cors.allow_credentials(),
            allow_methods: joined(&methods),
            allow_headers: names(cors.allow_headers()),
            expose_headers: names(cors.expose_headers()),
            max_age: cors.max_age().map(|age| age.as_secs().to_string().into()),
        }
    }

    /// What a request is. A preflight is an OPTIONS request that names an origin and the method that is to follow.
    pub fn decide(&self, method: &str, origin: Option<&[u8]>, asks_for_method: bool) -> CorsDecision {
        match origin {
            None => CorsDecision::SameOrigin,
            Some(origin) if !self.allows(origin) => CorsDecision::NotAllowed,
            Some(_) if method == "OPTIONS" && asks_for_method => CorsDecision::Preflight,
            Some(_) => CorsDecision::Allowed,
        }
    }

    /// `access-control-allow-origin` for an origin that is allowed: `*` where any may read and nothing depends on it.
    pub fn allow_origin<'o>(&self, origin: &'o [u8]) -> &'o [u8] {
        if self.depends_on_origin() { origin } else { b"*" }
    }

    /// Requests with credentials are allowed.
    pub fn allow_credentials(&self) -> bool {
        self.allow_credentials
    }

    /// Answers differ by origin: caches must be told.
    pub fn depends_on_origin(&self) -> bool {
        !self.any || self.allow_credentials
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.any || self.origins.iter().any(|allowed| value_matches(allowed, origin))
    }
}
