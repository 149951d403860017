//! Transitions, what holds for all of them, and rollouts of a store over nodes that speak xDS.

mod drive;
mod property;
mod transitions;
