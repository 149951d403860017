//! `grpc.health.v1.Health/Check`, by gRPC's health checking protocol (`doc/health-checking.md` of grpc/grpc).

use super::super::exchange::{self, Answer, Session};
use super::super::finding::Finding;
use super::super::target::Target;
use super::{invalid, request};
use bytes::{BufMut, Bytes, BytesMut};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use outrigger_config::model::GrpcHealthCheck;
use prost::Message;
use std::net::SocketAddr;

const PATH: &str = "/grpc.health.v1.Health/Check";

/// Not compressed, and the length: what stands before a message.
const PREFIX_BYTES: usize = 5;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `ServingStatus`.
const SERVING: i32 = 1;
const SERVICE_UNKNOWN: i32 = 3;

pub(super) async fn ask(
    target: &Target,
    check: &GrpcHealthCheck,
    addresses: &[SocketAddr],
    kept: &mut Option<Session>,
) -> Result<(), Finding> {
    let host = check.authority().as_deref().unwrap_or(&target.cluster);
    let body = framed(check.service());
    let make = |version| {
        let mut request = request(target, version, Method::POST, host, PATH, body.clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        request
    };
    let answer = exchange::exchange(target, addresses, kept, make).await?;
    judge(&answer)
}

fn framed(service: &str) -> Bytes {
    let message = HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(message.encoded_len() as u32);
    framed.put_slice(&message.encode_to_vec());
    framed.freeze()
}

fn judge(answer: &Answer) -> Result<(), Finding> {
    if answer.status != 200 {
        let status = answer.status;
        return Err(Finding::Status {
            status,
            retriable: false,
        });
    }
    let status = answer
        .trailers
        .get("grpc-status")
        .or(answer.headers.get("grpc-status"));
    match status.map(HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(b"5") => return Err(Finding::ServiceUnknown),
        Some(b"12") => return Err(Finding::Unimplemented),
        Some(other) => {
            // A number, if it is one: texts of endpoints do not go to the log.
            let number = std::str::from_utf8(other)
                .ok()
                .and_then(|text| text.parse::<u8>().ok());
            let text = number.map_or_else(|| "that is none".to_owned(), |number| number.to_string());
            return Err(Finding::Grpc(text));
        }
        None => return Err(Finding::Protocol("there is no gRPC status".to_owned())),
    }
    let message = match answer.body.split_at_checked(PREFIX_BYTES) {
        Some(([0, length @ ..], message)) if length == (message.len() as u32).to_be_bytes() => message,
        _ => {
            return Err(Finding::Protocol(
                "there is not one plain gRPC message".to_owned(),
            ));
        }
    };
    match HealthCheckResponse::decode(message).map_err(invalid)?.status {
        SERVING => Ok(()),
        SERVICE_UNKNOWN => Err(Finding::ServiceUnknown),
        _ => Err(Finding::NotServing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn answer(status: u16, grpc_status: Option<&'static str>, body: &[u8]) -> Answer {
        let mut trailers = HeaderMap::new();
        if let Some(status) = grpc_status {
            trailers.insert("grpc-status", HeaderValue::from_static(status));
        }
        Answer {
            status,
            headers: HeaderMap::new(),
            body: body.to_vec(),
            trailers,
            whole: true,
        }
    }

    #[test]
    fn messages_are_framed() {
        assert_eq!(framed("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(framed("ab")[..], [0, 0, 0, 0, 4, 10, 2, b'a', b'b']);
    }

    #[test]
    fn only_serving_passes() {
        let message = |status: u8| [0, 0, 0, 0, 2, 8, status];
        let passed = judge(&answer(200, Some("0"), &message(1)));
        assert_eq!(passed, Ok(()));
        let refused = |answer: Answer| judge(&answer).unwrap_err();
        assert_eq!(refused(answer(200, Some("0"), &message(0))), Finding::NotServing);
        assert_eq!(refused(answer(200, Some("0"), &message(2))), Finding::NotServing);
        assert_eq!(
            refused(answer(200, Some("0"), &message(3))),
            Finding::ServiceUnknown
        );
        assert_eq!(refused(answer(200, Some("5"), b"")), Finding::ServiceUnknown);
        assert_eq!(refused(answer(200, Some("12"), b"")), Finding::Unimplemented);
        assert_eq!(
            refused(answer(200, Some("14"), b"")),
            Finding::Grpc("14".to_owned())
        );
        let status = Finding::Status {
            status: 503,
            retriable: false,
        };
        assert_eq!(refused(answer(503, Some("0"), &message(1))), status);
        // No message is the message whose status is 0, unknown; anything else in the body is no answer at all.
        assert_eq!(refused(answer(200, Some("0"), &[0; 5])), Finding::NotServing);
        for broken in [
            &b""[..],
            &[0, 0, 0, 0, 9, 8, 1],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 2, 8, 0xff],
        ] {
            assert!(matches!(
                refused(answer(200, Some("0"), broken)),
                Finding::Protocol(_)
            ));
        }
        assert!(matches!(
            refused(answer(200, None, &message(1))),
            Finding::Protocol(_)
        ));
    }
}
