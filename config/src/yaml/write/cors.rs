//! Cross-origin resource sharing as YAML.

use super::emit::{Map, Out, list, text};
use super::{boolean, duration};
use crate::model::{Cors, HeaderName, StringMatch};

pub(super) fn cors(cors: &Cors) -> Map {
    let origins = match cors.allow_origins.as_slice() {
        [StringMatch::Present] => text("*"),
        origins => list(origins.iter().map(origin)),
    };
    let mut map = Map::default().with("allow_origins", origins);
    match cors.allow_methods.is_empty() {
        true => map.comment("allow_methods: those that are asked for"),
        false => map.put("allow_methods", list(cors.allow_methods.iter().map(text))),
    }
    let names = |names: &[HeaderName]| list(names.iter().map(|name| text(name.as_str())));
    match cors.allow_headers.is_empty() {
        true => map.comment("allow_headers: those that are asked for"),
        false => map.put("allow_headers", names(&cors.allow_headers)),
    }
    map.put("expose_headers", names(&cors.expose_headers));
    match cors.max_age {
        Some(age) => map.put("max_age", duration(age)),
        None => map.comment("max_age: the browser's"),
    }
    map.with("allow_credentials", boolean(cors.allow_credentials))
}

fn origin(origin: &StringMatch) -> Out {
    let of = |way, value: &str| Map::default().with(way, text(value)).into();
    match origin {
        StringMatch::Exact(value) => text(value),
        StringMatch::Prefix(value) => of("prefix", value),
        StringMatch::Suffix(value) => of("suffix", value),
        StringMatch::Contains(value) => of("contains", value),
        StringMatch::Regex(pattern) => of("regex", pattern.source()),
        StringMatch::Present => text("*"),
    }
}
