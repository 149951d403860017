//! Cross-origin requests.

use super::super::{canonical, matching, value};
use super::share;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::{Cors as Filter, CorsPolicy};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::model::{Cors, HeaderName};

pub(super) fn filter() -> Any {
    canonical::any(&Filter::default())
}

/// A policy; none: off.
pub(super) fn policy(cors: Option<&Cors>) -> Any {
    let Some(cors) = cors else {
        return canonical::any(&CorsPolicy {
            filter_enabled: Some(share(false)),
            ..CorsPolicy::default()
        });
    };
    // Every origin is `*` there.
    let origins = cors.allow_origins().iter();
    let origins = origins.map(|origin| matching::text(origin).unwrap_or_else(|| matching::exact("*")));
    let names = |names: &[HeaderName]| {
        let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
        names.join(",")
    };
    canonical::any(&CorsPolicy {
        allow_origin_string_match: origins.collect(),
        allow_methods: cors.allow_methods().join(","),
        allow_headers: names(cors.allow_headers()),
        expose_headers: names(cors.expose_headers()),
        max_age: cors
            .max_age()
            .map_or_else(String::new, |age| age.as_secs().to_string()),
        allow_credentials: cors.allow_credentials().then(|| value::boolean(true)),
        ..CorsPolicy::default()
    })
}
