//! Whether endpoints serve: what active checks say of one ([`CheckState`]), and what its answers to requests say beside
//! those of the others ([`OutlierCounts`], [`OutlierDetector`]).
//!
//! Nothing here sends a check, sleeps, or publishes what it finds: times and random numbers are passed in, results come
//! from whoever speaks to endpoints, and what has changed is the answer.

mod check;
mod outlier;

pub use check::{CheckChange, CheckResult, CheckSchedule, CheckState, CheckStep};
pub use outlier::{
    Crossings, Detected, EjectionKind, EjectionStanding, Fellow, Outcome, OutlierCounts, OutlierDetector,
    OutlierRules, OutlierSettings, Unejected, Verdict, grpc_status_as_http,
};
