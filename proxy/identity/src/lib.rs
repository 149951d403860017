//! Who we are, whom we believe and whom no more: certificates with their keys, authorities, revocation, SPIFFE, and the
//! rustls configurations made of them.
//!
//! [`Material`] is everything that a configuration's identities are made of, resolved and immutable. [`downstream`] makes
//! the server side of a filter chain of it, [`upstream`] the client side of a cluster. Each call gives a configuration
//! with session tickets and a session store of its own; [`Basis`] says whether another must be made, so that no session
//! outlives the certificates, authorities and revocations that it was made under. Peers are verified by one verifier for
//! both sides, whose refusals are [`PeerFault`]s; what a verified certificate says is a [`PeerIdentity`].
//! Aws-lc-rs is the one TLS provider, named explicitly: the process default is neither needed nor set.
//!
//! This crate watches no file, opens no socket and knows no policy, and a private key never shows in its errors, its
//! logs or its `Debug`.

mod basis;
mod belief;
mod certificate;
mod credential;
mod distinguished_name;
mod downstream;
mod error;
mod files;
pub mod jwt;
mod material;
mod peer;
mod peer_fault;
mod provider;
pub mod renewal;
mod revocations;
mod roots;
mod signing_request;
mod svid;
mod upstream;
mod verify;
mod warning;

pub use basis::Basis;
pub use belief::{Belief, Taken};
pub use certificate::{CertificateFacts, Validity};
pub use credential::Credential;
pub use downstream::downstream;
pub use error::{IdentityError, Place};
pub use files::files_of;
pub use material::{Loaded, Material, MaterialFault, MaterialPart};
pub use peer::PeerIdentity;
pub use peer_fault::PeerFault;
pub use provider::provider;
pub use revocations::{RevocationListFacts, RevocationLists, RevocationReason, Revocations};
pub use roots::{RootSet, TrustBundles};
pub use signing_request::{SigningRequest, SigningRequestError};
pub use upstream::{UpstreamIdentity, upstream};
pub use verify::CHAIN_CERTIFICATES_MAX;
pub use warning::IdentityWarning;

#[cfg(test)]
mod tests;
