//! A root's rollover, by REST.

use super::reads::connect;
use super::*;
use crate::access::NodeClaim;
use crate::fleet::REPORT_INTERVAL;
use outrigger_xds::node_report::{Observed, Reporter};
use std::time::Instant;

async fn roll(world: &World, body: Value) -> Answer {
    world
        .call(Some(ADMIN), "POST", "/v1/authority/roll", &[], &body.to_string())
        .await
}

fn phases(answer: &Answer) -> Vec<String> {
    let roots = answer.json["roots"].as_array().unwrap();
    roots
        .iter()
        .map(|root| root["phase"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_root_is_rolled_over_step_by_step() {
    let world = World::start().await;
    assert_eq!(phases(&world.get(READER, "/v1/authority").await), ["signing"]);
    assert_eq!(
        roll(&world, json!({ "step": "distribute" })).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        roll(&world, json!({ "step": "prepare" })).await.status,
        StatusCode::OK
    );
    let distributed = roll(&world, json!({ "step": "distribute" })).await;
    assert!(
        phases(&distributed).contains(&"distributed".to_owned()),
        "{}",
        distributed.text
    );
    assert_eq!(
        distributed.json["bundle"]
            .as_str()
            .unwrap()
            .matches("BEGIN CERTIFICATE")
            .count(),
        2
    );
    assert_eq!(
        roll(&world, json!({ "step": "sign" })).await.status,
        StatusCode::CONFLICT,
        "too early"
    );
    assert_eq!(
        roll(&world, json!({ "step": "sign", "acknowledged": true }))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        roll(&world, json!({ "step": "leap" })).await.status,
        StatusCode::BAD_REQUEST
    );
    assert!(!world.get(READER, "/v1/authority").await.text.contains("PRIVATE"));
}

#[tokio::test]
async fn a_new_root_signs_once_every_live_node_says_that_it_believes_it() {
    let world = World::with_example().await;
    let fleet = &world.parts.fleet;
    let _web = connect(&world, "web-1", "shop/web");
    let mut edge = connect(&world, "edge-1", "edge/public");
    for step in ["prepare", "distribute"] {
        assert_eq!(roll(&world, json!({ "step": step })).await.status, StatusCode::OK);
    }
    let shown = world.get(READER, "/v1/authority").await;
    let roots = shown.json["roots"].as_array().unwrap();
    let new = roots.iter().find(|root| root["phase"] == "distributed").unwrap();
    assert_eq!(
        new["belief"],
        json!({ "believing": 0, "doubting": 2, "doubters": ["edge-1", "web-1"] })
    );
    let fingerprint = new["fingerprint"].as_str().unwrap().to_owned();
    edge.believe(std::slice::from_ref(&fingerprint));
    let early = roll(&world, json!({ "step": "sign" })).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert_eq!(
        early.json["help"],
        "1 nodes believe the new root, and 1 are not known to yet: web-1"
    );

    let mut observed = Observed::default();
    observed.believe(&fingerprint);
    let who = ("web-1", "shop/web");
    let report = Reporter::default().next(who, &observed).unwrap();
    let claim = NodeClaim {
        node: who.0.to_owned(),
        service: who.1.to_owned(),
    };
    let at = Instant::now() + REPORT_INTERVAL;
    fleet
        .register()
        .report(&claim, &Principal::Loopback, report, at)
        .unwrap();
    let signed = roll(&world, json!({ "step": "sign" })).await;
    assert_eq!(signed.status, StatusCode::OK, "{}", signed.text);
    assert!(phases(&signed).contains(&"superseded".to_owned()));
    let told = world.audit().await.pop().unwrap();
    assert_eq!(
        (told.details["step"].as_str(), told.details["evidence"].as_str()),
        ("sign", "nodes")
    );
    let retire = roll(&world, json!({ "step": "retire" })).await;
    assert_eq!(
        retire.status,
        StatusCode::CONFLICT,
        "what nodes believe says nothing of what they show"
    );
}
