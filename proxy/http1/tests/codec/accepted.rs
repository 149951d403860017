//! What requests that are taken become, each in one piece and byte by byte.

use outrigger_http1::{
    Framing, HeadInfo, KnownName, Method, RequestDecoder, RequestError, RequestHead, TargetForm, Version,
};

use crate::drive::{self, Seen};
use crate::requests::decode;

fn only_head(input: &str) -> (RequestHead, HeadInfo) {
    match decode(input.as_bytes()).first() {
        Some(Seen::Head(head, info)) => (*head.clone(), *info),
        other => panic!("{input:?} gave {other:?}"),
    }
}

#[test]
fn a_head_is_told_in_all_its_parts() {
    let (head, info) = only_head(
        "POST /a/b?c=d?e HTTP/1.1\r\nHost: a.b:80\r\nX-Custom-NAME:\tv w \t\r\nACCEPT:*/*\r\nempty:\r\nx-custom-name: \u{fc}\r\n\
         Connection: x, Upgrade\r\nUpgrade: websocket\r\nTE: trailers, gzip\r\ncontent-length: 3\r\nexpect: 100-Continue\r\n\r\nabc",
    );
    assert_eq!((&head.method, head.version), (&Method::Post, Version::Http11));
    assert_eq!(
        (head.authority(), head.path(), head.query()),
        ("a.b:80", "/a/b", Some("c=d?e"))
    );
    assert_eq!((head.path_and_query(), head.scheme()), ("/a/b?c=d?e", None));
    assert_eq!(head.target_form(), TargetForm::Origin);
    let names: Vec<_> = head
        .fields
        .iter()
        .map(|field| String::from_utf8_lossy(field.name).into_owned())
        .collect();
    let expected = [
        "x-custom-name",
        "accept",
        "empty",
        "x-custom-name",
        "connection",
        "upgrade",
        "te",
        "content-length",
        "expect",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        head.fields.find_all("x-custom-name").collect::<Vec<_>>(),
        [&b"v w"[..], "\u{fc}".as_bytes()]
    );
    assert_eq!(head.fields.get(KnownName::Accept), Some(&b"*/*"[..]));
    assert_eq!(head.fields.find("empty"), Some(&b""[..]));
    let expected = HeadInfo {
        framing: Framing::Length(3),
        keep_alive: true,
        expect_continue: true,
        upgrade: true,
        te_trailers: true,
    };
    assert_eq!(info, expected);
}

#[test]
fn targets_of_every_form_become_their_parts() {
    let table = [
        ("GET / HTTP/1.1", "h", "/", TargetForm::Origin, None),
        ("GET //a?b HTTP/1.1", "h", "//a?b", TargetForm::Origin, None),
        (
            "GET /\"|\\<>{}^` HTTP/1.1",
            "h",
            "/\"|\\<>{}^`",
            TargetForm::Origin,
            None,
        ),
        (
            "GET http://a:1/b?c HTTP/1.1",
            "a:1",
            "/b?c",
            TargetForm::Absolute,
            Some("http"),
        ),
        (
            "GET HTTPS://[::1] HTTP/1.1",
            "[::1]",
            "/",
            TargetForm::Absolute,
            Some("https"),
        ),
        (
            "GET http://a?b=/c HTTP/1.1",
            "a",
            "/?b=/c",
            TargetForm::Absolute,
            Some("http"),
        ),
        (
            "OPTIONS http://a HTTP/1.1",
            "a",
            "*",
            TargetForm::Absolute,
            Some("http"),
        ),
        (
            "OPTIONS http://a/ HTTP/1.1",
            "a",
            "/",
            TargetForm::Absolute,
            Some("http"),
        ),
        ("OPTIONS * HTTP/1.1", "h", "*", TargetForm::Asterisk, None),
        ("CONNECT a:443 HTTP/1.1", "a:443", "", TargetForm::Authority, None),
        (
            "CONNECT [::1]:443 HTTP/1.1",
            "[::1]:443",
            "",
            TargetForm::Authority,
            None,
        ),
    ];
    for (line, authority, target, form, scheme) in table {
        let (head, _) = only_head(&format!("{line}\r\nhost: h\r\n\r\n"));
        assert_eq!(
            (head.authority(), head.path_and_query()),
            (authority, target),
            "{line}"
        );
        assert_eq!((head.target_form(), head.scheme()), (form, scheme), "{line}");
    }
}

