//! SPIFFE ids and trust domains, by the SPIFFE standard (SPIFFE-ID, sections 2 and 3).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Characters of a SPIFFE id at most (SPIFFE-ID section 2.3).
pub const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// Characters of a trust domain at most (SPIFFE-ID section 2.1).
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;

const SCHEME: &str = "spiffe://";

/// The name of a trust domain: 1 to 255 characters of `a-z 0-9 . - _`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The name, without a scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeFault;

    /// The name alone; `spiffe://example.org` is an id, not a name.
    fn from_str(text: &str) -> Result<TrustDomain, SpiffeFault> {
        check_trust_domain(text)?;
        Ok(TrustDomain(text.into()))
    }
}

/// A SPIFFE id: `spiffe://` and a trust domain, then a path that may be missing. Compared byte by byte: nothing in it
/// may be written in two ways.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Where the path begins, or the text ends.
    path_at: u16,
}

impl SpiffeId {
    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// The trust domain's name.
    pub fn trust_domain(&self) -> &str {
        &self.text[SCHEME.len()..usize::from(self.path_at)]
    }
    /// The path with its `/`; empty if there is none (the id is the trust domain's own).
    pub fn path(&self) -> &str {
        &self.text[usize::from(self.path_at)..]
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeFault;

    fn from_str(text: &str) -> Result<SpiffeId, SpiffeFault> {
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(SpiffeFault::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeFault::Scheme)?;
        let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        check_trust_domain(domain)?;
        check_path(path)?;
        Ok(SpiffeId {
            text: text.into(),
            path_at: (SCHEME.len() + domain.len()) as u16,
        })
    }
}

fn check_trust_domain(name: &str) -> Result<(), SpiffeFault> {
    if name.is_empty() {
        return Err(SpiffeFault::NoTrustDomain);
    }
    if name.len() > TRUST_DOMAIN_BYTES_MAX {
        return Err(SpiffeFault::TrustDomainTooLong);
    }
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    match name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(SpiffeFault::TrustDomainCharacter),
    }
}

fn check_path(path: &str) -> Result<(), SpiffeFault> {
    for segment in path.split('/').skip(1) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        match segment {
            "" => return Err(SpiffeFault::EmptySegment),
            "." | ".." => return Err(SpiffeFault::DotSegment),
            segment if !segment.bytes().all(allowed) => return Err(SpiffeFault::PathCharacter),
            _ => {}
        }
    }
    Ok(())
}

/// Why a text is no SPIFFE id or trust domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeFault {
    /// More than [`SPIFFE_ID_BYTES_MAX`] characters.
    #[error("it is longer than 2048 characters")]
    TooLong,
    /// Another scheme, or none.
    #[error("it does not begin with `spiffe://`")]
    Scheme,
    /// Nothing between `spiffe://` and the path.
    #[error("it has no trust domain")]
    NoTrustDomain,
    /// More than [`TRUST_DOMAIN_BYTES_MAX`] characters.
    #[error("its trust domain is longer than 255 characters")]
    TrustDomainTooLong,
    /// A capital, a port, user information, a percent sign.
    #[error("its trust domain holds something else than a-z, 0-9, `.`, `-` and `_`")]
    TrustDomainCharacter,
    /// `//`, or a `/` at the end.
    #[error("its path has an empty segment")]
    EmptySegment,
    /// `.` or `..` as a segment.
    #[error("its path has a segment `.` or `..`")]
    DotSegment,
    /// A query, a fragment, a percent sign, anything outside ASCII.
    #[error("its path holds something else than letters, digits, `.`, `-` and `_`")]
    PathCharacter,
}

/// Which SPIFFE ids are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SpiffeMatch {
    /// This one.
    Exact(SpiffeId),
    /// Those of its trust domain whose path begins with its path, on segment borders: `spiffe://a/ns/b` takes
    /// `spiffe://a/ns/b` and `spiffe://a/ns/b/c`, not `spiffe://a/ns/bc`.
    Prefix(SpiffeId),
    /// Every one of this trust domain.
    TrustDomain(TrustDomain),
}

impl SpiffeMatch {
    /// True if `id` is among them.
    pub fn matches(&self, id: &SpiffeId) -> bool {
        match self {
            SpiffeMatch::Exact(exact) => exact == id,
            SpiffeMatch::Prefix(prefix) => id
                .as_str()
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            SpiffeMatch::TrustDomain(domain) => domain.as_str() == id.trust_domain(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_apart() {
        let id: SpiffeId = "spiffe://example.org/ns/prod/sa/api".parse().unwrap();
        assert_eq!((id.trust_domain(), id.path()), ("example.org", "/ns/prod/sa/api"));
        let id: SpiffeId = "spiffe://example.org".parse().unwrap();
        assert_eq!((id.trust_domain(), id.path()), ("example.org", ""));
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        use SpiffeFault::*;
        let long = format!("spiffe://{}", "a".repeat(256));
        let very_long = format!("spiffe://a/{}", "b".repeat(2048));
        for (text, fault) in [
            ("", Scheme),
            ("https://a/b", Scheme),
            ("SPIFFE://a/b", Scheme),
            ("spiffe:///b", NoTrustDomain),
            ("spiffe://A/b", TrustDomainCharacter),
            ("spiffe://a:80/b", TrustDomainCharacter),
            ("spiffe://u@a/b", TrustDomainCharacter),
            ("spiffe://a?x", TrustDomainCharacter),
            ("spiffe://a/", EmptySegment),
            ("spiffe://a/b/", EmptySegment),
            ("spiffe://a//b", EmptySegment),
            ("spiffe://a/./b", DotSegment),
            ("spiffe://a/../b", DotSegment),
            ("spiffe://a/b?c", PathCharacter),
            ("spiffe://a/b#c", PathCharacter),
            ("spiffe://a/%62", PathCharacter),
            ("spiffe://a/\u{e4}", PathCharacter),
            (&long, TrustDomainTooLong),
            (&very_long, TooLong),
        ] {
            assert_eq!(text.parse::<SpiffeId>(), Err(fault), "{text}");
        }
    }

    #[test]
    fn prefixes_end_on_segment_borders() {
        let prefix = SpiffeMatch::Prefix("spiffe://a/ns/b".parse().unwrap());
        for (id, taken) in [
            ("spiffe://a/ns/b", true),
            ("spiffe://a/ns/b/c", true),
            ("spiffe://a/ns/bc", false),
            ("spiffe://ab/ns/b", false),
        ] {
            assert_eq!(prefix.matches(&id.parse().unwrap()), taken, "{id}");
        }
        let whole = SpiffeMatch::Prefix("spiffe://a".parse().unwrap());
        assert!(whole.matches(&"spiffe://a/b".parse().unwrap()));
        assert!(!whole.matches(&"spiffe://a.b/b".parse().unwrap()));
    }
}
