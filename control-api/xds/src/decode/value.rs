//! Small values of the wire as values of the document.

use super::Refusals;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::{self, Struct, value::Kind};
use outrigger_config::document::{Map, Path, Value};
use std::time::Duration;

/// A duration; a fault if it is negative or no duration.
pub(crate) fn duration(
    refusals: &mut Refusals,
    path: &Path,
    duration: &protobuf::Duration,
) -> Option<Duration> {
    let seconds = u64::try_from(duration.seconds).ok();
    let nanos = u32::try_from(duration.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000);
    match (seconds, nanos) {
        (Some(seconds), Some(nanos)) => Some(Duration::new(seconds, nanos)),
        _ => {
            refusals.fault(path, "this is no duration, or a negative one");
            None
        }
    }
}

/// A duration as a value, if it is given.
pub(crate) fn duration_value(
    refusals: &mut Refusals,
    path: &Path,
    given: Option<&protobuf::Duration>,
) -> Option<Value> {
    Some(Value::duration(path, duration(refusals, path, given?)?))
}

/// A duration as a value, `off` where none is meant by zero, if it is given.
pub(crate) fn duration_or_off(
    refusals: &mut Refusals,
    path: &Path,
    given: Option<&protobuf::Duration>,
) -> Option<Value> {
    Some(match duration(refusals, path, given?)? {
        Duration::ZERO => Value::plain(path, "off"),
        duration => Value::duration(path, duration),
    })
}

/// A number as a value, `off` where no limit is meant by zero.
pub(crate) fn number_or_off(path: &Path, number: u32) -> Value {
    match number {
        0 => Value::plain(path, "off"),
        number => Value::plain(path, number),
    }
}

/// A wrapped number as a value, if it is given.
pub(crate) fn number(path: &Path, given: Option<&protobuf::UInt32Value>) -> Option<Value> {
    Some(Value::plain(path, given?.value))
}

/// Parts of a million; a fault if it is more than the whole or of a kind that does not exist.
pub(crate) fn millionths(refusals: &mut Refusals, path: &Path, percent: &FractionalPercent) -> Option<u32> {
    let FractionalPercent {
        numerator,
        denominator,
    } = percent;
    let factor = match DenominatorType::try_from(*denominator) {
        Ok(DenominatorType::Hundred) => 10_000,
        Ok(DenominatorType::TenThousand) => 100,
        Ok(DenominatorType::Million) => 1,
        Err(_) => {
            refusals.fault(
                &path.field("denominator"),
                format!("there is no denominator {denominator}"),
            );
            return None;
        }
    };
    // As Envoy has it, more than the whole is the whole.
    Some((u64::from(*numerator) * factor).min(1_000_000) as u32)
}

/// Parts of a million as a percentage.
pub(crate) fn percent(path: &Path, millionths: u32) -> Value {
    let (whole, part) = (millionths / 10_000, millionths % 10_000);
    match part {
        0 => Value::plain(path, whole),
        _ => Value::plain(path, format!("{whole}.{part:04}").trim_end_matches('0')),
    }
}

/// A `Struct` as a map.
pub(crate) fn struct_map(path: &Path, fields: &Struct) -> Map {
    let mut map = Map::new(path);
    let mut sorted: Vec<_> = fields.fields.iter().collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in sorted {
        let path = path.key(name);
        map.put(name.as_str(), struct_value(&path, value));
    }
    map
}

fn struct_value(path: &Path, value: &protobuf::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::nothing(path),
        Some(Kind::BoolValue(truth)) => Value::plain(path, truth),
        // Integers up to 2^53 are shown without a fraction.
        Some(Kind::NumberValue(number)) => Value::plain(path, number),
        Some(Kind::StringValue(text)) => Value::text(path, text.as_str()),
        Some(Kind::ListValue(list)) => Value::list(
            path,
            list.values
                .iter()
                .enumerate()
                .map(|(index, value)| struct_value(&path.index(index), value)),
        ),
        Some(Kind::StructValue(fields)) => match ordered(path, fields) {
            Some(map) => map.into(),
            None => struct_map(path, fields).into(),
        },
    }
}

/// The one field of a `Struct` that stands for a map whose order matters: pairs of names and values.
pub(crate) const ORDERED: &str = "$ordered";

fn ordered(path: &Path, fields: &Struct) -> Option<Map> {
    let pairs = match fields.fields.get(ORDERED).map(|value| &value.kind) {
        Some(Some(Kind::ListValue(pairs))) if fields.fields.len() == 1 => &pairs.values,
        _ => return None,
    };
    let mut map = Map::new(path);
    for (index, pair) in pairs.iter().enumerate() {
        let Some(Kind::ListValue(pair)) = &pair.kind else {
            return None;
        };
        let [name, value] = pair.values.as_slice() else {
            return None;
        };
        let Some(Kind::StringValue(name)) = &name.kind else {
            return None;
        };
        map.put(name.as_str(), struct_value(&path.index(index), value));
    }
    Some(map)
}

/// JSON as a map.
pub(crate) fn json_map(path: &Path, fields: &serde_json::Map<String, serde_json::Value>) -> Map {
    let mut map = Map::new(path);
    for (name, value) in fields {
        let path = path.key(name);
        map.put(name.as_str(), json_value(&path, value));
    }
    map
}

fn json_value(path: &Path, value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::nothing(path),
        Json::Bool(truth) => Value::plain(path, truth),
        Json::Number(number) => Value::plain(path, number),
        Json::String(text) => Value::text(path, text.as_str()),
        Json::Array(items) => Value::list(
            path,
            items
                .iter()
                .enumerate()
                .map(|(index, value)| json_value(&path.index(index), value)),
        ),
        Json::Object(fields) => json_map(path, fields).into(),
    }
}
