//! What is said of the whole process, as a runtime resource.

use super::remainder::to_struct;
use super::{Encoding, canonical};
use crate::decode::RUNTIME;
use envoy_types::pb::envoy::service::runtime::v3::Runtime;
use outrigger_config::MeshConfig;
use serde_json::{Map, Value};

/// The sections that travel. The admin endpoint and the threads belong to the place where a proxy runs.
const SECTIONS: [&str; 4] = ["drain", "overload", "revocation", "telemetry"];

/// All sections, also where they are as by default: what was said before is then said no more.
pub(super) fn encode(encoding: &mut Encoding<'_>) {
    put_headers(&mut encoding.document["telemetry"], encoding.config);
    let sections = SECTIONS.map(|name| (name.to_owned(), encoding.document[name].clone()));
    let runtime = Runtime {
        name: RUNTIME.to_owned(),
        layer: Some(to_struct(&Map::from_iter(sections))),
    };
    let body = canonical::encode(&runtime);
    encoding.encoded.runtime.push((RUNTIME.to_owned(), body));
    encoding.note("runtime outrigger", SECTIONS.into_iter());
}

/// Writes what is sent to collectors, which documents do not show.
fn put_headers(telemetry: &mut Value, config: &MeshConfig) {
    for (index, collector) in config.telemetry().collectors().iter().enumerate() {
        for (name, value) in collector.headers() {
            let value = String::from_utf8_lossy(value.expose()).into_owned();
            telemetry["collectors"][index]["headers"][name.as_str()] = value.into();
        }
    }
}
