//! How endpoints stand as nodes report it, and who may report.

use super::reads::connect;
use super::*;
use crate::access::NodeClaim;
use crate::fleet::REPORT_INTERVAL;
use crate::reports::NodeReports;
use outrigger_xds::node_report::{
    EndpointReport, EndpointStanding, NodeReport, NodeReportAnswer, Observed, REPORT, Reporter,
};
use prost::Message;
use std::time::Instant;

fn seen(port: u16, standing: EndpointStanding, ejected: bool) -> EndpointReport {
    EndpointReport {
        address: format!("127.0.0.1:{port}"),
        standing: standing.into(),
        failed_check: false,
        ejected,
    }
}

fn report(world: &World, node: &str, service: &str, observed: &Observed) {
    let claim = NodeClaim {
        node: node.to_owned(),
        service: service.to_owned(),
    };
    let report = Reporter::default().next((node, service), observed).unwrap();
    let register = world.parts.fleet.register();
    register
        .report(
            &claim,
            &Principal::Loopback,
            report,
            Instant::now() + REPORT_INTERVAL,
        )
        .unwrap();
}

#[tokio::test]
async fn what_nodes_see_is_put_together_by_endpoint() {
    let world = World::with_example().await;
    let web = connect(&world, "web-1", "shop/web");
    let _other = connect(&world, "web-2", "shop/web");
    let _silent = connect(&world, "edge-1", "edge/public");
    let catalog = "catalog.shop:80";
    let mut observed = Observed::default();
    observed.add(
        catalog,
        2,
        vec![
            seen(15206, EndpointStanding::Unhealthy, true),
            seen(15306, EndpointStanding::Degraded, false),
        ],
    );
    observed.add("app", 1, vec![seen(9001, EndpointStanding::Unchecked, false)]);
    report(&world, "web-1", "shop/web", &observed);
    let mut observed = Observed::default();
    observed.add(catalog, 2, vec![seen(15206, EndpointStanding::Unhealthy, false)]);
    report(&world, "web-2", "shop/web", &observed);

    let all = world.get(READER, "/v1/health").await.json;
    assert_eq!((&all["connected"], &all["reporting"]), (&json!(3), &json!(2)));
    assert_eq!(all["endpoints"].as_array().unwrap().len(), 3);
    let of_catalog = world.get(READER, "/v1/health?service=shop/catalog").await.json;
    let endpoints = of_catalog["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 2, "{of_catalog}");
    let first = &endpoints[0];
    assert_eq!(
        (&first["address"], &first["unhealthy"], &first["ejected"]),
        (&json!("127.0.0.1:15206"), &json!(2), &json!(1))
    );
    assert_eq!(
        (&first["service"], &first["nodes"]),
        (&json!("shop/catalog"), &json!(["web-1", "web-2"]))
    );
    assert_eq!(endpoints[1]["degraded"], 1);
    let unknown = world.get(READER, "/v1/health?service=no/body").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);

    let node = world.get(READER, "/v1/nodes/web-1").await.json;
    assert_eq!(
        (&node["health"]["endpoints"], &node["health"]["impaired"]),
        (&json!(3), &json!(3))
    );
    let nodes = world.get(READER, "/v1/nodes").await.json;
    assert_eq!(
        nodes["nodes"][0]["impaired"],
        Value::Null,
        "edge-1 has told nothing"
    );
    assert_eq!(nodes["nodes"][2]["impaired"], 1);
    drop(web);
    let left = world.get(READER, "/v1/health?service=shop/catalog").await.json;
    assert_eq!(
        left["endpoints"].as_array().unwrap().len(),
        1,
        "what has gone is not believed"
    );
}

/// Makes a report over gRPC, as whoever has this token: the answer, or the status.
async fn call(
    service: &NodeReports,
    token: Option<&str>,
    report: &NodeReport,
) -> Result<NodeReportAnswer, i32> {
    let body = report.encode_to_vec();
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&body);
    let mut request = Request::builder()
        .method("POST")
        .uri(REPORT)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = tonic::body::Body::new(http_body_util::Full::new(Bytes::from(message)));
    let answer = service
        .clone()
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap();
    let (head, body) = answer.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = head.headers.get("grpc-status").or(trailers.get("grpc-status"));
    let status: i32 = status.map_or(0, |status| status.to_str().unwrap().parse().unwrap());
    match status {
        0 => Ok(NodeReportAnswer::decode(&collected.to_bytes()[5..]).unwrap()),
        status => Err(status),
    }
}

#[tokio::test]
async fn a_report_is_taken_of_the_node_whose_it_is_and_of_nobody_else() {
    let world = World::with_example().await;
    let fleet = &world.parts.fleet;
    let service = NodeReports::new(
        Arc::clone(fleet),
        Arc::clone(&world.parts.access),
        &world.parts.registry,
    )
    .unwrap();
    let mut observed = Observed::default();
    observed.add("a", 1, Vec::new());
    let own = Reporter::default()
        .next(("web-1", "shop/web"), &observed)
        .unwrap();
    let others = Reporter::default()
        .next(("catalog-1", "shop/catalog"), &observed)
        .unwrap();
    const UNAUTHENTICATED: i32 = 16;
    const PERMISSION_DENIED: i32 = 7;
    const RESOURCE_EXHAUSTED: i32 = 8;
    assert_eq!(call(&service, None, &own).await, Err(UNAUTHENTICATED));
    assert_eq!(call(&service, Some(READER), &own).await, Err(PERMISSION_DENIED));
    assert_eq!(call(&service, Some(NODE), &others).await, Err(PERMISSION_DENIED));
    let early = call(&service, Some(NODE), &own).await.unwrap();
    assert!(early.begin_again, "its stream is not there yet");
    let claim = NodeClaim {
        node: "web-1".to_owned(),
        service: "shop/web".to_owned(),
    };
    let owner = Principal::Token(NODE.to_owned());
    let agent = crate::fleet::Agent::Outrigger;
    let _here = fleet
        .register()
        .enter(Arc::clone(fleet), &claim, &owner, agent, "1", None)
        .unwrap();
    let taken = call(&service, Some(NODE), &own).await.unwrap();
    assert!(!taken.begin_again && taken.interval_millis == 2_000);
    assert_eq!(call(&service, Some(NODE), &own).await, Err(RESOURCE_EXHAUSTED));
    let metrics = world.get(READER, "/metrics").await.text;
    for (outcome, count) in [("taken", 1), ("begin_again", 1), ("refused", 4)] {
        let line = format!("outrigger_control_node_reports_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} {metrics}");
    }
}
