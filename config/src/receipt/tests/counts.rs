//! Counts are exact, however many texts are kept.

use super::super::REMARKS_MAX;
use super::of;
use crate::receipt::Code;
use std::fmt::Write;

/// A configuration with so many clusters that nothing uses, which the reader remarks, each with a setting without effect, which
/// a rule does.
fn idle(clusters: usize) -> String {
    let mut text = String::from("clusters:\n");
    for cluster in 0..clusters {
        writeln!(
            text,
            "- {{name: c{cluster}, panic_threshold: 10, endpoints: [{{address: 127.0.0.1:1}}]}}"
        )
        .unwrap();
    }
    text
}

#[test]
fn what_is_more_than_is_kept_is_counted_by_its_code() {
    for clusters in [1, 400, 3_000] {
        let receipt = of(&idle(clusters));
        let counts: Vec<(Code, usize)> = receipt.counts().collect();
        assert_eq!(
            counts,
            [(Code::PartUnused, clusters), (Code::PanicNever, clusters)]
        );
        assert_eq!(receipt.count(), 2 * clusters);
        assert_eq!(receipt.remarks().len(), REMARKS_MAX.min(2 * clusters));
        assert_eq!(receipt.left_out(), (2 * clusters).saturating_sub(REMARKS_MAX));
        assert!(receipt.remarks().iter().all(|remark| remark.code().is_some()));
    }
}
