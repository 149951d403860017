//! What the model can express goes over the wire and comes back the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod round_trip {
    pub(crate) mod examples;
    pub(crate) mod wire;
}
