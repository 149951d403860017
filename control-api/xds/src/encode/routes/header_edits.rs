//! Edits of heads. A value with an operator that Envoy does not know is left empty, which Envoy writes nowhere, and stands in
//! the metadata.

use crate::encode::Remainder;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue as HeaderValueMessage, HeaderValueOption};
use outrigger_config::model::{HeaderEdit, HeaderEditKind, HeaderEdits, HeaderValue, HeaderValuePart};
use serde_json::{Map, Value as Json};

/// The two lists of a message.
pub(super) struct Written {
    pub(super) add: Vec<HeaderValueOption>,
    pub(super) remove: Vec<String>,
}

/// The edits in `field`.
pub(super) fn edits(rest: &mut Remainder, field: &str, edits: &HeaderEdits) -> Written {
    rest.said(field);
    let mut left = Map::new();
    for edit in edits.write().iter().filter(|edit| !is_known(edit.value())) {
        let group = match edit.kind() {
            HeaderEditKind::Add => "add",
            HeaderEditKind::Set => "set",
            HeaderEditKind::Append => "append",
        };
        let group = left.entry(group).or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(names) = group {
            let values = names
                .entry(edit.name().as_str())
                .or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(values) = values {
                values.push(Json::String(edit.value().to_string()));
            }
        }
    }
    if !left.is_empty() {
        rest.put(field, Json::Object(left));
    }
    Written {
        add: edits.write().iter().map(option).collect(),
        remove: edits
            .remove()
            .iter()
            .map(|name| name.as_str().to_owned())
            .collect(),
    }
}

/// Others know its operators.
fn is_known(value: &HeaderValue) -> bool {
    match value {
        HeaderValue::Text(_) => true,
        HeaderValue::Parts(parts) => !parts
            .iter()
            .any(|part| matches!(part, HeaderValuePart::PathVariable(_))),
    }
}

fn option(edit: &HeaderEdit) -> HeaderValueOption {
    let action = match edit.kind() {
        HeaderEditKind::Add => HeaderAppendAction::AddIfAbsent,
        HeaderEditKind::Set => HeaderAppendAction::OverwriteIfExistsOrAdd,
        HeaderEditKind::Append => HeaderAppendAction::AppendIfExistsOrAdd,
    };
    let value = match is_known(edit.value()) {
        true => edit.value().to_string(),
        false => String::new(),
    };
    HeaderValueOption {
        append_action: action.into(),
        keep_empty_value: value.is_empty() && is_known(edit.value()),
        header: Some(HeaderValueMessage {
            key: edit.name().as_str().to_owned(),
            value,
            raw_value: Vec::new(),
        }),
        ..HeaderValueOption::default()
    }
}
