//! Receipts: what draws a remark, which one, and where; and what draws none.

mod clean;
mod cost;
mod counts;
mod documentation;
mod expired;
mod mutated;
mod reasoning;

use super::{Receipt, receipt};
use crate::{Environment, MeshConfig, Source, load};
use std::time::{Duration, UNIX_EPOCH};

fn source(text: &str) -> Source {
    Source {
        name: "mesh.yaml".to_owned(),
        text: text.to_owned(),
    }
}

#[track_caller]
fn of(text: &str) -> Receipt {
    let loaded = load(&source(text), &Environment::empty()).unwrap_or_else(|faults| panic!("{faults}"));
    made(&loaded.config).with_lines(&source(text))
}

/// A receipt as of a day in 2026.
fn made(config: &MeshConfig) -> Receipt {
    let mut receipt = receipt(config);
    receipt.add_expired(config, UNIX_EPOCH + Duration::from_secs(1_790_000_000));
    receipt
}
