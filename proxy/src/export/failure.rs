//! Why a collector did not take a request, and whether it may take it later: OTLP's rules of retries.

use crate::failure_text::{causes, printable};
use envoy_types::pb::google::protobuf::Duration as DurationMessage;
use envoy_types::pb::google::rpc::Status as StatusMessage;
use outrigger_config::model::Collector;
use outrigger_telemetry::ExportFailure;
use prost::Message;
use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};

/// How gRPC's status names the time after which to try again.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<DurationMessage>,
}

/// Why a request failed. Its text may repeat what was sent in headers: [`Failure::shown`] is the one way to it.
pub(super) struct Failure {
    pub(super) reason: ExportFailure,
    pub(super) retry: Retry,
    text: String,
}

/// Whether a request is sent again.
#[derive(Debug, PartialEq)]
pub(super) enum Retry {
    /// It would be answered the same.
    Never,
    /// After a wait that this side chooses.
    Later,
    /// Not before this has passed.
    After(Duration),
}

impl Failure {
    fn new(reason: ExportFailure, retry: Retry, text: String) -> Failure {
        Failure { reason, retry, text }
    }

    /// There is no connection, or it broke: whatever was sent may have come or not, and is sent again.
    pub(super) fn connection(error: &(dyn Error + 'static)) -> Failure {
        Failure::new(ExportFailure::Connection, Retry::Later, causes(error))
    }

    /// TLS cannot be spoken as it is configured; identities may come yet.
    pub(super) fn configuration(text: impl fmt::Display) -> Failure {
        Failure::new(ExportFailure::Configuration, Retry::Later, text.to_string())
    }

    pub(super) fn timeout(after: Duration) -> Failure {
        let text = format!("no answer within {after:?}");
        Failure::new(ExportFailure::Timeout, Retry::Later, text)
    }

    /// The answer of gRPC is an error.
    pub(super) fn of_status(status: &Status) -> Failure {
        if let Some(cause) = status.source() {
            // Made here, of a connection that broke, and not by the collector.
            return Failure::connection(cause);
        }
        let after = retry_delay(status);
        let text = format!("{:?}: {}", status.code(), status.message());
        let may_pass = match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            // Only if the collector says that it will be over.
            Code::ResourceExhausted => after.is_some(),
            _ => false,
        };
        Failure::answered(may_pass, after, text)
    }

    /// The answer of HTTP is an error, with this `retry-after`.
    pub(super) fn of_http(status: u16, retry_after: Option<&str>, now: SystemTime) -> Failure {
        let may_pass = matches!(status, 429 | 502 | 503 | 504);
        let after = retry_after.and_then(|text| retry_after_of(text, now));
        Failure::answered(may_pass, after, format!("HTTP status {status}"))
    }

    fn answered(may_pass: bool, after: Option<Duration>, text: String) -> Failure {
        match may_pass {
            true => Failure::new(
                ExportFailure::Unavailable,
                after.map_or(Retry::Later, Retry::After),
                text,
            ),
            false => Failure::new(ExportFailure::Refused, Retry::Never, text),
        }
    }

    /// Why, as a log may say it.
    pub(super) fn shown(&self, collector: &Collector) -> String {
        shown(&self.text, collector)
    }
}

/// What a collector said, as a log may say it: without what was sent in headers, which it may have repeated, and only then
/// cut, so that no part of a credential stays.
pub(super) fn shown(text: &str, collector: &Collector) -> String {
    let mut hidden = vec![false; text.len()];
    for (_, value) in collector.headers() {
        let Ok(value) = std::str::from_utf8(value.expose()) else {
            continue;
        };
        // Of `Bearer abc` a collector repeats `abc`.
        let credential = value.rsplit(' ').next().filter(|credential| credential.len() > 3);
        for secret in [value].into_iter().chain(credential) {
            for (at, _) in text.match_indices(secret) {
                hidden[at..at + secret.len()].fill(true);
            }
        }
    }
    let mut kept = String::with_capacity(text.len());
    let mut was_hidden = false;
    for (at, character) in text.char_indices() {
        match (hidden[at], was_hidden) {
            (true, false) => kept.push_str("[redacted]"),
            (true, true) => {}
            (false, _) => kept.push(character),
        }
        was_hidden = hidden[at];
    }
    printable(&kept)
}

