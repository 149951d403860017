//! What limits have counted when configurations change.

use super::{decided, limit, limits, statuses};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Document, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_stays_while_the_descriptor_does_and_what_was_taken_stays_taken() {
    let upstream = Scripted::ok().await;
    let document = |limit_text: String, more: &str| {
        let document = Document::to(&[upstream.address()]).http(&format!("rate_limits: [it]{more}"));
        limits(document, &[limit_text])
    };
    let by_user = "descriptors: [[{ header: x-user }]]";
    let user = "x-user: a\r\n";
    let proxy = Proxy::start(document(limit("it", 3, "", by_user), "")).await;
    assert_eq!(statuses(&proxy, 4, "/", user).await, [200, 200, 200, 429]);
    // Something else changes.
    let other = ", idle_timeout: 77s";
    proxy
        .reload(document(limit("it", 3, "", by_user), other))
        .await
        .unwrap();
    assert_eq!(statuses(&proxy, 1, "/", user).await, [429]);
    // The limit itself changes, but not what it counts by.
    proxy
        .reload(document(
            limit("it", 3, "", &format!("{by_user}, status: 503")),
            "",
        ))
        .await
        .unwrap();
    assert_eq!(statuses(&proxy, 1, "/", user).await, [503]);
    proxy
        .reload(document(limit("it", 5, "", by_user), ""))
        .await
        .unwrap();
    assert_eq!(
        statuses(&proxy, 3, "/", user).await,
        [200, 200, 429],
        "three of five were taken"
    );
    proxy
        .reload(document(limit("it", 2, "", by_user), ""))
        .await
        .unwrap();
    assert_eq!(statuses(&proxy, 1, "/", user).await, [429]);
    assert_eq!(decided(&proxy, "it", "allowed").await, 5.0, "its counts live on");
    // It counts by something else now, and begins anew.
    proxy.reload(document(limit("it", 2, "", ""), "")).await.unwrap();
    assert_eq!(statuses(&proxy, 3, "/", user).await, [200, 200, 429]);
    assert_eq!(proxy.admin().metric("outrigger_rate_limit_keys").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_come_and_go_apply_from_then_on_to_live_connections() {
    let upstream = Scripted::ok().await;
    let with = |names: &str| {
        let document = Document::to(&[upstream.address()]).route(&format!("rate_limits: [{names}]"));
        limits(document, &[limit("one", 1, "", "")])
    };
    let proxy = Proxy::start(with("")).await;
    let mut client = outrigger_harness::Client::connect(proxy.address()).await;
    for _ in 0..3 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    proxy.reload(with("one")).await.unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!(client.fetch("/", "").await.status(), 429);
    proxy.reload(with("")).await.unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
    proxy.reload(with("one")).await.unwrap();
    assert_eq!(
        client.fetch("/", "").await.status(),
        429,
        "it was there all the time"
    );
}
