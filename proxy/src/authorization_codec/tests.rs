use super::*;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, QueryParameter};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::{BoolValue, Struct};
use envoy_types::pb::google::rpc::Status;

fn question<'q>() -> Question<'q> {
    Question {
        source: "10.0.0.1:5000".parse().unwrap(),
        principal: Some("spiffe://a/b"),
        certificate: None,
        destination: "[::1]:443".parse().unwrap(),
        destination_principal: Some("spiffe://a/c"),
        server_name: Some("a.example"),
        time: UNIX_EPOCH + std::time::Duration::new(5, 6),
        id: "id-1",
        method: "POST",
        scheme: "https",
        authority: "a.example:443",
        target: "/p?q=1",
        protocol: "HTTP/2",
        headers: vec![("x-a", b"1,2".to_vec())],
        size: Some(3),
        body: Some(b"abc"),
        context: vec![("k", "v")],
    }
}

fn told(question: &Question<'_>) -> AttributeContext {
    let bytes = EnvoyAuthorization.encode_check(question);
    CheckRequest::decode(&bytes[..]).unwrap().attributes.unwrap()
}

fn read(response: &CheckResponse) -> Result<Answer, AnswerFault> {
    EnvoyAuthorization.decode_check(&response.encode_to_vec())
}

fn with_code(code: i32) -> CheckResponse {
    CheckResponse {
        status: Some(Status {
            code,
            ..Status::default()
        }),
        ..CheckResponse::default()
    }
}

#[test]
fn a_question_tells_what_envoy_tells() {
    let attributes = told(&question());
    let source = attributes.source.unwrap();
    assert_eq!(source.principal, "spiffe://a/b");
    assert_eq!(source.address, Some(address_of("10.0.0.1:5000".parse().unwrap())));
    assert_eq!(attributes.destination.unwrap().principal, "spiffe://a/c");
    let request = attributes.request.unwrap();
    assert_eq!(request.time, Some(Timestamp { seconds: 5, nanos: 6 }));
    let http = request.http.unwrap();
    assert_eq!((http.id.as_str(), http.method.as_str()), ("id-1", "POST"));
    assert_eq!((http.path.as_str(), http.query.as_str()), ("/p?q=1", ""));
    assert_eq!(
        (http.host.as_str(), http.scheme.as_str()),
        ("a.example:443", "https")
    );
    assert_eq!((http.size, http.protocol.as_str()), (3, "HTTP/2"));
    assert_eq!((http.body.as_str(), http.raw_body.len()), ("abc", 0));
    assert_eq!(http.headers["x-a"], "1,2");
    assert_eq!(http.headers[":path"], "/p?q=1");
    assert_eq!(attributes.context_extensions["k"], "v");
    assert_eq!(attributes.tls_session.unwrap().sni, "a.example");
}

#[test]
fn a_body_that_is_no_text_is_told_raw_and_an_unknown_size_is_minus_one() {
    let http = told(&Question {
        body: Some(b"\xff\0"),
        size: None,
        ..question()
    });
    let http = http.request.unwrap().http.unwrap();
    assert_eq!(
        (http.body.as_str(), http.raw_body, http.size),
        ("", b"\xff\0".to_vec(), -1)
    );
}

