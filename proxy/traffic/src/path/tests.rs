use super::*;
use EscapedSlashes::{Keep as KeepEscaped, Refuse as RefuseEscaped, Unescape};
use RepeatedSlashes::{Keep, Merge, Refuse};
use proptest::prelude::*;

fn normal(target: &str, escaped: EscapedSlashes, repeated: RepeatedSlashes) -> Result<String, PathFault> {
    normalize(target, escaped, repeated).map(Normalized::into_path_and_query)
}

#[test]
fn what_is_normal_is_lent_back() {
    let normal = [
        "/",
        "/a",
        "/a/",
        "/a/b?c=../d",
        "/a//b",
        "//",
        "/.a",
        "/..a",
        "/a.",
        "/a..",
        "/...",
        "/a%20b",
        "/%25",
        "/a%2Fb",
        "/a%5Cb",
        "/?",
        "/a?%zz",
        "/a?%00",
        "/..%2Fa",
        "/.well-known/x",
        "/é",
        "/a\\..\\b",
        "*",
        "/%252e%252e/",
        "/;a=b/,",
    ];
    for target in normal {
        let normalized = normalize(target, KeepEscaped, Keep).expect(target);
        assert!(!normalized.is_rewritten(), "{target}");
        assert_eq!(normalized.path_and_query(), target);
    }
}

