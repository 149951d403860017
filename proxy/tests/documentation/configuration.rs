//! `docs/configuration.md` and `docs/control/mesh-fields.md`: every field, from the JSON Schemas.

use serde_json::Value;
use std::collections::VecDeque;
use std::fmt::Write;

/// The page of configuration documents.
pub(crate) fn page(schema: &Value) -> String {
    let head = "# Configuration fields\n\nThis page is printed from the JSON Schema, which `outrigger schema` prints and \
         [`config/schema/outrigger.schema.json`](../config/schema/outrigger.schema.json) holds. Fields in **bold** are \
         required. A field that is not listed is an error. Every scalar may hold variables of the environment, \
         `${VAR}` and `${VAR:-default}`; `$${` stands for `${`.\n\nDurations are written `250ms`, `15s`, `5m`, `1h`; \
         sizes `4096`, `64KiB`, `1MiB`.\n";
    whole(head, schema)
}

/// The page of mesh documents.
pub(crate) fn mesh_page(schema: &Value) -> String {
    let head = "# Mesh fields\n\nThis page is printed from the JSON Schema that \
         [`config/schema/outrigger-mesh.schema.json`](../../config/schema/outrigger-mesh.schema.json) holds; \
         [Meshes](mesh.md) says what the fields are for. Fields in **bold** are required. A field that is not listed is an \
         error. Objects that a configuration document has are the same here, but for services, which stand in place of \
         clusters.\n\nDurations are written `250ms`, `15s`, `5m`, `1h`; sizes `4096`, `64KiB`, `1MiB`.\n";
    whole(head, schema)
}

/// A whole page: the document, then every object in the order in which it is first named.
fn whole(head: &str, schema: &Value) -> String {
    let mut page = String::from(head);
    let mut seen = vec!["variable".to_owned()];
    let mut queue = VecDeque::new();
    object(&mut page, "The document", schema, &mut seen, &mut queue);
    while let Some(name) = queue.pop_front() {
        object(
            &mut page,
            &name.replace('_', " "),
            &schema["$defs"][&name],
            &mut seen,
            &mut queue,
        );
    }
    let definitions = schema["$defs"].as_object().unwrap();
    for name in definitions.keys() {
        assert!(seen.contains(name), "the object `{name}` is not reached");
    }
    page
}

fn object(
    page: &mut String,
    title: &str,
    schema: &Value,
    seen: &mut Vec<String>,
    queue: &mut VecDeque<String>,
) {
    let about = schema["description"].as_str().unwrap();
    write!(page, "\n## {title}\n\n{about}\n").unwrap();
    for rule in schema["allOf"].as_array().into_iter().flatten() {
        for (keyword, how_many) in [("oneOf", "Exactly"), ("anyOf", "At least")] {
            if let Some(one) = rule[keyword].as_array() {
                let names: Vec<String> = one
                    .iter()
                    .map(|one| code(one["required"][0].as_str().unwrap()))
                    .collect();
                write!(page, "\n{how_many} one of {} is given.\n", names.join(", ")).unwrap();
            }
        }
    }
    page.push_str("\n| field | value | default | meaning |\n|---|---|---|---|\n");
    let properties = schema["properties"].as_object().unwrap();
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|list| list.iter().any(|one| one == name))
    };
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_by_key(|name| !required(name));
    for name in names {
        let field = &properties[name];
        let shown = if required(name) {
            format!("**{}**", code(name))
        } else {
            code(name)
        };
        let default = field
            .get("default")
            .map_or(String::new(), |value| code(&plain(value)));
        let value = value_of(field, seen, queue);
        let about = field["description"].as_str().unwrap().replace('|', "\\|");
        writeln!(page, "| {shown} | {value} | {default} | {about} |").unwrap();
    }
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{key}: {}", plain(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// What a field's schema allows, in words.
fn value_of(schema: &Value, seen: &mut Vec<String>, queue: &mut VecDeque<String>) -> String {
    if let Some(reference) = schema.get("$ref") {
        return link(reference.as_str().unwrap(), seen, queue);
    }
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("allOf")) {
        let mut words = Vec::new();
        for choice in choices.as_array().unwrap() {
            let word = value_of(choice, seen, queue);
            // Every scalar may be a variable: the page's head says so once. A name may look like a number.
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
        if words
            .iter()
            .any(|word| word == "name" || word.starts_with("size"))
        {
            words.retain(|word| !word.starts_with("integer"));
        }
        return words.join(" or ");
    }
    if let Some(word) = schema.get("const") {
        return code(&plain(word));
    }
    if let Some(words) = schema.get("enum") {
        let words: Vec<String> = words
            .as_array()
            .unwrap()
            .iter()
            .map(|word| code(&plain(word)))
            .collect();
        return words.join(", ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of: {}", value_of(&schema["items"], seen, queue)),
        Some("object") => format!(
            "map to: {}",
            value_of(&schema["additionalProperties"], seen, queue)
        ),
        Some("integer") => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(min), Some(max)) if max < u64::from(u32::MAX >> 1) => format!("integer {min}–{max}"),
            (Some(min), _) if min > 0 => format!("integer from {min}"),
            _ => "integer".into(),
        },
        Some("boolean") => "boolean".into(),
        Some("string") => text(schema),
        // A text may look like a number or a boolean.
        _ => "text".into(),
    }
}

fn text(schema: &Value) -> String {
    match schema["pattern"].as_str() {
        Some(pattern) if pattern.contains("KiB") => "size".into(),
        Some(pattern) if pattern.contains("ms|s|m|h") => "duration".into(),
        Some(pattern) if pattern.starts_with("^([0-9.]+") => "address `IP:PORT`".into(),
        Some(pattern) if pattern.contains("A-Za-z0-9") => "name".into(),
        Some(pattern) => panic!("the page has no word for {pattern}"),
        None => "file name".into(),
    }
}

fn link(reference: &str, seen: &mut Vec<String>, queue: &mut VecDeque<String>) -> String {
    let name = reference.strip_prefix("#/$defs/").unwrap();
    if name == "variable" {
        return String::new();
    }
    if !seen.iter().any(|other| other == name) {
        seen.push(name.to_owned());
        queue.push_back(name.to_owned());
    }
    let title = name.replace('_', " ");
    format!("[{title}](#{})", title.replace(' ', "-"))
}
