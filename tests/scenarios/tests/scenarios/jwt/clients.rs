//! Tokens and key sets that nobody here wrote: PyJWT's.

use super::*;
use crate::programs::{output, peer, python};
use outrigger_fixtures::Scripted;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_pyjwt_hold_by_each_algorithm() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    let mut command = Command::new(&python);
    command.arg(peer("jwt_client.py")).arg(&file);
    let tokens = output(command).await;
    let upstream = Scripted::ok().await;
    let algorithms = "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA], \
                      claim_headers: [{ header: x-user, claim: sub }]";
    let keys = format!("file: '{}'", file.display());
    let provider = named_provider("main", ISSUER, &keys, algorithms);
    let proxy = Proxy::start(guarded(&[upstream.address()], &[provider])).await;
    let mut count = 0;
    for line in tokens.lines() {
        let (algorithm, token) = line.split_once(' ').unwrap();
        let response = fetch(&proxy, &bearer(token)).await;
        assert_eq!(response.status(), 200, "{algorithm}: {}", response.text());
        assert_eq!(upstream.last_request().head.field("x-user"), Some("alice"));
        // One character of the signature is another.
        let last = if token.ends_with('A') { "Q" } else { "A" };
        let altered = format!("{}{last}{}", &token[..token.len() - 5], &token[token.len() - 4..]);
        if altered != token {
            assert_eq!(
                fetch(&proxy, &bearer(&altered)).await.status(),
                401,
                "{algorithm}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 9);
}
