//! Typed messages inside `Any`.

use super::Refusals;
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::Path;
use prost::{Message, Name};
use std::collections::BTreeSet;

/// The message inside; none, and a fault, if it is of another type, cannot be read, or carries fields that the generated
/// types do not know: those would be dropped silently.
pub(crate) fn unpack<T: Message + Default>(
    refusals: &mut Refusals,
    path: &Path,
    any: &Any,
    type_url: &str,
) -> Option<T> {
    if any.type_url != type_url {
        refusals.fault(path, format!("expected {type_url}, found {}", any.type_url));
        return None;
    }
    decode(refusals, path, &any.value)
}

/// As [`unpack`], of bytes whose type is known.
pub(crate) fn decode<T: Message + Default>(refusals: &mut Refusals, path: &Path, bytes: &[u8]) -> Option<T> {
    let message = match T::decode(bytes) {
        Ok(message) => message,
        Err(error) => {
            refusals.fault(path, format!("the message cannot be read: {error}"));
            return None;
        }
    };
    // Whatever the types know is written again, in as many bytes, if in another order.
    if message.encoded_len() != bytes.len() {
        let known = fields(&message.encode_to_vec());
        let unknown: Vec<String> = fields(bytes)
            .difference(&known)
            .map(|number| number.to_string())
            .collect();
        let what = match unknown.is_empty() {
            true => "somewhere inside".to_owned(),
            false => format!("number {}", unknown.join(", ")),
        };
        refusals.fault(
            path,
            format!("it carries fields that are not known here ({what}), or is not encoded canonically"),
        );
        return None;
    }
    Some(message)
}

/// The numbers of the fields that are there, on the first level.
fn fields(mut bytes: &[u8]) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    while !bytes.is_empty() {
        let Ok((tag, wire)) = prost::encoding::decode_key(&mut bytes) else {
            break;
        };
        numbers.insert(tag);
        let skipped =
            prost::encoding::skip_field(wire, tag, &mut bytes, prost::encoding::DecodeContext::default());
        if skipped.is_err() {
            break;
        }
    }
    numbers
}

/// The type URL of a message: `type.googleapis.com/` and its full name.
pub(crate) fn type_url<T: Name>() -> String {
    format!("type.googleapis.com/{}", T::full_name())
}
