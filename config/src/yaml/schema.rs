//! The document's JSON Schema, printed from the shapes that the reader reads by.

use super::shape::{Field, Kind, Shape};
use super::shapes::DOCUMENT;
use crate::mesh::shapes::MESH;
use crate::mesh::targets;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The JSON Schema of a configuration document. Every scalar may also be a text with variables (`${VAR}`).
pub fn json_schema() -> Value {
    printed(&DOCUMENT, "Outrigger configuration", false)
}

/// The JSON Schema of a mesh document, as [`json_schema`] is of a configuration document.
pub fn mesh_json_schema() -> Value {
    printed(&MESH, "Outrigger mesh", true)
}

fn printed(shape: &'static Shape, title: &str, mesh: bool) -> Value {
    let mut definitions = Definitions {
        mesh,
        ..Definitions::default()
    };
    definitions.found.insert(
        "variable".into(),
        json!({ "description": "A text with variables, `${VAR}` or `${VAR:-default}`.", "type": "string", "pattern": "\\$\\{" }),
    );
    let mut document = object(shape, &mut definitions);
    document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    document["title"] = json!(title);
    document["$defs"] = Value::Object(definitions.found);
    document
}

/// Objects that other objects refer to.
#[derive(Default)]
struct Definitions {
    found: Map<String, Value>,
    /// Those that are being written, from the outside in.
    open: Vec<&'static Shape>,
    /// It is a mesh's schema: services stand in place of clusters.
    mesh: bool,
}

impl Definitions {
    fn fields(&self, shape: &'static Shape) -> Vec<Field> {
        match self.mesh {
            true => targets::fields_in_mesh(shape),
            false => shape.fields.to_vec(),
        }
    }
    /// The shape's name and what it is for.
    fn words(&self, shape: &'static Shape) -> (Cow<'static, str>, Cow<'static, str>) {
        match self.mesh {
            true => targets::words_in_mesh(shape),
            false => (shape.name.into(), shape.about.into()),
        }
    }
    /// Fields that exclude each other, or of which some must be given.
    fn names(&self, shape: &'static Shape, names: &[&'static str]) -> Vec<&'static str> {
        match self.mesh {
            true => names
                .iter()
                .map(|name| targets::field_in_mesh(shape, name))
                .collect(),
            false => names.to_vec(),
        }
    }
}

