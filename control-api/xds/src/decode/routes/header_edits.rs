//! Edits of heads.
//!
//! Envoy applies the writes of a message one after the other, the document's in the order add, set, append. Writes of
//! different headers do not see each other, so that only those of one header have to come in the document's order.

use super::Refusals;
use crate::decode::Extras;
use crate::support::message;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use outrigger_config::document::{Map, Path, Value};
use std::collections::{HashMap, VecDeque};

message! {
    pub(super) HEADER_VALUE_OPTION, refuse_header_value_option:
        HeaderValueOption as "envoy.config.core.v3.HeaderValueOption" {
        used: header, append, append_action, keep_empty_value;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) HEADER_VALUE, refuse_header_value: HeaderValue as "envoy.config.core.v3.HeaderValue" {
        used: key, value;
        refused: raw_value;
        ignored: ;
    }
}

/// The edits of one message; those of a route come before its virtual host's, those before the configuration's.
#[derive(Clone, Copy)]
pub(super) struct Level<'m> {
    /// The message.
    pub(super) path: &'m Path,
    /// Its fields: what is written, what is removed.
    pub(super) fields: (&'static str, &'static str),
    pub(super) add: &'m [HeaderValueOption],
    pub(super) remove: &'m [String],
}

/// What the document does with a header, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Remove,
    Add,
    Set,
    Append,
}

