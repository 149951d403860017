//! Join tokens: what an administrator gives to a machine or a program that has no other proof of who it is.

use crate::access::TokenDigest;
use outrigger_config::model::SpiffeMatch;
use std::time::SystemTime;

/// A join token, of which only the digest is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Its name, unique among join tokens, by which the audit log knows it.
    pub name: String,
    /// SHA-256 of it.
    pub digest: TokenDigest,
    /// Which identities it is good for: one, or those below a prefix.
    pub allows: SpiffeMatch,
    /// From when on it is refused; none: never.
    pub expires: Option<SystemTime>,
    /// It may be used again until it expires; else one certificate is all that it gives.
    pub reusable: bool,
}
