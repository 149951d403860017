//! What is read: history, the audit log, nodes, the authority, status; and what probes and Prometheus see.

use super::*;
use crate::access::NodeClaim;
use crate::audit::action;
use crate::fleet::{Agent, Registration};

pub(super) fn connect(world: &World, node: &str, service: &str) -> Registration {
    let claim = NodeClaim {
        node: node.to_owned(),
        service: service.to_owned(),
    };
    let fleet = &world.parts.fleet;
    fleet
        .register()
        .enter(
            Arc::clone(fleet),
            &claim,
            &Principal::Loopback,
            Agent::Outrigger,
            "1.0",
            None,
        )
        .unwrap()
}

async fn with_three_revisions() -> World {
    let world = World::with_example().await;
    for revision in 1..3 {
        let text = format!("# {revision}\n{}", EXAMPLE[3].1);
        let made = world
            .change(SHOP, revision, "PUT", "/v1/documents/web.yaml?reason=r", &text)
            .await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    }
    world
}

#[tokio::test]
async fn history_comes_in_pages_and_differences_in_both_ways() {
    let world = with_three_revisions().await;
    let page = world.get(READER, "/v1/revisions?limit=2").await;
    let numbers = |page: &Answer| -> Vec<u64> {
        page.json["revisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["number"].as_u64().unwrap())
            .collect()
    };
    assert_eq!((numbers(&page), &page.json["next"]), (vec![3, 2], &json!(2)));
    let rest = world.get(READER, "/v1/revisions?before=2").await;
    assert_eq!((numbers(&rest), &rest.json["next"]), (vec![1], &Value::Null));
    assert_eq!(
        world.get(READER, "/v1/revisions?limit=0").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        world.get(READER, "/v1/revisions/9").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        world.get(READER, "/v1/revisions/x").await.status,
        StatusCode::BAD_REQUEST
    );

    let there = world.get(READER, "/v1/revisions/1/diff/3").await;
    assert_eq!(there.json["changes"], json!([]), "a comment means nothing");
    assert!(
        there.json["documents"][0]["diff"]
            .as_str()
            .unwrap()
            .contains("\n+# 2\n"),
        "{}",
        there.text
    );
    let back = world.get(READER, "/v1/revisions/3/diff/0").await;
    assert_eq!(back.json["documents"][0]["change"], "removed");
    assert_eq!(back.json["changes"][0]["change"], "removed");
}

#[tokio::test]
async fn the_audit_log_is_read_and_verified() {
    let world = with_three_revisions().await;
    let count = world.audit().await.len() as u64;
    let first = world.get(READER, "/v1/audit?limit=2").await;
    assert_eq!(
        (&first.json["next"], &first.json["head"]["count"]),
        (&json!(3), &json!(count))
    );
    let last = world.get(READER, "/v1/audit?limit=1&last=true").await;
    assert_eq!(
        (&last.json["entries"][0]["sequence"], &last.json["next"]),
        (&json!(count), &Value::Null)
    );
    assert_eq!(
        world.get(READER, "/v1/audit?from=1&last=true").await.status,
        StatusCode::BAD_REQUEST
    );

    let report = world.get(READER, "/v1/audit/verify").await;
    assert_eq!(
        (&report.json["intact"], &report.json["revisions"]),
        (&json!(true), &json!(3))
    );
    let hash = report.json["head"]["hash"].as_str().unwrap();
    let kept = world
        .get(READER, &format!("/v1/audit/verify?count={count}&hash={hash}"))
        .await;
    assert_eq!(kept.json["intact"], true);
    let other = world
        .get(
            READER,
            &format!("/v1/audit/verify?count={}&hash={hash}", count - 1),
        )
        .await;
    assert_eq!(other.json["intact"], false, "{}", other.text);
    assert!(
        other.json["reason"].as_str().unwrap().contains("written anew"),
        "{}",
        other.text
    );
    for half in ["count=1", "hash=1", "count=1&hash=nonsense"] {
        let answer = world.get(READER, &format!("/v1/audit/verify?{half}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{half}");
    }
}

/// However often somebody is refused, the log grows by a bounded part of it, and known callers are heard still.
#[tokio::test]
async fn refused_calls_are_told_of_within_bounds() {
    let world = World::with_example().await;
    for _ in 0..100 {
        let answer = world.call(None, "GET", "/v1/status", &[], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.get(NODE, "/v1/status").await.status, StatusCode::FORBIDDEN);
    let log = world.audit().await;
    let refused: Vec<&Entry> = log
        .iter()
        .filter(|entry| entry.what == action::LOGIN_REFUSED)
        .collect();
    assert!((10..90).contains(&refused.len()), "{}", refused.len());
    assert_eq!(refused[0].subject, "GET /v1/status");
    assert_eq!(refused.last().unwrap().who, "token `node`");
    let metrics = world.get(READER, "/metrics").await.text;
    assert!(
        !metrics.contains("outrigger_control_rest_refusals_unaudited_total 0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("outrigger_control_rest_calls_total{operation=\"readStatus\",status=\"401\"} 100"),
        "{metrics}"
    );
}

#[tokio::test]
async fn nodes_are_listed_shown_and_told_of_what_they_do() {
    let world = World::with_example().await;
    let _web = connect(&world, "web/1", "shop/web");
    let _edge = connect(&world, "edge-1", "edge/public");
    drop(connect(&world, "gone-1", "shop/web"));
    let page = world.get(READER, "/v1/nodes?limit=2").await;
    assert_eq!(
        (&page.json["nodes"][0]["node"], &page.json["next"]),
        (&json!("edge-1"), &json!("gone-1"))
    );
    let rest = world.get(READER, "/v1/nodes?after=gone-1").await;
    assert_eq!(
        (&rest.json["nodes"][0]["node"], &rest.json["next"]),
        (&json!("web/1"), &Value::Null)
    );
    let web = world.get(READER, "/v1/nodes?service=shop/web").await;
    assert_eq!(web.json["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(web.json["nodes"][0]["connected"], false);

    let one = world.get(READER, "/v1/nodes/web%2F1").await;
    assert_eq!(
        (&one.json["service"], &one.json["agent"]),
        (&json!("shop/web"), &json!("outrigger"))
    );
    assert_eq!(
        world.get(READER, "/v1/nodes/nobody").await.status,
        StatusCode::NOT_FOUND
    );

    let config = world.get(READER, "/v1/nodes/web%2F1/config").await;
    assert!(
        config.text.contains("15106") && config.text.contains("catalog.shop:80"),
        "{}",
        config.text
    );
    assert!(!config.text.contains("PRIVATE KEY"));
    let declared = world.get(READER, "/v1/nodes/catalog-v2/config").await;
    assert!(declared.text.contains("15306"), "{}", declared.text);
    let supposed = world
        .get(READER, "/v1/nodes/any/config?service=edge/public")
        .await;
    assert!(supposed.text.contains("8080"), "{}", supposed.text);
    for unknown in ["nobody/config", "any/config?service=no/body"] {
        assert_eq!(
            world.get(READER, &format!("/v1/nodes/{unknown}")).await.status,
            StatusCode::NOT_FOUND
        );
    }
    let metrics = world.get(READER, "/metrics").await.text;
    assert!(
        metrics.contains("outrigger_control_nodes{state=\"underway\"} 2"),
        "{metrics}"
    );
    assert!(
        metrics.contains("outrigger_control_nodes{state=\"gone\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("outrigger_control_revision 1\n"), "{metrics}");
}

#[tokio::test]
async fn requests_are_explained_by_what_a_node_is_told() {
    let world = World::with_example().await;
    let _web = connect(&world, "web-1", "shop/web");
    let ask = |path: &'static str, body: Value| {
        let world = &world;
        async move {
            let path = format!("/v1/nodes/{path}");
            world
                .call(Some(READER), "POST", &path, &[], &body.to_string())
                .await
        }
    };
    let lines = |answer: &Answer| {
        let lines = answer.json["lines"].as_array().unwrap().iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let edge = "any/explain?service=edge/public";
    let taken = ask(
        edge,
        json!({ "request": "GET http://api.example:8080/catalog/7" }),
    )
    .await;
    let text = lines(&taken);
    for part in [
        "gateway.yaml:",
        "path sent: `/7`",
        "rate limit `edge/clients`",
        "cluster `",
        "127.0.0.1:15206",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(
        (
            &taken.json["taken"],
            &taken.json["revision"],
            &taken.json["in_force"]
        ),
        (&json!(true), &json!(1), &Value::Null)
    );
    let nothing = ask(edge, json!({ "request": "GET http://elsewhere.example:8080/" })).await;
    assert_eq!(nothing.json["taken"], false, "{}", nothing.text);
    assert!(lines(&nothing).contains("404"), "{}", nothing.text);

    let inbound = |peer: &str| json!({ "request": "GET https://web.shop:15106/", "peer_id": peer });
    let web = ask("web-1/explain", inbound("spiffe://example.org/ns/edge/sa/public")).await;
    assert!(lines(&web).contains("policy `shop/from-gateway`"), "{}", web.text);
    let other = ask(
        "web-1/explain",
        inbound("spiffe://example.org/ns/shop/sa/catalog"),
    )
    .await;
    assert!(lines(&other).contains("answer: 403"), "{}", other.text);
    assert_eq!(
        (&web.json["nodes"][0]["node"], &web.json["nodes"][0]["has_it"]),
        (&json!("web-1"), &json!(false))
    );
    assert_eq!(
        web.json["fleet"],
        json!({ "connected": 1, "to_have_it": 1, "have_it": 0 })
    );

    for (path, body, status) in [
        ("nobody/explain", json!({ "request": "GET http://a/" }), 404),
        (edge, json!({ "request": "GET a" }), 400),
        (edge, json!({ "request": "GET http://a/", "peer_id": "ann" }), 400),
        (
            edge,
            json!({ "request": "GET http://a/", "listener": "other" }),
            400,
        ),
        (edge, json!({ "request": "GET http://a/", "header": [] }), 400),
    ] {
        assert_eq!(
            ask(path, body.clone()).await.status.as_u16(),
            status,
            "{path} {body}"
        );
    }
}

#[tokio::test]
async fn join_tokens_are_made_listed_and_taken_back() {
    let world = World::start().await;
    let ask = |body: Value| {
        let world = &world;
        async move {
            world
                .call(Some(ADMIN), "POST", "/v1/join-tokens", &[], &body.to_string())
                .await
        }
    };
    let wanted = json!({ "name": "vm", "spiffe_prefix": "spiffe://example.org/vm", "lifetime_seconds": 60 });
    let made = ask(wanted.clone()).await;
    assert_eq!(
        (made.status, &made.headers["cache-control"]),
        (StatusCode::CREATED, &"no-store".parse().unwrap())
    );
    let text = made.json["token"].as_str().unwrap().to_owned();
    assert!(text.starts_with("ojt_"), "{}", made.text);
    assert_eq!(ask(wanted).await.status, StatusCode::CONFLICT);
    for wrong in [
        json!({ "name": "a b", "spiffe_id": "spiffe://example.org/a", "lifetime_seconds": 60 }),
        json!({ "name": "a", "lifetime_seconds": 60 }),
        json!({ "name": "a", "spiffe_id": "nonsense", "lifetime_seconds": 60 }),
        json!({ "name": "a", "spiffe_id": "spiffe://other.org/a", "lifetime_seconds": 60 }),
        json!({ "name": "a", "spiffe_id": "spiffe://example.org/a", "lifetime_seconds": 0 }),
        json!({ "name": "a", "spiffe_id": "spiffe://example.org/a", "lifetime_seconds": 40_000_000 }),
        json!({ "name": "a", "spiffe_id": "spiffe://example.org/a", "lifetime_seconds": 60, "more": 1 }),
    ] {
        assert_eq!(
            ask(wrong.clone()).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
    let listed = world.get(ADMIN, "/v1/join-tokens").await;
    assert_eq!(listed.json["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(listed.json["tokens"][0]["allows"], "spiffe://example.org/vm/*");
    assert!(!listed.text.contains(&text) && !format!("{:?}", world.audit().await).contains(&text));
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        assert_eq!(
            world
                .call(Some(ADMIN), "DELETE", "/v1/join-tokens/vm", &[], "")
                .await
                .status,
            status
        );
    }
    let log = world.audit().await;
    let told = log
        .iter()
        .find(|entry| entry.what == action::JOIN_TOKEN_ISSUED)
        .unwrap();
    assert_eq!(told.who, "token `admin`");
}

#[tokio::test]
async fn a_server_without_an_authority_says_so() {
    let world = World::start().await;
    let parts = Parts {
        authority: None,
        registry: prometheus::Registry::new(),
        ..world.parts.clone()
    };
    let world = World {
        router: router(parts),
        ..world
    };
    for path in ["/v1/authority", "/v1/join-tokens"] {
        let answer = world.get(ADMIN, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(
            answer.text.contains("no certificate authority"),
            "{}",
            answer.text
        );
    }
    assert_eq!(
        world.get(READER, "/v1/status").await.json["trust_domain"],
        Value::Null
    );
}

#[tokio::test]
async fn status_and_probes_tell_how_it_stands() {
    let world = World::with_example().await;
    let status = world.get(READER, "/v1/status").await;
    assert_eq!((status.etag(), &status.json["stable"]), ("\"1\"", &json!(1)));
    assert_eq!(
        (&status.json["store"]["kind"], &status.json["trust_domain"]),
        (&json!("embedded"), &json!("example.org"))
    );
    let probe = |path: &'static str| {
        let world = &world;
        async move { world.call(None, "GET", path, &[], "").await }
    };
    assert_eq!(probe("/live").await.text, "live\n");
    assert_eq!(probe("/ready").await.text, "ready\n");
    let document = probe("/openapi.json").await;
    assert_eq!(document.json, openapi_document());
    world.drain.send(true).unwrap();
    let ending = probe("/ready").await;
    assert_eq!(
        (ending.status, ending.text.as_str()),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the server is ending\n"
        )
    );
    assert_eq!(probe("/live").await.status, StatusCode::OK);
}
