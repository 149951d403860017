//! The runtime resource: sections of the document that are about the whole process.

use super::{Process, Refusals, check_name};
use crate::support::{self, message};
use envoy_types::pb::envoy::service::runtime::v3 as rtds;
use envoy_types::pb::google::protobuf::{self, value::Kind};
use outrigger_config::document::Path;
use outrigger_config::{Environment, MeshConfig, Source, load};
use serde_json::{Map, Value};
use std::sync::LazyLock;

pub(super) use rtds::Runtime as Message;

/// The one runtime resource that is read.
pub(crate) const NAME: &str = "outrigger";

pub(crate) const MESSAGES: &[&support::Message] = &[&RUNTIME];

message! {
    RUNTIME, refuse_runtime: rtds::Runtime as "envoy.service.runtime.v3.Runtime" {
        used: name, layer;
        refused: ;
        ignored: ;
    }
}

/// A configuration of nothing, against which sections are read for the first time.
static NOTHING: LazyLock<MeshConfig> = LazyLock::new(|| {
    let source = Source {
        name: String::new(),
        text: "{}".to_owned(),
    };
    let loaded = load(&source, &Environment::empty());
    loaded.expect("an empty document is valid").config
});

pub(super) fn decode(refusals: &mut Refusals, name: &str, message: &rtds::Runtime) -> Option<Process> {
    let path = Path::root();
    refuse_runtime(refusals, &path, message);
    check_name(refusals, "name", name, &message.name);
    if name != NAME {
        let help =
            format!("only `{NAME}` is read: sections of the document that are about the whole process");
        refusals.fault_with_help(&path, "runtime layers are not implemented", help);
        return None;
    }
    let none = protobuf::Struct::default();
    let process = Process {
        name: name.to_owned(),
        sections: json_map(message.layer.as_ref().unwrap_or(&none)),
    };
    match process.apply(&NOTHING) {
        Ok(_) => Some(process),
        Err(refusal) => {
            for fault in refusal.faults {
                refusals.take_over(fault);
            }
            None
        }
    }
}

fn json_map(fields: &protobuf::Struct) -> Map<String, Value> {
    let fields = fields.fields.iter();
    fields.map(|(name, value)| (name.clone(), json(value))).collect()
}

fn json(value: &protobuf::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => Value::Bool(*truth),
        Some(Kind::NumberValue(number)) => json_number(*number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(fields)) => Value::Object(json_map(fields)),
    }
}

/// Whole numbers without a fraction, as they were before they travelled.
fn json_number(number: f64) -> Value {
    let whole = number as u64;
    match whole as f64 == number {
        true => whole.into(),
        false => serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number),
    }
}
