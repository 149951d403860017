//! Measures Outrigger, alone and beside its peers.
//!
//! `compare` starts each proxy with the same upstream, load and placement, alternates them in short slices
//! and reports medians of ratios within a round. `budget` counts instructions and system calls per request
//! and fails past the limits of `budget.toml`. `upstream` and `load` are the two ends of a measurement.
//!
//! `compare` never links the proxy: every product, ours too, is a program that is started and watched from outside.
//! `micro` calls single functions of the proxy's crates, and `delay` runs it in this process, to know when it was told.
//! `resilience` has backends of this process misbehave, and shows what policies make of it, ours and Envoy's.
//! `control` starts the control API, and shows what it takes to drive one large proxy, ours and Envoy, and many nodes.
//! The crate never turns a time into a pass or a failure; only counts, which are stable on any machine, can fail.

pub mod command_line;

mod budget;
mod callgrind;
mod certificate;
mod compare;
mod control;
mod delay;
mod load;
mod micro;
mod peer;
mod placement;
mod process;
mod resilience;
mod scenario;
mod statistics;
mod syscalls;
mod upstream;
