//! Keys from a URL: fetched ahead, kept while their server is away, and never waited for by a request.

use super::*;
use outrigger_fixtures::issuer::claims;
use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::wait_until;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server that answers with what it was last told to.
struct KeyServer {
    server: Scripted,
    answer: Arc<Mutex<String>>,
}

impl KeyServer {
    async fn start(answer: String) -> KeyServer {
        KeyServer::start_at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    async fn start_at(address: SocketAddr, answer: String) -> KeyServer {
        let answer = Arc::new(Mutex::new(answer));
        let told = Arc::clone(&answer);
        let server = Scripted::start_at(address, move |mut script| {
            let told = Arc::clone(&told);
            async move {
                while script.request().await?.is_some() {
                    let answer = told.lock().unwrap().clone();
                    script.send(&answer).await?;
                }
                Ok(())
            }
        })
        .await;
        KeyServer { server, answer }
    }

    fn answer(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    /// The provider `main` of its keys.
    fn provider(&self, more: &str) -> String {
        self.provider_at("/keys", more)
    }

    fn provider_at(&self, path: &str, more: &str) -> String {
        let address = self.server.address();
        named_provider(
            "main",
            ISSUER,
            &format!("url: 'http://{address}{path}'{more}"),
            "",
        )
    }
}

fn answered(status: &str, fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn keys(issuers: &[&Issuer]) -> String {
    answered("200 OK", "content-type: application/json\r\n", &jwks(issuers))
}

async fn wait_for_fetch(proxy: &Proxy, result: &str) {
    let series = format!("outrigger_jwks_fetches_total{{provider=\"main\",result=\"{result}\"}}");
    proxy.admin().wait_for(&series, |count| count >= 1.0).await;
}

async fn wait_for_status(proxy: &Proxy, fields: &str, status: u16) {
    wait_until("another answer", async || {
        (fetch(proxy, fields).await.status() == status).then_some(())
    })
    .await;
}

const NO_KEYS: &str = "Jwks remote fetch is failed\n";

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_there_before_the_first_request() {
    let issuer = Issuer::rsa("one");
    let upstream = Scripted::ok().await;
    let server = KeyServer::start(keys(&[&issuer])).await;
    let provider = server.provider_at("/realms/a/keys?x=1", "");
    let proxy = Proxy::start(guarded(&[upstream.address()], &[provider])).await;
    assert_eq!(
        fetch(&proxy, &bearer(&issuer.token(&claims()))).await.status(),
        200
    );
    let asked = server.server.last_request().head;
    assert_eq!((asked.method(), asked.target()), ("GET", "/realms/a/keys?x=1"));
    assert_eq!(
        asked.field("host"),
        Some(server.server.address().to_string().as_str())
    );
    // Requests do not ask again.
    for _ in 0..5 {
        assert_eq!(
            fetch(&proxy, &bearer(&issuer.token(&claims()))).await.status(),
            200
        );
    }
    assert_eq!(server.server.request_count(), 1);
    let shown = proxy.admin().json("/jwks").await;
    let shown = &shown["providers"][0];
    assert_eq!(shown["name"], "main");
    assert_eq!(
        (&shown["keys"][0]["kid"], &shown["keys"][0]["kind"]),
        (&"one".into(), &"RSA".into())
    );
    assert!(shown["next_at_seconds"].as_f64() > shown["fetched_at_seconds"].as_f64());
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_jwks_keys{provider=\"main\"}")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_the_start_is_asked_again() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let server = KeyServer::start(keys(&[&issuer])).await;
    let (address, provider) = (server.server.address(), server.provider(", refresh: 1s"));
    drop(server);
    let proxy = Proxy::start(guarded(&[upstream.address()], &[provider])).await;
    let token = bearer(&issuer.token(&claims()));
    let response = fetch(&proxy, &token).await;
    assert_eq!((response.status(), response.text().as_str()), (401, NO_KEYS));
    wait_for_refusals(&proxy, "keys_unavailable", 1.0).await;
    wait_for_fetch(&proxy, "network").await;
    let shown = proxy.admin().json("/jwks").await;
    let error = shown["providers"][0]["last_error"].as_str().unwrap();
    assert!(error.starts_with("cannot connect"), "{error}");
    let _server = KeyServer::start_at(address, keys(&[&issuer])).await;
    wait_for_status(&proxy, &token, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_keys_are_kept_whatever_becomes_of_their_server() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let huge = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
        2 << 20,
        " ".repeat(2 << 20)
    );
    let elsewhere = KeyServer::start(keys(&[&issuer])).await;
    let moved = format!("location: http://{}/keys\r\n", elsewhere.server.address());
    for (answer, result) in [
        (answered("200 OK", "", "<html>garbage</html>"), "invalid"),
        (answered("200 OK", "", r#"{"keys":[]}"#), "invalid"),
        (huge, "too_long"),
        (answered("302 Found", &moved, ""), "status"),
        (answered("500 Internal Server Error", "", "oops"), "status"),
        ("nonsense\r\n\r\n".to_owned(), "network"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{".to_owned(),
            "timeout",
        ),
    ] {
        let server = KeyServer::start(keys(&[&issuer])).await;
        let provider = server.provider(", refresh: 500ms, timeout: 500ms");
        let proxy = Proxy::start(guarded(&[upstream.address()], &[provider])).await;
        let token = bearer(&issuer.token(&claims()));
        assert_eq!(fetch(&proxy, &token).await.status(), 200);
        server.answer(answer);
        wait_for_fetch(&proxy, result).await;
        assert_eq!(fetch(&proxy, &token).await.status(), 200, "{result}");
        let failing = "outrigger_jwks_failing{provider=\"main\"}";
        assert_eq!(proxy.admin().metric(failing).await, 1.0, "{result}");
    }
    assert_eq!(elsewhere.server.request_count(), 0, "redirects are not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_holds_up_no_request() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let slow = Scripted::start(|mut script| async move {
        script.head().await?;
        script.until_closed().await
    })
    .await;
    let forward = "forward: { cluster: upstream }";
    let routes = format!(
        "{{ match: {{ prefix: /open }}, {forward}, jwt: off }}, {{ match: {{ prefix: / }}, {forward} }}"
    );
    let keys = format!("url: 'http://{}/', timeout: 1s", slow.address());
    let document = guarded(
        &[upstream.address()],
        &[named_provider("main", ISSUER, &keys, "")],
    );
    let proxy = Proxy::start(document.routes(&routes)).await;
    wait_for_fetch(&proxy, "timeout").await;
    // While it is asked again and again.
    for _ in 0..20 {
        assert_eq!(fetch_path(&proxy, "/open", "").await.status(), 200);
        assert_eq!(
            fetch(&proxy, &bearer(&issuer.token(&claims()))).await.text(),
            NO_KEYS
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_there_brings_the_set_anew_once_and_not_with_every_request() {
    let (old, new) = (Issuer::p256("one"), Issuer::p256("two"));
    let upstream = Scripted::ok().await;
    let server = KeyServer::start(keys(&[&old])).await;
    let proxy = Proxy::start(guarded(&[upstream.address()], &[server.provider("")])).await;
    let (of_old, of_new) = (bearer(&old.token(&claims())), bearer(&new.token(&claims())));
    assert_eq!(fetch(&proxy, &of_old).await.status(), 200);
    server.answer(keys(&[&new]));
    // The first of the new key is refused, and has the set fetched.
    let response = fetch(&proxy, &of_new).await;
    assert_eq!(
        response.text(),
        "Jwks doesn't have key to match kid or alg from Jwt\n"
    );
    wait_for_status(&proxy, &of_new, 200).await;
    assert_eq!(fetch(&proxy, &of_old).await.status(), 401, "its key is gone");
    // What names keys that nobody has does not become a storm.
    let unknown = Issuer::p256("three");
    for _ in 0..30 {
        assert_eq!(
            fetch(&proxy, &bearer(&unknown.token(&claims()))).await.status(),
            401
        );
    }
    assert_eq!(server.server.request_count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_in_the_background() {
    let (old, new) = (Issuer::p256("one"), Issuer::p256("one"));
    let upstream = Scripted::ok().await;
    let server = KeyServer::start(keys(&[&old])).await;
    let provider = server.provider(", refresh: 300ms");
    let proxy = Proxy::start(guarded(&[upstream.address()], &[provider])).await;
    let of_old = bearer(&old.token(&claims()));
    assert_eq!(fetch(&proxy, &of_old).await.status(), 200);
    server.answer(keys(&[&new]));
    wait_for_status(&proxy, &of_old, 401).await;
    assert_eq!(fetch(&proxy, &bearer(&new.token(&claims()))).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_keys_of_a_source_that_stays() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let server = KeyServer::start(keys(&[&issuer])).await;
    let document = |more: &str| guarded(&[upstream.address()], &[server.provider(more)]);
    let proxy = Proxy::start(document("")).await;
    let token = bearer(&issuer.token(&claims()));
    assert_eq!(fetch(&proxy, &token).await.status(), 200);
    proxy
        .reload(document("").http("accept_http_10: true"))
        .await
        .unwrap();
    assert_eq!(server.server.request_count(), 1, "nothing to ask for");
    // Asked in another way while its server says nothing useful: the keys of before go on.
    server.answer(answered("500 Internal Server Error", "", ""));
    proxy.reload(document(", refresh: 10s")).await.unwrap();
    wait_for_fetch(&proxy, "status").await;
    assert_eq!(fetch(&proxy, &token).await.status(), 200);
}

/// Answers every connection over TLS with these bytes.
async fn serve_tls(config: Arc<rustls::ServerConfig>, answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not believe us goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn https_servers_must_prove_who_they_are() {
    let issuer = Issuer::p256("one");
    let token = bearer(&issuer.token(&claims()));
    let upstream = Scripted::ok().await;
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let by_address = authority.issue("keys", &["127.0.0.1"]);
    let by_name = authority.issue("named", &["keys.example"]);
    let bundle = format!(
        "trust_bundles: [{{ name: keys, file: '{}' }}]",
        authority.root().display()
    );
    for (certificate, roots, result) in [
        (
            &by_address,
            format!("ca_file: '{}'", authority.root().display()),
            "success",
        ),
        (&by_address, "trust_bundle: keys".to_owned(), "success"),
        (
            &by_address,
            format!("ca_file: '{}'", other.root().display()),
            "tls",
        ),
        (&by_address, "roots: system".to_owned(), "tls"),
        (
            &by_name,
            format!("ca_file: '{}'", authority.root().display()),
            "tls",
        ),
    ] {
        let address = serve_tls(certificate.server_config(&["http/1.1"]), keys(&[&issuer])).await;
        let keys = format!("url: 'https://{address}/', {roots}");
        let provider = named_provider("main", ISSUER, &keys, "");
        let document = guarded(&[upstream.address()], &[provider]).with(&bundle);
        let proxy = Proxy::start(document).await;
        wait_for_fetch(&proxy, result).await;
        let expected = if result == "success" { 200 } else { 401 };
        assert_eq!(fetch(&proxy, &token).await.status(), expected, "{roots}");
    }
}
