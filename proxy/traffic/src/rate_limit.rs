//! Rate limits: what requests are told apart by, and the token buckets of this process.
//!
//! * [`describe`], [`descriptor_value`]: descriptors of a request or a connection, as both kinds of limits are asked with them.
//! * [`LocalLimit`]: a limit that this process counts: one bucket, or one for each value of a descriptor.
//! * [`decide`]: several local limits at once, of which all must allow.
//!
//! A limit without a descriptor is one atomic number. One with a descriptor has a bounded table (`table`) whose shards are
//! locked for the time that it takes to find a bucket and take a token of it; it is the only lock of this crate.

mod decision;
mod descriptor;
mod key;
mod local;
mod table;

pub use decision::{Decision, Outcome, Reading, decide};
pub use descriptor::{Descriptor, DescriptorFacts, RouteFacts, describe, descriptor_value};
pub use local::{Dropped, LocalLimit};
