//! Services, the proxies in front of them and their clients, in simulated time: what policies do to a whole.
//!
//! Everything runs on one thread of a Tokio runtime whose time is paused: it goes on when nobody has anything to do, so
//! that a minute takes milliseconds, and random numbers have fixed seeds, so that a run is the same each time. What is real are the
//! decisions: documents are read by the YAML front, and [`Hop`] asks `outrigger-traffic` in the order in which the data plane
//! does. What is not is the wire: a request is a call, and connections cost nothing.

mod hop;
mod load;
mod report;
mod server;

pub use hop::Hop;
pub use load::{Outcome, load};
pub use report::{Line, table};
pub use server::{Behaviour, Dependency, Served, Server};
