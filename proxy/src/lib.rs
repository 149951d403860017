//! The binary `outrigger` as a library: command line, runtimes, configuration sources, applying configurations, admin.
//!
//! Requests are the data plane's and are never handled here. [`Proxy`] is a whole proxy in this process: what
//! `outrigger run` runs, and what tests start many of.
#![forbid(unsafe_code)]

mod activation;
mod admin;
mod authorization_codec;
mod backoff;
mod bootstrap;
mod check;
pub mod cli;
mod configuration;
mod control;
mod demo;
mod dial;
mod discovery;
mod explain;
mod export;
mod failure_text;
mod faults;
mod grpc;
mod health;
mod identities;
mod inheritance;
mod intercept;
mod jwks;
mod lifecycle;
mod logging;
mod notify;
mod overload;
mod proxy;
mod rate_limit_codec;
mod rebalancing;
mod receipts;
mod status;
mod upgrade;
mod watch;
mod why;

pub use configuration::{ConfigurationSource, Rejection};
pub use proxy::{Proxy, ProxyOptions, StartError};
pub use status::Phase;
pub use upgrade::UpgradeError;
