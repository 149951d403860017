//! Which tokens a request needs: all, one of several, none, and by route.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::issuer::{claims, claims_with, now};
use serde_json::json;

const PARTNER: &str = "https://partner.example";

struct Pair {
    ours: Issuer,
    partner: Issuer,
    upstream: Scripted,
}

impl Pair {
    async fn new() -> Pair {
        Pair {
            ours: Issuer::p256("one"),
            partner: Issuer::ed25519("two"),
            upstream: Scripted::ok().await,
        }
    }

    /// Providers `main` and `partner`; the partner's tokens are in a header of their own unless `together`.
    fn document(&self, requirement: &str, together: bool) -> Document {
        let place = if together {
            ""
        } else {
            "locations: [{ header: x-partner }], "
        };
        let more = format!("{place}algorithms: [EdDSA]");
        let keys = format!("inline: '{}'", jwks(&[&self.partner]));
        let partner = named_provider("partner", PARTNER, &keys, &more);
        Document::to(&[self.upstream.address()])
            .http(&format!("jwt: {requirement}"))
            .with(&format!(
                "jwt_providers: [{}, {partner}]",
                provider(&[&self.ours], "")
            ))
    }

    fn partner_token(&self) -> String {
        self.partner.token(&claims_with("iss", json!(PARTNER)))
    }
}

