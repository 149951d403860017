//! Changing documents: conditions, rights, validation, trials, going back, and what the audit log says of it.

use super::*;
use crate::audit::action;

const TOOLS: &str = "services:\n  - name: shop/tools\n    ports: [{ port: 80, protocol: http }]\n    endpoints: [{ address: 127.0.0.1:9009 }]\n";

fn path(name: &str, more: &str) -> String {
    format!("/v1/documents/{name}?reason=because{more}")
}

#[tokio::test]
async fn a_document_is_put_read_and_taken_out() {
    let world = World::with_example().await;
    let put = world
        .change(ADMIN, 1, "PUT", &path("shop/tools.yaml", ""), TOOLS)
        .await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    assert_eq!((put.etag(), &put.json["changed"]), ("\"2\"", &json!(true)));
    assert_eq!(put.json["changes"][0]["name"], "shop/tools");
    assert_eq!(put.json["changes"][0]["change"], "added");
    assert_eq!(put.json["revision"]["author"], "token `admin`");
    assert_eq!(put.json["revision"]["reason"], "because");
    let read = world.get(READER, "/v1/documents/shop/tools.yaml").await;
    assert_eq!((read.text.as_str(), read.etag()), (TOOLS, "\"2\""));
    assert_eq!(
        world
            .get(READER, "/v1/documents/shop/tools.yaml?revision=1")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let listed = world.get(READER, "/v1/documents?texts=true").await;
    assert_eq!(listed.json["documents"].as_array().unwrap().len(), 5);
    assert_eq!(listed.json["documents"][3]["text"], TOOLS);
    world.in_force(2).await;

    let removed = world
        .change(ADMIN, 2, "DELETE", &path("shop/tools.yaml", ""), "")
        .await;
    assert_eq!((removed.status, removed.etag()), (StatusCode::OK, "\"3\""));
    assert_eq!(
        world.get(READER, "/v1/documents/shop/tools.yaml").await.status,
        StatusCode::NOT_FOUND
    );
    let again = world
        .change(ADMIN, 3, "DELETE", &path("shop/tools.yaml", ""), "")
        .await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    world.in_force(3).await;
    let log = world.audit().await;
    let appended: Vec<&Entry> = log
        .iter()
        .filter(|entry| entry.what == action::REVISION_APPENDED)
        .collect();
    assert_eq!(appended.len(), 3);
    assert_eq!(
        (appended[2].who.as_str(), appended[2].why.as_str()),
        ("token `admin`", "because")
    );
    assert_eq!((appended[2].before, appended[2].after), (Some(2), Some(3)));
}

#[tokio::test]
async fn a_change_says_for_which_revision_and_why() {
    let world = World::with_example().await;
    let at = path("shop/tools.yaml", "");
    let without = world.call(Some(ADMIN), "PUT", &at, &[], TOOLS).await;
    assert_eq!(
        (without.status, without.etag()),
        (StatusCode::PRECONDITION_REQUIRED, "\"1\"")
    );
    for stale in ["\"0\"", "\"2\""] {
        let answer = world
            .call(Some(ADMIN), "PUT", &at, &[("if-match", stale)], TOOLS)
            .await;
        assert_eq!(
            (answer.status, answer.etag()),
            (StatusCode::PRECONDITION_FAILED, "\"1\"")
        );
        assert_eq!(answer.json["revision"], 1);
    }
    for wrong in ["*", "1", "\"x\"", "W/\"1\""] {
        let answer = world
            .call(Some(ADMIN), "PUT", &at, &[("if-match", wrong)], TOOLS)
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let silent = world
        .change(ADMIN, 1, "PUT", "/v1/documents/shop/tools.yaml", TOOLS)
        .await;
    assert_eq!(silent.status, StatusCode::BAD_REQUEST);
    assert!(
        silent.json["help"].as_str().unwrap().contains("x-reason"),
        "{}",
        silent.text
    );
    let headers = [("if-match", "\"1\""), ("x-reason", "by header")];
    let told = world
        .call(
            Some(ADMIN),
            "PUT",
            "/v1/documents/shop/tools.yaml",
            &headers,
            TOOLS,
        )
        .await;
    assert_eq!(told.json["revision"]["reason"], "by header");
    // The same once more makes no revision.
    let same = world.change(ADMIN, 2, "PUT", &at, TOOLS).await;
    assert_eq!((same.etag(), &same.json["changed"]), ("\"2\"", &json!(false)));
}

#[tokio::test]
async fn editors_change_what_is_theirs_alone() {
    let world = World::with_example().await;
    let at = path("shop/tools.yaml", "");
    for (who, told) in [(READER, "namespace `shop`"), (EDGE, "namespace `shop`")] {
        let refused = world.change(who, 1, "PUT", &at, TOOLS).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{who}");
        assert!(
            refused.json["error"].as_str().unwrap().contains(told),
            "{}",
            refused.text
        );
    }
    let log = world.audit().await;
    let last = log.last().unwrap();
    assert_eq!(
        (last.what.as_str(), last.who.as_str()),
        (action::REVISION_REFUSED, "token `edge`")
    );
    assert_eq!(last.subject, "PUT /v1/documents/shop/tools.yaml");
    assert_eq!(
        world.change(SHOP, 1, "PUT", &at, TOOLS).await.status,
        StatusCode::OK
    );
    // The mesh's own, and several namespaces at once.
    let defaults = format!("{}  connect_timeout: 1s\n", EXAMPLE[1].1);
    let answer = world
        .change(SHOP, 2, "PUT", &path("defaults.yaml", ""), &defaults)
        .await;
    assert_ne!(answer.status, StatusCode::OK, "{}", answer.text);
    let gone = world
        .change(SHOP, 2, "DELETE", &path("gateway.yaml", ""), "")
        .await;
    assert_eq!(gone.status, StatusCode::FORBIDDEN, "{}", gone.text);
    // A comment in somebody else's document is somebody else's to make.
    let commented = format!("# mine\n{}", EXAMPLE[2].1);
    let answer = world
        .change(SHOP, 2, "PUT", &path("gateway.yaml", ""), &commented)
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    assert_eq!(
        world
            .change(EDGE, 2, "PUT", &path("gateway.yaml", ""), &commented)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_is_no_mesh_is_refused_with_its_places() {
    let world = World::with_example().await;
    let wrong = "services:\n  - name: shop/tools\n    portz: []\n    uses: [shop/nobody]\n";
    let before = world.audit().await.len();
    let trial = world
        .change(ADMIN, 1, "PUT", &path("shop/tools.yaml", "&dry_run=true"), wrong)
        .await;
    assert_eq!(trial.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.audit().await.len(), before, "nobody is told of a trial");
    let refused = world
        .change(ADMIN, 1, "PUT", &path("shop/tools.yaml", ""), wrong)
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let diagnostics = refused.json["diagnostics"].as_array().unwrap();
    let first = &diagnostics[0];
    assert_eq!(
        (&first["file"], &first["severity"]),
        (&json!("shop/tools.yaml"), &json!("error")),
        "{first}"
    );
    let places: Vec<u64> = diagnostics
        .iter()
        .map(|one| one["line"].as_u64().unwrap())
        .collect();
    assert!(places.contains(&3), "{}", refused.text);
    let of_field = diagnostics.iter().find(|one| one["line"] == 3).unwrap();
    assert_eq!(
        (&of_field["column"], &of_field["snippet"]),
        (&json!(5), &json!("    portz: []"))
    );
    let rendered = refused.json["rendered"].as_str().unwrap();
    assert!(
        rendered.contains("--> shop/tools.yaml:3:5") && rendered.contains("^^^^^"),
        "{rendered}"
    );
    let log = world.audit().await;
    let last = log.last().unwrap();
    assert_eq!(
        (last.what.as_str(), last.who.as_str()),
        (action::REVISION_REFUSED, "token `admin`")
    );
    assert_eq!(world.parts.store.position().await.unwrap().revision, 1);
}

#[tokio::test]
async fn a_trial_tells_whom_a_change_concerns_and_changes_nothing() {
    let world = World::with_example().await;
    let changed = EXAMPLE[3].1.replace("uses: [shop/catalog]", "uses: []");
    assert_ne!(changed, EXAMPLE[3].1);
    let claim = crate::access::NodeClaim {
        node: "web-1".into(),
        service: "shop/web".into(),
    };
    let fleet = &world.parts.fleet;
    let _here = fleet
        .register()
        .enter(
            Arc::clone(fleet),
            &claim,
            &crate::access::Principal::Loopback,
            crate::fleet::Agent::Outrigger,
            "1",
            None,
        )
        .unwrap();
    let trial = world
        .call(
            Some(READER),
            "PUT",
            "/v1/documents/web.yaml?dry_run=true",
            &[],
            &changed,
        )
        .await;
    assert_eq!(trial.status, StatusCode::OK, "{}", trial.text);
    assert_eq!(
        (&trial.json["allowed"], &trial.json["scope"]),
        (&json!(false), &json!("namespace `shop`"))
    );
    assert!(
        trial.json["denied"]
            .as_str()
            .unwrap()
            .contains("token `reader` may not")
    );
    assert_eq!(trial.json["changes"][0]["fields"], json!(["uses"]));
    assert!(
        trial.json["documents"][0]["diff"]
            .as_str()
            .unwrap()
            .contains("-    uses: [shop/catalog]\n+    uses: []\n")
    );
    let views = trial.json["views"].as_array().unwrap();
    let web = views
        .iter()
        .find(|view| view["role"] == "sidecar shop/web")
        .unwrap();
    assert_eq!(web["connected"], json!(["web-1"]));
    assert!(web["removed"].as_u64().unwrap() >= 1, "{web}");
    let removed: Vec<&Value> = web["resources"].as_array().unwrap().iter().collect();
    assert!(
        removed.iter().any(|resource| resource["change"] == "removed"),
        "{web}"
    );
    assert!(
        !views.iter().any(|view| view["role"] == "gateway edge/public"),
        "{}",
        trial.text
    );
    assert_eq!(world.parts.store.position().await.unwrap().revision, 1);
    let mine = world
        .call(
            Some(SHOP),
            "PUT",
            "/v1/documents/web.yaml?dry_run=true",
            &[],
            &changed,
        )
        .await;
    assert_eq!(
        (&mine.json["allowed"], &mine.json["denied"]),
        (&json!(true), &Value::Null)
    );
    let stale = world
        .change(SHOP, 0, "PUT", "/v1/documents/web.yaml?dry_run=true", &changed)
        .await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn all_documents_are_put_at_once() {
    let world = World::with_example().await;
    let body = json!({ "documents": { "shop/tools.yaml": TOOLS } }).to_string();
    let kept = world
        .change(ADMIN, 1, "PUT", "/v1/mesh?reason=r&keep=true", &body)
        .await;
    assert_eq!(kept.json["revision"]["documents"], 5, "{}", kept.text);
    let alone = world.change(ADMIN, 2, "PUT", "/v1/mesh?reason=r", &body).await;
    assert_eq!(alone.json["revision"]["documents"], 1, "{}", alone.text);
    for (wrong, status) in [
        ("{", StatusCode::BAD_REQUEST),
        ("{\"documents\":{},\"more\":1}", StatusCode::BAD_REQUEST),
        ("{\"documents\":{\"../up\":\"\"}}", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(
            world
                .change(ADMIN, 3, "PUT", "/v1/mesh?reason=r", wrong)
                .await
                .status,
            status,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = World::start().await;
    let long = "#".repeat(crate::store::DOCUMENT_BYTES_MAX + 1);
    let answer = world.change(ADMIN, 0, "PUT", &path("a.yaml", ""), &long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn going_back_is_a_revision_of_its_own() {
    let world = World::with_example().await;
    let _ = world
        .change(SHOP, 1, "PUT", &path("shop/tools.yaml", ""), TOOLS)
        .await;
    world.in_force(2).await;
    let back = "/v1/revisions/1/rollback?reason=worse";
    assert_eq!(
        world.call(Some(ADMIN), "POST", back, &[], "").await.status,
        StatusCode::PRECONDITION_REQUIRED
    );
    for who in [READER, EDGE] {
        assert_eq!(
            world.change(who, 2, "POST", back, "").await.status,
            StatusCode::FORBIDDEN,
            "{who}"
        );
    }
    let trial = world
        .change(SHOP, 2, "POST", "/v1/revisions/1/rollback?dry_run=true", "")
        .await;
    assert_eq!(trial.json["documents"][0]["change"], "removed", "{}", trial.text);
    let done = world.change(SHOP, 2, "POST", back, "").await;
    assert_eq!(
        (done.status, done.etag()),
        (StatusCode::OK, "\"3\""),
        "{}",
        done.text
    );
    assert_eq!(done.json["revision"]["source"], "rollback to 1");
    let first = world.get(READER, "/v1/revisions/1").await;
    assert_eq!(done.json["revision"]["hash"], first.json["hash"]);
    assert_eq!(
        world
            .change(SHOP, 3, "POST", "/v1/revisions/9/rollback?reason=r", "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_change_is_loaded_once_and_costs_what_it_touches() {
    let world = World::with_example().await;
    let work = || world.parts.fleet.plan().stable.mesh().work();
    let before = work();
    let put = world
        .change(ADMIN, 1, "PUT", &path("shop/tools.yaml", ""), TOOLS)
        .await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    world.in_force(2).await;
    let made = work();
    // Who validated it loaded it for who released it, and of the documents it is one that is read; nobody depends on it.
    let done = |of: fn(&outrigger_config::MeshWork) -> usize| of(&made) - of(&before);
    assert_eq!(done(|work| work.meshes_read), 1);
    assert_eq!(done(|work| work.documents_read), 1);
    assert_eq!(
        (done(|work| work.services_made), done(|work| work.views_made)),
        (1, 1)
    );
    let metrics = world.get(READER, "/metrics").await.text;
    let told = format!(
        "outrigger_control_mesh_work_total{{what=\"documents\"}} {}",
        made.documents_read
    );
    assert!(metrics.contains(&told), "{told}\n{metrics}");
}
