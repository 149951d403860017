//! Clusters, endpoints, secrets and TLS as other control planes write them: what they become, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(deprecated, reason = "older control planes still say it like this")]

mod foreign {
    pub(crate) mod clusters;
    pub(crate) mod endpoints;
    pub(crate) mod refused;
    pub(crate) mod samples;
    pub(crate) mod secrets;
    pub(crate) mod tls;
}
