//! What the model can express goes over the wire and comes back the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../config/src/yaml/tests/documents.rs"]
#[allow(dead_code, unused_imports, reason = "another crate uses all of it")]
mod documents;
mod round_trip {
    pub(crate) mod examples;
    pub(crate) mod random;
    pub(crate) mod wire;
}
