//! Policies and facts made from bytes: each is a choice from a small alphabet, so that they meet often.

use crate::facts::{Known, Peer, Request};
use outrigger_config::model::SpiffeId;
use serde_json::{Map, Value, json};

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

    fn some<T: Copy>(&mut self, list: &[T]) -> Vec<T> {
        (0..1 + self.below(3)).map(|_| self.of(list)).collect()
    }
}

const IDS: [&str; 7] = [
    "spiffe://a",
    "spiffe://a/ns/b",
    "spiffe://a/ns/b/c",
    "spiffe://a/ns/bc",
    "spiffe://b/ns/b",
    "spiffe://b/x",
    "spiffe://ab/ns/b",
];
const NETS: [&str; 7] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "0.0.0.0/0",
    "::/0",
    "fd00::/8",
    "192.0.2.0/24",
];
const ADDRESSES: [&str; 5] = ["10.0.0.1", "10.1.9.9", "10.1.2.3", "fd00::1", "192.0.2.7"];
const PATHS: [&str; 22] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/b",
    "/a%2Fb",
    "/a;v=1/b",
    "//a",
    "/a/..%2Fb",
    "/a%21",
    "/a!",
    "/c/..;/a",
    "/a\\b",
    "/a/b/c",
    "/c/;%2F..%2F..%2Fa",
    "/a%3Bx",
    "/c/..%2Fa",
    "/c\\d/..%2Fa",
    "/a%20b;v=1",
    "/c//..%2Fb",
    "/a;\\..\\b",
    "/a%5Cb",
];
const HOSTS: [&str; 8] = [
    "a.example",
    "*.a.example",
    "a.b.*",
    "*.example",
    "b.a.example",
    "a.*",
    "*",
    "*e",
];
const AUTHORITIES: [&str; 9] = [
    "a.example",
    "A.Example.:80",
    "b.a.example",
    "%61.example",
    "other",
    "a.b",
    "b.a.example..",
    "a.example%3A80",
    "a.b.example",
];
const NAMES: [&str; 3] = ["x-a", "x-b", "cookie"];
const VALUES: [&str; 8] = ["v", "w", "v,w", "w, v", "v; w", "vw", "", "w;v"];

/// Policies, as the items of a YAML flow list.
pub(crate) fn policies(choices: &mut Choices<'_>, named: &str) -> String {
    let count = 1 + choices.below(24);
    let policies = (0..count).map(|index| {
        json!({
            "name": format!("{named}-{index}"),
            "action": choices.of(&["deny", "allow", "allow", "audit"]),
            "shadow": choices.one_in(5),
            "rules": (0..1 + choices.below(2)).map(|_| condition(choices, 0)).collect::<Vec<_>>(),
        })
        .to_string()
    });
    policies.collect::<Vec<_>>().join(", ")
}

fn condition(choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut fields = Map::new();
    for _ in 0..1 + choices.below(3) {
        let (name, value) = field(choices, depth);
        fields.insert(name.into(), value);
    }
    Value::Object(fields)
}

fn field(choices: &mut Choices<'_>, depth: usize) -> (&'static str, Value) {
    match choices.below(if depth < 2 { 21 } else { 18 }) {
        0 | 1 => ("spiffe_ids", json!(choices.some(&IDS[1..]))),
        2 => ("spiffe_prefixes", json!(choices.some(&IDS))),
        3 => ("trust_domains", json!(choices.some(&["a", "b"]))),
        4 => ("authenticated", json!(true)),
        5 => (
            "peer_names",
            json!([choices.of(&IDS), {"prefix": choices.of(&["n", "spiffe"])}]),
        ),
        6 => ("remote_addresses", json!(choices.some(&NETS))),
        7 => ("direct_addresses", json!(choices.some(&NETS))),
        8 => ("destination_addresses", json!(choices.some(&NETS))),
        9 => (
            "destination_ports",
            json!([choices.of(&["80", "81-90", "1000-9000"])]),
        ),
        10 => ("server_names", json!([choices.of(&["a.example", "*.example"])])),
        11 => ("methods", json!(choices.some(&["GET", "POST", "CONNECT"]))),
        12 | 13 => ("paths", json!([path(choices), path(choices)])),
        14 => ("hosts", json!(choices.some(&HOSTS))),
        15 => ("headers", json!([value(choices, &NAMES, "name")])),
        16 => ("query", json!([value(choices, &["p", "p q"], "name")])),
        17 => ("claims", json!([claim(choices)])),
        18 => ("not", condition(choices, depth + 1)),
        19 => (
            "any_of",
            json!([condition(choices, depth + 1), condition(choices, depth + 1)]),
        ),
        _ => ("always", json!(true)),
    }
}

