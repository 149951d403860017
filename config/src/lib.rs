//! The policy model of Outrigger and its YAML front.
//!
//! [`model`] holds checked, immutable values: the only meaning of policy. This crate reads no socket, starts no task,
//! speaks no TLS and no protobuf.

pub mod model;

pub use model::MeshConfig;
