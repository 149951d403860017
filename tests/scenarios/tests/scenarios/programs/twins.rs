//! The same mesh, two data planes: one control API pushes one mesh to our proxy and to Envoy, both as nodes of one
//! gateway, and both get the same requests. What clients and upstreams see is compared field by field. A difference is
//! either a defect or one of `twins/differences.txt`, which says why it is there; one that is not there any more has to
//! be taken out of that list.

mod corpus;
mod seen;
mod upstream;

use super::control_plane::envoy;
use corpus::Asked;
use outrigger_fixtures::issuer::{Issuer, claims, claims_with, jwks};
use outrigger_harness::Control;
use outrigger_harness::client::Client;
use seen::{Answer, Explained, Seen, differences};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use upstream::Upstreams;

/// Requests that the issue asks for, at least.
const REQUESTS_MIN: usize = 300;

fn text(name: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/programs/twins");
    std::fs::read_to_string(file.join(name)).expect("the file lies beside the test")
}

/// Tokens that requests name.
struct Tokens {
    keys: String,
    named: Vec<(&'static str, String)>,
}

impl Tokens {
    fn new() -> Tokens {
        let (known, unknown) = (Issuer::p256("known"), Issuer::p256("known"));
        let named = vec![
            ("$good", known.token(&claims())),
            ("$admin", known.token(&claims_with("admin", json!(true)))),
            ("$bob", known.token(&claims_with("sub", json!("bob")))),
            ("$expired", known.token(&claims_with("exp", json!(1_000_000)))),
            (
                "$early",
                known.token(&claims_with("nbf", json!(4_000_000_000_u64))),
            ),
            ("$elsewhere", known.token(&claims_with("aud", json!(["other"])))),
            (
                "$foreign",
                known.token(&claims_with("iss", json!("https://other.example"))),
            ),
            ("$forged", unknown.token(&claims())),
            ("$garbage", "not.a.token".to_owned()),
        ];
        Tokens {
            keys: jwks(&[&known]),
            named,
        }
    }

    fn fill(&self, text: &str) -> String {
        let fill = |text: String, (name, token): &(&str, String)| text.replace(name, token);
        self.named.iter().fold(text.to_owned(), fill)
    }

    /// Where it is told, a token is told by its name.
    fn hide(&self, text: &str) -> String {
        let hide = |text: String, (name, token): &(&str, String)| text.replace(token.as_str(), name);
        self.named.iter().fold(text.to_owned(), hide)
    }
}

async fn ask(asked: &Asked, address: SocketAddr, tokens: &Tokens, upstreams: &Upstreams) -> Seen {
    upstreams.forget();
    let request = tokens.fill(&asked.wire());
    let mut client = Client::connect(address).await;
    client.send(&request).await;
    let answer = client.try_response(&asked.method);
    let answer = outrigger_harness::wait::within("an answer", answer).await;
    Seen {
        answer: answer.map_or(Answer::Cut, Answer::Came),
        upstream: upstreams.seen(),
    }
}

#[tokio::test]
async fn envoy_and_the_proxy_answer_alike() {
    let (tokens, upstreams) = (Tokens::new(), Upstreams::start().await);
    let mesh = upstreams.fill(&text("mesh.yaml")).replace("$keys", &tokens.keys);
    let control = Control::start(&[("mesh.yaml", &mesh)]).await;
    let Some(envoy) = envoy::run(&control, "DELTA_GRPC").await else {
        return;
    };
    let ours = control
        .node(
            "outrigger",
            "edge/public",
            "spiffe://example.org/ns/edge/sa/public",
        )
        .await;
    control.settled("outrigger").await;
    let (theirs, ours_address) = (envoy.address_of("edge").await, ours.address_of("edge"));

    let (corpus, explained) = (
        corpus::read(&text("corpus.txt")),
        Explained::read(&text("differences.txt")),
    );
    assert!(corpus.len() >= REQUESTS_MIN, "{} requests", corpus.len());
    let (mut wrong, mut occurred) = (String::new(), BTreeSet::new());
    for asked in &corpus {
        let envoy = ask(asked, theirs, &tokens, &upstreams).await;
        let outrigger = ask(asked, ours_address, &tokens, &upstreams).await;
        for difference in differences(&envoy, &outrigger) {
            let difference = tokens.hide(&difference);
            match explained
                .iter()
                .position(|one| one.covers(asked.text(), &difference))
            {
                Some(at) => drop(occurred.insert(at)),
                None => writeln!(wrong, "{}\n    {difference}", asked.text()).expect("a text takes it"),
            }
        }
    }
    for (at, one) in explained.iter().enumerate() {
        if !occurred.contains(&at) {
            writeln!(wrong, "does not occur any more: {one}").expect("a text takes it");
        }
    }
    println!(
        "{} requests, {} kinds of explained differences",
        corpus.len(),
        explained.len()
    );
    assert!(wrong.is_empty(), "Envoy and Outrigger differ:\n{wrong}");
}
