//! Certificates and keys from files, checked, and the rustls configurations made of them.
//!
//! [`downstream`] makes the server side of a filter chain, [`upstream`] the client side of a cluster. Each call reads
//! the files anew and gives a configuration with session tickets and a session store of its own, so that no session
//! outlives the certificates and roots that it was made under. [`FileStamp`] says whether a reload has to call again.
//! Aws-lc-rs is the one TLS provider, named explicitly: the process default is neither needed nor set.
//!
//! This crate watches no file, opens no socket and knows no policy, and a private key never shows in its errors, its
//! logs or its `Debug`.

mod certificate;
mod downstream;
mod error;
mod files;
pub mod jwt;
mod provider;
pub mod renewal;
mod signing_request;
mod upstream;
mod warning;

pub use downstream::downstream;
pub use error::IdentityError;
pub use files::{FileStamp, files_of_downstream, files_of_upstream};
pub use provider::provider;
pub use signing_request::{SigningRequest, SigningRequestError};
pub use upstream::{UpstreamIdentity, upstream};
pub use warning::{IdentityWarning, warnings_of_downstream, warnings_of_upstream};

#[cfg(test)]
mod tests;
