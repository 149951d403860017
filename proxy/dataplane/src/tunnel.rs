//! What an upgraded connection or stream has become: two sides between which bytes are passed on until both have
//! ended.
//!
//! It knows no request, no route and no log: `pipeline::Tunnel` tells the story. An idle tunnel holds no buffer.

mod pump;
mod side;
mod watch;

pub(crate) use pump::{Limits, Moved, Pump, PumpEnd};
pub(crate) use side::{Http1Side, Http2Side, Raw, Side, SideError};
