//! The OpenAPI document and the documentation's table, made from the table of routes.

use super::routes::{Body, Content, Needs, Parameter, Place, ROUTES, Route};
use super::shapes::{self, Field, Kind, Presence, Shape};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Statuses of errors that every call has which needs somebody.
const COMMON_REFUSALS: [u16; 5] = [400, 401, 403, 413, 503];

/// All calls, as OpenAPI 3.1.
pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let methods = paths
            .entry(route.path.replace("{*", "{"))
            .or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation(route);
    }
    let schemas: Map<String, Value> = shapes::all()
        .map(|shape| (shape.name.to_owned(), schema(shape)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "outrigger-control",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control API of a mesh: documents, revisions, nodes, the authority, the audit log.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "certificate": { "type": "mutualTLS" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "description": format!("Who may: {}.", route.needs.words()),
        "parameters": route.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses(route),
        "security": match route.needs {
            Needs::Nothing => json!([]),
            _ => json!([{ "token": [] }, { "certificate": [] }]),
        },
    });
    let content = match route.body {
        Body::None => return operation,
        Body::Yaml { .. } => json!({ "application/yaml": { "schema": { "type": "string" } } }),
        Body::Json { shape, .. } => json!({ "application/json": { "schema": reference(shape) } }),
    };
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.place == Place::Path,
        "description": parameter.summary,
        "schema": { "type": parameter.kind },
    })
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let (status, content) = route.answer;
    let content = match content {
        Content::Json(_) if has_dry_run(route) => {
            json!({ "application/json": { "schema": { "oneOf": [reference("Changed"), reference("DryRun")] } } })
        }
        Content::Json(shape) => json!({ "application/json": { "schema": reference(shape) } }),
        Content::Text(media_type) => json!({ media_type: { "schema": { "type": "string" } } }),
        Content::OpenApi => json!({ "application/json": { "schema": { "type": "object" } } }),
        Content::Nothing => json!({}),
    };
    responses.insert(
        status.to_string(),
        json!({ "description": "Done.", "content": content }),
    );
    for status in refusals(route) {
        let reason = http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let answer = json!({
            "description": reason.unwrap_or_default(),
            "content": { "application/json": { "schema": reference("Error") } },
        });
        responses.insert(status.to_string(), answer);
    }
    Value::Object(responses)
}

/// Every status of an error that a call may have.
pub(super) fn refusals(route: &Route) -> Vec<u16> {
    let common: &[u16] = match route.needs {
        Needs::Nothing => &[503],
        _ => &COMMON_REFUSALS,
    };
    let mut all = [common, route.refusals].concat();
    all.sort_unstable();
    all
}

fn has_dry_run(route: &Route) -> bool {
    route
        .parameters
        .iter()
        .any(|parameter| parameter.name == "dry_run")
}

fn reference(shape: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{shape}") })
}

fn schema(shape: &Shape) -> Value {
    let properties: Map<String, Value> = shape
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    let required = shape
        .fields
        .iter()
        .filter(|field| field.presence != Presence::Optional);
    json!({
        "type": "object",
        "description": shape.summary,
        "properties": properties,
        "required": required.map(|field| field.name).collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn property(field: &Field) -> Value {
    let mut property = match field.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Whole => json!({ "type": "integer" }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Truth => json!({ "type": "boolean" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::One(shape) => reference(shape),
        Kind::Many(shape) => json!({ "type": "array", "items": reference(shape) }),
        Kind::TextByName => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    };
    if field.presence == Presence::Nullable {
        property = json!({ "oneOf": [property, { "type": "null" }] });
    }
    property["description"] = json!(field.summary);
    property
}

/// The table of all calls in Markdown.
pub(super) fn page() -> String {
    let mut page = String::from(
        "| call | what it does | who may | parameters | body | answer |\n|---|---|---|---|---|---|\n",
    );
    for route in ROUTES {
        let parameters = route
            .parameters
            .iter()
            .filter(|parameter| parameter.place != Place::Path);
        let parameters: Vec<String> = parameters
            .map(|parameter| format!("`{}`", parameter.name))
            .collect();
        let body = match route.body {
            Body::None => String::new(),
            Body::Yaml { .. } => "YAML".to_owned(),
            Body::Json { shape, .. } => format!("`{shape}`"),
        };
        let answer = match route.answer {
            (_, Content::Json(shape)) => format!("`{shape}`"),
            (_, Content::Text(super::routes::YAML)) => "YAML".to_owned(),
            (_, Content::Text(_)) => "text".to_owned(),
            (_, Content::OpenApi) => "JSON".to_owned(),
            (_, Content::Nothing) => String::new(),
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            page,
            "| `{} {}` | {} | {} | {} | {body} | {answer} |",
            route.method.as_str(),
            route.path.replace("{*", "{"),
            route.summary,
            route.needs.words(),
            parameters.join(", "),
        );
    }
    page
}
