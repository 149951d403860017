//! Route tables and requests made from bytes: each byte is a choice from a small alphabet, so that domains, paths and
//! values collide often, and so that bytes which shrink or mutate make tables that do.

use outrigger_config::model::{MeshConfig, RouteConfiguration, SpiffeId};
use outrigger_config::{Environment, Source, load};
use outrigger_traffic::RequestView;
use serde_json::{Value, json};
use std::sync::Arc;

/// A request of our own making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) identity: Option<SpiffeId>,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        &self.method
    }
    fn source_identity(&self) -> Option<&SpiffeId> {
        self.identity.as_ref()
    }
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
    fn header<'a>(&'a self, name: &str, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        assert!(joined.is_empty());
        let values: Vec<&[u8]> = self
            .headers
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value.as_slice())
            .collect();
        match values.as_slice() {
            [] => None,
            [value] => Some(value),
            values => {
                *joined = values.join(&b","[..]);
                Some(joined)
            }
        }
    }
}

/// A configuration from YAML; its first route configuration.
pub(crate) fn routes(yaml: &str) -> Arc<RouteConfiguration> {
    Arc::clone(&configuration(yaml).route_configurations()[0])
}

fn configuration(yaml: &str) -> MeshConfig {
    let source = Source {
        name: "routes.yaml".into(),
        text: yaml.into(),
    };
    match load(&source, &Environment::empty()) {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{diagnostics}\n{yaml}"),
    }
}

/// Choices, one byte each; when they run out, always the first.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let Some((&byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(byte) % bound
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == bound - 1
    }
}

const DOMAINS: [&str; 10] = [
    "*",
    "a.example",
    "b.a.example",
    "*.example",
    "*.a.example",
    "*-x.example",
    "a.*",
    "a.b.*",
    "*e",
    "A-X.example",
];
const HOSTS: [&str; 16] = [
    "a.example",
    "A.Example",
    "b.a.example",
    "c.b.a.example",
    ".example",
    "x-x.example",
    "-x.example",
    "a.",
    "a.b",
    "a.b.c",
    "example",
    "",
    "e",
    "a-x.example",
    "A.B.",
    "[::1]",
];
const SEGMENTS: [&str; 6] = ["a", "b", "ab", "c1", "x%2Fy", ".d"];
const REGEXES: [&str; 7] = [
    "/a.*",
    "/[ab]/.*",
    ".*",
    "(/[a-c1]+)+",
    "/c[0-9]",
    "/(a|ab)",
    "/a/|/b",
];
const METHODS: [&str; 4] = ["GET", "POST", "get", "DELETE"];
const HEADERS: [&str; 3] = ["x-a", "x-b", "content-type"];
const VALUES: [&str; 7] = [
    "v",
    "vw",
    "wv",
    "v,w",
    "application/grpc+proto",
    "application/json",
    "V",
];
const PARAMETERS: [&str; 3] = ["p", "q", "p q"];

/// A route configuration of up to three virtual hosts, as YAML.
pub(crate) fn yaml(choices: &mut Choices<'_>) -> String {
    let mut domains: [Vec<&str>; 3] = Default::default();
    for domain in DOMAINS {
        if let Some(list) = domains.get_mut(choices.below(4)) {
            list.push(domain);
        }
    }
    let hosts = domains
        .iter()
        .enumerate()
        .filter(|(_, domains)| !domains.is_empty());
    let hosts: Vec<Value> = hosts
        .map(|(index, domains)| {
            let routes: Vec<Value> = (0..1 + choices.below(12)).map(|_| route(choices)).collect();
            json!({"name": format!("host-{index}"), "domains": domains, "routes": routes})
        })
        .collect();
    json!({"route_configurations": [{"name": "main", "virtual_hosts": hosts}]}).to_string()
}

