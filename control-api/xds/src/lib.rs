//! The wire contract: Envoy's v3 resources to the policy model and back, and the conversations that carry them.
//!
//! No socket, no clock: bytes, messages and the time are handed in.
#![allow(
    deprecated,
    reason = "control planes still send fields that are deprecated: they are read, or refused by name"
)]

pub mod assembly;
pub mod decode;
pub mod encode;
pub mod node_report;
pub mod resource;
pub mod session;
pub mod support;
