//! JSON Web Tokens: whose are accepted, and where they are required.

use super::{HeaderName, Name, Origin, Roots, model};
use std::path::PathBuf;
use std::time::Duration;

model! {
    /// Who issues tokens, and how they are checked (RFC 7519, RFC 8725).
    pub struct JwtProvider {
        /// Unique among JWT providers.
        by_ref name: Name,
        /// What `iss` must be; none: not looked at.
        by_ref issuer: Option<String>,
        /// `aud` must hold one of these. Empty: not looked at.
        by_ref audiences: Vec<String>,
        /// The keys.
        by_ref keys: JwksSource,
        /// The only algorithms accepted; never empty. What the token says is not believed:
        /// [`super::defaults::JWT_ALGORITHMS`].
        by_ref algorithms: Vec<JwtAlgorithm>,
        /// Where tokens are looked for, in this order: `authorization: Bearer` if not given. Never empty.
        by_ref locations: Vec<TokenLocation>,
        /// The token is passed on to the upstream; else it is taken off.
        copy forward: bool,
        /// The verified payload goes upstream in this header, as base64url of its JSON; a client's own is taken off.
        by_ref payload_header: Option<HeaderName>,
        /// Claims that go upstream in headers; clients' own are taken off.
        by_ref claim_headers: Vec<ClaimHeader>,
        /// How far clocks may differ for `exp`, `nbf` and `iat`, whole seconds: [`super::defaults::JWT_CLOCK_SKEW`].
        copy clock_skew: Duration,
        /// A token without `exp` is refused.
        copy expiration_required: bool,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// Where keys come from: a JSON Web Key Set (RFC 7517).
#[derive(Debug, Clone, PartialEq)]
pub enum JwksSource {
    /// A file, watched.
    File(PathBuf),
    /// The configuration itself.
    Inline(String),
    /// A URL, fetched in the background.
    Url(Box<JwksUrl>),
}

model! {
    /// A key set behind a URL. The last good one is kept while the source is away.
    pub struct JwksUrl {
        /// `https://…` or `http://…`.
        by_ref url: String,
        /// Whom its server's certificate must chain to. Not [`Roots::Spiffe`].
        by_ref roots: Roots,
        /// How long a set is used before it is fetched again: [`super::defaults::JWKS_REFRESH`].
        copy refresh: Duration,
        /// One fetch: [`super::defaults::JWKS_TIMEOUT`].
        copy timeout: Duration,
    }
}

/// A signature algorithm of RFC 7518 or RFC 8037, all of them with a public key: a secret shared with every verifier is
/// no proof of who issued a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum JwtAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// Where a token is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenLocation {
    /// In a header, after this prefix (`Bearer `, of which the case does not matter; may be empty).
    Header {
        /// The header.
        name: HeaderName,
        /// What stands before the token.
        prefix: String,
    },
    /// In a query parameter; it is taken off unless tokens are passed on.
    Query(String),
    /// In a cookie.
    Cookie(String),
}

model! {
    /// A claim that goes upstream in a header.
    pub struct ClaimHeader {
        /// The header.
        by_ref header: HeaderName,
        /// Keys from the outside in; never empty.
        by_ref path: Vec<String>,
    }
}

/// Which tokens a request needs (Envoy's `JwtRequirement`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtRequirement {
    /// A valid one of this provider, which exists.
    Provider(Name),
    /// One of these holds; the first that does. Never empty.
    AnyOf(Vec<JwtRequirement>),
    /// All of these hold. Never empty.
    AllOf(Vec<JwtRequirement>),
    /// Holds without a token; one that is there must be valid for a provider that stands beside this, or for any if it
    /// stands alone.
    AllowMissing,
    /// Holds always. Valid tokens are used, others are as none.
    AllowMissingOrFailed,
}
