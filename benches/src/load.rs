//! Clients: `wrk` and `h2load` for what a proxy can take, our own open-loop client for latency at a fixed rate.

pub(crate) mod idle;
pub(crate) mod open_loop;
mod schedule;
pub(crate) mod tools;