#[test]
fn an_answer_says_yes_or_no_and_what_says_neither_is_a_fault() {
    let denied = |status: Option<i32>| {
        HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: status.map(|code| HttpStatus { code }),
            body: "no".into(),
            ..DeniedHttpResponse::default()
        })
    };
    let ok = || HttpResponse::OkResponse(OkHttpResponse::default());
    let verdict = |code: Option<i32>, response: Option<HttpResponse>| {
        let base = code.map_or_else(CheckResponse::default, with_code);
        read(&CheckResponse {
            http_response: response,
            ..base
        })
        .map(|answer| answer.verdict)
    };
    let denial = |status: Option<u16>| {
        Ok(Verdict::Denied(Box::new(Denial {
            status,
            body: "no".into(),
            ..Denial::default()
        })))
    };
    let allowed = Ok(Verdict::Allowed(Box::default()));
    assert_eq!(verdict(Some(0), None), allowed);
    assert_eq!(verdict(Some(0), Some(ok())), allowed);
    assert_eq!(verdict(None, Some(ok())), allowed);
    assert_eq!(verdict(None, None), Err(AnswerFault::NoStatus));
    assert_eq!(verdict(Some(7), None), Ok(Verdict::Denied(Box::default())));
    assert_eq!(verdict(Some(7), Some(ok())), Ok(Verdict::Denied(Box::default())));
    assert_eq!(verdict(Some(16), Some(denied(Some(401)))), denial(Some(401)));
    assert_eq!(verdict(Some(0), Some(denied(Some(401)))), denial(Some(401)));
    for status in [None, Some(0), Some(100), Some(600)] {
        assert_eq!(verdict(Some(7), Some(denied(status))), denial(None), "{status:?}");
    }
    let error = HttpResponse::ErrorResponse(DeniedHttpResponse {
        body: "down".into(),
        ..DeniedHttpResponse::default()
    });
    assert!(matches!(verdict(Some(0), Some(error)), Ok(Verdict::Failed(denial)) if denial.body == "down"));
    assert_eq!(
        EnvoyAuthorization.decode_check(b"\xff\xff"),
        Err(AnswerFault::Malformed)
    );
}

#[test]
#[expect(deprecated, reason = "services use `append`")]
fn changes_are_read_by_either_field() {
    let option = |append: Option<bool>, action: HeaderAppendAction| HeaderValueOption {
        header: Some(HeaderValue {
            key: "x".into(),
            value: "1".into(),
            ..HeaderValue::default()
        }),
        append: append.map(|value| BoolValue { value }),
        append_action: action as i32,
        ..HeaderValueOption::default()
    };
    use HeaderAppendAction::*;
    use HeaderChangeKind as K;
    let table = [
        (None, AppendIfExistsOrAdd, K::Set, K::Append),
        (Some(true), AppendIfExistsOrAdd, K::Append, K::Append),
        (Some(false), AppendIfExistsOrAdd, K::Set, K::Set),
        (None, AddIfAbsent, K::AddIfAbsent, K::AddIfAbsent),
        (None, OverwriteIfExistsOrAdd, K::Set, K::Set),
        (None, OverwriteIfExists, K::SetIfPresent, K::SetIfPresent),
    ];
    for (append, action, request, response) in table {
        let ok = OkHttpResponse {
            headers: vec![option(append, action)],
            response_headers_to_add: vec![option(append, action)],
            ..OkHttpResponse::default()
        };
        let allowance = allowance(ok);
        assert_eq!(
            allowance.request_headers[0].kind, request,
            "{append:?} {action:?}"
        );
        assert_eq!(
            allowance.response_headers[0].kind, response,
            "{append:?} {action:?}"
        );
    }
}

#[test]
#[expect(deprecated, reason = "services still send it")]
fn everything_that_a_yes_brings_is_read_or_reported() {
    let ok = OkHttpResponse {
        headers: vec![HeaderValueOption {
            header: Some(HeaderValue {
                key: "x-raw".into(),
                value: String::new(),
                raw_value: b"\xe9".to_vec(),
            }),
            ..HeaderValueOption::default()
        }],
        headers_to_remove: vec!["x-b".into()],
        query_parameters_to_set: vec![QueryParameter {
            key: "a".into(),
            value: "1".into(),
        }],
        query_parameters_to_remove: vec!["b".into()],
        ..OkHttpResponse::default()
    };
    let allowance = allowance(ok);
    assert_eq!(allowance.request_headers[0].value, b"\xe9");
    assert_eq!(allowance.request_headers_removed, ["x-b"]);
    assert_eq!(allowance.query_set, [("a".to_owned(), "1".to_owned())]);
    assert_eq!(allowance.query_removed, ["b"]);
    assert!(!read(&with_code(0)).unwrap().has_metadata);
    for response in [
        CheckResponse {
            dynamic_metadata: Some(Struct::default()),
            ..with_code(7)
        },
        CheckResponse {
            http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
                dynamic_metadata: Some(Struct::default()),
                ..OkHttpResponse::default()
            })),
            ..with_code(0)
        },
    ] {
        assert!(read(&response).unwrap().has_metadata);
    }
}