/// `RetryInfo` among the details of a status.
fn retry_delay(status: &Status) -> Option<Duration> {
    let details = StatusMessage::decode(status.details()).ok()?;
    let info = details.details.iter().find(|any| any.type_url == RETRY_INFO)?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanoseconds = u32::try_from(delay.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanoseconds))
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after_of(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::google::protobuf::Any;
    use std::sync::Arc;

    fn exhausted(delay: Option<DurationMessage>) -> Status {
        let info = RetryInfo { retry_delay: delay };
        let any = Any {
            type_url: RETRY_INFO.to_owned(),
            value: info.encode_to_vec(),
        };
        let details = StatusMessage {
            code: Code::ResourceExhausted as i32,
            message: String::new(),
            details: vec![any],
        };
        Status::with_details(Code::ResourceExhausted, "full", details.encode_to_vec().into())
    }

    #[test]
    fn what_passes_over_grpc_is_sent_again() {
        for (code, retry) in [
            (Code::Cancelled, Retry::Later),
            (Code::Unknown, Retry::Never),
            (Code::InvalidArgument, Retry::Never),
            (Code::DeadlineExceeded, Retry::Later),
            (Code::NotFound, Retry::Never),
            (Code::AlreadyExists, Retry::Never),
            (Code::PermissionDenied, Retry::Never),
            (Code::ResourceExhausted, Retry::Never),
            (Code::FailedPrecondition, Retry::Never),
            (Code::Aborted, Retry::Later),
            (Code::OutOfRange, Retry::Later),
            (Code::Unimplemented, Retry::Never),
            (Code::Internal, Retry::Never),
            (Code::Unavailable, Retry::Later),
            (Code::DataLoss, Retry::Later),
            (Code::Unauthenticated, Retry::Never),
        ] {
            let failure = Failure::of_status(&Status::new(code, "x"));
            assert_eq!(failure.retry, retry, "{code:?}");
            let refused = retry == Retry::Never;
            assert_eq!(failure.reason == ExportFailure::Refused, refused, "{code:?}");
        }
    }

    #[test]
    fn a_collector_says_when_to_come_back() {
        let delay = |seconds, nanos| Some(DurationMessage { seconds, nanos });
        let of = |delay| Failure::of_status(&exhausted(delay)).retry;
        assert_eq!(
            of(delay(7, 500_000_000)),
            Retry::After(Duration::from_millis(7500))
        );
        for nonsense in [delay(-1, 0), delay(1, -1), delay(1, 1_000_000_000), None] {
            assert_eq!(of(nonsense), Retry::Never, "{nonsense:?}");
        }
        let broken = Status::with_details(Code::Unavailable, "", vec![0xff].into());
        assert_eq!(Failure::of_status(&broken).retry, Retry::Later);
    }

    #[test]
    fn what_passes_over_http_is_sent_again() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |status, after| Failure::of_http(status, after, now).retry;
        for status in [400, 401, 404, 413, 500, 501, 301, 204] {
            assert_eq!(of(status, Some("1")), Retry::Never, "{status}");
        }
        for status in [429, 502, 503, 504] {
            assert_eq!(of(status, None), Retry::Later, "{status}");
        }
        assert_eq!(of(503, Some(" 7 ")), Retry::After(Duration::from_secs(7)));
        let date = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(of(503, Some(date)), Retry::After(Duration::from_secs(60)));
        assert_eq!(
            of(503, Some("Sun, 06 Nov 1994 08:00:00 GMT")),
            Retry::After(Duration::ZERO)
        );
        assert_eq!(of(429, Some("soon")), Retry::Later);
    }

    fn collector(authorization: &str) -> Arc<Collector> {
        let source = outrigger_config::Source {
            name: String::new(),
            text: format!(
                "telemetry: {{collectors: [{{name: c, endpoint: http://a:1, headers: {{authorization: {authorization}, x: yz}}}}]}}"
            ),
        };
        let loaded = outrigger_config::load(&source, &outrigger_config::Environment::empty()).unwrap();
        Arc::clone(&loaded.config.telemetry().collectors()[0])
    }

    #[test]
    fn credentials_that_are_repeated_are_not_kept() {
        let failure = Failure::of_status(&Status::unauthenticated("no abcde, no Bearer abcde"));
        assert_eq!(
            failure.shown(&collector("Bearer abcde")),
            "Unauthenticated: no [redacted], no [redacted]"
        );
    }

    #[test]
    fn a_credential_that_is_longer_than_what_is_shown_leaves_no_part() {
        let token: String = (0..300_usize)
            .map(|at| char::from(b"abcdefghijklm"[at % 13]))
            .collect();
        let collector = collector(&format!("Bearer {token}"));
        let said = format!("no {token} here, and none \n before {}", "é".repeat(300));
        let shown_as = format!("no [redacted] here, and none   before {}", "é".repeat(300));
        let cut = |text: String| text.chars().take(200).collect::<String>();
        assert_eq!(shown(&said, &collector), cut(shown_as.clone()));
        let refused = Failure::of_status(&Status::unauthenticated(said.as_str()));
        assert_eq!(
            refused.shown(&collector),
            cut(format!("Unauthenticated: {shown_as}"))
        );
        let broken = Failure::connection(&std::io::Error::other(said));
        assert_eq!(broken.shown(&collector), cut(shown_as));
    }
}