fn route(choices: &mut Choices<'_>) -> Value {
    let mut matches = serde_json::Map::new();
    match choices.below(11) {
        10 => matches.insert("connect".into(), json!(true)),
        0..=2 => matches.insert("prefix".into(), json!(route_path(choices))),
        3..=5 => matches.insert("path".into(), json!(route_path(choices))),
        6 | 7 => matches.insert("template".into(), json!(template(choices))),
        8 => matches.insert("regex".into(), json!(choices.of(&REGEXES))),
        _ => matches.insert("grpc".into(), grpc(choices)),
    };
    let is_connect = matches.contains_key("connect");
    let is_grpc = matches.contains_key("grpc");
    if choices.one_in(4) && !is_connect {
        let methods = if is_grpc {
            ["POST", "GET"]
        } else {
            ["GET", choices.of(&["DELETE", "POST"])]
        };
        matches.insert("methods".into(), json!(methods));
    }
    if choices.one_in(4) {
        let list: Vec<Value> = (0..1 + choices.below(2))
            .map(|_| condition(choices, &HEADERS))
            .collect();
        matches.insert("headers".into(), json!(list));
    }
    if choices.one_in(5) {
        let identities = [
            json!({"spiffe_id": choices.of(&["spiffe://a/b", "spiffe://b/x"])}),
            json!({"spiffe_prefix": "spiffe://a/b"}),
            json!({"trust_domain": "a"}),
        ];
        let wanted = &identities[choices.below(3)];
        matches.insert("source_identities".into(), json!([wanted]));
    }
    if choices.one_in(5) && !is_connect {
        matches.insert("query".into(), json!([condition(choices, &PARAMETERS)]));
    }
    json!({"match": matches, "direct_response": {"status": 200}})
}

fn route_path(choices: &mut Choices<'_>) -> String {
    let mut path: String = (0..choices.below(4))
        .map(|_| format!("/{}", choices.of(&SEGMENTS)))
        .collect();
    if path.is_empty() || choices.one_in(4) {
        path.push('/');
    }
    path
}

/// Up to four segments, at least one of them a variable.
fn template(choices: &mut Choices<'_>) -> String {
    let count = 1 + choices.below(4);
    let surely = choices.below(count);
    let mut template = String::new();
    for index in 0..count {
        if index == surely || choices.one_in(3) {
            template.push_str(&format!("/{{v{index}}}"));
        } else {
            template.push_str(&format!("/{}", choices.of(&SEGMENTS)));
        }
    }
    template
}

fn grpc(choices: &mut Choices<'_>) -> Value {
    match choices.below(2) {
        0 => json!({"service": "a"}),
        _ => json!({"service": "a", "method": "b"}),
    }
}

fn condition(choices: &mut Choices<'_>, names: &[&str]) -> Value {
    let name = choices.of(names);
    let kind = choices.of(&["exact", "prefix", "suffix", "contains", "regex", "present"]);
    let value = match kind {
        "present" => json!(true),
        "regex" => json!(choices.of(&["v.*", "[vw]", ".*w", "v,w"])),
        _ => json!(choices.of(&VALUES)),
    };
    json!({"name": name, kind: value, "invert": choices.one_in(3)})
}

/// A request that has a chance with such a table. Its path is normal.
pub(crate) fn request(choices: &mut Choices<'_>) -> Request {
    let mut path: String = (0..choices.below(6))
        .map(|_| format!("/{}", choices.of(&["a", "b", "ab", "c1", "x%2Fy", ".d", ""])))
        .collect();
    if path.is_empty() || choices.one_in(5) {
        path.push('/');
    }
    if choices.one_in(40) {
        path = "*".into();
    }
    let query = choices.of(&[
        None,
        None,
        Some(""),
        Some("p=v"),
        Some("q=vw&p=w"),
        Some("%70=%76"),
        Some("p+q=v"),
        Some("p%20q=v%2Cw"),
        Some("&&p"),
        Some("p=%ff"),
        Some("p=%&p=v"),
        Some("=v&q=v=w"),
    ]);
    let headers = (0..choices.below(4)).map(|_| {
        let values: [&[u8]; 9] = [
            b"v",
            b"vw",
            b"wv",
            b"w",
            b"application/grpc",
            b"application/grpc+proto",
            b"\xffv",
            b"",
            b"v,w",
        ];
        (choices.of(&HEADERS).to_owned(), choices.of(&values).to_vec())
    });
    let headers = headers.collect();
    let request = Request {
        method: choices.of(&METHODS).to_owned(),
        identity: choices
            .of(&[
                None,
                Some("spiffe://a/b"),
                Some("spiffe://a/b/c"),
                Some("spiffe://b/x"),
                Some("spiffe://a/bc"),
            ])
            .map(|id| id.parse().expect("a SPIFFE id")),
        host: choices.of(&HOSTS).to_owned(),
        path,
        query: query.map(str::to_owned),
        headers,
    };
    if !choices.one_in(6) {
        return request;
    }
    // It has a host and nothing else of a target.
    Request {
        method: "CONNECT".to_owned(),
        path: String::new(),
        query: None,
        ..request
    }
}
