//! Property: what is encoded decodes to the same; and the exact bytes of a few heads.

use outrigger_http1::{
    BodyEncoder, Fields, Framing, KnownName, Method, RequestHead, ResponseHead, Version, encode_request_head,
    encode_response_head, strip_hop_by_hop,
};
use proptest::prelude::*;

use crate::drive::{self, Seen};

const NAMES: &[&str] = &[
    "accept",
    "x-a",
    "x-forwarded-for",
    "cookie",
    "a-name-that-is-longer-than-thirty-two-bytes",
    "vary",
];

fn fields() -> impl Strategy<Value = Fields> {
    let field = (prop::sample::select(NAMES), "|[!-~\u{e4}]([ -~\t]{0,20}[!-~])?");
    prop::collection::vec(field, 0..8).prop_map(|list| {
        let mut fields = Fields::new();
        list.iter()
            .for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    })
}

fn framing() -> impl Strategy<Value = (Framing, Vec<Vec<u8>>)> {
    let data = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4);
    (0..3, data).prop_map(|(kind, data)| match kind {
        0 => (Framing::None, Vec::new()),
        1 => (
            Framing::Length(data.iter().map(|part| part.len() as u64).sum()),
            data,
        ),
        _ => (Framing::Chunked, data),
    })
}

fn encode_body(framing: Framing, data: &[Vec<u8>], trailers: &Fields, out: &mut Vec<u8>) {
    let mut encoder = BodyEncoder::new(framing);
    data.iter()
        .for_each(|part| encoder.encode(part, out).expect("it is as long as promised"));
    encoder
        .finish(Some(trailers), out)
        .expect("it is as long as promised");
}

/// The events of body and trailers, and the head's fields without those that the encoder wrote.
fn check<E: PartialEq + std::fmt::Debug>(
    rest: &[Seen<impl PartialEq + std::fmt::Debug, E>],
    framing: Framing,
    data: &[Vec<u8>],
    trailers: &Fields,
) {
    let mut rest = rest.iter();
    let data = data.concat();
    if !data.is_empty() {
        assert_eq!(rest.next(), Some(&Seen::Data(data)));
    }
    let sent = trailers
        .iter()
        .filter(|field| !matches!(field.known, Some(KnownName::XForwardedFor | KnownName::Cookie)));
    let mut expected = Fields::new();
    sent.for_each(|field| expected.push(field.name, field.value));
    if framing == Framing::Chunked && !expected.is_empty() {
        assert_eq!(rest.next(), Some(&Seen::Trailers(expected)));
    }
    assert_eq!(rest.next(), Some(&Seen::End));
}

fn without_framing(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.remove_known(KnownName::ContentLength);
    fields.remove_known(KnownName::TransferEncoding);
    fields
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests(
        method in prop::sample::select(&["GET", "POST", "PATCH", "X-OWN"][..]),
        authority in "[a-z0-9.-]{1,20}(:[0-9]{1,4})?",
        target in "/[!\"$-~]{0,30}",
        fields in fields(),
        (framing, data) in framing(),
        trailers in fields(),
    ) {
        let mut head = RequestHead::new();
        head.method = Method::from_bytes(method.as_bytes()).expect("a token");
        head.set_authority(&authority);
        head.set_path_and_query(&target);
        head.fields = fields;
        let mut out = Vec::new();
        encode_request_head(&head, framing, &mut out);
        encode_body(framing, &data, &trailers, &mut out);
        let run = drive::requests(&out, &[], &drive::limits());
        let Some((Seen::Head(decoded, info), rest)) = run.seen.split_first() else {
            panic!("{} gave {:?}", out.escape_ascii(), run.seen);
        };
        prop_assert_eq!(info.framing, framing);
        prop_assert_eq!(&decoded.method, &head.method);
        prop_assert_eq!((decoded.authority(), decoded.path_and_query()), (&authority[..], &target[..]));
        prop_assert_eq!(&without_framing(&decoded.fields), &head.fields);
        check(rest, framing, &data, &trailers);
    }

    #[test]
    fn responses(status in 200u16..1000, fields in fields(), (framing, data) in framing(), trailers in fields()) {
        prop_assume!(status != 204 && status != 304 && framing != Framing::None);
        let head = ResponseHead { status, version: Version::Http11, fields };
        let mut out = Vec::new();
        encode_response_head(&head, framing, Version::Http11, false, &mut out);
        encode_body(framing, &data, &trailers, &mut out);
        let run = drive::responses(&out, &[], &Method::Get, &drive::limits());
        let Some((Seen::Head(decoded, info), rest)) = run.seen.split_first() else {
            panic!("{} gave {:?}", out.escape_ascii(), run.seen);
        };
        prop_assert_eq!((info.framing, info.keep_alive, decoded.status), (framing, true, status));
        prop_assert_eq!(&without_framing(&decoded.fields), &head.fields);
        check(rest, framing, &data, &trailers);
    }
}

