//! Scenarios: one behaviour per module of the test `scenarios`, seen from client and upstream. There is no code here;
//! what the scenarios are made of is in `outrigger-harness` and `outrigger-fixtures`.
#![forbid(unsafe_code)]
