use super::*;
use outrigger_config::model::CompressionAlgorithm::{Brotli, Gzip, Zstd};
use proptest::prelude::*;

const ALL: [CompressionAlgorithm; 3] = [Zstd(3), Brotli(4), Gzip(4)];

fn chosen(fields: &[&str], algorithms: &[CompressionAlgorithm]) -> &'static str {
    negotiate(fields.iter().map(|field| field.as_bytes()), algorithms).map_or("identity", name)
}

#[test]
fn the_examples_of_rfc_9110_are_read_as_it_says() {
    // Section 12.5.3.
    for (field, expected) in [
        ("compress, gzip", "gzip"),
        ("", "identity"),
        ("*", "zstd"),
        ("compress;q=0.5, gzip;q=1.0", "gzip"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
    ] {
        assert_eq!(chosen(&[field], &ALL), expected, "{field:?}");
    }
    assert_eq!(chosen(&[], &ALL), "identity");
}

#[test]
fn weights_decide_before_our_preference() {
    for (field, expected) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1, br;q=0.9, zstd;q=0.8", "gzip"),
        ("br;q=0.001", "br"),
        ("br;q=0", "identity"),
        ("br;q=0, *;q=0.1", "zstd"),
        ("zstd;q=0, *", "br"),
        ("*;q=0.5, gzip;q=0.6", "gzip"),
        ("*;q=0", "identity"),
        ("deflate", "identity"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
    ] {
        assert_eq!(chosen(&[field], &ALL), expected, "{field:?}");
    }
    assert_eq!(chosen(&["gzip, br, zstd"], &[Gzip(1), Zstd(1)]), "gzip");
    assert_eq!(chosen(&["gzip;q=0.5", "br"], &ALL), "br");
}

#[test]
fn identity_wins_where_it_is_liked_better_and_where_nothing_else_is() {
    for (field, expected) in [
        ("identity", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0", "identity"),
        ("identity;q=0, gzip;q=0.001", "gzip"),
        ("identity;q=0, *;q=0", "identity"),
        ("identity;q=0.2, *;q=0.1", "identity"),
    ] {
        assert_eq!(chosen(&[field], &ALL), expected, "{field:?}");
    }
}

#[test]
fn what_breaks_the_grammar_is_not_accepted() {
    for field in [
        "gzip;q=1.001",
        "gzip;q=2",
        "gzip;q=",
        "gzip;q",
        "gzip;",
        "gzip;q=0.0001",
        "gzip;q=.5",
        "gzip;q=-1",
        "gzip;q=1;q=1",
        "gzip;level=9",
        "gzip br",
        ";q=1",
        ",,,",
        "gzip;q=0, gzip",
    ] {
        assert_eq!(chosen(&[field], &ALL), "identity", "{field:?}");
    }
    for field in [
        "gzip;q=1.",
        "gzip ; q=0.5",
        "gzip;Q=1.000",
        ",, gzip ,,",
        "br;q=x, gzip",
    ] {
        assert_eq!(chosen(&[field], &ALL), "gzip", "{field:?}");
    }
}

#[test]
fn media_types_are_told_by_name_and_by_range() {
    let listed = ["text/*".to_owned(), "application/json".to_owned()];
    for (content_type, expected) in [
        ("text/html", true),
        ("Text/HTML; charset=utf-8", true),
        ("application/json", true),
        ("application/json ;charset=utf-8", true),
        ("application/jsonp", false),
        ("application/problem+json", false),
        ("text/", false),
        ("text", false),
        ("text/event-stream", false),
        ("image/png", false),
        ("", false),
    ] {
        let found = is_compressed_type(&listed, content_type.as_bytes());
        assert_eq!(found, expected, "{content_type:?}");
    }
    let named = ["text/event-stream".to_owned(), "application/*".to_owned()];
    assert!(is_compressed_type(&named, b"text/event-stream"));
    for grpc in [
        "application/grpc",
        "application/grpc+proto",
        "application/GRPC-web",
    ] {
        assert!(!is_compressed_type(&named, grpc.as_bytes()), "{grpc}");
    }
}

#[test]
fn tokens_are_found_in_lists() {
    let lists_it = |fields: &[&str]| lists(fields.iter().map(|field| field.as_bytes()), "no-transform");
    assert!(lists_it(&["no-transform"]));
    assert!(lists_it(&["public", "max-age=1, No-Transform"]));
    assert!(!lists_it(&["private=\"no-transform\", no-transformer"]));
}

proptest! {
    #[test]
    fn what_is_chosen_is_named_or_any_and_is_never_refused(field in "(gzip|br|zstd|identity|\\*|x)?(;q=[01](\\.[0-9]{0,3})?)?(, ?(gzip|br|zstd|identity|\\*)(;q=[01](\\.[0-9]{0,3})?)?){0,3}") {
        let coding = chosen(&[&field], &ALL);
        let accepted = Accepted::read(std::iter::once(field.as_bytes()));
        if coding == "identity" {
            let identity = accepted.identity.unwrap_or(0);
            let none_liked = ALL.iter().all(|algorithm| {
                let weight = accepted.weight(*algorithm);
                weight == 0 || weight < identity
            });
            prop_assert!(none_liked);
        } else {
            prop_assert!(field.contains(coding) || field.contains('*'));
            let weights = ALL.map(|algorithm| accepted.weight(algorithm));
            let own = ALL.iter().position(|algorithm| name(*algorithm) == coding).expect("one of ours");
            prop_assert!(weights[own] > 0 && weights.iter().all(|weight| *weight <= weights[own]));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        negotiate(std::iter::once(bytes.as_slice()), &ALL);
        is_compressed_type(&["text/*".to_owned()], &bytes);
    }
}