/// Puts the edits of some levels, in the order in which they are applied, into `field` of a part. What `extras` say of the
/// field are the values that the first level leaves empty, because Envoy knows no operator for them.
pub(super) fn put(
    refusals: &mut Refusals,
    part: &mut Map,
    field: &str,
    levels: &[Level<'_>],
    extras: &mut Extras,
) {
    let Some(first) = levels
        .iter()
        .find(|level| !level.add.is_empty() || !level.remove.is_empty())
    else {
        return;
    };
    let mut edits = Edits::new(&first.path.field(first.fields.0));
    edits.values = values(refusals, extras.take(field));
    for level in levels {
        for (index, name) in level.remove.iter().enumerate() {
            edits.remove(refusals, &level.path.field(level.fields.1).index(index), name);
        }
        for (index, option) in level.add.iter().enumerate() {
            edits.write(refusals, &level.path.field(level.fields.0).index(index), option);
        }
    }
    if let Some(edits) = edits.finish(refusals) {
        part.put(field, edits.into());
    }
}

/// Values by what is done with them and the header's name.
type Values = HashMap<(Kind, String), VecDeque<Value>>;

fn values(refusals: &mut Refusals, given: Option<Value>) -> Values {
    let mut values = Values::new();
    let fields = |refusals: &mut Refusals, value: Value| match value.into_map() {
        Ok(map) => map.into_fields(),
        Err(other) => {
            refusals.fault(other.path(), "expected a map");
            Vec::new()
        }
    };
    let groups = given.map(|given| fields(refusals, given)).unwrap_or_default();
    for (group, given) in groups {
        let kinds = [("add", Kind::Add), ("set", Kind::Set), ("append", Kind::Append)];
        let Some((_, kind)) = kinds.into_iter().find(|(word, _)| *word == group) else {
            refusals.fault(given.path(), "expected `add`, `set` or `append`");
            continue;
        };
        for (name, value) in fields(refusals, given) {
            let list = value.into_list().unwrap_or_else(|one| vec![one]);
            values.insert((kind, name.to_ascii_lowercase()), list.into());
        }
    }
    values
}

struct Edits {
    path: Path,
    /// What was done last with a header, by its name in lower case.
    last: HashMap<String, Kind>,
    values: Values,
    remove: Vec<Value>,
    add: Map,
    set: Map,
    append: Vec<(String, Vec<Value>)>,
}

impl Edits {
    fn new(path: &Path) -> Edits {
        Edits {
            path: path.clone(),
            last: HashMap::new(),
            values: Values::new(),
            remove: Vec::new(),
            add: Map::new(path),
            set: Map::new(path),
            append: Vec::new(),
        }
    }

    fn remove(&mut self, refusals: &mut Refusals, path: &Path, name: &str) {
        match self.last.insert(name.to_ascii_lowercase(), Kind::Remove) {
            None => self.remove.push(Value::text(path, name)),
            Some(Kind::Remove) => {}
            Some(_) => {
                refusals.unsupported(path, format_args!("removing `{name}`, which was written before,"))
            }
        }
    }

    fn write(&mut self, refusals: &mut Refusals, path: &Path, option: &HeaderValueOption) {
        refuse_header_value_option(refusals, path, option);
        let Some(kind) = kind(refusals, path, option) else {
            return;
        };
        let path = path.field("header");
        let Some(header) = &option.header else {
            return refusals.fault(&path, "a header is missing");
        };
        refuse_header_value(refusals, &path, header);
        let HeaderValue {
            key,
            value,
            raw_value: _,
        } = header;
        let name = key.to_ascii_lowercase();
        let mut given = None;
        if value.is_empty() && !option.keep_empty_value {
            given = self
                .values
                .get_mut(&(kind, name.clone()))
                .and_then(VecDeque::pop_front);
            if given.is_none() {
                // As Envoy has it: nothing is written.
                return;
            }
        }
        if option.keep_empty_value && value.replace("%%", "").contains('%') {
            refusals.unsupported(&path, "writing a value that turned out empty");
        }
        let before = self.last.insert(name, kind);
        if before.is_some_and(|before| before > kind || (before == kind && kind != Kind::Append)) {
            let what = format_args!("writing `{key}` twice, in this order,");
            return refusals.unsupported(&path, what);
        }
        let value = given.unwrap_or_else(|| Value::text(&path.field("value"), value.as_str()));
        match kind {
            Kind::Remove => {}
            Kind::Add => self.add.put(key.as_str(), value),
            Kind::Set => self.set.put(key.as_str(), value),
            Kind::Append => match self
                .append
                .iter_mut()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
            {
                Some((_, values)) => values.push(value),
                None => self.append.push((key.clone(), vec![value])),
            },
        }
    }

    fn finish(self, refusals: &mut Refusals) -> Option<Map> {
        for value in self.values.into_values().flatten() {
            refusals.fault(value.path(), "no header that is written here is without a value");
        }
        let mut map = Map::new(&self.path);
        if !self.remove.is_empty() {
            map.put("remove", Value::list(&self.path, self.remove));
        }
        for (field, written) in [("add", self.add), ("set", self.set)] {
            if !written.is_empty() {
                map.put(field, written.into());
            }
        }
        if !self.append.is_empty() {
            let mut append = Map::new(&self.path);
            for (name, mut values) in self.append {
                match values.len() {
                    1 => append.put(name, values.remove(0)),
                    _ => append.put(name, Value::list(&self.path, values)),
                }
            }
            map.put("append", append.into());
        }
        (!map.is_empty()).then_some(map)
    }
}

fn kind(refusals: &mut Refusals, path: &Path, option: &HeaderValueOption) -> Option<Kind> {
    #[allow(deprecated, reason = "older control planes still say it like this")]
    if let Some(append) = &option.append {
        return Some(if append.value { Kind::Append } else { Kind::Set });
    }
    match HeaderAppendAction::try_from(option.append_action) {
        Ok(HeaderAppendAction::AppendIfExistsOrAdd) => Some(Kind::Append),
        Ok(HeaderAppendAction::AddIfAbsent) => Some(Kind::Add),
        Ok(HeaderAppendAction::OverwriteIfExistsOrAdd) => Some(Kind::Set),
        Ok(HeaderAppendAction::OverwriteIfExists) => {
            refusals.unsupported(&path.field("append_action"), "OVERWRITE_IF_EXISTS");
            None
        }
        Err(_) => {
            let message = format!("there is no action {}", option.append_action);
            refusals.fault(&path.field("append_action"), message);
            None
        }
    }
}
