//! The control API: one place from which a fleet of proxies is driven.

pub mod access;
pub mod ads;
pub mod audit;
pub mod authority;
pub mod cli;
mod files;
pub mod fleet;
mod interval;
pub mod listen;
pub mod reports;
pub mod rest;
pub mod rollout;
pub mod server;
pub mod settings;
pub mod store;
