//! Routing over real sockets: which route takes a request, and what is done with it.

mod actions;
mod limits;
mod matching;
mod templates;
