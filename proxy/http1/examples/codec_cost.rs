//! Runs the codec over a typical proxied request N times; for counting instructions under callgrind.
//!
//! `codec_cost PART N [small]` with PART one of `all`, `decode-request`, `encode-request`, `decode-response`,
//! `encode-response`. The cost of one is the difference between 2 N and N, divided by N.

use std::hint::black_box;

use outrigger_http1::{
    Decoded, Event, Framing, KnownName, Limits, Method, RequestDecoder, RequestHead, ResponseDecoder,
    ResponseHead, Version, encode_request_head, encode_response_head, strip_hop_by_hop,
};

const REQUEST: &[u8] = b"GET /api/v1/items/42?expand=owner&limit=20 HTTP/1.1\r\n\
    Host: items.default.svc.cluster.local:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: application/json, text/plain;q=0.9, */*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\
    X-Request-Id: 6ba7b810-9dad-11d1-80b4-00c04fd430c8\r\n\
    Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
    X-Tenant: blue\r\n\
    Connection: keep-alive\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 1024\r\n\
    Connection: keep-alive\r\n\
    Vary: Accept-Encoding\r\n\
    Cache-Control: max-age=60, public\r\n\
    ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
    Last-Modified: Sat, 05 Nov 1994 08:49:37 GMT\r\n\
    X-Content-Type-Options: nosniff\r\n\r\n";

/// What wrk sends.
const SMALL_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

/// What nginx answers.
const SMALL_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 1024\r\n\
    Connection: keep-alive\r\n\r\n";

struct Cost {
    request_bytes: &'static [u8],
    response_bytes: &'static [u8],
    request_decoder: RequestDecoder,
    request: RequestHead,
    response_decoder: ResponseDecoder,
    response: ResponseHead,
    body: Vec<u8>,
    out: Vec<u8>,
}

impl Cost {
    fn decode_request(&mut self) {
        let decoded = self
            .request_decoder
            .decode(black_box(self.request_bytes), &mut self.request);
        assert!(matches!(
            decoded,
            Ok(Decoded { consumed, event: Event::Head(_) }) if consumed == self.request_bytes.len()
        ));
        let end = self.request_decoder.decode(b"", &mut self.request);
        assert!(matches!(
            end,
            Ok(Decoded {
                event: Event::End,
                ..
            })
        ));
    }

    fn encode_request(&mut self) {
        self.out.clear();
        strip_hop_by_hop(&mut self.request.fields);
        self.request
            .fields
            .set_known(KnownName::XForwardedFor, b"10.0.0.1");
        self.request.fields.set_known(KnownName::XForwardedProto, b"http");
        encode_request_head(&self.request, Framing::None, &mut self.out);
        black_box(&self.out);
    }

    fn decode_response(&mut self) {
        self.response_decoder.begin(&Method::Get);
        let decoded = self
            .response_decoder
            .decode(black_box(self.response_bytes), &mut self.response);
        assert!(matches!(
            decoded,
            Ok(Decoded { consumed, event: Event::Head(_) }) if consumed == self.response_bytes.len()
        ));
        let data = self
            .response_decoder
            .decode(black_box(&self.body), &mut self.response);
        assert!(matches!(
            data,
            Ok(Decoded {
                event: Event::Data(_),
                ..
            })
        ));
        let end = self.response_decoder.decode(b"", &mut self.response);
        assert!(matches!(
            end,
            Ok(Decoded {
                event: Event::End,
                ..
            })
        ));
    }

    fn encode_response(&mut self) {
        self.out.clear();
        strip_hop_by_hop(&mut self.response.fields);
        encode_response_head(
            &self.response,
            Framing::Length(1024),
            Version::Http11,
            false,
            &mut self.out,
        );
        black_box(&self.out);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next().unwrap_or_else(|| "all".to_owned());
    let count: u32 = arguments
        .next()
        .map_or(1000, |text| text.parse().expect("a number of rounds"));
    let (request_bytes, response_bytes) = match arguments.next().as_deref() {
        Some("small") => (SMALL_REQUEST, SMALL_RESPONSE),
        _ => (REQUEST, RESPONSE),
    };
    let mut cost = Cost {
        request_bytes,
        response_bytes,
        request_decoder: RequestDecoder::new(Limits::default()),
        request: RequestHead::new(),
        response_decoder: ResponseDecoder::new(Limits::default()),
        response: ResponseHead::new(),
        body: vec![b'x'; 1024],
        out: Vec::new(),
    };
    cost.decode_request();
    cost.decode_response();
    for _ in 0..count {
        match part.as_str() {
            "all" => {
                cost.decode_request();
                cost.encode_request();
                cost.decode_response();
                cost.encode_response();
            }
            "decode-request" => cost.decode_request(),
            "encode-request" => cost.encode_request(),
            "decode-response" => cost.decode_response(),
            "encode-response" => cost.encode_response(),
            other => panic!("there is no part {other}"),
        }
    }
}
