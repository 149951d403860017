//! Receipts: what draws a remark, which one, and where; and what draws none.

mod clean;
mod cost;
mod documentation;
mod mutated;
mod reasoning;

use super::{Receipt, receipt};
use crate::{Environment, Source, load};

fn source(text: &str) -> Source {
    Source {
        name: "mesh.yaml".to_owned(),
        text: text.to_owned(),
    }
}

#[track_caller]
fn of(text: &str) -> Receipt {
    let loaded = load(&source(text), &Environment::empty()).unwrap_or_else(|faults| panic!("{faults}"));
    receipt(&loaded.config).with_lines(&source(text))
}
