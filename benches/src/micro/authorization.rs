//! What a decision takes among few and many authorization policies.

use super::Call;
use anyhow::{Context, Result, ensure};
use outrigger_config::model::SpiffeId;
use outrigger_config::{Environment, Source, load};
use outrigger_traffic::authorization::{Claims, Facts, Outcome, PeerFacts, PolicySet, RequestFacts, decide};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Services that ask, of which each turn takes one.
const TURNS: usize = 64;

struct Peer(SpiffeId);

impl PeerFacts for Peer {
    fn spiffe_id(&self) -> Option<&SpiffeId> {
        Some(&self.0)
    }
    fn names(&self, each: &mut dyn FnMut(&str)) {
        each(self.0.as_str());
    }
}

struct Request {
    path: String,
}

impl RequestFacts for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn authority(&self) -> &str {
        "shop.example"
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn headers(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
    fn claims(&self) -> Option<&Claims> {
        None
    }
}

fn id(service: usize) -> String {
    format!("spiffe://example.org/ns/shop/sa/service-{service:05}")
}

/// Every service may read below its own path; one in eight policies denies a client elsewhere.
fn policies(count: usize) -> Result<PolicySet> {
    let mut text = "authorization_policies:\n".to_owned();
    for index in 0..count {
        let (action, rule) = match index % 8 {
            7 => (
                "deny",
                format!(
                    "{{direct_addresses: [10.{}.{}.0/24]}}",
                    index / 256 % 256,
                    index % 256
                ),
            ),
            _ => (
                "allow",
                format!(
                    "{{spiffe_ids: ['{}'], paths: [{{prefix: /service-{index:05}}}], methods: [GET, HEAD]}}",
                    id(index)
                ),
            ),
        };
        text += &format!("- {{name: policy-{index}, action: {action}, rules: [{rule}]}}\n");
    }
    let source = Source {
        name: "policies.yaml".to_owned(),
        text,
    };
    let loaded = load(&source, &Environment::empty()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    Ok(PolicySet::compile(loaded.config.authorization_policies().clone()))
}

/// A decision by so many policies, one of which allows the request.
pub(super) fn decide_among(count: usize) -> Result<Call> {
    let set = policies(count)?;
    let asked: Vec<(Peer, Request)> = (0..TURNS)
        .map(|turn| {
            let service = turn * count / TURNS / 8 * 8;
            let id = id(service).parse().context("a SPIFFE id")?;
            let path = format!("/service-{service:05}/v1/items");
            Ok((Peer(id), Request { path }))
        })
        .collect::<Result<_>>()?;
    let outcome = move |turn: usize| {
        let (peer, request) = &asked[turn % TURNS];
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let facts = Facts {
            peer: Some(peer),
            remote: Some(address),
            direct: address,
            destination: SocketAddr::new(address, 8443),
            server_name: None,
            request: Some(request),
        };
        decide(&[&set], black_box(&facts)).outcome
    };
    for turn in 0..TURNS {
        let allowed = matches!(outcome(turn), Outcome::Allowed(Some(_)));
        ensure!(allowed, "turn {turn} is not allowed");
    }
    let mut turn = 0;
    Ok(Box::new(move || {
        black_box(outcome(turn));
        turn += 1;
    }))
}
