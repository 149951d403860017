//! Route matching and rewriting, seen from outside: through configurations as users write them.

mod naive;
mod origins;
mod properties;
mod redirects;
mod routes;
mod sessions;
mod tables;
mod values;
