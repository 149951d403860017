//! Pure traffic decisions: which route takes a request, which endpoint an attempt goes to, whether a failed attempt
//! may be repeated, what a path means and what it becomes.
//!
//! Everything here is compiled once from the model of `outrigger-config` and then only asked. This crate never does
//! I/O, never awaits and never reads a clock or a random source: what it needs of those is passed in. Nothing in it
//! locks but the tables of keyed rate limits. It answers with indices into the model, and leaves acting on them to the
//! data plane.
//!
//! * [`RouteTable`]: virtual hosts and routes, found in time that does not grow with their number.
//! * [`authorization`]: what policies allow and deny.
//! * [`Balancer`], [`EndpointLoad`], [`pick_cluster`], [`falls_within`]: endpoints, weighted clusters, shares.
//! * [`hash`]: keys of requests, for consistent hashing.
//! * [`forwarded`], [`edge`]: what is believed of proxies in front, and what is answered before any route.
//! * [`content_coding`]: which responses are compressed, and how.
//! * [`retry`]: the default retry and the [`RetryBudget`].
//! * [`hedging`]: when a request is sent a second time beside the first, and how many may be.
//! * [`health`]: what checks, and answers to requests, say of endpoints.
//! * [`TokenBucket`], [`Pace`]: how often something may happen; [`rate_limit`]: how often a client may do it.
//! * [`overload`]: what is done near the process's limits, [`Places`] for what
//!   there is a certain number of. [`fault`]: which requests are broken on purpose.
//! * [`breakers`], [`adaptive`]: how much of a cluster may be in use at once.
//! * [`path`]: normalization of request paths, before anything is matched.
//! * [`query`]: parameters, found and left out.
//! * [`rewrite`]: paths and `location` headers as routes rewrite them; [`template`]: what path variables took.
//! * [`CorsPolicy`]: whether another origin's scripts may read an answer.
//! * [`SessionPolicy`], [`SessionKey`], [`SessionTable`]: cookies that keep a client at an endpoint.
//! * [`header_value`]: header values that are put together from what is known of a request.

pub mod adaptive;
pub mod authorization;
mod balancing;
pub mod breakers;
pub mod content_coding;
mod cors;
pub mod edge;
pub mod fault;
pub mod forwarded;
pub mod hash;
pub mod header_value;
pub mod health;
pub mod hedging;
pub mod overload;
mod pace;
pub mod path;
mod places;
pub mod query;
pub mod rate_limit;
pub mod retry;
pub mod rewrite;
mod routing;
mod session;
pub mod template;

pub use balancing::{
    Balancer, EndpointHealth, EndpointLoad, HealthMark, Member, PeakEwma, PickContext, PickNotes, Picked,
    Plan, PriorityView, Standing, SubsetKey, ZoneView, falls_within, pick_cluster,
};
pub use cors::{CorsDecision, CorsPolicy};
pub use pace::{Pace, Token, TokenBucket};
pub use places::{Place, Places};
pub use retry::RetryBudget;
pub use routing::{
    Explanation, Found, Mismatch, PastRequest, RefusedRoute, RequestView, RouteTable, TakenRoute,
    TakenVirtualHost, explain_past, value_matches,
};
pub use session::{SessionKey, SessionPolicy, SessionTable};
