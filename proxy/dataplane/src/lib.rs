//! The data plane: moves bytes between clients and endpoints by a compiled snapshot of policy.
//!
//! It listens, picks filter chains, speaks HTTP/1 and HTTP/2 on both sides, keeps pools of upstream connections, and
//! drains. It decides little by itself: matching, balancing and retry policy are `outrigger-traffic`'s, the model is
//! `outrigger-config`'s, certificates are `outrigger-identity`'s. It never reads YAML or protobuf, and nothing in it
//! validates policy.
//!
//! [`DataPlane`] starts it, puts configurations in force and drains it. A request's way is told in `pipeline`.
#![forbid(unsafe_code)]

mod accept;
mod access_log;
mod authorization;
mod auto;
mod body;
mod buffered;
pub mod compression;
mod connection;
mod control;
mod decisions;
mod error;
pub mod event_loop;
pub mod external_authorization;
mod flood;
mod gather;
mod head;
mod http2;
mod incoming;
mod interception;
mod io;
mod outlier;
mod overload;
mod peek;
mod pick;
mod pipeline;
mod places;
mod pool;
mod proxy_protocol;
pub mod rate_limit;
pub mod refusals;
mod relay;
mod reply;
mod rights;
mod server;
pub mod snapshot;
mod sockets;
mod spares;
mod tcp;
mod timer;
mod tls;
mod tunnel;
mod upstream;
mod worker;
mod writer;

pub use control::{Applied, ApplyError, ConnectionCount, DataPlane, ListenerAddress, Options};
pub use outlier::OutlierAlarm;
pub use overload::OverloadControl;
pub use sockets::ListeningSocket;
pub use upstream::socket::connect_marked;
