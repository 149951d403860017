//! What Envoy's types cannot say: fields of the document in the metadata of the part that they belong to.
//!
//! They stand in the namespace `outrigger`, which Envoy leaves alone, with the words of the document.

use super::{Refusals, value};
use envoy_types::pb::envoy::config::core::v3::Metadata;
use outrigger_config::document::{Map, Path, Value};

/// The namespace.
pub(crate) const NAMESPACE: &str = "outrigger";

/// The list of what a message says only nearly.
pub(crate) const NEARLY: &str = "nearly";

/// Fields of the document that came in metadata.
#[derive(Debug)]
pub(crate) struct Extras(Map);

/// The fields in the metadata at `path`; none if there are none. Other namespaces are other programs'.
pub(crate) fn extras(path: &Path, metadata: Option<&Metadata>) -> Extras {
    let path = path.field("metadata").field("filter_metadata").key(NAMESPACE);
    let fields = metadata.and_then(|metadata| metadata.filter_metadata.get(NAMESPACE));
    Extras(match fields {
        Some(fields) => value::struct_map(&path, fields),
        None => Map::new(&path),
    })
}

impl Extras {
    /// Takes a field out, which says something about the message and is no part of the document.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.take(name)
    }

    /// Puts the fields into the part that was decoded; maps are merged. What is said in both places is refused.
    ///
    /// What the message says only nearly, for those who read it alone, stands in the list [`NEARLY`], as `forward.timeout`:
    /// it is left out before.
    pub(crate) fn merge(mut self, refusals: &mut Refusals, part: &mut Map) {
        if let Some(nearly) = self.take(NEARLY) {
            leave_out(refusals, nearly, part);
        }
        for (name, value) in self.0.into_fields() {
            put(refusals, part, name, value);
        }
    }

    /// The fields of a part within this one, by its name; none if nothing is said of it.
    pub(crate) fn within(&mut self, name: &str) -> Extras {
        match self.0.take(name).map(Value::into_map) {
            Some(Ok(fields)) => Extras(fields),
            Some(Err(value)) => {
                let mut back = Map::new(value.path());
                back.put(name, value);
                Extras(back)
            }
            None => Extras(Map::new(&Path::root())),
        }
    }

    /// Puts back what was taken out by [`Extras::within`].
    pub(crate) fn put_back(&mut self, name: &str, fields: Extras) {
        if !fields.0.is_empty() {
            self.0.put(name, fields.0.into());
        }
    }

    /// Something is said of this field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }
}

fn leave_out(refusals: &mut Refusals, nearly: Value, part: &mut Map) {
    let path = nearly.path().clone();
    let Ok(fields) = nearly.into_list() else {
        return refusals.fault(&path, "expected a list of fields");
    };
    for field in &fields {
        match field.as_scalar() {
            Some(field) => drop(take_within(part, field)),
            None => refusals.fault(field.path(), "expected a field, such as `forward.timeout`"),
        }
    }
}

fn take_within(part: &mut Map, field: &str) -> Option<Value> {
    let Some((first, rest)) = field.split_once('.') else {
        return part.take(field);
    };
    let mut inner = match part.take(first)?.into_map() {
        Ok(inner) => inner,
        Err(value) => {
            part.put(first, value);
            return None;
        }
    };
    let taken = take_within(&mut inner, rest);
    part.put(first, inner.into());
    taken
}

fn put(refusals: &mut Refusals, part: &mut Map, name: String, value: Value) {
    let Some(there) = part.take(&name) else {
        return part.put(name, value);
    };
    let place = value.path().clone();
    match (there.into_map(), value.into_map()) {
        (Ok(mut there), Ok(added)) => {
            for (name, value) in added.into_fields() {
                put(refusals, &mut there, name, value);
            }
            part.put(name, there.into());
        }
        (there, _) => {
            let message = format!("`{name}` is said by the message itself, too");
            refusals.fault(&place, message);
            part.put(name, there.map_or_else(|value| value, Value::from));
        }
    }
}