const MISSING: &str = "Jwt is missing\n";
const UNKNOWN: &str = "Jwt issuer is not configured\n";
const EXPIRED: &str = "Jwt is expired\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_is_enough_and_the_fault_that_says_most_is_told() {
    let pair = Pair::new().await;
    let any = "{ any_of: [{ provider: main }, { provider: partner }] }";
    let proxy = Proxy::start(pair.document(any, true)).await;
    let late = claims_with("exp", json!(now() - 100));
    let stranger = claims_with("iss", json!("https://stranger.example"));
    for (token, expected) in [
        (pair.ours.token(&claims()), "ok\n"),
        (pair.partner_token(), "ok\n"),
        (pair.ours.token(&late), EXPIRED),
        (pair.ours.token(&stranger), UNKNOWN),
        // The issuer's name, and the partner's key.
        (
            pair.partner.token(&claims()),
            "Jwt header [alg] is not supported\n",
        ),
    ] {
        assert_eq!(fetch(&proxy, &bearer(&token)).await.text(), expected);
    }
    assert_eq!(fetch(&proxy, "").await.text(), MISSING);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_means_all() {
    let pair = Pair::new().await;
    let all = "{ all_of: [{ provider: main }, { provider: partner }] }";
    let proxy = Proxy::start(pair.document(all, false)).await;
    let ours = bearer(&pair.ours.token(&claims()));
    let theirs = format!("x-partner: {}\r\n", pair.partner_token());
    assert_eq!(fetch(&proxy, &format!("{ours}{theirs}")).await.text(), "ok\n");
    assert_eq!(fetch(&proxy, &ours).await.text(), MISSING);
    assert_eq!(fetch(&proxy, &theirs).await.text(), MISSING);
    assert_eq!(pair.upstream.request_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_may_be_allowed_and_a_bad_one_is_not() {
    let pair = Pair::new().await;
    let beside = "{ any_of: [{ provider: main }, { allow_missing: true }] }";
    let alone = "{ allow_missing: true }";
    let late = bearer(&pair.ours.token(&claims_with("exp", json!(now() - 100))));
    let ours = bearer(&pair.ours.token(&claims()));
    let partner = bearer(&pair.partner_token());
    for (requirement, of_partner) in [(beside, UNKNOWN), (alone, "ok\n")] {
        let proxy = Proxy::start(pair.document(requirement, true)).await;
        assert_eq!(fetch(&proxy, "").await.text(), "ok\n");
        assert_eq!(
            fetch(&proxy, "authorization: Basic YTpi\r\n").await.text(),
            "ok\n"
        );
        assert_eq!(fetch(&proxy, &ours).await.text(), "ok\n");
        assert_eq!(fetch(&proxy, &late).await.status(), 401, "{requirement}");
        assert_eq!(fetch(&proxy, "authorization: Bearer x\r\n").await.status(), 401);
        assert_eq!(fetch(&proxy, &partner).await.text(), of_partner, "{requirement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_bad_tokens_are_allowed_they_are_as_none() {
    let pair = Pair::new().await;
    let lenient = "{ any_of: [{ provider: main }, { allow_missing_or_failed: true }] }";
    let text = pair.document(lenient, true).to_string();
    let text = text.replace(
        "audiences: [shop],",
        "audiences: [shop], payload_header: x-payload,",
    );
    let proxy = Proxy::start(text).await;
    let late = pair.ours.token(&claims_with("exp", json!(now() - 100)));
    for fields in [String::new(), bearer(&late), bearer("garbage")] {
        assert_eq!(fetch(&proxy, &fields).await.text(), "ok\n");
        let head = pair.upstream.last_request().head;
        assert_eq!(
            (head.field("x-payload"), head.field("authorization")),
            (None, None),
            "{fields}"
        );
    }
    fetch(&proxy, &bearer(&pair.ours.token(&claims()))).await;
    assert!(pair.upstream.last_request().head.field("x-payload").is_some());
    wait_for_refusals(&proxy, "expired", 1.0).await;
    let denied = "outrigger_listener_unauthenticated_requests_total";
    assert_eq!(proxy.admin().metric(denied).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_ask_for_less_for_more_and_for_others() {
    let pair = Pair::new().await;
    let forward = "forward: { cluster: upstream }";
    let routes = format!(
        "{{ match: {{ prefix: /public }}, {forward}, jwt: off }}, \
         {{ match: {{ prefix: /partner }}, {forward}, jwt: {{ provider: partner }} }}, \
         {{ match: {{ prefix: /moved }}, redirect: {{ host: other.example }} }}, \
         {{ match: {{ prefix: /here }}, direct_response: {{ status: 200, body: here }} }}, \
         {{ match: {{ prefix: / }}, {forward} }}"
    );
    let proxy = Proxy::start(pair.document("{ provider: main }", true).routes(&routes)).await;
    let (ours, partner) = (bearer(&pair.ours.token(&claims())), bearer(&pair.partner_token()));
    for (path, fields, status) in [
        ("/public", "", 200),
        ("/public", "authorization: Bearer x\r\n", 200),
        ("/partner", &*partner, 200),
        ("/partner", &*ours, 401),
        ("/", &*ours, 200),
        ("/", &*partner, 401),
        ("/", "", 401),
        // What is answered here is guarded too.
        ("/moved", "", 401),
        ("/moved", &*ours, 301),
        ("/here", "", 401),
        ("/here", &*ours, 200),
        // Paths are normal before they are matched.
        ("/public/../", "", 401),
        ("/public/%2e%2e/x", "", 401),
    ] {
        let response = fetch_path(&proxy, path, fields).await;
        assert_eq!(response.status(), status, "{path} {fields}");
    }
    // A route asks where its chain asks for nothing.
    let only_route = pair
        .document("{ provider: main }", true)
        .routes(&routes)
        .to_string();
    let only_route = only_route.replacen("jwt: { provider: main }", "accept_http_10: false", 1);
    let proxy = Proxy::start(only_route).await;
    assert_eq!(fetch_path(&proxy, "/", "").await.status(), 200);
    assert_eq!(fetch_path(&proxy, "/partner", "").await.status(), 401);
    assert_eq!(fetch_path(&proxy, "/partner", &partner).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_need_no_token_and_refusals_can_be_read_by_scripts() {
    let pair = Pair::new().await;
    let document = pair
        .document("{ provider: main }", true)
        .route("cors: { allow_origins: [{ exact: 'https://app.example' }] }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let origin = "origin: https://app.example\r\n";
    let asks =
        format!("OPTIONS / HTTP/1.1\r\nhost: test\r\n{origin}access-control-request-method: GET\r\n\r\n");
    assert_eq!(client.exchange(asks).await.status(), 200);
    let refused = client.fetch("/", origin).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.field("access-control-allow-origin"),
        Some("https://app.example")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_who_is_let_in() {
    let pair = Pair::new().await;
    let proxy = Proxy::start(pair.document("{ provider: main }", true)).await;
    let mut client = Client::connect(proxy.address()).await;
    let ours = bearer(&pair.ours.token(&claims()));
    assert_eq!(client.fetch("/", &ours).await.status(), 200);
    proxy
        .reload(pair.document("{ provider: partner }", true))
        .await
        .unwrap();
    assert_eq!(client.fetch("/", &ours).await.status(), 401);
    assert_eq!(
        client.fetch("/", &bearer(&pair.partner_token())).await.status(),
        200
    );
    // Providers change places; routes and requirements are as they were.
    let reordered = pair.document("{ provider: partner }", true).to_string();
    let (head, tail) = reordered.split_once("jwt_providers: [").unwrap();
    let (providers, tail) = tail.split_once("]\n").unwrap();
    let middle = providers.find("{ name: partner").unwrap();
    let (main, partner) = providers.split_at(middle);
    let main = main.trim_end_matches(", ");
    proxy
        .reload(format!("{head}jwt_providers: [{partner}, {main}]\n{tail}"))
        .await
        .unwrap();
    assert_eq!(client.fetch("/", &ours).await.status(), 401);
    assert_eq!(
        client.fetch("/", &bearer(&pair.partner_token())).await.status(),
        200
    );
    proxy
        .reload(Document::to(&[pair.upstream.address()]))
        .await
        .unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
}
