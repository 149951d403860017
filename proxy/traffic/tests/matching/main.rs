//! Route matching and rewriting, seen from outside: through configurations as users write them.

mod naive;
mod properties;
mod redirects;
mod routes;
mod tables;
mod values;