#[test]
fn one_resource_has_one_spelling() {
    let table = [
        // Dot segments, the RFC's own examples first.
        ("/a/b/c/./../../g", "/a/g"),
        ("/mid/content=5/../6", "/mid/6"),
        ("/./a", "/a"),
        ("/a/.", "/a/"),
        ("/a/./", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/..", "/"),
        ("/../../../etc/passwd", "/etc/passwd"),
        ("/a/../../b", "/b"),
        ("/.", "/"),
        ("/.?q", "/?q"),
        ("/..?q=/../", "/?q=/../"),
        // Escaped dots are dots.
        ("/%2e", "/"),
        ("/%2E%2E/a", "/a"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e./b", "/b"),
        ("/%2e%2e%2fa", "/..%2Fa"),
        ("/a/%2e%2e%2e/b", "/a/.../b"),
        // Empty segments count as segments.
        ("/a//../b", "/a/b"),
        ("/.//", "//"),
        ("//..", "/"),
        ("//../a", "/a"),
        ("/a/..//b", "//b"),
        // Unreserved characters are decoded, other escapes are capital.
        ("/%61%7A%41%5a%30%39%2d%2e%5f%7e", "/azAZ09-._~"),
        ("/a%2fb", "/a%2Fb"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%C3%a9?%c3", "/%C3%A9?%c3"),
        ("/%3f%23", "/%3F%23"),
        ("/..%2f", "/..%2F"),
        ("/%25%32%65", "/%252e"),
    ];
    for (target, wanted) in table {
        let normalized = normalize(target, KeepEscaped, Keep).expect(target);
        assert_eq!(normalized.path_and_query(), wanted, "{target}");
        assert!(normalized.is_rewritten(), "{target}");
    }
}

#[test]
fn slashes_are_resolved_as_the_listener_says() {
    let table = [
        ("/a%2Fb", Unescape, Keep, Ok("/a/b")),
        ("/a%5cb", Unescape, Keep, Ok("/a\\b")),
        ("/a/..%2fb", Unescape, Keep, Ok("/b")),
        ("/a%2f%2e%2e%2fb", Unescape, Keep, Ok("/b")),
        ("/%2f..%2f..%2fetc", Unescape, Keep, Ok("/etc")),
        ("/a%252Fb", Unescape, Keep, Ok("/a%252Fb")),
        ("/a%2F%2Fb", Unescape, Merge, Ok("/a/b")),
        ("/a%2F/b", Unescape, Refuse, Err(PathFault::RepeatedSlash)),
        ("/a%2F%2E%2E", Unescape, Refuse, Ok("/")),
        ("/a%2Fb", RefuseEscaped, Keep, Err(PathFault::EscapedSlash)),
        ("/a%5Cb", RefuseEscaped, Keep, Err(PathFault::EscapedSlash)),
        ("/a?%2F", RefuseEscaped, Keep, Ok("/a?%2F")),
        ("/a//b///c?d//e", KeepEscaped, Merge, Ok("/a/b/c?d//e")),
        ("//", KeepEscaped, Merge, Ok("/")),
        ("//evil.example/", KeepEscaped, Merge, Ok("/evil.example/")),
        ("/a//../b", KeepEscaped, Merge, Ok("/a/b")),
        ("/a/..//b", KeepEscaped, Merge, Ok("/b")),
        ("/a//b", KeepEscaped, Refuse, Err(PathFault::RepeatedSlash)),
        ("/.//", KeepEscaped, Refuse, Err(PathFault::RepeatedSlash)),
        ("/a//../b", KeepEscaped, Refuse, Err(PathFault::RepeatedSlash)),
        ("/a/b/?//", KeepEscaped, Refuse, Ok("/a/b/?//")),
    ];
    for (target, escaped, repeated, wanted) in table {
        let came = normal(target, escaped, repeated);
        assert_eq!(
            came.as_deref().map_err(|fault| *fault),
            wanted,
            "{target} {escaped:?} {repeated:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_one_way_is_refused() {
    let table = [
        ("", PathFault::NotAbsolute),
        ("a", PathFault::NotAbsolute),
        ("?a", PathFault::NotAbsolute),
        ("**", PathFault::NotAbsolute),
        ("*?a", PathFault::NotAbsolute),
        ("http://a/", PathFault::NotAbsolute),
        ("/%", PathFault::InvalidEscape),
        ("/%4", PathFault::InvalidEscape),
        ("/%4?1", PathFault::InvalidEscape),
        ("/%zz", PathFault::InvalidEscape),
        ("/%%41", PathFault::InvalidEscape),
        ("/%u002f", PathFault::InvalidEscape),
        ("/%+1", PathFault::InvalidEscape),
        ("/%é", PathFault::InvalidEscape),
        ("/a%00", PathFault::EscapedNul),
        ("/%00/../a", PathFault::EscapedNul),
        ("/a#b", PathFault::Fragment),
        ("/a?b#c", PathFault::Fragment),
        ("/../#", PathFault::Fragment),
        ("/a b", PathFault::ControlCharacter),
        ("/a\0", PathFault::ControlCharacter),
        ("/a\r\nb: c", PathFault::ControlCharacter),
        ("/a\u{7f}", PathFault::ControlCharacter),
    ];
    for (target, fault) in table {
        assert_eq!(normal(target, KeepEscaped, Keep), Err(fault), "{target}");
        assert!(PathFault::ALL.contains(&fault) && fault.reason().starts_with("path_"));
    }
}

#[test]
fn path_and_query_are_told_apart() {
    let parts = |target| {
        let normalized = normalize(target, KeepEscaped, Keep).expect(target);
        (
            normalized.path().to_owned(),
            normalized.query().map(str::to_owned),
        )
    };
    let of = |path: &str, query: Option<&str>| (path.to_owned(), query.map(str::to_owned));
    assert_eq!(parts("/a"), of("/a", None));
    assert_eq!(parts("/a?"), of("/a", Some("")));
    assert_eq!(parts("/a?b?c"), of("/a", Some("b?c")));
    assert_eq!(parts("/x/../a?b=%2e"), of("/a", Some("b=%2e")));
    assert_eq!(parts("*"), of("*", None));
}

/// What a reader of RFC 3986 would do with a path whose escapes need no change, one segment after the other.
fn naive(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path[1..].split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            ".." => drop(kept.pop()),
            "." => {}
            segment => kept.push(segment),
        }
        if last && matches!(*segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| segment == "." || segment == "..")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn dot_segments_go_as_in_the_rfc(path in "(/(\\.|\\.\\.|a|b|\\.c|))+") {
        prop_assert_eq!(normal(&path, KeepEscaped, Keep), Ok(naive(&path)));
    }

    #[test]
    fn normalizing_twice_changes_nothing_and_nothing_climbs(
        target in "/(/|\\.|\\.\\.|a|%2e|%2E|%2f|%5C|%25|%41|%c3|\\\\|%2|\\?|é){0,14}",
        escaped in prop::sample::select(vec![KeepEscaped, Unescape, RefuseEscaped]),
        repeated in prop::sample::select(vec![Keep, Merge, Refuse]),
    ) {
        if let Ok(once) = normalize(&target, escaped, repeated) {
            prop_assert!(once.path().starts_with('/') && !has_dot_segment(once.path()));
            prop_assert!(repeated == Keep || !once.path().contains("//"));
            prop_assert!(once.is_rewritten() == (once.path_and_query() != target));
            prop_assert_eq!(once.query(), target.split_once('?').map(|(_, query)| query));
            let twice = normalize(once.path_and_query(), escaped, repeated).expect("what is normal is legal");
            prop_assert_eq!(twice.path_and_query(), once.path_and_query());
            prop_assert!(!twice.is_rewritten());
        }
    }
}
