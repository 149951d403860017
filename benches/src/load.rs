//! Clients: `wrk` and `h2load` for what a proxy can take, our own clients for what is not HTTP and for handshakes, and our own
//! open-loop client for latency at a fixed rate.

pub(crate) mod echo;
pub(crate) mod handshake;
pub(crate) mod idle;
pub(crate) mod open_loop;
mod schedule;
pub(crate) mod tools;
