//! Keys out of files and out of the configuration itself.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::issuer::claims;
use outrigger_harness::wait_until;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_watched_and_a_bad_one_changes_nothing() {
    let (first, second) = (Issuer::p256("one"), Issuer::p256("two"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    fs::write(&file, jwks(&[&first])).unwrap();
    let upstream = Scripted::ok().await;
    let keys = format!("file: '{}'", file.display());
    let document = guarded(
        &[upstream.address()],
        &[named_provider("main", ISSUER, &keys, "")],
    );
    let proxy = Proxy::start(&document).await;
    let (old, new) = (bearer(&first.token(&claims())), bearer(&second.token(&claims())));
    assert_eq!(fetch(&proxy, &old).await.status(), 200);
    assert_eq!(fetch(&proxy, &new).await.status(), 401);

    fs::write(&file, "no keys").unwrap();
    let failing = "outrigger_jwks_failing{provider=\"main\"}";
    proxy.admin().wait_for_metric(failing, 1.0).await;
    assert_eq!(
        fetch(&proxy, &old).await.status(),
        200,
        "the last good set is kept"
    );
    let shown = proxy.admin().json("/jwks").await;
    assert_eq!(shown["providers"][0]["last_error"], "Jwks is an invalid JSON");
    assert_eq!(shown["providers"][0]["keys"][0]["kid"], "one");
    let refused = proxy.reload(&document).await.unwrap_err();
    assert!(
        refused.contains("JWT provider `main`: ") && refused.contains("Jwks is an invalid JSON"),
        "{refused}"
    );
    let fetches = "outrigger_jwks_fetches_total{provider=\"main\",result=\"invalid\"}";
    proxy.admin().wait_for(fetches, |count| count >= 1.0).await;

    // As Kubernetes and editors do it: another file takes its place.
    let other = directory.path().join("new.json");
    fs::write(&other, jwks(&[&second])).unwrap();
    fs::rename(&other, &file).unwrap();
    wait_until("the new keys", async || {
        (fetch(&proxy, &new).await.status() == 200).then_some(())
    })
    .await;
    assert_eq!(fetch(&proxy, &old).await.status(), 401);
    let shown = proxy.admin().json("/jwks").await;
    assert_eq!(shown["providers"][0]["last_error"], serde_json::Value::Null);
    assert_eq!(shown["providers"][0]["keys"][0]["kid"], "two");
    assert_eq!(shown["providers"][0]["keys"][0]["kind"], "P-256");
    proxy.admin().wait_for_metric(failing, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_none_are_faults_of_the_configuration() {
    let upstream = Scripted::ok().await;
    for (keys, says) in [
        ("inline: '{}'", "it has no `keys`"),
        (
            "inline: '{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\"}]}'",
            "its curve is not supported",
        ),
        ("file: /nowhere/jwks.json", "cannot be read"),
    ] {
        let provider = named_provider("main", ISSUER, keys, "");
        let refused = Proxy::try_start(guarded(&[upstream.address()], &[provider])).await;
        let Err(refused) = refused else {
            panic!("{keys} is accepted");
        };
        assert!(
            refused.contains("test.yaml:") && refused.contains(says),
            "{refused}"
        );
    }
}
