use super::*;
use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

fn many() -> Struct {
    let inner = |depth: usize| Struct {
        fields: (0..20)
            .map(|number| {
                let kind = Kind::StringValue(format!("{depth}.{number}"));
                (format!("key{number}"), Value { kind: Some(kind) })
            })
            .collect(),
    };
    Struct {
        fields: (0..20)
            .map(|number| {
                let kind = Kind::StructValue(inner(number));
                (format!("key{number}"), Value { kind: Some(kind) })
            })
            .collect(),
    }
}

#[test]
fn maps_are_in_order_at_every_depth() {
    let metadata = || Metadata {
        filter_metadata: ["b", "a", "c"].map(|name| (name.to_owned(), many())).into(),
        ..Metadata::default()
    };
    let first = encode(&metadata());
    for _ in 0..20 {
        assert_eq!(encode(&metadata()), first);
    }
    assert_eq!(Metadata::decode(first.as_slice()).unwrap(), metadata());
    assert_eq!(first.len(), metadata().encoded_len());
}
