//! What is refused because the process is near what it may have.

use crate::cell::labelled::Label;

labels! {
    /// Why a request was refused at its start.
    pub enum OverloadRefusal = "reason" {
        /// A pressure is so high that a share of requests, or all, are.
        Pressure = "pressure",
        /// As many requests as may be are in flight.
        RequestsMax = "requests_max",
    }
}
