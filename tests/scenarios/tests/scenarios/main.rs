//! What a client and an upstream see of a whole proxy: one behaviour per module.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod http1;
mod strictness_requests;
mod strictness_responses;
