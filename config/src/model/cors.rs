//! Cross-origin resource sharing (the Fetch standard, "CORS protocol").

use super::{HeaderName, StringMatch, model};
use std::time::Duration;

model! {
    /// Which other origins' scripts may read answers.
    pub struct Cors {
        /// Origins (`https://a.example`) that are allowed; never [`StringMatch::Present`] together with others: alone it
        /// means any origin.
        by_ref allow_origins: Vec<StringMatch>,
        /// Methods that a preflight answer allows; empty: those that the preflight asks for.
        by_ref allow_methods: Vec<String>,
        /// Headers that a preflight answer allows; empty: those that the preflight asks for.
        by_ref allow_headers: Vec<HeaderName>,
        /// Response headers that scripts may read.
        by_ref expose_headers: Vec<HeaderName>,
        /// How long a browser may keep a preflight answer; none: its own default.
        copy max_age: Option<Duration>,
        /// Requests with credentials are allowed; the origin is then always named, never `*`.
        copy allow_credentials: bool,
    }
}
