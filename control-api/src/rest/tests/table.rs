//! What holds for every call of the table.

use super::*;
use crate::rest::routes::{Body, Place};

/// A path of a route that could be asked for.
fn example_of(route: &Route) -> String {
    let segments = route.path.split('/').map(|segment| match segment {
        "{number}" | "{other}" => "1",
        "{*name}" => "shop/new.yaml",
        segment if segment.starts_with('{') => "some",
        segment => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

async fn ask(world: &World, who: Option<&str>, route: &Route) -> Answer {
    let body = if route.body == Body::None { "" } else { "{}" };
    world
        .call(who, route.method.as_str(), &example_of(route), &[], body)
        .await
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let document = crate::rest::openapi_document();
    let told: usize = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    assert_eq!(told, ROUTES.len());
    let mut operations = std::collections::BTreeSet::new();
    for route in ROUTES {
        assert!(
            operations.insert(route.operation),
            "{} is there twice",
            route.operation
        );
        let own = &document["paths"][route.path.replace("{*", "{")][route.method.as_str().to_lowercase()];
        assert_eq!(own["operationId"], route.operation);
        assert_eq!(
            own["requestBody"].is_object(),
            route.body != Body::None,
            "{}",
            route.operation
        );
        let in_path = route
            .parameters
            .iter()
            .filter(|parameter| parameter.place == Place::Path);
        let in_path: Vec<String> = in_path.map(|parameter| parameter.name.to_owned()).collect();
        let segments = route
            .path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{'));
        let segments: Vec<String> = segments
            .map(|name| name.trim_start_matches('*').trim_end_matches('}').to_owned())
            .collect();
        assert_eq!(in_path, segments, "{}", route.operation);
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").map(|name| name.as_str().unwrap().to_owned()));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = crate::rest::openapi_document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in &found {
        assert!(
            document.pointer(reference.trim_start_matches('#')).is_some(),
            "{reference} leads nowhere"
        );
    }
    for shape in shapes::all() {
        let own = format!("#/components/schemas/{}", shape.name);
        assert!(found.contains(&own), "nothing is a {}", shape.name);
    }
}

/// Every call is closed to whoever has shown nothing, or something that does not allow it.
#[tokio::test]
async fn every_route_is_closed_to_whom_it_is_not_for() {
    let world = World::with_example().await;
    for route in ROUTES {
        let is_open = route.needs == Needs::Nothing;
        for (who, refused) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some("nonsense"), StatusCode::UNAUTHORIZED),
            (Some(NODE), StatusCode::FORBIDDEN),
        ] {
            let answer = ask(&world, who, route).await;
            assert_eq!(
                answer.status == refused,
                !is_open,
                "{} for {who:?}: {}",
                route.operation,
                answer.text
            );
            if answer.status == StatusCode::UNAUTHORIZED {
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
            }
        }
        let answer = ask(&world, Some(SHOP), route).await;
        let is_administrators = route.needs == Needs::Administering;
        assert_eq!(
            answer.status == StatusCode::FORBIDDEN,
            is_administrators,
            "{}: {}",
            route.operation,
            answer.text
        );
    }
    assert_eq!(
        world.parts.store.position().await.unwrap().revision,
        1,
        "nothing has changed"
    );
}

#[tokio::test]
async fn every_route_is_served_and_reads_strictly() {
    let world = World::with_example().await;
    for route in ROUTES {
        let answer = ask(&world, Some(ADMIN), route).await;
        assert_ne!(
            answer.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{}",
            route.operation
        );
        assert_ne!(
            answer.json["error"], "there is no such call",
            "{}",
            route.operation
        );
        let misspelt = format!("{}?misspelt=1", example_of(route));
        let answer = world
            .call(Some(ADMIN), route.method.as_str(), &misspelt, &[], "")
            .await;
        if route.needs != Needs::Nothing {
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{}: {}",
                route.operation,
                answer.text
            );
        }
        if route.body == Body::None && route.needs != Needs::Nothing {
            let path = example_of(route);
            let answer = world
                .call(Some(ADMIN), route.method.as_str(), &path, &[], "x")
                .await;
            assert_eq!(
                answer.status,
                StatusCode::PAYLOAD_TOO_LARGE,
                "{}",
                route.operation
            );
        }
    }
    let answer = world.get(ADMIN, "/v2/documents").await;
    assert_eq!(
        (answer.status, &answer.json["error"]),
        (StatusCode::NOT_FOUND, &json!("there is no such call"))
    );
    let answer = world.call(Some(ADMIN), "PATCH", "/v1/mesh", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    conforms(&answer.json, "Error");
}

/// `UPDATE_DOCS=1 cargo test -p outrigger-control-api --lib rest` rewrites the table.
#[test]
fn the_page_has_the_table() {
    const BEGIN: &str = "<!-- calls: printed from the code -->\n";
    const END: &str = "<!-- end of calls -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/control/rest.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page has a place for the table");
    let (_, after) = rest.split_once(END).expect("the place has an end");
    let printed = format!("{before}{BEGIN}{}{END}{after}", crate::rest::routes_page());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, printed).unwrap();
        return;
    }
    assert_eq!(
        page, printed,
        "docs/control/rest.md is not what the code says: run with UPDATE_DOCS=1"
    );
}
