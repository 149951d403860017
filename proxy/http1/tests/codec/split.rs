//! Property: however the input is cut, the events are the same.

use outrigger_http1::Method;
use proptest::prelude::*;

use crate::drive;

/// Parts that make messages, broken ones included, when strung together.
const PARTS: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b HTTP/1.1\r\n",
    "PUT http://a/b HTTP/1.0\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "host: a\r\n",
    "Host: b:80\r\n",
    "content-length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "x-long-name-of-more-than-thirty-two-bytes: v\r\n",
    "Connection: close, x\r\n",
    "X: \t y \t\r\n",
    "expect: 100-continue\r\n",
    "\r\n",
    "hello",
    "5\r\nhello\r\n",
    "5;a=\"b\"\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "x-sum: 1\r\n",
    "\n",
    "\r",
    " ",
    ":",
    "\0",
    "a",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 \r\n",
    "HTTP/1.1 204\r\n",
    "HTTP/1.0 304 x\r\n",
    "set-cookie: a\r\n",
    "ü",
    "ffffffffffffffff\r\n",
    "1",
];

/// Whole messages, so that deep states are reached often.
const WHOLE: &[&str] = &[
    "GET / HTTP/1.1\r\nhost: a\r\nUser-Agent: b\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x\r\nhello\r\n1\r\n!\r\n0\r\nx-sum: 1\r\ny: z\r\n\r\n",
    "HTTP/1.1 103 x\r\nlink: a\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
];

fn input() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        2 => prop::sample::select(WHOLE),
        3 => prop::sample::select(PARTS),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

fn cut() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    input().prop_flat_map(|input| {
        let cuts = prop::collection::btree_set(0..=input.len(), 0..8);
        (Just(input), cuts.prop_map(|cuts| cuts.into_iter().collect()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_requests_gives_the_same_events((input, cuts) in cut()) {
        let whole = drive::requests(&input, &[], &drive::limits());
        prop_assert_eq!(&whole, &drive::requests(&input, &cuts, &drive::limits()));
        prop_assert_eq!(&whole, &drive::requests(&input, &drive::every_byte(&input), &drive::limits()));
    }

    #[test]
    fn any_split_of_responses_gives_the_same_events((input, cuts) in cut()) {
        for method in [Method::Get, Method::Head, Method::Connect] {
            let whole = drive::responses(&input, &[], &method, &drive::limits());
            prop_assert_eq!(&whole, &drive::responses(&input, &cuts, &method, &drive::limits()));
            let bytewise = drive::responses(&input, &drive::every_byte(&input), &method, &drive::limits());
            prop_assert_eq!(&whole, &bytewise);
        }
    }
}