fn object(shape: &'static Shape, definitions: &mut Definitions) -> Value {
    let fields = definitions.fields(shape);
    let mut properties = Map::new();
    for field in &fields {
        properties.insert(field.name.into(), property(field, definitions));
    }
    let mut schema = json!({
        "description": definitions.words(shape).1,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let alternatives = |names: &[&'static str]| -> Vec<Value> {
        let names = definitions.names(shape, names).into_iter();
        names.map(|name| json!({ "required": [name] })).collect()
    };
    let mut rules = Vec::new();
    let one = alternatives(shape.exactly_one);
    let may_follow = definitions.mesh && targets::is_completed(shape);
    if !one.is_empty() && !may_follow {
        rules.push(json!({ "oneOf": one }));
    }
    let some = alternatives(shape.at_least_one);
    if !some.is_empty() {
        rules.push(json!({ "anyOf": some }));
    }
    for (index, one) in shape.at_most_one.iter().enumerate() {
        for other in &shape.at_most_one[index + 1..] {
            rules.push(json!({ "not": { "required": [one, other] } }));
        }
    }
    if !rules.is_empty() {
        schema["allOf"] = json!(rules);
    }
    schema
}

fn property(field: &Field, definitions: &mut Definitions) -> Value {
    let mut schema = kind(&field.kind, definitions);
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    schema["description"] = json!(field.about);
    if let Some(default) = field.default {
        schema["default"] = default_value(default);
    }
    schema
}

/// A default as it is written in YAML; defaults are scalars, or the two flow collections handled here.
fn default_value(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.split(", ").map(default_value).collect();
    }
    if let Some((key, value)) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .and_then(|inner| inner.split_once(": "))
    {
        return json!({ key: default_value(value) });
    }
    json!(text)
}

fn or_variable(schemas: Vec<Value>) -> Value {
    let mut schemas = schemas;
    schemas.push(json!({ "$ref": "#/$defs/variable" }));
    json!({ "anyOf": schemas })
}

fn kind(kind_of: &Kind, definitions: &mut Definitions) -> Value {
    const DURATION: &str = "^[0-9]+(ns|us|ms|s|m|h)$";
    match kind_of {
        Kind::Name => or_variable(vec![
            json!({ "type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,253}$" }),
            json!({ "type": "integer" }),
        ]),
        // A plain number or boolean is a text where a text is asked for.
        Kind::Text(like) => json!({ "type": ["string", "number", "boolean"], "examples": [like] }),
        Kind::Boolean => or_variable(vec![json!({ "type": "boolean" })]),
        Kind::Integer { min, max } => or_variable(vec![integer(*min, *max)]),
        Kind::IntegerOrOff { min, max } => or_variable(vec![integer(*min, *max), off()]),
        Kind::Size { min, max } => or_variable(vec![
            integer(*min, *max),
            json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$" }),
        ]),
        Kind::Percent => or_variable(vec![json!({ "type": "number", "minimum": 0, "maximum": 100 })]),
        Kind::Duration { .. } => or_variable(vec![json!({ "type": "string", "pattern": DURATION })]),
        Kind::DurationOrOff { .. } => {
            or_variable(vec![json!({ "type": "string", "pattern": DURATION }), off()])
        }
        Kind::Address => or_variable(vec![
            json!({ "type": "string", "pattern": "^([0-9.]+|\\[[0-9A-Fa-f:.%]+\\]):[0-9]+$" }),
        ]),
        Kind::File => json!({ "type": "string", "minLength": 1 }),
        Kind::Choice(words) => or_variable(vec![json!({ "enum": words })]),
        Kind::Number(numbers) => or_variable(vec![json!({ "enum": numbers })]),
        Kind::List(of) => json!({ "type": "array", "items": kind(of, definitions) }),
        Kind::FilledList(of) => json!({ "type": "array", "minItems": 1, "items": kind(of, definitions) }),
        Kind::Map(of) => json!({ "type": "object", "additionalProperties": kind(of, definitions) }),
        Kind::Nested(like) => {
            json!({ "type": ["string", "number", "boolean", "object", "array"], "examples": [like] })
        }
        Kind::Object(shape) => reference(shape, definitions),
        Kind::Either(kinds) => {
            let schemas: Vec<Value> = kinds.iter().map(|one| kind(one, definitions)).collect();
            json!({ "anyOf": schemas })
        }
    }
}

fn integer(min: u64, max: u64) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max })
}

fn off() -> Value {
    json!({ "const": "off" })
}

/// A reference to an object's definition, which is added if it is not there. Two shapes may share a name (`match`,
/// `tls`): a definition is found by its content then.
fn reference(shape: &'static Shape, definitions: &mut Definitions) -> Value {
    let base = definitions.words(shape).0.replace(' ', "_");
    if definitions.open.iter().any(|open| std::ptr::eq(*open, shape)) {
        // It holds itself, and no other shape has its name; a test follows every reference.
        return json!({ "$ref": format!("#/$defs/{base}") });
    }
    definitions.open.push(shape);
    let schema = object(shape, definitions);
    definitions.open.pop();
    for suffix in 1.. {
        let name = if suffix == 1 {
            base.clone()
        } else {
            format!("{base}_{suffix}")
        };
        match definitions.found.get(&name) {
            Some(other) if *other != schema => continue,
            Some(_) => {}
            None => {
                definitions.found.insert(name.clone(), schema);
            }
        }
        return json!({ "$ref": format!("#/$defs/{name}") });
    }
    unreachable!("some suffix is free")
}
