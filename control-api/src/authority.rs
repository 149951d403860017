//! The certificate authority: short-lived SPIFFE certificates for whoever proves to be somebody.

mod join_token;

pub use join_token::JoinToken;
