//! Spellings that mean the same to somebody: none goes around a DENY policy, and none comes under an ALLOW policy that it
//! may not be meant by.

use crate::facts::{Known, set};
use outrigger_traffic::authorization::decide;

fn passes(action: &str, rule: &str, known: &Known) -> bool {
    let set = set(&format!("{{name: a, action: {action}, rules: [{rule}]}}"));
    decide(&[&set], &known.facts()).outcome.is_allowed()
}

/// Neither denied nor allowed.
fn is_ambiguous(rule: &str, known: &Known) -> bool {
    !passes("deny", rule, known) && !passes("allow", rule, known)
}

#[test]
fn paths() {
    let rule = "{paths: [{prefix: /admin}]}";
    for path in [
        "//admin",
        "/%2Fadmin",
        "/%2fadmin/x",
        "/x/..%2Fadmin",
        "/x/..;/admin",
        "/admin;v=1",
        "/admin%2Fx",
        "/x%5C..%5Cadmin",
        "/x\\..\\admin",
        "///admin///",
        "/%61dmin;a",
    ] {
        assert!(is_ambiguous(rule, &Known::get(path)), "{path}");
    }
    for path in ["/admin", "/admin/", "/admin/x", "/admin//x", "/admin/a%20b"] {
        assert!(
            !passes("deny", rule, &Known::get(path)) && passes("allow", rule, &Known::get(path)),
            "{path}"
        );
    }
    for path in [
        "/adminx",
        "/x/admin",
        "/public",
        "/a%64minx",
        "/ADMIN",
        "/x%2Fadmin",
    ] {
        assert!(
            passes("deny", rule, &Known::get(path)) && !passes("allow", rule, &Known::get(path)),
            "{path}"
        );
    }
    // What comes under `/public` may be meant for elsewhere.
    assert!(is_ambiguous(
        "{paths: [{prefix: /public}]}",
        &Known::get("/public/..%2Fadmin")
    ));
    assert!(is_ambiguous(
        "{not: {paths: [{prefix: /admin}]}}",
        &Known::get("/x/..;/admin")
    ));
    assert!(is_ambiguous("{paths: [{path: '/a!b'}]}", &Known::get("/a%21b")));
    assert!(is_ambiguous("{paths: [{path: '/a%21b'}]}", &Known::get("/a!b")));
    let template = "{paths: [{template: '/u/{id}/keys'}]}";
    assert!(is_ambiguous(template, &Known::get("/u/1%2Fkeys")));
    assert!(
        is_ambiguous(template, &Known::get("/u/1;x/keys"))
            || passes("allow", template, &Known::get("/u/1;x/keys"))
    );
    // An expression is asked of both, as it is written.
    assert!(is_ambiguous(
        "{paths: [{regex: '/admin(/.*)?'}]}",
        &Known::get("//admin")
    ));
}

/// Servers that decode and know no parameters, or know them and decode last, or take no `\\` for a slash, read these as
/// paths that neither the plain nor the most lenient reading is.
#[test]
fn paths_that_lead_elsewhere_for_servers_that_read_half_of_them() {
    for path in [
        "/public/;%2F..%2F..%2Fadmin",
        "/public/;\\..\\..\\admin",
        "/public/x;y%5C..%5C..%5C..%5Cadmin",
        "/admin%3Bx",
        "/admin%3bx/y",
        "/x/y\\z/..%2F..%2Fadmin",
        "/x/y/..;/..%2F..%2Fadmin",
        "/x/admin//..%2Fy",
        "/public/a\\b/..%2F..%2Fadmin",
        "/u//a;b",
    ] {
        for rule in [
            "{paths: [{prefix: /admin}]}",
            "{paths: [{prefix: /public}]}",
            "{paths: [{path: /u}]}",
            "{paths: [{template: '/{x}/admin'}]}",
            "{paths: [{regex: '/admin.*'}]}",
            "{not: {paths: [{prefix: /admin}]}}",
        ] {
            assert!(is_ambiguous(rule, &Known::get(path)), "{rule} {path}");
        }
        // Wherever it leads, it is below the root.
        assert!(
            passes("allow", "{paths: [{prefix: /}]}", &Known::get(path)),
            "{path}"
        );
    }
    for path in ["/admin%20x;y", "/%61dmin;y"] {
        let rule = "{paths: [{regex: '/admin x;.*|/admin;.*'}]}";
        assert!(is_ambiguous(rule, &Known::get(path)), "{path}");
    }
}

#[test]
fn paths_that_policies_spell_so_themselves() {
    for (rule, path) in [
        ("{paths: [{path: '/a;v=1'}]}", "/a;v=1"),
        ("{paths: [{path: '/a%2Fb'}]}", "/a%2Fb"),
        ("{paths: [{prefix: '/a%20b'}]}", "/a%20b/c"),
        ("{paths: [{template: '/a%20b/{id}'}]}", "/a%20b/1"),
    ] {
        assert!(passes("allow", rule, &Known::get(path)), "{path}");
        assert!(!passes("deny", rule, &Known::get(path)), "{path}");
    }
}

