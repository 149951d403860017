//! Questions to authorization services, and their answers, in the protobuf of `envoy.service.auth.v3`.
//!
//! What an answer means is decided here; whether what it wants to change may be changed, in the data plane. No field of
//! an answer is passed over in silence: what stands for another filter of Envoy's is reported as such.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{
    Address, HeaderValueOption, SocketAddress, address, header_value_option::HeaderAppendAction,
    socket_address,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request, TlsSession};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::google::protobuf::Timestamp;
use outrigger_dataplane::external_authorization::{
    Allowance, Answer, AnswerFault, AuthorizationCodec, Denial, HeaderChange, HeaderChangeKind, Question,
    Verdict,
};
use prost::Message;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Statuses that a client can be given as the last answer to a request.
const STATUSES: std::ops::RangeInclusive<i32> = 200..=599;

/// Speaks the protobuf of Envoy's external authorization, version 3.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EnvoyAuthorization;

impl AuthorizationCodec for EnvoyAuthorization {
    fn encode_check(&self, question: &Question<'_>) -> Bytes {
        let check = CheckRequest {
            attributes: Some(attributes(question)),
        };
        check.encode_to_vec().into()
    }

    fn decode_check(&self, answer: &[u8]) -> Result<Answer, AnswerFault> {
        let response = CheckResponse::decode(answer).map_err(|_| AnswerFault::Malformed)?;
        let has_metadata = response.dynamic_metadata.is_some()
            || matches!(&response.http_response, Some(HttpResponse::OkResponse(ok)) if brings_metadata(ok));
        let is_ok = response.status.as_ref().is_none_or(|status| status.code == 0);
        let verdict = match response.http_response {
            Some(HttpResponse::ErrorResponse(error)) => Verdict::Failed(Box::new(denial(error))),
            // Whoever says how it is denied means that it is, whatever its status says.
            Some(HttpResponse::DeniedResponse(denied)) => Verdict::Denied(Box::new(denial(denied))),
            _ if !is_ok => Verdict::Denied(Box::default()),
            Some(HttpResponse::OkResponse(ok)) => Verdict::Allowed(Box::new(allowance(ok))),
            None if response.status.is_some() => Verdict::Allowed(Box::default()),
            None => return Err(AnswerFault::NoStatus),
        };
        Ok(Answer {
            verdict,
            has_metadata,
        })
    }
}

#[expect(deprecated, reason = "services still send it")]
fn brings_metadata(ok: &OkHttpResponse) -> bool {
    ok.dynamic_metadata.is_some()
}

fn attributes(question: &Question<'_>) -> AttributeContext {
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    AttributeContext {
        source: Some(Peer {
            address: Some(address_of(question.source)),
            principal: owned(question.principal),
            certificate: owned(question.certificate),
            ..Peer::default()
        }),
        destination: Some(Peer {
            address: Some(address_of(question.destination)),
            principal: owned(question.destination_principal),
            ..Peer::default()
        }),
        request: Some(Request {
            time: Some(timestamp(question.time)),
            http: Some(http_request(question)),
        }),
        context_extensions: question
            .context
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        tls_session: question
            .server_name
            .map(|name| TlsSession { sni: name.to_owned() }),
        ..AttributeContext::default()
    }
}

/// The request as Envoy tells it: with HTTP/2's names for what is no header, the query in `path`, and nothing in `query`
/// and `fragment`.
fn http_request(question: &Question<'_>) -> HttpRequest {
    let pseudo = [
        (":authority", question.authority),
        (":method", question.method),
        (":path", question.target),
        (":scheme", question.scheme),
    ];
    let mut headers: std::collections::HashMap<String, String> = pseudo
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in &question.headers {
        // As Envoy: what is no UTF-8 is told as far as it is.
        headers.insert((*name).to_owned(), String::from_utf8_lossy(value).into_owned());
    }
    let (body, raw_body) = match question.body {
        None => (String::new(), Vec::new()),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), Vec::new()),
            Err(_) => (String::new(), bytes.to_vec()),
        },
    };
    HttpRequest {
        id: question.id.to_owned(),
        method: question.method.to_owned(),
        headers,
        path: question.target.to_owned(),
        host: question.authority.to_owned(),
        scheme: question.scheme.to_owned(),
        size: question
            .size
            .map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        protocol: question.protocol.to_owned(),
        body,
        raw_body,
        ..HttpRequest::default()
    }
}

fn address_of(address: SocketAddr) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.ip().to_canonical().to_string(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(
                address.port(),
            ))),
            ..SocketAddress::default()
        })),
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    // A clock before 1970 says nothing.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos() as i32,
    }
}

fn allowance(ok: OkHttpResponse) -> Allowance {
    Allowance {
        request_headers: changes(ok.headers, HeaderChangeKind::Set),
        request_headers_removed: ok.headers_to_remove,
        response_headers: changes(ok.response_headers_to_add, HeaderChangeKind::Append),
        query_set: ok
            .query_parameters_to_set
            .into_iter()
            .map(|parameter| (parameter.key, parameter.value))
            .collect(),
        query_removed: ok.query_parameters_to_remove,
    }
}

fn denial(denied: DeniedHttpResponse) -> Denial {
    Denial {
        status: denied
            .status
            .filter(|status| STATUSES.contains(&status.code))
            .and_then(|status| u16::try_from(status.code).ok()),
        headers: changes(denied.headers, HeaderChangeKind::Set),
        body: denied.body.into(),
    }
}

/// Headers as they are written; `unsaid` is what is done where the service does not say. An empty value is written,
/// whatever `keep_empty_value` says, as Envoy does here.
fn changes(options: Vec<HeaderValueOption>, unsaid: HeaderChangeKind) -> Vec<HeaderChange> {
    let change = |option: HeaderValueOption| {
        let kind = kind_of(&option, unsaid);
        let header = option.header.unwrap_or_default();
        HeaderChange {
            kind,
            name: header.key,
            value: match header.raw_value.is_empty() {
                true => header.value.into_bytes(),
                false => header.raw_value,
            },
        }
    };
    options.into_iter().map(change).collect()
}

/// `append`, where it is set, says it all. The first value of `append_action` is what a service says that sets neither,
/// and so it means `unsaid`.
#[expect(deprecated, reason = "it is what services of this protocol use")]
fn kind_of(option: &HeaderValueOption, unsaid: HeaderChangeKind) -> HeaderChangeKind {
    match (&option.append, option.append_action()) {
        (Some(append), _) if append.value => HeaderChangeKind::Append,
        (Some(_), _) => HeaderChangeKind::Set,
        (None, HeaderAppendAction::AppendIfExistsOrAdd) => unsaid,
        (None, HeaderAppendAction::AddIfAbsent) => HeaderChangeKind::AddIfAbsent,
        (None, HeaderAppendAction::OverwriteIfExistsOrAdd) => HeaderChangeKind::Set,
        (None, HeaderAppendAction::OverwriteIfExists) => HeaderChangeKind::SetIfPresent,
    }
}

#[cfg(test)]
mod tests;