fn response(status: u16, framing: Framing, version: Version, close: bool) -> String {
    let mut head = ResponseHead {
        status,
        ..ResponseHead::new()
    };
    head.fields.push_known(KnownName::ContentLength, b"7");
    head.fields.push_known(KnownName::Server, b"s");
    head.fields.push_known(KnownName::TransferEncoding, b"chunked");
    let mut out = Vec::new();
    encode_response_head(&head, framing, version, close, &mut out);
    String::from_utf8(out).expect("ASCII")
}

/// Status, framing, version and `close` given, and what is written.
type Answer = (u16, Framing, Version, bool, &'static str);

const ANSWERS: &[Answer] = &[
    (
        200,
        Framing::Length(3),
        Version::Http11,
        false,
        "HTTP/1.1 200 OK\r\nserver: s\r\ncontent-length: 3\r\n\r\n",
    ),
    (
        200,
        Framing::Chunked,
        Version::Http11,
        true,
        "HTTP/1.1 200 OK\r\nserver: s\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        404,
        Framing::UntilClose,
        Version::Http11,
        false,
        "HTTP/1.1 404 Not Found\r\nserver: s\r\nconnection: close\r\n\r\n",
    ),
    (
        200,
        Framing::Length(0),
        Version::Http10,
        false,
        "HTTP/1.1 200 OK\r\nserver: s\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        200,
        Framing::UntilClose,
        Version::Http10,
        false,
        "HTTP/1.1 200 OK\r\nserver: s\r\nconnection: close\r\n\r\n",
    ),
    (
        200,
        Framing::None,
        Version::Http11,
        false,
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nserver: s\r\n\r\n",
    ),
    (
        304,
        Framing::None,
        Version::Http11,
        false,
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\nserver: s\r\n\r\n",
    ),
    (
        204,
        Framing::None,
        Version::Http11,
        true,
        "HTTP/1.1 204 No Content\r\nserver: s\r\nconnection: close\r\n\r\n",
    ),
    (
        204,
        Framing::Length(3),
        Version::Http11,
        false,
        "HTTP/1.1 204 No Content\r\nserver: s\r\n\r\n",
    ),
    (
        103,
        Framing::None,
        Version::Http11,
        true,
        "HTTP/1.1 103 Early Hints\r\nserver: s\r\n\r\n",
    ),
    (
        599,
        Framing::Length(0),
        Version::Http11,
        false,
        "HTTP/1.1 599 \r\nserver: s\r\ncontent-length: 0\r\n\r\n",
    ),
];

#[test]
fn answers_are_framed_by_their_framing_alone() {
    assert_eq!(Framing::Chunked.for_peer(Version::Http10), Framing::UntilClose);
    assert_eq!(Framing::Chunked.for_peer(Version::Http11), Framing::Chunked);
    for (status, framing, version, close, expected) in ANSWERS {
        assert_eq!(response(*status, *framing, *version, *close), *expected);
    }
}

#[test]
fn requests_are_written_in_the_form_of_their_method() {
    let encode = |input: &str| {
        let run = drive::requests(input.as_bytes(), &[], &drive::limits());
        let Some(Seen::Head(head, info)) = run.seen.first() else {
            panic!("{:?}", run.seen)
        };
        let mut out = Vec::new();
        encode_request_head(head, info.framing, &mut out);
        String::from_utf8(out).expect("ASCII")
    };
    let table = [
        (
            "GET http://a:1/b?c HTTP/1.1\r\nX-One: 1\r\nHost: z\r\nX-Two:2 \r\nX-Three: 3\r\n\r\n",
            "GET /b?c HTTP/1.1\r\nhost: a:1\r\nx-one: 1\r\nx-two: 2\r\nx-three: 3\r\n\r\n",
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nhost: z\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
        ),
        (
            "OPTIONS http://a HTTP/1.1\r\nhost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: \r\n\r\n"),
        (
            "PUT / HTTP/1.1\r\nhost: a\r\nContent-Length: 007\r\nx: y\r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: a\r\nx: y\r\ncontent-length: 7\r\n\r\n",
        ),
    ];
    for (input, expected) in table {
        assert_eq!(encode(input), expected);
    }
}

#[test]
fn a_proxied_head_loses_its_hops_and_keeps_its_order() {
    let input = b"GET / HTTP/1.1\r\nA: 1\r\nConnection: x-hop\r\nB: 2\r\nHost: h\r\nX-Hop: 3\r\nC: 4\r\nTE: trailers\r\n\r\n";
    let run = drive::requests(input, &[5, 30], &drive::limits());
    let Some(Seen::Head(head, _)) = run.seen.first() else {
        panic!("{:?}", run.seen)
    };
    let mut head = head.clone();
    strip_hop_by_hop(&mut head.fields);
    head.fields.set(b"b", b"5");
    let mut out = Vec::new();
    encode_request_head(&head, Framing::Chunked, &mut out);
    let expected = "GET / HTTP/1.1\r\nhost: h\r\na: 1\r\nb: 5\r\nc: 4\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
}