#[test]
fn hosts() {
    let rule = "{hosts: [a.example]}";
    for authority in [
        "a.example",
        "A.EXAMPLE",
        "a.example:8080",
        "a.example.",
        "A.example.:443",
    ] {
        let known = Known::get("/").authority(authority);
        assert!(
            !passes("deny", rule, &known) && passes("allow", rule, &known),
            "{authority}"
        );
    }
    for authority in ["%61.example", "a.example%3A80", "a.example.%3a80:90"] {
        assert!(
            is_ambiguous(rule, &Known::get("/").authority(authority)),
            "{authority}"
        );
    }
    for (host, authority) in [
        ("'*.admin.example'", "x.".repeat(130) + "admin.example"),
        ("'a.b.*'", "a.b".to_owned() + &".x".repeat(130)),
        ("'[0:0::1]'", "[::1]:80".into()),
        ("'*.a.example.'", "b.a.example".into()),
    ] {
        let rule = format!("{{hosts: [{host}]}}");
        let known = Known::get("/").authority(&authority);
        assert!(
            !passes("deny", &rule, &known) && passes("allow", &rule, &known),
            "{host}"
        );
    }
    let address = Known::get("/").authority("[0:0:0::1]:80");
    assert!(!passes(
        "deny",
        "{headers: [{name: host, contains: '::1'}]}",
        &address
    ));
}

#[test]
fn headers_that_stand_twice() {
    let rule = "{headers: [{name: x-role, exact: admin}]}";
    let get = || Known::get("/");
    assert!(passes("allow", rule, &get().header("x-role", "admin")));
    assert!(is_ambiguous(
        rule,
        &get().header("x-role", "user").header("x-role", "admin")
    ));
    assert!(is_ambiguous(rule, &get().header("x-role", "user,admin")));
    assert!(is_ambiguous(rule, &get().header("x-role", "admin, user")));
    assert!(passes(
        "deny",
        rule,
        &get().header("x-role", "user").header("x-role", "other")
    ));
    let twice = get().header("x-role", "admin").header("x-role", "admin");
    // Joined they are something else.
    assert!(is_ambiguous(rule, &twice));
    // So long a list is not searched.
    let long = "user,".repeat(256);
    assert!(is_ambiguous(
        rule,
        &get().header("x-role", &(long.clone() + "user"))
    ));
    assert!(is_ambiguous(rule, &get().header("x-role", &(long + "admin"))));
    let not = "{headers: [{name: x-role, exact: admin, invert: true}]}";
    assert!(is_ambiguous(not, &get().header("x-role", "user,admin")));
    assert!(passes("allow", not, &get()));
    let cookie = "{headers: [{name: cookie, exact: 'a=1; b=2'}]}";
    assert!(passes("allow", cookie, &get().header("cookie", "a=1; b=2")));
    let cookie = "{headers: [{name: cookie, exact: 'b=2'}]}";
    assert!(is_ambiguous(cookie, &get().header("cookie", "a=1; b=2")));
    // Values with commas of their own are allowed as they are.
    let list = "{headers: [{name: accept, exact: 'text/html, */*'}]}";
    assert!(passes("allow", list, &get().header("accept", "text/html, */*")));
}

#[test]
fn parameters_that_stand_twice() {
    let rule = "{query: [{name: role, exact: admin}]}";
    assert!(passes("allow", rule, &Known::get("/?role=admin")));
    assert!(passes("allow", rule, &Known::get("/?r%6Fle=%61dmin")));
    assert!(is_ambiguous(rule, &Known::get("/?role=user&role=admin")));
    assert!(is_ambiguous(rule, &Known::get("/?role=admin&role=user")));
    assert!(is_ambiguous(
        "{query: [{name: role, exact: 'an admin'}]}",
        &Known::get("/?role=an+admin")
    ));
    assert!(passes("deny", rule, &Known::get("/?role=user")));
    for query in [
        "b=1;role=admin",
        "role=admin;b",
        "role=user;role=admin",
        ";role=admin",
    ] {
        assert!(is_ambiguous(rule, &Known::get(&format!("/?{query}"))), "{query}");
    }
    assert!(passes("allow", rule, &Known::get("/?b=1;2&role=admin")));
    assert!(is_ambiguous(
        rule,
        &Known::get(&format!("/?{}", "a&".repeat(256)))
    ));
}

#[test]
fn methods_are_case_sensitive_and_connect_has_no_path() {
    let rule = "{methods: [DELETE]}";
    assert!(!passes("deny", rule, &Known::get("/").method("DELETE")));
    assert!(passes("deny", rule, &Known::get("/").method("delete")));
    let connect = Known::get("").method("CONNECT").authority("db:5432");
    assert!(!passes("allow", "{paths: [{prefix: /}]}", &connect));
    assert!(passes("allow", "{methods: [CONNECT], hosts: [db]}", &connect));
}
