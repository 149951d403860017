//! What is said of the whole process, as a runtime resource.

use super::remainder::to_struct;
use super::{Encoding, canonical};
use crate::decode::RUNTIME;
use envoy_types::pb::envoy::service::runtime::v3::Runtime;
use serde_json::Map;

/// The sections that travel. The admin endpoint and the threads belong to the place where a proxy runs.
const SECTIONS: [&str; 3] = ["drain", "overload", "revocation"];

/// All sections, also where they are as by default: what was said before is then said no more.
pub(super) fn encode(encoding: &mut Encoding<'_>) {
    let sections = SECTIONS.map(|name| (name.to_owned(), encoding.document[name].clone()));
    let runtime = Runtime {
        name: RUNTIME.to_owned(),
        layer: Some(to_struct(&Map::from_iter(sections))),
    };
    let body = canonical::encode(&runtime);
    encoding.encoded.runtime.push((RUNTIME.to_owned(), body));
    encoding.note("runtime outrigger", SECTIONS.into_iter());
}
