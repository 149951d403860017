//! Two proxies with mutual TLS between them, around a client and a server in plain text, while the mesh changes its
//! authority: the old one, both, the new one, twice.

use super::load::Load;
use super::*;
use outrigger_fixtures::{Authority, Echo, believing_any_server};
use outrigger_harness::{Client, Document, wait_until};

const CLIENT_SIDE: &str = "spiffe://example.org/ns/shop/sa/client";
const SERVER_SIDE: &str = "spiffe://example.org/ns/shop/sa/server";

/// The identity and trust of one proxy, all of it in files.
fn identity(pair: &Pair, bundle: &Path) -> String {
    format!(
        "identities: [{{ name: own, files: {} }}]\n\
         trust_bundles: [{{ name: mesh, trust_domain: example.org, file: {} }}]",
        pair.yaml(),
        bundle.display()
    )
}

/// Waits until a proxy has put files in force so often.
async fn in_force(proxy: &Proxy, generation: f64) {
    proxy
        .admin()
        .wait_for_metric("outrigger_identity_material_generation", generation)
        .await;
}

/// Writes a bundle of these authorities.
fn write_bundle(bundle: &Path, authorities: &[&Authority]) {
    let beside = bundle.with_extension("new");
    let roots: String = authorities.iter().map(|authority| authority.pem()).collect();
    fs::write(&beside, roots).unwrap();
    fs::rename(beside, bundle).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_changed_twice_under_load_and_no_request_fails() {
    let authorities = ["first", "second", "third"].map(Authority::new);
    let issue = |authority: &Authority| {
        [("a", CLIENT_SIDE), ("b", SERVER_SIDE)].map(|(name, id)| authority.issue_svid(name, id))
    };
    let [a, b] = issue(&authorities[0]).map(|issued| Pair::of(&issued));
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle.pem");
    let log = directory.path().join("access.log");
    write_bundle(&bundle, &[&authorities[0]]);

    let echo = Echo::start().await;
    let server_side = Document::to(&[echo.address()])
        .chain(&format!(
            "tls: {{ certificates: [{{ identity: own }}], client: {{ roots: spiffe, peers: [{{ spiffe_id: '{CLIENT_SIDE}' }}] }} }}"
        ))
        .with(&identity(&b, &bundle));
    let server_side = Proxy::start(server_side).await;
    let tls = format!(
        "tls: {{ roots: spiffe, peers: [{{ spiffe_id: '{SERVER_SIDE}' }}], certificate: {{ identity: own }} }}"
    );
    let to_server_side = [server_side.address()];
    let client_side = Document::to(&to_server_side)
        .cluster(&tls)
        .with_cluster("second", &to_server_side, &format!("{tls}, protocol: http2"))
        .routes(
            "{ match: { prefix: /2 }, forward: { cluster: second } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
        )
        .http(&format!(
            "access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
             %UPSTREAM_REQUEST_ATTEMPT_COUNT% %DURATION%\\n\" }} }}]",
            log.display()
        ))
        .with(&identity(&a, &bundle));
    let client_side = Proxy::start(client_side).await;

    let mut load = Load::default();
    load.http1(client_side.address(), "/1", None);
    load.http1(client_side.address(), "/2", None);
    load.http2(client_side.address(), "/1", None);
    load.http2(client_side.address(), "/2", None);
    load.goes_on(20).await;
    let mut generation = 0.0;
    for (old, new) in authorities.iter().zip(&authorities[1..]) {
        write_bundle(&bundle, &[old, new]);
        generation += 1.0;
        in_force(&client_side, generation).await;
        in_force(&server_side, generation).await;
        load.goes_on(20).await;
        let [client_svid, server_svid] = issue(new);
        a.put(&client_svid);
        b.put(&server_svid);
        generation += 1.0;
        in_force(&client_side, generation).await;
        in_force(&server_side, generation).await;
        // The old authority is taken away once nobody is on the way with its certificates any more, as one would.
        load.goes_on(200).await;
        write_bundle(&bundle, &[new]);
        generation += 1.0;
        in_force(&client_side, generation).await;
        in_force(&server_side, generation).await;
        load.goes_on(20).await;
    }
    load.end(async || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        let failed: Vec<&str> = log.lines().filter(|line| !line.starts_with("200 - ")).collect();
        let metrics = server_side.admin().metrics().await.0;
        let refused = metrics.lines().filter(|line| line.contains("handshake_failures"));
        format!("{failed:?} {:?}", refused.collect::<Vec<_>>())
    })
    .await;

    // Whoever has a certificate of an authority that is gone is refused; one of the last is served.
    for (authority, is_believed) in authorities.iter().zip([false, false, true]) {
        let svid = authority.issue_svid("visitor", CLIENT_SIDE);
        let config = authorities[2].client_config(&["http/1.1"], Some(&svid));
        let answer = wait_until("an answer or a refusal", async || {
            let config = believing_any_server(&config);
            let Ok(mut client) = Client::connect_tls(server_side.address(), config, NAME).await else {
                return Some(false);
            };
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            Some(client.try_response_within().await.is_ok())
        })
        .await;
        assert_eq!(answer, is_believed);
    }
}
