//! Policy as a control plane sends it, from the document that says the same.

use envoy_types::pb::envoy::service::discovery::v3::Resource;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::{Environment, Source, load};
use outrigger_xds::encode::{EncodeOptions, encode};

/// Every resource of a document, in this version; endpoints are apart.
///
/// # Panics
/// If the document is wrong.
pub fn resources(document: &str, version: &str) -> Vec<Resource> {
    let source = Source {
        name: "policy.yaml".into(),
        text: document.into(),
    };
    let config = load(&source, &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config;
    let options = EncodeOptions {
        endpoints_apart: true,
        ..EncodeOptions::default()
    };
    let resources = encode(&config, &options).resources();
    let sent = resources.iter().map(|one| Resource {
        name: one.name().to_string(),
        version: version.to_owned(),
        resource: Some(Any {
            type_url: one.resource_type().type_url().to_owned(),
            value: one.body().to_vec(),
        }),
        ..Resource::default()
    });
    sent.collect()
}
