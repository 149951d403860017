//! What of a part has not been said yet by Envoy's types.
//!
//! An encoder begins with the whole part as it is written in the document, takes out each field that it says by the
//! message, and puts what is left into the metadata.

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, Value as Json};

/// Fields of a part, by the document's words, that no message has said yet.
#[derive(Debug, Clone)]
pub(crate) struct Remainder(Map<String, Json>);

impl Remainder {
    /// A whole part, as the document has it; what is no map has nothing left.
    pub(crate) fn of(part: Json) -> Remainder {
        match part {
            Json::Object(fields) => Remainder(fields),
            _ => Remainder(Map::new()),
        }
    }
    /// A field is said: `a.b` is `b` within `a`. One that is not there was nothing to say.
    pub(crate) fn said(&mut self, field: &str) -> Option<Json> {
        let (first, rest) = match field.split_once('.') {
            None => return self.0.remove(field),
            Some(parts) => parts,
        };
        let Some(Json::Object(inner)) = self.0.get_mut(first) else {
            return None;
        };
        let mut within = Remainder(std::mem::take(inner));
        let taken = within.said(rest);
        match within.0.is_empty() {
            true => drop(self.0.remove(first)),
            false => *inner = within.0,
        }
        taken
    }
    /// A field that is written, also if it is said already.
    pub(crate) fn put(&mut self, field: &str, value: Json) {
        self.0.insert(field.to_owned(), value);
    }
    /// A field needs not be said where it is this, which is what it is without being said.
    pub(crate) fn unless(&mut self, field: &str, default: impl Into<Json>) {
        let default = default.into();
        if let Some(value) = self.said(field)
            && value != default
        {
            self.restore(field, value);
        }
    }
    /// Puts back what was taken from `a.b`.
    pub(crate) fn restore(&mut self, field: &str, value: Json) {
        let Some((first, rest)) = field.split_once('.') else {
            return self.put(field, value);
        };
        let inner = self.0.entry(first).or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(fields) = inner {
            let mut within = Remainder(std::mem::take(fields));
            within.restore(rest, value);
            *fields = within.0;
        }
    }
    /// Leaves out fields that are as in `default`, except for `kept`, whose default depends on others.
    pub(crate) fn without_defaults(&mut self, default: &Json, kept: &[&str]) {
        self.0
            .retain(|name, value| kept.contains(&name.as_str()) || default.get(name) != Some(value));
    }
    /// The names of what is left, those within maps as `a.b`.
    pub(crate) fn leaves(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        for (name, value) in &self.0 {
            match value {
                Json::Object(fields) => leaves.extend(fields.keys().map(|inner| format!("{name}.{inner}"))),
                _ => leaves.push(name.clone()),
            }
        }
        leaves
    }
    /// The names of what is left.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
    /// The names of what is left, in the parts `opened` of what is in them: `forward.timeout`.
    pub(crate) fn names_within(&self, opened: &[&str]) -> Vec<String> {
        let mut names = Vec::new();
        let mut waiting: Vec<(String, &Json)> =
            self.0.iter().map(|(name, value)| (name.clone(), value)).collect();
        while let Some((name, value)) = waiting.pop() {
            match value {
                Json::Object(inner) if opened.contains(&name.as_str()) => {
                    let within = inner.iter();
                    waiting.extend(within.map(|(field, value)| (format!("{name}.{field}"), value)));
                }
                _ => names.push(name),
            }
        }
        names.sort_unstable();
        names
    }
    /// The metadata that carries what is left; none if nothing is. `base` is metadata that is sent anyway.
    pub(crate) fn into_metadata(self, base: Option<Metadata>) -> Option<Metadata> {
        if self.0.is_empty() {
            return base;
        }
        let mut metadata = base.unwrap_or_default();
        metadata
            .filter_metadata
            .insert(crate::decode::NAMESPACE.to_owned(), to_struct(&self.0));
        Some(metadata)
    }
}

/// A map whose order matters: that of a `Struct` is lost.
pub(crate) fn ordered<V: Clone + Into<Json>>(pairs: &[(String, V)]) -> Json {
    let pairs = pairs
        .iter()
        .map(|(name, value)| Json::Array(vec![Json::from(name.as_str()), value.clone().into()]));
    let mut map = Map::new();
    map.insert(crate::decode::ORDERED.to_owned(), Json::Array(pairs.collect()));
    Json::Object(map)
}

/// JSON as a `Struct`.
pub(crate) fn to_struct(fields: &Map<String, Json>) -> Struct {
    Struct {
        fields: fields
            .iter()
            .map(|(name, value)| (name.clone(), to_value(value)))
            .collect(),
    }
}

fn to_value(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(*truth),
        // Beyond 2^53 a number would not be exact: as a text it is.
        Json::Number(number) => match number.as_u64() {
            Some(large) if large > 1 << 53 => Kind::StringValue(large.to_string()),
            _ => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue {
            values: items.iter().map(to_value).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(to_struct(fields)),
    };
    Value { kind: Some(kind) }
}
