//! Tests of the YAML front: what is refused and where, what is warned of, what round trips.

mod bounds;
mod documents;
mod examples;
mod faults;
mod model;
mod multiple;
mod round_trip;
mod schema;
mod variables;
mod warnings;

use crate::{Diagnostic, Diagnostics, Environment, Loaded, Source, load};

/// Loads a text as `mesh.yaml`, without variables.
fn read(text: &str) -> Result<Loaded, Diagnostics> {
    let source = Source {
        name: "mesh.yaml".into(),
        text: text.into(),
    };
    load(&source, &Environment::empty())
}

#[track_caller]
fn valid(text: &str) -> Loaded {
    read(text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A document around one route, `{…}` or several lines.
fn with_route(route: &str) -> String {
    format!(
        "clusters: [{{name: a}}, {{name: backend}}]
listeners: [{{name: l, address: 127.0.0.1:1, filter_chains: [{{http: {{route_configuration: r}}}}]}}]
route_configurations:
- name: r
  virtual_hosts:
  - name: v
    domains: ['*']
    routes:
    - {route}
"
    )
}

/// A document around one filter chain.
fn with_chain(chain: &str) -> String {
    format!(
        "route_configurations: [{{name: r}}]
listeners:
- name: l
  address: 127.0.0.1:1
  filter_chains:
  - {chain}
clusters: [{{name: a}}, {{name: backend}}]
"
    )
}

/// A document around one listener's `http`.
fn with_http(http: &str) -> String {
    with_chain(&format!("http: {{route_configuration: r, {http}}}"))
}

/// A document around one cluster.
fn with_cluster(cluster: &str) -> String {
    format!("clusters:\n- {cluster}\n")
}

/// A document whose faults are marked: the text without the marks `«` and `»`, and their places as
/// (line, column, length).
pub(crate) fn unmark(marked: &str) -> (String, Vec<(u32, u32, u32)>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    let (mut line, mut column) = (1, 1);
    for letter in marked.chars() {
        match letter {
            '«' => places.push((line, column, 0)),
            '»' => {
                let open = places.iter_mut().rev().find(|place| place.2 == 0).unwrap();
                open.2 = column - open.1;
            }
            '\n' => {
                text.push(letter);
                (line, column) = (line + 1, 1);
            }
            _ => {
                text.push(letter);
                column += 1;
            }
        }
    }
    (text, places)
}

/// `message | help`, as tables write it.
fn summary(diagnostic: &Diagnostic) -> String {
    match diagnostic.help() {
        Some(help) => format!("{} | {help}", diagnostic.message()),
        None => diagnostic.message().to_owned(),
    }
}

/// Holds diagnostics to the marks of a document and to their messages, all of them.
#[track_caller]
pub(crate) fn expect(marked: &str, found: &[Diagnostic], messages: &[&str]) -> Result<(), String> {
    let (text, places) = unmark(marked);
    let mut found: Vec<_> = found
        .iter()
        .map(|one| ((one.line(), one.column(), one.length()), summary(one)))
        .collect();
    let mut expected: Vec<_> = places
        .into_iter()
        .map(|(line, column, length)| (line, column, length.max(1)))
        .zip(messages)
        .map(|(place, message)| (place, (*message).to_owned()))
        .collect();
    found.sort();
    expected.sort();
    if found == expected && expected.len() == messages.len() {
        return Ok(());
    }
    let show = |rows: &[((u32, u32, u32), String)]| {
        rows.iter()
            .map(|((line, column, length), text)| format!("\n    {line}:{column}+{length} {text}"))
            .collect::<String>()
    };
    Err(format!(
        "{text}\n  found{}\n  expected{}",
        show(&found),
        show(&expected)
    ))
}