#[test]
fn connections_persist_as_version_and_fields_say() {
    let table = [
        ("1.1", "", true),
        ("1.1", "connection: close\r\n", false),
        ("1.1", "connection: x,CLOSE\r\n", false),
        ("1.1", "connection: keep-alive, close\r\n", false),
        ("1.1", "connection: keep-alive\r\nconnection: close\r\n", false),
        ("1.1", "connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "connection: Keep-Alive\r\n", true),
        ("1.0", "connection: close, keep-alive\r\n", false),
    ];
    for (version, fields, keep_alive) in table {
        let (_, info) = only_head(&format!("GET / HTTP/{version}\r\nhost: a\r\n{fields}\r\n"));
        assert_eq!(info.keep_alive, keep_alive, "{version} {fields:?}");
    }
}

#[test]
fn upgrades_and_expectations_need_all_their_parts() {
    let upgrade = |version, fields| {
        only_head(&format!("GET / HTTP/{version}\r\nhost: a\r\n{fields}\r\n"))
            .1
            .upgrade
    };
    assert!(upgrade("1.1", "connection: upgrade\r\nupgrade: x\r\n"));
    assert!(!upgrade("1.1", "upgrade: x\r\n"));
    assert!(!upgrade("1.1", "connection: upgrade\r\n"));
    assert!(!upgrade("1.0", "connection: upgrade\r\nupgrade: x\r\n"));
    let waits = |version, fields| {
        only_head(&format!(
            "PUT / HTTP/{version}\r\nhost: a\r\nexpect: 100-continue\r\n{fields}\r\n"
        ))
        .1
        .expect_continue
    };
    assert!(waits("1.1", "content-length: 1\r\n"));
    assert!(waits("1.1", "transfer-encoding: Chunked\r\n"));
    assert!(!waits("1.1", "content-length: 0\r\n") && !waits("1.1", ""));
    assert!(!waits("1.0", "content-length: 1\r\n"));
}

#[test]
fn http_10_is_taken_only_where_it_is_accepted() {
    let input = b"GET / HTTP/1.0\r\n\r\n";
    let (head, _) = only_head("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((head.version, head.authority()), (Version::Http10, ""));
    let run = drive::requests(input, &[], &outrigger_http1::Limits::default());
    assert_eq!(run.seen, [Seen::Error(RequestError::UnsupportedVersion)]);
}

#[test]
fn pipelined_requests_come_one_by_one_with_their_bodies() {
    let input = b"\r\nPOST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc\
        \r\nPOST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
        3;x=\"y\"\r\nabc\r\n00A\r\n0123456789\r\n0;z\r\nX-Sum: 1\r\nset-cookie: dropped\r\n\r\n\
        GET /3 HTTP/1.1\r\nhost: a\r\n\r\nDELETE /4 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let mut paths = Vec::new();
    let mut rest = Vec::new();
    for seen in decode(input) {
        match seen {
            Seen::Head(head, info) => paths.push((head.path().to_owned(), info.framing)),
            Seen::Trailers(trailers) => {
                assert_eq!(trailers.find("x-sum"), Some(&b"1"[..]));
                assert_eq!(trailers.len(), 1, "a cookie in a trailer is dropped");
            }
            other => rest.push(other),
        }
    }
    let framings = [
        Framing::Length(3),
        Framing::Chunked,
        Framing::None,
        Framing::Length(0),
    ];
    let expected: Vec<_> = (1..).map(|number| format!("/{number}")).zip(framings).collect();
    assert_eq!(paths, expected);
    let data = |bytes: &[u8]| Seen::Data(bytes.to_vec());
    assert_eq!(
        rest,
        [
            data(b"abc"),
            Seen::End,
            data(b"abc0123456789"),
            Seen::End,
            Seen::End,
            Seen::End
        ]
    );
}

#[test]
fn a_head_that_is_used_again_keeps_nothing_of_the_last_request() {
    let (mut decoder, mut head) = (RequestDecoder::new(drive::limits()), RequestHead::new());
    let mut decode = |head: &mut RequestHead, input: &[u8]| {
        decoder.reset();
        decoder.decode(input, head).map(|_| head.authority().to_owned())
    };
    let hosted = b"GET http://b/?c HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
    let bare = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(decode(&mut head, hosted), Ok("b".to_owned()));
    assert_eq!(decode(&mut head, bare), Ok(String::new()));
    assert_eq!(
        (head.path_and_query(), head.scheme(), head.fields.len()),
        ("/", None, 0)
    );
    // A host that is the last one again is not checked again, but only if it was checked.
    let odd = b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n";
    head.set_authority("a b");
    assert_eq!(decode(&mut head, odd), Err(RequestError::InvalidHost));
    let plain = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(decode(&mut head, plain), Ok("a".to_owned()));
    assert_eq!(decode(&mut head, odd), Err(RequestError::InvalidHost));
    assert_eq!(decode(&mut head, plain), Ok("a".to_owned()));
}

#[test]
fn heads_take_no_more_memory_with_each_request_and_give_it_back() {
    let input = b"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: b\r\nX-Own: c\r\n\r\n";
    let (mut decoder, mut head) = (RequestDecoder::new(drive::limits()), RequestHead::new());
    let mut capacities = Vec::new();
    for _ in 0..100 {
        decoder.decode(input, &mut head).expect("a head");
        decoder.decode(b"", &mut head).expect("its end");
        head.fields.set(b"x-own", b"more than before");
        capacities.push(head.capacity_bytes());
    }
    assert!(decoder.is_idle());
    assert_eq!(capacities[1], capacities[99]);
    head.release();
    assert_eq!(head.capacity_bytes(), 0);
}
