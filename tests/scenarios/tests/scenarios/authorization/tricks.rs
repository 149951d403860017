//! Ways around a DENY policy, none of which is one.

use super::*;

/// `/admin` is closed, and so is `admin.example`, and who says to be an admin.
const CLOSED: &str = "{ name: secret-policy, action: deny, rules: [{ paths: [{ prefix: /admin }] }, \
                      { hosts: [admin.example] }, { headers: [{ name: x-role, exact: admin }] }, \
                      { query: [{ name: role, exact: admin }] }, { methods: [DELETE] }] }";

fn request(method: &str, target: &str, host: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_goes_around_a_deny_policy() {
    let get = |target: &str| request("GET", target, "a", "");
    let paths = [
        "/admin",
        "/admin/",
        "/admin?x",
        "//admin",
        "///admin//x",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/%61%64min",
        "/x/%2e%2e/admin",
        "/x/%2E%2E/admin",
        "/x/.%2e/admin",
        "/%2fadmin",
        "/%2Fadmin",
        "/x/..%2fadmin",
        "/x%2f..%2fadmin",
        "/x/..%5cadmin",
        "/x/..;/admin",
        "/x/..;a=b/admin",
        "/admin;x",
        "/admin%2fx",
        "/admin%2F",
        "/public/;%2F..%2F..%2Fadmin",
        "/public/;\\..\\..\\admin",
        "/admin%3Bx",
        "/x/y\\z/..%2f..%2fadmin",
        "http://a/admin",
        "http://a//admin",
        "http://a/x/%2e%2e/admin",
    ];
    let hosts = [
        "admin.example",
        "ADMIN.example",
        "Admin.Example.",
        "admin.example.:80",
        "admin.example:8080",
        "%61dmin.example",
        "admin.example%3A80",
    ];
    let fields = [
        "x-role: admin\r\n",
        "X-Role: admin\r\n",
        "x-role: user\r\nx-role: admin\r\n",
        "x-role: admin\r\nx-role: user\r\n",
        "x-role: user,admin\r\n",
        "x-role: user , admin\r\n",
        "x-role:   admin  \r\n",
    ];
    let queries = [
        "?role=admin",
        "?role=user&role=admin",
        "?r%6fle=admin",
        "?role=%61dmin",
        "?x&role=admin&",
        "?b=1;role=admin",
        "?role=admin;b",
    ];
    let denied: Vec<String> = paths
        .iter()
        .map(|path| get(path))
        .chain(hosts.iter().map(|host| request("GET", "/", host, "")))
        .chain(std::iter::once(request("GET", "http://admin.example/", "a", "")))
        .chain(fields.iter().map(|fields| request("GET", "/", "a", fields)))
        .chain(queries.iter().map(|query| get(&format!("/{query}"))))
        .chain(std::iter::once(request("DELETE", "/", "a", "")))
        .collect();
    let passed = [
        get("/administrator"),
        get("/x/admin"),
        get("/"),
        get("/a%64ministrator"),
        get("/ADMIN"),
        request("GET", "/", "admin.example.org", ""),
        // The authority of the target wins, and the host's is not sent.
        request("GET", "http://a/", "admin.example", ""),
        request("GET", "/", "a", "x-role: administrator\r\n"),
        request("delete", "/", "a", ""),
    ];
    for slashes in [
        "",
        "escaped_slashes: keep, repeated_slashes: keep",
        "escaped_slashes: unescape, repeated_slashes: merge",
    ] {
        let upstream = Scripted::ok().await;
        let proxy = Proxy::start(guarded(&upstream, CLOSED, "secret-policy").http(slashes)).await;
        for request in &denied {
            let response = Client::connect(proxy.address()).await.exchange(request).await;
            assert_eq!(response.status(), 403, "{slashes}: {request}");
        }
        assert_eq!(upstream.request_count(), 0, "{slashes}");
        for request in &passed {
            let response = Client::connect(proxy.address()).await.exchange(request).await;
            assert_eq!(response.status(), 200, "{slashes}: {request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_comes_under_an_allow_policy_that_it_may_not_be_meant_by() {
    let upstream = Scripted::ok().await;
    let items = "{ name: a, action: allow, rules: [{ paths: [{ prefix: /public }] }, \
                 { paths: [{ path: /role }], headers: [{ name: x-role, exact: user }] }] }";
    let document = guarded(&upstream, items, "a").http("escaped_slashes: keep, repeated_slashes: keep");
    let proxy = Proxy::start(document).await;
    for (path, fields, status) in [
        ("/public/a%20b", "", 200),
        ("/public//a", "", 200),
        ("/public/%2e%2e/admin", "", 403),
        ("/public/..%2fadmin", "", 403),
        ("/public/..;/admin", "", 403),
        ("/public%2f..%2fadmin", "", 403),
        ("/public/;%2F..%2F..%2Fadmin", "", 403),
        ("/public/a%3Bb", "", 403),
        ("/role", "x-role: user\r\n", 200),
        ("/role", "x-role: user\r\nx-role: admin\r\n", 403),
        ("/role", "x-role: admin,user\r\n", 403),
    ] {
        assert_eq!(
            fetch(proxy.address(), path, fields).await.status(),
            status,
            "{path} {fields}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_read_alike() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(guarded(&upstream, CLOSED, "secret-policy")).await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let mut stream = 1;
    for (authority, path, fields, wanted) in [
        ("a", "//admin", &[][..], "403"),
        ("a", "/x/%2e%2e/admin", &[], "403"),
        ("ADMIN.example.", "/", &[], "403"),
        ("a", "/", &[("x-role", "user"), ("x-role", "admin")], "403"),
        ("a", "/", &[("x-role", "user")], "200"),
    ] {
        let mut all = vec![
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", authority),
            (":path", path),
        ];
        all.extend_from_slice(fields);
        client.send(Frame::headers(stream, &all, true)).await.unwrap();
        let frame = client.next_headers().await.unwrap();
        assert_eq!(
            frame.field(":status"),
            Some(wanted),
            "{authority}{path} {fields:?}"
        );
        client.rest_of(&frame).await.unwrap();
        stream += 2;
    }
}
