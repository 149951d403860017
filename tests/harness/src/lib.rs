//! Whole proxies for tests, and the clients and waits that tests look at them with.
//!
//! [`Proxy`] runs in the test's process, [`Process`] is the real binary. [`Client`] speaks HTTP/1 byte for byte. There
//! are no fixed ports and no sleeps that stand for a condition: [`wait_until`] asks until something holds. What goes
//! wrong in setting up a test panics and says so.
#![forbid(unsafe_code)]

pub mod admin;
pub mod client;
pub mod control;
pub mod document;
pub mod policy;
pub mod process;
pub mod proxy;
pub mod wait;

pub use admin::Admin;
pub use client::{Client, Response};
pub use control::Control;
pub use document::Document;
pub use outrigger_config::Timestamp;
pub use process::Process;
pub use proxy::Proxy;
pub use wait::{DEADLINE, wait_for, wait_until, within};
