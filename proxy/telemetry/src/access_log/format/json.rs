//! JSON formats as they are given.

use super::FormatError;

/// What stands for a member of a JSON format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonTemplate {
    /// A text with operators. One that is an operator alone keeps its type.
    Text(String),
    /// An object in it, keys in this order.
    Object(Vec<(String, JsonTemplate)>),
    /// A list.
    List(Vec<JsonTemplate>),
}

/// # Errors
/// A key that stands twice in an object.
pub(super) fn refuse_twins(members: &[(String, JsonTemplate)]) -> Result<(), FormatError> {
    for (place, (key, _)) in members.iter().enumerate() {
        if members[..place].iter().any(|(earlier, _)| earlier == key) {
            return Err(FormatError::DuplicateKey { key: key.clone() });
        }
    }
    Ok(())
}

/// The same fault, in the member `key`.
pub(super) fn in_key(key: &str, fault: FormatError) -> FormatError {
    FormatError::InKey {
        key: key.to_owned(),
        source: Box::new(fault),
    }
}
