//! Any document.

use super::wire::{hold, read};
use crate::documents::document;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_document_comes_back(text in document()) {
        hold(&read(&text, "random.yaml"), &text);
    }
}
