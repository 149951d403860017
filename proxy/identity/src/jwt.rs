//! JSON Web Tokens (RFC 7519) and the keys that they are checked with (RFC 7517). Pure: no file, no socket, no clock.
//!
//! A token is read ([`Token`]), its claims are held against what a provider asks, and only then its signature is checked
//! ([`Verifier`]): what is cheap to refuse costs no signature. What a token says of itself decides nothing: algorithms
//! are the configuration's, and a key of a [`KeySet`] knows only those of its own type, so that a public key can never be
//! taken for a secret. A [`KeyCell`] is where those who verify find the keys that somebody else keeps fresh.
//!
//! Tokens and keys never show in errors or in `Debug`.

mod cell;
mod fault;
mod json;
mod key;
mod key_set;
mod memory;
mod token;
mod verifier;

pub use cell::{KeyCell, KeyCells};
pub use fault::JwtFault;
pub use key_set::{IgnoredKey, JwksError, KeyReport, KeySet};
pub use memory::{TokenDigest, TokenMemory};
pub use token::{Token, TokenTimes};
pub use verifier::{VerifiedToken, Verifier};

#[cfg(test)]
mod tests;
