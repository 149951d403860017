//! Endpoints by DNS: which questions to ask when, which answers are in force, and asking them.
//!
//! [`Resolution`] is the state of one cluster: a state machine that is handed the time, answers and random numbers, and
//! says what to ask next and which endpoints are in force. It holds for each question (a name and a kind of record):
//!
//! * An answer is in force for its TTL, the smallest of its records' (CNAMEs on the way included), within the cluster's
//!   bounds; then it is asked for again, and stays in force until the next answer.
//! * That there are no records (NXDOMAIN, or none of this kind) is an answer: the endpoints go. Envoy does so for strict
//!   DNS; for logical DNS it keeps the address, which would send new connections to a name that is no more.
//! * A failure (timeout, SERVFAIL, REFUSED, what cannot be read) is none: the last answer stays, is *stale* once its
//!   TTL is over, and goes when it has been stale for too long. Questions that failed are repeated after 1 s to 30 s,
//!   doubling, with jitter.
//! * Endpoints are a sorted set, so that an answer in another order changes nothing. They change only when every
//!   question that they depend on has had an outcome: a service (SRV) that moves to new targets keeps the old ones
//!   until the new ones are resolved.
//!
//! [`ClusterResolver`] drives one over a [`Client`], which asks through `hickory-resolver`. Names are always absolute:
//! search domains and `ndots` are not used, so that one name is one question and means the same everywhere.
//!
//! This crate knows no metrics, no data plane and no configuration but the model's DNS settings.
#![forbid(unsafe_code)]

mod client;
mod driver;
mod question;
mod record_set;
mod resolution;

pub use client::{Client, Clients};
pub use driver::{ClusterResolver, Observe};
pub use question::{Answer, Failure, Question, RecordKind, Records, Service};
pub use record_set::RecordReport;
pub use resolution::{ADDRESSES_MAX, Endpoint, Resolution, SERVICE_TARGETS_MAX};