fn path(choices: &mut Choices<'_>) -> Value {
    match choices.below(5) {
        0 => json!({"path": choices.of(&PATHS)}),
        3 => json!({"string_prefix": choices.of(&PATHS)}),
        1 => json!({"prefix": choices.of(&PATHS)}),
        2 => json!({"template": choices.of(&["/a/{x}", "/{x}/b", "/{x}", "/a%21/{x}"])}),
        _ => json!({"regex": choices.of(&["/a.*", "/[ab]", ".*b"])}),
    }
}

fn value(choices: &mut Choices<'_>, names: &[&str], key: &str) -> Value {
    let kind = choices.of(&["exact", "exact", "prefix", "suffix", "contains", "present"]);
    let value = match kind {
        "present" => json!(true),
        _ => json!(choices.of(&["v", "w", "v,w", "v, w", "vw"])),
    };
    json!({key: choices.of(names), kind: value, "invert": choices.one_in(3)})
}

fn claim(choices: &mut Choices<'_>) -> Value {
    let mut claim = value(choices, &["sub", "role.x"], "path");
    let fields = claim.as_object_mut().expect("an object");
    fields.remove("invert");
    if choices.one_in(2) {
        fields.insert("provider".into(), json!(choices.of(&["p", "q"])));
    }
    claim
}

/// A connection that has a chance with such policies, mostly with a request.
pub(crate) fn known(choices: &mut Choices<'_>) -> Known {
    let id: Option<SpiffeId> = choices
        .one_in(2)
        .then(|| choices.of(&IDS).parse().expect("a SPIFFE id"));
    let peer = (id.is_some() || choices.one_in(3)).then(|| Peer {
        names: vec![id.as_ref().map_or("n.example".into(), ToString::to_string)],
        id,
    });
    let address = |choices: &mut Choices<'_>| choices.of(&ADDRESSES).parse().expect("an address");
    Known {
        peer,
        remote: (!choices.one_in(6)).then(|| address(choices)),
        direct: address(choices),
        destination: (address(choices), choices.of(&[80, 85, 5000, 443])).into(),
        server_name: choices
            .of(&[None, Some("a.example"), Some("b.example")])
            .map(Into::into),
        request: (!choices.one_in(5)).then(|| request(choices)),
    }
}

fn request(choices: &mut Choices<'_>) -> Request {
    let mut request = Request {
        method: choices.of(&["GET", "POST", "get"]).into(),
        authority: "b.".repeat(choices.of(&[0, 0, 0, 3, 130])) + choices.of(&AUTHORITIES),
        path: choices.of(&PATHS).into(),
        query: choices
            .of(&[
                None,
                Some("p=v"),
                Some("p=v&p=w"),
                Some("p+q=v+w&p%20q=w"),
                Some("p=%76%2Cw&&"),
                Some("q=1;p=v"),
                Some("p=v;p=v&p=v"),
            ])
            .map(|query| "p=w&".repeat(choices.of(&[0, 0, 0, 0, 20, 300])) + query),
        headers: (0..choices.below(4))
            .map(|_| (choices.of(&NAMES).into(), field_value(choices)))
            .collect(),
        ..Request::default()
    };
    if choices.one_in(8) {
        request.method = "CONNECT".into();
        request.path = String::new();
    }
    request
}

/// A header's value, now and then a long list.
fn field_value(choices: &mut Choices<'_>) -> String {
    let times = choices.of(&[0, 0, 0, 0, 0, 20, 255, 300]);
    choices.of(&["v,", "z,", "w;", "z;"]).repeat(times) + choices.of(&VALUES)
}

/// Payloads of tokens, each with its provider.
pub(crate) fn tokens(choices: &mut Choices<'_>) -> Vec<(&'static str, Value)> {
    let payloads = [
        json!({"sub": "v"}),
        json!({"sub": ["w", "v", {"x": 1}, ["vw"]]}),
        json!({"sub": null, "role": {"x": "w"}}),
        json!({"sub": {"v": 1}, "role": {"x": [true, 1.5, "vw"]}}),
        json!({}),
    ];
    (0..choices.below(3))
        .map(|_| {
            (
                choices.of(&["p", "q"]),
                payloads[choices.below(payloads.len())].clone(),
            )
        })
        .collect()
}
