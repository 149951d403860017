//! Rollouts by REST.

use super::*;

const PATH: &str = "/v1/documents/web.yaml?reason=r";

fn changed(comment: &str) -> String {
    format!(
        "# {comment}\n{}",
        EXAMPLE[3].1.replace("uses: [shop/catalog]", "uses: []")
    )
}

#[tokio::test]
async fn a_change_is_released_as_it_says_and_told_by_whom_it_touches() {
    let world = World::with_example().await;
    // What went to everybody at once is noted just afterwards.
    let noted = async {
        loop {
            let shown = world.get(READER, "/v1/rollout").await;
            if shown.status == StatusCode::OK {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    };
    let noted = timeout(Duration::from_secs(60), noted).await.unwrap();
    assert_eq!(noted.json["state"], "done");
    let path = format!("{PATH}&stages=50%25,100%25&pause=by%20hand");
    let made = world.change(SHOP, 1, "PUT", &path, &changed("staged")).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let mut plans = world.parts.fleet.plans();
    let waiting = plans.wait_for(|plan| plan.release.is_some());
    timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    let shown = world.get(READER, "/v1/rollout").await;
    assert_eq!(
        (&shown.json["revision"], &shown.json["in_force"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(shown.json["stages"], json!(["50% by hand", "100% for 0s"]));

    let tell = async |who: &str, path: &str| world.call(Some(who), "POST", path, &[], "").await;
    assert_eq!(
        tell(SHOP, "/v1/rollouts/2/hold").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        tell(SHOP, "/v1/rollouts/2/stop?reason=r").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        tell(SHOP, "/v1/rollouts/7/hold?reason=r").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        tell(SHOP, "/v1/rollouts/2/resume?reason=r").await.status,
        StatusCode::CONFLICT
    );
    for who in [READER, EDGE] {
        assert_eq!(
            tell(who, "/v1/rollouts/2/hold?reason=r").await.status,
            StatusCode::FORBIDDEN
        );
    }
    let held = tell(SHOP, "/v1/rollouts/2/hold?reason=wait").await;
    assert_eq!(
        (&held.json["state"], &held.json["why"]),
        (&json!("held"), &json!("wait")),
        "{}",
        held.text
    );
    assert_eq!(
        tell(SHOP, "/v1/rollouts/2/advance?reason=r").await.json["stage"],
        2
    );
    assert_eq!(
        tell(SHOP, "/v1/rollouts/2/advance?reason=r").await.json["state"],
        "done"
    );
    assert_eq!(
        tell(SHOP, "/v1/rollouts/2/rollback?reason=r").await.status,
        StatusCode::CONFLICT
    );
    world.in_force(2).await;
    let log = world.audit().await;
    let told: Vec<&str> = log
        .iter()
        .map(|entry| entry.what.as_str())
        .filter(|what| what.starts_with("rollout."))
        .collect();
    assert_eq!(
        told,
        [
            "rollout.started",
            "rollout.held",
            "rollout.advanced",
            "rollout.finished"
        ]
    );
}

#[tokio::test]
async fn stages_that_are_none_change_nothing() {
    let world = World::with_example().await;
    for (query, expected) in [
        ("stages=50%25", "the last stage"),
        ("pause=5s", "without `stages`"),
        ("stages=100%25&pause=soon", "by hand"),
        (
            "stages=5%25%20of%20shop/none,100%25",
            "which the mesh does not have",
        ),
    ] {
        let made = world
            .change(SHOP, 1, "PUT", &format!("{PATH}&{query}"), &changed("no"))
            .await;
        assert_eq!(made.status, StatusCode::BAD_REQUEST, "{}", made.text);
        assert!(made.text.contains(expected), "{}", made.text);
    }
    assert_eq!(world.parts.store.position().await.unwrap().revision, 1);
}
